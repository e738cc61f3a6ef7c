"""How a face is framed for a labeller, and what is said of frames without one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data
from skimage.transform import SimilarityTransform

from equime.attribute_extraction import face_framing as framing
from equime.attribute_extraction.label_frames import cut_faces
from equime.face.landmarks import find_boxes, mesh_in_box
from equime.frames import Frame

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def astronaut() -> tuple[Image, NDArray[np.float32]]:
    rgb = np.asarray(data.astronaut(), np.uint8)
    landmarks = mesh_in_box(rgb, find_boxes(rgb)[0])
    assert landmarks is not None
    return rgb, landmarks


def test_notes_on_faces(astronaut: tuple[Image, NDArray[np.float32]]) -> None:
    rgb, _ = astronaut
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    twice = np.concatenate([bgr[:300, 100:400], bgr[:300, 100:400]], axis=1)
    frames = [Frame(i, i * 40.0, picture) for i, picture in enumerate((bgr, np.zeros_like(bgr), twice))]
    found = cut_faces(frames, framing.tight_box, 224)
    assert found.crops.shape == (2, 224, 224, 3)
    assert found.notes == (
        ("several_faces", "up to 2 faces in a frame; the largest of the first frame is measured"),
        ("frames_without_face", "1 of 3 sampled frames show no face and were left out"),
    )
    empty = cut_faces(frames[1:2], framing.tight_box, 224)
    assert empty.crops.shape == (0, 224, 224, 3)
    assert [code for code, _ in empty.notes] == ["no_face"]


def test_tight_box(astronaut: tuple[Image, NDArray[np.float32]]) -> None:
    """The face fills the height, black stands beside it, nothing else is in the picture."""
    crop = framing.tight_box(*astronaut)
    inside = crop.reshape(224, 224, 3).max(axis=(0, 2)) > 0
    columns = np.flatnonzero(inside)
    assert len(columns) == columns[-1] - columns[0] + 1
    assert 140 < len(columns) < 215
    assert abs(columns[0] - (223 - columns[-1])) <= 1
    found = mesh_in_box(crop, find_boxes(crop)[0])
    assert found is not None
    assert abs(found[10, 1] - 0) < 12
    assert abs(found[152, 1] - 223) < 12


@pytest.mark.parametrize("angle", [0.0, 25.0])
def test_the_box_is_upright(astronaut: tuple[Image, NDArray[np.float32]], angle: float) -> None:
    """A turned picture gives the same crop: the landmarks turn along."""
    rgb, landmarks = astronaut
    import cv2  # noqa: PLC0415

    turn = np.asarray(cv2.getRotationMatrix2D((220, 120), angle, 1.0))
    turned = np.asarray(cv2.warpAffine(rgb, turn, (512, 512), flags=cv2.INTER_CUBIC), np.uint8)
    points = landmarks.copy()
    points[:, :2] = landmarks[:, :2] @ turn[:, :2].T + turn[:, 2]
    difference = np.abs(framing.tight_box(turned, points).astype(int) - framing.tight_box(rgb, landmarks))
    assert difference.mean() < 4


def test_the_chip_is_dlibs(astronaut: tuple[Image, NDArray[np.float32]]) -> None:
    """Against scikit-image's estimate (Umeyama) of the similarity from template to landmarks, inverted."""
    rgb, landmarks = astronaut
    template = (np.array(framing.CHIP_TEMPLATE) + 0.25) / 1.5 * 224
    points = landmarks[list(framing.CHIP_LANDMARKS), :2].astype(np.float64)
    expected = np.linalg.inv(SimilarityTransform.from_estimate(template, points).params)[:2]
    np.testing.assert_allclose(framing.chip_transform(landmarks), expected, rtol=1e-6, atol=1e-6)
    chip = framing.dlib_chip(rgb, landmarks)
    found = mesh_in_box(chip, find_boxes(chip)[0])
    assert found is not None
    assert np.hypot(*(found[list(framing.CHIP_LANDMARKS), :2] - template).T).max() < 20


def test_outside_is_black(astronaut: tuple[Image, NDArray[np.float32]]) -> None:
    rgb, landmarks = astronaut
    eyes = int(landmarks[159, 1])
    moved = (landmarks - (0, eyes, 0)).astype(np.float32)
    chip = framing.dlib_chip(rgb[eyes:], moved)
    assert not chip[:40].any()
    assert chip[100:].any()
