"""Blinks: on curves that are known, and on rendered clips whose blinks are in their specs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.drawn_face import describe_face
from equime.face import anatomy as a
from equime.motion.blinks import LidWatch, find_blinks, relative_aperture
from equime.motion.regions import FaceMap, face_map
from tests.motion.curve_cases import Curves


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    fps=st.sampled_from([24.0, 60.0, 200.0]),
    start=st.floats(300, 900),
    length=st.floats(120, 250),
    depth=st.floats(0.55, 1.0),
    seed=st.integers(0, 99),
)
def test_blinks_are_counted_and_timed(
    fps: float, start: float, length: float, depth: float, seed: int
) -> None:
    curves = Curves(fps, 3000, seed).blink(start, length, depth).blink(start + 1200, length, depth)
    found = find_blinks(curves.time_ms, curves.arguments[2])
    assert len(found) == 2
    first = found[0]
    # Passing nine tenths of the opening lies inside of the movement, by less than half of it.
    assert start - 1000 / fps <= first.start_ms <= start + 0.25 * length + 1000 / fps
    assert start + 0.5 * length <= first.end_ms <= start + length + 1000 / fps
    assert first.closure <= depth + 0.05
    assert first.first_frame <= first.last_frame


def test_what_is_no_blink() -> None:
    t = Curves(60, 3000)
    tight = t.arguments[2] - np.float32(0.22) * ((t.time_ms > 1000) & (t.time_ms < 1300))[:, None]
    shut = np.where(((t.time_ms > 1000) & (t.time_ms < 1800))[:, None], 0.05, t.arguments[2])
    wink = t.arguments[2].copy()
    wink[60:70, 0] = 0.0
    for aperture in (t.arguments[2], tight, shut, wink):
        assert find_blinks(t.time_ms, aperture.astype(np.float32)) == []
    assert find_blinks(t.time_ms[:2], t.arguments[2][:2]) == []


def test_a_blink_at_the_clips_end_ends_there() -> None:
    curves = Curves(60, 1000).blink(900, 200)
    (found,) = find_blinks(curves.time_ms, curves.arguments[2])
    assert found.end_ms == curves.time_ms[-1]


def test_aperture_is_relative_to_the_eye_around() -> None:
    curves = Curves(60, 4000)
    level = relative_aperture(curves.time_ms, (0.8 * curves.arguments[2]).astype(np.float32))
    assert np.abs(level - 1.0).max() < 0.05


@pytest.fixture(scope="module")
def layout() -> FaceMap:
    return face_map(describe_face(22).landmarks(512), 2.0, 256)


@pytest.fixture
def watch(layout: FaceMap) -> LidWatch:
    return LidWatch(layout, a.RIGHT)


def colours(watch: LidWatch, closed: float, skin: int, gaze: int = 0) -> np.ndarray:
    """White with a dark iris, covered from the top by lid of the skin's grey to a share of the depth."""
    n = len(watch._depth)
    middle = watch.points[:n, 0].mean() + gaze
    eye = np.where(np.abs(watch.points[:n, 0] - middle) < 5, 40, 225)
    grey = np.concatenate([np.where(watch._depth < closed, skin, eye), np.full(len(watch.points) - n, skin)])
    return np.repeat(grey[:, None], 3, axis=1).astype(np.uint8)


@pytest.mark.parametrize("skin", [70, 120, 180], ids=["dark", "medium", "light"])
def test_colour_tells_how_far_the_lid_is_down_on_any_skin(layout: FaceMap, skin: int) -> None:
    watch = LidWatch(layout, a.LEFT)
    assert watch.aperture(colours(watch, 0.0, skin), 0.0, 0.0) == pytest.approx(1.0)
    for closed in (0.5, 0.75, 1.0):
        # Flow says nothing of use here: it is not asked for large closures.
        assert watch.aperture(colours(watch, closed, skin), 3.0, 0.0) == pytest.approx(1 - closed, abs=0.08)
    assert watch.aperture(colours(watch, 0.0, skin, gaze=4), 0.0, 0.0) == pytest.approx(1.0, abs=0.05)


def test_flow_tells_widening_and_tightening(watch: LidWatch) -> None:
    watch.aperture(colours(watch, 0.0, 120), 0.0, 0.0)
    gap = watch.gap_mm
    assert watch.aperture(colours(watch, 0.0, 120), 0.2 * gap, 0.0) == pytest.approx(1.2)
    assert watch.aperture(colours(watch, 0.0, 120), -0.05 * gap, 0.1 * gap) == pytest.approx(0.85)
