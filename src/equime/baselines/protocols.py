"""Protocols: who is trained on, who is tested, and what came of it over several seeds.

* ``loso``: leave one subject out (MEGC 2019, See et al.: predictions pooled over all folds, then UF1 and UAR).
* ``k_fold``: folds of whole people.
* ``leave_one_dataset_out``: train on all corpora but one, test on that one.
* ``cd6me``: the same for Action Units (cross-dataset AU detection of MEB, Varanka et al.).
* ``train_test``: train on some sets, test on others (synthetic to real).
* ``pretrain_loso``: train on synthetic clips, then go on from there in every fold of leave-one-subject-out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.baselines import splits
from equime.baselines.experiment_config import Arm
from equime.baselines.recogniser import F32, Head, Options, Recogniser
from equime.baselines.splits import Rows, Split, Who
from equime.baselines.training import Grid, Job, Trained, counts_of, train
from equime.coded import CodedClip, Finding
from equime.errors import InputError


@dataclass(frozen=True)
class Plan:
    """The folds of a protocol on given data.

    Attributes:
        splits: folds; every tested clip is in the test rows of one of them.
        pretrain: rows that every fold starts from, or None.
        findings: what was left out.
    """

    splits: tuple[Split, ...]
    pretrain: Rows | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def tested(self) -> Rows:
        """Rows that are tested, fold after fold."""
        return np.concatenate([split.test for split in self.splits])


def plan(arm: Arm, who: Who, roles: NDArray[np.str_], seed: int = 0) -> Plan:
    """Folds of an arm of an experiment.

    Args:
        arm: protocol, roles and what to do about people on both sides.
        who: identities of all clips that have a class.
        roles: (N,) role of each.
        seed: of the division of people into folds.

    Raises:
        InputError: unknown protocol, a role without clips, too few people, people on both sides.
    """
    train_rows, test_rows = (_rows(roles, names, arm.name) for names in (arm.train, arm.test))
    splits.refuse_repeats(
        Who(*(a[np.concatenate([train_rows, test_rows])] for a in (who.people, who.ids, who.sets)))
    )
    folds = PROTOCOLS[arm.protocol](arm, who, train_rows, test_rows, seed)
    used = np.concatenate([folds[0].train, *(split.train for split in folds[1:])])
    findings = (
        _left_out(who, train_rows, np.setdiff1d(train_rows, used)) if arm.protocol != "pretrain_loso" else ()
    )
    pretrain = train_rows if arm.protocol == "pretrain_loso" else None
    return Plan(tuple(folds), pretrain, tuple(findings))


def _rows(roles: NDArray[np.str_], names: Sequence[str], arm: str) -> Rows:
    for name in names:
        if not (roles == name).any():
            raise InputError(
                f"arm {arm!r}: no clip with a class in role {name!r}; give its data with --data {name}=PATH, or "
                "other --classes"
            )
    return np.flatnonzero(np.isin(roles, list(names)))


def _left_out(who: Who, rows: Rows, unused: Rows) -> list[Finding]:
    if not len(unused):
        return []
    people = np.unique(who.people[unused])
    message = (
        f"{len(unused)} of {len(rows)} training clips are of {len(people)} people who are tested, and are left out "
        "of training"
    )
    return [Finding(code="people_left_out", message=message, n=len(unused), dropped=True)]


Maker = Callable[[Arm, Who, Rows, Rows, int], list[Split]]


def _loso(arm: Arm, who: Who, train_rows: Rows, test_rows: Rows, seed: int) -> list[Split]:
    return splits.loso(who, test_rows, train_rows if len(train_rows) else None, arm.overlap)


def _k_fold(arm: Arm, who: Who, train_rows: Rows, test_rows: Rows, seed: int) -> list[Split]:
    if len(train_rows):
        raise InputError(f"arm {arm.name!r}: k_fold trains on the roles it tests; name them in test alone")
    return splits.k_fold(who, test_rows, arm.folds, seed)


def _leave_one_set_out(arm: Arm, who: Who, train_rows: Rows, test_rows: Rows, seed: int) -> list[Split]:
    if len(train_rows):
        raise InputError(
            f"arm {arm.name!r}: {arm.protocol} trains on the sets it tests; name them in test alone"
        )
    return splits.leave_one_set_out(who, test_rows, arm.overlap)


def _train_test(arm: Arm, who: Who, train_rows: Rows, test_rows: Rows, seed: int) -> list[Split]:
    if not len(train_rows):
        raise InputError(f"arm {arm.name!r}: {arm.protocol} needs roles to train on; name them in train")
    name = f"{' + '.join(arm.train)} to {' + '.join(arm.test)}"
    return splits.across(who, train_rows, test_rows, name, arm.overlap, arm.folds, seed)


def _pretrain_loso(arm: Arm, who: Who, train_rows: Rows, test_rows: Rows, seed: int) -> list[Split]:
    if not len(train_rows):
        raise InputError(f"arm {arm.name!r}: pretrain_loso needs roles to pretrain on; name them in train")
    return splits.loso(who, test_rows)


PROTOCOLS: Final[Mapping[str, Maker]] = {
    "loso": _loso,
    "k_fold": _k_fold,
    "leave_one_dataset_out": _leave_one_set_out,
    "cd6me": _leave_one_set_out,
    "train_test": _train_test,
    "pretrain_loso": _pretrain_loso,
}


@dataclass(frozen=True)
class Outcome:
    """What one recogniser said under one protocol.

    Attributes:
        clips: the n tested ones.
        folds: (n,) name of the fold that tested each.
        sets: (n,) data set of each.
        truth: (n,) class, or (n, A) of 1, 0, -1.
        by_seed: (R, n, K) probabilities of each of R trainings.
        seeds: R.
        head: which probabilities they are.
    """

    clips: tuple[CodedClip, ...]
    folds: NDArray[np.str_]
    sets: NDArray[np.str_]
    truth: NDArray[np.integer]
    by_seed: F32
    seeds: tuple[int, ...]
    head: Head

    @property
    def probabilities(self) -> F32:
        """(n, K) mean over the seeds."""
        return np.asarray(self.by_seed.mean(0, dtype=np.float64).astype(np.float32))

    @property
    def people(self) -> NDArray[np.str_]:
        """(n,) person of each clip."""
        return np.array([clip.person for clip in self.clips], dtype=np.str_)

    def counts(self, rows: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """(S, R, ...) counts of each person (in the order of their names) in each training, of some clips."""
        inside = np.ones(len(self.clips), np.bool_) if rows is None else rows
        _, place = np.unique(self.people[inside], return_inverse=True)
        truth = self.truth[inside]
        return np.stack([counts_of(self.head, truth, p[inside], place) for p in self.by_seed], 1)


def tested_rows(plan_: Plan, clips: Sequence[CodedClip], who: Who, y: NDArray[np.integer]) -> dict[str, Any]:
    """Everything of an `Outcome` that is known before anything is trained: its first four attributes."""
    rows = plan_.tested
    names = [split.name for split in plan_.splits for _ in split.test]
    return {
        "clips": tuple(clips[i] for i in rows),
        "folds": np.array(names, dtype=np.str_),
        "sets": who.sets[rows],
        "truth": y[rows],
    }


def run_protocol(
    recogniser: Recogniser,
    job: Job,
    clips: Sequence[CodedClip],
    *,
    seeds: Sequence[int] = (0,),
    options: Options | None = None,
    pretrain_options: Options | None = None,
    grid: Grid | None = None,
) -> tuple[Outcome, list[Trained]]:
    """Train with several seeds; an experiment does the same seed by seed and keeps each on the disk.

    Args:
        recogniser, options, pretrain_options, grid: as `train`.
        job: folds and data, for example of `plan`.
        clips: N.
        seeds: of the trainings.
    """
    trained = [
        train(recogniser, job, seed=seed, options=options, pretrain_options=pretrain_options, grid=grid)
        for seed in seeds
    ]
    by_seed = np.stack([np.concatenate(one.probabilities) for one in trained])
    known = tested_rows(Plan(tuple(job.splits)), clips, job.splits[0].who, job.y)
    return Outcome(**known, by_seed=by_seed, seeds=tuple(seeds), head=job.head), trained
