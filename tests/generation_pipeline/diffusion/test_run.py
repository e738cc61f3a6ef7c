"""`equime generate --renderer ltx` from the command line to a data set, with a tiny random model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from equime.cli.app import run
from equime.dataset import Dataset
from equime.records import read
from equime.types import Attempt, Failure
from tests import runs

pytestmark = pytest.mark.xdist_group("diffusion")


def arguments(faces: Path, out: Path, model: Path, *more: str, workers: int = 1) -> list[str | Path]:
    told = [f"model={model}", "dtype=float32", "steps=2", "batch=2", *more]
    options = [text for option in told for text in ("--renderer-option", option)]
    return [
        "generate", faces, out, "--clips", "4", "--seed", "5", "--size", "64", "--duration", "0.75",
        "--emotions", "happiness,neutral", "--renderer", "ltx", "--workers", str(workers), *options,
    ]  # fmt: skip


def test_a_data_set_and_a_kill_in_the_middle(
    faces: Path, tiny_ltx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run([str(a) for a in arguments(faces, whole, tiny_ltx, "gate=record", workers=0)]) == 0
    assert "0 of 4 " in capsys.readouterr().out
    data = Dataset.open(whole)
    assert len(data) == 4
    for view in data:
        clip = view.clip
        assert (clip.labels, clip.timing, clip.n_frames) == ("measured", None, 18)
        assert clip.shown is not None
        assert clip.shown.reason == "no_face"
        assert clip.shown.prompt
        assert clip.renderer_params["model"] == "tiny-ltx"
        assert clip.renderer_params["weights"]
        assert clip.renderer_params["licence"] == "unknown"
    assert runs.problems(whole) == []

    process = runs.start(*arguments(faces, broken, tiny_ltx, "gate=record"))
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and not list(broken.glob("*/*.mp4")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(list(broken.glob("*/*.mp4"))) < 4
    assert run([str(a) for a in arguments(faces, broken, tiny_ltx, "gate=record", workers=0)]) == 0
    found, expected = runs.digests(broken), runs.digests(whole)
    for name in ("attempts.jsonl",):  # seconds
        del found[name], expected[name]
    assert found == expected
    attempts = read(broken / "attempts.jsonl", Attempt)
    assert {(a.clip_id, a.attempt) for a in attempts} == {(c.clip_id, 0) for c in data.clips}


def test_another_family_by_configuration(faces: Path, tiny_cogvideox: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = arguments(
        faces,
        out,
        tiny_cogvideox,
        "pipeline=CogVideoXImageToVideoPipeline",
        "gate=record",
        "licence=CC0-1.0",
        workers=0,
    )
    assert run([*map(str, told), "--limit", "1"]) == 0
    (clip,) = Dataset.open(out).clips
    assert clip.n_frames == 18
    assert clip.renderer_params["pipeline"] == "CogVideoXImageToVideoPipeline"
    assert clip.renderer_params["licence"] == "CC0-1.0"
    assert runs.problems(out) == []


def test_noise_is_refused_by_the_gate(
    faces: Path, tiny_ltx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = arguments(faces, tmp_path / "out", tiny_ltx, "attempts=2", workers=0)
    assert run([*map(str, told), "--json"]) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["n_clips"], report["n_refused"]) == (0, 4)
    assert "refused by the adherence gate in every attempt" in err
    assert {f.attempts for f in read(tmp_path / "out" / "failures.jsonl", Failure)} == {2}
    assert report["acceptance"][0]["reasons"] == {"no_face": 8}


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--renderer-option", "model=/nowhere/ltx"], 3, "model /nowhere/ltx: no such folder"),
        (["--renderer-option", "steps=0"], 2, "option steps='0': give a whole number from 1 to 1000"),
        (["--renderer-option", "steps"], 2, "--renderer-option steps: write NAME=VALUE"),
        (["--size", "100"], 2, "makes only multiples of 32 px; the nearest are --size 96 or --size 128"),
        (["--renderer-option", "pipeline=LTX2ImageToVideoPipeline"], 2, "LTX-2 Community License"),
    ],
)
def test_what_cannot_be_is_said_before_a_face_is_looked_at(
    more: list[str], code: int, message: str, faces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    got, _, err = runs.call("generate", faces, out, "--renderer", "ltx", *more)
    assert (got, message in err) == (code, True), err
    assert not out.exists()


def test_weights_that_are_not_here_end_with_3(faces: Path, tmp_path: Path) -> None:
    code, _, err = runs.call(
        "generate",
        faces,
        tmp_path / "out",
        "--renderer",
        "ltx",
        HF_HUB_CACHE=str(tmp_path / "cache"),
        HF_HUB_OFFLINE="1",
    )
    assert code == 3
    assert "Lightricks/LTX-Video" in err
    assert "are not on this machine" in err
    assert not (tmp_path / "out").exists()


def test_a_damaged_model_is_named(faces: Path, tiny_ltx: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_ltx, tmp_path / "model")
    file = model / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    code, _, err = runs.call(*arguments(faces, tmp_path / "out", model))
    assert code == 1
    assert f"{file} is damaged" in err
