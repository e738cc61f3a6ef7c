"""Training of the folds of a protocol, and what the trained recognisers say of each fold's test clips.

What a recogniser gets: the training clips of its folds (of all folds at once, so that small networks train together),
which rows belong to which fold, and numbers. No test set, no names of people, nothing to stop early by: the number of
epochs is an option. Options may be selected, on folds of whole people inside the training people of each fold.

Under leave-one-subject-out every clip is a training clip of some fold, so code that means to cheat could look for the
rows that its fold lacks. equime's own models are held by tests to results that depend on a fold's rows alone. A
recogniser from elsewhere (``module:attribute``) is not taken at its word: it is called once per fold, with that
fold's training clips and nothing else in its arrays.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.baselines import splits as splitting
from equime.baselines.recogniser import F32, Fitted, Head, Options, Recogniser, history_of
from equime.baselines.scores import NAMES, THRESHOLD, au_counts, class_counts, occurring, scores
from equime.baselines.splits import Rows, Split
from equime.errors import InputError

Grid = Mapping[str, Sequence[float | int | str | bool]]

IN_MEMORY_BYTES: Final = 512 * 2**20
"""Copies of inputs that are larger lie on the disk."""


@dataclass(frozen=True)
class Job:
    """What is learned and asked.

    Attributes:
        x: (N, ...) input of every clip; may be memory-mapped.
        y: (N,) class, for head "emotion"; (N, A) of 1, 0 and -1 for head "aus".
        splits: folds.
        head, n_outputs: as `Recogniser.fit`.
        pretrain: rows that every fold starts from, None for none. Their people are in no fold.
        alone: a call per fold with its own clips only.
        inner_folds: of the selection of options.
        scratch: folder for copies of large inputs; None is the system's.
    """

    x: NDArray[np.generic]
    y: NDArray[np.integer]
    splits: Sequence[Split]
    head: Head = "emotion"
    n_outputs: int = 3
    pretrain: Rows | None = None
    alone: bool = False
    inner_folds: int = 3
    scratch: Path | None = None

    def __post_init__(self) -> None:
        if self.pretrain is None:
            return
        for split in self.splits:  # Making it is the check.
            Split(f"pretraining for {split.name}", self.pretrain, split.test, split.who)


@dataclass(frozen=True)
class Trained:
    """What came of one training of all folds.

    Attributes:
        probabilities: per fold (n_test, K), in the order of its test rows.
        chosen: options of each fold.
        histories: mean training loss of every epoch of each fold; () of a model that has none.
    """

    probabilities: list[F32]
    chosen: tuple[dict[str, Any], ...]
    histories: tuple[tuple[float, ...], ...] = ()

    @property
    def curve(self) -> tuple[float, ...]:
        """Mean over the folds, up to the epochs that all of them had."""
        return tuple(float(np.mean(losses)) for losses in zip(*self.histories, strict=False))


def train(
    recogniser: Recogniser,
    job: Job,
    *,
    seed: int = 0,
    options: Options | None = None,
    pretrain_options: Options | None = None,
    grid: Grid | None = None,
) -> Trained:
    """Train a recogniser on every fold of a job and ask it about the fold's test clips.

    Args:
        recogniser: what is trained.
        job: folds and data.
        seed: of the training.
        options: of the model, instead of its own.
        pretrain_options: of pretraining; None uses ``options``.
        grid: values of options to select from, by the first score of `scores.NAMES` over folds of whole people inside
            the training people; ties go to the first.

    Raises:
        InputError: what the recogniser refuses; fewer than two classes in a fold.
    """
    options = dict(options or {})
    first = dict(options if pretrain_options is None else pretrain_options)
    start = _pretrained(recogniser, job, seed, first)
    chosen: list[dict[str, Any]] = [options] * len(job.splits)
    if grid:
        chosen = _selected(recogniser, job, seed, options, grid, start)
    said, histories = _predicted(recogniser, job, job.splits, chosen, seed, start)
    return Trained(said, tuple(chosen), histories)


def _pretrained(recogniser: Recogniser, job: Job, seed: int, options: Options) -> Fitted | None:
    if job.pretrain is None:
        return None
    present, _ = _learnable(job, job.pretrain)
    if len(present) < job.n_outputs:
        raise InputError(
            f"pretraining has {len(present)} of {job.n_outputs} classes; give pretraining data with all of them, or "
            "use --classes"
        )
    part = replace(job, pretrain=None)
    (fitted,) = _fit(recogniser, part, [job.pretrain], present, seed, options, None)
    return fitted


def _selected(
    recogniser: Recogniser, job: Job, seed: int, options: dict[str, Any], grid: Grid, start: Fitted | None
) -> list[dict[str, Any]]:
    """Options per fold, from what was best on inner folds of its training people."""
    nested = [splitting.inner(split.who, split, job.inner_folds, seed) for split in job.splits]
    flat = [split for inside in nested for split in inside]
    candidates = [
        options | dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]
    reached = []
    for candidate in candidates:
        said = iter(_predicted(recogniser, job, flat, [candidate] * len(flat), seed, start)[0])
        reached.append([_score(job, inside, [next(said) for _ in inside]) for inside in nested])
    best = np.nan_to_num(np.array(reached), nan=-1.0).argmax(0)
    return [candidates[i] for i in best]


def _score(job: Job, folds: Sequence[Split], probabilities: Sequence[F32]) -> float:
    truth = job.y[np.concatenate([fold.test for fold in folds])]
    counts = counts_of(job.head, truth, np.concatenate(probabilities))[0]
    return float(scores(counts, job.head, occurring(counts, job.head))[NAMES[job.head][0]])


def counts_of(
    head: Head, truth: NDArray[np.integer], probabilities: F32, group: NDArray[np.intp] | None = None
) -> NDArray[np.int64]:
    """Counts (G, ...) of `scores` from probabilities (N, K); the class with the largest one, the first of equals."""
    if head == "aus":
        return au_counts(truth, probabilities >= THRESHOLD, group)
    return class_counts(truth, probabilities.argmax(1), probabilities.shape[1], group)


def _predicted(
    recogniser: Recogniser,
    job: Job,
    folds: Sequence[Split],
    options: Sequence[dict[str, Any]],
    seed: int,
    start: Fitted | None,
) -> tuple[list[F32], tuple[tuple[float, ...], ...]]:
    """Probabilities and losses per fold. Folds that share options and classes are trained in one call."""
    groups: dict[str, list[int]] = {}
    learnable = [_learnable(job, fold.train, fold.name) for fold in folds]
    for i, (present, _) in enumerate(learnable):
        groups.setdefault(repr((sorted(options[i].items()), present.tolist())), []).append(i)
    said: list[F32] = [np.zeros((0, 0), np.float32)] * len(folds)
    histories: list[tuple[float, ...]] = [()] * len(folds)
    for members in groups.values():
        present = learnable[members[0]][0]
        if start is not None and len(present) < job.n_outputs:
            raise InputError(
                f"fold {folds[members[0]].name!r} has no training clip of some class, but starts from a pretrained "
                "recogniser of all of them; leave the class out with --classes"
            )
        rows = [folds[i].train for i in members]
        fitted = _fit(recogniser, job, rows, present, seed, options[members[0]], start)
        for i, one in zip(members, fitted, strict=True):
            test = folds[i].test
            p = one.probabilities(rows_of(job.x, test, job.scratch))
            full = np.tile(learnable[i][1], (len(test), 1))
            full[:, present] = p
            said[i], histories[i] = full, history_of(one)
    return said, tuple(histories)


def _learnable(job: Job, rows: Rows, name: str = "pretraining") -> tuple[Rows, F32]:
    """Classes or AUs that these clips can teach, and (K,) what is said of the others whatever the clip."""
    rest = np.zeros(job.n_outputs, np.float32)
    if job.head == "aus":
        present, absent = (job.y[rows] == 1).any(0), (job.y[rows] == 0).any(0)
        rest[present & ~absent] = 1
        teachable = np.flatnonzero(present & absent)
        need, what = 1, "AU that is present in one clip and absent in another"
    else:
        teachable = np.flatnonzero(np.bincount(job.y[rows], minlength=job.n_outputs))
        need, what = 2, "classes"
    if len(teachable) < need:
        raise InputError(
            f"{name}: the training clips have {len(teachable)} {what}, at least {need} is needed; give data with "
            "more classes"
        )
    return teachable, rest


def _fit(
    recogniser: Recogniser,
    job: Job,
    folds: Sequence[Rows],
    present: Rows,
    seed: int,
    options: Options,
    start: Fitted | None,
) -> list[Fitted]:
    """One recogniser per fold, from arrays that hold the rows of these folds and no others."""
    settings: dict[str, Any] = {"head": job.head, "n_outputs": len(present), "seed": seed, "options": options}
    fitted: list[Fitted] = []
    for some in [[fold] for fold in folds] if job.alone else [folds]:
        used = np.unique(np.concatenate(some))
        x, y = rows_of(job.x, used, job.scratch), job.y[used]
        if job.head == "aus":
            y = y[:, present]
        elif len(present) < job.n_outputs:
            y = np.searchsorted(present, y).clip(max=len(present) - 1)
        inside = [np.searchsorted(used, fold) for fold in some]
        begin = None if start is None else [start] * len(some)
        fitted += recogniser.fit(x, y, inside, start=begin, **settings)
    return fitted


def rows_of(x: NDArray[np.generic], rows: Rows, scratch: Path | None = None) -> NDArray[np.generic]:
    """The given rows: a view where they follow each other, else a copy, on the disk where it is large."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return x[rows[0] : rows[-1] + 1]
    return gathered([(x, rows)], scratch)


def gathered(
    parts: Sequence[tuple[NDArray[np.generic], Rows]], scratch: Path | None = None
) -> NDArray[np.generic]:
    """Rows of several arrays, one after the other; in a file that nobody sees where they are large."""
    n = sum(len(rows) for _, rows in parts)
    shape, dtype = (n, *parts[0][0].shape[1:]), parts[0][0].dtype
    room: NDArray[np.generic]
    if n * int(np.prod(shape[1:])) * dtype.itemsize <= IN_MEMORY_BYTES:
        room = np.empty(shape, dtype)
    else:
        with tempfile.TemporaryFile(dir=scratch) as file:
            room = np.memmap(file, dtype, "w+", shape=shape)
    at = 0
    for array, rows in parts:
        for some in np.array_split(rows, max(1, len(rows) // 1024)):
            room[at : at + len(some)] = array[some]
            at += len(some)
    return room
