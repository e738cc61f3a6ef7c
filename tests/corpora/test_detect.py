from __future__ import annotations

from pathlib import Path

import pytest

from equime.coded import write_set
from equime.corpora.detect import detect, detect_table, open_corpus, open_table
from equime.corpora.meb import write_meb
from equime.corpora.mmew import Mmew
from equime.errors import InputError, MissingError
from tests.corpora import miniatures, more_miniatures


def test_read_without_a_key(tmp_path: Path) -> None:
    assert open_corpus(more_miniatures.mmew(tmp_path)).info.corpus == "mmew"


def test_the_table_decides_where_the_folder_does_not(tmp_path: Path) -> None:
    root = more_miniatures.mmew(tmp_path / "a")
    table = root / "MMEW_Micro_Exp.xlsx"
    table.rename(tmp_path / "codes.xlsx")
    assert open_corpus(root, table=tmp_path / "codes.xlsx").info.corpus == "mmew"


def test_two_corpora_in_one_folder(tmp_path: Path) -> None:
    more_miniatures.mmew(tmp_path)
    miniatures.samm(tmp_path)
    assert detect(tmp_path) == ["samm", "mmew"]
    with pytest.raises(InputError, match="may be samm or mmew; say which with --as KEY, or as KEY:PATH"):
        open_corpus(tmp_path)
    assert open_corpus(tmp_path, "samm").info.corpus == "samm"


def test_nothing_known(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(InputError, match=r"no layout of a corpus that equime knows.*flow_folders:"):
        open_corpus(tmp_path / "holiday")
    more_miniatures.mmew(tmp_path / "holiday" / "copy")
    with pytest.raises(InputError, match=r"the right folder may be .*holiday/copy \(mmew\)"):
        open_corpus(tmp_path / "holiday")
    with pytest.raises(MissingError, match="no such folder"):
        open_corpus(tmp_path / "nowhere")
    with pytest.raises(InputError, match="unknown corpus 'cas'"):
        open_corpus(tmp_path, "cas")


def test_a_file_and_a_written_set(tmp_path: Path) -> None:
    root = more_miniatures.mmew(tmp_path / "a")
    with pytest.raises(InputError, match="is a file; give the corpus' folder"):
        open_corpus(root / "MMEW_Micro_Exp.xlsx")
    write_set(Mmew().read(root), tmp_path / "set")
    with pytest.raises(InputError, match="read already"):
        open_corpus(tmp_path / "set")


def test_tables(tmp_path: Path) -> None:
    root = more_miniatures.mmew(tmp_path)
    table = root / "MMEW_Micro_Exp.xlsx"
    assert len(open_table(table).clips) == 3
    write_meb(open_table(table).clips, tmp_path / "meb.csv")
    assert detect_table(tmp_path / "meb.csv") == ["meb"]
    assert [clip.corpus for clip in open_table(tmp_path / "meb.csv").clips] == ["mmew"] * 3
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="columns are those of no corpus"):
        open_table(tmp_path / "other.csv")
    with pytest.raises(MissingError, match="no such file"):
        open_table(tmp_path / "none.csv")
