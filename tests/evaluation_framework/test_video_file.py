"""The file's own numbers, against what was written and what `equime.video.probe` counts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.annotation.annotators import ClipContext, Row
from equime.annotation.measure import measure_clip
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.evaluation_framework.video_file import VideoFile
from equime.frames import Frame, StreamInfo, open_frames
from equime.video import probe
from tests.core.clip_files import save, scene, start_at, write


def row_of(path: Path, fps: float | None = None) -> Row:
    (source,), _ = find_clips(path, fps=fps)
    measured = measure_clip(source, [VideoFile()])
    assert measured.problems == ()
    return measured.rows["video_file"]


def row_at(times_ms: Sequence[float], tick_ms: float = 0.0, fps: float = 25.0) -> Row:
    """The row of a clip with frames at these times."""
    source = ClipSource("id", "a.mp4", ".", "video", "0")
    info = StreamInfo(fps=fps, width=4, height=2, codec="h264", pix_fmt="yuv420p", n_declared=None,
                      size_bytes=1000, tick_ms=tick_ms)  # fmt: skip
    session = VideoFile().start(ClipContext(source, info))
    for index, time_ms in enumerate(times_ms):
        session.feed(Frame(index, time_ms, scene(1, 4, 2)[0]))
    return session.finish()


def test_clips_of_equime_are_clean(mesh_clips: Dataset) -> None:
    for source in find_clips(mesh_clips.root)[0]:
        row = measure_clip(source, [VideoFile()]).rows["video_file"]
        assert source.clip is not None
        for name in ("n_frames", "fps", "width", "height", "codec", "pix_fmt", "size_bytes"):
            assert row.values[name] == getattr(source.clip, name)
        for name in ("duration_ms", "bitrate_kbps"):
            assert row.values[name] == pytest.approx(getattr(source.clip, name), rel=1e-6)
        assert row.values["n_declared"] == row.values["n_frames"]
        assert (row.values["is_variable_rate"], row.values["n_dropped_frames"]) == (False, 0)
        assert row.values["longest_gap_ms"] == pytest.approx(1000 / 24)
        assert row.notes == ()


@pytest.mark.parametrize("rate", [24, 30, 60, 200])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_constant_rates_in_every_clock(tmp_path: Path, name: str, rate: int) -> None:
    """Matroska rounds to 1 ms, which is 20 % of a frame at 200 fps."""
    path = write(tmp_path / name, size=(32, 32), n=25, rate=rate)
    row = row_of(path)
    assert (row.values["is_variable_rate"], row.values["n_dropped_frames"]) == (False, 0)
    counted = probe(path)
    assert row.values["duration_ms"] == pytest.approx(
        counted.duration_ms, abs=1.0 if name == "a.mkv" else 1e-6
    )
    assert row.values["bitrate_kbps"] == pytest.approx(counted.bitrate_kbps, rel=0.01)
    assert row.notes == ()


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_dropped_frames_by_the_times(tmp_path: Path, name: str, codec: str) -> None:
    row = row_of(write(tmp_path / name, codec, size=(32, 32), n=8, rate=25, pts=[0, 1, 2, 3, 6, 7, 8, 10]))
    assert row.values["is_variable_rate"] is True
    assert row.values["n_dropped_frames"] == 3
    assert row.values["longest_gap_ms"] == 120
    assert row.values["duration_ms"] == 440
    (note, *rest) = row.notes
    assert note[0] == "variable_rate"
    assert "2 of 7 intervals" in note[1]
    assert [code for code, _ in rest] == (["fewer_frames"] if name == "a.avi" else [])


@settings(deadline=None)
@given(
    st.integers(30, 60),
    st.sets(st.integers(1, 28), max_size=6),
    st.sampled_from([24.0, 25.0, 29.97, 60.0, 200.0]),
    st.sampled_from([0.0, 0.01, 1.0]),
)
def test_every_lost_frame_is_counted(n: int, lost: set[int], fps: float, tick_ms: float) -> None:
    """Whichever were lost between the first and the last, exact times or rounded to a clock."""
    exact = [i * 1000 / fps for i in range(n) if i not in lost]
    row = row_at([round(t / tick_ms) * tick_ms for t in exact] if tick_ms else exact, tick_ms, fps)
    assert row.values["n_dropped_frames"] == len(lost)
    assert row.values["is_variable_rate"] == bool(lost)


@pytest.mark.parametrize(
    ("moved_ms", "tick_ms", "variable"),
    [(1.9, 0.0, False), (2.1, 0.0, True), (2.1, 1.0, True), (2.1, 40.0, True)],
)
def test_tolerance_of_five_percent(moved_ms: float, tick_ms: float, variable: bool) -> None:
    times = [i * 40.0 for i in range(10)]
    times[9] += moved_ms
    assert row_at(times, tick_ms).values["is_variable_rate"] is variable


def test_rounding_is_excused_up_to_one_millisecond() -> None:
    times = [0.0, 5.0, 10.0, 15.0, 20.0, 26.0, 31.0]
    assert row_at(times, 1.0).values["is_variable_rate"] is False
    assert row_at(times, 0.01).values["is_variable_rate"] is True


def test_a_phone_with_a_wandering_clock() -> None:
    row = row_at([0, 33, 71, 98, 140, 165, 200])
    assert (row.values["is_variable_rate"], row.values["n_dropped_frames"]) == (True, 0)
    assert row.values["longest_gap_ms"] == 42


def test_one_and_two_frames(tmp_path: Path) -> None:
    one = row_of(write(tmp_path / "one.mp4", n=1, rate=25))
    assert one.values["duration_ms"] == 40
    for name in ("is_variable_rate", "longest_gap_ms", "n_dropped_frames"):
        assert one.values[name] is None
    assert one.notes == (("one_frame", "one frame: motion metrics do not apply"),)
    two = row_of(write(tmp_path / "two.mp4", n=2, rate=25))
    assert (two.values["duration_ms"], two.values["longest_gap_ms"], two.notes) == (80, 40, ())
    assert two.values["is_variable_rate"] is two.values["n_dropped_frames"] is None


def test_times_that_stand_still() -> None:
    row = row_at([0, 40, 40, 80, 120])
    assert [code for code, _ in row.notes] == ["variable_rate", "times_not_increasing"]
    still = row_at([0, 0, 0])
    assert still.values["duration_ms"] is still.values["bitrate_kbps"] is None


def test_frames_that_are_not_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", n=20, rate=25, bf="0")
    start_at(path, 5, rate=25)
    row = row_of(path)
    assert (row.values["n_frames"], row.values["n_declared"]) == (15, 20)
    assert [code for code, _ in row.notes] == ["fewer_frames"]


def test_a_frame_folder(tmp_path: Path) -> None:
    folder = save(tmp_path / "clip", [f"{i}.png" for i in range(8, 13)], scene(5, 40, 30))
    row = row_of(folder, fps=200)
    size = sum(p.stat().st_size for p in folder.iterdir())
    assert row.values == {
        "n_frames": 5, "n_declared": 5, "fps": 200, "duration_ms": 25, "width": 40, "height": 30,
        "codec": "png", "pix_fmt": "bgr24", "size_bytes": size, "bitrate_kbps": float(Fraction(size * 8, 25)),
        "is_variable_rate": False, "longest_gap_ms": 5, "n_dropped_frames": 0,
    }  # fmt: skip


def test_damage_is_the_problem_of_the_whole_clip(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", n=48)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (source,), _ = find_clips(path)
    measured = measure_clip(source, [VideoFile()])
    assert measured.rows == {}
    assert [(p.annotator, p.code) for p in measured.problems] == [("", "truncated")]
    with open_frames(source) as stream:
        assert stream.info.n_declared is None
