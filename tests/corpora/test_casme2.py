"""CASME II: both tables, every layout of the frames, faults named and counted."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from equime.coded import AuCode, CodedSet, read_set, write_set
from equime.corpora.casme2 import Casme2
from equime.errors import InputError, MissingError
from equime.video import rgb_to_yuv, write_clip

from . import miniatures as mini


def named(data: CodedSet) -> dict[str, object]:
    return {clip.name: clip for clip in data.clips}


def test_rows_become_clips(tmp_path: Path) -> None:
    data = Casme2().read(mini.casme2(tmp_path))
    first, second, third, fourth = data.clips
    assert (first.subject_id, first.name, first.person) == ("01", "EP90_01f", "casme2/01")
    assert (first.onset, first.apex, first.offset, first.fps) == (46, 50, 54, 200.0)
    assert first.aus == (AuCode(au=4), AuCode(au=10, side="left"))
    assert (first.au_text, first.emotion, first.label) == ("4+L10", "disgust", "negative")
    assert first.file == "CASME2_RAW_selected/sub01/EP90_01f"
    assert data.path_of(first).is_dir()
    assert second.apex is None
    assert second.coded["ApexFrame"] == "/"
    assert second.aus == (AuCode(au=12),)
    assert [clip.label for clip in data.clips] == ["negative", "positive", "surprise", None]
    assert fourth.subject_id == "26"
    assert third.clip_id != first.clip_id
    assert mini.codes(data.info.findings) == {"au_alternatives": 1}
    assert (data.info.corpus, data.info.config["table"]) == ("casme2", "CASME2-coding-20140508.xlsx")
    assert "research" in data.info.licence


def test_a_set_is_written_and_read(tmp_path: Path) -> None:
    data = Casme2().read(mini.casme2(tmp_path / "c"))
    write_set(data, tmp_path / "set")
    assert read_set(tmp_path / "set") == data


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("Cropped", "reg_img{}.jpg"),
        ("cropped", "reg_img{}.jpg"),
        ("CASME2-RAW/CASME2-RAW", "img{}.jpg"),
        ("Cropped-updated/Cropped", "reg_img{}.jpg"),
        (".", "img{}.jpg"),
    ],
)
def test_layouts(tmp_path: Path, base: str, name: str) -> None:
    data = Casme2().read(mini.casme2(tmp_path, base=base, name=name))
    assert len(data.clips) == 4
    assert data.path_of(data.clips[0]) == (tmp_path / base / "sub01/EP90_01f").resolve()


def test_the_folder_of_one_version_finds_the_table_beside_it(tmp_path: Path) -> None:
    mini.casme2(tmp_path)
    mini.casme2(tmp_path, base="Cropped", name="reg_img{}.jpg")
    both = Casme2().read(tmp_path)
    assert mini.codes(both.info.findings)["other_version"] == 1
    assert both.clips[0].file.startswith("CASME2_RAW_selected/")
    assert Casme2().read(tmp_path / "Cropped").clips[0].file == "sub01/EP90_01f"


def test_the_newer_table_is_preferred_and_objective_classes_kept(tmp_path: Path) -> None:
    mini.casme2(tmp_path)
    header = (*mini.CASME2_HEADER, "Objective Class")
    rows = [(*row, 3) for row in mini.CASME2_ROWS]
    mini.sheet(tmp_path / "CASME2-coding-20190701.xlsx", [header, *rows])
    data = Casme2().read(tmp_path)
    assert data.info.config["table"] == "CASME2-coding-20190701.xlsx"
    assert data.clips[0].coded == {"Objective Class": "3"}
    Casme2().export(data.clips, tmp_path / "out.xlsx")
    assert Casme2().read_table(tmp_path / "out.xlsx").clips[0].coded == {"Objective Class": "3"}


def test_compressed_videos(tmp_path: Path) -> None:
    mini.casme2(tmp_path, mini.CASME2_ROWS[:2])
    shutil.rmtree(tmp_path / "CASME2_RAW_selected")
    folder = tmp_path / "CASME2_Compressed video/CASME2_compressed/sub01"
    folder.mkdir(parents=True)
    grey = rgb_to_yuv(np.full((64, 64, 3), 90, np.uint8))
    write_clip(folder / "x.mp4", (grey for _ in range(9)), size=64, fps=200.0)
    (folder / "x.mp4").rename(folder / "EP90_01f.avi")  # FFmpeg looks at the content.
    (folder / "EP90_02.avi").write_bytes(b"RIFF")
    data = Casme2().read(tmp_path)
    (clip,) = data.clips
    assert (clip.kind, clip.onset, clip.apex, clip.offset) == ("video", 0, 4, 8)
    assert mini.codes(data.info.findings) == {"unreadable_video": 1}
    Casme2().export(data.clips, tmp_path / "t.csv")
    assert Casme2().read_table(tmp_path / "t.csv").clips[0].onset == 46
    assert "video_length" not in mini.codes(data.info.findings)


@pytest.mark.parametrize("ending", ["xlsx", "csv"])
def test_roundtrip(tmp_path: Path, ending: str) -> None:
    table = mini.casme2(tmp_path) / "CASME2-coding-20140508.xlsx"
    first = Casme2().read_table(table)
    Casme2().export(first.clips, tmp_path / f"out.{ending}")
    second = Casme2().read_table(tmp_path / f"out.{ending}")
    assert second.clips == first.clips
    assert {clip.kind for clip in first.clips} == {"none"}
    if ending == "csv":
        lines = (tmp_path / "out.csv").read_text().splitlines()
        assert (
            lines[0] == "Subject,Filename,,OnsetFrame,ApexFrame,OffsetFrame,,Action Units,Estimated Emotion"
        )
        assert lines[2] == "1,EP90_02,,20,/,26,,12,happiness"


def test_is_table() -> None:
    header = [name for name in mini.CASME2_HEADER if name]
    assert Casme2().is_table(header)
    assert not Casme2().is_table([*header, "remarks"])
    assert not Casme2().is_table(["Subject", "Filename"])


def test_recognises(tmp_path: Path) -> None:
    mini.casme2(tmp_path / "casme2")
    mini.casme(tmp_path / "casme")
    mini.samm(tmp_path / "samm")
    assert [Casme2().recognises(tmp_path / n) for n in ("casme2", "casme", "samm", "none")] == [
        True,
        False,
        False,
        False,
    ]
    assert Casme2().recognises(tmp_path / "casme2/CASME2_RAW_selected")


def test_faults_of_rows_are_named_and_counted(tmp_path: Path) -> None:
    rows = [
        *mini.CASME2_ROWS,
        mini.CASME2_ROWS[0],
        (2, "EP91_01", None, 1, 2, 3, None, "4", "fear"),
        (3, "EP93_01", None, "about 7", 8, 9, None, "4+foo", "joy"),
        (3, None, None, 1, 2, 3, None, "4", "fear"),
        (3, "EP93_02", None, 10, 30, 14, None, "4", "fear"),
        (3, "EP93_03", None, 14, 12, 10, None, "4", "fear"),
    ]
    table = mini.sheet(tmp_path / "CASME2-coding.xlsx", [mini.CASME2_HEADER, *rows])
    data = Casme2().read_table(table)
    assert mini.codes(data.info.findings) == {
        "au_alternatives": 1,
        "duplicate_row": 2,
        "not_a_number": 1,
        "unread_au": 1,
        "unknown_emotion": 1,
        "row_without_clip": 1,
        "apex_outside": 1,
        "offset_before_onset": 1,
    }
    texts = {finding.code: finding.message for finding in data.info.findings}
    assert "row 8" in texts["not_a_number"]
    assert "'about 7'" in texts["not_a_number"]
    assert "joy" in texts["unknown_emotion"]
    assert "apex 30 lies outside [onset 10, offset 14]" in texts["apex_outside"]
    clip = named(data)["EP93_01"]
    assert (clip.onset, clip.emotion, clip.label) == (None, "joy", None)  # type: ignore[attr-defined]
    assert [f.dropped for f in data.info.findings if f.code in {"duplicate_row", "row_without_clip"}] == [
        True,
        True,
    ]


def test_faults_of_frames_are_named_and_counted(tmp_path: Path) -> None:
    root = mini.casme2(tmp_path)
    frames = root / "CASME2_RAW_selected"
    (frames / "sub01/EP90_01f/img48.jpg").unlink()
    (frames / "sub01/EP90_01f/img50.jpg").write_bytes(b"")
    (frames / "sub01/EP90_01f/img51 (1).jpg").write_bytes(b"x")
    for file in (frames / "sub01/EP90_02").iterdir():
        file.unlink()
    shutil.rmtree(frames / "sub02/EP91_01")
    for number in (8, 9):
        (frames / f"sub26/EP92_07f/img{number}.jpg").unlink()
    mini.frames(frames / "sub26/EP99_01", [1, 2])
    data = Casme2().read(root)
    assert [clip.name for clip in data.clips] == ["EP90_01f", "EP92_07f"]
    assert mini.codes(data.info.findings) == {
        "au_alternatives": 1,
        "missing_frames": 1,
        "empty_files": 1,
        "stray_images": 1,
        "empty_folder": 1,
        "no_folder": 1,
        "mark_not_among_frames": 1,
        "no_row": 1,
    }
    texts = {finding.code: finding.message for finding in data.info.findings}
    assert "lacks frame 48" in texts["missing_frames"]
    assert "offset 9 not among the frames 5 to 7" in texts["mark_not_among_frames"]


@pytest.mark.parametrize(("shift", "word"), [(1, "counts from 0"), (-1, "counts from 1")])
def test_another_way_of_counting_is_said_and_not_repaired(tmp_path: Path, shift: int, word: str) -> None:
    mini.casme2(tmp_path)
    rows = [
        (s, n, None, a - shift, b if b == "/" else b - shift, c - shift, None, au, e)
        for s, n, _, a, b, c, _, au, e in mini.CASME2_ROWS
    ]
    mini.sheet(tmp_path / "CASME2-coding-20140508.xlsx", [mini.CASME2_HEADER, *rows])
    data = Casme2().read(tmp_path)
    (found,) = [f for f in data.info.findings if f.code == "other_counting"]
    assert found.n == 4
    assert word in found.message
    assert data.clips[0].onset == 46 - shift


def test_a_table_that_counts_every_clip_anew(tmp_path: Path) -> None:
    mini.casme2(tmp_path)
    rows = [(s, n, None, 1, 2, c - a + 1, None, au, e) for s, n, _, a, _, c, _, au, e in mini.CASME2_ROWS]
    mini.sheet(tmp_path / "CASME2-coding-20140508.xlsx", [mini.CASME2_HEADER, *rows])
    (found,) = [f for f in Casme2().read(tmp_path).info.findings if f.code == "other_counting"]
    assert "counts every clip from 1" in found.message


@pytest.mark.parametrize("place", ["above", "sub01", "sub01/EP90_01f"])
def test_a_wrong_level_is_refused_with_the_right_folder(tmp_path: Path, place: str) -> None:
    root = mini.casme2(tmp_path / "above/CASME2")
    given = tmp_path / "above" if place == "above" else root / "CASME2_RAW_selected" / place
    right = root if place == "above" else root / "CASME2_RAW_selected"
    with pytest.raises(MissingError, match=f"use {right.resolve()}"):
        Casme2().read(given)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no such folder"):
        Casme2().read(tmp_path / "none")
    with pytest.raises(MissingError, match="CASME2_RAW_selected/sub01"):
        Casme2().read(tmp_path)
    mini.casme2(tmp_path)
    (tmp_path / "CASME2-coding-20140508.xlsx").rename(tmp_path / "t.xlsx")
    with pytest.raises(MissingError, match=r"no coding table of CASME II.*CASME2-coding-20190701\.xlsx"):
        Casme2().read(tmp_path)
    assert len(Casme2().read(tmp_path, table=tmp_path / "t.xlsx").clips) == 4
    with pytest.raises(MissingError, match="no such file"):
        Casme2().read(tmp_path, table=tmp_path / "u.xlsx")


def test_another_table_is_refused(tmp_path: Path) -> None:
    mini.casme2(tmp_path)
    mini.sheet(tmp_path / "CASME2-coding-20140508.xlsx", [("Subject", "Filename"), (1, "EP90_01f")])
    with pytest.raises(InputError, match="lacks OnsetFrame"):
        Casme2().read(tmp_path)
    (tmp_path / "CASME2-coding-20140508.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="not a readable Excel file"):
        Casme2().read(tmp_path)
    with pytest.raises(InputError, match="none of the 1 clips"):
        Casme2().read(
            tmp_path,
            table=mini.sheet(
                tmp_path / "u.xlsx", [mini.CASME2_HEADER, (9, "EP1", None, 1, 2, 3, None, "4", "fear")]
            ),
        )
    with pytest.raises(InputError, match="no row that names a clip"):
        Casme2().read_table(mini.sheet(tmp_path / "v.xlsx", [mini.CASME2_HEADER]))


def test_clips_of_another_corpus_are_exported(tmp_path: Path) -> None:
    data = Casme2().read_table(mini.casme2(tmp_path) / "CASME2-coding-20140508.xlsx")
    clip = msgspec.structs.replace(
        data.clips[0], subject_id="s07", au_text="", aus=(AuCode(au=12, side="left", letter="B"),), apex=None
    )
    Casme2().export([clip], tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == "s07,EP90_01f,,46,,54,,L12B,disgust"
