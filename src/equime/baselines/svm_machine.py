"""A trained support vector machine as plain arrays, and its prediction in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from equime.baselines.recogniser import Head

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_BASE = "start/"
"""Before the names of the arrays of the machine that this one goes on from."""


@dataclass(frozen=True)
class Machine:
    """P two-class machines and how they add up to K outputs.

    A linear machine keeps its weights; one with an RBF kernel refers to the rows it was trained on, which all folds
    share until they are written.

    Attributes:
        kernel: "linear", or "rbf": exp(-sum over blocks of scale x squared distance).
        widths: (B,) number of features in each block.
        scales: (B,) weight of each block's squared distances.
        weights: (P, D) of a linear machine; (P, 0) otherwise.
        support: per block (M, D_b), the rows that machines rest on (RBF), or the rows that these are taken from.
        at: (M,) positions of those rows in ``support``.
        coefficients: (P, M) of those rows, signed.
        bias: (P,).
        votes: (P, K) how scores add up.
        temperature: (1,) or (K,) factor before scores become probabilities.
        constant: (P,) 0 or 1 where the training rows show nothing else, -1 where both sides occur.
        head: what is predicted.
        base: machine whose scores are further features.
        base_weights: (P, K of base) weights of those.
    """

    kernel: Literal["linear", "rbf"]
    widths: NDArray[np.int64]
    scales: F64
    weights: F64
    support: tuple[F32, ...]
    at: NDArray[np.intp]
    coefficients: F64
    bias: F64
    votes: F64
    temperature: F64
    constant: NDArray[np.int8]
    head: Head
    base: Machine | None
    base_weights: F64

    @classmethod
    def of(
        cls, kernel: Literal["linear", "rbf"], blocks: Sequence[F32], rows: NDArray[np.intp], coefficients: F64,
        bias: F64, scales: F64, means: Sequence[F64], *, votes: F64, temperature: F64,
        constant: NDArray[np.int8], head: Head, base: Machine | None, base_weights: F64,
    ) -> Self:  # fmt: skip
        """From what a fold's training gave: coefficients (P, n) of its rows, of which most are 0 with few data."""
        used = np.flatnonzero((coefficients != 0).any(axis=0))
        at, kept, support = rows[used], coefficients[:, used], tuple(blocks)
        weights = np.zeros((len(coefficients), 0))
        if kernel == "linear":
            # Coefficients add up to 0, so the training mean drops out of the weights and stays in the bias.
            parts = [s * kept @ block[at].astype(np.float64) for s, block in zip(scales, blocks, strict=True)]
            bias = bias - sum(part @ mean for part, mean in zip(parts, means, strict=True))
            weights = np.concatenate(parts, axis=1)
            at, kept, support = at[:0], kept[:, :0], tuple(block[:0] for block in blocks)
        widths = np.array([block.shape[1] for block in blocks])
        return cls(
            kernel, widths, scales, weights, support, at, kept, bias, votes, temperature, constant, head, base,
            base_weights,
        )  # fmt: skip

    def scores(self, blocks: Sequence[F32]) -> F64:
        """(N, K): above 0 speaks for a class or AU. Not bounded."""
        found = self._two_class(blocks) @ self.votes
        if self.head == "aus":
            found[:, self.constant == 0], found[:, self.constant == 1] = -1, 1
        return found

    def probabilities(self, blocks: Sequence[F32]) -> F32:
        """(N, K) as `Fitted.probabilities` has them; an AU that training rows all show alike is sure: 0 or 1."""
        z = self.temperature * self.scores(blocks)
        if self.head == "emotion":
            z = np.exp(z - z.max(axis=1, keepdims=True))
            return np.asarray(z / z.sum(axis=1, keepdims=True), np.float32)
        found = 1 / (1 + np.exp(-np.clip(z, -60, 60)))
        found[:, self.constant >= 0] = self.constant[self.constant >= 0]
        return np.asarray(found, np.float32)

    def _two_class(self, blocks: Sequence[F32]) -> F64:
        """(N, P)."""
        if self.kernel == "linear":
            found = np.concatenate(blocks, axis=1).astype(np.float64) @ self.weights.T
        else:
            found = self._kernel(blocks) @ self.coefficients.T
        if self.base is not None:
            found += self.base.scores(blocks) @ self.base_weights.T
        return found + self.bias

    def _kernel(self, blocks: Sequence[F32]) -> F64:
        """(N, M)."""
        distances = np.zeros((len(blocks[0]), len(self.at)))
        for block, rows, scale in zip(blocks, self.support, self.scales, strict=True):
            a, b = block.astype(np.float64), rows[self.at].astype(np.float64)
            squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
            distances += scale * np.maximum(squares, 0)
        return np.exp(-distances)

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """Everything, as arrays; `of_tensors` reads them."""
        found: dict[str, NDArray[np.generic]] = {
            "kernel_is_rbf": np.array([self.kernel == "rbf"], np.uint8),
            "widths": self.widths,
            "scales": self.scales,
            "weights": self.weights,
            "support": np.concatenate([rows[self.at] for rows in self.support], axis=1, dtype=np.float32),
            "coefficients": self.coefficients,
            "bias": self.bias,
            "votes": self.votes,
            "temperature": self.temperature,
            "constant": self.constant,
            "base_weights": self.base_weights,
        }
        if self.base is not None:
            found |= {_BASE + name: array for name, array in self.base.tensors().items()}
        return found

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, NDArray[np.generic]], head: Head) -> Self:
        """The machine of `tensors`."""
        base = {name.removeprefix(_BASE): array for name, array in tensors.items() if name.startswith(_BASE)}
        widths = tensors["widths"].astype(np.int64)
        support = np.split(tensors["support"].astype(np.float32), np.cumsum(widths)[:-1], axis=1)

        def f64(name: str) -> F64:
            return tensors[name].astype(np.float64)

        return cls(
            "rbf" if tensors["kernel_is_rbf"][0] else "linear",
            widths, f64("scales"), f64("weights"), tuple(support), np.arange(len(support[0])), f64("coefficients"),
            f64("bias"), f64("votes"), f64("temperature"), tensors["constant"].astype(np.int8), head,
            cls.of_tensors(base, head) if base else None, f64("base_weights"),
        )  # fmt: skip
