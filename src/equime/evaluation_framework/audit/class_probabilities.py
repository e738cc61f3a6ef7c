"""Class probabilities of a predictions file: one column per class, or one column of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError
from equime.evaluation_framework.audit.prediction_files import RawTable

F64 = NDArray[np.float64]

SUM_TOLERANCE: Final = 0.02
"""How far from 1 the probabilities of a row may sum up: four of them rounded to two decimals, or forty to three."""

RANGE_TOLERANCE: Final = 1e-6
"""How far under 0 or over 1 a probability may lie: rounding of float32."""

PREFIX: Final = "p_"
COLUMN: Final = "probabilities"


def read_probabilities(
    path: Path, raw: RawTable, rows: Sequence[int], class_name: Callable[[Any], str | None]
) -> tuple[tuple[str, ...], F64] | None:
    """Probabilities of some rows.

    Args:
        path, raw: the file.
        rows: which of its rows.
        class_name: gives a class its name in the audit.

    Returns:
        Classes (K) and probabilities (rows, K), each 0 to 1, summing to 1 within `SUM_TOLERANCE` and not rescaled;
        None where the file has none.

    Raises:
        InputError: a row without probabilities in a file that has some, out of range, not summing to 1, or a
            list where the classes are names.
    """
    named = {name: class_name(name[len(PREFIX) :]) for name in raw.columns if name.startswith(PREFIX)}
    named = {name: klass for name, klass in named.items() if klass is not None}
    if COLUMN in raw.columns:
        if named:
            raise InputError(f"{path}: has both {COLUMN!r} and {next(iter(named))!r}; keep one of the two")
        found = [_of_json(path, raw, row, class_name) for row in rows]
    elif named:
        found = [_of_columns(path, raw, row, named) for row in rows]
    else:
        return None
    classes = tuple(sorted({klass for row in found for klass in row}))
    values = np.array([[row.get(klass, 0.0) for klass in classes] for row in found], np.float64)
    return classes, _checked(path, raw, rows, values.reshape(len(found), len(classes)), classes)


def _of_columns(path: Path, raw: RawTable, row: int, named: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for column, klass in named.items():
        if klass in found:
            raise InputError(
                f"{path}: the column {column!r} is the second one for the class {klass!r}; keep one"
            )
        found[klass] = _number(path, raw, row, column, raw.columns[column][row])
    return found


def _of_json(
    path: Path, raw: RawTable, row: int, class_name: Callable[[Any], str | None]
) -> dict[str, float]:
    value = raw.columns[COLUMN][row]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InputError(
                f"{path}, {raw.places[row]}: {COLUMN} {value!r} is no JSON; write "
                '{"happiness": 0.7, "fear": 0.3}'
            ) from error
    if isinstance(value, list):
        value = _of_list(path, raw, row, value)
    if not isinstance(value, dict) or not value:
        raise InputError(
            f"{path}, {raw.places[row]}: {COLUMN} {value!r} holds no probabilities; give every row its own, "
            "or leave the column out"
        )
    found: dict[str, float] = {}
    for key, p in value.items():
        # A struct column of Parquet holds every class in every row, with nulls where a row has none.
        if (klass := class_name(key)) is not None and p is not None:
            if klass in found:
                raise InputError(f"{path}, {raw.places[row]}: {COLUMN} has the class {klass!r} twice")
            found[klass] = _number(path, raw, row, COLUMN, p)
    return found


def _of_list(path: Path, raw: RawTable, row: int, values: list[Any]) -> dict[str, Any]:
    """A list has no names, so its order is known only where the classes are the numbers 0 to K - 1."""
    labels = {str(v).strip() for v in raw.columns["prediction"] if v is not None}
    if not all(label.isdecimal() and int(label) < len(values) for label in labels):
        named = sorted(label for label in labels if not label.isdecimal()) or sorted(labels)
        raise InputError(
            f"{path}, {raw.places[row]}: {COLUMN} is a list of {len(values)}, which does not say which class is "
            f"which, and the predictions hold {named[0]!r}; write an object with the class names, or the columns "
            f"{PREFIX}<class>"
        )
    return {str(i): p for i, p in enumerate(values)}


def _number(path: Path, raw: RawTable, row: int, column: str, value: Any) -> float:
    text = value.replace(",", ".") if isinstance(value, str) and raw.decimal_comma else value
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise InputError(
            f"{path}, {raw.places[row]}: {column} is {value!r}, not a number from 0 to 1; give every row all of "
            "its probabilities, or leave them out of the file"
        )
    return number


def _checked(path: Path, raw: RawTable, rows: Sequence[int], values: F64, classes: tuple[str, ...]) -> F64:
    outside = (values < -RANGE_TOLERANCE) | (values > 1 + RANGE_TOLERANCE)
    if outside.any():
        at, k = np.argwhere(outside)[0]
        raise InputError(
            f"{path}, {raw.places[rows[at]]}: the probability of {classes[k]!r} is {values[at, k]:g}, allowed is 0 to "
            f"1 ({int(outside.any(1).sum())} such rows); divide percentages by 100, put logits through a softmax"
        )
    off = np.abs(values.sum(1) - 1) > SUM_TOLERANCE
    if off.any():
        at = int(off.argmax())
        raise InputError(
            f"{path}, {raw.places[rows[at]]}: the probabilities sum up to {values[at].sum():.4g}, not to 1 within "
            f"{SUM_TOLERANCE} ({int(off.sum())} such rows); give every class its column"
        )
    return np.clip(values, 0.0, 1.0)
