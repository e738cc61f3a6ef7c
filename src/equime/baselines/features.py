"""From coded clips to samples: the inputs that models look at, made in worker processes and kept in a cache."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.baselines.feature_cache import CachedArray, Filled, MemoryArray
from equime.baselines.feature_clips import Made, Plan
from equime.baselines.feature_findings import channel_findings, findings_of
from equime.baselines.feature_frames import ClipError, FlowFile, frames_of
from equime.baselines.feature_options import VERSION, ClipJob, FeatureOptions, shape_of
from equime.baselines.flow import flow_image
from equime.baselines.inputs import Input, Samples
from equime.coded import CodedSet, Finding
from equime.errors import InputError, WorkError
from equime.progress import Progress, Silent
from equime.provenance import package_version
from equime.runner import Task, n_workers, run
from equime.seeding import content_id

__all__ = ["FeatureOptions", "build", "flow_image"]

_HANDLER: Final = "equime.baselines.feature_clips:handler"
_FLOW_ONLY: Final = ("method", "strain", "max_px", "head_motion")
_DECIDES: Final = ("numpy", "mediapipe", "av", "opencv-contrib-python-headless")

_Store = MemoryArray | CachedArray


def build(
    data: CodedSet | Sequence[CodedSet],
    wanted: Sequence[Input],
    *,
    options: FeatureOptions = FeatureOptions(),  # noqa: B008
    cache: Path | None = None,
    workers: int | None = 0,
    progress: Progress | None = None,
) -> tuple[Samples, tuple[Finding, ...]]:
    """Make the inputs of coded clips.

    The result depends on the clips' content and the options only, not on the number of workers or on what was
    cached. A clip that cannot be read is left out and found, named and counted; it never ends a run.

    Args:
        data: one or more sets; their clips follow each other.
        wanted: what is to be made; all from one pass over each clip's frames.
        options: how.
        cache: folder where arrays are kept, by the content of the clips; large ones are then memory-mapped. None
            keeps them in memory.
        workers: processes; 0 works in this one, None takes one per processor.
        progress: told of the stage "features".

    Returns:
        The samples, in the order of the clips, and what was noticed.

    Raises:
        InputError: no clip gives a sample, or an input that these clips cannot give.
        WorkError: the disk refuses.
    """
    sets = [data] if isinstance(data, CodedSet) else list(data)
    jobs, synthetic = _jobs(sets, options)
    wanted = list({one.key: one for one in wanted}.values())
    _check(jobs, wanted)
    with contextlib.ExitStack() as stack:
        stores = _stores(jobs, wanted, cache, progress or Silent(), stack)
        _fill(jobs, wanted, stores, n_workers(workers), progress or Silent())
        filled = {key: store.filled() for key, store in stores.items()}
    samples = _samples(jobs, synthetic, filled)
    findings = (*findings_of([job.clip.name for job in jobs], filled), *channel_findings(samples))
    if not len(samples):
        reasons = "; ".join(finding.message for finding in findings if finding.dropped)
        raise InputError(f"none of the {len(jobs)} clips gives a sample: {reasons}")
    return samples, findings


def _jobs(sets: Sequence[CodedSet], options: FeatureOptions) -> tuple[list[ClipJob], NDArray[np.bool_]]:
    jobs, synthetic = [], []
    for data in sets:
        uses = Counter(clip.file for clip in data.clips)
        theirs = replace(options, crop="none") if data.info.cropped else options
        for clip in data.clips:
            jobs.append(ClipJob(clip, str(data.path_of(clip)), theirs, shared=uses[clip.file] > 1))
            synthetic.append(data.info.synthetic)
    return jobs, np.array(synthetic, np.bool_)


def _check(jobs: Sequence[ClipJob], wanted: Sequence[Input]) -> None:
    if not jobs:
        raise InputError("no clips to make features of; the set is empty")
    if not wanted:
        raise InputError("no input is asked for; name what the models look at")
    for one in wanted:
        shape_of(one)
    n_flow = sum(job.clip.kind == "flow" for job in jobs)
    other = [one.key for one in wanted if one.kind != "flow"]
    if n_flow and other:
        raise InputError(
            f"{n_flow} of {len(jobs)} clips are flow images, which give no input {other[0]}; use models that look at "
            "flow, or the corpus' frames"
        )


def _stores(
    jobs: Sequence[ClipJob],
    wanted: Sequence[Input],
    cache: Path | None,
    progress: Progress,
    stack: contextlib.ExitStack,
) -> dict[str, _Store]:
    """Where each input goes. Locks are taken in the order of names, so that two processes never wait in a circle."""
    stores: dict[str, _Store] = {}
    for one in sorted(wanted, key=lambda w: w.key):
        shape, dtype = shape_of(one)
        if cache is None:
            stores[one.key] = MemoryArray(len(jobs), shape, dtype)
        else:
            name = f"{one.key}-{_content(jobs, one)}"
            stores[one.key] = CachedArray(cache, name, len(jobs), shape, dtype, progress)
        stack.callback(stores[one.key].close)
    return stores


def _content(jobs: Sequence[ClipJob], wanted: Input) -> str:
    """Id of an input of these clips: bytes of their frames, codes, options and versions that decide its numbers."""
    versions = {name: package_version(name) for name in _DECIDES}
    clips = [_clip_content(job, wanted) for job in jobs]
    return content_id([VERSION, versions, cv2.__version__, wanted.key, clips], 24)


def _clip_content(job: ClipJob, wanted: Input) -> str:
    clip, options = job.clip, dict(job.options.table())
    try:
        if clip.kind == "flow":
            return content_id(["flow", FlowFile(Path(job.path)).digest()])
        if clip.kind == "none":
            return "none"
        frames = frames_of(clip, Path(job.path))
        plan = Plan(job, frames)
        needs_apex = wanted.kind in ("flow", "frame", "frame_pair")
        numbers = plan.numbers(wanted, plan.coded_apex if needs_apex else None)
        digest = frames.digest({plan.onset, *numbers})
    except ClipError as error:
        digest, numbers = error.code, []
    for name in () if wanted.kind == "flow" else _FLOW_ONLY:
        del options[name]
    whole = [clip.kind, clip.onset, clip.apex, clip.offset, job.shared, options, numbers, digest]
    return content_id(whole)


def _fill(
    jobs: Sequence[ClipJob],
    wanted: Sequence[Input],
    stores: dict[str, _Store],
    workers: int,
    progress: Progress,
) -> None:
    """Make every row that is missing; clips that lack the same inputs go through one pool."""
    missing: dict[int, list[Input]] = {}
    for one in wanted:
        for row in stores[one.key].missing:
            missing.setdefault(row, []).append(one)
    progress.start("features", len(jobs), len(jobs) - len(missing))
    groups: dict[tuple[Input, ...], list[int]] = {}
    for row in sorted(missing):
        groups.setdefault(tuple(missing[row]), []).append(row)
    for inputs, rows in groups.items():
        for row, made in _work(jobs, inputs, rows, min(workers, len(rows) // 2)):
            for key, value in made.items():
                stores[key].put(row, value)
            progress.advance()


def _work(
    jobs: Sequence[ClipJob], inputs: tuple[Input, ...], rows: Sequence[int], workers: int
) -> Iterator[tuple[int, dict[str, Made]]]:
    tasks = (Task(str(row), jobs[row]) for row in rows)
    for outcome in run(_HANDLER, inputs, tasks, workers=workers):
        row = int(outcome.task.key)
        if outcome.error is None:
            yield row, outcome.value
            continue
        if outcome.error.fatal:
            raise WorkError(outcome.error.message)
        text = f"{jobs[row].path}: {outcome.error.error}: {outcome.error.message}"
        yield row, {one.key: Made(None, (("failed", text),)) for one in inputs}


def _samples(jobs: Sequence[ClipJob], synthetic: NDArray[np.bool_], filled: dict[str, Filled]) -> Samples:
    """The clips that gave every input."""
    rows = np.arange(len(jobs))
    for one in filled.values():
        rows = np.intersect1d(rows, one.rows)
    arrays = {}
    for key, one in filled.items():
        same = len(one.rows) == len(rows)
        arrays[key] = one.array if same else one.array[np.searchsorted(one.rows, rows)]
    return Samples(tuple(jobs[int(row)].clip for row in rows), arrays, synthetic[rows])
