"""Recognisers of micro-expressions: features, models, protocols, experiments, and what ships trained."""
