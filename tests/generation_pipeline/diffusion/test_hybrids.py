from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from equime.generation_pipeline.adherence import check_frames
from equime.generation_pipeline.diffusion.limits import CONDITION
from equime.generation_pipeline.renderers import BadVideo, FaceInput
from equime.generation_pipeline.renderers.ltx_keyframe import LtxKeyframe, keyframes, slowed
from equime.generation_pipeline.renderers.mesh import MeshRenderer
from equime.generation_pipeline.renderers.mesh_over_ltx import MeshOverLtx, neutral, put_on
from equime.generation_pipeline.trajectory import frame_timing, trajectory
from equime.types import AuPeak, ClipSpec, HeadWave, Phases
from equime.video import yuv_to_rgb
from tests.generation_pipeline.clip_specs import make_spec, neutral_spec

pytestmark = pytest.mark.xdist_group("diffusion")

BROWS = (AuPeak(au=1, left=4.0, right=4.0), AuPeak(au=2, left=4.0, right=4.0))


def moving(size_px: int = 256, **changes: object) -> ClipSpec:
    """Two seconds in which the brows rise from 812 to 1240 ms."""
    fields = {"aus": BROWS, "duration_ms": 2000.0, "size_px": size_px, "blinks": (), "gaze": ()}
    return make_spec(**{**fields, **changes})


# -- ltx-keyframe --------------------------------------------------------------------------------------


def test_the_movement_alone_is_slowed() -> None:
    spec = moving()
    before, apex, after = keyframes(spec)
    timing = frame_timing(spec, trajectory(spec))
    assert timing is not None
    assert (before, apex, after) == (timing.onset_frame - 1, timing.apex_frame, timing.offset_frame + 1)
    places = slowed(spec, 4)
    steps = np.diff(places)
    assert places[0] == 0
    assert set(steps[before:after]) == {4}
    assert set(steps[:before]) == set(steps[after:]) == {1}
    assert places[-1] == 47 + 3 * (after - before)
    np.testing.assert_array_equal(slowed(spec, 1), np.arange(48))
    np.testing.assert_array_equal(slowed(neutral_spec(duration_ms=1000.0), 4), np.arange(24))
    assert keyframes(neutral_spec()) == ()


def test_a_movement_that_begins_with_the_clip() -> None:
    spec = moving(phases=Phases(onset_ms=0.0, apex_ms=200.0, hold_ms=0.0, offset_ms=400.0))
    assert keyframes(spec)[0] > 0
    assert (np.diff(slowed(spec, 3)) >= 1).all()


def test_keyframes_are_the_mesh_renderers(
    tiny_ltx: Path, first_frame: Callable[[int], FaceInput], face_256: FaceInput
) -> None:
    made = LtxKeyframe({"model": str(tiny_ltx), "dtype": "float32", "steps": 2, "slow": 3})
    assert made.params["pipeline"] == CONDITION
    assert made.params["slow"] == 3
    spec = moving()
    request = made.request_of(face_256, spec, 0)
    frames = [yuv_to_rgb(*planes) for planes in MeshRenderer().prepare(face_256).frames(spec)]
    places = slowed(spec, 3)
    assert request.n_frames == places[-1] + 1
    assert [at for at, _ in request.keyframes] == [places[frame] for frame in keyframes(spec)]
    for frame, (_, picture) in zip(keyframes(spec), request.keyframes, strict=True):
        np.testing.assert_array_equal(picture, frames[frame])
    shown = made.developed(
        np.repeat(np.arange(request.n_frames, dtype=np.uint8), 3).reshape(-1, 1, 1, 3), face_256, spec
    )
    assert not isinstance(shown, BadVideo)
    np.testing.assert_array_equal(shown[:, 0, 0, 0], places)


def test_a_keyframed_clip_is_made(tiny_ltx: Path, small_face: FaceInput) -> None:
    made = LtxKeyframe({"model": str(tiny_ltx), "dtype": "float32", "steps": 2, "slow": 2})
    spec = moving(64, duration_ms=1500.0)
    (video,) = made.videos([(small_face, spec, 0)])
    assert not isinstance(video, BadVideo)
    assert video.shape == (36, 64, 64, 3)


# -- mesh-over-ltx -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def living(face_256: FaceInput) -> np.ndarray:
    """A neutral clip as a model might make it: the head turns and drifts."""
    waves = (
        HeadWave(axis="yaw_deg", amplitude=4.0, period_ms=2500.0, phase_rad=0.0),
        HeadWave(axis="x_mm", amplitude=4.0, period_ms=1800.0, phase_rad=1.0),
    )
    spec = msgspec.structs.replace(neutral(moving()), head=waves)
    return np.stack([yuv_to_rgb(*planes) for planes in MeshRenderer().prepare(face_256).frames(spec)])


def test_the_movement_is_put_on_a_face_that_moves(living: np.ndarray, face_256: FaceInput) -> None:
    spec = moving()
    made = put_on(living, face_256, spec)
    assert not isinstance(made, BadVideo)
    still = ~trajectory(spec).curve.any(axis=(1, 2))
    np.testing.assert_array_equal(made[still], living[still])
    assert (made[~still] != living[~still]).any(axis=(1, 2, 3)).all()
    found = check_frames(made, spec)
    assert found.verdict.accepted, found.verdict.message
    assert found.apex_error_ms is not None
    assert abs(found.apex_error_ms) < 42
    assert not check_frames(living, spec).verdict.accepted


def test_a_clip_that_is_not_neutral_carries_nothing(
    living: np.ndarray, face_256: FaceInput, tiny_ltx: Path
) -> None:
    renderer = MeshOverLtx({"model": str(tiny_ltx)})
    frozen = np.stack([living[0]] * len(living))
    refused = renderer.developed(frozen, face_256, moving())
    assert isinstance(refused, BadVideo)
    assert "cannot carry a movement (frozen" in str(refused)
    taken = renderer.developed(living, face_256, moving())
    assert not isinstance(taken, BadVideo)
    assert renderer.developed(frozen, face_256, neutral_spec()) is frozen
    assert (renderer.labels, renderer.prompt_of(moving())) == ("exact", renderer.prompt_of(neutral(moving())))


def test_a_face_that_goes_is_no_ground_for_a_movement(living: np.ndarray, face_256: FaceInput) -> None:
    gone = living.copy()
    gone[24] = 128
    refused = put_on(gone, face_256, moving())
    assert isinstance(refused, BadVideo)
    assert "no face is found in frame 24" in str(refused)
