"""equime's own network: trained with torch, asked in numpy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from equime.baselines.models.flow_cnn import FlowCnn, mixed
from equime.baselines.small_net import Ensemble, SmallNet, mirrored, normalised
from equime.baselines.torch_fit import count_parameters
from equime.errors import InputError
from equime.torch_env import torch
from tests import runs

pytestmark = pytest.mark.xdist_group("torch_fit")

QUICK = {"epochs": 6, "width": 6, "batch_size": 16, "lr": 0.01, "mixup": 0.0, "label_smoothing": 0.0}


def faces(n: int = 48) -> tuple[Any, Any]:
    """Flow whose vertical part differs in a third of the face that tells the class."""
    random = np.random.default_rng(4)
    x = random.random((n, 28, 28, 3), np.float32) * 0.5
    y = np.arange(n) % 3
    for i, k in enumerate(y):
        x[i, 2 + 8 * k : 10 + 8 * k, 8:20, 1] += 0.5
    return x, y


@pytest.fixture(scope="module")
def trained() -> Any:
    x, y = faces()
    return FlowCnn().fit(x, y, [np.arange(32)], options=QUICK)[0]


def test_size_and_budget() -> None:
    model = FlowCnn()
    counted = count_parameters(model.build(3, model.about.options))
    by_hand = sum(i * o * 9 + o + 2 * o for i, o in ((3, 32), (32, 64), (64, 96))) + 96 * 9 * 3 + 3
    assert counted == by_hand == model.about.n_parameters <= 250_000


def test_learns_where_something_moves(trained: Any) -> None:
    x, y = faces()
    assert (trained.probabilities(x)[32:].argmax(1) == y[32:]).all()
    again = FlowCnn().fit(x, y, [np.arange(32)], options=QUICK)[0]
    assert all(np.array_equal(array, again.tensors()[name]) for name, array in trained.tensors().items())


@pytest.mark.parametrize("head", ["emotion", "aus"])
@pytest.mark.parametrize("how", ["robust", "minmax"])
def test_numpy_says_what_torch_says(head: Any, how: str) -> None:
    x, y = faces(20)
    labels = y if head == "emotion" else np.random.default_rng(0).integers(0, 2, (20, 3))
    model = FlowCnn()
    options = model.settings(QUICK | {"epochs": 2, "normalise": how, "flip_average": False})
    (fitted,) = model.fit(x, labels, [np.arange(20)], head=head, options=options)
    network = model.build(3, options)
    network.load_state_dict(
        {name: torch().from_numpy(a) for name, a in fitted.tensors().items() if "option" not in name}
    )
    network.eval()
    with torch().inference_mode():
        logits = network(torch().from_numpy(normalised(x, how)))
        p = logits.softmax(1) if head == "emotion" else logits.sigmoid()
    np.testing.assert_allclose(fitted.probabilities(x), p.numpy(), atol=1e-5)


def test_the_mirror_image_counts_as_much(trained: Any) -> None:
    x, _ = faces(10)
    turned = x[:, :, ::-1].copy()
    turned[..., 0] = 1 - turned[..., 0]
    np.testing.assert_allclose(trained.probabilities(x), trained.probabilities(turned), atol=1e-5)
    alone = SmallNet(trained.tensors(), "emotion", "robust", flip_average=False)
    mean = (alone.probabilities(x) + alone.probabilities(turned)) / 2
    np.testing.assert_allclose(trained.probabilities(x), mean, atol=1e-5)


@pytest.mark.parametrize("how", ["robust", "minmax"])
def test_mirroring_before_or_after_normalisation_is_the_same(how: str) -> None:
    x, _ = faces(4)
    turned = x[:, :, ::-1].copy()
    turned[..., 0] = 1 - turned[..., 0]
    a, b = mirrored(normalised(x, how), how), normalised(turned, how)
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_robust_by_hand() -> None:
    """11 values: the median is 5, deviations 0 to 5 twice, the tenth of them in order is 5."""
    x = np.tile(np.arange(11, dtype=np.float32)[:, None], (1, 1, 1, 1)).reshape(1, 11, 1, 1)
    np.testing.assert_allclose(normalised(x, "robust").ravel(), (np.arange(11) - 5) / 5)
    outlier = np.concatenate([x[:, :10], np.full((1, 1, 1, 1), 1000, np.float32)], axis=1)
    np.testing.assert_allclose(normalised(outlier, "robust").ravel()[:10], (np.arange(10) - 5) / 5)
    np.testing.assert_allclose(normalised(x[:, :4], "robust").ravel(), (np.arange(4) - 1.5) / 1.5)
    assert normalised(outlier, "robust").max() == 5
    assert not normalised(np.full((1, 4, 4, 3), 0.5), "robust").any()


def test_an_ensemble_is_the_mean_and_survives(trained: Any, tmp_path: Path) -> None:
    x, y = faces()
    (other,) = FlowCnn().fit(x, y, [np.arange(32)], seed=1, options=QUICK | {"normalise": "minmax"})
    both = Ensemble([trained, other])
    mean = (trained.probabilities(x) + other.probabilities(x)) / 2
    np.testing.assert_allclose(both.probabilities(x), mean, atol=1e-6)
    save_file(both.tensors(), tmp_path / "w.safetensors")
    back = FlowCnn().restore(load_file(tmp_path / "w.safetensors"), head="emotion", n_outputs=3)
    assert np.array_equal(back.probabilities(x), both.probabilities(x))
    gap = {
        name.replace("1.", "2.", 1) if name.startswith("1.") else name: a
        for name, a in both.tensors().items()
    }
    with pytest.raises(InputError, match="without a gap"):
        FlowCnn().restore(gap, head="emotion", n_outputs=3)


def test_predicts_where_torch_is_not_installed(trained: Any, tmp_path: Path) -> None:
    x, _ = faces(5)
    save_file(trained.tensors(), tmp_path / "w.safetensors")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np; from safetensors.numpy import load_file; from equime.registry import lookup\n"
        f"net = lookup('model', 'flow_cnn')().restore(load_file({str(tmp_path / 'w.safetensors')!r}), "
        "head='emotion', n_outputs=3)\n"
        f"np.save({str(tmp_path / 'p.npy')!r}, net.probabilities(np.load({str(tmp_path / 'x.npy')!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=runs.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), trained.probabilities(x), atol=1e-6)


def test_goes_on_from_what_was_trained(trained: Any) -> None:
    x, y = faces()
    options = QUICK | {"epochs": 1, "lr": 0.0}
    (on,) = FlowCnn().fit(x, y, [np.arange(32)], options=options, start=[trained])
    assert np.array_equal(on.tensors()["conv2.weight"], trained.tensors()["conv2.weight"])


def test_mixing_by_hand() -> None:
    class Half(np.random.Generator):
        def beta(self, *args: Any, **kwargs: Any) -> Any:
            return 0.25

        def permutation(self, *args: Any, **kwargs: Any) -> Any:
            return np.array([1, 0])

    random = Half(np.random.PCG64(0))
    x, target = torch().tensor([[0.0], [4.0]]), torch().tensor([[1.0, -1.0], [0.0, 1.0]])
    blend, goal = mixed(x, target, random, 0.4)
    assert blend.tolist() == [[3.0], [1.0]]
    assert goal.tolist() == [[0.25, -1.0], [0.75, -1.0]]
    assert mixed(x, target, random, 0.0)[0] is x


def test_training_sees_mirrored_and_moved_pictures() -> None:
    x, _ = faces(64)
    model = FlowCnn()
    options = model.settings({"mixup": 0.0, "normalise": "minmax", "shift_px": 2})
    target = torch().zeros(64, 3)
    seen, _ = model.augment(model.prepare(x), target, np.random.default_rng(0), options)
    plain = normalised(x, "minmax")
    # Of each picture, what the shift leaves: it is the picture or its mirror image, moved by the same.
    found = set()
    for dy in range(5):
        for dx in range(5):
            for name, source in (("plain", plain), ("mirror", mirrored(plain, "minmax"))):
                moved = np.pad(source, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")[
                    :, :, dy : dy + 28, dx : dx + 28
                ]
                if matches := np.isclose(seen.numpy(), moved).all((1, 2, 3)).sum():
                    found.add((name, dy, dx, int(matches)))
    assert {name for name, *_ in found} == {"plain", "mirror"}
    assert len({(dy, dx) for _, dy, dx, _ in found}) == 1
    assert sum(n for *_, n in found) == 64


@pytest.mark.parametrize("options", [{"normalise": "z"}, {"width": 0}, {"mixup": -1.0}, {"dropouts": 0.1}])
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        FlowCnn().settings(options)


def test_weights_of_other_models_are_refused(trained: Any) -> None:
    tensors = trained.tensors()
    with pytest.raises(InputError, match="3 outputs, 5"):
        FlowCnn().restore(tensors, head="emotion", n_outputs=5)
    with pytest.raises(InputError, match="another model"):
        FlowCnn().restore({"fc.bias": tensors["fc.bias"]}, head="emotion", n_outputs=3)
