from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from equime.generation_pipeline.diffusion.devices import claim_gpu, release_gpu


def machine(free: list[int]) -> Any:
    """Torch on a machine with these GPUs."""
    return SimpleNamespace(
        cuda=SimpleNamespace(
            device_count=lambda: len(free),
            mem_get_info=lambda index: (free[index], 80),
            get_device_properties=lambda index: SimpleNamespace(uuid=f"GPU-{index}"),
        )
    )


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    release_gpu()


CHILD = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from tests.generation_pipeline.diffusion.test_devices import machine
from equime.generation_pipeline.diffusion.devices import claim_gpu
print(claim_gpu(machine([1, 2])), flush=True)
sys.stdin.read()
"""


def test_two_processes_take_two_gpus_and_a_dead_one_gives_its_back(place: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "0\n"
        assert claim_gpu(machine([1, 2])) == 1
        assert claim_gpu(machine([1, 2])) == 1, "a process keeps its GPU"
        release_gpu()
    finally:
        child.kill()
        child.communicate()
    assert claim_gpu(machine([1, 2])) == 0


def test_more_processes_than_gpus_share_the_emptiest(place: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.replace("[1, 2]", "[5]"), str(place)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "0\n"
        assert claim_gpu(machine([5])) == 0
    finally:
        child.kill()
        child.communicate()
