"""Scores of recognisers from counts, so that a resample of people costs one product of matrices.

The counts of a clip's class by what was said of it are kept per person and summed over people; every score is a
function of such a sum. (scikit-learn's `f1_score` and `recall_score` give the same figures one sample at a time; the
tests hold these to them.)

UF1 and UAR are those of MEGC 2019 (See et al., FG 2019): F1 = 2 TP / (2 TP + FP + FN) and recall TP / N of each class
from the counts *pooled over all folds*, unweighted mean over classes. The mean goes over the classes that occur in the
part that is scored (the whole set, or one corpus); a prediction of a class that does not occur there is an error of
the class that does. MEGC's own script leaves a class out in the same case.

Action Units are binary problems (MEB, Varanka et al., arXiv 2211.11425): "f1" is 2 TP / (2 TP + FP + FN) of "present"
averaged over AUs, "f1_macro" the mean over AUs of the mean F1 of "present" and "absent". The means go over the AUs
that occur in the part; in MEB's own code an AU that neither occurs nor is predicted counts 0, which is never the case
in its six corpora.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.baselines.recogniser import Head

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

NAMES: Final[Mapping[Head, tuple[str, ...]]] = {
    "emotion": ("uf1", "uar", "accuracy"),
    "aus": ("f1", "f1_macro"),
}
"""Scores of each head, the one to compare by first."""

THRESHOLD: Final = 0.5
"""Probability from which on an AU counts as present."""


def class_counts(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], n_classes: int, group: NDArray[np.intp] | None = None
) -> I64:  # fmt: skip
    """Confusion counts, true class first.

    Args:
        truth, predicted: (N,) classes 0..n_classes-1.
        n_classes: K.
        group: (N,) 0..G-1, for example the place of each clip's person; None for one group.

    Returns:
        (G, K, K).
    """
    place = np.zeros(len(truth), np.intp) if group is None else group
    n_groups = int(place.max(initial=0)) + 1
    at = (place * n_classes + truth) * n_classes + predicted
    return np.bincount(at, minlength=n_groups * n_classes**2).reshape(n_groups, n_classes, n_classes)


def au_counts(
    truth: NDArray[np.integer], predicted: NDArray[np.bool_], group: NDArray[np.intp] | None = None
) -> I64:
    """Confusion counts of each AU: [[TN, FP], [FN, TP]].

    Args:
        truth: (N, A) 1 present, 0 absent, -1 not coded (left out).
        predicted: (N, A) whether it was said to be present.
        group: as `class_counts`.

    Returns:
        (G, A, 2, 2).
    """
    n_groups = int(group.max(initial=0)) + 1 if group is not None else 1
    found = np.zeros((n_groups, truth.shape[1], 2, 2), np.int64)
    for a in range(truth.shape[1]):
        known = truth[:, a] >= 0
        some = None if group is None else group[known]
        counts = class_counts(truth[known, a], predicted[known, a].astype(np.intp), 2, some)
        found[: len(counts), a] = counts
    return found


def occurring(counts: NDArray[np.number], head: Head) -> NDArray[np.bool_]:
    """Which classes (K,), or AUs (A,), have a clip in these pooled counts."""
    actual = counts.sum(-1)
    return np.asarray(actual > 0 if head == "emotion" else actual[..., 1] > 0)


def f1(counts: NDArray[np.number]) -> F64:
    """F1 (..., K) of each class from counts (..., K, K); NaN for a class without a clip."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    actual, given = counts.sum(-1), counts.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(actual > 0, 2 * right / (actual + given), np.nan))


def recall(counts: NDArray[np.number]) -> F64:
    """Recall (..., K) of each class from counts (..., K, K); NaN for a class without a clip."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.diagonal(counts, axis1=-2, axis2=-1) / counts.sum(-1))


def au_f1(counts: NDArray[np.number]) -> tuple[F64, F64]:
    """F1 of "present", and mean F1 of "present" and "absent", each (..., A), from counts (..., A, 2, 2).

    NaN for an AU without a clip. Where it is present in every clip, "absent" has no F1 and the mean is that of
    "present".
    """
    both = f1(counts)
    absent = np.where(np.isnan(both[..., 0]), both[..., 1], both[..., 0])
    return both[..., 1], (both[..., 1] + absent) / 2


def scores(counts: NDArray[np.number], head: Head, occurs: NDArray[np.bool_]) -> dict[str, F64]:
    """Every score of `NAMES` from pooled counts.

    Args:
        counts: (..., K, K) for "emotion", (..., A, 2, 2) for "aus".
        head: which of the two.
        occurs: classes or AUs that the means go over: `occurring` in the part that is scored.

    Returns:
        name to (...) of 0..1. NaN where a class that occurs in the part is missing in these counts, as it may be in
        a resample of people: a mean over fewer classes is another figure. NaN where nothing occurs.
    """
    if not occurs.any():
        return {name: np.full(counts.shape[:-2] if head == "emotion" else counts.shape[:-3], np.nan) for name in NAMES[head]}  # fmt: skip
    if head == "aus":
        present, both = au_f1(counts)
        return {"f1": present[..., occurs].mean(-1), "f1_macro": both[..., occurs].mean(-1)}
    right = np.diagonal(counts, axis1=-2, axis2=-1).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = np.asarray(right / counts.sum((-2, -1)))
    return {
        "uf1": f1(counts)[..., occurs].mean(-1),
        "uar": recall(counts)[..., occurs].mean(-1),
        "accuracy": accuracy,
    }
