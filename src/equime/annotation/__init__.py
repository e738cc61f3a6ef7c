"""Measuring clips: what an annotator is, one pass over the frames for all of them, tables, resuming."""
