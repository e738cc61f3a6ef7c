"""What every model refuses before it trains: folds that teach nothing, options that it does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime.baselines.recogniser import Head
from equime.errors import InputError

Rows = NDArray[np.intp]
Labels = NDArray[np.integer]


def check_folds(y: Labels, folds: Sequence[Rows], *, head: Head, n_outputs: int) -> None:
    """Refuse folds that nothing can be learned from.

    Raises:
        InputError: an empty fold, a class without a sample in a fold, an AU (or all) that no row of a fold is coded
            for, or labels that do not fit ``n_outputs``.
    """
    expected = (len(y),) if head == "emotion" else (len(y), n_outputs)
    if y.shape != expected:
        raise InputError(
            f"labels of shape {y.shape} for head {head!r} with {n_outputs} outputs; expected {expected}"
        )
    for i, rows in enumerate(folds):
        if len(rows) == 0:
            raise InputError(f"fold {i} has no training rows; leave that fold out or add data")
        if head == "emotion":
            _check_classes(y[rows], i, n_outputs)
        elif not (known := (y[rows] >= 0).any(axis=0)).all():
            raise InputError(
                f"fold {i}: none of its {len(rows)} training rows is coded for AU column "
                f"{int(np.flatnonzero(~known)[0])}; leave clips without AU coding out, or that AU"
            )


def _check_classes(y: Labels, fold: int, n_outputs: int) -> None:
    if y.min() < 0 or y.max() >= n_outputs:
        wrong = int(y.min() if y.min() < 0 else y.max())
        raise InputError(f"fold {fold}: class {wrong} is outside 0 to {n_outputs - 1}; leave such clips out")
    missing = np.flatnonzero(np.bincount(y, minlength=n_outputs) == 0)
    if missing.size:
        raise InputError(
            f"fold {fold}: class {int(missing[0])} has no sample among its {len(y)} training rows; leave the class "
            "out or add clips of it"
        )


def with_defaults(
    model: str, defaults: Mapping[str, Any], options: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Defaults with the options over them, each of its default's type.

    Raises:
        InputError: an unknown name or a value of the wrong type; the message lists what is allowed.
    """
    merged = dict(defaults)
    for name, value in (options or {}).items():
        if name not in defaults:
            raise InputError(f"{model} has no option {name!r}; it has {', '.join(sorted(defaults))}")
        default = defaults[name]
        number = isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool)
        if not number and type(value) is not type(default):
            kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}[
                type(default)
            ]
            raise InputError(f"{model}: option {name} is {value!r}; it takes {kind} (default {default!r})")
        merged[name] = float(value) if number else value
    return merged
