"""Drawn faces: same bytes for the same seed, attributes as asked, geometry where the landmarker finds it."""

from __future__ import annotations

import csv
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equime.drawn_face import DrawnFace, default_faces, describe_face, draw_face, save_default_faces
from equime.drawn_face.shape import (
    IRIS,
    JAW,
    LIP_BOTTOM,
    LIP_TOP,
    LOWER_BROW,
    LOWER_LID,
    SEAM_LOWER,
    UPPER_BROW,
    UPPER_LID,
)
from equime.errors import InputError, WorkError

FAST_PX = 384

# Mean distance allowed between drawn and detected points of a group over all default faces, % of the eye distance.
TOLERANCE_PERCENT = {
    "eye corners": ((33, 133, 362, 263), 2.0),
    "upper lids": (tuple(i for lid in UPPER_LID for i in lid[1:-1]), 2.0),
    "lower lids": (tuple(i for lid in LOWER_LID for i in lid[1:-1]), 2.0),
    "irises": (IRIS, 1.5),
    "lip seam": (SEAM_LOWER[2:-2], 2.0),
    "lip corners": ((61, 291), 2.0),
    "upper lip": (LIP_TOP[2:-2], 2.0),
    "lower lip": (LIP_BOTTOM[2:-2], 2.0),
    "brows": (tuple(i for brow in (*UPPER_BROW, *LOWER_BROW) for i in brow), 3.0),
    "nose": ((1, 4, 2, 129, 358, 98, 327), 3.0),
    # The landmarker puts the chin higher than the drawn one, most of all under a full beard.
    "jaw": (JAW[6:-6], 5.5),
}


# The detected landmarks of ten faces take ten seconds: once is enough.
pytestmark = pytest.mark.xdist_group("drawn_face")


@pytest.fixture(scope="module", autouse=True)
def _drawn_anew() -> Iterator[None]:
    """Drawing itself is tested here: no picture of another test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DrawnFace, "image", DrawnFace.image.__wrapped__)  # type: ignore[attr-defined]
        yield


@pytest.fixture(scope="module")
def face_mesh() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mediapipe as mp  # noqa: PLC0415

        with mp.solutions.face_mesh.FaceMesh(
            static_image_mode=True, refine_landmarks=True, max_num_faces=4
        ) as mesh:
            yield mesh


def detect(mesh: Any, image: np.ndarray) -> list[np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mesh.process(image).multi_face_landmarks or []
    return [np.array([(p.x, p.y) for p in face.landmark]) * image.shape[0] - 0.5 for face in found]


@pytest.fixture(scope="module")
def errors_percent(face_mesh: Any) -> np.ndarray:
    """(faces, 478) distance between drawn and detected points, % of the eye distance."""
    rows = []
    for face in default_faces(10):
        found = detect(face_mesh, face.image(FAST_PX))
        assert len(found) == 1, f"{face.subject_id}: {len(found)} faces found"
        truth = face.landmarks(FAST_PX)[:, :2]
        eye_distance = np.linalg.norm(truth[IRIS[0]] - truth[IRIS[1]])
        rows.append(100 * np.linalg.norm(found[0] - truth, axis=1) / eye_distance)
    return np.array(rows)


@pytest.mark.parametrize("group", TOLERANCE_PERCENT)
def test_landmarker_finds_the_drawn_points(errors_percent: np.ndarray, group: str) -> None:
    indices, tolerance = TOLERANCE_PERCENT[group]
    assert errors_percent[:, list(indices)].mean() <= tolerance


def test_same_seed_gives_the_same_bytes() -> None:
    assert np.array_equal(draw_face(7, size_px=128), draw_face(7, size_px=128))
    assert not np.array_equal(draw_face(7, size_px=128), draw_face(8, size_px=128))


def test_image_is_rgb_of_the_size_asked_for() -> None:
    image = draw_face(3, size_px=200)
    assert image.shape == (200, 200, 3)
    assert image.dtype == np.uint8
    # Skin is redder than it is blue: channels are in RGB order.
    middle = image[90:130, 80:120].reshape(-1, 3).mean(0)
    assert middle[0] > middle[2]


def test_size_changes_resolution_not_geometry() -> None:
    face = describe_face(5)
    np.testing.assert_allclose(
        (face.landmarks(800)[:, :2] + 0.5) / 4, face.landmarks(200)[:, :2] + 0.5, atol=1e-3
    )


def test_given_attributes_are_kept_and_leave_the_others_alone() -> None:
    plain, dark = describe_face(11), describe_face(11, glasses=True, eye_colour="green")
    assert dark.glasses
    assert dark.eye_colour == "green"
    assert (plain.gender, plain.age, plain.skin_tone, plain.hair_style) == (
        dark.gender,
        dark.age,
        dark.skin_tone,
        dark.hair_style,
    )


def test_wrong_attributes_are_all_named() -> None:
    with pytest.raises(InputError, match=r"skin_tone=11.*age=12") as error:
        draw_face(1, gender="x", skin_tone=11, age=12)
    assert "gender='x'" in str(error.value)
    with pytest.raises(InputError, match="unknown attribute colour"):
        describe_face(1, colour="red")
    with pytest.raises(InputError, match="size_px=20"):
        draw_face(1, size_px=20)


def test_skin_gets_darker_along_the_monk_scale() -> None:
    cheeks = []
    for tone in range(1, 11):
        face = describe_face(21, gender="f", skin_tone=tone, hair_style="tied", glasses=False)
        x, y = face.landmarks(128)[50, :2].astype(int)
        cheeks.append(face.image(128)[y - 3 : y + 4, x - 3 : x + 4].mean())
    assert all(a > b for a, b in itertools.pairwise(cheeks)), cheeks


def test_defaults_are_balanced_and_distinct() -> None:
    faces = default_faces(10)
    assert sorted(face.skin_tone for face in faces) == list(range(1, 11))
    assert sum(face.gender == "f" for face in faces) == 5
    assert len({face.subject_id for face in default_faces(30)}) == 30
    assert default_faces(3) == faces[:3]


def test_saved_defaults_come_with_their_table(tmp_path: Path) -> None:
    table = save_default_faces(tmp_path / "faces", n=2, size_px=128)
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["gender"] for row in rows] == ["f", "m"]
    assert all((table.parent / row["path"]).stat().st_size > 1000 for row in rows)
    assert {row["licence"] for row in rows} == {"CC0-1.0, drawn by equime"}
    assert {row["source"] for row in rows} == {"equime-drawn"}
    assert {row["ethnicity"] for row in rows} == {""}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(WorkError, match="file"):
        save_default_faces(blocked / "faces", n=1, size_px=96)
