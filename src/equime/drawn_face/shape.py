"""The face's shape: 478 points in MediaPipe's order, moved by anatomical modes, and the contours through them.

Every contour that is drawn (lids, lips, brows, jaw) passes through these points, so they are the truth that a
landmarker can be held against.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.drawn_face.canvas import Points, smoothstep, spline
from equime.drawn_face.person import Person
from equime.seeding import stream

# MediaPipe's indices; "right" is the subject's right, which is the left of the picture.
UPPER_LID: Final = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (263, 466, 388, 387, 386, 385, 384, 398, 362),
)
LOWER_LID: Final = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133),
    (263, 249, 390, 373, 374, 380, 381, 382, 362),
)
UPPER_BROW: Final = ((70, 63, 105, 66, 107), (300, 293, 334, 296, 336))
LOWER_BROW: Final = ((46, 53, 52, 65, 55), (276, 283, 282, 295, 285))
LIP_TOP: Final = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIP_BOTTOM: Final = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
SEAM_UPPER: Final = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
SEAM_LOWER: Final = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
JAW: Final = (
    *(234, 93, 132, 58, 172, 136, 150, 149, 176, 148),
    *(152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454),
)
IRIS: Final = (468, 473)
IRIS_RADIUS_MM: Final = 5.85
"""Half of the visible iris' 11.7 mm (Ruefer 2005), the same in every adult."""

SKULL: Final = ((71, -8), (74, -40), (69, -70), (55, -94), (33, -109), (0, -115))
"""Outline of the cranium above the ears, right half, millimetres."""

LID_LINE_DROP: Final = 0.86
"""Lid gap of a relaxed eye over that of the wide-eyed base face."""


BROW_LEVEL: Final = 1.7
"""Millimetres by which the inner brow is raised and the outer one lowered against the base face."""


@cache
def base_points() -> NDArray[np.float64]:
    """(478, 3) millimetres: x right in the picture, y down, z to the viewer."""
    text = resources.files("equime.drawn_face").joinpath("base_shape.json").read_bytes()
    points = np.asarray(msgspec.json.decode(text)["points"], np.float64)
    points.setflags(write=False)
    return points


@dataclass(frozen=True)
class Shape:
    """Points of one person and the curves drawn through them (all in millimetres)."""

    points: NDArray[np.float64]
    skull: Points
    hairline_y: float

    def curve(self, indices: tuple[int, ...], n: int = 60) -> Points:
        """Smooth curve in the plane of the picture through the given points."""
        return spline(self.points[list(indices), :2], n)

    def lids(self, side: int) -> tuple[Points, Points]:
        """Upper and lower lid edge of one eye, from the outer to the inner corner."""
        return self.curve(UPPER_LID[side]), self.curve(LOWER_LID[side])

    def eye_outline(self, side: int) -> Points:
        """Closed outline of the eye opening."""
        upper, lower = self.lids(side)
        return np.vstack([upper, lower[::-1]])

    def lips(self) -> tuple[Points, Points, Points]:
        """Upper vermilion border, seam of the closed mouth, lower border; from the right corner to the left."""
        seam = (self.points[list(SEAM_UPPER), :2] + self.points[list(SEAM_LOWER), :2]) / 2
        corners = self.points[[61, 291], :2]
        return (
            self.curve(LIP_TOP),
            spline(np.vstack([corners[0], seam[1:-1], corners[1]])),
            self.curve(LIP_BOTTOM),
        )

    def head_outline(self) -> Points:
        """Closed silhouette of the bare head without ears."""
        jaw = self.points[list(JAW), :2]
        return spline(np.vstack([self.skull, jaw]), 300, closed=True)

    def eye(self, side: int) -> Points:
        """Centre of the iris."""
        return self.points[IRIS[side], :2]


def build_shape(person: Person) -> Shape:
    """The person's points: base face, relaxed lids, shape modes, slight asymmetry."""
    points = base_points().copy()
    m = person.shape
    _eyes(points, m)
    _brows(points, m)
    _nose(points, m)
    _mouth(points, m)
    _outline(points, m)
    skull = _skull(person)
    _asymmetry(points, person)
    return Shape(points, skull, hairline_y=-66.0 - m["forehead"] - max(0.0, person.age - 40) * 0.1)


def _bell(points: NDArray[np.float64], x: float, y: float, rx: float, ry: float) -> NDArray[np.float64]:
    """Weight around (+-x, y), 1 at the centre."""
    return np.exp(-(((np.abs(points[:, 0]) - x) / rx) ** 2) - ((points[:, 1] - y) / ry) ** 2)


def _eyes(points: NDArray[np.float64], m: dict[str, float]) -> None:
    lids = np.array(sorted({i for group in (*UPPER_LID, *LOWER_LID) for i in group}))
    gap = np.ones(len(points))
    gap[lids] = LID_LINE_DROP + m["eye_opening"]
    canthus = 1.5
    # Lids close from above: the lower lid moves a fifth as much.
    above = points[:, 1] < canthus
    points[:, 1] = np.where(above, canthus + (points[:, 1] - canthus) * gap, points[:, 1])
    w = _bell(points, 31, 0, 20, 13)
    sign = np.sign(points[:, 0])
    size = m["eye_size"] * w
    irises = np.zeros(len(points), bool)
    irises[468:] = True
    size = np.where(irises, 0, size)
    out = np.abs(points[:, 0]) - 31
    points[:, 0] += sign * (out * size + m["eye_spacing"] * np.where(irises, 1.0, w))
    points[:, 1] += points[:, 1] * size - m["eye_tilt"] * out / 14 * np.where(irises, 0, w)


def _brows(points: NDArray[np.float64], m: dict[str, float]) -> None:
    arch = _bell(points, 42, -24, 12, 12)
    # The base face's brows rise too steeply outwards for a neutral expression: level them.
    level = BROW_LEVEL * (np.abs(points[:, 0]) - 30) / 20 * _bell(points, 30, -21, 26, 9)
    rise = m["brow_height"] * _bell(points, 32, -24, 30, 12) + m["brow_arch"] * arch
    points[:, 1] += np.clip(level, -BROW_LEVEL, BROW_LEVEL) - rise
    for upper, lower in zip(UPPER_BROW, LOWER_BROW, strict=True):
        u, lo = points[list(upper), 1], points[list(lower), 1]
        middle, half = (u + lo) / 2, (lo - u) / 2 * (1 + 0.5 * m["brow_thickness"])
        points[list(upper), 1], points[list(lower), 1] = middle - half, middle + half


def _nose(points: NDArray[np.float64], m: dict[str, float]) -> None:
    w = _bell(points, 10, 42, 16, 14)
    points[:, 0] *= 1 + m["nose_width"] * w
    points[:, 1] += m["nose_length"] * _bell(points, 0, 44, 30, 14)
    points[:, 2] += m["nose_bridge"] * _bell(points, 0, 15, 8, 22) + 0.6 * m["nose_bridge"] * w


def _mouth(points: NDArray[np.float64], m: dict[str, float]) -> None:
    seam = points[13, 1]
    w = _bell(points, 12, seam, 30, 15)
    points[:, 0] *= 1 + m["mouth_width"] * w
    rise = points[:, 1] - seam
    gain = np.where(rise < 0, m["upper_lip"], m["lower_lip"])
    near = _bell(points, 0, seam, 40, 12)
    points[:, 1] += rise * gain * near
    points[:, 2] += 4.0 * gain * _bell(points, 0, seam, 18, 9)


def _outline(points: NDArray[np.float64], m: dict[str, float]) -> None:
    x, y = np.abs(points[:, 0]), points[:, 1]
    side = smoothstep(x, 20, 55)
    jaw = smoothstep(y, 35, 90) * side
    chin = smoothstep(y, 80, 108)
    points[:, 0] *= 1 + m["face_width"] * side + m["jaw"] * jaw + m["chin"] * chin
    points[:, 2] += m["cheeks"] * _bell(points, 42, 22, 16, 16)
    below = np.maximum(points[:, 1] - 78, 0)
    points[:, 1] += m["lower_face"] * below * 1.5


def _skull(person: Person) -> Points:
    half = np.array(SKULL, np.float64)
    half[:, 0] *= 1 + 0.8 * person.shape["face_width"]
    mirrored = half[::-1][1:] * [-1, 1]
    # From the left of the subject over the top to the right: the order in which the jaw goes on.
    return np.vstack([half, mirrored])


def _asymmetry(points: NDArray[np.float64], person: Person) -> None:
    """A smooth warp of a few tenths of a millimetre: nobody is symmetric."""
    rng = stream(person.seed, "drawn_face", "asymmetry")
    shift = np.zeros((len(points), 2))
    for _ in range(6):
        wave = rng.uniform(0.01, 0.035, 2) * rng.choice([-1.0, 1.0], 2)
        phase = rng.uniform(0, 2 * np.pi)
        shift += 0.22 * rng.standard_normal(2) * np.sin(points[:, :2] @ wave + phase)[:, None]
    # The irises keep their size: they move as their centres do.
    for centre in IRIS:
        shift[centre : centre + 5] = shift[centre]
    points[:, :2] += shift
