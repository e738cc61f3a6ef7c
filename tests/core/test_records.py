from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime import records
from equime.errors import WorkError
from equime.types import Blink

BLINKS = [Blink(start_ms=float(i), duration_ms=100.0) for i in range(5)]


def fill(path: Path) -> Path:
    with records.Appender(path) as file:
        file.append(*BLINKS)
    return path


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    path = fill(tmp_path / "a.jsonl")
    assert records.read(path, Blink) == BLINKS
    assert records.count(path) == 5
    with records.Appender(path) as file:
        file.append(BLINKS[0])
    assert records.read(path, Blink) == [*BLINKS, BLINKS[0]]


def test_a_missing_file_has_no_records(tmp_path: Path) -> None:
    assert records.read(tmp_path / "none.jsonl", Blink) == []
    assert records.count(tmp_path / "none.jsonl") == 0


@given(st.data())
def test_cut_anywhere_the_whole_lines_are_kept_and_appending_goes_on(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = fill(tmp_path_factory.mktemp("cut") / "a.jsonl")
    whole = path.read_bytes()
    n = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:n])
    n_lines = whole[:n].count(b"\n")
    assert records.read(path, Blink) == BLINKS[:n_lines]
    with records.Appender(path) as file:
        file.append(BLINKS[4])
    assert records.read(path, Blink) == [*BLINKS[:n_lines], BLINKS[4]]


def test_a_torn_line_longer_than_a_block_is_cut(tmp_path: Path) -> None:
    path = fill(tmp_path / "a.jsonl")
    with path.open("ab") as file:
        file.write(b"x" * 20_000)
    records.Appender(path).close()
    assert records.read(path, Blink) == BLINKS


@pytest.mark.parametrize(
    "line", [b"{}\n", b"nonsense\n", b'{"start_ms":1.0,"duration_ms":"long"}\n', b"\xff\n"]
)
def test_a_broken_line_is_named_with_its_number(tmp_path: Path, line: bytes) -> None:
    path = fill(tmp_path / "a.jsonl")
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(WorkError, match=r"a\.jsonl:6: not a Blink record"):
        records.read(path, Blink)


def test_an_atomic_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    records.write_atomic(path, b"old")

    def chunks():
        yield b"new"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        records.write_atomic(path, chunks())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    records.write_records(path, BLINKS)
    assert records.read(path, Blink) == BLINKS


def test_partial_files_match_the_documented_pattern(tmp_path: Path) -> None:
    with records.aside(tmp_path / "a.txt") as partial:
        partial.write_bytes(b"x")
        assert list(tmp_path.glob(records.PARTIAL_GLOB)) == [partial]
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_the_disks_refusal_is_found_behind_other_exceptions() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/d/x.mp4")
    wrapped = WorkError("x.mp4: cannot be written")
    wrapped.__cause__ = full
    assert records.disk_error(wrapped) is full
    assert records.disk_error(ValueError("other")) is None
    assert records.disk_error(FileNotFoundError(errno.ENOENT, "gone")) is None
    assert "free some space" in records.disk_message("/d/x.mp4", full)
