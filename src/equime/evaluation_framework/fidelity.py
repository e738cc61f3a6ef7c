"""PSNR and SSIM of every frame against the source face: how much of the photograph is kept.

Expression and head move on purpose and lower both, so compare clips of like motion. The reference is the
photograph's aligned crop for clips of a Dataset whose photographs are there, and the first frame for every
other clip; the column ``fidelity_reference`` says which.
"""

from __future__ import annotations

import cv2
import numpy as np

from equime.annotation.annotators import ClipContext, Metric, Row
from equime.evaluation_framework.grey_frames import (
    PSNR_SOURCE,
    SSIM_SOURCE,
    mean_or_none,
    psnr_db,
    same_shape,
)
from equime.evaluation_framework.kernels import SSIM_WINDOW, squared_differences, ssim
from equime.evaluation_framework.source_reference import FIRST_FRAME, PHOTOGRAPH, photograph
from equime.frames import Frame


class Fidelity:
    """Annotator of the likeness of grey frames to the source face."""

    name = "fidelity"
    version = "1"
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False
    metrics = (
        Metric(
            "psnr_source_db", "dB", 0, None, "higher",
            "Peak signal-to-noise ratio of grey frames against the source face, mean over the frames that differ from it.",
            PSNR_SOURCE, per_frame=True,
        ),
        Metric(
            "ssim_source", "1", -1, 1, "higher",
            "Structural similarity of grey frames to the source face, mean over the frames.",
            SSIM_SOURCE, per_frame=True,
        ),
        Metric(
            "fidelity_reference", "", None, None, "none",
            "What the frames were compared with: \"photograph\" or \"first_frame\" (which is then left out of the means).",
            "equime", type="text",
        ),
        Metric(
            "n_identical_to_source", "1", 0, None, "none",
            "Frames that equal the reference in every pixel; their PSNR is infinite and left out of the mean.",
            "equime", type="whole",
        ),
    )  # fmt: skip

    def start(self, clip: ClipContext) -> _Session:
        """Open a session."""
        return _Session(clip)


class _Session:
    def __init__(self, clip: ClipContext) -> None:
        self._file = clip.source.file
        bgr, notes = photograph(clip)
        self._notes = list(notes)
        self._reference = None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)
        self._kind = FIRST_FRAME if self._reference is None else PHOTOGRAPH
        self._psnr: list[float] = []
        self._ssim: list[float] = []

    def feed(self, frame: Frame) -> None:
        """Compare with the reference."""
        grey = frame.grey
        if self._reference is None:
            self._reference = grey.copy()
            self._append(np.nan, np.nan)
            return
        same_shape(self._file, frame.index, grey, self._reference)
        exact, _ = squared_differences(self._reference, grey)
        small = min(grey.shape) < SSIM_WINDOW
        self._append(psnr_db(exact, grey.size), np.nan if small else ssim(self._reference, grey))

    def _append(self, psnr: float, similarity: float) -> None:
        self._psnr.append(psnr)
        self._ssim.append(similarity)

    def finish(self) -> Row:
        """Means over the frames."""
        psnr, similarity = np.array(self._psnr), np.array(self._ssim)
        n = int((~np.isnan(psnr)).sum())
        identical = np.isinf(psnr)
        psnr[identical] = np.nan
        frames = {"psnr_source_db": psnr, "ssim_source": similarity}
        if n == 0:
            self._notes.append(("one_frame", f"{self._file}: one frame and no photograph to compare it with"))
        elif identical.sum() == n:
            self._notes.append(("frozen", f"{self._file}: all {n} frames equal the {self._kind}; no PSNR"))
        if n and np.isnan(similarity).all():
            text = f"{self._file}: a side is under {SSIM_WINDOW} px; no SSIM"
            self._notes.append(("too_small", text))
        values = {name: mean_or_none(found) for name, found in frames.items()}
        n_identical = int(identical.sum()) if n else None
        row = {**values, "fidelity_reference": self._kind, "n_identical_to_source": n_identical}
        return Row(row, frames, tuple(self._notes))
