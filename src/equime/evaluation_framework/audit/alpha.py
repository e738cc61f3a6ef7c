"""Krippendorff's alpha for two or more labellers with gaps (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability").

``alpha = 1 - observed disagreement / expected disagreement``: 1 for complete agreement, 0 for what chance gives,
below 0 for less than that. Both disagreements are sums over people, so a resample of people is a product with their
weights; tests hold this to the ``krippendorff`` package, which builds a table of all pairs of values and is too slow
to be asked thousands of times.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Level = Literal["nominal", "interval"]


def alpha(values: F64, level: Level, weights: F64 | None = None) -> F64:
    """Krippendorff's alpha.

    Args:
        values: float64 (units, labellers), codes of groups or numbers; NaN where a labeller gave none.
        level: whether two values only differ (nominal), or differ by their squared distance (interval).
        weights: float64 (resamples, units), how often each unit counts; None counts each once.

    Returns:
        float64 (resamples,): NaN where all values are equal or no unit has two.
    """
    values = values[(~np.isnan(values)).sum(1) >= 2]
    if weights is None:
        weights = np.ones((1, len(values)))
    n_values = (~np.isnan(values)).sum(1).astype(np.float64)
    n = weights @ n_values
    if level == "nominal":
        codes = np.unique(values[~np.isnan(values)])
        counts = (values[:, :, None] == codes).sum(1).astype(np.float64)
        observed = weights @ ((n_values**2 - (counts**2).sum(1)) / (n_values - 1))
        expected = n**2 - ((weights @ counts) ** 2).sum(1)
    else:
        filled = np.nan_to_num(values - np.nanmean(values)) if values.size else values
        sums, squares = filled.sum(1), (filled**2).sum(1)
        observed = weights @ (2 * (n_values * squares - sums**2) / (n_values - 1))
        expected = 2 * (n * (weights @ squares) - (weights @ sums) ** 2)
    possible = expected > 1e-12 * np.maximum(n, 1) ** 2
    return np.where(possible, 1 - (n - 1) * observed / np.where(possible, expected, 1), np.nan)
