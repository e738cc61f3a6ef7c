"""Features on disk: one array per input and list of clips, under a name that its content decides.

``<key>-<id>.npy`` holds the rows of the clips that gave one, ``<key>-<id>.jsonl`` a line per clip; the latter appears
last and makes the former valid. While they are made, both are called ``partial``: rows are flushed before the
lines that vouch for them, so that a run that was killed goes on where it stopped. A lock keeps other processes from
making the same; they wait, and then read it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from equime.baselines.feature_clips import Made
from equime.progress import Progress
from equime.records import Appender, aside, disk_guard, read, write_records
from equime.types import Record

Array = NDArray[np.generic]

FLUSH_ROWS: Final = 32
IN_MEMORY_BYTES: Final = 32 * 2**20
"""Arrays up to this size are read into memory, larger ones stay on the disk."""


class RowNotes(Record, frozen=True, omit_defaults=True):
    """What became of one clip.

    Attributes:
        row: its position in the list of clips.
        made: whether it gave a sample.
        notes: (code, text) of what was noticed.
    """

    row: int
    made: bool
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Filled:
    """An input of a list of clips.

    Attributes:
        array: (n, ...) of the clips that gave one, in order.
        rows: (n,) their positions in the list.
        notes: of every clip, in order.
    """

    array: Array
    rows: NDArray[np.intp]
    notes: tuple[RowNotes, ...]


class MemoryArray:
    """An input that is held in memory and gone with the process.

    Args:
        n: number of clips.
        shape: of one clip's array.
        dtype: of it.
    """

    def __init__(self, n: int, shape: tuple[int, ...], dtype: str) -> None:
        self._array: Array = np.zeros((n, *shape), dtype)
        self._notes: dict[int, RowNotes] = {}
        self._n = n

    @property
    def missing(self) -> list[int]:
        """Rows that are still to be made."""
        return [row for row in range(self._n) if row not in self._notes]

    def put(self, row: int, made: Made) -> None:
        """Store what became of a clip."""
        if made.array is not None:
            self._array[row] = made.array
        self._notes[row] = RowNotes(row=row, made=made.array is not None, notes=made.notes)

    def filled(self) -> Filled:
        """Everything, when no row is missing."""
        rows, notes = _rows(self._notes)
        return Filled(self._array if len(rows) == self._n else self._array[rows], rows, notes)

    def close(self) -> None:
        """Nothing."""


class CachedArray:
    """An input in a cache folder; holds its lock until `close`.

    Args:
        folder: of the cache.
        name: ``<key>-<id>``.
        n, shape, dtype: as `MemoryArray`.
        progress: told when another process is waited for.

    Raises:
        WorkError: full disk or no write permission.
    """

    def __init__(
        self, folder: Path, name: str, n: int, shape: tuple[int, ...], dtype: str, progress: Progress
    ) -> None:
        self._final, self._lines = folder / f"{name}.npy", folder / f"{name}.jsonl"
        self._partial, self._partial_lines = folder / f"{name}.partial.npy", folder / f"{name}.partial.jsonl"
        self._n, self._shape, self._dtype = n, shape, dtype
        self._notes: dict[int, RowNotes] = {}
        self._waiting: list[RowNotes] = []
        self._array: np.memmap[tuple[int, ...], np.dtype[np.generic]] | None = None
        self._appender: Appender | None = None
        with disk_guard(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / f"{name}.lock")
            _acquire(self._lock, name, progress)
        try:
            self._resume()
        except BaseException:
            self.close()
            raise

    @property
    def missing(self) -> list[int]:
        """See `MemoryArray`."""
        return [row for row in range(self._n) if row not in self._notes]

    def put(self, row: int, made: Made) -> None:
        """See `MemoryArray`. Raises WorkError where the disk refuses."""
        assert self._array is not None
        if made.array is not None:
            self._array[row] = made.array
        note = RowNotes(row=row, made=made.array is not None, notes=made.notes)
        self._notes[row] = note
        self._waiting.append(note)
        if len(self._waiting) >= FLUSH_ROWS:
            self._flush()

    def filled(self) -> Filled:
        """See `MemoryArray`; makes the files complete first."""
        rows, notes = _rows(self._notes)
        if not self._lines.exists():
            self._flush()
            self._complete(rows, notes)
        size = len(rows) * int(np.prod(self._shape)) * np.dtype(self._dtype).itemsize
        array = np.load(self._final, mmap_mode="r" if size > IN_MEMORY_BYTES else None)
        return Filled(array, rows, notes)

    def close(self) -> None:
        """Write what is waiting, and give the lock back."""
        try:
            self._flush()
        finally:
            if self._appender is not None:
                self._appender.close()
            self._array = self._appender = None
            self._lock.release()

    def _resume(self) -> None:
        if self._lines.exists() and self._final.exists():
            self._notes = {note.row: note for note in read(self._lines, RowNotes)}
            if len(self._notes) == self._n:
                return
        with disk_guard(self._partial):
            usable = self._partial.exists() and self._partial.stat().st_size == self._n_bytes()
            if not usable:
                self._partial_lines.unlink(missing_ok=True)
                with aside(self._partial) as path:
                    np.lib.format.open_memmap(path, "w+", self._dtype, (self._n, *self._shape)).flush()
        self._notes = {note.row: note for note in read(self._partial_lines, RowNotes)}
        self._array = np.lib.format.open_memmap(self._partial, "r+")
        self._appender = Appender(self._partial_lines)

    def _n_bytes(self) -> int:
        """Size of the partial file: its header is made again to be sure."""
        header = np.lib.format.header_data_from_array_1_0(np.zeros((0, *self._shape), self._dtype))
        header["shape"] = (self._n, *self._shape)
        import io  # noqa: PLC0415

        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, header)
        n_values = self._n * int(np.prod(self._shape))
        return len(buffer.getvalue()) + n_values * np.dtype(self._dtype).itemsize

    def _flush(self) -> None:
        if self._array is None or self._appender is None or not self._waiting:
            return
        with disk_guard(self._partial):
            self._array.flush()
        self._appender.append(*self._waiting)
        self._waiting = []

    def _complete(self, rows: NDArray[np.intp], notes: tuple[RowNotes, ...]) -> None:
        with disk_guard(self._final):
            if len(rows) == self._n:
                self._array = None  # Windows renames no file that is open.
                os.replace(self._partial, self._final)
            else:
                self._compact(rows)
                self._array = None
        write_records(self._lines, notes)
        if self._appender is not None:
            self._appender.close()
            self._appender = None
        with disk_guard(self._final):
            self._partial.unlink(missing_ok=True)
            self._partial_lines.unlink(missing_ok=True)

    def _compact(self, rows: NDArray[np.intp]) -> None:
        """Only the rows of clips that gave a sample, copied a few at a time."""
        assert self._array is not None
        with aside(self._final) as path:
            if not len(rows):
                with path.open("wb") as file:
                    np.save(file, np.zeros((0, *self._shape), self._dtype))
                return
            target = np.lib.format.open_memmap(path, "w+", self._dtype, (len(rows), *self._shape))
            for start in range(0, len(rows), FLUSH_ROWS):
                target[start : start + FLUSH_ROWS] = self._array[rows[start : start + FLUSH_ROWS]]
            target.flush()


def _rows(notes: dict[int, RowNotes]) -> tuple[NDArray[np.intp], tuple[RowNotes, ...]]:
    ordered = tuple(notes[row] for row in sorted(notes))
    return np.array([note.row for note in ordered if note.made], np.intp), ordered


def _acquire(lock: FileLock, name: str, progress: Progress) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.note(f"{name} is being made by another process; waiting for it")
        lock.acquire()
