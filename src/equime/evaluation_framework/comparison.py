"""A set of clips against a reference set: distances, differences of means, near duplicates.

The reference is a real corpus on the user's disk or another data set; both come as tables of the same
annotators. Distances are over motion features (`equime.evaluation_framework.motion_features`), all together
and group by group, so that a large one can be traced: to where and which way faces move, how far, how strained
or how long. Columns of the eyes are left out unless asked for, as blinks and gaze would otherwise count as
expression. Features are in units of the reference's spread, or of measuring noise where that is larger.

How to read it: a distance above its ``null_high`` is more than chance gives between sets of these sizes. Small
sets: trust the kernel distance before the Frechet distance, which is biased, and density, recall and coverage
before precision, which one outlier of the reference can raise. A set in which nothing moves can lie inside the
reference (precision 1) where the reference has clips that hardly move; recall is then near 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError
from equime.evaluation_framework.distribution import MIN_CLIPS, standardise
from equime.evaluation_framework.motion_features import EYE_FEATURES, FEATURES, GROUPS, noise
from equime.evaluation_framework.near_duplicates import Hashed, NearDuplicates, near_duplicates
from equime.evaluation_framework.set_distance import Distance, Neighbours, Sets
from equime.evaluation_framework.statistics import (
    MIN_SUBJECTS,
    Difference,
    Estimate,
    bootstrap_difference,
    bootstrap_mean,
)
from equime.types import Record

if TYPE_CHECKING:
    import pandas as pd

FEW_CLIPS: Final = 50
"""Below this many clips in a set, distances are told with a warning."""

DEEP: Final = re.compile(r"(deep|r3d_18)_f\d{3}")
"""Columns of deep features of whole clips."""

_NOT_METRICS: Final = re.compile(
    r"intended_.*|clip_id|file|subject_id|emotion|notes|input_digest|annotator_version"
)


class MetricDifference(Record, frozen=True):
    """Means of one metric in both sets.

    Attributes:
        metric: column.
        measured, reference: means with interval by subject.
        difference: measured less reference, with its interval.
        effect: difference over the pooled standard deviation of clips (Cohen's d); None where nothing varies.
    """

    metric: str
    measured: Estimate
    reference: Estimate
    difference: Difference
    effect: float | None


class EmotionComparison(Record, frozen=True):
    """Clips of one emotion in both sets.

    Attributes:
        n_measured, n_reference: clips with motion features.
        kernel_motion: kernel distance over all motion features, in units of the whole reference set's spread;
            None with too few clips.
        neighbours_motion: precision, recall, density, coverage; None with too few clips.
    """

    n_measured: int
    n_reference: int
    kernel_motion: Distance | None
    neighbours_motion: Neighbours | None


class SetComparison(Record, frozen=True):
    """Everything that `compare_sets` found.

    Attributes:
        n_measured, n_reference: clips in the tables.
        n_subjects_measured, n_subjects_reference: different subjects; a clip without one counts as its own.
        n_features_measured, n_features_reference: clips with motion features.
        distances: "frechet_<features>" and "kernel_<features>" for motion, motion_flow, motion_magnitude,
            motion_strain, motion_phase, and r3d18 where the tables hold deep features. frechet_r3d18 is made
            like FVD with another network: its values cannot be compared with published FVD.
        neighbours: precision, recall, density and coverage by the same features.
        metrics: means of every other column of numbers that both tables hold.
        emotions: by emotion that both sets have.
        duplicates_measured: within the measured set; None without hashes.
        duplicates_between: between the sets; None without hashes.
        warnings: what a reader must know of these numbers.
    """

    n_measured: int
    n_reference: int
    n_subjects_measured: int
    n_subjects_reference: int
    n_features_measured: int
    n_features_reference: int
    distances: dict[str, Distance]
    neighbours: dict[str, Neighbours]
    metrics: tuple[MetricDifference, ...]
    emotions: dict[str, EmotionComparison]
    duplicates_measured: NearDuplicates | None
    duplicates_between: NearDuplicates | None
    warnings: tuple[str, ...]


def compare_sets(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    eyes: bool = False,
    n_resamples: int = 200,
    seed: int = 0,
) -> SetComparison:
    """Compare a set of clips with a reference set.

    Args:
        a: the measured set, a row per clip: ``clip_id``, ``subject_id`` and ``emotion`` (None where not known),
            and the columns of any annotators.
        b: the reference set, likewise.
        eyes: whether the motion features of the eyes' regions count.
        n_resamples: of intervals and null distributions.
        seed: of the named random streams.

    Raises:
        InputError: no ``clip_id``, or no column of numbers in common.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    # Thousands of small decompositions: on a busy machine BLAS threads wait for each other, 50 times as long.
    with threadpool_limits(1):
        return _compare(_Comparer(a, b, n_resamples, seed), a, eyes)


def _compare(comparer: _Comparer, a: pd.DataFrame, eyes: bool) -> SetComparison:
    names = [name for name in FEATURES if eyes or name not in EYE_FEATURES]
    groups = {"motion": names}
    groups |= {f"motion_{g.split('_')[1]}": [name for name in names if name.startswith(g)] for g in GROUPS}
    groups["r3d18"] = sorted(name for name in a.columns if DEEP.fullmatch(str(name)))
    for group, columns in groups.items():
        comparer.features(group, columns)
    return comparer.result(names)


class _Comparer:
    """Both tables, and what has been found so far."""

    def __init__(self, a: pd.DataFrame, b: pd.DataFrame, n_resamples: int, seed: int) -> None:
        for name, table in (("measured", a), ("reference", b)):
            if "clip_id" not in table.columns:
                raise InputError(f"{name} table has no column clip_id; give the tables of an evaluation")
        self.a, self.b, self.n_resamples, self.seed = a, b, n_resamples, seed
        self.subjects = [_subjects(table, mark) for table, mark in ((a, "a"), (b, "b"))]
        self.distances: dict[str, Distance] = {}
        self.neighbours: dict[str, Neighbours] = {}
        self.warnings: list[str] = []

    def features(self, group: str, columns: Sequence[str]) -> None:
        """Distances over some columns; a warning where there are too few clips with them."""
        if not columns or not all(c in t.columns for t in (self.a, self.b) for c in columns):
            return
        rows = [_complete(table, columns) for table in (self.a, self.b)]
        if min(int(r.sum()) for r in rows) < MIN_CLIPS:
            sizes = f"{int(rows[0].sum())} measured and {int(rows[1].sum())} reference clips"
            self.warnings.append(
                f"{group}: {sizes} have these features, {MIN_CLIPS} of each are needed: no distances"
            )
            return
        deep = group == "r3d18"
        try:
            x, y = standardise(*self._values(rows, columns), floor=0.0 if deep else noise(columns))
            sets = self._sets(x, y, rows)
            self.distances[f"frechet_{group}"] = sets.frechet(shrink=not deep)
            self.neighbours[group] = sets.neighbours()
            self.distances[f"kernel_{group}"] = sets.kernel()
        except InputError as error:
            self.warnings.append(f"{group}: {error}")

    def _values(
        self, rows: list[NDArray[np.bool_]], columns: Sequence[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        names = list(columns)
        first, second = self.a.loc[rows[0], names], self.b.loc[rows[1], names]
        return first.to_numpy(np.float64), second.to_numpy(np.float64)

    def _sets(self, x: Any, y: Any, rows: list[NDArray[np.bool_]]) -> Sets:
        subjects = [s[kept].tolist() for s, kept in zip(self.subjects, rows, strict=True)]
        return Sets(x, y, *subjects, n_resamples=self.n_resamples, seed=self.seed)

    def result(self, names: Sequence[str]) -> SetComparison:
        """The record, after all features."""
        metrics = self._metrics()
        if not metrics and not self.distances and not self.warnings:
            raise InputError("the two tables share no column of numbers; evaluate both with the same metrics")
        has_features = all(name in t.columns for t in (self.a, self.b) for name in names)
        rows = [_complete(t, names) if has_features else np.zeros(len(t), bool) for t in (self.a, self.b)]
        hashes = "phash_first" in self.a.columns and "phash_first" in self.b.columns
        hashed = [self._hashed(table) for table in (self.a, self.b)] if hashes else []
        self._warn(has_features, rows)
        return SetComparison(
            n_measured=len(self.a),
            n_reference=len(self.b),
            n_subjects_measured=len(set(self.subjects[0])),
            n_subjects_reference=len(set(self.subjects[1])),
            n_features_measured=int(rows[0].sum()),
            n_features_reference=int(rows[1].sum()),
            distances=self.distances,
            neighbours=self.neighbours,
            metrics=metrics,
            emotions=self._emotions(names, rows) if "frechet_motion" in self.distances else {},
            duplicates_measured=near_duplicates(hashed[0]) if hashes else None,
            duplicates_between=near_duplicates(*hashed) if hashes else None,
            warnings=tuple(self.warnings),
        )

    def _metrics(self) -> tuple[MetricDifference, ...]:
        found = []
        for name in self.a.columns:
            text = str(name)
            left_out = text in FEATURES or _NOT_METRICS.fullmatch(text) or DEEP.fullmatch(text)
            if (
                left_out
                or name not in self.b.columns
                or not all(_is_number(t[name]) for t in (self.a, self.b))
            ):
                continue
            values = [t[name].to_numpy(np.float64, na_value=np.nan) for t in (self.a, self.b)]
            if all(np.isfinite(v).any() for v in values):
                found.append(self._difference(text, values))
        return tuple(found)

    def _difference(self, metric: str, values: list[NDArray[np.float64]]) -> MetricDifference:
        owners = [_known_subjects(table) for table in (self.a, self.b)]
        measured, reference = (
            bootstrap_mean(v, o, seed=self.seed) for v, o in zip(values, owners, strict=True)
        )
        difference = bootstrap_difference(
            values[0], owners[0], values[1], owners[1], same_people=False, seed=self.seed
        )
        there = [v[np.isfinite(v)] for v in values]
        n = sum(len(v) for v in there)
        squares = sum(float(np.sum((v - v.mean()) ** 2)) for v in there)
        effect = None
        if squares > 0 and difference.difference is not None:
            effect = difference.difference / float(np.sqrt(squares / (n - 2)))
        return MetricDifference(
            metric=metric, measured=measured, reference=reference, difference=difference, effect=effect
        )

    def _emotions(self, names: Sequence[str], rows: list[NDArray[np.bool_]]) -> dict[str, EmotionComparison]:
        if not all("emotion" in table.columns for table in (self.a, self.b)):
            return {}
        scaled = standardise(*self._values(rows, names), floor=noise(names))
        of = [t.loc[kept, "emotion"].to_numpy(object) for t, kept in zip((self.a, self.b), rows, strict=True)]
        both = {e for e in of[0] if isinstance(e, str)} & {e for e in of[1] if isinstance(e, str)}
        found = {}
        for emotion in sorted(both):
            x, y = (z[e == emotion] for z, e in zip(scaled, of, strict=True))
            sets = None
            subjects = [s[k][e == emotion] for s, k, e in zip(self.subjects, rows, of, strict=True)]
            if min(len(x), len(y)) >= MIN_CLIPS and min(len(set(s.tolist())) for s in subjects) > 1:
                sets = Sets(
                    x, y, *(s.tolist() for s in subjects), n_resamples=self.n_resamples, seed=self.seed
                )
            found[emotion] = EmotionComparison(
                n_measured=len(x),
                n_reference=len(y),
                kernel_motion=sets.kernel() if sets else None,
                neighbours_motion=sets.neighbours() if sets else None,
            )
        return found

    def _hashed(self, table: pd.DataFrame) -> Hashed:
        return Hashed(
            clip_ids=[str(c) for c in table["clip_id"]],
            subjects=_known_subjects(table),
            hashes=[h if isinstance(h, str) else None for h in table["phash_first"]],
        )

    def _warn(self, has_features: bool, rows: list[NDArray[np.bool_]]) -> None:
        """Warnings that concern the sets as a whole."""
        warnings = self.warnings
        if not has_features:
            warnings.append(
                "no motion features in both tables: evaluate both with the metric motion_features"
            )
        for name, kept in zip(("measured", "reference"), rows, strict=True):
            if has_features and 0 < kept.sum() < FEW_CLIPS:
                text = f"{kept.sum()} {name} clips have motion features, fewer than {FEW_CLIPS}"
                warnings.append(f"{text}: distances are rough, read them against their null")
            if has_features and not kept.all():
                warnings.append(
                    f"{(~kept).sum()} of {len(kept)} {name} clips have no motion features (no face found)"
                )
        for name, subjects in zip(("measured", "reference"), self.subjects, strict=True):
            if len(set(subjects)) < MIN_SUBJECTS:
                warnings.append(
                    f"{name} set has {len(set(subjects))} subjects, fewer than {MIN_SUBJECTS}: no intervals"
                )
        shared = sorted(set(self.subjects[0].tolist()) & set(self.subjects[1].tolist()))
        if shared:
            names = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
            warnings.append(
                f"{len(shared)} subject names are in both sets ({names}): the sets may share people"
            )
        shrunk = [k for k, d in self.distances.items() if d.shrinkage]
        if shrunk:
            warnings.append(f"fewer clips than features, covariances were shrunk: {', '.join(shrunk)}")
        if "frechet_r3d18" in self.distances:
            warnings.append("frechet_r3d18 is made like FVD with another network; it is no FVD value")


def _known_subjects(table: pd.DataFrame) -> list[str | None]:
    """Subject of each clip, None where it is not known."""
    if "subject_id" not in table.columns:
        return [None] * len(table)
    return [s if isinstance(s, str) else None for s in table["subject_id"]]


def _subjects(table: pd.DataFrame, mark: str) -> NDArray[Any]:
    """Subject of each clip; a clip without one is its own, named so that it meets no other."""
    names = zip(_known_subjects(table), table["clip_id"], strict=True)
    return np.array([f"\0{mark}: {clip}" if s is None else s for s, clip in names], dtype=str)


def _complete(table: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows have a number in every column."""
    values = table[list(columns)].to_numpy(np.float64, na_value=np.nan)
    complete: NDArray[np.bool_] = np.isfinite(values).all(1)
    return complete


def _is_number(column: pd.Series[Any]) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype  # noqa: PLC0415

    return bool(is_numeric_dtype(column) and not is_bool_dtype(column))
