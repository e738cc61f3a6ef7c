"""audit: who is in a data set, what goes with whom, and whether recognisers treat groups alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import ProgressView, print_json

if TYPE_CHECKING:
    from equime.evaluation_framework.audit.records import Audit


@app.command()
def audit(
    out: o.Out,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(help="Predictions of a recogniser: clip_id, prediction, p_<class>; repeatable."),
    ] = None,
    targets: Annotated[
        Path | None, typer.Option(help="TOML file of target shares per attribute and group.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="DIR of the report; default: OUT/reports/audit.")
    ] = None,
    permutations: Annotated[int, typer.Option(help="Permutations of the people's groups per test.")] = 2000,
    resamples: Annotated[int, typer.Option(help="Resamples of the people per interval.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of permutations and resamples.")] = 0,
    as_json: o.Json = False,
) -> None:
    """Equity audit of a data set: representation, associations, motion parity, recognisers; a report.

    It reads the tables that `equime attributes` and `equime evaluate` wrote, and measures nothing itself.
    """
    from equime.evaluation_framework.audit.report import write_audit  # noqa: PLC0415
    from equime.evaluation_framework.audit.run import Options, default_folder  # noqa: PLC0415
    from equime.evaluation_framework.audit.run import audit as run_audit  # noqa: PLC0415

    options = Options(n_permutations=permutations, n_boot=resamples, seed=seed)
    with ProgressView() as progress:
        result = run_audit(
            out, predictions=predictions or (), targets=targets, options=options, progress=progress
        )
    files = write_audit(result, folder if folder is not None else default_folder(out))
    if as_json:
        print_json(result)
        return
    _print(result)
    for file in files:
        print(file)


def _print(result: Audit) -> None:
    """What a terminal needs to know; the rest is in the report."""
    print(f"{result.path}: {result.n_clips} clips of {result.n_subjects} people")
    for finding in result.findings:
        n = f" ({finding.n})" if finding.n else ""
        print(f"note: {finding.code}{n}: {finding.message}")
    tested = [a for a in result.associations if a.p is not None]
    found = [a for a in tested if a.q is not None and a.q < 1 - result.level]
    print(f"associations: {len(tested)} tested, {len(found)} found at a false discovery rate of 5 %")
    for a in found:
        print(
            f"  {a.outcome_title} goes with {a.attribute_title}: {a.measure} {a.effect.value:.3f}, q {a.q:.3g}"
        )
    moved = [p for p in result.parity if p.p is not None]
    uneven = [p for p in moved if p.q is not None and p.q < 1 - result.level]
    print(
        f"motion and quality: {len(moved)} comparisons, {len(uneven)} differ at a false discovery rate of 5 %"
    )
    for p in uneven:
        gap = f"{p.gap.value:.3g} {p.unit}".strip()
        print(f"  {p.outcome_title} by {p.attribute_title}: {p.lowest} {gap} below {p.highest}, q {p.q:.3g}")
    for model in result.model_audits:
        print(f"{model.file}: {model.n_used} predictions used, {model.n_without} clips without one")
