"""Renderers that do not obey: what is measured is the label, what was meant is not, and nothing is made twice."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from equime.clip_labels import described
from equime.coded import of_dataset
from equime.dataset import Dataset
from equime.errors import InputError, MissingError
from equime.generation_pipeline.adherence_records import Measured
from equime.generation_pipeline.captions import spec_facts, write_captions
from equime.generation_pipeline.estimate import plan_report
from equime.generation_pipeline.gated import BAD_VIDEO, peaks_of, phases_of
from equime.generation_pipeline.pipeline import RunReport, prepared, run_generate
from equime.generation_pipeline.settings import Settings, make_settings
from equime.progress import Silent
from equime.records import read
from equime.types import Attempt, AuPeak, Failure, Phases
from equime.validation import validate
from tests import runs

FAKE = "tests.generators:FakeGenerator"


EMOTIONS = ("surprise", "anger", "neutral")


def settings(
    faces: Path, *, clips: int = 3, size_px: int = 256, emotions: Sequence[str] = EMOTIONS, **options: Any
) -> Settings:
    return make_settings(
        faces, clips=clips, seed=3, emotions=emotions, duration_s=1.5, size_px=size_px,
        renderer=FAKE, renderer_options=options,
    )  # fmt: skip


def make(faces: Path, out: Path, **told: Any) -> RunReport:
    return run_generate(settings(faces, **told), out, workers=0)


@pytest.fixture(scope="module")
def accepted(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of one face; the first attempt of each is frozen. Do not change it."""
    out = tmp_path_factory.mktemp("gated") / "out"
    report = make(faces, out, fail=1)
    assert (report.n_rendered, report.n_failed) == (3, 0)
    return out


def test_what_was_measured_is_the_label(accepted: Path) -> None:
    data = Dataset.open(accepted)
    moving = [view for view in data if view.spec.phases is not None]
    assert len(moving) == 2
    for view in moving:
        clip, shown, timing = view.clip, view.clip.shown, view.clip.timing
        assert clip.labels == "measured"
        assert shown is not None
        assert shown.phases is not None
        assert timing is not None
        assert view.spec.phases is not None
        assert (shown.accepted, shown.attempt, shown.prompt) == (True, 1, f"show {view.spec.emotion}")
        assert timing.apex_ms == shown.phases.apex_ms != view.spec.phases.apex_ms
        assert timing.onset_frame <= timing.apex_frame <= timing.offset_frame
        assert abs(timing.apex_ms - view.spec.phases.apex_ms) < 100
        assert shown.aus != view.spec.aus
        assert clip.captions == write_captions(view.described, timing)
        assert spec_facts(view.described).onset_ms == shown.phases.onset_ms
        assert len(view.curve()) == 0
    assert validate(accepted).problems == ()


def test_tables_training_and_metadata_read_the_measured_labels(accepted: Path) -> None:
    data = Dataset.open(accepted)
    table = data.to_pandas().set_index("clip_id")
    coded = {clip.clip_id: clip for clip in of_dataset(accepted).clips}
    lines = [json.loads(line) for line in (accepted / "metadata.jsonl").read_text().splitlines()]
    rows = {row["clip_id"]: row for row in lines}
    for view in data:
        key, aus = view.clip.clip_id, {peak.au for peak in view.described.aus}
        assert table.loc[key, "labels"] == rows[key]["labels"] == "measured"
        assert {peak["au"] for peak in table.loc[key, "aus"]} == aus
        assert {peak["au"] for peak in rows[key]["aus"]} == aus
        assert {code.au for code in coded[key].aus} <= aus
        said = view.metadata()
        assert [peak["au"] for peak in said["aus"]] == [peak.au for peak in view.described.aus]
        assert [peak["au"] for peak in said["intended"]["aus"]] == [peak.au for peak in view.spec.aus]
        assert (said["au_curves"], said["gaze"], said["head"]) == ([], None, None)
        assert said["shown"]["gate"] == "adherence/1"


def test_every_attempt_is_kept_and_counted(accepted: Path, faces: Path) -> None:
    attempts = read(accepted / "attempts.jsonl", Attempt)
    assert [(a.emotion, a.attempt, a.accepted) for a in sorted(attempts, key=lambda a: (a.emotion, a.attempt))] == [
        ("anger", 0, False), ("anger", 1, True), ("neutral", 0, False), ("neutral", 1, True),
        ("surprise", 0, False), ("surprise", 1, True),
    ]  # fmt: skip
    assert {a.reason for a in attempts if not a.accepted} == {"frozen"}
    report = make(faces, accepted, fail=1)
    assert report.n_rendered == 0
    rates = {(rate.by, rate.group): rate for rate in report.acceptance}
    assert (rates["all", ""].n_accepted, rates["all", ""].n) == (3, 6)
    assert rates["emotion", "anger"].reasons == {"frozen": 1}


def test_a_clip_does_not_depend_on_its_batch(accepted: Path, faces: Path, tmp_path: Path) -> None:
    make(faces, tmp_path / "out", fail=1, batch=3)
    ours, theirs = runs.digests(tmp_path / "out"), runs.digests(accepted)
    for name in ("attempts.jsonl", "dataset.json"):  # seconds, and the size of the batch
        del ours[name], theirs[name]
    assert ours == theirs


def test_complete_files_are_adopted_with_what_was_measured(
    accepted: Path, faces: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(accepted, tmp_path / "out")
    lines = (out / "clips.jsonl").read_bytes().splitlines(keepends=True)
    (out / "clips.jsonl").write_bytes(lines[0])
    report = make(faces, out, fail=1)
    assert (report.n_rendered, report.n_adopted) == (0, 2)
    assert (out / "clips.jsonl").read_bytes() == (accepted / "clips.jsonl").read_bytes()


def test_edited_measurements_are_found(accepted: Path, tmp_path: Path) -> None:
    out = shutil.copytree(accepted, tmp_path / "out")
    lines = (out / "clips.jsonl").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if '"surprise/' in line)
    clip = json.loads(lines[at])
    clip["timing"]["apex_frame"] += 1
    lines[at] = json.dumps(clip)
    (out / "clips.jsonl").write_text("\n".join(lines) + "\n")
    assert "wrong_timing" in {problem.code for problem in validate(out).problems}


def test_refused_clips_are_recorded_and_more_attempts_go_on(faces: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIME_TEST_LOG", str(log))
        few: Any = {"fail": 2, "clips": 2, "emotions": ("surprise", "neutral")}
        report = make(faces, out, attempts=2, **few)
        assert (report.n_clips, report.n_failed, report.n_refused) == (0, 2, 2)
        failures = read(out / "failures.jsonl", Failure)
        assert {(f.error, f.attempts) for f in failures} == {("Refused", 2)}
        assert "refused in 2 attempt(s), the last for frozen" in failures[0].message
        assert not list(out.glob("*/*.mp4"))
        made = Counter(line.split()[1] for line in log.read_text().splitlines())
        assert made == {"0": 2, "1": 2}
        assert make(faces, out, attempts=2, **few).n_refused == 2
        assert len(log.read_text().splitlines()) == 4, "refused clips were made again"
        report = make(faces, out, attempts=3, **few)
        assert (report.n_rendered, report.n_failed) == (2, 0)
        assert len(log.read_text().splitlines()) == 6
    assert {clip.shown.attempt for clip in Dataset.open(out).clips if clip.shown} == {2}


def test_a_result_that_is_no_video_costs_nobody_else(faces: Path, tmp_path: Path) -> None:
    report = make(
        faces, tmp_path / "out", nan="anger", attempts=1, batch=2, clips=2, emotions=("surprise", "anger")
    )
    assert (report.n_rendered, report.n_refused) == (1, 1)
    (bad,) = [a for a in read(tmp_path / "out" / "attempts.jsonl", Attempt) if not a.accepted]
    assert (bad.reason, bad.message) == (BAD_VIDEO, "the model gave NaN")


def test_a_photograph_that_changed_costs_no_other_clip_of_the_batch(faces: Path, tmp_path: Path) -> None:
    source, out = shutil.copytree(faces.parent, tmp_path / "source"), tmp_path / "out"
    few: Any = {"clips": 4, "emotions": ("surprise", "neutral"), "batch": 4}
    prepared(settings(source / faces.name, **few), out, preset=None, workers=0, progress=Silent())
    of = Counter(spec.face_id for spec in Dataset.open(out).specs)
    assert len(of) == 2
    changed = Dataset.open(out).faces[min(of)]
    shutil.copy(source / "drawn_103.png", source / changed.path)
    report = make(source / faces.name, out, **few)
    assert (report.n_failed, report.n_refused) == (2, 0)
    assert report.n_rendered == 2
    assert {failure.error for failure in read(out / "failures.jsonl", Failure)} == {"WorkError"}


def test_recorded_whatever_it_shows(faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = make(faces, out, fail=9, gate="record", clips=2, emotions=("surprise", "neutral"))
    assert (report.n_rendered, report.n_failed) == (2, 0)
    for view in Dataset.open(out):
        assert view.clip.shown is not None
        assert (view.clip.shown.accepted, view.clip.shown.reason) == (False, "frozen")
        assert view.clip.timing is None
        assert view.described.emotion == "neutral"
        assert "stays neutral" in view.clip.captions.short
    assert validate(out).problems == ()


def test_settings_that_differ_and_options_that_are_wrong(faces: Path, accepted: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"renderer_params \(--renderer-option\)"):
        make(faces, accepted, fail=2)
    with pytest.raises(InputError, match="multiples of 32 only"):
        settings(faces, size_px=250)
    with pytest.raises(InputError, match="shiny not known"):
        settings(faces, shiny=1)
    with pytest.raises(InputError, match="renderer mesh takes no options"):
        make_settings(faces, renderer="mesh", renderer_options={"steps": 3})
    with pytest.raises(MissingError, match="weights are not here"):
        make(faces, tmp_path / "out", missing="yes")
    assert not (tmp_path / "out").exists()


def test_a_plan_says_what_a_gpu_will_cost(faces: Path, tmp_path: Path) -> None:
    report = plan_report(
        settings(faces, clips=9), tmp_path / "out", preset=None, workers=None, progress=Silent()
    )
    assert report.gpu_hours == pytest.approx(9 * 36 / 3600)
    assert (report.attempts, report.weights_licence) == (3, "test-weights")
    assert any("weights under 'test-weights'" in text for text in report.conflicts)
    assert report.basis.startswith("a guess; size and encoding:")


def test_measured_labels_as_records() -> None:
    nothing = Measured(n_frames=9, black_share=0.0, repeated_share=0.0, face_share=1.0)
    assert phases_of(nothing) is None
    assert peaks_of(nothing) == ()
    found = msgspec.structs.replace(
        nothing,
        onset_ms=100.0,
        apex_ms=200.0,
        offset_ms=400.0,
        aus={"L12": 2.0, "R12": 1.0, "4": 7.0, "R2": 1.5},
    )
    assert phases_of(found) == Phases(onset_ms=100.0, apex_ms=200.0, hold_ms=0.0, offset_ms=400.0)
    assert peaks_of(found) == (
        AuPeak(au=2, left=0.0, right=1.5), AuPeak(au=4, left=5.0, right=5.0), AuPeak(au=12, left=2.0, right=1.0),
    )  # fmt: skip
    assert phases_of(msgspec.structs.replace(found, offset_ms=None)) is None


def test_exact_clips_are_described_by_their_specs(mesh_clips: Dataset) -> None:
    for view in mesh_clips:
        assert described(view.spec, view.clip) is view.spec
        from_a_worker = msgspec.json.encode(pickle.loads(pickle.dumps(view.clip)))
        assert from_a_worker == msgspec.json.encode(view.clip)
        assert b"shown" not in from_a_worker
        assert b"measured" not in from_a_worker
