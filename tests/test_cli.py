"""The commands that scripts rely on: their output, their exit codes, and one line per error."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

import equime
from equime.action_units import ACTION_UNITS
from equime.cli.app import run
from equime.dataset import Dataset
from equime.drawn_face import save_default_faces
from equime.errors import InputError
from equime.generation_pipeline import demo
from tests import runs


def last_error(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]


def test_generate_json(out: Path, faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", str(faces), str(out), *runs.options(), "--workers", "0", "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["n_specs"], report["n_clips"], report["n_rendered"]) == (12, 12, 12)
    assert "making clips: 12 of 12" in printed.err


def test_generate_for_people(out: Path, faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", str(faces), str(out), *runs.options(), "--workers", "0", "--limit", "2"]) == 0
    text = capsys.readouterr().out
    assert f"{out}: 2 of 12 clips from 3 faces" in text
    assert "10 left; the same command continues" in text


def test_status_json(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", str(made), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: found[name] for name in ("n_specs", "n_clips", "n_rejected", "n_failed")} == {
        "n_specs": 12, "n_clips": 12, "n_rejected": 0, "n_failed": 0,
    }  # fmt: skip
    assert run(["status", str(made)]) == 0
    assert "12 of 12 clips, 0 failed, 3 faces" in capsys.readouterr().out


def test_validate_json(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", str(made), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"n_clips": 12, "problems": []}
    (made / "metadata.jsonl").unlink()
    assert run(["validate", str(made), "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert set(problem) == {"path", "code", "message"}
    assert run(["validate", str(made)]) == 1
    text = capsys.readouterr().out
    assert "metadata.jsonl: missing_view: " in text
    assert "12 clips, 1 problems" in text
    (made / "metadata.jsonl").touch()


def test_validate_says_that_all_is_well(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", str(made), "--quick"]) == 0
    assert capsys.readouterr().out == "12 clips, 0 problems\n"


def test_plan_renders_nothing_and_generate_goes_on_from_it(
    planned: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not list(planned.glob("*/*.mp4"))
    assert run(["plan", str(faces), str(planned), *runs.options(), "--workers", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n_clips"] == 12
    assert report["per_emotion"] == {"happiness": 6, "fear": 6}
    assert report["licences"] == {"CC0-1.0, drawn by equime": 3}
    assert report["conflicts"] == []
    assert report["n_frames"] == 12 * 24
    assert report["estimated_bytes"] > 0
    assert report["enough_disk"] is True
    assert run(["plan", str(faces), str(planned), *runs.options(), "--workers", "1"]) == 0
    text = capsys.readouterr().out
    for part in ("clips: 12, of 3 identities", "disk: about", "time: about", "basis: ", "per gender: "):
        assert part in text


@pytest.mark.parametrize(("form", "beginning"), [("json", "{"), ("mermaid", "flowchart"), ("dot", "digraph")])
def test_describe(form: str, beginning: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", "--format", form]) == 0
    assert capsys.readouterr().out.startswith(beginning)


def test_preview_writes_a_picture(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["preview", str(made), "--clips", "1"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == made / "reports" / "preview.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_ground_truth_of_another_renderer_is_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = json.loads((made / "clips.jsonl").read_text().splitlines()[0])["clip_id"]
    assert run(["ground-truth", str(made), clip]) == 2
    assert "exact ground truth is there for 'mesh'" in last_error(capsys)[0]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"equime {equime.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--emotions", "joy"], "joy not known; use any of happiness, sadness"),
        (["--fps", "10"], "fps 10 is outside 24 to 500"),
        (["--size", "63"], "size 63 px is not an even number"),
        (["--duration", "0.1"], "duration 0.1 s is outside"),
        (["--clips", "0"], "clips 0 is below 1"),
        (["--clips", "many"], "--clips"),
        (["--limit", "0"], "limit 0 is below 1"),
        (["--workers", "-1"], "workers -1 is below 0"),
        (["--shard", "5/4"], "shard '5/4' is not i/n"),
        (["--renderer", "paint"], "unknown renderer 'paint'; known are ltx, ltx-keyframe, mesh"),
        (["--preset", "huge"], "unknown preset 'huge'"),
        (["--balance", "gender"], "balance 'gender'"),
        (["--crf", "99"], "crf 99.0 is outside 0 to 51"),
        (["--x264-preset", "warp"], "preset 'warp' is not one of"),
        (["--gate", "max_smiles=1"], "max_smiles"),
        (["--gates", "nowhere.toml"], "nowhere.toml"),
        (["--label-semantics", "guessed"], "use au-defined or felt"),
        (["--label-semantics", "felt", "--p-felt", "0.1"], "give one of them"),
        (["--p-felt", "2"], "p_felt 2.0 is no probability"),
        (["--lossless", "all"], "use --lossless master"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: list[str], message: str, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["generate", str(faces), str(tmp_path / "out"), *arguments]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert message in errors[0]
    assert not (tmp_path / "out").exists()


def test_a_missing_thing_is_code_3(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", str(faces), str(tmp_path / "out"), "--priors", "nowhere.json"]) == 3
    assert "nowhere.json" in last_error(capsys)[0]


@pytest.mark.parametrize("command", [["status"], ["validate"], ["preview"], ["ground-truth", "x"]])
def test_commands_on_what_is_no_data_set(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command[0], str(tmp_path), *command[1:]]) == 2
    assert "no equime data set" in last_error(capsys)[0]


def test_an_error_shows_where_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIME_DEBUG", "1")
    with pytest.raises(InputError):
        run(["status", str(tmp_path)])


def test_the_installed_command_answers() -> None:
    code, text, err = runs.call("--help")
    assert code == 0, err
    for command in ("demo", "generate", "plan", "preview", "validate", "status", "describe", "ground-truth"):
        assert command in text


def test_au_table_measures_every_action_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save_default_faces(tmp_path / "faces", 1, size_px=400)
    assert run(["au-table", str(source), "--size", "128", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert {result["au"] for result in results} == set(ACTION_UNITS)
    smile = next(result for result in results if result["au"] == 12)
    assert smile["cosine"] > 0.5


def test_demo_says_what_it_relaxes_and_leaves_a_contact_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "N_DRAWN", 1)
    monkeypatch.setattr(
        demo.drawn_face, "save_default_faces", functools.partial(save_default_faces, size_px=320)
    )
    out = tmp_path / "demo"
    arguments = [
        "demo",
        str(out),
        "--clips",
        "10",
        "--size",
        "64",
        "--renderer",
        runs.RENDERER,
        "--workers",
        "1",
    ]
    assert run(arguments) == 0
    printed = capsys.readouterr()
    assert "relaxes the gates (max_smile = 1" in printed.err
    assert f"contact sheet: {out / 'reports' / 'preview.png'}" in printed.out
    assert (out / "reports" / "preview.png").is_file()
    data = Dataset.open(out)
    assert "astronaut" in {face.subject_id for face in data.faces.values()}
    assert len({view.spec.subject_id for view in data}) == 2
    assert run(["validate", str(out)]) == 0
    assert run(arguments) == 0


def test_demo_leaves_somebody_elses_folder_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert run(["demo", str(tmp_path)]) == 2
    assert "holds notes.txt" in last_error(capsys)[0]
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
