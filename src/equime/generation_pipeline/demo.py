"""A small data set from faces that come with the software."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import msgspec

from equime import drawn_face
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.pipeline import RunReport, check_out, run_generate
from equime.generation_pipeline.settings import make_settings
from equime.locks import HIDDEN
from equime.progress import Progress
from equime.records import aside, disk_guard

N_DRAWN: Final = 4
PHOTOGRAPH: Final = "astronaut"
PHOTOGRAPH_LICENCE: Final = "public domain (NASA), shipped with scikit-image"

RELAXED: Final[dict[str, float]] = {"max_smile": 1.0, "max_mouth_open": 0.5, "min_sharpness": 10.0}
"""Gates that the photograph needs: it smiles, and its face is 92 x 106 px."""


def run_demo(
    out: Path,
    *,
    clips: int,
    seed: int,
    workers: int | None,
    size_px: int | None,
    renderer: str,
    progress: Progress,
) -> tuple[RunReport, Path]:
    """Faces in ``OUT/source``, clips in OUT, and a contact sheet. Raises as `pipeline.generate`."""
    check_out(None, out)
    with disk_guard(out):
        (out / HIDDEN).mkdir(parents=True, exist_ok=True)
    progress.note(
        "demo faces: drawn ones, and the astronaut photograph of scikit-image. It smiles and is small, so the "
        f"demo relaxes the gates ({', '.join(f'{k} = {v:g}' for k, v in RELAXED.items())}); "
        "`equime generate` would turn it away"
    )
    table = demo_faces(out / "source")
    settings = make_settings(
        table,
        clips=clips,
        seed=seed,
        size_px=size_px,
        renderer=renderer,
        gates=msgspec.structs.replace(Gates(), **RELAXED),
    )
    report = run_generate(settings, out, workers=workers, progress=progress)
    return report, _sheet(out)


def demo_faces(folder: Path) -> Path:
    """Write the demo's portraits and their table; what is there already is kept. Returns the table."""
    from PIL import Image  # noqa: PLC0415
    from skimage.data import astronaut  # noqa: PLC0415

    table = folder / "faces.csv"
    if table.is_file() and (folder / f"{PHOTOGRAPH}.png").is_file():
        return table
    with disk_guard(folder):
        drawn = drawn_face.save_default_faces(folder, N_DRAWN)
        with drawn.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        with aside(folder / f"{PHOTOGRAPH}.png") as partial:
            Image.fromarray(astronaut()).save(partial, format="PNG")  # type: ignore[no-untyped-call]
        photograph = (f"{PHOTOGRAPH}.png", PHOTOGRAPH, "f", "", "", PHOTOGRAPH_LICENCE, "scikit-image")
        with aside(table) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([rows[0], photograph, *rows[1:]])
    return table


def _sheet(out: Path) -> Path:
    from equime.preview import contact_sheet  # noqa: PLC0415

    path = out / "reports" / "preview.png"
    contact_sheet(out, path)
    return path
