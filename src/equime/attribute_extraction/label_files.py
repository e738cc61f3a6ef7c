"""Tables of annotations as people have them: CSV of any program, TSV, Parquet, read as text cells.

A CSV file is UTF-8 (with or without BOM), UTF-16 with BOM, or else taken as Windows-1252, which Excel writes in
western Europe. Its separator is the one of comma, semicolon, tab and ``|`` that the header has most of.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from equime.errors import InputError

SEPARATORS: Final = ",;\t|"
MISSING: Final = frozenset({"", "na", "n/a", "nan", "none", "null", "unknown", "?", "-"})
"""Cells that say nothing, in any case."""


@dataclass(frozen=True)
class LabelTable:
    """A file as it was read.

    Attributes:
        file: path as given.
        sha256: of its bytes.
        encoding: "utf-8", "utf-16", "windows-1252", or "parquet".
        columns: names, lower case, words joined by ``_``.
        rows: cells by column, with the number of the row: of a text file its line where no cell has line breaks.
            Cells of `MISSING` are left out.
    """

    file: str
    sha256: str
    encoding: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_label_file(file: Path) -> LabelTable:
    """Read a table of annotations.

    Raises:
        InputError: no such file, a format or encoding that is not read, no rows, a row that is too long, or column
            names that are missing or double.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    ending = file.suffix.lower()
    if ending == ".parquet":
        names, rows, encoding = *_parquet(file, data), "parquet"
    elif ending in (".csv", ".tsv", ".txt"):
        text, encoding = _decoded(file, data)
        names, rows = _separated(file, text, "\t" if ending == ".tsv" else None)
    else:
        raise InputError(
            f"{file}: tables are read from .csv, .tsv and .parquet, not from {ending or 'a file without ending'}; "
            "save it as CSV (in Excel: Save as, CSV UTF-8)"
        )
    columns = _checked_names(file, names)
    cells = [
        (number, {c: v for c, v in zip(columns, row, strict=True) if v.casefold() not in MISSING})
        for number, row in rows
    ]
    filled = tuple((number, row) for number, row in cells if row)
    if not filled:
        raise InputError(f"{file}: has no rows; it needs a header line and a row per clip or person")
    return LabelTable(str(file), hashlib.sha256(data).hexdigest(), encoding, columns, filled)


def _decoded(file: Path, data: bytes) -> tuple[str, str]:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        tries = [("utf-16", "utf-16")]
    else:
        tries = [("utf-8-sig", "utf-8"), ("cp1252", "windows-1252")]
    for codec, name in tries:
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            raise InputError(f"{file}: is no text file; save the table as CSV (UTF-8)")
        return text, name
    raise InputError(
        f"{file}: is neither UTF-8 nor UTF-16 nor Windows-1252; save it as CSV in UTF-8 (in Excel: CSV UTF-8)"
    )


def _separated(file: Path, text: str, separator: str | None) -> tuple[list[str], list[tuple[int, list[str]]]]:
    header = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", header)
    # Excel's first line "sep=;" names the separator.
    if named := re.fullmatch(r"sep=(.)", header.strip(), re.IGNORECASE):
        separator, text = named[1], text[text.index(header) + len(header) :]
    reader = csv.reader(
        io.StringIO(text, newline=""), strict=True, delimiter=separator or max(SEPARATORS, key=bare.count)
    )
    lines: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                lines.append((reader.line_num, stripped))
    except csv.Error as error:
        raise InputError(f"{file}: line {reader.line_num}: {error}; check its quotation marks") from error
    if not lines:
        return [], []
    names = lines[0][1]
    while names and not names[-1]:
        names = names[:-1]  # a separator at the end of every line
    rows = [(number, _fitted(file, number, cells, len(names))) for number, cells in lines[1:]]
    return names, rows


def _fitted(file: Path, number: int, cells: list[str], n: int) -> list[str]:
    if any(cells[n:]):
        raise InputError(
            f"{file}: line {number} has {len(cells)} values, the header has {n} columns; a value that holds the "
            "separator needs quotation marks"
        )
    return (cells + [""] * n)[:n]


def _parquet(file: Path, data: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file}: is no Parquet table ({error}); write it again, or as CSV") from error
    columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    rows = [(i + 1, [column[i] for column in columns]) for i in range(table.num_rows)]
    return [str(name) for name in table.column_names], rows


def _text(value: Any) -> str:
    """A cell as text: 7.0 is 7, which is what data frames make of whole numbers with gaps."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _checked_names(file: Path, names: list[str]) -> tuple[str, ...]:
    found = tuple(re.sub(r"\W+", "_", name.strip().lower()).strip("_") for name in names)
    if "" in found:
        raise InputError(f"{file}: column {found.index('') + 1} has no name; name every column")
    double = sorted({name for name in found if found.count(name) > 1})
    if double:
        raise InputError(f"{file}: several columns are called {', '.join(double)}; rename or remove them")
    return found
