"""What was commanded, held equal while groups are compared (Frisch & Waugh, Econometrica 1, 1933; Lovell 1963).

Two people who show different expressions differ in their motion, whatever the renderer does. So the means of the
groups are those of the regression ``outcome ~ group + command``: group and outcome both have the command taken out,
which is the same as fitting them together. The command enters as an orthonormal basis ``B`` (n, r) of

* one constant per twin group, where twins exist: the very same expression on several people; or
* what the spec says: emotion, largest intensity, AUs, AUs by intensity, side and times.

What has no value (the intensity of a neutral clip) is 0 there: the emotion or the AUs carry the difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from equime.evaluation_framework.audit.data import AuditData

F64 = NDArray[np.float64]

TWINS: Final = "twins"
MIN_TWIN_SHARE: Final = 0.5
"""Twins are used where they are at least this share of the clips; the others are then left out, and n says so."""

CLIPS_PER_TERM: Final = 10
"""Terms of the command are taken, most important first, while every term has this many clips."""

_AU = re.compile(r"au\d+")


@dataclass(frozen=True)
class Command:
    """The command of n clips as an orthonormal basis.

    Attributes:
        basis: float64 (n, r), columns orthonormal, the constant in their span; sparse for twins.
        leverage: float64 (n,), share of each clip's value that the command explains by itself, 0 to 1.
        text: what is held equal, for people: "twins", "emotion, intensity, AUs"; "" for the constant alone.
    """

    basis: Any
    leverage: F64
    text: str

    def without(self, values: F64) -> F64:
        """Values (n, k) with the command taken out."""
        return np.asarray(values - self.basis @ (self.basis.T @ values))


def in_twins(clips: pd.DataFrame) -> NDArray[np.bool_]:
    """Which clips show an expression that another person in the table shows as well."""
    if "twin_group" not in clips:
        return np.zeros(len(clips), bool)
    people = clips.groupby("twin_group")["subject_id"].nunique()
    return np.asarray(clips["twin_group"].map(people).fillna(0).to_numpy(np.float64) >= 2)


def command_of_twins(clips: pd.DataFrame) -> Command:
    """A constant per twin group; every clip has one."""
    from scipy import sparse  # noqa: PLC0415

    _, index, n = np.unique(
        clips["twin_group"].to_numpy().astype(str), return_inverse=True, return_counts=True
    )
    rows = np.arange(len(clips))
    basis = sparse.csr_array((1 / np.sqrt(n[index]), (rows, index)), shape=(len(clips), n.size))
    return Command(basis, 1 / n[index], TWINS)


def command_of_spec(clips: pd.DataFrame, data: AuditData) -> Command:
    """The terms that the clips are enough for, `CLIPS_PER_TERM` clips to a term."""
    columns, names = [np.ones((len(clips), 1))], []
    n_terms = 1
    for name, block in _blocks(clips, data):
        varied = block[:, np.ptp(block, axis=0) > 0] if block.size else block
        if varied.shape[1] == 0:
            continue
        if n_terms + varied.shape[1] > len(clips) / CLIPS_PER_TERM:
            break
        n_terms += varied.shape[1]
        columns.append((varied - varied.mean(0)) / varied.std(0))
        names.append(name)
    left, size, _ = np.linalg.svd(np.concatenate(columns, axis=1), full_matrices=False)
    basis = left[:, size > size[0] * 1e-8]
    return Command(basis, np.asarray((basis**2).sum(1)), ", ".join(names))


def _blocks(clips: pd.DataFrame, data: AuditData) -> Iterator[tuple[str, F64]]:
    """Columns (n, k) of the command with their names, most important first."""
    yield "emotion", _dummies(clips, "emotion")
    intensity = numbers(clips["intensity_max"]) if "intensity_max" in clips else np.zeros(len(clips))
    intensity = np.nan_to_num(intensity)
    yield "intensity", intensity[:, None]
    intended = [outcome for outcome in data.intended if outcome.name in clips]
    aus = _table(clips, [o.name for o in intended if o.kind == "flag" and _AU.fullmatch(o.name)])
    yield "AUs", aus
    yield "AUs by intensity", aus * intensity[:, None]
    yield "side", _dummies(clips, "laterality")
    yield "times", _table(clips, [o.name for o in intended if o.kind == "number" and o.unit == "ms"])


def _table(clips: pd.DataFrame, names: list[str]) -> F64:
    """Columns of numbers (n, k), 0 where there is no value."""
    columns = [np.nan_to_num(numbers(clips[name])) for name in names]
    return np.array(columns).reshape(len(names), len(clips)).T


def _dummies(clips: pd.DataFrame, name: str) -> F64:
    """A column per level of a text; clips without one have none."""
    if name not in clips:
        return np.zeros((len(clips), 0))
    levels = sorted({str(v) for v in clips[name].dropna()})
    own = clips[name].astype(object).to_numpy()
    return np.array([own == level for level in levels], np.float64).reshape(len(levels), len(clips)).T


def numbers(column: pd.Series[Any]) -> F64:
    """A column of numbers or flags as float64, NaN where there is no value."""
    import pandas as pd  # noqa: PLC0415

    if column.dtype != np.float64:
        column = pd.to_numeric(column.astype(object).where(column.notna(), np.nan), errors="coerce")
    found = np.array(column, dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found
