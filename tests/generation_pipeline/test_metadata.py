"""The metadata JSON: complete, honest about who said what, and the same bytes every time."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.generation_pipeline.captions import write_captions
from equime.generation_pipeline.metadata import ESTIMATES, clip_metadata, metadata_bytes
from equime.generation_pipeline.trajectory import frame_timing, trajectory
from equime.types import AuPeak, Clip, ClipSpec, Declared, Face, FaceQuality, Phases
from tests.generation_pipeline.clip_specs import clip_specs, make_spec, neutral_spec


def make_face(**changes: Any) -> Face:
    quality = FaceQuality(
        face_px=300, sharpness=80, yaw_deg=0, pitch_deg=0, roll_deg=0, eye_open=0.3, mouth_open=0, smile=0,
        humanness=1, n_faces=1,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "face_id": "face0",
        "subject_id": "s1",
        "path": "somewhere/private/portrait.jpg",
        "sha256": "ab" * 32,
        "face_index": 0,
        "image_size": (600, 800),
        "to_crop": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        "landmarks": "faces/face0.npy",
        "px_per_mm": 2.4,
        "source": "folder",
        "licence": "CC0-1.0",
        "declared": Declared(gender="f", age=40.0),
        "quality": quality,
        "aligner": "test 1",
    }
    return Face(**{**fields, **changes})


def make_clip(spec: ClipSpec) -> Clip:
    timing = frame_timing(spec, trajectory(spec))
    return Clip(
        clip_id="c1",
        spec_id=spec.spec_id,
        face_id=spec.face_id,
        file=f"{spec.emotion}/f_s1_001.mp4",
        sha256="cd" * 32,
        renderer="mesh",
        renderer_version="1",
        renderer_params={"b": 1, "a": True},
        encoder={"codec": "libx264", "crf": 18.0},
        n_frames=spec.n_frames,
        fps=spec.fps,
        width=512,
        height=512,
        codec="h264",
        pix_fmt="yuv420p",
        duration_ms=spec.duration_ms,
        size_bytes=500_000,
        bitrate_kbps=1000.0,
        timing=timing,
        captions=write_captions(spec, timing),
    )


def made(spec: ClipSpec, **kwargs: Any) -> dict[str, Any]:
    data = metadata_bytes(clip_metadata(spec, make_clip(spec), make_face(), **kwargs))
    decoded: dict[str, Any] = msgspec.json.decode(data)
    return decoded


def test_what_a_reader_of_the_equime_page_expects() -> None:
    data = made(make_spec())
    assert data["video_name"] == "f_s1_001.mp4"
    assert data["emotion"] == "happiness"
    assert data["synthetic"] is True
    assert data["technical"] == {
        "fps": 24.0,
        "total_frames": 96,
        "duration_s": 4.0,
        "size_bytes": 500_000,
        "size_mb": 0.5,
        "bitrate_kbps": 1000.0,
        "codec": "h264",
        "pix_fmt": "yuv420p",
        "resolution": "512x512",
        "width": 512,
        "height": 512,
        "sha256": "cd" * 32,
    }
    assert set(data["captions"]) == {"short", "facs", "plain", "paraphrases"}
    generation = data["generation"]
    assert (generation["spec_id"], generation["clip_id"], generation["seed"]) == (
        make_spec().spec_id,
        "c1",
        7,
    )
    assert generation["source"]["licence"] == "CC0-1.0"


def test_declared_and_estimated_never_mix() -> None:
    data = made(make_spec())
    assert data["declared"] == {"gender": "f", "age": 40.0}
    assert data["pseudolabels"] == {
        "gender": None,
        "age": None,
        "race": None,
        "note": "not estimated; run `equime attributes`",
    }
    labels = {
        "gender": "m", "age": 31, "race": "x", "probabilities": {"gender": {"m": 0.9, "f": 0.1}},
        "estimator": "deepface 1",
    }  # fmt: skip
    estimated = made(make_spec(), pseudolabels=labels)
    assert estimated["declared"] == data["declared"]
    assert estimated["pseudolabels"] == {**labels, "note": ESTIMATES}


def test_aus_and_timing() -> None:
    data = made(make_spec())
    assert [au["code"] for au in data["aus"]] == ["6B", "L12C+R12B"]
    assert [au["side"] for au in data["aus"]] == ["both", "both"]
    timing = data["timing"]
    assert (timing["onset_ms"], timing["apex_ms"], timing["offset_ms"]) == (812.0, 1010.0, 1240.0)
    assert (timing["total_ms"], timing["onset_phase_ms"]) == (428.0, 198.0)
    assert timing["criterion"]["micro_expression"] is True
    assert [b["start_ms"] for b in data["blinks"]] == [2000.0, 3000.0]
    central = made(make_spec(aus=(AuPeak(au=17, left=2.0, right=2.0), AuPeak(au=2, left=0.0, right=1.2))))
    assert [au["side"] for au in central["aus"]] == [None, "right"]
    assert central["aus"][1]["letter_left"] is None


@pytest.mark.parametrize(
    ("phases", "micro"),
    [
        (Phases(onset_ms=500, apex_ms=700, hold_ms=0, offset_ms=1000), True),
        (Phases(onset_ms=500, apex_ms=740, hold_ms=300, offset_ms=1500), True),
        (Phases(onset_ms=500, apex_ms=800, hold_ms=0, offset_ms=1500), False),
    ],
)
def test_micro_criterion(phases: Phases, micro: bool) -> None:
    assert made(make_spec(phases=phases))["timing"]["criterion"]["micro_expression"] is micro


def test_neutral() -> None:
    data = made(neutral_spec())
    assert data["aus"] == []
    assert data["timing"] is None
    assert {curve["au"] for curve in data["au_curves"]} == {45}


@given(spec=st.one_of(clip_specs(), clip_specs(neutral=True)))
@settings(max_examples=40, deadline=None)
def test_curves_rebuild_the_trajectory(spec: ClipSpec) -> None:
    track = trajectory(spec)
    rebuilt = np.zeros_like(track.curve)
    for curve in made(spec)["au_curves"]:
        frames = slice(curve["first_frame"], curve["first_frame"] + len(curve["left"]))
        rebuilt[frames, track.aus.index(curve["au"])] = np.stack([curve["left"], curve["right"]], axis=1)
    np.testing.assert_allclose(rebuilt, track.curve, atol=6e-4)


def test_same_bytes_and_no_machine() -> None:
    spec = make_spec(do={"emotion": msgspec.Raw(b'"fear"'), "au": msgspec.Raw(b"[1]")})
    first, second = (metadata_bytes(clip_metadata(spec, make_clip(spec), make_face())) for _ in range(2))
    assert first == second
    assert first.endswith(b"}\n")
    assert b"private" not in first, "the path of a photograph is no part of a release"
    decoded = msgspec.json.decode(first)
    assert decoded["generation"]["do"] == {"au": [1], "emotion": "fear"}
    assert list(decoded["generation"]["renderer_params"]) == ["a", "b"]
    given_track = metadata_bytes(clip_metadata(spec, make_clip(spec), make_face(), track=trajectory(spec)))
    assert given_track == first
