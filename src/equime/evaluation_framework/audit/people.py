"""People and their clips in a fixed order, and sums per person: all that shares, tests and resamples need.

A person, not a clip, is what is drawn, permuted and resampled. Tables of groups by outcome are sums over people,
so each outcome is first brought to one row per person; nothing after that depends on the number of clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError
from equime.evaluation_framework.audit.data import UNKNOWN, AuditData, Outcome

if TYPE_CHECKING:
    import pandas as pd

F64 = NDArray[np.float64]
Index = NDArray[np.intp]

FLAG_LEVELS: Final = ("no", "yes")


@dataclass(frozen=True)
class People:
    """The subjects of a data set.

    Attributes:
        names: sorted.
        clips: the table of `AuditData`, sorted by subject and clip.
        index: (n_clips,) place of each clip's subject in ``names``.
        n_clips: (n_subjects,) clips of each.
    """

    names: tuple[str, ...]
    clips: pd.DataFrame
    index: Index
    n_clips: F64

    @classmethod
    def of(cls, data: AuditData) -> People:
        """The people of a data set, the same in whatever order its rows come.

        Raises:
            InputError: for a clip without subject.
        """
        missing = data.clips["subject_id"].isna()
        if missing.any():
            clip = data.clips.loc[missing, "clip_id"].iloc[0]
            raise InputError(
                f"{data.path}: clip {clip} and {int(missing.sum()) - 1} more have no subject_id; an audit counts "
                "people, so every clip needs one: give clips of unknown people a subject_id of their own"
            )
        clips = data.clips.sort_values(["subject_id", "clip_id"], kind="stable").reset_index(drop=True)
        names, index = np.unique(clips["subject_id"].to_numpy(dtype=str), return_inverse=True)
        return cls(tuple(names.tolist()), clips, index, np.bincount(index).astype(float))

    def groups(self, attribute: str) -> NDArray[np.object_]:
        """(n_subjects,) group of each person, `UNKNOWN` where it is not known.

        Raises:
            InputError: for a person with two groups.
        """
        column = self.clips[attribute].to_numpy(dtype=object)
        first = column[np.searchsorted(self.index, np.arange(len(self.names)))]
        if (wrong := np.flatnonzero(column != first[self.index])).size:
            at = wrong[0]
            raise InputError(
                f"{attribute}: subject {self.names[self.index[at]]} is {first[self.index[at]]!r} in one clip and "
                f"{column[at]!r} in clip {self.clips['clip_id'].iloc[at]}; a person has one group per attribute"
            )
        return first

    def codes(self, attribute: str, groups: Sequence[str]) -> Index:
        """(n_subjects,) place of each person's group in ``groups``, -1 for any other and for `UNKNOWN`."""
        place = {group: i for i, group in enumerate(groups) if group != UNKNOWN}
        return np.array([place.get(group, -1) for group in self.groups(attribute)], np.intp)

    def means(self, column: str) -> F64:
        """(n_subjects,) mean of a numeric column over each person's clips, NaN where there is no value."""
        values = self.clips[column].to_numpy(dtype=float, na_value=np.nan)
        there = ~np.isnan(values)
        sums = np.bincount(self.index[there], values[there], len(self.names))
        counts = np.bincount(self.index[there], minlength=len(self.names))
        nowhere = np.full(len(self.names), np.nan)
        return np.asarray(np.divide(sums, counts, out=nowhere, where=counts > 0))


@dataclass(frozen=True)
class Sums:
    """One outcome per person.

    Attributes:
        outcome: which.
        kind: "counts" of levels, or "moments" of a number.
        levels: names of the columns of counts; ("n", "sum", "squares") of moments.
        columns: (n_subjects, n_levels): clips of each level; or number of clips, sum and sum of squares of the
            standardised number (less ``centre``, over ``scale``).
        centre, scale: mean and standard deviation of the number over all clips; 0 and 1 for counts.
    """

    outcome: Outcome
    kind: Literal["counts", "moments"]
    levels: tuple[str, ...]
    columns: F64
    centre: float = 0.0
    scale: float = 1.0

    @property
    def n_clips(self) -> F64:
        """(n_subjects,) clips with a value."""
        n: F64 = self.columns.sum(1) if self.kind == "counts" else self.columns[:, 0]
        return n

    @property
    def varies(self) -> bool:
        """Whether the outcome has two values at least."""
        if self.kind == "counts":
            return int((self.columns.sum(0) > 0).sum()) > 1
        n, total, squares = self.columns.sum(0)
        return bool(n > 1 and squares - total**2 / n > 1e-9 * n)

    def of(self, subjects: NDArray[np.bool_]) -> Sums:
        """The same of some people."""
        return Sums(
            self.outcome, self.kind, self.levels, self.columns[subjects], self.centre, self.scale
        )  # fmt: skip


def sums(people: People, outcome: Outcome) -> Sums:
    """An outcome per person; clips to which it does not apply (None, NaN) count for nothing.

    Raises:
        InputError: where an outcome that should be a number holds anything else.
    """
    column = people.clips[outcome.name]
    there = column.notna().to_numpy()
    values, index, n = column.to_numpy(dtype=object)[there], people.index[there], len(people.names)
    if outcome.kind == "number":
        return _moments(outcome, values, index, n)
    if outcome.kind == "flag":
        levels, codes = FLAG_LEVELS, values.astype(bool).astype(np.intp)
    else:
        names, codes = np.unique(values.astype(str), return_inverse=True)
        levels = tuple(names.tolist())
    counts = np.bincount(index * len(levels) + codes, minlength=n * len(levels))
    return Sums(outcome, "counts", levels, counts.reshape(n, len(levels)).astype(float))


def _moments(outcome: Outcome, values: NDArray[Any], index: Index, n: int) -> Sums:
    try:
        numbers = values.astype(float)
    except (TypeError, ValueError):
        wrong = next(v for v in values if not isinstance(v, int | float | np.number))
        raise InputError(
            f"{outcome.name}: {wrong!r} is no number; leave the cell empty where there is none"
        ) from None
    centre = float(numbers.mean()) if numbers.size else 0.0
    scale = (float(numbers.std()) if numbers.size else 0.0) or 1.0
    standard = (numbers - centre) / scale
    columns = [np.bincount(index, weights, n) for weights in (np.ones(len(standard)), standard, standard**2)]
    return Sums(outcome, "moments", ("n", "sum", "squares"), np.stack(columns, 1), centre, scale)
