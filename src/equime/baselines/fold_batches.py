"""All folds of STSTNet in one run.

The network is so small that nearly all of its training time goes into moving activations through memory, and batches
over folds (``torch.func.vmap``, convolutions in groups) move the same ones: on a CPU they are no faster than one fold
after the other (``bench/fold_batching.py --vmap``). What is fast is not to move them. Here a batch of a fold passes
through compiled loops (`equime.baselines.fold_kernels`) that keep a strip of the picture in the nearest cache from
the convolution to the averages, and once more on the way back. The folds run side by side in as many threads as
torch has, and each has its own rows, batches, dropout, statistics of batch normalisation and state of Adam, so that
it comes to the same weights as alone, but for the last bits of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.baselines import fold_kernels as kernels
from equime.baselines.fold_kernels import CELLS
from equime.baselines.fold_vectors import CHANNELS, LINES, OUT, TAPS
from equime.baselines.losses import loss_with_gradient, targets
from equime.baselines.models.ststnet import STREAMS, dropout_stream, dropout_words
from equime.baselines.torch_fit import Rows, Task, batches
from equime.torch_env import torch

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_BIAS, _GAMMA, _BETA, _FC = TAPS, TAPS + 1, TAPS + 2, TAPS + 3
_N_CELLS = CELLS * CELLS
_EPS, _MOMENTUM = 1e-5, 0.1
_BETA1, _BETA2, _ADAM_EPS = 0.9, 0.999, 1e-8
_NAMES: Final = [(f"conv{i}", f"bn{i}") for i in range(1, len(STREAMS) + 1)]


def train_together(task: Task, folds: Sequence[Rows], networks: Sequence[Any]) -> list[tuple[float, ...]]:
    """Train STSTNets, each on its fold, as many at a time as torch has threads; the loss of every epoch."""
    threads = max(1, torch().get_num_threads())
    images = None if isinstance(task.x, np.memmap) else kernels.split_columns(np.asarray(task.x, np.float32))

    def one(fold: int) -> tuple[float, ...]:
        return Fold.of(task, images, folds[fold], fold, networks[fold]).train()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(len(folds))))


@dataclass
class Fold:
    """A fold in training.

    Attributes:
        task: what is trained.
        images: all, split, where they lie in memory.
        rows: of this fold.
        labels: (n, K) targets.
        loss: with its gradient by the logits, of logits and targets.
        order: of the positions in an epoch.
        words: stream of dropout.
        network: receives what was learned.
        theta: (R, 16) parameters, a column per map: 27 taps (row, column, channel), bias, factor and offset of the
            normalisation, and the output layer by output and cell; its bias is `bias`.
        bias: (K,) of the output layer.
        running: (2, 16) mean and variance for prediction.
        losses: of the batches of the current epoch.
        room: (4, batch, 25, 16) for what a step works out; fresh memory each time would cost as much as a convolution.
    """

    task: Task
    images: F32 | None
    rows: Rows
    labels: F32
    loss: Callable[[F32, F32], tuple[float, F32]]
    order: Callable[[int], Rows]
    words: np.random.Generator
    network: Any
    theta: F32
    bias: F32
    running: F32
    adam: Adam = field(init=False)
    room: F32 = field(init=False)
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.adam = Adam(self.theta, self.bias, self.task.options)
        size = min(int(self.task.options["batch_size"]), len(self.rows))
        self.room = np.empty((4, size, _N_CELLS, CHANNELS), np.float32)

    @staticmethod
    def of(task: Task, images: F32 | None, rows: Rows, fold: int, network: Any) -> Fold:
        """The fold of this number, from its network as it is."""
        y, k = task.y[rows], task.n_outputs
        arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        theta, running = _from_arrays(arrays, k)
        return Fold(
            task, images, rows, targets(y, task.head, k), loss_with_gradient(y, task.head, k, task.options),
            task.model.order(task.x, rows, task.seed, fold), dropout_stream(task.seed, fold), network,
            theta, arrays["fc.bias"].copy(), running,
        )  # fmt: skip

    def train(self) -> tuple[float, ...]:
        """All epochs; the mean loss of the batches of each."""
        history = []
        size = int(self.task.options["batch_size"])
        for epoch in range(int(self.task.options["epochs"])):
            self.losses.clear()
            for at in batches(self.order(epoch), size):
                self._step(at)
            history.append(float(np.mean(self.losses)))
        self._finish()
        return tuple(history)

    def _step(self, at: Rows) -> None:
        images, rows = self._images(self.rows[at])
        words = dropout_words(self.words, len(at)).reshape(-1)
        gamma, beta = self.theta[_GAMMA], self.theta[_BETA]
        channels = np.zeros((5, CHANNELS), np.float32)
        channels[0], channels[1] = self.theta[_BIAS], np.where(gamma < 0, -1, 1)
        weights = kernels.transform_weights(self.theta[:TAPS])
        pooled, kept, features, through = self.room[:, : len(at)]
        sums = np.empty((2, CHANNELS))
        kernels.forward(images, rows, words, weights, channels, pooled.reshape(-1), kept.reshape(-1), sums)
        count = len(at) * OUT * OUT
        mean, inverse = self._normalise(sums / count, count)
        # Half of the values are kept and doubled, four are averaged.
        np.multiply(pooled, 0.5 * gamma * inverse, out=features)
        features += np.multiply(kept, 0.5 * (beta - gamma * inverse * mean), out=through)
        gradient = np.empty_like(self.theta)
        d_bias = self._head(features.reshape(len(at), -1), self.labels[at], gradient, through)
        d_beta = 0.5 * np.einsum("bkc,bkc->c", through, kept)
        d_gamma = inverse * (0.5 * np.einsum("bkc,bkc->c", through, pooled) - mean * d_beta)
        channels[2] = gamma * inverse / count * (mean * inverse * d_gamma - d_beta)
        channels[3] = -gamma * inverse**2 * d_gamma / count
        channels[4] = 0.5 * gamma * inverse
        of_weights = np.empty((4 * LINES + 1) * CHANNELS, np.float32)
        kernels.backward(images, rows, words, weights, channels, through.reshape(-1), of_weights)
        gradient[:TAPS] = kernels.weights_gradient(of_weights[:-CHANNELS])
        gradient[_BIAS] = of_weights[-CHANNELS:]
        gradient[_GAMMA], gradient[_BETA] = d_gamma, d_beta
        self.adam.step(gradient, d_bias)

    def _images(self, rows: Rows) -> tuple[F32, Rows]:
        """Split images and which of them these rows are; what lies on disk is read batch by batch."""
        if self.images is not None:
            return self.images, rows
        return kernels.split_columns(np.asarray(self.task.x[rows], np.float32)), np.arange(len(rows))

    def _normalise(self, moments: F64, count: int) -> tuple[F32, F32]:
        """Mean and inverse deviation of each map in this batch; the running ones move along."""
        mean = moments[0]
        variance = np.maximum(0, moments[1] - mean**2)
        seen = np.stack([mean, variance * count / (count - 1)])
        self.running = ((1 - _MOMENTUM) * self.running + _MOMENTUM * seen).astype(np.float32)
        return mean.astype(np.float32), (1 / np.sqrt(variance + _EPS)).astype(np.float32)

    def _head(self, features: F32, labels: F32, gradient: F32, through: F32) -> F32:
        """Output layer, loss and their gradients: that of the features goes to ``through``, that of the bias back."""
        weights = self.theta[_FC:].reshape(self.task.n_outputs, -1)
        value, d = self.loss(features @ weights.T + self.bias, labels)
        self.losses.append(value)
        gradient[_FC:] = (d.T @ features).reshape(-1, CHANNELS)
        np.matmul(d, weights, out=through.reshape(len(d), -1))
        return np.asarray(d.sum(0))

    def _finish(self) -> None:
        arrays = _to_arrays(self.theta, self.running) | {"fc.bias": self.bias}
        own = self.network.state_dict()
        tensors = {name: torch().from_numpy(array.copy()) for name, array in arrays.items()}
        counters = {name: own[name] + self.adam.steps for name in own if name.endswith("num_batches_tracked")}
        self.network.load_state_dict(tensors | counters)


class Adam:
    """Adam on arrays, as torch takes its steps (Kingma & Ba 2015; weight decay is added to the gradient)."""

    def __init__(self, theta: F32, bias: F32, options: dict[str, Any]) -> None:
        self.parts = [(part, np.zeros_like(part), np.zeros_like(part)) for part in (theta, bias)]
        self.rate, self.decay = float(options["lr"]), float(options["weight_decay"])
        self.steps = 0

    def step(self, *gradients: F32) -> None:
        """Move the parameters, in place."""
        self.steps += 1
        rate = self.rate / (1 - _BETA1**self.steps)
        root = (1 - _BETA2**self.steps) ** 0.5
        for (part, first, second), gradient in zip(self.parts, gradients, strict=True):
            g = gradient + self.decay * part if self.decay else gradient
            first[:] = _BETA1 * first + (1 - _BETA1) * g
            second[:] = _BETA2 * second + (1 - _BETA2) * g * g
            part[:] = part - rate * first / (np.sqrt(second) / root + _ADAM_EPS)


def _from_arrays(arrays: dict[str, NDArray[Any]], k: int) -> tuple[F32, F32]:
    """A network's arrays as columns of maps."""
    theta, running = np.zeros((_FC + k * _N_CELLS, CHANNELS), np.float32), np.zeros((2, CHANNELS), np.float32)
    taps = np.concatenate([arrays[f"{conv}.weight"] for conv, _ in _NAMES])
    theta[:TAPS] = taps.transpose(2, 3, 1, 0).reshape(TAPS, CHANNELS)
    theta[_BIAS] = np.concatenate([arrays[f"{conv}.bias"] for conv, _ in _NAMES])
    theta[_GAMMA] = np.concatenate([arrays[f"{bn}.weight"] for _, bn in _NAMES])
    theta[_BETA] = np.concatenate([arrays[f"{bn}.bias"] for _, bn in _NAMES])
    running[0] = np.concatenate([arrays[f"{bn}.running_mean"] for _, bn in _NAMES])
    running[1] = np.concatenate([arrays[f"{bn}.running_var"] for _, bn in _NAMES])
    weights = arrays["fc.weight"].reshape(k, CHANNELS, _N_CELLS).transpose(0, 2, 1)
    theta[_FC:] = weights.reshape(-1, CHANNELS)
    return theta, running


def _to_arrays(theta: F32, running: F32) -> dict[str, NDArray[Any]]:
    """The columns of maps as a network's arrays, without the output's bias."""
    ends = np.cumsum(STREAMS)
    taps = theta[:TAPS].reshape(3, 3, 3, CHANNELS).transpose(3, 2, 0, 1)
    arrays: dict[str, NDArray[Any]] = {}
    for (conv, bn), start, end in zip(_NAMES, ends - STREAMS, ends, strict=True):
        arrays |= {f"{conv}.weight": taps[start:end], f"{conv}.bias": theta[_BIAS, start:end]}
        arrays |= {f"{bn}.weight": theta[_GAMMA, start:end], f"{bn}.bias": theta[_BETA, start:end]}
        arrays |= {f"{bn}.running_mean": running[0, start:end], f"{bn}.running_var": running[1, start:end]}
    weights = theta[_FC:].reshape(-1, _N_CELLS, CHANNELS).transpose(0, 2, 1)
    return arrays | {"fc.weight": weights.reshape(len(weights), -1)}
