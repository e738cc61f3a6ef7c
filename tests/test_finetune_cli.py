"""``equime export-finetune``: what it prints, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from equime.cli import app
from equime.dataset import Dataset


def test_an_export_says_what_it_holds_and_what_to_know(
    mesh_clips: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [
        "export-finetune",
        str(mesh_clips.root),
        str(tmp_path / "out"),
        "--layout",
        "ltx",
        "--trigger",
        "MICROEX",
    ]
    assert app.run(call) == 0
    text, notes = capsys.readouterr()
    assert "4 clips of 1 people to train on, 4 of 1 to validate; bucket 256x256x41; videos: link 8\n" in text
    assert "licences: CC0-1.0, drawn by equime 2\n" in text
    assert "configuration: ltx2_i2v_lora.yaml, ltxv_lora.yaml" in text
    assert "note: one latent frame is 333 ms at 24 fps" in notes
    assert app.run([*call, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["already"] is True
    assert values["n_people"] == {"train": 1, "validation": 1}
    assert Path(values["out"]) == tmp_path / "out"


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        (["--layout", "sora"], 2, "layout 'sora' not known"),
        (["--layout", "ltx", "--frames", "144"], 2, "use 137 or 145"),
        ([], 2, "--layout"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    more: list[str],
    code: int,
    text: str,
    mesh_clips: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.run(["export-finetune", str(mesh_clips.root), str(tmp_path / "out"), *more]) == code
    error = capsys.readouterr().err
    assert text in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_folder_without_a_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["export-finetune", str(tmp_path), str(tmp_path / "out"), "--layout", "ltx"]) == 2
    assert "no equime data set" in capsys.readouterr().err
