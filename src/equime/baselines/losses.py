"""What networks minimise: cross entropy over classes, or over Action Units one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.baselines.recogniser import Head, Options
from equime.errors import InputError
from equime.torch_env import torch

F32 = NDArray[np.float32]

CLASS_WEIGHTS: Final = ("none", "balanced")

MAX_POSITIVE_WEIGHT: Final = 20.0
"""An AU that two clips show would otherwise drown the others."""


def targets(y: NDArray[np.integer], head: Head, n_outputs: int) -> F32:
    """(N, n_outputs) what the outputs should be: one-hot classes, or AUs as they are (-1 unknown)."""
    if head == "aus":
        return y.astype(np.float32)
    return np.asarray(np.eye(n_outputs)[y], np.float32)


def class_weights(y: NDArray[np.integer], n_outputs: int, rule: object) -> F32:
    """(n_outputs,) weight of each class: 1, or inversely as frequent ("balanced", scikit-learn's rule).

    Raises:
        InputError: an unknown rule.
    """
    if rule == "none":
        return np.ones(n_outputs, np.float32)
    if rule == "balanced":
        counts = np.bincount(y, minlength=n_outputs)
        return np.asarray(len(y) / (n_outputs * counts), np.float32)
    raise InputError(f"option class_weights is {rule!r}; known are {', '.join(CLASS_WEIGHTS)}")


def positive_weights(y: NDArray[np.integer], wanted: object) -> F32:
    """(A,) weight of "present" of each AU: 1, or absent by present among the known, 1/20 to 20."""
    if not wanted:
        return np.ones(y.shape[1], np.float32)
    present, absent = (y == 1).sum(0), (y == 0).sum(0)
    ratio = absent / np.maximum(present, 1)
    return np.asarray(np.clip(ratio, 1 / MAX_POSITIVE_WEIGHT, MAX_POSITIVE_WEIGHT), np.float32)


def loss_function(
    y: NDArray[np.integer], head: Head, n_outputs: int, options: Options, device: str = "cpu"
) -> Callable[[Any, Any], Any]:
    """The loss of logits (B, K) and targets (B, K), as a scalar tensor.

    Args:
        y: labels of the training rows; weights come from them.
        head, n_outputs: as `Recogniser.fit`.
        options: "class_weights", "positive_weights" and, where a model has it, "label_smoothing".
        device: of the tensors.
    """
    functional = torch().nn.functional
    smoothing = float(options.get("label_smoothing", 0.0))
    if head == "emotion":
        weight = torch().from_numpy(class_weights(y, n_outputs, options.get("class_weights", "none")))
        weight = weight.to(device)

        def emotion(logits: Any, target: Any) -> Any:
            return functional.cross_entropy(logits, target, weight=weight, label_smoothing=smoothing)

        return emotion
    present = torch().from_numpy(positive_weights(y, options.get("positive_weights", False))).to(device)

    def aus(logits: Any, target: Any) -> Any:
        known = (target >= 0).to(logits.dtype)
        soft = target.clamp(min=0) * (1 - smoothing) + smoothing / 2
        each = functional.binary_cross_entropy_with_logits(logits, soft, pos_weight=present, reduction="none")
        return (each * known).sum() / known.sum().clamp(min=1)

    return aus


def loss_with_gradient(
    y: NDArray[np.integer], head: Head, n_outputs: int, options: Options
) -> Callable[[F32, F32], tuple[float, F32]]:
    """`loss_function` and its gradient by the logits, without torch: of logits and targets (B, K).

    Args:
        y, head, n_outputs, options: as `loss_function`.
    """
    smoothing = np.float32(options.get("label_smoothing", 0.0))
    if head == "emotion":
        weight = class_weights(y, n_outputs, options.get("class_weights", "none"))

        def emotion(logits: F32, target: F32) -> tuple[float, F32]:
            below = logits - logits.max(1, keepdims=True)
            odds = np.exp(below)
            total = odds.sum(1, keepdims=True)
            soft = weight * (target * (1 - smoothing) + smoothing / n_outputs)
            gradient = odds / total * soft.sum(1, keepdims=True) - soft
            value = (soft * (np.log(total) - below)).sum() / len(logits)
            return float(value), np.asarray(gradient / len(logits), np.float32)

        return emotion
    present = positive_weights(y, options.get("positive_weights", False))

    def aus(logits: F32, target: F32) -> tuple[float, F32]:
        known = target >= 0
        n = max(1, known.sum())
        soft = np.maximum(target, 0) * (1 - smoothing) + smoothing / 2
        chance = 0.5 + 0.5 * np.tanh(0.5 * logits)
        gradient = chance * (present * soft + 1 - soft) - present * soft
        each = present * soft * np.logaddexp(0, -logits) + (1 - soft) * np.logaddexp(0, logits)
        return float((each * known).sum() / n), np.asarray(gradient * known / n, np.float32)

    return aus
