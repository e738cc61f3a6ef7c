"""status, validate, preview, ground-truth: commands that read a Dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import print_json


@app.command()
def status(out: o.Out, as_json: o.Json = False) -> None:
    """Counts of a running or dead run."""
    from equime.dataset import read_status  # noqa: PLC0415

    now = read_status(out)
    if as_json:
        print_json(now)
        return
    print(f"{out}: {now.n_clips} of {now.n_specs} clips, {now.n_failed} failed, {now.n_faces} faces")
    if now.rejected:
        print("rejected: " + ", ".join(f"{reason} {n}" for reason, n in now.rejected.items()))
    for holder in now.running:
        print(f"running: process {holder.pid} on {holder.host} ({holder.run})")
    if not now.running and now.n_pending:
        print("not running; the command that made it continues it")


@app.command()
def validate(
    out: o.Out,
    quick: Annotated[bool, typer.Option("--quick", help="Do not read the videos' bytes.")] = False,
    as_json: o.Json = False,
) -> int:
    """Every problem of a data set with its path; exit code 1 where there is one."""
    from equime.validation import validate as check  # noqa: PLC0415

    report = check(out, quick=quick)
    if as_json:
        print_json(report)
    else:
        for problem in report.problems:
            print(f"{problem.path}: {problem.code}: {problem.message}")
        print(f"{report.n_clips} clips, {len(report.problems)} problems")
    return 1 if report.problems else 0


@app.command()
def preview(
    out: o.Out,
    output: Annotated[
        Path | None, typer.Option(help="PNG to write; default OUT/reports/preview.png.")
    ] = None,
    clips: Annotated[int, typer.Option(help="At most so many clips.")] = 12,
) -> None:
    """A contact sheet: onset, apex, 4x difference and AU curves of each clip."""
    from equime.preview import contact_sheet  # noqa: PLC0415

    path = output or out / "reports" / "preview.png"
    contact_sheet(out, path, n_clips=clips)
    print(path)


@app.command("ground-truth")
def ground_truth(
    out: o.Out,
    clip: Annotated[str, typer.Argument(help="clip_id, or the clip's file or its stem.")],
    folder: Annotated[
        Path | None, typer.Option(help="Where to; default OUT/reports/ground_truth/<clip>.")
    ] = None,
    flow: Annotated[str | None, typer.Option(help="Two frames, from:to; default onset to apex.")] = None,
) -> None:
    """Exact AU curves, landmarks per frame and a motion field of one clip, as .npz and .flo."""
    from equime.generation_pipeline.export_truth import export_clip  # noqa: PLC0415

    for path in export_clip(out, clip, folder, flow):
        print(path)
