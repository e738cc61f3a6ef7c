"""Every clip of a plan that is missing, by worker processes; records are appended as clips are complete."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from equime import layout
from equime.dataset import Dataset, spec_ids
from equime.errors import WorkError
from equime.generation_pipeline import render
from equime.generation_pipeline.renderers import Generator
from equime.generation_pipeline.settings import Settings
from equime.locks import Shard
from equime.progress import Progress
from equime.records import Appender, iterate, read_lines
from equime.runner import Outcome, Task, run
from equime.seeding import canonical_json
from equime.types import Failure

REFUSED: Final = "Refused"
"""`Failure.error` of a clip that the adherence gate refused in every attempt."""


class _Tried:
    """Attempts that earlier runs of a generating renderer made for clips that are still missing."""

    def __init__(self, root: Path, generator: Generator | None):
        self._most = 0 if generator is None else generator.attempts
        self._made: dict[str, int] = {}
        for path in layout.failures_paths(root) if generator is not None else ():
            for failure in iterate(path, Failure):
                self._made[failure.clip_id] = max(self._made.get(failure.clip_id, 0), failure.attempts)

    def of(self, clip_id: str) -> int | None:
        """How many; None where no more may be made."""
        made = self._made.get(clip_id, 0)
        return None if made and made >= self._most else made


class _SpecHead(msgspec.Struct):
    """The fields of a spec that scheduling needs."""

    spec_id: str
    face_id: str
    subject_id: str
    sequence: int
    emotion: str


def _jobs(
    settings: Settings, root: Path, part: Shard, done: set[str], tried: _Tried, limit: int | None
) -> Iterator[render.Job]:
    """What is left to do, streamed from specs.jsonl; shards take whole blocks of emotions in turn."""
    faces = {face.face_id: face for face in Dataset.open(root).faces.values()}
    encoded = {face_id: canonical_json(face) for face_id, face in faces.items()}
    decoder = msgspec.json.Decoder(_SpecHead)
    n_given = 0
    for number, line in read_lines(root / layout.SPECS):
        if limit is not None and n_given >= limit:
            return
        if ((number - 1) // len(settings.emotions)) % part.count != part.index - 1:
            continue
        head = decoder.decode(line)
        clip_id = render.clip_id_of(head.spec_id, settings)
        n_tried = None if head.spec_id in done else tried.of(clip_id)
        if n_tried is not None:
            n_given += 1
            face = faces[head.face_id]
            file = layout.clip_file(head.emotion, head.subject_id, head.sequence, face.declared.gender)
            yield render.Job(line, encoded[head.face_id], file, clip_id, n_tried)


def _tasks(jobs: Iterator[render.Job], batch: int) -> Iterator[Task]:
    """As many jobs a task as the renderer makes in one pass."""
    while some := tuple(itertools.islice(jobs, batch)):
        yield Task(key=hashlib.sha256(some[0].face).hexdigest(), payload=some)


def make_clips(
    settings: Settings,
    root: Path,
    part: Shard,
    workers: int,
    generator: Generator | None,
    limit: int | None,
    progress: Progress,
) -> tuple[int, int]:
    """Make every clip of this part; returns how many were rendered and how many adopted."""
    done, tried = spec_ids(layout.clips_paths(root)), _Tried(root, generator)
    batch = 1 if generator is None else generator.batch
    n_todo = sum(1 for _ in _jobs(settings, root, part, done, tried, limit))
    progress.start("clips", n_todo, 0)
    if n_todo == 0:
        return 0, 0
    work = layout.work_folder(root, part)
    config = render.RenderConfig(root=str(root), work=str(work), settings=settings)
    tasks = _tasks(_jobs(settings, root, part, done, tried, limit), batch)
    n_tasks = -(-n_todo // batch)
    outcomes = run(render.FACTORY, config, tasks, workers=min(workers, n_tasks))
    counts = [0, 0]
    with (
        Appender(root / layout.clips_name(part)) as clips,
        Appender(root / layout.failures_name(part)) as failures,
        # Only generating renderers make attempts.
        contextlib.nullcontext()
        if generator is None
        else Appender(root / layout.attempts_name(part)) as ledger,
        contextlib.closing(outcomes),  # type: ignore[type-var]
    ):
        for outcome in outcomes:
            for job, made in _each(outcome):
                if isinstance(made, Failure):
                    failures.append(made)
                    progress.note(made.message)
                else:
                    for attempt in made.attempts:
                        assert ledger is not None
                        ledger.append(attempt)
                    if made.clip is not None:
                        clips.append(made.clip)
                        counts[made.adopted] += 1
                    else:
                        failures.append(_refused(job, made))
                        progress.note(_refused(job, made).message)
                progress.advance()
    return counts[0], counts[1]


def _each(outcome: Outcome) -> Iterator[tuple[render.Job, render.Rendered | Failure]]:
    """A task's jobs with what became of each.

    Raises:
        WorkError: where no other clip could do better.
    """
    jobs: tuple[render.Job, ...] = outcome.task.payload
    if outcome.error is None:
        for job, made in zip(jobs, outcome.value, strict=True):
            yield job, made if made.error is None else _failure(job, *made.error)
        return
    if outcome.error.fatal:
        raise WorkError(outcome.error.message)
    for job in jobs:
        yield job, _failure(job, outcome.error.error, outcome.error.message)


def _failure(job: render.Job, error: str, message: str) -> Failure:
    return Failure(
        clip_id=job.clip_id,
        spec_id=_spec_id(job),
        error=error,
        message=f"{job.file}: {message}",
        attempts=job.tried,
    )


def _refused(job: render.Job, made: render.Rendered) -> Failure:
    """The record of a clip that the gate refused in every attempt."""
    last, n = made.attempts[-1], made.attempts[-1].attempt + 1
    message = f"{job.file}: refused in {n} attempt(s), the last for {last.reason}: {last.message}"
    return Failure(clip_id=job.clip_id, spec_id=_spec_id(job), error=REFUSED, message=message, attempts=n)


def _spec_id(job: render.Job) -> str:
    return msgspec.json.decode(job.spec, type=_SpecHead).spec_id
