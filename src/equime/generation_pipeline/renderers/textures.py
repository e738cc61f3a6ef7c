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

from equime.face import anatomy as a
from equime.generation_pipeline.renderers import raster
from equime.generation_pipeline.renderers.face_mesh import FaceMesh

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Planes = tuple[U8, U8, U8]

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
        luma: Y at twice the picture's resolution, padded (`raster.upsample2`).
        u, v: likewise.
        packed_luma, packed_chroma: the same as the rasteriser reads them.
        luma_at, chroma_at: (V, 2) texel position of every vertex.
        catchlights: per eye.
    """

    luma: U8
    u: U8
    v: U8
    packed_luma: NDArray[np.uint32]
    packed_chroma: NDArray[np.uint64]
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
    inside: Mask = (y >= top) & (y <= bottom) & (x >= upper[0, 0]) & (x <= upper[-1, 0])
    return inside


def _complete_iris(
    plane: F32, visible: Mask, radius: F64, angle: F64, iris_px: float, centre: F64
) -> tuple[F32, Mask]:
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
    whole: U8 = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    return whole


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


def build(planes: Planes, mesh: FaceMesh, landmarks: NDArray[np.floating]) -> Textures:
    """Textures of a face.

    Args:
        planes: Y (S, S), U and V (S/2, S/2) of the crop.
        mesh: its neutral mesh.
        landmarks: (478, 3).
    """
    points = np.asarray(landmarks, np.float64)
    patches = _patches(mesh, planes[0].shape[0])
    extended = [_extend(plane, patches, step) for plane, step in zip(planes, (1, 2, 2), strict=True)]
    at = mesh.xy.copy()
    for patch in patches:
        at[patch.vertices] += (-patch.x0, patch.row - patch.y0)
    right, left = (_fill_eye(extended, patches[eye], mesh, points, eye) for eye in (a.RIGHT, a.LEFT))
    _fill_mouth(extended, patches[2], mesh, planes, points)
    luma, u, v = (raster.upsample2(plane) for plane in extended)
    return Textures(
        luma=luma,
        u=u,
        v=v,
        packed_luma=raster.pack_luma(luma),
        packed_chroma=raster.pack_chroma(u, v),
        luma_at=(2 * at).astype(np.float32),
        chroma_at=(2 * luma_to_chroma(at)).astype(np.float32),
        catchlights=(right, left),
    )


@dataclass(frozen=True)
class _Patch:
    """Where a layer behind the skin lies in the picture (luma pixels, even) and in the extended planes."""

    vertices: slice
    x0: int
    y0: int
    width: int
    height: int
    row: int

    def box(self, step: int) -> tuple[slice, slice]:
        """Rows and columns in an extended plane; step 1 luma, 2 chroma."""
        return (
            slice(self.row // step, (self.row + self.height) // step),
            slice(0, self.width // step),
        )

    def grid(self, step: int) -> tuple[F64, F64]:
        """Columns and rows of the patch's pixels in the picture's plane, each (h, w)."""
        y, x = np.mgrid[
            self.y0 // step : (self.y0 + self.height) // step,
            self.x0 // step : (self.x0 + self.width) // step,
        ]
        return x.astype(np.float64), y.astype(np.float64)


def _patches(mesh: FaceMesh, size: int) -> list[_Patch]:
    patches, row = [], size
    for part in (*mesh.eyeballs, mesh.mouth):
        x0, y0 = (int(v) for v in mesh.xy[part].min(axis=0))
        x1, y1 = (int(v) for v in mesh.xy[part].max(axis=0))
        patches.append(_Patch(part, x0, y0, x1 - x0, y1 - y0, row))
        row += y1 - y0 + 4
    return patches


def _extend(plane: U8, patches: list[_Patch], step: int) -> U8:
    """A plane with the patches below it, filled with the photograph."""
    height, width = plane.shape
    last = patches[-1]
    tall = np.empty(((last.row + last.height + 4) // step, width), np.uint8)
    tall[:height], tall[height:] = plane, plane[-1]
    for patch in patches:
        x, y = patch.grid(step)
        rows = np.clip(y[:, 0], 0, height - 1).astype(int)
        columns = np.clip(x[0], 0, width - 1).astype(int)
        tall[patch.box(step)] = plane[np.ix_(rows, columns)]
    return tall


def _shown(mesh: FaceMesh, number: int, patch: _Patch, step: int) -> Mask:
    """Pixels of a patch that the photograph shows between the margins of an aperture."""
    x, y = patch.grid(step)
    hole = mesh.apertures[number]
    if step == 2:
        x, y = 2 * x, 2 * y + 0.5
    return between(mesh.xy[hole.upper], mesh.xy[hole.lower], x, y)


def _fill_eye(extended: list[U8], patch: _Patch, mesh: FaceMesh, points: F64, eye: int) -> Catchlight:
    ring = points[a.IRIS[eye] : a.IRIS[eye] + 5, :2]
    iris_px = float(np.linalg.norm(ring[1:] - ring[0], axis=1).mean())
    x, y = patch.grid(1)
    shown = _shown(mesh, eye, patch, 1)
    radius = np.hypot(x - ring[0, 0], y - ring[0, 1])
    dull, light = _take_catchlight(extended[0][patch.box(1)].copy(), shown, radius, iris_px)
    extended[0][patch.box(1)] = complete_eye(dull, shown, x, y, ring[0], iris_px)
    centre = luma_to_chroma(ring[:1])[0]
    shown = _shown(mesh, eye, patch, 2)
    for plane in extended[1:]:
        plane[patch.box(2)] = complete_eye(plane[patch.box(2)], shown, *patch.grid(2), centre, iris_px / 2)
    return Catchlight(patch.x0, patch.y0, light)


def _fill_mouth(extended: list[U8], patch: _Patch, mesh: FaceMesh, planes: Planes, points: F64) -> None:
    """A dark, slightly red inside of the mouth, from the colour of the person's own lips.

    What the photograph shows between the lips is kept.
    """
    lips = points[list(a.UPPER_LIP_BORDER[2:-2] + a.LOWER_LIP_BORDER[2:-2]), :2]
    lips = 0.6 * lips + 0.4 * lips.mean(axis=0)
    for index, (tall, plane) in enumerate(zip(extended, planes, strict=True)):
        step = 1 if index == 0 else 2
        at = lips if index == 0 else luma_to_chroma(lips)
        tone = float(np.median(ndimage.map_coordinates(plane.astype(np.float32), at.T[::-1], order=1)))
        box = patch.box(step)
        y, x = np.mgrid[0 : tall[box].shape[0], 0 : tall[box].shape[1]].astype(np.float64)
        depth, side = y / y.max(), np.abs(x / x.max() - 0.5) * 2
        if index == 0:
            share = 0.14 + 0.22 * np.clip((depth - 0.25) / 0.5, 0, 1) * (1 - side**2)
            inside = 16 + (tone - 16) * share
        else:
            inside = np.full(x.shape, 128 + (tone - 128) * (0.5 if index == 1 else 0.75))
        kept = _shown(mesh, 2, patch, step)
        tall[box] = np.where(kept, tall[box], np.clip(inside + 0.5, 0, 255))
