"""Means with n and a bootstrap interval by subject.

Clips of one person are alike, so what is resampled with replacement is whole subjects with all their clips (the
cluster bootstrap: Field & Welsh, JRSS B 69, 2007). The mean is that of the clips, a ratio of two sums over
subjects, so a resample needs each subject's sum and count only.

Intervals are percentiles of the resampled means (Efron & Tibshirani 1993, ch. 13), with levels widened for few
subjects as Hesterberg (The American Statistician 69, 2015) derives: plain percentiles are too narrow by
sqrt((n - 1) / n) and by z against t. BCa corrects skewness and bias, not that, and needs more subjects for its
acceleration than most corpora have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError
from equime.seeding import stream
from equime.types import Record

F64 = NDArray[np.float64]

MIN_SUBJECTS: Final = 5
"""Fewest subjects for an interval; of 4 there are only 35 different resamples."""

MAX_RESAMPLED: Final = 2000
"""With more subjects the interval is normal with the cluster-robust standard error, to which the percentiles
then converge; tests hold that the two agree to 5 % of the width."""

Method = Literal["bootstrap", "normal", "none"]


class Estimate(Record, frozen=True):
    """A mean with its uncertainty.

    Attributes:
        mean: of the clips' values; None where there is none.
        low, high: bounds of the interval; None where there are fewer than `MIN_SUBJECTS` subjects.
        n: clips with a value.
        n_subjects: different subjects among them; a clip of unknown subject counts as one of its own.
        level: of the interval, 0.95.
        n_missing: clips without a value.
        n_unknown: clips with a value whose subject is not known. Where there are some, the interval is too
            narrow if several of them show one person.
        method: how the interval was made; "none" where there is none.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    n_subjects: int
    level: float = 0.95
    n_missing: int = 0
    n_unknown: int = 0
    method: Method = "none"


class Difference(Record, frozen=True):
    """Difference of two means, first less second.

    Attributes:
        difference: None where one of them has no value.
        low, high: bounds of its interval; None where one side has fewer than `MIN_SUBJECTS` subjects.
        n: clips with a value, (first, second).
        n_subjects: (first, second).
        n_shared: subjects that are in both, and were resampled together.
        level: of the interval.
    """

    difference: float | None
    low: float | None
    high: float | None
    n: tuple[int, int]
    n_subjects: tuple[int, int]
    n_shared: int
    level: float = 0.95


def bootstrap_mean(
    values: Sequence[float | None] | Any,
    subjects: Sequence[str | None] | Any,
    *,
    n_boot: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Mean over clips with an interval from resampling whole subjects.

    Args:
        values: one per clip; None or NaN where a clip has none, such clips are counted and left out.
        subjects: one per clip; None (or NaN) where it is not known.
        n_boot: resamples.
        level: of the interval, between 0 and 1.
        seed: the same seed gives the same interval, in whatever order the clips come.

    Raises:
        InputError: values and subjects of different number, level or n_boot out of range.
    """
    _check(n_boot, level)
    sums, counts, names, n_missing, n_unknown = _by_subject(values, subjects)
    n = int(counts.sum())
    if n == 0:
        return Estimate(
            mean=None, low=None, high=None, n=0, n_subjects=0, level=level, n_missing=n_missing
        )  # fmt: skip
    mean = float(sums.sum() / n)
    low, high, method = _interval(sums, counts, n_boot, level, seed)
    return Estimate(
        mean=mean, low=low, high=high, n=n, n_subjects=len(names), level=level, n_missing=n_missing,
        n_unknown=n_unknown, method=method,
    )  # fmt: skip


def bootstrap_difference(
    values: Sequence[float | None] | Any,
    subjects: Sequence[str | None] | Any,
    other_values: Sequence[float | None] | Any,
    other_subjects: Sequence[str | None] | Any,
    *,
    same_people: bool,
    n_boot: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Difference of the means of two groups of clips, with an interval from resampling whole subjects.

    Args:
        values, subjects: of the first group, as for `bootstrap_mean`.
        other_values, other_subjects: of the second.
        same_people: True for two groups of one data set (two emotions): a subject that is in both is drawn into
            or left out of both together, which keeps what the person adds to both out of the difference. False
            for two data sets, where "sub01" here is not "sub01" there.
        n_boot, level, seed: as for `bootstrap_mean`.

    Raises:
        InputError: as `bootstrap_mean`.
    """
    _check(n_boot, level)
    first, second = _by_subject(values, subjects), _by_subject(other_values, other_subjects)
    n = int(first[1].sum()), int(second[1].sum())
    n_subjects = len(first[2]), len(second[2])
    shared = set(first[2]) & set(second[2]) if same_people else set()
    difference = None if 0 in n else float(first[0].sum() / n[0] - second[0].sum() / n[1])
    low = high = None
    if min(n_subjects) >= MIN_SUBJECTS:
        resampled = _differences(first, second, bool(shared), n_boot, seed)
        low, high = _percentiles(resampled, min(n_subjects), level)
    return Difference(
        difference=difference, low=low, high=high, n=n, n_subjects=n_subjects, n_shared=len(shared), level=level
    )  # fmt: skip


_Grouped = tuple[F64, F64, list[str], int, int]


def _differences(first: _Grouped, second: _Grouped, together: bool, n_boot: int, seed: int) -> F64:
    """Resampled differences; together: from one draw of the union of subjects."""
    if not together:
        means = []
        for group, name in ((first, "first"), (second, "second")):
            means.append(np.concatenate(_means(group[0], group[1], n_boot, seed, name)))
        return np.asarray(means[0] - means[1])
    names = sorted(set(first[2]) | set(second[2]))
    place = {name: i for i, name in enumerate(names)}
    columns = np.zeros((4, len(names)))
    for row, (sums, counts, own, _, _) in ((0, first), (2, second)):
        at = [place[name] for name in own]
        columns[row, at], columns[row + 1, at] = sums, counts
    found = []
    for weights in _weights(len(names), n_boot, seed, "both"):
        a, n_a, b, n_b = (weights @ columns.T).T
        there = (n_a > 0) & (n_b > 0)  # a resample without a clip of one group has no difference
        found.append(a[there] / n_a[there] - b[there] / n_b[there])
    return np.concatenate(found)


def _check(n_boot: int, level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level {level} is not between 0 and 1; give 0.95 for 95 %")
    if n_boot < 100:
        raise InputError(f"n_boot {n_boot} is below 100, too few for percentiles; give 2000")


def _by_subject(values: Any, subjects: Any) -> _Grouped:
    """Sums and counts per subject in the order of their names, the names, clips without value, and unknown."""
    column = _numbers(values)
    place: dict[Any, int] = {}
    raw = np.fromiter((place.setdefault(subject, len(place)) for subject in subjects), np.intp)
    if column.size != raw.size:
        raise InputError(f"{column.size} values for {raw.size} subjects; give one subject per value")
    keys = list(place)
    is_known = np.array([not _is_missing(key) for key in keys], bool)
    there = ~np.isnan(column)
    known = there & is_known[raw] if keys else there
    labels = sorted({str(keys[i]) for i in np.unique(raw[known])})
    of_label = {label: i for i, label in enumerate(labels)}
    index = np.array([of_label.get(str(key), 0) for key in keys], np.intp)[raw[known]]
    # Clips of unknown subject stand alone, by value, so that the order of the clips makes no difference.
    alone = np.sort(column[there & ~known])
    sums = np.concatenate([np.bincount(index, column[known], len(labels)), alone])
    counts = np.concatenate([np.bincount(index, minlength=len(labels)), np.ones(alone.size)])
    names = [*labels, *(f"\x00{i}" for i in range(alone.size))]
    return sums, counts, names, int((~there).sum()), int(alone.size)


def _numbers(values: Any) -> F64:
    """A column as float64, NaN where there is no value."""
    try:
        return np.asarray(values, dtype=np.float64)  # None becomes NaN
    except TypeError:  # pandas' NA does not
        return np.array([np.nan if _is_missing(v) else float(v) for v in values])


def _is_missing(value: Any) -> bool:
    """None, NaN and pandas' NA."""
    return (
        value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))
    )


def _interval(
    sums: F64, counts: F64, n_boot: int, level: float, seed: int
) -> tuple[float | None, float | None, Method]:
    n_subjects = sums.size
    if n_subjects < MIN_SUBJECTS:
        return None, None, "none"
    if n_subjects > MAX_RESAMPLED:
        mean = sums.sum() / counts.sum()
        error = math.sqrt(float(((sums - mean * counts) ** 2).sum())) / float(counts.sum())
        reach = NormalDist().inv_cdf((1 + level) / 2) * error
        return float(mean - reach), float(mean + reach), "normal"
    means = np.concatenate(_means(sums, counts, n_boot, seed, "mean"))
    low, high = _percentiles(means, n_subjects, level)
    return low, high, "bootstrap"


def _means(sums: F64, counts: F64, n_boot: int, seed: int, name: str) -> list[F64]:
    # Every subject has a clip, so no resample is empty.
    return [(w @ sums) / (w @ counts) for w in _weights(sums.size, n_boot, seed, name)]


def _weights(n_subjects: int, n_boot: int, seed: int, name: str) -> Any:
    """How often each subject is drawn: float64 (some, n_subjects) at a time, ``n_boot`` rows in all."""
    random = stream(seed, "bootstrap", name)
    at_once = max(1, 1_000_000 // n_subjects)
    for start in range(0, n_boot, at_once):
        rows = min(at_once, n_boot - start)
        drawn = random.integers(n_subjects, size=(rows, n_subjects))
        drawn += np.arange(rows)[:, None] * n_subjects
        yield np.bincount(drawn.ravel(), minlength=rows * n_subjects).reshape(rows, -1).astype(np.float64)


def widened(level: float, n_subjects: int) -> float:
    """Level of plain percentiles that have the wanted coverage with so few subjects (Hesterberg 2015, 5.3).

    The tail is ``Phi(-sqrt(n / (n - 1)) t)`` with t of n - 1 degrees of freedom.
    """
    from scipy.special import stdtrit  # noqa: PLC0415

    t = float(stdtrit(n_subjects - 1, (1 + level) / 2))
    return 1 - 2 * NormalDist().cdf(-math.sqrt(n_subjects / (n_subjects - 1)) * t)


def _percentiles(means: F64, n_subjects: int, level: float) -> tuple[float, float]:
    tail = (1 - widened(level, n_subjects)) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)
