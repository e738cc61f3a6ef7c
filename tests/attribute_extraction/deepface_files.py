"""Weights of DeepFace's real architectures under their real names, random, in files that are small.

A VGG-Face network has 134 million parameters, 537 MB. For torch every tensor is a view into a short random vector,
shifted by a few numbers from output to output, of which ``torch.save`` keeps only the vector; for ONNX the large
ones are products of two thin matrices that the graph computes from its initialisers. What reads the files gets
tensors of the full size with values that differ.
"""

from __future__ import annotations

import importlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from equime.attribute_extraction.deepface_models import FILES, MODULES, N_CLASSES, VGG, module
from equime.attribute_extraction.deepface_torch import BLOCKS
from equime.torch_env import quiet, torch

STEP = 7
RANK = 6
CONVOLUTIONS = tuple(name for block in BLOCKS for name in block)


def seed_of(network: str, layer: str, shared: bool) -> np.random.Generator:
    """The same numbers for the convolutions of all networks where their trunk is shared."""
    own = "" if shared and any(name in layer for name in CONVOLUTIONS) else network
    return np.random.default_rng(zlib.crc32(f"{own}/{layer}".encode()))


def spread(shape: tuple[int, ...], layer: str) -> float:
    """He's standard deviation; larger in the last layer, so that probabilities are not all alike."""
    fan_in = int(np.prod(shape[1:]))
    return float(np.sqrt(2 / fan_in)) * (8 if "predictions" in layer else 1)


def save_torch(folder: Path, *, shared: bool = True) -> None:
    """The four ``.pth`` files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        code = module(f"models.demography.pytorch.{MODULES[name]}")
        with quiet(), torch().device("meta"):
            network = code.base_model()
        state = {
            key: tensor(name, key, tuple(value.shape), shared) for key, value in network.state_dict().items()
        }
        torch().save(state, folder / f"{FILES[name]}.pth")


def tensor(name: str, key: str, shape: tuple[int, ...], shared: bool) -> Any:
    draw = seed_of(name, key, shared)
    if len(shape) == 1:
        return torch().from_numpy(draw.normal(0, 0.02, shape).astype(np.float32))
    row = int(np.prod(shape[1:]))
    base = draw.normal(0, spread(shape, key), STEP * shape[0] + row).astype(np.float32)
    inner = [int(np.prod(shape[i + 1 :])) for i in range(1, len(shape))]
    return torch().from_numpy(base).as_strided(shape, (STEP, *inner))


def save_onnx(folder: Path, *, shared: bool = True, full: tuple[str, ...] = VGG) -> None:
    """The four ``.onnx`` files, as graphs exported from the torch models look.

    Those of VGG that are not in ``full`` have fully connected layers of 64 instead of 4096: onnxruntime takes 4 s to
    load one of the real size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx = importlib.import_module("onnx")
    for name in VGG:
        onnx.save(vgg_graph(name, shared, 4096 if name in full else 64), str(folder / f"{FILES[name]}.onnx"))
    onnx.save(emotion_graph(), str(folder / f"{FILES['emotion']}.onnx"))


class Graph:
    """A chain of operators on one tensor, (N, H, W, C) at first."""

    def __init__(self, network: str, size: int, channels: int, shared: bool) -> None:
        self.onnx, self.helper = importlib.import_module("onnx"), importlib.import_module("onnx.helper")
        self.network, self.shared = network, shared
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.input = self.helper.make_tensor_value_info(
            "input", self.onnx.TensorProto.FLOAT, ["n", size, size, channels]
        )
        self.at = "input"

    def array(self, name: str, values: np.ndarray) -> str:
        self.weights.append(self.onnx.numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> None:
        out = f"/{self.network}/{kind}_{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, [self.at, *inputs], [out], **attributes))
        self.at = out

    def weight(self, layer: str, shape: tuple[int, ...]) -> str:
        """A weight of this shape; a large one as the product of two thin matrices."""
        draw, name = seed_of(self.network, layer, self.shared), f"{self.network}.{layer}.weight"
        row, std = int(np.prod(shape[1:])), spread(shape, layer)
        if shape[0] * row < 1 << 20:
            return self.array(name, draw.normal(0, std, shape).astype(np.float32))
        left = self.array(f"{name}.left", draw.normal(0, 1, (shape[0], RANK)).astype(np.float32))
        right = draw.normal(0, std / np.sqrt(RANK), (RANK, row)).astype(np.float32)
        sides = [left, self.array(f"{name}.right", right)]
        self.nodes.append(self.helper.make_node("MatMul", sides, [f"{name}.flat"]))
        wanted = self.array(f"{name}.shape", np.array(shape, np.int64))
        self.nodes.append(self.helper.make_node("Reshape", [f"{name}.flat", wanted], [name]))
        return name

    def convolution(self, layer: str, shape: tuple[int, ...], pad: int) -> None:
        bias = seed_of(self.network, f"{layer}.bias", self.shared).normal(0, 0.02, shape[0])
        weight = self.weight(layer, shape)
        self.node(
            "Conv",
            weight,
            self.array(f"{self.network}.{layer}.bias", bias.astype(np.float32)),
            pads=[pad] * 4,
        )

    def model(self, n_classes: int) -> Any:
        self.node("Softmax", axis=1)
        out = self.helper.make_tensor_value_info(self.at, self.onnx.TensorProto.FLOAT, ["n", n_classes])
        graph = self.helper.make_graph(self.nodes, self.network, [self.input], [out], self.weights)
        return self.helper.make_model(graph, opset_imports=[self.helper.make_opsetid("", 17)], ir_version=9)


def vgg_graph(name: str, shared: bool, width: int) -> Any:
    graph = Graph(name, 224, 3, shared)
    graph.node("Transpose", perm=[0, 3, 1, 2])
    channels = 3
    for block, n_outputs in zip(BLOCKS, (64, 128, 256, 512, 512), strict=True):
        for layer in block:
            graph.convolution(layer, (n_outputs, channels, 3, 3), 1)
            graph.node("Relu")
            channels = n_outputs
        graph.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    for layer, shape in (("fc6", (width, 512, 7, 7)), ("fc7", (width, width, 1, 1))):
        graph.convolution(layer, shape, 0)
        graph.node("Relu")
    graph.convolution("predictions", (N_CLASSES[name], width, 1, 1), 0)
    graph.node("Flatten", axis=1)
    return graph.model(N_CLASSES[name])


def emotion_graph() -> Any:
    graph = Graph("emotion", 48, 1, False)
    graph.node("Transpose", perm=[0, 3, 1, 2])
    pools = {"conv_1": ("MaxPool", 5), "conv_3": ("AveragePool", 3), "conv_5": ("AveragePool", 3)}
    for layer, shape in (
        ("conv_1", (64, 1, 5, 5)), ("conv_2", (64, 64, 3, 3)), ("conv_3", (64, 64, 3, 3)),
        ("conv_4", (128, 64, 3, 3)), ("conv_5", (128, 128, 3, 3)),
    ):  # fmt: skip
        graph.convolution(layer, shape, 0)
        graph.node("Relu")
        if layer in pools:
            kind, side = pools[layer]
            graph.node(kind, kernel_shape=[side, side], strides=[2, 2])
    for layer, shape in (
        ("fc_1", (1024, 128, 1, 1)),
        ("fc_2", (1024, 1024, 1, 1)),
        ("predictions", (7, 1024, 1, 1)),
    ):
        graph.convolution(layer, shape, 0)
        if layer != "predictions":
            graph.node("Relu")
    graph.node("Flatten", axis=1)
    return graph.model(7)
