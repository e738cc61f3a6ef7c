"""predict: where clips move, what the movement resembles, which Action Units it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import print_json

if TYPE_CHECKING:
    from equime.baselines.predict import Prediction
    from equime.baselines.shipped import Shipped


@app.command()
def predict(
    video: Annotated[
        list[Path] | None, typer.Argument(help="Videos, frame folders, folders of either, data sets.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write a table (.csv) or one object per line (.jsonl).")
    ] = None,
    onset: Annotated[
        int | None, typer.Option(help="Onset frame (with --apex); without, onset and apex are measured.")
    ] = None,
    apex: Annotated[int | None, typer.Option(help="Apex frame (with --onset).")] = None,
    fps: o.FolderFps = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Recogniser by name, or the folder of one; repeatable, one per head."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Show the recognisers that ship, and end.")] = False,
    as_json: o.Json = False,
) -> int:
    """Recognise micro-expressions in clips: class, Action Units, onset, apex and offset. Needs no torch.

    Frames are numbered as their files in a folder, from 0 in a video. Exit code 1 where clips could not be read.
    """
    from equime.baselines.predict import check_moments, choose_recognisers, predict_paths  # noqa: PLC0415
    from equime.baselines.predict_table import as_record, write_predictions  # noqa: PLC0415
    from equime.errors import InputError  # noqa: PLC0415

    if show:
        return _list(as_json)
    if not video:
        raise InputError("nothing to predict: give one or more videos or frame folders")
    check_moments(onset, apex)
    recognisers = choose_recognisers(model or ())
    found = []
    for prediction in predict_paths(video, recognisers, fps=fps, onset=onset, apex=apex):
        found.append(prediction)
        if not as_json:
            _print(prediction)
    if out is not None:
        write_predictions(found, out)
    if as_json:
        print_json(
            {
                "recognisers": [_about(shipped) for shipped in recognisers],
                "clips": [as_record(prediction) for prediction in found],
            }
        )
    else:
        _print_origin(recognisers)
    return 1 if any(prediction.problem for prediction in found) else 0


def _about(shipped: Shipped) -> dict[str, Any]:
    card = shipped.card
    return {
        "name": card.name,
        "model": card.model,
        "head": card.head,
        "synthetic": card.synthetic,
        "training": card.training,
        "figures": card.figures,
        "sha256": card.sha256,
    }


def _list(as_json: bool) -> int:
    from equime.baselines.shipped import list_shipped, usable  # noqa: PLC0415

    cards = list_shipped()
    if as_json:
        print_json(cards)
        return 0
    for card in cards:
        figures = ", ".join(f"{name} {value:.3f}" for name, value in card.figures.items())
        reason = usable(card)
        print(
            f"{card.name}: {card.model}, {card.head}; {card.training}"
            + (f"; {figures}" if figures else "")
            + (f"; not usable here: {reason}" if reason else "")
        )
    if not cards:
        print("no recogniser ships with this installation; give one with --model FOLDER")
    return 0


def _print(found: Prediction) -> None:
    if found.problem is not None:
        print(f"{found.file}: no prediction: {found.problem[0]}: {found.problem[1]}")
        return
    print(f"{found.file}: {_headline(found)}")
    if found.aus:
        present = ", ".join(f"{au} ({found.aus[au]:.2f})" for au in found.present) or "none"
        print(f"  AUs: {present}; all: {' '.join(f'{au}:{p:.2f}' for au, p in found.aus.items())}")
    if found.moments is not None:
        m = found.moments
        parts = [
            f"{name} frame {frame} ({ms:.0f} ms)"
            for name, frame, ms in (
                ("onset", m.onset, m.onset_ms),
                ("apex", m.apex, m.apex_ms),
                ("offset", m.offset, m.offset_ms),
            )
            if frame is not None and ms is not None
        ]
        size = "" if m.movement_mm is None else f", {m.movement_mm:.1f} mm"
        print(f"  {', '.join(parts)}, {'measured' if m.spotted else 'given'}{size}")
    for note in found.notes if found.moments is not None else ():
        print(f"  note: {note}")


def _headline(found: Prediction) -> str:
    if found.moments is None:
        return "; ".join(found.notes)
    if found.label is None:
        return "a movement"
    chances = ", ".join(f"{name} {p:.2f}" for name, p in found.probabilities.items())
    return f"{found.label} ({chances})"


def _print_origin(recognisers: Sequence[Shipped]) -> None:
    from equime.baselines.shipped import SYNTHETIC  # noqa: PLC0415

    for shipped in recognisers:
        card = shipped.card
        print(
            f"{card.name}: {SYNTHETIC if card.synthetic else card.training}; see card.md for what it reaches"
        )
