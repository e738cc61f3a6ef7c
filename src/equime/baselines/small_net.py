"""Prediction with a small convolutional network in numpy: what ships trained needs no torch.

The network is what its tensors say: ``conv1``, ``bn1``, ``conv2``, ... (3x3, padding 1, batch norm, ReLU, maximum of
2x2, an odd last row or column left out) and an output layer ``fc``. Several networks in one set of tensors, with the
prefixes ``0.``, ``1.``, ..., are an ensemble; their probabilities are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from equime.baselines.recogniser import Fitted, Head
from equime.errors import InputError

Array = NDArray[np.generic]
F32 = NDArray[np.float32]

BATCH: Final = 64
BN_EPS: Final = 1e-5

LEVELS: Final = 255
"""Steps of the 8-bit images that flow comes in; no deviation is finer."""

ROBUST_LIMIT: Final = 5.0
"""Values further from the median than so many deviations are cut."""

NORMALISATIONS: Final = ("robust", "minmax")


def normalised(x: Array, how: str) -> F32:
    """Flow (B, S, S, C), 0..1, to (B, C, S, S) as the network takes it.

    Args:
        x: u, v and strain, each scaled to 0..1 by its own extremes.
        how: "minmax": as it is; "robust": less its median and by the 90th percentile of its absolute deviation, for
            each sample and channel. A single outlier then does not squeeze the rest, and movement of the whole head
            does not shift it.

    Returns:
        float32; for "robust" at most `ROBUST_LIMIT` from 0.
    """
    y = np.ascontiguousarray(np.moveaxis(x, -1, 1), np.float32)
    if how == "minmax":
        return y
    flat = y.reshape(*y.shape[:2], -1)
    n = flat.shape[2]
    sides = [(n - 1) // 2, n // 2]
    middle = np.partition(flat, sides, axis=2)[:, :, sides].mean(2, keepdims=True)
    flat = flat - middle
    place = int(0.9 * (n - 1))
    spread = np.partition(np.abs(flat), place, axis=2)[:, :, place, None]
    flat = flat / np.maximum(spread, np.float32(1 / LEVELS))
    return np.asarray(np.clip(flat, -ROBUST_LIMIT, ROBUST_LIMIT).reshape(y.shape), np.float32)


def mirrored(x: F32, how: str) -> F32:
    """Normalised flow (B, C, S, S) of the mirrored face: the picture turned, and u, which then points the other way."""
    y = np.ascontiguousarray(x[..., ::-1])
    y[:, 0] = -y[:, 0] if how == "robust" else 1 - y[:, 0]
    return y


@dataclass(frozen=True)
class SmallNet:
    """A trained network.

    Attributes:
        arrays: its tensors, options included.
        head: what it predicts.
        normalise: one of `NORMALISATIONS`.
        flip_average: average what is said of a face and of its mirror image.
        history: mean training loss of every epoch; () where it was not trained here.
    """

    arrays: Mapping[str, Array]
    head: Head
    normalise: str
    flip_average: bool
    history: tuple[float, ...] = ()

    def tensors(self) -> dict[str, Array]:
        """See `equime.baselines.recogniser.Fitted.tensors`."""
        return dict(self.arrays)

    def probabilities(self, x: Array) -> F32:
        """See `equime.baselines.recogniser.Fitted.probabilities`."""
        parts = [self._batch(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.arrays["fc.bias"])), np.float32)

    def _batch(self, x: Array) -> F32:
        seen = normalised(x, self.normalise)
        p = self._of_logits(self.logits(seen))
        if self.flip_average:
            other = self._of_logits(self.logits(mirrored(seen, self.normalise)))
            p = np.asarray((p + other) / 2, np.float32)
        return p

    def _of_logits(self, logits: F32) -> F32:
        if self.head == "aus":
            return np.asarray(1 / (1 + np.exp(-logits.clip(-80, 80))), np.float32)
        e = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(e / e.sum(1, keepdims=True), np.float32)

    def logits(self, x: F32) -> F32:
        """(B, K) of normalised flow (B, C, S, S)."""
        depth = 1
        while f"conv{depth}.weight" in self.arrays:
            x = self._block(x, depth)
            depth += 1
        weight = np.asarray(self.arrays["fc.weight"], np.float32)
        return x.reshape(len(x), -1) @ weight.T + np.asarray(self.arrays["fc.bias"], np.float32)

    def _block(self, x: F32, depth: int) -> F32:
        part: dict[str, Any] = {
            name: np.asarray(self.arrays[f"{layer}{depth}.{name}"], np.float32)
            for layer, names in (("conv", ("weight", "bias")), ("bn", ("running_mean", "running_var")))
            for name in names
        }
        gain = np.asarray(self.arrays[f"bn{depth}.weight"], np.float32) / np.sqrt(
            part["running_var"] + BN_EPS
        )
        shift = (part["bias"] - part["running_mean"]) * gain + self.arrays[f"bn{depth}.bias"]
        kernel = (part["weight"] * gain[:, None, None, None]).reshape(len(gain), -1)
        b, c, height, width = x.shape
        windows = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
        columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 9 * c)
        y = (columns @ kernel.T + shift).reshape(b, height, width, -1)
        y = y[:, : height // 2 * 2, : width // 2 * 2].reshape(b, height // 2, 2, width // 2, 2, -1)
        return np.ascontiguousarray(np.maximum(y.max((2, 4)), 0).transpose(0, 3, 1, 2), np.float32)


@dataclass(frozen=True)
class Ensemble:
    """Several recognisers; their probabilities are averaged.

    Attributes:
        members: at least one.
    """

    members: Sequence[Fitted]

    def probabilities(self, x: Array) -> F32:
        """See `equime.baselines.recogniser.Fitted.probabilities`."""
        said = [member.probabilities(x) for member in self.members]
        return np.asarray(np.mean(said, axis=0), np.float32)

    def tensors(self) -> dict[str, Array]:
        """Those of all members, with the prefixes ``0.``, ``1.``, ..."""
        return {
            f"{i}.{name}": array
            for i, member in enumerate(self.members)
            for name, array in member.tensors().items()
        }


def split_members(tensors: Mapping[str, Array]) -> list[dict[str, Array]]:
    """Tensors of each member of an ensemble; of the only one where there is no prefix.

    Raises:
        InputError: numbers that do not run from 0 without a gap, or names with and without.
    """
    found: dict[str, dict[str, Array]] = {}
    for name, array in tensors.items():
        number, _, rest = name.partition(".")
        key = number if number.isdigit() else ""
        found.setdefault(key, {})[rest if key else name] = array
    if set(found) != {""} and set(found) != {str(i) for i in range(len(found))}:
        raise InputError(
            f"tensors of an ensemble have the prefixes {sorted(found)}; they run 0., 1., 2., ... without a gap"
        )
    return [found[key] for key in sorted(found, key=lambda key: int(key or 0))]
