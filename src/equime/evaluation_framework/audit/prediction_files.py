"""Predictions files as columns of text: CSV, TSV, Parquet and JSON lines, each row with its place in the file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from equime.errors import InputError

FORMATS: Final = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class RawTable:
    """A file as it was read, nothing interpreted.

    Attributes:
        columns: name (without surrounding spaces) to one value per row; None where a row has none.
        places: of each row, for messages: "line 3".
        decimal_comma: whether "0,5" is a number: a file whose columns are separated by semicolons.
    """

    columns: dict[str, list[Any]]
    places: list[str]
    decimal_comma: bool = False


def read_raw(path: Path) -> RawTable:
    """Read a file by its suffix.

    Raises:
        InputError: not there, another format, not readable, or without rows.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such predictions file; give a {', '.join(FORMATS)} file")
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path}: suffix {suffix!r} is not one of {', '.join(FORMATS)}; save it as CSV")
    if suffix == ".parquet":
        table = _parquet(path)
    elif suffix in (".jsonl", ".ndjson"):
        table = _json_lines(path)
    else:
        table = _delimited(path)
    if not table.places:
        raise InputError(f"{path}: no rows; a header and one row per clip are needed")
    return table


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error


def _delimited(path: Path) -> RawTable:
    text = _text(path)
    first = text.lstrip().partition("\n")[0]
    delimiter = max("\t;,", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows, places = [], []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = _unique(path, (name.strip() for name in row))
                continue
            if len(row) != len(header):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(row)} values under a header of {len(header)} columns; "
                    "put values that hold the separator in quotes"
                )
            rows.append(row)
            places.append(f"line {reader.line_num}")
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}; write it as CSV anew") from error
    columns = {name: [_filled(row[i]) for row in rows] for i, name in enumerate(header)}
    return RawTable(columns, places, decimal_comma=delimiter == ";")


def _filled(cell: str) -> str | None:
    return cell.strip() or None


def _json_lines(path: Path) -> RawTable:
    rows, places = [], []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(
                f"{path}, line {number}: no JSON ({error}); write one object per line"
            ) from error
        if not isinstance(row, dict):
            raise InputError(
                f"{path}, line {number}: holds {type(row).__name__}; write one object per line, "
                '{"clip_id": ..., "prediction": ...}'
            )
        rows.append({name.strip(): value for name, value in row.items()})
        places.append(f"line {number}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return RawTable({name: [row.get(name) for row in rows] for name in names}, places)


def _parquet(path: Path) -> RawTable:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not readable as Parquet ({error}); write it anew, or as CSV") from error
    names = _unique(path, (name.strip() for name in table.column_names))
    columns = {name: column.to_pylist() for name, column in zip(names, table.columns, strict=True)}
    return RawTable(columns, [f"row {i + 1}" for i in range(table.num_rows)])


def _unique(path: Path, names: Iterable[str]) -> list[str]:
    """The names, or an error where one of them is there twice."""
    listed = list(names)
    double = sorted({name for name in listed if listed.count(name) > 1})
    if double:
        raise InputError(
            f"{path}: the column {double[0]!r} is there {listed.count(double[0])} times; keep one"
        )
    return listed
