"""Flow images: against OpenCV itself, known movement, and strain worked out by hand."""

from __future__ import annotations

import platform

import cv2
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from equime.baselines import flow as f
from equime.baselines.flow_head_motion import head_similarity, steady_mask, without_head_motion
from equime.baselines.strain import min_max, optical_strain
from equime.drawn_face import describe_face
from equime.errors import InputError
from equime.seeding import stream

same_arithmetic = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="OpenCV may be built with fused products here"
)

F32 = NDArray[np.float32]


def texture(height: int, width: int, seed: int = 0) -> F32:
    """Random skin: soft noise around middle grey."""
    noise = stream(seed, "texture").normal(size=(height, width)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.asarray(128 + 40 * soft / soft.std(), np.float32)


def moved(image: F32, u: F32, v: F32) -> NDArray[np.uint8]:
    """The picture after a (small, smooth) displacement of its points, and rounding."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    back_u, back_v = u.copy(), v.copy()
    for _ in range(8):
        back_u = cv2.remap(u, x - back_u, y - back_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        back_v = cv2.remap(v, x - back_u, y - back_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    warped = cv2.remap(image, x - back_u, y - back_v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(np.rint(warped), 0, 255).astype(np.uint8)


def bump(shape: tuple[int, int], at: tuple[float, float], sigma: float) -> F32:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.asarray(np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * sigma**2)), np.float32)


@pytest.fixture(scope="module")
def pair() -> tuple[NDArray[np.uint8], NDArray[np.uint8], F32]:
    """Two pictures and the field between them: a shift and a local movement to the right and up."""
    shape = 72, 60
    local = bump(shape, (40, 22), 7)
    field = np.dstack([0.4 + 1.5 * local, -0.3 - local]).astype(np.float32)
    image = texture(*shape)
    still = np.zeros(shape, np.float32)
    return moved(image, still, still), moved(image, field[..., 0], field[..., 1]), field


@same_arithmetic
def test_tvl1_is_opencvs_own(pair) -> None:
    first, second, _ = pair
    plain = cv2.optflow.DualTVL1OpticalFlow_create().calc(first, second, None)
    np.testing.assert_array_equal(f.flow_field(first, second, "tvl1"), plain)


@pytest.mark.parametrize("method", ["tvl1", "dis"])
def test_known_movement_is_found(pair, method: f.Method) -> None:
    first, second, field = pair
    inside = np.s_[8:-8, 8:-8]
    found, truth = f.flow_field(first, second, method)[inside], field[inside]
    assert np.hypot(*(found - truth).transpose(2, 0, 1)).mean() < 0.09
    for channel in (0, 1):
        assert np.corrcoef(found[..., channel].ravel(), truth[..., channel].ravel())[0, 1] > 0.98


def test_flow_does_not_depend_on_threads(pair) -> None:
    first, second, _ = pair
    before = cv2.getNumThreads()
    try:
        found = []
        for n in (1, 2, 5):
            cv2.setNumThreads(n)
            found.append(f.flow_field(first, second, "dis"))
            assert cv2.getNumThreads() == n
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_repeated_calls_give_the_same(pair) -> None:
    """OpenCV's objects are kept; what they remember must not show."""
    first, second, _ = pair
    once = f.flow_image(first, second, method="dis")
    f.flow_image(second, first, method="dis")
    np.testing.assert_array_equal(f.flow_image(first, second, method="dis"), once)


def test_image_is_what_the_flow_folders_hold(pair) -> None:
    first, second, _ = pair
    image = f.flow_image(first, second, method="dis")
    assert image.shape == (28, 28, 3)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image.min(axis=(0, 1)), 0)
    np.testing.assert_array_equal(image.max(axis=(0, 1)), 1)
    assert f.flow_image(first, second, method="dis", size_px=40).shape == (40, 40, 3)


def test_nothing_moves(pair) -> None:
    first = pair[0]
    assert not f.flow_image(first, first, method="dis").any()
    assert not f.flow_image(first, first, method="tvl1").any()


def test_cap_is_the_smaller_picture(pair) -> None:
    first, second, _ = pair
    small = [cv2.resize(p, (30, 36), interpolation=cv2.INTER_AREA) for p in (first, second)]
    capped = f.flow_image(first, second, method="dis", max_px=36)
    np.testing.assert_array_equal(capped, f.flow_image(*small, method="dis", max_px=0))
    assert f.shrunk(first, 0) is first


@pytest.mark.parametrize(
    ("first", "second", "method"),
    [
        (np.zeros((40, 40), np.uint8), np.zeros((40, 41), np.uint8), "dis"),
        (np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40, 3), np.uint8), "dis"),
        (np.zeros((15, 40), np.uint8), np.zeros((15, 40), np.uint8), "dis"),
        (np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8), "farneback"),
    ],
)
def test_bad_pictures_are_refused(first, second, method) -> None:
    with pytest.raises(InputError):
        f.flow_field(first, second, method)


def test_strain_by_hand() -> None:
    """With u = 0.1 x + 0.2 y, v = 0.3 x - 0.1 y: exx 0.1, eyy -0.1, exy 0.25."""
    y, x = np.mgrid[:6, :7].astype(np.float32)
    strain = optical_strain(np.dstack([0.1 * x + 0.2 * y, 0.3 * x - 0.1 * y]).astype(np.float32))
    np.testing.assert_allclose(strain[1:, 1:], np.sqrt(0.01 + 0.01 + 2 * 0.0625), rtol=1e-4)


def test_shift_and_roll_strain_nothing() -> None:
    y, x = np.mgrid[:6, :7].astype(np.float32)
    roll = np.dstack([3 - 0.02 * y, 0.02 * x - 1]).astype(np.float32)
    np.testing.assert_allclose(optical_strain(roll)[1:, 1:], 0, atol=1e-6)


def test_where_strain_is_taken() -> None:
    field = np.dstack([bump((56, 56), (20, 30), 8), np.zeros((56, 56), np.float32)]).astype(np.float32)
    full, resized = (f.raw_image(field, strain=at) for at in ("full", "resized"))
    np.testing.assert_array_equal(full[..., :2], resized[..., :2])
    averaged = cv2.resize(optical_strain(field), (28, 28), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(full[..., 2], averaged, atol=1e-7)
    np.testing.assert_allclose(resized[..., 2], optical_strain(resized[..., :2].copy()))


@hypothesis.given(st.lists(st.floats(-1000, 1000, width=32), min_size=6, max_size=6))
@hypothesis.settings(max_examples=25, deadline=None)
def test_min_max_fills_0_to_1_or_is_0(values: list[float]) -> None:
    before = np.array(values, np.float32)
    channel = min_max(before.reshape(2, 3, 1)).ravel()
    if np.ptp(before) > 1e-6:
        assert channel.min() == 0
        assert channel.max() == 1
        assert (np.diff(channel[np.argsort(before)]) >= 0).all()
    else:
        assert not channel.any()


def test_channels_are_scaled_by_themselves() -> None:
    image = np.dstack([[[0, 1], [2, 4]], [[5, 5], [5, 5]], [[-3, 7], [2, 2]]]).astype(np.float32)
    expected = np.dstack([[[0, 0.25], [0.5, 1]], np.zeros((2, 2)), [[0, 1], [0.5, 0.5]]])
    np.testing.assert_allclose(min_max(image), expected, atol=1e-7)


@pytest.fixture(scope="module")
def face() -> NDArray[np.float64]:
    """Landmarks of a drawn face in a crop of 200 px."""
    return describe_face(7).landmarks(256)[:, :2].astype(np.float64) - (28, 40)


def test_head_motion_is_taken_off(face) -> None:
    """Roll, scale and shift of the head under a smile."""
    y, x = np.mgrid[:200, :200].astype(np.float32) - 99.5
    a, b, tx, ty = 0.004, -0.01, 2.5, -1.2
    head = np.dstack([a * x - b * y + tx, b * x + a * y + ty])
    corner = face[291]
    smile = np.dstack([bump((200, 200), tuple(corner), 9), -bump((200, 200), tuple(corner), 9)])
    lid = -0.8 * bump((200, 200), tuple(face[159]), 5)  # reaches into the corners of the eye
    flow = (head + smile).astype(np.float32)
    flow[..., 1] += lid
    np.testing.assert_allclose(
        head_similarity(flow, steady_mask(face, flow.shape)), (a, b, tx, ty), atol=0.02
    )
    left = without_head_motion(flow, face)
    at = np.rint(corner).astype(int)
    np.testing.assert_allclose(left[at[1], at[0]], (1, -1), atol=0.08)
    assert np.abs(left[5:30, 5:195]).max() < 0.1


def test_head_shift_with_measured_flow(face) -> None:
    """The same through pictures: the shift goes, the movement at the mouth stays."""
    shape = 200, 200
    corner = tuple(face[61])
    u = (1.0 - 1.2 * bump(shape, corner, 12)).astype(np.float32)
    v = np.full(shape, -0.6, np.float32)
    image, still = texture(*shape, seed=3), np.zeros(shape, np.float32)
    flow = f.flow_field(moved(image, still, still), moved(image, u, v), "dis")
    left = without_head_motion(flow, face)
    x, y = np.rint(face[61]).astype(int)
    assert left[y, x, 0] == pytest.approx(-1.2, abs=0.25)
    steady = left[steady_mask(face, shape)]
    np.testing.assert_allclose(np.median(steady, axis=0), 0, atol=0.05)


def test_no_steady_pixels_takes_the_whole_field() -> None:
    flow = np.full((30, 30, 2), (0.5, 0.25), np.float32)
    fit = head_similarity(flow, np.zeros((30, 30), np.bool_))
    np.testing.assert_allclose(fit, (0, 0, 0.5, 0.25), atol=1e-6)
