"""Weights of networks: which there are, where they lie, whether they are the right files.

equime brings no weights and downloads none while it works. What needs them asks `require`, which either gives
a checked file or says what to type; `equime weights fetch` (`equime.download`) is the only thing that uses the
network, and only when a person runs it.

The entries are in `equime.weights_table`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from pathlib import Path
from typing import Final, Literal

import msgspec

from equime.errors import EquimeError, InputError, MissingError, WorkError
from equime.records import disk_guard, write_atomic
from equime.types import Record
from equime.weights_table import WEIGHTS, WeightFile, Weights

__all__ = [
    "WEIGHTS",
    "FileState",
    "WeightFile",
    "Weights",
    "available",
    "digest",
    "digests",
    "entry",
    "file_state",
    "folder",
    "hint",
    "matches",
    "path",
    "read_digest",
    "require",
    "root",
    "states",
    "with_digest",
    "wrong_digest",
]  # fmt: skip

PLACE: Final = "EQUIME_WEIGHTS"
"""Environment variable with the folder of all weights."""

DIGESTS: Final = "digests.json"
"""In that folder: digests of files that were read once, by path, size and time of change."""

State = Literal["there", "unrecorded", "missing", "empty", "wrong"]
"""``unrecorded``: it is there, and this version of equime has no digest to compare it with."""


class FileState(Record, frozen=True):
    """A file of an entry on this machine.

    Attributes:
        name: of the entry.
        file: its name.
        path: where it is or belongs.
        state: one of `State`.
        sha256: of the file that is there; None where there is none or nobody looked.
        expected: the digest, or its first digits, that it should have; None where none is recorded.
    """

    name: str
    file: str
    path: str
    state: State
    sha256: str | None
    expected: str | None


def root() -> Path:
    """The folder of all weights: ``$EQUIME_WEIGHTS``, else ``equime/weights`` where the platform keeps caches."""
    chosen = os.environ.get(PLACE)
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs  # noqa: PLC0415

    return platformdirs.user_cache_path("equime", appauthor=False) / "weights"


def entry(name: str) -> Weights:
    """The entry of this name.

    Raises:
        InputError: there is none; the message lists the known ones.
    """
    if name not in WEIGHTS:
        raise InputError(f"weights {name!r} are not known; known are {', '.join(sorted(WEIGHTS))}")
    return WEIGHTS[name]


def folder(name: str) -> Path:
    """Where the files of an entry belong. Raises as `entry`."""
    text = entry(name).folder
    outside = text.startswith(("/", "~", "$"))
    return Path(os.path.expandvars(text)).expanduser() if outside else root() / text


def path(name: str, file: str | None = None) -> Path:
    """Where a file of an entry belongs, whether it is there or not.

    Args:
        name: of the entry.
        file: which file. None is the only file, or the folder where the entry has several.

    Raises:
        InputError: no such entry, or no such file in it.
    """
    files = [f.file for f in entry(name).files]
    if file is None:
        return folder(name) / files[0] if len(files) == 1 else folder(name)
    if file not in files:
        raise InputError(f"weights {name} have no file {file!r}; they have {', '.join(files)}")
    return folder(name) / file


def available(name: str) -> bool:
    """Whether all files are there and not empty; `require` also compares their digests."""
    return all(_size(folder(name) / f.file) > 0 for f in entry(name).files)


def require(name: str, file: str | None = None) -> Path:
    """`path`, after every file of the entry was found and, where its digest is recorded, checked.

    A digest is computed once for a file as it is; what is remembered guards against damage and mix-ups, not
    against somebody who may write to the folder.

    Raises:
        MissingError: a file is not there, with what to type.
        WorkError: a file is not the one that equime expects, with both digests.
        InputError: as `path`.
    """
    wanted = path(name, file)
    for found in states(name):
        if found.state in ("missing", "empty"):
            what = "is empty" if found.state == "empty" else "is not there"
            raise MissingError(f"weights {name}: {found.path} {what}; {hint(name)}")
        if found.state == "wrong":
            raise WorkError(wrong_digest(found))
    return wanted


def hint(name: str) -> str:
    """What to do to get an entry, as the end of a sentence. Raises as `entry`."""
    files = [f.file for f in entry(name).files]
    absent = [file for file in files if _size(folder(name) / file) <= 0] or files
    return f"run `equime weights fetch {name}`, or put {' and '.join(absent)} into {folder(name)}"


def wrong_digest(found: FileState) -> str:
    """Why a file is refused, and the next step."""
    return (
        f"weights {found.name}: {found.path} has sha256 {found.sha256}, expected {found.expected}; "
        f"it is damaged or another file: remove it and run `equime weights fetch {found.name}`"
    )


def states(name: str) -> list[FileState]:
    """Each file of an entry on this machine; digests are computed where one is recorded. Raises as `entry`."""
    return [file_state(name, f, folder(name) / f.file) for f in entry(name).files]


def digests(name: str) -> dict[str, str]:
    """sha256 of every file of an entry that is there, for the provenance of what was measured with it."""
    here = {f.file: folder(name) / f.file for f in entry(name).files}
    return {file: digest(place) for file, place in here.items() if _size(place) > 0}


def file_state(name: str, file: WeightFile, place: Path) -> FileState:
    """Compare a file at any place with what an entry expects."""
    size = _size(place)
    found = digest(place) if size > 0 and file.sha256 else None
    state: State = "missing" if size < 0 else "empty"
    if size > 0:
        state = "unrecorded" if file.sha256 is None else "there" if matches(file, found) else "wrong"
    return FileState(
        name=name, file=file.file, path=str(place), state=state, sha256=found, expected=file.sha256
    )


def with_digest(state: FileState) -> FileState:
    """The same, with the digest of a file that none is recorded for."""
    if state.state != "unrecorded":
        return state
    return FileState(
        name=state.name, file=state.file, path=state.path, state=state.state, expected=None,
        sha256=digest(Path(state.path)),
    )  # fmt: skip


def matches(file: WeightFile, sha256: str | None) -> bool:
    """Whether a digest is the recorded one, or begins with what is recorded of it."""
    return file.sha256 is None or (sha256 is not None and sha256.startswith(file.sha256))


def digest(place: Path) -> str:
    """sha256 of a file, read once for its path, size and time of change.

    Raises:
        WorkError: it cannot be read.
    """
    with disk_guard(place):
        found = place.stat()
    return _digest(str(place.absolute()), found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest(place: str, size: int, mtime_ns: int) -> str:
    notes = root() / DIGESTS
    known = _known(notes)
    note = known.get(place)
    if note is not None and note[:2] == (size, mtime_ns):
        return note[2]
    found = read_digest(Path(place))
    known[place] = (size, mtime_ns, found)
    with contextlib.suppress(
        EquimeError, OSError
    ):  # a folder that several people read and nobody may write to
        write_atomic(notes, msgspec.json.encode(known))
    return found


def read_digest(place: Path) -> str:
    """sha256 of a file as it is now, nothing remembered. Raises as `digest`."""
    with disk_guard(place), place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known(notes: Path) -> dict[str, tuple[int, int, str]]:
    try:
        return msgspec.json.decode(notes.read_bytes(), type=dict[str, tuple[int, int, str]])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return {}


def _size(place: Path) -> int:
    """Bytes of a file; -1 where there is none."""
    try:
        return place.stat().st_size if place.is_file() else -1
    except OSError:
        return -1
