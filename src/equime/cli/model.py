"""describe: the causal model for people and for papers."""

from __future__ import annotations

from typing import Annotated

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import print_json
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
