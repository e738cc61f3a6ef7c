"""Small things that the annotators of image quality share."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import WorkError

PSNR_SOURCE: Final = (
    "Huynh-Thu and Ghanbari, Electronics Letters 44 (2008); skimage.metrics.peak_signal_noise_ratio"
)
SSIM_SOURCE: Final = (
    "Wang et al., IEEE TIP 13 (2004); skimage.metrics.structural_similarity by default (7 x 7, uniform)"
)
"""What PSNR and SSIM are taken from, for the descriptions of metrics."""


def psnr_db(sum_of_squares: int, n_pixels: int) -> float:
    """Peak signal-to-noise ratio of 8-bit images, dB; infinite where they are equal."""
    if sum_of_squares == 0:
        return math.inf
    return 10 * math.log10(255**2 * n_pixels / sum_of_squares)


def mean_or_none(values: NDArray[np.float64]) -> float | None:
    """Mean over the frames that have a value; None where none has."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def same_shape(file: str, index: int, grey: NDArray[np.uint8], other: NDArray[np.uint8]) -> None:
    """Guard of the compiled loops, which do not check bounds.

    Raises:
        WorkError: frame ``index`` of the clip has another size than the one it is compared with.
    """
    if grey.shape != other.shape:
        (height, width), (other_height, other_width) = grey.shape, other.shape
        raise WorkError(
            f"{file}: frame {index} is {width} x {height} px, it is compared with one of {other_width} x "
            f"{other_height} px; make all frames one size"
        )
