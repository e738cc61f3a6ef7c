"""Sampling in one pass, and one person followed through the sampled frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime.attribute_extraction.sampled_faces import FrameSample, sampled_faces
from equime.frames import Frame
from tests.attribute_extraction.portraits import SIZE, drawn


def sampled(n_frames: int, n: int) -> list[int]:
    sample = FrameSample(n)
    for i in range(n_frames):
        sample.feed(Frame(i, float(i), np.full((1, 1, 3), i % 256, np.uint8)))
        assert len(sample._kept) < 2 * n or n == 1
    frames = sample.frames()
    assert [int(f.bgr[0, 0, 0]) for f in frames] == [f.index % 256 for f in frames]
    return [f.index for f in frames]


@given(st.integers(1, 400), st.integers(2, 8))
def test_frames_are_evenly_spread(n_frames: int, n: int) -> None:
    indices = sampled(n_frames, n)
    assert len(indices) == min(n, n_frames)
    assert indices[0] == 0
    steps = np.diff(indices)
    if len(steps):
        # Whole steps of the thinning: a gap is at most one of them longer than another.
        assert steps.max() <= 2 * steps.min()
        assert n_frames - 1 - indices[-1] <= steps.max()


def test_short_clips_are_taken_whole() -> None:
    assert sampled(3, 5) == [0, 1, 2]
    assert sampled(5, 5) == [0, 1, 2, 3, 4]


def test_a_frame_is_copied() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    sample = FrameSample()
    sample.feed(Frame(0, 0.0, image))
    image += 9
    assert not sample.frames()[0].bgr.any()


def two_people(left_size: int, right_size: int) -> Frame:
    """A light face on the left, a dark one on the right."""
    picture = np.full((SIZE, 2 * SIZE, 3), 128, np.uint8)
    for x, tone, size in ((0, 1, left_size), (SIZE, 10, right_size)):
        face = cv2.resize(drawn(tone)[0], (size, size), interpolation=cv2.INTER_AREA)
        picture[:size, x : x + size] = face
    return Frame(0, 0.0, np.ascontiguousarray(picture[..., ::-1]))


def test_one_person_is_followed() -> None:
    """In the second frame the other face is the larger one."""
    found = sampled_faces([two_people(256, 200), two_people(200, 256)])
    assert found.n_faces_max == 2
    assert [code for code, _ in found.notes()] == ["several_faces"]
    assert [face.landmarks[:, 0].mean() < SIZE for face in found.faces] == [True, True]


def test_frames_without_a_face_are_counted() -> None:
    blank = Frame(0, 0.0, np.full((SIZE, SIZE, 3), 128, np.uint8))
    face = Frame(1, 40.0, np.ascontiguousarray(drawn()[0][..., ::-1]))
    found = sampled_faces([blank, face, blank])
    assert (len(found.faces), found.n_frames, found.n_faces_max) == (1, 3, 1)
    assert found.notes() == ()


@pytest.mark.parametrize("order", [1, -1])
def test_what_was_seen_before_changes_nothing(order: int) -> None:
    frames = [Frame(0, 0.0, np.ascontiguousarray(drawn(t)[0][..., ::-1])) for t in (3, 5)][::order]
    alone = [sampled_faces([frame]).faces[0].landmarks for frame in frames]
    again = [sampled_faces([frame]).faces[0].landmarks for frame in frames[::-1]][::-1]
    for first, second in zip(alone, again, strict=True):
        np.testing.assert_array_equal(first, second)
