from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from openpyxl import load_workbook

from equime.corpora.casme_squared import CasmeSquared
from equime.errors import InputError
from tests.corpora.miniatures import codes, sheet
from tests.corpora.more_miniatures import CASME_SQUARED_ROWS, casme_squared


def test_micro_and_macro_in_one_video(tmp_path: Path) -> None:
    data = CasmeSquared().read(casme_squared(tmp_path))
    assert codes(data.info.findings) == {"sentinel": 1}
    seen = [(c.subject_id, c.name, c.expression, c.label, c.onset, c.apex, c.offset) for c in data.clips]
    assert seen == [
        ("s15", "anger1_1", "macro", "negative", 5, 8, 12),
        ("s15", "anger1_2", "micro", None, 14, 16, 18),
        ("s16", "happy4_1", "macro", "positive", 3, 6, None),
    ]
    assert [clip.file for clip in data.clips] == [
        "rawpic/s15/15_0401girlcrashing",
        "rawpic/s15/15_0401girlcrashing",
        "rawpic/s16/16_0507climbingthewall",
    ]
    assert data.clips[1].coded["self-report"] == "sadness"


def test_without_the_sheets_of_names(tmp_path: Path) -> None:
    named, bare = (CasmeSquared().read(casme_squared(tmp_path / str(n), names=bool(n))).clips for n in (1, 0))
    assert named == bare


def test_the_sheets_of_names_win(tmp_path: Path) -> None:
    root = casme_squared(tmp_path)
    book = load_workbook(root / "CAS(ME)^2code_final.xlsx")
    book["naming rule1"]["B2"] = "s99"
    book.save(root / "CAS(ME)^2code_final.xlsx")
    shutil.move(root / "rawpic/s16", root / "rawpic/s99")
    (root / "rawpic/s99/16_0507climbingthewall").rename(root / "rawpic/s99/99_0507climbingthewall")
    assert CasmeSquared().read(root).clips[2].subject_id == "s99"


def test_a_folder_under_another_subjects_number(tmp_path: Path) -> None:
    """The release has s19/23_0502funnyerrors."""
    root = casme_squared(tmp_path)
    (root / "rawpic/s16/16_0507climbingthewall").rename(root / "rawpic/s16/23_0507climbingthewall")
    assert CasmeSquared().read(root).clips[2].file == "rawpic/s16/23_0507climbingthewall"


def test_a_row_without_type_or_video(tmp_path: Path) -> None:
    rows = [*CASME_SQUARED_ROWS, (2, "happy4_2", 9, 10, 11, "12", "positive", "", ""), (1, "noise", 1, 2, 3)]
    data = CasmeSquared().read(casme_squared(tmp_path, rows))
    assert codes(data.info.findings) == {"sentinel": 1, "no_expression_type": 2, "no_folder": 1}


def test_export_has_no_header_like_the_release(tmp_path: Path) -> None:
    data = CasmeSquared().read(casme_squared(tmp_path))
    CasmeSquared().export(data.clips, tmp_path / "out.xlsx")
    book = load_workbook(tmp_path / "out.xlsx")
    assert book.sheetnames == ["CASFEcode_final", "naming rule1", "naming rule2"]
    rows = list(book["CASFEcode_final"].iter_rows(values_only=True))
    assert [(*row[:5], *row[6:]) for row in rows] == [(*row[:5], *row[6:]) for row in CASME_SQUARED_ROWS]
    CasmeSquared().export(data.clips, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == (
        "1,anger1_2,14,16,18,38,others,micro-expression,sadness"
    )
    with pytest.raises(InputError, match=r"written as \.xlsx or \.csv"):
        CasmeSquared().export(data.clips, tmp_path / "out.ods")


def test_another_table(tmp_path: Path) -> None:
    sheet(tmp_path / "other.xlsx", [("Subject", "Filename"), (1, "EP01")])
    with pytest.raises(InputError, match="no row like those"):
        CasmeSquared().read_table(tmp_path / "other.xlsx")
