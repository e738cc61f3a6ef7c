from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from equime.baselines import intervals
from equime.baselines.scores import au_counts, au_f1, class_counts, occurring, scores

HAND = np.array([[5, 1, 0], [2, 3, 1], [0, 0, 4]])
"""True class by predicted: TP 5, 3, 4; FP 2, 1, 1; FN 1, 3, 0."""


def test_hand_worked() -> None:
    found = scores(HAND, "emotion", occurring(HAND, "emotion"))
    assert found["uf1"] == pytest.approx((10 / 13 + 6 / 10 + 8 / 9) / 3)
    assert found["uar"] == pytest.approx((5 / 6 + 3 / 6 + 4 / 4) / 3)
    assert found["accuracy"] == pytest.approx(12 / 16)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 60))
def test_as_scikit_learn(seed: int, k: int, n: int) -> None:
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(0, k, n), random.integers(0, k, n)
    counts = class_counts(truth, predicted, k)[0]
    assert np.array_equal(counts, confusion_matrix(truth, predicted, labels=range(k)))
    found = scores(counts, "emotion", occurring(counts, "emotion"))
    labels = np.unique(truth)
    assert found["uf1"] == pytest.approx(
        f1_score(truth, predicted, labels=labels, average="macro", zero_division=0)
    )
    assert found["uar"] == pytest.approx(
        recall_score(truth, predicted, labels=labels, average="macro", zero_division=0)
    )
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, predicted))


def test_a_class_that_does_not_occur_is_left_out_but_its_predictions_are_errors() -> None:
    counts = class_counts(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), 3)[0]
    found = scores(counts, "emotion", occurring(counts, "emotion"))
    assert found["uf1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["uar"] == pytest.approx((1 / 2 + 1) / 2)
    missed = class_counts(np.array([0, 0]), np.array([0, 0]), 3)[0]
    assert np.isnan(scores(missed, "emotion", occurring(counts, "emotion"))["uf1"])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_aus_as_scikit_learn(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, (n, 5))
    truth[:2] = [[1] * 5, [0] * 5]  # Every AU is present in one clip and absent in another.
    predicted = random.integers(0, 2, (n, 5)).astype(bool)
    counts = au_counts(truth, predicted)[0]
    present, both = au_f1(counts)
    for a in range(5):
        assert present[a] == pytest.approx(f1_score(truth[:, a], predicted[:, a], zero_division=0))
        assert both[a] == pytest.approx(
            f1_score(truth[:, a], predicted[:, a], average="macro", zero_division=0)
        )
    found = scores(counts, "aus", occurring(counts, "aus"))
    assert found["f1"] == pytest.approx(present.mean())
    assert found["f1_macro"] == pytest.approx(both.mean())


def test_aus_without_coding_and_aus_that_do_not_occur() -> None:
    truth = np.array([[1, 0], [-1, 0], [0, 0]])
    predicted = np.array([[True, False], [True, True], [False, False]])
    counts = au_counts(truth, predicted)[0]
    assert counts.tolist() == [[[1, 0], [0, 1]], [[2, 1], [0, 0]]]
    assert scores(counts, "aus", occurring(counts, "aus"))["f1"] == 1
    always = au_counts(np.ones((3, 1), int), np.array([[True], [True], [False]]))[0]
    assert au_f1(always)[1] == pytest.approx(0.8)  # "absent" has no clip: only "present" counts


def test_constant_one_gives_the_published_kind_of_figure() -> None:
    """F1 of always saying "present" is 2p / (1 + p) of the share p that has it."""
    truth = np.zeros((100, 1), int)
    truth[:15] = 1
    counts = au_counts(truth, np.ones((100, 1), bool))[0]
    assert au_f1(counts)[0] == pytest.approx([0.3 / 1.15])


def per_person(seed: int = 3, n_people: int = 12, n_trainings: int = 2) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 5, (n_people, n_trainings, 3, 3)) + 3 * np.eye(3, dtype=int)


def drawn(n_people: int, n: int, seed: int) -> np.ndarray:
    return np.concatenate(list(intervals.resamples(n_people, n, seed)))


def test_resamples_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(12, 50, 4)
    monkeypatch.setattr(intervals, "_CELLS", 100)
    assert len(next(intervals.resamples(12, 50, 4))) == 8
    assert np.array_equal(drawn(12, 50, 4), whole)
    assert (whole.sum(1) == 12).all()


def slowly(counts: np.ndarray, weights: np.ndarray) -> list[float]:
    """UF1 of each resample, person by person."""
    found = []
    for row in weights:
        of_training = []
        for training in range(counts.shape[1]):
            truth, predicted = [], []
            for person, times in enumerate(row):
                for i, j in np.ndindex(3, 3):
                    n = int(times) * int(counts[person, training, i, j])
                    truth += [i] * n
                    predicted += [j] * n
            of_training.append(f1_score(truth, predicted, average="macro"))
        found.append(np.mean(of_training))
    return found


def test_bootstrap_is_that_of_a_loop_over_people() -> None:
    counts = per_person()
    found = intervals.by_subject(counts, "emotion", n_resamples=50, level=0.9, seed=4)["uf1"]
    draws = np.array(slowly(counts, drawn(12, 50, 4)))
    low, high = intervals.percentiles(draws, 0.9, 12)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.value == pytest.approx(slowly(counts, np.ones((1, 12)))[0])
    assert (found.n, found.n_subjects) == (int(counts[:, 0].sum()), 12)


def test_intervals_count_people_not_clips() -> None:
    """Ten times as many clips of the same people say nothing more of other people."""
    counts = per_person(n_people=30)
    few = intervals.by_subject(counts, "emotion", n_resamples=400, level=0.95, seed=0)["uf1"]
    many = intervals.by_subject(counts * 10, "emotion", n_resamples=400, level=0.95, seed=0)["uf1"]
    assert (few.low, few.high) == (many.low, many.high)
    assert few.low is not None
    assert few.high is not None
    assert few.low < few.value < few.high  # type: ignore[operator]


def test_interval_is_withheld_where_it_would_mislead() -> None:
    four = intervals.by_subject(per_person(n_people=4), "emotion", n_resamples=50, level=0.95, seed=0)
    assert four["uf1"].value is not None
    assert four["uf1"].low is None
    perfect = np.tile(np.diag([2, 2, 2]), (20, 1, 1, 1))
    assert intervals.by_subject(perfect, "emotion", n_resamples=50, level=0.95, seed=0)["uf1"].low is None
    rare = np.zeros((10, 1, 3, 3), int)
    rare[:, 0, 0, 0], rare[:, 0, 1, 0], rare[0, 0, 2, 2] = 2, 1, 1  # one person has the third class
    found = intervals.by_subject(rare, "emotion", n_resamples=100, level=0.95, seed=0)
    assert found["uf1"].low is None
    assert found["accuracy"].low is not None


def test_paired_difference_takes_the_people_for_both() -> None:
    first = per_person(n_people=20)
    same = intervals.paired_difference(first, first, "emotion", n_resamples=100, level=0.95, seed=0)["uf1"]
    assert (same.value, same.low) == (0, None)
    better = first + 2 * np.eye(3, dtype=int)
    found = intervals.paired_difference(better, first, "emotion", n_resamples=400, level=0.95, seed=0)["uar"]
    alone = intervals.by_subject(better, "emotion", n_resamples=400, level=0.95, seed=0)["uar"]
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.high
    assert found.high - found.low < alone.high - alone.low  # type: ignore[operator]


def test_percentiles_cover_what_they_say() -> None:
    """Widened for few people: of 400 samples of 8 people, the interval of the mean holds the true one in about 95 %."""
    random = np.random.default_rng(1)
    weights = drawn(8, 400, 0) / 8
    hits = 0
    for _ in range(400):
        low, high = intervals.percentiles(weights @ random.normal(size=8), 0.95, 8)
        hits += low <= 0 <= high
    assert 0.91 < hits / 400 < 0.985
