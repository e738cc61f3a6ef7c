"""Append-only JSONL files and atomic writes.

A process may be killed at any instant, and the disk may be full at any write. Two rules follow: a whole file
appears under its name only when it is complete (`write_atomic`), and the last line of an append-only file may
be torn. A torn line (no newline at its end) is ignored on reading and cut off by the next `Appender`, whose
owner holds the lock of the run.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from equime.errors import WorkError
from equime.seeding import canonical_json

T = TypeVar("T")

DISK_ERRNOS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG}
)
"""What the operating system says when no clip could be written any more, as opposed to this one."""

PARTIAL_GLOB: Final = ".*.partial-*"
"""Names of files being written, the same as `equime.video` uses."""


def disk_error(error: BaseException) -> BaseException | None:
    """The exception of a full or forbidden disk behind an exception, or None.

    Follows ``__cause__`` and ``__context__``, as libraries wrap what the system told them; FFmpeg's errors
    carry an ``errno`` without being an `OSError`.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if getattr(current, "errno", None) in DISK_ERRNOS:
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None


@contextlib.contextmanager
def disk_guard(path: Path) -> Generator[None]:
    """Turn what the disk refuses into a `WorkError` that says what to do."""
    try:
        yield
    except OSError as error:
        if disk_error(error) is None:
            raise
        raise WorkError(disk_message(path, error)) from error


def disk_message(path: Path | str, error: BaseException) -> str:
    """What happened, what is needed, and how to go on; ``error`` is one that `disk_error` gave."""
    code = getattr(error, "errno", None)
    reason = os.strerror(code) if isinstance(code, int) else str(error)
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        need = "free some space there"
    elif code == errno.EIO:
        need = "the disk reports an input/output error; check it"
    else:
        need = "make it writable"
    return f"{path}: {reason}; {need} and run the same command again, it continues where it stopped"


@functools.cache
def _decoder(record: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(record)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Line number (from 1) and bytes of every complete line, none of a missing file; a torn tail is left out."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield number, line


def decode_line(line: bytes, record: type[T], path: Path, number: int) -> T:
    """One record.

    Raises:
        WorkError: naming file and line, where the line is not such a record.
    """
    try:
        value: T = _decoder(record).decode(line)  # type: ignore[arg-type]
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise WorkError(
            f"{path}:{number}: not a {record.__name__} record: {error}; "
            "restore the file or delete that line, then run `equime validate`"
        ) from error
    return value


def iterate(path: Path, record: type[T]) -> Iterator[T]:
    """The records of a file one by one; memory does not grow. Raises as `decode_line`."""
    for number, line in read_lines(path):
        yield decode_line(line, record, path, number)


def read(path: Path, record: type[T]) -> list[T]:
    """All records of a file. Raises as `decode_line`."""
    return list(iterate(path, record))


def count(path: Path) -> int:
    """Complete lines of a file; 0 where it is missing."""
    return sum(1 for _ in read_lines(path))


class Appender:
    """Appends records to a JSONL file, each on the disk when `append` returns.

    The caller holds the lock that makes it the only writer. Opening cuts a torn last line off.

    Raises:
        WorkError: full disk or no write permission.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_guard(path):
            self._file = path.open("ab", buffering=0)
            _cut_torn_line(path)

    def append(self, *values: Any) -> None:
        """Write the records and flush them to the disk."""
        data = b"".join(canonical_json(value) + b"\n" for value in values)
        with disk_guard(self.path):
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cut_torn_line(path: Path) -> None:
    """Truncate to the last newline."""
    with path.open("r+b") as file:
        position = file.seek(0, os.SEEK_END)
        while position > 0:
            step = min(4096, position)
            file.seek(position - step)
            block = file.read(step)
            newline = block.rfind(b"\n")
            if newline >= 0:
                file.truncate(position - step + newline + 1)
                return
            position -= step
        file.truncate(0)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut."""
    if os.name == "nt":
        return  # Windows cannot open a folder, and its renames need no such flush.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, chunks: bytes | Iterable[bytes]) -> None:
    """Write a file that appears under its name only when complete: aside, fsync, rename, fsync of the folder.

    Raises:
        WorkError: full disk or no write permission.
    """
    with aside(path) as partial, partial.open("wb") as file:
        for chunk in [chunks] if isinstance(chunks, bytes) else chunks:
            file.write(chunk)


@contextlib.contextmanager
def aside(path: Path) -> Generator[Path]:
    """A path to write to instead of ``path``; synced and renamed on success, removed on any exception.

    Raises:
        WorkError: full disk or no write permission.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with disk_guard(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):  # What went wrong before is what the user must hear of.
                partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_records(path: Path, values: Iterable[Any]) -> None:
    """Write a whole JSONL file atomically. Raises as `write_atomic`."""
    write_atomic(path, (canonical_json(value) + b"\n" for value in values))
