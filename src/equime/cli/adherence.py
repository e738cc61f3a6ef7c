"""adherence: which clips show what their specs intended, and for whom the gate says no."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.measured import as_json as measured_json
from equime.cli.measured import exit_code, print_problems
from equime.cli.output import ProgressView, print_json
from equime.cli.rates import print_rates
from equime.errors import InputError

if TYPE_CHECKING:
    from equime.annotation.measurement import Measurement
    from equime.generation_pipeline.adherence_rates import Rate

SHOWN_REJECTED = 10


@app.command()
def adherence(
    dataset: Annotated[Path, typer.Argument(help="Folder of a data set of equime.")],
    workers: o.Workers = None,
    as_json: o.Json = False,
) -> int:
    """Judge clips against their specs: do they show what was intended, on a face that stays the same?

    Writes tables/adherence.parquet of the data set; the same command continues an interrupted run. Nothing is
    deleted. Exit code 1 where clips could not be judged; a rejected clip is no error.
    """
    from equime.annotation.choice import Choice  # noqa: PLC0415
    from equime.annotation.run import Options, is_dataset, measure_set  # noqa: PLC0415
    from equime.clip_sources import find_clips  # noqa: PLC0415
    from equime.generation_pipeline.adherence_rates import acceptance  # noqa: PLC0415
    from equime.generation_pipeline.adherence_table import AdherenceGate, judged_clips  # noqa: PLC0415

    if not is_dataset(dataset):
        raise InputError(
            f"{dataset}: no equime data set (dataset.json is missing); the gate needs the specs of the clips"
        )
    if not (sources := find_clips(dataset)[0]):
        raise InputError(f"{dataset}: has no finished clip; run `equime generate` first")
    with ProgressView() as progress:
        choice = Choice((AdherenceGate(),), (), ())
        result = measure_set(dataset, None, choice, Options(workers=workers), progress)
    rows = _rows(result)
    rates = acceptance(judged_clips(rows, sources))
    table = dataset / "tables" / "adherence.parquet"
    if as_json:
        rejected = {row["file"]: row["adherence_reason"] for row in rows if row["adheres"] is False}
        print_json(measured_json(result) | {"acceptance": rates, "rejected": rejected, "table": str(table)})
    else:
        _print(result, rates)
        _print_rejected([(row["file"], row["adherence_message"]) for row in rows if row["adheres"] is False])
        print_problems(result)
        print(table)
    return exit_code(result)


def _rows(result: Measurement) -> list[dict[str, Any]]:
    """Clips with their cells, None where there is no value."""
    plain = result.clips.astype(object).where(result.clips.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def _print(result: Measurement, rates: list[Rate]) -> None:
    from equime.generation_pipeline.adherence_rates import acceptance, judged_attempts  # noqa: PLC0415

    if not rates:
        print(f"{result.path}: no clip could be judged")
        return
    total = rates[0]
    print(
        f"{result.path}: {total.n_accepted} of {total.n} clips accepted, {total.n - total.n_accepted} rejected"
    )
    for reason, n in total.reasons.items():
        print(f"  {n:>6}  {reason}")
    print_rates(rates, "accepted")
    print_rates(acceptance(judged_attempts(Path(result.path))), "accepted of all attempts at generating them")


def _print_rejected(rejected: list[tuple[str, str]]) -> None:
    for file, message in rejected[:SHOWN_REJECTED]:
        print(f"rejected: {file}: {message}")
    if len(rejected) > SHOWN_REJECTED:
        print(f"and {len(rejected) - SHOWN_REJECTED} more in the table")
