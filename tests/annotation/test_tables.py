"""Tables: what is in the spool reaches Parquet once, newer rows replace older ones, nothing else is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from equime import registry
from equime.annotation.annotators import Row
from equime.annotation.tables import TableStore, table_schema
from equime.errors import WorkError
from tests.evaluation_framework.fakes import Brightness, Failing


def store(root: Path, version: str = "1") -> TableStore:
    return TableStore(root, [Brightness(), Failing()], {"brightness": version, "failing": version})


def row(level: float | None, n: int = 3) -> Row:
    values = {"brightness": level, "n_seen": n, "shape": "8x8", "is_dark": False}
    return Row(values, {"brightness": np.array([1.0, np.nan, 3.0])}, (("dim", "is dim"),))


def fill(tables: TableStore, *clips: tuple[str, str, float | None], frames: bool = False) -> None:
    with tables.appender() as appender:
        for clip_id, digest, level in clips:
            appender.append(
                tables.line(clip_id, digest, {"brightness": row(level)}, (0.0, 40.0, 80.0), frames)
            )


def test_rows_are_merged_and_replaced(tmp_path: Path) -> None:
    tables = store(tmp_path)
    fill(tables, ("b", "1", 2.0), ("a", "1", 1.0))
    tables.merge()
    assert not tables.spool.exists()
    assert tables.read("brightness")["clip_id"].tolist() == ["a", "b"]
    fill(tables, ("b", "2", None), ("c", "1", 3.0))
    tables.merge()
    frame = tables.read("brightness").set_index("clip_id")
    assert frame["brightness"].dropna().to_dict() == {"a": 1.0, "c": 3.0}
    assert frame.loc["b", "input_digest"] == "2"
    assert frame["notes"].tolist() == ['[["dim", "is dim"]]'] * 3
    assert tables.read("failing").empty


def test_done_means_same_content_and_same_version(tmp_path: Path) -> None:
    tables = store(tmp_path)
    fill(tables, ("a", "1", 1.0))
    tables.merge()
    assert tables.done("brightness", frames=False) == {("a", "1")}
    assert tables.done("brightness", frames=True) == set()
    assert store(tmp_path, "2").done("brightness", frames=False) == set()
    assert tables.done("failing", frames=False) == set()


def test_values_per_frame_keep_their_gaps(tmp_path: Path) -> None:
    tables = store(tmp_path)
    fill(tables, ("a", "1", 1.0), frames=True)
    tables.merge()
    found = pq.read_table(tables.path("brightness", frames=True)).to_pylist()
    assert [(r["frame"], r["time_ms"], r["brightness"]) for r in found] == [
        (0, 0.0, 1.0),
        (1, 40.0, None),
        (2, 80.0, 3.0),
    ]
    assert tables.done("brightness", frames=True) == {("a", "1")}


def test_a_torn_line_is_forgotten_and_the_rest_kept(tmp_path: Path) -> None:
    tables = store(tmp_path)
    fill(tables, ("a", "1", 1.0), ("b", "1", 2.0))
    with tables.spool.open("ab") as file:
        file.write(b'{"clip_id":"c","inp')
    tables.merge()
    assert tables.read("brightness")["clip_id"].tolist() == ["a", "b"]


def test_merging_twice_changes_nothing(tmp_path: Path) -> None:
    """A kill between the table and the end of the spool merges the same lines again."""
    tables = store(tmp_path)
    fill(tables, ("a", "1", 1.0), ("b", "1", 2.0))
    lines = tables.spool.read_bytes()
    tables.merge()
    first = tables.path("brightness").read_bytes()
    tables.spool.write_bytes(lines)
    tables.merge()
    assert tables.path("brightness").read_bytes() == first


def test_a_table_of_other_columns_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = store(tmp_path)
    fill(tables, ("a", "1", 1.0))
    tables.merge()
    monkeypatch.setattr(Brightness, "metrics", Brightness.metrics[:2])
    newer = store(tmp_path, "2")
    fill(newer, ("b", "1", 2.0))
    newer.merge()
    assert newer.read("brightness")["clip_id"].tolist() == ["b"]
    assert pq.read_schema(newer.path("brightness")).names == table_schema(Brightness()).names


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    tables = store(tmp_path)
    tables.path("brightness").parent.mkdir()
    tables.path("brightness").write_bytes(b"PAR1 nothing")
    with pytest.raises(WorkError, match=r"brightness\.parquet: unreadable table"):
        tables.done("brightness", frames=False)


def test_a_killed_run_of_another_command_loses_nothing(tmp_path: Path) -> None:
    """`equime attributes` was killed, `equime evaluate` comes next: what was spooled goes into its own table."""
    geometry = registry.lookup("annotator", "face_geometry")()
    killed = TableStore(tmp_path, [geometry], {"face_geometry": geometry.version})
    with killed.appender() as appender:
        values = dict.fromkeys(metric.name for metric in geometry.metrics) | {"n_faces_max": 1}
        appender.append(killed.line("a", "1", {"face_geometry": Row(values)}, (), False))
    store(tmp_path).merge()
    assert not killed.spool.exists()
    assert killed.done("face_geometry", frames=False) == {("a", "1")}
    assert killed.read("face_geometry")["n_faces_max"].tolist() == [1]
