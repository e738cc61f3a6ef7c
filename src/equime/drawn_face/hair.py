"""Hair of the head, beards and headscarves."""

from __future__ import annotations

from typing import Final

import numpy as np

from equime.drawn_face.canvas import Array, Canvas, Points, hex_linear, mix, smoothstep, spline
from equime.drawn_face.person import Person
from equime.drawn_face.shape import Shape
from equime.drawn_face.skin import beard_zone
from equime.drawn_face.strokes import strand_layer
from equime.seeding import stream

_COLOUR: Final = {
    "black": "#1d1816",
    "dark_brown": "#34241b",
    "brown": "#5a3f2b",
    "auburn": "#6a3a22",
    "blond": "#b08d5e",
    "red": "#97522a",
    "grey": "#8d8a87",
    "white": "#cbc8c2",
}
"""Hair in even light, sRGB."""

_STRANDS_PER_SHEET: Final = 2600


def hair_colour(person: Person) -> Array:
    """Reflectance (3,) of the hair of the head."""
    return hex_linear(_COLOUR[person.hair_colour])


def brow_colour(person: Person) -> Array:
    """Brows: like the hair, but darker when the hair is light, and never as dark as ink."""
    colour = hair_colour(person)
    light = float(colour.mean())
    keep = 0.55 if light > 0.12 else 1.0
    return np.asarray(colour * keep + 0.004, np.float32)


def _mirror(points: Points, side: int) -> Points:
    return np.asarray(points * [side, 1.0])


def _sheet(
    canvas: Canvas,
    person: Person,
    name: str,
    guides: Points,
    *,
    n: int = _STRANDS_PER_SHEET,
    wave_mm: float = 0.8,
    frizz: float = 0.8,
    shade: tuple[float, float] = (0.8, 1.1),
    width_mm: float = 0.42,
    gloss_at: float = 0.3,
) -> tuple[Array, Array]:
    """Strands between guide curves (G, P, 2), from the first to the last guide, with clumps and a glossy band."""
    rng = stream(person.seed, "drawn_face", "hair", name)
    u = np.sort(rng.random(n)) * (len(guides) - 1)
    dense = np.array([spline(g, 28) for g in guides])
    i = np.minimum(u.astype(int), len(guides) - 2)
    f = (u - i)[:, None, None]
    path = dense[i] * (1 - f) + dense[i + 1] * f
    t = np.linspace(0, 1, 28)
    clump_u = np.linspace(0, 1, 61)
    clump = np.interp(u / (len(guides) - 1), clump_u, rng.normal(0, 1, 61))
    phase = np.interp(u / (len(guides) - 1), clump_u, rng.uniform(0, 6.3, 61)) + rng.normal(0, 0.3, n)
    swing = wave_mm * np.sin(phase[:, None] + t * 11) * t
    path[..., 0] += swing + rng.normal(0, frizz, (n, 1)) * (0.3 + t) + clump[:, None] * 0.8 * t
    path[..., 1] += rng.normal(0, frizz, (n, 1)) + 0.5 * wave_mm * np.cos(phase[:, None] + t * 9) * t
    cut = rng.uniform(0.80, 1.0, n)
    colours = _strand_colours(person, rng, u / (len(guides) - 1), clump, shade, gloss_at)
    order = rng.permutation(n)
    paths = [path[k][: max(6, int(28 * cut[k]))] for k in order]
    return strand_layer(canvas, paths, rng.uniform(0.6, 1.2, n) * width_mm, colours[order])


def _strand_colours(
    person: Person,
    rng: np.random.Generator,
    u: Points,
    clump: Points,
    shade: tuple[float, float],
    gloss_at: float,
) -> Array:
    """(n, 9, 3) colours along the strands: clumps, random strands, and the band where the light is mirrored."""
    base = hair_colour(person)
    n, parts = len(u), 9
    level = shade[0] + (shade[1] - shade[0]) * u
    level = level * (1 + 0.22 * clump) * rng.uniform(0.6, 1.35, n)
    along = (np.arange(parts) + 0.5) / parts
    centre = gloss_at + 0.05 * clump + rng.normal(0, 0.05, n)
    gloss = np.exp(-(((along[None] - centre[:, None]) / 0.13) ** 2)) * rng.uniform(0.3, 1.0, (n, 1))
    dark = 1 - 0.35 * np.abs(along - gloss_at)
    diffuse = base * np.clip(level, 0.25, 2.0)[:, None, None] * dark[None, :, None]
    if person.hair_colour in ("grey", "white"):
        diffuse = diffuse * rng.choice([0.45, 1.0, 1.25], (n, 1, 1))
    mirrored = (0.55 * base + 0.055) * gloss[..., None]
    return np.asarray(diffuse + mirrored * np.clip(level, 0.3, 1.3)[:, None, None], np.float32)


def _lay(canvas: Canvas, image: Array, layer: tuple[Array, Array], under: Array | None = None) -> Array:
    """A hair layer over the picture, with its soft shadow on what lies below."""
    colour, alpha = layer
    cast = canvas.blur(alpha, 3.0)
    cast = np.roll(cast, (round(2.5 * canvas.px_per_mm), round(1.5 * canvas.px_per_mm)), (0, 1))
    out = image * (1 - 0.38 * cast * (1 - alpha))[..., None]
    if under is not None:
        solid = np.clip(canvas.blur(alpha, 0.8) * 2.2 - 0.5, 0, 1)
        out = mix(out, under, solid)
    return mix(out, colour, alpha)


def paint_back_hair(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """What hangs behind head and neck."""
    style = person.hair_style
    if style in ("long", "wavy"):
        return _long_back(canvas, person, shape, image)
    if style == "afro":
        return _afro(canvas, person, shape, image, "back")
    return image


def paint_front_hair(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Hair that lies on the head, in front of the skin."""
    style = person.hair_style
    if style in ("long", "wavy"):
        return _long_front(canvas, person, shape, image)
    if style in ("short", "swept"):
        return _short(canvas, person, shape, image)
    if style == "tied":
        return _tied(canvas, person, shape, image)
    if style == "buzz":
        return _buzz(canvas, person, shape, image)
    if style == "afro":
        return _afro(canvas, person, shape, image, "front")
    if style == "headscarf":
        return _headscarf(canvas, person, shape, image)
    return image


def _wide(shape: Shape) -> float:
    """Half width of the skull over the base face's."""
    return float(shape.skull[:, 0].max() / 74.0)


def _long_back(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    w = _wide(shape)
    wave = 3.5 if person.hair_style == "wavy" else 1.0
    out = image
    for side in (-1, 1):
        inner = [(10, -100), (40, -60), (52, 20), (50, 90), (46, 150), (44, 175)]
        outer = [(20, -118), (74, -84), (88, -10), (90, 70), (86, 135), (78, 178)]
        guides = np.array([_mirror(np.array(g) * [w, 1], side) for g in (inner, outer)], float)
        layer = _sheet(canvas, person, f"back{side}", guides, wave_mm=wave, shade=(0.35, 0.75), width_mm=0.6)
        out = _lay(canvas, out, layer, hair_colour(person) * 0.25)
    return out


def _long_front(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    rng = stream(person.seed, "drawn_face", "parting")
    w, h = _wide(shape), shape.hairline_y
    part = rng.uniform(-18, 18)
    wave = 3.5 if person.hair_style == "wavy" else 1.0
    out = image
    for side in (-1, 1):
        p = part * side
        guides = [
            [
                (p, h),
                (p + 26 * w, h + 9),
                (56 * w, h + 36),
                (66 * w, -5),
                (66 * w, 45),
                (63 * w, 100),
                (66 * w, 165),
            ],
            [
                (p, h - 18),
                (38 * w, h - 8),
                (66 * w, h + 26),
                (74 * w, -2),
                (76 * w, 50),
                (73 * w, 105),
                (72 * w, 168),
            ],
            [
                (p, h - 38),
                (40 * w, -104),
                (71 * w, -74),
                (84 * w, -20),
                (87 * w, 45),
                (86 * w, 105),
                (80 * w, 170),
            ],
            [
                (p, -119),
                (38 * w, -117),
                (74 * w, -86),
                (89 * w, -24),
                (93 * w, 45),
                (92 * w, 105),
                (86 * w, 172),
            ],
        ]
        sheet = np.array([_mirror(np.array(g), side) for g in guides], float)
        layer = _sheet(
            canvas, person, f"front{side}", sheet, n=4200, wave_mm=wave, gloss_at=0.26, shade=(0.85, 0.95)
        )
        out = _lay(canvas, out, layer, hair_colour(person) * 0.4)
    return out


def _tied(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Pulled back: strands run from the hairline up and back over the crown."""
    w, h = _wide(shape), shape.hairline_y
    out = image
    for side in (-1, 1):
        guides = [
            [(0, h), (0, h - 16), (0, h - 34), (0, -119)],
            [(24 * w, h + 3), (25 * w, h - 16), (22 * w, -106), (15 * w, -119)],
            [(46 * w, h + 17), (50 * w, h - 4), (46 * w, -98), (32 * w, -114)],
            [(58 * w, h + 36), (65 * w, h + 14), (64 * w, -84), (52 * w, -103)],
            [(64 * w, -12), (72 * w, -28), (76 * w, -56), (69 * w, -84)],
            [(66 * w, 8), (73 * w, -8), (77 * w, -30), (76 * w, -56)],
        ]
        sheet = np.array([_mirror(np.array(g), side) for g in guides], float)
        layer = _sheet(canvas, person, f"tied{side}", sheet, n=4200, wave_mm=0.3, frizz=0.5, gloss_at=0.45)
        out = _lay(canvas, out, layer, hair_colour(person) * 0.45)
    return out


def _short(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Short sides that lie down, and a top swept from a parting or up from the forehead."""
    w, h = _wide(shape), shape.hairline_y
    out = image
    for side in (-1, 1):
        guides = [
            [(56 * w, h + 32), (63 * w, h + 42), (66 * w, -12), (66 * w, 12)],
            [(58 * w, h + 8), (69 * w, h + 30), (72.5 * w, -14), (70 * w, 6)],
            [(56 * w, -100), (73 * w, -74), (78 * w, -36), (76 * w, -2)],
        ]
        sheet = np.array([_mirror(np.array(g), side) for g in guides], float)
        layer = _sheet(
            canvas, person, f"side{side}", sheet, n=2400, wave_mm=0.3, frizz=1.2, shade=(0.55, 0.8)
        )
        out = _lay(canvas, out, layer, hair_colour(person) * 0.35)
    if person.hair_style == "swept":
        guides_top = [
            [(-58 * w, h + 22), (-62 * w, h - 6), (-60 * w, -100), (-44 * w, -119)],
            [(-30 * w, h + 3), (-34 * w, h - 20), (-30 * w, -112), (-14 * w, -125)],
            [(0, h), (-2, h - 24), (2, -116), (14, -128)],
            [(30 * w, h + 3), (32 * w, h - 20), (36 * w, -110), (44 * w, -121)],
            [(58 * w, h + 22), (63 * w, h - 6), (64 * w, -96), (62 * w, -104)],
        ]
    else:
        guides_top = [
            [(52 * w, h - 10), (20, h - 6), (-24, h + 6), (-58 * w, h + 26)],
            [(51 * w, h - 16), (20, h - 20), (-28, h - 10), (-64 * w, h + 20)],
            [(50 * w, h - 26), (18, -109), (-32, -103), (-71 * w, -52)],
            [(48 * w, -104), (14, -122), (-40, -117), (-76 * w, -62)],
        ]
    layer = _sheet(canvas, person, "top", np.array(guides_top, float), n=5200, frizz=1.3, gloss_at=0.5)
    return _lay(canvas, out, layer, hair_colour(person) * 0.4)


def scalp_zone(canvas: Canvas, shape: Shape, soft_mm: float = 3.0) -> Array:
    """Where hair grows on the skull, 0..1."""
    w, h = _wide(shape), shape.hairline_y
    edge = [(66, 14), (64, -10), (59, -22), (57, h + 36), (50, h + 18), (30, h + 4), (12, h)]
    right = np.array([(a * w, b) for a, b in edge])
    line = spline(np.vstack([right, (right * [-1, 1])[::-1]]), 80)
    outline = np.vstack([line, [(-100, 20), (-100, -140), (100, -140), (100, 20)]])
    return np.asarray(canvas.fill(outline, soft_mm) * canvas.fill(shape.head_outline(), 0.2), np.float32)


def _buzz(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    rng = stream(person.seed, "drawn_face", "hair", "buzz")
    zone = scalp_zone(canvas, shape, 2.5)
    out = mix(image, image * 0.35 + hair_colour(person) * 0.35, zone * 0.78)
    roots = np.column_stack([rng.uniform(-80, 80, 16000), rng.uniform(-118, 20, 16000)])
    return _dots(canvas, person, rng, out, zone, roots, (0.6, 1.6))


def _dots(
    canvas: Canvas,
    person: Person,
    rng: np.random.Generator,
    image: Array,
    zone: Array,
    roots: Points,
    length_mm: tuple[float, float],
) -> Array:
    """Very short hairs where ``zone`` allows them."""
    px = np.clip(np.round(canvas.to_px(roots)).astype(int), 0, canvas.side_px - 1)
    roots = roots[zone[px[:, 1], px[:, 0]] > rng.random(len(roots))]
    length = rng.uniform(*length_mm, len(roots))
    angle = np.pi / 2 + rng.normal(0, 0.5, len(roots)) - np.clip(roots[:, 0] / 70, -1, 1) * 0.5
    tips = roots + np.column_stack([np.cos(angle), np.sin(angle)]) * length[:, None]
    colours = brow_colour(person) * rng.uniform(0.5, 1.3, (len(roots), 1))
    layer, alpha = strand_layer(canvas, list(np.stack([roots, tips], 1)), np.full(len(roots), 0.2), colours)
    return mix(image, layer, alpha * 0.75)


def _afro(canvas: Canvas, person: Person, shape: Shape, image: Array, part: str) -> Array:
    """Tight curls as small arcs inside a rounded cloud."""
    rng = stream(person.seed, "drawn_face", "hair", "afro", part)
    w, h = _wide(shape), shape.hairline_y
    big = 1.22 if person.gender == "f" else 1.04
    x, y = canvas.grid_mm()
    wobble = 0.035 * canvas.noise(rng, 9) + 0.03 * canvas.noise(rng, 3.5)
    cloud = np.hypot(x / (82 * w * big), (y + 52) / (78 * big)) + wobble
    body = np.asarray(smoothstep(cloud, 1.02, 0.95), np.float32)
    if part == "front":
        body = body * np.maximum(scalp_zone(canvas, shape, 2.0), 1 - canvas.fill(shape.head_outline(), 1.5))
        body = body * smoothstep(y, 32, 4)
    light = np.clip(1.15 - 0.75 * np.hypot((x + 20) / 110, (y + 95) / 110), 0.25, 1.2)
    base = hair_colour(person)
    lumps = 1 + 0.25 * canvas.noise(rng, 4.0) + 0.2 * canvas.noise(rng, 1.5)
    out = image * (1 - 0.4 * canvas.blur(body, 4.0) * (1 - body))[..., None] if part == "front" else image
    out = mix(out, base * (0.55 * light * np.clip(lumps, 0.2, 2))[..., None], body)
    n = 9000
    roots = np.column_stack([rng.uniform(-115, 115, n), rng.uniform(-155, 40, n)])
    px = np.clip(np.round(canvas.to_px(roots)).astype(int), 0, canvas.side_px - 1)
    inside = np.clip(canvas.blur(body, 1.0) * 1.2, 0, 1)[px[:, 1], px[:, 0]] > rng.uniform(0.05, 1, n)
    roots, level = roots[inside], light[px[:, 1], px[:, 0]][inside]
    turn = np.linspace(0, 1, 9)
    start, sweep = rng.uniform(0, 6.3, len(roots)), rng.uniform(2.5, 5.5, len(roots))
    radius = rng.uniform(0.8, 2.2, len(roots))
    a = start[:, None] + sweep[:, None] * turn
    arcs = roots[:, None] + np.stack([np.cos(a), np.sin(a)], -1) * radius[:, None, None]
    colours = base * (level * rng.uniform(0.5, 2.0, len(roots)))[:, None] + 0.01 * level[:, None]
    layer, alpha = strand_layer(canvas, list(arcs), rng.uniform(0.25, 0.45, len(roots)), colours)
    return mix(out, layer, alpha * 0.9)


def _headscarf(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Cloth around the face, down over neck and shoulders, with folds."""
    rng = stream(person.seed, "drawn_face", "hair", "scarf")
    w, h = _wide(shape), shape.hairline_y
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


def paint_beard(canvas: Canvas, person: Person, shape: Shape, image: Array) -> Array:
    """Stubble as dots, a beard as short strands, by the beard's zone."""
    if person.beard == "none":
        return image
    rng = stream(person.seed, "drawn_face", "beard")
    zone = beard_zone(canvas, shape)
    p = shape.points
    if person.beard == "moustache":
        _, y = canvas.grid_mm()
        zone = zone * smoothstep(y, p[13, 1] + 5, p[13, 1] + 1)
    roots = np.column_stack([rng.uniform(-72, 72, 14000), rng.uniform(0, p[152, 1] + 2, 14000)])
    if person.beard == "stubble":
        return _dots(canvas, person, rng, image, zone * 0.7, roots, (0.4, 1.3))
    return _full(canvas, person, rng, image, zone, roots, p)


def _full(
    canvas: Canvas,
    person: Person,
    rng: np.random.Generator,
    image: Array,
    zone: Array,
    roots: Points,
    p: Points,
) -> Array:
    colour = brow_colour(person)
    out = mix(image, colour * 0.8, zone * 0.62)
    px = np.clip(np.round(canvas.to_px(roots)).astype(int), 0, canvas.side_px - 1)
    roots = roots[zone[px[:, 1], px[:, 0]] > rng.random(len(roots))]
    side = np.clip(roots[:, 0] / 22, -1, 1)
    lip = roots[:, 1] < p[13, 1] - 1
    angle = np.pi / 2 - np.where(lip & (np.abs(roots[:, 0]) < 28), 0.85 * side, 0.30 * side)
    angle = angle + rng.normal(0, 0.30, len(roots))
    length = np.where(lip & (np.abs(roots[:, 0]) < 28), 4.0, 6.0) * rng.uniform(0.6, 1.2, len(roots))
    t = np.linspace(0, 1, 5)[None, :, None]
    d = np.stack([np.cos(angle), np.sin(angle)], -1)[:, None] * length[:, None, None]
    bend = (
        np.stack([-np.sin(angle), np.cos(angle)], -1)[:, None]
        * (rng.normal(0, 0.12, len(roots)) * length)[:, None, None]
    )
    paths = roots[:, None] + d * t + bend * t**2
    colours = colour * rng.uniform(0.4, 1.7, (len(roots), 1)) + 0.012 * rng.random((len(roots), 1))
    layer, alpha = strand_layer(canvas, list(paths), rng.uniform(0.18, 0.32, len(roots)), colours)
    return mix(out, layer, alpha * 0.85)
