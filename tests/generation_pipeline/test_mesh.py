"""The embedded renderer: what stays, what moves, and that the ground truth is what was drawn."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from equime.action_units import ACTION_UNITS
from equime.face import anatomy as a
from equime.face.muscles import MUSCLES
from equime.generation_pipeline.ground_truth import GroundTruth
from equime.generation_pipeline.renderers import Yuv
from equime.generation_pipeline.renderers.mesh import PreparedMesh
from equime.generation_pipeline.trajectory import trajectory
from equime.types import Blink, Camera, ClipSpec, GazeShift, HeadWave

Make = Callable[..., ClipSpec]
FACE_AUS = sorted(MUSCLES)


def render(prepared: PreparedMesh, spec: ClipSpec) -> list[Yuv]:
    return [Yuv(*(plane.copy() for plane in frame)) for frame in prepared.frames(spec)]


def at_apex(prepared: PreparedMesh, spec: ClipSpec) -> NDArray[np.float64]:
    """Displacement of all mesh vertices at apex."""
    track = trajectory(spec)
    apex = int(track.curve.sum(axis=(1, 2)).argmax())
    return prepared.positions(track, apex) - prepared.mesh.xy


def noisy(sigma: float) -> Camera:
    return Camera(
        noise_sigma=sigma, noise_seed=3, light_amplitude=0.0, light_period_ms=4e3, light_phase_rad=0.0
    )


def test_frame_zero_is_the_photograph_to_the_last_bit(prepared: PreparedMesh, make_spec: Make) -> None:
    first = render(prepared, make_spec(aus={12: (3, 3)}))[0]
    for plane, source in zip(first, prepared.planes, strict=True):
        np.testing.assert_array_equal(plane, source)


def test_a_zero_curve_is_a_still_face(prepared: PreparedMesh, make_spec: Make) -> None:
    frames = render(prepared, make_spec(duration_ms=200.0))
    assert len(frames) == 10
    assert all(np.array_equal(frame.y, frames[0].y) for frame in frames)


def test_noise_has_the_commanded_strength_and_no_bias(prepared: PreparedMesh, make_spec: Make) -> None:
    frames = render(prepared, make_spec(camera=noisy(1.5), duration_ms=200.0))
    inner = (prepared.planes[0] > 30) & (prepared.planes[0] < 220)
    residual = np.stack([f.y.astype(float) - prepared.planes[0] for f in frames])[:, inner]
    # Rounding to whole grey levels adds a variance of 1/12.
    assert residual.std() == pytest.approx(np.hypot(1.5, 12**-0.5), rel=0.05)
    assert abs(residual.mean()) < 0.02
    assert abs(np.corrcoef(residual[0], residual[1])[0, 1]) < 0.02


def test_same_spec_same_bytes(prepared: PreparedMesh, make_spec: Make) -> None:
    spec = make_spec(aus={1: (2, 1)}, camera=noisy(1.0))
    for one, two in zip(render(prepared, spec), render(prepared, spec), strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(one, two, strict=True))


@pytest.mark.parametrize("au", FACE_AUS)
def test_doubling_intensity_doubles_displacement(prepared: PreparedMesh, make_spec: Make, au: int) -> None:
    skin = prepared.mesh.is_skin
    one = at_apex(prepared, make_spec(aus={au: (1.2, 1.2)}))[skin]
    two = at_apex(prepared, make_spec(aus={au: (2.4, 2.4)}))[skin]
    assert np.abs(one).max() > 0.2
    np.testing.assert_allclose(two, 2 * one, atol=0.05)


@pytest.mark.parametrize("au", FACE_AUS)
def test_motion_stays_in_its_half_of_the_face(prepared: PreparedMesh, make_spec: Make, au: int) -> None:
    """Upper-face AUs leave the mouth, lower-face AUs the eyes, within a quarter of a pixel at C."""
    move = np.linalg.norm(at_apex(prepared, make_spec(aus={au: (3, 3)})), axis=1)
    mouth = [*a.UPPER_LIP_BORDER, *a.LOWER_LIP_BORDER]
    eyes = [*a.UPPER_LID[0], *a.UPPER_LID[1], *a.BROW_MID, *a.BROW_OUTER]
    elsewhere = mouth if ACTION_UNITS[au].region in ("upper", "lids") else eyes
    allowed = 0.25 if au != 9 else 0.15 * move.max()  # AU 9 also lowers the inner brows.
    assert move[elsewhere].max() <= allowed


@pytest.mark.parametrize("au", [au for au in FACE_AUS if ACTION_UNITS[au].sided])
def test_one_side_leaves_the_other_alone(prepared: PreparedMesh, make_spec: Make, au: int) -> None:
    left = np.linalg.norm(at_apex(prepared, make_spec(aus={au: (3, 0)})), axis=1)
    right = np.linalg.norm(at_apex(prepared, make_spec(aus={au: (0, 3)})), axis=1)
    middle = prepared.mesh.xy[a.SUBNASALE, 0]
    far = 12 * prepared.mesh.px_per_mm
    on_right = prepared.mesh.is_skin & (prepared.mesh.xy[:, 0] < middle - far)
    on_left = prepared.mesh.is_skin & (prepared.mesh.xy[:, 0] > middle + far)
    assert left[on_right].max() < 0.12 * left.max()
    assert right[on_left].max() < 0.12 * right.max()


def test_sides_add_up(prepared: PreparedMesh, make_spec: Make) -> None:
    skin = prepared.mesh.is_skin
    for au in (1, 12, 17, 25):
        both = at_apex(prepared, make_spec(aus={au: (2, 2)}))[skin]
        left = at_apex(prepared, make_spec(aus={au: (2, 0)}))[skin]
        right = at_apex(prepared, make_spec(aus={au: (0, 2)}))[skin]
        np.testing.assert_allclose(both, left + right, atol=0.05)


def test_the_background_never_moves(prepared: PreparedMesh, make_spec: Make) -> None:
    head = (HeadWave(axis="yaw_deg", amplitude=4.0, period_ms=800.0, phase_rad=0.0),)
    frames = render(prepared, make_spec(aus={27: (5, 5)}, head=head))
    border = np.ones((512, 512), bool)
    border[6:-6, 6:-6] = False
    assert all(np.array_equal(f.y[border], frames[0].y[border]) for f in frames)


def test_an_eye_that_closes_shows_no_eye(prepared: PreparedMesh, make_spec: Make) -> None:
    """Where the iris was, a closed eye shows skin: nearer to the lid's luma than to the iris's."""
    spec = make_spec(blinks=(Blink(start_ms=100.0, duration_ms=300.0),))
    frames = render(prepared, spec)
    closed = frames[int(trajectory(spec).curve.sum(axis=(1, 2)).argmax())]
    for eye in (a.RIGHT, a.LEFT):
        x, y = prepared.landmarks[a.IRIS[eye], :2]
        box = np.s_[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3]
        lid = np.median(frames[0].y[int(y) - 30 : int(y) - 14, int(x) - 6 : int(x) + 7])
        assert closed.y[box].mean() > 0.5 * (lid + float(frames[0].y[box].mean()))


def test_parted_lips_show_a_dark_inside(prepared: PreparedMesh, make_spec: Make) -> None:
    spec = make_spec(aus={26: (4, 4)})
    frames = render(prepared, spec)
    apex = int(trajectory(spec).curve.sum(axis=(1, 2)).argmax())
    marks = GroundTruth(prepared, spec).landmarks(apex)
    top, bottom = marks[a.SEAM_UPPER], marks[a.SEAM_LOWER]
    assert bottom[1] - top[1] > 8
    x, y = (int(v) for v in 0.5 * (top + bottom))
    lips = frames[0].y[int(prepared.landmarks[a.LOWER_LIP_BOTTOM, 1]) - 6, x]
    assert frames[apex].y[y, x] < 0.6 * lips


def test_catchlights_stay_when_the_eye_turns(prepared: PreparedMesh, make_spec: Make) -> None:
    spec = make_spec(gaze=(GazeShift(start_ms=100.0, duration_ms=40.0, yaw_deg=6.0, pitch_deg=0.0),))
    frames = render(prepared, spec)
    truth = GroundTruth(prepared, spec)
    assert truth.landmarks(39)[a.IRIS[0], 0] - truth.landmarks(0)[a.IRIS[0], 0] > 1.5
    for light in prepared.textures.catchlights:
        if light.light.max() < 40 << 4:
            continue
        row, column = np.unravel_index(light.light.argmax(), light.light.shape)
        here = np.s_[light.y + row - 1 : light.y + row + 2, light.x + column - 1 : light.x + column + 2]
        around = np.s_[light.y + row - 6 : light.y + row + 7, light.x + column - 6 : light.x + column + 7]
        assert frames[39].y[here].mean() > np.median(frames[39].y[around])


def test_the_motion_field_is_what_was_drawn(prepared: PreparedMesh, make_spec: Make) -> None:
    """Warping the apex back by the field gives the neutral frame, far better than not warping."""
    spec = make_spec(
        aus={12: (3, 2), 1: (2, 2)},
        head=(HeadWave(axis="x_mm", amplitude=2.0, period_ms=1600.0, phase_rad=0.0),),
    )
    frames = render(prepared, spec)
    truth = GroundTruth(prepared, spec)
    assert truth.timing is not None
    apex = truth.timing.apex_frame
    field = truth.motion_field(0, apex)
    assert np.abs(field).max() > 5
    y, x = np.mgrid[0:512, 0:512].astype(np.float32)
    back = cv2.remap(frames[apex].y, x + field[..., 0], y + field[..., 1], cv2.INTER_CUBIC)
    moved = np.linalg.norm(field, axis=2) > 1.0
    before = np.abs(frames[apex].y.astype(float) - frames[0].y)[moved].mean()
    after = np.abs(back.astype(float) - frames[0].y)[moved].mean()
    assert after < 0.4 * before


def test_motion_field_agrees_with_landmarks(prepared: PreparedMesh, make_spec: Make) -> None:
    truth = GroundTruth(prepared, make_spec(aus={12: (3, 3)}))
    assert truth.timing is not None
    apex = truth.timing.apex_frame
    field, start, end = truth.motion_field(0, apex), truth.landmarks(0), truth.landmarks(apex)
    for point in (61, 291, 50, 280, 205, 425, 152, 1):
        x, y = np.rint(start[point]).astype(int)
        np.testing.assert_allclose(field[y, x], end[point] - start[point], atol=0.6)


def test_backwards_and_forwards_cancel(prepared: PreparedMesh, make_spec: Make) -> None:
    truth = GroundTruth(prepared, make_spec(aus={4: (3, 3)}))
    assert truth.timing is not None
    there, back = (
        truth.motion_field(0, truth.timing.apex_frame),
        truth.motion_field(truth.timing.apex_frame, 0),
    )
    y, x = np.mgrid[0:512, 0:512].astype(np.float32)
    returned = cv2.remap(back, x + there[..., 0], y + there[..., 1], cv2.INTER_LINEAR)
    skin = np.linalg.norm(there, axis=2) > 0.5
    assert np.abs(returned + there)[skin].mean() < 0.1


def test_any_even_size(prepared_small: PreparedMesh, make_spec: Make) -> None:
    frames = render(prepared_small, make_spec(aus={1: (3, 3)}, size_px=128, duration_ms=100.0))
    assert frames[0].y.shape == (128, 128)
    assert frames[0].u.shape == (64, 64)
    assert np.array_equal(frames[0].y, prepared_small.planes[0])
