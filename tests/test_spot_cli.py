"""The spotting commands: from end to end on one small video, the rest on signals made by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from equime.baselines import spotting
from equime.baselines.spotting_signal import FaceSignal
from equime.cli import app
from equime.coded import read_set, write_set
from tests.baselines.face_signals import coded, signal


def call(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = app.run([str(argument) for argument in arguments])
    text = capsys.readouterr()
    return code, text.out, text.err


@pytest.fixture(scope="module")
def made(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A set of one short long video, and a folder for its signal."""
    folder: Path = tmp_path_factory.mktemp("spot")
    rates = ["--micro", "12", "--macro", "12", "--speech", "0", "--head", "0"]
    code = app.run(
        ["long-videos", str(faces), str(folder / "long"), "--videos", "1", "--duration", "10", "--fps", "24",
         "--size", "128", "--seed", "4", "--workers", "0", *rates]
    )  # fmt: skip
    assert code == 0
    return folder / "long", folder / "cache"


def test_spots_and_scores_a_coded_set(
    made: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, cache = made
    code, out, err = call(capsys, "spot", data, "--cache", cache, "--out", tmp_path / "found.csv", "--json")
    assert code == 0, err
    (found,) = json.loads(out)["found"]
    n = len(read_set(data).clips)
    counts = found["scores"]["overall"]["counts"]
    assert counts["tp"] + counts["fn"] == n == 4
    assert counts["tp"] >= 1  # small and dim: the strong one is enough
    with (tmp_path / "found.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == counts["tp"] + counts["fp"]
    assert {row["expression"] for row in rows} <= {"micro", "macro"}
    assert all(int(row["onset"]) <= int(row["apex"]) <= int(row["offset"]) for row in rows)


def test_the_table_is_for_people(made: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "spot", made[0], "--cache", made[1])
    assert code == 0
    assert "1 videos of 1 subjects" in out
    assert "micro" in out
    code, out, _ = call(capsys, "spot", made[0], "--cache", made[1], "--no-truth")
    assert "F1" not in out


def test_a_video_needs_no_coding(made: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    video = sorted((made[0] / "videos").iterdir())[0]
    code, out, err = call(capsys, "spot", video, "--cache", made[1], "--json")
    assert code == 0, err
    (found,) = json.loads(out)["found"]
    assert found["scores"] == {}
    assert list(found["intervals"]) == [video.name]


def test_recognises_what_it_spotted(made: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    data, cache = made
    code, out, err = call(capsys, "spot", data, "--cache", cache, "--recognise", "emotion_cnn")
    assert code == 0, err
    assert "STRS 0." in out or "STRS 1." in out
    assert "emotion_cnn was trained on synthetic clips alone" in out


@pytest.fixture
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A coded set of three people whose videos are signals."""
    signals, rows = {}, []
    for i in range(3):
        micro, macro = 3000.0 + 500 * i, 8000.0 + 700 * i
        brows = ("brow_right", "brow_left")
        bumps = [(micro, micro + 400, brows, 1.0), (macro, macro + 1100, brows, 1.5)]
        signals[f"v{i}.mp4"] = signal(bumps, seconds=14.0, seed=i)
        rows.append((f"s{i}", f"v{i}.mp4", round(micro * 0.03), round((micro + 400) * 0.03), "micro"))
        rows.append((f"s{i}", f"v{i}.mp4", round(macro * 0.03), round((macro + 1100) * 0.03), "macro"))

    def known(path: Path, *_: object, **__: object) -> FaceSignal:
        return signals[path.name]

    monkeypatch.setattr(spotting, "signal_of", known)
    write_set(coded(rows), tmp_path / "set")  # type: ignore[arg-type]
    return tmp_path / "set"


def test_trains_and_spots_with_what_it_trained(
    by_hand: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = tmp_path / "spotter.safetensors"
    code, out, err = call(capsys, "train-spotter", by_hand, model)
    assert code == 0, err
    assert "3 synthetic videos of 3 subjects (3 micro-, 3 macro-expressions)" in out
    spotting_with_it = ["spot", by_hand, "--method", "learned", "--model", model]
    code, _, err = call(capsys, *spotting_with_it)
    assert code == 2
    assert "trained on 3 of these subjects" in err
    assert call(capsys, *spotting_with_it, "--no-truth")[0] == 0


def test_leaves_one_subject_out(by_hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "spot", by_hand, "--method", "learned", "--loso", "--json")
    assert code == 0, err
    (found,) = json.loads(out)["found"]
    assert len(found["intervals"]) == 3
    assert found["scores"]["overall"]["n_subjects"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "magic"), "regional or learned"),
        (("--method", "learned"), "--model FILE"),
        (("--loso",), "for --method learned"),
        (("--method", "learned", "--loso"), "needs coded clips"),
        (("--recognise", "emotion_cnn"), "needs coded clips"),
        (("--recognise", "emotion_cnn", "--no-truth"), "leave out --no-truth"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = call(capsys, "spot", tmp_path, *arguments)
    assert code == 2
    assert message in err


def test_a_path_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = call(capsys, "spot", tmp_path / "nothing", "--recognise", "emotion_cnn")
    assert code == 2
    assert f"{tmp_path / 'nothing'}: does not exist" in err


def test_a_video_that_cannot_be_read_is_a_problem_and_not_the_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    code, _, err = call(capsys, "spot", tmp_path)
    assert code == 1
    assert "bad.mp4" in err
