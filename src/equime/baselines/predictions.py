"""Predictions of a recogniser as a table that `equime audit --predictions` reads: a row per clip."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equime.baselines.recogniser import Head
from equime.baselines.scores import THRESHOLD
from equime.errors import InputError
from equime.records import aside, write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equime.baselines.protocols import Outcome


def columns_of(outcome: Outcome, names: Sequence[str]) -> dict[str, list[Any]]:
    """Columns of the table: ``clip_id``, ``subject``, ``data_set``, ``fold``, ``label``, ``prediction`` and
    ``p_<class>``; for AUs ``label`` and ``prediction`` list those present ("1+2"), ``label`` is empty where there is
    no coding.

    Args:
        outcome: what was said; probabilities are the mean over the seeds.
        names: of the classes, or "AU1", "AU2", ...
    """
    p = outcome.probabilities
    return {
        "clip_id": [clip.clip_id for clip in outcome.clips],
        "subject": [clip.person for clip in outcome.clips],
        "data_set": outcome.sets.tolist(),
        "fold": outcome.folds.tolist(),
        "label": _named(outcome.truth, outcome.head, names),
        "prediction": _named(
            p.argmax(1) if outcome.head == "emotion" else (p >= THRESHOLD).astype(np.int8),
            outcome.head,
            names,
        ),
        **{f"p_{name}": [round(float(v), 6) for v in p[:, i]] for i, name in enumerate(names)},
    }


def _named(values: Any, head: Head, names: Sequence[str]) -> list[str]:
    if head == "emotion":
        return [names[i] for i in values]
    return ["" if (row < 0).all() else "+".join(n[2:] for n, v in zip(names, row, strict=True) if v == 1) or "none" for row in values]  # fmt: skip


def write_predictions(outcome: Outcome, names: Sequence[str], path: Path) -> None:
    """Write the table as CSV or Parquet, by the suffix.

    Raises:
        InputError: another suffix.
        WorkError: the disk refuses.
    """
    columns = columns_of(outcome, names)
    if path.suffix == ".csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        write_atomic(path, text.getvalue().encode())
    elif path.suffix == ".parquet":
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        with aside(path) as partial:
            pq.write_table(pa.table(columns), partial)
    else:
        raise InputError(f"{path}: suffix {path.suffix!r} is not .csv or .parquet; use one of them")
