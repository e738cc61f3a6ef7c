"""Published recognisers, one module each."""
