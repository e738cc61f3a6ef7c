"""Folds of STSTNet trained together come to what each comes to alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from equime.baselines.models.ststnet import StstNet
from equime.baselines.shipped import packed, unpacked
from equime.torch_env import torch

pytestmark = pytest.mark.xdist_group("torch_fit")

OPTIONS = {"epochs": 3, "batch_size": 12, "lr": 1e-3}


@pytest.fixture(scope="module")
def flows() -> Any:
    return np.random.default_rng(3).random((34, 28, 28, 3), np.float32)


def leave_one_out(n: int) -> list[Any]:
    """Eight folds, of different numbers of batches."""
    who = np.concatenate([[0] * 12, np.arange(n - 12) % 7 + 1])
    return [np.flatnonzero(who != one) for one in range(8)]


def assert_equal(a: list[Any], b: list[Any], x: Any) -> None:
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one.probabilities(x), other.probabilities(x), atol=2e-5)
        np.testing.assert_allclose(one.history, other.history, rtol=1e-4)
        mine, theirs = one.tensors(), other.tensors()
        for name, array in theirs.items():
            np.testing.assert_allclose(mine[name], array, rtol=1e-4, atol=2e-5, err_msg=name)


def both(x: Any, y: Any, folds: list[Any], **settings: Any) -> tuple[list[Any], list[Any]]:
    together = StstNet().fit(x, y, folds, options=OPTIONS, **settings)
    return together, StstNet(together=False).fit(x, y, folds, options=OPTIONS, **settings)


def test_together_as_alone(flows: Any) -> None:
    y = np.random.default_rng(1).permutation(np.arange(len(flows)) % 3)
    assert_equal(*both(flows, y, leave_one_out(len(flows))), flows)


def test_together_as_alone_for_action_units_and_from_a_start(flows: Any) -> None:
    """Many outputs; and normalisation turned upside down, which takes minima for maxima."""
    random = np.random.default_rng(2)
    y = random.integers(-1, 2, (len(flows), 17))
    y[:3], y[-3:] = [[0], [1], [0]], [[1], [0], [1]]
    folds = leave_one_out(len(flows))[:3]
    (first,) = StstNet().fit(flows, y, folds[:1], head="aus", n_outputs=17, options={"epochs": 1})
    tensors = first.tensors()
    for i in (1, 2, 3):
        tensors[f"bn{i}.weight"][::2] *= -1
    start = [StstNet().restore(tensors, head="aus", n_outputs=17)] * 3
    assert_equal(*both(flows, y, folds, head="aus", n_outputs=17, start=start), flows)


def test_a_fold_depends_on_its_clips_and_place_alone(flows: Any) -> None:
    """Not on where its rows stand, nor on other folds."""
    y = np.arange(len(flows)) % 3
    folds = leave_one_out(len(flows))
    first = StstNet().fit(flows, y, folds[:3], options=OPTIONS)
    moved = np.random.default_rng(0).permutation(len(flows))
    back = np.argsort(moved)
    second = StstNet().fit(
        flows[moved], y[moved], [back[folds[0]], back[folds[5]], back[folds[2]]], options=OPTIONS
    )
    assert_equal(first[::2], second[::2], flows)
    assert np.abs(first[1].probabilities(flows) - second[1].probabilities(flows)).max() > 1e-3


def test_images_on_disk_are_read_batch_by_batch(flows: Any, tmp_path: Path) -> None:
    y, folds = np.arange(len(flows)) % 3, leave_one_out(len(flows))[:2]
    np.save(tmp_path / "x.npy", flows.astype(np.float16))
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = StstNet().fit(on_disk, y, folds, options=OPTIONS)
    assert_equal(found, StstNet().fit(np.asarray(on_disk), y, folds, options=OPTIONS), flows)


def test_what_is_kept_can_be_loaded(flows: Any) -> None:
    """The counters of batch normalisation are numbers, not vectors."""
    (fitted,) = StstNet().fit(flows, np.arange(len(flows)) % 3, [np.arange(len(flows))], options=OPTIONS)
    stored = unpacked(load(save(packed(fitted.tensors(), "full"))))
    again = StstNet().restore(stored, head="emotion", n_outputs=3)
    np.testing.assert_array_equal(again.probabilities(flows), fitted.probabilities(flows))


def test_the_number_of_threads_changes_nothing(flows: Any) -> None:
    y = np.arange(len(flows)) % 3
    folds, before = leave_one_out(len(flows)), torch().get_num_threads()
    found = []
    for threads in (1, 2):
        torch().set_num_threads(threads)
        fitted = StstNet().fit(flows, y, folds, options=OPTIONS | {"epochs": 1})
        found.append(fitted[4].tensors())
    torch().set_num_threads(before)
    assert all(np.array_equal(array, found[1][name]) for name, array in found[0].items())
