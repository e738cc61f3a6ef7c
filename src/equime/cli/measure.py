"""au-table: what of the commanded movement the decoded files show."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import ProgressView, print_json
from equime.errors import InputError

if TYPE_CHECKING:
    from equime.generation_pipeline.renderers import FaceInput


@app.command("au-table")
def au_table(
    faces: Annotated[
        Path | None, typer.Argument(help="Faces as for generate; default: the demo's faces.")
    ] = None,
    letter: Annotated[str, typer.Option(help="FACS intensity at apex, A to E.")] = "C",
    fps: Annotated[float, typer.Option(help="Frames per second of the measured clips.")] = 24.0,
    aus: Annotated[str | None, typer.Option(help="FACS numbers, comma separated; default all.")] = None,
    as_json: o.Json = False,
) -> None:
    """Measure every Action Unit again from decoded clips: direction, size, timing, by two instruments."""
    from equime.action_units import ACTION_UNITS, get  # noqa: PLC0415
    from equime.generation_pipeline import au_check  # noqa: PLC0415

    numbers = [get(_number(text)).number for text in aus.split(",")] if aus else list(ACTION_UNITS)
    view, results = ProgressView(), []
    with tempfile.TemporaryDirectory() as folder:
        found = _faces(faces, Path(folder))
        with view:
            view.start("faces", len(found), 0)
            for name, face in found:
                results += au_check.check_face(face, name, aus=numbers, letter=letter, fps=fps)
                view.advance()
    if as_json:
        print_json(results)
    else:
        print(au_check.table(results))


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"AU {text!r} is no FACS number; expected for example --aus 1,4,12") from None


def _faces(faces: Path | None, folder: Path) -> list[tuple[str, FaceInput]]:
    import numpy as np  # noqa: PLC0415
    from msgspec.structs import replace  # noqa: PLC0415

    from equime.generation_pipeline.demo import RELAXED, demo_faces  # noqa: PLC0415
    from equime.generation_pipeline.faces import ingest_image, load_face  # noqa: PLC0415
    from equime.generation_pipeline.gates import Gates  # noqa: PLC0415
    from equime.generation_pipeline.sources import find_faces  # noqa: PLC0415
    from equime.types import CROP_PX, Rejection  # noqa: PLC0415

    table = faces or demo_faces(folder / "source")
    gates = replace(Gates(), **RELAXED) if faces is None else Gates()
    (folder / "faces").mkdir(parents=True, exist_ok=True)
    out = []
    for item in find_faces(table)[0]:
        seen = ingest_image(item, gates)
        if isinstance(seen, Rejection):
            continue
        face, landmarks = seen
        np.save(folder / face.landmarks, landmarks)
        out.append((face.subject_id, load_face(face, table, folder, CROP_PX)))
    if not out:
        raise InputError(
            f"{table}: no image passes the gates; see `equime generate`, which names the reasons"
        )
    return out
