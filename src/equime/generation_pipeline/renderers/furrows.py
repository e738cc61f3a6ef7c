"""Furrows: folds that darken where skin is pressed together, and the bulges beside them.

A fold is a line on the face. How deep it is in a frame follows from the compressive strain that the muscles'
displacement has across it, so a stronger AU makes a deeper fold and an AU that does not press there makes
none. The shading multiplies the picture's own luma and thus suits any skin tone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.face import anatomy as a
from equime.face.muscles import FaceFrame, SkinPoints, displacement_mm

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FULL_STRAIN = 0.30
"""Compressive strain (relative shortening) at which a fold reaches its full depth."""
PROBE_MM = 3.5
"""Strain across a fold is taken between points this far on either side."""


@dataclass(frozen=True)
class Fold:
    """One fold on one side of the face.

    Attributes:
        aus: AUs that can press here.
        points: landmark pairs or single landmarks with offsets (out, up) in mm, from end to end.
        width_mm: standard deviation of the dark valley across the fold.
        depth: relative darkening at full strain.
    """

    aus: tuple[int, ...]
    points: tuple[tuple[int | a.Pair, float, float], ...]
    width_mm: float
    depth: float


FOLDS: Final = (
    # Glabella: the vertical "eleven" of AU 4.
    Fold((4, 9), ((a.BROW_INNER_LOW, -3.4, -3.0), (a.BROW_INNER, -2.8, 4.0), (a.BROW_INNER, -2.2, 11.0)), 1.3, 0.20),
    # Forehead: horizontal lines of AUs 1 and 2.
    Fold((1, 2), ((a.BROW_INNER, -7.0, 11.0), (a.BROW_MID, -2.0, 13.0), (a.BROW_OUTER, 2.0, 12.0)), 1.6, 0.10),
    Fold((1, 2), ((a.BROW_INNER, -7.0, 18.0), (a.BROW_MID, -2.0, 20.5), (a.BROW_OUTER, 2.0, 18.0)), 1.6, 0.12),
    Fold((1, 2), ((a.BROW_INNER, -7.0, 25.0), (a.BROW_MID, -2.0, 27.0), (a.BROW_OUTER, -1.0, 24.0)), 1.6, 0.09),
    # Nasolabial fold of AUs 9, 10, 12.
    Fold((9, 10, 12), ((a.ALA, 3.0, 3.5), (a.ALA, 7.5, -4.0), (a.MOUTH_CORNER, 8.0, 8.0), (a.MOUTH_CORNER, 9.5, 0.0)), 2.2, 0.17),
    # Crow's feet of AU 6.
    Fold((6,), ((a.EYE_OUTER, 5.0, 1.0), (a.EYE_OUTER, 14.0, 4.5)), 1.0, 0.13),
    Fold((6,), ((a.EYE_OUTER, 5.0, -1.8), (a.EYE_OUTER, 14.5, -2.5)), 1.0, 0.13),
    # Under the eye, AUs 6 and 7.
    Fold((6, 7), ((a.EYE_INNER, 3.0, -6.0), (a.EYE_INNER, 13.0, -10.0), (a.EYE_OUTER, -3.0, -8.0)), 1.5, 0.12),
    # Side of the nose, AU 9.
    Fold((9,), ((a.NASAL_ROOT, -3.5, -4.0), (a.NASAL_ROOT, 3.0, -8.5)), 1.2, 0.18),
    Fold((9,), ((a.NASAL_ROOT, -4.0, 0.5), (a.NASAL_ROOT, 1.5, -3.5)), 1.2, 0.16),
    # Dimple beside the corner, AU 14.
    Fold((14,), ((a.MOUTH_CORNER, 6.5, 4.0), (a.MOUTH_CORNER, 8.0, 0.0), (a.MOUTH_CORNER, 7.0, -4.5)), 2.0, 0.13),
    # Below the corner, AU 15.
    Fold((15,), ((a.MOUTH_CORNER, 1.0, -3.5), (a.MOUTH_CORNER, 3.0, -10.0)), 1.8, 0.13),
    # Between lower lip and chin, AU 17.
    Fold((17,), ((a.LOWER_LIP_BOTTOM, -8.0, -5.0), (a.LOWER_LIP_BOTTOM, 0.0, -6.0), (a.LOWER_LIP_BOTTOM, 13.0, -4.0)), 2.4, 0.10),
)  # fmt: skip


@dataclass(frozen=True)
class Relief:
    """One fold made ready for a face: a box of relief and the strain that each AU puts on it.

    Attributes:
        x0, y0: corner of the box in texels (twice the picture's pixels).
        relief: float32 (h, w): relative change of luma at full strain.
        strain: per AU number, compressive strain at intensity E, positive where it compresses.
        side: 0 right, 1 left.
    """

    x0: int
    y0: int
    relief: F32
    strain: dict[int, float]
    side: int


def build(frame: FaceFrame, size: int) -> list[Relief]:
    """Reliefs of both sides of a face that its crop of ``size`` pixels shows."""
    out = []
    for fold in FOLDS:
        for side in (a.RIGHT, a.LEFT):
            line = _line(frame, fold, side)
            strain = _strain(frame, fold, line, side)
            if any(value > 0.01 for value in strain.values()):
                x0, y0, relief = _relief(frame, fold, line, size)
                if relief.size:
                    out.append(Relief(x0, y0, relief, strain, side))
    return out


def amounts(reliefs: list[Relief], aus: tuple[int, ...], curve: NDArray[np.floating]) -> F64:
    """How deep every fold is in every frame, (T, n_folds) in 0..1.

    Args:
        reliefs: of `build`.
        aus: columns of ``curve``.
        curve: (T, A, 2) intensity 0..5, left and right.
    """
    out = np.zeros((len(curve), len(reliefs)))
    for number, relief in enumerate(reliefs):
        for column, au in enumerate(aus):
            share = curve[:, column, 0 if relief.side == a.LEFT else 1] / 5.0
            out[:, number] += share * relief.strain.get(au, 0.0)
    return np.clip(out / FULL_STRAIN, 0.0, 1.0)


def _line(frame: FaceFrame, fold: Fold, side: int) -> F64:
    outwards = 1.0 if side == a.LEFT else -1.0
    points = [(*frame.at(anchor, side), outwards * out, up) for anchor, out, up in fold.points]
    knots = np.array(points)
    t, fine = np.linspace(0, 1, len(knots)), np.linspace(0, 1, 25)
    degree = min(2, len(knots) - 1)
    return np.stack([np.polyval(np.polyfit(t, knots[:, c], degree), fine) for c in (0, 1)], axis=1)


def _strain(frame: FaceFrame, fold: Fold, line: F64, side: int) -> dict[int, float]:
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    probes = np.vstack([line + PROBE_MM * normal, line - PROBE_MM * normal])
    points = SkinPoints(probes, np.zeros(len(probes), np.int8))
    out = {}
    for au in fold.aus:
        move = displacement_mm(frame, points, au, side)
        closing = -((move[: len(line)] - move[len(line) :]) * normal).sum(axis=1) / (2 * PROBE_MM)
        out[au] = float(np.clip(closing, 0.0, None).mean())
    return out


def _relief(frame: FaceFrame, fold: Fold, line_mm: F64, size: int) -> tuple[int, int, F32]:
    """Dark valley with lighter shoulders along a line, fading towards its ends."""
    scale = 2 * frame.px_per_mm
    line = line_mm * (1.0, -1.0) * scale
    margin = 4.5 * fold.width_mm * scale
    low = np.maximum(np.floor(line.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(line.max(axis=0) + margin), 2 * size - 1).astype(int)
    if np.any(high <= low):
        return 0, 0, np.zeros((0, 0), np.float32)
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    distance = np.full(x.shape, np.inf, np.float32)
    along = np.zeros(x.shape, np.float32)
    for i, (px, py) in enumerate(line.astype(np.float32)):
        d = (x - px) ** 2 + (y - py) ** 2
        nearer = d < distance
        distance[nearer], along[nearer] = d[nearer], i / (len(line) - 1)
    across = np.sqrt(distance) / np.float32(fold.width_mm * scale)
    fade = np.sin(np.pi * along)
    valley = np.exp(-0.5 * across**2) - 0.28 * np.exp(-0.5 * (across - 2.4) ** 2)
    return int(low[0]), int(low[1]), (-fold.depth * valley * fade).astype(np.float32)
