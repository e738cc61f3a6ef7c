"""Permutation of group labels over people, resampling of people within groups, and correction for many tests.

All three work on sums per person: a permuted or resampled table is one product of matrices. What a person's clips
have in common (head, blinks, the draws of timing) moves with the person, so clips need not be independent; nor does
it matter that several people show the very same expressions (identity twins), because under the null hypothesis
the labels are exchangeable between people whatever they show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.evaluation_framework.statistics import widened

F64 = NDArray[np.float64]

_NOTHING: Final = 1e-12
"""A statistic that is 0 but for rounding, as where identity twins make all people alike."""

_AT_ONCE: Final = 2_000_000
"""Cells of the matrices of permuted labels and of weights that are held at once (16 MB)."""


def _rows(cells: int) -> int:
    """Labellings at once, of so many cells each."""
    return max(1, _AT_ONCE // max(1, cells))


def group_tables(columns: F64, codes: NDArray[np.intp], n_groups: int) -> F64:
    """Sums of the people's rows by group: (n_subjects, k) to (n_groups, k)."""
    return np.asarray((codes[None, :] == np.arange(n_groups)[:, None]).astype(float) @ columns)


def label_tables(columns: F64, labels: NDArray[np.integer[Any]], n_groups: int) -> F64:
    """`group_tables` of several labellings of the same people.

    Args:
        columns: (n_subjects, k) sums per person.
        labels: (n_labellings, n_subjects) group of each, 0 to n_groups - 1.
        n_groups: how many.

    Returns:
        (n_labellings, n_groups, k).
    """
    n, n_subjects = labels.shape
    tables = np.empty((n, n_groups, columns.shape[1]))
    rows = _rows(n_subjects * max(1, n_groups - 1))
    for start in range(0, n, rows):
        some = labels[start : start + rows]
        hot = (some[:, None, :] == np.arange(n_groups - 1)[:, None]).astype(float)
        part = (hot.reshape(-1, n_subjects) @ columns).reshape(len(some), n_groups - 1, -1)
        tables[start : start + rows, :-1] = part
        tables[start : start + rows, -1] = columns.sum(0) - part.sum(1)  # the last group is the rest
    return tables


def permuted_tables(
    columns: F64, codes: NDArray[np.intp], n_groups: int, n_permutations: int, random: np.random.Generator
) -> F64:
    """`group_tables` under permutations of the labels: (n_permutations, n_groups, k).

    Args:
        columns: (n_subjects, k) sums per person.
        codes: (n_subjects,) group of each, 0 to n_groups - 1.
        n_groups, n_permutations: how many.
        random: where the permutations come from.
    """
    labels = codes.astype(np.int16)
    rows = _rows(len(codes))
    tables = []
    for start in range(0, n_permutations, rows):
        some = min(rows, n_permutations - start)
        drawn = random.permuted(np.broadcast_to(labels, (some, len(codes))), axis=1)
        tables.append(label_tables(columns, drawn, n_groups))
    return np.concatenate(tables)


def resampled_tables(
    columns: F64, codes: NDArray[np.intp], n_groups: int, n_boot: int, random: np.random.Generator
) -> F64:
    """`group_tables` of people drawn with replacement within each group: (n_boot, n_groups, k).

    Within groups, because how many people each group has is what the data set is, not what was observed of it.
    """
    tables = np.empty((n_boot, n_groups, columns.shape[1]))
    for group in range(n_groups):
        own = columns[codes == group]
        n = len(own)
        rows = _rows(n)
        for start in range(0, n_boot, rows):
            some = min(rows, n_boot - start)
            drawn = random.integers(n, size=(some, n)) + np.arange(some)[:, None] * n
            weights = np.bincount(drawn.ravel(), minlength=some * n).reshape(some, n)
            tables[start : start + some, group] = weights.astype(float) @ own
    return tables


def p_value(observed: float, null: F64) -> float:
    """Share of permutations at least as extreme, the observed one among them: ``(1 + #{null >= observed}) / (1 + n)``.

    A permutation test with the observed labelling counted keeps its level exactly (Phipson & Smyth, Stat. Appl.
    Genet. Mol. Biol. 9, 2010). Differences that are rounding count as ties.
    """
    tie = 1e-9 * abs(observed) + 1e-12
    return (1 + int((null >= observed - tie).sum())) / (1 + null.size)


def percentile_interval(draws: F64, level: float, n_subjects: int) -> tuple[float, float]:
    """Percentiles of resampled values, widened for few people (see `statistics.widened`); NaN draws are left out."""
    kept = draws[~np.isnan(draws)]
    tail = (1 - widened(level, n_subjects)) / 2
    low, high = np.quantile(kept, (tail, 1 - tail))
    return float(low), float(high)


def benjamini_hochberg(p: Sequence[float | None]) -> tuple[list[float | None], int]:
    """The p corrected for the number of tests (Benjamini & Hochberg, JRSS B 57, 1995), and that number.

    None stays None and is no test.
    """
    from scipy.stats import false_discovery_control  # noqa: PLC0415

    tested = [value for value in p if value is not None]
    if not tested:
        return [None] * len(p), 0
    corrected = iter(false_discovery_control(tested).tolist())
    return [None if value is None else float(next(corrected)) for value in p], len(tested)


def detectable(
    null: F64, statistic_of_effect: float, *, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """Smallest effect that is found with the given power, from the permutation distribution of its statistic.

    The null distribution is taken as ``a chi2_f`` with its first two moments (Satterthwaite), the alternative as
    ``a chi2_f(lambda)``, non-central, about the same permutation threshold. The effect adds
    ``effect * statistic_of_effect`` to the mean of the statistic, which is ``a lambda``.

    Args:
        null: statistics of the permutations.
        statistic_of_effect: how much an effect of 1 adds to the mean of the statistic.
        power: probability with which it is found.
        alpha: level of the test.

    Returns:
        The effect, or None where the statistic does not vary over permutations: then nothing can be said.
    """
    from scipy.optimize import brentq  # noqa: PLC0415
    from scipy.stats import ncx2  # noqa: PLC0415

    mean, variance = float(null.mean()), float(null.var())
    if mean <= _NOTHING or math.sqrt(variance) <= 1e-9 * max(1.0, mean):
        return None
    freedom, scale = 2 * mean**2 / variance, variance / (2 * mean)
    threshold = float(np.quantile(null, 1 - alpha)) / scale

    def lacking(shift: float) -> float:
        return float(ncx2.sf(threshold, freedom, shift)) - power

    highest = 4 * (threshold + 10 + freedom)
    return float(brentq(lacking, 1e-9, highest)) * scale / statistic_of_effect


def detectable_share(null: F64, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """Smallest share of variance between groups (eta squared) that is found with the given power.

    The null distribution of a share is taken as a beta with its first two moments. The ratio of what lies between to
    what lies within is then F, with as many independent values as the beta tells; under an effect it is non-central F.
    For one normal value per person that is the power of the F test (Cohen 1988, ch. 8).

    Args:
        null: shares under permutation, 0 to 1.
        power: probability with which it is found.
        alpha: level of the test.

    Returns:
        The share, or None where it does not vary over permutations.
    """
    from scipy.optimize import brentq  # noqa: PLC0415
    from scipy.stats import ncf  # noqa: PLC0415

    mean, variance = float(null.mean()), float(null.var())
    if not _NOTHING < mean < 1 or math.sqrt(variance) <= 1e-9 * mean:
        return None
    freedom = 2 * (mean * (1 - mean) / variance - 1)
    between, within = freedom * mean, freedom * (1 - mean)
    quantile = min(float(np.quantile(null, 1 - alpha)), 1 - 1e-9)
    threshold = quantile / (1 - quantile) * within / between

    def lacking(ratio: float) -> float:
        return float(ncf.sf(threshold, between, within, (freedom + 1) * ratio)) - power

    highest = 1.0
    while lacking(highest) < 0 and highest < 1e6:
        highest *= 4
    ratio = float(brentq(lacking, 1e-9, highest))
    return ratio / (1 + ratio)
