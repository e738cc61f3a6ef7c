"""All folds of STSTNet in one run.

Under leave-one-subject-out the folds have nearly the same training clips, and the network is so small that nearly
all of its time goes into moving activations through memory. So six folds are trained side by side: each image is
looked at once for all of them, in compiled loops (`equime.baselines.fold_kernels`) that keep what they compute in
the processor's registers. Batches of torch over folds (``torch.func.vmap``, convolutions in groups) move the same
activations and are no faster on a CPU than one fold after the other; see ``bench/fold_batching.py``.

Each fold has its own rows, batches, dropout, statistics of batch normalisation and state of Adam, and comes to the
same weights as alone, but for the last bits of sums.

For that, the order of a fold's rows comes from their content: two folds that share a clip draw the same number for
it, whatever else is in them.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.baselines import fold_kernels as kernels
from equime.baselines.fold_kernels import CELLS, CHANNELS, FOLDS, LANES, OUT, TAPS
from equime.baselines.losses import loss_function, targets
from equime.baselines.models.ststnet import STREAMS, dropout_stream, dropout_words
from equime.baselines.torch_fit import Array, Rows, Task, batches
from equime.seeding import stream
from equime.torch_env import torch

F32 = NDArray[np.float32]
U64 = NDArray[np.uint64]

MIN_SHARED: Final = 0.25
"""Blocks of folds that share less are trained one by one: side by side, every image is computed for six folds."""

_BIAS, _GAMMA, _BETA, _FC = TAPS, TAPS + 1, TAPS + 2, TAPS + 3
_N_CELLS = CELLS * CELLS
_EPS, _MOMENTUM, _BETA1, _BETA2, _ADAM_EPS = 1e-5, 0.1, 0.9, 0.999, 1e-8


def sample_ids(x: Array, rows: Rows) -> U64:
    """(n,) number of each row, from its content."""
    digests = [hashlib.blake2b(x[row].tobytes(), digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(digests), np.uint64)


def content_order(ids: U64, seed: int, epoch: int) -> Rows:
    """The positions in the order of an epoch (SplitMix64 of content and epoch)."""
    z = ids + stream(seed, "order", epoch).integers(2**64, dtype=np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(z ^ (z >> np.uint64(31)), kind="stable")


def train_together(task: Task, folds: Sequence[Rows], networks: Sequence[Any]) -> None:
    """Train STSTNets, six side by side and as many sixes at a time as torch has threads.

    Folds that share too little (`MIN_SHARED`) or are alone are trained one after the other.
    """
    used = np.unique(np.concatenate(folds))
    ids = np.zeros(used[-1] + 1, np.uint64)
    ids[used] = sample_ids(task.x, used)
    n_blocks = -(-len(folds) // FOLDS)
    together: list[list[int]] = []
    alone: list[list[int]] = []
    for part in np.array_split(np.arange(len(folds)), n_blocks):
        shared = _shared([folds[i] for i in part]) >= MIN_SHARED
        (together if shared else alone).append(part.tolist())
    with ThreadPoolExecutor(max(1, torch().get_num_threads())) as pool:
        list(pool.map(lambda which: Block.of(task, folds, networks, which, ids).train(), together))
    for i in itertools.chain.from_iterable(alone):
        task.run(i, folds[i], networks[i])


def _shared(folds: Sequence[Rows]) -> float:
    """Share of the work side by side that is not in vain."""
    return sum(len(rows) for rows in folds) / (FOLDS * len(np.unique(np.concatenate(folds))))


@dataclass
class Fold:
    """One fold of a block."""

    rows: Rows
    ids: U64
    labels: F32
    loss: Callable[[Any, Any], Any]
    random: np.random.Generator
    network: Any
    steps: int = 0


@dataclass
class Step:
    """One batch of each fold of a block.

    Attributes:
        at: per fold, where in ``images`` its samples are; empty where it has no batch left.
        samples: per fold, their positions among its rows.
        images: (U, 28, 3, 28).
        bits: (U, FOLDS, 100).
        member: (U, LANES).
    """

    at: list[Rows]
    samples: list[Rows]
    images: F32
    bits: NDArray[np.uint16]
    member: F32


@dataclass
class Block:
    """Up to six folds side by side. Parameters are rows of lanes, so that all folds take Adam's step at once.

    Attributes:
        task: what is trained.
        folds: which.
        theta: (R, LANES): 27 taps (row, channel, column), bias, gamma, beta, the output layer by output and cell, and its
            bias, of which every lane has one.
        running: (2, LANES) mean and variance for prediction.
    """

    task: Task
    folds: list[Fold]
    theta: F32
    running: F32
    first: F32 = field(init=False)
    second: F32 = field(init=False)

    def __post_init__(self) -> None:
        self.first, self.second = np.zeros_like(self.theta), np.zeros_like(self.theta)

    @staticmethod
    def of(
        task: Task, folds: Sequence[Rows], networks: Sequence[Any], which: Sequence[int], ids: U64
    ) -> Block:
        """A block of the folds with these numbers; ``ids`` of all rows of ``x``."""
        inside = []
        k = task.n_outputs
        theta = np.zeros((_FC + k * _N_CELLS + _bias_rows(k), LANES), np.float32)
        running = np.zeros((2, LANES), np.float32)
        for slot, i in enumerate(which):
            y = task.y[folds[i]]
            loss = loss_function(y, task.head, k, task.options)
            random, labels = dropout_stream(task.seed, i), targets(y, task.head, k)
            inside.append(Fold(folds[i], ids[folds[i]], labels, loss, random, networks[i]))
            lanes = slice(slot * CHANNELS, (slot + 1) * CHANNELS)
            _to_lanes(networks[i], theta[:, lanes], running[:, lanes])
        return Block(task, inside, theta, running)

    def train(self) -> None:
        """All epochs."""
        size = int(self.task.options["batch_size"])
        for epoch in range(int(self.task.options["epochs"])):
            orders = [content_order(fold.ids, self.task.seed, epoch) for fold in self.folds]
            cut = [list(batches(order, size)) for order in orders]
            for b in range(max(map(len, cut))):
                self._step([parts[b] if b < len(parts) else parts[0][:0] for parts in cut])
        for slot, fold in enumerate(self.folds):
            lanes = slice(slot * CHANNELS, (slot + 1) * CHANNELS)
            _from_lanes(self.theta[:, lanes], self.running[:, lanes], fold.network, fold.steps)

    def _step(self, samples: list[Rows]) -> None:
        step = self._gather(samples)
        n_images = len(step.images)
        theta, n_features = self.theta, (n_images, _N_CELLS, LANES)
        gamma, beta = theta[_GAMMA], theta[_BETA]
        lanes = np.zeros((4, LANES), np.float32)
        lanes[0], lanes[1] = theta[_BIAS], np.where(gamma < 0, -1, 1)
        weights = theta[:TAPS].reshape(3, 9 * LANES)
        pooled, kept = np.empty(n_features, np.float32), np.empty(n_features, np.float32)
        sums = np.empty((2, LANES))
        kernels.forward(step.images, step.bits, step.member, weights, lanes, pooled, kept, sums)
        count = step.member.sum(0) * OUT * OUT
        mean, inverse = self._normalise(sums / np.maximum(1, count), count)
        # Half of the values are kept and doubled, four are averaged.
        pooled *= 0.5
        kept *= 0.5
        gradient = np.zeros_like(theta)
        features = pooled * (gamma * inverse) + kept * (beta - gamma * inverse * mean)
        through = self._head(features, step, gradient)
        d_beta = np.einsum("ucl,ucl->l", through, kept)
        d_gamma = inverse * (np.einsum("ucl,ucl->l", through, pooled) - mean * d_beta)
        gradient[_GAMMA], gradient[_BETA] = d_gamma, d_beta
        lanes[2] = gamma * inverse / np.maximum(1, count) * (mean * inverse * d_gamma - d_beta)
        lanes[3] = -gamma * inverse**2 * d_gamma / np.maximum(1, count)
        through *= 0.5 * gamma * inverse
        own = np.empty((10, 3 * LANES), np.float32)
        kernels.backward(step.images, step.bits, step.member, weights, lanes, through, own)
        gradient[:TAPS], gradient[_BIAS] = own[:9].reshape(TAPS, LANES), own[9, :LANES]
        self._adam(gradient, samples)

    def _gather(self, samples: list[Rows]) -> Step:
        """Read the images of a step, once each."""
        rows = [fold.rows[some] for fold, some in zip(self.folds, samples, strict=True)]
        union = np.unique(np.concatenate(rows))
        images = self.task.model.prepare(self.task.x[union]).numpy().transpose(0, 2, 1, 3)
        bits = np.zeros((len(union), FOLDS, 100), np.uint16)
        member = np.zeros((len(union), LANES), np.float32)
        at = [np.searchsorted(union, some) for some in rows]
        for slot, (fold, where) in enumerate(zip(self.folds, at, strict=True)):
            bits[where, slot] = dropout_words(fold.random, len(where)) if len(where) else 0
            member[where, slot * CHANNELS : (slot + 1) * CHANNELS] = 1
        return Step(at, samples, np.ascontiguousarray(images), bits, member)

    def _normalise(self, moments: NDArray[np.float64], count: F32) -> tuple[F32, F32]:
        """Mean and inverse deviation of each lane in this batch; the running ones move along."""
        mean = moments[0]
        variance = np.maximum(0, moments[1] - mean**2)
        unbiased = variance * count / np.maximum(1, count - 1)
        moved = (1 - _MOMENTUM) * self.running + _MOMENTUM * np.stack([mean, unbiased])
        self.running = np.where(count > 0, moved, self.running).astype(np.float32)
        return mean.astype(np.float32), (1 / np.sqrt(variance + _EPS)).astype(np.float32)

    def _head(self, features: F32, step: Step, gradient: F32) -> F32:
        """Output layer, loss and their gradients; returns that of the features (U, 25, LANES)."""
        tensors, k = torch(), self.task.n_outputs
        back = np.zeros_like(features)
        for slot, (fold, at, some) in enumerate(zip(self.folds, step.at, step.samples, strict=True)):
            if not len(at):
                continue
            lanes = slice(slot * CHANNELS, (slot + 1) * CHANNELS)
            own = features[at, :, lanes].reshape(len(at), -1)
            weights = self.theta[_FC : _FC + k * _N_CELLS, lanes].reshape(k, -1)
            bias = self.theta[_FC + k * _N_CELLS :, lanes].reshape(-1)[:k]
            logits = tensors.from_numpy(own @ weights.T + bias).requires_grad_()
            fold.loss(logits, tensors.from_numpy(fold.labels[some])).backward()
            d = logits.grad.numpy()
            gradient[_FC : _FC + k * _N_CELLS, lanes] = (d.T @ own).reshape(-1, CHANNELS)
            d_bias = np.zeros(_bias_rows(k) * CHANNELS, np.float32)
            d_bias[:k] = d.sum(0)
            gradient[_FC + k * _N_CELLS :, lanes] = d_bias.reshape(-1, CHANNELS)
            back[at, :, lanes] = (d @ weights).reshape(len(at), _N_CELLS, CHANNELS)
        return back

    def _adam(self, gradient: F32, samples: list[Rows]) -> None:
        """Adam as torch takes it; folds without a batch stay where they are."""
        options = self.task.options
        active = np.zeros(LANES, bool)
        steps = np.ones(LANES)
        for slot, (fold, some) in enumerate(zip(self.folds, samples, strict=True)):
            fold.steps += len(some) > 0
            active[slot * CHANNELS : (slot + 1) * CHANNELS] = len(some) > 0
            steps[slot * CHANNELS : (slot + 1) * CHANNELS] = max(1, fold.steps)
        gradient += float(options["weight_decay"]) * self.theta
        first = _BETA1 * self.first + (1 - _BETA1) * gradient
        second = _BETA2 * self.second + (1 - _BETA2) * gradient**2
        rate = (float(options["lr"]) / (1 - _BETA1**steps)).astype(np.float32)
        root = np.sqrt(1 - _BETA2**steps).astype(np.float32)
        moved = self.theta - rate * first / (np.sqrt(second) / root + np.float32(_ADAM_EPS))
        self.theta = np.where(active, moved, self.theta)
        self.first = np.where(active, first, self.first)
        self.second = np.where(active, second, self.second)


def _bias_rows(k: int) -> int:
    return -(-k // CHANNELS)


def _names() -> list[tuple[str, str]]:
    return [(f"conv{i}", f"bn{i}") for i in range(1, len(STREAMS) + 1)]


def _to_lanes(network: Any, theta: F32, running: F32) -> None:
    """A network's tensors as 16 lanes (R, 16) and (2, 16)."""
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    taps = np.concatenate([arrays[f"{conv}.weight"] for conv, _ in _names()])
    theta[:TAPS] = taps.transpose(2, 1, 3, 0).reshape(TAPS, CHANNELS)
    theta[_BIAS] = np.concatenate([arrays[f"{conv}.bias"] for conv, _ in _names()])
    for row, name in ((_GAMMA, "weight"), (_BETA, "bias")):
        theta[row] = np.concatenate([arrays[f"{bn}.{name}"] for _, bn in _names()])
    for row, name in enumerate(("running_mean", "running_var")):
        running[row] = np.concatenate([arrays[f"{bn}.{name}"] for _, bn in _names()])
    k = len(arrays["fc.bias"])
    theta[_FC : _FC + k * _N_CELLS] = (
        arrays["fc.weight"].reshape(k, CHANNELS, _N_CELLS).transpose(0, 2, 1).reshape(-1, CHANNELS)
    )
    bias = np.zeros(_bias_rows(k) * CHANNELS, np.float32)
    bias[:k] = arrays["fc.bias"]
    theta[_FC + k * _N_CELLS :] = bias.reshape(-1, CHANNELS)


def _from_lanes(theta: F32, running: F32, network: Any, steps: int) -> None:
    """16 lanes back into a network."""
    own = network.state_dict()
    ends = np.cumsum(STREAMS)
    taps = theta[:TAPS].reshape(3, 3, 3, CHANNELS).transpose(3, 1, 0, 2)
    arrays: dict[str, NDArray[Any]] = {}
    for (conv, bn), start, end in zip(_names(), ends - STREAMS, ends, strict=True):
        arrays |= {f"{conv}.weight": taps[start:end], f"{conv}.bias": theta[_BIAS, start:end]}
        arrays |= {f"{bn}.weight": theta[_GAMMA, start:end], f"{bn}.bias": theta[_BETA, start:end]}
        arrays |= {f"{bn}.running_mean": running[0, start:end], f"{bn}.running_var": running[1, start:end]}
        arrays[f"{bn}.num_batches_tracked"] = own[f"{bn}.num_batches_tracked"].numpy() + steps
    k = len(own["fc.bias"])
    weights = theta[_FC : _FC + k * _N_CELLS].reshape(k, _N_CELLS, CHANNELS)
    arrays["fc.weight"] = weights.transpose(0, 2, 1).reshape(k, -1)
    arrays["fc.bias"] = theta[_FC + k * _N_CELLS :].reshape(-1)[:k]
    tensors = {name: torch().from_numpy(np.array(array)) for name, array in arrays.items()}
    network.load_state_dict(tensors)
    network.eval()
