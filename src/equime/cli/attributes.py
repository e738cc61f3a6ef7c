"""attributes: who is in the clips, and what the face does, measured and estimated."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.measured import as_json as measured_json
from equime.cli.measured import exit_code, print_problems
from equime.cli.output import ProgressView, print_json
from equime.errors import InputError

if TYPE_CHECKING:
    from equime.annotation.measurement import Measurement
    from equime.attribute_extraction.labels import LabelImport

SHOWN_GROUPS = 12


@app.command()
def attributes(
    path: o.Measured,
    out: Annotated[
        Path | None, typer.Option("--out", help="DIR for tables; a data set keeps its own.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="default, all, or names such as skin_tone,deepface, comma separated.")
    ] = None,
    workers: o.Workers = None,
    per_frame: Annotated[
        bool, typer.Option("--per-frame/--no-per-frame", help="Table of AU intensities per frame.")
    ] = True,
    fps: o.FolderFps = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Table of annotations (CSV, TSV, Parquet) to take in as a second labeller."),
    ] = None,
    labeller: Annotated[str | None, typer.Option(help="Short name of who gave --labels.")] = None,
    as_json: o.Json = False,
) -> int:
    """Estimate and measure who is in the clips: DeepFace, FairFace, skin tone, pose, AU intensity per frame.

    The same command continues an interrupted run. With --labels nothing is measured. Exit code 1 where clips had
    problems, 3 where what was asked for by name could not run.
    """
    if labels is not None or labeller is not None:
        return _import(path, labels, labeller, as_json)
    from equime.annotation.choice import choose  # noqa: PLC0415
    from equime.annotation.run import Options, measure_set  # noqa: PLC0415
    from equime.annotation.suites import ATTRIBUTES  # noqa: PLC0415

    names = tuple(name.strip() for name in metrics.split(",")) if metrics is not None else None
    choice = choose(names, ATTRIBUTES)
    options = Options(metrics=names, workers=workers, per_frame=per_frame, fps=fps)
    with ProgressView() as progress:
        result = measure_set(path, out, choice, options, progress)
    n_written = _refresh(path) if result.kind == "dataset" else 0
    if as_json:
        print_json(_as_json(result, n_written))
    else:
        _print(result, n_written)
    return exit_code(result)


def _refresh(path: Path) -> int:
    from equime.dataset import Dataset  # noqa: PLC0415
    from equime.generation_pipeline.views import refresh_metadata  # noqa: PLC0415

    return refresh_metadata(Dataset.open(path))


def _import(path: Path, file: Path | None, labeller: str | None, as_json: bool) -> int:
    from equime.attribute_extraction.labels import import_labels  # noqa: PLC0415

    if file is None or labeller is None:
        raise InputError(
            "--labels and --labeller belong together; give the file, and a short name of who labelled"
        )
    found: LabelImport = import_labels(path, file, labeller)
    if as_json:
        print_json(found)
        return 0
    print(f"{found.table}: {', '.join(found.columns)}")
    print(
        f"{found.n_used} of {found.n_rows} rows of {found.file} used, by {found.key}: "
        f"{found.n_clips} clips of {found.n_subjects} people have a label now"
    )
    for note in found.notes:
        print(f"note: {note.code} ({note.n}): {note.message}")
    return 0


def _groups(result: Measurement) -> dict[str, dict[str, int]]:
    """Clips per group, for every column of text with few values."""
    found = {}
    for columns in result.annotators.values():
        for name in columns:
            if result.metrics[name].type != "text":
                continue
            known = result.clips[name].notna()
            counts = Counter(result.clips[name].where(known, "unknown").astype(str).tolist())
            if len(counts) <= SHOWN_GROUPS:
                found[name] = dict(counts.most_common())
    return found


def _as_json(result: Measurement, n_written: int) -> dict[str, Any]:
    notes = Counter(code for _, _, code, _ in result.notes)
    more = {"groups": _groups(result), "notes": dict(notes), "n_metadata_written": n_written}
    return measured_json(result) | more


def _print(result: Measurement, n_written: int) -> None:
    print(
        f"{result.path}: {len(result.clips)} clips, attributes by {', '.join(result.annotators) or 'nothing'}"
    )
    for name, groups in _groups(result).items():
        print(f"  {name}: " + ", ".join(f"{group} {n}" for group, n in groups.items()))
    for (annotator, code), n in sorted(Counter((a, c) for _, a, c, _ in result.notes).items()):
        print(f"note: {annotator}: {code} in {n} clips")
    print_problems(result)
    if n_written:
        print(f"metadata of {n_written} clips written again with what was estimated")
