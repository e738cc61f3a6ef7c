"""What a data set will hold, take and cost, before anything is rendered."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Final

from equime import layout
from equime.dataset import Dataset
from equime.generation_pipeline.pipeline import make_design, prepared
from equime.generation_pipeline.renderers import generator_of
from equime.generation_pipeline.settings import Settings, make_renderer
from equime.progress import Progress
from equime.records import read
from equime.runner import n_workers
from equime.types import Clip, Record, Rejection

BITS_PER_PIXEL: Final = 0.36
"""Of a mesh clip at crf 18, veryfast, 512 px, 24 fps; see `BASIS`."""

PIXELS_PER_SECOND: Final = 36e6
"""Rendered and encoded pixels per second of one worker; see `BASIS`."""

EXTRA_BYTES: Final = 60_000
"""Metadata JSON, records and curves of a clip of 144 frames."""

BASIS: Final = "renderer mesh at 512 px, 24 fps, crf 18, veryfast on one 2020s server core"

NO_DERIVATIVES: Final = (
    "no redistribution",
    "non-commercial",
    "noncommercial",
    "-nc",
    "-nd",
    "research only",
)


class PlanReport(Record, frozen=True):
    """A plan in numbers.

    Attributes:
        out: the Dataset that holds the plan.
        n_clips, n_frames: planned.
        n_faces: accepted.
        n_identities: of them, those that get clips.
        per_emotion, per_group: clips.
        n_rejected, rejected: images turned away, by reason.
        estimated_bytes, estimated_seconds: for the clips not made yet; see ``basis``. Of a generating renderer, of one
            attempt a clip.
        n_workers: that the time is for.
        gpu_hours: of a generating renderer, one attempt a clip; None for the others.
        attempts: clips that such a renderer makes for a spec at most.
        weights_licence: of its weights.
        free_bytes: on the disk of OUT.
        enough_disk: whether the estimate fits.
        basis: what the estimates come from.
        licences: licence to accepted faces.
        conflicts: licences that forbid or do not settle the release of what is made.
        notes: of the design.
    """

    out: str
    n_clips: int
    n_frames: int
    n_faces: int
    n_identities: int
    per_emotion: dict[str, int]
    per_group: dict[str, dict[str, int]]
    n_rejected: int
    rejected: dict[str, int]
    estimated_bytes: int
    estimated_seconds: float
    n_workers: int
    free_bytes: int
    enough_disk: bool
    basis: str
    licences: dict[str, int]
    conflicts: tuple[str, ...]
    notes: tuple[str, ...]
    gpu_hours: float | None = None
    attempts: int = 1
    weights_licence: str | None = None


def plan_report(
    settings: Settings, root: Path, *, preset: str | None, workers: int | None, progress: Progress
) -> PlanReport:
    """Ingest and plan into ``root``, render nothing, and say what the rest will take. Raises as `generate`."""
    settings = prepared(settings, root, preset=preset, workers=workers, progress=progress)
    dataset = Dataset.open(root)
    faces = list(dataset.faces.values())
    rejected = Counter(item.reason for item in read(root / layout.REJECTED, Rejection))
    design = make_design(settings, faces).report()
    n_frames = round(settings.duration_ms * settings.fps / 1000)
    generator = generator_of(make_renderer(settings.renderer, settings.renderer_options))
    n_processes = max(n_workers(workers if workers is not None or generator is None else 1), 1)
    n_left = design.n_clips - len(dataset)
    n_bytes, seconds, basis = _cost(settings, dataset.clips, n_frames)
    licences = Counter(face.licence for face in faces)
    conflicts = _conflicts(licences)
    if generator is not None:
        seconds, gpu_basis = generator.cost(n_frames, settings.size_px)
        basis = f"{gpu_basis}; {basis.replace('time', 'encoding')}"
        conflicts += _weights_conflicts(generator.licence)
    free = shutil.disk_usage(root).free
    return PlanReport(
        out=str(root),
        n_clips=design.n_clips,
        n_frames=design.n_clips * n_frames,
        n_faces=len(faces),
        n_identities=design.n_identities,
        per_emotion=design.per_emotion,
        per_group=design.per_group,
        n_rejected=sum(rejected.values()),
        rejected=dict(sorted(rejected.items())),
        estimated_bytes=round(n_bytes * n_left),
        estimated_seconds=round(seconds * n_left / n_processes, 1),
        n_workers=n_processes,
        free_bytes=free,
        enough_disk=n_bytes * n_left < free,
        basis=basis,
        licences=dict(sorted(licences.items())),
        conflicts=tuple(conflicts),
        notes=design.notes,
        gpu_hours=None if generator is None else round(seconds * n_left / 3600, 2),
        attempts=1 if generator is None else generator.attempts,
        weights_licence=None if generator is None else generator.licence,
    )


def _cost(settings: Settings, clips: list[Clip], n_frames: int) -> tuple[float, float, str]:
    """Bytes and seconds per clip, and where they come from: this OUT's own clips where there are some."""
    pixels = n_frames * settings.size_px**2
    seconds = pixels / PIXELS_PER_SECOND
    extra = EXTRA_BYTES * n_frames / 144
    if clips:
        mean = sum(clip.size_bytes for clip in clips) / len(clips)
        return mean + extra, seconds, f"size: mean of the {len(clips)} clips there; time: {BASIS}"
    rate = 2 ** ((18 - settings.encoder.crf) / 6)  # x264: 6 steps of crf halve the bits
    return pixels * BITS_PER_PIXEL * rate / 8 + extra, seconds, f"size and time: {BASIS}"


def _conflicts(licences: Counter[str]) -> list[str]:
    """Sentences about licences that a release must respect."""
    found = []
    for name, n in sorted(licences.items()):
        if name == "unknown":
            found.append(f"{n} face(s) without a licence: ask before you publish, or give --licence")
        elif any(word in name.lower() for word in NO_DERIVATIVES):
            found.append(f"{n} face(s) under {name!r}: clips made from them fall under it too")
    if len(licences) > 1:
        found.append(f"{len(licences)} licences in one data set: a release must satisfy all of them")
    return found


def _weights_conflicts(licence: str) -> list[str]:
    """The same of a model's weights, whose licence may reach to what they make."""
    if licence == "unknown":
        return ["the licence of the weights is not known: read it, and give it as renderer option licence="]
    text = f"weights under {licence!r}: read what it says of outputs and their use before you release clips"
    return [text]
