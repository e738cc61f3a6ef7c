"""The head's own motion, fitted to optical flow: similarity in the picture plus a turn in depth.

Under weak perspective a rigid head moves a point (x, y) of depth z by

    x' = a x - b y + k z + t_x,    y' = b x + a y + m z + t_y,

with scale and roll in (a, b), and k = -sin(yaw), m = sin(pitch). The model is linear in its six parameters, so
that a robust fit is a few small solves. Depth matters: a turn of one degree shifts the tip of the nose against
the temples by a millimetre, which is as much as a micro-expression, and a similarity leaves that in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.motion.regions import FaceMap

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

_STEP_PX: Final = 6
_REST_WEIGHT: Final = 0.15
"""Weight of skin that muscles move, against 1 for what they move least: it steadies the fit where it is still."""

_ROUNDS: Final = 6
_CUT: Final = 3.0
_FLOOR_MM: Final = 0.03
_RIDGE: Final = 1e-6


@dataclass(frozen=True)
class HeadPose:
    """Rigid motion since the reference frame.

    Attributes:
        a, b: scale times cosine and sine of the roll.
        k, m: shift per depth, along x and y.
        t_mm: (2,) shift at the centre of the crop, picture axes (y down).
    """

    a: float
    b: float
    k: float
    m: float
    t_mm: F64

    @classmethod
    def still(cls) -> HeadPose:
        """No motion."""
        return cls(1.0, 0.0, 0.0, 0.0, np.zeros(2))

    def similarity(self, size_px: int, px_per_mm: float) -> F64:
        """The part without depth, (2, 3): where a point of the reference crop has gone, crop pixels."""
        centre = np.full(2, (size_px - 1) / 2)
        turn = np.array([[self.a, -self.b], [self.b, self.a]])
        return np.column_stack([turn, self.t_mm * px_per_mm + centre - turn @ centre])

    @property
    def as_row(self) -> tuple[float, float, float, float]:
        """x_mm (to the picture's right), y_mm (up), roll_deg (to the subject's left), log scale."""
        roll = float(np.rad2deg(np.arctan2(self.b, self.a)))
        return float(self.t_mm[0]), float(-self.t_mm[1]), roll, float(np.log(np.hypot(self.a, self.b)))

    @property
    def turn_deg(self) -> tuple[float, float]:
        """Yaw (to the subject's left) and pitch (up)."""
        scale = np.hypot(self.a, self.b)
        yaw, pitch = np.rad2deg(np.arcsin(np.clip((-self.k / scale, self.m / scale), -1.0, 1.0)))
        return float(yaw), float(pitch)


class HeadModel:
    """The fit for one face.

    Args:
        face: its layout; the origin is the middle of the crop, depths are taken from the mean of the steady parts.
        moving: bool (C, C), what is never looked at (eyes).
    """

    def __init__(self, face: FaceMap, moving: NDArray[np.bool_]) -> None:
        size = len(face.face)
        self._centre, self._px_per_mm = (size - 1) / 2, face.px_per_mm
        axis = (np.arange(size, dtype=np.float32) - np.float32(self._centre)) / np.float32(face.px_per_mm)
        self._x, self._y = np.meshgrid(axis, axis)
        self._z = face.depth_mm - face.depth_mm[face.steady].mean()
        grid = np.zeros_like(face.face)
        grid[::_STEP_PX, ::_STEP_PX] = True
        self._at = np.flatnonzero(grid & face.face & ~moving)
        self._steady = face.steady.ravel()[self._at]
        self._weight = np.where(self._steady, 1.0, _REST_WEIGHT)
        x, y, z = (v.ravel()[self._at].astype(np.float64) for v in (self._x, self._y, self._z))
        one, zero = np.ones_like(x), np.zeros_like(x)
        rows_x = np.stack([x, -y, z, zero, one, zero], axis=1)
        rows_y = np.stack([y, x, zero, z, zero, one], axis=1)
        self._rows = np.concatenate([rows_x, rows_y])

    def fit(self, flow_mm: F32) -> HeadPose:
        """The pose from a displacement field since the reference frame.

        Iteratively reweighted least squares with Tukey's biweight, its scale from the steady parts: skin that
        moves by itself loses its vote.

        Args:
            flow_mm: (C, C, 2), picture axes (y down).
        """
        u = flow_mm.reshape(-1, 2)[self._at].astype(np.float64)
        target = np.concatenate([u[:, 0] + self._rows[: len(u), 0], u[:, 1] + self._rows[len(u) :, 0]])
        weight = self._weight
        p = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        for _ in range(_ROUNDS):
            weighted = self._rows * np.concatenate([weight, weight])[:, None]
            normal = weighted.T @ self._rows
            normal[np.diag_indices(6)] += _RIDGE
            step = np.linalg.solve(normal, weighted.T @ (target - self._rows @ p))
            p = p + step
            rest = target - self._rows @ p
            distance = np.hypot(rest[: len(u)], rest[len(u) :])
            spread = max(1.2 * float(np.median(distance[self._steady])), _FLOOR_MM)
            weight = self._weight * np.clip(1.0 - (distance / (_CUT * spread)) ** 2, 0.0, 1.0) ** 2
            if np.abs(step).max() < 1e-4:
                break
        return HeadPose(float(p[0]), float(p[1]), float(p[2]), float(p[3]), p[4:])

    def remove(self, flow_mm: F32, pose: HeadPose, step: int = 1) -> F32:
        """What is left of a displacement field in the head's own frame, y down.

        Args:
            flow_mm: (C / step, C / step, 2), every ``step``-th pixel of the crop.
            pose: as fitted.
            step: in pixels.
        """
        x0, y0, z = (v[::step, ::step] for v in (self._x, self._y, self._z))
        x = x0 + flow_mm[..., 0] - (pose.a * x0 - pose.b * y0 + pose.k * z + pose.t_mm[0])
        y = y0 + flow_mm[..., 1] - (pose.b * x0 + pose.a * y0 + pose.m * z + pose.t_mm[1])
        norm = pose.a**2 + pose.b**2
        left = np.stack([(pose.a * x + pose.b * y) / norm, (pose.a * y - pose.b * x) / norm], axis=-1)
        return np.asarray(left, np.float32)

    def moved(self, points: F64, pose: HeadPose) -> F64:
        """Where the head takes points (N, 2) of the reference crop, crop pixels."""
        nearest = np.clip(np.rint(points).astype(int), 0, len(self._z) - 1)
        z = self._z[nearest[:, 1], nearest[:, 0]].astype(np.float64)
        x, y = ((points - self._centre) / self._px_per_mm).T
        new_x = pose.a * x - pose.b * y + pose.k * z + pose.t_mm[0]
        new_y = pose.b * x + pose.a * y + pose.m * z + pose.t_mm[1]
        moved: F64 = np.stack([new_x, new_y], axis=1) * self._px_per_mm + self._centre
        return moved
