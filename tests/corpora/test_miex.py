from __future__ import annotations

from pathlib import Path

import pytest

from equime.corpora.miex import MieX
from equime.errors import InputError, MissingError
from tests.corpora.miniatures import codes, frames
from tests.corpora.more_miniatures import MIEX, miex


def test_labels_are_those_of_the_release_not_of_equimes_loaders(tmp_path: Path) -> None:
    data = MieX().read(miex(tmp_path))
    assert {clip.name: clip.label for clip in data.clips} == MIEX
    assert [clip.person for clip in data.clips] == ["miex/900001", "miex/900001", "miex/900002"]
    assert {(clip.onset, clip.apex, clip.offset) for clip in data.clips} == {(0, 1, None)}
    assert data.clips[2].coded == {"source": "prior"}
    assert codes(data.info.findings) == {}


def test_a_list_of_labels(tmp_path: Path) -> None:
    frames(tmp_path / "faces" / "N_001_000011", [0, 1], "{}.png")
    frames(tmp_path / "N_001_000012", [0, 1], "{}.png")
    (tmp_path / "list.txt").write_text("faces/N_001_000011 1\n\nelsewhere/N_001_000012 2\n")
    data = MieX().read(tmp_path, table=tmp_path / "list.txt")
    assert [(c.subject_id, c.name, c.label, c.file) for c in data.clips] == [
        ("N_001_00001", "N_001_000011", "positive", "faces/N_001_000011"),
        ("N_001_00001", "N_001_000012", "surprise", "N_001_000012"),
    ]
    assert codes(data.info.findings) == {"identical_pair": 2}


def test_pictures_with_the_number_in_front(tmp_path: Path) -> None:
    miex(tmp_path)
    for n in (0, 1):
        place = tmp_path / "900001_mmew_1"
        (place / f"{n}.png").rename(place / f"{n}_out.png")
    data = MieX().read(tmp_path)
    assert len(data.clips) == 2
    assert "named_out" in codes(data.info.findings)
    assert "rename 0_out.png to out_0.png" in data.info.findings[0].message


def test_what_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("a 0\nb 7\n")
    with pytest.raises(InputError, match="line 2: 'b 7' is no folder"):
        MieX().read_table(tmp_path / "bad.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="holds no line"):
        MieX().read_table(tmp_path / "empty.txt")
    with pytest.raises(MissingError, match="no such file"):
        MieX().read_table(tmp_path / "none.txt")


def test_export_needs_a_class(tmp_path: Path) -> None:
    clips = MieX().read(miex(tmp_path)).clips
    MieX().export(clips, tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "900001_mmew_0 0\n900001_mmew_1 1\n900002_prior_2 2\n"
    import msgspec  # noqa: PLC0415

    with pytest.raises(InputError, match="1 of 1 clips have no class"):
        MieX().export([msgspec.structs.replace(clips[0], label=None)], tmp_path / "none.txt")
