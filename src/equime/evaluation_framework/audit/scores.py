"""Figures of a recogniser from sums per person, so that a resample or a permutation costs one product of matrices.

Of each person the confusion counts (true by predicted class), the calibration sums and the squared errors are kept:
every figure is a function of their sum over some people. What `figures` returns is disaggregated as fairlearn's
MetricFrame does it, whose own bootstrap resamples clips: of one person there are many, they are alike, and its
intervals would be too narrow.

UF1 and UAR are those of the MEGC challenges (See et al., FG 2019): F1 and recall of each class from the pooled
counts of all clips, unweighted mean over the classes that occur in the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from equime.evaluation_framework.audit import calibration
from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.permutation import percentile_interval, resampled_tables
from equime.evaluation_framework.audit.predictions import Predictions
from equime.evaluation_framework.statistics import MIN_SUBJECTS
from equime.seeding import stream

if TYPE_CHECKING:
    import pandas as pd

F64 = NDArray[np.float64]
Key = tuple[str, str]
"""Name of a figure and its class; "" for those about all classes."""

OVERALL: Final = ("accuracy", "uf1", "uar", "ece", "brier")
"""Figures about all classes; the last two with probabilities only."""

MAX_UNDEFINED: Final = 0.05
"""Share of resamples without a value (they missed a class) up to which there is an interval."""


ROUNDING: Final = 1e-12
"""Figures that differ by less are the same."""


@dataclass(frozen=True)
class Tally:
    """What every figure is computed from, summed per person.

    Attributes:
        labels: K classes.
        occurs: (K,) whether any clip has the class.
        subjects: S people in the order of their names.
        columns: (S, K * K) or (S, K * K + 15 + 1): confusion counts, true class first; with probabilities,
            confidence less correctness per bin, and squared errors.
    """

    labels: tuple[str, ...]
    occurs: NDArray[np.bool_]
    subjects: tuple[str, ...]
    columns: F64

    @property
    def has_probabilities(self) -> bool:
        """Whether there are calibration sums."""
        return bool(self.columns.shape[1] > len(self.labels) ** 2)

    def confusion(self, sums: F64) -> F64:
        """Confusion counts (..., K, K) of sums (..., D)."""
        k = len(self.labels)
        return sums[..., : k * k].reshape(*sums.shape[:-1], k, k)

    def n_clips(self, rows: F64) -> int:
        """Clips of some people, (people, D)."""
        return int(self.confusion(rows).sum())


def tally(predictions: Predictions, clips: pd.DataFrame) -> Tally:
    """Sums per person; `clips` are those of `AuditData`."""
    names = clips["subject_id"].to_numpy(str)[predictions.clips]
    subjects, person = np.unique(names, return_inverse=True)
    k, n = len(predictions.labels), len(subjects)
    truth, predicted = predictions.truth, predictions.predicted
    parts = [_sums(person * k * k + truth * k + predicted, n, k * k)]
    if (p := predictions.probabilities) is not None:
        sure = calibration.confidence(p, predicted)
        at = person * calibration.N_BINS + calibration.bins_of(sure)
        parts.append(_sums(at, n, calibration.N_BINS, sure - (truth == predicted)))
        parts.append(_sums(person, n, 1, calibration.squared_errors(p, truth)))
    return Tally(
        labels=predictions.labels,
        occurs=np.bincount(truth, minlength=k) > 0,
        subjects=tuple(subjects.tolist()),
        columns=np.concatenate(parts, 1),
    )


def _sums(place: NDArray[np.intp], n: int, width: int, weights: F64 | None = None) -> F64:
    return np.bincount(place, weights, n * width).reshape(n, width).astype(np.float64)


def figures(sums: F64, tally: Tally) -> dict[Key, F64]:
    """Every figure of some people.

    Args:
        sums: (..., D) sums of the people's rows of ``tally.columns``.
        tally: which classes there are.

    Returns:
        "accuracy", "uf1", "uar", and with probabilities "ece" and "brier" (class ""); "selection" (share of clips
        given the class), "recall" (true positive rate) and "false_positive" (share of the clips of other classes
        that were given it) of each class; each (...). NaN where it is not defined: recall of a class of which
        there is no clip, and UF1 and UAR where a class that occurs in the data is missing here, because a mean
        over fewer classes is another figure.
    """
    k = len(tally.labels)
    counts = tally.confusion(sums)
    n, right = counts.sum((-2, -1)), np.diagonal(counts, axis1=-2, axis2=-1)
    actual, given = counts.sum(-1), counts.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = right / actual
        f1 = np.where(actual > 0, 2 * right / (actual + given), np.nan)
        selection = given / n[..., None]
        false_positive = (given - right) / (n[..., None] - actual)
        found: dict[Key, F64] = {("accuracy", ""): right.sum(-1) / n}
        if tally.has_probabilities:
            found["ece", ""] = calibration.ece(sums[..., k * k : -1], n)
            found["brier", ""] = sums[..., -1] / n
    found["uf1", ""] = f1[..., tally.occurs].mean(-1)
    found["uar", ""] = recall[..., tally.occurs].mean(-1)
    for name, values in (("selection", selection), ("recall", recall), ("false_positive", false_positive)):
        found |= {(name, label): values[..., i] for i, label in enumerate(tally.labels)}
    return found


def basis(rows: F64, tally: Tally, key: Key) -> tuple[int, int]:
    """Clips and people that a figure rests on: of a recall, those of its class.

    Args:
        rows: (people, D) their rows of ``tally.columns``.
        tally: which classes there are.
        key: of the figure.
    """
    name, label = key
    counts = tally.confusion(rows)
    n = counts.sum((-2, -1))
    if label and name != "selection":
        of_class = counts[:, tally.labels.index(label)].sum(-1)
        n = of_class if name == "recall" else n - of_class
    return int(n.sum()), int((n > 0).sum())


def interval(value: float, draws: F64, rests_on: tuple[int, int], level: float) -> Interval:
    """A figure with percentiles of its resampled values.

    Args:
        value: NaN where it is not defined.
        draws: (n_boot,) the same of resampled people.
        rests_on: clips and people.
        level: of the interval.

    Returns:
        Without bounds where there are fewer than `MIN_SUBJECTS` people, more than `MAX_UNDEFINED` of the resamples
        have no value, or all have the same one: everybody is alike (all correct), and people who are not there
        cannot be seen by resampling.
    """
    n, n_subjects = rests_on
    if np.isnan(value):
        return Interval(None, None, None, n, n_subjects)
    without = Interval(float(value), None, None, n, n_subjects)
    if n_subjects < MIN_SUBJECTS or np.isnan(draws).mean() > MAX_UNDEFINED:
        return without
    if np.nanmax(draws) - np.nanmin(draws) < ROUNDING:
        return without
    low, high = percentile_interval(draws, level, n_subjects)
    return Interval(float(value), low, high, n, n_subjects)


def overall_scores(tally: Tally, *, n_boot: int, level: float, seed: int) -> dict[str, Interval]:
    """Figures about all classes over all clips, intervals from resampling whole people."""
    everybody = np.zeros(len(tally.subjects), np.intp)
    sums = resampled_tables(tally.columns, everybody, 1, n_boot, stream(seed, "model audit", "overall"))
    return scores_of(tally.columns, figures(sums[:, 0], tally), tally, level)


def scores_of(rows: F64, draws: Mapping[Key, F64], tally: Tally, level: float) -> dict[str, Interval]:
    """Figures about all classes of the people whose rows these are; ``draws``: `figures` of their resamples."""
    found = figures(rows.sum(0), tally)
    return {
        name: interval(float(found[name, ""]), draws[name, ""], basis(rows, tally, (name, "")), level)
        for name in OVERALL
        if (name, "") in found
    }
