from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equime.baselines import training
from equime.baselines.experiment_config import Arm
from equime.baselines.protocols import Outcome, plan, run_protocol
from equime.baselines.splits import Who, loso
from equime.baselines.training import Job, gathered, rows_of, train
from equime.coded import THREE, CodedClip
from equime.errors import InputError
from tests.baselines.experiment_cases import NearestCentre, Peeker, clip


def problem(n_people: int = 6, per_person: int = 6, signal: float = 1.0) -> tuple[Any, ...]:
    """Inputs (N, 4), classes, identities and clips; the class shows in the first three values."""
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(n_people), per_person)
    y = (people + np.tile(np.arange(per_person), n_people)) % 3
    x = random.normal(size=(len(y), 4))
    x[:, :3] += 3 * signal * np.eye(3)[y]
    clips = [clip(f"p{p}", f"c{i}", THREE[k]) for i, (p, k) in enumerate(zip(people, y, strict=True))]
    who = Who(
        np.array([c.person for c in clips]), np.array([c.clip_id for c in clips]), np.array(["made"] * len(y))
    )
    return x.astype(np.float32), y, who, clips


def job(x: Any, y: Any, who: Who, **more: Any) -> Job:
    return Job(x, y, loso(who, np.arange(len(y))), **more)


class Recording(NearestCentre):
    """Keeps what it was given."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def fit(self, x: Any, y: Any, folds: Any, **kwargs: Any) -> Any:
        self.calls.append({"x": np.array(x), "y": np.array(y), "folds": list(folds), **kwargs})
        return super().fit(x, y, folds, **kwargs)


def test_all_folds_go_in_one_call_and_predictions_are_those_of_single_fits() -> None:
    x, y, who, _ = problem()
    model = Recording()
    found = train(model, job(x, y, who))
    assert [len(call["folds"]) for call in model.calls] == [6]
    for split, p in zip(job(x, y, who).splits, found.probabilities, strict=True):
        (alone,) = NearestCentre().fit(x[split.train], y[split.train], [np.arange(len(split.train))])
        assert np.allclose(p, alone.probabilities(x[split.test]))


def test_test_clips_of_another_set_are_not_in_the_arrays() -> None:
    x, y, who, _ = problem()
    arm = Arm(protocol="train_test", train=("a",), test=("b",))
    roles = np.where(np.arange(len(y)) < 18, "a", "b")
    model = Recording()
    train(model, Job(x, y, plan(arm, who, roles).splits))
    (call,) = model.calls
    assert np.array_equal(call["x"], x[:18])
    assert np.array_equal(call["folds"][0], np.arange(18))


def test_who_selects_on_the_test_subject_gets_only_training_rows() -> None:
    """A recogniser from elsewhere that looks for the rows its fold lacks finds none: it is given no others."""
    x, y, who, clips = problem(signal=0)
    Peeker.seen.clear()
    honest, _ = run_protocol(NearestCentre(), job(x, y, who), clips)
    caught, _ = run_protocol(Peeker(), job(x, y, who, alone=True), clips)
    assert [n for n, _ in Peeker.seen] == [30] * 6
    assert all(lacking == [0] for _, lacking in Peeker.seen)
    assert np.array_equal(caught.by_seed, honest.by_seed)
    # It would have paid: given all rows at once, its test rows are among them.
    cheat, _ = run_protocol(Peeker(), job(x, y, who), clips)
    assert (cheat.probabilities.argmax(1) == y).mean() > (honest.probabilities.argmax(1) == y).mean()


def test_selection_looks_at_training_people_only() -> None:
    """What a fold selects does not change with the labels of the person whom it tests."""
    x, y, who, _ = problem()
    grid = {"blur": [1.0, 0.0]}
    found = train(NearestCentre(), job(x, y, who), grid=grid)
    assert found.chosen == ({"blur": 0.0},) * 6
    other = y.copy()
    other[who.people == "made/p0"] = (y[who.people == "made/p0"] + 1) % 3
    changed = train(NearestCentre(), job(x, other, who), grid=grid)
    assert changed.chosen[0] == found.chosen[0]
    assert np.array_equal(changed.probabilities[0], found.probabilities[0])


def test_selection_hands_over_no_row_of_the_test_person() -> None:
    x, y, who, _ = problem(n_people=4)
    model = Recording()
    only = job(x, y, who)
    train(model, Job(x, y, only.splits[:1], alone=True), grid={"blur": [0.0, 0.5]})
    theirs = {tuple(row) for row in x[who.people == "made/p0"]}
    assert model.calls
    for call in model.calls:
        assert not theirs & {tuple(row) for row in call["x"]}


def test_folds_that_chose_differently_are_fitted_with_their_own_options() -> None:
    x, y, who, _ = problem()
    splits = job(x, y, who).splits
    options = [{"blur": 0.0}, {"blur": 0.4}] * 3
    said, _ = training._predicted(NearestCentre(), job(x, y, who), splits, options, 0, None)
    for split, chosen, p in zip(splits, options, said, strict=True):
        (alone,) = NearestCentre().fit(
            x[split.train], y[split.train], [np.arange(len(split.train))], options=chosen
        )
        assert np.allclose(p, alone.probabilities(x[split.test]))


def test_a_class_that_a_fold_cannot_learn_gets_probability_0() -> None:
    x, y, who, clips = problem()
    keep = (y != 2) | (who.people == "made/p0")  # surprise is shown by one person only
    who = Who(who.people[keep], who.ids[keep], who.sets[keep])
    some = [c for c, kept in zip(clips, keep, strict=True) if kept]
    outcome, _ = run_protocol(NearestCentre(), job(x[keep], y[keep], who), some)
    p0 = outcome.people == "made/p0"
    assert (outcome.probabilities[p0, 2] == 0).all()
    assert np.allclose(outcome.probabilities.sum(1), 1)
    assert (outcome.probabilities[~p0, 2] > 0).any()


def test_one_class_in_training_is_refused() -> None:
    x, y, who, _ = problem(n_people=2)
    with pytest.raises(InputError, match="1 classes, at least 2"):
        train(NearestCentre(), job(x, np.zeros_like(y), who))


def test_aus_that_a_fold_cannot_learn_are_said_as_they_always_were() -> None:
    x, y, who, _ = problem()
    truth = np.stack([y == 0, y == 1, y < 5, y > 5], 1).astype(np.int8)  # learnable twice, always, never
    found = train(NearestCentre(), job(x, truth, who, head="aus", n_outputs=4))
    p = np.concatenate(found.probabilities)
    assert (p[:, 2] == 1).all()
    assert (p[:, 3] == 0).all()
    assert ((p[:, 0] > 0.5) == (truth[:, 0] == 1)).mean() > 0.8


def test_pretraining_starts_every_fold_and_may_not_know_the_people() -> None:
    x, y, who, _ = problem()
    roles = np.where(np.arange(len(y)) < 18, "synthetic", "real")
    arm = Arm(protocol="pretrain_loso", train=("synthetic",), test=("real",))
    found = plan(arm, who, roles)
    assert found.pretrain is not None
    assert found.pretrain.tolist() == list(range(18))
    model = Recording()
    train(model, Job(x, y, found.splits, pretrain=found.pretrain))
    first, second = model.calls
    assert first["start"] is None
    assert len(second["start"]) == 3
    assert second["start"][0].tensors()["means"].shape == (3, 4)
    with pytest.raises(InputError, match="pretraining for made/p3"):
        Job(x, y, found.splits, pretrain=np.arange(len(y)))


def test_loso_with_synthetic_clips_added() -> None:
    _, y, who, _ = problem()
    roles = np.where(np.arange(len(y)) < 18, "synthetic", "real")
    found = plan(Arm(protocol="loso", train=("synthetic",), test=("real",)), who, roles)
    assert [len(split.train) for split in found.splits] == [30] * 3
    assert found.tested.tolist() == list(range(18, 36))


def test_who_is_left_out_of_training_is_counted() -> None:
    _, y, who, _ = problem()
    roles = np.where(np.arange(len(y)) % 2, "a", "b")
    found = plan(Arm(protocol="train_test", train=("a",), test=("b",), overlap="fold", folds=3), who, roles)
    assert (len(found.splits), found.findings) == (3, ())
    few = np.where(np.arange(len(y)) < 24, "a", "none")
    few[:6] = "b"
    (finding,) = plan(
        Arm(protocol="train_test", train=("a",), test=("b",), overlap="drop"), who, _swap(few, 6, 9)
    ).findings
    assert (finding.code, finding.n, finding.dropped) == ("people_left_out", 3, True)


def _swap(roles: np.ndarray, start: int, end: int) -> np.ndarray:
    """The person of rows 6 to 11 plays both roles."""
    changed = roles.copy()
    changed[start:end] = "b"
    return changed


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        (Arm(protocol="loso", test=("nobody",)), "no clip with a class in role 'nobody'"),
        (Arm(protocol="k_fold", train=("a",), test=("b",)), "k_fold trains on the roles it tests"),
        (Arm(protocol="train_test", test=("b",)), "needs roles to train on"),
        (Arm(protocol="pretrain_loso", test=("b",)), "needs roles to pretrain on"),
        (Arm(protocol="cd6me", train=("a",), test=("b",)), "trains on the sets it tests"),
        (Arm(protocol="leave_one_dataset_out", test=("a", "b")), "two sets or more"),
    ],
)
def test_plans_that_cannot_be(arm: Arm, says: str) -> None:
    _, y, who, _ = problem()
    with pytest.raises(InputError, match=says):
        plan(arm, who, np.where(np.arange(len(y)) < 18, "a", "b"))


def test_counts_are_per_person_and_per_training() -> None:
    clips: tuple[CodedClip, ...] = tuple(clip(p, f"{p}{i}", "negative") for p in "ab" for i in range(2))
    by_seed = np.eye(3, dtype=np.float32)[[[0, 1, 2, 2], [0, 0, 2, 2]]]
    outcome = Outcome(
        clips, np.array(["x"] * 4), np.array(["made"] * 4), np.array([0, 0, 2, 2]), by_seed, (0, 1), "emotion"
    )
    counts = outcome.counts()
    assert counts.shape == (2, 2, 3, 3)
    assert counts[0, 0].tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert counts[0, 1].tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert counts[1, :, 2, 2].tolist() == [2, 2]
    assert np.allclose(outcome.probabilities[1], [0.5, 0.5, 0])


def test_rows_in_sequence_are_a_view_and_large_copies_lie_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.arange(24.0).reshape(8, 3)
    assert np.shares_memory(rows_of(x, np.array([2, 3, 4])), x)
    assert rows_of(x, np.array([3, 2])).tolist() == x[[3, 2]].tolist()
    monkeypatch.setattr(training, "IN_MEMORY_BYTES", 10)
    large = gathered([(x, np.array([5, 0])), (x, np.array([7]))], tmp_path)
    assert isinstance(large, np.memmap)
    assert large.tolist() == x[[5, 0, 7]].tolist()


def test_the_learning_curve_is_the_mean_of_the_folds() -> None:
    trained = training.Trained([], (), histories=((4.0, 2.0, 1.0), (2.0, 1.0)))
    assert trained.curve == (3.0, 1.5)
    assert training.Trained([], (), histories=((), (2.0,))).curve == ()
