"""Colour and texture of the skin and the lips."""

# ruff: noqa: RUF005 - `points + [dx, dy]` shifts an array, it joins no lists.
from __future__ import annotations

from typing import Final

import numpy as np

from equime.drawn_face.canvas import Array, Canvas, hex_linear, mix, smoothstep, spline
from equime.drawn_face.person import Person
from equime.drawn_face.relief import FILL, KEY, highlight
from equime.drawn_face.shape import Shape
from equime.seeding import stream

SKIN: Final = (
    *("#eed3c4", "#e9cab5", "#e2bd9f", "#d5ae8d", "#c39a79"),
    *("#9e7554", "#84593f", "#654332", "#4c3529", "#3e2b22"),
)
"""Skin in even light for each step of the Monk Skin Tone scale, sRGB.

The scale's own swatches (Monk 2019: #f6ede4 #f3e7db #f7ead0 #eadaba #d7bd96 #a07e56 #825c43 #604134 #3a312a
#292420) are paint; these keep their order and lightness steps, with the ratio of red to green and blue of
living skin, and leave room above the palest ones for highlights."""

_BLOOD: Final = np.array([1.02, 0.60, 0.56], np.float32)
"""Tint of skin with more blood under it (multiplies the reflectance)."""


def base_colour(person: Person) -> Array:
    """Reflectance (3,) of the person's skin: its tone's colour, slightly varied."""
    rng = stream(person.seed, "drawn_face", "skin tone")
    colour = hex_linear(SKIN[person.skin_tone - 1]) * (0.86 + 0.14 * smoothstep(person.skin_tone, 2, 6))
    return np.asarray(colour * rng.uniform(0.94, 1.06) * rng.uniform(0.97, 1.03, 3), np.float32)


def skin_albedo(canvas: Canvas, person: Person, shape: Shape) -> Array:
    """Reflectance (H, W, 3) of the face: base, blood, shadows of beard and tiredness, blotches, freckles."""
    base = base_colour(person)
    albedo = np.broadcast_to(base, (canvas.side_px, canvas.side_px, 3)).astype(np.float32)
    albedo *= _tint(_blood_map(canvas, shape), _BLOOD, 0.36 if person.skin_tone < 6 else 0.22)
    albedo *= _tint(_circles(canvas, shape), np.array([0.74, 0.68, 0.72]), 0.35 + 0.3 * (person.age > 45))
    albedo *= _mottle(canvas, person)
    if person.gender == "m":
        strength = {"none": 0.22, "stubble": 0.5, "full": 0.5, "moustache": 0.3}[person.beard]
        albedo *= _tint(beard_zone(canvas, shape), np.array([0.62, 0.66, 0.72]), strength)
    return albedo


def _tint(weight: Array, colour: np.ndarray, strength: float) -> Array:
    return np.asarray(1 + (colour.astype(np.float32) - 1) * (weight * strength)[..., None], np.float32)


def _blood_map(canvas: Canvas, shape: Shape) -> Array:
    p = shape.points
    weight = 0.55 * canvas.spot(p[4, 0], p[4, 1] + 1, 9, 8)
    for cheek in (50, 280):
        weight = weight + 0.75 * canvas.spot(p[cheek, 0], p[cheek, 1] + 2, 15, 12)
    for side in (0, 1):
        cx, cy = shape.eye(side)
        weight += 0.3 * canvas.spot(cx, cy - 4, 13, 6) + 0.3 * canvas.spot(cx, cy + 6, 12, 3)
    weight += 0.35 * canvas.spot(0, p[152, 1] - 10, 11, 8) + 0.3 * canvas.spot(0, p[13, 1], 26, 12)
    return np.asarray(np.clip(weight, 0, 1), np.float32)


def _circles(canvas: Canvas, shape: Shape) -> Array:
    out = np.zeros((canvas.side_px, canvas.side_px), np.float32)
    for side in (0, 1):
        sign = -1 if side == 0 else 1
        cx, cy = shape.eye(side)
        out += canvas.spot(cx - sign * 6, cy + 9, 9, 3.5) + 0.8 * canvas.spot(cx - sign * 14, cy, 4, 6)
        out += 0.6 * canvas.spot(cx, cy - 8, 12, 3.5)
    return np.asarray(np.clip(out, 0, 1), np.float32)


def beard_zone(canvas: Canvas, shape: Shape) -> Array:
    """Where a beard grows, 0..1: sideburns, jaw and chin below the line to the lip corners, and the moustache."""
    p = shape.points
    right, left = p[61, :2], p[291, :2]
    chin = p[152, :2]
    cheek = [(68, -2), (60, 4), (57, 28), (47, 52), (33, 60)]
    near_r, near_l = right + [-7, -3], left + [7, -3]
    low = [right + [-2, 5], right + [7, 14], p[17, :2] + [-9, 7], p[17, :2] + [0, 5], p[17, :2] + [9, 7]]
    low += [left + [-7, 14], left + [2, 5]]
    outline = np.vstack(
        [
            np.array(cheek) * [-1, 1],
            [near_r, *low, near_l],
            cheek[::-1],
            [(80, chin[1] + 15), (-80, chin[1] + 15)],
        ]
    )
    zone = canvas.fill(outline, 2.0)
    nose = p[2, :2]
    lip = p[0, :2]
    top = [right + [-8, 2], right + [-3, -6], (nose[0] - 12, nose[1] + 5), (nose[0], nose[1] + 5)]
    top += [(nose[0] + 12, nose[1] + 5), left + [3, -6], left + [8, 2]]
    bottom = [
        left + [1, 2],
        p[270, :2] + [2, -1],
        lip + [4, -1],
        lip + [-4, -1],
        p[40, :2] + [-2, -1],
        right + [-1, 2],
    ]
    moustache = canvas.fill(spline([*top, *bottom], 90, closed=True), 1.0)
    patch = 0.8 * canvas.spot(p[17, 0], p[17, 1] + 6, 3.5, 4.5)
    upper_lip, _, lower_lip = shape.lips()
    mouth = canvas.fill(np.vstack([upper_lip, lower_lip[::-1]]), 0.5)
    return np.asarray(np.clip(np.maximum(np.maximum(zone, moustache), patch), 0, 1) * (1 - mouth), np.float32)


def _mottle(canvas: Canvas, person: Person) -> Array:
    rng = stream(person.seed, "drawn_face", "mottle")
    light = float(smoothstep(person.skin_tone, 7, 2))
    old = float(smoothstep(person.age, 30, 75))
    out = np.ones((canvas.side_px, canvas.side_px, 3), np.float32)
    red = canvas.noise(rng, 7.0) * 0.6 + canvas.noise(rng, 2.5) * 0.5
    out *= 1 + red[..., None] * np.array([0.006, 0.022, 0.022], np.float32) * (0.6 + 0.6 * light)
    brown = canvas.noise(rng, 12.0) * 0.5 + canvas.noise(rng, 1.2) * 0.5
    out *= 1 + brown[..., None] * np.array([0.020, 0.024, 0.026], np.float32)
    grain = canvas.noise(rng, 0.45)
    out *= 1 + grain[..., None] * np.array([0.014, 0.017, 0.017], np.float32)
    spots = canvas.noise(rng, 1.6)
    freckled = rng.random() < 0.45 * light
    x, y = canvas.grid_mm()
    band = np.exp(-(((y - 24) / 22) ** 2)) * np.exp(-((x / 52) ** 2))
    amount = (0.8 if freckled else 0.0) * band + 0.5 * old * band
    weight = np.clip(spots - 1.5, 0, 1) * amount
    out *= 1 - weight[..., None] * np.array([0.28, 0.42, 0.5], np.float32)
    for _ in range(int(rng.integers(0, 4))):
        mx, my = rng.uniform(-50, 50), rng.uniform(-40, 95)
        mole = canvas.spot(mx, my, rng.uniform(0.45, 0.8))
        out *= 1 - mole[..., None] * np.array([0.45, 0.58, 0.62], np.float32)
    return out


def pores(canvas: Canvas, person: Person) -> Array:
    """Height in mm of pores and fine lines; older skin is coarser."""
    rng = stream(person.seed, "drawn_face", "pores")
    old = float(smoothstep(person.age, 20, 75))
    z = 0.018 * canvas.noise(rng, 0.5) + 0.032 * canvas.noise(rng, 1.0) + 0.032 * canvas.noise(rng, 2.6)
    return np.asarray(z * (0.8 + 0.4 * old), np.float32)


def sheen(canvas: Canvas, person: Person, shape: Shape, n: Array, key_seen: Array) -> Array:
    """Light (H, W) reflected by the skin's surface: a broad lobe everywhere, a tighter one on oily parts."""
    rng = stream(person.seed, "drawn_face", "sheen")
    p = shape.points
    oily = 0.35 + canvas.spot(0, -40, 30, 16) * 0.5 + canvas.spot(p[4, 0], p[4, 1] - 6, 7, 16) * 0.9
    for cheek in (117, 346):
        oily = oily + 0.5 * canvas.spot(p[cheek, 0], p[cheek, 1], 14, 9)
    oily = oily * (1 + 0.25 * canvas.noise(rng, 1.4))
    lobes = 0.030 * highlight(n, KEY, 9) + 0.050 * highlight(n, KEY, 42) * oily
    lobes = lobes * key_seen + 0.012 * highlight(n, FILL, 12)
    facing = np.clip(n[..., 2], 0, 1)
    grazing = 0.03 * (1 - facing) ** 4 * np.clip(0.4 - n[..., 1], 0, 1)
    return np.asarray(np.clip(lobes + grazing, 0, None), np.float32)


def paint_lips(
    canvas: Canvas, person: Person, shape: Shape, albedo: Array, height: Array
) -> tuple[Array, Array]:
    """Lip colour over the skin's, and the fine furrows of the vermilion in the heights."""
    rng = stream(person.seed, "drawn_face", "lips")
    top, seam, bottom = shape.lips()
    base = base_colour(person)
    red = np.array([0.92, 0.52, 0.52]) if person.gender == "m" else np.array([0.90, 0.42, 0.44])
    dark = float(smoothstep(person.skin_tone, 5, 10))
    red = red * (1 - dark) + np.array([0.95, 0.72, 0.76]) * dark
    upper = canvas.fill(np.vstack([top, seam[::-1]]), 0.7)
    lower = canvas.fill(np.vstack([seam, bottom[::-1]]), 0.85)
    fade = 1 - 0.35 * float(smoothstep(person.age, 40, 75))
    out = mix(albedo, base * red * 0.86, upper * 0.72 * fade)
    out = mix(out, base * red * 1.02, lower * 0.66 * fade)
    shadow = canvas.line(seam, 0.9, 0.35)
    out = out * (1 - 0.80 * shadow[..., None] * np.array([0.9, 1.0, 1.0], np.float32))
    out = out * (1 - 0.30 * canvas.line(seam, 2.4, 1.2)[..., None])
    furrows = _furrows(canvas, rng) * (upper + lower)
    return out, np.asarray(height + 0.10 * furrows, np.float32)


def _furrows(canvas: Canvas, rng: np.random.Generator) -> Array:
    """Vertical lines of about 1 mm that fan out from the middle of the mouth."""
    x, y = canvas.grid_mm()
    u = x[0][None, :] * (1 - 0.004 * (y - 72))
    out = np.zeros_like(x)
    for k in (3.1, 4.7, 6.3, 8.9):
        out += np.sin(u * k + rng.uniform(0, 6.3) + 0.8 * np.sin(y * 0.6 + rng.uniform(0, 6)))
    return np.asarray(out / 2, np.float32)


def paint_nostrils(canvas: Canvas, shape: Shape, albedo: Array) -> Array:
    """The dark openings under the nose."""
    p = shape.points
    out = albedo
    for side, sign in ((0, -1), (1, 1)):
        ala, under = p[(129, 358)[side], 0], p[2]
        cx = under[0] + 0.44 * (ala - under[0])
        cy = under[1] - 2.6
        t = np.linspace(0, 2 * np.pi, 40)
        ring = np.column_stack([3.9 * np.cos(t), 1.75 * np.sin(t) - 0.5 * np.cos(t * 2)])
        c, s = np.cos(0.28 * sign), np.sin(0.28 * sign)
        ring = ring @ np.array([[c, s], [-s, c]]) + [cx, cy]
        hole = canvas.fill(ring, 0.55)
        out = out * (1 - hole[..., None] * np.array([0.80, 0.88, 0.90], np.float32))
    return np.asarray(out, np.float32)
