"""export-finetune: clips as training data of an image-to-video generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import ProgressView, print_json, warn

if TYPE_CHECKING:
    from equime.generation_pipeline.finetune_export import Export


@app.command("export-finetune")
def export_finetune_(
    dataset: Annotated[Path, typer.Argument(help="An equime data set.")],
    out: Annotated[Path, typer.Argument(help="New or empty folder for the training data.")],
    layout: Annotated[str, typer.Option(help="ltx (LTX-Video and LTX-2 trainers) or finetrainers.")],
    captions: Annotated[
        str, typer.Option(help="plain, short, facs, paraphrase, or trigger (the trigger word alone).")
    ] = "plain",
    trigger: Annotated[str, typer.Option(help="Word before every caption that calls the LoRA up.")] = "",
    validation: Annotated[
        float, typer.Option(help="Share of the people kept out of training; 0 for none.")
    ] = 0.1,
    frames: Annotated[
        int | None, typer.Option(help="Frames that training sees, 8k + 1; default: the most there are.")
    ] = None,
    seed: o.Seed = 0,
    include_failed: Annotated[
        bool, typer.Option("--include-failed", help="Also clips that failed the quality gate.")
    ] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the videos, never link them.")] = False,
    workers: Annotated[int | None, typer.Option(help="Threads; default: one per processor.")] = None,
    as_json: o.Json = False,
) -> None:
    """Write (first frame, caption, clip) as LTX-Video's trainer or finetrainers reads it, with configuration files.

    The same command again finds the export complete and does nothing.
    """
    from equime.generation_pipeline.finetune_export import export_finetune  # noqa: PLC0415
    from equime.generation_pipeline.finetune_export_plan import Request  # noqa: PLC0415

    request = Request(
        layout=layout,  # type: ignore[arg-type]  # Request says what is allowed
        captions=captions,  # type: ignore[arg-type]
        trigger=trigger,
        validation=validation,
        seed=seed,
        frames=frames,
        include_failed=include_failed,
        copy=copy,
    )
    with ProgressView() as progress:
        export = export_finetune(dataset, out, request, workers=workers, progress=progress)
    if as_json:
        print_json(_as_json(export))
    else:
        _print(export, out)


def _as_json(export: Export) -> dict[str, Any]:
    manifest = export.manifest
    return {
        "out": manifest.out,
        "already": export.already,
        "layout": manifest.request.layout,
        "bucket": manifest.bucket.name,
        "n_clips": manifest.n_clips,
        "n_people": {split: len(people) for split, people in manifest.people.items()},
        "made": manifest.made,
        "left_out": manifest.left_out,
        "licences": manifest.licences,
        "findings": manifest.findings,
        "configs": export.configs,
    }


def _print(export: Export, out: Path) -> None:
    values = _as_json(export)
    n_clips, n_people = values["n_clips"], values["n_people"]
    made = ", ".join(f"{how} {n}" for how, n in values["made"].items())
    print(
        f"{out}: {n_clips['train']} clips of {n_people['train']} people to train on, {n_clips['validation']} of "
        f"{n_people['validation']} to validate; bucket {values['bucket']}; videos: {made}"
        + ("; it was there already" if export.already else "")
    )
    if values["left_out"]:
        print(f"left out: {len(values['left_out'])} clips whose movement is not over by the last frame")
    print("licences: " + ", ".join(f"{name} {n}" for name, n in values["licences"].items()))
    print(f"how to train: {out / 'README.md'}; configuration: {', '.join(values['configs'])}")
    for text in values["findings"]:
        warn(f"note: {text}")
