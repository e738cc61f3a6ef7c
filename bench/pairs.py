"""Training pairs per second and core, and where the time goes.

    python bench/pairs.py [--face-px 118] [--pairs 60] [--repeats 3]

One process renders pairs of one drawn face in memory: the variant (crop, mesh, textures, muscles) once per
``pairs_per_variant`` pairs, then the two frames, the camera and both JPEG files of each. Times are medians over the
repeats, shares of one run; compare them within one run only. A face 118 px wide is a 256 px crop.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from equime.generation_pipeline.faces import ingest_image
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.pair_crop import face_crop
from equime.generation_pipeline.pair_degrade import encode, photograph
from equime.generation_pipeline.pair_faces import draw_faces
from equime.generation_pipeline.pair_plan import plan_pair
from equime.generation_pipeline.pair_recipe import Recipe, load_recipe
from equime.generation_pipeline.pair_render import PairConfig, Seat, prepare
from equime.generation_pipeline.sources import find_faces
from equime.progress import Silent
from equime.seeding import stream
from equime.types import Rejection

STEPS = ("variant", "frames", "camera", "files")


def seat_of(folder: Path) -> Seat:
    """One drawn face, ingested."""
    table = draw_faces(folder, 0, 1, 0, Silent())
    found, _ = find_faces(table)
    result = ingest_image(found[0], Gates())
    assert not isinstance(result, Rejection), result
    face, points = result
    (folder / face.landmarks).parent.mkdir(parents=True, exist_ok=True)
    np.save(folder / face.landmarks, points)
    return Seat(face=face, source=str(table), root=str(folder))


def measure(seat: Seat, recipe: Recipe, n: int, first_variant: int) -> dict[str, float]:
    """Seconds of CPU per step for ``n`` pairs."""
    spent = dict.fromkeys(STEPS, 0.0)
    config = PairConfig(out="", seed=1, recipe=recipe)
    last = time.process_time()

    def done(step: str) -> None:
        nonlocal last
        now = time.process_time()
        spent[step] += now - last
        last = now

    prepared = None
    for i in range(n):
        if prepared is None or i % recipe.pairs_per_variant == 0:
            prepared = prepare(seat, first_variant + i // recipe.pairs_per_variant, config)
            done("variant")
        luma = prepared.luma_at(plan_pair(recipe, 1, i).track(), (0, 1))
        done("frames")
        cut = face_crop(luma, prepared.landmarks, recipe.crop, stream(1, "pair", i, "crop"))
        pictures = photograph(cut, recipe, functools.partial(stream, 1, "pair", i))
        done("camera")
        for picture in pictures:
            encode(picture, recipe.jpeg_quality)
        done("files")
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--face-px", type=float, default=118.0)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    fixed = load_recipe("megc", [f"resolution.face_px=[{given.face_px}, {given.face_px}]"])
    with tempfile.TemporaryDirectory() as folder:
        seat = seat_of(Path(folder))
        for name, recipe in (
            (f"face {given.face_px:g} px wide", fixed),
            ("recipe megc", load_recipe("megc")),
        ):
            measure(seat, recipe, 2, 0)  # compiles
            runs = [measure(seat, recipe, given.pairs, 1 + 100 * r) for r in range(given.repeats)]
            median = {step: statistics.median(run[step] for run in runs) / given.pairs for step in STEPS}
            total = sum(median.values())
            parts = ", ".join(f"{step} {1000 * s:.1f} ms" for step, s in median.items())
            print(f"{name}: {1 / total:.0f} pairs/s and core ({parts})")


if __name__ == "__main__":
    main()
