"""Motion analysis against fields that are known because the pictures were warped by them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from equime.drawn_face import draw_face
from equime.errors import InputError
from equime.motion.head_motion import HeadModel, HeadPose
from equime.motion.regions import face_map
from equime.motion.session import flow_method
from equime.motion.track import REGIONS, MotionTrack
from tests.motion.motion_cases import (
    Image,
    context,
    moved,
    noisy,
    push_weight,
    pushed,
    session,
    track,
)

SIZE = 384


@pytest.fixture(scope="module")
def face() -> Image:
    return np.ascontiguousarray(draw_face(21, size_px=SIZE)[..., ::-1])


@pytest.fixture(scope="module")
def still(face: Image) -> MotionTrack:
    return track([face] * 4)


def row(name: str) -> int:
    return REGIONS.index(name)


def test_a_frozen_clip_does_not_move_at_all(still: MotionTrack) -> None:
    assert np.abs(still.displacement_mm).max() < 0.01
    assert np.abs(still.change).max() == 0.0
    assert np.abs(still.head[:, :3]).max() < 0.01
    assert np.abs(still.aperture - 1.0).max() < 0.01
    assert 0 <= still.peak_frame < 4


def test_shapes_and_types(still: MotionTrack) -> None:
    n, r = 4, len(REGIONS)
    shapes = {
        "displacement_mm": (n, r, 2), "magnitude_mm": (n, r), "strain": (n, r), "head": (n, 4), "aperture": (n, 2),
        "change": (n,), "landmarks": (478, 2), "peak_flow_mm": (256, 256, 2), "head_turn_deg": (n, 2),
    }  # fmt: skip
    for name, shape in shapes.items():
        assert getattr(still, name).shape == shape, name
        assert getattr(still, name).dtype == np.float32, name
    assert still.reference_bgr.shape == still.peak_bgr.shape == (SIZE, SIZE, 3)
    assert still.crop.shape == (2, 3)


def mean_share(still: MotionTrack, region: str, landmark: int) -> float:
    """How much of a push of radius 60 px the region as a whole takes part in."""
    landmarks = np.column_stack([still.landmarks, np.zeros(478)]).astype(np.float32)
    layout = face_map(landmarks, still.px_per_mm, 256)
    rows, columns = np.nonzero(layout.regions[row(region)])
    back = np.linalg.inv(np.vstack([layout.crop, [0, 0, 1]]))
    x, y = (np.column_stack([columns, rows]) @ back[:2, :2].T + back[:2, 2]).T
    return float(push_weight(x, y, still.landmarks[landmark], 60.0).mean())


@pytest.mark.parametrize(
    ("region", "landmark", "dx", "dy"),
    [
        ("brow_right", 105, 0.0, -2.5),
        ("mouth_left", 291, 1.5, -1.5),
        ("mouth_right", 61, -0.8, 0.0),
    ],
)
def test_a_pushed_patch_is_found_where_and_as_far_as_it_was_pushed(
    face: Image, still: MotionTrack, region: str, landmark: int, dx: float, dy: float
) -> None:
    image = pushed(face, still.landmarks[landmark], 60.0, dx, dy)
    found = track([noisy(face, 1), noisy(image, 2)])
    expected = np.array([dx, -dy]) / still.px_per_mm * mean_share(still, region, landmark)
    measured = found.displacement_mm[1, row(region)]
    assert np.linalg.norm(measured - expected) < 0.15 * np.linalg.norm(expected) + 0.05
    assert found.magnitude_mm[1].argmax() == row(region)
    far = "chin" if "brow" in region else "brow_left"
    assert np.linalg.norm(found.displacement_mm[1, row(far)]) < 0.2


@pytest.mark.parametrize(
    "pose",
    [
        {"dx": 3.0, "dy": -2.0},
        {"roll_deg": 2.0},
        {"scale": 1.02},
        {"dx": -25.0, "dy": 12.0, "roll_deg": -4.0, "scale": 0.97},
    ],
)
def test_head_motion_is_taken_off_and_reported(
    face: Image, still: MotionTrack, pose: dict[str, float]
) -> None:
    steps = [
        {k: (1 + (v - 1) * s if k == "scale" else v * s) for k, v in pose.items()}
        for s in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    found = track([moved(face, **step) for step in steps])
    # What is left of up to 14 mm of head motion is below the least movement that counts.
    assert np.linalg.norm(found.displacement_mm, axis=2).max() < 0.12
    assert found.head[-1, 2] == pytest.approx(-pose.get("roll_deg", 0.0) * -1.0, abs=0.1)
    assert found.head[-1, 3] == pytest.approx(np.log(pose.get("scale", 1.0)), abs=0.002)
    if set(pose) == {"dx", "dy"}:
        mm = np.array([pose["dx"], -pose["dy"]]) / still.px_per_mm
        assert found.head[-1, :2] == pytest.approx(mm, abs=0.05)


def test_a_movement_is_seen_on_a_moving_head(face: Image, still: MotionTrack) -> None:
    up = pushed(face, still.landmarks[105], 60.0, 0.0, -2.0)
    images = [moved(face, dx=4.0 * i) for i in range(5)] + [moved(up, dx=20.0)]
    found = track(images)
    assert found.displacement_mm[-1, row("brow_right"), 1] == pytest.approx(2.0 / still.px_per_mm, rel=0.2)
    assert found.peak_frame == 5
    centre = np.rint(found.crop[:, :2] @ found.landmarks[105] + found.crop[:, 2]).astype(int)
    assert found.peak_flow_mm[centre[1], centre[0], 1] == pytest.approx(2.0 / still.px_per_mm, rel=0.25)
    assert np.array_equal(found.peak_bgr, images[5])


def test_a_turn_in_depth_is_fitted_exactly(still: MotionTrack) -> None:
    """A rigid turn leaves nothing, and skin that moves by itself does not disturb the fit."""
    z = np.random.Generator(np.random.PCG64(3)).normal(0, 20, 478)
    landmarks = np.column_stack([still.landmarks, z]).astype(np.float32)
    layout = face_map(landmarks, still.px_per_mm, 256)
    model = HeadModel(layout, np.zeros_like(layout.face))
    x, y, depth = model._x, model._y, model._z
    yaw, pitch, a, b = np.deg2rad(1.5), np.deg2rad(-0.8), 1.01, 0.02
    k, m = -a * np.sin(yaw), a * np.sin(pitch)
    field = np.stack([a * x - b * y + k * depth + 2.0 - x, b * x + a * y + m * depth - 1.0 - y], axis=-1)
    field = field.astype(np.float32)
    own = np.zeros_like(field)
    own[layout.regions[row("chin")]] = (0.0, 3.0)
    pose = model.fit(field + own)
    assert pose.turn_deg == pytest.approx((1.5, -0.8), abs=0.05)
    assert pose.t_mm == pytest.approx((2.0, -1.0), abs=0.02)
    assert pose.as_row == pytest.approx(
        (2.0, 1.0, np.rad2deg(np.arctan2(b, a)), np.log(np.hypot(a, b))), abs=0.02
    )
    left = model.remove(field, pose)
    assert np.abs(left[layout.face]).max() < 0.05
    assert np.allclose(model.remove(field[::2, ::2], pose, 2), left[::2, ::2])


def test_no_motion_is_no_pose() -> None:
    assert HeadPose.still().as_row == (0.0, 0.0, 0.0, 0.0)
    assert HeadPose.still().turn_deg == (0.0, 0.0)


def test_noise_and_black_show_no_face() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    noise = [rng.integers(0, 256, (160, 160, 3), dtype=np.uint8) for _ in range(7)]
    assert session(noise).finish() is None
    assert session([np.zeros((96, 96, 3), np.uint8)]).finish() is None
    assert session([]).finish() is None


def test_a_face_that_comes_late_is_the_reference(face: Image) -> None:
    found = track([np.zeros_like(face), np.zeros_like(face), face, face])
    assert found.reference_frame == 2
    assert len(found.time_ms) == 4
    assert np.abs(found.displacement_mm[2:]).max() < 0.01
    assert session([np.zeros_like(face)] * 5 + [face]).finish() is None


def test_one_frame_is_a_track_of_one(face: Image) -> None:
    found = track([face])
    assert len(found.time_ms) == 1
    assert found.peak_frame == 0


def test_memory_does_not_grow_with_the_clip(face: Image) -> None:
    started = session([noisy(face, i, 2.0) for i in range(3)] * 8, fps=4.0)
    assert started._face is not None
    assert len(started._face._peaks.kept) <= 4
    assert len(started._face._lid_peaks.kept) <= 4


def test_large_pictures_are_cut_to_the_same_crop(face: Image) -> None:
    large = np.asarray(cv2.resize(face, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC), np.uint8)
    first = track([large])
    corner = first.landmarks[61]
    found = track([large, pushed(large, corner, 180.0, -6.0, 0.0)])
    expected = -6.0 / first.px_per_mm
    assert found.displacement_mm[1, row("mouth_right"), 0] == pytest.approx(expected, rel=0.15)


def test_flow_methods() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    noise = cv2.GaussianBlur(rng.normal(0, 1, (96, 96)).astype(np.float32), (0, 0), 2.0)
    first = np.clip(128 + 120 * noise / np.abs(noise).max(), 0, 255).astype(np.uint8)
    second = np.asarray(
        cv2.warpAffine(first, np.array([[1, 0, 0.6], [0, 1, -0.4]]), (96, 96), flags=cv2.INTER_CUBIC),
        np.uint8,
    )
    for name in ("dis", "tvl1"):
        flow = flow_method(name)(first, second)[16:-16, 16:-16]
        assert flow.dtype == np.float32
        assert np.median(flow, axis=(0, 1)) == pytest.approx((0.6, -0.4), abs=0.08), name
    with pytest.raises(InputError, match="use dis or tvl1"):
        flow_method("horn")


def test_context_is_what_the_annotators_get() -> None:
    assert context().motion is None
