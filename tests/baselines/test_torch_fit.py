"""What every network shares: folds, options, determinism, batches, losses, weights as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from equime.baselines.inputs import Input
from equime.baselines.losses import (
    class_weights,
    loss_function,
    loss_with_gradient,
    positive_weights,
    targets,
)
from equime.baselines.recogniser import About, Head, Options
from equime.baselines.torch_fit import TorchRecogniser, batches, training_options
from equime.errors import InputError
from equime.torch_env import torch

pytestmark = pytest.mark.xdist_group("torch_fit")


class Tiny(TorchRecogniser):
    """A hidden layer with dropout; remembers how many rows it was given at a time."""

    about = About(
        key="tiny",
        title="Tiny",
        source="here",
        input=Input("flow", 4),
        options=training_options(epochs=3, lr=0.01, batch_size=8, width=5, kind="word", label_smoothing=0.0),
    )
    shape_options = ("width", "kind")

    def __init__(self) -> None:
        self.most = 0

    def build(self, n_outputs: int, options: Options) -> Any:
        nn = torch().nn
        network = nn.Sequential(
            nn.Flatten(), nn.Linear(48, int(options["width"])), nn.ReLU(), nn.Dropout(0.5)
        )
        network.add_module("fc", nn.Linear(int(options["width"]), n_outputs))
        return network

    def prepare(self, x: Any) -> Any:
        self.most = max(self.most, len(x))
        return super().prepare(x)


def data(n: int = 30, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    return random.random((n, 4, 4, 3), np.float32), np.arange(n) % 3


def same(a: Any, b: Any) -> bool:
    first, second = a.tensors(), b.tensors()
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k]) for k in first)


def test_twice_the_same_and_another_seed_is_another() -> None:
    x, y = data()
    one, two, other = (Tiny().fit(x, y, [np.arange(30)], seed=s)[0] for s in (1, 1, 2))
    assert same(one, two)
    assert not same(one, other)


def test_a_fold_depends_on_its_own_rows_and_place_alone() -> None:
    x, y = data()
    mine = np.arange(20)
    changed = x.copy()
    changed[20:] = 0
    first = Tiny().fit(x, y, [mine, np.arange(30)])
    second = Tiny().fit(changed, y, [mine, np.arange(3, 30), np.arange(9)])
    assert same(first[0], second[0])
    assert not same(first[1], second[1])


def test_the_callers_random_state_is_left_alone() -> None:
    x, y = data()
    torch().manual_seed(5)
    expected = torch().rand(3)
    torch().manual_seed(5)
    Tiny().fit(x, y, [np.arange(30)])
    assert torch().equal(torch().rand(3), expected)


def test_rows_are_read_a_batch_at_a_time() -> None:
    x, y = data(500)
    model = Tiny()
    model.fit(x, y, [np.arange(500)], options={"epochs": 1})
    assert model.most == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"epoch": 3}}, "epoch"),
        ({"options": {"epochs": 0}}, "at least 1"),
        ({"options": {"lr": float("nan")}}, "lr"),
        ({"options": {"class_weights": "some"}}, "balanced"),
        ({"folds": [np.zeros(0, np.intp)]}, "no training rows"),
        ({"folds": [np.array([0, 1, 3])]}, "class 2"),
        ({"start": []}, "one per fold"),
    ],
)
def test_refused(change: dict[str, Any], message: str) -> None:
    x, y = data()
    arguments = {"folds": [np.arange(30)]} | change
    with pytest.raises(InputError, match=message):
        Tiny().fit(x, y, **arguments)


def test_weights_survive_as_arrays_with_options_that_shape_the_network() -> None:
    x, y = data()
    (fitted,) = Tiny().fit(x, y, [np.arange(30)], options={"width": 7, "kind": "long word"})
    tensors = fitted.tensors()
    assert all(array.dtype.kind in "fiub" for array in tensors.values())
    back = Tiny().restore(tensors, head="emotion", n_outputs=3)
    assert np.array_equal(back.probabilities(x), fitted.probabilities(x))
    assert same(back, fitted)
    np.testing.assert_allclose(fitted.probabilities(x).sum(1), 1, atol=1e-6)
    assert fitted.probabilities(x[:0]).shape == (0, 3)


def test_weights_of_another_model_are_refused() -> None:
    x, y = data()
    (fitted,) = Tiny().fit(x, y, [np.arange(30)], options={"epochs": 1})
    tensors = fitted.tensors()
    with pytest.raises(InputError, match=r"fc\.weight"):
        Tiny().restore(tensors, head="emotion", n_outputs=5)
    with pytest.raises(InputError, match="another model"):
        Tiny().restore({"elsewhere": tensors["fc.bias"]}, head="emotion", n_outputs=3)


def test_training_goes_on_from_a_start() -> None:
    x, y = data()
    fold = [np.arange(30)]
    first = Tiny().fit(x, y, fold)
    assert same(Tiny().fit(x, y, fold, start=first, options={"lr": 0.0})[0], first[0])
    # Another number of outputs: the output layer starts anew, the rest goes on.
    aus = np.tile([[0, 1], [1, 0]], (15, 1))
    (other,) = Tiny().fit(x, aus, fold, head="aus", n_outputs=2, start=first, options={"lr": 0.0})
    assert np.array_equal(other.tensors()["1.weight"], first[0].tensors()["1.weight"])
    assert other.tensors()["fc.weight"].shape == (2, 5)


def test_unknown_aus_teach_nothing() -> None:
    x, _ = data()
    y = np.tile([[0, 1], [1, 0], [1, 1]], (10, 1))
    y[:8] = -1
    changed = x.copy()
    changed[:8] = 9
    fold, options = [np.arange(30)], {"batch_size": 30}
    both = [Tiny().fit(some, y, fold, head="aus", n_outputs=2, options=options)[0] for some in (x, changed)]
    for name, array in both[0].tensors().items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(array, both[1].tensors()[name], atol=1e-6)
    p = both[0].probabilities(x)
    assert p.shape == (30, 2)
    assert not np.allclose(p.sum(1), 1)


@given(st.integers(2, 60), st.integers(2, 20))
def test_batches_hold_every_row_once_and_none_is_alone(n: int, size: int) -> None:
    parts = list(batches(np.arange(n), size))
    assert np.array_equal(np.concatenate(parts), np.arange(n))
    assert all(2 <= len(part) <= size + 1 for part in parts)


def test_balanced_weights_are_scikit_learns() -> None:
    y = np.array([0, 0, 0, 1, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y)
    np.testing.assert_allclose(class_weights(y, 3, "balanced"), expected, rtol=1e-6)
    assert class_weights(y, 3, "none").tolist() == [1, 1, 1]


def test_positive_weights_count_the_known() -> None:
    y = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 1], [-1, 0, 1]])
    assert positive_weights(y, True).tolist() == [2, 3, pytest.approx(1 / 3)]
    assert positive_weights(y, False).tolist() == [1, 1, 1]
    assert positive_weights(np.zeros((50, 1), np.int8), True).tolist() == [20]


def test_losses_by_hand() -> None:
    tensors = torch()
    y = np.array([0, 1])
    loss = loss_function(y, "emotion", 2, {})
    value = loss(tensors.zeros(2, 2), tensors.from_numpy(targets(y, "emotion", 2)))
    assert float(value) == pytest.approx(np.log(2))
    # Known: present at logit 0, absent at logit 2; the unknown one counts neither above nor below the line.
    codes = np.array([[1, -1], [-1, 0]])
    loss = loss_function(codes, "aus", 2, {})
    value = loss(tensors.tensor([[0.0, 5.0], [5.0, 2.0]]), tensors.from_numpy(targets(codes, "aus", 2)))
    assert float(value) == pytest.approx((np.log(2) + np.log1p(np.exp(2))) / 2)


@pytest.mark.parametrize("head", ["emotion", "aus"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradient_without_torch_are_autograds(head: Head, smoothing: float) -> None:
    tensors, random = torch(), np.random.default_rng(4)
    y = random.integers(0, 3, 40) if head == "emotion" else random.integers(-1, 2, (40, 3))
    options: Options = {"class_weights": "balanced", "positive_weights": True, "label_smoothing": smoothing}
    logits, target = (3 * random.standard_normal((40, 3))).astype(np.float32), targets(y, head, 3)
    leaf = tensors.from_numpy(logits).requires_grad_()
    expected = loss_function(y, head, 3, options)(leaf, tensors.from_numpy(target))
    expected.backward()
    value, found = loss_with_gradient(y, head, 3, options)(logits, target)
    assert value == pytest.approx(float(expected.detach()), rel=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, leaf.grad.numpy(), rtol=1e-5, atol=1e-7)
