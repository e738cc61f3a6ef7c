"""Where faces come from."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from equime.errors import InputError
from equime.generation_pipeline.sources import CELEBA_LICENCE, find_faces


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def test_folder_is_searched_recursively_in_a_fixed_order(tmp_path: Path) -> None:
    touch(
        tmp_path / "b.PNG", tmp_path / "a" / "z.jpg", tmp_path / "notes.txt", tmp_path / ".hidden" / "c.jpg"
    )
    found, rejected = find_faces(tmp_path, licence="CC0")
    assert [(f.path, f.subject_id, f.licence, f.source) for f in found] == [
        ("a/z.jpg", "z", "CC0", "folder"),
        ("b.PNG", "b", "CC0", "folder"),
    ]
    assert all(Path(f.file).is_file() for f in found)
    assert rejected == []


def test_second_image_of_a_subject_is_rejected_and_names_both(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.jpg", tmp_path / "b" / "1.png")
    found, (rejected,) = find_faces(tmp_path)
    assert [f.path for f in found] == ["a/1.jpg"]
    assert (rejected.path, rejected.reason, rejected.subject_id) == ("b/1.png", "duplicate_subject", "1")
    assert "a/1.jpg" in rejected.message
    assert "b/1.png" in rejected.message


def test_subject_ids_can_stand_in_file_names(tmp_path: Path) -> None:
    touch(tmp_path / "J. Doe (2).jpg", tmp_path / "Zoë.jpg")
    assert [f.subject_id for f in find_faces(tmp_path)[0]] == ["J.-Doe-2-", "Zoë"]


def test_single_image(tmp_path: Path) -> None:
    touch(tmp_path / "me.webp", tmp_path / "other.jpg")
    found, _ = find_faces(tmp_path / "me.webp")
    assert [(f.path, f.licence) for f in found] == [("me.webp", "unknown")]


@pytest.mark.parametrize("name", ["empty", "nowhere", "notes.txt"])
def test_nothing_to_read_is_an_input_error_that_names_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    touch(tmp_path / "notes.txt")
    with pytest.raises(InputError, match=name):
        find_faces(tmp_path / name)


ROWS = [
    {
        "path": "p/a.jpg",
        "subject_id": "007",
        "gender": "Woman",
        "age": "31",
        "ethnicity": "Yoruba",
        "camera": "X",
    },
    {"path": "p/b.jpg", "subject_id": "8", "gender": "M", "licence": "CC-BY"},
    {"path": "gone.jpg", "subject_id": "9"},
]


def write_table(file: Path, rows: list[dict[str, str]]) -> Path:
    frame = pd.DataFrame(rows)
    if file.suffix == ".csv":
        frame.to_csv(file, index=False)
    elif file.suffix == ".parquet":
        frame.to_parquet(file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_tables_of_every_format_give_the_same(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path / "p" / "a.jpg", tmp_path / "p" / "b.jpg")
    found, (gone,) = find_faces(write_table(tmp_path / f"t{suffix}", ROWS), licence="CC0")
    a, b = found
    assert (a.path, a.subject_id, a.licence, a.source) == ("p/a.jpg", "007", "CC0", "t")
    assert (a.declared.gender, a.declared.age, a.declared.ethnicity) == ("f", 31, "Yoruba")
    assert a.declared.extra == {"camera": "X"}
    assert (b.declared.gender, b.declared.age, b.licence, b.declared.extra) == ("m", None, "CC-BY", {})
    assert (gone.path, gone.reason) == ("gone.jpg", "unreadable")


def test_whole_numbers_that_a_data_frame_made_fractions_stay_ids(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "b.jpg")
    pd.DataFrame({"path": ["a.jpg", "b.jpg"], "subject_id": [7.0, None]}).to_parquet(tmp_path / "t.parquet")
    assert [f.subject_id for f in find_faces(tmp_path / "t.parquet")[0]] == ["7", "b"]


def test_all_problems_of_a_table_are_told_at_once(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    rows = [
        {"path": "a.jpg", "gender": "x1"},
        {"path": "a.jpg", "age": "old", "subject_id": "a/b"},
        {"path": "", "gender": "f"},
    ]
    with pytest.raises(InputError) as caught:
        find_faces(write_table(tmp_path / "t.csv", rows))
    message = str(caught.value)
    assert "4 problem(s)" in message
    for part in ("row 1: gender 'x1'", "row 2: age 'old'", "row 2: subject_id 'a/b'", "row 3: path is empty"):
        assert part in message


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("t.csv", "file,gender\na.jpg,f\n", "path is missing"),
        ("t.csv", "path\n", "no rows"),
        ("t.csv", "path\na.jpg,b,c\n", "more values"),
        ("t.jsonl", '{"path": \n', "cannot be read"),
        ("t.parquet", "not parquet", "cannot be read"),
    ],
)
def test_broken_tables(tmp_path: Path, name: str, content: str, part: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=part):
        find_faces(tmp_path / name)


def make_celeba(root: Path, annotation: str, content: str) -> Path:
    touch(*(root / "CelebA-HQ-img" / f"{i}.jpg" for i in (10, 2, 0, 3)))
    (root / annotation).write_text(content)
    return root


TXT = "3\nMale Smiling Young\n0.jpg  -1 -1 1\n2.jpg   1  1 1\n10.jpg   1 -1 -1\n"
CSV = "image,Male,Smiling,Young\n0.jpg,-1,-1,1\n2.jpg,1,1,1\n10.jpg,1,-1,-1\n"


@pytest.mark.parametrize(("suffix", "content"), [("txt", TXT), ("csv", CSV)])
def test_celeba_keeps_faces_annotated_as_not_smiling(tmp_path: Path, suffix: str, content: str) -> None:
    found, rejected = find_faces(make_celeba(tmp_path, f"CelebAMask-HQ-attribute-anno.{suffix}", content))
    assert [(f.path, f.subject_id, f.declared.gender) for f in found] == [
        ("CelebA-HQ-img/0.jpg", "000000", "f"),
        ("CelebA-HQ-img/10.jpg", "000010", "m"),
    ]
    assert {(f.source, f.licence) for f in found} == {("celeba-hq", CELEBA_LICENCE)}
    assert [(r.subject_id, r.reason) for r in rejected] == [("000002", "smiling"), ("000003", "filtered_out")]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("1\nMale Young\n0.jpg 1 1\n", "Smiling"),
        ("1\nMale Smiling\n0.jpg 1\n2.jpg 1 7\n", "2 problem"),
        ("", "Smiling and Male"),
    ],
)
def test_celeba_with_a_broken_annotation(tmp_path: Path, content: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        find_faces(make_celeba(tmp_path, "CelebAMask-HQ-attribute-anno.txt", content))


def test_celeba_without_annotation_says_what_is_missing(tmp_path: Path) -> None:
    touch(tmp_path / "CelebA-HQ-img" / "0.jpg")
    with pytest.raises(InputError, match="attribute-anno"):
        find_faces(tmp_path)
