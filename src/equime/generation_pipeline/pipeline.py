"""The whole way: faces to a Dataset of captioned clips. Ingest, plan, render, views; each resumable.

The same call continues a run that was killed. The records are appended when a clip is complete; a clip whose
file was completed but not recorded is adopted; nothing is rendered twice.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from equime import layout
from equime.dataset import FORMAT_VERSION, Dataset, Info, read_info, read_status
from equime.errors import InputError, WorkError
from equime.generation_pipeline.adherence_rates import Rate, acceptance, judged_attempts
from equime.generation_pipeline.design import Design
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.ingest import ingest_faces
from equime.generation_pipeline.making import REFUSED, make_clips
from equime.generation_pipeline.renderers import generator_of
from equime.generation_pipeline.settings import (
    Settings,
    differences,
    make_model,
    make_renderer,
    make_settings,
)
from equime.generation_pipeline.sources import Found, find_faces
from equime.generation_pipeline.views import write_views
from equime.locks import HIDDEN, RunLock, Shard
from equime.progress import Progress, Silent
from equime.provenance import provenance
from equime.records import (
    PARTIAL_GLOB,
    count,
    disk_guard,
    iterate,
    read_lines,
    write_atomic,
    write_records,
)
from equime.runner import n_workers
from equime.seeding import canonical_json
from equime.types import Attempt, Clip, Face, Failure, Record
from equime.video import EncoderSettings

DEFAULT_SEED: Final = 0


class RunReport(Record, frozen=True):
    """What one run did, and where the Dataset stands after it.

    Attributes:
        out: the Dataset.
        n_specs, n_clips, n_failed, n_rejected, n_faces: as `equime.dataset.Status`.
        n_rendered: clips made by this run.
        n_adopted: files that an earlier run had completed but not recorded.
        n_pending: planned clips that are not made yet (``--limit``, other shards, failures).
        rejected: reason to count.
        seconds: wall time of this run.
        notes: what the design wants a person to know.
        n_refused: of ``n_failed``, clips that the adherence gate refused in every attempt.
        acceptance: of a generating renderer's attempts, of all runs on OUT, in all and by emotion and group.
    """

    out: str
    n_specs: int
    n_clips: int
    n_rendered: int
    n_adopted: int
    n_failed: int
    n_rejected: int
    n_faces: int
    n_pending: int
    rejected: dict[str, int]
    seconds: float
    notes: tuple[str, ...] = ()
    n_refused: int = 0
    acceptance: tuple[Rate, ...] = ()


def generate(
    faces: str | Path,
    out: str | Path,
    *,
    clips: int | None = None,
    seed: int = DEFAULT_SEED,
    workers: int | None = None,
    preset: str | None = None,
    emotions: Sequence[str] | None = None,
    balance: Mapping[str, Any] | None = None,
    fps: float | None = None,
    duration_s: float | None = None,
    size_px: int | None = None,
    p_felt: float = 0.0,
    priors: str | Path | None = None,
    licence: str | None = None,
    gates: Gates | None = None,
    renderer: str = "mesh",
    renderer_options: Mapping[str, Any] | None = None,
    encoder: EncoderSettings | None = None,
    lossless_master: bool = False,
    png: bool = False,
    twins: bool = False,
    limit: int | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Make a data set from face photographs, or continue one that was interrupted.

    Args:
        faces: folder of images, one image, a table, or CelebA-HQ.
        out: directory of the Dataset.
        clips: in total; by default the preset's, else one block of all emotions per identity.
        seed: of all randomness; same inputs and seed give the same bytes.
        workers: processes; by default one per processor, 0 works in this process.
        preset: "equime" or "me-vlm": number of clips, emotions and format.
        emotions: any of `equime.action_units.EMOTIONS`.
        balance: attribute to target shares over declared groups, or "equal".
        fps, duration_s, size_px: format of the clips; by default 24, 6 s, 512.
        p_felt: probability of the felt label semantics, 0 (au-defined) to 1.
        priors: a priors file of one's own.
        licence: of the images where their source does not say.
        gates: which faces are let through.
        renderer: registered name or ``module:attribute``.
        renderer_options: what it is told, such as ``{"model": "weights/ltx", "steps": 8}``.
        encoder: codec settings.
        lossless_master, png: also keep a lossless master, or the frames as PNG files.
        twins: all identities show the same expressions, so that clips differ in nothing but whose face it is.
        limit: make at most so many clips in this run.
        shard: "i/n", the part of this process where n share one OUT.
        progress: is told how it goes.

    Raises:
        InputError: a setting, or the faces; or another run's OUT.
        WorkError: the disk refuses, or another process works on OUT.
    """
    settings = make_settings(
        faces, clips=clips, seed=seed, preset=preset, emotions=emotions, balance=balance, fps=fps,
        duration_s=duration_s, size_px=size_px, p_felt=p_felt, priors=priors, licence=licence, gates=gates,
        renderer=renderer, renderer_options=renderer_options, encoder=encoder, lossless_master=lossless_master, png=png, twins=twins,
    )  # fmt: skip
    run_generate(
        settings, Path(out), preset=preset, workers=workers, limit=limit, shard=shard, progress=progress
    )
    return Dataset.open(out)


def run_generate(
    settings: Settings,
    root: Path,
    *,
    preset: str | None = None,
    workers: int | None = None,
    limit: int | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """`generate` with settings that were made before; returns what was done. Raises as `generate`."""
    started = time.monotonic()
    progress = progress or Silent()
    part = Shard.parse(shard)
    generator = generator_of(make_renderer(settings.renderer, settings.renderer_options))
    if generator is not None:
        generator.require()
    devices = workers if workers is not None or generator is None else generator.n_devices()
    workers = n_workers(workers)
    if limit is not None and limit < 1:
        raise InputError(f"limit {limit} is below 1; leave --limit out to make all clips")
    found = _open_out(settings, root)
    with RunLock(root, part) as lock:
        with lock.exclusive():
            _clean(root, part, lock)
            settings, notes = _prepare(settings, root, preset, found, workers, progress)
        makers = workers if devices is None else devices
        n_rendered, n_adopted = make_clips(settings, root, part, makers, generator, limit, progress)
        with lock.exclusive():
            lock.release()  # so that of two shards that end together the later sees itself alone
            if lock.alone:
                _finish(root, progress)
    status = read_status(root)
    return RunReport(
        out=str(root),
        n_specs=status.n_specs,
        n_clips=status.n_clips,
        n_rendered=n_rendered,
        n_adopted=n_adopted,
        n_failed=status.n_failed,
        n_rejected=status.n_rejected,
        n_faces=status.n_faces,
        n_pending=status.n_pending,
        rejected=status.rejected,
        seconds=round(time.monotonic() - started, 3),
        notes=notes,
        n_refused=0 if generator is None else sum(f.error == REFUSED for f in Dataset.open(root).failures),
        acceptance=() if generator is None else tuple(acceptance(judged_attempts(root))),
    )


def prepared(
    settings: Settings, root: Path, *, preset: str | None, workers: int | None, progress: Progress
) -> Settings:
    """Ingest and plan into OUT and stop there; returns the settings as recorded. Raises as `generate`."""
    found = _open_out(settings, root)
    with RunLock(root, Shard()) as lock, lock.exclusive():
        _clean(root, Shard(), lock)
        return _prepare(settings, root, preset, found, n_workers(workers), progress)[0]


def _open_out(settings: Settings, root: Path) -> Found:
    """The images of the source, and a folder for OUT."""
    source = Path(settings.faces)
    check_out(source, root)
    found = find_faces(source, licence=settings.licence)
    with disk_guard(root):
        root.mkdir(parents=True, exist_ok=True)
    return found


def _prepare(
    settings: Settings, root: Path, preset: str | None, found: Found, workers: int, progress: Progress
) -> tuple[Settings, tuple[str, ...]]:
    """Everything before the first frame: dataset.json, faces, specs. The caller holds the planning lock."""
    settings = _agree(settings, root)
    before = read_info(root).provenance if (root / layout.INFO).exists() else ()
    info = Info(
        format_version=FORMAT_VERSION,
        preset=preset,
        config=msgspec.to_builtins(settings),
        provenance=before if provenance() in before else (*before, provenance()),
    )
    write_atomic(root / layout.INFO, msgspec.json.format(canonical_json(info), indent=2) + b"\n")
    faces = ingest_faces(Path(settings.faces), found, root, settings.gates, workers, progress)
    _refuse_same_names(faces)
    design = make_design(settings, faces)
    _plan(settings, design, root, progress)
    return settings, design.report().notes


def make_design(settings: Settings, faces: Sequence[Face]) -> Design:
    """The design of these settings over these faces."""
    n_clips = settings.n_clips if settings.n_clips is not None else len(faces) * len(settings.emotions)
    return Design(
        faces=faces,
        n_clips=n_clips,
        seed=settings.seed,
        emotions=settings.emotions,
        balance=settings.balance,
        fps=settings.fps,
        duration_ms=settings.duration_ms,
        size_px=settings.size_px,
        twins=settings.twins,
    )


def check_out(faces: Path | None, root: Path) -> None:
    """Refuse an OUT that is something else, before anything is written."""
    out = root.absolute()
    if out.exists() and not out.is_dir():
        raise InputError(f"{root}: is a file; give a folder as OUT")
    if faces is not None and faces.is_dir() and out.resolve().is_relative_to(faces.resolve()):
        raise InputError(f"{root}: lies inside the faces ({faces}); give an OUT beside them")
    if out.is_dir() and not (out / layout.INFO).exists() and not (out / HIDDEN).exists():
        strange = next(iter(sorted(p.name for p in out.iterdir())), None)
        if strange is not None:
            raise InputError(
                f"{root}: holds {strange} and is no equime data set; give a new or empty folder as OUT"
            )


def _clean(root: Path, part: Shard, lock: RunLock) -> None:
    """Remove what interrupted writes left behind; other shards' unfinished files stay."""
    shutil.rmtree(layout.work_folder(root, part), ignore_errors=True)
    if not lock.alone:
        return
    shutil.rmtree(root / HIDDEN / "tmp", ignore_errors=True)
    for pattern in ("", "*/", "*/metadata/", "*/png/"):
        for path in root.glob(pattern + PARTIAL_GLOB):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _agree(settings: Settings, root: Path) -> Settings:
    """The settings, checked against those that OUT was made with.

    Raises:
        InputError: listing every setting that differs.
    """
    if not (root / layout.INFO).exists():
        return settings
    info = read_info(root)
    n_specs = count(root / layout.SPECS)
    try:
        old = msgspec.convert(info.config, Settings)
    except msgspec.ValidationError as error:
        raise WorkError(f"{root / layout.INFO}: config: {error}; start a new OUT") from error
    if n_specs == 0:  # nothing planned yet: only what was ingested under other gates is void
        if (old.gates, old.licence, old.faces) != (settings.gates, settings.licence, settings.faces):
            for name in (layout.FACES, layout.REJECTED):
                (root / name).unlink(missing_ok=True)
        return settings
    old = msgspec.structs.replace(old, n_clips=max(old.n_clips or n_specs, n_specs))
    problems = differences(old, settings)
    if problems:
        raise InputError(
            f"{root}: made with other settings: {'; '.join(problems)}; "
            "repeat the settings it was made with, or give another OUT"
        )
    return (
        settings if settings.n_clips is not None else msgspec.structs.replace(settings, n_clips=old.n_clips)
    )


def _refuse_same_names(faces: Sequence[Face]) -> None:
    """Two subjects must not share a file name, also where upper and lower case count as the same."""
    first: dict[str, Face] = {}
    for face in faces:
        name = f"{face.declared.gender}_{layout.safe_subject(face.subject_id)}".casefold()
        other = first.setdefault(name, face)
        if other is not face:
            raise InputError(
                f"subjects {other.subject_id!r} ({other.path}) and {face.subject_id!r} ({face.path}) give the "
                f"same file name {name}; rename one of them"
            )


def _plan(settings: Settings, design: Design, root: Path, progress: Progress) -> None:
    """Write specs.jsonl as a whole; an existing plan may only be the beginning of the new one."""
    path = root / layout.SPECS
    n_before = count(path)
    if n_before == design.n_clips:
        return
    progress.start("plan", design.n_clips, 0)
    before = read_lines(path)

    def lines() -> Iterator[bytes]:
        for spec in design.specs(make_model(settings.priors, settings.p_felt)):
            line = canonical_json(spec) + b"\n"
            _, old = next(before, (0, line))
            if old != line:
                raise WorkError(
                    f"{path}: the plan of this equime does not begin with the one there; it was made by "
                    "another version: use that version, or another OUT"
                )
            progress.advance()
            yield line

    with contextlib.closing(before):  # type: ignore[type-var]
        write_atomic(path, lines())


def _finish(root: Path, progress: Progress) -> None:
    """Views, and the clips' records in the order of the plan; nobody else works on the Dataset now."""
    dataset = Dataset.open(root)
    if not len(dataset):
        return
    write_views(dataset, progress)
    paths = layout.clips_paths(root)
    main = root / layout.clips_name(Shard())
    if len(dataset) == count(root / layout.SPECS):
        ordered: list[Clip] = [view.clip for view in dataset]
        if paths != [main] or ordered != dataset.clips:
            write_records(main, ordered)
            _unlink_others(paths, main)
        _merge(layout.failures_paths(root), root / layout.failures_name(Shard()), Failure)
        _merge(layout.attempts_paths(root), root / layout.attempts_name(Shard()), Attempt)
    shutil.rmtree(root / HIDDEN / "tmp", ignore_errors=True)


def _merge(paths: list[Path], main: Path, kind: type[Record]) -> None:
    """Records that shards wrote into one file."""
    if paths and paths != [main]:
        write_records(main, [record for path in paths for record in iterate(path, kind)])
        _unlink_others(paths, main)


def _unlink_others(paths: list[Path], kept: Path) -> None:
    for path in paths:
        if path != kept:
            path.unlink()
