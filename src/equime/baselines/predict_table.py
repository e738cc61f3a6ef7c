"""Predictions of `equime predict` as records and as a table that `equime audit --predictions` reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equime.errors import InputError
from equime.records import write_atomic
from equime.seeding import canonical_json

if TYPE_CHECKING:
    from equime.baselines.predict import Prediction


def as_record(found: Prediction) -> dict[str, Any]:
    """A prediction as one JSON object; the problem as an object of code and message."""
    record = asdict(found)
    problem = record.pop("problem")
    record["problem"] = None if problem is None else {"code": problem[0], "message": problem[1]}
    return record


def write_predictions(found: Sequence[Prediction], path: Path) -> None:
    """Write all predictions: ``.csv``, a row per clip, or ``.jsonl``, an object per clip.

    Raises:
        InputError: another suffix.
        WorkError: the disk refuses.
    """
    if path.suffix == ".jsonl":
        write_atomic(path, b"".join(canonical_json(as_record(one)) + b"\n" for one in found))
        return
    if path.suffix != ".csv":
        raise InputError(f"{path}: suffix {path.suffix!r} is not .csv or .jsonl; use one of them")
    classes = list(dict.fromkeys(name for one in found for name in one.probabilities))
    aus = list(dict.fromkeys(name for one in found for name in one.aus))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FIRST, *(f"p_{name}" for name in classes), *(f"au{name}" for name in aus), *_LAST])
    writer.writerows(_row(one, classes, aus) for one in found)
    write_atomic(path, text.getvalue().encode())


_FIRST = ("clip_id", "file", "subject_id", "prediction")
_LAST = ("aus", "onset", "apex", "offset", "onset_ms", "apex_ms", "offset_ms", "is_micro", "notes", "problem")


def _row(one: Prediction, classes: Sequence[str], aus: Sequence[str]) -> list[Any]:
    m = one.moments
    moments = (
        [None] * 7
        if m is None
        else [m.onset, m.apex, m.offset, *map(_rounded, (m.onset_ms, m.apex_ms, m.offset_ms)), m.is_micro]
    )
    values = [
        *(one.clip_id, one.file, one.subject_id, one.label),
        *(_rounded(one.probabilities.get(name), 4) for name in classes),
        *(_rounded(one.aus.get(name), 4) for name in aus),
        "+".join(one.present),
        *moments,
        "; ".join(one.notes),
        "" if one.problem is None else ": ".join(one.problem),
    ]
    return ["" if value is None else value for value in values]


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)
