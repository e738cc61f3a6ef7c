"""describe: the causal model for people and for papers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import ProgressView, print_json
from equime.errors import InputError


@app.command()
def describe(
    form: Annotated[str, typer.Option("--format", help="json, mermaid or dot.")] = "json",
    priors: o.PriorsFile = None,
    p_felt: o.PFelt = None,
) -> None:
    """The causal model: nodes, parents, mechanisms, priors."""
    from equime.generation_pipeline.settings import make_model  # noqa: PLC0415

    model = make_model(None if priors is None else str(priors), p_felt or 0.0)
    if form == "json":
        print_json(model.describe())
    elif form in ("mermaid", "dot"):
        print((model.to_mermaid() if form == "mermaid" else model.to_dot()).rstrip("\n"))
    else:
        raise InputError(f"format {form!r} not known; use json, mermaid or dot")


@app.command("au-table")
def au_table(
    faces: Annotated[Path | None, typer.Argument(help="Faces; default: the drawn faces of equime.")] = None,
    letter: Annotated[str, typer.Option(help="FACS intensity at the apex, A to E.")] = "C",
    fps: Annotated[float, typer.Option(help="Frames per second of the clips.")] = 24.0,
    size: Annotated[int, typer.Option(help="Side of the clips in pixels, even.")] = 512,
    as_json: o.Json = False,
) -> None:
    """Does the face in the file do what was commanded? Every AU, measured again from the decoded video."""
    from equime.generation_pipeline.au_check import table  # noqa: PLC0415
    from equime.generation_pipeline.au_table import measure_faces  # noqa: PLC0415

    with ProgressView() as progress:
        results = measure_faces(faces, letter=letter, fps=fps, size_px=size, progress=progress)
    if as_json:
        print_json({"results": results})
    else:
        print(table(results))
