"""spot, train-spotter, long-videos."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import ProgressView, clock, print_json, warn
from equime.errors import InputError, WorkError

if TYPE_CHECKING:
    from equime.baselines.shipped import Shipped
    from equime.baselines.spot_recognise import SpotThenRecognise
    from equime.baselines.spotting import Interval, Spotter
    from equime.baselines.spotting_scores import Score
    from equime.coded import CodedSet, Finding

Paths = Annotated[
    list[Path],
    typer.Argument(help="Videos, folders of them, frame folders, coded sets, or equime data sets."),
]
Method = Annotated[str, typer.Option(help="regional (learns nothing) or learned.")]
ModelFile = Annotated[Path | None, typer.Option("--model", help="Trained spotter, for --method learned.")]
Loso = Annotated[
    bool,
    typer.Option(
        "--loso", help="learned: train on the set's other subjects, one left out at a time; no --model."
    ),
]
Truth = Annotated[
    bool, typer.Option("--truth/--no-truth", help="Score against the coding, where PATH has one.")
]
Recognise = Annotated[
    str | None,
    typer.Option(
        help="Also say what was spotted rightly, by this recogniser (emotion_cnn, or a folder): STRS."
    ),
]
Table = Annotated[Path | None, typer.Option("--out", help="Write the intervals as CSV.")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Folder that keeps the measured movement.")]
Set = Annotated[Path, typer.Argument(help="Coded set with several clips to a file.")]

COLUMNS = (
    "file", "expression", "onset", "apex", "offset", "onset_ms", "apex_ms", "offset_ms", "score",
)  # fmt: skip


@app.command()
def spot(
    paths: Paths,
    method: Method = "regional",
    model: ModelFile = None,
    fps: o.FolderFps = None,
    loso: Loso = False,
    truth: Truth = True,
    recognise: Recognise = None,
    table: Table = None,
    cache: Cache = None,
    seed: o.Seed = 0,
    as_json: o.Json = False,
) -> int:
    """Where long videos show micro- and macro-expressions; F1 by MEGC's rule where they are coded."""
    spotter = _spotter(method, model, loso)
    recogniser = _recogniser(recognise, truth)
    found: list[dict[str, Any]] = []
    rows: list[tuple[str, Interval]] = []
    with ProgressView() as progress:
        for path in paths:
            data = _coded(path)
            strs: SpotThenRecognise | None = None
            if data is None:
                if loso or recogniser is not None:
                    option = "--loso" if loso else "--recognise"
                    raise InputError(
                        f"{path}: {option} needs coded clips; give a coded set or an equime data set"
                    )
                intervals, problems = _spot_files(path, fps, spotter, cache, progress)
                scores: Mapping[Any, Score] = {}
            else:
                intervals, problems, scores = _spot_set(data, spotter, truth, cache, seed, progress)
                if recogniser is not None:
                    strs, more = _recognise(intervals, data, recogniser, cache, seed, progress)
                    problems += more
            rows += [(str(path / file), one) for file in sorted(intervals) for one in intervals[file]]
            found.append(
                {
                    "path": str(path),
                    "intervals": intervals,
                    "problems": list(problems),
                    "scores": scores,
                    "strs": strs,
                }
            )
    if table is not None:
        _write(table, rows)
    if as_json:
        print_json({"method": method, "found": found})
    else:
        _print(rows, found)
    return 1 if any(one["problems"] for one in found) else 0


def _spotter(method: str, model: Path | None, loso: bool) -> Spotter | None:
    """The method that was asked for; None is one to be trained with a subject left out."""
    from equime.baselines.spotting import RegionalSpotter  # noqa: PLC0415
    from equime.baselines.spotting_learned import load_spotter  # noqa: PLC0415

    if method not in ("regional", "learned"):
        raise InputError(f"method {method!r} not known; use regional or learned")
    if method == "regional":
        if model is not None or loso:
            raise InputError("--model and --loso are for --method learned; leave them out, or add it")
        return RegionalSpotter()
    if (model is None) != loso:
        raise InputError(
            "--method learned needs a trained spotter (--model FILE, see `equime train-spotter`), "
            "or --loso to train on the set itself; give one of the two"
        )
    return None if model is None else load_spotter(model)


def _recogniser(name: str | None, truth: bool) -> Shipped | None:
    if name is None:
        return None
    from equime.baselines.shipped import load_shipped  # noqa: PLC0415

    if not truth:
        raise InputError("--recognise scores what was spotted rightly; leave out --no-truth")
    return load_shipped(name)


def _recognise(
    intervals: Mapping[str, tuple[Interval, ...]],
    data: CodedSet,
    recogniser: Shipped,
    cache: Path | None,
    seed: int,
    progress: ProgressView,
) -> tuple[SpotThenRecognise, list[str]]:
    from equime.baselines.spot_recognise import spot_then_recognise  # noqa: PLC0415

    found, findings = spot_then_recognise(
        intervals, data, recogniser, seed=seed, cache=cache, progress=progress
    )
    return found, _messages(findings)


def _coded(path: Path) -> CodedSet | None:
    """The coded clips of a path; None where it has none."""
    from equime import coded  # noqa: PLC0415

    if not path.exists():
        raise InputError(f"{path}: does not exist; check the path")
    if coded.is_set(path):
        return coded.read_set(path)
    return coded.of_dataset(path) if (path / "dataset.json").is_file() else None


def _spot_set(
    data: CodedSet,
    spotter: Spotter | None,
    truth: bool,
    cache: Path | None,
    seed: int,
    progress: ProgressView,
) -> tuple[dict[str, tuple[Interval, ...]], list[str], Mapping[Any, Score]]:
    from equime.baselines.spotting import signals_of_set  # noqa: PLC0415
    from equime.baselines.spotting_learned import LearnedSpotter, cross_validated, refuse_overlap  # noqa: PLC0415
    from equime.baselines.spotting_scores import score, truth_of  # noqa: PLC0415

    if isinstance(spotter, LearnedSpotter) and truth:
        refuse_overlap(spotter, data)
    signals, findings = signals_of_set(data, cache=cache, progress=progress)
    if not signals:
        raise WorkError(_messages(findings)[0])
    if spotter is None:
        found: dict[str, tuple[Interval, ...]] = cross_validated(signals, data, seed=seed)
    else:
        found = {file: spotter.intervals(signal) for file, signal in signals.items()}
    n_without = truth_of(data)[2]
    if truth and n_without:
        progress.note(f"{n_without} coded clip(s) without onset or offset are not scored")
    return found, _messages(findings), score(found, data, seed=seed) if truth else {}


def _messages(findings: Sequence[Finding]) -> list[str]:
    return [finding.message for finding in findings]


def _spot_files(
    path: Path, fps: float | None, spotter: Spotter | None, cache: Path | None, progress: ProgressView
) -> tuple[dict[str, tuple[Interval, ...]], list[str]]:
    """Everything at a path that has no coding; what cannot be read is a problem and the rest goes on."""
    from equime.baselines.spotting import spot as spot_one  # noqa: PLC0415
    from equime.clip_sources import find_clips  # noqa: PLC0415
    from equime.errors import EquimeError  # noqa: PLC0415

    sources, odd = find_clips(path, fps=fps)
    problems = [f"{problem.file}: {problem.message}" for problem in odd]
    found = {}
    progress.start("measure", len(sources), 0)
    for source in sources:
        try:
            found[source.file] = spot_one(source.path, source.fps, spotter=spotter, cache=cache)
        except EquimeError as error:
            problems.append(str(error))
        progress.advance()
    return found, problems


def _write(path: Path, rows: Sequence[tuple[str, Interval]]) -> None:
    import msgspec  # noqa: PLC0415

    from equime.records import write_atomic  # noqa: PLC0415

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for file, interval in rows:
        writer.writerow({"file": file, **msgspec.structs.asdict(interval)})
    write_atomic(path, text.getvalue().encode())


def _print(rows: Sequence[tuple[str, Interval]], found: Sequence[Mapping[str, Any]]) -> None:
    for one in found:
        for text in one["problems"]:
            warn(f"problem: {text}")
    width = max((len(file) for file, _ in rows), default=4)
    print(f"{'file':<{width}}  kind   {'onset':>7} {'apex':>7} {'offset':>7} {'ms':>6} {'score':>7}")
    for file, i in rows:
        length = i.offset_ms - i.onset_ms
        print(
            f"{file:<{width}}  {i.expression:<5}  {i.onset:>7} {i.apex:>7} {i.offset:>7} {length:>6.0f} {i.score:>7.2f}"
        )
    for one in found:
        if one["scores"]:
            _print_scores(one["path"], one["scores"])
        if one["strs"]:
            _print_strs(one["strs"])


def _print_scores(path: str, scores: Mapping[Any, Score]) -> None:
    first = next(iter(scores.values()))
    print(f"\n{path}: {first.n_videos} videos of {first.n_subjects} subjects, IoU >= 0.5 (MEGC)")
    print(
        f"{'':<8} {'F1':>6}  {'95 % by subject':<17} {'precision':>9} {'recall':>7} {'TP':>5} {'FP':>5} {'FN':>5}"
    )
    for which, s in scores.items():
        span = "" if s.low is None or s.high is None else f"{s.low:.3f} to {s.high:.3f}"
        print(
            f"{which:<8} {_share(s.f1):>6}  {span:<17} {_share(s.precision):>9} {_share(s.recall):>7} "
            f"{s.counts.tp:>5} {s.counts.fp:>5} {s.counts.fn:>5}"
        )


def _print_strs(s: SpotThenRecognise) -> None:
    span = "" if s.low is None or s.high is None else f" [{s.low:.3f}, {s.high:.3f}]"
    print(
        f"\nSTRS {s.strs:.3f}{span}: {s.recogniser} on {s.n} intervals spotted rightly, F1 {_share(s.recognition_f1)}"
    )
    if s.n_unread or s.n_unclassed:
        print(
            f"  {s.n_unread} could not be read and count as wrong; {s.n_unclassed} are coded as none of its classes"
        )
    if s.synthetic:
        print(f"  {s.recogniser} was trained on synthetic clips alone")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


@app.command("train-spotter")
def train_spotter(
    data: Set,
    out: Annotated[Path, typer.Argument(help="File of the trained spotter (.safetensors).")],
    cache: Cache = None,
    seed: o.Seed = 0,
    as_json: o.Json = False,
) -> None:
    """Train the learned spotter on all videos of a coded set; score it on other people with `equime spot`."""
    from equime.baselines.spotting import signals_of_set  # noqa: PLC0415
    from equime.baselines.spotting_learned import train  # noqa: PLC0415

    coded = _coded(data)
    if coded is None:
        raise InputError(
            f"{data}: no coded clips there; give a coded set (`equime long-videos`, `equime corpus read`)"
        )
    with ProgressView() as progress:
        signals, findings = signals_of_set(coded, cache=cache, progress=progress)
    for text in _messages(findings):
        warn(f"problem: {text}")
    spotter = train(signals, coded, seed=seed)
    spotter.save(out)
    if as_json:
        print_json(spotter.about)
    else:
        about = spotter.about
        kind = "synthetic videos" if about.synthetic else "videos"
        print(
            f"{out}: trained on {about.n_videos} {kind} of {len(about.people)} subjects "
            f"({about.n_micro} micro-, {about.n_macro} macro-expressions)"
        )


@app.command("long-videos")
def long_videos(
    faces: o.Faces,
    out: Annotated[Path, typer.Argument(help="Folder of the coded set.")],
    videos: Annotated[int, typer.Option(help="Videos in total; they take the faces in turn.")] = 12,
    duration: Annotated[float, typer.Option(help="Seconds per video, 10 to 60.")] = 30.0,
    fps: Annotated[float, typer.Option(help="Frames per second, 24 to 500.")] = 30.0,
    size: Annotated[int, typer.Option(help="Side of the videos in pixels, even.")] = 256,
    seed: o.Seed = 0,
    micro: Annotated[float, typer.Option(help="Micro-expressions per minute.")] = 6.0,
    macro: Annotated[float, typer.Option(help="Macro-expressions per minute.")] = 6.0,
    speech: Annotated[float, typer.Option(help="Bouts of speech per minute.")] = 3.0,
    head: Annotated[float, typer.Option(help="Head turns and nods per minute.")] = 4.0,
    licence: o.Licence = None,
    gates: o.GatesFile = None,
    gate: o.Relax = None,
    crf: o.Crf = None,
    workers: o.Workers = None,
    as_json: o.Json = False,
) -> int:
    """Long videos for spotting: micro-expressions among macro-expressions, blinks, gaze, speech and head motion.

    The same command continues an interrupted run.
    """
    import time  # noqa: PLC0415

    from equime.generation_pipeline.long_plan import Rates  # noqa: PLC0415
    from equime.generation_pipeline.long_video import make_long_videos  # noqa: PLC0415

    started = time.monotonic()
    with ProgressView() as progress:
        report = make_long_videos(
            faces, out, videos=videos, duration_s=duration, fps=fps, size_px=size, seed=seed,
            rates=Rates(micro=micro, macro=macro, speech=speech, head=head), licence=licence,
            gates=o.choose_gates(gates, gate), encoder=o.choose_encoder(crf, None), workers=workers, progress=progress,
        )  # fmt: skip
    if as_json:
        print_json(report)
    else:
        print(
            f"{report.out}: {report.n_videos} of {report.n_planned} videos, {report.n_micro} micro- and "
            f"{report.n_macro} macro-expressions"
        )
        print(f"this run: {report.n_rendered} rendered in {clock(time.monotonic() - started)}")
        if report.n_rejected:
            print(f"rejected images: {report.n_rejected}; see rejected.jsonl")
    for text in report.failed:
        warn(f"error: {text}")
    return 1 if report.failed else 0
