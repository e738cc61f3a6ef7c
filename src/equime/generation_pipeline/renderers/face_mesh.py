"""The mesh that a face is moved by: skin, a ring out to the picture's border, and what lies behind lids and lips.

Painted back to front: the two eyeballs, the inside of the mouth, the skin with holes at the lids and lips, and
narrow *veils* along those margins that fade from skin to what lies behind. A lid that closes therefore covers
the eye with lid skin, and lips that part show the inside of the mouth; nothing of the eye or lips is stretched.

Vertices are numbered: 468 landmarks, midpoints of long edges, ring, veils, eyeballs, mouth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from equime.face import anatomy as a

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

N_SKIN_LANDMARKS = 468
LONGEST_MM = 7.0
"""Inner edges longer than this are halved."""
EYE_GRID = (10, 7)
MOUTH_GRID = (4, 4)
"""Vertices across and down of the grids behind lids and lips."""
RINGS = (
    (4.0, 0.08, 1.0),
    (9.0, 0.18, 1.0),
    (15.0, 0.30, 0.94),
    (21.0, 0.42, 0.62),
    (28.0, 0.56, 0.2),
    (36.0, 0.72, 0.0),
)
"""Rings around the face's oval: distance in mm, but at most this share of the way to the border; how far the
ring turns with the head. Hair and ears turn with it; from the last ring on nothing ever moves."""
VEIL_MM = 0.9
"""Width over which a lid or lip margin fades into what lies behind it."""
RIM_MM = 0.45
"""Width of the soft rim of an upper lid over the lower one."""
LASH_MM = (0.5, 0.3)
"""How far inside the landmarks' upper and lower lid contour the skin's margin is cut, so that lashes and the
rim of the lid belong to the lid and move with it."""


@cache
def landmark_triangles() -> I32:
    """The 852 triangles of MediaPipe's tesselation, with holes at eyes and mouth, (852, 3).

    The 3-cliques of `FACEMESH_TESSELATION` less the two that are no triangles of the mesh (all of whose edges
    lie in three cliques); stored so that rendering does not import mediapipe.
    """
    with resources.files(__package__).joinpath("face_triangles.npy").open("rb") as file:
        return np.load(file).astype(np.int32)  # type: ignore[no-any-return]


@cache
def _edges() -> tuple[I32, I32, NDArray[np.bool_]]:
    """Edges of the landmark triangles: (E, 2) landmarks, (852, 3) edges of each triangle (between its corners
    0-1, 1-2, 2-0), and which edges bound a hole or the face.
    """
    triangles = landmark_triangles()
    pairs = np.sort(np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, index, count = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    return edges.astype(np.int32), index.reshape(-1, 3).astype(np.int32), count == 1


def split_long_edges(xy: F64, longest_px: float) -> tuple[I32, I32]:
    """Landmark triangles with their long inner edges halved.

    The mesh is dense at eyes and mouth and sparse on forehead and cheeks; there a muscle's field needs more
    vertices, elsewhere they would only cost time.

    Returns:
        (M, 2) the landmarks whose midpoint each added vertex is, numbered from 468, and (N, 3) triangles.
    """
    edges, of_triangle, is_boundary = _edges()
    is_long = (np.linalg.norm(xy[edges[:, 0]] - xy[edges[:, 1]], axis=1) > longest_px) & ~is_boundary
    number = np.full(len(edges), -1)
    number[is_long] = N_SKIN_LANDMARKS + np.arange(is_long.sum())
    triangles: list[tuple[int, int, int]] = []
    for corners, mids in zip(landmark_triangles().tolist(), number[of_triangle].tolist(), strict=True):
        triangles += _split(corners, mids)
    return edges[is_long], np.array(triangles, np.int32)


def _split(corners: list[int], mids: list[int]) -> list[tuple[int, int, int]]:
    """One triangle split at those of its edges' midpoints that exist (not -1), without loose vertices."""
    n = sum(m >= 0 for m in mids)
    if n == 0:
        return [(corners[0], corners[1], corners[2])]
    # Turn it so that a split edge comes first and, of two, an unsplit one last.
    turn = next(
        r for r in range(3) if [m >= 0 for m in mids[r:] + mids[:r]] == sorted([m >= 0 for m in mids])[::-1]
    )
    i, j, k = corners[turn:] + corners[:turn]
    ij, jk, ki = mids[turn:] + mids[:turn]
    if n == 1:
        return [(i, ij, k), (ij, j, k)]
    if n == 2:
        return [(ij, j, jk), (i, ij, jk), (i, jk, k)]
    return [(i, ij, ki), (j, jk, ij), (k, ki, jk), (ij, jk, ki)]


@dataclass(frozen=True)
class Aperture:
    """A hole in the skin between an upper and a lower margin: an eye or the mouth.

    Attributes:
        upper, lower: landmarks of the margins in step, corners first and last, shared by both.
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
        veil over it, so that its rim stays soft. Corners stay on the margin.
        """
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
        still_triangles: (N, 3) of the background, which never moves.
        eye_triangles, mouth_triangles, skin_triangles, veil_triangles: (N, 3) in paint order.
        alpha: (V,) opacity, 1 but for the veils' inner vertices.
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
    still_triangles: I32
    eye_triangles: I32
    mouth_triangles: I32
    skin_triangles: I32
    veil_triangles: I32
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


@dataclass(frozen=True)
class _Ring:
    """Rings of vertices from the face's oval to the picture's border.

    Attributes:
        xy: (R, 2).
        depth: (R,).
        follows_head: (R,).
        moving: triangles up to the last ring that can move.
        still: triangles from there to the border.
    """

    xy: F64
    depth: F64
    follows_head: F64
    moving: I32
    still: I32


def _ring(oval: I32, points: F64, size: int, px_per_mm: float, first: int) -> _Ring:
    inner, centre = points[oval, :2], points[oval, :2].mean(axis=0)
    ray = inner - centre
    low, high = -0.5, size - 0.5
    with np.errstate(divide="ignore"):
        reach = np.where(ray > 0, (high - centre) / ray, np.where(ray < 0, (low - centre) / ray, np.inf))
    # An oval that touches the border still gets a ring, just outside the picture.
    border = centre + ray * np.maximum(reach.min(axis=1), 1.02)[:, None]
    way = np.linalg.norm(border - inner, axis=1)
    shares = [np.minimum(mm * px_per_mm / way, most) for mm, most, _ in RINGS] + [np.ones(len(oval))]
    rings = [inner + share[:, None] * (border - inner) for share in shares]
    depth = [points[oval, 2] + 0.5 * np.minimum(share * way, 25 * px_per_mm) for share in shares]
    follows = [np.full(len(oval), f) for _, _, f in RINGS] + [np.zeros(len(oval))]
    index = np.vstack([oval, first + np.arange(len(oval) * len(rings)).reshape(-1, len(oval))])
    after = np.roll(index, -1, axis=1)
    quads = np.stack([index[:-1], index[1:], after[1:], index[:-1], after[1:], after[:-1]], axis=-1)
    corners = np.array([(low, low), (high, low), (high, high), (low, high)])
    fills = [
        (*_neighbours(ray, corner - centre, index[-1]), first + len(oval) * len(rings) + number)
        for number, corner in enumerate(corners)
    ]
    return _Ring(
        xy=np.vstack([*rings, corners]),
        depth=np.concatenate([*depth, np.zeros(4)]),
        follows_head=np.concatenate([*follows, np.zeros(4)]),
        moving=quads[:-1].reshape(-1, 3).astype(np.int32),
        still=np.vstack([quads[-1].reshape(-1, 3), fills]).astype(np.int32),
    )


def _neighbours(ray: F64, corner: F64, outermost: I32) -> tuple[int, int]:
    """The two vertices of the outermost ring between which a corner of the picture lies."""
    turn = np.arctan2(ray[:, 1], ray[:, 0]) - np.arctan2(corner[1], corner[0])
    turn = np.angle(np.exp(1j * turn))
    before, behind = np.where(turn <= 0, turn, -np.inf), np.where(turn > 0, turn, np.inf)
    return int(outermost[np.argmax(before)]), int(outermost[np.argmin(behind)])


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
    points, skin = _skin(landmarks, lip_seam, px_per_mm)
    ring = _ring(np.array(a.FACE_OVAL, np.int32), points, size, px_per_mm, len(points))
    n_skin = len(points) + len(ring.xy)
    holes = _apertures(n_skin)
    n_veil = 2 * sum(len(hole.upper) for hole in holes)
    xy = np.vstack([points[:, :2], ring.xy, np.zeros((n_veil, 2))])
    depth = np.concatenate([points[:, 2], ring.depth, np.zeros(n_veil)])
    alpha = np.ones(len(xy))
    for hole in holes:
        xy[hole.veil_upper], xy[hole.veil_lower] = hole.inner(xy, px_per_mm)
        depth[hole.veil_upper], depth[hole.veil_lower] = depth[hole.upper], depth[hole.lower]
        alpha[hole.veil_upper[1:-1]] = alpha[hole.veil_lower[1:-1]] = 0.0
    behind, slices = [], []
    for hole in holes:
        grid, quads = _behind(xy, hole, px_per_mm)
        level = depth[np.concatenate([hole.upper, hole.lower])].mean()
        slices.append(slice(len(xy), len(xy) + len(grid)))
        behind.append(quads)
        xy, depth = np.vstack([xy, grid]), np.concatenate([depth, np.full(len(grid), level)])
    n_behind = len(xy) - len(alpha)
    follows = np.concatenate([np.ones(len(points)), ring.follows_head, np.ones(n_veil + n_behind)])
    lip = np.zeros(len(xy), np.int8)
    lip[holes[2].upper[1:-1]], lip[holes[2].lower[1:-1]] = 1, -1
    return FaceMesh(
        xy=xy,
        depth=depth,
        follows_head=follows,
        is_skin=(np.arange(len(xy)) < n_skin) & (follows > 0),
        lip=lip,
        eye_triangles=np.vstack(behind[:2]),
        mouth_triangles=behind[2],
        still_triangles=ring.still,
        skin_triangles=np.vstack([ring.moving, skin]).astype(np.int32),
        veil_triangles=np.vstack([_veil_triangles(hole) for hole in holes]),
        alpha=np.concatenate([alpha, np.ones(n_behind)]),
        apertures=holes,
        eyeballs=(slices[0], slices[1]),
        mouth=slices[2],
        px_per_mm=px_per_mm,
    )


def _skin(landmarks: NDArray[np.floating], lip_seam: F64, px_per_mm: float) -> tuple[F64, I32]:
    """Vertices (n, 3) of the face and its triangles in paint order."""
    points = np.asarray(landmarks, np.float64)[:N_SKIN_LANDMARKS].copy()
    for eye in (a.RIGHT, a.LEFT):
        _inset_lids(points, list(a.UPPER_LID[eye][1:-1]), list(a.LOWER_LID[eye][1:-1]), px_per_mm)
    points[list(a.UPPER_SEAM), :2] = lip_seam[:, 0]
    points[list(a.LOWER_SEAM), :2] = lip_seam[:, 1]
    parents, triangles = split_long_edges(points[:, :2], LONGEST_MM * px_per_mm)
    points = np.vstack([points, points[parents].mean(axis=1)])
    # Lower skin first: an upper lid that closes lies over the lower one.
    return points, triangles[np.argsort(-points[triangles, 1].mean(axis=1), kind="stable")]


def _apertures(first: int) -> tuple[Aperture, Aperture, Aperture]:
    """Right eye, left eye and mouth, their veils' vertices numbered from ``first``."""
    right = _aperture(list(a.UPPER_LID[a.RIGHT]), list(a.LOWER_LID[a.RIGHT]), first, True)
    first += 2 * len(right.upper)
    left = _aperture(list(a.UPPER_LID[a.LEFT]), list(a.LOWER_LID[a.LEFT]), first, True)
    first += 2 * len(left.upper)
    return right, left, _aperture(list(a.UPPER_SEAM), list(a.LOWER_SEAM), first, False)


def _behind(xy: F64, hole: Aperture, px_per_mm: float) -> tuple[F64, I32]:
    """The grid behind a hole, its vertices numbered on from ``xy``'s."""
    nx, ny = EYE_GRID if hole.keeps_texture else MOUTH_GRID
    return _grid(*_behind_box(xy, hole, px_per_mm), nx, ny, len(xy))


def _inset_lids(points: F64, upper: list[int], lower: list[int], px_per_mm: float) -> None:
    gap = points[lower, :2] - points[upper, :2]
    length = np.maximum(np.linalg.norm(gap, axis=1, keepdims=True), 1e-9)
    up, down = (np.minimum(mm * px_per_mm, 0.15 * length) / length for mm in LASH_MM)
    points[upper, :2] += gap * up
    points[lower, :2] -= gap * down


def _behind_box(xy: F64, hole: Aperture, px_per_mm: float) -> tuple[float, float, float, float]:
    """What a hole can ever show: an eye with lids raised, or a mouth with the jaw dropped. Even pixels, so
    that luma and chroma texels of the layer coincide with the picture's.
    """
    rim = xy[np.concatenate([hole.upper, hole.lower])]
    up_mm, down_mm, side_mm = (6.0, 5.0, 3.0) if hole.keeps_texture else (8.0, 34.0, 6.0)
    low = rim.min(axis=0) - px_per_mm * np.array([side_mm, up_mm])
    high = rim.max(axis=0) + px_per_mm * np.array([side_mm, down_mm])
    x0, y0 = np.floor(low / 2) * 2
    x1, y1 = np.ceil(high / 2) * 2
    return float(x0), float(y0), float(x1), float(y1)
