"""Published micro-expression corpora, read from the user's own licensed copies into sets of coded clips."""
