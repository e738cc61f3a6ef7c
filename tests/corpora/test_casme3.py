from __future__ import annotations

from pathlib import Path

import pytest

from equime.coded import AuCode
from equime.corpora.casme2 import Casme2
from equime.corpora.casme3 import Casme3
from equime.errors import InputError
from tests.corpora.miniatures import codes, sheet
from tests.corpora.more_miniatures import CASME3_ALL_HEADER, CASME3_ALL_ROWS, casme3, casme3_c


def test_part_a(tmp_path: Path) -> None:
    data = Casme3().read(casme3(tmp_path))
    assert codes(data.info.findings) == {}
    assert [(c.subject_id, c.name, c.onset, c.label) for c in data.clips] == [
        ("spNO.901", "b", 3, "negative"),
        ("spNO.901", "b", 11, "surprise"),
        ("spNO.902", "j", 2, "positive"),
    ]
    assert len({clip.clip_id for clip in data.clips}) == 3
    assert data.clips[0].file == "part_A/spNO.901/b/color"
    assert data.clips[2].aus == (AuCode(au=2, side="left"), AuCode(au=1, side="left"))
    assert data.clips[0].coded["Objective class"] == "III"


def test_part_a_with_macro_expressions(tmp_path: Path) -> None:
    root = casme3(tmp_path)
    file = sheet(root / "CAS(ME)3_part_A_v2.xlsx", [CASME3_ALL_HEADER, *CASME3_ALL_ROWS])
    data = Casme3().read(root, table=file)
    assert [(c.name, c.expression, c.emotion) for c in data.clips] == [
        ("b", "micro", None),
        ("j", "macro", None),
    ]
    Casme3().export(data.clips, tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == ",".join(CASME3_ALL_HEADER)
    assert lines[2] == "spNO.902,j,2,9,19,12,Macro-expression,I"
    again = Casme3().read_table(tmp_path / "out.csv")
    assert [clip.expression for clip in again.clips] == ["micro", "macro"]


def test_part_c(tmp_path: Path) -> None:
    data = Casme3().read(casme3_c(tmp_path))
    assert [(c.subject_id, c.name, c.onset, c.apex, c.offset, c.label) for c in data.clips] == [
        ("01", "1", 3, None, 9, "negative"),
        ("01", "2", 11, None, 14, "positive"),
    ]
    assert data.clips[0].aus == (AuCode(au=4), AuCode(au=7))
    assert data.clips[0].file == "part_C/01/a/color"


def test_folders_in_capitals(tmp_path: Path) -> None:
    root = casme3(tmp_path)
    (root / "part_A/spNO.902/j").rename(root / "part_A/spNO.902/x")
    (root / "part_A/spNO.902/x").rename(root / "part_A/spNO.902/J")
    assert Casme3().read(root).clips[2].file == "part_A/spNO.902/J/color"


def test_a_table_of_another_corpus(tmp_path: Path) -> None:
    Casme2().export([], tmp_path / "casme2.csv")
    with pytest.raises(InputError, match="no row with the columns"):
        Casme3().read_table(tmp_path / "casme2.csv")
