"""The measure passes what was rendered as commanded and fails what was not."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext, Row
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.drawn_face.shape import base_points
from equime.errors import WorkError
from equime.evaluation_framework import au_fidelity
from equime.evaluation_framework.au_fidelity import METRICS, AuFidelity, Command, Scene, command_of
from equime.face import anatomy as a
from equime.face.au_fit import commanded_displacement
from equime.frames import Frame, open_frames
from equime.generation_pipeline.trajectory import trajectory
from equime.types import AuPeak, Blink

SCALE = 2.0


def measure(source: ClipSource, picture: int | None = None, stop: int | None = None) -> Row:
    """The clip's row; with ``picture`` every frame shows that one, with ``stop`` the file ends there."""
    with open_frames(source) as stream:
        frames = [Frame(f.index, f.time_ms, f.bgr) for f in stream.frames]
        session = AuFidelity().start(ClipContext(source, stream.info))
    for frame in frames[:stop]:
        session.feed(frame if picture is None else Frame(frame.index, frame.time_ms, frames[picture].bgr))
    return session.finish()


@pytest.fixture(scope="module")
def sources(mesh_clips: Dataset) -> list[ClipSource]:
    return find_clips(mesh_clips.root)[0]


@pytest.fixture(scope="module")
def rows(sources: list[ClipSource]) -> list[tuple[ClipSource, Row]]:
    return [(source, measure(source)) for source in sources]


def spec_of(source: ClipSource, **changes: Any) -> ClipSource:
    """The clip with another command, and no table that knows better."""
    return msgspec_replace(source, spec=msgspec.structs.replace(source.spec, **changes))


def msgspec_replace(source: ClipSource, **changes: Any) -> ClipSource:
    values = {name: getattr(source, name) for name in source.__dataclass_fields__}
    return ClipSource(**{**values, **changes})


def test_rendered_clips_pass_by_flow(rows: list[tuple[ClipSource, Row]]) -> None:
    shown = [row.values for source, row in rows if source.spec is not None and source.spec.aus]
    assert len(shown) == 6
    for values in shown:
        # A lid at 256 px moves by a pixel; flow sees half of it.
        assert values["au_passes"] is (values["largest_commanded_px"] > 1.5), values  # type: ignore[operator]
        assert values["flow_cosine"] > 0.9  # type: ignore[operator]
        assert values["flow_leakage"] < 0.1  # type: ignore[operator]
        assert values["flow_side_agrees"] is not False
        assert isinstance(values["landmark_cosine"], float)


def test_rows_hold_every_column_and_neutral_clips_nothing(rows: list[tuple[ClipSource, Row]]) -> None:
    for source, row in rows:
        assert list(row.values) == [metric.name for metric in METRICS]
        if source.spec is not None and not source.spec.aus:
            assert set(row.values.values()) == {None}
            assert row.notes == ()


def test_measured_intensity_follows_the_command(rows: list[tuple[ClipSource, Row]]) -> None:
    pairs = [
        (values["commanded_au" + name[-2:]], values[name])
        for values in (row.values for _, row in rows)
        for name in values
        if name.startswith("measured_au") and values[name] is not None
    ]
    commanded, measured = np.array(pairs, np.float64).T
    assert np.corrcoef(commanded, measured)[0, 1] > 0.85
    assert np.median(measured[commanded > 1] / commanded[commanded > 1]) > 0.6


def test_command_is_that_of_the_exact_curves(sources: list[ClipSource]) -> None:
    for source in sources:
        command = command_of(source)
        assert source.spec is not None
        if command is None:
            assert not source.spec.aus
            continue
        track = trajectory(source.spec)
        change = track.curve[command.apex] - track.curve[command.reference]
        expected = {
            au: tuple(sides) for au, sides in zip(track.aus, change.tolist(), strict=True) if any(sides)
        }
        assert {au: pytest.approx(sides) for au, sides in command.aus.items()} == expected
        assert not track.curve[command.reference].any()
        assert command.noise is not None
        assert not track.curve[command.noise].any()


def test_a_clip_that_does_something_else_fails(sources: list[ClipSource], tmp_path: Path) -> None:
    source = next(s for s in sources if s.spec is not None and s.spec.emotion == "happiness")
    wrong = spec_of(source, aus=(AuPeak(au=27, left=3.0, right=3.0),))
    row = measure(msgspec_replace(wrong, clip_id="unknown"))
    assert row.values["au_passes"] is False
    assert row.values["commanded_au27"] == 3.0
    assert [code for code, _ in row.notes] == ["no_au_curves"]


def test_a_frozen_clip_fails(sources: list[ClipSource]) -> None:
    values = measure(sources[0], picture=0).values
    assert values["au_passes"] is False
    assert values["flow_ratio"] == pytest.approx(0.0, abs=0.01)
    assert values["landmark_ratio"] == pytest.approx(0.0, abs=0.01)
    assert sum(v for k, v in values.items() if k.startswith("measured_au") and v is not None) < 0.05  # type: ignore[misc]


def test_a_file_cut_before_the_apex_is_named(sources: list[ClipSource]) -> None:
    command = command_of(sources[0])
    assert command is not None
    with pytest.raises(WorkError, match=f"{sources[0].file}: ends before frame {command.apex}"):
        measure(sources[0], stop=command.apex)


def test_gaze_and_head_codes_alone_are_noted(sources: list[ClipSource]) -> None:
    source = spec_of(sources[0], aus=(AuPeak(au=61, left=3.0, right=3.0),))
    row = measure(source)
    assert [code for code, _ in row.notes] == ["only_gaze_or_head"]
    assert set(row.values.values()) == {None}


def test_foreign_clips_have_an_empty_row(sources: list[ClipSource]) -> None:
    row = measure(msgspec_replace(sources[0], spec=None, clip=None, face=None))
    assert set(row.values.values()) == {None}
    assert row.notes == ()


def test_no_face_is_noted(sources: list[ClipSource]) -> None:
    session = AuFidelity().start(ClipContext(sources[0], None))  # type: ignore[arg-type]
    for i in range(60):
        session.feed(Frame(i, i * 40.0, np.full((256, 256, 3), 128, np.uint8)))
    row = session.finish()
    assert {code for code, _ in row.notes} == {"no_face"}
    assert row.values["flow_cosine"] is None


def test_reference_and_noise_avoid_blinks(sources: list[ClipSource]) -> None:
    source = sources[0]
    assert source.clip is not None
    assert source.spec is not None
    assert source.clip.timing is not None
    onset, fps = source.clip.timing.onset_frame, source.spec.fps
    # The lids move from half a frame before the third last neutral frame until the onset.
    blink = Blink(start_ms=(onset - 3.5) * 1000 / fps, duration_ms=3.4 * 1000 / fps)
    command = command_of(spec_of(source, blinks=(blink,)))
    assert command is not None
    assert command.reference == onset - 4
    assert command.noise is not None
    assert command.noise < onset - 4
    assert not command.blinks
    covered = Blink(start_ms=(command.apex - 2) * 1000 / fps, duration_ms=200.0)
    again = command_of(spec_of(source, blinks=(covered,)))
    assert again is not None
    assert again.blinks


@cache
def face() -> NDArray[np.float64]:
    return base_points()[:, :2] * SCALE + 256.0


def scene(aus: dict[int, tuple[float, float]], *, blinks: bool = False) -> Scene:
    return Scene.of(face(), SCALE, Command(1, 2, 0, aus, blinks))


def moved(aus: dict[int, tuple[float, float]]) -> NDArray[np.float64]:
    return commanded_displacement(face(), SCALE, aus)


@pytest.mark.parametrize("share", [1.0, 0.5, -1.0])
def test_scores_of_a_known_movement(share: float) -> None:
    aus = {12: (3.0, 1.0), 1: (2.0, 2.0)}
    head = 0.01 * (face() - 256) @ np.array([[0, 1], [-1, 0]]) + (2.0, -1.0)
    scores = scene(aus).scores(share * moved(aus) + head, 0.0 * face())
    assert scores["cosine"] == pytest.approx(np.sign(share), abs=1e-4)
    assert scores["ratio"] == pytest.approx(share, abs=1e-3)
    assert scores["leakage"] == pytest.approx(0.0, abs=1e-3)
    assert scores["noise_px"] == pytest.approx(0.0, abs=1e-9)
    assert scores["side_agrees"] is (share > 0)


def test_leakage_is_energy_where_nothing_was_commanded_above_the_noise() -> None:
    """Brows commanded by `aus`; the mouth moves too, by a known field; noise of a known size is taken off."""
    aus, leak = {1: (3.0, 3.0)}, {12: (2.0, 2.0)}
    here = scene(aus)
    wave = 0.3 * np.random.default_rng(5).choice([-1.0, 1.0], (478, 2)) / np.sqrt(2)
    wave[list(a.STABLE)] = 0.0
    expected = (moved(leak)[here.still] ** 2).sum(axis=1).mean() / (moved(aus)[here.compared] ** 2).sum(
        axis=1
    ).mean()
    got = here.scores(moved(aus) + moved(leak), 0 * wave)["leakage"]
    assert got == pytest.approx(expected, rel=0.02)
    scores = here.scores(moved(aus) + wave, wave)
    assert scores["noise_px"] == pytest.approx(0.3, rel=0.1)
    assert scores["leakage"] == pytest.approx(0.0, abs=0.002)


def test_sides_are_the_subjects(sources: list[ClipSource]) -> None:
    one = scene({12: (3.0, 0.0), 4: (1.0, 1.0)})
    assert one.side_agrees(moved({12: (2.0, 0.3), 4: (1.0, 1.0)})) is True
    assert one.side_agrees(moved({12: (0.3, 2.0), 4: (1.0, 1.0)})) is False
    assert scene({12: (3.0, 2.8)}).side_agrees(moved({12: (3.0, 3.2)})) is None


def test_a_blink_hides_the_lids() -> None:
    aus = {5: (3.0, 3.0), 12: (3.0, 3.0), 45: (4.0, 4.0)}
    here = scene(aus, blinks=True)
    values = here.intensities(moved(aus))
    assert {au for au in (5, 7, 43, 45, 12, 1) if values[f"measured_au{au:02d}"] is None} == {5, 7, 43, 45}
    assert values["measured_au12"] == pytest.approx(3.0, abs=0.05)
    assert values["commanded_au45"] == 4.0
    scores = here.scores(moved(aus), None)
    assert scores["ratio"] == pytest.approx(1.0, abs=0.01)
    assert "leakage" not in scores
    assert scene({5: (3.0, 3.0)}, blinks=True).hidden() == {5, 7, 43, 45}


@pytest.mark.parametrize(
    ("cosine", "ratio", "expected"),
    [(0.9, 1.0, True), (0.79, 1.0, False), (0.9, 0.59, False), (0.9, 1.41, False), (None, 1.0, None)],
)
def test_rule(cosine: float | None, ratio: float, expected: bool | None) -> None:
    assert au_fidelity.passes(cosine, ratio) is expected
