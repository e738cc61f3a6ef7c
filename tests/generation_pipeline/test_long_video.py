"""Long videos: what is planned is what is drawn and coded, and an interrupted run goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from equime.coded import read_set
from equime.errors import InputError
from equime.generation_pipeline import long_video
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.long_plan import (
    GAP_MS,
    LongPlan,
    Rates,
    event_frames,
    long_trajectory,
    plan_long_video,
)
from equime.generation_pipeline.long_video import DISTRACTORS, Distractor, make_long_videos
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.renderers.mesh import PreparedMesh
from equime.generation_pipeline.trajectory import trajectory
from equime.records import read
from equime.types import Face
from equime.video import probe


@pytest.fixture(scope="module")
def face(small_face_input: FaceInput) -> Face:
    return small_face_input.face


def planned(face: Face, number: int = 0, **changes: float) -> LongPlan:
    return plan_long_video(CausalModel(), face, number, **{"seed": 3, "duration_s": 30.0, **changes})  # type: ignore[arg-type]


def test_events_are_those_asked_for_and_never_overlap(face: Face) -> None:
    for number in range(4):
        plan = planned(face, number)
        kinds = [event.kind for event in plan.events]
        assert {kind: kinds.count(kind) for kind in set(kinds)} == Rates().counts(30.0)
        starts = [event.start_ms for event in plan.events]
        ends = [event.end_ms for event in plan.events]
        assert all(
            after - before >= GAP_MS - 0.1 for before, after in zip(ends[:-1], starts[1:], strict=True)
        )
        assert 0 < starts[0] < ends[-1] < 30_000


def test_micro_expressions_are_short_and_macro_expressions_long_and_strong(face: Face) -> None:
    """Medians of the macro-expressions against CAS(ME)^2 (462, 1,033 ms) and SAMM-LV (465, 1,115 ms)."""
    events = [event for number in range(16) for event in planned(face, number, duration_s=60.0).events]
    length = {
        kind: np.array([e.end_ms - e.start_ms for e in events if e.kind == kind])
        for kind in ("micro", "macro")
    }
    rise = [e.parts[0].phases.apex_ms - e.start_ms for e in events if e.kind == "macro"]
    peak = {
        kind: np.median([max(max(p.left, p.right) for p in e.parts[0].aus) for e in events if e.kind == kind])
        for kind in ("micro", "macro")
    }
    assert length["micro"].max() <= 500.02
    assert length["macro"].min() > 600
    assert np.median(length["macro"]) == pytest.approx(1074, rel=0.1)
    assert np.median(rise) == pytest.approx(463, rel=0.15)
    assert peak["macro"] > peak["micro"]


def test_a_plan_depends_on_its_arguments_alone(face: Face) -> None:
    assert planned(face) == planned(face)
    ids = {planned(face).plan_id, planned(face, 1).plan_id, planned(face, seed=4).plan_id}
    assert len(ids) == 3


def test_the_curves_are_the_sum_of_their_parts(face: Face) -> None:
    plan = planned(face)
    track, base = long_trajectory(plan), trajectory(plan.spec)
    rest = np.ones(len(track.time_ms), np.bool_)
    for event in plan.events:
        at = event_frames(plan, event)
        rest[at.onset : at.offset + 1] = False
        if event.kind != "head":
            apex = event.parts[0].phases.apex_ms
            frame = int(np.argmin(np.abs(track.time_ms - apex)))
            for peak in event.parts[0].aus:
                left, right = track.curve[frame, track.aus.index(peak.au)]
                assert left >= 0.8 * peak.left
                assert right >= 0.8 * peak.right
        else:
            moved = np.abs(track.head - base.head)[at.onset : at.offset + 1].max(axis=0)
            assert moved.max() >= 1.3
    assert track.curve.max() <= 5.0
    blinks = [track.aus.index(au) for au in base.aus]
    np.testing.assert_array_equal(track.curve[rest][:, blinks], base.curve[rest])
    others = [i for i in range(len(track.aus)) if i not in blinks]
    assert not track.curve[rest][:, others].any()
    np.testing.assert_array_equal(track.head[rest], base.head[rest])


def test_draw_of_a_specs_own_trajectory_is_its_frames(prepared_small: PreparedMesh, face: Face) -> None:
    spec = CausalModel().sample(face, 3, do={"emotion": "surprise"}, duration_ms=700.0, size_px=128)
    drawn = prepared_small.draw(trajectory(spec), spec.camera)
    n = 0
    for a, b in zip(drawn, prepared_small.frames(spec), strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))
        n += 1
    assert n == spec.n_frames


def test_what_does_not_fit_is_refused(face: Face) -> None:
    with pytest.raises(InputError, match="10 to 60 s"):
        planned(face, duration_s=5.0)
    with pytest.raises(InputError, match="fewer events"):
        plan_long_video(CausalModel(), face, 0, seed=1, duration_s=10.0, rates=Rates(macro=30))
    with pytest.raises(InputError, match="micro -1"):
        Rates(micro=-1)


@pytest.fixture(scope="module")
def made(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("long") / "out"
    make_long_videos(faces, out, videos=2, duration_s=10.0, fps=24.0, size_px=64, seed=2, workers=0)
    return out


def test_a_set_codes_every_expression_of_its_files(made: Path) -> None:
    data = read_set(made)
    assert data.info.synthetic
    assert len({clip.subject_id for clip in data.clips}) == 2
    assert len({clip.clip_id for clip in data.clips}) == len(data.clips) == 4
    for clip in data.clips:
        file = probe(data.path_of(clip))
        assert file.n_frames == 240
        assert clip.onset is not None
        assert clip.apex is not None
        assert clip.offset is not None
        assert 0 < clip.onset <= clip.apex <= clip.offset < 240
        assert (clip.offset - clip.onset <= 12) == (clip.expression == "micro")
        assert clip.aus
    kinds = {item.kind for item in read(made / DISTRACTORS, Distractor)}
    assert {"blink", "head"} <= kinds <= {"blink", "gaze", "speech", "head"}


def test_a_finished_video_is_not_rendered_again(
    made: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(videos: int = 2, **changes: int) -> long_video.LongReport:
        options = {"duration_s": 10.0, "fps": 24.0, "size_px": 64, "seed": 2, "workers": 0, **changes}
        return make_long_videos(faces, made, videos=videos, **options)  # type: ignore[arg-type]

    before = {path.name: path.stat().st_mtime_ns for path in (made / "videos").iterdir()}
    (made / "videos" / sorted(before)[0]).unlink()
    report = again()
    assert (report.n_rendered, report.n_videos, report.n_micro) == (1, 2, 2)
    kept = sorted(before)[1]
    assert (made / "videos" / kept).stat().st_mtime_ns == before[kept]
    assert again().n_rendered == 0
    with pytest.raises(InputError, match="other faces, seed"):
        again(seed=9)


def test_a_video_that_fails_is_a_finding(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = long_video.long_trajectory

    def fails(plan: LongPlan) -> object:
        if plan.number == 1:
            raise ValueError("no mesh")
        return real(plan)

    monkeypatch.setattr(long_video, "long_trajectory", fails)
    report = make_long_videos(
        faces, tmp_path / "out", videos=2, duration_s=10.0, fps=24.0, size_px=64, workers=0
    )
    assert (report.n_videos, report.n_planned) == (1, 2)
    assert "no mesh" in report.failed[0]
    (finding,) = read_set(tmp_path / "out").info.findings
    assert (finding.code, finding.n, finding.dropped) == ("video_failed", 1, True)


def test_other_folders_are_left_alone(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="thesis"):
        make_long_videos(faces, tmp_path, videos=1, workers=0)
    with pytest.raises(InputError, match="videos 0"):
        make_long_videos(faces, tmp_path / "out", videos=0, workers=0)
