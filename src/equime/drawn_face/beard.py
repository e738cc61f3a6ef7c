"""Stubble, beards and moustaches."""

from __future__ import annotations

import numpy as np

from equime.drawn_face.canvas import Array, Canvas, Points, mix, smoothstep
from equime.drawn_face.hair import brow_colour, draw_dots
from equime.drawn_face.person import Person
from equime.drawn_face.shape import Shape
from equime.drawn_face.skin import beard_zone
from equime.drawn_face.strokes import bezier, draw_strands
from equime.seeding import stream


def paint_beard(canvas: Canvas, person: Person, shape: Shape, image: Array, light: Array) -> Array:
    """Stubble as dots, a beard as short strands, by the beard's zone."""
    if person.beard == "none":
        return image
    rng = stream(person.seed, "drawn_face", "beard")
    zone = beard_zone(canvas, shape)
    mouth = shape.points[13, 1]
    if person.beard == "moustache":
        x, y = canvas.grid_mm()
        half = abs(shape.points[291, 0] - shape.points[61, 0]) / 2
        zone = zone * smoothstep(y, mouth + 5, mouth + 1) * smoothstep(np.abs(x), half + 9, half + 4)
    n = 30000
    roots = np.column_stack([rng.uniform(-74, 74, n), rng.uniform(-4, shape.points[152, 1] + 4, n)])
    px = np.clip(np.round(canvas.to_px(roots)).astype(int), 0, canvas.side_px - 1)
    stubble = person.beard == "stubble"
    roots = roots[zone[px[:, 1], px[:, 0]] * (0.55 if stubble else 1.0) > rng.random(n)]
    if stubble:
        return draw_dots(canvas, person, rng, image, roots, (0.4, 1.1))
    px = np.clip(np.round(canvas.to_px(roots)).astype(int), 0, canvas.side_px - 1)
    level = np.mean(light, axis=-1)
    out = mix(image, brow_colour(person) * (0.85 * level)[..., None], zone * 0.62)
    return _strands(canvas, person, rng, out, roots, mouth, level[px[:, 1], px[:, 0]])


def _strands(
    canvas: Canvas,
    person: Person,
    rng: np.random.Generator,
    image: Array,
    roots: Points,
    mouth_y: float,
    light: Points,
) -> Array:
    """Hairs that part under the nose and hang from cheek and chin."""
    n = len(roots)
    side = np.clip(roots[:, 0] / 20, -1, 1)
    lip = (roots[:, 1] < mouth_y - 1) & (np.abs(roots[:, 0]) < 28)
    angle = np.pi / 2 - np.where(lip, 0.9 * side, 0.22 * side) + rng.normal(0, 0.28, n)
    length = np.where(lip, 3.2, 5.0) * rng.uniform(0.5, 1.2, n)
    d = np.column_stack([np.cos(angle), np.sin(angle)]) * length[:, None]
    bend = np.column_stack([-d[:, 1], d[:, 0]]) * rng.normal(0, 0.16, (n, 1))
    paths = bezier(roots, roots + d * 0.5, roots + d + bend, 5)
    colours = brow_colour(person) * rng.uniform(0.35, 1.5, (n, 1)) + 0.016 * rng.random((n, 1)) ** 2
    colours = colours * (0.15 + 0.95 * light)[:, None]
    return draw_strands(canvas, image, paths, rng.uniform(0.15, 0.28, n), colours, 0.75)[0]
