"""From face photographs to captioned clips: ingest, causal model, trajectories, renderers, pipeline."""
