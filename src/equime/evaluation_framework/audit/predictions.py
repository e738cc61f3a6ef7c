"""A recogniser's predictions, joined with the clips of a data set; everything that does not fit is counted."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError
from equime.evaluation_framework.audit.class_probabilities import read_probabilities
from equime.evaluation_framework.audit.data import Finding
from equime.evaluation_framework.audit.prediction_files import RawTable, read_raw

if TYPE_CHECKING:
    import pandas as pd

F64 = NDArray[np.float64]
Places = NDArray[np.intp]

KEYS: Final = ("clip_id", "file", "video_name", "video_path")
"""Columns that can say which clip a row is about; the first of them that is there is used."""


@dataclass(frozen=True)
class Predictions:
    """Predictions that could be joined with a clip, one per clip, in the order of the clip ids (N of them).

    Attributes:
        file: as given.
        clips: (N,) positions of the clips in `AuditData.clips`.
        truth, predicted: (N,) positions in ``labels``.
        probabilities: (N, K) per class, 0 to 1; None where the file has none.
        labels: K classes: those that occur, are predicted, or have a probability; numbers by value, else by name.
        n_rows: of the file.
        n_without: clips of the data set without a prediction.
        findings: unknown clips, doubled rows, labels that differ, ...
    """

    file: str
    clips: Places
    truth: Places
    predicted: Places
    probabilities: F64 | None
    labels: tuple[str, ...]
    n_rows: int
    n_without: int
    findings: tuple[Finding, ...] = ()


def read_predictions(path: Path, clips: pd.DataFrame) -> Predictions:
    """Read a predictions file and join it with the clips.

    Columns: ``clip_id`` (or ``file``, ``video_name``, ``video_path``: the path in the data set, its file name, or
    that without suffix), ``prediction``, optionally ``label`` (default: the emotion of the clip; the label is used
    where both are there and differ, because a recogniser may be trained on fewer classes), optionally
    probabilities as columns ``p_<class>`` or as one column ``probabilities`` with a JSON object. CSV and TSV may
    have a byte order mark and semicolons. Classes are text or whole numbers; those that are called like an emotion
    of the data set are matched whatever their case.

    Args:
        path: CSV, TSV, Parquet or JSON lines.
        clips: `AuditData.clips`.

    Raises:
        InputError: no such file, no key or prediction column, no row of a known clip, two rows of one clip that
            contradict each other, classes that no clip has, or probabilities that are none.
    """
    raw = _with_known_names(path, read_raw(path))
    name = _Names(clips["emotion"])
    place, n_unknown, example = _clip_of_row(path, raw, clips)
    rows, findings = _usable_rows(path, raw, clips, name, place, n_unknown, example)
    truth, differs = _truth(raw, clips, name, rows, place)
    predicted = [str(name(raw.columns["prediction"][row])) for row in rows]
    found = read_probabilities(path, raw, rows, name)
    _check_repeats(
        path, raw, rows, place, (truth, predicted, *(() if found is None else (found[1].tolist(),)))
    )
    order = _first_of_each(clips, rows, place)
    truth, predicted = [truth[i] for i in order], [predicted[i] for i in order]
    if "label" not in raw.columns:
        _check_classes(path, predicted, name.emotions)
    labels = _sorted_labels({*truth, *predicted, *(found[0] if found else ())})
    of_label = {label: i for i, label in enumerate(labels)}
    result = Predictions(
        file=str(path),
        clips=np.array([place[rows[i]] for i in order], np.intp),
        truth=np.array([of_label[label] for label in truth], np.intp),
        predicted=np.array([of_label[label] for label in predicted], np.intp),
        probabilities=None if found is None else _spread(found, labels)[order],
        labels=labels,
        n_rows=len(raw.places),
        n_without=len(clips) - len(order),
    )
    n_differs = sum(differs[i] for i in order)
    findings += [_repeats(len(rows) - len(order)), _differing(n_differs), *_about(result, len(clips))]
    return Predictions(**{**vars(result), "findings": tuple(f for f in findings if f.n)})


class _Names:
    """Gives a class its name: "Happiness " is the emotion "happiness", 1, 1.0 and "1.0" are "1"."""

    def __init__(self, emotions: Any) -> None:
        self.emotions = {str(e) for e in emotions if not _is_missing(e)}
        self._spelling = {emotion.casefold(): emotion for emotion in self.emotions}

    def __call__(self, value: Any) -> str | None:
        """The name; None for a missing value."""
        if _is_missing(value):
            return None
        text = re.sub(r"^(-?[0-9]+)\.0+$", r"\1", str(value).strip())
        return self._spelling.get(text.casefold(), text) or None


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _with_known_names(path: Path, raw: RawTable) -> RawTable:
    """The table with the columns that have a meaning under their own names, whatever their case."""
    meant = (*KEYS, "prediction", "label", "probabilities")
    columns = {(name.lower() if name.lower() in meant else name): raw.columns[name] for name in raw.columns}
    if len(columns) < len(raw.columns):
        raise InputError(f"{path}: two of the columns {_some(raw.columns)} differ in case only; keep one")
    if not set(columns) & set(KEYS):
        raise InputError(
            f"{path}: none of the columns {', '.join(KEYS)}; it has {_some(columns)}; add clip_id"
        )
    if "prediction" not in columns:
        raise InputError(
            f"{path}: no column 'prediction'; it has {_some(columns)}; call the predicted class so"
        )
    return RawTable(columns, raw.places, raw.decimal_comma)


def _clip_of_row(path: Path, raw: RawTable, clips: pd.DataFrame) -> tuple[list[int | None], int, str]:
    """Position of the clip of every row, None where there is none; number of those, and the first one."""
    key = next(k for k in KEYS if k in raw.columns)
    places = _places(clips, key)
    found: list[int | None] = []
    n_unknown, example = 0, ""
    for value, where in zip(raw.columns[key], raw.places, strict=True):
        at = _look_up(places, key, value)
        if len(at) > 1:
            raise InputError(
                f"{path}, {where}: {key} {value!r} is the name of {len(at)} clips; give the path in the data set"
            )
        if not at:
            n_unknown, example = n_unknown + 1, example or f"{value!r} in {where}"
        found.append(at[0] if at else None)
    if n_unknown == len(found):
        known = next(iter(clips["clip_id" if key == "clip_id" else "file"]), None)
        raise InputError(
            f"{path}: none of its {len(found)} rows is about a clip of the data set, whose {key} looks like {known!r}; "
            f"the first is {example}; give the predictions of this data set"
        )
    return found, n_unknown, example


def _places(clips: pd.DataFrame, key: str) -> dict[str, list[int]]:
    """Names of the clips to their positions. A file can be given by path, file name, or that without suffix."""
    places: dict[str, list[int]] = {}
    if key == "clip_id":
        return {str(clip): [i] for i, clip in enumerate(clips["clip_id"])}
    for i, file in enumerate(clips["file"]):
        whole = PurePosixPath(str(file))
        for name in {str(whole), whole.name, whole.stem}:
            places.setdefault(name, []).append(i)
    return places


def _look_up(places: dict[str, list[int]], key: str, value: Any) -> list[int]:
    if _is_missing(value):
        return []
    text = str(value).strip()
    if key == "clip_id":
        return places.get(text, [])
    whole = PurePosixPath(text.replace("\\", "/"))
    # The longest part of the path first: "fear/a.mp4" and "anger/a.mp4" are two clips.
    tails = ["/".join(whole.parts[i:]) for i in range(len(whole.parts))]
    return next((places[tail] for tail in tails if tail in places), [])


def _usable_rows(
    path: Path, raw: RawTable, clips: pd.DataFrame, name: _Names, place: Sequence[int | None], n_unknown: int,
    example: str,
) -> tuple[list[int], list[Finding]]:  # fmt: skip
    """Rows with a known clip, a prediction and a label; findings on the others."""
    labels = raw.columns.get("label") or [None] * len(place)
    has_labels = any(name(label) is not None for label in labels)
    emotions = clips["emotion"].tolist()
    rows: list[int] = []
    empty: Counter[str] = Counter()
    for row, at in enumerate(place):
        if at is None:
            continue
        label = labels[row] if has_labels else emotions[at]
        if name(raw.columns["prediction"][row]) is None:
            empty["prediction"] += 1
        elif name(label) is None:
            empty["label"] += 1
        else:
            rows.append(row)
    if not rows:
        raise InputError(
            f"{path}: no row has a clip, a prediction and a label; fill in the column 'prediction'"
        )
    return rows, [
        Finding("unknown_clip", f"{n_unknown} rows are about no clip of this data set (first: {example}) and are "
                "left out; give the predictions of this data set", n_unknown),
        Finding("empty_prediction", f"{empty['prediction']} rows have no prediction; their clips count as clips "
                "without one", empty["prediction"]),
        Finding("empty_label", f"{empty['label']} rows have a prediction and no label, and are left out; fill in "
                "the column 'label', or leave it out to use the emotions of the data set", empty["label"]),
    ]  # fmt: skip


def _truth(
    raw: RawTable, clips: pd.DataFrame, name: _Names, rows: Sequence[int], place: Sequence[int | None]
) -> tuple[list[str], list[bool]]:
    """True class per usable row, and whether the file and the data set differ on it."""
    emotions = clips["emotion"].tolist()
    intended = [name(emotions[place[row] or 0]) for row in rows]
    column = raw.columns.get("label") or [None] * len(place)
    given = [name(column[row]) for row in rows]
    truth = [str(label if label is not None else own) for label, own in zip(given, intended, strict=True)]
    return truth, [
        label is not None and own is not None and label != own
        for label, own in zip(given, intended, strict=True)
    ]


def _check_repeats(
    path: Path, raw: RawTable, rows: Sequence[int], place: Sequence[int | None], values: tuple[Sequence[Any], ...]
) -> None:  # fmt: skip
    """Raise where two rows of one clip do not say the same."""
    said: dict[int | None, tuple[int, tuple[Any, ...]]] = {}
    for i, row in enumerate(rows):
        own = tuple(column[i] for column in values)
        first, other = said.setdefault(place[row], (row, own))
        if own != other:
            what = ("label", "prediction", "probabilities")[
                [a == b for a, b in zip(own, other, strict=True)].index(False)
            ]
            raise InputError(
                f"{path}: {raw.places[first]} and {raw.places[row]} are about one clip and give it two different "
                f"values of {what}; keep one row per clip"
            )


def _check_classes(path: Path, predicted: Sequence[str], emotions: set[str]) -> None:
    """Raise where predictions are in another coding than the emotions that they are compared with."""
    if not emotions & set(predicted):
        raise InputError(
            f"{path}: predicts {_some(predicted)}, and no clip of the data set is called so; its emotions are "
            f"{_some(emotions)}; use these names, or add a column 'label' in the coding of 'prediction'"
        )


def _first_of_each(clips: pd.DataFrame, rows: Sequence[int], place: Sequence[int | None]) -> list[int]:
    """Which of the rows to use, one per clip, in the order of the clip ids."""
    first = {place[row]: i for i, row in reversed(list(enumerate(rows)))}
    ids = clips["clip_id"].tolist()
    return [first[at] for at in sorted(first, key=lambda at: str(ids[at or 0]))]


def _sorted_labels(labels: set[str]) -> tuple[str, ...]:
    if all(re.fullmatch(r"-?[0-9]+", label) for label in labels):
        return tuple(sorted(labels, key=int))
    return tuple(sorted(labels))


def _spread(found: tuple[tuple[str, ...], F64], labels: tuple[str, ...]) -> F64:
    """Probabilities in the order of the labels; a class without a column has 0."""
    classes, values = found
    spread = np.zeros((len(values), len(labels)))
    spread[:, [labels.index(klass) for klass in classes]] = values
    return spread


def _some(names: Any, limit: int = 6) -> str:
    listed = sorted({str(name) for name in names})
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def _repeats(n: int) -> Finding:
    return Finding(
        "duplicate_row", f"{n} rows repeat what another one says of the same clip; each counts once", n
    )


def _differing(n: int) -> Finding:
    return Finding(
        "label_differs",
        f"{n} clips have another label in the predictions file than in the data set; the file's is used", n,
    )  # fmt: skip


def _about(predictions: Predictions, n_clips: int) -> list[Finding]:
    """Findings on clips without a prediction, and on classes."""
    labels = predictions.labels
    occurs = np.bincount(predictions.truth, minlength=len(labels)) > 0
    times = np.bincount(predictions.predicted, minlength=len(labels))
    never = [labels[k] for k in np.flatnonzero(~occurs)]
    unused = [labels[k] for k in np.flatnonzero(occurs & (times == 0))]
    n = predictions.n_without
    findings = [
        Finding("missing_prediction", f"{n} of {n_clips} clips ({n / n_clips:.0%}) have no prediction; every figure "
                "is about the others", n),
        Finding("unknown_label", f"no clip used here has the class {_some(never)}; macro means are over the classes "
                f"that occur; {int(times[~occurs].sum())} clips were given such a class", len(never)),
        Finding("never_predicted", f"the class {_some(unused)} occurs and is never predicted", len(unused)),
    ]  # fmt: skip
    if (p := predictions.probabilities) is not None:
        chosen = p[np.arange(len(p)), predictions.predicted]
        n_other = int((chosen < p.max(1) - 1e-9).sum())
        findings.append(
            Finding("not_most_probable", f"in {n_other} clips another class has a higher probability than the "
                    "predicted one; the confidence is that of the predicted class", n_other)
        )  # fmt: skip
    return findings
