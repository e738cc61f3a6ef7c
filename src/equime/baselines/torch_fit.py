"""What every network trained with torch shares: folds, options, the loop, and weights as plain arrays.

A model is a subclass of `TorchRecogniser` with its `About` and its network; see the modules of
`equime.baselines.models`. The number of epochs is fixed in advance, and nothing but the training rows of a fold is
ever looked at. Batches are read from ``x`` as they are needed, so that memory does not grow with a memory-mapped
``x``. On the CPU the same call gives the same weights again (with the same number of threads); where torch finds a
GPU it is used, and the last bits may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.baselines.fit_checks import check_folds, with_defaults
from equime.baselines.losses import loss_function, targets
from equime.baselines.recogniser import About, Fitted, Head, Options
from equime.errors import InputError
from equime.seeding import stream
from equime.torch_env import torch

Array = NDArray[np.generic]
F32 = NDArray[np.float32]
Rows = NDArray[np.intp]

OPTION: Final = "option."
"""Prefix of the tensors that hold options which shape the network."""

PREDICT_BYTES: Final = 32 * 2**20
"""Of input per batch of prediction."""


def training_options(
    *, epochs: int, lr: float, batch_size: int, weight_decay: float = 0.0, **more: float | str | bool
) -> dict[str, float | int | str | bool]:
    """`About.options` of a network: those that every network has, and its own.

    Args:
        epochs, lr, batch_size, weight_decay: as published.
        more: further options of this model.
    """
    common: dict[str, float | int | str | bool] = {
        "epochs": epochs,
        "lr": lr,
        "batch_size": batch_size,
        "weight_decay": weight_decay,
        "class_weights": "none",
        "positive_weights": False,
    }
    return common | more


def device() -> str:
    """Where networks run: "cuda" where torch finds a GPU, else "cpu"."""
    return "cuda" if torch().cuda.is_available() else "cpu"


def batches(order: Rows, size: int) -> Iterator[Rows]:
    """Cut an order into batches; a last one of a single row joins the one before (batch norm needs two)."""
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        yield order[start:end]


class TorchRecogniser:
    """Base of the models that torch trains. A subclass sets `about`, gives `build`, and what else it must.

    Attributes:
        about: what it is; its options come from `training_options`.
        shape_options: names of options that shape the network; they are stored with the weights.
        output_layer: prefix of the parameters of the last layer, which may differ in shape when a network goes on
            from another one.
    """

    about: About
    shape_options: tuple[str, ...] = ()
    output_layer: str = "fc."

    def build(self, n_outputs: int, options: Options) -> Any:
        """The network: an ``nn.Module`` from what `prepare` gives to logits (B, n_outputs)."""
        raise NotImplementedError

    def prepare(self, x: Array) -> Any:
        """A batch of `About.input` as the network takes it: here (B, S, S, C) to float32 (B, C, S, S)."""
        return torch().from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1), np.float32))

    def augment(self, x: Any, target: Any, random: np.random.Generator, options: Options) -> tuple[Any, Any]:
        """A training batch and its targets (B, K), changed at random; here as they are."""
        del random, options
        return x, target

    def optimiser(self, network: Any, options: Options, n_steps: int) -> tuple[Any, Any]:
        """Optimiser, and a schedule that is stepped after every batch or None; here Adam.

        Args:
            network: what is trained.
            options: of the model.
            n_steps: number of batches of the whole training.
        """
        del n_steps
        adam = torch().optim.Adam(
            network.parameters(), lr=options["lr"], weight_decay=options["weight_decay"]
        )
        return adam, None

    def begin(self, network: Any, seed: int, fold: int) -> None:
        """Called before a network is trained; for random streams of its own."""
        del network, seed, fold

    def order(self, x: Array, rows: Rows, seed: int, fold: int) -> Callable[[int], Rows]:
        """For an epoch, the positions 0..len(rows)-1 in the order of its batches."""
        del x
        return lambda epoch: stream(seed, "order", fold, epoch).permutation(len(rows))

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
        """Train one network per fold; see `equime.baselines.recogniser.Recogniser.fit`."""
        torch()
        settings = self.settings(options)
        check_folds(y, folds, head=head, n_outputs=n_outputs)
        if start is not None and len(start) != len(folds):
            raise InputError(
                f"{len(start)} recognisers to start from for {len(folds)} folds; give one per fold"
            )
        task = Task(self, x, y, head, n_outputs, seed, settings)
        networks = [
            task.network(fold, None if start is None else start[fold].tensors()) for fold in range(len(folds))
        ]
        losses = self.train(task, folds, networks)
        return [
            TorchFitted(self, network, head, settings, history)
            for network, history in zip(networks, losses, strict=True)
        ]

    def train(self, task: Task, folds: Sequence[Rows], networks: Sequence[Any]) -> list[tuple[float, ...]]:
        """Train the networks, each on its fold; here one after the other. The mean loss of every epoch comes back."""
        return [task.run(fold, rows, networks[fold]) for fold, rows in enumerate(folds)]

    def settings(self, options: Options | None) -> dict[str, Any]:
        """All options of the model, with those given.

        Raises:
            InputError: unknown, or not usable.
        """
        settings = with_defaults(self.about.key, self.about.options, options)
        for name, least in (("epochs", 1), ("batch_size", 2), ("lr", 0), ("weight_decay", 0)):
            self.at_least(settings, name, least)
        return settings

    def at_least(self, settings: Mapping[str, Any], name: str, least: float) -> None:
        """Refuse an option below a bound.

        Raises:
            InputError: it is, or is no finite number.
        """
        if not (np.isfinite(settings[name]) and settings[name] >= least):
            raise InputError(f"{self.about.key}: option {name} is {settings[name]}; it is at least {least}")

    def restore(self, tensors: Mapping[str, Array], *, head: Head, n_outputs: int) -> Fitted:
        """The trained network of `TorchFitted.tensors`.

        Raises:
            InputError: tensors of another model.
            MissingError: torch is not installed.
        """
        settings = self.settings(stored_options(tensors))
        network = self.build(n_outputs, settings)
        load(network, tensors, self.about.key)
        return TorchFitted(self, network.eval(), head, settings)


@dataclass(frozen=True)
class Task:
    """One call of `fit`: what all of its folds share.

    Attributes:
        model: whose networks.
        x, y, head, n_outputs, seed: as `Recogniser.fit`.
        options: all of the model's.
    """

    model: TorchRecogniser
    x: Array
    y: NDArray[np.integer]
    head: Head
    n_outputs: int
    seed: int
    options: dict[str, Any]
    device: str = field(default_factory=device)

    def network(self, fold: int, start: Mapping[str, Array] | None) -> Any:
        """A fold's network before training."""
        with torch().random.fork_rng():
            torch().manual_seed(self.torch_seed("init", fold))
            network = self.model.build(self.n_outputs, self.options)
        if start is not None:
            load(network, start, self.model.about.key, self.model.output_layer)
        return network

    def torch_seed(self, name: str, fold: int) -> int:
        """Seed of torch's generator for one purpose and fold."""
        return int(stream(self.seed, name, fold).integers(2**63))

    def run(self, fold: int, rows: Rows, network: Any) -> tuple[float, ...]:
        """Train one network, a fixed number of epochs; the mean loss of the batches of each."""
        model, size = self.model, int(self.options["batch_size"])
        labels = targets(self.y[rows], self.head, self.n_outputs)
        loss_of = loss_function(self.y[rows], self.head, self.n_outputs, self.options, self.device)
        epochs = int(self.options["epochs"])
        per_epoch = sum(1 for _ in batches(np.arange(len(rows)), size))
        network.to(self.device).train()
        optimiser, schedule = model.optimiser(network, self.options, epochs * per_epoch)
        model.begin(network, self.seed, fold)
        order = model.order(self.x, rows, self.seed, fold)
        random, history = stream(self.seed, "augment", fold), []
        with torch().random.fork_rng():
            torch().manual_seed(self.torch_seed("dropout", fold))
            for epoch in range(epochs):
                losses = []
                for at in batches(order(epoch), size):
                    batch = model.prepare(self.x[rows[at]]).to(self.device)
                    target = torch().from_numpy(labels[at]).to(self.device)
                    batch, target = model.augment(batch, target, random, self.options)
                    optimiser.zero_grad(set_to_none=True)
                    loss = loss_of(network(batch), target)
                    loss.backward()
                    losses.append(loss.detach())
                    optimiser.step()
                    if schedule is not None:
                        schedule.step()
                history.append(float(torch().stack(losses).mean()))
        network.to("cpu").eval()
        return tuple(history)


class TorchFitted:
    """A trained network.

    Attributes:
        network: in evaluation mode, on the CPU.
        history: mean training loss of every epoch; () where it was not trained here.
    """

    def __init__(
        self,
        model: TorchRecogniser,
        network: Any,
        head: Head,
        options: Mapping[str, Any],
        history: tuple[float, ...] = (),
    ) -> None:
        self.network, self.history = network.eval(), history
        self._model, self._head, self._options = model, head, options

    def probabilities(self, x: Array) -> F32:
        """(N, K) per class, rows summing to 1, or per AU; read from ``x`` in batches."""
        size = max(1, PREDICT_BYTES // max(1, x[:1].nbytes))
        where = device()
        self.network.to(where)
        parts = []
        with torch().inference_mode():
            for start in range(0, len(x), size):
                logits = self.logits(self._model.prepare(x[start : start + size]).to(where))
                p = logits.sigmoid() if self._head == "aus" else logits.softmax(1)
                parts.append(p.cpu().numpy())
        self.network.to("cpu")
        return np.concatenate(parts) if parts else np.zeros((0, self._n_outputs()), np.float32)

    def logits(self, batch: Any) -> Any:
        """(B, K) of a prepared batch."""
        return self.network(batch)

    def tensors(self) -> dict[str, Array]:
        """Weights and statistics by torch's names, and the options that shape the network."""
        arrays = {name: tensor.numpy().copy() for name, tensor in self.network.state_dict().items()}
        options = {OPTION + name: option_array(self._options[name]) for name in self._model.shape_options}
        return arrays | options

    def _n_outputs(self) -> int:
        return int(list(self.network.parameters())[-1].shape[0])


def option_array(value: float | int | str | bool) -> Array:
    """An option as a tensor: words as their UTF-8 bytes, since safetensors knows no text."""
    return np.frombuffer(value.encode(), np.uint8) if isinstance(value, str) else np.array(value)


def stored_options(tensors: Mapping[str, Array]) -> dict[str, Any]:
    """The options among tensors, by their names."""
    found = {name.removeprefix(OPTION): a for name, a in tensors.items() if name.startswith(OPTION)}
    return {
        name: a.tobytes().decode() if a.dtype == np.uint8 and a.ndim == 1 else a.item()
        for name, a in found.items()
    }


def load(network: Any, tensors: Mapping[str, Array], model: str, output_layer: str | None = None) -> None:
    """Put arrays into a network.

    Args:
        network: receives them.
        tensors: by the network's own names; those with the prefix `OPTION` are left out.
        model: name for messages.
        output_layer: prefix of parameters that stay as they are where the shape differs; None allows no difference.

    Raises:
        InputError: a name or shape that the network does not have.
    """
    own = network.state_dict()
    arrays = {name: array for name, array in tensors.items() if not name.startswith(OPTION)}
    if wrong := sorted(set(own) ^ set(arrays)):
        raise InputError(
            f"{model}: these are weights of another model ({wrong[0]!r} is in one of the two only); give weights that "
            f"{model} wrote"
        )
    for name, array in arrays.items():
        if own[name].shape != array.shape:
            if output_layer is not None and name.startswith(output_layer):
                continue
            raise InputError(
                f"{model}: tensor {name!r} has shape {array.shape}, the network {tuple(own[name].shape)}; restore with the "
                "head, number of outputs and options that it was trained with"
            )
        own[name] = torch().from_numpy(np.array(array))
    network.load_state_dict(own)


def count_parameters(network: Any) -> int:
    """Number of trained values of a network."""
    return sum(p.numel() for p in network.parameters())
