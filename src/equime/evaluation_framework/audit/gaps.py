"""The largest differences between groups, with a permutation test that knows it is looking at the largest.

A gap is the largest less the smallest value of a figure over the groups that are compared. The interval is that of
the two groups named: it does not know that they were picked because they differ most, and of many groups some pair
differs by chance. The p-value does: the labels of the groups are permuted over people, and the largest difference
of each permutation is taken in the same way.

Demographic parity compares the share of clips given a class, equal opportunity its recall (true positive rate),
equalised odds the larger of the differences in recall and in false positive rate (Hardt et al., NeurIPS 2016; as
`fairlearn.metrics`), one class against all others, and once more the largest over all classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.model_records import Gap
from equime.evaluation_framework.audit.permutation import p_value
from equime.evaluation_framework.audit.scores import F64, Key, Tally, basis, figures, interval

NO_VALUE: Final = Interval(None, None, None, 0, 0)
_LOWER_IS_BETTER: Final = ("ece", "false_positive")
_PLAIN: Final = ("accuracy", "uf1", "uar", "ece")
_RATES: Final = {
    "demographic parity": ("selection",),
    "equal opportunity": ("recall",),
    "equalised odds": ("recall", "false_positive"),
}


@dataclass(frozen=True)
class GapKind:
    """One gap: the largest difference in any of some figures.

    Attributes:
        name, klass: as in `Gap`.
        parts: figures; those of one inner tuple count only where all of them can be compared.
    """

    name: str
    klass: str
    parts: tuple[tuple[Key, ...], ...]


def gap_kinds(tally: Tally) -> tuple[GapKind, ...]:
    """All gaps that are looked at.

    Of a class that never occurs or is never predicted, what is always 0 is left out: it would be a test that
    cannot find anything.
    """
    kinds = [
        GapKind(name, "", (((name, ""),),)) for name in _PLAIN if tally.has_probabilities or name != "ece"
    ]
    given = tally.confusion(tally.columns).sum((0, 1)) > 0
    for name, rates in _RATES.items():
        may = given if rates == ("selection",) else tally.occurs & given
        of_class = {
            label: (tuple((rate, label) for rate in rates),)
            for label, ok in zip(tally.labels, may, strict=True)
            if ok
        }
        if of_class:
            kinds.append(GapKind(name, "", tuple(part for parts in of_class.values() for part in parts)))
        kinds += [GapKind(name, label, parts) for label, parts in of_class.items()]
    return tuple(kinds)


@dataclass(frozen=True)
class Compared:
    """The groups of one attribute that are compared, G of them.

    Attributes:
        groups: their names, one per attribute.
        rows: of the people of each, (people, D).
        draws: `figures` of (n_boot, G) resamples.
        permuted: `figures` of (n_permutations, G) permutations.
    """

    groups: tuple[tuple[str, ...], ...]
    rows: tuple[F64, ...]
    draws: Mapping[Key, F64]
    permuted: Mapping[Key, F64]


def gaps(kinds: tuple[GapKind, ...], compared: Compared, tally: Tally, level: float) -> tuple[Gap, ...]:
    """Every gap between the groups; p is not yet corrected (q None)."""
    values = figures(np.stack([rows.sum(0) for rows in compared.rows]), tally)
    return tuple(_gap(kind, compared, values, tally, level) for kind in kinds)


def _gap(kind: GapKind, compared: Compared, values: Mapping[Key, F64], tally: Tally, level: float) -> Gap:
    usable = [key for part in kind.parts if all(_comparable(values[key]) for key in part) for key in part]
    if not usable:
        return Gap(kind.name, kind.klass, NO_VALUE, (), (), None, None, None)
    key = max(usable, key=lambda own: float(np.nanmax(values[own]) - np.nanmin(values[own])))
    # Of equal values the first and the last one, so that a gap of 0 is one between two groups.
    lowest, highest = (
        int(np.nanargmin(values[key])),
        len(compared.groups) - 1 - int(np.nanargmax(values[key][::-1])),
    )
    low, high = float(values[key][lowest]), float(values[key][highest])
    draws = compared.draws[key][:, highest] - compared.draws[key][:, lowest]
    worst, best = (highest, lowest) if key[0] in _LOWER_IS_BETTER else (lowest, highest)
    return Gap(
        name=kind.name,
        klass=kind.klass,
        gap=_pair_interval(high - low, draws, [basis(compared.rows[g], tally, key) for g in (lowest, highest)], level),
        worst=compared.groups[worst],
        best=compared.groups[best],
        ratio=low / high if high > 0 else None,
        p=_permutation_p(high - low, usable, values, compared.permuted),
        q=None,
    )  # fmt: skip


def _comparable(values: F64) -> bool:
    return int((~np.isnan(values)).sum()) >= 2


def _pair_interval(value: float, draws: F64, rests_on: list[tuple[int, int]], level: float) -> Interval:
    """The difference of two groups: bounds are widened for the smaller one, n is that of both."""
    fewest = min(n_subjects for _, n_subjects in rests_on)
    found = interval(value, draws, (0, fewest), level)
    return Interval(
        value, found.low, found.high, sum(n for n, _ in rests_on), sum(subjects for _, subjects in rests_on)
    )  # fmt: skip


def _permutation_p(
    observed: float, usable: list[Key], values: Mapping[Key, F64], permuted: Mapping[Key, F64]
) -> float | None:
    """Share of permutations with a gap at least as large.

    Where a figure is not defined in some group, permutations that leave it undefined in other groups are another
    comparison and are left out: the test is conditional on which groups have the class, and exact given that.
    """
    n_permutations = next(iter(permuted.values())).shape[0]
    same: NDArray[np.bool_] = np.ones(n_permutations, bool)
    largest = np.zeros(n_permutations)
    for key in usable:
        there = ~np.isnan(values[key])
        same &= (~np.isnan(permuted[key]) == there).all(1)
        own = permuted[key][:, there]
        largest = np.fmax(largest, own.max(1) - own.min(1))
    return p_value(observed, largest[same]) if same.any() else None
