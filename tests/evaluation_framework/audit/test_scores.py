"""Figures of a recogniser against scikit-learn, fairlearn and formulas by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, f1_score, recall_score

from equime.evaluation_framework.audit import calibration
from equime.evaluation_framework.audit.disaggregated import RATES, rates_by_group
from equime.evaluation_framework.audit.predictions import Predictions
from equime.evaluation_framework.audit.scores import (
    basis,
    figures,
    interval,
    overall_scores,
    scores_of,
    tally,
)
from equime.evaluation_framework.statistics import bootstrap_mean
from tests.evaluation_framework.audit.cases import make_data
from tests.evaluation_framework.audit.recognisers import recogniser


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_all_clips_against_sklearn(seed: int) -> None:
    data = make_data(6, 5, seed)
    made = recogniser(data, seed=seed, probabilities=True)
    sums = tally(made, data.clips)
    found = figures(sums.columns.sum(0), sums)
    truth, predicted = made.truth, made.predicted
    assert made.probabilities is not None
    np.testing.assert_array_equal(
        sums.confusion(sums.columns).sum(0), confusion_matrix(truth, predicted, labels=range(5))
    )
    assert found["accuracy", ""] == pytest.approx(accuracy_score(truth, predicted))
    assert found["uf1", ""] == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    assert found["uar", ""] == pytest.approx(recall_score(truth, predicted, average="macro", zero_division=0))
    brier = brier_score_loss(truth, made.probabilities, scale_by_half=False, labels=range(5))
    assert found["brier", ""] == pytest.approx(brier)
    for k, label in enumerate(made.labels):
        assert found["selection", label] == pytest.approx((predicted == k).mean())
        assert found["recall", label] == pytest.approx((predicted[truth == k] == k).mean())
        assert found["false_positive", label] == pytest.approx((predicted[truth != k] == k).mean())


def test_uf1_is_over_the_classes_that_occur() -> None:
    """A class that is predicted and never occurs costs the true class a hit, and has no F1 of its own."""
    data = make_data(6, 4)  # the fifth emotion is missing
    made = recogniser(data)
    labels = (*made.labels, "zz")
    predicted = np.where(np.arange(24) % 7 == 0, 4, made.predicted)
    other = Predictions("made", made.clips, made.truth, predicted, None, labels, 24, 0)
    sums = tally(other, data.clips)
    found = figures(sums.columns.sum(0), sums)
    expected = f1_score(made.truth, predicted, average="macro", labels=range(4), zero_division=0)
    assert found["uf1", ""] == pytest.approx(expected)
    assert np.isnan(found["recall", "zz"])


def test_uf1_and_uar_of_people_who_lack_a_class_are_not_defined() -> None:
    data = make_data(6, 5)
    made = recogniser(data)
    sums = tally(made, data.clips)
    rows = sums.columns.copy()
    found = figures(rows[0], sums)
    assert not np.isnan(found["uf1", ""])
    k = len(sums.labels)
    rows[0].reshape(k, k)[2] = 0
    found = figures(rows[0], sums)
    assert np.isnan(found["uf1", ""])
    assert np.isnan(found["uar", ""])
    assert np.isnan(found["recall", sums.labels[2]])
    assert not np.isnan(found["accuracy", ""])
    assert basis(rows, sums, ("recall", sums.labels[2])) == (5, 5)
    assert basis(rows, sums, ("false_positive", sums.labels[2])) == (24, 6)
    assert basis(rows, sums, ("selection", sums.labels[2])) == (29, 6)


def test_no_clips_have_no_figures() -> None:
    data = make_data(6, 5)
    sums = tally(recogniser(data, probabilities=True), data.clips)
    assert all(np.isnan(value) for value in figures(np.zeros(sums.columns.shape[1]), sums).values())


# Calibration


def test_ece_by_hand() -> None:
    """Two bins: 0.95, 0.95 with one of two right, and 0.5, right."""
    p = np.array([[0.95, 0.05], [0.95, 0.05], [0.5, 0.5]])
    truth, predicted = np.array([0, 1, 1]), np.array([0, 0, 1])
    bins = calibration.reliability(p, truth, predicted)
    assert bins == ((0.5, 1.0, 1), (pytest.approx(0.95), 0.5, 2))
    sure = calibration.confidence(p, predicted)
    excess = np.bincount(calibration.bins_of(sure), sure - (truth == predicted), 15)
    assert calibration.ece(excess, np.array(3.0)) == pytest.approx((2 * 0.45 + 1 * 0.5) / 3)


def ece_of_guo(p: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> float:
    """Equation 3 of Guo et al. 2017, with loops."""
    sure, total = p[np.arange(len(p)), predicted], 0.0
    for m in range(1, 16):
        inside = (sure > (m - 1) / 15) & (sure <= m / 15)
        if inside.any():
            total += inside.mean() * abs((truth == predicted)[inside].mean() - sure[inside].mean())
    return total


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_ece_with_loops(seed: int) -> None:
    data = make_data(8, 5, seed)
    made = recogniser(data, seed=seed, probabilities=True)
    sums = tally(made, data.clips)
    assert made.probabilities is not None
    found = figures(sums.columns.sum(0), sums)["ece", ""]
    assert found == pytest.approx(ece_of_guo(made.probabilities, made.truth, made.predicted))
    bins = calibration.reliability(made.probabilities, made.truth, made.predicted)
    assert sum(n for _, _, n in bins) == 40
    assert found == pytest.approx(sum(n * abs(sure - right) for sure, right, n in bins) / 40)


def test_bins_at_their_edges() -> None:
    assert calibration.bins_of(np.array([0.0, 1e-9, 1 / 15, 1 / 15 + 1e-9, 1.0])).tolist() == [0, 0, 0, 1, 14]


# Intervals


def test_the_interval_of_accuracy_is_the_cluster_bootstrap() -> None:
    """Against the bootstrap of the rest of equime, which has another stream of the same distribution."""
    data = make_data(40, 10)
    made = recogniser(data, accuracy=lambda d: np.repeat(np.linspace(0.2, 1, 40), 10))
    found = overall_scores(tally(made, data.clips), n_boot=4000, level=0.95, seed=1)["accuracy"]
    other = bootstrap_mean((made.truth == made.predicted) * 1.0, data.clips["subject_id"], n_boot=4000)
    assert (found.value, found.n, found.n_subjects) == (pytest.approx(other.mean), 400, 40)
    assert found.low == pytest.approx(other.low, abs=0.01)
    assert found.high == pytest.approx(other.high, abs=0.01)
    clips = bootstrap_mean((made.truth == made.predicted) * 1.0, range(400), n_boot=4000)
    assert found.high - found.low > 1.3 * (clips.high - clips.low), "people are the unit, not clips"


def test_no_interval_without_people_values_or_spread() -> None:
    draws = np.random.default_rng(0).uniform(size=500)
    assert interval(0.5, draws, (20, 5), 0.95).low is not None
    assert interval(0.5, draws, (20, 4), 0.95).low is None
    holes = np.where(np.arange(500) < 50, np.nan, draws)
    assert interval(0.5, holes, (20, 5), 0.95).low is None
    assert interval(1.0, np.ones(500), (20, 5), 0.95).low is None
    assert interval(np.nan, holes, (20, 5), 0.95).value is None


def test_scores_have_no_calibration_without_probabilities() -> None:
    data = make_data(6, 5)
    sums = tally(recogniser(data), data.clips)
    draws = {key: np.zeros(100) for key in figures(sums.columns[0], sums)}
    assert set(scores_of(sums.columns, draws, sums, 0.95)) == {"accuracy", "uf1", "uar"}


# MetricFrame


@pytest.mark.parametrize("names", [["declared_gender"], ["declared_gender", "estimated_race"]])
def test_ours_and_fairlearns_rates_are_the_same(names: list[str]) -> None:
    data = make_data(12, 5)
    made = recogniser(data)
    sums = tally(made, data.clips)
    groups = data.clips[names]
    found = rates_by_group(made, groups)
    people = data.clips.drop_duplicates("subject_id")
    assert set(found) == set(people[names].itertuples(index=False, name=None))
    for cell, rates in found.items():
        ours = figures(sums.columns[(people[names] == list(cell)).all(axis=1).to_numpy()].sum(0), sums)
        for rate in RATES:
            for label, value in rates[rate].items():
                assert value == pytest.approx(float(ours[rate, label]))


def test_a_rate_without_clips_is_none() -> None:
    data = make_data(6, 5, groups={"declared_gender": ["f"] * 3 + ["m"] * 3})
    f = (data.clips["declared_gender"] == "f").to_numpy()
    made = recogniser(data, kept=~(f & (data.clips["emotion"] == "fear").to_numpy()))
    groups = data.clips.iloc[made.clips][["declared_gender"]].reset_index(drop=True)
    found = rates_by_group(made, groups)
    assert found["f",]["recall"]["fear"] is None
    assert found["m",]["recall"]["fear"] is not None
