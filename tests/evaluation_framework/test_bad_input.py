"""A folder in which most things are wrong: every fault is one clip's problem, and the rest is measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from equime.dataset import Dataset
from equime.evaluation_framework.report import write_report
from equime.evaluation_framework.run import Options, evaluate
from tests import runs
from tests.core.clip_files import save, scene, write

QUICK = "video_file,smoothness,total_variation,sequence"

EXPECTED = {
    "audio.mp4": "no_video_stream",
    "cut.mp4": "truncated",
    "empty.mp4": "empty_file",
    "text.mp4": "not_a_video",
    "gap": "gap_in_frames",
    "mixed": "mixed_sizes",
    "torn": "unreadable_frame",
    "no_rate": "fps_unknown",
}
"""Clip to the code of its problem."""

SOUND = {"good.mp4", "one_frame.mp4", "variable.mkv", "odd.avi", "deep.mkv", "grey.mkv"}
"""Unusual, but can be measured."""


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    good = write(folder / "good.mp4", n=12)
    audio_only(folder / "audio.mp4")
    data = good.read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no video, whatever its name says\n" * 20)
    write(folder / "one_frame.mp4", n=1)
    write(folder / "variable.mkv", n=6, pts=[0, 1, 2, 6, 7, 8])
    write(folder / "odd.avi", "mjpeg", "yuvj444p", size=(97, 81))
    write(folder / "deep.mkv", "ffv1", "yuv420p10le")
    write(folder / "grey.mkv", "ffv1", "gray")
    images = scene(4, 64, 48)
    save(folder / "gap", [f"img{i}.png" for i in (1, 2, 5, 6)], images)
    save(folder / "mixed", [f"img{i}.png" for i in range(3)], [*images[:2], scene(1, 32, 32)[0]])
    torn = save(folder / "torn", [f"img{i}.png" for i in range(3)], images[:3]) / "img1.png"
    torn.write_bytes(torn.read_bytes()[:200])
    return folder


def test_every_fault_is_a_problem_of_its_clip_and_the_rest_is_measured(place: Path, tmp_path: Path) -> None:
    no_rate = place / "no_rate"
    options = Options(metrics=tuple(QUICK.split(",")), workers=0, fps=25.0)
    result = evaluate(place, tmp_path / "dir", options=options)
    found = {problem.file: problem.code for problem in result.problems}
    expected = {name: code for name, code in EXPECTED.items() if name != "no_rate"}
    assert found == expected
    for problem in result.problems:
        assert problem.file in problem.message
        assert problem.annotator == ""
    measured = result.clips[result.clips["n_frames"].notna()]
    assert set(measured["file"]) == SOUND
    rows = measured.set_index("file")
    assert rows.loc["one_frame.mp4", "n_frames"] == 1
    assert rows.loc["one_frame.mp4", "ssim_consecutive"] is None or np.isnan(
        rows.loc["one_frame.mp4", "ssim_consecutive"]
    )
    assert bool(rows.loc["variable.mkv", "is_variable_rate"])
    assert (rows.loc["odd.avi", "width"], rows.loc["odd.avi", "height"]) == (97, 81)
    codes = {(result.clips.set_index("clip_id").loc[clip, "file"], code) for clip, _, code, _ in result.notes}
    assert {("one_frame.mp4", "one_frame"), ("variable.mkv", "variable_rate")} <= codes
    report = next(
        path for path in write_report(result, tmp_path / "dir") if path.suffix == ".html"
    ).read_text()
    for name, code in expected.items():
        assert name in report
        assert code in report
    assert not no_rate.exists()


def test_the_command_ends_with_1_and_says_what_is_wrong(place: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(place, tmp_path / "place")
    save(copy / "no_rate", [f"img{i}.png" for i in range(3)], scene(3, 64, 48))
    arguments = ("evaluate", copy, "--out", tmp_path / "dir", "--metrics", QUICK, "--json", "--workers", "2")
    code, out, err = runs.call(*arguments)
    assert code == 1, err
    problems = {problem["file"]: problem["code"] for problem in json.loads(out)["problems"]}
    # Without --fps every folder of frames lacks its rate; a gap is found before that.
    rates = {"mixed": "fps_unknown", "torn": "fps_unknown"}
    assert problems == EXPECTED | rates
    assert "Traceback" not in err


def test_a_place_without_clips_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    code, _, err = runs.call("evaluate", tmp_path / "nothing", "--out", tmp_path / "dir")
    assert code == 2
    assert "nothing to measure" in err
    code, _, err = runs.call("evaluate", tmp_path / "absent", "--out", tmp_path / "dir")
    assert code == 2
    assert "no such file or folder" in err
    code, _, err = runs.call("evaluate", tmp_path / "nothing", "--csv", "excel", "--out", tmp_path / "dir")
    assert code == 2
    assert "--csv equime" in err


def test_equimes_table(mesh_clips: Dataset, tmp_path: Path) -> None:
    """--csv equime holds exactly EquiME's columns, with N/A for what could not run."""
    copy = shutil.copytree(mesh_clips.root, tmp_path / "set")
    metrics = "video_file,smoothness,total_variation"
    arguments = ("evaluate", copy, "--out", tmp_path / "dir", "--metrics", metrics, "--csv", "equime")
    code, _, err = runs.call(*arguments, "--workers", "0")
    assert code == 0, err
    lines = (tmp_path / "dir" / "video_metrics_set.csv").read_text().splitlines()
    assert lines[0] == (
        "video_path,psnr_mean,ssim_mean,tv_mean,brisque_mean,clip_iqa_mean,num_frames,size_mb,duration_s,"
        "bitrate_kbps"
    )
    assert len(lines) == 1 + len(mesh_clips)
    first = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (first["brisque_mean"], first["clip_iqa_mean"]) == ("N/A", "N/A")
    assert float(first["duration_s"]) == pytest.approx(2.0)
    assert 20 < float(first["psnr_mean"]) < 80
