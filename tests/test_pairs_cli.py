"""``equime pairs``: what it prints, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from equime.cli import app
from equime.coded import read_set

SMALL = ["--set", "resolution.face_px=[60, 70]", "--workers", "0"]


def test_pairs_are_made_and_counted(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    call = ["pairs", str(faces), str(out), "--n", "6", "--without", "head", "--without", "texture", *SMALL]
    assert app.run(call) == 0
    text = capsys.readouterr().out
    assert "6 pairs of 3 faces (negative 2, positive 2, surprise 2); 6 made now, 0 before" in text
    assert app.run([*call, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["n_pairs"], values["n_made"], values["n_before"]) == (6, 0, 6)
    config = read_set(out).info.config
    assert config["recipe"] == "megc"


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        (["--without", "nose"], 2, "not a section; use any of intensity"),
        (["--recipe", "none.toml"], 3, "no such recipe"),
        (["--set", "head.shift_mm=-1"], 2, "below 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    more: list[str], code: int, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["pairs", "drawn:3", str(tmp_path / "out"), *more]) == code
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
