"""Intervals and null distributions: by subject, and right as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from equime.errors import InputError
from equime.evaluation_framework.distribution import frechet_distance, kernel_distance, neighbour_shares
from equime.evaluation_framework.set_distance import Sets


def clustered(
    rng: np.random.Generator, n_subjects: int, n_clips: int, width: int, shift: float = 0.0
) -> tuple[np.ndarray, list[str]]:
    """Clips of a subject are alike: half of the variance is between subjects."""
    between = np.repeat(rng.normal(size=(n_subjects, width)), n_clips, axis=0)
    values = (between + rng.normal(size=(n_subjects * n_clips, width))) / np.sqrt(2) + shift
    return values, [f"s{i // n_clips}" for i in range(n_subjects * n_clips)]


def sets(seed: int, shift: float = 0.0, width: int = 4, n_resamples: int = 100, n_subjects: int = 20) -> Sets:
    rng = np.random.default_rng(seed)
    x, sx = clustered(rng, n_subjects, 4, width, shift)
    y, sy = clustered(rng, n_subjects, 4, width)
    sy = [f"r{name}" for name in sy]
    return Sets(x, y, sx, sy, n_resamples=n_resamples, seed=seed)


def test_values_are_those_of_the_plain_functions() -> None:
    s = sets(1, 0.4)
    assert s.frechet().value == frechet_distance(s.x, s.y)
    assert s.kernel().value == pytest.approx(kernel_distance(s.x, s.y, s.x_subjects, s.y_subjects))
    shares = neighbour_shares(s.x, s.y)
    found = s.neighbours()
    assert found.precision.mean == pytest.approx(shares["precision"].mean())
    assert found.coverage.mean == pytest.approx(shares["coverage"].mean())
    assert (found.coverage.n, found.coverage.n_subjects) == (80, 20)


def test_the_same_seed_gives_the_same_record() -> None:
    assert sets(2).frechet() == sets(2).frechet()
    assert sets(2).kernel() == sets(2).kernel()


@pytest.mark.parametrize("kind", ["frechet", "kernel"])
def test_equal_distributions_are_rarely_told_apart_and_shifted_ones_always(kind: str) -> None:
    """P below 0.1 in about a tenth of 40 pairs. Resampling clips and not subjects gives it in most of them."""
    p_values = [getattr(sets(seed), kind)().p_value for seed in range(40)]
    assert np.mean(np.array(p_values) < 0.1) < 0.3
    far = getattr(sets(3, shift=1.5), kind)()
    assert far.p_value == pytest.approx(1 / 101)
    assert far.value > 3 * far.null_high
    assert far.low > far.null_high


def test_exchanging_clips_instead_of_subjects_finds_differences_that_are_none() -> None:
    """Why the null is by subject: the same sets, every clip declared a subject of its own."""
    small = []
    for seed in range(20):
        s = sets(seed)
        alone = [f"{i}" for i in range(80)]
        small.append(Sets(s.x, s.y, alone, alone, n_resamples=50, seed=seed).kernel().p_value)
    assert np.mean(np.array(small) < 0.1) > 0.4


def test_the_interval_holds_the_expected_distance() -> None:
    """Of sets of these sizes, from 200 fresh draws; in at least 8 of 10 for a level of 0.95."""
    fresh = [kernel_distance(s.x, s.y) for s in (sets(seed, 0.7, n_resamples=0) for seed in range(200, 400))]
    truth = np.mean(fresh)
    found = [sets(seed, 0.7).kernel() for seed in range(20)]
    inside = [d.low is not None and d.high is not None and d.low <= truth <= d.high for d in found]
    assert np.mean(inside) >= 0.8


def test_the_interval_lies_around_the_value() -> None:
    """A plain percentile interval of a biased distance would lie above it."""
    found = sets(5, width=15).frechet()
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_the_extrapolated_distance_loses_the_bias() -> None:
    """One clip of each of 200 subjects per set; 20 features of shift 0.5 are 5.0 apart."""
    rng = np.random.default_rng(0)
    names = [f"{i}" for i in range(200)]
    raw, free = [], []
    for seed in range(6):
        x, y = rng.normal(size=(200, 20)) + 0.5, rng.normal(size=(200, 20))
        found = Sets(x, y, names, names, n_resamples=0, seed=seed).frechet()
        assert found.extrapolated is not None
        raw.append(found.value)
        free.append(found.extrapolated)
    assert np.mean(raw) > 5.7
    assert np.mean(free) == pytest.approx(5.0, abs=0.5)


def test_more_features_than_clips_are_shrunk_and_not_extrapolated() -> None:
    s = sets(4, width=100, n_subjects=10, n_resamples=20)
    found = s.frechet()
    assert found.shrinkage is not None
    assert 0 < found.shrinkage <= 1
    assert found.extrapolated is None
    assert s.frechet(shrink=False).value == frechet_distance(s.x, s.y)
    assert s.frechet(shrink=False).shrinkage == 0
    assert sets(4, n_resamples=0).frechet().shrinkage == 0


def test_a_set_of_one_subject_has_no_kernel_distance() -> None:
    s = sets(6)
    alone = Sets(s.x, s.y, ["s"] * 80, s.y_subjects.tolist())
    with pytest.raises(InputError, match="each set needs two subjects or more"):
        alone.kernel()
    assert alone.frechet().value > 0


def test_few_subjects_have_no_interval() -> None:
    found = sets(6, n_subjects=4).kernel()
    assert found.n_measured == 16
    assert (found.low, found.high, found.null_median, found.p_value) == (None, None, None, None)


def test_large_sets_are_thinned_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equime.evaluation_framework.set_distance.MAX_CLIPS", 30)
    s = sets(7)
    assert s.kernel().n_measured == 30
    assert s.neighbours().precision.n == 30
    assert s.frechet().n_measured == 80


def test_bad_input_is_named() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(InputError, match="19 and 20 subjects for 20 and 20 clips"):
        Sets(x, x, ["a"] * 19, ["a"] * 20)
    with pytest.raises(InputError, match="reference set has 5 clips"):
        Sets(x, x[:5], ["a"] * 20, ["a"] * 5)
