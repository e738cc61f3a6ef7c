"""Glasses stay rigid: the frame becomes a layer of its own that turns with the head and with nothing else.

Found are frames that are darker or lighter than the skin around them: thin structures (a black-hat or a
top-hat filter) that form one piece from beyond one eye over the nose to beyond the other and below both.
Behind them the skin is filled in. Rimless glasses and frames of the skin's own tone are not found and bend
with the skin that they stand on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equime.face import anatomy as a
from equime.generation_pipeline.renderers import raster

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Planes = tuple[U8, U8, U8]

THICKEST_MM: Final = 7.0
"""Thickest part of a frame that is looked for."""
CONTRAST: Final = 12
"""Grey levels by which a frame is darker or lighter than what surrounds it."""
WIDEST_SHARE: Final = 0.9
"""A frame is at least this wide, in units of the distance between the outer corners of the eyes."""
BROWS: Final = (
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)


@dataclass(frozen=True)
class Glasses:
    """A frame as a layer.

    Attributes:
        xy: (G, 2) vertices of a grid over it, pixels.
        depth: (G,) pixels.
        triangles: (N, 3).
        opacity: opacity of the frame as textures for luma and chroma.
        planes: Y, U, V textures of the photograph with the glasses on.
    """

    xy: F64
    depth: F64
    triangles: NDArray[np.int32]
    opacity: tuple[U8, U8]
    planes: Planes


def find_frame(luma: U8, landmarks: NDArray[np.floating], px_per_mm: float) -> Mask | None:
    """Pixels of a frame of glasses, (S, S); None where the face wears none that can be told."""
    points = np.asarray(landmarks, np.float64)[:, :2]
    allowed = _around_eyes(luma.shape, points, px_per_mm) & ~_eyes_and_brows(luma.shape, points, px_per_mm)
    side = round(THICKEST_MM * px_per_mm) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    for polarity in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT):
        thin = (np.asarray(cv2.morphologyEx(luma, polarity, kernel)) > CONTRAST) & allowed
        frame = _frame_among(thin, points, px_per_mm)
        if frame is not None:
            return frame
    return None


def _frame_among(thin: Mask, points: F64, px_per_mm: float) -> Mask | None:
    joined = ndimage.binary_closing(thin, iterations=max(1, round(px_per_mm)))
    labels, _ = ndimage.label(joined, np.ones((3, 3)))
    width = np.linalg.norm(points[a.EYE_OUTER[0]] - points[a.EYE_OUTER[1]])
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        piece = np.asarray(labels == number)
        if box[1].stop - box[1].start >= WIDEST_SHARE * width and _is_frame(piece, points, px_per_mm):
            return piece
    return None


def _around_eyes(shape: tuple[int, ...], points: F64, px_per_mm: float) -> Mask:
    mask = np.zeros(shape, bool)
    margin = 6 * px_per_mm
    top = points[[105, 334], 1].min() - margin
    bottom = points[list(a.INFRAORBITAL), 1].max() + 2 * margin
    left, right = points[127, 0] - margin, points[356, 0] + margin
    mask[max(0, int(top)) : int(bottom), max(0, int(left)) : int(right)] = True
    return mask


def _eyes_and_brows(shape: tuple[int, ...], points: F64, px_per_mm: float) -> Mask:
    mask = np.zeros(shape, np.uint8)
    outlines = [[*a.UPPER_LID[eye], *a.LOWER_LID[eye][::-1]] for eye in (a.RIGHT, a.LEFT)]
    for outline in [*outlines, *(list(brow) for brow in BROWS)]:
        cv2.fillPoly(mask, [points[outline].astype(np.int32)], (1,))
    reach = 2 * round(px_per_mm) + 1
    return np.asarray(cv2.dilate(mask, np.ones((reach, reach), np.uint8))) > 0


def _is_frame(piece: Mask, points: F64, px_per_mm: float) -> bool:
    """It crosses the bridge of the nose and runs below both eyes."""
    y, x = np.nonzero(piece)
    below = [
        ((x < points[a.EYE_INNER[0], 0]) & (y > points[145, 1] + 4 * px_per_mm)).sum(),
        ((x > points[a.EYE_INNER[1], 0]) & (y > points[374, 1] + 4 * px_per_mm)).sum(),
    ]
    on_bridge = (
        (np.abs(x - points[a.NASION, 0]) < 2 * px_per_mm)
        & (y > points[a.NASION, 1] - 8 * px_per_mm)
        & (y < points[197, 1])
    )
    return bool(on_bridge.any() and min(below) > 8 * px_per_mm)


def take_off(
    planes: Planes, landmarks: NDArray[np.floating], px_per_mm: float
) -> tuple[Planes, Glasses | None]:
    """The picture without its glasses, and the glasses; the picture as it is where there are none.

    Frame over skin gives the photograph to the last bit: the skin is filled in only where the frame is opaque.
    """
    frame = find_frame(planes[0], landmarks, px_per_mm)
    if frame is None:
        return planes, None
    core = ndimage.binary_dilation(frame, iterations=max(1, round(0.9 * px_per_mm)))
    distance = ndimage.distance_transform_edt(~core)
    opacity = np.clip(1.0 - distance / max(1.0, 0.8 * px_per_mm), 0.0, 1.0)
    # Left-sited 4:2:0: a chroma sample belongs to even columns, between two rows.
    half = np.minimum(opacity[::2, ::2], opacity[1::2, ::2])
    skin = (_fill(planes[0], opacity), _fill(planes[1], half), _fill(planes[2], half))
    luma_opacity, chroma_opacity = (
        raster.upsample2((255 * o + 0.5).astype(np.uint8)) for o in (opacity, half)
    )
    layer = replace(
        _grid(opacity > 0, np.asarray(landmarks, np.float64)),
        opacity=(luma_opacity, chroma_opacity),
        planes=(raster.upsample2(planes[0]), raster.upsample2(planes[1]), raster.upsample2(planes[2])),
    )
    return skin, layer


def _fill(plane: U8, opacity: F64) -> U8:
    opaque = (opacity >= 1.0).astype(np.uint8)
    return np.asarray(cv2.inpaint(plane, opaque, 3, cv2.INPAINT_TELEA), np.uint8)


def _grid(mask: Mask, landmarks: F64) -> Glasses:
    y, x = np.nonzero(mask)
    columns, rows = np.linspace(x.min() - 1, x.max() + 1, 5), np.linspace(y.min() - 1, y.max() + 1, 3)
    gx, gy = np.meshgrid(columns, rows)
    index = np.arange(gx.size).reshape(gx.shape)
    quads = np.stack(
        [index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[:-1, :-1], index[1:, 1:], index[1:, :-1]],
        axis=-1,
    )
    level = landmarks[[*a.EYE_INNER, *a.EYE_OUTER], 2].mean()
    blank = np.zeros((0, 0), np.uint8)
    return Glasses(
        xy=np.stack([gx.ravel(), gy.ravel()], axis=1),
        depth=np.full(gx.size, level),
        triangles=quads.reshape(-1, 3).astype(np.int32),
        opacity=(blank, blank),
        planes=(blank, blank, blank),
    )
