"""Apex spotting on movement that rises and falls at a known frame."""

from __future__ import annotations

import numpy as np
import pytest

from equime.baselines.apex_spotting import movement, spot_apex
from equime.drawn_face import describe_face
from tests.baselines.test_flow import bump, moved, texture

N, SHAPE = 9, (96, 80)
POINTS = describe_face(7).landmarks(128)[:, :2].astype(np.float64) - (24, 24)


def clip(apex: int, head_px: float = 0.0, at: int = 291):
    """Frames 40 on: the skin at a landmark rises up to the apex and comes back; the head drifts all the time."""
    image = texture(*SHAPE, seed=5)
    local = bump(SHAPE, tuple(POINTS[at]), 6)
    for i in range(N):
        share = i / apex if i <= apex else (N - i) / (N - apex)
        u = (1.6 * share * local + head_px * i / N).astype(np.float32)
        yield 40 + i, moved(image, u, -u)


@pytest.mark.parametrize("apex", [2, 4, 6])
def test_the_frame_with_most_movement(apex: int) -> None:
    assert spot_apex(clip(apex), POINTS) == pytest.approx(40 + apex, abs=1)


def test_without_landmarks() -> None:
    assert spot_apex(clip(4)) == pytest.approx(44, abs=1)


def test_the_heads_drift_is_no_expression() -> None:
    """By plain flow, the last frame would have moved furthest."""
    assert spot_apex(clip(3, head_px=3.0), POINTS) == pytest.approx(43, abs=1)


def test_movement_grows_with_the_ramp() -> None:
    numbers, curve = movement(clip(4), POINTS)
    assert numbers == list(range(40, 49))
    assert curve[0] == 0
    assert (np.diff(curve[:5]) > 0).all()
    peak = 1.6 * np.sqrt(2) / 96
    assert 0.2 * peak < curve[4] < peak  # the mean over a region that is wider than the movement


def test_still_and_single_frames_give_the_onset() -> None:
    image = texture(*SHAPE).astype(np.uint8)
    assert spot_apex([(5, image), (6, image), (7, image)]) == 5
    assert spot_apex([(5, image)], POINTS) == 5


def test_tiny_pictures() -> None:
    image = texture(12, 10).astype(np.uint8)
    assert spot_apex([(1, image), (2, image)]) == 1
