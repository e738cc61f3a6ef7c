"""The mesh that a face is moved by: skin, a ring out to the picture's border, and what lies behind lids and lips.

Painted back to front: the two eyeballs, the inside of the mouth, the skin with holes at the lids and lips, and
narrow *veils* along those margins that fade from skin to what lies behind. A lid that closes therefore covers
the eye with lid skin, and lips that part show the inside of the mouth; nothing of the eye or lips is stretched.

Vertices are numbered: 468 landmarks, midpoints of their edges, ring, veils, eyeballs, mouth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from equime.generation_pipeline import anatomy as a

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

N_SKIN_LANDMARKS = 468
RING_FRACTIONS = (0.10, 0.24, 0.42, 0.65, 1.0)
VEIL_MM = 0.9
"""Width over which a lid or lip margin fades into what lies behind it."""
RIM_MM = 0.45
"""Width of the soft rim of an upper lid over the lower one."""
LASH_MM = (0.5, 0.3)
"""How far inside the landmarks' upper and lower lid contour the skin's margin is cut, so that lashes and the
rim of the lid belong to the lid and move with it."""
HAIR_MM = 16.0
"""How far beyond the face's oval hair and ears still turn with the head."""


@cache
def landmark_triangles() -> I32:
    """The 852 triangles of MediaPipe's tesselation, with holes at eyes and mouth, (852, 3).

    The 3-cliques of `FACEMESH_TESSELATION` less the two that are no triangles of the mesh (all of whose edges
    lie in three cliques); stored so that rendering does not import mediapipe.
    """
    with resources.files(__package__).joinpath("face_triangles.npy").open("rb") as file:
        return np.load(file).astype(np.int32)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Subdivision:
    """Landmark triangles split in four.

    Attributes:
        parents: (M, 2) the landmarks whose midpoint each added vertex is, numbered from 468.
        triangles: (3408, 3).
        midpoint: vertex number of the midpoint of an edge (smaller landmark first).
    """

    parents: I32
    triangles: I32
    midpoint: dict[tuple[int, int], int]


@cache
def subdivision() -> Subdivision:
    """Split every landmark triangle in four at its edges' midpoints."""
    midpoint: dict[tuple[int, int], int] = {}
    triangles = []

    def mid(p: int, q: int) -> int:
        edge = (min(p, q), max(p, q))
        return midpoint.setdefault(edge, N_SKIN_LANDMARKS + len(midpoint))

    for i, j, k in landmark_triangles().tolist():
        ij, jk, ki = mid(i, j), mid(j, k), mid(k, i)
        triangles += [(i, ij, ki), (j, jk, ij), (k, ki, jk), (ij, jk, ki)]
    return Subdivision(np.array(list(midpoint), np.int32), np.array(triangles, np.int32), midpoint)


def refine(loop: tuple[int, ...], closed: bool) -> list[int]:
    """A contour of landmarks with its edges' midpoints put between."""
    mid = subdivision().midpoint
    pairs = zip(loop, loop[1:] + loop[:1] if closed else loop[1:], strict=False)
    out: list[int] = []
    for p, q in pairs:
        out += [p, mid[(min(p, q), max(p, q))]]
    return out if closed else [*out, loop[-1]]


@dataclass(frozen=True)
class Aperture:
    """A hole in the skin between an upper and a lower margin: an eye or the mouth.

    Attributes:
        upper, lower: skin vertices of the margins in step, corners first and last, shared by both.
        veil_upper, veil_lower: the veil's inner vertices, in step with the margins.
        keeps_texture: the veil carries the picture inside the hole (eyes); else the margin's own (lips).
    """

    upper: I32
    lower: I32
    veil_upper: I32
    veil_lower: I32
    keeps_texture: bool

    def inner(self, xy: F64, px_per_mm: float) -> tuple[F64, F64]:
        """Where the veil's inner vertices lie when the margins lie at ``xy``: `VEIL_MM` inside, at most half
        of the gap, nothing where the margins have met. An upper lid that has met the lower one keeps a narrow
        veil over it, so that its rim stays soft. Corners stay on the margin."""
        up, low = xy[self.upper], xy[self.lower]
        gap = low - up
        length = np.linalg.norm(gap, axis=1, keepdims=True)
        opened = gap[:, 1:] > 0
        share = np.where(opened, np.minimum(VEIL_MM * px_per_mm / np.maximum(length, 1e-9), 0.5), 0.0)
        upper = up + gap * share
        if self.keeps_texture:
            upper[1:-1, 1] = np.maximum(upper[1:-1, 1], up[1:-1, 1] + RIM_MM * px_per_mm)
        return upper, low - gap * share


@dataclass(frozen=True)
class FaceMesh:
    """A face's mesh in its neutral position.

    Attributes:
        xy: (V, 2) pixels of the crop.
        depth: (V,) pixels, negative towards the camera.
        follows_head: (V,) 0..1, how far a vertex turns with the head.
        is_skin: (V,) vertices that muscles act on.
        lip: int8 (V,) +1 upper, -1 lower lip's side of the lip line, 0 elsewhere.
        triangles: (N, 3) in paint order.
        alpha: (V,) opacity.
        apertures: right eye, left eye, mouth.
        eyeballs: per eye, the slice of its grid's vertices.
        mouth: slice of the grid behind the lips.
        px_per_mm: scale.
    """

    xy: F64
    depth: F64
    follows_head: F64
    is_skin: NDArray[np.bool_]
    lip: NDArray[np.int8]
    triangles: I32
    alpha: F64
    apertures: tuple[Aperture, Aperture, Aperture]
    eyeballs: tuple[slice, slice]
    mouth: slice
    px_per_mm: float


def _grid(x0: float, y0: float, x1: float, y1: float, nx: int, ny: int, first: int) -> tuple[F64, I32]:
    gx, gy = np.meshgrid(np.linspace(x0, x1, nx), np.linspace(y0, y1, ny))
    index = first + np.arange(nx * ny).reshape(ny, nx)
    a00, a01, a10, a11 = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    quads = np.stack([a00, a01, a11, a00, a11, a10], axis=-1).reshape(-1, 3)
    return np.stack([gx.ravel(), gy.ravel()], axis=1), quads.astype(np.int32)


def _ring(oval: I32, xy: F64, size: int, first: int) -> tuple[F64, I32, F64]:
    """Rings of vertices from the face's oval to the picture's border: positions, triangles, the share of the
    way to the border of each vertex."""
    inner, centre = xy[oval], xy[oval].mean(axis=0)
    ray = inner - centre
    low, high = -0.5, size - 0.5
    with np.errstate(divide="ignore"):
        reach = np.where(ray > 0, (high - centre) / ray, np.where(ray < 0, (low - centre) / ray, np.inf))
    # An oval that touches the border still gets a ring, just outside the picture.
    border = centre + ray * np.maximum(reach.min(axis=1), 1.02)[:, None]
    n = len(oval)
    rings = [inner + f * (border - inner) for f in RING_FRACTIONS]
    index = np.vstack([oval, first + np.arange(n * len(rings)).reshape(-1, n)])
    after = np.roll(index, -1, axis=1)
    quads = np.stack([index[:-1], index[1:], after[1:], index[:-1], after[1:], after[:-1]], axis=-1).reshape(-1, 3)
    corners, fills = [], []
    for corner in ((low, low), (high, low), (high, high), (low, high)):
        angle = np.arctan2(*(np.array(corner) - centre)[::-1])
        turn = np.angle(np.exp(1j * (np.arctan2(ray[:, 1], ray[:, 0]) - angle)))
        before = int(np.argmax(np.where(turn <= 0, turn, -np.inf)))
        behind = int(np.argmin(np.where(turn > 0, turn, np.inf)))
        fills.append((index[-1, before], index[-1, behind], first + n * len(rings) + len(corners)))
        corners.append(corner)
    share = np.concatenate([np.repeat(RING_FRACTIONS, n), np.ones(4)])
    return np.vstack([*rings, corners]), np.vstack([quads, fills]).astype(np.int32), share


def _follow(distance_px: F64, reach_px: F64, px_per_mm: float) -> F64:
    """Hair and ears turn with the head; the picture's border stays."""
    hair = np.minimum(HAIR_MM * px_per_mm, 0.45 * reach_px)
    t = np.clip((distance_px - hair) / np.maximum(reach_px * 0.98 - hair, 1e-6), 0.0, 1.0)
    return 1.0 - t * t * (3.0 - 2.0 * t)


def _aperture(upper: list[int], lower: list[int], first: int, keeps_texture: bool) -> Aperture:
    n = len(upper)
    veil = first + np.arange(2 * n).reshape(2, n)
    veil[:, 0], veil[:, -1] = upper[0], upper[-1]
    return Aperture(
        np.array(upper, np.int32),
        np.array(lower, np.int32),
        veil[0].astype(np.int32),
        veil[1].astype(np.int32),
        keeps_texture,
    )


def _veil_triangles(hole: Aperture) -> I32:
    quads = []
    for margin, veil in ((hole.upper, hole.veil_upper), (hole.lower, hole.veil_lower)):
        for p, q, r, s in zip(margin[:-1], margin[1:], veil[1:], veil[:-1], strict=True):
            quads += [(p, q, r), (p, r, s)]
    return np.array(quads, np.int32)


def build(landmarks: NDArray[np.floating], lip_seam: F64, size: int, px_per_mm: float) -> FaceMesh:
    """The mesh of a face.

    Args:
        landmarks: (478, 3) pixels of the crop.
        lip_seam: (11, 2, 2) upper and lower margin of the lip line, replacing the landmarks' own.
        size: side of the crop in pixels.
        px_per_mm: its scale.
    """
    points = np.asarray(landmarks, np.float64)[:N_SKIN_LANDMARKS].copy()
    for upper, lower in zip(a.UPPER_LID, a.LOWER_LID, strict=True):
        _inset_lids(points, list(upper[1:-1]), list(lower[1:-1]), px_per_mm)
    points[list(a.UPPER_SEAM), :2] = lip_seam[:, 0]
    points[list(a.LOWER_SEAM), :2] = lip_seam[:, 1]
    split = subdivision()
    points = np.vstack([points, points[split.parents].mean(axis=1)])
    n_face = len(points)

    oval = np.array(refine(a.FACE_OVAL, closed=True), np.int32)
    ring_xy, ring_triangles, share = _ring(oval, points[:, :2], size, n_face)
    n_oval, n_ring = len(oval), len(ring_xy)
    edge = np.concatenate([np.tile(np.arange(n_oval), len(RING_FRACTIONS)), np.zeros(4, int)])
    origin = points[oval[edge]]
    reach = np.linalg.norm(ring_xy[n_ring - 4 - n_oval + edge] - origin[:, :2], axis=1)
    ring_follow = _follow(share * reach, reach, px_per_mm)
    ring_depth = origin[:, 2] + 0.5 * np.minimum(share * reach, 25 * px_per_mm)

    next_vertex = n_face + n_ring
    holes = []
    for upper, lower, keeps in (
        (a.UPPER_LID[a.RIGHT], a.LOWER_LID[a.RIGHT], True),
        (a.UPPER_LID[a.LEFT], a.LOWER_LID[a.LEFT], True),
        (a.UPPER_SEAM, a.LOWER_SEAM, False),
    ):
        hole = _aperture(refine(upper, closed=False), refine(lower, closed=False), next_vertex, keeps)
        holes.append(hole)
        next_vertex += 2 * len(hole.upper)
    right_eye, left_eye, mouth_hole = holes

    xy = np.vstack([points[:, :2], ring_xy, np.zeros((next_vertex - n_face - n_ring, 2))])
    depth = np.concatenate([points[:, 2], ring_depth, np.zeros(next_vertex - n_face - n_ring)])
    for hole in holes:
        xy[hole.veil_upper], xy[hole.veil_lower] = hole.inner(xy, px_per_mm)
        depth[hole.veil_upper], depth[hole.veil_lower] = depth[hole.upper], depth[hole.lower]

    behind, slices = [], []
    for hole in holes:
        x0, y0, x1, y1 = _behind_box(xy, hole, px_per_mm)
        nx, ny = (17, 13) if hole.keeps_texture else (7, 7)
        grid, quads = _grid(x0, y0, x1, y1, nx, ny, next_vertex)
        level = depth[np.concatenate([hole.upper, hole.lower])].mean()
        xy, depth = np.vstack([xy, grid]), np.concatenate([depth, np.full(len(grid), level)])
        behind.append(quads)
        slices.append(slice(next_vertex, next_vertex + len(grid)))
        next_vertex += len(grid)

    follows = np.ones(len(xy))
    follows[n_face : n_face + n_ring] = ring_follow
    is_skin = np.zeros(len(xy), bool)
    is_skin[: n_face + n_ring] = True
    alpha = np.ones(len(xy))
    for hole in holes:
        alpha[hole.veil_upper[1:-1]] = 0.0
        alpha[hole.veil_lower[1:-1]] = 0.0
    lip = np.zeros(len(xy), np.int8)
    lip[mouth_hole.upper[1:-1]], lip[mouth_hole.lower[1:-1]] = 1, -1
    veils = [_veil_triangles(hole) for hole in holes]
    # Lower skin first: an upper lid that closes lies over the lower one.
    skin = split.triangles[np.argsort(-points[split.triangles, 1].mean(axis=1), kind="stable")]
    return FaceMesh(
        xy=xy,
        depth=depth,
        follows_head=follows,
        is_skin=is_skin,
        lip=lip,
        triangles=np.vstack([*behind, ring_triangles, skin, *veils]).astype(np.int32),
        alpha=alpha,
        apertures=(right_eye, left_eye, mouth_hole),
        eyeballs=(slices[0], slices[1]),
        mouth=slices[2],
        px_per_mm=px_per_mm,
    )


def _inset_lids(points: F64, upper: list[int], lower: list[int], px_per_mm: float) -> None:
    gap = points[lower, :2] - points[upper, :2]
    length = np.maximum(np.linalg.norm(gap, axis=1, keepdims=True), 1e-9)
    up, down = (np.minimum(mm * px_per_mm, 0.15 * length) / length for mm in LASH_MM)
    points[upper, :2] += gap * up
    points[lower, :2] -= gap * down


def _behind_box(xy: F64, hole: Aperture, px_per_mm: float) -> tuple[float, float, float, float]:
    """What a hole can ever show: an eye with lids raised, or a mouth with the jaw dropped. Even pixels, so
    that luma and chroma texels of the layer coincide with the picture's."""
    rim = xy[np.concatenate([hole.upper, hole.lower])]
    up_mm, down_mm, side_mm = (6.0, 5.0, 3.0) if hole.keeps_texture else (8.0, 34.0, 6.0)
    low = rim.min(axis=0) - px_per_mm * np.array([side_mm, up_mm])
    high = rim.max(axis=0) + px_per_mm * np.array([side_mm, down_mm])
    x0, y0 = np.floor(low / 2) * 2
    x1, y1 = np.ceil(high / 2) * 2
    return float(x0), float(y0), float(x1), float(y1)
