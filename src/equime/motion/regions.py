"""Where the analysis looks: the crop, the facial regions in it, and a depth of every point of the face.

Regions follow the appearance changes that FACS describes (Ekman, Friesen & Hager 2002) and the regions of
interest that spotting work uses (brows, glabella, lids, cheeks, nose, mouth corners, lips, chin). They are
drawn from the landmarks of one frame, so they lie on the same skin in every face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.face import anatomy as a
from equime.motion.track import REGIONS

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

MARGIN: Final = 1.12
"""Side of the crop over the longer side of the face's outline."""

_HULLS: Final[dict[str, tuple[int, ...]]] = {
    "brow_right": (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 69, 104, 68),
    "brow_left": (300, 293, 334, 296, 336, 276, 283, 282, 295, 285, 299, 333, 298),
    "glabella": (108, 107, 55, 193, 168, 417, 285, 336, 337, 151),
    "eye_right": (130, 247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25),
    "eye_left": (359, 467, 260, 259, 257, 258, 286, 414, 463, 341, 256, 252, 253, 254, 339, 255),
    "cheek_right": (116, 117, 118, 119, 100, 142, 36, 205, 187, 123),
    "cheek_left": (345, 346, 347, 348, 329, 371, 266, 425, 411, 352),
    "nose": (122, 351, 196, 419, 198, 420, 129, 358, 98, 327, 2),
    "upper_lip": (61, 165, 167, 164, 393, 391, 291, 13, 82, 312, 80, 310, 40, 270),
    "lower_lip": (61, 88, 87, 14, 317, 318, 291, 91, 321, 181, 17, 405, 182, 406, 18),
    "chin": (204, 424, 201, 200, 421, 194, 418, 199, 171, 396, 175, 140, 369, 148, 377, 152),
}
"""Convex hulls of landmarks; brows reach up into the forehead that they move."""

_CORNER_MM: Final = 9.0
"""Radius of the region around a corner of the mouth."""

_STEADY: Final = (
    (168, 6, 197, 195, 122, 351, 196, 419),  # bridge of the nose
    (127, 34, 162, 21, 139, 156, 71, 143),  # right temple and side of the forehead
    (356, 264, 389, 251, 368, 383, 301, 372),  # left temple
    (33, 130, 226, 35), (263, 359, 446, 265), (133, 243, 244), (362, 463, 464),  # corners of the eyes
    (103, 67, 109, 10, 338, 297, 332, 333, 299, 151, 69, 104),  # forehead below the hair
)  # fmt: skip
"""What facial muscles move least; see `equime.face.anatomy.STABLE`."""


@dataclass(frozen=True)
class FaceMap:
    """A face laid out in its analysis crop. C is the crop's side, R `REGIONS`.

    Attributes:
        crop: float64 (2, 3), similarity from frame pixels to crop pixels.
        points: float64 (478, 2), landmarks in crop pixels.
        px_per_mm: crop pixels per millimetre.
        regions: bool (R, C, C).
        face: bool (C, C), inside of the face's outline.
        steady: bool (C, C), what facial muscles move least.
        depth_mm: float32 (C, C), towards the camera is negative, from the landmarks; flat outside of the face.
    """

    crop: F64
    points: F64
    px_per_mm: float
    regions: Mask
    face: Mask
    steady: Mask
    depth_mm: NDArray[np.float32]


def face_map(landmarks: NDArray[np.float32], px_per_mm: float, size_px: int) -> FaceMap:
    """Lay a face out in a crop that it fills, upright.

    Args:
        landmarks: (478, 3) pixels of the frame, z in the same unit and negative towards the camera.
        px_per_mm: scale of the face in the frame.
        size_px: side of the crop.
    """
    crop = crop_transform(landmarks, size_px)
    scale = float(np.hypot(*crop[0, :2]))
    points = landmarks[:, :2].astype(np.float64) @ crop[:, :2].T + crop[:, 2]
    face = _hull(points, a.FACE_OVAL, size_px)
    lids = _hull(points, a.UPPER_LID[0] + a.LOWER_LID[0], size_px)
    lids |= _hull(points, a.UPPER_LID[1] + a.LOWER_LID[1], size_px)
    steady = np.zeros_like(face)
    for part in _STEADY:
        steady |= _hull(points, part, size_px)
    return FaceMap(
        crop=crop,
        points=points,
        px_per_mm=px_per_mm * scale,
        regions=region_masks(points, px_per_mm * scale, size_px),
        face=face,
        steady=steady & ~_grown(lids, 1.5 * px_per_mm * scale),
        depth_mm=_depth(points, landmarks[:, 2] / px_per_mm, size_px),
    )


def crop_transform(landmarks: NDArray[np.float32], size_px: int) -> F64:
    """Similarity (2, 3) from frame pixels to a crop with the eyes level and the face's outline inside."""
    points = landmarks[:, :2].astype(np.float64)
    right, left = points[list(a.EYE_OUTER)]
    cos, sin = (left - right) / np.hypot(*(left - right))
    turn = np.array([[cos, sin], [-sin, cos]])
    outline = points[list(a.FACE_OVAL)] @ turn.T
    low, high = outline.min(axis=0), outline.max(axis=0)
    scale = size_px / (MARGIN * float((high - low).max()))
    shift = (size_px - 1) / 2 - scale * (low + high) / 2
    return np.column_stack([scale * turn, shift])


def region_masks(points: F64, px_per_mm: float, size_px: int) -> Mask:
    """Masks of `REGIONS`, bool (R, C, C); no pixel is in two of them.

    Args:
        points: landmarks (478, 2) in crop pixels.
        px_per_mm: of the crop.
        size_px: side of the crop.
    """
    masks = {name: _hull(points, indices, size_px) for name, indices in _HULLS.items()}
    rows, columns = np.mgrid[:size_px, :size_px]
    for name, corner in zip(("mouth_right", "mouth_left"), a.MOUTH_CORNER, strict=True):
        x, y = points[corner]
        masks[name] = np.hypot(columns - x, rows - y) <= _CORNER_MM * px_per_mm
    # Where two overlap, the earlier in this order keeps the pixel.
    order = ("eye_right", "eye_left", "mouth_right", "mouth_left", "glabella", "brow_right", "brow_left",
             "upper_lip", "lower_lip", "nose", "cheek_right", "cheek_left", "chin")  # fmt: skip
    taken = np.zeros((size_px, size_px), np.bool_)
    for name in order:
        masks[name] &= ~taken
        taken |= masks[name]
    return np.stack([masks[name] for name in REGIONS])


def lid_strip(face: FaceMap, side: int, reach_mm: float) -> tuple[Mask, Mask]:
    """Pixels of the upper and the lower lid's margin within ``reach_mm``, of the middle half of the eye.

    Args:
        face: the layout.
        side: `anatomy.RIGHT` or `anatomy.LEFT`.
        reach_mm: half the width of the strip.
    """
    size_px = len(face.face)
    strips = []
    for lid in (a.UPPER_LID[side], a.LOWER_LID[side]):
        canvas = np.zeros((size_px, size_px), np.uint8)
        line = np.rint(face.points[list(lid[2:-2])]).astype(np.int32)
        cv2.polylines(canvas, [line], False, 1, max(1, round(2 * reach_mm * face.px_per_mm)))
        strips.append(canvas > 0)
    return strips[0], strips[1]


def eye_opening(face: FaceMap, side: int) -> Mask:
    """Pixels between the lids, bool (C, C)."""
    size_px = len(face.face)
    return _hull(face.points, a.UPPER_LID[side] + a.LOWER_LID[side], size_px)


def _hull(points: F64, indices: Sequence[int], size_px: int) -> Mask:
    canvas = np.zeros((size_px, size_px), np.uint8)
    corners = np.rint(points[list(indices)]).astype(np.int32)
    cv2.fillConvexPoly(canvas, cv2.convexHull(corners), 1)
    return canvas > 0


def _grown(mask: Mask, radius_px: float) -> Mask:
    side = 2 * max(1, round(radius_px)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), np.uint8) > 0


def _depth(points: F64, z_mm: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    """Depth of every pixel: linear between the mesh points, the nearest one's outside of them."""
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator  # noqa: PLC0415

    step = 4  # a face has no finer relief than its mesh
    at = np.arange(0, size_px + step, step, dtype=np.float64)
    x, y = np.meshgrid(at, at)
    mesh, z = points[:468], z_mm[:468].astype(np.float64)
    coarse = LinearNDInterpolator(mesh, z)(x, y)
    outside = np.isnan(coarse)
    coarse[outside] = NearestNDInterpolator(mesh, z)(x[outside], y[outside])
    rows, columns = np.mgrid[:size_px, :size_px].astype(np.float32) / step
    fine = cv2.remap(coarse.astype(np.float32), columns, rows, cv2.INTER_LINEAR)
    return np.asarray(fine, np.float32)


class RegionMeans:
    """Means of a displacement field over regions, computed on every ``step``-th pixel.

    Args:
        face: layout.
        strips: further masks of which only the mean upward movement is wanted, (C, C) each.
        step: in pixels of the crop.
    """

    def __init__(self, face: FaceMap, strips: Sequence[Mask], step: int) -> None:
        self.step = step
        self._mm = step / face.px_per_mm
        coarse = [
            *(mask[::step, ::step] for mask in face.regions),
            *(mask[::step, ::step] for mask in strips),
        ]
        parts = [np.flatnonzero(mask) for mask in coarse]
        self._n_regions = len(face.regions)
        # An empty part would break the sums; it borrows one pixel and never moves on its own.
        parts = [part if len(part) else np.zeros(1, np.int64) for part in parts]
        self._at = np.concatenate(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
        self._sizes = np.array([len(part) for part in parts], np.float32)

    def measure(self, face_mm: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Means of a field (C / step, C / step, 2) in mm, y down.

        Returns:
            float32 (R, 4): x_mm, y_mm (up), length in mm, optical strain; and the strips' upward movement in mm.
        """
        gradient = [np.gradient(face_mm[..., i], self._mm) for i in (0, 1)]
        shear = 0.5 * (gradient[0][0] + gradient[1][1])
        strain = np.sqrt(gradient[0][1] ** 2 + gradient[1][0] ** 2 + 2 * shear**2)
        x, y = face_mm[..., 0], face_mm[..., 1]
        values = np.stack([x, -y, np.hypot(x, y), strain], axis=-1).reshape(-1, 4)[self._at]
        means = np.add.reduceat(values, self._starts, axis=0) / self._sizes[:, None]
        return means[: self._n_regions].astype(np.float32), means[self._n_regions :, 1].astype(np.float32)
