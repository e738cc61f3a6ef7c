"""Permutation over people, resampling within groups, many tests, and the effect that would be found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import chi2, f, f_oneway, ks_2samp, ncf

from equime.evaluation_framework.audit.effect_sizes import eta_squared
from equime.evaluation_framework.audit.permutation import (
    benjamini_hochberg,
    detectable,
    detectable_share,
    group_tables,
    label_tables,
    p_value,
    permuted_tables,
    resampled_tables,
)
from equime.seeding import stream


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 3))
def test_permuted_tables_are_those_of_permuted_labels(seed: int, n_groups: int, k: int) -> None:
    random = np.random.default_rng(seed)
    codes = np.r_[np.arange(n_groups), random.integers(n_groups, size=20)]
    columns = random.random((len(codes), k))
    found = permuted_tables(columns, codes, n_groups, 5, np.random.default_rng(1))
    labels = np.random.default_rng(1).permuted(np.tile(codes.astype(np.int16), (5, 1)), axis=1)
    assert found == pytest.approx(np.stack([group_tables(columns, row, n_groups) for row in labels]))
    assert found.sum(1) == pytest.approx(np.tile(columns.sum(0), (5, 1)))


def test_label_tables_in_parts_are_those_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    columns, labels = random.random((30, 2)), random.integers(3, size=(11, 30))
    whole = label_tables(columns, labels, 3)
    monkeypatch.setattr("equime.evaluation_framework.audit.permutation._AT_ONCE", 130)
    assert np.array_equal(label_tables(columns, labels, 3), whole)


def test_p_of_a_permutation_is_that_of_the_f_test_for_normal_numbers() -> None:
    random = np.random.default_rng(4)
    codes = np.repeat([0, 1, 2], 20)
    values = random.normal(size=60) + 0.35 * codes
    columns = np.stack([np.ones(60), values, values**2], 1)
    null = eta_squared(permuted_tables(columns, codes, 3, 20_000, random))
    observed = float(eta_squared(group_tables(columns, codes, 3)))
    expected = f_oneway(*(values[codes == g] for g in range(3))).pvalue
    assert p_value(observed, null) == pytest.approx(expected, abs=0.01)


def test_p_counts_the_observed_and_ties() -> None:
    assert p_value(1.0, np.zeros(99)) == 1 / 100
    assert p_value(0.0, np.zeros(99)) == 1
    assert p_value(0.3, np.array([0.3 * (1 - 1e-12), 0.1])) == pytest.approx(2 / 3)


def test_resampled_tables_keep_the_groups_and_their_sizes() -> None:
    codes = np.repeat([0, 1], (8, 30))
    columns = np.stack([np.ones(38), codes * 10.0], 1)
    tables = resampled_tables(columns, codes, 2, 200, np.random.default_rng(5))
    assert (tables[:, 0] == [8, 0]).all()
    assert (tables[:, 1] == [30, 300]).all()


def test_resampled_means_spread_like_the_standard_error() -> None:
    random = np.random.default_rng(6)
    values = random.normal(size=200)
    columns = np.stack([np.ones(200), values], 1)
    tables = resampled_tables(columns, np.zeros(200, np.intp), 1, 4000, random)
    assert (tables[:, 0, 1] / 200).std() == pytest.approx(values.std() / np.sqrt(200), rel=0.05)


def test_benjamini_hochberg_by_hand() -> None:
    q, n = benjamini_hochberg([0.04, None, 0.01, 0.03, 0.5])
    assert n == 4
    assert q[1] is None
    # Sorted .01 .03 .04 .5 times 4/rank: .04, .06, .0533, .5; from the largest down never rising.
    assert [q[2], q[3], q[0], q[4]] == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert benjamini_hochberg([None, None]) == ([None, None], 0)


def test_detectable_is_that_of_the_non_central_chi_squared() -> None:
    null = chi2.rvs(4, size=200_000, random_state=np.random.default_rng(7))
    # Cohen (1988), table 8.4.5 (u = 4, alpha .05, power .80): lambda = 11.94.
    found = detectable(null, 1.0)
    assert found == pytest.approx(11.94, rel=0.03)
    assert detectable(null * 3, 1.0) == pytest.approx(3 * found, rel=1e-6)
    assert detectable(np.zeros(500), 1.0) is None


@pytest.mark.parametrize("n", [20, 80])
def test_detectable_for_numbers_is_that_of_the_f_test(n: int) -> None:
    """Two groups of n / 2, eta squared: against the non-central F."""
    random = stream(0, "test", n)
    e = random.beta(0.5, (n - 2) / 2, 100_000)  # eta squared under the null
    found = detectable_share(e)
    assert found is not None
    critical = f.isf(0.05, 1, n - 2)
    expected = brentq(lambda f2: ncf.sf(critical, 1, n - 2, n * f2) - 0.8, 1e-6, 5)
    assert found / (1 - found) == pytest.approx(expected, rel=0.03)
    assert detectable_share(np.zeros(500)) is None


def test_permutations_are_uniform() -> None:
    random = np.random.default_rng(8)
    codes = np.repeat([0, 1], 15)
    columns = random.random((30, 1))
    many = permuted_tables(columns, codes, 2, 3000, np.random.default_rng(9))[:, 0, 0]
    again = [columns[random.permutation(30)[:15]].sum() for _ in range(3000)]
    assert ks_2samp(many, again).pvalue > 0.01


def test_rounding_is_no_variation() -> None:
    """Identity twins: all people show the same, so the statistic is 0 under every permutation, but for rounding."""
    noise = np.random.default_rng(3).uniform(0, 1e-30, 500)
    assert detectable_share(noise) is None
    assert detectable(noise, 1.0) is None
    assert p_value(2e-31, noise) == 1.0
