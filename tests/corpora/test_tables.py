"""Coding tables: header anywhere, loose cells, three formats, faults named."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import xlrd
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from equime.corpora.tables import CellError, as_int, as_text, find_table, norm_name, read_rows, write_rows
from equime.errors import InputError, MissingError

from . import miniatures


def test_header_is_found_below_a_preamble_and_blank_rows_are_left_out(tmp_path: Path) -> None:
    rows = [
        ("Sub\nject ", None, "Onset  Frame", "AU"),
        ("006", None, 6.0, "4+7"),
        (None,) * 4,
        (7, "x", 8, " "),
    ]
    path = miniatures.sheet(tmp_path / "t.xlsx", rows, "MICRO_ONLY", preamble=13)
    table = find_table(path, ["subject", "OnsetFrame", "Action Units|AU"])
    assert (table.sheet, table.header_row, table.columns) == (
        "MICRO_ONLY",
        14,
        ("Sub ject", "", "Onset Frame", "AU"),
    )
    assert table.numbers == (15, 17)
    assert table.rows[0] == {"Sub ject": "006", "Onset Frame": 6, "AU": "4+7"}
    assert table.rows[1] == {"Sub ject": 7, "column B": "x", "Onset Frame": 8, "AU": None}
    assert table.column("ActionUnits", "au") == "AU"
    assert table.column("emotion") is None
    assert table.where(1) == "t.xlsx, sheet MICRO_ONLY, row 17"


def test_the_sheet_with_the_columns_is_taken(tmp_path: Path) -> None:

    book = Workbook()
    book.active.append(["rule", "meaning"])
    page = book.create_sheet("label")
    page.append(["Subject", "AU"])
    page.append([1, 4])
    book.save(tmp_path / "t.xlsx")
    assert find_table(tmp_path / "t.xlsx", ["Subject", "AU"]).sheet == "label"
    with pytest.raises(InputError, match=r"lacks AU"):
        find_table(tmp_path / "t.xlsx", ["rule", "AU"])
    with pytest.raises(InputError, match=r"no sheet 'x'; it has 'Sheet', 'label'"):
        find_table(tmp_path / "t.xlsx", ["Subject"], sheet="x")
    with pytest.raises(InputError, match="no row with the columns Subject"):
        find_table(tmp_path / "t.xlsx", ["Subject"], sheet="Sheet")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_csv_of_any_delimiter_and_encoding(tmp_path: Path, delimiter: str, encoding: str) -> None:
    text = f"Subject{delimiter}Notes{delimiter}AU\r\n006{delimiter}für{delimiter}4+7\r\n"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert read_rows(tmp_path / "t.csv") == [{"Subject": "006", "Notes": "für", "AU": "4+7"}]


def test_xls_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No writer of .xls is installed: xlrd stands in with what it gives for a file."""

    class Sheet:
        name, nrows = "label", 2

        def row_values(self, i: int) -> list[object]:
            return [["Subject", "Onset"], ["spNO.1", 12.0]][i]

    class Book:
        def sheets(self) -> list[Sheet]:
            return [Sheet()]

    monkeypatch.setattr(xlrd, "open_workbook", lambda **_: Book())
    path = tmp_path / "t.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0rest")
    table = find_table(path, ["Subject", "Onset"])
    assert as_int(table.rows[0]["Onset"]) == 12
    assert table.sheet == "label"


@pytest.mark.parametrize("data", [b"PK\x03\x04broken", b"\xd0\xcf\x11\xe0broken", b"\x00\x01\x02"])
def test_a_damaged_file_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "coding.xlsx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"coding\.xlsx: (not a readable Excel file|neither)"):
        find_table(path, ["Subject"])


def test_an_empty_or_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"")
    with pytest.raises(InputError, match="no row with the columns"):
        find_table(tmp_path / "t.csv", ["Subject"])
    with pytest.raises(InputError, match="no header"):
        read_rows(tmp_path / "t.csv")
    with pytest.raises(MissingError, match="--table"):
        find_table(tmp_path / "none.xlsx", ["Subject"])


@pytest.mark.parametrize(
    ("cell", "value"),
    [(6, 6), (6.0, 6), ("6.0", 6), (" 46 ", 46), ("006", 6), (None, None), ("  ", None), (-1, -1)],
)
def test_whole_numbers(cell: object, value: int | None) -> None:
    assert as_int(cell) == value


@pytest.mark.parametrize("cell", [3.7, "3.7", "n/a", "4+7", True, datetime(2014, 5, 4), "1e3", "nan"])
def test_no_whole_numbers(cell: object) -> None:
    with pytest.raises(CellError, match="is no whole number"):
        as_int(cell)
    assert as_int("N/A", missing={"n/a"}) is None


def test_text_of_cells() -> None:
    assert [as_text(c) for c in (None, 6.0, 0.5, " x ", "006", datetime(2014, 5, 4))] == [
        "", "6", "0.5", "x", "006", "2014-05-04",
    ]  # fmt: skip
    assert norm_name("Onset\n Frame (n)") == "onsetframen"


def test_written_tables_are_the_same_bytes_and_keep_text(tmp_path: Path) -> None:
    columns, rows = ["Subject", "", "AU"], [{"Subject": "006", "AU": "=4"}, {"Subject": 7}]
    for path in (tmp_path / "a.xlsx", tmp_path / "b.xlsx"):
        write_rows(path, columns, rows, sheet="S", preamble=["said before", ""])
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    table = find_table(tmp_path / "a.xlsx", ["Subject", "AU"], sheet="S")
    assert table.header_row == 3
    assert table.columns == ("Subject", "", "AU")
    assert table.rows == ({"Subject": "006", "AU": "=4"}, {"Subject": 7, "AU": None})
    with pytest.raises(InputError, match=r"written as \.xlsx or \.csv"):
        write_rows(tmp_path / "t.ods", columns, rows)
    with pytest.raises(InputError, match="Excel cannot hold"):
        write_rows(tmp_path / "t.xlsx", ["A"], [{"A": "\x01"}])


def test_a_column_name_twice(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.csv", ["A"], [])
    (tmp_path / "t.csv").write_text("A,A,B\n1,2,3\n")
    assert read_rows(tmp_path / "t.csv") == [{"A": "1", "A (2)": "2", "B": "3"}]


CELLS = st.one_of(
    st.none(),
    st.integers(-(10**6), 10**6),
    st.text(st.characters(min_codepoint=32, exclude_categories=("C", "Z")), min_size=1, max_size=8),
)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[object, object]], ending: str
) -> None:
    path = tmp_path_factory.mktemp("t") / f"t.{ending}"
    write_rows(path, ["Subject", "AU"], [{"Subject": a, "AU": b} for a, b in rows])
    read = find_table(path, ["Subject", "AU"]).rows
    assert [(as_text(r["Subject"]), as_text(r["AU"])) for r in read] == [
        (as_text(a), as_text(b)) for a, b in rows if as_text(a) or as_text(b)
    ]
