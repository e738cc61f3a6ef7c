"""Faces of training pairs: drawn identities, and how a face varies beyond its photograph.

A *variant* of a face has muscles of its own (each AU's field is scaled, turned and shifted over the face), a skin
texture of its own and a resolution. Real muscles differ from a model's, and drawn skin is smooth: without the
former a recogniser learns the model, without the latter optical flow sees nothing move inside of a cheek.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.drawn_face import DrawnFace, default_faces
from equime.drawn_face.portraits import COLUMNS, LICENCE, SOURCE
from equime.errors import WorkError
from equime.face import muscles as m
from equime.face.muscles import displacement_mm
from equime.generation_pipeline.pair_recipe import Recipe
from equime.generation_pipeline.pair_sections import Muscles, Texture
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.renderers.mesh import PreparedMesh
from equime.progress import Progress
from equime.records import aside
from equime.runner import Task, run
from equime.seeding import stream
from equime.types import CROP_PX, Record

F64 = NDArray[np.float64]

DRAWN_PX: Final = 640
"""Side of the drawn portraits; their crop is enlarged where a pair wants a wider face."""
FACTORY: Final = "equime.generation_pipeline.pair_faces:make_drawer"
FACE_PX_OFF: Final = 220.0
"""Width of the face where the recipe's resolution is switched off."""

_STIFF: Final = frozenset(
    au
    for au, parts in m.MUSCLES.items()
    if au in (5, 43, 45) or any(isinstance(part, m.LipBorder | m.Jaw) for part in parts)
)
"""AUs that move along the lids' or lips' own line and would tear it if they were turned: they are only scaled."""
_UNSHIFTED: Final = _STIFF | {
    au for au, parts in m.MUSCLES.items() if any(isinstance(p, m.Lid) for p in parts)
}
_WAVES: Final = 5
_WAVELENGTH_MM: Final = (45.0, 130.0)


# -- drawn identities ------------------------------------------------------------------------------------


class DrawConfig(Record, frozen=True):
    """What a drawing worker needs."""

    folder: str
    size_px: int


def make_drawer(config: DrawConfig) -> Callable[[bytes], None]:
    """The worker: one identity to its portrait."""
    from PIL import Image  # noqa: PLC0415

    def draw(encoded: bytes) -> None:
        face = msgspec.json.decode(encoded, type=DrawnFace)
        picture = face.image(config.size_px, oversample=1.0)
        with aside(Path(config.folder) / f"{face.subject_id}.png") as partial:
            Image.fromarray(picture).save(partial, format="PNG")

    return draw


def draw_faces(
    folder: Path, first: int, last: int, workers: int, progress: Progress, size_px: int = DRAWN_PX
) -> Path:
    """Portraits of the default identities ``first`` to ``last`` (from 0, excluded) and their table, which is returned.

    Portraits that are there already are kept.

    Raises:
        WorkError: a portrait could not be drawn or written.
    """
    chosen = default_faces(last)[first:]
    todo = [face for face in chosen if not (folder / f"{face.subject_id}.png").is_file()]
    progress.start("faces", len(chosen), len(chosen) - len(todo))
    config = DrawConfig(folder=str(folder), size_px=size_px)
    tasks = (Task(key=face.subject_id, payload=msgspec.json.encode(face)) for face in todo)
    for outcome in run(FACTORY, config, tasks, workers=min(workers, len(todo))):
        if outcome.error is not None:
            raise WorkError(f"{outcome.task.key}: cannot be drawn: {outcome.error.message}")
        progress.advance()
    rows = [
        (f"{face.subject_id}.png", face.subject_id, face.gender, f"{face.age:g}", "", LICENCE, SOURCE)
        for face in chosen
    ]
    table = folder / "faces.csv"
    with aside(table) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    return table


# -- variants --------------------------------------------------------------------------------------------


def crop_size(landmarks: NDArray[np.float32], recipe: Recipe, *names: str | int, seed: int) -> int:
    """Side of the crop (even pixels) at which the face has the width that the recipe draws.

    Args:
        landmarks: (478, 3) at `CROP_PX`.
        recipe: its `Resolution`.
        names: of the variant's random stream.
        seed: of the run.
    """
    width = FACE_PX_OFF
    if recipe.resolution.on:
        low, high = np.log(recipe.resolution.face_px)
        width = float(np.exp(stream(seed, *names, "resolution").uniform(low, high)))
    share = float(np.ptp(landmarks[:468, 0])) / CROP_PX
    return 2 * round(width / share / 2)


def textured(face: FaceInput, texture: Texture, *names: str | int, seed: int) -> FaceInput:
    """The face with fine texture and spots painted on its picture."""
    if not texture.on:
        return face
    rng = stream(seed, *names, "texture")
    side = face.image.shape[0]
    sigma = rng.uniform(*texture.size_mm) * face.px_per_mm
    fine, coarse = _blobs(rng, side, sigma), _blobs(rng, side, 2.7 * sigma)
    amount, mix = rng.uniform(*texture.amount), rng.uniform(0.3, 0.9)
    shade = 1.0 + amount * (mix * fine + np.sqrt(1 - mix**2) * coarse)
    _add_spots(shade, face, int(rng.integers(0, texture.spots + 1)), rng)
    image = np.clip(face.image * shade[..., None] + 0.5, 0, 255).astype(np.uint8)
    return FaceInput(face=face.face, image=image, landmarks=face.landmarks, px_per_mm=face.px_per_mm)


def _blobs(rng: np.random.Generator, side: int, sigma_px: float) -> NDArray[np.float32]:
    """Gaussian noise of one blob size, mean 0 and standard deviation 1."""
    noise = rng.standard_normal((side, side), dtype=np.float32)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), max(sigma_px, 0.3)), np.float32)
    out: NDArray[np.float32] = (smooth - smooth.mean()) / smooth.std()
    return out


def _add_spots(shade: NDArray[np.floating], face: FaceInput, n: int, rng: np.random.Generator) -> None:
    low, high = face.landmarks[:468, :2].min(axis=0), face.landmarks[:468, :2].max(axis=0)
    for _ in range(n):
        x, y = rng.uniform(low, high)
        sigma = max(rng.uniform(0.3, 1.0) * face.px_per_mm, 0.6)
        dark, r = rng.uniform(0.05, 0.35), int(np.ceil(3 * sigma))
        x0, y0 = max(int(x) - r, 0), max(int(y) - r, 0)
        box = shade[y0 : int(y) + r + 1, x0 : int(x) + r + 1]
        yy, xx = np.mgrid[y0 : y0 + box.shape[0], x0 : x0 + box.shape[1]]
        box *= 1.0 - dark * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * sigma**2))


class VariedMesh(PreparedMesh):
    """A face whose muscles differ from the model's.

    Args:
        face: as for `PreparedMesh`.
        muscles: how much they differ.
        seed: of the run.
        names: of the variant's random stream.
    """

    def __init__(self, face: FaceInput, muscles: Muscles, seed: int, names: tuple[str | int, ...]) -> None:
        super().__init__(face)
        self._vary, self._seed, self._names = muscles, seed, names
        self._middle_mm = float(self.frame.points[:468, 0].mean())
        if muscles.on:
            depth = stream(seed, *names, "furrows").uniform(*muscles.furrows)
            for relief in self.reliefs:
                relief.relief[:] *= np.float32(depth)

    def field(self, au: int, side: int) -> F64:
        """As `PreparedMesh.field`, varied."""
        if not self._vary.on or au in (43, 45):
            return super().field(au, side)
        key = (au, side)
        if key not in self._fields:
            full = np.zeros_like(self.mesh.xy)
            full[self.mesh.is_skin] = self.frame.to_px(self._varied_mm(au, side))
            self._fields[key] = full * self.mesh.follows_head[:, None]
        return self._fields[key]

    def _varied_mm(self, au: int, side: int) -> F64:
        rng = stream(self._seed, *self._names, "muscle", au)
        scale = rng.uniform(*self._vary.scale)
        shared, *own = np.clip(rng.standard_normal(3), -2, 2) * self._vary.turn_deg * np.array([1, 0.5, 0.5])
        waves = rng.standard_normal((_WAVES, 2)), rng.uniform(0, 2 * np.pi, (_WAVES, 3))
        lengths = rng.uniform(*_WAVELENGTH_MM, _WAVES)
        points = self._skin
        outwards = 1.0 if side == 1 else -1.0
        if au not in _UNSHIFTED:
            xy = points.xy.copy()
            shift = self._vary.warp_mm * _warp((xy - (self._middle_mm, 0)) * (outwards, 1), waves, lengths)
            points = m.SkinPoints(xy + shift * (outwards, 1), points.lip)
        move = scale * displacement_mm(self.frame, points, au, side)
        if au in _STIFF:
            return move
        turn = np.deg2rad(outwards * (shared + own[side]))
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        turned: F64 = move @ rotation
        return turned


def _warp(xy: F64, waves: tuple[F64, F64], lengths: F64) -> F64:
    """A smooth random vector field with unit variance per axis at the points (V, 2), from plane waves."""
    amplitude, angles = waves
    k = 2 * np.pi / lengths[:, None] * np.stack([np.cos(angles[:, 0]), np.sin(angles[:, 0])], axis=1)
    phase = xy @ k.T
    out: F64 = np.stack([np.sin(phase + angles[:, 1 + axis]) @ amplitude[:, axis] for axis in (0, 1)], axis=1)
    out *= np.sqrt(2 / len(lengths))
    return out
