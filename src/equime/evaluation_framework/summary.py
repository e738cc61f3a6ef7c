"""Per metric the mean with its interval, over all clips and per group; the best and the worst clips.

What stands here is numbers only; the report puts them into words.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import Metric
from equime.errors import InputError
from equime.evaluation_framework.score import PARTS, Score, clip_score
from equime.evaluation_framework.statistics import Estimate, bootstrap_mean
from equime.types import Record

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("clip_id", "file", "subject_id", "emotion")
"""Columns that a table of clips must have; their cells may be None."""

UNKNOWN = "unknown"
"""Group of the clips whose group is not known."""


class SummaryRow(Record, frozen=True):
    """One metric over the clips.

    Attributes:
        metric: name of the column.
        overall: mean with interval; of a flag the share of clips where it holds.
        groups: the same per group (emotion), sorted by name; empty where no grouping was asked for.
        low, median, high: smallest, middle and largest value; None without values and for flags.
        n_missing: clips without a value.
    """

    metric: str
    overall: Estimate
    groups: dict[str, Estimate]
    low: float | None
    median: float | None
    high: float | None
    n_missing: int


class RankedClip(Record, frozen=True):
    """A clip among the best or the worst.

    Attributes:
        clip_id, file: which.
        score: 0 to 1, with its parts.
        reason: what holds it down.
    """

    clip_id: str
    file: str
    score: Score
    reason: str


def summarise(
    frame: pd.DataFrame, metrics: Mapping[str, Metric], by: str | None = "emotion", *, seed: int = 0
) -> list[SummaryRow]:
    """Summary of every numeric metric and flag that is a column of the table, in the order of ``metrics``.

    Args:
        frame: one row per clip: `NEEDED` and a column per metric, None or NaN where there is no value.
        metrics: by column name. Text is left out, and so are metrics that were not run.
        by: column to group by, None for no groups.
        seed: of the bootstrap.

    Raises:
        InputError: a needed column, or the one to group by, is not there.
    """
    _check(frame, *(() if by is None else (by,)))
    subjects = list(frame["subject_id"])
    groups = _groups(frame, by)
    return [
        _row(metric, _numbers(frame[name]), subjects, groups, seed)
        for name, metric in metrics.items()
        if name in frame and metric.type != "text"
    ]


def _row(
    metric: Metric, values: NDArray[np.float64], subjects: list[Any], groups: dict[str, NDArray[np.intp]], seed: int
) -> SummaryRow:  # fmt: skip
    found = values[~np.isnan(values)]
    has_range = metric.type != "flag" and found.size > 0
    of_group = {
        name: bootstrap_mean(values[rows], [subjects[i] for i in rows], seed=seed)
        for name, rows in groups.items()
    }
    return SummaryRow(
        metric=metric.name,
        overall=bootstrap_mean(values, subjects, seed=seed),
        groups=of_group,
        low=float(found.min()) if has_range else None,
        median=float(np.median(found)) if has_range else None,
        high=float(found.max()) if has_range else None,
        n_missing=int(values.size - found.size),
    )


def best_and_worst(frame: pd.DataFrame, n: int = 5) -> tuple[list[RankedClip], list[RankedClip]]:
    """The clips with the highest and the lowest score, best and worst first; no clip is in both.

    Clips without a score are in neither. Equal scores are in the order of their files.

    Args:
        frame: as for `summarise`.
        n: how many of each, at most.

    Raises:
        InputError: a needed column is not there.
    """
    ranked = [clip for clip in scores(frame) if clip.score.score is not None]
    n = min(n, (len(ranked) + 1) // 2)
    worst = heapq.nsmallest(n, ranked, key=lambda clip: (clip.score.score, clip.file))
    chosen = {clip.clip_id for clip in worst}
    rest = (clip for clip in ranked if clip.clip_id not in chosen)
    best = heapq.nsmallest(n, rest, key=lambda clip: (-(clip.score.score or 0), clip.file))
    return best, worst


def scores(frame: pd.DataFrame) -> Iterator[RankedClip]:
    """Score of every clip, in the order of the table. Raises as `summarise`."""
    _check(frame)
    wanted = {column for part in PARTS for column in part.columns} | {"is_frozen", *NEEDED}
    columns = [column for column in frame if column in wanted]
    for cells in zip(*(frame[column].tolist() for column in columns), strict=True):
        values = dict(zip(columns, cells, strict=True))
        score = clip_score(values)
        yield RankedClip(
            clip_id=str(values["clip_id"]), file=str(values["file"]), score=score, reason=score.reason
        )


def _check(frame: pd.DataFrame, *others: str) -> None:
    missing = [column for column in (*NEEDED, *others) if column not in frame]
    if missing:
        raise InputError(
            f"table of clips has no column {', '.join(missing)}; it has {', '.join(map(str, frame))}"
        )


def _groups(frame: pd.DataFrame, by: str | None) -> dict[str, NDArray[np.intp]]:
    """Rows of each group."""
    if by is None:
        return {}
    column = frame[by]
    labels = np.array([str(v) if ok else UNKNOWN for v, ok in zip(column, column.notna(), strict=True)])
    return {str(name): np.flatnonzero(labels == name) for name in np.unique(labels)}


def _numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    """A column as float64, NaN where a clip has no value; flags are 0 and 1."""
    cells = column.astype(object)
    return np.asarray(cells.where(cells.notna(), None).to_numpy(dtype=object), dtype=np.float64)
