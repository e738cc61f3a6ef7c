"""pairs: training pairs (onset and apex) with domain randomisation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import ProgressView, print_json

if TYPE_CHECKING:
    from equime.generation_pipeline.pairs import PairsReport


@app.command()
def pairs(
    faces: Annotated[
        str, typer.Argument(help="Folder of images, image, table, or drawn:60 for drawn identities.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder of the set of coded clips.")],
    n: Annotated[int, typer.Option("--n", help="Pairs in total; a later run may ask for more.")] = 3000,
    recipe: Annotated[str, typer.Option(help="megc, mild, plain, or a TOML file.")] = "megc",
    seed: o.Seed = 0,
    workers: o.Workers = None,
    drawn: Annotated[
        str | None, typer.Option(help="Drawn identities beside FACES: drawn:40 or drawn:60-90.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Switch a section of the recipe off (head, texture, ...); repeatable."),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="One value of the recipe: intensity.fraction=[0.1,0.4]; repeatable."),
    ] = None,
    as_json: o.Json = False,
) -> int:
    """Render onset-apex pairs of synthetic micro-expressions for training recognisers, as a set of coded clips.

    The same command continues an interrupted run. Exit code 1 where pairs could not be made.
    """
    from equime.errors import InputError  # noqa: PLC0415
    from equime.generation_pipeline.pair_recipe import SECTIONS, load_recipe  # noqa: PLC0415
    from equime.generation_pipeline.pairs import make_pairs  # noqa: PLC0415

    unknown = sorted(set(without or ()) - set(SECTIONS))
    if unknown:
        raise InputError(f"--without {', '.join(unknown)}: not a section; use any of {', '.join(SECTIONS)}")
    changes = [f"{name}.on=false" for name in without or ()] + list(change or ())
    chosen = load_recipe(recipe, changes)
    with ProgressView() as progress:
        report = make_pairs(
            faces, out, n=n, recipe=chosen, seed=seed, workers=workers, drawn=drawn, progress=progress
        )
    if as_json:
        print_json(_as_json(report, out))
    else:
        _print(report, out)
    return 1 if report.data.info.findings else 0


def _as_json(report: PairsReport, out: Path) -> dict[str, Any]:
    return {
        "out": str(out),
        "n_pairs": len(report.data.clips),
        "n_made": report.n_made,
        "n_before": report.n_before,
        "n_faces": report.n_faces,
        "labels": dict(sorted(Counter(clip.label for clip in report.data.clips).items(), key=str)),
        "findings": report.data.info.findings,
    }


def _print(report: PairsReport, out: Path) -> None:
    values = _as_json(report, out)
    labels = ", ".join(f"{label} {n}" for label, n in values["labels"].items())
    print(
        f"{out}: {values['n_pairs']} pairs of {report.n_faces} faces ({labels}); {report.n_made} made now, "
        f"{report.n_before} before"
    )
    for finding in report.data.info.findings:
        print(f"lost: {finding.n} pairs: {finding.message}")
