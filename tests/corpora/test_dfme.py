from __future__ import annotations

from pathlib import Path

import pytest

from equime.corpora.dfme import Dfme
from equime.errors import MissingError
from tests.corpora.miniatures import codes, sheet
from tests.corpora.more_miniatures import DFME_HEADER, DFME_ROWS, dfme


def test_lists_together_training_first(tmp_path: Path) -> None:
    data = Dfme().read(dfme(tmp_path))
    assert codes(data.info.findings) == {}
    assert [(c.subject_id, c.name, c.fps, c.emotion, c.aus is None) for c in data.clips] == [
        ("sub9003", "sub9003_01", 200, "happiness", False),
        ("sub9003", "sub9003_02", 500, "contempt", False),
        ("sub9004", "sub9004_01", 300, None, True),
    ]
    assert [clip.file for clip in data.clips] == ["train/sub9003_01", "train/sub9003_02", "testA/sub9004_01"]
    assert data.info.config["table"] == "DFME_train.xlsx, DFME_testA.xlsx"


def test_one_list(tmp_path: Path) -> None:
    root = dfme(tmp_path)
    data = Dfme().read(root, table=root / "DFME_testA.xlsx")
    assert [clip.name for clip in data.clips] == ["sub9004_01"]
    assert codes(data.info.findings) == {"no_row": 2}


def test_a_frame_rate_that_is_none(tmp_path: Path) -> None:
    rows = [(*DFME_ROWS[0][:7], 0, "12"), (*DFME_ROWS[1][:7], "fast", "12")]
    data = Dfme().read_table(sheet(tmp_path / "DFME_train.xlsx", [DFME_HEADER, *rows]))
    assert [clip.fps for clip in data.clips] == [200, 200]
    assert codes(data.info.findings) == {"no_fps": 2}


def test_durations_follow_the_rows_frame_rate(tmp_path: Path) -> None:
    clips = Dfme().read(dfme(tmp_path)).clips
    Dfme().export(clips, tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == ",".join(DFME_HEADER)
    assert lines[2] == "sub9003,sub9003_02,0,6,11,contempt,6,500,R14+AD38"


def test_no_list(tmp_path: Path) -> None:
    root = dfme(tmp_path)
    for file in root.glob("*.xlsx"):
        file.unlink()
    with pytest.raises(MissingError, match="no list of DFME there"):
        Dfme().read(root)
