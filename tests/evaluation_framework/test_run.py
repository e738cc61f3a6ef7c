"""The evaluation of a whole set: tables, resume, faults, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from equime.dataset import Dataset
from equime.errors import InputError, WorkError
from equime.evaluation_framework.report import write_report
from equime.evaluation_framework.run import Options, evaluate
from tests import runs

FAKES = "tests.evaluation_framework.fakes"
BRIGHTNESS = f"{FAKES}:Brightness"


def options(*names: str, **more: Any) -> Options:
    return Options(metrics=tuple(f"{FAKES}:{name}" for name in names), workers=0, **more)


def test_a_dataset_gets_one_row_per_clip_in_its_own_tables(made: Path) -> None:
    result = evaluate(made, options=options("Brightness"))
    table = pq.read_table(made / "tables" / "brightness.parquet")
    assert table.num_rows == runs.N_CLIPS == len(result.clips)
    assert table.schema.field("brightness").metadata[b"unit"] == b"1"
    assert set(table["n_seen"].to_pylist()) == {24}
    assert set(table["shape"].to_pylist()) == {"64x64"}
    assert result.kind == "dataset"
    assert result.problems == ()
    assert {code for _, _, code, _ in result.notes} == {"seen"}
    assert result.clips["intended_onset_ms"].notna().all()
    assert set(result.clips["emotion"]) == {"happiness", "fear"}
    assert runs.problems(made) == []


def test_rows_already_there_are_not_measured_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("EQUIME_TEST_LOG", str(log))
    first = evaluate(made, options=options("Brightness"))
    again = evaluate(made, options=options("Brightness"))
    assert len(log.read_text().splitlines()) == runs.N_CLIPS
    pd.testing.assert_frame_equal(first.clips, again.clips)
    monkeypatch.setattr(f"{FAKES}.Brightness.version", "2")
    evaluate(made, options=options("Brightness"))
    assert len(log.read_text().splitlines()) == 2 * runs.N_CLIPS
    assert set(pq.read_table(made / "tables/brightness.parquet")["annotator_version"].to_pylist()) == {"2"}


def test_only_changed_files_of_a_folder_are_measured_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for path in sorted(made.glob("*/*.mp4"))[:3]:
        shutil.copy(path, videos)
    log = tmp_path / "log"
    monkeypatch.setenv("EQUIME_TEST_LOG", str(log))
    result = evaluate(videos, tmp_path / "dir", options=options("Brightness"))
    assert result.kind == "videos"
    changed = sorted(videos.iterdir())[1]
    shutil.copy(sorted(made.glob("*/*.mp4"))[5], changed)
    os.utime(changed, (1, 1))
    evaluate(videos, tmp_path / "dir", options=options("Brightness"))
    assert log.read_text().splitlines()[3:] == [changed.name]
    assert pq.read_table(tmp_path / "dir/tables/brightness.parquet").num_rows == 3
    assert sorted(p.name for p in videos.iterdir()) == sorted(c for c in result.clips["file"])


def test_values_per_frame_on_request(made: Path) -> None:
    evaluate(made, options=options("Brightness"))
    path = made / "tables" / "brightness_frames.parquet"
    assert not path.exists()
    evaluate(made, options=options("Brightness", per_frame=True))
    frames = pq.read_table(path).to_pandas()
    assert len(frames) == 24 * runs.N_CLIPS
    assert frames.groupby("clip_id")["time_ms"].max().round(6).eq(round(23000 / 24, 6)).all()
    clips = pq.read_table(made / "tables" / "brightness.parquet").to_pandas().set_index("clip_id")
    means = frames.groupby("clip_id")["brightness"].mean()
    assert (means - clips["brightness"]).abs().max() < 1e-9


def test_one_annotator_that_fails_does_not_touch_the_others(made: Path) -> None:
    result = evaluate(made, options=options("Brightness", "Failing", "NotANumber"))
    assert result.clips["brightness"].notna().all()
    failed = [p for p in result.problems if p.annotator == "failing"]
    assert {(p.code, p.file) for p in failed} == {
        ("failed", file) for file in result.clips["file"] if file.endswith("_002.mp4")
    }
    assert all("a wrinkle too far" in p.message and p.file in p.message for p in failed)
    nan = [p for p in result.problems if p.code == "not_a_number"]
    assert len(nan) == runs.N_CLIPS
    assert result.clips["nothing"].isna().all()
    assert result.clips["something"].eq(2.0).all()


def test_a_damaged_clip_is_a_problem_and_the_rest_goes_on(made: Path) -> None:
    victim = sorted(made.glob("happiness/*.mp4"))[0]
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 3])
    result = evaluate(made, options=options("Brightness"))
    assert [(p.file, p.annotator) for p in result.problems] == [(f"happiness/{victim.name}", "")]
    assert result.clips["brightness"].notna().sum() == runs.N_CLIPS - 1


def test_a_clip_that_kills_its_worker_is_named_and_the_rest_goes_on(made: Path) -> None:
    given = Options(metrics=(f"{FAKES}:Dying",), workers=2)
    result = evaluate(made, options=given)
    dead = {p.file for p in result.problems if p.code == "worker_died"}
    assert dead == {file for file in result.clips["file"] if file.endswith("_002.mp4")}
    assert result.clips["dying"].notna().sum() == runs.N_CLIPS - len(dead)


def test_a_killed_run_is_continued(made: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ("evaluate", made, "--metrics", BRIGHTNESS, "--workers", "1")
    extra = {"EQUIME_TEST_LOG": str(log)}
    process = runs.start(*command, EQUIME_TEST_SLEEP_S="0.2", **extra)
    spool = made / ".equime" / "evaluation" / "measured.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not spool.exists() or spool.read_bytes().count(b"\n") < 3):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = spool.read_bytes().count(b"\n")
    assert 3 <= done < runs.N_CLIPS
    assert not (made / "tables" / "brightness.parquet").exists()
    begun = len(log.read_text().splitlines())
    code, _, err = runs.call(*command, **extra)
    assert code == 0, err
    assert pq.read_table(made / "tables" / "brightness.parquet").num_rows == runs.N_CLIPS
    assert len(log.read_text().splitlines()) - begun == runs.N_CLIPS - done
    assert not spool.exists()


def test_two_processes_do_not_share_one_evaluation(made: Path) -> None:
    process = runs.start("evaluate", made, "--metrics", BRIGHTNESS, "--workers", "1", EQUIME_TEST_SLEEP_S="1")
    spool = made / ".equime" / "evaluation" / "measured.jsonl"
    try:
        deadline = time.monotonic() + 60
        while not spool.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(WorkError, match="another process measures it"):
            evaluate(made, options=options("Brightness"))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_same_tables_for_any_number_of_workers(reference: Path, tmp_path: Path) -> None:
    tables = []
    for workers in (0, 2):
        copy = shutil.copytree(reference, tmp_path / str(workers))
        evaluate(copy, options=Options(metrics=(BRIGHTNESS,), workers=workers))
        tables.append((copy / "tables" / "brightness.parquet").read_bytes())
    assert tables[0] == tables[1]


def test_a_folder_needs_a_place_for_its_tables(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --out DIR"):
        evaluate(made / "happiness", options=options("Brightness"))
    with pytest.raises(InputError, match="is the folder that is measured"):
        evaluate(made / "happiness", made / "happiness", options=options("Brightness"))
    with pytest.raises(InputError, match="metric 'sharpnes' is not known"):
        evaluate(made, options=Options(metrics=("sharpnes",)))
    with pytest.raises(InputError, match="flow 'raft' is not known"):
        evaluate(made, options=Options(metrics=(BRIGHTNESS,), flow="raft"))


def test_exit_codes_of_the_command(made: Path, tmp_path: Path) -> None:
    common = ("evaluate", made, "--out", tmp_path / "dir", "--workers", "0", "--json", "--metrics")
    code, out, err = runs.call(*common, BRIGHTNESS)
    assert code == 0, err
    assert json.loads(out)["n_clips"] == runs.N_CLIPS
    assert all(Path(name).is_file() for name in json.loads(out)["files"])
    code, out, _ = runs.call(*common, f"{FAKES}:Failing")
    assert code == 1
    assert {p["code"] for p in json.loads(out)["problems"]} == {"failed"}
    code, out, err = runs.call(*common, f"{BRIGHTNESS},{FAKES}:NeedsPackage")
    assert code == 3
    assert json.loads(out)["missing"] == ["needs_package"]
    assert "no_such_package_anywhere" in err
    code, _, err = runs.call(*common, "nonsense")
    assert code == 2
    assert "equime metrics" in err


def test_a_reference_set_is_measured_compared_and_reported(mesh_clips: Dataset, tmp_path: Path) -> None:
    own = shutil.copytree(mesh_clips.root, tmp_path / "own")
    videos = tmp_path / "videos"
    for path in sorted(mesh_clips.root.glob("*/*.mp4")):
        (videos / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, videos / path.parent.name)
    given = Options(metrics=("motion_features", "smoothness"), workers=0)
    result = evaluate(own, tmp_path / "dir", options=given, against=videos)
    assert (own / "tables" / "motion_features.parquet").is_file()
    reference = pq.read_table(tmp_path / "dir/reference/tables/motion_features.parquet")
    assert reference.num_rows == len(mesh_clips)
    assert result.reference_path == str(videos)
    assert result.comparison is not None
    # The same clips, once as a data set and once as plain videos: nothing lies between them.
    found = result.comparison
    assert (found.n_measured, found.n_reference) == (len(mesh_clips), len(mesh_clips))
    means = {row.metric: row for row in found.metrics}
    assert means["ssim_consecutive"].difference.difference == pytest.approx(0.0, abs=1e-12)
    assert found.duplicates_between is not None
    assert any("fewer than" in text for text in found.warnings)
    pages = write_report(result, tmp_path / "dir")
    html = next(page for page in pages if page.suffix == ".html").read_text()
    assert str(videos) in html
    assert "ssim_consecutive" in html
    with pytest.raises(InputError, match="is the set itself"):
        evaluate(own, options=given, against=own)
