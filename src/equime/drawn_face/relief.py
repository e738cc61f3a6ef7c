"""Depth of head, neck and shoulders as height fields, and the light that falls on them."""

# ruff: noqa: RUF005 - `points + [dx, dy]` shifts an array, it joins no lists.
from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from equime.drawn_face.canvas import Array, Canvas, smoothstep, spline
from equime.drawn_face.person import Person
from equime.drawn_face.shape import JAW, LOWER_LID, UPPER_LID, Shape
from equime.seeding import stream

_COARSE_PX: Final = 150
"""Side of the grid of the smooth surface, 2.2 mm; details are added at full size."""

_LIGHT_PX: Final = 220
"""Side of the grid of shadows and occlusion, 1.5 mm: both are softer than that."""

KEY: Final = np.array([-0.42, -0.50, 0.76])
"""Direction to the key light: a soft box up and to the left of the camera."""

FILL: Final = np.array([0.65, -0.05, 0.75])
"""Direction to the weaker fill light on the right."""

KEY_GAIN, FILL_GAIN, AMBIENT_GAIN = 0.84, 0.13, 0.25
"""Irradiance of the lights; about 1.15 on a cheek that faces the key light."""

_WRAP: Final = np.array([0.30, 0.17, 0.12], np.float32)
"""How far light bleeds past the terminator per channel: red travels furthest in skin (Jensen 2001)."""

_BLEED_MM: Final = (1.1, 0.55, 0.35)
"""Diffusion of light in skin per channel, after the diffusion lengths of Jensen 2001, halved for detail."""


_RIM_MM: Final = 7.0
"""Radius with which cheek and jaw turn away at the silhouette."""

_SILHOUETTE: Final = frozenset(
    (*JAW, 127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356)
    + (137, 177, 215, 138, 135, 169, 170, 140, 171, 175, 396, 369, 395, 394, 364, 367, 435, 401, 366)
)
"""Points at and next to the outline: their depth jumps, so the surface is rounded off by `_rounding` instead."""


@dataclass(frozen=True)
class Relief:
    """Heights in mm per pixel (to the viewer) and the masks of what they belong to."""

    head: Array
    head_mask: Array
    neck: Array
    neck_mask: Array
    torso: Array
    torso_mask: Array

    def depth(self) -> Array:
        """One depth map: head before neck before torso before the wall."""
        z = np.full_like(self.head, -260.0)
        for height, mask in (
            (self.torso, self.torso_mask),
            (self.neck, self.neck_mask),
            (self.head, self.head_mask),
        ):
            z = np.where(mask > 0.5, height, z)
        return z


def build_relief(canvas: Canvas, person: Person, shape: Shape) -> Relief:
    """Height fields of everything that casts or receives shadow."""
    head_mask = canvas.fill(shape.head_outline(), 0.25)
    head = _surface(canvas, shape) + _details(canvas, person, shape) - _rounding(canvas, shape)
    neck_mask, neck = _neck(canvas, person)
    torso_mask, torso = _torso(canvas, person)
    return Relief(head, head_mask, neck, neck_mask, torso, torso_mask)


def _surface(canvas: Canvas, shape: Shape) -> Array:
    """Smooth surface through the points (thin-plate spline) and the cranium."""
    lids = {i for group in (*UPPER_LID, *LOWER_LID) for i in group[1:-1]}
    keep = [i for i in range(468) if i not in lids and i not in _SILHOUETTE]
    points = np.vstack([shape.points[keep], _cranium(shape)])
    fit = RBFInterpolator(points[:, :2], points[:, 2], smoothing=5.0, kernel="thin_plate_spline")
    coarse = Canvas(_COARSE_PX)
    x, y = coarse.grid_mm()
    inside = (np.abs(x) < 90) & (y > -130) & (y < 135)
    z = np.full(x.shape, -90.0)
    z[inside] = fit(np.column_stack([x[inside], y[inside]]))
    z = cv2.GaussianBlur(z.astype(np.float32), (0, 0), 0.6)
    size = (canvas.side_px, canvas.side_px)
    # The blur takes away the kinks of cubic interpolation, which shading would show as a lattice.
    return canvas.blur(np.asarray(cv2.resize(z, size, interpolation=cv2.INTER_CUBIC), np.float32), 1.4)


def _rounding(canvas: Canvas, shape: Shape) -> Array:
    """How far the surface turns away near the silhouette, mm: a quarter circle of `_RIM_MM` radius."""
    mask = (canvas.fill(shape.head_outline()) > 0.5).astype(np.uint8)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5) / canvas.px_per_mm
    t = 1 - np.clip(inside / _RIM_MM, 0, 1)
    drop = _RIM_MM * (1 - np.sqrt(np.clip(1 - t**2, 0, 1)))
    return canvas.blur(np.asarray(drop, np.float32), 0.8)


def _cranium(shape: Shape) -> np.ndarray:
    """Points on an ellipsoid above the forehead, and its outline."""
    x, y = np.meshgrid(np.linspace(-64, 64, 9), np.linspace(-112, -66, 6))
    inside = (x / 73) ** 2 + ((y + 38) / 78) ** 2
    ok = inside < 0.97
    z = -75 + 88 * np.sqrt(1 - inside[ok])
    rim = np.column_stack([shape.skull, np.full(len(shape.skull), -74.0)])
    return np.vstack([np.column_stack([x[ok], y[ok], z]), rim])


def _details(canvas: Canvas, person: Person, shape: Shape) -> Array:
    """Folds, grooves and ridges finer than the points."""
    z = np.zeros((canvas.side_px, canvas.side_px), np.float32)
    old = float(smoothstep(person.age, 25, 75))
    for side in (0, 1):
        _eye_details(canvas, shape, side, z, old)
        _nose_details(canvas, shape, side, z, old)
    _mouth_details(canvas, shape, z)
    _forehead(canvas, person, z, old)
    return z


def _eye_details(canvas: Canvas, shape: Shape, side: int, z: Array, old: float) -> None:
    upper, lower = shape.lids(side)
    cx, cy = shape.eye(side)
    sign = -1 if side == 0 else 1
    z += 4.2 * canvas.spot(cx, cy + 0.5, 8.5, 7.0)
    crease = lid_crease(shape, side)
    z -= (1.1 + 0.5 * old) * canvas.line(crease, 1.4, 0.7)
    z += 0.9 * canvas.line(crease + [0, -3.4], 3.0, 1.6)
    z += 0.5 * canvas.line(upper + [0, -1.4], 1.6, 0.7)
    z += 0.5 * canvas.line(lower + [0, 1.6], 1.6, 0.8)
    bag = spline([(cx - sign * 15, cy + 7), (cx - sign * 4, cy + 13.5), (cx + sign * 10, cy + 13)], 40)
    z -= (0.5 + 1.4 * old) * canvas.line(bag, 2.0, 2.0)
    z += (0.2 + 1.0 * old) * canvas.line(bag + [0, -4.5], 4.0, 2.0)
    if old > 0.2:
        corner = shape.points[(33, 263)[side], :2]
        for lift in (-5.0, 0.5, 6.0):
            foot = corner + np.array(
                [[4 * sign, lift * 0.3], [9 * sign, lift * 0.8], [15 * sign, lift * 1.5]]
            )
            z -= 0.7 * old * canvas.line(spline(foot, 20), 0.7, 0.5)


def lid_crease(shape: Shape, side: int) -> np.ndarray:
    """The fold above the upper lid, outer to inner corner."""
    upper, _ = shape.lids(side)
    t = np.linspace(0, 1, len(upper))
    lift = 1.2 + 3.0 * np.sin(np.pi * np.clip(t * 0.92 + 0.06, 0, 1))
    return upper[3:-4] - np.column_stack([np.zeros_like(lift), lift])[3:-4]


def _nose_details(canvas: Canvas, shape: Shape, side: int, z: Array, old: float) -> None:
    sign = -1 if side == 0 else 1
    p = shape.points
    ala = p[(129, 358)[side], :2]
    base = p[(98, 327)[side], :2]
    z += 2.0 * canvas.spot(ala[0] - sign * 4.5, ala[1] + 2.0, 3.8, 4.6)
    groove = spline(
        [ala + [-sign * 5, -8], ala + [sign * 0.3, -3], ala + [sign * 0.6, 3], base + [sign * 2, 1.5]], 40
    )
    z -= 1.5 * canvas.line(groove, 1.6, 1.0)
    mouth = p[(61, 291)[side], :2]
    fold = spline(
        [ala + [sign * 3, -2], ala + [sign * 10, 9], mouth + [sign * 7, -6], mouth + [sign * 8, 4]], 40
    )
    z -= (0.45 + 1.5 * old) * canvas.line(fold, 1.8, 1.5)
    z += (0.5 + 1.5 * old) * canvas.line(fold + [sign * 5, -2], 5.0, 3.0)
    z -= 0.9 * canvas.spot(mouth[0] + sign * 1.5, mouth[1] + 0.5, 2.0)
    if old > 0.3:
        jowl = spline([mouth + [sign * 3, 5], mouth + [sign * 5, 13], mouth + [sign * 5, 22]], 30)
        z -= 1.1 * (old - 0.3) * canvas.line(jowl, 2.0, 1.6)


def _mouth_details(canvas: Canvas, shape: Shape, z: Array) -> None:
    top, seam, bottom = shape.lips()
    lips = canvas.fill(np.vstack([top, bottom[::-1]]))
    z += 0.9 * canvas.blur(lips, 1.4)
    z += 0.35 * canvas.line(top, 1.2, 0.6)
    z -= 2.6 * canvas.line(seam, 1.0, 0.9)
    low = bottom[len(bottom) // 2]
    z += 0.9 * canvas.spot(low[0] - 7, low[1] - 4.5, 6, 2.6) + 0.9 * canvas.spot(
        low[0] + 7, low[1] - 4.5, 6, 2.6
    )
    z -= 1.6 * canvas.spot(low[0], low[1] + 4.0, 12, 2.8)
    nose, bow = shape.points[2, :2], shape.points[0, :2]
    for sign in (-1, 1):
        ridge = np.array([[nose[0] + 3.2 * sign, nose[1] + 2.5], [bow[0] + 4.5 * sign, bow[1] - 0.5]])
        z += 0.8 * canvas.line(ridge, 1.8, 1.1)
    z -= 0.8 * canvas.line(np.array([nose + [0, 3], bow + [0, -0.5]]), 2.2, 1.2)


def _forehead(canvas: Canvas, person: Person, z: Array, old: float) -> None:
    rng = stream(person.seed, "drawn_face", "wrinkles")
    if person.gender == "m":
        for sign in (-1, 1):
            z += 1.3 * canvas.spot(sign * 20, -22, 13, 4.5)
    for row in range(4):
        wobble = rng.normal(0, 0.8, 5)
        x = np.linspace(-36, 36, 5) + rng.normal(0, 3)
        line = spline(np.column_stack([x, -38.0 - 8 * row + wobble - 0.002 * x**2]), 50)
        z -= 0.55 * max(0.0, old - 0.15) * canvas.line(line, 1.2, 0.9)


def _neck(canvas: Canvas, person: Person) -> tuple[Array, Array]:
    half = 47.0 if person.gender == "f" else 58.0
    outline = [
        (-half - 2, 60),
        (-half, 110),
        (-half - 3, 135),
        (-half - 40, 172),
        (half + 40, 172),
        (half + 3, 135),
    ]
    outline += [(half, 110), (half + 2, 60)]
    x, y = canvas.grid_mm()
    wide = half + 3 + 30 * smoothstep(y, 120, 175)
    round_ = np.sqrt(np.clip(1 - (x / wide) ** 2, 0.0, 1))
    z = -112 + 60 * round_ - 0.1 * (y - 110)
    for sign in (-1, 1):
        muscle = spline([(sign * 44, 105), (sign * 30, 140), (sign * 9, 172)], 30)
        z += 3.0 * canvas.line(muscle, 8.0, 5.0)
    if person.gender == "m":
        z += 3.5 * canvas.spot(0, 137, 7, 8)
    z -= 4.0 * canvas.spot(0, 168, 8, 8)
    return canvas.fill(outline, 0.5), z.astype(np.float32)


def _torso(canvas: Canvas, person: Person) -> tuple[Array, Array]:
    """Shoulders in a garment with a round neck."""
    wide = 0.0 if person.gender == "m" else -8.0
    half = 56.0 if person.gender == "m" else 47.0
    low = 171.0 if person.gender == "f" else 164.0
    collar = spline([(-half - 7, 143), (-half + 4, 153), (-half * 0.45, low - 4), (0, low)], 40)
    right = collar[::-1][1:] * [-1, 1]
    shoulder = spline(
        [(160.0 + wide, 182.0), (125.0 + wide, 162.0), (half + 34, 151.0), (half + 7, 143.0)], 30
    )
    outline = np.vstack([collar, right, shoulder[::-1], [(170, 200), (-170, 200)], shoulder * [-1, 1]])
    x, y = canvas.grid_mm()
    z = -75 - 0.0035 * x**2 + 0.35 * (y - 150)
    edge = np.vstack([collar, right])
    z += 1.5 * canvas.line(edge + [0, 4], 6.0, 1.0)
    return canvas.fill(outline, 0.4), z.astype(np.float32)


def normals(height: Array, canvas: Canvas) -> Array:
    """Unit normals (H, W, 3) of a height field, (x right, y down, z to the viewer)."""
    scale = canvas.px_per_mm / 2
    dx = cv2.sepFilter2D(height, cv2.CV_32F, np.array([-1, 0, 1], np.float32) * scale, np.ones(1, np.float32))
    dy = cv2.sepFilter2D(height, cv2.CV_32F, np.ones(1, np.float32), np.array([-1, 0, 1], np.float32) * scale)
    n = np.stack([-dx, -dy, np.ones_like(dx)], axis=-1)
    return np.asarray(n / np.linalg.norm(n, axis=-1, keepdims=True), np.float32)


def _shifted(z: Array, dx: float, dy: float) -> Array:
    """Heights at (x + dx, y + dy), grid steps; the border repeats."""
    m = np.array([[1, 0, -dx], [0, 1, -dy]], np.float64)
    size = (z.shape[1], z.shape[0])
    return np.asarray(
        cv2.warpAffine(z, m, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def key_visibility(depth: Array) -> Array:
    """Share 0..1 of the key soft box that each point sees, on the light grid (ray march over the heights)."""
    z = _reduced(depth)
    step_mm = 326.0 / _LIGHT_PX
    seen = np.zeros_like(z)
    spread = (-0.16, 0.0, 0.16)
    for du in spread:
        for dv in spread:
            d = KEY + np.array([du, dv, 0])
            flat = np.hypot(d[0], d[1])
            ux, uy, rise = d[0] / flat, d[1] / flat, d[2] / flat * step_mm
            lit = np.ones_like(z)
            for k in (1.5, 2.5, 4, 6, 8, 11, 14, 18, 23, 29, 36, 44):
                over = _shifted(z, ux * k, uy * k) - (z + rise * k)
                lit = np.minimum(lit, np.clip(1 - over / 2.5, 0, 1))
            seen += lit
    return _enlarged(seen / len(spread) ** 2, depth.shape[0])


def sky_visibility(depth: Array) -> Array:
    """Share 0..1 of the surroundings that each point sees, more of them above (horizons in 12 directions)."""
    z = _reduced(depth)
    step_mm = 326.0 / _LIGHT_PX
    total, weight = np.zeros_like(z), 0.0
    for a in np.arange(12) * np.pi / 6:
        horizon = np.zeros_like(z)
        for k in (1.0, 2.0, 3.5, 5.5, 8.5, 13.0, 20.0):
            tangent = (_shifted(z, np.cos(a) * k, np.sin(a) * k) - z) / (k * step_mm)
            horizon = np.maximum(horizon, tangent)
        w = 1.0 - 0.45 * np.sin(a)
        total += w * (1 - horizon / np.sqrt(1 + horizon**2))
        weight += w
    return _enlarged(total / weight, depth.shape[0])


def _reduced(z: Array) -> Array:
    return np.asarray(cv2.resize(z, (_LIGHT_PX, _LIGHT_PX), interpolation=cv2.INTER_AREA), np.float32)


def _enlarged(image: Array, side_px: int) -> Array:
    large = cv2.resize(image.astype(np.float32), (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    return np.clip(Canvas(side_px).blur(large, 1.6), 0, 1)


def irradiance(n: Array, key_seen: Array, sky_seen: Array, canvas: Canvas, *, skin: bool = True) -> Array:
    """Light (H, W, 3) that arrives at a surface with normals ``n``; ``skin`` adds scattering under the surface."""
    wrap = _WRAP if skin else np.zeros(3, np.float32)
    key = KEY / np.linalg.norm(KEY)
    fill = FILL / np.linalg.norm(FILL)
    facing_key, facing_fill = n @ key.astype(np.float32), n @ fill.astype(np.float32)
    out = np.empty((*facing_key.shape, 3), np.float32)
    ambient = AMBIENT_GAIN * sky_seen * (0.88 - 0.12 * n[..., 1])
    for c in range(3):
        lit = np.clip((facing_key + wrap[c]) / (1 + wrap[c]), 0, 1)
        soft = np.clip((facing_fill + wrap[c]) / (1 + wrap[c]), 0, 1)
        shadow = np.clip(key_seen, 0, 1) ** (1 - 0.8 * wrap[c])
        light = KEY_GAIN * 1.25 * lit * shadow + FILL_GAIN * soft * (0.4 + 0.6 * sky_seen) + ambient
        out[..., c] = canvas.blur(light, _BLEED_MM[c]) if skin else light
    return out


def highlight(n: Array, light: np.ndarray, power: float) -> Array:
    """Blinn-Phong lobe of one light for a viewer in front."""
    half = light / np.linalg.norm(light) + np.array([0, 0, 1.0])
    half = (half / np.linalg.norm(half)).astype(np.float32)
    return np.asarray(np.clip(n @ half, 0, 1) ** power, np.float32)
