from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from equime.baselines.experiment_config import Arm, Config, Intervals
from equime.baselines.intervals import Interval
from equime.baselines.predictions import write_predictions
from equime.baselines.protocols import Outcome
from equime.baselines.results import (
    DataInfo,
    ModelResult,
    Results,
    confusion_of,
    differences_of,
    parts_of,
    reading_of,
)
from equime.baselines.results_plots import reliability, write_plots
from equime.baselines.results_report import figure, markdown, read_results, with_interval, write_report
from equime.baselines.scoring import figures_of
from equime.coded import THREE, Finding
from equime.errors import InputError
from equime.evaluation_framework.audit.predictions import read_predictions
from tests.baselines.experiment_cases import clip


def outcome(right: float = 0.8, seed: int = 0, head: str = "emotion") -> Outcome:
    """Two corpora of 6 people each, 4 clips a person, two trainings that are right in a share of the clips."""
    random = np.random.default_rng(seed)
    clips = tuple(
        clip(f"p{p}", f"c{i}", THREE[(p + i) % 3], corpus)
        for corpus in ("samm", "smic")
        for p in range(6)
        for i in range(4)
    )
    truth = np.array([THREE.index(str(c.label)) for c in clips])
    if head == "aus":
        truth = np.stack([truth == 0, truth == 1], 1).astype(np.int64)
        truth[0] = -1
    n_outputs = 2 if head == "aus" else 3
    p = random.uniform(0, 0.4, (2, len(clips), n_outputs))
    hit = random.uniform(size=(2, len(clips))) < right
    for r, i in zip(*np.nonzero(hit), strict=True):
        p[r, i] += truth[i] * 0.6 if head == "aus" else np.eye(3)[truth[i]]
    if head == "emotion":
        p /= p.sum(-1, keepdims=True)
    sets = np.array([c.corpus for c in clips])
    return Outcome(
        clips, np.array([c.person for c in clips]), sets, truth, p.astype(np.float32), (0, 1), head
    )  # type: ignore[arg-type]


def config(**more: Any) -> Config:
    base: dict[str, Any] = {
        "title": "A | B",
        "arms": (Arm(protocol="loso", test=("real",)),),
        "models": {"good": {}, "poor": {}},
        "seeds": (0, 1),
        "intervals": Intervals(resamples=200),
        "roles": {"real": "real clips"},
    }
    return Config(**(base | more))


def data(role: str = "real", synthetic: bool = False) -> DataInfo:
    return DataInfo(
        role=role, root="here", corpus="samm", licence="a | b", synthetic=synthetic, n=50, n_used=48, n_subjects=12,
        digest="0",
    )  # fmt: skip


def results(settings: Config, outcomes: dict[tuple[str, str], Outcome]) -> Results:
    done = [
        ModelResult(
            arm=arm, model=model, title=model.title(), source="invented", differs="in all", n_parameters=1683,
            options={"c": 1.0}, seeds=(0, 1), n_folds=12, parts=parts_of(o, settings), confusion=confusion_of(o),
        )
        for (arm, model), o in outcomes.items()
    ]  # fmt: skip
    failed = ModelResult(arm="", model="third", error="no | luck")
    return Results(
        config=settings, data=(data(),), models=(*done, failed), differences=differences_of(outcomes, settings),
        findings=(Finding(code="unlabelled", message="clips without a class", n=2),),
        reading=reading_of(settings, [data()]),
    )  # fmt: skip


def test_parts_pool_people_and_keep_corpora_apart() -> None:
    one = outcome()
    everything, samm, smic = parts_of(one, config())
    assert [(p.name, p.n, p.n_subjects) for p in (everything, samm, smic)] == [
        ("all", 48, 12), ("samm", 24, 6), ("smic", 24, 6),
    ]  # fmt: skip
    assert everything.n_per_class == dict.fromkeys(THREE, 16)
    of_seed = [(p.argmax(1) == one.truth).mean() for p in one.by_seed]
    assert everything.by_seed["accuracy"] == pytest.approx(of_seed)
    assert everything.scores["accuracy"].value == pytest.approx(np.mean(of_seed))
    together = (one.by_seed.mean(0).argmax(1) == one.truth).mean()
    assert everything.mean_probabilities["accuracy"] == pytest.approx(together)
    assert everything.scores["uf1"].low < everything.scores["uf1"].value < everything.scores["uf1"].high  # type: ignore[operator]
    assert np.mean(list(everything.f1_per_class.values())) == pytest.approx(everything.scores["uf1"].value)  # type: ignore[arg-type]
    assert np.sum(confusion_of(one)) == 2 * 48


def test_a_corpus_without_a_class_has_its_mean_over_the_others() -> None:
    one = outcome(right=1)
    keep = (one.sets == "samm") | (one.truth != 2)
    some = Outcome(
        tuple(c for c, k in zip(one.clips, keep, strict=True) if k), one.folds[keep], one.sets[keep],
        one.truth[keep], one.by_seed[:, keep], one.seeds, one.head,
    )  # fmt: skip
    smic = parts_of(some, config())[2]
    assert smic.f1_per_class["surprise"] is None
    assert smic.scores["uf1"].value == 1


def test_aus_are_counted_where_they_are_coded() -> None:
    one = outcome(right=1, head="aus")
    part = parts_of(one, config(head="aus", aus=(1, 12)))[0]
    assert (part.n, part.scores["f1"].n) == (48, 47)
    assert part.n_per_class["AU12"] == 16
    assert part.scores["f1"].value == 1


def test_differences_are_of_the_same_clips() -> None:
    good, poor, other = outcome(0.9), outcome(0.4, seed=1), outcome(0.9)
    fewer = Outcome(
        other.clips[1:], other.folds[1:], other.sets[1:], other.truth[1:], other.by_seed[:, 1:], (0, 1), "emotion"
    )  # fmt: skip
    (found,) = differences_of({("", "good"): good, ("", "poor"): poor, ("", "fewer"): fewer}, config())
    assert (found.first, found.second) == (("", "poor"), ("", "good"))
    assert found.scores["uf1"].high < 0  # type: ignore[operator]
    crossed = {("a", "good"): good, ("b", "good"): poor, ("b", "other"): other}
    assert [(d.first, d.second) for d in differences_of(crossed, config())] == [
        (("b", "good"), ("a", "good")),
        (("b", "other"), ("b", "good")),
    ]


def test_what_has_to_be_said() -> None:
    arms = (
        Arm(name="x", protocol="train_test", train=("synthetic",), test=("real",)),
        Arm(name="y", protocol="pretrain_loso", train=("synthetic",), test=("real",)),
        Arm(name="z", protocol="loso", train=("synthetic",), test=("real",)),
    )
    said = reading_of(config(arms=arms), [data(), data("synthetic", synthetic=True)])
    assert said[0].startswith("x: trained on synthetic clips only (synthetic), tested on real clips only")
    assert said[1].startswith(
        "y: pretrained on synthetic clips only, then trained on real clips only of other"
    )
    assert said[2].startswith("z: trained on synthetic and real clips (synthetic, real)")
    assert any("not comparable" in sentence for sentence in said)


def test_report_has_every_figure_with_its_interval(tmp_path: Path) -> None:
    settings = config()
    found = results(settings, {("", "good"): outcome(0.9), ("", "poor"): outcome(0.4, seed=1)})
    text = markdown(found)
    part = found.models[0].parts[0]
    assert f"| good | 48 | 12 | {with_interval(part.scores['uf1'])} |" in text
    assert "| poor | smic | 24 | 6 |" in text
    assert "| real | samm | real | 48 | 2 | 12 | a \\| b |" in text
    assert "unlabelled (2): clips without a class" in text
    assert "| third | no \\| luck |" in text
    assert "1,683 parameters" in text
    assert text.count("| poor | good |") == 1
    write_report(found, tmp_path)
    assert read_results(tmp_path) == found


@pytest.mark.parametrize(
    ("value", "text"), [(0.7353, ".735"), (1.0, "1.000"), (-0.05, "-.050"), (0.0, ".000"), (None, "–"), (0.9999, "1.000")]
)  # fmt: skip
def test_figures_are_written_as_the_field_does(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_interval_without_bounds_is_a_figure() -> None:
    assert with_interval(Interval(value=0.5, low=None, high=None, n=3, n_subjects=2)) == ".500"


def test_the_audit_reads_the_predictions(tmp_path: Path) -> None:
    one = outcome()
    clips = pd.DataFrame(
        {
            "clip_id": [c.clip_id for c in one.clips], "subject_id": [c.subject_id for c in one.clips],
            "file": [f"x/{c.clip_id}.mp4" for c in one.clips],
            "emotion": ["happiness" if c.label == "positive" else "anger" for c in one.clips],
        }
    ).sort_values("clip_id", ignore_index=True)  # fmt: skip
    for suffix in ("csv", "parquet"):
        write_predictions(one, THREE, tmp_path / f"p.{suffix}")
        read = read_predictions(tmp_path / f"p.{suffix}", clips)
        assert read.labels == THREE
        order = [clips["clip_id"].tolist().index(c.clip_id) for c in one.clips]
        back = np.argsort(read.clips)[order]
        assert np.array_equal(read.truth[back], one.truth)
        assert np.array_equal(read.predicted[back], one.probabilities.argmax(1))
        assert read.probabilities is not None
        assert np.allclose(read.probabilities[back], one.probabilities, atol=1e-6)
    with pytest.raises(InputError, match=r"suffix '\.txt'"):
        write_predictions(one, THREE, tmp_path / "p.txt")


def test_predictions_of_aus(tmp_path: Path) -> None:
    write_predictions(outcome(1, head="aus"), ("AU1", "AU12"), tmp_path / "p.csv")
    table = pd.read_csv(tmp_path / "p.csv", keep_default_na=False, dtype={"label": str, "prediction": str})
    assert table["label"].tolist()[:3] == ["", "12", "none"]
    assert table["prediction"].tolist()[1:3] == ["12", "none"]


def test_reliability_bins() -> None:
    one = outcome()
    p = np.zeros((2, 48, 3), np.float32)
    p[:, :, 0], p[:, :, 1] = 0.95, 0.05
    p[:, :24, 0], p[:, :24, 1] = 0.62, 0.38
    bins = reliability(Outcome(one.clips, one.folds, one.sets, one.truth, p, (0, 1), "emotion"))
    share = [(one.truth[:24] == 0).mean(), (one.truth[24:] == 0).mean()]
    assert [(b[1], b[2]) for b in bins] == [(share[0], 24), (share[1], 24)]
    assert [b[0] for b in bins] == pytest.approx([0.62, 0.95])


@pytest.mark.parametrize("head", ["emotion", "aus"])
def test_plots_are_pictures(head: str, tmp_path: Path) -> None:
    settings = config(head=head, aus=(1, 12))
    outcomes = {("", "good"): outcome(head=head)}
    files = write_plots(results(settings, outcomes), outcomes, tmp_path)
    assert [f.name for f in files] == ["confusion.png", "scores.png", "reliability.png"]
    assert all(f.read_bytes().startswith(b"\x89PNG") for f in files)
    assert write_plots(results(settings, {}), {}, tmp_path) == []


def test_figures_for_a_card_have_the_interval_in_their_name() -> None:
    found = figures_of(results(config(), {("", "good"): outcome()}), "48 invented clips")
    part = results(config(), {("", "good"): outcome()}).models[0].parts[0]
    uf1 = part.scores["uf1"]
    assert found[f"UF1 ({uf1.low:.3f} to {uf1.high:.3f}), 48 invented clips"] == pytest.approx(
        uf1.value, abs=5e-5
    )
    assert len(found) == len(part.scores)
