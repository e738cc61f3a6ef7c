"""`equime benchmark` as people type it, on flow folders with invented pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from equime import registry
from equime.baselines.inputs import FLOW28
from equime.cli.app import run
from equime.cli.coded_data import open_data
from equime.coded import write_set
from equime.errors import InputError, MissingError
from tests.baselines.experiment_cases import HERE, made_set

SUBJECTS = ("s01", "s02", "sub01", "sub02", "006", "007")


@pytest.fixture(scope="module")
def flow_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``<root>/<subject>/{u_train,u_test}/{0,1,2}/*.png`` of six people of three corpora, six clips each."""
    root = tmp_path_factory.mktemp("flow") / "three_norm_u_v_os"
    random = np.random.default_rng(0)
    names = {
        "s01": "s01_s01_ne_0{}", "s02": "s02_s02_po_0{}", "sub01": "sub01_EP0{}_01f", "sub02": "sub02_EP0{}_01f",
        "006": "006_006_1_{}", "007": "007_007_1_{}",
    }  # fmt: skip
    for subject in SUBJECTS:
        for i in range(6):
            label = i % 3
            pixels = random.uniform(60, 160, (28, 28, 3))
            pixels[9 * label : 9 * label + 9] += 12
            for owner in SUBJECTS:
                side = "u_test" if owner == subject else "u_train"
                file = root / owner / side / str(label) / f"{names[subject].format(i + 1)}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(file)
    return root


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.MODELS, "near", f"{HERE}:NearestCentre")
    monkeypatch.setitem(registry.MODELS, "broken", f"{HERE}:Broken")


def typed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `equime benchmark` in this process."""
    code = run(["benchmark", *(str(a) for a in arguments), "--workers", "0"])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_one_line_from_flow_folders_to_a_table(
    flow_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    data = ("--data", f"real={flow_root}")
    code, said, err = typed(capsys, "loso_three", out, *data, "--models", "svm_linear", "--seeds", "2")
    assert code == 0, err
    lines = [line for line in said.splitlines() if line.startswith("svm_linear")]
    assert [line.partition(":")[0] for line in lines] == [
        "svm_linear", "svm_linear on casme2", "svm_linear on samm", "svm_linear on smic",
    ]  # fmt: skip
    assert "36 clips of 6 people" in lines[0]
    assert "svm_linear, seed 0: 6 folds" in err
    code, _, err = typed(capsys, "loso_three", out, *data, "--models", "svm_linear", "--seeds", "2", "--json")
    assert code == 0
    assert "seed" not in err


def test_json_has_the_results(
    near: None, flow_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = typed(
        capsys, "leave_one_dataset_out", tmp_path / "out", "--data", flow_root, "--models", "near,broken",
        "--seeds", "1", "--json",
    )  # fmt: skip
    assert code == 1
    found = json.loads(said)
    good, broken = found["models"]
    assert good["n_folds"] == 3
    assert good["parts"][0]["n"] == 36
    assert good["parts"][0]["scores"]["uf1"]["n_subjects"] == 6
    assert broken["error"] == "ZeroDivisionError: no luck"


def test_two_sets_that_share_people_are_refused_in_words(
    near: None, flow_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("--data", f"synthetic={flow_root}", "--data", f"real={flow_root}")
    code, _, err = typed(
        capsys, "synthetic_to_real", tmp_path / "out", *both, "--models", "near", "--seeds", "1"
    )
    assert code == 2
    assert "36 clips are in the data twice" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("loso_three",), "give an experiment and a folder"),
        (("loso_4", "OUT", "--data", "real=DATA"), "neither shipped (cd6me"),
        (("loso_three", "OUT"), "--data real=PATH (coded clips"),
        (("synthetic_to_real", "OUT", "--data", "DATA"), "write ROLE=PATH; roles are synthetic, real"),
        (("loso_three", "OUT", "--data", "reel=DATA"), "no such role; it has real"),
        (("loso_three", "OUT", "--data", "real=DATA", "--models", "stsnet"), "unknown model 'stsnet'"),
        (("loso_three", "OUT", "--data", "real=DATA", "--models", ","), "names none"),
        (("loso_three", "OUT", "--data", "real=DATA", "--seeds", "0"), "--seeds 0 is below 1"),
        (("loso_three", "OUT", "--data", "real=DATA", "--classes", "joy"), "give two or more"),
        (("cd6me", "OUT", "--data", "real=DATA", "--classes", "a,b"), "detects Action Units"),
        (("loso_three", "OUT", "--data", "real=DATA", "--models", "near", "--classes", "joy,grief"), "none of 36 clips"),
    ],
)  # fmt: skip
def test_usage_errors(
    near: None, arguments: tuple[str, ...], says: str, flow_root: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    places = {"OUT": str(tmp_path / "out"), "DATA": str(flow_root), "real=DATA": f"real={flow_root}"}
    places["reel=DATA"] = f"reel={flow_root}"
    code, _, err = typed(capsys, *(places.get(a, a) for a in arguments))
    assert (code, says in err) == (2, True), err
    assert not (tmp_path / "out").exists()


def test_list_shows_experiments_and_models(
    near: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.MODELS, "gone", "equime.nowhere:Nobody")
    code, said, _ = typed(capsys, "--list")
    assert code == 0
    assert "loso_three: Leave one subject out, three classes; data: real; models: svm_linear" in said
    assert f"near: Nearest centre; invented; sees {FLOW28.key}" in said
    assert "gone: not available: model 'gone': no module 'equime.nowhere'" in said
    code, said, _ = typed(capsys, "list", "--json")
    found = json.loads(said)
    assert found["models"]["near"]["options"] == {"blur": 0.0, "noise": 0.0}
    assert found["experiments"]["synthetic_to_real"]["roles"].keys() == {"synthetic", "real"}


def test_open_data_tells_kinds_apart(
    flow_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_data(flow_root).info.corpus == "flow_folders"
    assert open_data(f"flow_folders:{flow_root}").info.corpus == "flow_folders"
    monkeypatch.setattr("equime.cli.coded_data.of_dataset", lambda folder: f"data set {folder.name}")
    (tmp_path / "rendered").mkdir()
    (tmp_path / "rendered/dataset.json").touch()
    assert str(open_data(tmp_path / "rendered")) == "data set rendered"
    written = made_set(tmp_path / "pictures", 2, 2)
    write_set(written, tmp_path / "written")
    assert open_data(tmp_path / "written").clips == written.clips
    with pytest.raises(MissingError, match="nothing there"):
        open_data(tmp_path / "no")
    with pytest.raises(InputError, match="is a file"):
        open_data(tmp_path / "written/coded.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises((InputError, MissingError), match="empty"):
        open_data(tmp_path / "empty")
