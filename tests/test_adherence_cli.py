"""``equime adherence``: what it prints and writes, how it ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from equime.cli import app
from equime.dataset import Dataset
from equime.records import write_records


@pytest.fixture(scope="module")
def data(mesh_clips: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of the data set, one of them with the frames of the other."""
    out = shutil.copytree(mesh_clips.root, tmp_path_factory.mktemp("adherence") / "out")
    made = Dataset.open(out)
    happy = next(view for view in made if view.spec.emotion == "happiness")
    still = next(
        view for view in made if view.spec.emotion == "neutral" and view.face.face_id == happy.face.face_id
    )
    shutil.copy(happy.path, still.path)
    write_records(out / "clips.jsonl", [happy.clip, still.clip])
    return out


def test_clips_are_judged_once_and_counted_by_group(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["adherence", str(data), "--workers", "0"]) == 0
    text = capsys.readouterr().out
    assert "1 of 2 clips accepted, 1 rejected" in text
    assert "unexpected_movement" in text
    assert "emotion happiness" in text
    assert "gender" in text
    table = Dataset.open(data).table("adherence").to_pandas().set_index("adheres")
    assert table.loc[False, "intended_aus"] == ""
    assert "12" in table.loc[True, "intended_aus"]
    assert table.loc[False, "shown_apex_ms"] == table.loc[True, "shown_apex_ms"]
    before = (data / "tables/adherence.parquet").read_bytes()
    assert app.run(["adherence", str(data), "--workers", "0", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (data / "tables/adherence.parquet").read_bytes() == before
    assert list(values["rejected"].values()) == ["unexpected_movement"]
    assert [rate["n"] for rate in values["acceptance"] if rate["by"] in ("all", "emotion")] == [2, 1, 1]


def test_a_clip_that_cannot_be_read_is_a_problem_and_no_verdict(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(data, tmp_path / "out")
    shutil.rmtree(out / "tables")
    for view in Dataset.open(out):
        view.path.write_bytes(b"no video")
    assert app.run(["adherence", str(out), "--workers", "0"]) == 1
    text = capsys.readouterr().out
    assert "no clip could be judged" in text
    assert "not_a_video" in text


def test_what_is_no_data_set_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["adherence", str(tmp_path)]) == 2
    assert "needs the specs" in capsys.readouterr().err
