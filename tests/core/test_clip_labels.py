"""What a clip's labels say; the whole way from a renderer is in tests/generation_pipeline/test_gated.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime.clip_labels import measured_timing
from equime.types import Phases


def phases(onset: float, apex: float, offset: float) -> Phases:
    return Phases(onset_ms=onset, apex_ms=apex, hold_ms=0.0, offset_ms=offset)


@given(
    onset=st.floats(0, 800), rise=st.floats(40, 250), decay=st.floats(40, 250), fps=st.sampled_from([24.0, 60.0, 200.0])
)  # fmt: skip
def test_frames_of_measured_instants(onset: float, rise: float, decay: float, fps: float) -> None:
    n_frames = round(1.5 * fps)
    times = np.arange(n_frames) * 1000 / fps
    found = measured_timing(phases(onset, onset + rise, onset + rise + decay), fps, n_frames)
    assert found is not None
    assert 0 <= found.onset_frame <= found.apex_frame <= found.offset_frame < n_frames
    assert abs(times[found.apex_frame] - (onset + rise)) <= 500 / fps + 1e-6
    step = 1000 / fps
    within = np.flatnonzero((times > onset + 0.02 * step) & (times < onset + rise + decay - 0.02 * step))
    if len(within):
        assert found.onset_frame <= max(within[0], found.apex_frame)
        assert found.onset_frame >= within[0] - 1
        assert within[-1] <= found.offset_frame <= max(within[-1] + 1, found.apex_frame)


def test_instants_on_frames_are_neutral_frames() -> None:
    """Onset is the last neutral instant and offset the first: the frames that show movement lie between."""
    found = measured_timing(phases(100.0, 200.0, 400.0), 50.0, 60)
    assert found is not None
    assert (found.onset_frame, found.apex_frame, found.offset_frame) == (6, 10, 19)
    assert (found.onset_ms, found.apex_ms, found.offset_ms) == (100.0, 200.0, 400.0)


@pytest.mark.parametrize("n_frames", [24, 48])
def test_no_movement_has_no_frames(n_frames: int) -> None:
    assert measured_timing(None, 24.0, n_frames) is None
