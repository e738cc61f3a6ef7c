"""PSNR and SSIM between consecutive frames: how little changes from one frame to the next.

These are the two columns that EquiME's tables hold. They say nothing of quality: a still image scores best, and
sensor noise scores worse than a frozen background. Hence neither direction is better.

EquiME's script takes ``np.mean((a - b) ** 2)`` of uint8 arrays. Difference and square wrap modulo 256: a
difference of 16 counts as none, no square passes 249, and the PSNR never falls under 24.17 dB. It is given
here as ``psnr_wrapped_consecutive_db``, only so that its published tables can be compared with.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext, Metric, Row
from equime.evaluation_framework.grey_frames import (
    PSNR_SOURCE,
    SSIM_SOURCE,
    mean_or_none,
    psnr_db,
    same_shape,
)
from equime.evaluation_framework.kernels import SSIM_WINDOW, squared_differences, ssim
from equime.frames import Frame

EQUIME_IDENTICAL_DB: Final = 100.0
"""What EquiME's script writes where its mean squared difference is 0."""


class Smoothness:
    """Annotator of the change between consecutive grey frames."""

    name = "smoothness"
    version = "1"
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False
    metrics = (
        Metric(
            "psnr_consecutive_db", "dB", 0, None, "none",
            "Peak signal-to-noise ratio between consecutive grey frames, mean over the pairs that differ; smoothness, not quality.",
            PSNR_SOURCE, per_frame=True,
        ),
        Metric(
            "ssim_consecutive", "1", -1, 1, "none",
            "Structural similarity between consecutive grey frames, mean over all pairs; smoothness, not quality.",
            SSIM_SOURCE, per_frame=True,
        ),
        Metric(
            "psnr_wrapped_consecutive_db", "dB", 20 * np.log10(255) - 10 * np.log10(249), EQUIME_IDENTICAL_DB, "none",
            "The same from uint8 differences that wrap modulo 256, 100 for a mean of 0: what EquiME's tables hold, wrong as a PSNR.",
            "EquiME's published script", per_frame=True,
        ),
        Metric(
            "n_identical_pairs", "1", 0, None, "none",
            "Consecutive grey frames that are equal in every pixel; their PSNR is infinite and left out of the mean.",
            "equime", type="whole",
        ),
    )  # fmt: skip

    def start(self, clip: ClipContext) -> _Session:
        """Open a session."""
        return _Session(clip)


class _Session:
    def __init__(self, clip: ClipContext) -> None:
        self._file = clip.source.file
        self._previous: NDArray[np.uint8] | None = None
        self._psnr: list[float] = []
        self._wrapped: list[float] = []
        self._ssim: list[float] = []
        self._small = False

    def feed(self, frame: Frame) -> None:
        """Compare with the frame before."""
        grey, before = frame.grey, self._previous
        self._previous = grey.copy()
        if before is None:
            self._append(np.nan, np.nan, np.nan)
            return
        same_shape(self._file, frame.index, grey, before)
        self._small = min(grey.shape) < SSIM_WINDOW
        exact, wrapped = squared_differences(before, grey)
        self._append(
            psnr_db(exact, grey.size),
            psnr_db(wrapped, grey.size) if wrapped else EQUIME_IDENTICAL_DB,
            np.nan if self._small else ssim(before, grey),
        )

    def _append(self, psnr: float, wrapped: float, similarity: float) -> None:
        self._psnr.append(psnr)
        self._wrapped.append(wrapped)
        self._ssim.append(similarity)

    def finish(self) -> Row:
        """Means over the pairs."""
        psnr = np.array(self._psnr)
        identical = np.isinf(psnr)
        psnr[identical] = np.nan
        frames = {
            "psnr_consecutive_db": psnr,
            "ssim_consecutive": np.array(self._ssim),
            "psnr_wrapped_consecutive_db": np.array(self._wrapped),
        }
        n_pairs = max(psnr.size - 1, 0)
        notes = []
        if n_pairs == 0:
            notes.append(("one_frame", f"{self._file}: one frame; consecutive frames cannot be compared"))
        elif identical.sum() == n_pairs:
            notes.append(
                ("frozen", f"{self._file}: all {psnr.size} frames are identical; no pair has a PSNR")
            )
        if self._small:
            notes.append(("too_small", f"{self._file}: a side is under {SSIM_WINDOW} px; no SSIM"))
        n_identical = int(identical.sum()) if n_pairs else None
        values = {name: mean_or_none(values) for name, values in frames.items()}
        return Row({**values, "n_identical_pairs": n_identical}, frames, tuple(notes))
