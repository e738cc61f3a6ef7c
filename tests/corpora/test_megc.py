from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from equime.coded import CodedSet
from equime.corpora.casme2 import Casme2
from equime.corpora.flow_folders import FlowFolders
from equime.corpora.megc import Entry, is_megc, joined, read_list, select, write_list
from equime.corpora.smic import Smic
from equime.errors import InputError
from tests.corpora import miniatures
from tests.corpora.miniatures import codes
from tests.corpora.more_miniatures import flow_folders

HEADER = "dataset,sub,filename_o,label,apex,imagename\n"


@pytest.fixture
def sets(tmp_path: Path) -> list[CodedSet]:
    return [
        Smic().read(miniatures.smic(tmp_path / "SMIC")),
        Casme2().read(miniatures.casme2(tmp_path / "CASME2")),
    ]


def listed(path: Path, *lines: str) -> Path:
    file = path / "composite.csv"
    file.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return file


def test_select(sets: list[CodedSet], tmp_path: Path) -> None:
    file = listed(
        tmp_path,
        "casme2,sub02,EP91_01,2,105,x.jpg",
        "casme2,sub01,EP90_01f,1,99,x.jpg",
        "smic,s01,s01_po_03,1,,x.jpg",
        "smic,s09,s09_po_01,1,,x.jpg",
        "samm,006,006_1_2,0,,x.jpg",
    )
    data = select(sets, file)
    assert [(c.corpus, c.name, c.label, c.apex) for c in data.clips] == [
        ("casme2", "EP91_01", "surprise", 105),
        ("casme2", "EP90_01f", "positive", 50),
        ("smic", "s1_po_03", "positive", None),
    ]
    found = codes(data.info.findings)
    assert found.pop("au_alternatives", None) is not None
    assert {k: found[k] for k in ("not_in_composite", "missing_of_composite", "relabelled", "apex_outside")} == {
        "not_in_composite": 4, "missing_of_composite": 1, "relabelled": 1, "apex_outside": 1,
    }  # fmt: skip
    assert data.info.corpus == "smic+casme2"
    assert data.root == tmp_path
    assert all(data.path_of(clip).is_dir() for clip in data.clips)


def test_select_from_flow_folders(tmp_path: Path) -> None:
    data = FlowFolders().read(flow_folders(tmp_path / "flow"))
    file = listed(
        tmp_path, "casme2,sub01,EP02_01f,1,9,x", "smic,s01,s01_ne_01,0,,x", "samm,006,006_1_2,0,3,x"
    )
    chosen = select([data], file)
    assert [c.name for c in chosen.clips] == ["EP02_01f", "s1_ne_01", "006_1_2"]
    assert [c.apex for c in chosen.clips] == [None] * 3
    assert codes(chosen.info.findings) == {"not_in_composite": 6}


def test_written_list_selects_the_same(sets: list[CodedSet], tmp_path: Path) -> None:
    whole = joined(sets)
    left = write_list(whole.clips, tmp_path / "list.csv")
    assert codes(left) == {"no_class": 1}
    assert read_list(tmp_path / "list.csv")[3] == Entry("casme2", "sub01", "EP90_01f", "negative", 50)
    again = select(sets, tmp_path / "list.csv")
    assert again.clips == tuple(clip for clip in whole.clips if clip.label)


def test_lists_that_are_none(sets: list[CodedSet], tmp_path: Path) -> None:
    assert is_megc(HEADER.strip().split(","))
    with pytest.raises(InputError, match="row 2: label '3' is none of 0"):
        read_list(listed(tmp_path, "casme2,sub01,EP90_01f,3,,x"))
    with pytest.raises(InputError, match="not one of its 1 clips is among the 7"):
        select(sets, listed(tmp_path, "casme2,sub77,EP90_01f,1,,x"))


def test_joining_twice_the_same(sets: list[CodedSet]) -> None:
    with pytest.raises(InputError, match="in more than one set"):
        joined([sets[0], sets[0]])
    with pytest.raises(InputError, match="no set to join"):
        joined([])


def test_clips_without_files_are_joined(sets: list[CodedSet]) -> None:
    bare = sets[0].only(msgspec.structs.replace(clip, kind="none", file="") for clip in sets[0].clips)
    assert {clip.file for clip in joined([bare]).clips} == {""}
