"""`equime train` and `equime score`: a recogniser is trained on everything, kept, and tested on other data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from equime.baselines.keeping import load_training, shipped_trainings
from equime.baselines.shipped import load_shipped
from equime.cli.app import run
from equime.coded import CodedSet, write_set
from equime.errors import InputError
from equime.registry import lookup
from tests.baselines.experiment_cases import made_set

TRAINING = 'name = "mine"\nmodel = "svm_linear"\nrecipe = "made"\ncommand = "equime train"\n'


def write(root: Path, data: CodedSet) -> Path:
    write_set(data, root)
    return root


@pytest.fixture
def taught(tmp_path: Path) -> Path:
    """Synthetic clips of six people whose class shows plainly."""
    data = made_set(tmp_path / "taught_files", 6, 6, synthetic=True, corpus="taught")
    return write(tmp_path / "taught", data)


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """Clips of other people, which count as real."""
    return write(
        tmp_path / "asked", made_set(tmp_path / "asked_files", 6, 3, first=50, seed=1, corpus="asked")
    )


def typed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = run([*(str(a) for a in arguments), "--workers", "0"])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_trained_on_one_set_and_tested_on_another(
    taught: Path, asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(TRAINING)
    code, out, _ = typed(capsys, "train", recipe, tmp_path / "kept", "--data", taught)
    assert code == 0
    assert "36 clips of 6 people" in out
    card = load_shipped(tmp_path / "kept" / "mine").card
    assert card.synthetic
    assert card.outputs == ("negative", "positive", "surprise")
    code, out, _ = typed(capsys, "score", tmp_path / "kept" / "mine", tmp_path / "scored", "--data", asked)
    assert code == 0
    assert "all: 18 clips of 6 people: UF1 1.000" in out
    assert "nothing was trained" in (tmp_path / "scored" / "results.md").read_text()
    predictions = (tmp_path / "scored" / "predictions" / "mine.csv").read_text().splitlines()
    assert len(predictions) == 19
    assert predictions[0].startswith("clip_id,subject,data_set,fold,label,prediction,p_negative")


def test_figures_go_into_the_card(
    taught: Path, asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(TRAINING)
    assert typed(capsys, "train", recipe, tmp_path / "kept", "--data", taught)[0] == 0
    kept = tmp_path / "kept" / "mine"
    for _ in range(2):
        code, _, err = typed(capsys, "score", kept, tmp_path / "s", "--data", asked, "--note", "18 others")
        assert code == 0, err
    found = load_shipped(kept).card.figures
    assert set(found) == {f"{name}, 18 others" for name in ("UF1", "UAR", "accuracy")}
    assert "* UF1, 18 others: 1.000" in (kept / "card.md").read_text()
    code, _, err = typed(
        capsys, "score", "emotion_cnn", tmp_path / "t", "--data", asked, "--note", "18 others"
    )
    assert code == 2
    assert "give the folder of emotion_cnn" in err


def test_scores_are_those_of_the_predictions(
    taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On clips that hardly show their class: UF1 by hand from the file of predictions."""
    from sklearn.metrics import f1_score  # noqa: PLC0415

    recipe = tmp_path / "mine.toml"
    recipe.write_text(TRAINING)
    hard = made_set(tmp_path / "hard_files", 6, 6, first=70, seed=5, corpus="hard", signal=0.02)
    write(tmp_path / "hard", hard)
    assert typed(capsys, "train", recipe, tmp_path / "kept", "--data", taught)[0] == 0
    code, out, _ = typed(
        capsys, "score", tmp_path / "kept/mine", tmp_path / "s", "--data", tmp_path / "hard", "--json"
    )
    assert code == 0
    rows = [line.split(",") for line in (tmp_path / "s/predictions/mine.csv").read_text().splitlines()[1:]]
    uf1 = json.loads(out)["models"][0]["parts"][0]["scores"]["uf1"]["value"]
    assert uf1 == pytest.approx(f1_score([r[4] for r in rows], [r[5] for r in rows], average="macro"))
    assert 0.2 < uf1 < 0.95


def test_a_clip_that_cannot_be_read_is_named(
    taught: Path, asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(TRAINING)
    assert typed(capsys, "train", recipe, tmp_path / "kept", "--data", taught)[0] == 0
    broken = sorted((tmp_path / "asked_files").glob("*.png"))[0]
    broken.write_bytes(b"junk")
    code, out, _ = typed(capsys, "score", tmp_path / "kept" / "mine", tmp_path / "scored", "--data", asked)
    assert code == 0
    assert "note: corrupt_frame (1)" in out
    assert broken.name in out
    assert "all: 17 clips" in out


def test_several_trainings_are_averaged(taught: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from equime.baselines.keeping import Training, train_to_keep  # noqa: PLC0415
    from equime.coded import read_set  # noqa: PLC0415

    training = Training(
        name="two",
        model="flow_cnn",
        seeds=2,
        options={"epochs": 1, "width": 4, "batch_size": 12},
        storage="full",
    )
    train_to_keep(training, [read_set(taught)], tmp_path, workers=0)
    x = np.random.default_rng(0).random((5, 28, 28, 3)).astype(np.float32)
    both = load_shipped(tmp_path / "two").fitted
    tensors = both.tensors()
    assert {key.split(".")[0] for key in tensors} == {"0", "1"}
    model = lookup("model", "flow_cnn")()
    alone = []
    for member in "01":
        part = {key[2:]: value for key, value in tensors.items() if key.startswith(f"{member}.")}
        alone.append(model.restore(part, head="emotion", n_outputs=3).probabilities(x))
    assert np.abs(alone[0] - alone[1]).max() > 1e-4
    np.testing.assert_allclose(both.probabilities(x), np.mean(alone, 0), atol=1e-6)


def test_data_without_a_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(TRAINING + 'classes = ["joy", "grief"]\n')
    data = write(tmp_path / "set", made_set(tmp_path / "files", 2, 3))
    code, _, err = typed(capsys, "train", recipe, tmp_path / "kept", "--data", data)
    assert code == 2
    assert "no clip has one of joy, grief" in err
    assert not (tmp_path / "kept" / "mine").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "mine.toml: "),
        ('name = "x"\nmodel = "svm_linear"\nseeds = 0\n', "seeds = 0 is below 1"),
        ('name = "x"\nmodel = "svm_linear"\nstorage = "zip"\n', "storage"),
        ('name = "x"\nmodel = "svm_linear"\n[features]\ncrop = "hat"\n', "crop 'hat' is not known"),
    ],
)
def test_bad_trainings(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_training(file)


def test_unknown_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="neither shipped"):
        load_training("nothing_like_it")
    code, _, err = typed(capsys, "score", "nobody", tmp_path / "out", "--data", tmp_path)
    assert code == 2
    assert "recogniser 'nobody' not known" in err


@pytest.mark.parametrize("name", shipped_trainings())
def test_shipped_trainings_name_what_there_is(name: str) -> None:
    training = load_training(name)
    assert training.name == name
    about = lookup("model", training.model)().about
    assert set(training.options) <= set(about.options)
    assert name in training.command
