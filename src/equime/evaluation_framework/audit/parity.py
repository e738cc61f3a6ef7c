"""Realised-motion parity: whether the same commanded expression moves the pixels alike on every group of people.

Every attribute is compared in every measured outcome, with what was commanded held equal (`parity_command`).
The gap is the largest group mean less the smallest. Three things about it:

* The largest of several differences is never 0, and its expectation grows with the number of groups and falls with
  the number of people; without any true difference it is about 1.1 (two groups) to 2.5 (six) standard errors of a
  group mean. Read it beside ``detectable`` and p, not alone.
* Its interval is that of the difference between the two groups *named*, as if they had been chosen beforehand. It
  does not know that they were picked because they lie farthest apart, so it may leave out 0 without meaning much.
* The p-value does know: the groups are shuffled among people (all clips of a person together), and the largest gap
  is taken anew each time. Where a group was commanded other expressions than the rest, shuffled groups are better
  balanced than the true ones; what they show is then widened by the ratio of the standard errors.

Flags are taken as 0 and 1. Their adjusted share comes from a linear regression and may lie a little outside of 0 to 1
where nearly all clips are alike.

One attribute is looked at a time: where skin tone goes with gender in a data set, a gap may belong to either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from equime.evaluation_framework.audit import parity_tests as tests
from equime.evaluation_framework.audit.data import MIN_GROUP_SUBJECTS, Attribute, AuditData, Outcome
from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.parity_command import (
    MIN_TWIN_SHARE,
    Command,
    command_of_spec,
    command_of_twins,
    in_twins,
    numbers,
)
from equime.evaluation_framework.audit.people import People
from equime.evaluation_framework.audit.records import Parity, ParityRow

if TYPE_CHECKING:
    import pandas as pd

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

NO_VALUE = "no value"
NOT_A_NUMBER = "not a number"
CONSTANT = "constant"
ONE_GROUP = "one group"
TOO_FEW = "too few subjects"
CONFOUNDED = "groups were commanded different expressions"


@dataclass(frozen=True)
class _Settings:
    n_permutations: int
    n_boot: int
    seed: int
    level: float


@dataclass(frozen=True)
class _Case:
    """Outcomes of one attribute that have values in the same clips."""

    attribute: Attribute
    groups: tuple[str, ...]
    clips: pd.DataFrame
    outcomes: tuple[Outcome, ...]


def parity(
    data: AuditData, *, n_permutations: int = 2000, n_boot: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[Parity, ...]:
    """Every attribute by every measured outcome, in that order.

    Group means are those of all clips' command. Groups of fewer than `MIN_GROUP_SUBJECTS` people with a value, and
    people of unknown group, take no part. Where at least half of the clips with a value show an expression that
    another person shows too, the comparison is within twins and rests on them alone.

    Args:
        data: the data set.
        n_permutations: shuffles of the groups; the smallest possible p is 1 / (n_permutations + 1).
        n_boot: resamples of people for the intervals.
        seed: the same seed gives the same figures, in whatever order the clips come.
        level: of the intervals.

    Raises:
        InputError: a clip without subject, or a person with two groups.
    """
    from scipy.stats import false_discovery_control  # noqa: PLC0415

    people = People.of(data)
    settings = _Settings(n_permutations, n_boot, seed, level)
    found = [row for attribute in data.attributes for row in _of_attribute(data, people, attribute, settings)]
    tested = [i for i, row in enumerate(found) if row.p is not None]
    corrected = false_discovery_control([found[i].p for i in tested]) if tested else []
    q = dict(zip(tested, map(float, corrected), strict=True))
    return tuple(_replace(row, q.get(i), len(tested)) for i, row in enumerate(found))


def _replace(row: Parity, q: float | None, n_tests: int) -> Parity:
    import msgspec  # noqa: PLC0415

    return msgspec.structs.replace(row, q=q, n_tests=n_tests)


def _of_attribute(data: AuditData, people: People, attribute: Attribute, settings: _Settings) -> list[Parity]:
    """All outcomes by one attribute, in the order of the outcomes."""
    people.groups(attribute.name)  # a person has one group
    clips, comparable = people.clips, data.comparable(attribute)
    rows: dict[str, Parity] = {}
    alike: dict[bytes, tuple[Mask, tuple[str, ...], list[Outcome]]] = {}
    for outcome in data.measured:
        mask, groups, skipped = _usable(clips, attribute, comparable, outcome)
        if skipped:
            rows[outcome.name] = _skipped(attribute, outcome, skipped)
            continue
        alike.setdefault(mask.tobytes(), (mask, groups, []))[2].append(outcome)
    for mask, groups, outcomes in alike.values():
        case = _Case(attribute, groups, clips[mask].reset_index(drop=True), tuple(outcomes))
        rows |= {row.outcome: row for row in _compare(data, case, settings)}
    return [rows[outcome.name] for outcome in data.measured]


def _usable(
    clips: pd.DataFrame, attribute: Attribute, comparable: tuple[str, ...], outcome: Outcome
) -> tuple[Mask, tuple[str, ...], str]:
    """Clips that are compared, their groups, and why none are."""
    none = np.zeros(len(clips), bool), ()
    if outcome.kind == "groups":
        return *none, NOT_A_NUMBER
    if len(attribute.groups) < 2:
        return *none, ONE_GROUP
    values = numbers(clips[outcome.name])
    if np.isnan(values).all():
        return *none, NO_VALUE
    mask, groups = _of_enough(clips, attribute.name, comparable, ~np.isnan(values))
    if len(groups) < 2:
        return *none, TOO_FEW
    if np.ptp(values[mask]) == 0:
        return *none, CONSTANT
    return mask, groups, ""


def _of_enough(
    clips: pd.DataFrame, attribute: str, groups: Sequence[str], mask: Mask
) -> tuple[Mask, tuple[str, ...]]:
    """The groups with people enough among the clips of the mask, and the clips of these groups."""
    people = clips[mask].groupby(attribute)["subject_id"].nunique()
    enough = tuple(g for g in groups if people.get(g, 0) >= MIN_GROUP_SUBJECTS)
    return mask & clips[attribute].isin(enough).to_numpy(), enough


def _compare(data: AuditData, case: _Case, settings: _Settings) -> list[Parity]:
    """The outcomes of a case, computed together."""
    case, command = _with_command(data, case)
    clips, k = case.clips, len(case.outcomes)
    people, subject = np.unique(clips["subject_id"].to_numpy().astype(str), return_inverse=True)
    place = {group: i for i, group in enumerate(case.groups)}
    group = np.zeros(people.size, np.intp)
    group[subject] = clips[case.attribute.name].map(place).to_numpy(np.intp)
    values = np.stack([numbers(clips[o.name]) for o in case.outcomes], axis=1)
    design = tests.Design.of(subject.astype(np.intp), group, command)
    found = tests.fit(design, values)
    name = case.attribute.name
    null = tests.shuffled(design, found, values, settings.n_permutations, settings.seed, name)
    if null.inflation > tests.MAX_INFLATION:
        return [_skipped(case.attribute, outcome, CONFOUNDED) for outcome in case.outcomes]
    drawn = tests.Resampled(people.size, settings.n_boot, settings.level, settings.seed, name)
    return [_row(case, command.text, design, found, null, drawn, values[:, j].mean(), j) for j in range(k)]


def _with_command(data: AuditData, case: _Case) -> tuple[_Case, Command]:
    """The case, with clips that have a twin alone where there are enough, and its command."""
    twins = in_twins(case.clips)
    if twins.mean() >= MIN_TWIN_SHARE:
        mask, groups = _of_enough(case.clips, case.attribute.name, case.groups, twins)
        clips = case.clips[mask]
        clips = clips[in_twins(clips)].reset_index(drop=True)
        _, left = _of_enough(clips, case.attribute.name, groups, np.ones(len(clips), bool))
        if left == groups and len(groups) > 1:
            return dataclasses.replace(case, groups=groups, clips=clips), command_of_twins(clips)
    return case, command_of_spec(case.clips, data)


def _row(
    case: _Case, text: str, design: tests.Design, found: tests.Fit, null: tests.Shuffled,
    drawn: tests.Resampled, mean: float, j: int,
) -> Parity:  # fmt: skip
    """The record of one outcome."""
    means, scores = found.means[:, j], found.scores[:, :, j]
    n_people = np.bincount(design.group)
    n_clips = np.bincount(design.group[design.subject])
    rows = []
    for g, group in enumerate(case.groups):
        low, high = drawn.interval(means[g], scores[:, g], int(n_people[g]))
        rows.append(ParityRow(group=group, estimate=_interval(means[g], low, high, n_clips[g], n_people[g])))
    lowest, highest = int(means.argmin()), int(means.argmax())
    pair = [lowest, highest]
    gap = float(means[highest] - means[lowest])
    low, high = drawn.interval(gap, scores[:, highest] - scores[:, lowest], int(n_people[pair].min()))
    outcome, attribute = case.outcomes[j], case.attribute
    return Parity(
        attribute=attribute.name, attribute_title=attribute.title, outcome=outcome.name,
        outcome_title=outcome.title, unit=outcome.unit, direction=outcome.direction, rows=tuple(rows),
        adjusted_for=text,
        gap=_interval(gap, low, high, n_clips[pair].sum(), n_people[pair].sum()),
        relative_gap=gap / float(mean) if mean > 0 else None,
        lowest=case.groups[lowest], highest=case.groups[highest],
        p=tests.p_value(gap, null.outcomes[:, :, j], null.inflation), q=None, n_tests=0,
        detectable=tests.detectable(null.noise[:, :, j], null.shifts, null.inflation),
    )  # fmt: skip


def _interval(value: float, low: float, high: float, n: int, n_subjects: int) -> Interval:
    return Interval(value=float(value), low=low, high=high, n=int(n), n_subjects=int(n_subjects))


def _skipped(attribute: Attribute, outcome: Outcome, why: str) -> Parity:
    return Parity(
        attribute=attribute.name, attribute_title=attribute.title, outcome=outcome.name,
        outcome_title=outcome.title, unit=outcome.unit, direction=outcome.direction, rows=(), adjusted_for="",
        gap=Interval(value=None, low=None, high=None, n=0, n_subjects=0), relative_gap=None, lowest=None,
        highest=None, p=None, q=None, n_tests=0, detectable=None, skipped=why,
    )  # fmt: skip
