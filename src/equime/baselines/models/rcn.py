"""Recurrent convolutional networks with parameter-free modules."""

from __future__ import annotations

from typing import Any, Final

from equime.baselines.inputs import FLOW28
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import TorchRecogniser, training_options
from equime.errors import InputError
from equime.torch_env import torch

VARIANTS: Final = ("a", "s", "w", "f")
"""Attention unit, shortcut connections, wide expansion, and all three by the published search."""


class Rcn(TorchRecogniser):
    """A convolution, one recurrent layer of shared weights, averaging to a grid, and the output layer.

    Options:
        variant: "a" (attention made of the output layer's weights), "s" (shortcuts), "w" (three dilated streams), "f"
            (all of them). 51,139 parameters; 48,067 with "w" or "f".
        maps: number of maps.
        pool_size: side of the grid.
        dropout: behind each part.
    """

    about = About(
        key="rcn", title="RCN",
        source="Xia, Peng, Khor, Feng & Zhao 2020, IEEE TIP 29; authors' code xiazhaoqiang/ParameterFreeRCNs-MicroExpressionRec",
        input=FLOW28, n_parameters=51_139, requires=("torch",),
        differs="images of 28 pixels and a grid of 5x5 (the authors' default class; their script takes larger images and 7x7); "
        "variant f has its third stream, which the code replaces by the second",
        options=training_options(epochs=100, lr=5e-4, batch_size=64, variant="a", maps=64, pool_size=5, dropout=0.5),
    )  # fmt: skip
    shape_options = ("variant", "maps", "pool_size", "dropout")

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        sizes = int(options["maps"]), int(options["pool_size"])
        return _network(n_outputs, str(options["variant"]), *sizes, float(options["dropout"]))

    def settings(self, options: Options | None) -> dict[str, Any]:
        """See `TorchRecogniser.settings`."""
        settings = super().settings(options)
        if settings["variant"] not in VARIANTS:
            known = ", ".join(VARIANTS)
            raise InputError(f"rcn: option variant is {settings['variant']!r}; known are {known}")
        self.at_least(settings, "maps", 4)
        self.at_least(settings, "pool_size", 1)
        return settings

    def optimiser(self, network: Any, options: Options, n_steps: int) -> tuple[Any, Any]:
        """SGD with momentum, as the authors."""
        del n_steps
        rates = {"lr": options["lr"], "weight_decay": options["weight_decay"]}
        return torch().optim.SGD(network.parameters(), momentum=0.9, **rates), None


def attention(maps: Any, weight: Any) -> Any:
    """(B, 1, P, P) where the output layer looks: class activation maps of (B, C, P, P), each scaled to 0..1.

    Args:
        maps: averaged to the grid of the output layer.
        weight: of the output layer (K, C * P * P).
    """
    cams = (weight.reshape(-1, *maps.shape[1:]) * maps[:, None]).mean(2)
    cams = cams - cams.amin((2, 3), keepdim=True)
    # A map without any contrast has nothing to point at; it would become 0/0.
    return (cams / cams.amax((2, 3), keepdim=True).clamp(min=1e-12)).mean(1, keepdim=True)


def _network(n_outputs: int, variant: str, maps: int, pool_size: int, dropout: float) -> Any:
    nn: Any = torch().nn
    half, quarter = maps // 2, maps // 4

    def unit(maps_in: int, size: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(maps_in, maps, size, padding=size // 2), nn.BatchNorm2d(maps), nn.ReLU()
        )

    def stream(maps_out: int, dilation: int) -> Any:
        conv = nn.Conv2d(3, maps_out, 3, stride=3, padding=dilation, dilation=dilation)
        return nn.Sequential(conv, nn.ReLU(), nn.BatchNorm2d(maps_out), nn.Dropout(dropout))

    class Wide(nn.Module):  # type: ignore[misc]
        """Three streams that see differently far."""

        def __init__(self) -> None:
            super().__init__()
            self.streams = nn.ModuleList([stream(half, 1), stream(quarter, 2), stream(quarter, 3)])

        def forward(self, x: Any) -> Any:
            return torch().cat([part(x) for part in self.streams], 1)

    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            narrow = nn.Sequential(
                nn.Conv2d(3, maps, 5), nn.BatchNorm2d(maps), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(dropout)
            )
            self.front = Wide() if variant in "wf" else narrow
            self.first, self.again = unit(maps, 1), unit(maps, 3)
            self.down = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(dropout))
            self.pool = nn.AdaptiveAvgPool2d(pool_size)
            self.fc = nn.Linear(pool_size * pool_size * maps, n_outputs)
            for part in self.modules():
                if isinstance(part, nn.Conv2d):
                    nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            nn.init.normal_(self.fc.weight, 0, 0.01)
            nn.init.zeros_(self.fc.bias)

        def forward(self, x: Any) -> Any:
            x = self.front(x)
            y = self.first(x)
            looked_at = attention(self.pool(x), self.fc.weight) if variant in "af" else None
            if variant == "f":
                y = y * nn.functional.interpolate(looked_at, y.shape[2:])
            if variant in "sf":
                z = self.again(x + y)
                e = self.again(x + y + z)
                y = self.again(x + y + z + e)
            else:
                y = self.again(x + self.again(x + y))
            y = self.pool(self.down(y))
            return self.fc((y * looked_at if variant == "a" else y).flatten(1))

    return Network()
