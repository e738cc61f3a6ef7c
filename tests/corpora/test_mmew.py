from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from equime.coded import AuCode
from equime.corpora.mmew import Mmew
from equime.errors import MissingError
from tests.corpora.miniatures import CASME2_HEADER, codes
from tests.corpora.more_miniatures import MMEW_HEADER, MMEW_ROWS, mmew


def test_rows_and_frames(tmp_path: Path) -> None:
    data = Mmew().read(mmew(tmp_path))
    assert codes(data.info.findings) == {}
    first, second, third = data.clips
    assert (first.subject_id, first.name, first.fps) == ("S01", "S01-91-001", 90)
    assert (first.onset, first.apex, first.offset) == (1, 4, 9)
    assert first.aus == (AuCode(au=6), AuCode(au=12, side="left"))
    assert (second.label, third.label, third.emotion) == ("negative", None, "others")
    assert second.coded == {"remarks": "low light"}
    assert data.path_of(first) == tmp_path / "Micro_Expression/happiness/S01-91-001"


def test_a_clip_under_another_emotion_is_found(tmp_path: Path) -> None:
    base = mmew(tmp_path) / "Micro_Expression"
    (base / "anger").mkdir()
    shutil.move(base / "disgust" / "S01-92-001", base / "anger")
    assert Mmew().read(tmp_path).clips[1].file == "Micro_Expression/anger/S01-92-001"


def test_frames_without_a_row_and_a_row_without_frames(tmp_path: Path) -> None:
    base = mmew(tmp_path) / "Micro_Expression"
    shutil.copytree(base / "others" / "S30-97-001", base / "fear" / "S31-05-001")
    shutil.rmtree(base / "disgust")
    data = Mmew().read(tmp_path)
    assert codes(data.info.findings) == {"no_folder": 1, "no_row": 1}
    assert [clip.name for clip in data.clips] == ["S01-91-001", "S30-97-001"]


def test_tables_of_casme2_are_told_apart() -> None:
    assert Mmew().is_table(MMEW_HEADER)
    assert not Mmew().is_table([name or "" for name in CASME2_HEADER])


def test_export_is_the_table_again(tmp_path: Path) -> None:
    data = Mmew().read(mmew(tmp_path))
    Mmew().export(data.clips, tmp_path / "out.xlsx")
    from openpyxl import load_workbook  # noqa: PLC0415

    rows = list(load_workbook(tmp_path / "out.xlsx").active.iter_rows(values_only=True))
    assert rows[0] == MMEW_HEADER
    assert [row[:5] for row in rows[1:]] == [tuple(row[:5]) for row in MMEW_ROWS]


@pytest.mark.parametrize(("at", "says"), [("..", "too high"), ("Micro_Expression/happiness", "too low")])
def test_wrong_level(tmp_path: Path, at: str, says: str) -> None:
    root = mmew(tmp_path / "MMEW_copy")
    with pytest.raises(MissingError, match=says):
        Mmew().read((root / at).resolve())
