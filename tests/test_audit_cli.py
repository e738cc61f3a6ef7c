"""`equime attributes` and `equime audit` as people type them, on rendered clips."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from equime import layout
from equime.cli.app import run
from equime.dataset import Dataset
from equime.evaluation_framework.audit import run as audit_run
from tests import runs


@pytest.fixture(scope="module")
def clips(mesh_clips: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the rendered clips with their skin tone."""
    out = shutil.copytree(mesh_clips.root, tmp_path_factory.mktemp("audited") / "out")
    code, _, err = runs.call("attributes", out, "--metrics", "skin_tone", "--workers", "0")
    assert code == 0, err
    return Path(out)


def typed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in this process."""
    code = run([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def audited(capsys: pytest.CaptureFixture[str], out: Path, *more: str | Path) -> dict[str, Any]:
    quick = ("--permutations", "100", "--resamples", "100", "--json")
    code, said, err = typed(capsys, "audit", out, *more, *quick)
    assert code == 0, err
    found: dict[str, Any] = json.loads(said)
    return found


def test_skin_tone_is_a_table_and_is_not_measured_twice(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(clips / "tables" / "skin_tone.parquet")
    assert table.num_rows == 8
    assert table["measured_ita_deg"].null_count == 0
    before = (clips / "tables" / "skin_tone.parquet").stat().st_mtime_ns
    code, said, _ = typed(capsys, "attributes", clips, "--metrics", "skin_tone", "--json", "--workers", "0")
    assert code == 0
    assert (clips / "tables" / "skin_tone.parquet").stat().st_mtime_ns == before
    found = json.loads(said)
    assert sum(found["groups"]["measured_ita_group"].values()) == 8
    assert {item["annotator"] for item in found["not_run"]} >= {"deepface", "au_intensity"}


def test_what_is_asked_for_and_lacks_weights(
    clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EQUIME_WEIGHTS", str(tmp_path))
    code, _, err = typed(capsys, "attributes", clips, "--metrics", "skin_tone,deepface", "--workers", "0")
    assert code == 3
    assert "deepface was asked for and not run" in err
    assert "equime weights fetch deepface_" in err


def test_an_unknown_attribute_is_named(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = typed(capsys, "attributes", clips, "--metrics", "skin_colour")
    assert code == 2
    assert "skin_colour" in err
    assert "skin_tone" in err


def test_annotations_become_a_labeller(
    clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(clips, tmp_path / "out"))
    subjects = sorted({view.spec.subject_id for view in Dataset.open(out)})
    file = tmp_path / "anna.csv"
    file.write_text(f"subject_id,gender\n{subjects[0]},woman\n{subjects[1]},man\nnobody,man\n")
    code, said, _ = typed(capsys, "attributes", out, "--labels", file, "--labeller", "anna")
    assert code == 0
    assert "labels_anna" in said
    assert "nobody" in said
    names = {r["attribute"] for r in audited(capsys, out)["representation"]}
    assert {"declared_gender", "estimated_gender_anna", "measured_ita_group"} <= names
    code, _, err = typed(capsys, "attributes", out, "--labels", file)
    assert code == 2
    assert "--labeller" in err


def test_the_audit_of_few_people_compares_nothing_and_says_so(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = audited(capsys, clips)
    assert (found["n_clips"], found["n_subjects"]) == (8, 2)
    assert all(a["p"] is None and a["skipped"] for a in found["associations"])
    assert {"small_group", "not_measured"} <= {f["code"] for f in found["findings"]}
    folder = clips / "reports" / "audit"
    assert {p.name for p in folder.iterdir()} == {"audit.html", "audit.md", "audit.json"}


def test_predictions_for_half_of_the_clips_are_counted(
    clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    views = list(Dataset.open(clips))
    file = tmp_path / "predictions.csv"
    lines = [f"{view.clip.clip_id},{view.spec.emotion}" for view in views[:4]]
    file.write_text("\n".join(["clip_id,prediction", *lines, "elsewhere,anger"]) + "\n")
    found = audited(capsys, clips, "--predictions", file, "--out", tmp_path / "audit")
    model = found["model_audits"][0]
    assert (model["n_rows"], model["n_used"], model["n_without"]) == (5, 4, 4)
    assert model["overall"]["accuracy"]["value"] == 1.0
    assert {"unknown_clip", "missing_prediction"} <= {f["code"] for f in model["findings"]}
    assert (tmp_path / "audit" / "audit.html").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[declared_gender]\nf = 0.9\nm = 0.9\n", "declared_gender"),
        ("[shoe_size]\nsmall = 1.0\n", "shoe_size"),
        ("not toml", "targets.toml"),
    ],
)
def test_bad_targets(
    clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(text)
    code, _, err = typed(capsys, "audit", clips, "--targets", file)
    assert code == 2
    assert message in err


def test_bad_options(clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert typed(capsys, "audit", clips, "--permutations", "5")[0] == 2
    assert typed(capsys, "audit", tmp_path)[0] == 2
    code, _, err = typed(capsys, "audit", clips, "--predictions", tmp_path / "none.csv")
    assert code == 2
    assert "none.csv" in err


def test_estimates_reach_the_metadata(
    clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A table of estimates, as DeepFace would leave it, is taken into the JSON by the next run."""
    out = Path(shutil.copytree(clips, tmp_path / "out"))
    table = pq.read_table(out / "tables" / "skin_tone.parquet").select(["clip_id", "annotator_version"])
    gender = ["woman"] * table.num_rows
    pq.write_table(table.append_column("estimated_gender", [gender]), out / "tables" / "deepface.parquet")
    code, said, _ = typed(capsys, "attributes", out, "--metrics", "skin_tone", "--workers", "0")
    assert code == 0
    assert "metadata of 8 clips written again" in said
    view = next(iter(Dataset.open(out)))
    metadata = json.loads((out / layout.metadata_file(view.clip.file)).read_text())
    assert metadata["pseudolabels"]["gender"] == "woman"
    assert runs.problems(out) == []


def test_a_bad_file_of_predictions_is_said_first(
    clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is worked out before it is refused."""
    monkeypatch.setattr(audit_run, "associations", None)
    file = tmp_path / "empty.csv"
    file.write_text("clip_id,prediction\n")
    code, _, err = typed(capsys, "audit", clips, "--predictions", file)
    assert code == 2
    assert "empty.csv: no rows" in err
