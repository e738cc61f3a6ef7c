"""What the mesh is painted with: the photograph, plus the parts of eyes and mouth that it does not show.

The crop's planes are extended downwards by one patch per eye and one for the mouth. An eye's patch equals the
photograph inside the lids; outside, the hidden part of the iris is completed around its centre and the sclera
from its nearest visible white. Reflections on the cornea are taken out of the patch and put back in place,
since they stay where the light is when the eye turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equime.generation_pipeline import anatomy as a
from equime.generation_pipeline.renderers import raster
from equime.generation_pipeline.renderers.face_mesh import FaceMesh

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

LIP_SEARCH_MM = 1.6
"""How far the darkest line between the lips is looked for from the landmarks' lip line."""
CLOSED_GAP_MM = 1.0
"""Lips whose margins lie closer than this are closed: both margins go to the darkest line between them."""


@dataclass(frozen=True)
class Catchlight:
    """Reflection on one cornea: luma (times 16) to add with its top left corner at ``x``, ``y``."""

    x: int
    y: int
    light: NDArray[np.int16]


@dataclass(frozen=True)
class Textures:
    """Texture planes and where each vertex looks into them.

    Attributes:
        planes: Y, U, V at twice the picture's resolution, padded (`raster.upsample2`).
        coordinates: (V, 2) float32 per plane: texel position of every vertex.
        catchlights: per eye.
    """

    planes: tuple[U8, U8, U8]
    luma_at: F32
    chroma_at: F32
    catchlights: tuple[Catchlight, Catchlight]


def luma_to_chroma(xy: F64) -> F64:
    """Luma positions to chroma positions: 4:2:0 sited left (H.264's default)."""
    return np.stack([xy[:, 0] / 2, (xy[:, 1] - 0.5) / 2], axis=1)


def lip_seam(luma: U8, landmarks: NDArray[np.floating], px_per_mm: float) -> F64:
    """Margins of the lip line, (11, 2, 2): upper and lower, right to left corner.

    Landmarks of closed lips lie up to a millimetre off the dark line where the lips meet, and a mouth that
    opens there would tear one lip. Closed margins are therefore moved to the darkest smooth line nearby.
    """
    upper = np.asarray(landmarks, np.float64)[list(a.UPPER_SEAM), :2]
    lower = np.asarray(landmarks, np.float64)[list(a.LOWER_SEAM), :2]
    middle = 0.5 * (upper + lower)
    reach = LIP_SEARCH_MM * px_per_mm
    offsets = np.linspace(-reach, reach, 25)
    soft = cv2.GaussianBlur(luma, (0, 0), 0.4 * px_per_mm).astype(np.float64)
    rows = middle[:, 1, None] + offsets
    columns = np.broadcast_to(middle[:, 0, None], rows.shape)
    cost = ndimage.map_coordinates(soft, [rows, columns], order=1, mode="nearest")
    cost = cost - cost.min(axis=1, keepdims=True) + 6.0 * (offsets / reach) ** 2
    path = _smooth_path(cost, step_cost=2.0)
    line = middle.copy()
    line[1:-1, 1] += offsets[path[1:-1]]
    gap = lower[:, 1] - upper[:, 1]
    opened = np.clip((gap / px_per_mm - 0.6 * CLOSED_GAP_MM) / (0.8 * CLOSED_GAP_MM), 0, 1)[:, None]
    seam = np.stack([line + (upper - line) * opened, line + (lower - line) * opened], axis=1)
    seam[[0, -1]] = middle[[0, -1], None]
    return seam


def _smooth_path(cost: F64, step_cost: float) -> NDArray[np.int64]:
    """Cheapest path through the columns of ``cost`` (n, k), a change by one level costing ``step_cost``."""
    n, k = cost.shape
    jump = step_cost * np.abs(np.arange(k)[:, None] - np.arange(k))
    best, back = cost[0], np.zeros((n, k), np.int64)
    for i in range(1, n):
        total = best[:, None] + jump
        back[i] = total.argmin(axis=0)
        best = total.min(axis=0) + cost[i]
    path = np.empty(n, np.int64)
    path[-1] = best.argmin()
    for i in range(n - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path


def between(upper: F64, lower: F64, x: F64, y: F64) -> Mask:
    """Points between two margins given as polylines in x (either direction)."""
    if upper[0, 0] > upper[-1, 0]:
        upper, lower = upper[::-1], lower[::-1]
    top = np.interp(x, upper[:, 0], upper[:, 1])
    bottom = np.interp(x, lower[:, 0], lower[:, 1])
    return (y >= top) & (y <= bottom) & (x >= upper[0, 0]) & (x <= upper[-1, 0])


def _complete_iris(plane: F32, visible: Mask, radius: F64, angle: F64, iris_px: float, centre: F64) -> tuple[F32, Mask]:
    """Hidden iris pixels from the same radius at the nearest visible angle."""
    hidden = ~visible & (radius < iris_px)
    out, known = plane.copy(), visible.copy()
    for step in range(1, 31):
        for sign in (1, -1):
            todo = hidden & ~known
            if not todo.any():
                return out, known
            turned = angle[todo] + sign * step * np.deg2rad(6.0)
            rows = centre[1] + radius[todo] * np.sin(turned)
            columns = centre[0] + radius[todo] * np.cos(turned)
            seen = ndimage.map_coordinates(visible.astype(np.float32), [rows, columns], order=1) > 0.99
            values = ndimage.map_coordinates(plane, [rows, columns], order=1, mode="nearest")
            where = tuple(index[seen] for index in np.nonzero(todo))
            out[where], known[where] = values[seen], True
    return out, known


def complete_eye(plane: U8, visible: Mask, x: F64, y: F64, centre: F64, iris_px: float) -> U8:
    """One plane of an eyeball behind the lids: what is visible is kept to the last bit.

    Args:
        plane: (h, w) the patch as photographed.
        visible: (h, w) pixels between the lids.
        x, y: (h, w) positions of the patch's pixels, in the plane's pixels.
        centre, iris_px: of the iris, in the plane's pixels.
    """
    dx, dy = x - centre[0], y - centre[1]
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    local = centre - np.array([x[0, 0], y[0, 0]])
    values, known = _complete_iris(plane.astype(np.float32), visible, radius, angle, iris_px * 1.03, local)
    white = visible & (radius > iris_px * 1.12)
    if white.any():
        nearest = ndimage.distance_transform_edt(~white, return_distances=False, return_indices=True)
        fill = ndimage.gaussian_filter(values[tuple(nearest)], 1.5)
        values = np.where(known | (radius < iris_px * 1.03), values, fill)
    soft = ndimage.gaussian_filter(values, 0.8)
    values = np.where(visible, plane, soft)
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def _take_catchlight(luma: U8, visible: Mask, radius: F64, iris_px: float) -> tuple[U8, NDArray[np.int16]]:
    """The patch without its corneal reflection, and the reflection (luma times 16)."""
    iris = visible & (radius < iris_px * 0.95)
    none = np.zeros(luma.shape, np.int16)
    if iris.sum() < 30:
        return luma, none
    threshold = float(np.percentile(luma[iris], 60)) + 45.0
    bright = iris & (luma > threshold)
    if not bright.any() or bright.sum() > 0.3 * iris.sum():
        return luma, none
    grown = ndimage.binary_dilation(bright, iterations=2) & iris
    filled = cv2.inpaint(luma, grown.astype(np.uint8), 2, cv2.INPAINT_TELEA)
    dull = np.where(grown, np.minimum(filled, luma), luma)
    return dull, ((luma.astype(np.int16) - dull) << raster.FRACTION_BITS).astype(np.int16)


def build(planes: tuple[U8, U8, U8], mesh: FaceMesh, landmarks: NDArray[np.floating]) -> Textures:
    """Textures of a face.

    Args:
        planes: Y (S, S), U and V (S/2, S/2) of the crop.
        mesh: its neutral mesh.
        landmarks: (478, 3).
    """
    size = planes[0].shape[0]
    extended, place = _extend(planes, mesh, size)
    at = mesh.xy.copy()
    lights = []
    slices = (*mesh.eyeballs, mesh.mouth)
    for number, (part, (x0, y0, w, h, row)) in enumerate(zip(slices, place, strict=True)):
        at[part] += (-x0, row - y0)
        hole = mesh.apertures[number]
        boxes = [np.s_[row : row + h, :w], np.s_[row // 2 : (row + h) // 2, : w // 2]]
        for index, plane in enumerate(extended):
            box = boxes[min(index, 1)]
            y, x = np.mgrid[y0 : y0 + h, x0 : x0 + w].astype(np.float64)
            if index:
                y, x = (np.mgrid[y0 // 2 : (y0 + h) // 2, x0 // 2 : (x0 + w) // 2]).astype(np.float64)
            lx, ly = (x, y) if index == 0 else (2 * x, 2 * y + 0.5)
            shown = between(mesh.xy[hole.upper], mesh.xy[hole.lower], lx, ly)
            if number < 2:
                ring = np.asarray(landmarks, np.float64)[a.IRIS[number] : a.IRIS[number] + 5, :2]
                iris_px = float(np.linalg.norm(ring[1:] - ring[0], axis=1).mean())
                patch = plane[box].copy()
                if index == 0:
                    patch, light = _take_catchlight(patch, shown, np.hypot(x - ring[0, 0], y - ring[0, 1]), iris_px)
                    lights.append(Catchlight(x0, y0, light))
                    plane[box] = complete_eye(patch, shown, x, y, ring[0], iris_px)
                else:
                    plane[box] = complete_eye(patch, shown, x, y, luma_to_chroma(ring[:1])[0], iris_px / 2)
            else:
                plane[box] = _mouth_inside(planes[index], plane[box], shown, mesh, landmarks, index)
    luma, u, v = (raster.upsample2(plane) for plane in extended)
    return Textures(
        planes=(luma, u, v),
        luma_at=(2 * at).astype(np.float32),
        chroma_at=(2 * luma_to_chroma(at)).astype(np.float32),
        catchlights=(lights[0], lights[1]),
    )


def _extend(planes: tuple[U8, U8, U8], mesh: FaceMesh, size: int) -> tuple[list[U8], list[tuple[int, int, int, int, int]]]:
    """The planes with room for the patches below, filled with the photograph; (x0, y0, w, h, row) of each."""
    place, row = [], size
    for part in (*mesh.eyeballs, mesh.mouth):
        x0, y0 = mesh.xy[part].min(axis=0).astype(int)
        x1, y1 = mesh.xy[part].max(axis=0).astype(int)
        place.append((int(x0), int(y0), int(x1 - x0), int(y1 - y0), row))
        row += int(y1 - y0) + 4
    extended = []
    for index, plane in enumerate(planes):
        step = 1 if index == 0 else 2
        tall = np.empty((row // step, size // step), np.uint8)
        tall[: size // step] = plane
        tall[size // step :] = plane[-1]
        for x0, y0, w, h, top in place:
            ys = np.clip(np.arange(y0 // step, (y0 + h) // step), 0, size // step - 1)
            xs = np.clip(np.arange(x0 // step, (x0 + w) // step), 0, size // step - 1)
            tall[top // step : (top + h) // step, : w // step] = plane[np.ix_(ys, xs)]
        extended.append(tall)
    return extended, place


def _mouth_inside(plane: U8, patch: U8, shown: Mask, mesh: FaceMesh, landmarks: NDArray[np.floating], index: int) -> U8:
    """A dark, slightly red inside of the mouth, from the colour of the person's own lips; what the photograph
    shows between the lips is kept."""
    lips = np.asarray(landmarks)[list(a.UPPER_LIP_BORDER[2:-2] + a.LOWER_LIP_BORDER[2:-2]), :2]
    lips = 0.6 * lips + 0.4 * lips.mean(axis=0)
    at = lips if index == 0 else luma_to_chroma(lips)
    tone = float(np.median(ndimage.map_coordinates(plane.astype(np.float32), at.T[::-1], order=1, mode="nearest")))
    h, w = patch.shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    depth, side = y / h, np.abs(x / w - 0.5) * 2
    if index == 0:
        share = 0.14 + 0.22 * np.clip((depth - 0.25) / 0.5, 0, 1) * (1 - side**2)
        inside = 16 + (tone - 16) * share
    else:
        inside = np.full(patch.shape, 128 + (tone - 128) * (0.5 if index == 1 else 0.75))
    return np.where(shown, patch, np.clip(inside + 0.5, 0, 255)).astype(np.uint8)
