"""Local binary patterns on three orthogonal planes (LBP-TOP; Zhao & Pietikainen, PAMI 2007), by blocks of the face.

Around every voxel P points lie on an ellipse in each of the planes XY, XT and YT; those at least as bright as the
voxel are the ones of a binary code. A block's descriptor is the histogram of its codes, per plane, each summing to 1.
Points between pixels are interpolated bilinearly. The first point lies to the right (XY, XT) or below (YT: forward in
y), the next ones follow towards smaller y (XY) or later frames (XT, YT).

Clips are brought to one length beforehand by the temporal interpolation of Zhou et al. (CVPR 2011), as is usual for
micro-expressions since Pfister et al. (ICCV 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from equime.errors import InputError

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

PLANES: Final = ("XY", "XT", "YT")

_TIE: Final = 1e-6
"""Interpolation errs by less than this; a point as bright as the voxel must not fall below it by rounding."""


@dataclass(frozen=True)
class LbpTop:
    """Settings of the descriptor.

    Attributes:
        points: P on each ellipse, 2 to 8.
        radius_x, radius_y: radii in px.
        radius_t: radius in frames.
        blocks: (rows, columns, slices in time) of the grid.
        uniform: count only codes of at most two changes each, and all others together.
    """

    points: int = 4
    radius_x: int = 1
    radius_y: int = 1
    radius_t: int = 4
    blocks: tuple[int, int, int] = (5, 5, 1)
    uniform: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.points <= 8:
            raise InputError(f"LBP-TOP: {self.points} points; allowed are 2 to 8")
        if min(self.radius_x, self.radius_y, self.radius_t, *self.blocks) < 1:
            raise InputError(f"LBP-TOP: radii and blocks are whole numbers from 1 on; got {self}")

    @property
    def n_features(self) -> int:
        """Length of a clip's descriptor."""
        return int(np.prod(self.blocks)) * len(PLANES) * self.n_bins

    @property
    def n_bins(self) -> int:
        """Of one histogram: 2^P, or P (P - 1) + 3 with uniform codes."""
        return self.points * (self.points - 1) + 3 if self.uniform else 2**self.points


def codes(volume: U8, settings: LbpTop) -> U8:
    """Codes of every voxel that all points around are inside for.

    Args:
        volume: (T, H, W).
        settings: of the patterns.

    Returns:
        (3, T - 2 radius_t, H - 2 radius_y, W - 2 radius_x), by `PLANES`; point i is bit i.

    Raises:
        InputError: too few frames or pixels for the radii and blocks.
    """
    reach = _reach(settings)
    inner = np.array(volume.shape) - 2 * np.array(reach)
    if (inner < (settings.blocks[2], settings.blocks[0], settings.blocks[1])).any():
        raise InputError(
            f"LBP-TOP: a clip of {volume.shape[0]} frames of {volume.shape[2]} x {volume.shape[1]} px is too small "
            f"for radii x {settings.radius_x}, y {settings.radius_y}, t {settings.radius_t} and "
            f"{' x '.join(map(str, settings.blocks))} blocks; take smaller ones, or more frames"
        )
    corners, weights = _points(settings)
    found = np.empty((len(PLANES), *inner), np.uint8)
    _codes(np.ascontiguousarray(volume), corners, weights, *reach, found)
    return found


def histograms(volume: U8, settings: LbpTop) -> F32:
    """Descriptor (n_features,) of a clip (T, H, W): blocks row by row (slices of time last), planes, bins."""
    found, bins = codes(volume, settings), bins_of_codes(settings.points, settings.uniform)
    rows, columns, slices = settings.blocks
    counts = np.zeros((rows, columns, slices, len(PLANES), settings.n_bins), np.int64)
    _count(found, bins, counts)
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True), np.float32).ravel()


def bins_of_codes(points: int, uniform: bool) -> I64:
    """(2^P,) bin of each code: itself, or uniform codes in order and all others in the last bin."""
    numbers = np.arange(2**points)
    if not uniform:
        return numbers
    turned = (numbers >> 1) | ((numbers & 1) << (points - 1))
    changes = np.array([int(n).bit_count() for n in numbers ^ turned])
    found = np.full(2**points, points * (points - 1) + 2)
    found[changes <= 2] = np.arange((changes <= 2).sum())
    return found


def without_padding(clip: U8) -> U8:
    """The clip (T, H, W) less the black frames at its end, at least one frame."""
    lit = np.flatnonzero(clip.reshape(len(clip), -1).any(axis=1))
    return clip[: lit[-1] + 1] if lit.size else clip[:1]


def at_length(clip: U8, n_frames: int) -> U8:
    """The clip (T, H, W) interpolated to ``n_frames`` frames.

    Zhou et al. put the frames on a path graph, whose eigenvectors are sampled cosines, and read the curve through them
    anywhere between the first frame and the last. With all eigenvectors that is interpolation by cosines (DCT-II),
    which does not depend on what the frames show. A clip of this length comes back as it is; one of a single frame,
    repeated.
    """
    n = len(clip)
    if n == n_frames:
        return clip
    if n == 1:
        return np.repeat(clip, n_frames, axis=0)
    mixed = _interpolation(n, n_frames) @ clip.reshape(n, -1).astype(np.float64)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8).reshape(n_frames, *clip.shape[1:])


def _interpolation(n: int, n_frames: int) -> F64:
    """(n_frames, n) share of each given frame in each wanted one."""
    order = np.arange(n)

    def cosines(place: F64) -> F64:
        return np.cos(np.pi * np.outer(place - 0.5, order) / n)

    given, wanted = cosines(np.arange(1.0, n + 1)), cosines(np.linspace(1, n, n_frames))
    return wanted @ np.linalg.inv(given)


def _reach(settings: LbpTop) -> tuple[int, int, int]:
    """Border without codes: frames, rows, columns."""
    return settings.radius_t, settings.radius_y, settings.radius_x


def _points(settings: LbpTop) -> tuple[I64, F64]:
    """Where points lie: offsets (plane, point, corner, 3 for t y x) of four voxels, and their weights."""
    angle = 2 * np.pi * np.arange(settings.points) / settings.points
    right, up = np.round(np.cos(angle), 5), np.round(np.sin(angle), 5)
    corners = np.zeros((len(PLANES), settings.points, 4, 3), np.int64)
    weights = np.zeros((len(PLANES), settings.points, 4))
    # Axes are t, y, x; a plane has a first axis, along which the first point lies, and a second one.
    radii = {0: settings.radius_t, 1: settings.radius_y, 2: settings.radius_x}
    for plane, (first, second, sign) in enumerate([(2, 1, -1), (2, 0, 1), (1, 0, 1)]):
        a, b = radii[first] * right, sign * radii[second] * up
        low_a, low_b = np.floor(a), np.floor(b)
        for corner, (step_a, step_b) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
            share_a = np.abs(1 - step_a - (a - low_a))
            share_b = np.abs(1 - step_b - (b - low_b))
            weights[plane, :, corner] = share_a * share_b
            corners[plane, :, corner, first] = low_a + step_a
            corners[plane, :, corner, second] = low_b + step_b
    # A corner of no weight may lie outside of the clip.
    corners[weights == 0] = 0
    return corners, weights


@njit(cache=True, nogil=True)
def _codes(volume: U8, corners: I64, weights: F64, reach_t: int, reach_y: int, reach_x: int, out: U8) -> None:
    n_planes, n_points = corners.shape[:2]
    _, n_t, n_y, n_x = out.shape
    out[:] = 0
    for plane in range(n_planes):
        for point in range(n_points):
            bit = np.uint8(1 << point)
            w0, w1, w2, w3 = weights[plane, point]
            at = corners[plane, point] + np.array([reach_t, reach_y, reach_x])
            for t in range(n_t):
                for y in range(n_y):
                    centre = volume[t + reach_t, y + reach_y, reach_x : reach_x + n_x]
                    codes_of_row = out[plane, t, y]
                    first = volume[t + at[0, 0], y + at[0, 1], at[0, 2] : at[0, 2] + n_x]
                    if w0 == 1.0:
                        for x in range(n_x):
                            codes_of_row[x] |= bit * np.uint8(first[x] >= centre[x])
                        continue
                    second = volume[t + at[1, 0], y + at[1, 1], at[1, 2] : at[1, 2] + n_x]
                    third = volume[t + at[2, 0], y + at[2, 1], at[2, 2] : at[2, 2] + n_x]
                    fourth = volume[t + at[3, 0], y + at[3, 1], at[3, 2] : at[3, 2] + n_x]
                    for x in range(n_x):
                        value = w0 * first[x] + w1 * second[x] + w2 * third[x] + w3 * fourth[x]
                        codes_of_row[x] |= bit * np.uint8(value >= centre[x] - _TIE)


@njit(cache=True, nogil=True)
def _count(found: U8, bins: I64, counts: I64) -> None:
    n_planes, n_t, n_y, n_x = found.shape
    rows, columns, slices = counts.shape[:3]
    column = np.arange(n_x) * columns // n_x
    for plane in range(n_planes):
        for t in range(n_t):
            for y in range(n_y):
                row, part = y * rows // n_y, t * slices // n_t
                for x in range(n_x):
                    counts[row, column[x], part, plane, bins[found[plane, t, y, x]]] += 1
