"""The report for programs: every number with its unit, as JSON without NaN."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from equime.evaluation_framework.report import facts
from equime.evaluation_framework.report.contents import Report, columns
from equime.seeding import canonical_json

FORMAT: Final = "equime-report/1"


def write_json(report: Report) -> bytes:
    """UTF-8 JSON with sorted keys and a newline at the end.

    ``clips`` holds the columns of the table of clips, every clip in the same place of each; ``metrics`` their
    units, ranges and meanings. Feature vectors (``left_out``: annotator to number of columns) stand in the tables
    only, and pictures in the HTML. What does not apply is null.
    """
    evaluation = report.evaluation
    vectors = [name for annotator in evaluation.annotators for name in facts.vector(evaluation, annotator)]
    left_out = [name for name in vectors if name in evaluation.clips]
    content = {
        "format": FORMAT,
        "path": evaluation.path,
        "kind": evaluation.kind,
        "root": str(evaluation.root),
        "reference_path": evaluation.reference_path,
        "provenance": evaluation.provenance,
        "verdict": report.verdict,
        "counts": report.counts,
        "quality_gate": report.gate,
        "annotators": evaluation.annotators,
        "metrics": {name: metric for name, metric in evaluation.metrics.items() if name not in set(vectors)},
        "summary": [row for group in report.summary for row in map(_summary_row, group.rows)],
        "distributions": report.distributions,
        "not_run": evaluation.not_run,
        "problems": evaluation.problems,
        "notes": [
            {"clip_id": c, "annotator": a, "code": code, "message": message}
            for c, a, code, message in evaluation.notes
        ],
        "worst": [_pick(pick) for pick in report.worst],
        "best": [_pick(pick) for pick in report.best],
        "action_units": report.au_table,
        "timing": None if report.timing is None else {"unit": "ms", "errors": report.timing.errors},
        "comparison": evaluation.comparison,
        "published": report.published,
        "scores": report.scores,
        "left_out": {name: len(facts.vector(evaluation, name)) for name in evaluation.annotators},
        "clips": columns(evaluation.clips.drop(columns=left_out)),
    }
    return canonical_json(plain(content)) + b"\n"


def _summary_row(row: Any) -> dict[str, Any]:
    """A row with its unit beside its numbers; the metric itself stands under ``metrics``."""
    return {
        "metric": row.metric.name,
        "unit": "share" if row.metric.type == "flag" else row.metric.unit,
        "better": row.metric.direction,
        "estimate": row.estimate,
        "min": row.low,
        "median": row.median,
        "max": row.high,
        "counts": dict(row.counts),
        "by_emotion": row.groups,
    }


def _pick(pick: Any) -> dict[str, Any]:
    found = {
        name: getattr(pick, name) for name in ("clip_id", "file", "subject_id", "emotion", "score", "reason")
    }
    frames = [{"frame": p.frame, "caption": p.caption} for p in pick.strip.pictures if p.frame is not None]
    return found | {"frames": frames, "unreadable": pick.strip.problem or None}


def plain(value: Any) -> Any:
    """The value of lists, dicts, text, numbers and None only; NaN and infinity become None."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | Path):
        return str(value).encode("utf-8", "replace").decode("utf-8")
    fields = _fields(value)
    if fields is not None:
        return {plain(str(key)): plain(item) for key, item in fields.items()}
    return [plain(item) for item in value]


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """What a record or a mapping holds by name; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None
