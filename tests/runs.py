"""Runs of the command line for tests, as processes or in this one, and what to compare afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from equime.dataset import read_status
from equime.validation import validate

ROOT = Path(__file__).parents[1]
RENDERER = "tests.renderers:StaticRenderer"
FORMAT = ["--size", "64", "--duration", "1", "--emotions", "happiness,fear"]
N_CLIPS = 12


def options(n_clips: int = N_CLIPS, renderer: str = RENDERER, seed: int = 7) -> list[str]:
    """Options of a small run."""
    return ["--clips", str(n_clips), "--seed", str(seed), "--renderer", renderer, *FORMAT]


def environment(**extra: str) -> dict[str, str]:
    """Of a child process: this source tree, no colours, errors as users see them."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "EQUIME_DEBUG": "", **extra}


def start(*arguments: str | Path, **extra: str) -> subprocess.Popen[str]:
    """An equime process of its own, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "equime", *map(str, arguments)],
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def call(*arguments: str | Path, **extra: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of an equime process."""
    process = start(*arguments, **extra)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def generate(faces: Path, out: Path, *more: str, **extra: str) -> tuple[int, str, str]:
    """``equime generate`` as a process, with one worker: a second one takes longer to start than to save."""
    return call("generate", faces, out, *(more or options()), "--workers", "1", **extra)


def status(out: Path) -> dict[str, int]:
    """The counts that ``equime status --json`` promises."""
    found = read_status(out)
    return {name: getattr(found, name) for name in ("n_specs", "n_clips", "n_rejected", "n_failed")}


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every file that is data, by its name in the data set; failures and provenance may differ."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(_content(path)).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".equime" not in path.parts and path.name != "failures.jsonl"
    }


def _content(path: Path) -> bytes:
    """Of dataset.json without its provenance: somebody may commit while the tests run."""
    if path.name != "dataset.json":
        return path.read_bytes()
    info = json.loads(path.read_bytes())
    return json.dumps({name: info[name] for name in info if name != "provenance"}).encode()


def problems(out: Path) -> list[tuple[str, str]]:
    """(path, code) of every problem that validate finds."""
    return [(problem.path, problem.code) for problem in validate(out).problems]
