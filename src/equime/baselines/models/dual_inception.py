"""Dual-Inception network: two streams of inception blocks, on u and on v."""

from __future__ import annotations

from typing import Any

from equime.baselines.inputs import FLOW28
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import Array, TorchRecogniser, training_options
from equime.torch_env import torch


class DualInception(TorchRecogniser):
    """Per stream two inception blocks with 6 and 16 maps per path, each pooled 2x2; then a layer of 1,024."""

    about = About(
        key="dual_inception", title="Dual-Inception",
        source="Zhou, Mao & Xue 2019, FG; author's code xly135846/MEGC2019 dual_inception.py",
        input=FLOW28, n_parameters=6_449_867, requires=("torch",),
        differs="a fixed number of epochs, no checkpoint selected on other people; one channel per stream, as the published count of parameters has it",
        options=training_options(epochs=40, lr=1e-4, batch_size=3) | {"class_weights": "balanced"},
    )  # fmt: skip

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        del options
        return _network(n_outputs)

    def prepare(self, x: Array) -> Any:
        """U and v alone."""
        return super().prepare(x[..., :2])


def _network(n_outputs: int) -> Any:
    nn: Any = torch().nn

    class Inception(nn.Module):  # type: ignore[misc]
        """Four paths side by side, and pooling."""

        def __init__(self, maps_in: int, maps: int) -> None:
            super().__init__()

            def conv(inside: int, size: int = 1) -> Any:
                return nn.Sequential(nn.Conv2d(inside, maps, size, padding=size // 2), nn.ReLU())

            self.paths = nn.ModuleList(
                [
                    conv(maps_in),
                    nn.Sequential(conv(maps_in), conv(maps, 3)),
                    nn.Sequential(conv(maps_in), conv(maps, 5)),
                    nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv(maps_in)),
                ]
            )
            self.pool = nn.MaxPool2d(2)

        def forward(self, x: Any) -> Any:
            return self.pool(torch().cat([path(x) for path in self.paths], 1))

    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.u = nn.Sequential(Inception(1, 6), Inception(24, 16), nn.Flatten())
            self.v = nn.Sequential(Inception(1, 6), Inception(24, 16), nn.Flatten())
            self.dense = nn.Sequential(nn.Linear(2 * 3136, 1024), nn.ReLU())
            self.fc = nn.Linear(1024, n_outputs)

        def forward(self, x: Any) -> Any:
            return self.fc(self.dense(torch().cat([self.u(x[:, :1]), self.v(x[:, 1:])], 1)))

    return Network()
