"""CASME: frames called after their clip, two blank columns, a second apex."""

from __future__ import annotations

from pathlib import Path

import pytest

from equime.corpora.casme import Casme
from equime.errors import InputError, MissingError

from . import miniatures as mini


def test_rows_become_clips(tmp_path: Path) -> None:
    data = Casme().read(mini.casme(tmp_path))
    first, second = data.clips
    assert (first.subject_id, first.fps, first.emotion, first.label) == ("01", 60.0, "tense", None)
    assert (second.onset, second.apex, second.offset) == (101, 104, 110)
    assert second.coded == {"ApexF2": "106"}
    assert second.file == "CASME_raw_selected/sub07/EP03_97"
    assert data.info.findings == ()


def test_roundtrip(tmp_path: Path) -> None:
    first = Casme().read_table(mini.casme(tmp_path) / "casme.xlsx")
    Casme().export(first.clips, tmp_path / "out.csv")
    assert Casme().read_table(tmp_path / "out.csv").clips == first.clips
    header = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert header == "Subject,Filename,,OnsetF,ApexF1,ApexF2,OffsetF,,AU,Emotion"


def test_casme_and_casme2_are_told_apart(tmp_path: Path) -> None:
    mini.casme(tmp_path / "casme")
    mini.casme2(tmp_path / "casme2")
    assert Casme().recognises(tmp_path / "casme")
    assert Casme().recognises(tmp_path / "casme/CASME_raw_selected")
    assert not Casme().recognises(tmp_path / "casme2")
    assert Casme().is_table([c for c in mini.CASME_HEADER if c])
    assert not Casme().is_table([c for c in mini.CASME2_HEADER if c])
    with pytest.raises(
        InputError, match=r"Emotion, AU or Action Units among.*lacks OnsetF, ApexF1, OffsetF, Emotion\. Is it"
    ):
        Casme().read(tmp_path / "casme", table=tmp_path / "casme2/CASME2-coding-20140508.xlsx")


def test_a_wrong_level_is_refused(tmp_path: Path) -> None:
    mini.casme(tmp_path / "CASME")
    with pytest.raises(MissingError, match=f"too high a level.*use {(tmp_path / 'CASME').resolve()} instead"):
        Casme().read(tmp_path)
    (tmp_path / "CASME/casme.xlsx").unlink()
    with pytest.raises(MissingError, match="no coding table of CASME"):
        Casme().read(tmp_path / "CASME")
