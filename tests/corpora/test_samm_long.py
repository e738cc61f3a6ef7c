"""SAMM Long Videos: intervals of micro- and macro-expressions in folders of whole videos."""

from __future__ import annotations

from pathlib import Path

from openpyxl import load_workbook

from equime.corpora.samm_long import SammLong, video_of

from . import miniatures as mini


def test_several_clips_share_a_folder(tmp_path: Path) -> None:
    data = SammLong().read(mini.samm_long(tmp_path))
    assert [clip.file for clip in data.clips] == [
        "SAMM_longvideos/006_1", "SAMM_longvideos/006_1", "SAMM_longvideos/007_2",
    ]  # fmt: skip
    assert [clip.expression for clip in data.clips] == ["micro", "macro", "macro"]
    assert [(clip.onset, clip.apex, clip.offset) for clip in data.clips] == [
        (3, 6, 9),
        (12, 15, None),
        (2, None, 8),
    ]
    assert len({clip.clip_id for clip in data.clips}) == 3
    assert {(clip.emotion, clip.label) for clip in data.clips} == {(None, None)}
    assert mini.codes(data.info.findings) == {"sentinel": 2}
    assert video_of("006_1_12") == "006_1"


def test_one_name_with_two_onsets_is_two_clips(tmp_path: Path) -> None:
    first = mini.SAMM_LONG_ROWS[0]
    rows = [first, (*first[:3], 11, 12, 14, *first[6:]), first]
    data = SammLong().read(mini.samm_long(tmp_path, rows))
    assert [clip.onset for clip in data.clips] == [3, 11]
    assert mini.codes(data.info.findings) == {"duplicate_row": 1}


def test_gaps_and_marks_count_inside_the_intervals_only(tmp_path: Path) -> None:
    root = mini.samm_long(tmp_path)
    (root / "SAMM_longvideos/006_1/006_1_0007.jpg").unlink()
    (root / "SAMM_longvideos/007_2/007_2_0015.jpg").unlink()
    mini.frames(root / "SAMM_longvideos/009_3", [1, 2], "009_3_{:04d}.jpg")
    found = {f.code: f for f in SammLong().read(root).info.findings}
    assert found["missing_frames"].clips == ("006/006_1_1",)
    assert found["no_row"].n == 1


def test_videos_that_end_early(tmp_path: Path) -> None:
    data = SammLong().read(mini.samm_long(tmp_path, n=8))
    (found,) = [f for f in data.info.findings if f.code == "mark_not_among_frames"]
    assert found.clips == ("006/006_1_1", "006/006_1_2")
    assert "offset 9 not among the frames 1 to 8" in found.message


def test_unknown_type(tmp_path: Path) -> None:
    row = mini.SAMM_LONG_ROWS[0]
    data = SammLong().read(mini.samm_long(tmp_path, [(*row[:7], "Mini", *row[8:])]))
    assert mini.codes(data.info.findings) == {"unknown_type": 1}


def test_roundtrip_in_the_published_shape(tmp_path: Path) -> None:
    first = SammLong().read_table(mini.samm_long(tmp_path) / "SAMM_LongVideos_V3_Release.xlsx")
    SammLong().export(first.clips, tmp_path / "out.xlsx")
    assert SammLong().read_table(tmp_path / "out.xlsx").clips == first.clips
    page = load_workbook(tmp_path / "out.xlsx").active
    assert tuple(cell.value for cell in page[10]) == mini.SAMM_LONG_HEADER
    assert page.cell(12, 6).value == 0


def test_is_table_and_recognises(tmp_path: Path) -> None:
    assert SammLong().is_table(mini.SAMM_LONG_HEADER)
    assert not SammLong().is_table(mini.SAMM_HEADER)
    mini.samm(tmp_path / "a")
    mini.samm_long(tmp_path / "b")
    assert [SammLong().recognises(tmp_path / n) for n in "ab"] == [False, True]
