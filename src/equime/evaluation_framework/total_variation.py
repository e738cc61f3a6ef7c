"""Total variation: how much neighbouring pixels differ, as PIQ computes it."""

from __future__ import annotations

import math

import numpy as np

from equime.annotation.annotators import ClipContext, Metric, Row
from equime.evaluation_framework.grey_frames import mean_or_none
from equime.evaluation_framework.kernels import squared_gradients
from equime.frames import Frame

_REFERENCE = "piq.total_variation, norm_type='l2', of the grey frame over 255; Rudin, Osher and Fatemi (1992)"


class TotalVariation:
    """Annotator of the total variation of grey frames; large for texture, noise and ringing alike."""

    name = "total_variation"
    version = "1"
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False
    metrics = (
        Metric(
            "tv", "1", 0, None, "none",
            "Root of the summed squared differences of neighbouring pixels (0..1), mean over the frames; grows with the resolution.",
            _REFERENCE, per_frame=True,
        ),
        Metric(
            "tv_per_pixel", "1", 0, math.sqrt(2), "none",
            "tv over the root of the number of pixels, the root mean square gradient: it can be compared across frame sizes.",
            "equime, from piq.total_variation",
        ),
    )  # fmt: skip

    def start(self, clip: ClipContext) -> _Session:
        """Open a session."""
        return _Session()


class _Session:
    def __init__(self) -> None:
        self._tv: list[float] = []
        self._n_pixels = 1

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        self._n_pixels = frame.grey.size
        self._tv.append(math.sqrt(squared_gradients(frame.grey)) / 255)

    def finish(self) -> Row:
        """Means over the frames."""
        tv = np.array(self._tv)
        mean = mean_or_none(tv)
        per_pixel = None if mean is None else mean / math.sqrt(self._n_pixels)
        return Row({"tv": mean, "tv_per_pixel": per_pixel}, {"tv": tv})
