"""The measuring instrument itself: it must pass a true movement and fail a wrong one."""

from __future__ import annotations

import numpy as np
import pytest

from equime.drawn_face import default_faces
from equime.generation_pipeline import au_check
from equime.generation_pipeline.renderers import FaceInput
from tests.generation_pipeline.face_inputs import drawn_input


def test_measures_a_smile_in_the_decoded_file(face_input: FaceInput) -> None:
    (result,) = au_check.check_face(face_input, "drawn", aus=[12])
    assert result.passes
    assert result.flow_passes
    assert abs(result.apex_error_frames) <= 1


def test_apex_within_ten_milliseconds_at_200_fps() -> None:
    face = drawn_input(default_faces()[0], 256)
    (result,) = au_check.check_face(face, "drawn", aus=[26], fps=200.0)
    assert abs(result.apex_error_ms) <= 10


@pytest.mark.parametrize(
    ("measured", "cosine", "ratio"),
    [((2.0, 0.0), 1.0, 1.0), ((-2.0, 0.0), -1.0, -1.0), ((0.0, 2.0), 0.0, 0.0), ((1.0, 0.0), 1.0, 0.5)],
)
def test_comparison(measured: tuple[float, float], cosine: float, ratio: float) -> None:
    commanded = np.tile([2.0, 0.0], (5, 1))
    got = au_check._compare(commanded, np.tile(measured, (5, 1)), np.arange(5))
    assert got == pytest.approx((cosine, ratio), abs=1e-6)


def test_a_face_that_vanished_does_not_pass() -> None:
    blank = np.zeros((128, 128, 3), np.uint8)
    moved = au_check._detected(blank, blank, np.ones(478))
    assert np.isnan(moved).all()
