"""Intervals of scores by resampling people: clips of one person are alike and are never the unit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.baselines.recogniser import Head
from equime.baselines.scores import NAMES, occurring, scores
from equime.seeding import stream
from equime.types import Record

F64 = NDArray[np.float64]

MIN_SUBJECTS: Final = 5
"""Fewest people for an interval."""

MAX_UNDEFINED: Final = 0.05
"""Share of resamples without a value (they missed a class) up to which there is an interval."""

_ROUNDING: Final = 1e-12

_CELLS: Final = 2_000_000
"""Of a block of resamples (16 MB)."""


class Interval(Record, frozen=True):
    """A figure with its interval and what it rests on.

    Attributes:
        value: None where it is not defined.
        low, high: bounds; None where there are fewer than `MIN_SUBJECTS` people, more than `MAX_UNDEFINED` of the
            resamples lack a class, or every resample has the same value (nobody differs, and people who are not
            there cannot be seen by resampling).
        n, n_subjects: clips and people that it rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_subjects: int


def resamples(n_subjects: int, n: int, seed: int) -> Iterator[F64]:
    """How often each person is drawn: n rows of n_subjects that sum to n_subjects each, in blocks of rows.

    The stream depends on the seed and the number of people only, so that two models over the same people are
    resampled alike.
    """
    even = np.full(n_subjects, 1 / n_subjects)
    random = stream(seed, "bootstrap by subject", n_subjects)
    rows = max(1, _CELLS // n_subjects)
    for start in range(0, n, rows):
        yield random.multinomial(n_subjects, even, min(rows, n - start)).astype(np.float64)


def by_subject(
    counts: NDArray[np.integer], head: Head, *, n_resamples: int, level: float, seed: int
) -> dict[str, Interval]:
    """Every score of `scores.NAMES` with its percentile interval.

    Args:
        counts: (S, R, ...) counts of each person in each of R trainings (seeds); the score is the mean over the
            trainings, in every resample as well.
        head: which counts they are.
        n_resamples, level, seed: of the bootstrap.
    """
    drawn = _draws(counts, head, n_resamples, seed)
    value = _mean_scores(counts.sum(0), head, occurring(counts.sum((0, 1)), head))
    n, n_subjects = _basis(counts, head)
    return {name: _interval(float(value[name]), drawn[name], n, n_subjects, level) for name in NAMES[head]}


def paired_difference(
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    head: Head,
    *,
    n_resamples: int,
    level: float,
    seed: int,
) -> dict[str, Interval]:
    """Scores of the first less those of the second, over the same people, who are drawn for both at once.

    Args:
        first, second: as ``counts`` of `by_subject`; the same people in the same order.
    """
    drawn = [_draws(counts, head, n_resamples, seed) for counts in (first, second)]
    values = [_mean_scores(c.sum(0), head, occurring(c.sum((0, 1)), head)) for c in (first, second)]
    n, n_subjects = _basis(first, head)
    return {
        name: _interval(
            float(values[0][name] - values[1][name]), drawn[0][name] - drawn[1][name], n, n_subjects, level
        )
        for name in NAMES[head]
    }


def percentiles(draws: F64, level: float, n_subjects: int) -> tuple[float, float]:
    """Percentiles of resampled values, widened for few people (Hesterberg 2015, section 5.3); NaN is left out.

    The tail is ``Phi(-sqrt(n / (n - 1)) t)`` with t of n - 1 degrees of freedom: plain percentiles are too narrow.
    """
    from scipy.special import stdtrit  # noqa: PLC0415

    t = float(stdtrit(n_subjects - 1, (1 + level) / 2))
    tail = NormalDist().cdf(-math.sqrt(n_subjects / (n_subjects - 1)) * t)
    low, high = np.quantile(draws[~np.isnan(draws)], (tail, 1 - tail))
    return float(low), float(high)


def _draws(counts: NDArray[np.integer], head: Head, n: int, seed: int) -> dict[str, F64]:
    flat = counts.reshape(len(counts), -1)
    sums = np.concatenate([weights @ flat for weights in resamples(len(counts), n, seed)])
    sums = sums.reshape(n, *counts.shape[1:])
    return _mean_scores(sums, head, occurring(counts.sum((0, 1)), head))


def _mean_scores(sums: NDArray[np.number], head: Head, occurs: NDArray[np.bool_]) -> dict[str, F64]:
    """Mean over the trainings: (..., R, ...) to (...)."""
    return {name: values.mean(-1) for name, values in scores(sums, head, occurs).items()}


def _basis(counts: NDArray[np.integer], head: Head) -> tuple[int, int]:
    """Clips and people; of AUs, those of the AU that is coded in most clips."""
    each = counts[:, 0].sum((-2, -1))
    each = each.max(-1) if head == "aus" else each
    return int(each.sum()), int((each > 0).sum())


def _interval(value: float, draws: F64, n: int, n_subjects: int, level: float) -> Interval:
    if np.isnan(value):
        return Interval(value=None, low=None, high=None, n=n, n_subjects=n_subjects)
    without = Interval(value=value, low=None, high=None, n=n, n_subjects=n_subjects)
    if n_subjects < MIN_SUBJECTS or np.isnan(draws).mean() > MAX_UNDEFINED:
        return without
    if np.nanmax(draws) - np.nanmin(draws) < _ROUNDING:
        return without
    low, high = percentiles(draws, level, n_subjects)
    return Interval(value=value, low=low, high=high, n=n, n_subjects=n_subjects)
