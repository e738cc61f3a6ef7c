"""The head's own motion, taken off a flow field.

A similarity (shift, roll, scale) is fitted to the flow where facial muscles move least: the bridge of the nose, the
corners of the eyes, the temples. Iteratively reweighted least squares with Tukey's biweight, so that a lid or a
brow that reaches in does not count. A turn in depth is left in: `equime.motion.head_motion` fits it where a whole
clip is followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

STEADY: Final[tuple[tuple[int, ...], ...]] = (
    (168, 6, 197, 195, 122, 351, 196, 419),  # bridge of the nose
    (33, 130, 226, 35), (263, 359, 446, 265), (133, 243, 244), (362, 463, 464),  # corners of the eyes
    (127, 34, 162, 21, 139, 156, 71, 143), (356, 264, 389, 251, 368, 383, 301, 372),  # temples
)  # fmt: skip
"""Regions, as convex hulls of face mesh points."""

_ROUNDS: Final = 8
_CUT: Final = 4.685
_FLOOR_PX: Final = 0.02
_MIN_PIXELS: Final = 12


def steady_mask(points: F64, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels of a crop that facial muscles move least.

    Args:
        points: (478, 2) landmarks in pixels of the crop.
        shape: (H, W) of the crop.
    """
    canvas = np.zeros(shape[:2], np.uint8)
    for part in STEADY:
        corners = np.rint(points[list(part)]).astype(np.int32)
        cv2.fillConvexPoly(canvas, cv2.convexHull(corners), 1)
    return canvas > 0


def head_similarity(flow: F32, steady: NDArray[np.bool_]) -> F64:
    """Motion of the head as (a, b, tx, ty): a point x from the middle of the picture moves by
    (a x - b y + tx, b x + a y + ty).

    Args:
        flow: (H, W, 2) pixels.
        steady: (H, W); where it holds fewer than 12 pixels, the whole field is fitted.
    """
    height, width = flow.shape[:2]
    at = np.flatnonzero(steady) if steady.sum() >= _MIN_PIXELS else np.arange(height * width)
    y, x = np.divmod(at, width)
    x, y = x - (width - 1) / 2, y - (height - 1) / 2
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    target = flow.reshape(-1, 2)[at].astype(np.float64).T.ravel()
    # A shift first, by medians: from zero, a large one would look like nothing but outliers.
    fit = np.array([0.0, 0.0, np.median(target[: len(at)]), np.median(target[len(at) :])])
    for _ in range(_ROUNDS):
        rest = target - rows @ fit
        distance = np.hypot(rest[: len(at)], rest[len(at) :])
        spread = max(1.4826 * float(np.median(distance)), _FLOOR_PX)
        weight = np.clip(1 - (distance / (_CUT * spread)) ** 2, 0, 1) ** 2
        weighted = rows * np.concatenate([weight, weight])[:, None]
        normal = weighted.T @ rows + np.diag([1e-3, 1e-3, 1e-9, 1e-9])
        fit = np.linalg.solve(normal, weighted.T @ target)
    return np.asarray(fit, np.float64)


def without_head_motion(flow: F32, points: F64) -> F32:
    """What is left of a flow field in the head's own frame.

    Args:
        flow: (H, W, 2) pixels.
        points: (478, 2) landmarks of the onset frame in pixels of the field.
    """
    height, width = flow.shape[:2]
    a, b, tx, ty = head_similarity(flow, steady_mask(points, flow.shape))
    x = np.arange(width, dtype=np.float64) - (width - 1) / 2
    y = (np.arange(height, dtype=np.float64) - (height - 1) / 2)[:, None]
    head = np.dstack(np.broadcast_arrays(a * x - b * y + tx, b * x + a * y + ty))
    return np.asarray(flow - head, np.float32)


def scaled_points(points: F64, scale: Sequence[float]) -> F64:
    """Points of a picture in one that is resized by ``scale`` (x, y); pixel centres are at whole numbers."""
    moved: F64 = (points + 0.5) * np.asarray(scale) - 0.5
    return moved
