"""The apex of a clip in which none is coded (SMIC): the frame that has moved furthest from the onset.

In the manner of D&C-RoIs (Liong et al. 2015, 2018): movement is only looked at in the regions where facial muscles
show, brows, lids, nose and mouth. Theirs is a difference of features and a search by halves; here it is the flow
from the onset to every frame, the head's common motion taken off, in small pictures, and the largest of all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.baselines.flow import SMALLEST_PX, flow_field, shrunk
from equime.baselines.flow_head_motion import scaled_points

Grey = NDArray[np.uint8]
F64 = NDArray[np.float64]

SIZE_PX: Final = 128
"""Longer side of the pictures that are compared."""

_SMOOTH: Final = np.array([0.25, 0.5, 0.25])

_REGIONS: Final[tuple[tuple[int, ...], ...]] = (
    (70, 63, 105, 66, 107, 46, 53, 52, 65, 55), (300, 293, 334, 296, 336, 276, 283, 282, 295, 285),  # brows
    (130, 247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25),  # right eye
    (359, 467, 260, 259, 257, 258, 286, 414, 463, 341, 256, 252, 253, 254, 339, 255),  # left eye
    (129, 98, 97, 2, 326, 327, 358, 279, 49),  # wings of the nose
    (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 57, 287),  # mouth
)  # fmt: skip
_GRID: Final = (5, 4)


def spot_apex(frames: Iterable[tuple[int, Grey]], points: F64 | None = None) -> int:
    """Number of the frame with the largest regional movement since the first one.

    Args:
        frames: (number, uint8 (H, W) grey crop), ascending, the onset first.
        points: (478, 2) landmarks of the onset in pixels of the crop; None looks at a grid of blocks.

    Returns:
        The number; of equal ones the first; the onset's where there is one frame, or nothing moves.
    """
    numbers, curve = movement(frames, points)
    return numbers[int(np.argmax(_smoothed(curve)))]


def movement(frames: Iterable[tuple[int, Grey]], points: F64 | None = None) -> tuple[list[int], F64]:
    """Numbers of the frames, and of each how far the region that moves most has moved, share of the picture's
    longer side, (n,). Arguments as `spot_apex`.
    """
    numbers: list[int] = []
    curve: list[float] = []
    first: Grey | None = None
    masks: NDArray[np.bool_] | None = None
    for number, image in frames:
        small = _large_enough(shrunk(image, SIZE_PX))
        if first is None or masks is None:
            first = small
            scale = small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]
            masks = _masks(None if points is None else scaled_points(points, scale), small.shape)
        numbers.append(number)
        curve.append(_moved(flow_field(first, small, "dis"), masks) if len(numbers) > 1 else 0.0)
    return numbers, np.array(curve, np.float64) / max(first.shape if first is not None else (1,))


def _moved(flow: NDArray[np.float32], masks: NDArray[np.bool_]) -> float:
    """Mean movement in the region that moves most, less what the regions have in common, pixels."""
    flat = masks.reshape(len(masks), -1)
    common = np.median(flow.reshape(-1, 2)[flat.any(axis=0)], axis=0)
    size = np.hypot(*(flow.reshape(-1, 2) - common).T)
    return max(float(size[mask].mean()) for mask in flat)


def _masks(points: F64 | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(R, H, W) regions; blocks of a grid where there are no landmarks or none lies in the crop."""
    found = []
    for part in _REGIONS if points is not None else ():
        canvas = np.zeros(shape, np.uint8)
        assert points is not None
        cv2.fillConvexPoly(canvas, cv2.convexHull(np.rint(points[list(part)]).astype(np.int32)), 1)
        found += [canvas > 0] if canvas.any() else []
    return np.stack(found or _blocks(shape))


def _blocks(shape: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    rows = np.arange(shape[0]) * _GRID[0] // shape[0]
    columns = np.arange(shape[1]) * _GRID[1] // shape[1]
    return [(rows == i)[:, None] & (columns == j)[None, :] for i in range(_GRID[0]) for j in range(_GRID[1])]


def _large_enough(image: Grey) -> Grey:
    """A picture that DIS accepts."""
    missing = [max(0, SMALLEST_PX - side) for side in image.shape]
    if not any(missing):
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE), np.uint8)


def _smoothed(curve: F64) -> F64:
    """Over three frames, so that one noisy frame is no apex; ends are continued."""
    if len(curve) < 3:
        return curve
    return np.convolve(np.pad(curve, 1, mode="edge"), _SMOOTH, mode="valid")
