"""Tables of annotations, as people save them, brought into a data set as one more labeller."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.attribute_extraction.label_files import read_label_file
from equime.attribute_extraction.labels import LabelImport, import_labels
from equime.dataset import Dataset
from equime.errors import InputError


@pytest.fixture(scope="module")
def source(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of a finished data set, without its clips."""
    root = tmp_path_factory.mktemp("labels") / "out"
    root.mkdir()
    for path in [*reference.glob("*.json*")]:
        shutil.copy(path, root)
    return root


@pytest.fixture
def out(source: Path, tmp_path: Path) -> Path:
    return shutil.copytree(source, tmp_path / "out")


def written(tmp_path: Path, text: str, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def table(out: Path, labeller: str = "lab") -> pd.DataFrame:
    return pq.read_table(out / f"tables/labels_{labeller}.parquet").to_pandas().set_index("clip_id")


def notes(found: LabelImport) -> dict[str, int]:
    return {note.code: note.n for note in found.notes}


def people(out: Path) -> list[str]:
    return sorted({view.spec.subject_id for view in Dataset.open(out)})


def test_a_row_per_clip(out: Path, tmp_path: Path) -> None:
    ids = [view.clip.clip_id for view in Dataset.open(out)]
    rows = "\n".join(f"{clip},{'woman' if i % 2 else 'man'},{20 + i}" for i, clip in enumerate(ids[:-2]))
    file = written(tmp_path, f"clip_id,gender,age\n{rows}\n")
    found = import_labels(out, file, "lab")
    assert (found.n_rows, found.n_used, found.n_clips) == (len(ids) - 2,) * 3
    assert found.columns == ("estimated_gender_lab", "estimated_age_lab_years", "estimated_age_lab_group")
    assert notes(found) == {"not_labelled": 2}
    frame = table(out)
    assert list(frame.index) == sorted(ids[:-2])
    assert frame.loc[ids[3], "estimated_gender_lab"] == "woman"
    assert frame.loc[ids[3], "estimated_age_lab_years"] == 23.0
    assert frame.loc[ids[3], "estimated_age_lab_group"] == "20-29"
    about = pq.read_schema(out / found.table).metadata
    assert about[b"equime.source_sha256"].decode() == hashlib.sha256(file.read_bytes()).hexdigest()
    assert about[b"equime.source_rows"] == str(len(ids) - 2).encode()
    assert about[b"equime.source_file"] == b"labels.csv"


def test_a_row_per_person_goes_to_all_of_their_clips(out: Path, tmp_path: Path) -> None:
    who = people(out)
    rows = "".join(f"{s};{'dark' if i else 'light'}\r\n" for i, s in enumerate(who))
    found = import_labels(out, written(tmp_path, f"Subject;Skin Tone\r\n{rows}"), "lab")
    frame = table(out)
    for view in Dataset.open(out):
        expected = "light" if view.spec.subject_id == who[0] else "dark"
        assert frame.loc[view.clip.clip_id, "estimated_skin_tone_lab"] == expected
    assert (found.n_clips, found.n_subjects, found.key) == (len(frame), len(who), "subject")


@pytest.mark.parametrize(
    "spelling", ["{file}", "{name}", "{stem}", "D:\\data\\out\\{file}", "/data/x/{name}"]
)
def test_files_are_found_however_they_are_written(out: Path, tmp_path: Path, spelling: str) -> None:
    view = next(iter(Dataset.open(out)))
    path = Path(view.clip.file)
    cell = spelling.format(file=view.clip.file, name=path.name, stem=path.stem)
    found = import_labels(out, written(tmp_path, f'video_name,gender\n"{cell}",woman\n'), "lab")
    assert found.n_clips == 1
    assert table(out).loc[view.clip.clip_id, "estimated_gender_lab"] == "woman"


def test_several_annotators_decide_by_majority_and_mean(out: Path, tmp_path: Path) -> None:
    a, b, c = people(out)
    said = [(a, 1, "Woman", 20), (a, 2, "woman", 30), (a, 3, "man", 40), (b, 1, "woman", 50), (b, 2, "man", ""),
            (c, 1, "woman", "")]  # fmt: skip
    rows = "".join(f"{s},{who},{g},{age}\n" for s, who, g, age in said)
    found = import_labels(out, written(tmp_path, f"subject_id,annotator,gender,age\n{rows}"), "lab")
    assert found.n_annotators == 3
    assert notes(found) == {"tie": 1}
    own = {v.spec.subject_id: table(out).loc[v.clip.clip_id] for v in Dataset.open(out)}
    assert own[a]["estimated_gender_lab"] == "woman"
    assert (own[a]["n_labels_gender_lab"], own[a]["n_agreeing_gender_lab"]) == (3, 2)
    assert own[a]["estimated_age_lab_years"] == pytest.approx(30)
    assert pd.isna(own[b]["estimated_gender_lab"])
    assert (own[b]["n_labels_gender_lab"], own[b]["n_agreeing_gender_lab"]) == (2, 0)
    assert (own[b]["n_labels_age_lab"], own[b]["estimated_age_lab_years"]) == (1, 50)
    assert pd.isna(own[c]["estimated_age_lab_years"])
    assert pd.isna(own[c]["estimated_age_lab_group"])


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
       st.sampled_from(["\n", "\r\n"]), st.booleans())  # fmt: skip
def test_every_dialect_gives_the_same_table(
    tmp_path_factory: pytest.TempPathFactory, separator: str, encoding: str, end: str, quoted: bool
) -> None:
    cells = [["Clip ID", "Haarfarbe"], ["c1", "grün, dunkel"], ["c2", "weiß; a|b"], ["c3", "n/a"]]
    risky = any(c in cell for row in cells for cell in row for c in separator)
    mark = '"' if quoted or risky else ""
    text = end.join(separator.join(f"{mark}{cell}{mark}" for cell in row) for row in cells) + end
    file = written(tmp_path_factory.mktemp("dialect"), text, encoding=encoding)
    found = read_label_file(file)
    assert found.columns == ("clip_id", "haarfarbe")
    assert [row for _, row in found.rows] == [
        {"clip_id": "c1", "haarfarbe": "grün, dunkel"},
        {"clip_id": "c2", "haarfarbe": "weiß; a|b"},
        {"clip_id": "c3"},
    ]
    assert (found.encoding == "windows-1252") == (encoding == "cp1252")


def test_decimal_commas_and_the_line_that_excel_writes(tmp_path: Path, out: Path) -> None:
    who = people(out)
    found = import_labels(out, written(tmp_path, f"sep=;\nsubject_id;age;\n{who[0]};23,5;\n"), "lab")
    assert found.n_subjects == 1
    assert table(out)["estimated_age_lab_years"].iloc[0] == 23.5


def test_parquet_and_tsv(out: Path, tmp_path: Path) -> None:
    who = people(out)
    frame = pd.DataFrame({"subject_id": who, "age": [31.0, None, 45.0], "smiles": [True, False, True]})
    frame.to_parquet(tmp_path / "a.parquet")
    import_labels(out, tmp_path / "a.parquet", "one")
    frame.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    import_labels(out, tmp_path / "a.tsv", "two")
    first, second = table(out, "one"), table(out, "two")
    second.columns = [name.replace("_two", "_one") for name in second.columns]
    pd.testing.assert_frame_equal(first, second)
    assert set(first["estimated_smiles_one"]) == {"True", "False"}


def test_what_is_odd_is_counted_and_said(out: Path, tmp_path: Path) -> None:
    who = people(out)
    text = f"subject_id,gender,looks,clip,empty\n{who[0]},1,fine,x,\n{who[0]},1,fine,x,\nnobody,2,fine,x,\n{who[1]},,,,\n"
    file = written(tmp_path, text)
    import_labels(out, file, "lab")
    found = import_labels(out, file, "lab")
    assert notes(found) == {
        "unknown_id": 1, "duplicate_row": 1, "empty_row": 1, "unused_column": 1, "numeric_codes": 2,
        "constant_column": 3, "not_labelled": len(Dataset.open(out)) - found.n_clips, "replaced": 0,
    }  # fmt: skip
    assert "'nobody'" in next(n.message for n in found.notes if n.code == "unknown_id")
    assert table(out)["estimated_gender_lab"].iloc[0] == "1"


def test_ids_as_numbers(tmp_path: Path, out: Path) -> None:
    """What a data frame makes of whole numbers with gaps is found again, and zeros that a program took off."""
    frame = pd.DataFrame({"subject_id": [7.0, None], "gender": ["f", "m"]})
    frame.to_parquet(tmp_path / "a.parquet")
    assert read_label_file(tmp_path / "a.parquet").rows[0][1]["subject_id"] == "7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no rows"),
        ("clip_id,gender\n", "has no rows"),
        ("name,gender\na,woman\n", "no column says which clip"),
        ("clip_id\nabc\n", "no row has both|no attribute"),
        ("clip_id,gender\nzzz,woman\nyyy,man\n", "no row is about a clip.*'zzz'"),
        ("clip_id,gender,gender\na,b,c\n", "several columns are called gender"),
        ("clip_id,,gender\na,b,c\n", "column 2 has no name"),
        ("clip_id,gender\na,b,c\n", "line 2 has 3 values"),
        ("subject_id,declared_gender\n{s},f\n", "cannot become declared ones"),
        ("subject_id,gender,estimated_gender_lab\n{s},f,f\n", "both the attribute gender"),
        (
            "subject_id,gender\n{s},f\n{s},m\n",
            "rows 2 and 3: the file gives .* twice, with gender 'f' and 'm'",
        ),
        ("subject_id,annotator,gender\n{s},x,f\n{s},x,m\n", "annotator x gives"),
        ("subject_id,age\n{s},-1\n", "row 2: age -1 is no age"),
        ("subject_id,gender_p_x\n{s},f\n", "cannot name an attribute"),
        ('subject_id,gender\n{s},"f\n', "line .*quotation"),
    ],
)
def test_what_cannot_be_read_says_why_and_writes_nothing(
    out: Path, tmp_path: Path, text: str, said: str
) -> None:
    file = written(tmp_path, text.replace("{s}", people(out)[0]))
    with pytest.raises(InputError, match=said) as error:
        import_labels(out, file, "lab")
    assert str(file) in str(error.value)
    assert not list((out / "tables").glob("*")) if (out / "tables").is_dir() else True


@pytest.mark.parametrize(("name", "data"), [("a.xlsx", b"PK"), ("a.csv", b"a\0b"), ("a.csv", b"\x81\x8d,\n"),
                                            ("a.parquet", b"PAR1"), ("a.csv", None)])  # fmt: skip
def test_files_that_are_no_tables(out: Path, tmp_path: Path, name: str, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=r"cannot be read|save|write it again"):
        import_labels(out, tmp_path / name, "lab")


@pytest.mark.parametrize(
    "labeller", ["", "Lab", "my lab", "lab-2", "2", "lab_", "deepface", "p_x", "x" * 41, "../a"]
)
def test_names_of_labellers(out: Path, tmp_path: Path, labeller: str) -> None:
    with pytest.raises(InputError, match="labeller"):
        import_labels(out, written(tmp_path, "clip_id,gender\na,b\n"), labeller)


def test_a_disk_that_refuses_leaves_the_earlier_table(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_labels(out, written(tmp_path, f"subject_id,gender\n{people(out)[0]},f\n"), "lab")
    before = (out / "tables/labels_lab.parquet").read_bytes()
    monkeypatch.setattr(pq, "write_table", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        import_labels(out, written(tmp_path, f"subject_id,gender\n{people(out)[0]},m\n"), "lab")
    assert (out / "tables/labels_lab.parquet").read_bytes() == before
    assert [p.name for p in (out / "tables").glob(".*")] == []


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no equime data set"):
        import_labels(tmp_path, written(tmp_path, "clip_id,gender\na,b\n"), "lab")
