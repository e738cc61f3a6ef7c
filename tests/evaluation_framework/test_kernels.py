"""The compiled loops against scikit-image, NumPy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity

from equime.evaluation_framework import kernels

Image = NDArray[np.uint8]


def image(seed: int, height: int, width: int, spread: int) -> Image:
    rng = np.random.Generator(np.random.PCG64(seed))
    base = rng.integers(0, 256 - spread)
    return rng.integers(base, base + spread + 1, (height, width)).astype(np.uint8)


pairs = st.builds(
    lambda seed, height, width, spread: (image(seed, height, width, spread), image(seed + 1, height, width, spread)),
    st.integers(0, 10**6), st.integers(7, 60), st.integers(7, 60), st.sampled_from([0, 1, 12, 255]),
)  # fmt: skip


@given(pairs)
@settings(max_examples=60, deadline=None)
def test_ssim_is_scikit_images(pair: tuple[Image, Image]) -> None:
    assert kernels.ssim(*pair) == pytest.approx(structural_similarity(*pair), abs=1e-10)


def test_ssim_of_extremes() -> None:
    black, white = np.zeros((40, 50), np.uint8), np.full((40, 50), 255, np.uint8)
    assert kernels.ssim(white, white) == 1
    c1 = (0.01 * 255) ** 2
    assert kernels.ssim(black, white) == pytest.approx(c1 / (255**2 + c1), rel=1e-12)
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)  # the largest sums and variances
    for other in (255 - checks, white[:1].repeat(64, 0)[:, :1].repeat(64, 1)):
        assert kernels.ssim(checks, other) == pytest.approx(structural_similarity(checks, other), abs=1e-10)


@given(pairs)
@settings(max_examples=60, deadline=None)
def test_squared_differences_are_numpys_with_and_without_wrapping(pair: tuple[Image, Image]) -> None:
    a, b = pair
    exact, wrapped = kernels.squared_differences(a, b)
    assert exact == ((a.astype(int) - b) ** 2).sum()
    assert wrapped == ((a - b) ** 2).sum(dtype=np.int64)
    assert ((a - b) ** 2).dtype == np.uint8


@given(pairs)
@settings(max_examples=60, deadline=None)
def test_squared_gradients_are_numpys(pair: tuple[Image, Image]) -> None:
    wide = pair[0].astype(int)
    expected = (np.diff(wide, axis=0) ** 2).sum() + (np.diff(wide, axis=1) ** 2).sum()
    assert kernels.squared_gradients(pair[0]) == expected


def test_sums_do_not_overflow() -> None:
    """The largest differences there are, in more pixels than 32 bits hold the squares of."""
    stripes = np.zeros((300, 50_000), np.uint8)
    stripes[:, ::2] = 255
    exact, _ = kernels.squared_differences(stripes, 255 - stripes)
    assert exact == 255**2 * stripes.size
    assert kernels.squared_gradients(stripes) == 255**2 * 300 * 49_999


@pytest.mark.parametrize("shape", [(41, 53), (7, 14), (3, 5), (1, 1)])
def test_sums_of_coefficients_are_those_of_plain_numpy(shape: tuple[int, int]) -> None:
    levels = image(3, *shape, 200).astype(np.float64)
    one = np.exp(-((np.arange(7) - 3.0) ** 2) / (2 * (7 / 6) ** 2))
    window = np.outer(one, one) / np.outer(one, one).sum()
    mean = ndimage.convolve(levels, window, mode="constant")
    variance = ndimage.convolve(levels**2, window, mode="constant") - mean**2
    expected = (levels - mean) / (np.sqrt(np.abs(variance)) + 1)
    moments, products = kernels.mscn_sums(levels.astype(np.float32), window.astype(np.float32))
    assert moments == pytest.approx([np.abs(expected).sum(), (expected**2).sum()], rel=1e-5)
    for row, shift in zip(products, [(0, 1), (1, 0), (1, 1), (-1, 1)], strict=True):
        p = expected * np.roll(expected, shift, (0, 1))
        left, right = p[p < 0], p[p > 0]
        values = [(left**2).sum(), (right**2).sum(), np.abs(p).sum(), left.size, right.size]
        assert row == pytest.approx(values, rel=1e-5)


def test_rows_are_resampled_by_index_and_weight() -> None:
    levels = image(5, 9, 11, 255).astype(np.float32)
    index = np.array([[0, 0, 1], [4, 8, 8]])
    weight = np.array([[0.5, 0.25, 0.25], [0, 2, -1]], np.float32)
    expected = np.stack([0.75 * levels[0] + 0.25 * levels[1], levels[8]])
    assert np.abs(kernels.resample_rows(levels, index, weight) - expected).max() < 1e-4
