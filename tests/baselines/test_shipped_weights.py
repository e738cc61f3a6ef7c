"""What ships trained: whole, described, small, and right about clips that it has not seen."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from equime.baselines.features import FeatureOptions, build
from equime.baselines.inputs import AUS
from equime.baselines.keeping import load_training, shipped_trainings
from equime.baselines.shipped import FOLDER, WEIGHTS, list_shipped, load_shipped
from equime.coded import THREE, of_dataset
from equime.dataset import Dataset
from equime.registry import lookup

NAMES = tuple(card.name for card in list_shipped())
WITHOUT_TORCH = tuple(
    card.name for card in list_shipped() if not lookup("model", card.model)().about.requires
)


def test_every_training_that_ships_has_its_weights() -> None:
    assert set(NAMES) == set(shipped_trainings())
    assert {card.head for card in list_shipped()} == {"emotion", "aus"}


def test_they_are_a_few_megabytes() -> None:
    assert sum((FOLDER / name / WEIGHTS).stat().st_size for name in NAMES) < 4e6


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_the_training(name: str) -> None:
    card, training = load_shipped(name).card, load_training(name)
    assert card.synthetic
    assert card.command == training.command
    assert dict(card.options) | training.options == dict(card.options)
    assert card.figures
    assert card.features == FeatureOptions.of(dict(training.features)).table()


def test_the_defaults_need_no_torch() -> None:
    """`equime predict` takes the first of each head."""
    first = {card.head: card for card in reversed(list_shipped())}
    assert first["emotion"].name == "emotion_cnn"
    assert {card.name for card in first.values()} <= set(WITHOUT_TORCH)


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_they_run_without_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(module: str, *rest: Any) -> Any:
        if module.split(".", maxsplit=1)[0] == "torch":
            raise ModuleNotFoundError(module)
        return real(module, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    shipped = load_shipped(name)
    x = np.random.default_rng(0).random((3, 28, 28, 3)).astype(np.float32)
    p = shipped.fitted.probabilities(x)
    assert p.shape == (3, len(shipped.card.outputs))
    assert (p >= 0).all()
    assert (p <= 1).all()


def test_rendered_clips_of_other_faces_are_recognised(mesh_clips: Dataset) -> None:
    """Six clips of two faces (happiness, surprise, anger); of three classes, chance is two right."""
    shipped = load_shipped("emotion_cnn")
    assert shipped.card.outputs == THREE
    options = FeatureOptions.of(dict(shipped.card.features))
    data = of_dataset(mesh_clips.root)
    samples, _ = build(data.only(c for c in data.clips if c.label), [shipped.card.input], options=options)
    p = shipped.fitted.probabilities(samples.input(shipped.card.input))
    assert (p.argmax(1) == samples.labels()).sum() >= 5
    aus = load_shipped("au_cnn")
    assert aus.card.outputs == tuple(str(au) for au in AUS)
    q = aus.fitted.probabilities(samples.input(aus.card.input))
    smiles = samples.aus()[:, AUS.index(12)] == 1
    assert q[smiles, AUS.index(12)].min() > q[~smiles, AUS.index(12)].max()
