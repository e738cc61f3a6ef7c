"""The annotator, on known curves and on rendered clips."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from equime.annotation.annotators import ClipContext, Row
from equime.annotation.measure import measure_clip
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.evaluation_framework.timing import METRICS, Timing
from equime.frames import StreamInfo
from equime.motion.track import MotionTrack
from equime.types import Camera, ClipSpec, Phases
from tests.motion.curve_cases import Curves, smooth_bump

INFO = StreamInfo(fps=50, width=8, height=8, codec="h264", pix_fmt="yuv420p", n_declared=None, size_bytes=1)
SOURCE = ClipSource(clip_id="x", file="x.mp4", root=".", kind="video", input_digest="0")


def spec(phases: Phases | None) -> ClipSpec:
    camera = Camera(noise_sigma=0, noise_seed=0, light_amplitude=0, light_period_ms=1000, light_phase_rad=0)
    return ClipSpec(
        spec_id="", model="", face_id="", subject_id="", sequence=1, seed=0, context={}, label_semantics="au-defined",
        emotion="anger", aus=(), phases=phases, blinks=(), gaze=(), head=(), camera=camera, fps=50, duration_ms=3000,
        size_px=8, noise={},
    )  # fmt: skip


def row(track: MotionTrack | None, intent: ClipSpec | None = None) -> Row:
    context = ClipContext(replace(SOURCE, spec=intent), INFO)
    session = Timing().start(context)
    context.motion = track
    return session.finish()


def moving() -> Curves:
    curves = Curves(50, 3000).blink(400, 200)
    return curves.move("mouth_left", (1.0, 1.0), smooth_bump(curves.time_ms, 1510, 1690, 1910))


def test_a_movement_and_its_errors() -> None:
    values = row(
        moving().track(), spec(Phases(onset_ms=1500, apex_ms=1690, hold_ms=0, offset_ms=1900))
    ).values
    assert set(values) == {metric.name for metric in METRICS}
    assert values["measured_onset_ms"] == pytest.approx(1510, abs=12)
    assert values["onset_error_ms"] == pytest.approx(values["measured_onset_ms"] - 1500)
    assert values["apex_error_ms"] == pytest.approx(values["measured_apex_ms"] - 1690)
    assert values["offset_error_ms"] == pytest.approx(values["measured_offset_ms"] - 1900)
    assert values["measured_apex_frame"] in (84, 85)
    assert values["measured_onset_frame"] in (75, 76)
    assert values["measured_offset_frame"] in (95, 96)
    assert values["measured_duration_ms"] == pytest.approx(400, abs=20)
    assert values["peak_motion_mm"] == pytest.approx(2**0.5, abs=0.06)
    assert values["is_micro_duration"] is True
    assert values["movement_found"] is True
    assert values["false_movement"] is None
    assert (values["n_events"], values["n_blinks"]) == (1, 1)
    assert values["head_motion_mm"] == pytest.approx(5.0)
    assert values["intended_duration_ms"] == 400.0


def test_frames_count_as_the_datasets_do() -> None:
    """A movement from 1500 to 1900 ms at 50 fps: frame 75 is still neutral, frames 76 to 94 show it."""
    curves = Curves(50, 3000, noise_mm=0.001)
    curves.move("mouth_left", (1.0, 1.0), smooth_bump(curves.time_ms, 1500.5, 1700, 1899.5))
    values = row(curves.track()).values
    assert [values[f"measured_{phase}_frame"] for phase in ("onset", "apex", "offset")] == [76, 85, 94]


def test_intent_is_none_where_there_is_none() -> None:
    values = row(moving().track()).values
    for name in (
        "onset_error_ms",
        "apex_error_ms",
        "offset_error_ms",
        "intended_duration_ms",
        "movement_found",
        "false_movement",
    ):
        assert values[name] is None, name
    assert values["measured_apex_ms"] is not None


def test_movement_at_another_time_is_not_the_intended_one() -> None:
    values = row(
        moving().track(), spec(Phases(onset_ms=2200, apex_ms=2300, hold_ms=0, offset_ms=2400))
    ).values
    assert values["movement_found"] is False
    assert values["onset_error_ms"] is None


@pytest.mark.parametrize("still", [True, False])
def test_neutral_clips(still: bool) -> None:
    curves = Curves(50, 3000).blink(900, 180) if still else moving()
    values = row(curves.track(), spec(None)).values
    assert values["false_movement"] is not still
    assert values["movement_found"] is None
    assert values["n_events"] == (0 if still else 1)


def test_a_still_clip_where_movement_was_intended() -> None:
    values = row(
        Curves(50, 3000).track(), spec(Phases(onset_ms=500, apex_ms=600, hold_ms=0, offset_ms=800))
    ).values
    assert values["movement_found"] is False
    assert values["measured_onset_ms"] is None
    assert values["is_micro_duration"] is None


def test_no_face_is_a_note() -> None:
    found = row(None, spec(None))
    assert set(found.values.values()) == {None}
    assert [code for code, _ in found.notes] == ["no_face"]


def test_rendered_clips(mesh_clips: Dataset) -> None:
    """256 px, 24 fps: moving clips are found near their truth, neutral ones are still, blinks are counted."""
    rows: list[tuple[ClipSource, dict[str, Any]]] = []
    for source in find_clips(mesh_clips.root)[0][::2]:  # one of each emotion
        measured = measure_clip(source, [Timing()])
        assert measured.problems == ()
        rows.append((source, dict(measured.rows["timing"].values)))
    found = [values for _, values in rows if values["movement_found"]]
    meant = [source for source, _ in rows if source.spec is not None and source.spec.phases is not None]
    assert len(found) >= len(meant) - 1
    assert not any(values["false_movement"] for _, values in rows)
    for values in found:
        assert abs(values["apex_error_ms"]) < 1000 / 24
    errors = [abs(values["onset_error_ms"]) for values in found if values["onset_error_ms"] is not None]
    assert sorted(errors)[len(errors) // 2] < 1000 / 24
    for source, values in rows:
        assert source.spec is not None
        assert values["n_blinks"] == len(source.spec.blinks)
