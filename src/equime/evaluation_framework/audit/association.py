"""What goes with whom: every attribute of the people against everything that the causal model drew.

In data of the causal model all of these are null by construction: who the face is has no child in the graph. The
audit does not take that on trust. How strong an association is, whether it can be chance, and how small a one
this data would have shown are three figures of one row:

* the effect (`effect_sizes`), with chance taken off, and an interval from people drawn again within their groups;
* p from permuting the groups over people (`permutation`), corrected over all tests of the audit;
* the smallest effect that is found in 80 of 100 cases.

Emotions take turns within every person of a complete design. They are then exactly balanced, the effect is 0 and
p is 1 whatever the groups are: no permutation changes the table, and no ``detectable`` effect can be told.

Intervals: a resampled table has the noise of the resample on top of the sample's, so the chance value is taken off
twice before the percentiles; without that an interval of a null effect would not reach 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError
from equime.evaluation_framework.audit.data import MIN_GROUP_SUBJECTS, Attribute, AuditData
from equime.evaluation_framework.audit.effect_sizes import (
    cramers_v,
    epsilon_squared,
    eta_squared,
    mutual_information,
    null_eta_squared,
    null_phi_squared,
    phi_squared,
)
from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.people import People, Sums, sums
from equime.evaluation_framework.audit.permutation import (
    benjamini_hochberg,
    detectable,
    detectable_share,
    group_tables,
    p_value,
    percentile_interval,
    permuted_tables,
    resampled_tables,
)
from equime.evaluation_framework.audit.records import Association, GroupMean, Measure
from equime.seeding import stream

if TYPE_CHECKING:
    from equime.evaluation_framework.audit.permutation import F64

MIN_DRAWS: Final = 100
"""Fewest permutations and resamples: with 100 the smallest p is 0.0099."""


class Part(NamedTuple):
    """Outcomes that exist for the same people, and these people's groups of one attribute."""

    subjects: NDArray[np.bool_]
    """(n_subjects of the data set,) whether they take part."""
    groups: tuple[str, ...]
    codes: NDArray[np.intp]
    """(n that take part,) place of each in ``groups``."""


def associations(
    data: AuditData, *, n_permutations: int = 2000, n_boot: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[Association, ...]:
    """Every attribute with every intended outcome, in their order.

    Groups of fewer than `MIN_GROUP_SUBJECTS` people with a value, and people of unknown group, do not take part.

    Args:
        data: whose.
        n_permutations: of the groups over people; the smallest p is ``1 / (n_permutations + 1)``.
        n_boot: resamples for the intervals.
        seed: the same seed gives the same figures, in whatever order the rows come.
        level: of the intervals.

    Raises:
        InputError: for too few draws, or a level that is none.
    """
    _check(n_permutations, n_boot, level)
    people = People.of(data)
    outcomes = [sums(people, outcome) for outcome in data.intended]
    found = [
        row
        for attribute in data.attributes
        for row in _of_attribute(people, attribute, outcomes, (n_permutations, n_boot, seed, level))
    ]
    q, n_tests = benjamini_hochberg([row.p for row in found])
    return tuple(
        msgspec.structs.replace(row, q=q[i], n_tests=n_tests) for i, row in enumerate(found)
    )  # fmt: skip


def _check(n_permutations: int, n_boot: int, level: float) -> None:
    for name, value in (("n_permutations", n_permutations), ("n_boot", n_boot)):
        if value < MIN_DRAWS:
            raise InputError(
                f"{name} {value} is below {MIN_DRAWS}; give 2000, or {MIN_DRAWS} for a quick look"
            )
    if not 0 < level < 1:
        raise InputError(f"level {level} is not between 0 and 1; give 0.95 for 95 %")


Settings = tuple[int, int, int, float]


def _of_attribute(
    people: People, attribute: Attribute, outcomes: Sequence[Sums], settings: Settings
) -> list[Association]:
    """Rows of one attribute. Outcomes of the same people share their permutations and resamples."""
    codes = people.codes(attribute.name, attribute.groups)
    parts: dict[bytes, tuple[Part, list[int]]] = {}
    rows: dict[int, Association] = {}
    for i, outcome in enumerate(outcomes):
        part = comparable(codes, attribute.groups, outcome.n_clips > 0)
        if reason := _reason(codes, outcome, part):
            rows[i] = _skipped(attribute, outcome, part, reason)
        else:
            parts.setdefault(part.subjects.tobytes(), (part, []))[1].append(i)
    for part, places in parts.values():
        tested = _tested(attribute, [outcomes[i].of(part.subjects) for i in places], part, settings)
        rows |= dict(zip(places, tested, strict=True))
    return [rows[i] for i in range(len(outcomes))]


def comparable(codes: NDArray[np.intp], groups: Sequence[str], there: NDArray[np.bool_]) -> Part:
    """The groups with enough people among those who are there.

    Args:
        codes: (n_subjects,) place in ``groups``, -1 for none.
        groups: their names.
        there: (n_subjects,) who has a value.
    """
    n_people = np.bincount(codes[there & (codes >= 0)], minlength=len(groups))
    large = np.flatnonzero(n_people >= MIN_GROUP_SUBJECTS)
    subjects = there & np.isin(codes, large)
    return Part(subjects, tuple(groups[int(i)] for i in large), np.searchsorted(large, codes[subjects]))


def _reason(codes: NDArray[np.intp], outcome: Sums, part: Part) -> str:
    """Why there is nothing to test; "" where there is."""
    there = outcome.n_clips > 0
    if not there.any():
        return "no values"
    if np.unique(codes[there & (codes >= 0)]).size < 2:
        return "one group"
    if len(part.groups) < 2:
        return "too few subjects"
    return "" if outcome.of(part.subjects).varies else "constant"


def _skipped(attribute: Attribute, outcome: Sums, part: Part, reason: str) -> Association:
    own = outcome.of(part.subjects)
    nothing = Interval(None, None, None, int(own.n_clips.sum()), int(part.subjects.sum()))
    return _row(attribute, own, nothing, skipped=reason)


def _tested(
    attribute: Attribute, outcomes: Sequence[Sums], part: Part, settings: Settings
) -> list[Association]:
    n_permutations, n_boot, seed, level = settings
    columns = np.hstack([outcome.columns for outcome in outcomes])
    n_groups = len(part.groups)

    def draws(what: str) -> np.random.Generator:
        return stream(seed, "audit", "association", what, attribute.name)

    permuted = permuted_tables(columns, part.codes, n_groups, n_permutations, draws("permutation"))
    resampled = resampled_tables(columns, part.codes, n_groups, n_boot, draws("bootstrap"))
    rows, start = [], 0
    for outcome in outcomes:
        own = slice(start, start := start + outcome.columns.shape[1])
        rows.append(_test(attribute, outcome, part, permuted[..., own], resampled[..., own], level))
    return rows


def _test(
    attribute: Attribute, outcome: Sums, part: Part, permuted: F64, resampled: F64, level: float
) -> Association:
    n_groups, n_subjects = len(part.groups), len(part.codes)
    table = group_tables(outcome.columns, part.codes, n_groups)
    effect = Effect.of(outcome, n_groups)
    null = effect.statistic(permuted)
    statistic = float(effect.statistic(table))
    low, high = percentile_interval(effect.corrected(effect.statistic(resampled), 2), level, n_subjects)
    value = float(effect.corrected(statistic))
    estimate = Interval(value, min(low, value), max(high, value), int(outcome.n_clips.sum()), n_subjects)
    return _row(
        attribute,
        outcome,
        estimate,
        p=p_value(statistic, null),
        information=mutual_information(table, effect.null) if outcome.kind == "counts" else None,
        smallest=effect.detectable(null),
        groups=_group_means(outcome, part, table, resampled, level),
    )


class Effect(NamedTuple):
    """The effect measure of one outcome: from tables to its statistic, and from that to the effect."""

    kind: str
    n_groups: int
    n_levels: int
    n: float
    """Clips."""
    null: float
    """Mean of the statistic by chance."""

    @classmethod
    def of(cls, outcome: Sums, n_groups: int) -> Effect:
        """The measure for the people of ``outcome`` in so many groups."""
        counts = outcome.kind == "counts"
        null = (null_phi_squared if counts else null_eta_squared)(outcome.columns, n_groups)
        n_levels = int((outcome.columns.sum(0) > 0).sum())
        return cls(outcome.kind, n_groups, n_levels, float(outcome.n_clips.sum()), null)

    def statistic(self, tables: F64) -> F64:
        """Phi squared or eta squared: (..., groups, k) to (...)."""
        return phi_squared(tables) if self.kind == "counts" else eta_squared(tables)

    def corrected(self, statistic: F64 | float, times: int = 1) -> F64:
        """Cramer's V or epsilon squared."""
        if self.kind == "counts":
            return cramers_v(statistic, self.n_groups, self.n_levels, self.null, times=times)
        return epsilon_squared(statistic, self.null, times=times)

    def detectable(self, null: F64) -> float | None:
        """Smallest effect found in 80 of 100 cases, in the unit of the effect; None where it cannot be told."""
        if self.kind == "counts":
            largest = min(self.n_groups, self.n_levels) - 1
            found = detectable(null * self.n, self.n * largest)
            return None if found is None else min(1.0, found**0.5)
        return detectable_share(null)


def _group_means(
    outcome: Sums, part: Part, table: F64, resampled: F64, level: float
) -> tuple[GroupMean, ...]:
    """What the outcome is in each group; groups of levels have shares and no mean."""
    rows = []
    for i, group in enumerate(part.groups):
        n_subjects = int((part.codes == i).sum())
        count = float(table[i].sum() if outcome.kind == "counts" else table[i, 0])
        named = outcome.outcome.kind == "groups"
        shares = dict(zip(outcome.levels, (table[i] / count).tolist(), strict=True)) if named else {}
        value = low = high = None
        if not named:
            value = float(_mean(outcome, table[i]))
            low, high = percentile_interval(_mean(outcome, resampled[:, i]), level, n_subjects)
        rows.append(GroupMean(group, Interval(value, low, high, int(count), n_subjects), shares))
    return tuple(rows)


def _mean(outcome: Sums, tables: F64) -> F64:
    """Mean of a number in its own unit, or share of "yes": (..., k) to (...)."""
    if outcome.kind == "counts":
        return np.asarray(tables[..., 1] / tables.sum(-1))
    return np.asarray(outcome.centre + outcome.scale * tables[..., 1] / tables[..., 0])


def _row(
    attribute: Attribute,
    outcome: Sums,
    effect: Interval,
    *,
    p: float | None = None,
    information: float | None = None,
    smallest: float | None = None,
    groups: tuple[GroupMean, ...] = (),
    skipped: str = "",
) -> Association:
    about = outcome.outcome
    measure: Measure = "cramers_v" if outcome.kind == "counts" else "eta_squared"
    return Association(
        attribute=attribute.name,
        attribute_title=attribute.title,
        outcome=about.name,
        outcome_title=about.title,
        unit=about.unit,
        outcome_kind=about.kind,
        measure=measure,
        effect=effect,
        information_bits=information,
        p=p,
        q=None,
        n_tests=0,
        detectable=smallest,
        groups=groups,
        skipped=skipped,
    )
