"""evaluate, metrics, filter: measuring clips and marking those that fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.measured import as_json as measured_json
from equime.cli.measured import exit_code, print_problems
from equime.cli.output import ProgressView, print_json, warn
from equime.errors import InputError

if TYPE_CHECKING:
    from equime.evaluation_framework.evaluation import Evaluation
    from equime.evaluation_framework.rules import GateReport


@app.command()
def evaluate(
    path: o.Measured,
    out: Annotated[
        Path | None, typer.Option("--out", help="DIR for report and tables; a data set keeps its own tables.")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="default, all, equime, or names from `equime metrics`, comma separated."),
    ] = None,
    against: Annotated[Path | None, typer.Option(help="Reference set to compare with.")] = None,
    workers: o.Workers = None,
    per_frame: Annotated[
        bool, typer.Option("--per-frame", help="Also write a table of values per frame.")
    ] = False,
    fps: o.FolderFps = None,
    flow: Annotated[str, typer.Option(help="Optical flow: dis, or tvl1 as much of the literature.")] = "dis",
    csv: Annotated[
        str | None, typer.Option(help="equime: also EquiME's table; equime-wrapped: with its PSNR.")
    ] = None,
    as_json: o.Json = False,
) -> int:
    """Measure clips: visual quality, sequence quality, ground truth; tables and a report.

    The same command continues an interrupted run. Exit code 1 where clips had problems, 3 where a metric that
    was asked for by name could not run.
    """
    from equime.evaluation_framework.equime_csv import write_equime_csv  # noqa: PLC0415
    from equime.evaluation_framework.report import write_report  # noqa: PLC0415
    from equime.evaluation_framework.run import Options, default_folder  # noqa: PLC0415
    from equime.evaluation_framework.run import evaluate as run_evaluate  # noqa: PLC0415

    if csv not in (None, "equime", "equime-wrapped"):
        raise InputError(f"csv {csv!r} is not known; use --csv equime or --csv equime-wrapped")
    names = tuple(name.strip() for name in metrics.split(",")) if metrics is not None else None
    options = Options(metrics=names, workers=workers, per_frame=per_frame, fps=fps, flow=flow)
    with ProgressView() as progress:
        result = run_evaluate(path, out, options=options, against=against, progress=progress)
    folder = out if out is not None else default_folder(path)
    files = write_report(result, folder)
    if csv is not None:
        files.append(folder / f"video_metrics_{path.resolve().name}.csv")
        write_equime_csv(files[-1], result.clips, wrapped=csv == "equime-wrapped")
    if as_json:
        print_json(measured_json(result) | {"files": [str(file) for file in files]})
    else:
        _print(result, files)
    return exit_code(result)


def _print(result: Evaluation, files: list[Path]) -> None:
    print(f"{result.path}: {len(result.clips)} clips measured by {len(result.annotators)} annotators")
    print_problems(result)
    for file in files:
        print(file)


@app.command()
def metrics(as_json: o.Json = False) -> None:
    """Every metric and attribute: unit, range, which way is better, meaning and source, and whether it can run here."""
    from equime import registry  # noqa: PLC0415
    from equime.annotation.choice import requirement  # noqa: PLC0415

    known = [registry.lookup("annotator", name)() for name in registry.ANNOTATORS | registry.ATTRIBUTES]
    if as_json:
        print_json({a.name: {"lacks": requirement(a), "metrics": list(a.metrics)} for a in known})
        return
    for annotator in known:
        lacks = requirement(annotator)
        print(f"{annotator.name}" + (f"   cannot run: {lacks[0]}; {lacks[1]}" if lacks else ""))
        for metric in annotator.metrics:
            low, high = (("" if bound is None else f"{bound:g}") for bound in (metric.low, metric.high))
            unit = f" [{metric.unit}]" if metric.unit not in ("", "1") else ""
            print(f"  {metric.name}{unit}  {low}..{high}  better: {metric.direction}  {metric.meaning}")


@app.command("filter")
def quality_gate(
    out: Annotated[Path | None, typer.Argument(help="Folder of the data set.")] = None,
    rules: Annotated[Path | None, typer.Option(help="TOML file of rules; default: those of equime.")] = None,
    mark_only: Annotated[
        bool, typer.Option("--mark-only", help="Failed clips stay in exports and training, marked.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the marks off again.")] = False,
    print_defaults: Annotated[
        bool, typer.Option("--print-defaults", help="Print the default rules, a template, and stop.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Mark clips that break a rule over any table column; exports leave them out, nothing is deleted."""
    from equime.dataset import Dataset  # noqa: PLC0415
    from equime.evaluation_framework.rules import apply_rules, default_rules, load_rules, remove_marks  # noqa: PLC0415
    from equime.generation_pipeline.views import write_video_folder  # noqa: PLC0415

    if print_defaults:
        print(default_rules().rstrip("\n"))
        return
    if out is None:
        raise InputError("no data set given; use equime filter OUT")
    if remove:
        print(f"{out}: {'marks removed' if remove_marks(out) else 'there were no marks'}")
        write_video_folder(Dataset.open(out))
        return
    report = apply_rules(out, load_rules(rules), mark_only=mark_only)
    write_video_folder(Dataset.open(out))
    if as_json:
        print_json(report)
    else:
        _print_gate(out, report)


def _print_gate(out: Path, report: GateReport) -> None:
    what = "stay in exports, marked" if report.mark_only else "left out of exports and training"
    print(f"{out}: {report.n_passed} of {report.n_clips} clips pass, {report.n_failed} fail and are {what}")
    for name, n in report.by_rule.items():
        print(f"  {n:>6}  {name}")
    for label, shares in (("emotion", report.failed_by_emotion), ("gender", report.failed_by_gender)):
        listed = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        print(f"failed by {label}: {listed}")
    for text in report.skipped:
        warn(f"note: rule skipped: {text}")
    print(f"marks: {out / report.table}")
