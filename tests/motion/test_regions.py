"""The layout of a face in its crop."""

from __future__ import annotations

import numpy as np
import pytest

from equime.drawn_face import describe_face
from equime.face import anatomy as a
from equime.face.alignment import px_per_mm
from equime.motion.regions import FaceMap, RegionMeans, eye_opening, face_map, lid_strip
from equime.motion.track import REGIONS


@pytest.fixture(scope="module")
def layout() -> FaceMap:
    landmarks = describe_face(22).landmarks(512)
    return face_map(landmarks, px_per_mm(landmarks), 256)


def centre(layout: FaceMap, name: str) -> np.ndarray:
    rows, columns = np.nonzero(layout.regions[REGIONS.index(name)])
    return np.array([columns.mean(), rows.mean()])


def test_no_pixel_is_in_two_regions_and_none_is_empty(layout: FaceMap) -> None:
    assert layout.regions.sum(axis=0).max() == 1
    assert layout.regions.sum(axis=(1, 2)).min() > 100
    assert (layout.regions.any(axis=0) & layout.face).sum() > 0.98 * layout.regions.any(axis=0).sum()


def test_right_is_the_subjects_right_and_regions_lie_in_order(layout: FaceMap) -> None:
    for name in ("brow", "eye", "cheek", "mouth"):
        assert centre(layout, f"{name}_right")[0] < 128 < centre(layout, f"{name}_left")[0]
    heights = [centre(layout, name)[1] for name in ("glabella", "nose", "upper_lip", "lower_lip", "chin")]
    assert heights == sorted(heights)


def test_the_face_fills_the_crop_upright() -> None:
    landmarks = describe_face(22).landmarks(512)
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = landmarks.copy()
    turned[:, :2] = landmarks[:, :2] @ turn.T * 1.7 + 40
    upright, rolled = face_map(landmarks, 2.0, 256), face_map(turned, 3.4, 256)
    assert np.allclose(upright.points, rolled.points, atol=0.05)
    assert upright.px_per_mm == pytest.approx(rolled.px_per_mm, rel=1e-4)
    outline = upright.points[list(a.FACE_OVAL)]
    assert outline.min() > 0
    assert outline.max() < 255
    assert np.ptp(outline[:, 1]) == pytest.approx(256 / 1.12, rel=0.01)


def test_steady_skin_has_no_lids_and_depth_is_a_face(layout: FaceMap) -> None:
    eyes = eye_opening(layout, a.RIGHT) | eye_opening(layout, a.LEFT)
    assert not (layout.steady & eyes).any()
    tip = np.rint(layout.points[a.NOSE_TIP]).astype(int)
    temple = np.rint(layout.points[127]).astype(int)
    assert layout.depth_mm[tip[1], tip[0]] < layout.depth_mm[temple[1], temple[0]] - 20
    assert np.isfinite(layout.depth_mm).all()


def test_lid_strips_lie_on_their_margins(layout: FaceMap) -> None:
    for side in (a.RIGHT, a.LEFT):
        upper, lower = lid_strip(layout, side, 0.6)
        assert np.nonzero(upper)[0].mean() < np.nonzero(lower)[0].mean() - 3
        assert np.nonzero(upper)[0].mean() == pytest.approx(
            layout.points[list(a.UPPER_LID[side][2:-2]), 1].mean(), abs=1.5
        )


def test_means_of_a_linear_field_are_known(layout: FaceMap) -> None:
    """Displacement (0.02 x + 0.01 y, -0.03 y) in mm, y down: strain sqrt(0.02^2 + 0.03^2 + 2 * 0.005^2) everywhere."""
    axis = np.arange(256) / layout.px_per_mm
    x, y = np.meshgrid(axis, axis)
    field = np.stack([0.02 * x + 0.01 * y, -0.03 * y], axis=-1).astype(np.float32)
    strip = np.zeros((256, 256), np.bool_)
    strip[100:104, 50:60] = True
    regions, strips = RegionMeans(layout, [strip, np.zeros_like(strip)], 2).measure(field[::2, ::2])
    for i, mask in enumerate(layout.regions):
        inside = mask[::2, ::2]
        mean = field[::2, ::2][inside].mean(axis=0)
        assert regions[i, :2] == pytest.approx((mean[0], -mean[1]), abs=1e-4)
        assert regions[i, 2] == pytest.approx(
            np.linalg.norm(field[::2, ::2][inside], axis=1).mean(), abs=1e-4
        )
        assert regions[i, 3] == pytest.approx(np.sqrt(0.02**2 + 0.03**2 + 2 * 0.005**2), abs=1e-4)
    assert strips[0] == pytest.approx(0.03 * y[100:104:2, 50].mean(), abs=1e-4)
