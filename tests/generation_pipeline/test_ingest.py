"""Ingest over workers: an image that kills its worker is one rejection, a refusing disk ends the run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from equime.errors import WorkError
from equime.generation_pipeline import ingest
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.sources import FaceSource, find_faces
from equime.progress import Silent
from equime.types import Face, Rejection


def make_deadly(config: ingest.IngestConfig) -> Callable[[FaceSource], Face | Rejection]:
    """As the real one, but the second default face kills the process and "full.png" finds the disk full."""
    real = ingest.make_ingest(config)

    def handler(item: FaceSource) -> Face | Rejection:
        if item.path == sorted(Path(item.file).parent.glob("*.png"))[1].name:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(item)

    return handler


def make_full(config: ingest.IngestConfig) -> Callable[[FaceSource], Face | Rejection]:
    def handler(item: FaceSource) -> Face | Rejection:
        Path("/dev/full").write_bytes(b"x")
        raise AssertionError

    return handler


def test_an_image_that_kills_its_worker_is_turned_away(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "FACTORY", f"{__name__}:make_deadly")
    found = find_faces(faces)
    kept = ingest.ingest_faces(faces, found, tmp_path, Gates(), 2, Silent())
    victim = sorted(faces.parent.glob("*.png"))[1].name
    assert sorted(face.path for face in kept) == sorted(i.path for i in found[0] if i.path != victim)
    (rejection,) = (item for item in ingest.read(tmp_path / "rejected.jsonl", Rejection))
    assert (rejection.path, rejection.reason) == (victim, "unreadable")
    assert "died 2 times" in rejection.message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_ends_the_run(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "FACTORY", f"{__name__}:make_full")
    with pytest.raises(WorkError, match=r"No space left on device; free some space .* same command"):
        ingest.ingest_faces(faces, find_faces(faces), tmp_path, Gates(), 1, Silent())
