"""OFF-ApexNet: two streams, on u and on v."""

from __future__ import annotations

from typing import Any

from equime.baselines.inputs import FLOW28
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import Array, TorchRecogniser, training_options
from equime.torch_env import torch


class OffApexNet(TorchRecogniser):
    """Per stream two convolutions of 5x5 with 6 and 16 maps, each pooled 2x2; then two layers of 1,024.

    Options:
        dropout: in front of the second layer of 1,024 and of the output.
    """

    about = About(
        key="off_apexnet", title="OFF-ApexNet",
        source="Gan, Liong, Yau, Huang & Tan 2019, Signal Processing: Image Communication 74 (arXiv 1805.08699)",
        input=FLOW28, n_parameters=2_664_475, requires=("torch",),
        differs="training as in MEB's runs with a fixed number of epochs (tvaranka/meb): the paper's own settings could not be read",
        options=training_options(epochs=100, lr=1e-4, batch_size=32, weight_decay=1e-3, dropout=0.5),
    )  # fmt: skip
    shape_options = ("dropout",)

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        return _network(n_outputs, float(options["dropout"]))

    def prepare(self, x: Array) -> Any:
        """U and v alone."""
        return super().prepare(x[..., :2])


def _network(n_outputs: int, dropout: float) -> Any:
    nn: Any = torch().nn

    def stream() -> Any:
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip

    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.u, self.v = stream(), stream()
            self.dense = nn.Sequential(
                nn.Linear(2 * 784, 1024), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout(dropout),
            )  # fmt: skip
            self.fc = nn.Linear(1024, n_outputs)

        def forward(self, x: Any) -> Any:
            both = torch().cat([self.u(x[:, :1]), self.v(x[:, 1:])], 1)
            return self.fc(self.dense(both))

    return Network()
