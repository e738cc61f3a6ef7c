"""Who may write to a Dataset: one run, or the shards of one run.

Every run holds ``.equime/locks/run-<i>-of-<n>.lock``; shards of the same ``n`` run beside each other,
anything else is refused at once. Face ingest, planning and the views at the end happen under one more lock that the
shards wait for. The locks are the kernel's (flock), so a killed process holds none; beside each lock lies a
note of who has it, for messages and `equime status`.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Final, Self

import msgspec
from filelock import FileLock, Timeout

from equime.errors import InputError, WorkError
from equime.records import disk_guard, write_atomic
from equime.seeding import canonical_json
from equime.types import Record

HIDDEN: Final = ".equime"
"""Folder of a Dataset for locks and files being written; nothing in it is data."""


class Holder(Record, frozen=True):
    """Which process holds a run's lock."""

    pid: int
    host: str
    run: str


class Shard(Record, frozen=True):
    """Part ``index`` (from 1) of ``count`` that one process works on."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read "2/4" as a Shard; None is the whole.

        Raises:
            InputError: not i/n with 1 <= i <= n.
        """
        if text is None:
            return cls()
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise InputError(f"shard {text!r} is not i/n with i from 1 to n; use for example --shard 1/4")
        return cls(index=int(match[1]), count=int(match[2]))

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"


def lock_folder(root: Path) -> Path:
    """Where the locks of a Dataset lie."""
    return root / HIDDEN / "locks"


def holders(root: Path) -> list[Holder]:
    """Processes that say they work on a Dataset; those of this host are checked to live. Takes no lock."""
    found = []
    for note in sorted(lock_folder(root).glob("run-*.json")):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            holder = msgspec.json.decode(note.read_bytes(), type=Holder)
            if holder.host != socket.gethostname() or _alive(holder.pid):
                found.append(holder)
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class RunLock:
    """The lock of one run or shard on a Dataset.

    Raises:
        WorkError: where another process works on the same part, or the run is divided differently.
    """

    def __init__(self, root: Path, shard: Shard) -> None:
        self.root, self.shard = root, shard
        folder = lock_folder(root)
        with disk_guard(root):
            folder.mkdir(parents=True, exist_ok=True)
            # The gate is held for an instant only: looking at the others and taking one's own is one step.
            with FileLock(folder / "gate.lock", timeout=60):
                self._refuse_others()
                self._lock = FileLock(folder / f"run-{shard}.lock")
                self._take()
        self._note = folder / f"run-{shard}.json"
        try:
            holder = Holder(pid=os.getpid(), host=socket.gethostname(), run=str(shard))
            write_atomic(self._note, canonical_json(holder))
        except BaseException:
            self._lock.release()
            raise

    @property
    def alone(self) -> bool:
        """Whether no other shard runs now."""
        return not self._held(other_counts=False)

    @contextlib.contextmanager
    def exclusive(self) -> Generator[None]:
        """What only one shard at a time may do; waits for the others."""
        with FileLock(lock_folder(self.root) / "plan.lock"):
            yield

    def release(self) -> None:
        """Give the lock back."""
        with contextlib.suppress(OSError):
            self._note.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _take(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise self._refusal(str(self.shard)) from None

    def _refuse_others(self) -> None:
        held = self._held(other_counts=True)
        if held:
            raise self._refusal(held[0])

    def _held(self, *, other_counts: bool) -> list[str]:
        """Runs whose lock is taken by somebody else: with another ``n``, or (False) with the same."""
        held = []
        for path in sorted(lock_folder(self.root).glob("run-*.lock")):
            name = path.stem.removeprefix("run-")
            same_count = name.endswith(f"-of-{self.shard.count}")
            if name == str(self.shard) or same_count == other_counts:
                continue
            probe = FileLock(path)
            try:
                probe.acquire(timeout=0)
            except Timeout:
                held.append(name)
            else:
                probe.release()
        return held

    def _refusal(self, run: str) -> WorkError:
        holder = next((h for h in holders(self.root) if h.run == run), None)
        who = f"process {holder.pid} on {holder.host}" if holder else "another process"
        part = "" if run == "1-of-1" else f" (shard {run.replace('-of-', '/')})"
        return WorkError(
            f"{self.root}: {who} is already working on it{part}; wait for it, stop it, or choose another OUT"
        )
