"""The table of `au_check` over the default faces, or over one's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from equime.errors import InputError
from equime.generation_pipeline.au_check import AuResult, check_face
from equime.generation_pipeline.faces import ingest_image, load_face
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.sources import find_faces
from equime.progress import Progress
from equime.types import Rejection


def measure_faces(
    source: Path | None, *, letter: str, fps: float, size_px: int, progress: Progress
) -> list[AuResult]:
    """Render every AU on every face, decode, and measure again.

    Args:
        source: folder, image or table; None takes the default drawn faces.
        letter: FACS intensity at apex, A to E.
        fps: of the clips.
        size_px: side of the clips.
        progress: is told of every face.

    Raises:
        InputError: no face passes the gates.
    """
    results: list[AuResult] = []
    with tempfile.TemporaryDirectory() as folder:
        for face in _inputs(source or _default_faces(Path(folder)), Path(folder), size_px, progress):
            results += check_face(face, face.face.subject_id, letter=letter, fps=fps)
            progress.advance()
    if not results:
        raise InputError(f"{source}: no usable face; `equime plan` says why")
    return results


def _default_faces(folder: Path) -> Path:
    from equime.drawn_face import save_default_faces  # noqa: PLC0415

    return save_default_faces(folder / "portraits")


def _inputs(source: Path, folder: Path, size_px: int, progress: Progress) -> Iterator[FaceInput]:
    found, _ = find_faces(source)
    progress.start("faces", len(found), 0)
    for item in found:
        result = ingest_image(item, Gates())
        if isinstance(result, Rejection):
            progress.note(f"{item.path}: {result.reason}: {result.message}")
            continue
        face, points = result
        (folder / face.landmarks).parent.mkdir(exist_ok=True)
        np.save(folder / face.landmarks, points)
        yield load_face(face, source, folder, size_px)
