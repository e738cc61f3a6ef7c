"""What a pipeline can make, known before it is loaded: numbers of frames, sizes, batches.

Video autoencoders compress time and space, so only some numbers of frames and sizes exist (diffusers 0.42:
LTX-Video 8k+1 frames and multiples of 32, Wan 4k+1 and 16, CogVideoX 4k+1 and 16, Stable Video Diffusion any number
up to 25 and multiples of 64). A clip of another number of frames is cut from a longer one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

from equime.errors import InputError


@dataclass(frozen=True)
class Limits:
    """Of a family of pipelines.

    Attributes:
        name: how messages call it.
        frame_step: frames are ``frame_step * k + 1``; 1 is any number.
        size_multiple: width and height are multiples of it.
        max_frames: most frames at a time; None where the pipeline states none.
        batches: whether one forward pass takes several different first frames.
    """

    name: str
    frame_step: int
    size_multiple: int
    max_frames: int | None = None
    batches: bool = False


@dataclass(frozen=True)
class FramePlan:
    """Frames to generate for a clip, and which of them are kept.

    Attributes:
        generated: frames that the pipeline makes.
        kept: the first so many are the clip. Frame 0 is conditioned on the photograph, so the cut is at the end.
    """

    generated: int
    kept: int


FAMILIES: Final[dict[str, Limits]] = {
    "LTX2": Limits("LTX-2", 8, 32),
    "LTX": Limits("LTX-Video", 8, 32, batches=True),
    "Wan": Limits("Wan", 4, 16),
    "CogVideoX": Limits("CogVideoX", 4, 16, batches=True),
    "StableVideoDiffusion": Limits("Stable Video Diffusion", 1, 64, max_frames=25, batches=True),
}
"""By the beginning of the pipeline's class name; the longer beginnings stand first. Wan encodes the whole batch of
first frames once per generator (diffusers 0.42.1), so it is given one clip at a time; LTX-2 was not tried."""

CONDITION: Final = "LTXConditionPipeline"
"""LTX-Video with pictures at any frame."""

UNKNOWN: Final = Limits("this pipeline", 1, 8)
"""A pipeline of another family: one clip at a time, and what it refuses it says itself."""


def family_of(class_name: str) -> str | None:
    """Key of `FAMILIES` of a pipeline's class name, or None."""
    return next((prefix for prefix in FAMILIES if class_name.startswith(prefix)), None)


def limits_of(class_name: str) -> Limits:
    """Limits of a pipeline class, without loading it."""
    family = family_of(class_name)
    if family is None:
        return replace(UNKNOWN, name=class_name)
    found = FAMILIES[family]
    # diffusers' condition pipeline takes one list of conditions for all clips of a pass.
    return replace(found, batches=False) if class_name == CONDITION else found


def limits_of_loaded(pipeline: Any) -> Limits:
    """Limits of a loaded pipeline: those of its class, and what its autoencoder and transformer say."""
    known = limits_of(type(pipeline).__name__)
    time = _first(pipeline, "vae_temporal_compression_ratio", "vae_scale_factor_temporal")
    space = _first(pipeline, "vae_spatial_compression_ratio", "vae_scale_factor_spatial")
    patch = getattr(getattr(getattr(pipeline, "transformer", None), "config", None), "patch_size", 1)
    patch = patch[-1] if isinstance(patch, (tuple, list)) else patch
    return replace(
        known,
        frame_step=known.frame_step if time is None else time,
        size_multiple=known.size_multiple
        if space is None
        else math.lcm(known.size_multiple, space * (patch or 1)),
    )


def plan_frames(n_frames: int, limits: Limits) -> FramePlan:
    """The fewest frames that the pipeline can make and that hold the clip: 145 for 144 with LTX-Video.

    Raises:
        InputError: more than the pipeline makes at a time.
    """
    generated = math.ceil((n_frames - 1) / limits.frame_step) * limits.frame_step + 1
    if limits.max_frames is not None and generated > limits.max_frames:
        raise InputError(
            f"{limits.name} makes at most {limits.max_frames} frames at a time, the clip has {n_frames}; "
            f"use a shorter --duration or a lower --fps, or another pipeline"
        )
    return FramePlan(generated, n_frames)


def check_size(size_px: int, limits: Limits) -> None:
    """Refuse a size that the pipeline cannot make.

    Raises:
        InputError: naming the nearest possible sizes.
    """
    step = limits.size_multiple
    if size_px > 0 and size_px % step == 0:
        return
    below, above = size_px // step * step, (size_px // step + 1) * step
    nearest = " or ".join(f"--size {s}" for s in (below, above) if s > 0)
    raise InputError(
        f"size {size_px} px: {limits.name} makes only multiples of {step} px; the nearest are {nearest}"
    )


def _first(pipeline: Any, *names: str) -> int | None:
    return next((int(getattr(pipeline, n)) for n in names if getattr(pipeline, n, None)), None)
