"""Eyeballs, lid margins, lashes and brows."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from equime.drawn_face.canvas import Array, Canvas, Points, hex_linear, mix, smoothstep, spline
from equime.drawn_face.person import Person
from equime.drawn_face.shape import IRIS_RADIUS_MM, LOWER_BROW, UPPER_BROW, Shape
from equime.drawn_face.strokes import strand_layer
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
    ball = _eyeball(canvas, person, shape, side) * (0.35 + 0.65 * level)
    ball = _lid_shadow(canvas, shape, side, ball)
    ball += _catchlight(canvas, shape, side)[..., None]
    out = mix(image, ball, opening)
    return _margins(canvas, person, shape, side, out)


def _eyeball(canvas: Canvas, person: Person, shape: Shape, side: int) -> Array:
    """Sclera with its shading and veins, iris, pupil, caruncle (reflectance)."""
    cx, cy = shape.eye(side)
    x, y = canvas.grid_mm()
    r = np.hypot(x - cx, y - cy)
    sclera = np.array([0.66, 0.59, 0.55], np.float32)
    shade = 1 - 0.30 * smoothstep(np.abs(x - cx), 5, 14) - 0.10 * smoothstep(y - cy, 0, 6)
    ball = sclera * shade[..., None]
    inner = shape.points[(133, 362)[side], :2]
    outer = shape.points[(33, 263)[side], :2]
    toward = np.sign(cx - inner[0])
    red = 0.8 * canvas.spot(inner[0], inner[1], 4.0) + 0.45 * canvas.spot(outer[0], outer[1], 3.5)
    ball = ball * (1 - np.clip(red, 0, 1)[..., None] * np.array([0.10, 0.42, 0.42], np.float32))
    caruncle = canvas.spot(inner[0] + toward * 1.7, inner[1] + 0.1, 1.3, 1.1)
    ball = mix(ball, np.array([0.50, 0.24, 0.21]), np.clip(caruncle * 0.95, 0, 1))
    edge = np.asarray(smoothstep(r, IRIS_RADIUS_MM + 0.45, IRIS_RADIUS_MM - 0.35), np.float32)
    return mix(ball, _iris(canvas, person, x - cx, y - cy, r, side), edge)


def _iris(canvas: Canvas, person: Person, dx: Array, dy: Array, r: Array, side: int) -> Array:
    rng = stream(person.seed, "drawn_face", "iris", side)
    outer, inner = (hex_linear(c) * 1.15 for c in _IRIS[person.eye_colour])
    angle = np.arctan2(dy, dx)
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
    paths, widths = [], []
    for side in (0, 1):
        sign = -1 if side == 0 else 1
        for lid, n, length, up in ((0, 75, 3.4 if female else 2.2, -1), (1, 42, 1.7 if female else 1.2, 1)):
            curve = shape.lids(side)[lid]
            for t in np.sort(rng.uniform(0.02, 0.90 if lid == 0 else 0.78, n)):
                root = curve[int(t * (len(curve) - 1))] + rng.normal(0, 0.12, 2)
                out = (0.5 - t) * 2
                long = length * rng.uniform(0.6, 1.1) * (0.75 + 0.35 * out if lid == 0 else 0.9)
                mid = root + [sign * out * 0.45 * long, up * 0.25 * long]
                tip = root + [sign * out * 1.0 * long, up * 0.80 * long]
                paths.append(spline([root, mid, tip], 6))
                widths.append(0.16 if female else 0.13)
    shades = np.full((len(paths), 3), 0.012, np.float32) * rng.uniform(0.6, 2.0, (len(paths), 1))
    colour, alpha = strand_layer(canvas, paths, widths, shades.astype(np.float32))
    return mix(image, colour, alpha * 0.85)


def paint_brows(canvas: Canvas, person: Person, shape: Shape, image: Array, colour: Array) -> Array:
    """Brows: a soft shade under several hundred hairs that turn from upright to lying along the brow."""
    rng = stream(person.seed, "drawn_face", "brows")
    out = image
    paths, widths, shades = [], [], []
    n = 420 if person.gender == "m" else 330
    for side in (0, 1):
        sign = -1 if side == 0 else 1
        # From the inner to the outer end.
        upper = spline(shape.points[list(UPPER_BROW[side])][::-1, :2], 50)
        lower = spline(shape.points[list(LOWER_BROW[side])][::-1, :2], 50)
        soft = canvas.fill(np.vstack([upper, lower[::-1]]), 1.0)
        out = mix(out, colour * 1.1, soft * 0.36)
        for _ in range(n):
            t, v = rng.beta(1.25, 1.35), rng.beta(1.4, 1.4)
            k = int(t * 49)
            root = lower[k] * (1 - v) + upper[k] * v + rng.normal(0, 0.3, 2)
            along = upper[min(k + 3, 49)] - upper[max(k - 3, 0)]
            along = along / (np.linalg.norm(along) + 1e-6)
            stand = 1.15 * (1 - smoothstep(t, 0.0, 0.35)) + 0.35 - 0.75 * v * smoothstep(t, 0.2, 0.8)
            angle = np.arctan2(along[1], along[0]) - sign * (stand + rng.normal(0, 0.16))
            d = np.array([np.cos(angle), np.sin(angle)])
            length = rng.uniform(3.2, 6.2) * (1 - 0.35 * t)
            bend = np.array([-d[1], d[0]]) * sign * 0.12 * length
            paths.append(
                spline([root, root + d * length * 0.5 + bend * 0.4, root + d * length + bend * 1.2], 7)
            )
            widths.append(rng.uniform(0.14, 0.24))
            shades.append(colour * rng.uniform(0.45, 1.1))
    layer, alpha = strand_layer(canvas, paths, widths, np.array(shades, np.float32))
    return mix(out, layer, alpha * 0.85)


def resized(image: Array, side_px: int) -> Array:
    """Area-averaged copy of a picture."""
    return np.asarray(cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA), np.float32)
