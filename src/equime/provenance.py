"""What made a data set: versions, commit, platform. No clock, so that equal runs give equal files."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Final

from equime.types import Record

PACKAGES: Final = ("equime", "av", "mediapipe", "numba", "numpy", "opencv-contrib-python-headless", "scipy")
"""Packages whose version can change pixels or draws."""


class Provenance(Record, frozen=True):
    """What a run was made with.

    Attributes:
        versions: of equime and of the packages that can change a result; only installed ones.
        python: version of the interpreter.
        platform: operating system and processor.
        commit: git commit of the source tree, with "+changes" where it had any; None for an installed wheel.
    """

    versions: dict[str, str]
    python: str
    platform: str
    commit: str | None


def package_version(name: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def provenance() -> Provenance:
    """Versions, commit and platform of this process."""
    versions = {name: package_version(name) for name in PACKAGES}
    return Provenance(
        versions={name: version for name, version in versions.items() if version},
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        commit=_commit(Path(__file__).parent),
    )


def _commit(folder: Path) -> str | None:
    """Commit of the work tree that holds the package itself."""
    if not (folder.parents[1] / ".git").exists():
        return None
    head = _git(folder, "rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("+changes" if _git(folder, "status", "--porcelain", "--", ".") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
