"""Means with intervals by subject, against scipy, closed forms and simulated truth."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from equime.errors import InputError
from equime.evaluation_framework import statistics
from equime.evaluation_framework.statistics import (
    MIN_SUBJECTS,
    Estimate,
    bootstrap_difference,
    bootstrap_mean,
    widened,
)


def names(n: int) -> list[str]:
    return [f"s{i:04d}" for i in range(n)]


def test_mean_and_counts_leave_out_what_has_no_value() -> None:
    found = bootstrap_mean([1.0, None, 3.0, float("nan"), 5.0], ["a", "a", "b", "c", None])
    assert found == Estimate(
        mean=3.0, low=None, high=None, n=3, n_subjects=3, n_missing=2, n_unknown=1, method="none"
    )


def test_nothing_to_average_is_none() -> None:
    for values in ([], [None, None]):
        found = bootstrap_mean(values, [None] * len(values))
        assert (found.mean, found.low, found.n, found.n_missing) == (None, None, 0, len(values))


def test_pandas_columns_are_taken_as_they_are() -> None:
    frame = pd.DataFrame({"v": pd.array([1, None, 3], dtype="Int64"), "s": ["a", "b", None]})
    found = bootstrap_mean(frame["v"], frame["s"])
    assert (found.mean, found.n, found.n_missing, found.n_unknown) == (2.0, 2, 1, 1)
    flags = pd.Series([True, False, None, True], dtype=object)
    assert bootstrap_mean(flags, list("abcd")).mean == pytest.approx(2 / 3)


def test_few_subjects_have_no_interval_however_many_clips() -> None:
    for n in range(1, 8):
        found = bootstrap_mean(np.arange(20.0 * n), names(n) * 20)
        assert (found.low is None) == (n < MIN_SUBJECTS) == (found.method == "none")


@pytest.mark.parametrize("n", [8, 40, 200])
def test_one_clip_per_subject_agrees_with_scipy(n: int) -> None:
    values = np.random.default_rng(n).gamma(2, 1, n)
    found = bootstrap_mean(values, names(n), n_boot=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, confidence_level=widened(0.95, n),
        random_state=np.random.default_rng(0),
    )  # fmt: skip
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)


def test_subjects_of_equal_size_agree_with_scipy_on_their_means() -> None:
    random = np.random.default_rng(5)
    table = random.normal(0, 1, (30, 1)) + random.normal(0, 0.3, (30, 7))
    found = bootstrap_mean(table.ravel(), np.repeat(names(30), 7), n_boot=20_000)
    theirs = stats.bootstrap(
        (table.mean(axis=1),), np.mean, method="percentile", n_resamples=20_000,
        confidence_level=widened(0.95, 30), random_state=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


@pytest.mark.parametrize("n", [5, 10, 30])
def test_of_normal_values_it_comes_near_to_students_interval(n: int) -> None:
    ratios = []
    for seed in range(30):
        values = np.random.default_rng(seed).normal(0, 1, n)
        low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
        found = bootstrap_mean(values, names(n), seed=seed)
        assert found.low is not None
        assert found.high is not None
        ratios.append((found.high - found.low) / (high - low))
    assert np.mean(ratios) == pytest.approx(1, abs=0.15 if n == 5 else 0.07)


def test_widened_levels_are_students() -> None:
    assert widened(0.95, 10_000) == pytest.approx(0.95, abs=1e-4)
    tail = stats.norm.cdf(-np.sqrt(10 / 9) * stats.t.ppf(0.975, 9))
    assert widened(0.95, 10) == pytest.approx(1 - 2 * tail)


@pytest.mark.parametrize("n_subjects", [8, 25])
def test_it_covers_the_truth_where_clips_of_a_subject_are_alike(n_subjects: int) -> None:
    random = np.random.default_rng(0)
    covered = {"subject": 0, "clip": 0}
    n_repeats = 300
    for seed in range(n_repeats):
        n_clips = random.integers(1, 16, n_subjects)
        values = np.repeat(random.normal(0, 1, n_subjects), n_clips) + random.normal(0, 0.5, n_clips.sum())
        subjects = {"subject": np.repeat(names(n_subjects), n_clips), "clip": [None] * values.size}
        for way, owners in subjects.items():
            found = bootstrap_mean(values, owners, n_boot=500, seed=seed)
            if found.low is not None and found.high is not None:
                covered[way] += found.low <= 0 <= found.high
    assert 0.9 <= covered["subject"] / n_repeats <= 0.98
    assert covered["clip"] / n_repeats < 0.75  # what taking clips for independent would claim to be 0.95


@given(st.integers(0, 1000), st.permutations(range(24)))
@settings(max_examples=20, deadline=None)
def test_neither_order_nor_names_change_it_but_the_seed_does(seed: int, order: list[int]) -> None:
    values = [float(v) for v in np.random.default_rng(1).normal(0, 1, 24)]
    subjects: list[str | None] = [f"s{i % 9}" if i % 9 < 7 else None for i in range(24)]
    first = bootstrap_mean(values, subjects, seed=seed, n_boot=200)
    shuffled = bootstrap_mean([values[i] for i in order], [subjects[i] for i in order], seed=seed, n_boot=200)
    assert shuffled.n_subjects == first.n_subjects == 7 + 4
    assert (shuffled.mean, shuffled.low, shuffled.high) == pytest.approx(
        (first.mean, first.low, first.high), rel=1e-12
    )
    assert bootstrap_mean(values, subjects, seed=seed + 1, n_boot=200).low != first.low


def test_many_subjects_take_the_normal_interval_to_which_the_bootstrap_converges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    subjects = random.choice(names(statistics.MAX_RESAMPLED), 8000)
    values = random.gamma(2, 1, 8000)
    resampled = bootstrap_mean(values, subjects)
    monkeypatch.setattr(statistics, "MAX_RESAMPLED", 100)
    normal = bootstrap_mean(values, subjects)
    assert (resampled.method, normal.method) == ("bootstrap", "normal")
    assert resampled.low is not None
    assert resampled.high is not None
    width = resampled.high - resampled.low
    assert normal.low == pytest.approx(resampled.low, abs=0.05 * width)
    assert normal.high == pytest.approx(resampled.high, abs=0.05 * width)


def test_a_whole_release_takes_moments() -> None:
    random = np.random.default_rng(0)
    values, subjects = random.normal(0, 1, 75_000), random.choice(names(3000), 75_000).tolist()
    start = time.process_time()
    bootstrap_mean(values, subjects)
    bootstrap_mean(values, [None] * 75_000)
    assert time.process_time() - start < 2  # 40 metrics in half a minute on a busy machine


def test_difference_of_the_same_people_leaves_out_what_people_add() -> None:
    random = np.random.default_rng(2)
    person = random.normal(0, 5, 20)
    first, second = person + 1 + random.normal(0, 0.1, 20), person + random.normal(0, 0.1, 20)
    together = bootstrap_difference(first, names(20), second, names(20), same_people=True)
    apart = bootstrap_difference(first, names(20), second, names(20), same_people=False)
    assert together.difference == apart.difference == pytest.approx(float((first - second).mean()))
    assert (together.n_shared, apart.n_shared) == (20, 0)
    assert together.low is not None
    assert together.high is not None
    assert apart.low is not None
    paired = stats.ttest_rel(first, second).confidence_interval()
    assert (together.low, together.high) == pytest.approx((paired.low, paired.high), abs=0.02)
    assert 0 < together.low < 1 < together.high
    assert apart.low < 0


def test_difference_of_two_sets_is_welchs() -> None:
    random = np.random.default_rng(3)
    first, second = random.normal(1, 1, 60), random.normal(0, 2, 40)
    found = bootstrap_difference(first, names(60), second, names(40), same_people=False, n_boot=5000)
    theirs = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.08)
    assert (found.n, found.n_subjects) == ((60, 40), (60, 40))


def test_difference_without_values_or_subjects_says_so() -> None:
    empty = bootstrap_difference([None], ["a"], [1.0], ["b"], same_people=True)
    assert (empty.difference, empty.low, empty.n) == (None, None, (0, 1))
    few = bootstrap_difference([1.0, 2.0], ["a", "b"], [1.0] * 9, names(9), same_people=True)
    assert (few.difference, few.low) == (0.5, None)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="2 values for 1 subjects"):
        bootstrap_mean([1.0, 2.0], ["a"])
    with pytest.raises(InputError, match="level 95"):
        bootstrap_mean([1.0], ["a"], level=95)
    with pytest.raises(InputError, match="n_boot 10"):
        bootstrap_difference([1.0], ["a"], [1.0], ["a"], same_people=True, n_boot=10)
