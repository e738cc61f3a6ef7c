"""DeepFace's networks on torch: equal parts of age, gender and race computed once.

Each of the three is taken apart into five blocks of convolutions, two fully connected layers and its own last one.
DeepFace writes the fully connected layers as convolutions over the whole map; as matrix products they give the same
numbers, without a copy of 400 MB per call into the layout of the convolution. Weights are mapped from the file, so
that several worker processes share one copy in memory.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.attribute_extraction.deepface_models import (
    FILES,
    MODULES,
    VGG,
    Probabilities,
    client,
    damaged,
    module,
    pixels,
)
from equime.errors import WorkError
from equime.torch_env import quiet, torch

BLOCKS: Final = (
    ("conv1_1", "conv1_2"),
    ("conv2_1", "conv2_2"),
    ("conv3_1", "conv3_2", "conv3_3"),
    ("conv4_1", "conv4_2", "conv4_3"),
    ("conv5_1", "conv5_2", "conv5_3"),
)
"""Convolutions of VGG-16, a pooling after each block."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some layers of a network that follow each other.

    Attributes:
        layers: (weight, bias) each.
        dense: whether they are matrix products; otherwise 3 x 3 convolutions with a pooling after the last.
        last: whether probabilities come out.
    """

    layers: tuple[tuple[Any, Any], ...]
    dense: bool = False
    last: bool = False

    def __call__(self, x: Any) -> Any:
        """What comes out of the last layer."""
        functional = torch().nn.functional
        for weight, bias in self.layers:
            if self.dense:
                x = functional.linear(x.flatten(1), weight, bias)
                x = x.softmax(1) if self.last else x.relu_()
            else:
                x = functional.conv2d(x, weight, bias, padding=1).relu_()
        return x if self.dense else functional.max_pool2d(x, 2)

    def same(self, other: Part) -> bool:
        """Whether the other one holds the same layers, bit for bit."""
        mine, others = ([tensor for layer in part.layers for tensor in layer] for part in (self, other))
        return len(mine) == len(others) and all(
            a.shape == b.shape and torch().equal(a, b) for a, b in zip(mine, others, strict=True)
        )


class TorchNetworks:
    """The four networks on torch; on the first CUDA device where there is one, as DeepFace does."""

    def __init__(self, folder: Path) -> None:
        torch()  # its own warning filters are set at its import, and stay
        code = module("models.demography.pytorch.Emotion")
        emotion = load_network(code, folder / f"{FILES['emotion']}.pth")
        self._emotion = client(code, "EmotionClient", emotion)
        self._device = self._emotion.device
        self._paths = share([parts(_vgg(name, folder).to(self._device)) for name in VGG])
        self.shared = all(path[0] is self._paths[0][0] for path in self._paths)

    def probabilities(self, crops: NDArray[np.uint8]) -> Probabilities:
        """As `Networks.probabilities`."""
        bgr = pixels(crops)
        with quiet(), torch().inference_mode():
            x = torch().from_numpy(bgr).permute(0, 3, 1, 2).to(self._device)
            found = dict(zip(VGG, run(self._paths, x), strict=True))
            emotion = np.atleast_2d(self._emotion.predict(bgr))
        return {
            **{name: np.asarray(p.cpu().numpy(), np.float64) for name, p in found.items()},
            "emotion": np.asarray(emotion, np.float64),
        }


def load_network(code: Any, file: Path) -> Any:
    """One of DeepFace's torch networks with the weights of a file.

    Args:
        code: its module in DeepFace, with ``base_model``.
        file: what ``torch.save`` wrote of its state.

    Raises:
        WorkError: damaged, or another network's.
    """
    with quiet():
        with torch().device("meta"):  # nothing is allocated or drawn for weights that come from the file
            network = code.base_model()
        try:
            mapped = zipfile.is_zipfile(file)
            state = torch().load(file, map_location="cpu", weights_only=True, mmap=mapped)
            network.load_state_dict(state, assign=True)
        except Exception as error:
            what = f"{type(network).__name__} of DeepFace"
            raise WorkError(damaged(file, what, error, "torch")) from error
    return network.eval()


def parts(network: Any) -> tuple[Part, ...]:
    """The parts of a VGG-Face classifier in their order."""
    trunk = network.backbone

    def dense(layer: Any) -> tuple[Any, Any]:
        return layer.weight.flatten(1).contiguous(), layer.bias

    def convolution(layer: Any) -> tuple[Any, Any]:
        # A seventh less time on a CPU: no reordering of the pictures between the convolutions.
        return layer.weight.contiguous(memory_format=torch().channels_last), layer.bias

    with torch().inference_mode():
        return (
            *(Part(tuple(convolution(getattr(trunk, name)) for name in block)) for block in BLOCKS),
            Part((dense(trunk.fc6),), dense=True),
            Part((dense(trunk.fc7),), dense=True),
            Part((dense(network.predictions),), dense=True, last=True),
        )


def share(paths: Sequence[tuple[Part, ...]]) -> list[tuple[Part, ...]]:
    """The same networks, with one and the same `Part` where those of several are equal."""
    shared: list[tuple[Part, ...]] = []
    for path in paths:
        made = []
        for i, part in enumerate(path):
            equal = (other[i] for other in shared if part.same(other[i]))
            made.append(next(equal, part))
        shared.append(tuple(made))
    return shared


def run(paths: Sequence[tuple[Part, ...]], x: Any) -> list[Any]:
    """What each network gives; parts that several begin with are computed once."""
    done: dict[tuple[int, ...], Any] = {}
    given = []
    for path in paths:
        y = x
        for i, part in enumerate(path):
            so_far = tuple(id(p) for p in path[: i + 1])
            if so_far not in done:
                done[so_far] = part(y)
            y = done[so_far]
        given.append(y)
    return given


def _vgg(name: str, folder: Path) -> Any:
    return load_network(module(f"models.demography.pytorch.{MODULES[name]}"), folder / f"{FILES[name]}.pth")
