"""What the networks on clips share beyond `torch_fit`: options of the view, checked; augmentation; optimisers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.baselines.recogniser import Options
from equime.baselines.torch_fit import TorchRecogniser
from equime.errors import InputError, MissingError
from equime.torch_env import load, load_tensors, torch

Scale = tuple[tuple[float, float, float], tuple[float, float, float]]

LENGTH_SHORTCUT: Final = (
    "a clip's length betrays where it comes from (MiE-X: 2 frames, CASME II: 61 in the median, synthetic clips fill "
    "all 96) and the black frames behind it show it to the network, as in the original: option padding=stretch hides it"
)

MISTAKEN_SCALING: Final = (
    "clips are scaled to mean 0 and deviation 1 as EquiME's script means to do (it writes the result back into 8-bit "
    "arrays)"
)

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "padding": ("zeros", "repeat_last", "stretch"),
    "frames": ("channels", "time"),
    "variant": ("reddy", "equime"),
    "view": ("motion", "middle_frame"),
    "optimiser": ("adam", "sgd", "adamw"),
}
"""Allowed words of the options that have some."""

LEAST: Final = {"size_px": 8, "n_frames": 2, "out_px": 32, "width": 1}


class ClipRecogniser(TorchRecogniser):
    """Base of the networks on clips.

    Options that all of them have, beside those of training:
        optimiser: "adam", "adamw" or "sgd".
        flip: mirror a training clip in half of the cases. AUs are counted on either side, so labels stay.
    """

    def settings(self, options: Options | None) -> dict[str, Any]:
        """See `TorchRecogniser.settings`."""
        settings = super().settings(options)
        for name, allowed in CHOICES.items():
            if name in settings and settings[name] not in allowed:
                raise InputError(
                    f"{self.about.key}: option {name} is {settings[name]!r}; it is one of {', '.join(allowed)}"
                )
        for name, least in LEAST.items():
            if name in settings and settings[name] < least:
                raise InputError(
                    f"{self.about.key}: option {name} is {settings[name]}; it is at least {least}"
                )
        return settings

    def prepare(self, x: NDArray[np.generic]) -> Any:
        """The clips as they are stored, uint8; the network itself scales them, wherever it runs."""
        return torch().from_numpy(np.array(x, np.uint8))

    def augment(self, x: Any, target: Any, random: np.random.Generator, options: Options) -> tuple[Any, Any]:
        """See `TorchRecogniser.augment`."""
        if options["flip"]:
            turn = torch().from_numpy(random.random(len(x)) < 0.5).to(x.device)
            columns = -2 if x.ndim == 5 else -1
            x[turn] = x[turn].flip(columns)
        return x, target

    def optimiser(self, network: Any, options: Options, n_steps: int) -> tuple[Any, Any]:
        """See `TorchRecogniser.optimiser`."""
        del n_steps
        optim = torch().optim
        kinds = {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD}
        trained = [p for p in network.parameters() if p.requires_grad]
        make = kinds[str(options["optimiser"])]
        return make(trained, lr=options["lr"], weight_decay=options["weight_decay"]), None


def torchvision_network(name: str, last: str, n_outputs: int, options: Options, scale: Scale) -> Any:
    """A video network of torchvision behind colour clips, with an output layer of its own.

    Args:
        name: in ``torchvision.models.video``.
        last: name of its output layer, which is replaced.
        n_outputs: of the new one.
        options: ``weights`` (a local file, "" for none), ``n_frames``, ``size_px``.
        scale: mean and standard deviation of the channels that its published weights expect.
    """
    from equime.baselines import clip_layers as layers  # noqa: PLC0415

    network = getattr(load("torchvision.models.video"), name)(weights=None)
    if options["weights"]:
        load_weights(network, str(options["weights"]), f"{last}.")
    width = getattr(network, last).in_features
    setattr(network, last, layers.nn.Identity())
    front = layers.RgbFront(int(options["n_frames"]), int(options["size_px"]), *scale)
    return layers.ClipNetwork(front, network, layers.nn.Linear(width, n_outputs))


def load_weights(network: Any, file: str, output_layer: str) -> None:
    """Put a local file of weights (``torch.save`` of a state dict) into a network, its output layer excepted.

    Raises:
        MissingError: no such file.
        InputError: weights of another network; the first name or shape that does not fit is named.
        WorkError: damaged.
    """
    if not Path(file).is_file():
        raise MissingError(
            f"option weights: {file}: no such file; give a file that torch.save wrote, or leave it out"
        )
    stored = load_tensors(Path(file))
    if not isinstance(stored, Mapping):
        raise InputError(f"option weights: {file} holds no state dict; save model.state_dict()")
    own = network.state_dict()
    for name, tensor in own.items():
        if name.startswith(output_layer):
            continue
        if name not in stored or stored[name].shape != tensor.shape:
            found = tuple(stored[name].shape) if name in stored else "missing"
            raise InputError(
                f"option weights: {file}: {name} should have shape {tuple(tensor.shape)}, is {found}; give weights of "
                "this network"
            )
        own[name] = stored[name]
    network.load_state_dict(own)
