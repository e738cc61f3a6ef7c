from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import equime.cli.weights  # noqa: F401  (registers the commands)
from equime import hub_models
from equime.cli.app import run
from equime.hub_models import FOLDERS, HUB_MODELS, fetch_command, newest_snapshot, revision_folder

NAME = "Lightricks/LTX-Video"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def snapshot(cache: Path, name: str = "abc", *, age_s: float = 0.0) -> Path:
    folder = cache / "models--Lightricks--LTX-Video" / "snapshots" / name
    folder.mkdir(parents=True)
    index = folder / "model_index.json"
    index.write_text('{"_class_name": "LTXPipeline", "scheduler": ["diffusers", "X"]}')
    at = index.stat().st_mtime - age_s
    os.utime(index, (at, at))
    return folder


def test_where_the_hub_keeps_models(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_models.cache_folder(NAME) == cache / "models--Lightricks--LTX-Video"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", "/data/hf")
    assert hub_models.cache_folder("a/b") == Path("/data/hf/hub/models--a--b")
    assert newest_snapshot(NAME) is None


def test_the_newest_snapshot_counts(cache: Path) -> None:
    snapshot(cache, "old", age_s=100)
    newer = snapshot(cache, "new")
    assert newest_snapshot(NAME) == newer


def test_a_revision_is_a_name_or_a_commit(cache: Path) -> None:
    folder = snapshot(cache, "abc")
    assert revision_folder(NAME, "main") is None
    refs = hub_models.cache_folder(NAME) / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    assert revision_folder(NAME, "main") == revision_folder(NAME, "abc") == folder
    (refs / "main").write_text("def")
    assert revision_folder(NAME, "main") is None


def test_every_model_says_what_a_user_must_know() -> None:
    for hub_id, model in HUB_MODELS.items():
        assert hub_id == model.hub_id
        assert model.size_gb > 1
        assert model.licence
        assert all(f'--include "{pattern}"' in fetch_command(model) for pattern in FOLDERS)


def test_list_where_and_verify(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "list"]) == 0
    said = capsys.readouterr().out
    assert f"{NAME}: LTX-Video 2B, image to video" in said
    assert "renderer options: model=Lightricks/LTX-Video pipeline=LTXImageToVideoPipeline" in said
    assert run(["weights", "where", NAME]) == 0
    assert capsys.readouterr().out.strip() == str(hub_models.cache_folder(NAME))
    assert run(["weights", "verify", NAME]) == 3
    assert f"hf download {NAME}" in capsys.readouterr().err
    folder = snapshot(cache)
    assert run(["weights", "verify", NAME]) == 3
    assert "component 'scheduler' is not there" in capsys.readouterr().err
    (folder / "scheduler").mkdir()
    assert run(["weights", "verify", NAME]) == 0
    assert "whole, 0.00 billion weights" in capsys.readouterr().out
    assert run(["weights", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed[NAME]["available"] is True


def test_fetch(cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def download(hub_id: str, allow_patterns: list[str]) -> str:
        asked.append((hub_id, allow_patterns))
        if len(asked) == 1:
            raise ConnectionError("no route to host\nmore")
        return str(snapshot(cache))

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=download))
    monkeypatch.setattr(hub_models, "installed", lambda _: True)
    assert run(["weights", "fetch", NAME]) == 3
    said = capsys.readouterr().err
    assert "licence: Lightricks' open weights licence" in said
    assert "could not be fetched (ConnectionError: no route to host); check the connection" in said
    assert run(["weights", "fetch", NAME]) == 0
    assert asked[1] == (NAME, list(FOLDERS))
    monkeypatch.setattr(hub_models, "installed", lambda _: False)
    assert run(["weights", "fetch", NAME]) == 3
    assert "pip install 'equime[diffusion]'" in capsys.readouterr().err
