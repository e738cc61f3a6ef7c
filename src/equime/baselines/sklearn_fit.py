"""Support vector machines, all folds of a protocol at once, without scikit-learn at prediction.

Every class or AU is a two-class machine on one kernel (libsvm through scikit-learn, which takes the kernel matrix
as it is). Three things make many folds cheap and keep them apart:

* Products between all rows are computed once per block of features; a fold takes its rows out of them.
* Scaling happens inside of the fold all the same: each block is divided by the spread of the *training* rows about
  their mean, which is a factor per block and can be applied to the products.
* What is learned is kept as plain arrays. Prediction is numpy and needs no scikit-learn.

Scores become probabilities by one factor (temperature) per fold, or per AU. It is fitted on training rows alone, on
scores from which each row's own term is taken out (the first order of leaving it out: a machine is always sure of
the rows it was fitted to), with Platt's smoothed targets (Platt 1999). There are no inner splits, since a fold does
not say who is on its rows, and splits that part one subject's clips would call the machine surer than it is. A
factor changes neither the order of classes nor on which side of 0.5 an AU falls. Rows of one subject still vouch
for each other, so take probabilities as ranks rather than as frequencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from equime.baselines.recogniser import Head
from equime.baselines.svm_machine import Machine
from equime.errors import InputError

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Rows = NDArray[np.intp]
Labels = NDArray[np.integer]

SHARED_ROWS: Final = 3000
"""Up to so many rows their products are kept for all folds (72 MB per block)."""

MATRIX_ROWS: Final = 6000
"""Up to so many rows in a fold its kernel is held as a matrix (288 MB); beyond that libsvm computes what it needs."""

TOLERANCE: Final = 1e-4
"""Of libsvm; ten times tighter than scikit-learn's default, so that results hardly depend on the order of rows."""


@dataclass(frozen=True)
class SvmSettings:
    """How machines are fitted.

    Attributes:
        kernel: "linear", or "rbf".
        c: cost of a row on the wrong side, where rows are scaled to a mean squared distance of 1 from their mean.
        gamma: of the RBF kernel exp(-gamma d^2) on rows scaled so; 1 is scikit-learn's gamma="scale".
        balanced: weigh rows so that both sides of each machine count alike.
        multiclass: "ovr", each class against all others; "ovo", each pair of classes, scores added up.
        start_weight: how strongly the scores of a machine to go on from count beside the features.
    """

    kernel: Literal["linear", "rbf"]
    c: float = 1.0
    gamma: float = 1.0
    balanced: bool = True
    multiclass: Literal["ovr", "ovo"] = "ovr"
    start_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("c", "gamma", "start_weight"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"option {name}: {value} is not a number above 0")
        if self.multiclass not in ("ovr", "ovo"):
            raise InputError(f"option multiclass: {self.multiclass!r} is neither 'ovr' nor 'ovo'")


@dataclass(frozen=True)
class _Problem:
    """One two-class machine: which rows it sees, and which of them are on the positive side."""

    known: NDArray[np.bool_]
    positive: NDArray[np.bool_]


@dataclass(frozen=True)
class _Kernel:
    """Kernel between the rows of a fold: a matrix, or scaled features that libsvm makes it from."""

    matrix: F64 | None
    features: F64 | None
    own: F64
    scales: F64
    means: tuple[F64, ...]


def fit_svms(
    blocks: Sequence[F32],
    y: Labels,
    folds: Sequence[Rows],
    settings: SvmSettings,
    *,
    head: Head,
    n_outputs: int,
    start: Sequence[Machine] | None = None,
) -> list[Machine]:
    """A machine per fold.

    Args:
        blocks: features (N, D_b), each block scaled by one factor.
        y: (N,) classes, or (N, n_outputs) of 0, 1 and -1 where unknown.
        folds: training rows of each, as `check_folds` let them through.
        settings: how.
        head: what is predicted.
        n_outputs: number of classes or AUs.
        start: a machine per fold to go on from: its scores become further features, so that the new machine starts
            from what the old one says and learns what it gets wrong (feature augmentation).

    Raises:
        InputError: a fold of more than `MATRIX_ROWS` rows goes on from a machine with an RBF kernel; not one machine
            per fold.
    """
    if start is not None and len(start) != len(folds):
        raise InputError(f"{len(start)} recognisers to start from for {len(folds)} folds; give one per fold")
    shared = _products(blocks) if len(folds) > 1 and len(y) <= SHARED_ROWS else None
    machines = []
    for i, rows in enumerate(folds):
        base = start[i] if start is not None else None
        machines.append(_fit_fold(blocks, shared, y, rows, settings, head, n_outputs, base))
    return machines


def _products(blocks: Sequence[F32]) -> list[F64]:
    """Products (N, N) between all rows, per block."""
    return [block64 @ block64.T for block64 in (block.astype(np.float64) for block in blocks)]


def _fit_fold(
    blocks: Sequence[F32], shared: list[F64] | None, y: Labels, rows: Rows, settings: SvmSettings, head: Head,
    n_outputs: int, base: Machine | None,
) -> Machine:  # fmt: skip
    scores = None if base is None else base.scores([block[rows] for block in blocks]).astype(np.float64)
    kernel = _kernel(blocks, shared, rows, settings, scores)
    problems, votes = _problems(y[rows], head, n_outputs, settings)
    coefficients = np.zeros((len(problems), len(rows)))
    bias, constant = np.zeros(len(problems)), np.full(len(problems), -1, np.int8)
    left_out = np.zeros((len(rows), len(problems)))
    for p, problem in enumerate(problems):
        sides = problem.positive[problem.known]
        if sides.all() or not sides.any():
            constant[p] = int(sides[0])
            continue
        coefficients[p], bias[p], found = _solve(kernel, problem, settings)
        left_out[:, p] = found - coefficients[p] * kernel.own
    temperature = _temperatures(left_out @ votes, y[rows], head, n_outputs)
    base_weights = np.zeros((len(problems), 0))
    if base is not None and scores is not None:
        base_weights = settings.start_weight * coefficients @ (scores - scores.mean(axis=0))
        bias = bias - base_weights @ scores.mean(axis=0)
    return Machine.of(
        settings.kernel, blocks, rows, coefficients, bias, kernel.scales, kernel.means,
        votes=votes, temperature=temperature, constant=constant, head=head, base=base, base_weights=base_weights,
    )  # fmt: skip


def _kernel(
    blocks: Sequence[F32], shared: list[F64] | None, rows: Rows, settings: SvmSettings, scores: F64 | None
) -> _Kernel:
    """Kernel of a fold; ``scores`` (n, K) of the machine to go on from, if any."""
    means = tuple(block[rows].mean(axis=0, dtype=np.float64) for block in blocks)
    if len(rows) > MATRIX_ROWS:
        return _features(blocks, rows, means, settings, scores)
    linear, scales = np.zeros((len(rows), len(rows))), []
    for b, block in enumerate(blocks):
        product = shared[b][np.ix_(rows, rows)] if shared else _products([block[rows]])[0]
        product -= product.mean(axis=0)
        product -= product.mean(axis=1, keepdims=True)
        scales.append(_scale(float(np.trace(product)), len(rows), len(blocks)))
        linear += scales[-1] * product
    matrix = linear if settings.kernel == "linear" else _rbf(linear, settings.gamma)
    if scores is not None:
        centred = scores - scores.mean(axis=0)
        matrix = matrix + settings.start_weight * centred @ centred.T
    return _Kernel(
        np.ascontiguousarray(matrix), None, np.diag(matrix).copy(), _weights(scales, settings), means
    )


def _features(
    blocks: Sequence[F32], rows: Rows, means: tuple[F64, ...], settings: SvmSettings, scores: F64 | None
) -> _Kernel:
    """The same for a large fold, as features."""
    parts, scales = [], []
    for block, mean in zip(blocks, means, strict=True):
        centred = block[rows] - mean
        scales.append(_scale(float(np.square(centred).sum()), len(rows), len(blocks)))
        parts.append(centred * np.sqrt(_weights(scales[-1:], settings)))
    if scores is not None:
        if settings.kernel == "rbf":
            raise InputError(
                f"a fold of {len(rows)} training rows cannot go on from a machine with an RBF kernel (at most "
                f"{MATRIX_ROWS}); take fewer rows, no mirror images (flip=false), or the linear machine"
            )
        parts.append((scores - scores.mean(axis=0)) * np.sqrt(settings.start_weight))
    features = np.concatenate(parts, axis=1)
    own = np.ones(len(rows)) if settings.kernel == "rbf" else np.square(features).sum(axis=1)
    return _Kernel(None, features, own, _weights(scales, settings), means)


def _scale(total: float, n_rows: int, n_blocks: int) -> float:
    """Factor of a block's products: all blocks together then lie 1 from their mean (squared, on average)."""
    mean_square = total / n_rows * n_blocks
    return 1 / mean_square if mean_square > 1e-12 else 0.0


def _weights(scales: Sequence[float], settings: SvmSettings) -> F64:
    return np.array(scales) * (settings.gamma if settings.kernel == "rbf" else 1.0)


def _rbf(linear: F64, gamma: float) -> F64:
    squares = np.diag(linear)
    distances = squares[:, None] + squares - 2 * linear
    return np.exp(-gamma * np.maximum(distances, 0, out=distances))


def _problems(y: Labels, head: Head, n_outputs: int, settings: SvmSettings) -> tuple[list[_Problem], F64]:
    """The machines, and how their scores add up to outputs: (P, n_outputs)."""
    if head == "aus":
        return [_Problem(column >= 0, column == 1) for column in y.T], np.eye(n_outputs)
    everything = np.ones(len(y), bool)
    if settings.multiclass == "ovr":
        return [_Problem(everything, y == k) for k in range(n_outputs)], np.eye(n_outputs)
    pairs = [(a, b) for a in range(n_outputs) for b in range(a + 1, n_outputs)]
    votes = np.zeros((len(pairs), n_outputs))
    for vote, (a, b) in zip(votes, pairs, strict=True):
        vote[a], vote[b] = 1, -1
    return [_Problem((y == a) | (y == b), y == a) for a, b in pairs], votes


def _solve(kernel: _Kernel, problem: _Problem, settings: SvmSettings) -> tuple[F64, float, F64]:
    """Coefficient of each row (n,), bias, and score of each row (n,)."""
    from sklearn.svm import SVC  # noqa: PLC0415

    weight = "balanced" if settings.balanced else None
    options: dict[str, Any] = {"C": settings.c, "class_weight": weight, "tol": TOLERANCE, "cache_size": 500}
    at = np.flatnonzero(problem.known)
    coefficients = np.zeros(len(problem.known))
    if kernel.matrix is not None:
        whole = at.size == len(problem.known)
        matrix = kernel.matrix if whole else kernel.matrix[np.ix_(at, at)]
        fitted = SVC(kernel="precomputed", **options).fit(matrix, problem.positive[at])
        coefficients[at[fitted.support_]] = fitted.dual_coef_[0]
        bias = float(fitted.intercept_[0])
        return coefficients, bias, kernel.matrix @ coefficients + bias
    assert kernel.features is not None
    fitted = SVC(kernel=settings.kernel, gamma=1.0, **options).fit(kernel.features[at], problem.positive[at])
    coefficients[at[fitted.support_]] = fitted.dual_coef_[0]
    return coefficients, float(fitted.intercept_[0]), fitted.decision_function(kernel.features)


def _temperatures(scores: F64, y: Labels, head: Head, n_outputs: int) -> F64:
    """Factors that turn scores (n, K) into probabilities: (1,) for classes, (K,) for AUs."""
    if head == "emotion":
        counts = np.bincount(y, minlength=n_outputs)
        targets = np.repeat(1 / (counts[y] + n_outputs), n_outputs).reshape(-1, n_outputs)
        targets[np.arange(len(y)), y] += counts[y] / (counts[y] + n_outputs)
        return np.array([_temperature(scores, targets)])
    found = np.ones(n_outputs)
    for k in range(n_outputs):
        known = y[:, k] >= 0
        present = y[known, k] == 1
        n = np.where(present, present.sum(), (~present).sum())
        right = (n + 1) / (n + 2)
        target = np.where(present, right, 1 - right)
        # Two classes with scores s and 0 are a softmax like any other.
        pairs = np.stack([scores[known, k], np.zeros(known.sum())], axis=1)
        found[k] = _temperature(pairs, np.stack([target, 1 - target], axis=1))
    return found


def _temperature(scores: F64, targets: F64) -> float:
    """The factor in 0.05 to 50 under which softmax(factor x scores) has the least cross-entropy with targets."""
    from scipy.optimize import minimize_scalar  # noqa: PLC0415

    def loss(log_factor: float) -> float:
        z = np.exp(log_factor) * scores
        z = z - z.max(axis=1, keepdims=True)
        return float(-(targets * (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))).sum())

    bounds = float(np.log(0.05)), float(np.log(50))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-3}).x))
