"""STSTNet: three shallow streams on u, v and optical strain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.baselines.inputs import FLOW28
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import Array, Rows, Task, TorchRecogniser, training_options
from equime.seeding import stream
from equime.torch_env import torch

STREAMS: Final = (3, 5, 8)
"""Maps of the three streams."""


class StstNet(TorchRecogniser):
    """Three parallel convolutions of 3x3 with 3, 5 and 8 maps on the whole image, pooled, and one output layer.

    The folds of a protocol train together, see `equime.baselines.fold_batches`.

    Attributes:
        together: whether they do; the one-by-one way is the reference that tests and the bench compare with.
    """

    about = About(
        key="ststnet", title="STSTNet",
        source="Liong, Gan, See, Khor & Huang 2019, FG (arXiv 1902.03634); author's code christy1206/STSTNet main.py",
        input=FLOW28, n_parameters=1_683, requires=("torch",),
        differs="160 epochs at 2.5e-4, so that all folds take minutes on two cores: as many steps times rate as the 800 epochs at 5e-5 of the "
        "author's code (epochs=800 lr=5e-5); batches are drawn anew in every epoch (the author's are always the same ones)",
        options=training_options(epochs=160, lr=2.5e-4, batch_size=256),
    )  # fmt: skip

    def __init__(self, *, together: bool = True) -> None:
        self.together = together

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        del options
        return _network(n_outputs)

    def prepare(self, x: Array) -> Any:
        """0..1 to 0..255: the author reads 8-bit images and does not scale them."""
        return super().prepare(x) * 255

    def begin(self, network: Any, seed: int, fold: int) -> None:
        """Dropout draws words from a stream of the fold, which the compiled loops can draw as well."""
        network.dropout.random = dropout_stream(seed, fold)

    def train(self, task: Task, folds: Sequence[Rows], networks: Sequence[Any]) -> list[tuple[float, ...]]:
        """All folds at once."""
        if not self.together:
            return super().train(task, folds, networks)
        from equime.baselines.fold_batches import train_together  # noqa: PLC0415

        return train_together(task, folds, networks)


def dropout_stream(seed: int, fold: int) -> np.random.Generator:
    """What a fold's dropout draws from."""
    return stream(seed, "dropout words", fold)


def dropout_words(random: np.random.Generator, n: int) -> NDArray[np.uint16]:
    """(n, 100) for each sample and pooled position a word whose bit c says whether map c is kept."""
    return random.integers(0, 1 << 16, (n, 100), dtype=np.uint16)


def _network(n_outputs: int) -> Any:
    tensors = torch()
    nn: Any = tensors.nn

    class Dropout(nn.Module):  # type: ignore[misc]
        """Half of the values, by words of 16 bits."""

        random: np.random.Generator

        def forward(self, x: Any) -> Any:
            if not self.training:
                return x
            words = tensors.from_numpy(dropout_words(self.random, len(x)).astype(np.int32))
            kept = words[:, None] >> tensors.arange(16, dtype=tensors.int32)[:, None] & 1
            return x * kept.reshape(len(x), 16, 10, 10).to(x) * 2

    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for i, maps in enumerate(STREAMS, start=1):
                self.add_module(f"conv{i}", nn.Conv2d(3, maps, 3, padding=2))
                self.add_module(f"bn{i}", nn.BatchNorm2d(maps))
            self.pool = nn.MaxPool2d(3, 3, padding=1)
            self.dropout = Dropout()
            self.fc = nn.Linear(5 * 5 * 16, n_outputs)

        def forward(self, x: Any) -> Any:
            streams = ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3))
            x = self.dropout(tensors.cat([self.pool(bn(conv(x).relu())) for conv, bn in streams], 1))
            return self.fc(nn.functional.avg_pool2d(x, 2).flatten(1))

    return Network()
