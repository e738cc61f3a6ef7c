"""Results of an experiment as records, and how they are computed from what the recognisers said."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.baselines.experiment_config import Arm, Config
from equime.baselines.intervals import Interval, by_subject, paired_difference
from equime.baselines.protocols import Outcome
from equime.baselines.recogniser import Head
from equime.baselines.scores import NAMES, f1, occurring, scores
from equime.baselines.training import counts_of
from equime.coded import Finding
from equime.types import Record

FULL: Final = "all"
"""Name of the part that is everything tested."""


class Part(Record, frozen=True):
    """Scores of everything that was tested, or of one data set in it.

    Attributes:
        name: `FULL`, or the data set.
        n, n_subjects: clips and people.
        n_per_class: clips of each class, or clips in which each AU is present.
        scores: mean over the seeds, with interval by subject.
        by_seed: the same of each seed.
        mean_probabilities: scores of the mean of the seeds' probabilities (an ensemble: not comparable to a single
            training).
        f1_per_class: of each class or AU, mean over the seeds; None where it has no clip.
    """

    name: str
    n: int
    n_subjects: int
    n_per_class: dict[str, int]
    scores: dict[str, Interval]
    by_seed: dict[str, tuple[float | None, ...]]
    mean_probabilities: dict[str, float | None]
    f1_per_class: dict[str, float | None]


class ModelResult(Record, frozen=True):
    """One model in one arm.

    Attributes:
        arm, model: names.
        title, source, differs: of `recogniser.About`.
        n_parameters: as published, of the model as it is published.
        options: as used.
        seeds: of the trainings that are in the scores.
        n_folds: how many.
        parts: `FULL`, then each data set where there are several.
        confusion: per true class and predicted class, clips summed over the seeds; per AU [TN, FP, FN, TP].
        curves: mean training loss of every epoch, per seed; each () of a model that has none.
        chosen: where options were selected: how often each choice was made, over folds and seeds.
        predictions: file, relative to the results.
        findings: of this model's data.
        error: why there is no result, "" where there is one; the other attributes are then empty.
        missing: whether the reason is something that can be installed.
    """

    arm: str
    model: str
    title: str = ""
    source: str = ""
    differs: str = ""
    n_parameters: int | None = None
    options: dict[str, int | float | str | bool] = msgspec.field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    n_folds: int = 0
    parts: tuple[Part, ...] = ()
    confusion: list[list[int]] = msgspec.field(default_factory=list)
    curves: tuple[tuple[float, ...], ...] = ()
    chosen: dict[str, int] = msgspec.field(default_factory=dict)
    predictions: str = ""
    findings: tuple[Finding, ...] = ()
    error: str = ""
    missing: bool = False


class Difference(Record, frozen=True):
    """Two results over the same clips; people are resampled for both at once.

    Attributes:
        first, second: (arm, model) of each.
        scores: first less second.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    scores: dict[str, Interval]


class DataInfo(Record, frozen=True):
    """One set of coded clips that was given.

    Attributes:
        role: in the experiment.
        root: folder that it was read from.
        corpus, licence, synthetic: as `CodedInfo`.
        n, n_used, n_subjects: clips, those that have a class, and their people.
        digest: content id of its records.
    """

    role: str
    root: str
    corpus: str
    licence: str
    synthetic: bool
    n: int
    n_used: int
    n_subjects: int
    digest: str


class Results(Record, frozen=True):
    """``results.json``.

    Attributes:
        config: the experiment as resolved.
        data: what was given.
        models: a result per arm and model, in their order.
        differences: between models in one arm, and between arms for one model, where the tested clips are the same.
        findings: of the data.
        reading: how to read the figures, sentence by sentence.
    """

    config: Config
    data: tuple[DataInfo, ...]
    models: tuple[ModelResult, ...]
    differences: tuple[Difference, ...]
    findings: tuple[Finding, ...]
    reading: tuple[str, ...]


def parts_of(outcome: Outcome, config: Config) -> tuple[Part, ...]:
    """Scores of everything and of each data set."""
    names = np.unique(outcome.sets).tolist()
    everything = np.ones(len(outcome.clips), np.bool_)
    found = [_part(FULL, everything, outcome, config)]
    if len(names) > 1:
        found += [_part(name, outcome.sets == name, outcome, config) for name in names]
    return tuple(found)


def _part(name: str, rows: NDArray[np.bool_], outcome: Outcome, config: Config) -> Part:
    counts, head, settings = outcome.counts(rows), config.head, config.intervals
    pooled = counts.sum(0)
    occurs = occurring(pooled.sum(0), head)
    by_seed = scores(pooled, head, occurs)
    mean = counts_of(head, outcome.truth[rows], outcome.probabilities[rows])[0]
    ensemble = scores(mean, head, occurs)
    each = f1(pooled) if head == "emotion" else f1(pooled)[..., 1]
    truth = outcome.truth[rows]
    n_each = np.bincount(truth, minlength=len(config.outputs)) if head == "emotion" else (truth == 1).sum(0)
    return Part(
        name=name,
        n=int(rows.sum()),
        n_subjects=len(counts),
        n_per_class=dict(zip(config.outputs, n_each.tolist(), strict=True)),
        scores=by_subject(
            counts, head, n_resamples=settings.resamples, level=settings.level, seed=settings.seed
        ),
        by_seed={name: tuple(_number(v) for v in values) for name, values in by_seed.items()},
        mean_probabilities={name: _number(value) for name, value in ensemble.items()},
        f1_per_class={
            name: _number(values.mean()) for name, values in zip(config.outputs, each.T, strict=True)
        },
    )


def _number(value: float | np.floating | NDArray[np.float64]) -> float | None:
    return None if np.isnan(value) else float(value)


def confusion_of(outcome: Outcome) -> list[list[int]]:
    """`ModelResult.confusion`."""
    total = outcome.counts().sum((0, 1))
    rows: list[list[int]] = total.reshape(len(total), -1).tolist()
    return rows


def differences_of(outcomes: Mapping[tuple[str, str], Outcome], config: Config) -> tuple[Difference, ...]:
    """Every pair of models in one arm and of arms for one model that tested the same clips."""
    counts = {key: outcome.counts() for key, outcome in outcomes.items()}
    found = []
    for second, first in itertools.combinations(outcomes, 2):
        same_arm, same_model = first[0] == second[0], first[1] == second[1]
        if (same_arm or same_model) and _same_clips(outcomes[first], outcomes[second]):
            found.append(
                Difference(
                    first=first,
                    second=second,
                    scores=paired_difference(
                        counts[first], counts[second], config.head,
                        n_resamples=config.intervals.resamples, level=config.intervals.level,
                        seed=config.intervals.seed,
                    ),
                )
            )  # fmt: skip
    return tuple(found)


def _same_clips(a: Outcome, b: Outcome) -> bool:
    return {clip.clip_id for clip in a.clips} == {clip.clip_id for clip in b.clips}


def reading_of(config: Config, data: Sequence[DataInfo]) -> tuple[str, ...]:
    """What has to be said beside the figures, from what was trained on and how."""
    kinds = {info.role: [d.synthetic for d in data if d.role == info.role] for info in data}
    said = [_arm_in_words(arm, kinds) for arm in config.arms]
    said.append(
        f"Scores are means over {len(config.seeds)} trainings with different seeds (one, where nothing in a model is "
        f"random), of predictions pooled over all folds; brackets are {config.intervals.level:.0%} intervals from {config.intervals.resamples} resamples of "
        "the people, not of the clips; the spread is the standard deviation over the seeds."
    )
    said.append(
        "The number of epochs is fixed beforehand. Published figures whose epoch was chosen on the test subject (as "
        "several published codes do) are not comparable: MEB measured that it lifts OFF-ApexNet from .70 to .84."
        if not config.select
        else "Options were selected on folds of people inside the training people of each fold, never on a person "
        "who is tested there. Published figures that were selected on the test subject are not comparable."
    )
    if config.head == "aus":
        said.append(
            "AU scores are binary F1 averaged over the AUs that occur in the part; always saying \"present\" reaches "
            "17.8 on MEB's six corpora."
        )  # fmt: skip
    return tuple(said)


def _arm_in_words(arm: Arm, kinds: Mapping[str, list[bool]]) -> str:
    def of(roles: Sequence[str]) -> str:
        what = {synthetic for role in roles for synthetic in kinds.get(role, [])}
        return {frozenset({True}): "synthetic clips only", frozenset({False}): "real clips only"}.get(
            frozenset(what), "synthetic and real clips"
        )

    name = f"{arm.name}: " if arm.name else ""
    tested = f"tested on {of(arm.test)} ({', '.join(arm.test)})"
    if arm.protocol == "pretrain_loso":
        return (
            f"{name}pretrained on {of(arm.train)}, then trained on {of(arm.test)} of other people, {tested}."
        )
    trained = (*arm.train, *(() if arm.protocol == "train_test" else arm.test))
    return f"{name}trained on {of(trained)} ({', '.join(trained)}), {tested}, protocol {arm.protocol}."


def spread(part: Part, name: str) -> float | None:
    """Standard deviation of a score over the seeds; None for one seed."""
    values = [v for v in part.by_seed[name] if v is not None]
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def first_score(head: Head) -> str:
    """The score to compare by."""
    return NAMES[head][0]
