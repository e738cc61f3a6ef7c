"""equime's own small network on flow, made to carry over from synthetic to filmed faces.

Training needs torch; prediction is numpy (`equime.baselines.small_net`), so that what ships trained runs without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime.baselines.inputs import FLOW28
from equime.baselines.recogniser import About, Fitted, Head, Options, history_of
from equime.baselines.small_net import NORMALISATIONS, Ensemble, SmallNet, mirrored, normalised, split_members
from equime.baselines.torch_fit import Array, TorchRecogniser, stored_options, training_options
from equime.errors import InputError
from equime.torch_env import torch

GRID: tuple[int, int] = (3, 3)
"""Of 28 pixels after three poolings: the output layer knows where in the face something moves."""

BLOCKS = 3


class FlowCnn(TorchRecogniser):
    """Three blocks (3x3 convolution, batch norm, ReLU, maximum of 2x2), a grid of 3x3, dropout, and the output layer.

    Options:
        width: maps of the first block; the second has twice, the third three times as many.
        normalise: "robust" or "minmax", see `equime.baselines.small_net.normalised`.
        dropout: in front of the output layer.
        label_smoothing: share of the target that goes to all classes alike.
        mixup: alpha of the Beta distribution of Zhang et al. 2018; 0 mixes nothing.
        flip: mirror half of the training samples, u changing its sign.
        shift_px: training pictures are moved by up to so many pixels, a batch at a time.
        noise: standard deviation of what is added to normalised training pictures.
        flip_average: predict from a face and its mirror image.
    The learning rate falls to 0 along a cosine; Adam with decoupled weight decay.
    """

    about = About(
        key="flow_cnn", title="equime flow CNN", source="equime", input=FLOW28, n_parameters=77_763,
        options=training_options(
            epochs=30, lr=2e-3, batch_size=64, weight_decay=0.02, width=32, normalise="robust", dropout=0.5,
            label_smoothing=0.1, mixup=0.2, flip=True, shift_px=1, noise=0.0, flip_average=True,
        ) | {"class_weights": "balanced"},
    )  # fmt: skip
    shape_options = ("normalise", "flip_average")

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        nn, width, inside = torch().nn, int(options["width"]), 3
        layers: dict[str, Any] = {}
        for i in range(1, BLOCKS + 1):
            layers |= {
                f"conv{i}": nn.Conv2d(inside, i * width, 3, padding=1),
                f"bn{i}": nn.BatchNorm2d(i * width),
                f"pool{i}": nn.MaxPool2d(
                    2
                ),  # before the ReLU, which comes to the same and has a quarter left to do
                f"relu{i}": nn.ReLU(),
            }
            inside = i * width
        layers |= {"flatten": nn.Flatten(), "dropout": nn.Dropout(float(options["dropout"]))}
        layers["fc"] = nn.Linear(inside * GRID[0] * GRID[1], n_outputs)
        network = nn.Sequential()
        for name, layer in layers.items():
            network.add_module(name, layer)
        return network.to(memory_format=torch().channels_last)

    def prepare(self, x: Array) -> Any:
        """As it is: `augment` normalises, since that depends on the options."""
        return torch().from_numpy(np.ascontiguousarray(x, np.float32))

    def augment(self, x: Any, target: Any, random: np.random.Generator, options: Options) -> tuple[Any, Any]:
        """Normalised (B, 3, 28, 28); turned, moved, made noisy and mixed as the options say."""
        how = str(options["normalise"])
        seen = normalised(x.cpu().numpy(), how)
        if options["flip"]:
            turned = random.random(len(seen)) < 0.5
            seen[turned] = mirrored(seen[turned], how)
        if reach := int(options["shift_px"]):
            top, left = random.integers(0, 2 * reach + 1, 2)
            padded = np.pad(seen, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="edge")
            seen = padded[:, :, top : top + x.shape[1], left : left + x.shape[2]]
        if options["noise"]:
            seen = seen + np.float32(options["noise"]) * random.standard_normal(seen.shape, np.float32)
        batch = torch().from_numpy(np.ascontiguousarray(seen))
        batch = batch.to(x.device, memory_format=torch().channels_last)
        return mixed(batch, target, random, float(options["mixup"]))

    def optimiser(self, network: Any, options: Options, n_steps: int) -> tuple[Any, Any]:
        """Adam with decoupled weight decay, along a cosine."""
        optim = torch().optim
        rates = {"lr": options["lr"], "weight_decay": options["weight_decay"]}
        adam = optim.AdamW(network.parameters(), **rates)
        return adam, optim.lr_scheduler.LambdaLR(
            adam, lambda step: (1 + math.cos(math.pi * step / n_steps)) / 2
        )

    def fit(
        self,
        x: Array,
        y: NDArray[np.integer],
        folds: Sequence[NDArray[np.intp]],
        *,
        head: Head = "emotion",
        n_outputs: int = 3,
        seed: int = 0,
        options: Options | None = None,
        start: Sequence[Fitted] | None = None,
    ) -> list[Fitted]:
        """See `equime.baselines.recogniser.Recogniser.fit`. What comes back predicts without torch."""
        trained = super().fit(
            x, y, folds, head=head, n_outputs=n_outputs, seed=seed, options=options, start=start
        )
        return [
            replace(self._member(one.tensors(), head, n_outputs), history=history_of(one)) for one in trained
        ]

    def restore(self, tensors: Mapping[str, Array], *, head: Head, n_outputs: int) -> Fitted:
        """The trained network of these tensors, or the ensemble (prefixes ``0.``, ``1.``, ...); without torch.

        Raises:
            InputError: tensors of another model, or for another number of outputs.
        """
        members: list[Fitted] = [self._member(part, head, n_outputs) for part in split_members(tensors)]
        return members[0] if len(members) == 1 else Ensemble(members)

    def _member(self, tensors: Mapping[str, Array], head: Head, n_outputs: int) -> SmallNet:
        needed = {"fc.weight", "fc.bias"} | {
            f"{layer}{i}.{name}"
            for i in range(1, BLOCKS + 1)
            for layer, names in (("conv", "weight bias"), ("bn", "weight bias running_mean running_var"))
            for name in names.split()
        }
        if missing := sorted(needed - set(tensors)):
            raise InputError(f"flow_cnn: these are weights of another model (no {missing[0]!r})")
        if len(tensors["fc.bias"]) != n_outputs:
            raise InputError(
                f"flow_cnn: weights for {len(tensors['fc.bias'])} outputs, {n_outputs} are asked for; restore with the "
                "number that it was trained with"
            )
        settings = self.settings(stored_options(tensors))
        return SmallNet(dict(tensors), head, settings["normalise"], settings["flip_average"])

    def settings(self, options: Options | None) -> dict[str, Any]:
        """See `TorchRecogniser.settings`."""
        settings = super().settings(options)
        if settings["normalise"] not in NORMALISATIONS:
            raise InputError(
                f"flow_cnn: option normalise is {settings['normalise']!r}; known are {', '.join(NORMALISATIONS)}"
            )
        for name, least in (
            ("width", 1),
            ("mixup", 0),
            ("shift_px", 0),
            ("noise", 0),
            ("label_smoothing", 0),
        ):
            self.at_least(settings, name, least)
        return settings


def mixed(x: Any, target: Any, random: np.random.Generator, alpha: float) -> tuple[Any, Any]:
    """Samples and targets mixed with those of another sample of the batch (Zhang et al. 2018); -1 stays unknown."""
    if not alpha:
        return x, target
    share = float(random.beta(alpha, alpha))
    other = torch().from_numpy(random.permutation(len(x)))
    unknown = (target < 0) | (target[other] < 0)
    blend = share * target + (1 - share) * target[other]
    return share * x + (1 - share) * x[other], blend.masked_fill(unknown, -1)
