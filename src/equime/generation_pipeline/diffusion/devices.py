"""Which GPU a process works on: one that no other process of equime on this machine has taken, where there is one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Final

import filelock

_HELD: Final[list[filelock.FileLock]] = []
"""Locks live as long as the process: the system gives them back when it dies."""


def claim_gpu(torch: Any) -> int:
    """Index of a GPU for this process.

    The first that no process has claimed; where all are, the one with most free memory, so that a user's own choice of
    more ``--workers`` than GPUs spreads them.
    """
    if _HELD:
        return _index_of(_HELD[0], torch)
    for index in range(torch.cuda.device_count()):
        lock = filelock.FileLock(_lock_file(torch, index))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            continue
        _HELD.append(lock)
        return index
    free = [torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())]
    return free.index(max(free))


def release_gpu() -> None:
    """Give the claim back."""
    while _HELD:
        _HELD.pop().release()


def _lock_file(torch: Any, index: int) -> Path:
    """By the GPU's own id: its index depends on which GPUs a process may see."""
    name = str(getattr(torch.cuda.get_device_properties(index), "uuid", index))
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"equime-{user}-gpu-{name}.lock"


def _index_of(lock: filelock.FileLock, torch: Any) -> int:
    files = [str(_lock_file(torch, index)) for index in range(torch.cuda.device_count())]
    return files.index(str(lock.lock_file))
