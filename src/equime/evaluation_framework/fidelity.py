"""PSNR and SSIM of every frame against the source face: how much of the photograph is kept.

Expression and head move on purpose and lower both, so compare clips of like motion. The reference is the
photograph's aligned crop for clips of a Dataset whose photographs are there, and the first frame for every
other clip; the column ``fidelity_reference`` says which.

The crop is compared as a lossless clip would show it: as yuv420p planes in BT.709, as the renderers write them,
and back to BGR by the decoder's own conversion. That conversion truncates; without it the clip would be darker
than its photograph by a constant grey level that nobody put there.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

import av
import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.errors import WorkError
from equime.evaluation_framework.annotators import ClipContext, Metric, Row
from equime.evaluation_framework.grey_frames import mean_or_none, psnr_db, same_shape
from equime.evaluation_framework.kernels import SSIM_WINDOW, squared_differences, ssim
from equime.face.source import source_crop
from equime.frames import Frame
from equime.types import Face
from equime.video import rgb_to_yuv

PHOTOGRAPH: Final = "photograph"
FIRST_FRAME: Final = "first_frame"

N_CROPS: Final = 4
"""Crops that a process keeps; the clips of a face tend to be measured after each other."""

_PSNR = "Huynh-Thu and Ghanbari, Electronics Letters 44 (2008); skimage.metrics.peak_signal_noise_ratio"
_SSIM = "Wang et al., IEEE TIP 13 (2004); skimage.metrics.structural_similarity by default (7 x 7, uniform)"

Note = tuple[str, str]


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
            _PSNR, per_frame=True,
        ),
        Metric(
            "ssim_source", "1", -1, 1, "higher",
            "Structural similarity of grey frames to the source face, mean over the frames.",
            _SSIM, per_frame=True,
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
        self._notes: list[Note] = []
        self._reference = self._photograph(clip)
        self._kind = FIRST_FRAME if self._reference is None else PHOTOGRAPH
        self._psnr: list[float] = []
        self._ssim: list[float] = []

    def _photograph(self, clip: ClipContext) -> NDArray[np.uint8] | None:
        """The crop where the clip has one; a note where it should have."""
        source, info = clip.source, clip.info
        if source.face is None or source.faces_root is None:
            return None
        if info.width != info.height or info.width % 2:
            size = f"{info.width} x {info.height} px"
            text = f"{self._file}: {size} is no aligned crop (square, even); compared with its first frame"
            self._notes.append(("no_aligned_crop", text))
            return None
        try:
            return _source_grey(msgspec.json.encode(source.face), source.faces_root, info.width)
        except WorkError as error:
            text = f"{self._file}: compared with its first frame, not with the photograph: {error}"
            self._notes.append(("no_photograph", text))
            return None

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


@functools.lru_cache(maxsize=N_CROPS)
def _source_grey(face_json: bytes, faces_root: str, size_px: int) -> NDArray[np.uint8]:
    """The aligned crop as a clip's first frame shows it, grey (size_px, size_px). Raises as `source_crop`."""
    face = msgspec.json.decode(face_json, type=Face)
    planes = rgb_to_yuv(source_crop(face, Path(faces_root), size_px))
    frame = av.VideoFrame.from_ndarray(
        np.concatenate([p.ravel() for p in planes]).reshape(-1, size_px), "yuv420p"
    )
    frame.colorspace = frame.color_range = 1  # BT.709, limited
    grey = cv2.cvtColor(frame.to_ndarray(format="bgr24"), cv2.COLOR_BGR2GRAY)
    grey.setflags(write=False)
    return np.asarray(grey, np.uint8)
