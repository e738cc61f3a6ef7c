"""A headscarf."""

# ruff: noqa: RUF005 - `points + [dx, dy]` shifts an array, it joins no lists.
from __future__ import annotations

import numpy as np

from equime.drawn_face.canvas import Array, Canvas, hex_linear, mix, smoothstep, spline
from equime.drawn_face.person import Person
from equime.drawn_face.shape import Shape
from equime.seeding import stream


def paint_headscarf(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Cloth around the face, down over neck and shoulders, with folds."""
    rng = stream(person.seed, "drawn_face", "hair", "scarf")
    w, h = float(shape.skull[:, 0].max() / 74.0), shape.hairline_y
    chin = shape.points[152, 1]
    hole_r = [
        (0, h + 4),
        (30 * w, h + 9),
        (52 * w, h + 28),
        (62 * w, -10),
        (62 * w, 30),
        (53 * w, 72),
        (32, chin - 3),
    ]
    hole_r += [(0, chin + 7)]
    right = np.array(hole_r)
    hole = spline(np.vstack([right, (right * [-1, 1])[::-1][1:-1]]), 160, closed=True)
    out_r = np.array(
        [(0, -122), (40, -117), (72, -86), (83, -30), (84, 30), (86, 80), (104, 130), (150, 175), (170, 210)]
    )
    outline = np.vstack([spline(out_r * [w, 1], 80), spline(out_r * [-w, 1], 80)[::-1]])
    cloth = canvas.fill(outline, 0.4) * (1 - canvas.fill(hole, 0.35))
    x, y = canvas.grid_mm()
    folds = np.zeros_like(x)
    for _ in range(9):
        side = rng.choice([-1.0, 1.0])
        a, b = rng.uniform(66, 84) * w, rng.uniform(20, 90)
        path = spline(
            [
                (side * a * 0.5, -112),
                (side * a, -40),
                (side * (a - 4), 50),
                (side * b * 0.6, 120),
                (-side * b * 0.4, 165),
            ],
            50,
        )
        folds += rng.uniform(0.4, 1.0) * canvas.line(path, 2.0, 2.0) - 0.5 * canvas.line(
            path + [2.5, 2], 2.5, 2.0
        )
    palette = ("#7d8a99", "#8c6a63", "#5f6f61", "#9a8f80", "#54506b")
    colour = hex_linear(palette[int(rng.integers(len(palette)))])
    form = np.clip(
        1.0
        - 0.45 * np.clip(np.abs(x) / 88, 0, 1.3) ** 2
        - 0.0012 * (x + 10)
        - 0.15 * smoothstep(y, 100, 125),
        0.25,
        1.2,
    )
    weave = 1 + 0.03 * canvas.noise(rng, 0.6)
    lit = colour * (form * (1 + 0.55 * folds) * weave)[..., None]
    edge = canvas.line(np.vstack([hole, hole[:1]]), 3.0, 1.5)
    lit = lit * (1 - 0.25 * edge)[..., None]
    cast = canvas.blur(cloth, 3.5)
    shaded = image * (1 - 0.45 * cast * (1 - cloth))[..., None]
    return mix(shaded, lit, cloth)
