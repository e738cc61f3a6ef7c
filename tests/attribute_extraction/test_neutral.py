"""Rest is found where the face dwells and from where muscles pull."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equime.attribute_extraction.neutral import find_neutral

F64 = NDArray[np.float64]
AXES = 4
HEIGHT = 3.0


def unexplained(frames: F64, neutral: F64) -> float:
    """Every axis is a muscle: what lies below the neutral is not explained."""
    return float((np.minimum(frames - neutral, 0.0) ** 2).sum())


def clip(levels: F64, seed: int = 0, rest: float = 7.0) -> F64:
    """(T, 4) of a clip that pulls along the first axis; ``rest`` is where the first reference put its zero."""
    rng = np.random.Generator(np.random.PCG64(seed))
    states = rng.normal(0.0, 0.02, (len(levels), AXES)) - rest
    states[:, 0] += levels
    return states


def bump(n: int, first: int, last: int, height: float = HEIGHT) -> F64:
    levels = np.zeros(n)
    levels[first:last] = height * np.sin(np.linspace(0, np.pi, last - first)) ** 2
    return levels


@settings(max_examples=20, deadline=None)
@given(first=st.integers(0, 100), length=st.integers(8, 40), seed=st.integers(0, 99))
def test_a_short_movement_anywhere_leaves_rest_alone(first: int, length: int, seed: int) -> None:
    levels = bump(144, first, first + length)
    found = find_neutral(clip(levels, seed), np.ones(144, np.bool_), unexplained)
    assert found is not None
    assert found.state == pytest.approx(np.full(AXES, -7.0), abs=0.05)
    assert levels[found.frames].max() < 0.1 * HEIGHT
    assert found.frames.sum() > 0.5 * (144 - length)


@pytest.mark.parametrize("held", ["first", "last"])
def test_a_long_held_expression_is_not_rest(held: str) -> None:
    """60 of 90 frames are held at the apex: rest is what the rest is pulled from."""
    levels = np.concatenate([np.full(60, 3.0), np.linspace(3, 0, 8), np.zeros(22)])
    levels = levels if held == "first" else levels[::-1]
    found = find_neutral(clip(levels), np.ones(90, np.bool_), unexplained)
    assert found is not None
    assert found.state == pytest.approx(np.full(AXES, -7.0), abs=0.05)


def test_a_clip_cut_at_onset_and_apex_begins_at_rest() -> None:
    levels = 3.0 * np.sin(np.linspace(0, np.pi / 2, 12)) ** 2
    found = find_neutral(clip(levels, rest=0.0), np.ones(12, np.bool_), unexplained)
    assert found is not None
    assert levels[found.frames].max() < 0.5


def test_frames_that_cannot_be_used_are_not() -> None:
    states, usable = clip(np.zeros(40)), np.ones(40, np.bool_)
    states[5:30], usable[5:30] = 99.0, False
    found = find_neutral(states, usable, unexplained)
    assert found is not None
    assert not found.frames[5:30].any()
    assert find_neutral(states, np.zeros(40, np.bool_), unexplained) is None


def test_one_frame_and_frozen_clips() -> None:
    one = find_neutral(np.ones((1, AXES)), np.ones(1, np.bool_), unexplained)
    assert one is not None
    assert one.frames.tolist() == [True]
    frozen = find_neutral(np.ones((30, AXES)), np.ones(30, np.bool_), unexplained)
    assert frozen is not None
    assert frozen.frames.all()
    assert frozen.state == pytest.approx(1.0)


def test_cost_does_not_grow_with_the_square_of_a_clip() -> None:
    n = 200_000
    found = find_neutral(clip(bump(n, 500, 90_000)), np.ones(n, np.bool_), unexplained)
    assert found is not None
    assert found.state == pytest.approx(np.full(AXES, -7.0), abs=0.05)
