"""Curves follow the command, rest stays at rest, and what cannot be measured is said."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext, Row
from equime.annotation.measure import measure_clip
from equime.annotation.tables import frames_schema, table_schema
from equime.attribute_extraction import au_curves, au_intensity
from equime.attribute_extraction.au_curves import KEYS, Lids, column
from equime.attribute_extraction.au_intensity import METRICS, AuIntensity
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.face.au_fit import AuSide
from equime.frames import Frame, StreamInfo, open_frames
from equime.generation_pipeline.trajectory import Trajectory, trajectory

Image = NDArray[np.uint8]
F64 = NDArray[np.float64]
FPS = 24.0
SKIN = [key for key in KEYS if key[0] not in (43, 45)]


@pytest.fixture(scope="module")
def sources(mesh_clips: Dataset) -> dict[str, ClipSource]:
    """One clip per emotion; those with a blink in the middle, and the wide smile."""
    found: dict[str, ClipSource] = {}
    for source in find_clips(mesh_clips.root)[0]:
        assert source.spec is not None
        if ("101" in source.spec.subject_id) == (source.spec.emotion == "happiness"):
            found[source.spec.emotion] = source
    return found


@pytest.fixture(scope="module")
def pictures(sources: dict[str, ClipSource]) -> dict[str, list[Image]]:
    """Decoded frames, BGR."""
    decoded = {}
    for emotion in ("happiness", "anger", "neutral"):
        with open_frames(sources[emotion]) as stream:
            decoded[emotion] = [frame.bgr.copy() for frame in stream.frames]
    return decoded


@pytest.fixture(scope="module")
def rows(pictures: dict[str, list[Image]]) -> dict[str, Row]:
    return {emotion: run(frames) for emotion, frames in pictures.items()}


def run(frames: Sequence[Image], fps: float = FPS) -> Row:
    height, width = frames[0].shape[:2]
    info = StreamInfo(
        fps=fps, width=width, height=height, codec="h264", pix_fmt="yuv420p", n_declared=None, size_bytes=0
    )
    session = AuIntensity().start(ClipContext(None, info))  # type: ignore[arg-type]
    for i, bgr in enumerate(frames):
        session.feed(Frame(i, i * 1000.0 / fps, bgr))
    row = session.finish()
    assert list(row.values) == [metric.name for metric in METRICS]
    assert list(row.frames) in ([], [column(key) for key in KEYS])
    assert all(len(curve) == len(frames) for curve in row.frames.values())
    return row


def codes(row: Row) -> list[str]:
    return [code for code, _ in row.notes]


def commanded(track: Trajectory, key: AuSide) -> F64:
    au, side = key
    both = track.curve[:, track.aus.index(au)]
    return np.asarray(both.max(axis=1) if side == "both" else both[:, 0 if side == "left" else 1], np.float64)


def outside(row: Row, aus: set[int]) -> float:
    """Largest intensity of any AU but these."""
    values = [row.values[column(key)] for key in SKIN if key[0] not in aus]
    return max(value for value in values if isinstance(value, float))


@pytest.mark.parametrize("emotion", ["happiness", "anger"])
def test_curves_follow_the_command(
    emotion: str, rows: dict[str, Row], sources: dict[str, ClipSource]
) -> None:
    spec = sources[emotion].spec
    assert spec is not None
    track, row, n = trajectory(spec), rows[emotion], 0
    for key in SKIN:
        asked = commanded(track, key) if key[0] in track.aus else np.zeros(0)
        # AU 5 to 7 are lids of about a pixel here; the table of reliability says so.
        if asked.max(initial=0.0) < 1.5 or key[0] in au_curves.HIDDEN_BY_LIDS:
            continue
        got = row.frames[column(key)]
        assert np.isfinite(got).all()
        assert np.corrcoef(asked, got)[0, 1] > 0.9, key
        assert 0.5 < got.max() / asked.max() < 1.2, key
        assert abs(int(np.argmax(got)) - int(np.argmax(asked))) <= 2, key
        assert row.values[column(key)] == pytest.approx(got.max())
        n += 1
    assert n >= 2
    assert outside(row, set(track.aus)) < 0.25 * track.curve.max()
    assert isinstance(row.values["au_apex_frame"], int)
    assert row.values["au_apex_ms"] == pytest.approx(row.values["au_apex_frame"] * 1000 / FPS)


def test_a_neutral_clip_stays_below_a_trace(rows: dict[str, Row], sources: dict[str, ClipSource]) -> None:
    row = rows["neutral"]
    assert outside(row, set()) < 0.5
    assert isinstance(row.values["au_noise"], float)
    assert row.values["au_noise"] < 0.3
    assert row.values["au_share_measured"] == 1.0
    spec = sources["neutral"].spec
    assert spec is not None
    assert row.values["au_n_active"] == bool(spec.blinks)


def test_blinks_are_read_from_the_opening_and_hide_the_lids(
    rows: dict[str, Row], sources: dict[str, ClipSource]
) -> None:
    n_blinks = 0
    for emotion, row in rows.items():
        spec = sources[emotion].spec
        assert spec is not None
        time_ms = np.arange(spec.n_frames) * 1000.0 / spec.fps
        for blink in spec.blinks:
            inside = (time_ms > blink.start_ms) & (time_ms < blink.start_ms + blink.duration_ms)
            for side in ("left", "right"):
                read = row.frames[f"au_intensity_au45_{side}"][inside].max()
                # The smile's blink closes by 0.6 and falls on two frames.
                assert read > (3.5 if blink.closure == 1 else 1.5)
                for au in au_curves.HIDDEN_BY_LIDS:
                    assert np.isnan(row.frames[f"au_intensity_au{au:02d}_{side}"][inside]).any()
            n_blinks += 1
        near = np.zeros(spec.n_frames, np.bool_)
        for blink in spec.blinks:
            near |= (time_ms > blink.start_ms - 150) & (time_ms < blink.start_ms + blink.duration_ms + 150)
        assert (row.frames["au_intensity_au45_left"][~near] == 0).all()
    assert n_blinks


def test_a_clip_that_begins_at_its_apex_is_read_from_rest(
    pictures: dict[str, list[Image]], rows: dict[str, Row]
) -> None:
    whole = rows["happiness"]
    apex = whole.values["au_apex_frame"]
    assert isinstance(apex, int)
    rest = pictures["happiness"]
    late = run(rest[apex:] + rest[:apex])
    got, wanted = late.frames["au_intensity_au12_left"], whole.frames["au_intensity_au12_left"]
    assert got[0] == pytest.approx(wanted[apex], rel=0.25)
    assert np.corrcoef(got, np.roll(wanted, -apex))[0, 1] > 0.95


def test_the_same_frames_give_the_same_values(
    pictures: dict[str, list[Image]], rows: dict[str, Row], sources: dict[str, ClipSource]
) -> None:
    """Through the decoder as well: nothing hangs on how frames come."""
    measured = measure_clip(sources["anger"], [AuIntensity()])
    assert measured.problems == ()
    again = measured.rows["au_intensity"]
    assert again.values == rows["anger"].values
    assert len(measured.time_ms) == len(again.frames["au_intensity_au04_left"])
    for name, curve in rows["anger"].frames.items():
        np.testing.assert_array_equal(curve, again.frames[name])


def test_no_face_is_noted() -> None:
    row = run([np.full((96, 96, 3), 128, np.uint8)] * 30)
    assert codes(row) == ["no_face"]
    assert row.values.pop("au_share_measured") == 0.0
    assert set(row.values.values()) == {None}


def test_a_face_that_comes_late_or_goes(pictures: dict[str, list[Image]], rows: dict[str, Row]) -> None:
    frames = pictures["happiness"]
    grey = np.full_like(frames[0], 128)
    row = run([grey] * 24 + frames + [grey] * 6)
    assert set(codes(row)) == {"late_face", "face_lost"}
    curve = row.frames["au_intensity_au12_left"]
    n_before = int(np.isfinite(curve).argmax())
    assert 24 <= n_before <= 24 + 12
    assert np.isnan(curve[:n_before]).all()
    assert np.isnan(curve[-6:]).all()
    assert row.values["au_share_measured"] == pytest.approx(np.isfinite(curve).mean())
    wanted = rows["happiness"].frames["au_intensity_au12_left"][n_before - 24 :]
    assert np.corrcoef(curve[n_before:-6], wanted)[0, 1] > 0.95


def test_another_face_is_not_this_one(pictures: dict[str, list[Image]]) -> None:
    other = np.ascontiguousarray(pictures["happiness"][0][:, ::-1]).copy()
    other = np.asarray(255 - other, np.uint8)
    row = run(pictures["happiness"][:8] + [other] * 4)
    assert "face_lost" in codes(row)
    assert np.isnan(row.frames["au_intensity_au12_left"][8:]).all()


def test_several_faces_are_noted_and_the_head_is_followed(pictures: dict[str, list[Image]]) -> None:
    """Two faces beside each other; the picture wanders by 3 px a frame."""
    frames = [np.hstack([bgr, bgr]) for bgr in pictures["neutral"][:10]]
    row = run([np.roll(bgr, 3 * i, axis=0) for i, bgr in enumerate(frames)])
    assert "several_faces" in codes(row)
    assert row.values["au_share_measured"] == 1.0
    assert outside(row, set()) < 0.6


@pytest.mark.parametrize(
    ("n", "fps", "note"),
    [(1, 24.0, "nothing_to_compare"), (3, 24.0, "few_neutral_frames"), (8, 8.0, "low_fps")],
)
def test_what_is_short_or_slow_is_noted(
    n: int, fps: float, note: str, pictures: dict[str, list[Image]]
) -> None:
    row = run(pictures["neutral"][:n], fps)
    assert note in codes(row)
    assert (row.values["au_codes"] is None) == (n == 1)


def test_a_head_turned_too_far_has_no_values(
    pictures: dict[str, list[Image]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(au_intensity, "TURN_MAX_DEG", -1.0)
    row = run(pictures["neutral"][:3])
    assert "head_turned" in codes(row)
    assert row.values["au_share_measured"] == 0.0
    assert row.values["au_codes"] is None


def test_memory_does_not_grow_with_frames(pictures: dict[str, list[Image]]) -> None:
    frames = pictures["neutral"]
    info = StreamInfo(
        fps=FPS, width=256, height=256, codec="h264", pix_fmt="yuv420p", n_declared=None, size_bytes=0
    )
    session = AuIntensity().start(ClipContext(None, info))  # type: ignore[arg-type]
    alive: list[weakref.ref[Any]] = []
    for i, bgr in enumerate(frames[:20]):
        frame = Frame(i, i * 40.0, bgr.copy())
        alive += [weakref.ref(frame), weakref.ref(frame.bgr), weakref.ref(frame.grey)]
        session.feed(frame)
    del frame
    gc.collect()
    assert [ref for ref in alive if ref() is not None] == []
    face = session._face  # type: ignore[attr-defined]
    assert max(kept.nbytes for kept in face._kept) <= 350


def test_waiting_for_a_face_is_bounded() -> None:
    info = StreamInfo(fps=FPS, width=96, height=96, codec="", pix_fmt="", n_declared=None, size_bytes=0)
    session = AuIntensity().start(ClipContext(None, info))  # type: ignore[arg-type]
    for i in range(40):
        session.feed(Frame(i, i * 40.0, np.full((96, 96, 3), 128, np.uint8)))
        assert len(session._waiting) <= au_intensity.N_WAITING  # type: ignore[attr-defined]


def aperture(seconds: float, *dips: tuple[float, float, float, float]) -> tuple[F64, F64]:
    """Times and the opening (T, 2) at 50 frames per second, with dips (start s, length s, left, right)."""
    time_ms = np.arange(0.0, seconds * 1000.0, 20.0)
    level = np.ones((len(time_ms), 2))
    for start, length, left, right in dips:
        inside = (time_ms >= start * 1000) & (time_ms < (start + length) * 1000)
        level[inside] = left, right
    return time_ms, level


def test_lids() -> None:
    time_ms, level = aperture(6.0, (1.0, 0.2, 0.1, 0.1), (3.0, 1.5, 0.05, 0.05), (5.2, 0.3, 0.1, 1.0))
    lids = Lids.of(time_ms, level)
    blink = (time_ms >= 1000) & (time_ms < 1200)
    held = (time_ms >= 3000) & (time_ms < 4500)
    wink = (time_ms >= 5200) & (time_ms < 5500)
    assert lids.blink[blink] == pytest.approx(4.5)
    assert not lids.blink[~blink].any()
    assert lids.held[held] == pytest.approx(4.75)
    assert lids.held[wink, 0] == pytest.approx(4.5)
    assert not lids.held[~(held | wink)].any()
    assert not lids.held[wink, 1].any()
    assert not lids.near[(time_ms > 1280) & (time_ms < 2900)].any()
    assert lids.near[(time_ms > 940) & (time_ms < 1240)].all()


def test_narrowed_eyes_are_no_closure() -> None:
    lids = Lids.of(*aperture(3.0, (1.0, 0.4, 0.75, 0.75)))
    assert not lids.near.any()
    assert not lids.blink.any()
    assert not lids.held.any()


def test_a_clip_that_begins_in_a_blink_is_measured_from_open_eyes(
    pictures: dict[str, list[Image]], rows: dict[str, Row]
) -> None:
    closed = int(np.nanargmax(rows["neutral"].frames["au_intensity_au45_left"]))
    row = run(pictures["neutral"][closed : closed + 14])
    assert row.frames["au_intensity_au45_left"][0] > 2.5
    assert row.frames["au_intensity_au45_left"][-1] == 0.0


def test_descriptions() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    assert all(metric.meaning.endswith(".") and metric.reference for metric in METRICS)
    assert len([metric for metric in METRICS if metric.per_frame]) == len(KEYS) == 39
    assert len(table_schema(AuIntensity())) > len(KEYS)
    assert "au_intensity_au17" in frames_schema(AuIntensity()).names
