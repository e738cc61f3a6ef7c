"""Attributes of the people of a data set: declared, estimated, measured, each brought together per person.

A photograph shows one person once, so several clips of it are several readings of the same thing. Of numbers the
person's is the median, and the group is that of the clip which holds it; of labels it is the one that more than
half of the clips have, else the group is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from equime.evaluation_framework.audit.data import MIN_GROUP_SUBJECTS, UNKNOWN, Attribute, Origin

if TYPE_CHECKING:
    import pandas as pd

MAX_GROUPS: Final = 12
"""A declared text with more values is no grouping (a name, a comment)."""

AGE_EDGES: Final = (18, 30, 45, 60)
"""Declared ages in years are cut here."""

ITA_GROUPS: Final = ("very light", "light", "intermediate", "tan", "brown", "dark")
"""In the order of Chardon et al. 1991 and Del Bino & Bernerd 2013, lightest first."""

AGE_TITLES: Final = ("under 18", "18 to 29", "30 to 44", "45 to 59", "60 and over")
_GENDER: Final = {"f": "f", "m": "m", "u": UNKNOWN}


def declared_columns(faces: Iterable[Any]) -> dict[str, list[Any]]:
    """Declared attributes, one value per face in the order given; only those that somebody declares."""
    declared = [face.declared for face in faces]
    columns: dict[str, list[Any]] = {
        "declared_gender": [_GENDER[d.gender] for d in declared],
        "declared_age": [d.age for d in declared],
        "declared_ethnicity": [d.ethnicity or UNKNOWN for d in declared],
    }
    extra = sorted({key for d in declared for key in d.extra})
    columns |= {f"declared_{key}": [d.extra.get(key) or UNKNOWN for d in declared] for key in extra}
    return {name: values for name, values in columns.items() if any(v not in (None, UNKNOWN) for v in values)}


def age_group(age: float | None) -> str:
    """Group of a declared age in years."""
    if age is None:
        return UNKNOWN
    return AGE_TITLES[sum(age >= edge for edge in AGE_EDGES)]


def attribute_of(
    clips: pd.DataFrame, name: str, origin: Origin, title: str, source: str, *, number: str | None = None,
    unit: str = "", order: tuple[str, ...] = (), soft: tuple[str, ...] = (),
) -> Attribute:  # fmt: skip
    """The attribute of a column that holds groups; groups in ``order`` first, others by name."""
    there = {g for g in clips[name].unique() if g != UNKNOWN}
    groups = (*(g for g in order if g in there), *sorted(there - set(order), key=_natural))
    return Attribute(name, origin, title, groups, source, number, unit, soft)


def _natural(text: str) -> tuple[tuple[bool, int, str], ...]:
    """Numbers in a text by their value, before letters."""
    parts = (part for part in re.split(r"(\d+)", text) if part)
    return tuple((not p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts)


def by_majority(clips: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A label per clip: that of more than half of the person's clips, else `UNKNOWN`."""
    own = clips[name].where(clips[name].notna(), UNKNOWN).astype(str)
    counts = own.groupby([clips["subject_id"], own]).size()
    winner: dict[str, str] = {}
    for subject, group in counts.groupby(level=0):
        best = str(group.index[int(group.to_numpy().argmax())][-1])
        winner[str(subject)] = best if group.max() * 2 > group.sum() else UNKNOWN
    return clips["subject_id"].map(winner)


def by_median(clips: pd.DataFrame, number: str, name: str | None) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Number and group per clip: the person's median, and the group of the clip next to it.

    Args:
        clips: with ``subject_id``.
        number: column of the number.
        name: column of the group; None where there is none, and all groups are `UNKNOWN`.
    """
    known = clips[clips[number].notna()]
    median = known.groupby("subject_id")[number].median()
    numbers = clips["subject_id"].map(median)
    if name is None:
        return numbers, clips["subject_id"].map(lambda _: UNKNOWN)
    distance = (known[number] - known["subject_id"].map(median)).abs()
    ordered = known.assign(_distance=distance).sort_values(["_distance", "clip_id"])
    groups = ordered.groupby("subject_id")[name].first()
    return numbers, clips["subject_id"].map(groups).fillna(UNKNOWN)


def halves(clips: pd.DataFrame, number: str, name: str, groups: tuple[str, str]) -> float | None:
    """Add a column that cuts the people at their median: groups that are large enough where the usual ones are not.

    Args:
        clips: gets the column ``name``.
        number: column of the number, one value per person.
        groups: names of those above and below.

    Returns:
        The cut, or None (and no column) where a half would be too small to be compared, or all are alike.
    """
    people = clips.groupby("subject_id")[number].first().dropna()
    cut = people.median()
    above, below = people > cut, people < cut
    if min(above.sum(), below.sum()) < MIN_GROUP_SUBJECTS:
        return None
    half = people.map(lambda value: groups[0] if value >= cut else groups[1])
    clips[name] = clips["subject_id"].map(half).fillna(UNKNOWN)
    return float(cut)
