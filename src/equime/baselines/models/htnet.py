"""HTNet: a hierarchical transformer on the regions of the eyes and of the corners of the mouth."""

from __future__ import annotations

from typing import Any, Final

from equime.baselines.inputs import FLOW28
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import TorchRecogniser, training_options
from equime.errors import InputError
from equime.torch_env import torch

CENTRES: Final = ((11, 9), (10, 21), (21, 10), (21, 20))
"""Row and column, in 28 pixels, of the eyes and the corners of the mouth (left of the picture first): where the
author's code takes them to be when its detector finds no face, at least 7 pixels from the edge."""

REACH_PX: Final = 7


class HtNet(TorchRecogniser):
    """Patches of 7x7, three levels of transformer blocks with 256, 512 and 1,024 features, merged in between.

    At this size each block of a level holds one patch, so that attention has a single place to look at.

    Options:
        dim: features at the first level.
        heads: at the first level.
        repeats: blocks of each level.
    """

    about = About(
        key="htnet", title="HTNet",
        source="Wang, Zhang, Luo & Sankaranarayana 2024, Neurocomputing 602 (arXiv 2307.14637); author's code wangzhifengharrison/HTNet",
        input=FLOW28, n_parameters=139_582_982, requires=("torch",),
        differs="regions at fixed places (the author looks for them in each apex frame); a fixed number of epochs: the published figures "
        "take each subject's best epoch on that subject",
        options=training_options(epochs=800, lr=5e-5, batch_size=256, dim=256, heads=3, repeats="2-2-10"),
    )  # fmt: skip
    shape_options = ("dim", "heads", "repeats")

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        repeats = [int(part) for part in str(options["repeats"]).split("-")]
        return _network(n_outputs, int(options["dim"]), int(options["heads"]), repeats)

    def prepare(self, x: Any) -> Any:
        """The four regions as one picture, 0..255."""
        rows = [x[:, r - REACH_PX : r + REACH_PX, c - REACH_PX : c + REACH_PX] for r, c in CENTRES]
        regions = [torch().from_numpy(part.astype("float32")) for part in rows]
        halves = torch().cat(regions[:2], 2), torch().cat(regions[2:], 2)
        return torch().cat(halves, 1).permute(0, 3, 1, 2).contiguous() * 255

    def settings(self, options: Options | None) -> dict[str, Any]:
        """See `TorchRecogniser.settings`."""
        settings = super().settings(options)
        parts = settings["repeats"].split("-")
        if len(parts) != 3 or not all(part.isdigit() and int(part) for part in parts):
            raise InputError(
                f"htnet: option repeats is {settings['repeats']!r}; give three numbers such as 2-2-10"
            )
        self.at_least(settings, "heads", 1)
        self.at_least(settings, "dim", settings["heads"])
        return settings


def _network(n_outputs: int, dim: int, heads: int, repeats: list[int]) -> Any:
    tensors = torch()
    nn: Any = tensors.nn

    class Norm(nn.Module):  # type: ignore[misc]
        """Layer norm over the features of each place."""

        def __init__(self, features: int) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(features)

        def forward(self, x: Any) -> Any:
            return self.norm(x.movedim(1, -1)).movedim(-1, 1)

    class Attention(nn.Module):  # type: ignore[misc]
        def __init__(self, features: int, n_heads: int) -> None:
            super().__init__()
            self.n_heads, self.inner = n_heads, features // n_heads * n_heads
            self.qkv = nn.Conv2d(features, 3 * self.inner, 1, bias=False)
            self.out = nn.Conv2d(self.inner, features, 1)

        def forward(self, x: Any) -> Any:
            b, _, h, w = x.shape
            q, k, v = self.qkv(x).reshape(b, 3, self.n_heads, -1, h * w).transpose(-1, -2).unbind(1)
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
            return self.out(mixed.transpose(-1, -2).reshape(b, self.inner, h, w))

    def forward_part(features: int) -> Any:
        return nn.Sequential(
            Norm(features),
            nn.Conv2d(features, 4 * features, 1),
            nn.GELU(),
            nn.Conv2d(4 * features, features, 1),
        )

    class Level(nn.Module):  # type: ignore[misc]
        def __init__(self, features: int, n_heads: int, n_blocks: int) -> None:
            super().__init__()
            self.place = nn.Parameter(tensors.randn(1))
            self.looks = nn.ModuleList(
                [nn.Sequential(Norm(features), Attention(features, n_heads)) for _ in range(n_blocks)]
            )
            self.thinks = nn.ModuleList([forward_part(features) for _ in range(n_blocks)])

        def forward(self, x: Any) -> Any:
            b, c, h, w = x.shape
            # One patch per block: the places of the picture are independent here.
            x = x.permute(0, 2, 3, 1).reshape(b * h * w, c, 1, 1) + self.place
            for look, think in zip(self.looks, self.thinks, strict=True):
                x = look(x) + x
                x = think(x) + x
            return x.reshape(b, h, w, c).permute(0, 3, 1, 2)

    def merge(features: int) -> Any:
        conv = nn.Conv2d(features, 2 * features, 3, padding=1)
        return nn.Sequential(conv, Norm(2 * features), nn.MaxPool2d(3, 2, padding=1))

    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, dim, 7, stride=7)
            self.levels = nn.ModuleList([Level(dim << i, heads << i, n) for i, n in enumerate(repeats)])
            self.merges = nn.ModuleList([merge(dim), merge(2 * dim), nn.Identity()])
            self.norm = Norm(4 * dim)
            self.fc = nn.Linear(4 * dim, n_outputs)

        def forward(self, x: Any) -> Any:
            x = self.patches(x)
            for level, merged in zip(self.levels, self.merges, strict=True):
                x = merged(level(x))
            return self.fc(self.norm(x).mean((2, 3)))

    return Network()
