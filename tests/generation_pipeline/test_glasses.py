"""Glasses: found where they are, rigid under every AU, turned with the head."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from equime.generation_pipeline.ground_truth import GroundTruth
from equime.generation_pipeline.renderers.mesh import PreparedMesh
from equime.generation_pipeline.trajectory import trajectory
from equime.types import ClipSpec, HeadWave

Make = Callable[..., ClipSpec]


def test_a_bare_face_wears_none(prepared: PreparedMesh) -> None:
    assert prepared.glasses is None


def test_frame_zero_is_the_photograph_with_glasses(
    prepared_with_glasses: PreparedMesh, make_spec: Make
) -> None:
    assert prepared_with_glasses.glasses is not None
    frame = next(iter(prepared_with_glasses.frames(make_spec(duration_ms=100.0))))
    for plane, source in zip(frame, prepared_with_glasses.planes, strict=True):
        np.testing.assert_array_equal(plane, source)


@pytest.mark.parametrize("au", [1, 2, 4, 6, 43])
def test_the_frame_does_not_move_with_the_face(
    prepared_with_glasses: PreparedMesh, make_spec: Make, au: int
) -> None:
    spec = make_spec(aus={au: (4, 4)})
    frames = [f.y.copy() for f in prepared_with_glasses.frames(spec)]
    apex = int(trajectory(spec).curve.sum(axis=(1, 2)).argmax())
    layer = prepared_with_glasses.glasses
    assert layer is not None
    opaque = layer.opacity[0][2:-2:2, 2:-2:2] == 255
    assert opaque.sum() > 500
    np.testing.assert_array_equal(frames[apex][opaque], frames[0][opaque])
    assert not np.array_equal(frames[apex], frames[0])


def test_the_frame_turns_with_the_head(prepared_with_glasses: PreparedMesh, make_spec: Make) -> None:
    head = (HeadWave(axis="x_mm", amplitude=2.0, period_ms=1600.0, phase_rad=0.0),)
    truth = GroundTruth(prepared_with_glasses, make_spec(head=head))
    field = truth.motion_field(0, 20)
    layer = prepared_with_glasses.glasses
    assert layer is not None
    opaque = layer.opacity[0][2:-2:2, 2:-2:2] == 255
    expected = 2.0 * prepared_with_glasses.mesh.px_per_mm
    np.testing.assert_allclose(field[opaque][:, 0], expected, atol=0.05)
