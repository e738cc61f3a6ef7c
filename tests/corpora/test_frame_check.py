"""Frames against marks: what is in a folder, what the table says, and where the folder is."""

from __future__ import annotations

from pathlib import Path

import pytest

from equime.coded import CodedClip
from equime.corpora.frame_check import Frames, Notes, check_frames, look, note_marks
from equime.corpora.locate import find_base, find_root, find_table_file
from equime.errors import MissingError

from . import miniatures as mini


def clip(onset: int | None = 3, apex: int | None = 5, offset: int | None = 8, name: str = "c") -> CodedClip:
    return CodedClip(
        clip_id=name, corpus="x", subject_id="s", name=name, fps=100.0, file="c",
        onset=onset, apex=apex, offset=offset,
    )  # fmt: skip


def test_a_good_folder_says_nothing(tmp_path: Path) -> None:
    folder = mini.frames(tmp_path / "c", range(3, 9))
    assert check_frames(clip(), folder) == (clip(), [])
    assert look(folder) == Frames(numbers=(3, 4, 5, 6, 7, 8))


def test_what_is_in_a_folder(tmp_path: Path) -> None:
    folder = mini.frames(tmp_path / "c", [3, 4, 7, 8, 9])
    mini.frames(folder, [8], "img{:04d}.jpg")
    mini.frames(folder, [1, 2], "reg_img{}.bmp")
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "cover.png").write_bytes(b"x")
    (folder / "img9.jpg").write_bytes(b"")
    frames = look(folder)
    assert frames == Frames(
        numbers=(3, 4, 7, 8, 8, 9), gaps=((5, 6),), others=("reg_img#.bmp",), strays=("cover.png",),
        empty=("img9.jpg",), twice=(8,),
    )  # fmt: skip
    codes = mini.codes(check_frames(clip(), folder)[1])
    assert codes == {
        "missing_frames": 1,
        "empty_files": 1,
        "number_twice": 1,
        "second_series": 1,
        "stray_images": 1,
    }
    assert "missing_frames" not in mini.codes(check_frames(clip(7, 7, 8), folder)[1])


@pytest.mark.parametrize(
    ("names", "code"), [((), "empty_folder"), (("a.jpg", "b.jpg"), "unnumbered_frames"), (None, "no_folder")]
)
def test_a_clip_without_frames_is_left_out(tmp_path: Path, names: tuple[str, ...] | None, code: str) -> None:
    folder = tmp_path / "c"
    if names is not None:
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(b"x")
    out, (finding,) = check_frames(clip(), folder)
    assert (out.kind, out.file, out.onset) == ("none", "", 3)
    assert (finding.code, finding.dropped) == (code, True)
    assert str(folder) in finding.message


@pytest.mark.parametrize(
    ("marks", "code"),
    [
        ((3, 2, 8), "apex_outside"),
        ((3, 9, 8), "apex_outside"),
        ((3, 9, None), ""),
        ((None, 5, 4), "apex_outside"),
        ((8, 5, 3), "offset_before_onset"),
        ((None, None, None), ""),
    ],
)
def test_order_of_marks(tmp_path: Path, marks: tuple[int | None, int | None, int | None], code: str) -> None:
    folder = mini.frames(tmp_path / "c", range(1, 12))
    out, findings = check_frames(clip(*marks), folder)
    assert [f.code for f in findings] == [code][: len(code)]
    assert (out.onset, out.apex, out.offset) == marks


def test_one_clip_off_by_one_is_no_way_of_counting() -> None:
    notes = Notes()
    good = [(clip(name=f"c{i}"), Frames(numbers=tuple(range(3, 9)))) for i in range(4)]
    note_marks(notes, [*good, (clip(2, 5, 7, "wrong"), Frames(numbers=tuple(range(3, 9))))])
    (finding,) = notes.findings()
    assert (finding.code, finding.n, finding.clips) == ("mark_not_among_frames", 1, ("s/wrong",))


def test_a_minority_at_the_edge_shows_the_way_of_counting() -> None:
    """In long videos only clips at the very first frame fall out of the folder."""
    notes = Notes()
    frames = Frames(numbers=tuple(range(1, 100)))
    inside = [(clip(i, i + 2, i + 5, f"c{i}"), frames) for i in range(10, 40)]
    note_marks(notes, [*inside, (clip(0, 2, 5, "a"), frames), (clip(0, 4, 6, "b"), frames)])
    (finding,) = notes.findings()
    assert (finding.code, finding.n) == ("other_counting", 2)
    assert "counts from 0" in finding.message


def test_marks_that_nothing_explains() -> None:
    notes = Notes()
    frames = Frames(numbers=tuple(range(1, 10)))
    note_marks(notes, [(clip(5, 7, 40, "a"), frames), (clip(0, 4, 60, "b"), frames)])
    assert mini.codes(notes.findings()) == {"mark_not_among_frames": 2}


def test_findings_name_twenty_and_count_all() -> None:
    notes = Notes()
    for i in range(30):
        notes.add("code", f"clip {i}", "what", "do this")
        notes.add("code", f"clip {i}", "again", "do this")
    (finding,) = notes.findings()
    assert (finding.n, len(finding.clips)) == (30, 20)
    assert finding.message == "clip 0: what (and 29 more like it); do this"


def test_levels(tmp_path: Path) -> None:
    deep = tmp_path / "a/b/CORPUS"
    mini.frames(deep / "raw/sub01/EP1", [1, 2])
    assert find_root(deep / "raw", "sub*/EP*") == deep / "raw"
    for wrong, level in ((deep, "high"), (deep / "raw/sub01", "low"), (deep.parent, "high")):
        with pytest.raises(
            MissingError, match=rf"too {level} a level.*use {(deep / 'raw').resolve()} instead"
        ):
            find_root(wrong, ["sub*/EP*"], "sub01/EP1/img1.jpg")
    with pytest.raises(MissingError, match=r"holds no sub\*/EP\*"):
        find_root(tmp_path, "sub*/EP*")
    with pytest.raises(MissingError, match="no such folder"):
        find_root(tmp_path / "none", "sub*")
    assert find_base(deep, ["RAW", "."], "sub*/EP*") == (deep / "raw", [])
    mini.frames(deep / "Cropped/Cropped/sub01/EP1", [1, 2])
    assert find_base(deep, ["RAW", "Cropped"], "sub*/EP*") == (deep / "raw", [deep / "Cropped/Cropped"])


def test_several_right_folders_are_all_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        mini.frames(tmp_path / name / "sub01/EP1", [1, 2])
    with pytest.raises(MissingError, match=r"use .*one \(or .*two\) instead"):
        find_root(tmp_path, "sub*/EP*")


def test_tables_are_found_around_the_root(tmp_path: Path) -> None:
    root = tmp_path / "copy/raw"
    root.mkdir(parents=True)
    for name in ("~$Coding v2.xlsx", ".Coding.xlsx"):
        (root / name).write_bytes(b"x")
    with pytest.raises(MissingError, match=r"looked for coding\*\.xlsx, \*\.xls"):
        find_table_file(root, ["coding*.xlsx", "*.xls"], None, "X")
    (tmp_path / "copy/old.xls").write_bytes(b"x")
    assert find_table_file(root, ["coding*.xlsx", "*.xls"], None, "X").name == "old.xls"
    (tmp_path / "Coding v2.xlsx").write_bytes(b"x")
    assert find_table_file(root, ["coding*.xlsx", "*.xls"], None, "X").name == "Coding v2.xlsx"
