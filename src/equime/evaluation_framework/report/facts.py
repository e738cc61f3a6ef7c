"""What a report says, worked out once: the three files are three ways of writing the same facts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.action_units import EMOTIONS
from equime.annotation.annotators import Metric
from equime.evaluation_framework.evaluation import Evaluation
from equime.evaluation_framework.statistics import Estimate, bootstrap_mean
from equime.evaluation_framework.summary import SummaryRow as Summarised
from equime.evaluation_framework.summary import summarise

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

MANY: Final = 40
"""Annotators with more columns than this are vectors for the set-level measures: counted, not listed."""

_AUS: Final = re.compile(r"^(commanded|measured)_au\d")
"""Columns of the heat map."""

_FEATURE: Final = re.compile(r"^mf_")
"""Columns of the motion features."""

HEADLINES: Final = (
    "psnr_consecutive_db", "ssim_consecutive", "psnr_source_db", "ssim_source", "tv", "brisque", "clip_iqa",
    "lpips", "motion_energy", "flicker", "jerk", "frozen_share", "blockiness", "peak_motion_mm",
    "flow_cosine", "flow_ratio", "flow_leakage", "landmark_cosine", "identity_similarity",
)  # fmt: skip
"""Metrics whose distributions come first."""

_N_POINTS: Final = 120
_N_TEXTS: Final = 6
_UNKNOWN: Final = "all clips"


@dataclass(frozen=True)
class SummaryRow:
    """One metric over all clips.

    Attributes:
        metric: what it is.
        estimate: mean with interval and n; of a flag, the share of clips where it holds; None for text.
        low, median, high: smallest, middle and largest value; None without values and for text and flags.
        counts: (text, clips) of a text column, most frequent first; empty where there are more than six texts.
        n_texts: different texts of a text column.
        groups: the mean per emotion.
    """

    metric: Metric
    estimate: Estimate | None
    low: float | None = None
    median: float | None = None
    high: float | None = None
    counts: tuple[tuple[str, int], ...] = ()
    n_texts: int = 0
    groups: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class SummaryGroup:
    """An annotator's rows, and how many of its columns are not listed one by one."""

    annotator: str
    rows: tuple[SummaryRow, ...]
    n_unlisted: int


@dataclass(frozen=True)
class Spread:
    """Distribution of a metric within one emotion.

    Attributes:
        name: of the emotion.
        n: clips with a value.
        low, q1, median, q3, high: whiskers (Tukey: last value within 1.5 interquartile ranges) and quartiles.
        points: up to 120 of the values.
    """

    name: str
    n: int
    low: float
    q1: float
    median: float
    q3: float
    high: float
    points: tuple[float, ...]


@dataclass(frozen=True)
class Distribution:
    """A metric per emotion."""

    metric: Metric
    spreads: tuple[Spread, ...]


@dataclass(frozen=True)
class Group:
    """Problems or notes of one kind.

    Attributes:
        annotator: "" where the whole clip could not be read.
        code: stable name.
        entries: (file, message).
    """

    annotator: str
    code: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Counts:
    """Clips by what became of them; None where what it needs was not measured.

    Attributes:
        n_clips: found.
        n_subjects: known subjects among them.
        n_unread: could not be decoded.
        n_with_problem: with at least one problem, the unread ones among them.
        n_frozen: hold no movement at all.
        n_moving: in which facial movement was found; n_timed is how many were asked.
        n_micro: among those, meeting the criterion of a micro-expression.
        n_au_pass: whose commanded Action Units were measured again; n_au is how many were asked.
    """

    n_clips: int
    n_subjects: int
    n_unread: int
    n_with_problem: int
    n_frozen: int | None
    n_timed: int | None
    n_moving: int | None
    n_micro: int | None
    n_au: int | None
    n_au_pass: int | None


def numbers(clips: pd.DataFrame, column: str) -> Array:
    """A column as float64 (n,), NaN where a clip has no value; flags are 0 and 1."""
    cells = clips[column]
    return np.asarray(cells.where(cells.notna(), None).to_numpy(dtype=object), dtype=np.float64)


def has(clips: pd.DataFrame, *columns: str) -> bool:
    """Whether every column is there with at least one value."""
    return all(column in clips and bool(clips[column].notna().any()) for column in columns)


def emotions(clips: pd.DataFrame) -> list[str]:
    """Emotion of every clip, "all clips" where it is not known."""
    return [str(e) if _known(e) else _UNKNOWN for e in clips["emotion"]]


def _known(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def vector(evaluation: Evaluation, annotator: str) -> list[str]:
    """An annotator's columns that are parts of a feature vector and mean little by themselves."""
    columns = evaluation.annotators[annotator]
    single = [c for c in columns if not _AUS.match(c)]
    return [c for c in single if _FEATURE.match(c) or len(single) > MANY]


def listed(evaluation: Evaluation, annotator: str) -> list[str]:
    """An annotator's columns that are shown one by one."""
    hidden = set(vector(evaluation, annotator))
    return [
        c
        for c in evaluation.annotators[annotator]
        if c not in hidden and not _AUS.match(c) and c in evaluation.clips
    ]


def summary(evaluation: Evaluation) -> tuple[SummaryGroup, ...]:
    """Every listed metric over all clips, by annotator."""
    names = {annotator: listed(evaluation, annotator) for annotator in evaluation.annotators}
    shown = {name: evaluation.metrics[name] for columns in names.values() for name in columns}
    found = {row.metric: row for row in summarise(evaluation.clips, shown)}
    return tuple(
        SummaryGroup(
            annotator,
            tuple(_summary_row(evaluation, name, found.get(name)) for name in names[annotator]),
            len(columns) - len(names[annotator]),
        )
        for annotator, columns in evaluation.annotators.items()
    )


def _summary_row(evaluation: Evaluation, name: str, found: Summarised | None) -> SummaryRow:
    metric = evaluation.metrics[name]
    if found is None:
        cells = Counter(str(c) for c in evaluation.clips[name] if _known(c))
        counts = sorted(cells.items(), key=lambda item: (-item[1], item[0]))
        return SummaryRow(
            metric, None, counts=tuple(counts) if len(counts) <= _N_TEXTS else (), n_texts=len(counts)
        )
    return SummaryRow(metric, found.overall, found.low, found.median, found.high, groups=found.groups)


def distributions(evaluation: Evaluation) -> tuple[Distribution, ...]:
    """Listed numeric metrics per emotion, `HEADLINES` first, properties of files last; without what never varies."""
    order_of = {name: i for i, name in enumerate(HEADLINES)}
    files = set(evaluation.annotators.get("video_file", ()))
    names = [name for annotator in evaluation.annotators for name in listed(evaluation, annotator)]
    names.sort(key=lambda n: (n in files, order_of.get(n, len(HEADLINES))))
    of_emotion = np.asarray(emotions(evaluation.clips))
    order = sorted(set(of_emotion), key=lambda e: (EMOTIONS.index(e) if e in EMOTIONS else len(EMOTIONS), e))
    found = []
    for name in names:
        metric = evaluation.metrics[name]
        if metric.type not in ("real", "whole"):
            continue
        values = numbers(evaluation.clips, name)
        if np.unique(values[np.isfinite(values)]).size > 1:
            spreads = (spread(emotion, values[of_emotion == emotion]) for emotion in order)
            found.append(Distribution(metric, tuple(s for s in spreads if s is not None)))
    return tuple(found)


def spread(name: str, values: Array) -> Spread | None:
    """Distribution of some values; None where there is none. Points are spread evenly over the ranks."""
    values = np.sort(values[np.isfinite(values)])
    if not values.size:
        return None
    q1, median, q3 = np.percentile(values, (25, 50, 75))
    reach = 1.5 * (q3 - q1)
    inside = values[(values >= q1 - reach) & (values <= q3 + reach)]
    if values.size > _N_POINTS:  # Evenly through the sorted values: the extremes are always shown.
        values_shown = values[np.linspace(0, values.size - 1, _N_POINTS).round().astype(int)]
    else:
        values_shown = values
    return Spread(
        name, int(values.size), float(inside.min()), float(q1), float(median), float(q3), float(inside.max()),
        tuple(values_shown.tolist()),
    )  # fmt: skip


def problem_groups(evaluation: Evaluation) -> tuple[Group, ...]:
    """Problems by annotator and code, the largest group first; unreadable clips before all."""
    return _groups((p.annotator, p.code, p.file, p.message) for p in evaluation.problems)


def note_groups(evaluation: Evaluation) -> tuple[Group, ...]:
    """Notes by annotator and code."""
    file_of = dict(zip(evaluation.clips["clip_id"], evaluation.clips["file"], strict=True))
    return _groups((a, code, str(file_of.get(c, c)), message) for c, a, code, message in evaluation.notes)


def _groups(found: Iterable[tuple[str, str, str, str]]) -> tuple[Group, ...]:
    by_kind: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for annotator, code, file, message in found:
        by_kind.setdefault((annotator, code), []).append((file, message))
    groups = [Group(a, code, tuple(entries)) for (a, code), entries in by_kind.items()]
    return tuple(sorted(groups, key=lambda g: (g.annotator != "", -len(g.entries), g.annotator, g.code)))


def counts(evaluation: Evaluation) -> Counts:
    """How many clips there are, and what became of them."""
    clips = evaluation.clips
    # Sources that could not even be opened have problems without a row.
    unread = {p.file for p in evaluation.problems if p.annotator == ""}
    files = set(clips["file"]) | unread
    known = {str(s) for s in clips["subject_id"] if _known(s)}
    return Counts(
        n_clips=len(files),
        n_subjects=len(known),
        n_unread=len(unread),
        n_with_problem=len({p.file for p in evaluation.problems}),
        n_frozen=_true(clips, "is_frozen"),
        n_timed=_asked(clips, "movement_found"),
        n_moving=_true(clips, "movement_found"),
        n_micro=_true(clips, "is_micro_duration"),
        n_au=_asked(clips, "au_passes"),
        n_au_pass=_true(clips, "au_passes"),
    )


def _true(clips: pd.DataFrame, column: str) -> int | None:
    return int(np.nansum(numbers(clips, column))) if has(clips, column) else None


def _asked(clips: pd.DataFrame, column: str) -> int | None:
    return int(clips[column].notna().sum()) if has(clips, column) else None


def estimate_of(clips: pd.DataFrame, values: Array) -> Estimate:
    """Mean of some values, one per clip (NaN: none), with its interval by subject."""
    return bootstrap_mean(values, list(clips["subject_id"]))
