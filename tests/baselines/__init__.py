"""Tests of features, models, protocols and experiments."""
