"""Predictions files: what is read, what is counted, what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.errors import InputError
from equime.evaluation_framework.audit.predictions import Predictions, read_predictions

EMOTIONS = ("anger", "fear", "happiness")
CLIPS = pd.DataFrame(
    {
        "clip_id": [f"c{i}" for i in range(6)],
        "file": [f"{EMOTIONS[i % 3]}/f_00000{i}_001.mp4" for i in range(6)],
        "subject_id": [f"s{i // 3}" for i in range(6)],
        "emotion": [EMOTIONS[i % 3] for i in range(6)],
    }
)
ALL = [(f"c{i}", EMOTIONS[i % 3]) for i in range(6)]


def write(
    path: Path, rows: Sequence[Sequence[Any]], header: str = "clip_id,prediction", sep: str = ","
) -> Path:
    path.write_text("\n".join([header, *(sep.join(map(str, row)) for row in rows)]) + "\n", "utf-8")
    return path


def codes(found: Predictions) -> dict[str, int]:
    return {finding.code: finding.n for finding in found.findings}


def predicted(found: Predictions) -> dict[str, str]:
    ids = CLIPS["clip_id"].to_numpy()[found.clips]
    return {clip: found.labels[k] for clip, k in zip(ids, found.predicted, strict=True)}


def refused(path: Path, clips: pd.DataFrame = CLIPS) -> str:
    with pytest.raises(InputError) as error:
        read_predictions(path, clips)
    assert str(path) in str(error.value)
    return str(error.value)


# Formats


def frame(**more: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame({"clip_id": [c for c, _ in ALL], "prediction": [p for _, p in ALL], **more})


def test_every_format_says_the_same(tmp_path: Path) -> None:
    table = frame(p_anger=[0.5] * 6, p_fear=[0.25] * 6, p_happiness=[0.25] * 6)
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_csv(tmp_path / "b.tsv", index=False, sep="\t")
    table.to_csv(tmp_path / "c.csv", index=False, sep=";", decimal=",", encoding="utf-8-sig")
    table.to_parquet(tmp_path / "d.parquet")
    table.to_json(tmp_path / "e.jsonl", orient="records", lines=True)
    found = [read_predictions(path, CLIPS) for path in sorted(tmp_path.iterdir())]
    for other in found:
        assert predicted(other) == dict(ALL)
        assert other.labels == EMOTIONS
        assert other.probabilities is not None
        np.testing.assert_array_equal(other.probabilities, [[0.5, 0.25, 0.25]] * 6)
        assert other.n_rows == 6
        assert other.n_without == 0


def test_line_ends_blank_lines_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'clip_id,prediction,note\r\nc0,anger,"a, b"\r\n\r\nc1," Fear ",\r\n')
    assert predicted(read_predictions(path, CLIPS)) == {"c0": "anger", "c1": "fear"}


@given(order=st.permutations(range(6)), clip_order=st.permutations(range(6)))
@settings(max_examples=15, deadline=None)
def test_the_order_of_rows_and_clips_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], clip_order: list[int]
) -> None:
    path = write(tmp_path_factory.mktemp("order") / "a.csv", [ALL[i] for i in order])
    clips = CLIPS.iloc[clip_order].reset_index(drop=True)
    found = read_predictions(path, clips)
    assert clips["clip_id"].iloc[found.clips].tolist() == [f"c{i}" for i in range(6)]
    np.testing.assert_array_equal(found.truth, [0, 1, 2] * 2)
    np.testing.assert_array_equal(found.predicted, [0, 1, 2] * 2)


# Keys


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "fear/f_000001_001.mp4"),
        ("file", "./fear/f_000001_001.mp4"),
        ("file", "f_000001_001.mp4"),
        ("video_name", "f_000001_001"),
        ("video_path", "D:\\set\\fear\\f_000001_001.mp4"),
        ("FILE", "fear/f_000001_001.mp4"),
    ],
)
def test_a_clip_by_its_file(tmp_path: Path, key: str, value: str) -> None:
    found = read_predictions(write(tmp_path / "a.csv", [(value, "fear")], f"{key},prediction"), CLIPS)
    assert predicted(found) == {"c1": "fear"}


def test_a_name_of_two_clips_is_refused(tmp_path: Path) -> None:
    clips = CLIPS.assign(file=["anger/a.mp4", "fear/a.mp4", *CLIPS["file"][2:]])
    assert "2 clips" in refused(write(tmp_path / "a.csv", [("a.mp4", "fear")], "file,prediction"), clips)
    path = write(tmp_path / "b.csv", [("x/fear/a.mp4", "fear")], "file,prediction")
    assert read_predictions(path, clips).clips.tolist() == [1]


def test_no_key_no_prediction(tmp_path: Path) -> None:
    assert "clip_id" in refused(write(tmp_path / "a.csv", [("c0", "fear")], "id,prediction"))
    assert "'prediction'" in refused(write(tmp_path / "b.csv", [("c0", "fear")], "clip_id,guess"))


def test_unknown_clips_are_counted_or_refused(tmp_path: Path) -> None:
    found = read_predictions(write(tmp_path / "a.csv", [*ALL, ("c9", "fear"), ("x", "fear")]), CLIPS)
    assert codes(found) == {"unknown_clip": 2}
    assert "'c9' in line 8" in found.findings[0].message
    message = refused(write(tmp_path / "b.csv", [("zz", "fear"), ("yy", "fear")]))
    assert "'zz' in line 2" in message
    assert "'c0'" in message


def test_predictions_for_half_of_the_clips(tmp_path: Path) -> None:
    found = read_predictions(write(tmp_path / "a.csv", ALL[:3]), CLIPS)
    assert codes(found) == {"missing_prediction": 3}
    assert "3 of 6 clips (50%)" in found.findings[0].message
    assert found.n_without == 3


# Doubled and empty rows


def test_doubled_rows(tmp_path: Path) -> None:
    found = read_predictions(write(tmp_path / "a.csv", [*ALL, ALL[0], ALL[0]]), CLIPS)
    assert codes(found) == {"duplicate_row": 2}
    assert (found.n_rows, len(found.clips)) == (8, 6)
    message = refused(write(tmp_path / "b.csv", [*ALL, ("c0", "fear")]))
    assert "line 2 and line 8" in message
    rows = [("c0", "anger", 0.6, 0.4), ("c0", "anger", 0.7, 0.3)]
    message = refused(write(tmp_path / "c.csv", rows, "clip_id,prediction,p_anger,p_fear"))
    assert "probabilities" in message


def test_empty_predictions_are_counted(tmp_path: Path) -> None:
    found = read_predictions(write(tmp_path / "a.csv", [("c0", ""), *ALL[1:]]), CLIPS)
    assert codes(found) == {"empty_prediction": 1, "missing_prediction": 1}
    assert "no row" in refused(write(tmp_path / "b.csv", [("c0", "")]))


def test_empty_labels_are_counted(tmp_path: Path) -> None:
    rows = [(clip, label, "" if clip == "c0" else label) for clip, label in ALL]
    found = read_predictions(write(tmp_path / "a.csv", rows, "clip_id,prediction,label"), CLIPS)
    assert codes(found) == {"empty_label": 1, "missing_prediction": 1}


def test_an_empty_label_column_is_none(tmp_path: Path) -> None:
    rows = [(clip, label, "") for clip, label in ALL]
    assert codes(read_predictions(write(tmp_path / "a.csv", rows, "clip_id,prediction,label"), CLIPS)) == {}


# Classes


def test_the_label_of_the_file_wins_and_is_counted(tmp_path: Path) -> None:
    rows = [(clip, label, "fear" if clip == "c0" else label) for clip, label in ALL]
    found = read_predictions(write(tmp_path / "a.csv", rows, "clip_id,prediction,label"), CLIPS)
    assert codes(found) == {"label_differs": 1}
    assert found.labels[found.truth[0]] == "fear"


def test_whole_numbers_with_a_label(tmp_path: Path) -> None:
    rows = [(f"c{i}", 10 - i, 10 - i) for i in range(6)]
    found = read_predictions(write(tmp_path / "a.csv", rows, "clip_id,prediction,label"), CLIPS)
    assert found.labels == ("5", "6", "7", "8", "9", "10")  # by value, not by text
    assert codes(found) == {"label_differs": 6}
    frame(label=[1.0] * 6).assign(prediction=["1"] * 6).to_parquet(tmp_path / "b.parquet")
    assert read_predictions(tmp_path / "b.parquet", CLIPS).labels == ("1",)


def test_whole_numbers_without_a_label_are_refused(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "a.csv", [(f"c{i}", i % 3) for i in range(6)]))
    assert "0, 1, 2" in message
    assert "anger, fear, happiness" in message


def test_classes_that_never_occur_or_are_never_predicted(tmp_path: Path) -> None:
    rows = [(clip, "joy" if label == "happiness" else label) for clip, label in ALL]
    found = read_predictions(write(tmp_path / "a.csv", rows), CLIPS)
    assert codes(found) == {"unknown_label": 1, "never_predicted": 1}
    assert found.labels == (*EMOTIONS, "joy")
    assert "joy" in found.findings[0].message
    assert "2 clips were given" in found.findings[0].message


# Probabilities

HEADER = "clip_id,prediction,p_anger,p_fear"


def test_a_class_without_a_column_has_no_probability(tmp_path: Path) -> None:
    rows = [(clip, "anger", 0.7, 0.3) for clip, _ in ALL]
    found = read_predictions(write(tmp_path / "a.csv", rows, HEADER), CLIPS)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, [[0.7, 0.3, 0.0]] * 6)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (1.2, -0.2, "allowed is 0 to 1"),
        (70, 30, "divide percentages by 100"),
        (0.5, 0.4, "sum up to 0.9"),
        ("", 1, "not a number"),
        ("nan", 1, "not a number"),
        ("high", 1, "'high'"),
    ],
)
def test_probabilities_that_are_none(tmp_path: Path, a: Any, b: Any, said: str) -> None:
    rows = [("c0", "anger", 0.5, 0.5), ("c1", "fear", a, b)]
    message = refused(write(tmp_path / "a.csv", rows, HEADER))
    assert said in message
    assert "line 3" in message


def test_rounded_probabilities_are_taken_as_they_are(tmp_path: Path) -> None:
    found = read_predictions(write(tmp_path / "a.csv", [("c0", "anger", 0.67, 0.32)], HEADER), CLIPS)
    assert found.probabilities is not None
    np.testing.assert_array_equal(found.probabilities, [[0.67, 0.32]])


def test_a_prediction_that_is_not_the_most_probable_is_counted(tmp_path: Path) -> None:
    rows = [("c0", "anger", 0.3, 0.7), ("c1", "fear", 0.3, 0.7)]
    assert codes(read_predictions(write(tmp_path / "a.csv", rows, HEADER), CLIPS))["not_most_probable"] == 1


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return path


def test_json_probabilities(tmp_path: Path) -> None:
    p = {"fear": 0.75, "anger": 0.25}
    text = pd.DataFrame({"clip_id": ["c0"], "prediction": ["fear"], "probabilities": [json.dumps(p)]})
    text.to_csv(tmp_path / "a.csv", index=False)
    lines(tmp_path / "b.jsonl", [{"clip_id": "c0", "prediction": "fear", "probabilities": p}])
    text.assign(probabilities=[p]).to_parquet(tmp_path / "c.parquet")
    for path in sorted(tmp_path.iterdir()):
        found = read_predictions(path, CLIPS)
        assert found.labels == ("anger", "fear")
        assert found.probabilities is not None
        np.testing.assert_array_equal(found.probabilities, [[0.25, 0.75]])


def test_a_list_needs_numbers_as_classes(tmp_path: Path) -> None:
    row = {"clip_id": "c0", "prediction": 1, "label": 0, "probabilities": [0.25, 0.75]}
    found = read_predictions(lines(tmp_path / "a.jsonl", [row]), CLIPS)
    assert found.labels == ("0", "1")
    assert found.probabilities is not None
    np.testing.assert_array_equal(found.probabilities, [[0.25, 0.75]])
    message = refused(lines(tmp_path / "b.jsonl", [{**row, "prediction": "fear"}]))
    assert "which class is which" in message
    assert "no JSON" in refused(
        write(tmp_path / "c.csv", [("c0", "fear", "0.5 0.5")], "clip_id,prediction,probabilities")
    )


def test_some_rows_without_probabilities(tmp_path: Path) -> None:
    rows = [
        {"clip_id": "c0", "prediction": "fear", "probabilities": {"fear": 1.0}},
        {"clip_id": "c1", "prediction": "fear"},
    ]
    assert "line 2" in refused(lines(tmp_path / "a.jsonl", rows))


# Files that cannot be read


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "no such" in refused(tmp_path / "none.csv")
    assert "'.xlsx'" in refused(write(tmp_path / "a.xlsx", ALL))
    assert "no rows" in refused(write(tmp_path / "b.csv", []))
    (tmp_path / "c.csv").write_bytes("clip_id,prediction\nc0,f\u00e4r\n".encode("latin-1"))
    assert "UTF-8" in refused(tmp_path / "c.csv")
    (tmp_path / "d.parquet").write_bytes(b"no")
    assert "Parquet" in refused(tmp_path / "d.parquet")
    (tmp_path / "e.jsonl").write_text('{"clip_id": "c0"\n')
    assert "line 1" in refused(tmp_path / "e.jsonl")
    (tmp_path / "f.jsonl").write_text("[1]\n")
    assert "one object per line" in refused(tmp_path / "f.jsonl")
    assert "line 2: 3 values" in refused(write(tmp_path / "g.csv", [("c0", "fear", 1)]))
    assert "2 times" in refused(
        write(tmp_path / "h.csv", [("c0", "a", "b")], "clip_id,prediction,prediction")
    )
    (tmp_path / "i.csv").write_text('clip_id,prediction\nc0,"fear\n')
    assert "line 2" in refused(tmp_path / "i.csv")
