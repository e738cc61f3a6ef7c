"""Clips from diffusers' image-to-video pipelines: prompts, limits of a model, loading, sampling."""
