"""The regional spotter on signals that are known, and how signals of long videos are put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.baselines import spotting_signal
from equime.baselines.spotting import (
    Interval,
    Move,
    RegionalSpotter,
    make_interval,
    signals_of_set,
    spot,
    without_overlap,
    without_trains,
)
from equime.baselines.spotting_scores import iou
from equime.baselines.spotting_signal import BASELINE_MS, FaceSignal, running_median, signal_of
from equime.errors import InputError, MissingError
from equime.motion import session
from equime.motion.track import REGIONS
from tests.baselines.face_signals import coded, signal

BROWS = ("brow_right", "brow_left")
MOUTH = ("mouth_right", "mouth_left", "lower_lip")
SPOT = RegionalSpotter()


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_finds_what_moves_and_tells_micro_from_macro_by_its_length(fps: float) -> None:
    face = signal([(4000, 4400, BROWS, 1.0), (9000, 10_200, MOUTH, 3.0)], fps=fps)
    micro, macro = SPOT.intervals(face)
    assert (micro.expression, macro.expression) == ("micro", "macro")
    truth = [(round(a * fps / 1000), round(b * fps / 1000)) for a, b in ((4000, 4400), (9000, 10_200))]
    assert iou((micro.onset, micro.offset), truth[0]) > 0.75
    assert iou((macro.onset, macro.offset), truth[1]) > 0.85
    assert micro.apex_ms == pytest.approx(4200, abs=35)
    assert micro.onset <= micro.apex <= micro.offset


@given(
    at=st.floats(2500, 17_000), length=st.floats(200, 480), peak=st.floats(0.8, 3.0), seed=st.integers(0, 99)
)
@settings(max_examples=6, deadline=None)
def test_a_micro_expression_is_found_wherever_it_is(at: float, length: float, peak: float, seed: int) -> None:
    (found,) = SPOT.intervals(signal([(at, at + length, BROWS, peak)], seed=seed))
    assert iou((found.onset, found.offset), (int(at * 0.03) + 1, int((at + length) * 0.03))) >= 0.5


def test_the_threshold_is_relative_to_the_videos_own_noise() -> None:
    quiet, noisy = (signal([(4000, 4400, BROWS, 0.9)], noise_mm=mm) for mm in (0.02, 0.3))
    assert len(SPOT.intervals(quiet)) == 1
    assert SPOT.intervals(noisy) == ()
    assert SPOT.intervals(signal([], noise_mm=0.3)) == ()
    # and never below what a codec can do to a still face
    assert SPOT.intervals(signal([(4000, 4400, BROWS, 0.2)], noise_mm=0.001)) == ()


def test_skin_that_a_blink_drags_along_is_no_expression() -> None:
    dragged = [(4000.0, 4220.0, ("cheek_right", "cheek_left", *BROWS), 0.4)]
    assert SPOT.intervals(signal(dragged, blinks=[4000.0])) == ()
    assert len(SPOT.intervals(signal(dragged))) == 1
    # a movement elsewhere counts, blink or not
    assert len(SPOT.intervals(signal([(4000, 4400, MOUTH, 1.0)], blinks=[4000.0]))) == 1


def test_eyes_by_themselves_are_not_looked_at() -> None:
    assert SPOT.intervals(signal([(4000, 4200, ("eye_right", "eye_left"), 3.0)])) == ()


def test_a_train_of_mouth_movements_is_speech() -> None:
    syllables = [(5000.0 + 260 * i, 5230.0 + 260 * i, MOUTH, 1.5) for i in range(4)]
    face = signal([*syllables, (12_000, 12_400, MOUTH, 1.5)])
    (kept,) = SPOT.intervals(face)
    assert kept.onset_ms == pytest.approx(12_000, abs=60)
    assert len(RegionalSpotter(speech=False).intervals(face)) >= 3


def test_trains_end_where_something_else_moves_or_time_passes() -> None:
    def at(ms: float, mouth: bool = True) -> Move:
        return Move(ms, ms + 100, ms + 200, 2.0, mouth)

    two, three = [at(0), at(250)], [at(0), at(250), at(500)]
    assert without_trains(two) == two
    assert without_trains(three) == []
    brow = at(250, mouth=False)
    assert without_trains([at(0), brow, at(500)]) == [at(0), brow, at(500)]
    apart = [at(0), at(250), at(2000)]
    assert without_trains(apart) == apart


def test_frames_are_numbered_as_the_files_are() -> None:
    bumps = [(4000.0, 4400.0, BROWS, 1.0)]
    (a,) = SPOT.intervals(signal(bumps))
    (b,) = SPOT.intervals(signal(bumps, first=557))
    assert (b.onset, b.apex, b.offset) == (a.onset + 557, a.apex + 557, a.offset + 557)
    assert (b.onset_ms, b.offset_ms) == (a.onset_ms, a.offset_ms)


def test_what_was_not_seen_says_nothing() -> None:
    face = signal([(4000, 4400, BROWS, 1.0), (9000, 9400, BROWS, 1.0)])
    hidden = replace(face, seen=face.time_ms > 6000)
    (found,) = SPOT.intervals(hidden)
    assert found.onset_ms > 8900
    assert SPOT.intervals(replace(face, seen=np.zeros(len(face.time_ms), np.bool_))) == ()


def test_intervals_are_whole_frames_inside_the_video() -> None:
    face = signal([])
    found = make_interval(face, (-50.0, 10.0, 99.0), 1.0, "micro")
    assert found is not None
    assert (found.onset, found.apex, found.offset) == (0, 0, 2)
    assert make_interval(face, (101.0, 110.0, 120.0), 1.0, "micro") is None


def test_of_overlapping_intervals_the_surer_one_stays() -> None:
    def one(first: int, last: int, sure: float) -> Interval:
        return Interval(
            onset=first,
            apex=first,
            offset=last,
            onset_ms=0,
            apex_ms=0,
            offset_ms=0,
            score=sure,
            expression="micro",
        )

    a, b, c = one(0, 10, 2.0), one(10, 20, 3.0), one(21, 30, 1.0)
    assert without_overlap([a, b, c]) == (b, c)


def test_running_median_is_scipys_where_the_signal_is_slow() -> None:
    from scipy.ndimage import median_filter  # noqa: PLC0415

    t = np.arange(900) / 30.0
    slow = np.stack([np.sin(t / 3), np.cos(t / 5)], axis=1).astype(np.float32)
    n = round(BASELINE_MS * 0.03) | 1
    expected = median_filter(slow.astype(np.float64), size=(n, 1), mode="reflect")
    # at the edges the reflected window differs by a step of the coarser one
    np.testing.assert_allclose(running_median(slow, 1000 / 30), expected, atol=0.02)


class _Session:
    """In the place of the motion analysis: displacement is the frame's grey against that of the first one."""

    def __init__(self, clip: object) -> None:
        self.grey: list[float] = []

    def feed(self, frame: object) -> None:
        self.grey.append(float(frame.bgr[0, 0, 0]))  # type: ignore[attr-defined]

    def finish(self) -> SimpleNamespace | None:
        if not self.grey[0]:
            return None  # no face in a black frame
        n = len(self.grey)
        moved = np.array(self.grey) - self.grey[0]
        return SimpleNamespace(
            time_ms=np.arange(n), displacement_mm=np.tile(moved[:, None, None], (1, len(REGIONS), 2)),
            aperture=np.full((n, 2), 1.0), head=np.zeros((n, 4)), head_turn_deg=np.zeros((n, 2)),
        )  # fmt: skip


def _pictures(greys: list[int]) -> Iterator[np.ndarray]:  # type: ignore[type-arg]
    for grey in greys:
        yield np.full((2, 2, 3), grey, np.uint8)


def test_stretches_are_levelled_and_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MotionSession", _Session)
    monkeypatch.setattr(spotting_signal, "STRETCH_S", 2.0)
    monkeypatch.setattr(spotting_signal, "OVERLAP_S", 0.5)
    greys = [int(v) for v in 100 + 20 * np.sin(np.arange(250) / 9)]
    found = signal_of(_pictures(greys), 25.0)
    np.testing.assert_allclose(found.displacement_mm[:, 3, 1], np.array(greys) - greys[0], atol=1e-4)
    np.testing.assert_array_equal(found.number, np.arange(250))
    assert found.seen.all()


def test_a_stretch_without_a_face_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MotionSession", _Session)
    monkeypatch.setattr(spotting_signal, "STRETCH_S", 2.0)
    monkeypatch.setattr(spotting_signal, "OVERLAP_S", 0.4)
    found = signal_of(_pictures([90] * 38 + [0] * 20 + [90] * 90), 25.0)
    assert found.seen[:50].all()
    assert not found.seen[50:90].any()
    assert found.seen[90:].all()
    assert not found.displacement_mm[50:90].any()


def test_high_frame_rates_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MotionSession", _Session)
    found = signal_of(_pictures([90] * 400), 200.0)
    assert found.fps == 200.0
    np.testing.assert_array_equal(found.number, np.arange(0, 400, 3))
    assert found.step_ms == pytest.approx(15.0)


def test_frame_folders_keep_their_numbers_and_the_cache_its_signals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MotionSession", _Session)
    folder = tmp_path / "015_3"
    folder.mkdir()
    for i in range(40):
        cv2.imwrite(str(folder / f"015_3_{i + 117:04d}.png"), np.full((2, 2, 3), 90 + i, np.uint8))
    first = signal_of(folder, 30.0, cache=tmp_path / "cache")
    assert (first.number[0], first.number[-1]) == (117, 156)
    monkeypatch.setattr(session, "MotionSession", None)  # would fail if anything were measured again
    second = signal_of(folder, 30.0, cache=tmp_path / "cache")
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, name))


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="nothing"):
        spot(tmp_path / "nothing.mp4")
    with pytest.raises(InputError, match="fps 0"):
        spot(tmp_path, 0)
    with pytest.raises(InputError, match="no numbered images"):
        spot(tmp_path, 30.0)
    with pytest.raises(InputError, match="give fps"):
        spot(_pictures([1]))
    with pytest.raises(InputError, match="at least one picture"):
        spot(_pictures([]), 30.0)


def test_files_that_cannot_be_read_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    data = replace(coded([("1", "bad.mp4", 3, 9, "micro"), ("2", "gone.mp4", 3, 9, "micro")]), root=tmp_path)
    signals, (finding,) = signals_of_set(data)
    assert signals == {}
    assert (finding.code, finding.n, finding.clips) == ("unreadable_file", 2, ("bad.mp4", "gone.mp4"))


def test_a_signal_of_a_few_frames_has_no_expression() -> None:
    face = signal([], seconds=0.2)
    assert isinstance(face, FaceSignal)
    assert SPOT.intervals(face) == ()
