"""SSSNet: one shallow stream, MEB's strongest flow network."""

from __future__ import annotations

from typing import Any

from equime.baselines.inputs import FLOW28
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import TorchRecogniser, training_options
from equime.torch_env import torch


class SssNet(TorchRecogniser):
    """Two convolutions with 32 (5x5) and 64 (3x3) maps, each pooled, and a layer of 256.

    Options:
        size_px: side that the flow is enlarged to (bilinearly); 28 leaves it as it is (169,603 parameters).
        dropout: of maps and of the layer of 256.
    """

    about = About(
        key="sssnet", title="SSSNet",
        source="Varanka, Peng & Zhao 2021, Electronic Imaging 33, 157; author's code tvaranka/meb @f731b0a",
        input=FLOW28, n_parameters=1_349_251, requires=("torch",),
        differs="flow is enlarged from 28 to the published 64 pixels, since flow folders have no more",
        options=training_options(epochs=200, lr=1e-4, batch_size=32, weight_decay=1e-3, size_px=64, dropout=0.5),
    )  # fmt: skip
    shape_options = ("size_px", "dropout")

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        return _network(n_outputs, int(options["size_px"]), float(options["dropout"]))

    def settings(self, options: Options | None) -> dict[str, Any]:
        """See `TorchRecogniser.settings`."""
        settings = super().settings(options)
        self.at_least(settings, "size_px", 16)
        return settings


def _network(n_outputs: int, size: int, dropout: float) -> Any:
    nn: Any = torch().nn
    side = ((size - 4) // 3 - 2) // 2

    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 32, 5), nn.BatchNorm2d(32)
            self.conv2, self.bn2 = nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64)
            self.pool1, self.pool2 = nn.MaxPool2d(3), nn.MaxPool2d(2)
            self.drop_maps, self.drop = nn.Dropout2d(dropout), nn.Dropout(dropout)
            self.fc1 = nn.Linear(side * side * 64, 256)
            self.fc = nn.Linear(256, n_outputs)

        def forward(self, x: Any) -> Any:
            if x.shape[-1] != size:
                x = nn.functional.interpolate(x, (size, size), mode="bilinear")
            x = self.drop_maps(self.bn1(self.pool1(self.conv1(x).relu())))
            x = self.drop_maps(self.bn2(self.pool2(self.conv2(x).relu())))
            return self.fc(self.drop(self.fc1(x.flatten(1)).relu()))

    return Network()
