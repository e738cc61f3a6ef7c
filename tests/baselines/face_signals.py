"""Signals by hand: regions that move by smooth bumps over noise, and the coded set that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from equime.baselines.spotting_signal import FaceSignal
from equime.coded import FORMAT_VERSION, CodedClip, CodedInfo, CodedSet
from equime.motion.spotting import bump
from equime.motion.track import REGIONS

Bump = tuple[float, float, tuple[str, ...], float]
"""Onset and offset in ms, regions, peak in mm (upward)."""


def signal(
    bumps: list[Bump],
    *,
    blinks: list[float] | None = None,
    fps: float = 30.0,
    seconds: float = 20.0,
    noise_mm: float = 0.02,
    first: int = 0,
    seed: int = 0,
) -> FaceSignal:
    """A face that does this; blinks are their starts in ms, 200 ms each."""
    n = round(seconds * fps)
    time = np.arange(n) * 1000.0 / fps
    rng = np.random.default_rng(seed)
    moved = rng.normal(0, noise_mm, (n, len(REGIONS), 2))
    for onset, offset, regions, peak in bumps:
        middle = 0.5 * (onset + offset)
        curve = peak * bump(time, onset, middle, middle, offset)
        for name in regions:
            moved[:, REGIONS.index(name), 1] += curve
    aperture = np.ones((n, 2))
    for start in blinks or []:
        aperture -= bump(time, start, start + 70, start + 90, start + 200)[:, None]
    return FaceSignal(
        number=np.arange(n, dtype=np.int64) + first,
        time_ms=time,
        fps=fps,
        displacement_mm=moved.astype(np.float32),
        aperture=aperture.astype(np.float32),
        head=rng.normal(0, 0.02, (n, 6)).astype(np.float32),
        seen=np.ones(n, np.bool_),
    )


def coded(
    rows: list[tuple[str, str, int, int, Literal["micro", "macro"]]], synthetic: bool = True
) -> CodedSet:
    """(subject, file, onset, offset, expression) to a set of coded videos."""
    clips = tuple(
        CodedClip(
            clip_id=str(i), corpus="made", subject_id=subject, name=file, file=file, kind="video", fps=30.0,
            onset=onset, offset=offset, expression=expression,
        )
        for i, (subject, file, onset, offset, expression) in enumerate(rows)
    )  # fmt: skip
    info = CodedInfo(format_version=FORMAT_VERSION, corpus="made", root=".", synthetic=synthetic)
    return CodedSet(info, Path(), clips)
