"""Measuring a set of clips: find them, measure what is not measured yet, merge the tables.

Tables belong to what was measured: an equime data set gets them in its own ``tables/``; any other folder is
never written to, its tables lie under DIR. The same call continues a run that was killed, and measures only
clips and annotators that have no row yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from equime import layout, registry
from equime.annotation.annotators import Annotator
from equime.annotation.choice import Choice
from equime.annotation.measure import ClipProblem, Measured, measure_clip
from equime.annotation.measurement import Measurement
from equime.annotation.tables import TableStore
from equime.clip_sources import ClipSource, find_clips
from equime.errors import InputError, WorkError
from equime.locks import HIDDEN
from equime.progress import Progress, Silent
from equime.provenance import provenance
from equime.records import disk_guard
from equime.runner import Outcome, Task, n_workers, run

if TYPE_CHECKING:
    import pandas as pd

FLOWS: Final = ("dis", "tvl1")


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        metrics: names of annotators, columns or groups; None is the default set.
        workers: processes; None one per processor, 0 this one.
        per_frame: also keep values per frame.
        fps: frame rate of frame folders.
        flow: optical flow, one of `FLOWS`.
    """

    metrics: tuple[str, ...] | None = None
    workers: int | None = None
    per_frame: bool = False
    fps: float | None = None
    flow: str = "dis"


@dataclass(frozen=True)
class _WorkConfig:
    annotators: tuple[str, ...]
    flow: str


@dataclass(frozen=True)
class _Job:
    source: ClipSource
    annotators: tuple[str, ...]


def is_dataset(path: Path) -> bool:
    """Whether a path is an equime data set."""
    return (path / layout.INFO).is_file()


def tables_root(path: Path, out: Path | None) -> Path:
    """Under which folder the tables lie.

    Raises:
        InputError: no DIR for something that is no data set of equime.
    """
    if is_dataset(path):
        return path
    if out is None:
        raise InputError(f"{path}: is no equime data set and is not written to; give --out DIR")
    if path.is_dir() and out.resolve() == path.resolve():
        raise InputError(f"{out}: is the folder that is measured; give another --out")
    return out


def measure_set(
    path: Path,
    out: Path | None,
    choice: Choice,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Measure clips that have no row yet, and give the values of all.

    Args:
        path: an equime data set, a video, a folder of videos, or frame folders of a corpus.
        out: DIR, for the tables of anything but a data set; may be None for a data set.
        choice: annotators, see `equime.annotation.choice.choose`.
        options: how to measure; its ``metrics`` have gone into the choice.
        progress: is told how it goes.

    Raises:
        InputError: nothing to measure, an unknown flow, or no DIR for a folder that is not equime's.
        WorkError: the disk refuses, or another process measures the same.
    """
    options, progress = options or Options(), progress or Silent()
    if options.flow not in FLOWS:
        raise InputError(f"flow {options.flow!r} is not known; use {' or '.join(FLOWS)}")
    sources, unreadable = find_clips(path, fps=options.fps)
    root = tables_root(path, out)
    versions = {a.name: _version(a, options.flow) for a in choice.annotators}
    with disk_guard(root):
        (root / HIDDEN / "evaluation").mkdir(parents=True, exist_ok=True)
    store = TableStore(root, choice.annotators, versions)
    with _lock(root):
        store.merge()
        problems = [ClipProblem("", p.file, "", p.code, p.message) for p in unreadable]
        problems += _measure_all(sources, store, choice, options, progress)
        store.merge()
    return Measurement(
        path=str(path),
        kind="dataset" if is_dataset(path) else ("frames" if _mostly_frames(sources) else "videos"),
        clips=joined(sources, store),
        metrics={metric.name: metric for a in choice.annotators for metric in a.metrics},
        annotators={a.name: tuple(metric.name for metric in a.metrics) for a in choice.annotators},
        problems=tuple(sorted(problems, key=lambda p: (p.file, p.annotator, p.code))),
        notes=tuple(_notes(sources, store)),
        not_run=choice.not_run,
        root=Path(sources[0].root) if sources else path,
        provenance=provenance(),
        missing=choice.missing,
    )


def _version(annotator: Annotator, flow: str) -> str:
    return f"{annotator.version}/{flow}" if annotator.needs_motion and flow != "dis" else annotator.version


def _mostly_frames(sources: Sequence[ClipSource]) -> bool:
    return sum(source.kind == "frames" for source in sources) * 2 > len(sources)


def _lock(root: Path) -> Any:
    lock = FileLock(root / HIDDEN / "evaluation" / "evaluate.lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        raise WorkError(
            f"{root}: another process measures it; wait for it, stop it, or give another --out"
        ) from None


def _measure_all(
    sources: Sequence[ClipSource], store: TableStore, choice: Choice, options: Options, progress: Progress
) -> list[ClipProblem]:
    """Measure what has no row yet; every finished clip is on the disk before the next is taken."""
    jobs = list(_jobs(sources, store, options.per_frame))
    progress.start("measure", len(sources), len(sources) - len(jobs))
    if not jobs:
        return []
    names = tuple(_registered(annotator) for annotator in choice.annotators)
    config = _WorkConfig(names, options.flow)
    workers = min(n_workers(options.workers), len(jobs))
    tasks = (Task(key=job.source.subject_id or job.source.file, payload=job) for job in jobs)
    problems: list[ClipProblem] = []
    with store.appender() as appender:
        for outcome in run(f"{__name__}:make_worker", config, tasks, workers=workers):
            problems += _record(outcome, store, appender.append, options.per_frame)
            progress.advance()
    return problems


def _registered(annotator: Annotator) -> str:
    """Name by which a worker finds an annotator."""
    kind = type(annotator)
    return (
        annotator.name
        if annotator.name in registry.ANNOTATORS | registry.ATTRIBUTES
        else f"{kind.__module__}:{kind.__qualname__}"
    )


def _jobs(sources: Sequence[ClipSource], store: TableStore, per_frame: bool) -> Iterator[_Job]:
    done = {
        a.name: store.done(a.name, frames=per_frame and any(m.per_frame for m in a.metrics))
        for a in store.annotators
    }
    for source in sources:
        key = (source.clip_id, source.input_digest)
        left = tuple(name for name, keys in done.items() if key not in keys)
        if left:
            yield _Job(source, left)


def make_worker(config: _WorkConfig) -> Callable[[_Job], Measured]:
    """Handler of a worker process: all annotators made once, then clip after clip."""
    made = [registry.lookup("annotator", name)() for name in config.annotators]
    known: dict[str, Annotator] = {annotator.name: annotator for annotator in made}

    def work(job: _Job) -> Measured:
        return measure_clip(job.source, [known[name] for name in job.annotators], flow=config.flow)

    return work


def _record(
    outcome: Outcome, store: TableStore, append: Callable[..., None], per_frame: bool
) -> tuple[ClipProblem, ...]:
    """Spool a clip's rows; its problems."""
    source: ClipSource = outcome.task.payload.source
    error = outcome.error
    if error is not None:
        if error.fatal:
            raise WorkError(error.message)
        text = f"{source.file}: {error.message}"
        code = "worker_died" if error.error == "WorkerDied" else "failed"
        return (ClipProblem(source.clip_id, source.file, "", code, text),)
    measured: Measured = outcome.value
    if measured.rows:
        line = store.line(source.clip_id, source.input_digest, measured.rows, measured.time_ms, per_frame)
        append(line)
    return measured.problems


def joined(sources: Sequence[ClipSource], store: TableStore) -> pd.DataFrame:
    """One row per clip: ids, what was intended, and every metric; None where there is no value."""
    import pandas as pd  # noqa: PLC0415

    frame = pd.DataFrame([_about(source) for source in sources])
    for annotator in store.annotators:
        table = store.read(annotator.name)
        table = table[table["annotator_version"] == store.versions[annotator.name]]
        columns = ["clip_id", "input_digest", *(metric.name for metric in annotator.metrics)]
        frame = frame.merge(table[columns], on=["clip_id", "input_digest"], how="left")
    return frame.drop(columns="input_digest")


def _about(source: ClipSource) -> dict[str, Any]:
    phases = source.spec.phases if source.spec is not None else None
    declared = source.face.declared if source.face is not None else None
    return {
        "clip_id": source.clip_id,
        "input_digest": source.input_digest,
        "file": source.file,
        "subject_id": source.subject_id,
        "emotion": source.emotion,
        "declared_gender": declared.gender if declared is not None else None,
        "intended_onset_ms": phases.onset_ms if phases is not None else None,
        "intended_apex_ms": phases.apex_ms if phases is not None else None,
        "intended_offset_ms": phases.offset_ms if phases is not None else None,
    }


def _notes(sources: Sequence[ClipSource], store: TableStore) -> Iterator[tuple[str, str, str, str]]:
    """(clip_id, annotator, code, message) of every note on these clips."""
    import json  # noqa: PLC0415

    wanted = {source.clip_id for source in sources}
    for annotator in store.annotators:
        table = store.read(annotator.name)
        for clip_id, text in zip(table["clip_id"], table["notes"], strict=True):
            if text != "[]" and clip_id in wanted:
                for code, message in json.loads(text):
                    yield clip_id, annotator.name, code, message
