"""Tests of the readers of corpora."""
