"""Whether a recogniser is as sure as it is right: expected calibration error, Brier score, reliability bins.

The expected calibration error (ECE; Naeini et al., AAAI 2015; Guo et al., ICML 2017, eq. 3) sorts clips into 15
bins of equal width by the probability of the predicted class, and takes the mean over clips of the difference
between mean confidence and share correct of their bin. It is never negative, and larger the fewer clips there are:
0.1 in a group of 50 clips may be noise. Groups of different size must not be compared by the naked figure; the
permutation test of `gaps` keeps the sizes and is not misled by it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Places = NDArray[np.intp]

N_BINS: Final = 15
"""As Guo et al. 2017; bin m holds confidences over (m - 1) / 15 up to m / 15."""


def confidence(probabilities: F64, predicted: Places) -> F64:
    """Probability (N,) of the predicted class from (N, K)."""
    return np.asarray(probabilities[np.arange(len(predicted)), predicted])


def bins_of(confidences: F64) -> Places:
    """Bin of each confidence, 0 to 14; 0 lies in the first."""
    bins: Places = np.clip(np.ceil(confidences * N_BINS) - 1, 0, N_BINS - 1).astype(np.intp)
    return bins


def squared_errors(probabilities: F64, truth: Places) -> F64:
    """Brier score of each clip, 0 to 2: sum over classes of the squared error (Brier, Mon. Wea. Rev. 78, 1950)."""
    wanted = np.eye(probabilities.shape[1])[truth]
    return np.asarray(((probabilities - wanted) ** 2).sum(1))


def ece(excess: F64, n: F64) -> F64:
    """ECE from sums over clips.

    Args:
        excess: (..., 15) confidence less correctness, summed over the clips of each bin.
        n: (...) clips.

    Returns:
        (...) 0 to 1; NaN where there are no clips.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.abs(excess).sum(-1) / n)


def reliability(probabilities: F64, truth: Places, predicted: Places) -> tuple[tuple[float, float, int], ...]:
    """(mean confidence, share correct, clips) of each bin that has clips, lowest confidence first."""
    sure, right = confidence(probabilities, predicted), truth == predicted
    at = bins_of(sure)
    return tuple(
        (float(sure[at == m].mean()), float(right[at == m].mean()), int((at == m).sum()))
        for m in np.unique(at)
    )
