"""Spotting on curves whose timing is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.motion.spotting import Movement, baseline, bump, find_events, fit_bump
from tests.motion.curve_cases import Curves, smooth_bump


def one(curves: Curves) -> Movement:
    found = find_events(*curves.arguments)
    assert len(found) == 1
    return found[0]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    fps=st.sampled_from([24.0, 60.0, 200.0]),
    onset=st.floats(700, 1500),
    rise=st.floats(110, 300),
    decay=st.floats(110, 300),
    power=st.floats(0.85, 1.2),
    mm=st.floats(0.6, 4.0),
    seed=st.integers(0, 999),
)
def test_recovers_onset_apex_and_offset_of_a_smooth_movement(
    fps: float, onset: float, rise: float, decay: float, power: float, mm: float, seed: int
) -> None:
    """Within a frame, or 15 % of the movement at high rates."""
    curves = Curves(fps, 3000, seed)
    apex, offset = onset + rise, onset + rise + decay
    shape = smooth_bump(curves.time_ms, onset, apex, offset, power)
    event = one(curves.move("brow_left", (0.1 * mm, mm), shape).move("glabella", (0.0, 0.4 * mm), shape))
    allowed = max(1000 / fps, 0.15 * (rise + decay))
    assert event.onset_ms == pytest.approx(onset, abs=allowed)
    assert event.apex_ms == pytest.approx(apex, abs=0.7 * allowed)
    assert event.offset_ms == pytest.approx(offset, abs=allowed)
    sampled = mm * shape.max() * np.hypot(0.1, 1.0)
    assert event.peak_mm == pytest.approx(sampled, rel=0.05, abs=0.06)
    assert not event.eyes_only
    assert event.is_micro == (rise + decay <= 500 or rise <= 250) or abs(rise - 250) < allowed


@pytest.mark.parametrize("fps", [24.0, 60.0, 200.0])
def test_without_noise_and_bias_the_errors_are_small(fps: float) -> None:
    errors = []
    for k in range(7):
        curves = Curves(fps, 3000, k, noise_mm=0.004)
        shape = smooth_bump(curves.time_ms, 1000 + 3 * k, 1200 + 3 * k, 1450 + 3 * k)
        event = one(curves.move("mouth_left", (1.5, 1.5), shape))
        assert event.onset_ms is not None
        assert event.offset_ms is not None
        errors.append(
            (event.onset_ms - 1000 - 3 * k, event.apex_ms - 1200 - 3 * k, event.offset_ms - 1450 - 3 * k)
        )
    assert np.abs(np.median(errors, axis=0)).max() < 3.0
    assert np.abs(errors).max() < 12.0


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    fps=st.sampled_from([24.0, 100.0]),
    seed=st.integers(0, 9999),
    drift=st.floats(0, 0.25),
    blink=st.booleans(),
)
def test_a_still_face_gives_no_event(fps: float, seed: int, drift: float, blink: bool) -> None:
    curves = Curves(fps, 5000, seed).drift(drift)
    if blink:
        curves.blink(1500, 220)
    assert find_events(*curves.arguments) == []


def test_blinks_alone_are_no_movement_whatever_their_depth() -> None:
    for depth in (0.6, 1.0):
        curves = Curves(60, 4000).blink(500, 150, depth).blink(2500, 250, depth)
        assert find_events(*curves.arguments) == []


def test_movement_is_found_beside_blinks_and_drift() -> None:
    curves = Curves(24, 6000).drift(0.3).blink(700, 200).blink(2600, 150)
    shape = smooth_bump(curves.time_ms, 3000, 3180, 3400)
    event = one(curves.move("mouth_right", (-0.8, 0.8), shape))
    assert event.apex_ms == pytest.approx(3180, abs=20)


def test_the_strongest_of_several_comes_first() -> None:
    curves = Curves(60, 5000)
    curves.move("chin", (0.0, 0.8), smooth_bump(curves.time_ms, 600, 800, 1000))
    curves.move("nose", (0.0, 2.0), smooth_bump(curves.time_ms, 2500, 2700, 2900))
    curves.move("brow_left", (0.0, 1.2), smooth_bump(curves.time_ms, 4000, 4150, 4300))
    found = find_events(*curves.arguments)
    assert [event.apex_ms for event in found] == pytest.approx([2700, 4150, 800], abs=20)
    assert [event.strength for event in found] == sorted((event.strength for event in found), reverse=True)


@pytest.mark.parametrize("change", [0.18, -0.25])
def test_lids_alone_count_where_nothing_else_moves(change: float) -> None:
    curves = Curves(60, 4000).blink(600, 200)
    shape = smooth_bump(curves.time_ms, 2000, 2200, 2420)
    curves.aperture += change * shape[:, None]
    event = one(curves)
    assert event.eyes_only
    assert event.peak_mm is None
    assert event.onset_ms == pytest.approx(2000, abs=35)
    assert event.offset_ms == pytest.approx(2420, abs=35)
    brow = Curves(60, 4000)
    brow.aperture += change * shape[:, None]
    brow.move("brow_left", (0.0, 1.0), smooth_bump(brow.time_ms, 1000, 1200, 1400))
    assert not one(brow).eyes_only


def test_a_plateau_is_fitted_where_there_is_one() -> None:
    curves = Curves(100, 4000)
    t = curves.time_ms
    shape = np.where(t < 1500, smooth_bump(t, 1000, 1200, 9e9), 1.0)
    shape = np.where((t >= 1200) & (t < 1550), 1.0, shape)
    shape = np.where(t >= 1550, smooth_bump(t, -9e9, 1550, 1750), shape)
    event = one(curves.move("mouth_left", (1.0, 1.0), shape))
    assert event.onset_ms == pytest.approx(1000, abs=20)
    assert event.apex_ms == pytest.approx(1200, abs=30)
    assert event.offset_ms == pytest.approx(1750, abs=20)
    assert event.is_micro  # by its onset phase


def test_what_the_clip_cuts_off_is_none() -> None:
    curves = Curves(50, 2500)
    shape = smooth_bump(curves.time_ms, 2200, 2400, 2900)
    event = one(curves.move("chin", (0.0, 2.0), shape))
    assert event.offset_ms is None
    assert event.duration_ms is None
    assert event.onset_ms == pytest.approx(2200, abs=40)
    assert event.is_micro


def test_a_clip_trimmed_to_the_movement() -> None:
    """As the corpora cut them: the clip starts at the onset and ends soon after the offset."""
    curves = Curves(100, 550)
    event = one(curves.move("mouth_left", (0.7, 0.7), smooth_bump(curves.time_ms, 10, 180, 420)))
    assert event.onset_ms == pytest.approx(10, abs=25)
    assert event.apex_ms == pytest.approx(180, abs=20)
    assert event.offset_ms == pytest.approx(420, abs=25)


def test_slow_movement_is_no_micro_expression() -> None:
    event = Movement(1000.0, 1400.0, 1900.0, 1.0, 3.0, False)
    assert event.is_micro is False
    assert event.duration_ms == 900.0
    assert Movement(1000.0, 1240.0, 2500.0, 1.0, 3.0, False).is_micro is True
    assert Movement(None, 1240.0, 2500.0, 1.0, 3.0, False).is_micro is None
    assert Movement(1000.0, 1400.0, None, 1.0, 3.0, False).is_micro is None


def test_short_and_frozen_clips() -> None:
    for n in (1, 2, 3, 5, 40):
        still = (np.arange(n) * 40.0, np.zeros((n, 13, 2), np.float32), np.ones((n, 2), np.float32))
        assert find_events(*still) == []


def test_bump_and_fit_are_each_others_inverse() -> None:
    time_ms = np.arange(0, 1200, 10.0)
    values = 0.3 + 0.2 * time_ms / 1000 + 2.0 * bump(time_ms, 300, 500, 500, 800)
    fit = fit_bump(time_ms, values, 380.0, 500.0, 700.0)
    assert fit is not None
    assert (fit.onset_ms, fit.apex_ms, fit.offset_ms) == pytest.approx((300, 500, 800), abs=2)
    assert fit.height == pytest.approx(2.0, rel=0.01)
    assert fit_bump(time_ms[:4], values[:4], 0.0, 10.0, 30.0) is None
    assert fit_bump(time_ms, -values, 380.0, 500.0, 700.0) is None


def test_baseline_leaves_short_clips_and_short_movements_alone() -> None:
    time_ms = np.arange(0, 4000, 20.0)
    drift = 0.5 * np.sin(time_ms / 4000)
    moving = drift + smooth_bump(time_ms, 1500, 1700, 1950)
    assert np.abs(baseline(time_ms, moving[:, None])[:, 0] - drift).max() < 0.12
    assert not baseline(time_ms[:50], moving[:50, None]).any()
