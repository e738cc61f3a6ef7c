"""Distances between sets of features against closed forms, other implementations and plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from equime import torch_env
from equime.errors import InputError
from equime.evaluation_framework import distribution as d

RNG = np.random.default_rng(7)
X = RNG.normal(size=(80, 6)) @ RNG.normal(size=(6, 6)) + 0.5
Y = RNG.normal(size=(60, 6)) @ RNG.normal(size=(6, 6))


def tensors(*arrays: np.ndarray) -> list[Any]:
    torch = torch_env.torch()
    return [torch.tensor(a, dtype=torch.float64) for a in arrays]


# Frechet distance


def test_frechet_is_piqs() -> None:
    """The root that piq iterates stops at 1e-5 and only holds for covariances in good condition."""
    x = np.random.default_rng(1).normal(size=(90, 6)) * [1, 1.2, 1.4, 1.6, 1.8, 2] + 0.3
    y = np.random.default_rng(2).normal(size=(70, 6)) * [2, 1.7, 1.5, 1.3, 1.1, 1]
    fid = torch_env.load("piq").FID()
    assert d.frechet_distance(x, y) == pytest.approx(float(fid.compute_metric(*tensors(x, y))), rel=1e-4)


def test_frechet_is_what_a_matrix_root_gives() -> None:
    a, b = np.cov(X, rowvar=False), np.cov(Y, rowvar=False)
    root = np.real(linalg.sqrtm(a @ b))
    expected = np.sum((X.mean(0) - Y.mean(0)) ** 2) + np.trace(a + b - 2 * root)
    assert d.frechet_distance(X, Y) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_known_gaussians() -> None:
    """Independent axes: |m|^2 + sum (s1 - s2)^2; sets whose moments are exact."""
    unit = RNG.normal(size=(50, 3))
    unit = (unit - unit.mean(0)) @ linalg.inv(linalg.cholesky(np.cov(unit, rowvar=False)))
    first, second = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 0.5])
    shift = np.array([1.0, 0.0, -2.0])
    expected = 5.0 + np.sum((first - second) ** 2)
    assert d.frechet_distance(unit * first, unit * second + shift) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shrinkage", [0.0, 0.4])
@pytest.mark.parametrize("n", [12, 80])
def test_frechet_of_a_set_with_itself_is_zero(n: int, shrinkage: float) -> None:
    """Also with more features than clips, where a matrix root turns complex."""
    x = RNG.normal(size=(n, 40))
    assert d.frechet_distance(x, x[::-1], shrinkage) == pytest.approx(0, abs=1e-9)


def test_frechet_of_singular_covariances_is_exact() -> None:
    """Two lines in 20 dimensions at a right angle, then the same line."""
    t = np.linspace(-1, 1, 15)[:, None]
    along = np.eye(20)
    expected = 2 * np.var(t, ddof=1)
    assert d.frechet_distance(t * along[0], t * along[1]) == pytest.approx(expected, rel=1e-9)
    assert d.frechet_distance(t * along[0], 3 * t * along[0]) == pytest.approx(2 * expected, rel=1e-9)


def test_frechet_with_columns_that_depend_on_others() -> None:
    """Bins of a histogram sum to 1; the distance is that of the space they span."""
    x, y = np.column_stack([X, -X.sum(1)]), np.column_stack([Y, -Y.sum(1)])
    basis = linalg.orth(np.vstack([np.eye(6), -np.ones(6)]))
    assert d.frechet_distance(x + 1, y + 1) == pytest.approx(
        d.frechet_distance(x @ basis, y @ basis), rel=1e-6
    )


def test_ledoit_wolf_is_the_papers_formula() -> None:
    """Clip by clip, as the paper writes it: m_n, d_n^2, b_n^2."""
    x = RNG.normal(size=(30, 8)) * np.arange(1, 9)
    centred = x - x.mean(0)
    s = centred.T @ centred / 30
    m = np.trace(s) / 8
    d2 = np.sum((s - m * np.eye(8)) ** 2) / 8
    b2 = sum(np.sum((np.outer(row, row) - s) ** 2) / 8 for row in centred) / 30**2
    assert d.ledoit_wolf(x) == pytest.approx(min(b2, d2) / d2, rel=1e-9)
    assert d.ledoit_wolf(RNG.normal(size=(4000, 3)) * [1, 2, 3]) < 0.01
    assert d.ledoit_wolf(np.ones((20, 3))) == 1.0


def test_shrinkage_moves_towards_a_sphere() -> None:
    """Fully shrunk, only means and total variances are left."""
    a, b = np.trace(np.cov(X, rowvar=False)) / 6, np.trace(np.cov(Y, rowvar=False)) / 6
    expected = np.sum((X.mean(0) - Y.mean(0)) ** 2) + 6 * (np.sqrt(a) - np.sqrt(b)) ** 2
    assert d.frechet_distance(X, Y, shrinkage=1.0) == pytest.approx(expected, rel=1e-9)


# Kernel distance


def test_kernel_is_piqs() -> None:
    kid = torch_env.load("piq").KID()
    expected = float(kid.compute_metric(*tensors(X[:60], Y)))
    assert d.kernel_distance(X[:60], Y) == pytest.approx(expected, rel=1e-9)


def test_kernel_is_the_plain_sum_with_sets_of_different_sizes() -> None:
    x, y = X[:12], Y[:10]

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 6 + 1) ** 3)

    within_x = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    within_y = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    between = np.mean([k(a, b) for a in x for b in y])
    assert d.kernel_distance(x, y) == pytest.approx(within_x + within_y - 2 * between, rel=1e-9)


def test_kernel_by_subject_is_the_plain_sum_over_pairs_of_different_subjects() -> None:
    x, y = X[:12], Y[:10]
    of_x, of_y = [f"s{i // 3}" for i in range(12)], [f"s{i // 2 + 2}" for i in range(10)]

    def mean(a: np.ndarray, of_a: list[str], b: np.ndarray, of_b: list[str]) -> float:
        pairs = [(p, q) for p, s in zip(a, of_a, strict=True) for q, t in zip(b, of_b, strict=True) if s != t]
        return float(np.mean([(p @ q / 6 + 1) ** 3 for p, q in pairs]))

    expected = mean(x, of_x, x, of_x) + mean(y, of_y, y, of_y) - 2 * mean(x, of_x, y, of_y)
    assert d.kernel_distance(x, y, of_x, of_y) == pytest.approx(expected, rel=1e-9)


def test_kernel_by_subject_is_unbiased_where_every_subject_has_one_clip_of_each_emotion() -> None:
    """The design of a generated set: clips of one subject differ more than those of two subjects."""
    emotions = np.eye(4) * 3
    subjects = np.repeat(np.arange(8), 4)
    plain, by_subject = [], []
    for _ in range(200):
        x, y = (np.tile(emotions, (8, 1)) + RNG.normal(size=(32, 4)) for _ in range(2))
        plain.append(d.kernel_distance(x, y))
        by_subject.append(d.kernel_distance(x, y, subjects, subjects + 8))
    error = np.std(by_subject) / np.sqrt(200)
    assert abs(np.mean(by_subject)) < 4 * error
    assert np.mean(plain) < -10 * error


def test_kernel_is_zero_on_average_for_one_distribution() -> None:
    """Unbiased also for small sets, unlike the Frechet distance."""
    draws = [d.kernel_distance(*np.split(RNG.normal(size=(40, 10)), [12])) for _ in range(300)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(300)
    frechet = [d.frechet_distance(*np.split(RNG.normal(size=(40, 10)), [12])) for _ in range(20)]
    assert min(frechet) > 2


# Neighbours


def test_precision_and_recall_are_piqs() -> None:
    near = Y + 0.4
    precision, recall = torch_env.load("piq").PR(nearest_k=5).compute_metric(*tensors(X[:60], near))
    shares = d.neighbour_shares(near, X[:60], k=5)
    assert shares["precision"].mean() == pytest.approx(float(precision), abs=1e-6)
    assert shares["recall"].mean() == pytest.approx(float(recall), abs=1e-6)
    assert 0 < precision < 1
    assert 0 < recall < 1


def test_shares_are_what_plain_loops_give() -> None:
    x, y, k = X[:15] * 0.7, Y[:20], 3

    def radius(points: np.ndarray, i: int) -> float:
        return sorted(np.linalg.norm(points - points[i], axis=1))[k]

    inside = np.array(
        [[np.linalg.norm(a - b) <= radius(y, j) for j, b in enumerate(y)] for a in x], dtype=float
    )
    mirrored = [[np.linalg.norm(a - b) <= radius(x, i) for i, a in enumerate(x)] for b in y]
    shares = d.neighbour_shares(x, y, k)
    assert shares["precision"].tolist() == inside.max(1).tolist()
    assert shares["density"].tolist() == pytest.approx(inside.sum(1) / k)
    assert shares["coverage"].tolist() == inside.max(0).tolist()
    assert shares["recall"].tolist() == [float(any(row)) for row in mirrored]


def test_a_collapsed_set_has_precision_but_no_coverage() -> None:
    reference = RNG.normal(size=(200, 4))
    collapsed = np.tile(reference[0], (50, 1)) + RNG.normal(size=(50, 4)) * 1e-3
    shares = {name: v.mean() for name, v in d.neighbour_shares(collapsed, reference).items()}
    assert shares["precision"] == 1
    assert shares["coverage"] < 0.1
    assert shares["recall"] < 0.1


def test_an_outlier_raises_precision_and_not_density() -> None:
    """Naeem et al. 2020, figure 2: one far reference clip gives a ball that holds everything."""
    reference = np.vstack([RNG.normal(size=(100, 2)), [[40.0, 40.0]]])
    measured = RNG.normal(size=(100, 2)) * 0.5 + [12.0, 12.0]
    shares = {name: v.mean() for name, v in d.neighbour_shares(measured, reference, k=5).items()}
    assert shares["precision"] > 0.9
    assert shares["density"] < 0.3


# Invariances


@given(st.integers(0, 2**32 - 1), st.integers(10, 30), st.integers(10, 30), st.integers(1, 12))
def test_order_of_clips_and_of_features_does_not_matter(seed: int, n: int, m: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, width)), rng.normal(size=(m, width)) * 2 + 1
    columns, rows = rng.permutation(width), rng.permutation(n)
    for distance in (d.frechet_distance, d.kernel_distance):
        assert distance(x[rows][:, columns], y[:, columns]) == pytest.approx(
            distance(x, y), abs=1e-6, rel=1e-6
        )
        assert distance(x, y) == pytest.approx(distance(y, x), abs=1e-6, rel=1e-6)
    first, second = d.neighbour_shares(x, y, 3), d.neighbour_shares(x[rows][:, columns], y[:, columns], 3)
    for name, share in first.items():
        assert share.mean() == pytest.approx(second[name].mean())


def test_identical_sets() -> None:
    shares = {name: v.mean() for name, v in d.neighbour_shares(X, X).items()}
    assert shares == {"precision": 1, "recall": 1, "coverage": 1, "density": pytest.approx(shares["density"])}
    assert d.frechet_distance(X, X) == pytest.approx(0, abs=1e-9)


def test_every_clip_twice_changes_no_distribution() -> None:
    """Neither mean nor, but for n - 1, covariance; the neighbours' balls shrink to the other copies."""
    twice = np.repeat(X, 2, axis=0)
    assert d.frechet_distance(twice, X) < 0.01 * np.trace(np.cov(X, rowvar=False))
    shares = {name: v.mean() for name, v in d.neighbour_shares(twice, X).items()}
    assert shares["precision"] == shares["coverage"] == shares["recall"] == 1


# Standardising and bad input


def test_standardise_is_by_the_reference() -> None:
    x, y = d.standardise(X, Y)
    assert y.mean(0) == pytest.approx(np.zeros(6), abs=1e-12)
    assert y.std(0) == pytest.approx(np.ones(6))
    assert x == pytest.approx((X - Y.mean(0)) / Y.std(0))
    scaled = d.standardise(X * 1000 + 3, Y * 1000 + 3)
    assert scaled[0] == pytest.approx(x)


def test_what_varies_less_than_the_floor_is_in_units_of_the_floor() -> None:
    floor = np.where(Y.std(0) > np.median(Y.std(0)), 0.0, 10.0)
    x, y = d.standardise(X, Y, floor)
    plain = d.standardise(X, Y)[0]
    assert x[:, floor == 0] == pytest.approx(plain[:, floor == 0])
    assert x[:, floor > 0] == pytest.approx(((X - Y.mean(0)) / 10)[:, floor > 0])
    assert y.mean(0) == pytest.approx(np.zeros(6), abs=1e-12)


def test_columns_that_do_not_vary() -> None:
    x, y = X.copy(), Y.copy()
    x[:, 0] = y[:, 0] = 0.3
    y[:, 1] = 2.0
    a, b = d.standardise(x, y)
    assert a.shape == (80, 5)
    assert b[:, 0].tolist() == [0] * 60
    assert np.isfinite(a).all()
    with pytest.raises(InputError, match="none of the 6 columns varies"):
        d.standardise(np.ones((20, 6)), np.ones((20, 6)))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:9], Y, "measured set has 9 clips.*at least 10"),
        (X, Y[:3], "reference set has 3 clips"),
        (X[:, :5], Y, "measured has 5 columns, reference 6"),
        (X[:, 0], Y, r"shape \(80,\)"),
        (np.where(X > 2, np.nan, X), Y, "NaN or infinity"),
    ],
)
def test_bad_input_is_named(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        d.standardise(x, y)


def test_k_must_be_below_the_number_of_clips() -> None:
    with pytest.raises(InputError, match="k is 60; it must be from 1 to 59"):
        d.neighbour_shares(X, Y, 60)
