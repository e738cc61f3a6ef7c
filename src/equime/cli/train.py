"""train and score: keep a recogniser trained on data of one's own; test one that is trained already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import print_json
from equime.errors import InputError

Data = Annotated[
    list[str],
    typer.Option(
        "--data", help="Data set, coded clips, corpus or flow folders; repeatable.", show_default=False
    ),
]
Cache = Annotated[Path | None, typer.Option(help="Folder that keeps features; default: in OUT.")]


@app.command()
def train(
    training: Annotated[str, typer.Argument(help="Name of a shipped training, or a TOML file.")],
    out: Annotated[Path, typer.Argument(help="Folder; the recogniser gets a folder of its own there.")],
    data: Data,
    workers: o.Workers = None,
    cache: Cache = None,
    as_json: o.Json = False,
) -> None:
    """Train a recogniser on all of the data and keep it: weights, card, what `equime predict --model` reads.

    It says nothing of how good it is; that is what `equime benchmark` and `equime score` are for.
    """
    from equime.baselines.keeping import load_training, train_to_keep  # noqa: PLC0415
    from equime.cli.coded_data import open_data  # noqa: PLC0415

    chosen = load_training(training)
    sets = [open_data(path) for path in data]
    card, findings = train_to_keep(chosen, sets, out, cache=cache, workers=workers)
    if as_json:
        print_json({"folder": str(out / card.name), "card": card, "findings": findings})
        return
    for finding in findings:
        print(f"note: {finding.code}{f' ({finding.n})' if finding.n else ''}: {finding.message}")
    print(f"{out / card.name}: {card.training}")
    print(f"use it with: equime predict VIDEO --model {out / card.name}")


@app.command()
def score(
    recogniser: Annotated[str, typer.Argument(help="Name of a shipped recogniser, or the folder of one.")],
    out: Annotated[Path, typer.Argument(help="Folder of the results.")],
    data: Data,
    crop: Annotated[
        str | None,
        typer.Option(
            help="How faces are cut out, where it is not as in training: eyes, tight, face, aligned, none."
        ),
    ] = None,
    note: Annotated[
        str | None,
        typer.Option(
            "--note", help="Also write the figures into the recogniser's card, under this name of the data."
        ),
    ] = None,
    workers: o.Workers = None,
    cache: Cache = None,
    as_json: o.Json = False,
) -> None:
    """Test a trained recogniser on clips that are coded: UF1 and UAR, in all and per corpus. Needs no torch.

    Everything is tested, nothing is trained: with the recognisers that ship this is "synthetic to real".
    """
    from equime.baselines.results_report import MARKDOWN, TITLES, findings_of, with_interval  # noqa: PLC0415
    from equime.baselines.scoring import figures_of  # noqa: PLC0415
    from equime.baselines.scoring import score as run_score  # noqa: PLC0415
    from equime.baselines.shipped import add_figures, load_shipped  # noqa: PLC0415
    from equime.cli.coded_data import open_data  # noqa: PLC0415

    chosen = load_shipped(recogniser)
    if note is not None and not Path(recogniser).is_dir():
        raise InputError(f"--note writes into a card; give the folder of {recogniser}, not its name")
    sets = [open_data(path) for path in data]
    features = {} if crop is None else {"crop": crop}
    results = run_score(sets, chosen, out, features=dict(features), cache=cache, workers=workers)
    if note is not None:
        add_figures(Path(recogniser), figures_of(results, note))
    if as_json:
        print_json(results)
        return
    print(f"{chosen.card.name}: {chosen.card.training}")
    for finding in findings_of(results):
        print(f"note: {finding.code}{f' ({finding.n})' if finding.n else ''}: {finding.message}")
    for part in results.models[0].parts:
        figures = ", ".join(f"{TITLES[key]} {with_interval(value)}" for key, value in part.scores.items())
        print(f"{part.name}: {part.n} clips of {part.n_subjects} people: {figures}")
    print(out / MARKDOWN)
