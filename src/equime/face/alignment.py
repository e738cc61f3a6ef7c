"""Aligned crop: a similarity transform that puts every head at the same place and size.

The eyes are level, their midpoint is at (`CENTRE`, `EYES_HEIGHT`) of the crop and they are `EYE_DISTANCE`
of its side apart, so that a head with its hair is in frame. In a turned head the eyes come together; the
distance from eyes to mouth then sets the scale (the same idea as the alignment of FFHQ, Karras et al. 2019).
What lies outside of the photograph is its reflection, which soon melts into a blurred continuation of the
border so that no mirrored face shows.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.types import CROP_PX

EYE_DISTANCE: Final = 0.225
"""Distance between the centres of the eyes, share of the crop's side."""

EYES_HEIGHT: Final = 0.45
"""Height of the eyes from the top edge, share of the crop's side."""

CENTRE: Final = 0.5

EYES_TO_MOUTH: Final = 1.11
"""Distance from the eyes to the mouth in eye distances, of a frontal face (the ratio that FFHQ assumes)."""

RIGHT_EYE: Final = (33, 133, 159, 145, 160, 144, 158, 153)
LEFT_EYE: Final = (263, 362, 386, 374, 387, 373, 385, 380)
MOUTH_CORNERS: Final = (61, 291)
RIGHT_IRIS: Final = (468, 469, 470, 471, 472)
LEFT_IRIS: Final = (473, 474, 475, 476, 477)

IRIS_MM: Final = 11.7
"""Horizontal visible iris diameter: 11.7 mm, s.d. 0.4 to 0.5, constant from the age of about two."""

EYE_DISTANCE_MM: Final = 63.0
"""Interpupillary distance of adults: mean 63 mm, s.d. 3.6 (Dodgson 2004); about 52 at the age of six."""

# Outside of the photograph, shares of the side: where the reflection has melted, and the sigma of the blur.
_MELTED_AT: Final = 0.05
_MELTED_SIGMA: Final = 0.02

_IRIS_WEIGHT: Final = 2 / 3
_IRIS_BOUND: Final = 1.25


def align(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Similarity from image pixels to crop pixels at `CROP_PX`.

    Args:
        landmarks: (478, 3) or (478, 2) in pixels of the image.

    Returns:
        float64 (2, 3).
    """
    points = landmarks[:, :2].astype(np.float64)
    right, left = points[list(RIGHT_EYE)].mean(0), points[list(LEFT_EYE)].mean(0)
    eyes = (right + left) / 2
    mouth = points[list(MOUTH_CORNERS)].mean(0)
    across = left - right
    unit = max(float(np.hypot(*across)), float(np.hypot(*(mouth - eyes))) / EYES_TO_MOUTH)
    scale = EYE_DISTANCE * CROP_PX / unit
    cos, sin = scale * across / np.hypot(*across)
    turn = np.array([[cos, sin], [-sin, cos]])
    target = np.array([CENTRE, EYES_HEIGHT]) * CROP_PX - 0.5
    return np.column_stack([turn, target - turn @ eyes])


def scaled(to_crop: NDArray[np.float64], size_px: int) -> NDArray[np.float64]:
    """The transform for a crop of another size; pixel centres are at whole numbers."""
    k = size_px / CROP_PX
    out: NDArray[np.float64] = to_crop * k
    out[:, 2] += 0.5 * k - 0.5
    return out


def scale_points(points: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    """Landmarks at `CROP_PX` for a crop of another size; z scales along."""
    k = size_px / CROP_PX
    out = points.astype(np.float64) * k
    out[:, :2] += 0.5 * k - 0.5
    return out.astype(np.float32)


def warp(
    rgb: NDArray[np.uint8],
    to_crop: NDArray[np.float64],
    size_px: int,
    border: int = cv2.BORDER_REFLECT_101,
) -> NDArray[np.uint8]:
    """Resample an image into a crop.

    Shrinking by more than half is done by area averaging first, the rest cubic.

    Args:
        rgb: uint8 (H, W, 3).
        to_crop: (2, 3) similarity from pixels of ``rgb`` to pixels of the crop.
        size_px: side of the crop.
        border: OpenCV's code for what lies outside of the image; reflected by default.

    Returns:
        uint8 (size_px, size_px, 3).
    """
    transform = np.array(to_crop, np.float64)
    scale = float(np.hypot(transform[0, 0], transform[0, 1]))
    if scale < 0.5:
        rgb, transform = _shrink_first(rgb, transform, scale)
    crop = cv2.warpAffine(rgb, transform, (size_px, size_px), flags=cv2.INTER_CUBIC, borderMode=border)
    return np.asarray(crop, np.uint8)


def aligned_crop(rgb: NDArray[np.uint8], to_crop: NDArray[np.float64], size_px: int) -> NDArray[np.uint8]:
    """`warp`, with the reflection outside of the photograph melting into its border, continued and blurred.

    Args:
        rgb: uint8 (H, W, 3).
        to_crop: (2, 3) similarity to the crop at `CROP_PX`.
        size_px: side of the crop.

    Returns:
        uint8 (size_px, size_px, 3).
    """
    transform = scaled(to_crop, size_px)
    crop = warp(rgb, transform, size_px)
    outside = _outside(rgb.shape[:2], transform, size_px)
    if not outside.any():
        return crop
    share = np.clip(outside / (_MELTED_AT * size_px), 0.0, 1.0)[:, :, None]
    continued = _blurred(warp(rgb, transform, size_px, cv2.BORDER_REPLICATE), _MELTED_SIGMA * size_px)
    melted: NDArray[np.float32] = crop + share * (continued - crop)
    return np.asarray(np.clip(np.rint(melted), 0, 255), np.uint8)


def _outside(shape: tuple[int, ...], transform: NDArray[np.float64], size_px: int) -> NDArray[np.float32]:
    """How far each pixel of the crop lies outside of the photograph, in pixels of the crop; 0 inside."""
    turn = transform[:, :2]
    scale = float(np.hypot(turn[0, 0], turn[0, 1]))
    axis = np.arange(size_px, dtype=np.float32)
    back = np.linalg.inv(turn)
    origin = -back @ transform[:, 2]
    beyond = np.zeros((size_px, size_px), np.float32)
    for i, side in enumerate((shape[1], shape[0])):
        at = (
            np.float32(back[i, 0]) * axis[None, :]
            + np.float32(back[i, 1]) * axis[:, None]
            + np.float32(origin[i])
        )
        np.maximum(beyond, np.maximum(-at, at - (side - 1)), out=beyond)
    return beyond * np.float32(scale)


def _blurred(crop: NDArray[np.uint8], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur, computed small: it holds no detail."""
    k = max(1, int(sigma / 4))
    size = max(1, len(crop) // k)
    small = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.GaussianBlur(small, (0, 0), sigma / k, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.resize(soft, crop.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _shrink_first(
    rgb: NDArray[np.uint8], transform: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Average over whole pixels until the remaining shrinking is less than half."""
    n = int(1 / scale)
    height, width = (max(1, round(side / n)) for side in rgb.shape[:2])
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    kx, ky = width / rgb.shape[1], height / rgb.shape[0]
    back = np.array([[1 / kx, 0, 0.5 / kx - 0.5], [0, 1 / ky, 0.5 / ky - 0.5], [0, 0, 1]])
    return np.asarray(small, np.uint8), transform @ back


def px_per_mm(landmarks: NDArray[np.float32]) -> float:
    """Scale of a face from its irises and its eye distance.

    The iris is the better ruler (its size hardly varies, children included) but is measured on few pixels;
    the eye distance is measured well and varies. The estimate is the weighted geometric mean, the iris
    counting two thirds and held within 25 % of the eye distance, which covers the narrow-set eyes of a child.

    Args:
        landmarks: (478, 3).

    Returns:
        Pixels per millimetre, positive.
    """
    points = landmarks.astype(np.float64)
    right, left = points[RIGHT_IRIS[0]], points[LEFT_IRIS[0]]
    by_distance = float(np.hypot(*(left - right)[:2])) / EYE_DISTANCE_MM
    widths = [np.hypot(*(points[i[1]] - points[i[3]])[:2]) for i in (RIGHT_IRIS, LEFT_IRIS)]
    by_iris = float(np.mean(widths)) / IRIS_MM
    ratio = float(np.clip(by_iris / by_distance, 1 / _IRIS_BOUND, _IRIS_BOUND))
    return float(by_distance * ratio**_IRIS_WEIGHT)
