from __future__ import annotations

from pathlib import Path

from openpyxl import load_workbook

from equime.coded import AuCode
from equime.corpora.fourdme import FourDme
from tests.corpora.miniatures import codes
from tests.corpora.more_miniatures import fourdme


def test_rows_and_frames(tmp_path: Path) -> None:
    data = FourDme().read(fourdme(tmp_path))
    assert codes(data.info.findings) == {"continuing_au": 1}
    first, second = data.clips
    assert (first.corpus, first.subject_id, first.name, first.fps) == ("4dme", "091", "091_1_1", 60)
    assert (first.emotion, first.label, second.label) == ("negative", "negative", "positive")
    assert first.aus == (AuCode(au=4),)
    assert first.au_text == "AU4+AU7(k)"
    assert second.coded["eye blink"] == "1"
    assert first.file == "gray_micro/091/091_1_1"


def test_root_may_be_gray_micro(tmp_path: Path) -> None:
    root = fourdme(tmp_path) / "gray_micro"
    assert [clip.file for clip in FourDme().read(root).clips] == ["091/091_1_1", "092/092_2_1"]


def test_export_writes_flags_and_one_hot(tmp_path: Path) -> None:
    clips = FourDme().read(fourdme(tmp_path)).clips
    FourDme().export(clips, tmp_path / "out.xlsx")
    header, first, _ = load_workbook(tmp_path / "out.xlsx").active.iter_rows(values_only=True)
    row = dict(zip(header, first, strict=True))
    assert (row["AUs"], row["AU4"], row["AU7"], row["AU12"], row["Negative"]) == ("AU4+AU7(k)", 1, 0, 0, 1)
    assert (row["Total"], row["Emotion"]) == (8, "Negative")
    assert FourDme().read_table(tmp_path / "out.xlsx").clips[0].aus == clips[0].aus
