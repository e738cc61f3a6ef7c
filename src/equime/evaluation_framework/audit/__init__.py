"""The equity audit: who is in a data set, what goes with whom, whether movement and recognisers treat groups alike."""
