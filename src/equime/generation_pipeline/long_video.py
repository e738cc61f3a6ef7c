"""A set of long videos: planned, rendered, and written as coded clips, several to a file.

OUT holds ``plans.jsonl`` (intent: a `LongPlan` per video), ``videos/*.mp4``, ``coded.json`` and ``coded.jsonl`` (a
`CodedClip` per micro- and macro-expression) and ``distractors.jsonl`` (blinks, gaze shifts, speech, head turns). The
same call continues an interrupted run: a finished video carries its plan's id and is not rendered again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from equime import layout
from equime.coded import (
    FORMAT_VERSION,
    CodedClip,
    CodedInfo,
    CodedSet,
    Finding,
    coded_id,
    codes_of,
    three_of,
    write_set,
)
from equime.errors import EquimeError, InputError, WorkError
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.faces import load_face
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.ingest import ingest_faces
from equime.generation_pipeline.long_plan import (
    EventFrames,
    LongEvent,
    LongPlan,
    Rates,
    event_frames,
    long_trajectory,
    plan_long_video,
)
from equime.generation_pipeline.pipeline import check_out
from equime.generation_pipeline.renderers.mesh import MeshRenderer, PreparedMesh
from equime.generation_pipeline.sources import find_faces
from equime.generation_pipeline.trajectory import blink_intervals
from equime.locks import RunLock, Shard
from equime.progress import Progress, Silent
from equime.provenance import provenance
from equime.records import disk_guard, read, write_records
from equime.runner import Task, n_workers, run
from equime.seeding import canonical_json, content_id
from equime.types import Face, Record
from equime.video import EncoderSettings, read_comment, write_clip

FACTORY: Final = "equime.generation_pipeline.long_video:make_long"
PLANS: Final = "plans.jsonl"
DISTRACTORS: Final = "distractors.jsonl"
CORPUS: Final = "equime-long"
"""What `CodedClip.corpus` says of such videos."""


class Distractor(Record, frozen=True):
    """Something in a long video that is no expression.

    Attributes:
        file: of the video, relative to OUT.
        kind: "blink", "gaze", "speech" or "head".
        onset, offset: first and last frame of it.
    """

    file: str
    kind: str
    onset: int
    offset: int


class LongConfig(Record, frozen=True):
    """What a worker needs.

    Attributes:
        root: OUT.
        faces: source of the faces.
        encoder: of the videos.
    """

    root: str
    faces: str
    encoder: EncoderSettings


class LongReport(Record, frozen=True):
    """What a run did.

    Attributes:
        out: the folder.
        n_videos: finished videos, of ``n_planned``.
        n_rendered: of these, made by this run.
        n_micro, n_macro: expressions in the finished videos.
        n_rejected: images that gave no face.
        failed: file and message of every video that could not be made.
    """

    out: str
    n_planned: int
    n_videos: int
    n_rendered: int
    n_micro: int
    n_macro: int
    n_rejected: int
    failed: tuple[str, ...] = ()


def file_of(plan: LongPlan) -> str:
    """A video's name, relative to OUT."""
    return f"videos/{layout.safe_subject(plan.spec.subject_id)}_{plan.number:04d}.mp4"


def make_long_videos(
    faces: str | Path,
    out: str | Path,
    *,
    videos: int,
    duration_s: float = 30.0,
    fps: float = 30.0,
    size_px: int = 256,
    seed: int = 0,
    rates: Rates | None = None,
    licence: str | None = None,
    gates: Gates | None = None,
    encoder: EncoderSettings | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> LongReport:
    """Make a set of long videos, or continue one.

    Args:
        faces: folder of images, one image, a table, or CelebA-HQ; videos take the faces in turn.
        out: folder of the set.
        videos: how many; the same call with a larger number adds videos.
        duration_s: of each video, 10 to 60 s.
        fps: frames per second, 24 to 500.
        size_px: side of the picture.
        seed: of all randomness.
        rates: events per minute.
        licence: of the images where their source does not say.
        gates: which faces are let through.
        encoder: codec settings.
        workers: processes; by default one per processor, 0 works in this process.
        progress: is told how it goes.

    Raises:
        InputError: an option, or the faces; OUT holds something else, or was made with other options.
        WorkError: the disk refuses, or another process works on OUT.
    """
    root, source, progress = Path(out), Path(faces), progress or Silent()
    if videos < 1:
        raise InputError(f"videos {videos} is below 1; give the number of videos, for example --videos 12")
    _check(source, root)
    found = find_faces(source, licence=licence)
    n_processes = n_workers(workers)
    with disk_guard(root):
        root.mkdir(parents=True, exist_ok=True)
    with RunLock(root, Shard()):
        usable = ingest_faces(source, found, root, gates or Gates(), n_processes, progress)
        model = CausalModel()
        plans = [
            plan_long_video(
                model, usable[i % len(usable)], i,
                seed=seed, duration_s=duration_s, fps=fps, size_px=size_px, rates=rates,
            )
            for i in range(videos)
        ]  # fmt: skip
        _record(root / PLANS, plans)
        config = LongConfig(
            root=str(root), faces=str(source.absolute()), encoder=encoder or EncoderSettings()
        )
        rendered, failed = _render(config, plans, usable, n_processes, progress)
        done = [plan for plan in plans if is_done(root, plan, config.encoder)]
        data = _coded(root, plans, done, {face.face_id: face for face in usable}, failed)
        write_records(root / DISTRACTORS, [item for plan in done for item in distractors(plan)])
        write_set(data, root)
    return LongReport(
        out=str(root), n_planned=len(plans), n_videos=len(done), n_rendered=rendered,
        n_micro=sum(clip.expression == "micro" for clip in data.clips),
        n_macro=sum(clip.expression == "macro" for clip in data.clips),
        n_rejected=len(found[0]) + len(found[1]) - len(usable), failed=tuple(failed),
    )  # fmt: skip


def _check(source: Path, root: Path) -> None:
    """Refuse an OUT that is something else."""
    if (root / layout.INFO).exists():
        raise InputError(f"{root}: is an equime data set of short clips; give another OUT")
    check_out(source, root)


def _record(path: Path, plans: list[LongPlan]) -> None:
    """Write the plans; those that are there may only be the beginning, or go on further.

    Raises:
        InputError: OUT was planned with other options.
    """
    before = read(path, LongPlan)
    same = min(len(before), len(plans))
    if [plan.plan_id for plan in before[:same]] != [plan.plan_id for plan in plans[:same]]:
        raise InputError(
            f"{path}: planned with other faces, seed, duration, fps, size or rates; "
            "repeat the options it was made with, or give another OUT"
        )
    if len(plans) > len(before):
        write_records(path, plans)


def video_id(plan: LongPlan, encoder: EncoderSettings) -> str:
    """Content id of a video: what was intended, and what made the file."""
    return content_id([plan.plan_id, MeshRenderer.name, MeshRenderer.version, encoder.as_params()])


def is_done(root: Path, plan: LongPlan, encoder: EncoderSettings) -> bool:
    """Whether a plan's video is there, whole."""
    try:
        return read_comment(root / file_of(plan)).endswith(video_id(plan, encoder))
    except EquimeError:
        return False


def _render(
    config: LongConfig, plans: list[LongPlan], faces: list[Face], workers: int, progress: Progress
) -> tuple[int, list[str]]:
    """Make what is missing; how many were made, and what failed."""
    todo = [plan for plan in plans if not is_done(Path(config.root), plan, config.encoder)]
    progress.start("clips", len(plans), len(plans) - len(todo))
    by_id = {face.face_id: canonical_json(face) for face in faces}
    tasks = (
        Task(key=plan.spec.face_id, payload=(canonical_json(plan), by_id[plan.spec.face_id])) for plan in todo
    )
    failed = []
    for outcome in run(FACTORY, config, tasks, workers=min(workers, len(todo))):
        if outcome.error is not None:
            if outcome.error.fatal:
                raise WorkError(outcome.error.message)
            plan = msgspec.json.decode(outcome.task.payload[0], type=LongPlan)
            failed.append(f"{file_of(plan)}: {outcome.error.message}")
            progress.note(failed[-1])
        progress.advance()
    return len(todo) - len(failed), sorted(failed)


def make_long(config: LongConfig) -> Callable[[tuple[bytes, bytes]], None]:
    """The worker: one encoded plan and face to one finished file."""
    renderer = MeshRenderer()

    @functools.lru_cache(maxsize=2)
    def prepared(face: bytes, size_px: int) -> PreparedMesh:
        record = msgspec.json.decode(face, type=Face)
        return renderer.prepare(load_face(record, Path(config.faces), Path(config.root), size_px))

    def make(job: tuple[bytes, bytes]) -> None:
        plan = msgspec.json.decode(job[0], type=LongPlan)
        spec = plan.spec
        write_clip(
            Path(config.root) / file_of(plan),
            prepared(job[1], spec.size_px).draw(long_trajectory(plan), spec.camera),
            fps=spec.fps,
            size=spec.size_px,
            settings=config.encoder,
            comment=f"Synthetic long video made by equime; video {video_id(plan, config.encoder)}",
            n_frames=spec.n_frames,
        )

    return make


def distractors(plan: LongPlan) -> Iterator[Distractor]:
    """What is in a video beside its expressions."""
    file, spec = file_of(plan), plan.spec
    for blink in blink_intervals(spec):
        yield Distractor(file=file, kind="blink", onset=blink.first_frame, offset=blink.last_frame)
    for shift in spec.gaze:
        first, last = (
            round(ms * spec.fps / 1000) for ms in (shift.start_ms, shift.start_ms + shift.duration_ms)
        )
        yield Distractor(file=file, kind="gaze", onset=first, offset=max(last, first + 1))
    for event in plan.events:
        if event.kind in ("speech", "head"):
            at = event_frames(plan, event)
            yield Distractor(file=file, kind=event.kind, onset=at.onset, offset=at.offset)


def _coded(
    root: Path, plans: list[LongPlan], done: list[LongPlan], faces: dict[str, Face], failed: list[str]
) -> CodedSet:
    clips = tuple(
        _clip(plan, event, event_frames(plan, event))
        for plan in done
        for event in plan.events
        if event.kind in ("micro", "macro")
    )
    licences = sorted({faces[plan.spec.face_id].licence for plan in done})
    spec = plans[0].spec
    message = f"not made: {failed[0]}; the same command tries again" if failed else ""
    findings = (
        (
            Finding(
                code="video_failed", message=message, clips=tuple(failed[:20]), n=len(failed), dropped=True
            ),
        )
        if failed
        else ()
    )
    info = CodedInfo(
        format_version=FORMAT_VERSION, corpus=CORPUS, root=".", licence="; ".join(licences) or "unknown",
        synthetic=True, findings=findings, provenance=provenance(),
        config={
            "videos": len(plans), "seed": spec.seed, "fps": spec.fps, "duration_s": spec.duration_ms / 1000,
            "size_px": spec.size_px, "model": spec.model, "renderer": f"{MeshRenderer.name} {MeshRenderer.version}",
            "distractors": DISTRACTORS,
        },
    )  # fmt: skip
    return CodedSet(info, root.resolve(), clips)


def _clip(plan: LongPlan, event: LongEvent, at: EventFrames) -> CodedClip:
    file, subject = file_of(plan), plan.spec.subject_id
    name = Path(file).stem
    return CodedClip(
        clip_id=coded_id(CORPUS, subject, name, at.onset), corpus=CORPUS, subject_id=subject, name=name, file=file,
        kind="video", fps=plan.spec.fps, onset=at.onset, apex=at.apex, offset=at.offset, emotion=event.emotion,
        label=three_of(event.emotion), aus=tuple(c for p in event.parts[0].aus for c in codes_of(p.au, p.left, p.right)),
        expression="macro" if event.kind == "macro" else "micro",
    )  # fmt: skip
