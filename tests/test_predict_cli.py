"""``equime predict``: what it prints, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from equime.baselines.shipped import Card, save_shipped
from equime.cli import app
from equime.dataset import Dataset
from tests.baselines.test_predict import FakeFitted, card


@pytest.fixture
def model(tmp_path: Path) -> Path:
    made: Card = msgspec.structs.replace(card(), name="fake")
    save_shipped(tmp_path / "weights", FakeFitted(np.eye(3, dtype=np.float32), "emotion"), made)
    return tmp_path / "weights/fake"


def clip_of(data: Dataset, emotion: str) -> Path:
    return next(data.root / view.clip.file for view in data if view.spec.emotion == emotion)


def test_a_person_reads_label_moments_and_where_the_recogniser_comes_from(
    mesh_clips: Dataset, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [str(clip_of(mesh_clips, emotion)) for emotion in ("happiness", "neutral")]
    assert app.run(["predict", *clips, "--model", str(model), "--out", str(tmp_path / "p.csv")]) == 0
    text = capsys.readouterr().out
    assert "(negative 0." in text
    assert "apex frame" in text
    assert "no movement found" in text
    assert "fake: trained on synthetic clips only" in text
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 3


def test_a_script_reads_one_object(
    mesh_clips: Dataset, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(clip_of(mesh_clips, "anger"))
    call = ["predict", clip, "--model", str(model), "--onset", "3", "--apex", "9", "--json"]
    assert app.run(call) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["recognisers"][0]["synthetic"] is True
    (found,) = values["clips"]
    assert found["moments"]["onset"] == 3
    assert set(found["probabilities"]) == {"negative", "positive", "surprise"}
    assert found["problem"] is None


def test_what_cannot_be_read_is_said_and_ends_with_1(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert app.run(["predict", str(tmp_path / "a.mp4"), "--model", str(model)]) == 1
    assert "no prediction: not_a_video" in capsys.readouterr().out
    assert app.run(["predict"]) == 2
    assert app.run(["predict", str(tmp_path / "a.mp4"), "--model", "nobody"]) == 2
    assert app.run(["predict", "--list"]) == 0
