"""Effect sizes against scipy and the formulas of the papers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, f_oneway

from equime.evaluation_framework.audit import effect_sizes as es
from equime.evaluation_framework.audit.permutation import permuted_tables

TABLE = np.array([[10.0, 20, 5], [8, 12, 25]])


def one_clip_each(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """People with one clip each that give a table: (counts per person, group of each)."""
    groups, levels = table.shape
    cells = np.repeat(np.arange(groups * levels), table.ravel().astype(int))
    return np.eye(levels)[cells % levels], cells // levels


def moments(values: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(values), values, values**2], 1)


def test_phi_squared_is_chi_squared_over_n() -> None:
    expected = chi2_contingency(TABLE, correction=False).statistic / TABLE.sum()
    assert es.phi_squared(TABLE) == pytest.approx(expected)
    assert es.phi_squared(np.stack([TABLE, TABLE * 2])) == pytest.approx([expected] * 2)


def test_null_phi_squared_is_bergsmas_for_one_clip_each() -> None:
    counts, _ = one_clip_each(TABLE)
    assert es.null_phi_squared(counts, 2) == pytest.approx((2 - 1) * (3 - 1) / (TABLE.sum() - 1))


def test_cramers_v_is_bergsmas_for_one_clip_each() -> None:
    n, (r, c) = TABLE.sum(), TABLE.shape
    phi2 = chi2_contingency(TABLE, correction=False).statistic / n
    wide, long = r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)
    expected = np.sqrt(max(0, phi2 - (r - 1) * (c - 1) / (n - 1)) / min(wide - 1, long - 1))
    assert es.cramers_v(phi2, r, c, (r - 1) * (c - 1) / (n - 1)) == pytest.approx(expected)


def test_complete_association_is_1_and_none_is_0() -> None:
    complete = np.diag([20.0, 30, 50])
    counts, _ = one_clip_each(complete)
    null = es.null_phi_squared(counts, 3)
    assert es.cramers_v(es.phi_squared(complete), 3, 3, null) == pytest.approx(1)
    even = np.full((3, 4), 7.0)
    assert es.phi_squared(even) == pytest.approx(0, abs=1e-15)
    assert es.cramers_v(0.0, 3, 4, 0.05) == 0


def test_epsilon_squared_is_kelleys_for_one_clip_each() -> None:
    random = np.random.default_rng(1)
    parts = [random.normal(shift, 1, 20) for shift in (0, 0.5, 1)]
    values, codes = np.concatenate(parts), np.repeat(np.arange(3), 20)
    tables = np.stack([moments(values)[codes == g].sum(0) for g in range(3)])
    eta2 = float(es.eta_squared(tables))
    f = f_oneway(*parts).statistic
    assert eta2 == pytest.approx(f * 2 / (f * 2 + 57))
    null = es.null_eta_squared(moments(values), 3)
    assert null == pytest.approx(2 / 59)
    assert es.epsilon_squared(eta2, null) == pytest.approx(1 - (1 - eta2) * 59 / 57)


def test_null_values_are_the_means_over_permutations_of_people() -> None:
    random = np.random.default_rng(2)
    codes = np.repeat(np.arange(3), (10, 15, 25))
    # Every person has a laterality of their own, and emotions in turn.
    counts = np.hstack([np.eye(3)[random.integers(3, size=50)] * 6, random.multinomial(6, [0.5, 0.5], 50)])
    person = random.normal(size=(50, 1)) + random.normal(size=(50, 6))
    numbers = np.stack([np.full(50, 6.0), person.sum(1), (person**2).sum(1)], 1)
    columns = np.hstack([counts, numbers])
    tables = permuted_tables(columns, codes, 3, 4000, random)
    for own in (slice(0, 3), slice(3, 5)):
        expected = es.phi_squared(tables[..., own]).mean()
        assert es.null_phi_squared(counts[:, own], 3) == pytest.approx(expected, rel=0.05)
    assert es.null_eta_squared(numbers, 3) == pytest.approx(es.eta_squared(tables[..., 5:]).mean(), rel=0.05)
    # Alike clips of one person carry six times the chance association of independent ones.
    assert es.null_phi_squared(counts[:, :3], 3) > 5 * (2 * 2) / (300 - 1)


def test_mutual_information_is_half_of_g_over_n_with_millers_term() -> None:
    n = TABLE.sum()
    plain = chi2_contingency(TABLE, correction=False, lambda_="log-likelihood").statistic / (2 * n)
    expected = (plain + (2 + 3 - 6 - 1) / (2 * n)) / np.log(2)
    assert es.mutual_information(TABLE, 2 / (n - 1)) == pytest.approx(expected)
    assert es.mutual_information(np.full((2, 3), 10.0), 2 / 59) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), min_size=3, max_size=3), min_size=2, max_size=4))
def test_bounds_and_symmetry(rows: list[list[int]]) -> None:
    table = np.array(rows, float)
    g, k = table.shape
    if table.sum() < 2:
        return
    phi2 = es.phi_squared(table)
    assert phi2 >= 0
    assert phi2 == pytest.approx(es.phi_squared(table.T), abs=1e-12)
    counts, _ = one_clip_each(table)
    assert 0 <= es.cramers_v(phi2, g, k, es.null_phi_squared(counts, g)) <= 1
    assert es.mutual_information(table, 0.0) <= np.log2(min(g, k)) + 1e-9


def test_what_does_not_vary_has_no_effect() -> None:
    constant = moments(np.full(20, 3.0))
    tables = np.stack([constant[:10].sum(0), constant[10:].sum(0)])
    assert es.eta_squared(tables) == 0
    assert es.null_eta_squared(constant, 2) == 0
    assert es.phi_squared(np.array([[0.0, 0], [0, 0]])) == 0
