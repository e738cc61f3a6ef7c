"""Our means beside those that EquiME published of itself, MiE-X, SAMM and SMIC.

What the published numbers are decides what may be compared with them:

* PSNR and SSIM are between consecutive frames of one clip. They tell how little changes from frame to frame,
  rise with the frame rate, and are best for a clip in which nothing moves.
* PSNR was computed as ``np.mean((a - b) ** 2)`` on uint8 arrays. Difference and square wrap modulo 256, so a
  difference of 16 counts as 0 and one of 15 as 225; no squared difference passes 249, and no PSNR falls under
  24.1 dB, however different two frames are. Only ``psnr_wrapped_consecutive_db`` is the same number.
* Total variation is the root of a sum over pixels and grows with size and noise; BRISQUE and CLIP-IQA look at
  the pixels as they come and change with size and compression.
* MiE-X holds two images per sample, onset and apex, and not a video.

A row says whether its two numbers are comparable, and why not where they are not. Nothing is left out.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Final

import msgspec

from equime.evaluation_framework.statistics import Estimate
from equime.types import Record

COLUMNS: Final = {
    "psnr_wrapped_consecutive_db": "psnr",
    "psnr_consecutive_db": "psnr",
    "ssim_consecutive": "ssim",
    "tv": "tv",
    "brisque": "brisque",
    "clip_iqa": "clip_iqa",
}
"""Our columns and what the published tables call theirs. The PSNR without wrapping is listed, and not comparable."""

_ALIKE: Final = 0.1
"""Relative difference up to which frame rates and sizes count as the same."""


class PublishedSet(Record, frozen=True):
    """One set of the published tables.

    Attributes:
        what: was measured.
        n: clips.
        frames: what is compared with what by PSNR and SSIM.
        fps: at which consecutive frames were recorded or made; None where there is no video.
        size_px: (width, height); None where it was not published.
        mean, sd: by published column; sd where it could be derived.
    """

    what: str
    n: int
    frames: str
    fps: float | None
    size_px: tuple[int, int] | None
    mean: dict[str, float]
    sd: dict[str, float]


class Published(Record, frozen=True):
    """The whole file ``published_means.json``.

    Attributes:
        about: what the numbers are.
        source: where they are from.
        sets: by name.
    """

    about: str
    source: str
    sets: dict[str, PublishedSet]


class PublishedRow(Record, frozen=True):
    """One of our means beside one published mean.

    Attributes:
        metric: our column.
        mean, low, high, n: ours, with the interval by subject; None where it was not measured.
        name: of the published set.
        published_mean, published_sd, published_n: theirs; the standard deviation None where it is not known.
        comparable: whether the difference of the two means anything.
        why: the reason, in one sentence.
    """

    metric: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    name: str
    published_mean: float
    published_sd: float | None
    published_n: int
    comparable: bool
    why: str


@functools.cache
def published_means() -> Published:
    """The published means with their source."""
    text = resources.files("equime.evaluation_framework").joinpath("published_means.json").read_bytes()
    return msgspec.json.decode(text, type=Published)


def compare_with_published(
    means: Mapping[str, Estimate],
    *,
    fps: float | None = None,
    size_px: tuple[int, int] | None = None,
) -> tuple[PublishedRow, ...]:
    """Our means beside every published one, metric by metric.

    Args:
        means: by column; columns that are not in `COLUMNS` are passed over, missing ones stay empty.
        fps: frame rate of our clips; None where they differ.
        size_px: (width, height) of our frames; None where they differ.

    Returns:
        A row per column and published set, in the order of `COLUMNS`. A column that was not measured has rows too.
    """
    nothing = Estimate(mean=None, low=None, high=None, n=0, n_subjects=0)
    rows = []
    for metric, column in COLUMNS.items():
        ours = means.get(metric, nothing)
        for name, other in published_means().sets.items():
            why = "not measured" if ours.mean is None else _why_not(metric, name, other, fps, size_px)
            rows.append(
                PublishedRow(
                    metric=metric, mean=ours.mean, low=ours.low, high=ours.high, n=ours.n, name=name,
                    published_mean=other.mean[column], published_sd=other.sd.get(column), published_n=other.n,
                    comparable=not why, why=why or "same formula, frame rate and size",
                )
            )  # fmt: skip
    return tuple(rows)


def _why_not(
    metric: str, name: str, other: PublishedSet, fps: float | None, size_px: tuple[int, int] | None
) -> str:
    """Why a metric cannot be compared; "" where it can."""
    if metric == "psnr_consecutive_db":
        return "the published PSNR is of wrapped uint8 differences; see psnr_wrapped_consecutive_db"
    if metric in ("psnr_wrapped_consecutive_db", "ssim_consecutive"):
        if other.fps is None:
            return f"{name} compares {other.frames}, not consecutive video frames"
        if fps is None or not _alike(fps, other.fps):
            ours = "mixed or unknown" if fps is None else f"{fps:g}"
            return f"changes with the frame rate: {name} has {other.fps:g} fps, these clips {ours}"
    if other.size_px is None:
        return f"changes with the size of the frames, and that of {name} was not published"
    if size_px is None or not all(_alike(a, b) for a, b in zip(size_px, other.size_px, strict=True)):
        ours = "mixed or unknown" if size_px is None else f"{size_px[0]} x {size_px[1]} px"
        return f"changes with size: {name} has {other.size_px[0]} x {other.size_px[1]} px, these clips {ours}"
    return ""


def _alike(ours: float, theirs: float) -> bool:
    return abs(ours - theirs) <= _ALIKE * theirs
