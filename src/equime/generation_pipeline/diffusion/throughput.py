"""What an attempt costs, from the model's arithmetic: for a plan, before anything was measured on the user's GPU.

A transformer of P weights takes 2 P operations per token and pass, and its self-attention 4 N^2 D more per layer for N tokens
of width D (multiplications and additions counted apart; Kaplan et al. 2020, section 2.1). One pass per step, two with
guidance. `bench/ltx_gpu.py` measures the same on a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from equime.generation_pipeline.diffusion.limits import family_of, limits_of
from equime.generation_pipeline.diffusion.model_folder import inspect_folder
from equime.generation_pipeline.diffusion.options import DiffusionOptions
from equime.generation_pipeline.renderers import Cost

WEIGHTS: Final = 1.92e9
"""Of LTX-Video's 2B transformer; taken for every model whose folder is not there to be counted."""

LAYERS: Final = 28
WIDTH: Final = 2048
"""Layers and width of that transformer (its config.json)."""

PEAK: Final = 989e12
"""Dense bfloat16 operations per second of an H100 SXM (NVIDIA's data sheet)."""

SHARE: Final = 0.4
"""Share of that which large transformers reach in practice; an assumption."""


def n_tokens(pipeline: str, n_frames: int, size_px: int) -> int:
    """Tokens of a clip in the transformer."""
    limits = limits_of(pipeline)
    frames = (n_frames - 1) // limits.frame_step + 1
    return int(frames * (size_px / limits.size_multiple) ** 2)


def operations(options: DiffusionOptions, n_frames: int, size_px: int, weights: float = WEIGHTS) -> float:
    """Operations of one clip's denoising; the autoencoder and the text encoder are small beside it."""
    tokens = n_tokens(options.pipeline, n_frames, size_px)
    passes = options.steps * (2 if options.guidance > 1 else 1)
    return passes * (2 * weights * tokens + LAYERS * 4 * tokens**2 * WIDTH)


def attempt_cost(options: DiffusionOptions, n_frames: int, size_px: int) -> Cost:
    """Seconds on an H100, and what they rest on."""
    weights, source = WEIGHTS, "LTX-Video 2B"
    folder = Path(options.model).expanduser()
    if folder.is_dir():
        counts = inspect_folder(folder, options.pipeline).n_weights
        weights, source = counts.get("transformer", counts.get("unet", WEIGHTS)), folder.name
    seconds = operations(options, n_frames, size_px, weights) / (PEAK * SHARE)
    known = "" if family_of(options.pipeline) == "LTX" else "; not LTX-Video, so attention is a guess"
    basis = (
        f"GPU time: arithmetic of {source} ({weights / 1e9:.2g} billion weights, {options.steps} steps) at {SHARE:.0%} of an "
        f"H100's peak, nothing measured{known}"
    )
    return Cost(seconds, basis)
