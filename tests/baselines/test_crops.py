"""Face crops: the published rectangles, and cutting beyond the frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from equime.baselines import crops
from equime.drawn_face import describe_face
from equime.face.alignment import LEFT_EYE, RIGHT_EYE


@pytest.fixture
def landmarks() -> np.ndarray:
    return describe_face(3).landmarks(320)


def eyes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return points[list(RIGHT_EYE), :2].mean(axis=0), points[list(LEFT_EYE), :2].mean(axis=0)


def test_eyes_is_the_published_rectangle(landmarks) -> None:
    """Pfister et al. 2011: from the eye centres, at a distance of d: 1.8 d wide, 2.2 d high."""
    right, left = eyes(landmarks)
    d = np.hypot(*(left - right))
    crop = crops.crop_of(landmarks, "eyes")
    assert (crop.width, crop.height) == (round(1.8 * d), round(2.2 * d))
    placed = crop.points(np.stack([right, left]).astype(np.float32))
    np.testing.assert_allclose(placed[0], (0.4 * d, 0.6 * d), atol=0.51)
    np.testing.assert_allclose(placed[1], (1.4 * d, 0.6 * d), atol=0.05 * d)


def test_face_holds_the_eyes_a_third_below_its_edge(landmarks) -> None:
    right, left = eyes(landmarks)
    d = np.hypot(*(left - right))
    crop = crops.crop_of(landmarks, "face")
    assert (crop.width, crop.height) == (round(2.25 * d), round(2.7 * d))
    middle = crop.points(((right + left) / 2)[None].astype(np.float32))[0]
    np.testing.assert_allclose(middle, (crop.width / 2, crop.height / 3), atol=0.8)


def test_tight_holds_the_mesh_and_no_more(landmarks) -> None:
    crop = crops.crop_of(landmarks, "tight")
    placed = crop.points(landmarks[:468])
    np.testing.assert_allclose(placed.min(axis=0), 0, atol=0.51)
    np.testing.assert_allclose(placed.max(axis=0), (crop.width, crop.height), atol=1.01)


def test_aligned_levels_the_eyes_at_the_frames_scale(landmarks) -> None:
    turn = cv2.getRotationMatrix2D((160, 160), 12, 1.0)
    tilted = landmarks.copy()
    tilted[:, :2] = landmarks[:, :2] @ turn[:, :2].T + turn[:, 2]
    crop = crops.crop_of(tilted.astype(np.float32), "aligned")
    right, left = eyes(crop.points(tilted.astype(np.float32)))
    assert right[1] == pytest.approx(left[1], abs=0.3)
    assert left[0] - right[0] == pytest.approx(np.hypot(*np.subtract(*eyes(tilted))), rel=0.02)
    assert crop.cut(np.zeros((320, 320, 3), np.uint8)).shape == (crop.height, crop.width, 3)


def test_whole_pixels_are_not_resampled(landmarks) -> None:
    frame = np.arange(320 * 320, dtype=np.uint32).astype(np.uint8).reshape(320, 320)
    crop = crops.crop_of(landmarks, "eyes")
    x, y = (round(-shift) for shift in crop.to_crop[:, 2])
    np.testing.assert_array_equal(crop.cut(frame), frame[y : y + crop.height, x : x + crop.width])
    np.testing.assert_array_equal(crops.whole(frame.shape).cut(frame), frame)


@pytest.mark.parametrize("shift", [(-90, -90), (250, 250), (400, -400)])
def test_beyond_the_frame_the_border_goes_on(landmarks, shift) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (320, 320, 3), np.uint8)
    moved = landmarks + np.array([*shift, 0], np.float32)
    crop = crops.crop_of(moved.astype(np.float32), "eyes")
    cut = crop.cut(frame)
    assert cut.shape == (crop.height, crop.width, 3)
    x, y = (round(-s) for s in crop.to_crop[:, 2])
    rows = np.clip(np.arange(y, y + crop.height), 0, 319)
    columns = np.clip(np.arange(x, x + crop.width), 0, 319)
    np.testing.assert_array_equal(cut, frame[np.ix_(rows, columns)])
