"""What several networks begin with is computed once, and nothing else is: parts on torch, graphs of ONNX."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from equime.attribute_extraction import deepface_onnx, deepface_torch
from equime.attribute_extraction.deepface_torch import BLOCKS, Part, parts, run, share
from equime.errors import WorkError
from equime.torch_env import torch

pytestmark = pytest.mark.xdist_group("deepface")


def small_network(seeds: dict[str, int]) -> Any:
    """A VGG-Face classifier with two channels; a layer is drawn from the seed of its block."""
    nn = torch().nn
    trunk = SimpleNamespace()
    channels = 3

    def drawn(layer: Any, seed: int) -> Any:
        generator = torch().Generator().manual_seed(seed)
        for p in layer.parameters():
            p.data = torch().randn(p.shape, generator=generator) * 0.5
        return layer

    for i, block in enumerate(BLOCKS):
        for j, name in enumerate(block):
            layer = drawn(nn.Conv2d(channels, 2, 3, padding=1), seeds[f"block{i}"] + j)
            setattr(trunk, name, layer)
            channels = 2
    trunk.fc6 = drawn(nn.Conv2d(2, 5, 2), seeds["fc6"])
    trunk.fc7 = drawn(nn.Conv2d(5, 5, 1), seeds["fc7"])
    return SimpleNamespace(backbone=trunk, predictions=drawn(nn.Conv2d(5, 3, 1), seeds["predictions"]))


def seeds(**other: int) -> dict[str, int]:
    names = [*(f"block{i}" for i in range(5)), "fc6", "fc7", "predictions"]
    return {name: 10 * i for i, name in enumerate(names)} | other


def reference(network: Any, x: Any) -> Any:
    """The forward pass as DeepFace writes it."""
    functional = torch().nn.functional
    trunk = network.backbone
    for block in BLOCKS:
        for name in block:
            x = getattr(trunk, name)(x).relu()
        x = functional.max_pool2d(x, 2)
    x = trunk.fc7(trunk.fc6(x).relu()).relu().flatten(1)
    return network.predictions(x[:, :, None, None]).flatten(1).softmax(1)


@pytest.mark.parametrize(
    ("other", "n_calls"),
    [
        ({"predictions": 99}, 7 + 3),
        ({"fc6": 99}, 5 + 3 * 3),
        ({"block0": 99}, 3 * 8),
        ({}, 8),
    ],
)
def test_parts_on_torch(other: dict[str, int], n_calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three networks that differ from one part on."""
    networks = [small_network(seeds(**{k: v + i for k, v in other.items()})) for i in range(3)]
    x = torch().rand(2, 3, 64, 64)
    calls = []
    call = Part.__call__
    monkeypatch.setattr(Part, "__call__", lambda part, y: calls.append(part) or call(part, y))
    with torch().inference_mode():
        given = run(share([parts(network) for network in networks]), x)
        for network, p in zip(networks, given, strict=True):
            np.testing.assert_allclose(p.numpy(), reference(network, x).numpy(), atol=1e-5)
    assert len(calls) == n_calls


def test_two_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = [small_network(seeds(fc6=s)) for s in (1, 1, 2)]
    paths = share([parts(network) for network in networks])
    assert paths[0][5] is paths[1][5]
    assert paths[0][5] is not paths[2][5]
    assert paths[0][4] is paths[2][4]


def test_almost_equal_is_not_equal() -> None:
    first, second = small_network(seeds()), small_network(seeds())
    bias = second.backbone.conv3_2.bias.data
    bias[0] = float(np.nextafter(np.float32(bias[0]), np.float32(9)))
    one, other = share([parts(first), parts(second)])
    assert [a is b for a, b in zip(one, other, strict=True)] == [
        True,
        True,
        False,
        True,
        True,
        True,
        True,
        True,
    ]


# Graphs


def chain(name: str, weights: list[float], file: Path, *, skip: bool = False) -> Path:
    """Multiply by each weight, rectify after each; with ``skip`` the picture is added at the end."""
    onnx, helper = importlib.import_module("onnx"), importlib.import_module("onnx.helper")
    real = onnx.TensorProto.FLOAT
    nodes, at = [], f"{name}_x"
    inits = []
    for i, weight in enumerate(weights):
        inits.append(onnx.numpy_helper.from_array(np.full((1, 2), weight, np.float32), f"{name}_w{i}"))
        nodes.append(helper.make_node("Mul", [at, f"{name}_w{i}"], [f"{name}_m{i}"]))
        nodes.append(helper.make_node("Relu", [f"{name}_m{i}"], [f"{name}_r{i}"]))
        at = f"{name}_r{i}"
    if skip:
        nodes.append(helper.make_node("Add", [at, f"{name}_x"], [f"{name}_sum"]))
        at = f"{name}_sum"
    ends = [helper.make_tensor_value_info(end, real, ["n", 2]) for end in (f"{name}_x", at)]
    graph = helper.make_graph(nodes, name, ends[:1], ends[1:], inits)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(file))
    return file


def answer(made: Any, x: np.ndarray) -> np.ndarray:
    return deepface_onnx.run(deepface_onnx.session(made), x)


@pytest.mark.parametrize(
    ("tables", "n_shared"), [([[2, 3, 4], [2, 3, 5]], 4), ([[2, 3, 4], [2, 9, 4]], 2), ([[2, 3], [2, 3]], 4)]
)
def test_graphs_are_cut_where_they_part(tmp_path: Path, tables: list[list[float]], n_shared: int) -> None:
    files = [chain(f"net{i}", weights, tmp_path / f"{i}.onnx") for i, weights in enumerate(tables)]
    cut = deepface_onnx.split(files)
    assert cut is not None
    trunk = importlib.import_module("onnx").load_from_string(cut.trunk)
    assert len(trunk.graph.node) == n_shared
    x = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
    middle = answer(cut.trunk, x)
    for head, file in zip(cut.heads, files, strict=True):
        np.testing.assert_array_equal(answer(head, middle), answer(file, x))


def test_graphs_with_nothing_in_common(tmp_path: Path) -> None:
    files = [chain("a", [2, 3], tmp_path / "a.onnx"), chain("b", [4, 3], tmp_path / "b.onnx")]
    assert deepface_onnx.split(files) is None


def test_a_common_step_without_weights_is_no_trunk(tmp_path: Path) -> None:
    """Graphs that only turn the picture alike."""
    onnx = importlib.import_module("onnx")
    files = []
    for name, weight in (("a", 2.0), ("b", 3.0)):
        file = chain(name, [weight], tmp_path / f"{name}.onnx")
        model = onnx.load(str(file))
        model.graph.node.insert(0, onnx.helper.make_node("Relu", [f"{name}_x"], [f"{name}_turned"]))
        model.graph.node[1].input[0] = f"{name}_turned"
        onnx.save(model, str(file))
        files.append(file)
    assert deepface_onnx.split(files) is None


def test_a_graph_that_comes_back_to_the_picture(tmp_path: Path) -> None:
    """No tensor alone carries what the output needs."""
    files = [
        chain("a", [2, 3], tmp_path / "a.onnx", skip=True),
        chain("b", [2, 4], tmp_path / "b.onnx", skip=True),
    ]
    assert deepface_onnx.split(files) is None


def test_what_is_no_graph(tmp_path: Path) -> None:
    file = tmp_path / "age_model_weights.onnx"
    file.write_bytes(b"\xff" * 40)
    with pytest.raises(WorkError, match=r"age_model_weights\.onnx: is no graph of ONNX .*remove it and run"):
        deepface_onnx.split([file, file])
    with pytest.raises(WorkError, match=r"age_model_weights\.onnx: is no graph of ONNX"):
        deepface_onnx.session(file)


def test_legacy_files_of_torch(tmp_path: Path) -> None:
    """Files that cannot be mapped are read whole."""
    code = SimpleNamespace(base_model=lambda: torch().nn.Linear(2, 2))
    state = torch().nn.Linear(2, 2).state_dict()
    torch().save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    network = deepface_torch.load_network(code, tmp_path / "a.pth")
    assert torch().equal(network.weight, state["weight"])
    torch().save({"weight": torch().ones(3, 3)}, tmp_path / "a.pth")
    with pytest.raises(WorkError, match=r"a\.pth: is no Linear of DeepFace .*fetch deepface_torch`"):
        deepface_torch.load_network(code, tmp_path / "a.pth")
