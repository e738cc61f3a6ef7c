"""Eyeballs, lid margins, lashes and brows."""

# ruff: noqa: RUF005 - `points + [dx, dy]` shifts an array, it joins no lists.
from __future__ import annotations

from typing import Final

import numpy as np

from equime.drawn_face.canvas import Array, Canvas, Points, hex_linear, mix, smoothstep, spline
from equime.drawn_face.person import Person
from equime.drawn_face.shape import IRIS_RADIUS_MM, LOWER_BROW, UPPER_BROW, Shape
from equime.drawn_face.strokes import bezier, draw_strands
from equime.seeding import stream

_IRIS: Final = {
    "dark_brown": ("#2a1a12", "#3f281a"),
    "brown": ("#3d2616", "#6b4526"),
    "hazel": ("#4c4426", "#7d5c2c"),
    "green": ("#4a5a42", "#7d7f4e"),
    "blue": ("#3f5f7d", "#86a3b5"),
    "grey": ("#5a666c", "#93a0a3"),
}
"""Outer and inner (collarette) colour, sRGB."""


def paint_eye(canvas: Canvas, person: Person, shape: Shape, side: int, image: Array, light: Array) -> Array:
    """One eyeball in its opening, lit by the mean of the skin's light around it."""
    outline = shape.eye_outline(side)
    opening = canvas.fill(outline, 0.12)
    level = float(np.mean(light[opening > 0.5])) if np.any(opening > 0.5) else 1.0
    ball = _eyeball(canvas, person, shape, side) * (0.22 + 0.65 * level)
    ball = _lid_shadow(canvas, shape, side, ball)
    ball += _catchlight(canvas, shape, side)[..., None]
    out = mix(image, ball, opening)
    return _margins(canvas, person, shape, side, out)


def _eyeball(canvas: Canvas, person: Person, shape: Shape, side: int) -> Array:
    """Sclera with its shading and veins, iris, pupil, caruncle (reflectance)."""
    cx, cy = shape.eye(side)
    x, y = canvas.grid_mm()
    r = np.hypot(x - cx, y - cy)
    sclera = np.array([0.47, 0.43, 0.41], np.float32)
    shade = 1 - 0.30 * smoothstep(np.abs(x - cx), 5, 14) - 0.10 * smoothstep(y - cy, 0, 6)
    ball = sclera * shade[..., None]
    inner = shape.points[(133, 362)[side], :2]
    outer = shape.points[(33, 263)[side], :2]
    toward = np.sign(cx - inner[0])
    red = 0.8 * canvas.spot(inner[0], inner[1], 4.0) + 0.45 * canvas.spot(outer[0], outer[1], 3.5)
    ball = ball * (1 - np.clip(red, 0, 1)[..., None] * np.array([0.10, 0.42, 0.42], np.float32))
    caruncle = canvas.spot(inner[0] + toward * 1.7, inner[1] + 0.1, 1.3, 1.1)
    ball = mix(ball, np.array([0.50, 0.24, 0.21]), np.clip(caruncle * 0.95, 0, 1))
    # Only the window around the iris: this is the costliest texture per pixel.
    px = canvas.to_px((cx, cy))
    reach = (IRIS_RADIUS_MM + 1) * canvas.px_per_mm
    low = np.floor(px - reach).astype(int)
    high = np.ceil(px + reach).astype(int) + 1
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    edge = smoothstep(r[window], IRIS_RADIUS_MM + 0.45, IRIS_RADIUS_MM - 0.35)
    iris = _iris(person, (x - cx)[window], (y - cy)[window], side)
    ball[window] = mix(ball[window], iris, edge)
    return ball


def _iris(person: Person, dx: Array, dy: Array, side: int) -> Array:
    """Colour of the iris at distances from its centre in mm: fibres, collarette, limbal ring, pupil."""
    rng = stream(person.seed, "drawn_face", "iris", side)
    outer, inner = (hex_linear(c) * 1.15 for c in _IRIS[person.eye_colour])
    r, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    fibres = np.zeros_like(r)
    for k in (11, 17, 23, 31, 43, 59):
        fibres += np.sin(angle * k + rng.uniform(0, 6.3) + 0.5 * np.sin(r * rng.uniform(1, 2.5))) / 6
    t = smoothstep(r + 0.35 * fibres, 4.6, 2.5)[..., None]
    colour = outer * (1 - t) + inner * t
    colour = colour * (1 + 0.55 * fibres * smoothstep(r, 1.8, 3.0))[..., None]
    # The cornea focuses the light from above on the lower half.
    colour = colour * (1 + 0.35 * smoothstep(dy, -4, 5) * smoothstep(r, 2, 4))[..., None]
    limbus = smoothstep(r, 4.2, 5.85)[..., None]
    colour = colour * (1 - 0.72 * limbus)
    pupil = smoothstep(r, 2.15, 1.8)[..., None]
    return np.asarray(colour * (1 - pupil) + 0.006 * pupil, np.float32)


def _lid_shadow(canvas: Canvas, shape: Shape, side: int, ball: Array) -> Array:
    """Upper lid and lashes shade the upper part of the ball, the lower lid a little of the rim."""
    upper, lower = shape.lids(side)
    shade = 0.75 * canvas.line(upper, 2.2, 1.1) + 0.30 * canvas.line(lower, 0.8, 0.5)
    return np.asarray(ball * (1 - np.clip(shade, 0, 0.85))[..., None], np.float32)


def _catchlight(canvas: Canvas, shape: Shape, side: int) -> Array:
    """The soft box mirrored by the cornea, and a faint reflection of the fill."""
    cx, cy = shape.eye(side)
    box = np.array([[-2.7, -2.6], [-1.0, -2.85], [-0.9, -1.25], [-2.5, -1.05]])
    main = canvas.fill(box + [cx, cy], 0.14)
    faint = canvas.spot(cx + 1.9, cy + 1.6, 0.7, 1.0)
    return np.asarray(0.85 * main + 0.030 * faint, np.float32)


def _margins(canvas: Canvas, person: Person, shape: Shape, side: int, image: Array) -> Array:
    """Wet edge of the lower lid, dark lash line of the upper one, thin lines along both."""
    upper, lower = shape.lids(side)
    dark = np.array([0.030, 0.018, 0.014], np.float32)
    wet = canvas.line(lower + [0, -0.05], 0.5, 0.22)
    out = (
        image * (1 - 0.30 * wet[..., None])
        + 0.05 * canvas.line(lower[12:-8] + [0, -0.5], 0.3, 0.1)[..., None]
    )
    lash = canvas.line(upper, 1.05 if person.gender == "f" else 0.85, 0.28)
    out = mix(out, dark, lash * (0.80 if person.gender == "f" else 0.66))
    under = canvas.line(lower[:42] + [0, 0.25], 0.7, 0.35)
    return mix(out, dark * 3, under * (0.42 if person.gender == "f" else 0.32))


def crease_shade(canvas: Canvas, crease: Points, image: Array) -> Array:
    """The line of the lid's fold, which the height field alone leaves too soft."""
    return np.asarray(image * (1 - 0.34 * canvas.line(crease, 0.8, 0.4))[..., None], np.float32)


def paint_lashes(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Upper and lower lashes as curved strokes."""
    rng = stream(person.seed, "drawn_face", "lashes")
    female = person.gender == "f"
    rows = ((0, 90, 3.3 if female else 2.1, -1.0), (1, 45, 1.5 if female else 1.1, 1.0))
    paths = [
        _lash_row(rng, shape.lids(side)[lid], n, length, up, -1 if side == 0 else 1)
        for side in (0, 1)
        for lid, n, length, up in rows
    ]
    path = np.vstack(paths)
    shades = 0.012 * rng.uniform(0.6, 2.0, (len(path), 1)) * np.ones(3)
    return draw_strands(canvas, image, path, np.full(len(path), 0.17 if female else 0.13), shades, 0.85)[0]


def _lash_row(
    rng: np.random.Generator, lid: Points, n: int, length_mm: float, up: float, sign: int
) -> Points:
    """Lashes along one lid; they fan out from the middle and are longest at the outer end."""
    t = np.sort(rng.uniform(0.02, 0.90 if up < 0 else 0.78, n))
    root = lid[(t * (len(lid) - 1)).astype(int)] + rng.normal(0, 0.12, (n, 2))
    fan = (0.5 - t) * 2
    long = length_mm * rng.uniform(0.6, 1.1, n) * (0.75 + 0.35 * fan if up < 0 else 0.9)
    middle = root + np.column_stack([sign * fan * 0.45 * long, up * 0.20 * long])
    tip = root + np.column_stack([sign * fan * 1.0 * long, up * 0.80 * long])
    return bezier(root, middle, tip)


def paint_brows(canvas: Canvas, person: Person, shape: Shape, image: Array, colour: Array) -> Array:
    """Brows: a soft shade under several hundred hairs that turn from upright to lying along the brow."""
    rng = stream(person.seed, "drawn_face", "brows")
    out = image
    for side in (0, 1):
        # From the inner to the outer end.
        upper = spline(shape.points[list(UPPER_BROW[side])][::-1, :2], 50)
        lower = spline(shape.points[list(LOWER_BROW[side])][::-1, :2], 50)
        soft = canvas.fill(np.vstack([upper, lower[::-1]]), 0.9)
        cx, cy = ((upper + lower) / 2)[24]
        fade = canvas.spot(cx, cy, 13, 6)
        out = mix(out, colour * 1.1, np.clip(soft * 0.30 + 0.35 * soft * fade, 0, 1))
        n = 760 if person.gender == "m" else 640
        path = _brow_hairs(rng, upper, lower, n, -1 if side == 0 else 1)
        shades = colour * rng.uniform(0.35, 1.1, (n, 1))
        out = draw_strands(canvas, out, path, rng.uniform(0.11, 0.20, n), shades, 0.7)[0]
    return out


def _brow_hairs(rng: np.random.Generator, upper: Points, lower: Points, n: int, sign: int) -> Points:
    t, v = rng.beta(1.0, 1.0, n), rng.beta(1.3, 1.3, n)
    k = (t * 49).astype(int)
    root = lower[k] * (1 - v[:, None]) + upper[k] * v[:, None] + rng.normal(0, 0.35, (n, 2))
    along = upper[np.minimum(k + 3, 49)] - upper[np.maximum(k - 3, 0)]
    stand = 0.85 * (1 - smoothstep(t, 0.0, 0.30)) + 0.35 - 0.75 * v * smoothstep(t, 0.2, 0.8)
    angle = np.arctan2(along[:, 1], along[:, 0]) - sign * (stand + rng.normal(0, 0.16, n))
    direction = np.column_stack([np.cos(angle), np.sin(angle)])
    length = (rng.uniform(2.4, 4.8, n) * (1 - 0.35 * t) * (0.7 + 0.3 * smoothstep(t, 0, 0.15)))[:, None]
    bend = np.column_stack([-direction[:, 1], direction[:, 0]]) * sign * 0.14 * length
    # Hairs stay inside the drawn brow: they start half a length before their place.
    root = root - direction * length * 0.35
    return bezier(root, root + direction * length * 0.5, root + direction * length + bend)
