"""The worker of training pairs: renders blocks of pairs of one variant of a face, and stores them whole."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.generation_pipeline.faces import load_face
from equime.generation_pipeline.pair_crop import face_crop, with_margin
from equime.generation_pipeline.pair_degrade import encode, photograph
from equime.generation_pipeline.pair_faces import VariedMesh, crop_size, textured
from equime.generation_pipeline.pair_plan import plan_pair
from equime.generation_pipeline.pair_recipe import Recipe
from equime.locks import HIDDEN
from equime.records import disk_guard, sync_folder
from equime.seeding import stream
from equime.types import Face, Record

FACTORY: Final = "equime.generation_pipeline.pair_render:make_pair_maker"
PAIRS: Final = "pairs"


class Seat(Record, frozen=True):
    """A face and where its files are.

    Attributes:
        face: the record.
        source: folder, image or table that the face came from.
        root: folder that holds its landmarks.
    """

    face: Face
    source: str
    root: str


class PairConfig(Record, frozen=True):
    """What a worker needs."""

    out: str
    seed: int
    recipe: Recipe


class Block(NamedTuple):
    """Pairs of one variant of one face."""

    seat: bytes
    variant: int
    numbers: tuple[int, ...]


def pair_name(number: int) -> str:
    """Name of a pair's folder."""
    return f"pair_{number:06d}"


def is_complete(out: Path, number: int) -> bool:
    """Whether a pair lies in its folder, whole."""
    folder = out / PAIRS / pair_name(number)
    try:
        return all((folder / name).stat().st_size > 0 for name in ("1.jpg", "2.jpg"))
    except OSError:
        return False


def make_pair_maker(config: PairConfig) -> Callable[[Block], dict[int, str]]:
    """The worker: renders a block, and returns the pairs that failed with the reason."""
    out = Path(config.out)

    def make(block: Block) -> dict[int, str]:
        seat = msgspec.json.decode(block.seat, type=Seat)
        prepared = prepare(seat, block.variant, config)
        lost = {}
        for number in block.numbers:
            try:
                frames = render_pair(prepared, config.recipe, config.seed, number)
            except (ValueError, ArithmeticError, IndexError) as error:
                lost[number] = f"{type(error).__name__}: {error}"
                continue
            _store(out, number, frames, config.recipe.jpeg_quality)
        return lost

    return make


def prepare(seat: Seat, variant: int, config: PairConfig) -> VariedMesh:
    """A variant of a face, ready to be moved."""
    names = ("variant", seat.face.subject_id, variant)
    root = Path(seat.root)
    landmarks = np.load(root / seat.face.landmarks)
    side = crop_size(landmarks, config.recipe, *names, seed=config.seed)
    face = load_face(seat.face, Path(seat.source), root, side)
    face = textured(face, config.recipe.texture, *names, seed=config.seed)
    return VariedMesh(face, config.recipe.muscles, config.seed, names)


def render_pair(prepared: VariedMesh, recipe: Recipe, seed: int, number: int) -> NDArray[np.uint8]:
    """Onset and apex frame of a pair, uint8 (2, H, W) grey, cut as the recipe says."""
    plan = plan_pair(recipe, seed, number)
    luma = prepared.luma_at(plan.track(), (0, 1))
    streams = functools.partial(stream, seed, "pair", number)
    if recipe.crop.on:
        cut = face_crop(luma, prepared.landmarks, recipe.crop, streams("crop"))
    else:
        cut = with_margin(luma, prepared.landmarks, recipe.margin)
    return photograph(cut, recipe, streams)


def _store(out: Path, number: int, frames: NDArray[np.uint8], quality: int) -> None:
    """Write a pair aside and give it its name when both files are on the disk."""
    name = pair_name(number)
    aside, final = out / HIDDEN / PAIRS / f"{name}.{os.getpid()}", out / PAIRS / name
    with disk_guard(final):
        aside.mkdir(parents=True, exist_ok=True)
        final.parent.mkdir(exist_ok=True)
        for file, frame in zip(("1.jpg", "2.jpg"), frames, strict=True):
            with (aside / file).open("wb") as handle:
                handle.write(encode(frame, quality))
                handle.flush()
                os.fsync(handle.fileno())
        if final.exists():  # incomplete, else it would not be made again
            shutil.rmtree(final)
        aside.replace(final)
        sync_folder(final.parent)
