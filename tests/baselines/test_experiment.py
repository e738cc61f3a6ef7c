from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from equime import registry
from equime.baselines import experiment
from equime.baselines.experiment import read_run, run_experiment
from equime.baselines.experiment_config import Arm, Config, Intervals, load, parse, resolve, shipped, to_toml
from equime.baselines.results import Results
from equime.coded import CodedSet
from equime.errors import InputError
from tests import runs
from tests.baselines.experiment_cases import HERE, NearestCentre, made_set

NEAR = f"{HERE}:NearestCentre"
LOSO = (Arm(protocol="loso", test=("real",)),)


def small(arms: tuple[Arm, ...] = LOSO, **more: Any) -> Config:
    base: dict[str, Any] = {
        "title": "Small",
        "arms": arms,
        "seeds": (0, 1),
        "models": {NEAR: {"noise": 3.0}},
        "intervals": Intervals(resamples=100),
        "roles": {"real": "real clips", "synthetic*": "synthetic clips"},
    }
    return Config(**(base | more))


class Notes:
    """Progress that keeps its notes."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, stage: str, n_total: int, n_done: int) -> None: ...

    def advance(self, n: int = 1) -> None: ...

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(autouse=True)
def without_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than everything else here; one test has them."""
    if request.function is not test_everything_lies_together:
        monkeypatch.setattr(experiment, "write_plots", lambda *_: [])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> CodedSet:
    return made_set(tmp_path_factory.mktemp("real"), 6, 3, signal=0.2)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> CodedSet:
    folder = tmp_path_factory.mktemp("synthetic")
    return made_set(folder, 4, 3, corpus="equime", signal=0.2, seed=1, synthetic=True)


def run(config: Config, data: Any, out: Path, notes: Notes | None = None) -> Results:
    return run_experiment(config, data, out, workers=0, progress=notes)


def scores(results: Results) -> dict[tuple[str, str], float | None]:
    return {(r.arm, r.model): r.parts[0].scores["uf1"].value for r in results.models if r.parts}


@pytest.mark.parametrize("name", shipped())
def test_shipped_experiments_name_what_there_is(name: str) -> None:
    config = load(name)
    assert set(config.models) <= set(registry.MODELS)
    assert config.title
    assert config.description
    given = [role.replace("*", "_one") for role in config.roles]
    resolved = resolve(config, given)
    assert parse(to_toml(resolved), name) == resolved


def test_all_that_was_promised_is_shipped() -> None:
    assert set(shipped()) == {
        "loso_three", "loso_five", "synthetic_to_real", "pretrain_loso", "real_to_real",
        "leave_one_dataset_out", "cd6me", "transfer_settings", "randomisation_ablation",
    }  # fmt: skip


def test_toml_says_the_same_again() -> None:
    odd = small(
        title='Quotes " and \\ and ümlaut\n', models={NEAR: {"blur": 1e-05, "noise": 2.0}},
        select={NEAR: {"blur": [0.0, 0.5]}}, features={"crop": "none", "max_px": 64},
    )  # fmt: skip
    assert parse(to_toml(odd), "again") == odd


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title = ", "no TOML"),
        ('title = "x"', "no \\[\\[arm\\]\\]"),
        ('title = "x"\nwhat = 1', "unknown field `what`"),
        ('title = "x"\n[[arm]]\nprotocol = "lso"\ntest = ["real"]', "protocol 'lso' not known; use loso"),
        ('title = "x"\n[[arm]]\nprotocol = "loso"\ntest = ["real"]', "uses role 'real', which \\[roles\\]"),
        ('title = "x"\n[roles]\nreal = ""\n[[arm]]\nprotocol = "cd6me"\ntest = ["real"]', 'head = "aus"'),
        ('title = "x"\nseeds = 0\n[roles]\nreal = ""\n[[arm]]\nprotocol = "loso"\ntest = ["real"]', "seeds"),
        (
            'title = "x"\n[roles]\nreal = ""\n[[arm]]\nprotocol = "loso"\ntest = ["real"]\n[select.no]\nc = [1]',
            "options for the model 'no'",
        ),
        ('title = "x"\nclasses = ["a", "a"]\n[[arm]]\nprotocol = "loso"\ntest = ["r"]', "different ones"),
    ],
)
def test_experiments_that_are_not_understood(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        load(file)


def test_an_arm_for_every_set_that_was_given() -> None:
    config = load("randomisation_ablation")
    found = resolve(config, ["synthetic_all", "test", "synthetic_no_blinks"])
    assert [(arm.name, arm.train) for arm in found.arms] == [
        ("synthetic_all", ("synthetic_all",)),
        ("synthetic_no_blinks", ("synthetic_no_blinks",)),
    ]
    with pytest.raises(InputError, match="--data synthetic_A=PATH"):
        resolve(config, ["test"])
    with pytest.raises(InputError, match="no such role; it has synthetic"):
        resolve(config, ["train"])
    with pytest.raises(InputError, match="no data for role 'test'"):
        resolve(config, ["synthetic_all"])


def test_everything_lies_together(real: CodedSet, synthetic: CodedSet, tmp_path: Path) -> None:
    arms = (
        Arm(name="across", protocol="train_test", train=("synthetic",), test=("real",)),
        Arm(name="within", protocol="loso", test=("real",)),
        Arm(name="on top", protocol="pretrain_loso", train=("synthetic",), test=("real",)),
    )
    results = run(small(arms), {"real": real, "synthetic": synthetic}, tmp_path / "out")
    assert all(result.error == "" for result in results.models)
    assert all(result.curves == ((2.0, 1.0), (2.0, 1.0)) for result in results.models)
    files = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    near = "tests.baselines.experiment_cases_NearestCentre"
    assert files >= {
        "config.toml", "environment.json", "results.json", "results.md", "plots/confusion.png",
        "plots/scores.png", "plots/reliability.png", "plots/learning.png", f"predictions/on_top/{near}.csv", f"runs/within/{near}/1.json",
    }  # fmt: skip
    assert {(d.role, d.synthetic, d.n_used, d.n_subjects) for d in results.data} == {
        ("real", False, 18, 6), ("synthetic", True, 12, 4),
    }  # fmt: skip
    assert len(results.differences) == 3  # every pair of arms tests the same clips
    assert any("trained on synthetic clips only" in sentence for sentence in results.reading)
    repeated = parse((tmp_path / "out/config.toml").read_text(), "again")
    again = run(repeated, {"real": real, "synthetic": synthetic}, tmp_path / "again")
    assert scores(again) == scores(results)


def test_what_was_trained_is_not_trained_again(real: CodedSet, tmp_path: Path) -> None:
    first, second, third, fourth = Notes(), Notes(), Notes(), Notes()
    before = run(small(), {"real": real}, tmp_path, first)
    after = run(small(seeds=(0, 1, 2)), {"real": real}, tmp_path, second)
    assert len(first.said) == 2
    assert [text.split(":")[-2][-6:] for text in second.said] == ["seed 2"]
    assert after.models[0].parts[0].by_seed["uf1"][:2] == before.models[0].parts[0].by_seed["uf1"]
    run(small(models={NEAR: {"noise": 2.0}}), {"real": real}, tmp_path, third)
    assert len(third.said) == 2  # other options are another training
    fewer = real.only(real.clips[:-1])
    run(small(models={NEAR: {"noise": 2.0}}), {"real": fewer}, tmp_path, fourth)
    assert len(fourth.said) == 2  # and so are other data


def test_a_damaged_training_is_done_again(real: CodedSet, tmp_path: Path) -> None:
    before = run(small(), {"real": real}, tmp_path)
    files = sorted((tmp_path / "runs").rglob("*.npz"))
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].with_suffix(".json").unlink()
    notes = Notes()
    after = run(small(), {"real": real}, tmp_path, notes)
    assert len(notes.said) == 2
    assert scores(after) == scores(before)


def test_halves_of_two_trainings_are_not_read_as_one(real: CodedSet, tmp_path: Path) -> None:
    """Killed between the two files of a training, the probabilities are new and the record is old."""
    run(small(), {"real": real}, tmp_path)
    old = next((tmp_path / "runs").rglob("0.json")).read_bytes()
    key = msgspec.json.decode(old)["key"]
    run(small(models={NEAR: {"noise": 1.0}}), {"real": real}, tmp_path)
    (file,) = (tmp_path / "runs").rglob("0.npz")
    file.with_suffix(".json").write_bytes(old)
    assert read_run(file, key) is None


def test_a_model_that_fails_does_not_end_the_others(real: CodedSet, tmp_path: Path) -> None:
    broken = f"{HERE}:Broken"
    results = run(small(models={broken: {}, NEAR: {}}), {"real": real}, tmp_path)
    assert [bool(result.parts) for result in results.models] == [False, True]
    assert results.models[0].error == "ZeroDivisionError: no luck"
    (trace,) = tmp_path.rglob("error.txt")
    assert "in fit" in trace.read_text()
    assert "no luck" in (tmp_path / "results.md").read_text()


def test_what_is_not_random_is_trained_once(
    real: CodedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NearestCentre, "about", replace(NearestCentre.about, deterministic=True))
    (result,) = run(small(models={NEAR: {}}), {"real": real}, tmp_path).models
    assert result.seeds == (0,)
    assert len(result.parts[0].by_seed["uf1"]) == 1


def test_a_full_disk_does(real: CodedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(experiment, "write_run", full)
    with pytest.raises(OSError, match="No space"):
        run(small(), {"real": real}, tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"models": {"stnet": {}}}, "unknown model 'stnet'"),
        ({"models": {NEAR: {"epochs": 3}}}, "has no option 'epochs'; it has blur, noise"),
        ({"models": {}}, "names no model"),
        ({"features": {"zoom": 2}}, "unknown option 'zoom'"),
        ({"classes": ("joy", "grief")}, "none of 18 clips has one of joy, grief"),
    ],
)
def test_refused_before_anything_is_written(
    changes: dict[str, Any], says: str, real: CodedSet, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says):
        run(small(**changes), {"real": real}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_out_that_holds_something_else_is_left_alone(real: CodedSet, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds something that is not an experiment"):
        run(small(), {"real": real}, tmp_path)
    with pytest.raises(InputError, match="is a file"):
        run(small(), {"real": real}, tmp_path / "thesis.tex")


def test_people_on_both_sides_are_refused(real: CodedSet, tmp_path: Path) -> None:
    arm = Arm(protocol="train_test", train=("synthetic",), test=("real",))
    half = len(real.clips) // 2
    first, second = real.only(real.clips[: half + 1]), real.only(real.clips[half + 1 :])
    with pytest.raises(InputError, match="1 person in both training and test: made/p03"):
        run(small((arm,)), {"synthetic": first, "real": second}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_selected_options_are_counted(real: CodedSet, tmp_path: Path) -> None:
    config = small(models={NEAR: {}}, select={NEAR: {"blur": [1.0, 0.0]}})
    (result,) = run(config, {"real": real}, tmp_path).models
    assert result.chosen == {"blur = 0.0": 12}
    assert "Options were selected on folds of people inside" in (tmp_path / "results.md").read_text()


def test_action_units_across_data_sets(real: CodedSet, tmp_path: Path) -> None:
    other = made_set(tmp_path / "other", 4, 3, corpus="other", signal=0.2, seed=5)
    config = small(
        (Arm(protocol="cd6me", test=("real",)),), head="aus", aus=(1, 2, 4, 12, 17), models={NEAR: {}}
    )
    results = run(config, {"real": [real, other]}, tmp_path / "out")
    (result,) = results.models
    assert result.error == ""
    assert [part.name for part in result.parts] == ["all", "made", "other"]
    assert result.parts[0].f1_per_class["AU17"] is None
    assert [f.code for f in results.findings] == ["au_absent"]
    assert result.parts[0].n_per_class == {"AU1": 10, "AU2": 10, "AU4": 10, "AU12": 10, "AU17": 0}
    assert np.shape(result.confusion) == (5, 4)
    assert "Mean over the data sets" in (tmp_path / "out/results.md").read_text()


def test_a_class_of_one_person_is_found_and_its_clips_are_errors(real: CodedSet, tmp_path: Path) -> None:
    clips = [c for c in real.clips if c.label != "surprise" or c.subject_id == "p00"]
    results = run(small(models={NEAR: {}}), {"real": real.only(clips)}, tmp_path)
    assert [(f.code, f.n) for f in results.findings] == [("class_of_one_clip", 1)]
    assert [(f.code, f.n) for f in results.models[0].findings] == [("class_not_in_training", 1)]
    assert results.models[0].parts[0].f1_per_class["surprise"] == 0


def test_killed_in_the_middle_it_goes_on(tmp_path: Path) -> None:
    """Killed (SIGKILL) in its third training; then every training was done once, and the figures are the same."""
    data, out, log = tmp_path / "data", tmp_path / "out", tmp_path / "log"
    code = f"""
from pathlib import Path
from equime.baselines.experiment import run_experiment
from tests.baselines.experiment_cases import HERE, NearestCentre, made_set
from tests.baselines.test_experiment import small
data = made_set(Path({str(data)!r}), 4, 3)
run_experiment(small(models={{HERE + ":Slow": {{}}}}, seeds=(0,)), {{"real": data}}, Path({str(out)!r}), workers=0)
"""
    # A recogniser from elsewhere is called once per fold: four times a seed. Here one seed has to be stored first.
    code = code.replace("seeds=(0,)", "seeds=(0, 1)").replace(
        "data = made_set", "from equime import registry\nregistry.MODELS['slow'] = HERE + ':Slow'\ndata = made_set"
    ).replace('HERE + ":Slow": {}', '"slow": {}')  # fmt: skip
    env = runs.environment(EQUIME_TEST_LOG=str(log))
    log.write_text("before\n")
    process = subprocess.Popen([sys.executable, "-c", code], env={**env, "EQUIME_TEST_WAIT": "1"})
    deadline = time.monotonic() + 60
    while len(log.read_text().split()) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "results.json").exists()
    assert [p.name for p in sorted((out / "runs/slow").iterdir()) if not p.name.startswith(".")] == [
        "0.json",
        "0.npz",
    ]
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    assert log.read_text().split() == ["before", "0", "1", "1"]
    assert (out / "results.json").is_file()
