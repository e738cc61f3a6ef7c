"""Clips: frames, file, probe, captions, metadata. Runs in a worker.

A renderer that obeys its spec is given one job at a time. A generating one (`renderers.Generator`) makes several clips
per pass, and each is judged before it is kept (`gated`).
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from equime import layout
from equime.clip_labels import described, measured_timing
from equime.errors import EquimeError
from equime.generation_pipeline.captions import write_captions
from equime.generation_pipeline.faces import load_face
from equime.generation_pipeline.gated import Try, attempt_of, tries
from equime.generation_pipeline.metadata import clip_metadata, metadata_bytes
from equime.generation_pipeline.renderers import FaceInput, PreparedFace, Yuv, generator_of
from equime.generation_pipeline.settings import Settings, make_renderer
from equime.generation_pipeline.trajectory import frame_timing, trajectory
from equime.records import disk_error, sync_folder, write_atomic
from equime.seeding import content_id
from equime.types import Attempt, Captions, Clip, ClipSpec, Face, FrameTiming, Record, Shown
from equime.video import (
    EncoderSettings,
    probe,
    read_frames,
    read_planes,
    rgb_to_yuv,
    write_clip,
    write_png_sequence,
)

FACTORY = "equime.generation_pipeline.render:make_render"

N_PREPARED = 2
"""Prepared faces that a worker keeps."""

NO_CAPTIONS = Captions(short="", facs="", plain="")
"""Until the record is there that they are written from."""


class _Metadata(msgspec.Struct):
    """What of a generated clip's metadata JSON cannot be computed again."""

    shown: Shown


class RenderConfig(Record, frozen=True):
    """What a render worker needs.

    Attributes:
        root: the Dataset.
        work: folder for what is not complete, on the same file system.
        settings: of the run.
    """

    root: str
    work: str
    settings: Settings


class Job(NamedTuple):
    """One clip to make: the encoded records, as they stand in their files, and how many tries earlier runs made."""

    spec: bytes
    face: bytes
    file: str
    clip_id: str
    tried: int = 0


class Rendered(NamedTuple):
    """What became of a job.

    Attributes:
        clip: the finished clip; None where the gate refused every attempt.
        adopted: whether a killed run had completed its file already.
        attempts: of a generating renderer, in order.
        error: name and message of what kept a job of a batch from being tried; the others of the batch were.
    """

    clip: Clip | None
    adopted: bool = False
    attempts: tuple[Attempt, ...] = ()
    error: tuple[str, str] | None = None


def clip_id_of(spec_id: str, settings: Settings) -> str:
    """Content id of a clip: what was intended, and everything that made the file."""
    renderer = (settings.renderer_version, settings.renderer_params)
    return content_id([spec_id, settings.renderer, *renderer, settings.encoder.as_params()])


def clip_timing(spec: ClipSpec, clip: Clip) -> FrameTiming | None:
    """Onset, apex and offset that a clip's record must hold: the spec's, or those measured."""
    if clip.labels == "exact" or clip.shown is None:
        return frame_timing(spec, trajectory(spec))
    return measured_timing(clip.shown.phases, spec.fps, spec.n_frames)


def make_render(config: RenderConfig) -> Callable[[Sequence[Job]], list[Rendered]]:
    """The worker: jobs to finished clips, one `Rendered` each, in order."""
    return _Render(config)


class _Render:
    def __init__(self, config: RenderConfig) -> None:
        self.root, self.work = Path(config.root), Path(config.work)
        self.settings = config.settings
        self.renderer = make_renderer(config.settings.renderer, config.settings.renderer_options)
        self.generator = generator_of(self.renderer)
        self.prepared = functools.lru_cache(maxsize=N_PREPARED)(self._prepare)

    def __call__(self, jobs: Sequence[Job]) -> list[Rendered]:
        found = {job.clip_id: self._adopted(job) for job in jobs}
        todo = [job for job in jobs if found[job.clip_id] is None]
        self.work.mkdir(parents=True, exist_ok=True)
        made = self._generated(todo) if self.generator is not None else map(self._rendered, todo)
        done = dict(zip((job.clip_id for job in todo), made, strict=True))
        return [found[job.clip_id] or done[job.clip_id] for job in jobs]

    def _rendered(self, job: Job) -> Rendered:
        spec = msgspec.json.decode(job.spec, type=ClipSpec)
        return Rendered(self._finish(job, spec, self.prepared(job.face).frames(spec), None))

    def _generated(self, jobs: Sequence[Job]) -> list[Rendered]:
        """Tries for all jobs side by side; what is accepted gets its file at once."""
        assert self.generator is not None
        found: dict[str, Rendered] = {}
        asked: list[tuple[Job, Try]] = []
        for job in jobs:
            try:
                spec = msgspec.json.decode(job.spec, type=ClipSpec)
                asked.append((job, Try(spec, self._source(job.face), job.tried)))
            except EquimeError as error:
                if disk_error(error):
                    raise
                found[job.clip_id] = Rendered(None, error=(type(error).__name__, str(error)))
        for i, shown, rgb, seconds in tries(self.generator, [item for _, item in asked]):
            job, item = asked[i]
            before = found.get(job.clip_id, Rendered(None))
            attempts = (*before.attempts, attempt_of(job.clip_id, item.spec, shown, seconds))
            clip = None
            if rgb is not None:
                clip = self._finish(job, item.spec, (Yuv(*rgb_to_yuv(frame)) for frame in rgb), shown)
            found[job.clip_id] = Rendered(clip, attempts=attempts)
        return [found[job.clip_id] for job in jobs]

    def _finish(self, job: Job, spec: ClipSpec, frames: Iterable[Yuv], shown: Shown | None) -> Clip:
        """Frames to a clip with its files under their final names."""
        partial = self.work / f"{job.clip_id}.mp4"
        self._write(job, spec, frames, partial)
        clip = self._describe(job, spec, partial, shown)
        face = msgspec.json.decode(job.face, type=Face)
        write_atomic(self.root / layout.metadata_file(job.file), metadata_json(spec, clip, face))
        final = self.root / job.file
        os.replace(partial, final)  # its folder was made for the metadata
        sync_folder(final.parent)
        return clip

    def _source(self, face: bytes) -> FaceInput:
        record = msgspec.json.decode(face, type=Face)
        return load_face(record, Path(self.settings.faces), self.root, self.settings.size_px)

    def _prepare(self, face: bytes) -> PreparedFace:
        return self.renderer.prepare(self._source(face))

    def _write(self, job: Job, spec: ClipSpec, frames: Iterable[Yuv], partial: Path) -> None:
        """Encode the clip; with a master or PNG frames wanted, from a lossless file of the same planes."""
        write = functools.partial(
            write_clip,
            fps=spec.fps,
            size=spec.size_px,
            comment=f"Synthetic micro-expression video made by equime; clip {job.clip_id}",
            n_frames=spec.n_frames,
        )
        if not (self.settings.lossless_master or self.settings.png):
            write(partial, frames, settings=self.settings.encoder)
            return
        master = self.work / f"{job.clip_id}.master.mp4"
        write(master, frames, settings=EncoderSettings(preset="veryfast", lossless=True))
        write(partial, read_planes(master), settings=self.settings.encoder)
        if self.settings.png:
            write_png_sequence(self.root / layout.png_folder(job.file), read_frames(master))
        if self.settings.lossless_master:
            target = self.root / layout.master_file(job.file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(master, target)
            sync_folder(target.parent)
        else:
            master.unlink()

    def _describe(self, job: Job, spec: ClipSpec, path: Path, shown: Shown | None) -> Clip:
        """The record of a complete file."""
        seen = probe(path)
        clip = Clip(
            clip_id=job.clip_id,
            spec_id=spec.spec_id,
            face_id=spec.face_id,
            file=job.file,
            sha256=file_sha256(path),
            renderer=self.settings.renderer,
            renderer_version=self.settings.renderer_version,
            renderer_params=self.settings.renderer_params,
            encoder=self.settings.encoder.as_params(),
            **msgspec.structs.asdict(seen),
            timing=None,
            captions=NO_CAPTIONS,
            measured=self.generator is not None and self.generator.labels == "measured",
            shown=shown,
        )
        timing = clip_timing(spec, clip)
        captions = write_captions(described(spec, clip), timing)
        return msgspec.structs.replace(clip, timing=timing, captions=captions)

    def _adopted(self, job: Job) -> Rendered | None:
        """The clip that a killed run completed without recording it, or None.

        Its file is taken only where the metadata beside it, written before the file got its name, say the
        same as would be written now: clip id, digest and all.
        """
        final, view = self.root / job.file, self.root / layout.metadata_file(job.file)
        if not (final.is_file() and view.is_file()) or self._extras_missing(job):
            return None
        said = view.read_bytes()
        if job.clip_id.encode() not in said:
            return None
        spec, face = msgspec.json.decode(job.spec, type=ClipSpec), msgspec.json.decode(job.face, type=Face)
        shown = None
        if self.generator is not None:
            try:
                shown = msgspec.json.decode(said, type=_Metadata).shown
            except msgspec.DecodeError:
                return None
        clip = self._describe(job, spec, final, shown)
        if said != metadata_json(spec, clip, face):
            return None
        attempts = () if shown is None else (attempt_of(job.clip_id, spec, shown, 0.0),)
        return Rendered(clip, adopted=True, attempts=attempts)

    def _extras_missing(self, job: Job) -> bool:
        master = self.root / layout.master_file(job.file)
        png = self.root / layout.png_folder(job.file)
        wanted = ((self.settings.lossless_master, master), (self.settings.png, png))
        return any(want and not path.exists() for want, path in wanted)


def metadata_json(
    spec: ClipSpec, clip: Clip, face: Face, pseudolabels: Mapping[str, Any] | None = None
) -> bytes:
    """Bytes of a clip's metadata JSON, with what attribute extraction estimated where it ran."""
    return metadata_bytes(clip_metadata(spec, clip, face, pseudolabels=pseudolabels))


def file_sha256(path: Path) -> str:
    """Digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
