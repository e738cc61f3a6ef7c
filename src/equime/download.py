"""Fetching weights: streamed to a file aside, continued after a cut, checked, then renamed into place.

Nothing here runs unless a person asked for it (`equime weights fetch`). While a file is incomplete it is
called ``.<name>.partial``; it stays there when the connection or the process dies, and the next fetch asks the
server for the rest (HTTP ``Range``, RFC 9110). That is done only for files whose digest is recorded: without
one nobody would notice that the two halves are of different files.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, Final

from filelock import FileLock, Timeout

from equime import __version__, weights
from equime.errors import InputError, WorkError
from equime.records import disk_guard, disk_message, sync_folder
from equime.weights import FileState, WeightFile

Report = Callable[[str, int, int | None], None]
"""Is told the file, its bytes so far, and how many there will be (None: the server does not say)."""

BLOCK: Final = 1 << 18
TIMEOUT_S: Final = 30.0
ATTEMPTS: Final = 4
"""How often a connection that breaks is made again within one fetch."""

PAUSE_S: Final = 1.0
"""Before it is made again, longer each time."""


class _CutError(Exception):
    """The connection ended before the file did; worth another try."""


class _AddressError(Exception):
    """The file does not come from there."""


def fetch(name: str, *, source: Path | None = None, report: Report | None = None) -> list[FileState]:
    """Bring every file of an entry to its place; files that are there and right are left alone.

    Args:
        name: of the entry.
        source: a file (or a folder of files with their published names) to copy instead of downloading.
        report: is told how far it is.

    Returns:
        The state of each file afterwards, with its digest.

    Raises:
        InputError: no such entry, or ``source`` has none of its files.
        WorkError: no network, not there any more, a wrong digest, a full disk, or another process at it.
    """
    files = weights.entry(name).files
    copies = {} if source is None else _copies(name, source)
    wanted = [f for f in files if source is None or f.file in copies]
    for file in wanted:
        place = weights.folder(name) / file.file
        with disk_guard(place):
            place.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(place):
            if file.file in copies:
                _install(name, file, copies[file.file], place)
            elif not _right(name, file, place):
                _download(name, file, place, report or (lambda *_: None))
    return [weights.with_digest(state) for state in weights.states(name)]


def _right(name: str, file: WeightFile, place: Path) -> bool:
    """Whether the file is there; a wrong one is put aside."""
    state = weights.file_state(name, file, place).state
    if state == "wrong":
        place.replace(_wrong(place))
    return state in ("there", "unrecorded")


@contextlib.contextmanager
def _only_one(place: Path) -> Generator[None]:
    lock = FileLock(place.with_name(f".{place.name}.lock"))
    try:
        with disk_guard(place):
            lock.acquire(timeout=0)
    except Timeout:
        raise WorkError(f"{place}: another process is fetching it; wait for it or stop it") from None
    try:
        yield
    finally:
        lock.release()


def _partial(place: Path) -> Path:
    return place.with_name(f".{place.name}.partial")


def _wrong(place: Path) -> Path:
    return place.with_name(f"{place.name}.wrong")


# From a file


def _copies(name: str, source: Path) -> dict[str, Path]:
    """Which files of an entry a file or folder of the user's stands for."""
    names = [f.file for f in weights.entry(name).files]
    if source.is_dir():
        found = {n: source / n for n in names if (source / n).is_file()}
        if found:
            return found
        raise InputError(f"{source}: holds none of {', '.join(names)}, the files of weights {name}")
    if not source.is_file():
        raise InputError(f"{source}: is not there; give the file, or the folder with {', '.join(names)}")
    if len(names) == 1:
        return {names[0]: source}
    if source.name in names:
        return {source.name: source}
    raise InputError(f"{source}: weights {name} are {', '.join(names)}; give a file of that name")


def _install(name: str, file: WeightFile, source: Path, place: Path) -> None:
    state = weights.file_state(name, file, source)
    if state.state == "empty":
        raise InputError(f"{source}: is empty")
    if state.state == "wrong":
        raise WorkError(
            f"{source}: is not {file.file} of weights {name}: it has sha256 {state.sha256}, expected "
            f"{state.expected}; get the file from {file.urls[0]}"
        )
    if place.exists() and place.samefile(source):
        return
    partial = _partial(place)
    with disk_guard(place):
        _room(place, source.stat().st_size)
        shutil.copyfile(source, partial)
        _finish(partial, place)


# From its publisher


def _download(name: str, file: WeightFile, place: Path, report: Report) -> None:
    """Try each address; the first that gives the right file ends it."""
    reasons = []
    for url in file.urls:
        try:
            _from(url, file, place, report)
        except _AddressError as error:
            reasons.append(f"{url}: {error}")
        else:
            return
    raise WorkError(
        "; ".join(reasons)
        + f"; check the connection and try again, or download {file.file} on another machine "
        f"and run `equime weights fetch {name} --from FILE`"
    )


def _from(url: str, file: WeightFile, place: Path, report: Report) -> None:
    partial = _partial(place)
    with disk_guard(place):
        if file.sha256 is None:
            partial.unlink(missing_ok=True)
        _whole(url, partial, lambda n, total: report(file.file, n, total))
        found = weights.read_digest(partial)
        if not weights.matches(file, found):
            partial.replace(_wrong(place))
            raise _AddressError(
                f"gave a file with sha256 {found}, expected {file.sha256}; it is kept as {_wrong(place)}"
            )
        _finish(partial, place)


def _whole(url: str, partial: Path, report: Callable[[int, int | None], None]) -> None:
    """Connect as often as it takes, within bounds, each time for what is still missing."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _stream(url, partial, report)
        except _CutError as error:
            if attempt == ATTEMPTS:
                raise _AddressError(
                    f"{error}; the same command continues from byte {_size(partial)}"
                ) from error
            time.sleep(PAUSE_S * attempt)
    return None


def _stream(url: str, partial: Path, report: Callable[[int, int | None], None]) -> None:
    """One connection: append what is still missing to the partial file."""
    n_done = _size(partial)
    answer = _open(url, n_done)
    if answer is None:  # nothing from there on: it is complete, which its digest will tell, or too long
        return
    with answer:
        if answer.headers.get_content_type() == "text/html":
            raise _AddressError("the server sent a web page, not the file (a log-in page or a proxy)")
        begins = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range") or "")
        if answer.status != http.client.PARTIAL_CONTENT or not begins or int(begins[1]) != n_done:
            n_done = 0
            if answer.status == http.client.PARTIAL_CONTENT:
                partial.unlink()
                raise _CutError("the server sent another part than was asked for")
        length = answer.headers.get("Content-Length")
        n_total = n_done + int(length) if length is not None else None
        _room(partial, (n_total or n_done) - n_done)
        with partial.open("ab" if n_done else "wb") as out:
            _copy(answer, out, n_done, n_total, report)


def _open(url: str, n_done: int) -> http.client.HTTPResponse | None:
    """The answer of the server; None where the file has no byte ``n_done``."""
    headers = {"User-Agent": f"equime/{__version__}", "Accept-Encoding": "identity"}
    if n_done:
        headers["Range"] = f"bytes={n_done}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        failure = _CutError if error.code >= http.client.INTERNAL_SERVER_ERROR else _AddressError
        raise failure(f"the server says {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _AddressError(f"cannot be reached ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection broke ({error or type(error).__name__})") from None
    return answer


def _copy(
    answer: IO[bytes],
    out: IO[bytes],
    n_done: int,
    n_total: int | None,
    report: Callable[[int, int | None], None],
) -> None:
    report(n_done, n_total)
    while block := _read(answer):
        out.write(block)
        n_done += len(block)
        report(n_done, n_total)
    if n_total is not None and n_done < n_total:
        raise _CutError(f"the connection ended {n_total - n_done} bytes early")
    if n_done == 0:
        raise _AddressError("the server sent nothing")


def _read(answer: IO[bytes]) -> bytes:
    try:
        return answer.read(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection broke ({error or type(error).__name__})") from None


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _room(place: Path, n_bytes: int) -> None:
    """Refuse what cannot fit before the disk is full of it."""
    free = shutil.disk_usage(place.parent).free
    if n_bytes > free:
        error = OSError(errno.ENOSPC, "")
        raise WorkError(
            f"{disk_message(place.parent, error)} ({n_bytes / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free)"
        )


def _finish(partial: Path, place: Path) -> None:
    """Sync and rename."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(place)
    sync_folder(place.parent)
