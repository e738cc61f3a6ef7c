"""What stands around the face: background, body, ears, glasses, and the camera."""

# ruff: noqa: RUF005 - `points + [dx, dy]` shifts an array, it joins no lists.
from __future__ import annotations

from typing import Final

import numpy as np

from equime.drawn_face.canvas import Array, Canvas, Points, hex_linear, mix, smoothstep, spline
from equime.drawn_face.person import Person
from equime.drawn_face.relief import irradiance, normals
from equime.drawn_face.shape import Shape
from equime.drawn_face.skin import base_colour
from equime.seeding import stream

_WALLS: Final = ("#8a9096", "#a3a09a", "#7e8a88", "#98908c", "#6f7680", "#b0aca6")
_CLOTHES: Final = ("#2f3a4a", "#5a5f63", "#6d3b3a", "#3d4a3d", "#8d8678", "#27282b", "#50617a", "#7a6a58")


def background(canvas: Canvas, person: Person) -> Array:
    """An out-of-focus wall, brighter behind one shoulder."""
    rng = stream(person.seed, "drawn_face", "background")
    wall = hex_linear(_WALLS[int(rng.integers(len(_WALLS)))])
    cx, cy = rng.uniform(-90, 90), rng.uniform(-60, 60)
    glow = 0.72 + 0.5 * canvas.spot(cx, cy, 110, 130)
    cloud = 1 + 0.03 * canvas.noise(rng, 60.0)
    return np.asarray(wall * (glow * cloud)[..., None], np.float32)


def garment(canvas: Canvas, person: Person, light: Array, mask: Array) -> Array:
    """Reflected light of the cloth, with weave and soft folds."""
    rng = stream(person.seed, "drawn_face", "garment")
    colour = hex_linear(_CLOTHES[int(rng.integers(len(_CLOTHES)))])
    folds = 1 + 0.10 * canvas.noise(rng, 16.0) + 0.05 * canvas.noise(rng, 0.8)
    return np.asarray(light * colour * folds[..., None], np.float32)


def paint_ears(canvas: Canvas, person: Person, shape: Shape, sky_seen: Array, image: Array) -> Array:
    """Both ears seen from the front, as a relief: helix, antihelix, concha, lobe."""
    out = image
    base = base_colour(person) * np.array([1.04, 0.86, 0.84], np.float32)
    for side, index in ((-1, 234), (1, 454)):
        x0 = shape.points[index, 0] + side * 0.5
        mask, height = _ear(canvas, x0, side)
        n = normals(height, canvas)
        light = irradiance(n, 0.35 + 0.65 * mask, np.minimum(sky_seen, 0.8), canvas)
        deep = 1 - 0.55 * canvas.spot(x0 + side * 2.5, 4, 2.8, 5.5) * mask - 0.3 * canvas.spot(x0, 4, 2.5, 22)
        out = mix(out, base * light * deep[..., None], mask)
    return out


def _ear(canvas: Canvas, x0: float, side: int) -> tuple[Array, Array]:
    def place(points: list[tuple[float, float]]) -> Points:
        return spline(np.array([(x0 + side * a, b) for a, b in points]), 50)

    helix = place(
        [
            (-3, -16),
            (0, -23),
            (6, -26),
            (11, -22),
            (12.5, -11),
            (11, 2),
            (7.5, 13),
            (4.5, 20),
            (0, 25),
            (-5, 23),
        ]
    )
    mask = canvas.fill(np.vstack([helix, [(x0 - side * 9, 0)]]), 0.3)
    x, _ = canvas.grid_mm()
    z = 3.0 * canvas.blur(mask, 2.2) - 0.35 * side * (x - x0)
    z += 1.6 * canvas.line(helix[6:34] + [-side * 1.5, 0.6], 1.8, 0.8)
    fold = place([(4, -16), (7.5, -14), (8.2, -4), (6, 6), (2.5, 11)])
    z -= 1.5 * canvas.line(fold + [side * 0.9, 0], 1.4, 0.7)
    z += 1.0 * canvas.line(fold + [-side * 1.6, 0], 1.8, 0.9)
    z -= 2.2 * canvas.spot(x0 + side * 2.5, 3, 2.4, 5.5)
    z += 1.2 * canvas.spot(x0 - side * 0.5, 5, 1.6, 2.6)
    return mask, z.astype(np.float32)


def paint_glasses(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """A thin frame on the nose, its shadow, and a faint reflection in the lenses."""
    rng = stream(person.seed, "drawn_face", "glasses")
    colour = hex_linear(("#1c1a19", "#3a2a20", "#4a4d52")[int(rng.integers(3))])
    width = rng.uniform(1.6, 2.6)
    round_ = rng.uniform(2.2, 3.6)
    out = image
    rings = []
    for side in (0, 1):
        cx, cy = shape.eye(side)
        t = np.linspace(0, 2 * np.pi, 90)
        bulge = (np.abs(np.cos(t)) ** round_ + np.abs(np.sin(t)) ** round_) ** (-1 / round_)
        rings.append(np.column_stack([cx + 25 * bulge * np.cos(t), cy + 4 + 19.5 * bulge * np.sin(t)]))
    a, b = shape.eye(0), shape.eye(1)
    bridge = spline([(a[0] + 24.5, a[1] - 1), (0, a[1] - 4), (b[0] - 24.5, b[1] - 1)], 30)
    arms = [np.array([(e[0] + s * 24.5, e[1] - 2), (s * 72, e[1] - 5)]) for s, e in ((-1, a), (1, b))]
    lines = [*rings, bridge, *arms]
    shadow = sum((canvas.line(p + [1.0, 3.0], width, 1.2) for p in lines), start=np.zeros_like(image[..., 0]))
    out = out * (1 - 0.38 * np.clip(shadow, 0, 1))[..., None]
    for ring in rings:
        lens = canvas.fill(ring)
        out = out + (0.008 * lens)[..., None]
    for path in lines:
        frame = canvas.line(path, width, 0.1)
        out = mix(out, colour, frame)
        out = out + (0.04 * canvas.line(path + [-0.25, -0.45], 0.35, 0.15) * frame)[..., None]
    return np.asarray(out, np.float32)


def develop(image: Array, side_px: int, person: Person, oversample: float) -> np.ndarray:
    """Camera: exposure curve, vignette, sensor noise; linear light to sRGB uint8."""
    rng = stream(person.seed, "drawn_face", "camera")
    r = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, side_px)] * 2))
    exposed = np.asarray(image * (1 - 0.16 * smoothstep(r, 0.55, 1.4))[..., None], np.float32)
    # Highlights roll off as on film instead of clipping.
    knee = 0.72
    exposed = np.where(exposed > knee, knee + (1 - knee) * np.tanh((exposed - knee) / (1 - knee)), exposed)
    coded = encode(np.clip(exposed, 0, 1))
    grain = (
        rng.standard_normal((side_px, side_px, 1)) * 0.8 + rng.standard_normal((side_px, side_px, 3)) * 0.5
    )
    return np.asarray(np.clip(np.round(coded * 255 + grain * 1.3), 0, 255), np.uint8)


def encode(light: Array) -> Array:
    """Linear light 0..1 to sRGB 0..1."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
