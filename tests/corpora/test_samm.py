"""SAMM: header in row 14, subjects of three digits, marks of -1."""

from __future__ import annotations

from pathlib import Path

from openpyxl import load_workbook

from equime.coded import AuCode
from equime.corpora.casme2 import Casme2
from equime.corpora.samm import Samm

from . import miniatures as mini


def test_rows_become_clips(tmp_path: Path) -> None:
    data = Samm().read(mini.samm(tmp_path))
    first, second, third = data.clips
    assert [clip.subject_id for clip in data.clips] == ["006", "038", "038"]
    assert first.aus == (AuCode(au=12, side="right", letter="B"),)
    assert (first.emotion, first.label, first.coded["Estimated Emotion"]) == (
        "happiness",
        "positive",
        "Happiness",
    )
    assert second.apex is None
    assert second.coded["Apex Frame"] == "-1"
    assert second.coded["Notes"] == "Eyes closed"
    assert (third.emotion, third.label) == ("others", None)
    assert first.file == "SAMM/006/006_8_1"
    assert mini.codes(data.info.findings) == {"sentinel": 1, "au_alternatives": 1}


def test_subjects_that_excel_took_for_numbers(tmp_path: Path) -> None:
    rows = [(6, *mini.SAMM_ROWS[0][1:])]
    assert Samm().read(mini.samm(tmp_path, rows)).clips[0].subject_id == "006"


def test_roundtrip_in_the_published_shape(tmp_path: Path) -> None:
    first = Samm().read_table(mini.samm(tmp_path) / "SAMM_Micro_FACS_Codes_v2.xlsx")
    Samm().export(first.clips, tmp_path / "out.xlsx")
    assert Samm().read_table(tmp_path / "out.xlsx").clips == first.clips
    page = load_workbook(tmp_path / "out.xlsx")["MICRO_ONLY"]
    assert tuple(cell.value for cell in page[14]) == mini.SAMM_HEADER
    assert [cell.value for cell in page[15]] == list(mini.SAMM_ROWS[0])
    assert page.max_row == 17


def test_clips_of_another_corpus_get_a_duration_and_a_capital(tmp_path: Path) -> None:
    data = Casme2().read_table(mini.casme2(tmp_path) / "CASME2-coding-20140508.xlsx")
    Samm().export(data.clips[:1], tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[14] == "01,EP90_01f,,46,50,54,9,,4+L10,Disgust,,"


def test_is_table_and_recognises(tmp_path: Path) -> None:
    assert Samm().is_table(mini.SAMM_HEADER)
    assert not Samm().is_table(mini.SAMM_LONG_HEADER)
    assert not Samm().is_table([c for c in mini.CASME2_HEADER if c])
    mini.samm(tmp_path / "a")
    mini.samm_long(tmp_path / "b")
    assert [Samm().recognises(tmp_path / n) for n in "ab"] == [True, False]
