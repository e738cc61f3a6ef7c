"""Pose of turned landmarks, sizes by hand, and clips with no face or several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from equime.annotation.measure import measure_clip
from equime.attribute_extraction.face_geometry import METRICS, FaceGeometry, geometry_row, pose_deg
from equime.attribute_extraction.sampled_faces import sampled_faces
from equime.attribute_extraction.skin_tone import SkinTone
from equime.frames import Frame
from tests.attribute_extraction.portraits import SIZE, clip, drawn, sample

F32 = NDArray[np.float32]


def turned(points: F32, yaw: float = 0, pitch: float = 0, roll: float = 0) -> F32:
    """Landmarks of the head turned to the subject's left, up, and tilted to the subject's left shoulder.

    x to the right of the picture, y down, z away from the camera: turning left brings the tip of the nose to the
    right, turning up brings it up, tilting left lowers the eye on the right.
    """
    a, b, c = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    middle = points.mean(axis=0)
    return ((points - middle) @ (about_z @ about_x @ about_y).T + middle).astype(np.float32)


@pytest.mark.parametrize("degrees", [-35, -10, 12, 40])
def test_turned_landmarks(degrees: float) -> None:
    points = drawn()[1]
    still = np.array(pose_deg(points))
    np.testing.assert_allclose(pose_deg(turned(points, yaw=degrees))[0] - still[0], degrees, atol=0.5)
    np.testing.assert_allclose(pose_deg(turned(points, pitch=degrees))[1] - still[1], degrees, atol=0.5)
    np.testing.assert_allclose(pose_deg(turned(points, roll=degrees))[2] - still[2], degrees, atol=0.5)
    assert np.abs(still).max() < 5


def test_signs() -> None:
    points = drawn()[1]
    left, up, tilted = turned(points, yaw=20), turned(points, pitch=20), turned(points, roll=20)
    assert left[1, 0] > points[1, 0]
    assert up[1, 1] < points[1, 1]
    assert tilted[473, 1] > tilted[468, 1]


def test_sizes_by_hand() -> None:
    rgb, points = drawn()
    values: dict[str, Any] = geometry_row(sample((rgb, points))).values
    distance = np.linalg.norm(points[468, :2] - points[473, :2])
    assert values["eye_distance_px"] == pytest.approx(distance)
    assert values["face_height_px"] == pytest.approx(np.linalg.norm(points[10, :2] - points[152, :2]))
    assert values["face_width_px"] == pytest.approx(np.linalg.norm(points[234, :2] - points[454, :2]))
    oval = np.pi / 4 * values["face_height_px"] * values["face_width_px"] / SIZE**2
    assert values["face_share"] == pytest.approx(oval, rel=0.15)


def test_medians_and_ranges_over_frames() -> None:
    rgb, points = drawn()
    turns = [turned(points, yaw=yaw) for yaw in (-10, 0, 2)]
    values: dict[str, Any] = geometry_row(sample(*((rgb, p) for p in turns))).values
    assert values["measured_yaw_deg"] == pytest.approx(pose_deg(points)[0])
    assert values["yaw_range_deg"] == pytest.approx(12, abs=0.3)
    assert values["n_face_frames"] == values["n_sampled_frames"] == 3


def test_a_tilted_picture() -> None:
    rgb, _ = drawn()
    # Clockwise as seen lowers the eye on the right of the picture: the subject's left.
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), -15, 1)
    tilted = cv2.warpAffine(rgb, turn, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    frame = Frame(0, 0.0, np.ascontiguousarray(tilted[..., ::-1]))
    values: dict[str, Any] = geometry_row(sampled_faces([frame])).values
    assert values["measured_roll_deg"] == pytest.approx(15, abs=1.5)
    assert abs(values["measured_yaw_deg"]) < 4


def test_found_sizes_are_those_that_were_drawn() -> None:
    rgb, points = drawn()
    frame = Frame(0, 0.0, np.ascontiguousarray(rgb[..., ::-1]))
    found: dict[str, Any] = geometry_row(sampled_faces([frame])).values
    true: dict[str, Any] = geometry_row(sample((rgb, points))).values
    for name in ("eye_distance_px", "face_height_px", "face_width_px"):
        assert found[name] == pytest.approx(true[name], rel=0.08)


def test_no_face() -> None:
    row = geometry_row(sampled_faces([Frame(0, 0.0, np.zeros((64, 64, 3), np.uint8))]))
    assert [code for code, _ in row.notes] == ["no_face"]
    assert row.values["n_faces_max"] == row.values["n_face_frames"] == 0
    assert row.values["measured_yaw_deg"] is None


def test_clip_beside_skin_tone(tmp_path: Path) -> None:
    source = clip(tmp_path, drawn()[0])
    measured = measure_clip(source, [SkinTone(), FaceGeometry()])
    assert measured.problems == ()
    values: dict[str, Any] = measured.rows["face_geometry"].values
    assert set(values) == {metric.name for metric in METRICS}
    assert values["n_sampled_frames"] == values["n_face_frames"] == 5
    assert max(abs(values[f"measured_{axis}_deg"]) for axis in ("yaw", "pitch", "roll")) < 12
    assert 0.05 < values["face_share"] < 0.6
    assert measured.rows["face_geometry"] == measure_clip(source, [FaceGeometry()]).rows["face_geometry"]
