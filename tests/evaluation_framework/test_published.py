"""The published means, and what makes them comparable or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from equime import torch_env
from equime.evaluation_framework.published import COLUMNS, compare_with_published, published_means
from equime.evaluation_framework.statistics import Estimate

MEANS = {
    name: Estimate(mean=value, low=value - 1, high=value + 1, n=25, n_subjects=5)
    for name, value in {"psnr_wrapped_consecutive_db": 44.0, "ssim_consecutive": 0.98, "tv": 20.0}.items()
}


def row(rows: Any, metric: str, name: str) -> Any:
    return next(r for r in rows if (r.metric, r.name) == (metric, name))


# What the published PSNR is


def published_psnr(a: np.ndarray, b: np.ndarray) -> float:
    """As EquiME's script computes it."""
    mse = np.mean((a - b) ** 2)
    return 100.0 if mse == 0 else float(20 * np.log10(255.0 / np.sqrt(mse)))


def flat(level: int) -> np.ndarray:
    return np.full((8, 8), level, np.uint8)


def test_a_difference_of_16_counts_as_none() -> None:
    assert published_psnr(flat(100), flat(116)) == published_psnr(flat(100), flat(100)) == 100.0
    assert published_psnr(flat(0), flat(240)) == 100.0


def test_it_is_right_up_to_a_difference_of_15() -> None:
    for difference in range(1, 16):
        right = 20 * np.log10(255 / difference)
        assert published_psnr(flat(50), flat(50 + difference)) == pytest.approx(right)
    assert published_psnr(flat(50), flat(50 + 17)) > 20 * np.log10(255 / 17) + 5


def test_it_never_falls_under_24_db() -> None:
    """Black against white is 0 dB; here it is 48 dB, as a difference of 1. The floor is a squared 249."""
    every = np.arange(256, dtype=np.uint8)
    squares = (every[:, None] - every[None, :]) ** 2
    assert squares.max() == 249
    lowest = min(published_psnr(flat(0), flat(int(level))) for level in every)
    assert lowest == pytest.approx(10 * np.log10(255**2 / 249))
    assert lowest > 24.07
    assert published_psnr(flat(0), flat(255)) == pytest.approx(20 * np.log10(255))


def test_total_variation_depends_on_the_size() -> None:
    """The same noise in four times as many pixels is twice the total variation."""
    torch, piq = torch_env.torch(), torch_env.load("piq")
    noise = torch.tensor(np.random.default_rng(0).random((1, 1, 64, 64)))
    larger = torch.tensor(np.random.default_rng(1).random((1, 1, 128, 128)))
    ratio = float(piq.total_variation(larger) / piq.total_variation(noise))
    assert ratio == pytest.approx(2, rel=0.05)


# The table


def test_every_published_set_has_every_column() -> None:
    published = published_means()
    assert list(published.sets) == ["EquiME", "SAMM", "SMIC", "MiE-X"]
    for one in published.sets.values():
        assert set(one.mean) == set(COLUMNS.values())
        assert set(one.sd) <= set(one.mean)
    assert "noobasuna/equime" in published.source


def test_rows_are_complete_and_in_order() -> None:
    rows = compare_with_published(MEANS)
    assert [(r.metric, r.name) for r in rows] == [(m, n) for m in COLUMNS for n in published_means().sets]
    equime = row(rows, "psnr_wrapped_consecutive_db", "EquiME")
    assert (equime.mean, equime.low, equime.high, equime.n) == (44.0, 43.0, 45.0, 25)
    assert (equime.published_mean, equime.published_sd, equime.published_n) == (40.86, 4.21, 1153)


def test_the_same_formula_rate_and_size_is_comparable() -> None:
    rows = compare_with_published(MEANS, fps=23.976, size_px=(256, 256))
    good = {(r.metric, r.name) for r in rows if r.comparable}
    assert good == {(metric, "EquiME") for metric in MEANS}


@pytest.mark.parametrize(
    ("metric", "name", "fps", "size_px", "why"),
    [
        ("psnr_wrapped_consecutive_db", "EquiME", 60, (256, 256), "EquiME has 24 fps, these clips 60"),
        ("psnr_wrapped_consecutive_db", "EquiME", None, (256, 256), "these clips mixed or unknown"),
        ("ssim_consecutive", "MiE-X", 24, (256, 256), "an onset and an apex image"),
        ("ssim_consecutive", "SAMM", 200, (640, 480), "that of SAMM was not published"),
        ("tv", "EquiME", 24, (512, 512), "EquiME has 256 x 256 px, these clips 512 x 512 px"),
        ("brisque", "EquiME", 24, (256, 256), "not measured"),
    ],
)
def test_what_is_not_comparable_says_why(
    metric: str, name: str, fps: float | None, size_px: tuple[int, int], why: str
) -> None:
    found = row(compare_with_published(MEANS, fps=fps, size_px=size_px), metric, name)
    assert not found.comparable
    assert why in found.why


def test_the_right_psnr_is_never_compared_with_the_wrapped_one() -> None:
    means = {"psnr_consecutive_db": Estimate(mean=40.0, low=None, high=None, n=9, n_subjects=1)}
    rows = compare_with_published(means, fps=24, size_px=(256, 256))
    assert not any(r.comparable for r in rows)
    assert "wrapped" in row(rows, "psnr_consecutive_db", "EquiME").why
