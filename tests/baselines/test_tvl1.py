"""TV-L1 against OpenCV's own, bit for bit: sizes, noise, borders, flat areas, and what decides when it stops."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from equime.baselines import tvl1
from equime.baselines.flow import one_thread
from equime.seeding import stream
from tests.baselines.test_flow import bump, moved, same_arithmetic, texture

U8 = NDArray[np.uint8]


def pair_of(height: int, width: int, seed: int, noise: float = 4.0) -> tuple[U8, U8]:
    """A texture that shifts and moves locally, under noise."""
    local = bump((height, width), (0.6 * width, 0.4 * height), 0.12 * width)
    u, v = (0.5 + 1.5 * local).astype(np.float32), (-0.4 - local).astype(np.float32)
    random, image = stream(seed, "tvl1"), texture(height, width, seed)
    still = np.zeros_like(u)
    noisy = [
        moved(image, *field) + random.normal(0, noise, (height, width)) for field in ((still, still), (u, v))
    ]
    first, second = (np.clip(np.rint(one), 0, 255).astype(np.uint8) for one in noisy)
    return first, second


def opencv(first: U8, second: U8) -> NDArray[np.float32]:
    """A new object each time: it remembers."""
    with one_thread():
        return np.asarray(cv2.optflow.DualTVL1OpticalFlow.create().calc(first, second, None), np.float32)


@same_arithmetic
@pytest.mark.parametrize("size", [(72, 64), (61, 71), (40, 55), (24, 90), (33, 18), (16, 16), (9, 12)])
def test_equals_opencv(size: tuple[int, int]) -> None:
    first, second = pair_of(*size, seed=size[0])
    ours, theirs = tvl1.tvl1_flow(first, second), opencv(first, second)
    assert np.abs(theirs).max() > 0.3
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs)


@same_arithmetic
def test_equals_opencv_where_nothing_is_to_be_seen() -> None:
    """Black and even areas, where the gradient is 0 or nearly so, and a picture that leaves the frame."""
    first, second = pair_of(38, 46, seed=3, noise=0)
    for picture in (first, second):
        picture[:, :15] = 0
        picture[24:, 30:] = 128
    np.testing.assert_array_equal(tvl1.tvl1_flow(first, second), opencv(first, second))
    gone = np.roll(first, 9, axis=1)
    np.testing.assert_array_equal(tvl1.tvl1_flow(first, gone), opencv(first, gone))


def test_near_the_limit_changes_are_added_in_order() -> None:
    """Where rounding decides whether to go on, the sum is that of float32 numbers in reading order."""
    first, second = (one.astype(np.float32) for one in pair_of(45, 37, seed=5))

    def iterated(limit: float) -> tuple[float, NDArray[np.float32]]:
        still = np.zeros_like(first)
        scale = tvl1._Scale(first, second, (still, still))
        scale.warp()
        change = tvl1._iterate(scale.state.ravel(), first.shape, scale.state.shape[2], scale.columns, limit)
        return change, scale.planes[tvl1._CHANGE]

    last, _ = iterated(0.0)
    change, squares = iterated(last * (1 - 1e-5))
    assert change == np.cumsum(squares.ravel(), dtype=np.float32)[-1]
    assert change == pytest.approx(squares.sum(dtype=np.float64), rel=1e-5)


def test_known_shift() -> None:
    image, still = texture(48, 56, seed=2), np.zeros((48, 56), np.float32)
    second = moved(image, still + np.float32(0.75), still - np.float32(1.5))
    flow = tvl1.tvl1_flow(moved(image, still, still), second)[8:-8, 8:-8]
    np.testing.assert_allclose(flow.mean(axis=(0, 1)), (0.75, -1.5), atol=0.05)


def test_nothing_is_remembered() -> None:
    """Small pictures between and other threads beside change nothing."""
    first, second = pair_of(48, 44, seed=7)
    once = tvl1.tvl1_flow(first, second)
    tvl1.tvl1_flow(first[:17, :17].copy(), second[:17, :17].copy())
    with ThreadPoolExecutor(3) as pool:
        for again in pool.map(lambda _: tvl1.tvl1_flow(first, second), range(3)):
            np.testing.assert_array_equal(again, once)
