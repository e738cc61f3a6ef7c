"""Face crops of training pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.face.alignment import LEFT_EYE, RIGHT_EYE
from equime.generation_pipeline.pair_crop import draw_crop, face_crop, with_margin
from equime.generation_pipeline.pair_sections import Crop


def a_face(eye_px: float = 50.0, tilt_deg: float = 0.0) -> np.ndarray:
    """Landmarks whose eyes lie eye_px apart about (100, 80)."""
    points = np.full((478, 3), 90.0)
    across = eye_px / 2 * np.array([np.cos(np.deg2rad(tilt_deg)), np.sin(np.deg2rad(tilt_deg))])
    points[list(RIGHT_EYE), :2] = np.array([100.0, 80.0]) - across
    points[list(LEFT_EYE), :2] = np.array([100.0, 80.0]) + across
    return points


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(20, 90), st.floats(-30, 30))
def test_crops_lie_within_the_ranges(seed: int, eye_px: float, tilt_deg: float) -> None:
    crop = Crop(shift_sd=0.0, turn_sd_deg=0.0, square_p=0.0)
    points = a_face(eye_px, tilt_deg)
    to_crop, (width, height) = draw_crop(points, crop, np.random.default_rng(seed))
    assert 1.8 * eye_px - 1 <= width <= 2.7 * eye_px + 1
    assert 1.05 * width - 2 <= height <= 1.3 * width + 2
    right, left = (
        points[list(eye), :2].mean(0) @ to_crop[:, :2].T + to_crop[:, 2] for eye in (RIGHT_EYE, LEFT_EYE)
    )
    assert left[1] == pytest.approx(right[1], abs=1e-6), "the eyes are level, whatever the head's tilt"
    assert left[0] - right[0] == pytest.approx(eye_px), "the scale is the picture's"
    assert (left[0] + right[0]) / 2 == pytest.approx(width / 2, abs=0.6)
    assert 0.24 * height - 1 <= left[1] <= 0.42 * height + 1


def test_square_crops() -> None:
    _, (width, height) = draw_crop(a_face(), Crop(square_p=1.0), np.random.default_rng(0))
    assert width == height


def test_pixels_arrive_where_the_transform_says() -> None:
    crop = Crop(width=(2.0, 2.0), aspect=(1.2, 1.2), eyes=(0.3, 0.3), shift_sd=0, turn_sd_deg=0, square_p=0)
    luma = np.zeros((2, 200, 200), np.float32)
    luma[:, 80, 100] = 200.0  # between the eyes
    cut = face_crop(luma, a_face(), crop, np.random.default_rng(0))
    assert cut.shape == (2, 120, 100)
    assert np.unravel_index(cut[0].argmax(), cut[0].shape) == (36, 50)


def test_a_crop_beyond_the_picture_repeats_its_border() -> None:
    luma = np.full((2, 100, 150), 60.0, np.float32)
    cut = face_crop(luma, a_face(90), Crop(), np.random.default_rng(1))
    assert cut.min() == cut.max() == 60.0


def test_a_margin_is_a_share_of_the_outlines_width() -> None:
    points = np.full((478, 3), 60.0)
    points[0, :2], points[1, :2] = (40, 50), (80, 90)
    cut = with_margin(np.zeros((2, 200, 200), np.float32), points, 0.25)
    assert cut.shape == (2, 61, 61)
