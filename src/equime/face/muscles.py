"""Muscles: what each Action Unit does to the skin, in millimetres.

Three kinds after Waters (1987, *A muscle model for animating three-dimensional facial expression*): *linear*
muscles pull the skin at their insertion towards a bony origin, *sheet* muscles move a patch of skin along
their fibres, *sphincters* draw an ellipse of skin together. Zones end in cosine fall-offs and are exactly
zero outside, so that an AU moves nothing but its own region. The lids are a fourth kind: they travel along
the gap between their margins, so that "closed" means closed on every eye.

Amplitudes are the displacement at intensity E (5.0) at the point of largest movement; intensity scales them
linearly. They are a model, set within the order of magnitude of maximal voluntary excursions of adults
(commissure in a smile 7 to 12 mm, brow 5 to 10 mm, lip 4 to 7 mm, lid gap 9 to 11 mm), not measurements of
micro-expressions: those enter through the intensities that the causal model draws.

Coordinates: millimetres in the plane of the picture, x to the picture's right (the subject's left), y *up*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from equime.face import anatomy as a

Array = NDArray[np.float64]
Anchor = int | a.Pair
Lips = Literal["all", "upper", "lower"]
"""Which lip a muscle may move; "upper" and "lower" leave the line between the lips closed."""


@dataclass(frozen=True)
class Linear:
    """Pull of ``amplitude_mm`` at ``insertion`` towards ``origin``, fading over ``width_mm`` and beyond the ends."""

    insertion: Anchor
    origin: Anchor
    amplitude_mm: float
    width_mm: float
    beyond_mm: float = 8.0
    reach: float = 1.0
    turn_deg: float = 0.0
    lips: Lips = "all"


@dataclass(frozen=True)
class Sheet:
    """Movement by (``out_mm``, ``up_mm``) at ``centre``, fading to zero at the four radii.

    ``out`` is away from the face's mid-line on either side; radii are outwards, inwards, up and down. Within
    the share ``core`` of the radii the skin moves as one (a brow is stiff).
    """

    centre: Anchor
    out_mm: float
    up_mm: float
    radii_mm: tuple[float, float, float, float]
    lips: Lips = "all"
    offset_mm: tuple[float, float] = (0.0, 0.0)
    core: float = 0.0


@dataclass(frozen=True)
class LipBorder:
    """Lips against their own line: the red's outer border moves by ``border_mm`` away from the line (negative:
    thinner lips), the line itself parts by ``part_mm``, the corners move outwards by ``corner_mm``.
    """

    upper_border_mm: float = 0.0
    lower_border_mm: float = 0.0
    upper_part_mm: float = 0.0
    lower_part_mm: float = 0.0
    corner_mm: float = 0.0


@dataclass(frozen=True)
class Lid:
    """Margins move by a share of the gap (positive closes) or by millimetres (positive opens)."""

    upper_gap: float = 0.0
    lower_gap: float = 0.0
    upper_open_mm: float = 0.0


@dataclass(frozen=True)
class Jaw:
    """Drop of the mandible at the chin, with everything below the lip line."""

    drop_mm: float


Muscle = Linear | Sheet | LipBorder | Lid | Jaw

MUSCLES: Final[dict[int, tuple[Muscle, ...]]] = {
    1: (Sheet(a.BROW_INNER, -0.3, 8.0, (17.0, 13.0, 33.0, 15.0), offset_mm=(1.0, -3.0), core=0.4),),
    2: (Sheet(a.BROW_OUTER, 0.4, 7.5, (17.0, 21.0, 30.0, 14.0), offset_mm=(0.0, -2.0), core=0.4),),
    4: (
        Linear(a.BROW_MID, a.NASAL_ROOT, 2.6, 17.0, beyond_mm=16.0, reach=1.1),
        Sheet(a.BROW_INNER, -2.6, -4.2, (25.0, 13.0, 22.0, 15.0), offset_mm=(3.0, -3.0), core=0.4),
    ),
    5: (Lid(upper_open_mm=2.2),),
    6: (
        Sheet(a.INFRAORBITAL, -0.6, 5.5, (20.0, 15.0, 11.0, 20.0), offset_mm=(3.0, -3.0)),
        Sheet(a.EYE_OUTER, -2.6, -0.4, (20.0, 7.0, 13.0, 13.0), offset_mm=(8.0, -1.0)),
        Lid(upper_gap=0.08, lower_gap=0.16),
    ),
    7: (Lid(upper_gap=0.22, lower_gap=0.30), Sheet(a.EYE_INNER, 0.9, 0.0, (10.0, 6.0, 5.0, 8.0), offset_mm=(5.0, -6.0))),
    9: (
        Linear(a.ALA, a.NASAL_ROOT, 5.0, 13.0, beyond_mm=9.0),
        Sheet(a.UPPER_LIP_SIDE, 0.2, 1.8, (11.0, 12.0, 16.0, 9.0), lips="upper"),
        Sheet(a.UPPER_LIP_SIDE, 0.0, 1.6, (13.0, 14.0, 16.0, 16.0)),
        Sheet(a.BROW_INNER, -1.0, -2.0, (11.0, 10.0, 12.0, 12.0)),
        Sheet(a.NOSE_SIDE, -0.2, 2.0, (9.0, 9.0, 14.0, 8.0)),
    ),
    10: (
        Linear(a.UPPER_LIP_SIDE, a.INFRAORBITAL, 4.0, 15.0, beyond_mm=5.0, reach=0.95, lips="upper"),
        Linear(a.ALA, a.INFRAORBITAL, 1.6, 10.0, beyond_mm=5.0),
        Sheet(a.UPPER_LIP_SIDE, 0.0, 3.0, (13.0, 14.0, 16.0, 16.0)),
    ),
    12: (
        Linear(a.MOUTH_CORNER, a.CHEEK_BONE, 10.0, 19.0, beyond_mm=20.0, reach=0.8, turn_deg=-4.0),
        Sheet(a.LOW_CHEEK, 1.2, 3.0, (18.0, 14.0, 18.0, 15.0)),
    ),
    14: (
        Sheet(a.MOUTH_CORNER, 4.6, 0.9, (16.0, 18.0, 15.0, 15.0)),
    ),
    15: (Linear(a.MOUTH_CORNER, a.JAW_FRONT, 7.0, 18.0, beyond_mm=17.0, reach=0.85, turn_deg=-6.0),),
    16: (
        Linear(a.LOWER_LIP_SIDE, a.CHIN_SIDE, 4.5, 16.0, beyond_mm=7.0, reach=2.2, lips="lower"),
        Sheet(a.LOWER_LIP_SIDE, 0.0, -1.8, (13.0, 14.0, 14.0, 14.0)),
        LipBorder(lower_part_mm=1.2),
    ),
    17: (
        Sheet(a.CHIN_BOSS, 0.0, 5.5, (17.0, 17.0, 13.0, 15.0), offset_mm=(0.0, 1.0)),
        Sheet(a.SEAM_LOWER, 0.0, 3.2, (19.0, 19.0, 11.0, 14.0)),
    ),
    18: (
        Sheet(a.MOUTH_CORNER, -7.0, 0.0, (16.0, 24.0, 13.0, 13.0)),
        LipBorder(upper_border_mm=1.0, lower_border_mm=1.0),
    ),
    20: (Sheet(a.MOUTH_CORNER, 6.5, -1.6, (17.0, 21.0, 15.0, 15.0)),),
    22: (
        LipBorder(upper_border_mm=3.2, lower_border_mm=3.2, corner_mm=-4.0),
        Sheet(a.MOUTH_CORNER, -1.5, 0.0, (13.0, 15.0, 10.0, 10.0)),
    ),
    23: (LipBorder(upper_border_mm=-2.8, lower_border_mm=-2.8, corner_mm=-2.2),),
    24: (LipBorder(upper_border_mm=-3.6, lower_border_mm=-3.6), Sheet(a.CHIN_BOSS, 0.0, 1.2, (14.0, 14.0, 12.0, 12.0))),
    25: (LipBorder(upper_part_mm=1.4, lower_part_mm=4.6),),
    26: (Jaw(13.0),),
    27: (Jaw(26.0), Sheet(a.MOUTH_CORNER, -3.5, -3.0, (14.0, 16.0, 14.0, 14.0))),
    28: (LipBorder(upper_border_mm=-5.5, lower_border_mm=-5.5, corner_mm=-1.0),),
    43: (Lid(upper_gap=0.90, lower_gap=0.10),),
    45: (Lid(upper_gap=0.90, lower_gap=0.10),),
}  # fmt: skip
"""Muscles of every AU that moves skin. Gaze (61 to 64) and head (51 to 58) are not muscles of the face."""


def _cosine(x: Array) -> Array:
    """1 at 0, 0 from 1 on, smooth at both ends."""
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(np.abs(x), 0.0, 1.0))


def _smoothstep(x: Array) -> Array:
    t = np.clip(x, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


class FaceFrame:
    """A face's landmarks in millimetres, and where a point lies with respect to lids and lips.

    Args:
        landmarks: float (478, 2 or 3) pixels of an upright crop.
        px_per_mm: its scale.
        lip_seam: (11, 2, 2) pixels: upper and lower margin of the lip line, right to left corner.
    """

    def __init__(self, landmarks: NDArray[np.floating], px_per_mm: float, lip_seam: NDArray[np.floating]):
        self.px_per_mm = px_per_mm
        self.points = self.to_mm(landmarks[:, :2])
        self.seam = self.to_mm(lip_seam.reshape(-1, 2)).reshape(-1, 2, 2)

    def to_mm(self, pixels: NDArray[np.floating]) -> Array:
        """Pixels to millimetres, y up."""
        return np.asarray(pixels, np.float64) * (1.0, -1.0) / self.px_per_mm

    def to_px(self, vectors_mm: Array) -> Array:
        """Displacements in millimetres to pixels, y down."""
        return vectors_mm * (1.0, -1.0) * self.px_per_mm

    def at(self, anchor: Anchor, side: int) -> Array:
        """The anchor on a side."""
        point: Array = self.points[anchor if isinstance(anchor, int) else anchor[side]]
        return point


@dataclass(frozen=True)
class SkinPoints:
    """Points that muscles act on.

    Attributes:
        xy: float (V, 2) millimetres.
        lip: int8 (V,): +1 on the upper lip's side of the lip line, -1 on the lower, 0 decided by position.
    """

    xy: Array
    lip: NDArray[np.int8]


def lip_side(frame: FaceFrame, points: SkinPoints) -> tuple[Array, Array]:
    """Weights of the upper-lip and the lower-lip side, each (V,) in 0..1.

    On the lips the lip line decides sharply; outside the corners the two sides blend over 10 mm.
    """
    line = frame.seam.mean(axis=1)
    height = points.xy[:, 1] - np.interp(points.xy[:, 0], line[:, 0], line[:, 1])
    outside = np.maximum(line[0, 0] - points.xy[:, 0], points.xy[:, 0] - line[-1, 0])
    blend_mm = 0.2 + 10.0 * _smoothstep(outside / 8.0)
    upper = _smoothstep(0.5 + height / blend_mm)
    upper = np.where(points.lip > 0, 1.0, np.where(points.lip < 0, 0.0, upper))
    return upper, 1.0 - upper


def _lip_mask(frame: FaceFrame, points: SkinPoints, lips: Lips) -> Array | float:
    if lips == "all":
        return 1.0
    upper, lower = lip_side(frame, points)
    return (upper if lips == "upper" else lower) * _smoothstep(_lip_level(frame, points.xy, lips))


def _lip_level(frame: FaceFrame, xy: Array, lips: Lips) -> Array:
    """Distance from the lip line in units of the lip's own thickness: 0 on the line, 1 on the red's border."""
    line = frame.seam.mean(axis=1)
    height = np.interp(xy[:, 0], line[:, 0], line[:, 1])
    edge = frame.points[list(a.UPPER_LIP_BORDER if lips == "upper" else a.LOWER_LIP_BORDER)]
    thickness = np.abs(np.interp(xy[:, 0], edge[:, 0], edge[:, 1]) - height)
    above = (xy[:, 1] - height) * (1.0 if lips == "upper" else -1.0)
    level: Array = np.maximum(above, 0.0) / np.maximum(thickness, 2.5)
    return level


def _linear(frame: FaceFrame, points: SkinPoints, m: Linear, side: int) -> Array:
    insertion, origin = frame.at(m.insertion, side), frame.at(m.origin, side)
    length = float(np.linalg.norm(origin - insertion))
    towards = (origin - insertion) / length
    along = (points.xy - insertion) @ towards
    across = (points.xy - insertion) @ np.array([-towards[1], towards[0]])
    fall = np.where(along >= 0, _cosine(along / (length * m.reach)), _cosine(along / m.beyond_mm))
    weight = fall * _cosine(across / m.width_mm) * _lip_mask(frame, points, m.lips)
    turn = np.deg2rad(m.turn_deg) * (1 if side == a.LEFT else -1)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return m.amplitude_mm * weight[:, None] * (rotation @ towards)


def _sheet(frame: FaceFrame, points: SkinPoints, m: Sheet, side: int) -> Array:
    outwards = 1.0 if side == a.LEFT else -1.0
    centre = frame.at(m.centre, side) + np.array([outwards * m.offset_mm[0], m.offset_mm[1]])
    delta = points.xy - centre
    out = delta[:, 0] * outwards
    r_out, r_in, r_up, r_down = m.radii_mm
    x = np.where(out >= 0, out / r_out, out / r_in)
    y = np.where(delta[:, 1] >= 0, delta[:, 1] / r_up, delta[:, 1] / r_down)
    level = np.maximum(np.hypot(x, y) - m.core, 0.0) / (1.0 - m.core)
    weight = _cosine(level) * _lip_mask(frame, points, m.lips)
    move: Array = weight[:, None] * np.array([outwards * m.out_mm, m.up_mm])
    return move


def _lip_border(frame: FaceFrame, points: SkinPoints, m: LipBorder, side: int) -> Array:
    line = frame.seam.mean(axis=1)
    x, y = points.xy.T
    half_width = 0.5 * (line[-1, 0] - line[0, 0])
    middle = 0.5 * (line[-1, 0] + line[0, 0])
    upper, lower = lip_side(frame, points)
    taper = _cosine(np.clip((np.abs(x - middle) / half_width - 0.25) / 0.85, 0.0, 1.0))
    move = np.zeros_like(points.xy)
    halves: tuple[tuple[Lips, Array, float, float, float], ...] = (
        ("upper", upper, 1.0, m.upper_border_mm, m.upper_part_mm),
        ("lower", lower, -1.0, m.lower_border_mm, m.lower_part_mm),
    )
    for lips, weight, sign, border, part in halves:
        level = _lip_level(frame, points.xy, lips)
        on_border = np.where(level < 1.0, _smoothstep(level), _cosine((level - 1.0) / 1.5))
        on_line = _cosine(level / 2.2)
        move[:, 1] += sign * weight * taper * (border * on_border + part * on_line)
    outwards = 1.0 if side == a.LEFT else -1.0
    corner = frame.at(a.MOUTH_CORNER, side)
    near = _cosine(np.hypot((x - corner[0]) / 15.0, (y - corner[1]) / 11.0))
    move[:, 0] += outwards * m.corner_mm * near
    return move * _own_half(x - middle, outwards)[:, None]


def _own_half(x_mm: Array, outwards: float) -> Array:
    """Half of a symmetric movement: both sides together give the whole, blending over 6 mm at the mid-line."""
    return _smoothstep(0.5 + outwards * x_mm / 6.0)


def _lid(frame: FaceFrame, points: SkinPoints, m: Lid, side: int) -> Array:
    upper = frame.points[list(a.UPPER_LID[side])]
    lower = frame.points[list(a.LOWER_LID[side])]
    if upper[0, 0] > upper[-1, 0]:
        upper, lower = upper[::-1], lower[::-1]
    x, y = points.xy.T
    y_upper, y_lower = (np.interp(x, lid[:, 0], lid[:, 1]) for lid in (upper, lower))
    gap = np.maximum(y_upper - y_lower, 0.0)
    above, below = y - y_upper, y_lower - y
    is_upper = y >= 0.5 * (y_upper + y_lower)
    # The lid itself moves with its margin, the fold above gives way until the brow; below, until the cheek.
    follow_up = np.interp(above, [0.8, 3.5, 11.0], [1.0, 0.72, 0.0])
    follow_down = np.interp(below, [0.5, 2.5, 9.0], [1.0, 0.6, 0.0])
    inside = _smoothstep((x - lower[0, 0] + 1.5) / 2.0) * _smoothstep((lower[-1, 0] + 1.5 - x) / 2.0)
    opening = _smoothstep(gap / 4.0)
    up = np.where(
        is_upper, follow_up * (m.upper_open_mm * opening - m.upper_gap * gap), follow_down * m.lower_gap * gap
    )
    return np.stack([np.zeros_like(x), up * inside], axis=1)


def _jaw(frame: FaceFrame, points: SkinPoints, m: Jaw, side: int) -> Array:
    """The mandible turns about the ear: the chin falls by ``drop_mm``, less towards the angle of the jaw."""
    x, y = points.xy.T
    corners = frame.points[list(a.MOUTH_CORNER)]
    middle = corners[:, 0].mean()
    chin = frame.points[a.CHIN_TIP]
    _, lower = lip_side(frame, points)
    depth = np.clip((corners[:, 1].mean() - y) / (corners[:, 1].mean() - chin[1]), 0.0, 1.0)
    half_face = 0.5 * (frame.points[454, 0] - frame.points[234, 0])
    lateral = _cosine(np.clip((np.abs(x - middle) / half_face - 0.1) / 0.95, 0.0, 1.0))
    neck = _cosine(np.clip((chin[1] - y) / 45.0, 0.0, 1.0))
    # At the lip line the lower lip already falls by most of the chin's way, tapering at the corners.
    half_mouth = 0.5 * (corners[1, 0] - corners[0, 0])
    taper = _cosine(np.clip((np.abs(x - middle) / half_mouth - 0.15) / 1.0, 0.0, 1.0))
    share = (0.62 * taper * (1.0 - depth) + (0.35 + 0.65 * depth) * depth) * lateral * neck
    upper_give = -0.06 * taper * _cosine((y - corners[:, 1].mean()) / 12.0) * (1.0 - lower)
    outwards = 1.0 if side == a.LEFT else -1.0
    drop = (-lower * share + upper_give) * m.drop_mm * _own_half(x - middle, outwards)
    return np.stack([np.zeros_like(x), drop], axis=1)


_EVALUATE: Final[dict[type, Callable[..., Array]]] = {
    Linear: _linear,
    Sheet: _sheet,
    LipBorder: _lip_border,
    Lid: _lid,
    Jaw: _jaw,
}


def displacement_mm(frame: FaceFrame, points: SkinPoints, au: int, side: int) -> Array:
    """Displacement (V, 2) of the points by one side of an AU at intensity E, millimetres, y up.

    Sheets that sit on the mid-line (AU 17) are halved per side, so that left plus right is the whole.
    """
    total = np.zeros_like(points.xy)
    for muscle in MUSCLES.get(au, ()):
        move = _EVALUATE[type(muscle)](frame, points, muscle, side)
        if isinstance(muscle, Sheet) and isinstance(muscle.centre, int):
            outwards = 1.0 if side == a.LEFT else -1.0
            move *= _own_half(points.xy[:, 0] - frame.at(muscle.centre, side)[0], outwards)[:, None]
        total += move
    return total
