from __future__ import annotations

import builtins
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import equime
from equime import layout
from equime.dataset import Dataset
from equime.errors import InputError, MissingError, WorkError
from equime.generation_pipeline.trajectory import trajectory
from equime.locks import Shard
from tests import runs


@pytest.fixture(scope="module")
def dataset(reference: Path) -> Dataset:
    return equime.Dataset.open(reference)


def test_clips_come_in_the_order_of_the_plan_with_spec_and_face(dataset: Dataset) -> None:
    views = list(dataset)
    assert len(views) == len(dataset) == runs.N_CLIPS
    assert [view.spec.spec_id for view in views] == [spec.spec_id for spec in dataset.specs]
    for view in views:
        assert view.clip.spec_id == view.spec.spec_id
        assert view.face.face_id == view.spec.face_id
        assert view.path.is_file()


def test_one_clip_by_position_id_or_file(dataset: Dataset) -> None:
    view = dataset[3]
    for key in (
        view.clip.clip_id,
        view.spec.spec_id,
        view.clip.file,
        Path(view.clip.file).stem,
        3 - len(dataset),
    ):
        assert dataset[key].clip == view.clip
    with pytest.raises(InputError, match="no clip 'nothing'"):
        dataset["nothing"]
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_frames_and_curve_of_a_clip(dataset: Dataset) -> None:
    view = dataset[0]
    frames = view.frames()
    assert frames.shape == (24, 64, 64, 3)
    assert frames.dtype == np.uint8
    curve, track = view.curve(), trajectory(view.spec)
    np.testing.assert_array_equal(curve["frame"], np.arange(24))
    np.testing.assert_array_equal(curve["time_ms"], track.time_ms)
    for i, number in enumerate(track.aus):
        sided = f"AU{number:02d}_L" in curve
        np.testing.assert_array_equal(
            curve[f"AU{number:02d}_L" if sided else f"AU{number:02d}"], track.curve[:, i, 0]
        )
        if sided:
            np.testing.assert_array_equal(curve[f"AU{number:02d}_R"], track.curve[:, i, 1])
    shown = {int(name[2:4]) for name in curve if name.startswith("AU") and curve[name].any()}
    assert shown <= set(track.aus)
    np.testing.assert_array_equal(curve["head_yaw_deg"], track.head[:, 0])


def test_tables_for_pandas_arrow_and_duckdb(dataset: Dataset) -> None:
    frame = dataset.to_pandas()
    assert len(frame) == runs.N_CLIPS
    assert frame["clip_id"].is_unique
    assert dict(frame["emotion"].value_counts()) == {"happiness": 6, "fear": 6}
    assert dataset.to_arrow().column("aus")[0].as_py()
    pytest.importorskip("duckdb")
    connection = dataset.duckdb()
    sql = "SELECT count(DISTINCT clip_id), count(*) FROM clips JOIN au_curves USING (clip_id)"
    assert connection.execute(sql).fetchone() == (runs.N_CLIPS, runs.N_CLIPS * 24)
    connection.close()


def test_without_duckdb_the_command_to_install_it(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name == "duckdb":
            raise ModuleNotFoundError(name="duckdb")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingError, match="pip install duckdb"):
        dataset.duckdb()


def test_an_unknown_table_lists_those_there_are(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="there are: au_curves"):
        dataset.table("deepface")


def test_repr_for_notebooks(dataset: Dataset) -> None:
    assert f"{runs.N_CLIPS} of {runs.N_CLIPS} clips, 3 faces" in repr(dataset)
    assert "<td>fear</td><td>6</td>" in dataset._repr_html_()
    assert "<video" in dataset[0]._repr_html_()
    assert dataset[0].clip.captions.short in repr(dataset[0])


def test_what_is_no_data_set(tmp_path: Path, made: Path) -> None:
    with pytest.raises(InputError, match=r"no equime data set \(dataset\.json is missing\)"):
        Dataset.open(tmp_path)
    with pytest.raises(InputError, match="no equime data set"):
        Dataset.open(made / "dataset.json")
    (made / "dataset.json").write_text("{")
    with pytest.raises(WorkError, match="damaged"):
        Dataset.open(made)


def test_refresh_sees_what_a_run_has_written(made: Path, tmp_path: Path) -> None:
    lines = (made / "clips.jsonl").read_bytes().splitlines(keepends=True)
    (made / "clips.jsonl").write_bytes(b"".join(lines[:2]))
    data = Dataset.open(made)
    assert len(data) == 2
    (made / "clips.jsonl").write_bytes(b"".join(lines))
    data.refresh()
    assert len(data) == runs.N_CLIPS


def test_records_may_lie_in_several_files(made: Path) -> None:
    lines = (made / "clips.jsonl").read_bytes().splitlines(keepends=True)
    (made / "clips.jsonl").write_bytes(b"".join(lines[:5]))
    (made / "clips.2-of-2.jsonl").write_bytes(b"".join(lines[5:]))
    assert len(Dataset.open(made)) == runs.N_CLIPS
    assert runs.status(made)["n_clips"] == runs.N_CLIPS


def test_a_data_set_can_be_moved(made: Path, tmp_path: Path) -> None:
    moved = shutil.move(made, tmp_path / "elsewhere")
    assert runs.problems(Path(moved)) == []


@pytest.mark.parametrize(
    ("subject", "name"),
    [("7", "000007"), ("1234567", "1234567"), ("anna b", "anna-b"), ("a/b", "a-b"), ("Zoë", "Zoë")],
)
def test_subjects_in_file_names(subject: str, name: str) -> None:
    assert layout.clip_file("fear", subject, 4, "f") == f"fear/f_{name}_004.mp4"


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match="--shard 1/4"):
        Shard.parse(text)
