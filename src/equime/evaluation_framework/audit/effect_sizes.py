"""How strongly an outcome goes with a group: Cramer's V, epsilon squared, mutual information.

Each has a textbook form that is above 0 by chance alone, and a correction for it. The textbook corrections
(Bergsma 2013; Kelley 1935; Miller 1955) hold for independent clips. Clips of one person are not: the head motion
of a person's clips is alike, and emotions take turns within a person. So what is taken off here is the mean of the
statistic when whole people are given to groups at random (`null_phi_squared`, `null_eta_squared`), which for one
clip per person *is* the textbook correction, and otherwise carries the design effect of Rao & Scott (JASA 76, 1981).

Tables are arrays of any leading shape: (..., groups, levels) of counts, (..., groups, 3) of n, sum and sum of squares.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_ROUNDING: Final = 1e-12
"""Phi squared below it is 0: all is in proportion. Its root, Cramer's V, would show the rounding."""


def phi_squared(tables: F64) -> F64:
    """Chi squared over n of tables of counts, without continuity correction: (..., groups, levels) to (...)."""
    rows, columns = tables.sum(-1, keepdims=True), tables.sum(-2, keepdims=True)
    n = tables.sum((-2, -1))
    expected = rows * columns
    parts = np.divide(tables**2, expected, out=np.zeros_like(tables), where=expected > 0)
    found = parts.sum((-2, -1)) - (n > 0)
    return np.asarray(np.where(found > _ROUNDING, found, 0.0))


def eta_squared(tables: F64) -> F64:
    """Share of the variance that lies between groups: (..., groups, 3) to (...); 0 where nothing varies."""
    n, sums, squares = tables[..., 0], tables[..., 1], tables[..., 2]
    count, mean = n.sum(-1), sums.sum(-1)
    centre = mean**2 / np.maximum(count, 1)
    between = np.divide(sums**2, n, out=np.zeros_like(sums), where=n > 0).sum(-1) - centre
    total = squares.sum(-1) - centre
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 1e-12 * np.maximum(count, 1))
    return np.asarray(np.clip(share, 0.0, 1.0))


def null_phi_squared(counts: F64, n_groups: int) -> float:
    """Mean of `phi_squared` when whole people are given to groups at random.

    ``(G - 1) S / (S - 1) sum_l sum_i (c_il - n_i q_l)^2 / (n^2 q_l)`` with S people and q the shares of the levels:
    exact where all have as many clips. With one clip each it is ``(G - 1)(L - 1) / (n - 1)``.

    Args:
        counts: (n_subjects, n_levels).
        n_groups: groups of the attribute.
    """
    n_subjects, n = len(counts), counts.sum()
    if n_subjects < 2 or n == 0:
        return 0.0
    counts = counts[:, counts.sum(0) > 0]
    share = counts.sum(0) / n
    apart = counts - counts.sum(1, keepdims=True) * share
    return float((n_groups - 1) * n_subjects / (n_subjects - 1) * (apart**2 / share).sum() / n**2)


def null_eta_squared(moments: F64, n_groups: int) -> float:
    """Mean of `eta_squared` when whole people are given to groups at random; ``(G - 1) / (n - 1)`` with one clip each.

    Args:
        moments: (n_subjects, 3): n, sum, sum of squares.
        n_groups: groups of the attribute.
    """
    n_subjects = len(moments)
    n, total, squares = moments.sum(0)
    if n_subjects < 2 or n == 0:
        return 0.0
    variation = squares - total**2 / n
    if variation <= 1e-12 * n:
        return 0.0
    apart = moments[:, 1] - moments[:, 0] * total / n
    return float((n_groups - 1) * n_subjects / (n_subjects - 1) * (apart**2).sum() / n / variation)


def cramers_v(phi2: F64 | float, n_groups: int, n_levels: int, null: float, *, times: int = 1) -> F64:
    """Bias-corrected Cramer's V (Bergsma, J. Korean Stat. Soc. 42, 2013), 0 to 1.

    Args:
        phi2: `phi_squared`.
        n_groups, n_levels: of the table, those that occur.
        null: mean of ``phi2`` by chance: ``(G - 1)(L - 1) / (n - 1)`` for independent clips as in the paper,
            `null_phi_squared` for clips of people.
        times: how often chance is in ``phi2``: 2 in a resample, which adds its own to that of the sample.
    """
    rows, columns = n_groups - 1, n_levels - 1
    if min(rows, columns) < 1:
        return np.zeros_like(np.asarray(phi2, dtype=float))
    # Bergsma's r - (r - 1)^2 / (n - 1) - 1, with n - 1 = (r - 1)(c - 1) / null.
    largest = min(rows - rows * null / columns, columns - columns * null / rows)
    if largest <= 0:
        return np.zeros_like(np.asarray(phi2, dtype=float))
    corrected = np.maximum(np.asarray(phi2) - times * null, 0.0)
    return np.asarray(np.sqrt(np.minimum(corrected / largest, 1.0)))


def epsilon_squared(eta2: F64 | float, null: float, *, times: int = 1) -> F64:
    """Bias-corrected eta squared (epsilon squared: Kelley, PNAS 21, 1935), cut off at 0.

    ``(eta2 - null) / (1 - null)``; with ``null = (G - 1) / (n - 1)`` it is ``1 - (1 - eta2)(n - 1)/(n - G)``.

    Args:
        eta2: `eta_squared`.
        null: its mean by chance: `null_eta_squared`.
        times: as for `cramers_v`.
    """
    value = np.asarray(eta2, dtype=float)
    if null >= 1:
        return np.zeros_like(value)
    for _ in range(times):
        value = (value - null) / (1 - null)
    return np.asarray(np.maximum(value, 0.0))


def mutual_information(table: F64, null: float) -> float:
    """Mutual information of group and outcome in bits with Miller's correction (1955), not below 0.

    The correction is ``(K_rows + K_columns - K_cells - 1) / (2 n)`` nats, K the numbers of occupied rows, columns
    and cells, with the number of independent clips that ``null`` tells in place of n.

    Args:
        table: (groups, levels) of counts.
        null: `null_phi_squared`, or ``(G - 1)(L - 1) / (n - 1)`` for independent clips.
    """
    n, rows, columns = table.sum(), table.sum(1), table.sum(0)
    if n == 0:
        return 0.0
    at = table > 0
    expected = np.outer(rows, columns)[at] / n
    plain = float((table[at] * np.log(table[at] / expected)).sum() / n)
    k_rows, k_columns = int((rows > 0).sum()), int((columns > 0).sum())
    freedom = (k_rows - 1) * (k_columns - 1)
    if freedom and null > 0:
        plain += (k_rows + k_columns - int(at.sum()) - 1) / (2 * (1 + freedom / null))
    return max(plain, 0.0) / float(np.log(2))
