"""Estimates of gender, age and race for the metadata JSON, read from the tables of attribute extraction."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from equime.errors import WorkError

SUFFIXES: Final = {"deepface": "", "fairface": "_fairface"}
"""Tables in order of preference, DeepFace first as EquiME uses it, and the ending of their columns."""


def read_pseudolabels(root: Path) -> dict[str, dict[str, Any]]:
    """What the metadata JSON says of who is in a clip, by clip_id; empty where nothing was estimated.

    Raises:
        WorkError: a table cannot be read.
    """
    for table, suffix in SUFFIXES.items():
        path = root / "tables" / f"{table}.parquet"
        if path.is_file():
            return {row["clip_id"]: _labels(row, table, suffix) for row in _rows(path)}
    return {}


def _rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except Exception as error:
        raise WorkError(
            f"{path}: unreadable ({error}); delete it and run `equime attributes` again"
        ) from error
    return rows


def _labels(row: dict[str, Any], table: str, suffix: str) -> dict[str, Any]:
    age = row.get(f"estimated_age{suffix}_years")
    return {
        "gender": row.get(f"estimated_gender{suffix}"),
        "age": None if age is None else round(age, 1),
        "race": row.get(f"estimated_race{suffix}"),
        "probabilities": {name: _soft(row, f"estimated_{name}{suffix}_p_") for name in ("gender", "race")},
        "estimator": f"{table} {row['annotator_version']}",
    }


def _soft(row: dict[str, Any], prefix: str) -> dict[str, float]:
    found = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    return {name: round(value, 4) for name, value in sorted(found.items()) if value is not None}
