"""One clip: frames, file, probe, captions, metadata. Runs in a worker."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from equime import layout
from equime.generation_pipeline.captions import write_captions
from equime.generation_pipeline.faces import load_face
from equime.generation_pipeline.metadata import clip_metadata, metadata_bytes
from equime.generation_pipeline.renderers import PreparedFace, Renderer
from equime.generation_pipeline.settings import Settings
from equime.generation_pipeline.trajectory import frame_timing, trajectory
from equime.records import sync_folder, write_atomic
from equime.registry import lookup
from equime.seeding import content_id
from equime.types import Clip, ClipSpec, Face, Record
from equime.video import EncoderSettings, probe, read_frames, read_planes, write_clip, write_png_sequence

FACTORY = "equime.generation_pipeline.render:make_render"

N_PREPARED = 2
"""Prepared faces that a worker keeps."""


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
    """One clip to make: the encoded records, as they stand in their files."""

    spec: bytes
    face: bytes
    file: str
    clip_id: str


class Rendered(NamedTuple):
    """The finished clip; ``adopted`` where a killed run had completed its file already."""

    clip: Clip
    adopted: bool


def clip_id_of(spec_id: str, settings: Settings) -> str:
    """Content id of a clip: what was intended, and everything that made the file."""
    renderer = (settings.renderer_version, settings.renderer_params)
    return content_id([spec_id, settings.renderer, *renderer, settings.encoder.as_params()])


def make_render(config: RenderConfig) -> Callable[[Job], Rendered]:
    """The worker: one job to one finished clip."""
    return _Render(config)


class _Render:
    def __init__(self, config: RenderConfig) -> None:
        self.root, self.work = Path(config.root), Path(config.work)
        self.settings = config.settings
        self.renderer: Renderer = lookup("renderer", config.settings.renderer)()
        self.prepared = functools.lru_cache(maxsize=N_PREPARED)(self._prepare)

    def __call__(self, job: Job) -> Rendered:
        spec = msgspec.json.decode(job.spec, type=ClipSpec)
        face = msgspec.json.decode(job.face, type=Face)
        adopted = self._adopt(job, spec, face)
        if adopted is not None:
            return Rendered(adopted, adopted=True)
        self.work.mkdir(parents=True, exist_ok=True)
        partial = self.work / f"{job.clip_id}.mp4"
        self._write(job, spec, partial)
        clip = self._describe(job, spec, partial)
        write_atomic(self.root / layout.metadata_file(job.file), metadata_json(spec, clip, face))
        final = self.root / job.file
        os.replace(partial, final)  # its folder was made for the metadata
        sync_folder(final.parent)
        return Rendered(clip, adopted=False)

    def _prepare(self, face: bytes) -> PreparedFace:
        record = msgspec.json.decode(face, type=Face)
        source = load_face(record, Path(self.settings.faces), self.root, self.settings.size_px)
        return self.renderer.prepare(source)

    def _write(self, job: Job, spec: ClipSpec, partial: Path) -> None:
        """Encode the clip; with a master or PNG frames wanted, from a lossless file of the same planes."""
        frames = self.prepared(job.face).frames(spec)
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

    def _describe(self, job: Job, spec: ClipSpec, path: Path) -> Clip:
        """The record of a complete file."""
        seen = probe(path)
        timing = frame_timing(spec, trajectory(spec))
        return Clip(
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
            timing=timing,
            captions=write_captions(spec, timing),
        )

    def _adopt(self, job: Job, spec: ClipSpec, face: Face) -> Clip | None:
        """The clip that a killed run completed without recording it, or None.

        Its file is taken only where the metadata beside it, written before the file got its name, say the
        same as would be written now: clip id, digest and all.
        """
        final, view = self.root / job.file, self.root / layout.metadata_file(job.file)
        if not (final.is_file() and view.is_file()) or self._extras_missing(job):
            return None
        if job.clip_id.encode() not in view.read_bytes():
            return None
        clip = self._describe(job, spec, final)
        return clip if view.read_bytes() == metadata_json(spec, clip, face) else None

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
