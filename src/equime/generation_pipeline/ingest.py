"""All images of a source to faces, in parallel, resumable, and the same for any number of workers."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from equime import layout
from equime.errors import InputError, WorkError
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.sources import FaceSource, Found
from equime.progress import Progress
from equime.records import Appender, read, write_atomic, write_records
from equime.runner import WORKER_DIED, Task, TaskError, run
from equime.types import Face, Record, Rejection

FACTORY = "equime.generation_pipeline.ingest:make_ingest"


class IngestConfig(Record, frozen=True):
    """What an ingest worker needs."""

    root: str
    gates: Gates


def make_ingest(config: IngestConfig) -> Callable[[FaceSource], Face | Rejection]:
    """The worker: one image to a Face whose landmarks are stored, or to a Rejection."""
    from equime.generation_pipeline.faces import ingest_image  # noqa: PLC0415

    def ingest(item: FaceSource) -> Face | Rejection:
        result = ingest_image(item, config.gates)
        if isinstance(result, Rejection):
            return result
        face, points = result
        buffer = io.BytesIO()
        np.save(buffer, points)
        write_atomic(Path(config.root) / face.landmarks, buffer.getvalue())
        return face

    return ingest


def ingest_faces(
    source: Path, found: Found, root: Path, gates: Gates, workers: int, progress: Progress
) -> list[Face]:
    """Look at every image that was not looked at before and write faces.jsonl and rejected.jsonl.

    Args:
        source: where the faces come from.
        found: what `find_faces` found there.
        root: the Dataset.
        gates: thresholds.
        workers: processes.
        progress: is told of every image.

    Once all are through, both files are put into the order of the source. The caller holds the planning lock.

    Raises:
        InputError: the source changed since it was ingested, or gives no face.
        WorkError: the disk refuses, or an image took its worker down twice.
    """
    images, turned = found
    faces = read(root / layout.FACES, Face)
    rejected = read(root / layout.REJECTED, Rejection)
    if (root / layout.SPECS).exists():
        _refuse_changed(source, images, turned, faces, rejected)
        return faces
    if not faces:  # nothing usable so far: look again at images that may have been replaced since
        (root / layout.REJECTED).unlink(missing_ok=True)
        rejected = []
    seen = {face.path for face in faces} | {item.path for item in rejected}
    todo = [item for item in images if item.path not in seen]
    progress.start("faces", len(images), len(images) - len(todo))
    if todo:
        _look(todo, root, gates, workers, progress)
        faces, rejected = read(root / layout.FACES, Face), read(root / layout.REJECTED, Rejection)
    return _settle(root, images, turned, faces, rejected)


def _look(todo: list[FaceSource], root: Path, gates: Gates, workers: int, progress: Progress) -> None:
    config = IngestConfig(root=str(root), gates=gates)
    tasks = (Task(key=item.path, payload=item) for item in todo)
    with Appender(root / layout.FACES) as faces, Appender(root / layout.REJECTED) as rejected:
        for outcome in run(FACTORY, config, tasks, workers=min(workers, len(todo))):
            result = (
                outcome.value if outcome.error is None else _given_up(outcome.task.payload, outcome.error)
            )
            (faces if isinstance(result, Face) else rejected).append(result)
            progress.advance()


def _given_up(item: FaceSource, error: TaskError) -> Rejection:
    """An image that no worker survives is turned away like any other bad image; the run goes on.

    Raises:
        WorkError: for any other error, as it concerns more than this image.
    """
    if error.error != WORKER_DIED:
        raise WorkError(error.message if error.fatal else f"{item.file}: {error.message}")
    message = f"{error.message}; make the image smaller"
    return Rejection(path=item.path, reason="unreadable", message=message, subject_id=item.subject_id)


def _settle(
    root: Path, found: list[FaceSource], turned: list[Rejection], faces: list[Face], rejected: list[Rejection]
) -> list[Face]:
    """Turn repeated images away, and put both files into the order of the source."""
    face_of = {face.path: face for face in faces}
    rejection_of = {item.path: item for item in rejected}
    kept: dict[str, Face] = {}
    out: list[Rejection] = list(turned)
    for item in found:
        face = face_of.get(item.path)
        if face is None:
            out.append(rejection_of[item.path])
        elif face.face_id in kept:
            out.append(_duplicate(face, kept[face.face_id]))
        else:
            kept[face.face_id] = face
    write_records(root / layout.REJECTED, out)
    write_records(root / layout.FACES, kept.values())
    if not kept:
        raise InputError(_no_face(root, out))
    return list(kept.values())


def _duplicate(face: Face, first: Face) -> Rejection:
    return Rejection(
        path=face.path,
        reason="duplicate_image",
        message=f"the same image as {first.path} (subject {first.subject_id}); remove one of them",
        sha256=face.sha256,
        subject_id=face.subject_id,
        quality=face.quality,
    )


def _no_face(root: Path, rejected: list[Rejection]) -> str:
    first = rejected[0]
    return (
        f"no usable face in {len(rejected)} image(s): {first.path}: {first.reason}: {first.message}; "
        f"all reasons are in {root / layout.REJECTED}"
    )


def _refuse_changed(
    source: Path,
    found: list[FaceSource],
    turned: list[Rejection],
    faces: list[Face],
    rejected: list[Rejection],
) -> None:
    """A plan was made: the source must hold the same images under the same names."""
    now = {item.path for item in found} | {item.path for item in turned}
    before = {face.path for face in faces} | {item.path for item in rejected}
    parts = [
        f"{len(paths)} {word} ({', '.join(sorted(paths)[:3])}{', ...' if len(paths) > 3 else ''})"
        for word, paths in (("new", now - before), ("missing", before - now))
        if paths
    ]
    if parts:
        raise InputError(
            f"{source}: not the faces that this OUT was planned for: {' and '.join(parts)}; "
            "give the same faces again, or another OUT"
        )
