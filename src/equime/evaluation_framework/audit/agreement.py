"""Labellers of one attribute against each other: estimated against estimated, and against what is declared.

Labels are compared per person. Where labellers have different words, `vocabulary` says which mean the same group;
ages are compared as numbers where both are numbers, and in the bins of the one that has none where one is. Agreement
is not truth: two models that learnt from the same pictures may agree on what is wrong.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.evaluation_framework.audit import vocabulary
from equime.evaluation_framework.audit.alpha import Level, alpha
from equime.evaluation_framework.audit.data import UNKNOWN, Attribute, AuditData
from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.parity_command import numbers
from equime.evaluation_framework.audit.records import Agreement
from equime.evaluation_framework.statistics import MIN_SUBJECTS, widened
from equime.seeding import stream

if TYPE_CHECKING:
    import pandas as pd

F64 = NDArray[np.float64]

_RANGE: Final = re.compile(r"(\d+)\s*(?:-|–|to)\s*(\d+)")
_OPEN: Final = re.compile(r"(?:more than|over|from)\s*(\d+)|(\d+)\s*(?:\+|and over|and older)")
_UNDER: Final = re.compile(r"(?:under|below|<)\s*(\d+)")


@dataclass(frozen=True)
class _Labels:
    """What one labeller says of the people, in their order.

    Attributes:
        name: column of groups.
        groups: text per person, None where not known.
        number: float64 per person, NaN where not known; None where the labeller gives no number.
        order: groups in their own order.
    """

    name: str
    groups: list[str | None]
    number: F64 | None
    order: tuple[str, ...]


def agreement(
    data: AuditData, *, n_boot: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[Agreement, ...]:
    """Attributes that several labellers give: all of them together where there are more than two, then every pair.

    Declared columns come last in a pair, so ``mean_difference`` is estimated less declared.

    Args:
        data: the data set.
        n_boot: resamples of people for the interval of alpha.
        seed: of the resamples.
        level: of the interval.
    """
    people = data.clips.sort_values(["subject_id", "clip_id"]).drop_duplicates("subject_id")
    n_clips = data.clips.groupby("subject_id").size().loc[people["subject_id"]].to_numpy()
    found = []
    for what, attributes in sorted(_by_attribute(data).items()):
        labels = [_labels(people, attribute) for attribute in attributes]
        chosen = [tuple(labels)] if len(labels) > 2 else []
        for some in [*chosen, *itertools.combinations(labels, 2)]:
            found.append(_compare(what, some, _Boot(n_boot, seed, level, n_clips)))
    return tuple(found)


def _by_attribute(data: AuditData) -> dict[str, list[Attribute]]:
    """Attributes with two labellers or more; estimated first, declared last, else in the data's order."""
    known = [a for a in data.attributes if a.origin in ("estimated", "declared")]
    groups: dict[str, list[Attribute]] = {}
    for attribute in sorted(known, key=lambda a: a.origin == "declared"):
        groups.setdefault(_what(attribute), []).append(attribute)
    return {what: own for what, own in groups.items() if len(own) > 1}


def _what(attribute: Attribute) -> str:
    """What a column is about, without its labeller: "gender" of ``estimated_gender_fairface``."""
    labeller = PurePosixPath(attribute.source).stem.removeprefix("labels_")
    name = attribute.name.removeprefix(f"{attribute.origin}_").removesuffix(f"_{labeller}")
    for known in vocabulary.attributes():
        if any(name == s or name.startswith(f"{s}_") for s in vocabulary.spellings(known)):
            return known
    return name


def _labels(people: pd.DataFrame, attribute: Attribute) -> _Labels:
    groups = [None if _is_unknown(v) else str(v) for v in people[attribute.name]]
    number = numbers(people[attribute.number]) if attribute.number in people else None
    return _Labels(attribute.name, groups, number, attribute.groups)


def _is_unknown(value: Any) -> bool:
    import pandas as pd  # noqa: PLC0415

    return bool(pd.isna(value)) or value == UNKNOWN


@dataclass(frozen=True)
class _Boot:
    n: int
    seed: int
    level: float
    n_clips: NDArray[np.integer[Any]]


def _compare(what: str, labels: tuple[_Labels, ...], boot: _Boot) -> Agreement:
    numeric = [own.number for own in labels if own.number is not None]
    if len(numeric) == len(labels):
        return _of_numbers(what, labels, np.stack(numeric, axis=1), boot)
    return _of_groups(what, labels, boot)


def _of_numbers(what: str, labels: tuple[_Labels, ...], values: F64, boot: _Boot) -> Agreement:
    difference = None
    if len(labels) == 2:
        both = ~np.isnan(values).any(axis=1)
        difference = float((values[both, 0] - values[both, 1]).mean()) if both.any() else None
    found = _interval(values, "interval", labels, boot)
    return Agreement(
        attribute=what, labellers=_names(labels), alpha=found, level="interval", agreement=None, labels=(),
        confusion=(), mean_difference=difference, n_subjects=found.n_subjects, note=_no_alpha(values),
    )  # fmt: skip


def _of_groups(what: str, labels: tuple[_Labels, ...], boot: _Boot) -> Agreement:
    columns, order, notes = _alike(what, labels)
    place = {group: i for i, group in enumerate(order)}
    values = np.array([[np.nan if g is None else place[g] for g in column] for column in columns]).T
    values = values.reshape(-1, len(labels))
    several = values[(~np.isnan(values)).sum(1) >= 2]
    same = np.nanmax(several, axis=1) == np.nanmin(several, axis=1) if len(several) else np.zeros(0, bool)
    confusion: tuple[tuple[int, ...], ...] = ()
    if len(labels) == 2:
        table = np.zeros((len(order), len(order)), int)
        np.add.at(table, tuple(several.astype(int).T), 1)
        confusion = tuple(tuple(map(int, row)) for row in table)
    found = _interval(values, "nominal", labels, boot)
    return Agreement(
        attribute=what, labellers=_names(labels), alpha=found, level="nominal",
        agreement=float(same.mean()) if same.size else None, labels=order, confusion=confusion,
        mean_difference=None, n_subjects=found.n_subjects,
        note="; ".join(filter(None, [*notes, _no_alpha(values)])),
    )  # fmt: skip


def _names(labels: tuple[_Labels, ...]) -> tuple[str, ...]:
    return tuple(own.name for own in labels)


def _no_alpha(values: F64) -> str:
    """Why there is no alpha, or no interval; "" where there is one."""
    several = values[(~np.isnan(values)).sum(1) >= 2]
    if not len(several):
        return "nobody has two labels"
    if np.nanmax(several) == np.nanmin(several):
        return "everybody has the same label, so there is nothing to agree on and alpha is not defined"
    if _all_agree(several):
        most = 1 - 0.05 ** (1 / len(several))
        return (
            "nobody has two different labels, so alpha has no interval: with these people, up to "
            f"{most:.1%} of all people may be labelled differently (95 %)"
        )
    return ""


def _all_agree(several: F64) -> bool:
    return bool((np.nanmax(several, axis=1) == np.nanmin(several, axis=1)).all())


def _interval(values: F64, level: Level, labels: tuple[_Labels, ...], boot: _Boot) -> Interval:
    """Alpha over the people with two labels or more; resamples without two different values are left out.

    Where all labels agree there is no interval: resampling cannot show errors that did not occur.
    """
    enough = (~np.isnan(values)).sum(1) >= 2
    several = values[enough]
    n = len(several)
    value = float(alpha(several, level)[0])
    low = high = None
    if n >= MIN_SUBJECTS and not np.isnan(value) and not _all_agree(several):
        random = stream(boot.seed, "agreement", *_names(labels))
        weights = random.multinomial(n, np.full(n, 1 / n), size=boot.n).astype(np.float64)
        drawn = alpha(several, level, weights)
        tail = (1 - widened(boot.level, n)) / 2
        low, high = map(float, np.nanquantile(drawn, (tail, 1 - tail)))
    n_clips = int(boot.n_clips[enough].sum())
    return Interval(value=None if np.isnan(value) else value, low=low, high=high, n=n_clips, n_subjects=n)


# Words of different labellers


def _alike(
    what: str, labels: tuple[_Labels, ...]
) -> tuple[list[list[str | None]], tuple[str, ...], list[str]]:
    """Groups per labeller in common words, all groups in order, and what was done."""
    if what == "age":
        labels, notes = _in_common_bins(labels)
    else:
        notes = []
    columns: list[list[str | None]] = []
    merged: dict[str, set[str]] = {}
    unmapped: set[str] = set()
    for own in labels:
        mapped = {g: vocabulary.group_of(what, g) for g in {g for g in own.groups if g is not None}}
        columns.append([None if g is None else mapped[g] or vocabulary.spelled(g) for g in own.groups])
        for word, group in mapped.items():
            if group is not None and vocabulary.spelled(word) != group:
                merged.setdefault(group, set()).add(word)
        unmapped |= {word for word, group in mapped.items() if group is None}
    notes += [f"{', '.join(sorted(words))} taken as {group}" for group, words in sorted(merged.items())]
    if unmapped and vocabulary.groups(what):
        notes.append(f"not in the vocabulary, left as they are: {', '.join(sorted(unmapped))}")
    return columns, _order(what, labels, columns), notes


def _order(what: str, labels: tuple[_Labels, ...], columns: list[list[str | None]]) -> tuple[str, ...]:
    """The vocabulary's order, then the labellers' own."""
    there = {group for column in columns for group in column if group is not None}
    own = [
        vocabulary.group_of(what, g) or vocabulary.spelled(g) for labeller in labels for g in labeller.order
    ]
    listed = dict.fromkeys([*vocabulary.groups(what), *own, *sorted(there)])
    return tuple(group for group in listed if group in there)


def _in_common_bins(labels: tuple[_Labels, ...]) -> tuple[tuple[_Labels, ...], list[str]]:
    """Numbers of years in the bins of the first labeller that gives bins alone, and what was done."""
    binned = next(own for own in labels if own.number is None)
    bins = [(bounds, group) for group in binned.order if (bounds := age_bounds(group)) is not None]
    if not bins:
        return labels, ["ages have no bins that could be read; compared as they are"]
    done = []
    for own in labels:
        if own.number is None:
            done.append(own)
            continue
        groups = [_bin_of(age, bins) for age in own.number]
        done.append(_Labels(own.name, groups, None, binned.order))
    return tuple(done), [f"ages in years cut into the bins of {binned.name}"]


def _bin_of(age: float, bins: list[tuple[tuple[float, float], str]]) -> str | None:
    """The bin of an age in years: bins of whole years reach to the next year, so that 29.6 is in 20-29."""
    if np.isnan(age):
        return None
    for (low, high), group in bins:
        if low <= age < high:
            return group
    return f"{age:.0f} years, in no bin"


def age_bounds(group: str) -> tuple[float, float] | None:
    """First year and the year that is above it, of "20-29", "3 to 9", "more than 70", "70+", "under 18"; else None."""
    text = vocabulary.spelled(group.replace("-", " to "))
    if found := _RANGE.fullmatch(text):
        return float(found[1]), float(found[2]) + 1
    if found := _OPEN.fullmatch(text):
        return float(found[1] or found[2]), float("inf")
    if found := _UNDER.fullmatch(text):
        return 0.0, float(found[1])
    return None
