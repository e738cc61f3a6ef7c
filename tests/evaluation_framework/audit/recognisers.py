"""Made recognisers: predictions on the clips of `make_data`, without a file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from equime.evaluation_framework.audit.data import AuditData
from equime.evaluation_framework.audit.predictions import Predictions


def recogniser(
    data: AuditData,
    *,
    seed: int = 0,
    accuracy: Callable[[AuditData], np.ndarray] | float = 0.6,
    probabilities: bool = False,
    kept: np.ndarray | None = None,
) -> Predictions:
    """A recogniser that is right with some probability, and else says any other class.

    Args:
        data: its clips.
        seed: of what it says.
        accuracy: probability to be right, or a function that gives one per clip.
        probabilities: whether it says how sure it is; the predicted class is the most probable one.
        kept: (n,) clips that it was shown; all by default.
    """
    random = np.random.default_rng(seed)
    emotion = data.clips["emotion"].to_numpy(str)
    labels, truth = np.unique(emotion, return_inverse=True)
    n, k = len(truth), len(labels)
    right = random.uniform(size=n) < (accuracy(data) if callable(accuracy) else accuracy)
    predicted = np.where(right, truth, (truth + random.integers(1, k, n)) % k)
    p = random.dirichlet(np.ones(k), n)
    rows = np.arange(n)
    best = p.argmax(1)
    p[rows, best], p[rows, predicted] = p[rows, predicted].copy(), p[rows, best].copy()
    used = rows if kept is None else np.flatnonzero(kept)
    return Predictions(
        file="made",
        clips=used,
        truth=truth[used],
        predicted=predicted[used],
        probabilities=p[used] if probabilities else None,
        labels=tuple(labels.tolist()),
        n_rows=len(used),
        n_without=n - len(used),
    )
