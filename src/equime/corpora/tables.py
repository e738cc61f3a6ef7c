"""Coding tables as people really have them: .xlsx, .xls and .csv, with preambles, blank columns and loose typing.

A table is found by the names of its columns, compared without case, spaces, line breaks and punctuation
(`norm_name`): the row that holds all wanted ones is its header, whatever stands above it.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import warnings
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from equime.corpora.corpus import Row
from equime.errors import InputError, MissingError
from equime.records import write_atomic

SEARCHED_ROWS: Final = 40
"""How far down a header is looked for; SAMM's stands in row 14, that of its long videos in row 10."""

_ZIP: Final = b"PK"
_OLE: Final = b"\xd0\xcf\x11\xe0"
_FIXED_TIME: Final = (1980, 1, 1, 0, 0, 0)

Grid = list[list[Any]]


class CellError(InputError):
    """A cell that does not hold what its column should; the message names the value, the caller adds the row."""


@dataclass(frozen=True)
class Table:
    """The rows below a header.

    Attributes:
        path: the file.
        sheet: name of the sheet; "" for .csv.
        header_row: of the header, from 1, as a spreadsheet counts.
        columns: names as they stand there (white space made single), "" for blank ones.
        rows: one per row that is not blank; cells under a blank column are in it as "column <letter>" if not empty.
        numbers: of the rows in the spreadsheet, from 1.
    """

    path: Path
    sheet: str
    header_row: int
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    numbers: tuple[int, ...]

    def column(self, *names: str) -> str | None:
        """The table's own name of the first of these columns that it has, or None."""
        known = {norm_name(column): column for column in reversed(self.columns) if column}
        return next((known[norm_name(name)] for name in names if norm_name(name) in known), None)

    def where(self, i: int) -> str:
        """Place of a row, for messages: ``coding.xlsx, sheet Sheet1, row 17``."""
        sheet = f", sheet {self.sheet}" if self.sheet else ""
        return f"{self.path.name}{sheet}, row {self.numbers[i]}"


def norm_name(name: object) -> str:
    """A column's name without case, spaces, line breaks and punctuation: "Onset Frame" is "onsetframe"."""
    return "".join(c for c in unicodedata.normalize("NFKC", str(name)).casefold() if c.isalnum())


def as_text(cell: Any) -> str:
    """A cell as text: "" for an empty one, 6.0 as "6"."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime | date):  # Excel takes "5-4" for a date.
        return cell.isoformat()[:10]
    return str(cell).strip()


def as_int(cell: Any, missing: Collection[str] = ()) -> int | None:
    """A cell as a whole number; None for an empty one and for the marks in ``missing`` (such as "/").

    Raises:
        CellError: 3.7, "n/a", a date, a truth value.
    """
    text = as_text(cell)
    if not text or text.casefold() in missing:
        return None
    number = re.fullmatch(r"([+-]?\d+)(\.0*)?", text)
    if isinstance(cell, bool) or number is None:
        raise CellError(f"{text!r} is no whole number")
    return int(number[1])


def sheets_of(path: Path) -> dict[str, Grid]:
    """Every sheet of a file as rows of cells; one called "" for .csv.

    Raises:
        MissingError: no such file.
        InputError: neither an Excel file nor text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingError(f"{path}: no such file; give the coding table with --table") from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}; give a .xlsx, .xls or .csv file"
        ) from None
    try:
        if data.startswith(_ZIP):
            return _xlsx(data)
        if data.startswith(_OLE):
            return _xls(data)
    except Exception as error:  # openpyxl and xlrd raise whatever the damage makes of their code.
        reason = str(error) or type(error).__name__
        raise InputError(
            f"{path}: not a readable Excel file ({reason}); download it again, or open it, remove any password, "
            "and save it as .xlsx or .csv"
        ) from None
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: neither an Excel file nor a text table; give a .xlsx, .xls or .csv file")
    return {"": _csv(_decoded(data))}


def _xlsx(data: bytes) -> dict[str, Grid]:
    import openpyxl  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of styles and validations, which do not touch the cells.
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        grids = {}
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # Some writers state a size that is too small.
            grids[sheet.title] = [list(row) for row in sheet.iter_rows(values_only=True)]
        book.close()
    return grids


def _xls(data: bytes) -> dict[str, Grid]:
    import xlrd  # noqa: PLC0415

    book = xlrd.open_workbook(file_contents=data, logfile=io.StringIO())
    return {
        sheet.name: [
            [None if cell == "" else cell for cell in sheet.row_values(i)] for i in range(sheet.nrows)
        ]
        for sheet in book.sheets()
    }


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _csv(text: str) -> Grid:
    head = [line for line in text.splitlines() if line.strip()][:20]

    def width(delimiter: str) -> int:
        return sorted(len(row) for row in csv.reader(head, delimiter=delimiter) if row)[len(head) // 2]

    delimiter = max(",;\t|", key=width) if head else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [[cell if cell.strip() else None for cell in row] for row in rows]


def find_table(path: Path, required: Sequence[str], *, sheet: str | None = None) -> Table:
    """The table whose header holds all the wanted columns: the first such sheet, the first such row.

    Args:
        path: .xlsx, .xls or .csv file.
        required: columns; ``"Action Units|AU"`` wants one of the two.
        sheet: look in this one only.

    Raises:
        MissingError: no such file.
        InputError: no such sheet, or no row with those columns; the message says what came nearest.
    """
    grids = sheets_of(path)
    if sheet is not None:
        found = {name: grid for name, grid in grids.items() if norm_name(name) == norm_name(sheet)}
        if not found:
            raise InputError(f"{path}: no sheet {sheet!r}; it has {', '.join(map(repr, grids))}")
        grids = found
    wanted = [[norm_name(name) for name in names.split("|")] for names in required]
    best: tuple[int, str, int, list[str]] = (-1, "", 0, [])
    for name, grid in grids.items():
        for i, cells in enumerate(grid[:SEARCHED_ROWS]):
            have = {norm_name(cell) for cell in cells if cell is not None}
            lacking = [given for given, one in zip(required, wanted, strict=True) if not have & set(one)]
            if not lacking:
                return _table(path, name, grid, i)
            best = max(best, (len(required) - len(lacking), name, i, lacking), key=lambda b: b[0])
    n_found, name, i, lacking = best
    place = f"sheet {name!r}, row {i + 1}" if name else f"row {i + 1}"
    nearest = f"; nearest is {place}, which lacks {_spelled(lacking)}" if n_found > 0 else ""
    raise InputError(
        f"{path}: no row with the columns {_spelled(required)} among the first {SEARCHED_ROWS}{nearest}. "
        "Is it the table of another corpus?"
    )


def _spelled(columns: Sequence[str]) -> str:
    return ", ".join(column.replace("|", " or ") for column in columns)


def read_rows(path: Path, *, sheet: str | None = None, header_row: int | None = None) -> list[Row]:
    """Rows of a table whose header stands in ``header_row`` (from 1; the first row that is not blank if None).

    Raises:
        MissingError: no such file.
        InputError: no such sheet, or nothing in it.
    """
    grids = sheets_of(path)
    name = next(iter(grids)) if sheet is None else sheet
    if name not in grids:
        raise InputError(f"{path}: no sheet {name!r}; it has {', '.join(map(repr, grids))}")
    grid = grids[name]
    at = (
        next((i for i, row in enumerate(grid) if not _blank(row)), None)
        if header_row is None
        else header_row - 1
    )
    if at is None or not 0 <= at < len(grid):
        raise InputError(f"{path}: no header in row {header_row or 1}; the sheet has {len(grid)} rows")
    return list(_table(path, name, grid, at).rows)


def _blank(cells: Iterable[Any]) -> bool:
    return all(cell is None or not str(cell).strip() for cell in cells)


def _table(path: Path, sheet: str, grid: Grid, at: int) -> Table:
    columns: list[str] = []
    for cell in grid[at]:
        name = " ".join(as_text(cell).split())
        n = sum(c == name or re.fullmatch(re.escape(name) + r" \(\d+\)", c) is not None for c in columns)
        columns.append(f"{name} ({n + 1})" if name and n else name)
    while columns and not columns[-1]:
        columns.pop()
    rows, numbers = [], []
    for number, cells in enumerate(grid[at + 1 :], at + 2):
        if not _blank(cells):
            rows.append(dict(_named(columns, cells)))
            numbers.append(number)
    return Table(path, sheet, at + 1, tuple(columns), tuple(rows), tuple(numbers))


def _named(columns: Sequence[str], cells: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for i in range(max(len(columns), len(cells))):
        cell = cells[i] if i < len(cells) else None
        cell = None if isinstance(cell, str) and not cell.strip() else cell
        name = columns[i] if i < len(columns) else ""
        if name or cell is not None:
            yield name or f"column {_letters(i)}", cell


def _letters(i: int) -> str:
    return (_letters(i // 26 - 1) if i >= 26 else "") + chr(ord("A") + i % 26)


def write_rows(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    sheet: str = "Sheet1",
    preamble: Sequence[str] = (),
) -> None:
    """Write a table, .xlsx or .csv by the file's ending; the same rows give the same bytes.

    Args:
        path: the file.
        columns: in this order; "" leaves a blank column.
        rows: cells by column; what a row lacks stays empty.
        sheet: name of the sheet.
        preamble: lines above the header, each in the first column.

    Raises:
        InputError: another ending, or a cell that Excel cannot hold.
        WorkError: full disk or no write permission.
    """
    cells = [[row.get(column) if column else None for column in columns] for row in rows]
    grid: Grid = [*([line] for line in preamble), [column or None for column in columns], *cells]
    ending = path.suffix.lower()
    if ending == ".csv":
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(["" if c is None else c for c in row] for row in grid)
        write_atomic(path, text.getvalue().encode())
    elif ending == ".xlsx":
        write_atomic(path, _packed(grid, sheet, path))
    else:
        raise InputError(f"{path}: a table is written as .xlsx or .csv; change the ending")


def _packed(grid: Grid, sheet: str, path: Path) -> bytes:
    import openpyxl  # noqa: PLC0415
    from openpyxl.utils.exceptions import IllegalCharacterError  # noqa: PLC0415

    book = openpyxl.Workbook()
    page = book.active
    page.title = sheet
    for i, row in enumerate(grid, 1):
        for j, value in enumerate(row, 1):
            if value is not None and value != "":
                try:
                    cell = page.cell(i, j, value)
                except IllegalCharacterError:
                    raise InputError(f"{path}: Excel cannot hold the cell {value!r}; write .csv") from None
                if isinstance(value, str):
                    cell.data_type = "s"  # "=1" is text, not a formula.
    raw = io.BytesIO()
    book.save(raw)
    out = io.BytesIO()
    with zipfile.ZipFile(raw) as given, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as fixed:
        for entry in given.infolist():
            data = given.read(entry)
            if entry.filename == "docProps/core.xml":  # It holds the time of day.
                data = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"1980-01-01T00:00:00Z", data)
            info = zipfile.ZipInfo(entry.filename, _FIXED_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            fixed.writestr(info, data)
    return out.getvalue()
