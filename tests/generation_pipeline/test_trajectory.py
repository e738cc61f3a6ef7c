from __future__ import annotations

import time

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.action_units import EMOTIONS
from equime.errors import InputError
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.trajectory import (
    GAZE_DEG_PER_INTENSITY,
    HEAD_DEG_PER_INTENSITY,
    HEAD_MM_PER_INTENSITY,
    blink_intervals,
    expression_gain,
    frame_timing,
    trajectory,
)
from equime.types import AuPeak, Blink, Camera, ClipSpec, GazeShift, HeadWave, Phases
from tests.generation_pipeline.specimens import make_face

PHASES = Phases(onset_ms=1000.0, apex_ms=1200.0, hold_ms=50.0, offset_ms=1400.0)
STILL = Camera(
    noise_sigma=0.0, noise_seed=0, light_amplitude=0.0, light_period_ms=5000.0, light_phase_rad=0.0
)


def make_spec(**fields: object) -> ClipSpec:
    base: dict[str, object] = dict(  # noqa: C408
        spec_id="test", model="test", face_id="f", subject_id="s", sequence=1, seed=1, context={},
        label_semantics="au-defined", emotion="happiness", aus=(AuPeak(au=12, left=2.0, right=1.0),),
        phases=PHASES, blinks=(), gaze=(), head=(), camera=STILL, fps=200.0, duration_ms=2000.0, size_px=64,
        noise={},
    )  # fmt: skip
    return ClipSpec(**{**base, **fields})  # type: ignore[arg-type]


def column(spec: ClipSpec, au: int) -> np.ndarray:
    track = trajectory(spec)
    return track.curve[:, track.aus.index(au)]


def test_shapes_and_types() -> None:
    spec = make_spec(blinks=(Blink(start_ms=100.0, duration_ms=200.0),))
    track = trajectory(spec)
    assert track.aus == (12, 45)
    assert track.curve.shape == (400, 2, 2)
    assert track.gaze_deg.shape == (400, 2)
    assert track.head.shape == (400, 6)
    assert track.light.shape == (400,)
    assert track.time_ms.dtype == np.float64
    assert {a.dtype for a in (track.curve, track.gaze_deg, track.head, track.light)} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(track.time_ms, np.arange(400) * 5.0)


def test_expression_is_zero_outside_and_reaches_its_peak_exactly() -> None:
    curve = column(make_spec(), 12)
    times = np.arange(400) * 5.0
    assert not curve[(times <= 1000) | (times >= 1400)].any()
    assert (curve[(times > 1000) & (times < 1400)] > 0).all()
    hold = (times >= 1200) & (times <= 1250)
    np.testing.assert_array_equal(curve[hold], np.broadcast_to([2.0, 1.0], (hold.sum(), 2)))
    assert (np.diff(curve[times <= 1200, 0]) >= 0).all()
    assert (np.diff(curve[times >= 1250, 0]) <= 0).all()


@given(rise=st.floats(0.5, 3.0), decay=st.floats(0.5, 3.0), delay=st.floats(0.0, 150.0))
def test_gain_is_monotone_smooth_and_bounded(rise: float, decay: float, delay: float) -> None:
    phases = msgspec.structs.replace(PHASES, rise=rise, decay=decay)
    times = np.arange(900.0, 1500.0, 0.5)
    gain = expression_gain(phases, times, delay)
    assert gain.min() == 0.0
    assert gain.max() == 1.0
    assert not gain[times <= 1000 + delay].any()
    assert (np.diff(gain[times <= 1200]) >= -1e-12).all()
    assert (np.diff(gain[times >= 1250]) <= 1e-12).all()
    assert np.abs(np.diff(gain)).max() < 0.5 * 3.0 * 2.0 / 50.0


@given(factor=st.sampled_from([0.25, 0.5, 2.0, 4.0]), au=st.sampled_from([1, 4, 12, 24]))
def test_curve_is_linear_in_the_peak(factor: float, au: int) -> None:
    one = column(make_spec(aus=(AuPeak(au=au, left=1.0, right=0.75),)), au)
    other = column(make_spec(aus=(AuPeak(au=au, left=factor, right=0.75 * factor),)), au)
    np.testing.assert_array_equal(other, one * np.float32(factor))


def test_delay_moves_the_onset_but_not_the_apex() -> None:
    spec = make_spec(
        aus=(AuPeak(au=6, left=1.0, right=1.0, delay_ms=60.0), AuPeak(au=12, left=1.0, right=1.0))
    )
    late, early = column(spec, 6)[:, 0], column(spec, 12)[:, 0]
    assert np.flatnonzero(late)[0] - np.flatnonzero(early)[0] == 12
    assert np.argmax(late) == np.argmax(early)


@pytest.mark.parametrize("fps", [24.0, 60.0, 200.0, 500.0])
def test_frame_timing_agrees_with_the_phases(fps: float) -> None:
    spec = make_spec(fps=fps)
    timing = frame_timing(spec, trajectory(spec))
    assert timing is not None
    step = 1000 / fps
    assert timing.onset_ms < timing.onset_frame * step <= timing.onset_ms + step + 1e-9
    assert timing.offset_ms - step - 1e-9 <= timing.offset_frame * step < timing.offset_ms
    assert abs(timing.apex_frame * step - timing.apex_ms) <= step + 1e-9
    assert (timing.onset_ms, timing.apex_ms, timing.offset_ms) == (1000.0, 1200.0, 1400.0)


def test_apex_is_the_earliest_of_the_largest_frames() -> None:
    spec = make_spec()
    timing = frame_timing(spec, trajectory(spec))
    assert timing is not None
    assert timing.apex_frame == 240


def test_blinks_do_not_move_onset_or_apex() -> None:
    plain = make_spec(aus=(AuPeak(au=12, left=1.0, right=1.0), AuPeak(au=45, left=1.0, right=1.0)))
    blinking = msgspec.structs.replace(plain, blinks=(Blink(start_ms=900.0, duration_ms=200.0),))
    assert frame_timing(plain, trajectory(plain)) == frame_timing(blinking, trajectory(blinking))


def test_neutral_has_no_timing_and_no_expression() -> None:
    spec = make_spec(aus=(), phases=None, emotion="neutral")
    track = trajectory(spec)
    assert track.curve.shape == (400, 0, 2)
    assert frame_timing(spec, track) is None


def test_an_expression_between_two_frames_is_an_error() -> None:
    phases = Phases(onset_ms=1001.0, apex_ms=1002.0, hold_ms=0.0, offset_ms=1004.0)
    spec = make_spec(phases=phases)
    with pytest.raises(InputError, match="no frame at 200 fps"):
        frame_timing(spec, trajectory(spec))


@pytest.mark.parametrize(
    "phases",
    [
        Phases(onset_ms=1200.0, apex_ms=1200.0, hold_ms=0.0, offset_ms=1400.0),
        Phases(onset_ms=1000.0, apex_ms=1200.0, hold_ms=200.0, offset_ms=1400.0),
    ],
)
def test_phases_out_of_order_are_an_error(phases: Phases) -> None:
    with pytest.raises(InputError, match="out of order"):
        trajectory(make_spec(phases=phases))


def test_an_au_that_repeats_is_an_error() -> None:
    peak = AuPeak(au=12, left=1.0, right=1.0)
    with pytest.raises(InputError, match="repeat"):
        trajectory(make_spec(aus=(peak, peak)))


def test_blink_closes_fast_opens_slowly_and_fully() -> None:
    spec = make_spec(fps=500.0, aus=(), phases=None, blinks=(Blink(start_ms=300.0, duration_ms=180.0),))
    lids = column(spec, 45)
    np.testing.assert_array_equal(lids[:, 0], lids[:, 1])
    assert np.argmax(lids[:, 0]) * 2.0 == 360.0
    assert lids.max() == 5.0
    (blink,) = blink_intervals(spec)
    shown = np.flatnonzero(lids[:, 0])
    assert (blink.first_frame, blink.last_frame) == (shown[0], shown[-1])
    assert (blink.start_ms, blink.end_ms, blink.closure) == (300.0, 480.0, 1.0)


def test_blink_and_commanded_lids_combine_by_the_larger() -> None:
    blink = Blink(start_ms=1150.0, duration_ms=150.0, closure=0.5)
    commanded = make_spec(aus=(AuPeak(au=45, left=2.0, right=2.0),))
    alone = make_spec(aus=(), phases=None, blinks=(blink,))
    both = msgspec.structs.replace(commanded, blinks=(blink,))
    np.testing.assert_array_equal(column(both, 45), np.maximum(column(commanded, 45), column(alone, 45)))


def test_au_43_closes_the_lids_as_commanded() -> None:
    assert column(make_spec(aus=(AuPeak(au=43, left=5.0, right=5.0),)), 43).max() == 5.0


@pytest.mark.parametrize(
    ("au", "array", "axis", "per_unit"),
    [
        (51, "head", 0, HEAD_DEG_PER_INTENSITY), (52, "head", 0, -HEAD_DEG_PER_INTENSITY),
        (53, "head", 1, HEAD_DEG_PER_INTENSITY), (54, "head", 1, -HEAD_DEG_PER_INTENSITY),
        (55, "head", 2, HEAD_DEG_PER_INTENSITY), (56, "head", 2, -HEAD_DEG_PER_INTENSITY),
        (57, "head", 5, HEAD_MM_PER_INTENSITY), (58, "head", 5, -HEAD_MM_PER_INTENSITY),
        (61, "gaze_deg", 0, GAZE_DEG_PER_INTENSITY), (62, "gaze_deg", 0, -GAZE_DEG_PER_INTENSITY),
        (63, "gaze_deg", 1, GAZE_DEG_PER_INTENSITY), (64, "gaze_deg", 1, -GAZE_DEG_PER_INTENSITY),
    ],
)  # fmt: skip
def test_head_and_gaze_codes_move_head_and_eyes(au: int, array: str, axis: int, per_unit: float) -> None:
    track = trajectory(make_spec(aus=(AuPeak(au=au, left=3.0, right=3.0),)))
    moved = getattr(track, array)
    assert moved[240, axis] == pytest.approx(3 * per_unit)
    assert not np.delete(moved, axis, axis=1).any()
    assert track.curve[240, 0, 0] == 3.0


def test_gaze_holds_its_target_and_starts_at_the_photographs() -> None:
    shifts = (
        GazeShift(start_ms=500.0, duration_ms=30.0, yaw_deg=4.0, pitch_deg=-2.0),
        GazeShift(start_ms=1500.0, duration_ms=30.0, yaw_deg=-1.0, pitch_deg=0.0),
    )
    gaze = trajectory(make_spec(gaze=shifts)).gaze_deg
    assert not gaze[:101].any()
    np.testing.assert_allclose(gaze[106:300], np.broadcast_to([4.0, -2.0], (194, 2)), atol=1e-6)
    np.testing.assert_allclose(gaze[-1], [-1.0, 0.0], atol=1e-6)


def test_frame_0_is_the_photographs_pose_and_light() -> None:
    wave = HeadWave(axis="yaw_deg", amplitude=1.3, period_ms=3000.0, phase_rad=0.7)
    camera = msgspec.structs.replace(STILL, light_amplitude=0.01, light_phase_rad=2.0)
    track = trajectory(make_spec(head=(wave,), camera=camera))
    assert not track.head[0].any()
    assert track.light[0] == 1.0
    times = track.time_ms / 3000.0 * 2 * np.pi
    np.testing.assert_allclose(track.head[:, 0], 1.3 * (np.sin(times + 0.7) - np.sin(0.7)), atol=1e-6)
    assert 0.0 < np.abs(track.light - 1).max() <= 0.02


@settings(deadline=None, max_examples=40)
@given(i=st.integers(0, 10_000), emotion=st.sampled_from(EMOTIONS), fps=st.sampled_from([24.0, 200.0]))
def test_drawn_specs_give_valid_curves(i: int, emotion: str, fps: float) -> None:
    spec = CausalModel(p_felt=0.5).sample(make_face(i), 3, do={"emotion": emotion}, fps=fps)
    track = trajectory(spec)
    assert 0.0 <= track.curve.min(initial=0.0) <= track.curve.max(initial=0.0) <= 5.0
    timing = frame_timing(spec, track)
    assert (timing is None) == (emotion == "neutral")
    if timing is not None:
        assert 0 < timing.onset_frame <= timing.apex_frame <= timing.offset_frame < spec.n_frames - 1
        assert timing.offset_frame - timing.onset_frame + 1 >= 3
        assert not track.curve[0].any()


def test_fast_enough() -> None:
    spec = CausalModel().sample(make_face(), 1, do={"emotion": "fear"})
    assert spec.n_frames == 144

    def once() -> float:
        started = time.perf_counter()
        trajectory(spec)
        return time.perf_counter() - started

    assert min(once() for _ in range(20)) < 1e-3
