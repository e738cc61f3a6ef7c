"""What every registered recogniser owes to protocols: the same answers for all of them."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

from equime import registry
from equime.baselines.inputs import Input
from equime.errors import InputError
from equime.extras import installed
from equime.seeding import stream

N = 18
FOLDS = [np.arange(0, 12), np.arange(6, 18)]
CLASSES = np.arange(N) % 3
AUS = 4

TINY: dict[str, Any] = {
    "epochs": 1, "size_px": 16, "n_frames": 9, "out_px": 32, "batch_size": 6, "width": 4,
    "dim": 12, "heads": 3, "repeats": "1-1-1",
}  # fmt: skip
"""Instead of a model's own, where it has such options."""


class Case(NamedTuple):
    """A model, small data for it, and what it made of them."""

    model: Any
    x: Any
    options: dict[str, Any]
    fitted: list[Any]


def small_input(wanted: Input) -> Any:
    """Random data of the model's kind; clips are smaller than the model's where it can be told so."""
    random = stream(8, wanted.key)
    shapes: dict[str, tuple[int, ...]] = {
        "clip": (TINY["n_frames"], 24, 24), "rgb_clip": (TINY["n_frames"], 24, 24, 3),
        "frame": (wanted.size_px,) * 2, "frame_pair": (2, wanted.size_px, wanted.size_px),
    }  # fmt: skip
    if wanted.kind in shapes:
        return random.integers(1, 256, (N, *shapes[wanted.kind]), dtype=np.uint8)
    return random.random((N, wanted.size_px, wanted.size_px, 3)).astype(np.float32)


def small_backbones(patch: pytest.MonkeyPatch) -> None:
    """The networks of torchvision have no size to choose, so smaller ones of the same kind stand in for them."""
    from equime import torch_env  # noqa: PLC0415

    models, video = torch_env.load("torchvision.models"), torch_env.load("torchvision.models.video")
    nn = torch_env.torch().nn
    swin = functools.partial(
        video.SwinTransformer3d, patch_size=[2, 4, 4], embed_dim=12, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1],
        window_size=[8, 7, 7], num_classes=3,
    )  # fmt: skip
    patch.setattr(models, "mobilenet_v2", functools.partial(models.mobilenet_v2, width_mult=0.1))
    patch.setattr(video, "swin3d_t", lambda weights: swin())

    class Small(nn.Module):
        def __init__(self, weights: None) -> None:
            super().__init__()
            self.stem, self.fc = nn.Conv3d(3, 16, 3, 4), nn.Linear(16, 400)

        def forward(self, x: Any) -> Any:
            return self.fc(self.stem(x).amax((2, 3, 4)))

    patch.setattr(video, "r2plus1d_18", Small)


def missing(name: str) -> str:
    """Why a model cannot be looked at here, "" where it can."""
    module = registry.MODELS[name].split(":")[0]
    if importlib.util.find_spec(module) is None:
        return f"{module} is not there yet"
    lacking = [package for package in registry.lookup("model", name).about.requires if not installed(package)]
    return f"needs {', '.join(lacking)}" if lacking else ""


@pytest.fixture(scope="module", params=sorted(registry.MODELS))
def case(request: pytest.FixtureRequest) -> Any:
    """Every model, trained once."""
    if reason := missing(request.param):
        pytest.skip(f"{request.param}: {reason}")
    with pytest.MonkeyPatch.context() as patch:
        model = registry.lookup("model", request.param)()
        if "torchvision" in model.about.requires:
            small_backbones(patch)
        x = small_input(model.about.input)
        # All defaults are given too: each must be an option that can be set.
        options = dict(model.about.options) | {k: v for k, v in TINY.items() if k in model.about.options}
        yield Case(model, x, options, model.fit(x, CLASSES, FOLDS, seed=3, options=options))


@pytest.mark.parametrize("name", sorted(registry.MODELS))
def test_what_is_known_of_it_is_complete(name: str) -> None:
    if reason := missing(name):
        pytest.skip(f"{name}: {reason}")
    about = registry.lookup("model", name).about
    assert about.key == name
    assert about.title
    assert about.source
    assert about.input.size_px > 0
    assert isinstance(about.options, Mapping)
    assert all(isinstance(value, bool | int | float | str) for value in about.options.values())
    # What has a network has a number of parameters.
    assert about.n_parameters is not None or "torch" not in about.requires
    assert about.n_parameters is None or about.n_parameters > 0


def test_classes_have_probabilities(case: Case) -> None:
    assert len(case.fitted) == len(FOLDS)
    for fitted in case.fitted:
        p = fitted.probabilities(case.x)
        assert p.shape == (N, 3)
        assert p.dtype == np.float32
        assert (p >= 0).all()
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
        assert fitted.probabilities(case.x[:0]).shape == (0, 3)


def test_action_units_have_probabilities(case: Case) -> None:
    y = stream(1, "aus").integers(0, 2, (N, AUS)).astype(np.int8)
    y[:, 2], y[::4] = 0, -1
    (fitted,) = case.model.fit(case.x, y, FOLDS[:1], head="aus", n_outputs=AUS, options=case.options)
    p = fitted.probabilities(case.x)
    assert p.shape == (N, AUS)
    assert ((p >= 0) & (p <= 1)).all()
    again = case.model.restore(fitted.tensors(), head="aus", n_outputs=AUS)
    np.testing.assert_allclose(again.probabilities(case.x), p, atol=1e-6)


def test_arrays_are_all_that_is_needed(case: Case) -> None:
    for fitted in case.fitted:
        arrays = fitted.tensors()
        assert all(type(array) is np.ndarray and array.dtype != object for array in arrays.values())
        again = case.model.restore(arrays, head="emotion", n_outputs=3)
        np.testing.assert_allclose(again.probabilities(case.x), fitted.probabilities(case.x), atol=1e-6)


def test_a_fold_depends_on_the_seed_its_rows_and_its_place_alone(case: Case) -> None:
    """What the other rows show, and how many folds there are, does not matter."""
    x, y = case.x.copy(), CLASSES.copy()
    x[12:], y[12:] = x[12:][::-1].copy(), (y[12:] + 1) % 3
    (fitted,) = case.model.fit(x, y, FOLDS[:1], seed=3, options=case.options)
    p = case.fitted[0].probabilities(case.x)
    np.testing.assert_allclose(fitted.probabilities(case.x), p, atol=2e-4)


def test_it_goes_on_from_what_was_trained(case: Case) -> None:
    """Also from another number of classes: the output layer is its own."""
    (start,) = case.model.fit(case.x, CLASSES % 2, FOLDS[:1], n_outputs=2, options=case.options)
    found = case.model.fit(
        case.x, CLASSES, FOLDS, seed=3, options=case.options, start=[start, case.fitted[1]]
    )
    for fitted, anew in zip(found, case.fitted, strict=True):
        p = fitted.probabilities(case.x)
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
        assert np.abs(p - anew.probabilities(case.x)).max() > 1e-6
    with pytest.raises(InputError, match="1 recognisers to start from for 2 folds"):
        case.model.fit(case.x, CLASSES, FOLDS, options=case.options, start=[start])


def test_folds_that_nothing_can_be_learned_from(case: Case) -> None:
    with pytest.raises(InputError, match="fold 1 has no training rows"):
        case.model.fit(case.x, CLASSES, [FOLDS[0], np.arange(0)], options=case.options)
    rows = np.flatnonzero(CLASSES != 1)
    with pytest.raises(InputError, match="fold 0: class 1 has no sample"):
        case.model.fit(case.x, CLASSES, [rows], options=case.options)


def test_unknown_options(case: Case) -> None:
    with pytest.raises(InputError, match="no option 'learning_rat'"):
        case.model.fit(case.x, CLASSES, FOLDS, options={"learning_rat": 1.0})
    name = next(iter(case.model.about.options))
    with pytest.raises(InputError, match=f"option {name}"):
        case.model.fit(case.x, CLASSES, FOLDS, options={name: [1]})
