"""Hair of the head: sheets of strands between guide curves, fields of short hair, curls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from equime.drawn_face.canvas import Array, Canvas, Points, hex_linear, mix, smoothstep, spline
from equime.drawn_face.person import Person
from equime.drawn_face.relief import KEY
from equime.drawn_face.scarf import paint_headscarf
from equime.drawn_face.shape import Shape
from equime.drawn_face.strokes import bezier, draw_strands
from equime.seeding import stream

_COLOUR: Final = {
    "black": "#1b1614",
    "dark_brown": "#33231a",
    "brown": "#553a27",
    "auburn": "#64361f",
    "blond": "#a8855a",
    "red": "#84502f",
    "grey": "#8a8784",
    "white": "#c6c3bd",
}
"""Hair in even light, sRGB."""

_GLOSS: Final = 0.048
"""Light that the strand's surface mirrors at its brightest."""

_PARTS: Final = 32
"""Points and colours along a strand of a sheet."""

_VOLUME_MM: Final = np.array([92.0, 88.0])
"""Half axes of the hair's rounded form around (0, -40) mm, which shades it."""


def hair_colour(person: Person) -> Array:
    """Reflectance (3,) of the hair of the head."""
    return hex_linear(_COLOUR[person.hair_colour])


def brow_colour(person: Person) -> Array:
    """Brows and beard: like the hair, but darker when the hair is light, and never as dark as ink."""
    colour = hair_colour(person)
    keep = 0.50 if float(colour.mean()) > 0.12 else 0.85
    return np.asarray(colour * keep + 0.004, np.float32)


@dataclass(frozen=True)
class Sheet:
    """How the strands between the guide curves look.

    Attributes:
        n: strands.
        wave_mm: amplitude of the waves towards the tips.
        frizz_mm: how far strands stray from the guides.
        ragged: share of the length by which strands end early.
        level: brightness of the first and of the last guide.
    """

    n: int = 5200
    wave_mm: float = 0.8
    frizz_mm: float = 0.7
    ragged: float = 0.14
    level: tuple[float, float] = (0.9, 1.0)


def strand_colours(person: Person, rng: np.random.Generator, paths: Points, level: Points) -> Array:
    """(n, points, 3) light reflected along strands: soft form shading and the gloss across them.

    The gloss is the mirror cone of a fibre (Kajiya & Kay 1989): bright where the strand, which follows the
    rounded form, is at right angles to the half vector of light and eye.
    """
    form = (paths - [0.0, -40.0]) / _VOLUME_MM
    form[..., 1] = np.minimum(form[..., 1], 0.10)
    flat = np.minimum(np.linalg.norm(form, axis=-1, keepdims=True), 0.96)
    form = form / np.maximum(np.linalg.norm(form, axis=-1, keepdims=True), 1e-6) * flat
    n = np.concatenate([form, np.sqrt(1 - flat**2)], axis=-1)
    tangent = np.gradient(paths, axis=1)
    tz = -(tangent * n[..., :2]).sum(-1) / np.maximum(n[..., 2], 0.28)
    t = np.concatenate([tangent, tz[..., None]], axis=-1)
    t += rng.normal(0, 0.10, (len(paths), 1, 3)) * np.linalg.norm(t, axis=-1, keepdims=True)
    t /= np.maximum(np.linalg.norm(t, axis=-1, keepdims=True), 1e-6)
    light = KEY / np.linalg.norm(KEY)
    half = light + np.array([0, 0, 1.0])
    half /= np.linalg.norm(half)
    gloss = np.clip(1 - (t @ half) ** 2, 0, 1) ** 26 * smoothstep(n @ light, 0.0, 0.8)
    diffuse = 0.42 + 0.75 * np.clip(n @ light, 0, 1)
    base = hair_colour(person) * level[:, None]
    if person.hair_colour in ("grey", "white"):
        base = base * rng.choice([0.45, 1.0, 1.25], (len(paths), 1))
    tint = 0.65 + 0.35 * hair_colour(person) / hair_colour(person).max()
    mirrored = (0.6 * hair_colour(person) + _GLOSS * tint) * np.clip(level, 0.3, 1.4)[:, None]
    return np.asarray(base[:, None] * diffuse[..., None] + mirrored[:, None] * gloss[..., None], np.float32)


def _sheet(canvas: Canvas, person: Person, image: Array, name: str, guides: Points, look: Sheet) -> Array:
    """Strands between guide curves (G, P, 2), over a dark layer and a soft shadow on what lies below."""
    rng = stream(person.seed, "drawn_face", "hair", name)
    # A coarse picture cannot show every strand: fewer, wider ones.
    share = float(np.clip(canvas.px_per_mm / 2.4, 0.3, 1.0))
    n = int(look.n * share)
    u = np.sort(rng.random(n))
    between = PchipInterpolator(np.linspace(0, 1, len(guides)), [spline(g, _PARTS) for g in guides], axis=0)
    dense, path = between(np.linspace(0, 1, 30)), between(u)
    clump, fine = _along(rng, u, 26), _along(rng, u, 160)
    path = path + _stray(rng, u, clump, look)
    path = _cut(path[:, ::-1], 1 - 0.035 * rng.random(n) ** 2)[:, ::-1]
    path = _cut(path, 1 - look.ragged * rng.random(n) ** 1.5 - 0.04 * np.abs(fine))
    level = look.level[0] + (look.level[1] - look.level[0]) * u
    level = level * (1 + 0.13 * clump + 0.14 * fine) * rng.uniform(0.65, 1.35, n)
    order = rng.permutation(n)
    colours = strand_colours(person, rng, path, np.clip(level, 0.2, 2.0))
    starts, ends = dense[::-1, 0], dense[:, -1]
    body = canvas.fill(np.vstack([dense[0], ends, dense[-1][::-1], starts]), 1.5)
    out = shade_below(canvas, image, body)
    out = mix(out, hair_colour(person) * 0.38, body * 0.96)
    widths = rng.uniform(0.20, 0.38, n) / share**0.7
    return draw_strands(canvas, out, path[order], widths, colours[order], 0.9)[0]


def _along(rng: np.random.Generator, u: Points, n_knots: int) -> Points:
    """Smooth noise over the order of the strands: hair hangs together in locks."""
    return np.asarray(np.interp(u, np.linspace(0, 1, n_knots), rng.normal(0, 1, n_knots)))


def _stray(rng: np.random.Generator, u: Points, clump: Points, look: Sheet) -> Points:
    t = np.linspace(0, 1, _PARTS)
    n = len(u)
    phase = (2.5 * _along(rng, u, 14) + rng.normal(0, 0.25, n))[:, None]
    away = rng.normal(0, look.frizz_mm, (n, 2))
    flying = (rng.random(n) < 0.02) * rng.normal(0, 4.5 * look.frizz_mm, n)
    dx = look.wave_mm * np.sin(phase + t * 10) * t + away[:, :1] * (0.25 + t) + clump[:, None] * 0.9 * t
    dx = dx + flying[:, None] * np.sin(np.pi * t * rng.uniform(0.5, 1.6, (n, 1))) * t
    dy = 0.5 * look.wave_mm * np.cos(phase + t * 9) * t + away[:, 1:] * (0.6 + 0.4 * t)
    return np.stack([dx, dy], axis=-1)


def _cut(path: Points, keep: Points) -> Points:
    """Strands shortened to the share ``keep`` of their length, same number of points."""
    where = np.clip(keep, 0.3, 1.0)[:, None] * np.linspace(0, path.shape[1] - 1, path.shape[1])
    low = np.minimum(where.astype(int), path.shape[1] - 2)
    f = (where - low)[..., None]
    rows = np.arange(len(path))[:, None]
    return np.asarray(path[rows, low] * (1 - f) + path[rows, low + 1] * f)


def shade_below(canvas: Canvas, image: Array, mask: Array, strength: float = 0.42) -> Array:
    """Soft shadow that a layer casts down and to the right, away from the key light."""
    cast = canvas.blur(mask, 3.0)
    cast = canvas.shift(cast, 1.2, 2.2)
    return np.asarray(image * (1 - strength * cast)[..., None], np.float32)


def paint_back_hair(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """What hangs behind head and neck."""
    if person.hair_style in ("long", "wavy"):
        return _long_back(canvas, person, shape, image)
    if person.hair_style == "afro":
        return _afro(canvas, person, shape, image, "back")
    return image


def paint_front_hair(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Hair that lies on the head, in front of the skin."""
    paint = _FRONT.get(person.hair_style)
    return paint(canvas, person, shape, image) if paint else image


def _wide(shape: Shape) -> float:
    """Half width of the skull over the base face's."""
    return float(shape.skull[:, 0].max() / 74.0)


def _both_sides(guides: Any, side: int) -> Points:
    return np.asarray(np.array(guides, float) * [side, 1.0])


def _wave(person: Person) -> float:
    return 3.6 if person.hair_style == "wavy" else 1.0


def _long_back(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    w = _wide(shape)
    out = image
    for side in (-1, 1):
        inner = [(4.0, -100.0), (20, -60), (26, 20), (28, 90), (30, 140), (32, 178)]
        outer = [(20 * w, -118.0), (74 * w, -84), (86 * w, -10), (87 * w, 70), (84 * w, 130), (80 * w, 182)]
        look = Sheet(n=3600, wave_mm=_wave(person), level=(0.25, 0.6))
        out = _sheet(canvas, person, out, f"back{side}", _both_sides([inner, outer], side), look)
    return out


def _long_front(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    rng = stream(person.seed, "drawn_face", "parting")
    w, h = _wide(shape), shape.hairline_y
    part = float(rng.uniform(-16, 16))
    look = Sheet(n=6000, wave_mm=_wave(person), ragged=0.10)
    out = image
    for side in (-1, 1):
        p = part * side
        guides = [
            [
                (p, h - 1),
                (p + 24 * w, h + 9),
                (55 * w, h + 36),
                (65 * w, -2),
                (65 * w, 45),
                (62 * w, 100),
                (66 * w, 165),
            ],
            [
                (p, h - 18),
                (38 * w, h - 6),
                (66 * w, h + 28),
                (74 * w, -2),
                (76 * w, 50),
                (73 * w, 105),
                (73 * w, 170),
            ],
            [
                (p, h - 36),
                (42 * w, -101),
                (71 * w, -72),
                (83 * w, -20),
                (85 * w, 45),
                (83 * w, 105),
                (80 * w, 174),
            ],
            [
                (p, -120),
                (40 * w, -116),
                (74 * w, -85),
                (87 * w, -24),
                (90 * w, 45),
                (89 * w, 105),
                (85 * w, 178),
            ],
        ]
        out = _sheet(canvas, person, out, f"front{side}", _both_sides(guides, side), look)
    return out


def _tied(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Pulled back: strands run from the hairline up and back over the crown."""
    w, h = _wide(shape), shape.hairline_y
    look = Sheet(n=6500, wave_mm=0.2, frizz_mm=0.5, ragged=0.02, level=(1.0, 0.8))
    out = image
    for side in (-1, 1):
        guides = [
            [(-1, h), (-1, h - 16), (-1, h - 34), (-1, -119)],
            [(24 * w, h + 3), (25 * w, h - 16), (22 * w, -106), (15 * w, -119)],
            [(45 * w, h + 15), (49 * w, h - 6), (46 * w, -98), (32 * w, -114)],
            [(57 * w, h + 34), (64 * w, h + 12), (64 * w, -84), (52 * w, -103)],
            [(62 * w, -16), (71 * w, -30), (75 * w, -56), (69 * w, -84)],
            [(65 * w, 6), (72 * w, -10), (77 * w, -32), (76 * w, -56)],
        ]
        out = _sheet(canvas, person, out, f"tied{side}", _both_sides(guides, side), look)
    return out


def _swept(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Clipped sides and a top combed up and over."""
    w, h = _wide(shape), shape.hairline_y
    out = _sides(canvas, person, shape, image, (3.0, 7.0))
    guides = [
        [(-54 * w, h + 20), (-62 * w, h - 4), (-63 * w, -98), (-46 * w, -116)],
        [(-34 * w, h + 3), (-41 * w, h - 18), (-38 * w, -114), (-14 * w, -124)],
        [(-2, h + 1), (-10, h - 22), (-6, -118), (16, -129)],
        [(28 * w, h + 2), (24 * w, h - 18), (32 * w, -112), (50 * w, -119)],
        [(54 * w, h + 20), (58 * w, h - 4), (66 * w, -96), (68 * w, -98)],
    ]
    look = Sheet(n=8000, wave_mm=1.2, frizz_mm=1.5, ragged=0.22)
    return _sheet(canvas, person, out, "top", np.array(guides, float), look)


def scalp_zone(canvas: Canvas, shape: Shape, soft_mm: float = 3.0, grow_mm: float = 0.0) -> Array:
    """Where hair grows on the skull, 0..1; ``grow_mm`` lets it stand off the silhouette."""
    w, h = _wide(shape), shape.hairline_y
    edge = [(68, 16), (65, -4), (61, -18), (57.5, h + 38), (53, h + 16), (40, h + 4), (22, h + 2), (8, h)]
    right = np.array([(a * w, b) for a, b in edge])
    line = spline(np.vstack([right, (right * [-1, 1])[::-1]]), 80)
    outline = np.vstack([line, [(-100, 20), (-100, -140), (100, -140), (100, 20)]])
    skull = shape.head_outline() * [1 + grow_mm / 74, 1.0] + [0, -0.012 * grow_mm]
    skull[:, 1] -= grow_mm * smoothstep(skull[:, 1], -20, -110)
    return np.asarray(canvas.fill(outline, soft_mm) * canvas.fill(skull, 0.3 + 0.2 * grow_mm), np.float32)


def _roots(canvas: Canvas, rng: np.random.Generator, zone: Array, n: int) -> Points:
    """``n`` tries spread over the head, kept where ``zone`` allows them."""
    roots = np.column_stack([rng.uniform(-88, 88, n), rng.uniform(-132, 24, n)])
    px = np.clip(np.round(canvas.to_px(roots)).astype(int), 0, canvas.side_px - 1)
    return np.asarray(roots[zone[px[:, 1], px[:, 0]] > rng.random(n)])


def _sides(
    canvas: Canvas, person: Person, shape: Shape, image: Array, length_mm: tuple[float, float]
) -> Array:
    """Short hair that lies down and back over the temples, thinning out at its edge."""
    rng = stream(person.seed, "drawn_face", "hair", "sides")
    zone = scalp_zone(canvas, shape, 2.2, 2.5)
    out = shade_below(canvas, image, zone, 0.25)
    out = mix(out, hair_colour(person) * 0.55, zone * 0.88)
    roots = _roots(canvas, rng, zone, 16000)
    side = np.sign(roots[:, 0])
    length = rng.uniform(*length_mm, len(roots))[:, None]
    angle = np.pi / 2 + side * 0.10 + rng.normal(0, 0.22, len(roots))
    d = np.column_stack([np.cos(angle), np.sin(angle)])
    paths = bezier(roots, roots + d * length * 0.5, roots + d * length + rng.normal(0, 0.5, roots.shape), 6)
    return _field(canvas, person, rng, out, paths)


def _field(canvas: Canvas, person: Person, rng: np.random.Generator, image: Array, paths: Points) -> Array:
    """Draws short strands, those further down first, so that upper ones lie over lower ones."""
    order = np.argsort(-paths[:, 0, 1] + rng.normal(0, 4.0, len(paths)))
    paths = paths[order]
    colours = strand_colours(person, rng, paths, rng.uniform(0.4, 1.35, len(paths)))
    return draw_strands(canvas, image, paths, rng.uniform(0.20, 0.36, len(paths)), colours, 0.85)[0]


def _short(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Short sides and a longer top that falls away from a side parting."""
    rng = stream(person.seed, "drawn_face", "hair", "short")
    w, h = _wide(shape), shape.hairline_y
    out = _sides(canvas, person, shape, image, (4.0, 8.0))
    _, y = canvas.grid_mm()
    part = 34.0 * w
    top = scalp_zone(canvas, shape, 1.2, 6.5) * smoothstep(y, h + 34, h + 18)
    out = mix(shade_below(canvas, out, top, 0.3), hair_colour(person) * 0.45, top * 0.95)
    roots = _roots(canvas, rng, top, 12000)
    away = roots[:, 0] - part
    over = np.tanh(away / 9)
    dome = np.clip(roots[:, 0] / (78 * w), -1, 1)
    lift = -0.20 * np.exp(-(((roots[:, 1] - h) / 14) ** 2))
    d = np.column_stack([over * (1 - 0.85 * np.abs(dome) ** 1.5), 0.12 + lift + 0.85 * np.abs(dome) ** 2])
    d = d / np.linalg.norm(d, axis=1, keepdims=True)
    lock = np.sin(roots[:, 1] * 0.9 + 3 * np.sin(roots[:, 0] * 0.07) + rng.uniform(0, 6)) * 0.14
    angle = np.arctan2(d[:, 1], d[:, 0]) + lock + rng.normal(0, 0.13, len(roots))
    d = np.column_stack([np.cos(angle), np.sin(angle)])
    length = (rng.uniform(14, 26, len(roots)) * np.clip(1.1 - np.abs(dome) * 0.6, 0.3, 1))[:, None]
    fall = np.column_stack([np.zeros(len(roots)), 0.22 * length[:, 0]])
    paths = bezier(roots, roots + d * length * 0.5 - 0.2 * fall, roots + d * length + fall, 9)
    return _field(canvas, person, rng, out, paths)


def _buzz(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    rng = stream(person.seed, "drawn_face", "hair", "buzz")
    zone = scalp_zone(canvas, shape, 2.5)
    out = mix(image, image * 0.30 + hair_colour(person) * 0.30, zone * 0.80)
    roots = _roots(canvas, rng, zone, 26000)
    return draw_dots(canvas, person, rng, out, roots, (0.7, 1.8))


def draw_dots(
    canvas: Canvas,
    person: Person,
    rng: np.random.Generator,
    image: Array,
    roots: Points,
    length_mm: tuple[float, float],
) -> Array:
    """Very short hairs that point down and outwards."""
    n = len(roots)
    angle = np.pi / 2 + rng.normal(0, 0.5, n) - np.clip(roots[:, 0] / 70, -1, 1) * 0.5
    tips = roots + np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(*length_mm, n)[:, None]
    colours = brow_colour(person) * rng.uniform(0.5, 1.3, (n, 1))
    return draw_strands(canvas, image, np.stack([roots, tips], 1), np.full(n, 0.16), colours, 0.7)[0]


def _afro(canvas: Canvas, person: Person, shape: Shape, image: Array, part: str = "front") -> Array:
    """Tight curls as small arcs inside a rounded cloud."""
    rng = stream(person.seed, "drawn_face", "hair", "afro", part)
    w = _wide(shape)
    big = 1.20 if person.gender == "f" else 1.03
    x, y = canvas.grid_mm()
    wobble = 0.020 * canvas.noise(rng, 10) + 0.016 * canvas.noise(rng, 3.5)
    cloud = np.hypot(x / (82 * w * big), (y + 52) / (78 * big)) + wobble
    body = np.asarray(smoothstep(cloud, 1.02, 0.95), np.float32)
    if part == "front":
        behind = 1 - canvas.fill(shape.head_outline(), 1.5)
        body = body * np.maximum(scalp_zone(canvas, shape, 2.0), behind) * smoothstep(y, 26, -2)
        image = shade_below(canvas, image, body, 0.35)
    light = np.clip(1.20 - 0.85 * np.hypot((x + 22) / 110, (y + 98) / 110), 0.22, 1.2)
    lumps = 1 + 0.22 * canvas.noise(rng, 5.0) + 0.16 * canvas.noise(rng, 1.8)
    out = mix(image, hair_colour(person) * (0.5 * light * np.clip(lumps, 0.2, 2))[..., None], body)
    n = 26000
    roots = np.column_stack([rng.uniform(-115, 115, n), rng.uniform(-155, 40, n)])
    px = np.clip(np.round(canvas.to_px(roots)).astype(int), 0, canvas.side_px - 1)
    inside = np.clip(canvas.blur(body, 1.0) * 1.15, 0, 1)[px[:, 1], px[:, 0]] > rng.uniform(0.2, 1, n)
    roots, level = roots[inside], light[px[:, 1], px[:, 0]][inside]
    arcs = _curls(rng, roots)
    bright = rng.uniform(0.3, 1.0, len(roots)) ** 2 * 3.0
    colours = hair_colour(person) * (level * (0.4 + bright))[:, None] + 0.012 * (level * bright)[:, None]
    return draw_strands(canvas, out, arcs, rng.uniform(0.18, 0.34, len(roots)), colours, 0.8)[0]


def _curls(rng: np.random.Generator, roots: Points) -> Points:
    turn = np.linspace(0, 1, 9)
    a = rng.uniform(0, 6.3, len(roots))[:, None] + rng.uniform(2.0, 5.0, len(roots))[:, None] * turn
    radius = rng.uniform(0.6, 1.9, len(roots))[:, None, None]
    return np.asarray(roots[:, None] + np.stack([np.cos(a), np.sin(a)], -1) * radius)


_FRONT: Final[dict[str, Callable[[Canvas, Person, Shape, Array], Array]]] = {
    "long": _long_front,
    "wavy": _long_front,
    "short": _short,
    "swept": _swept,
    "tied": _tied,
    "buzz": _buzz,
    "afro": _afro,
    "headscarf": paint_headscarf,
}
"""What paints each style; a bald head needs nothing."""
