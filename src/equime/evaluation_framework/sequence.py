"""Quality of a clip as a sequence: does it move, does it flicker or jerk, are frames repeated, is it coded badly.

A picture that stands still is what frame-to-frame PSNR and SSIM reward most. Equality of frames does not find
it: an encoder keeps refining a still picture and codes it anew at every key frame. What tells movement from
coding is its form. To first order a picture that moves changes by gradient times displacement (Lucas & Kanade
1981), and a coding error does not. So the change between two frames is fitted, in tiles, by one displacement per
tile, and the share of the change that is explained says whether something moved (`Change`).

Published definitions exist for motion energy (mean absolute frame difference), freezes (FFmpeg's freezedetect:
a frame held against the first of the stretch), blocking and noise. For flicker and jerk there is none that is
agreed upon; those here are equime's own and have closed forms. The measures of smooth movement (log
dimensionless jerk, spectral arc length: Balasubramanian et al. 2015) need the speed of *one* movement and say
nothing of a clip in which head, lids and expression move at different times.

Dropped frames are not guessed from the picture: a gap shows as a jump, but so do blinks and saccades. Time stamps
tell; see the ``video_file`` annotator.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext, Metric, Row
from equime.errors import WorkError
from equime.evaluation_framework.blockiness import blockiness, noise_sigma
from equime.frames import Frame

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

ANALYSIS_PX: Final = 256
"""Shorter side, about, of the frames that movement is looked for in: area means over a whole number of pixels."""

TILE_PX: Final = 16
"""Side of a tile in such a frame, 1/16 of the picture: an eye in a face-filling crop."""

N_TILES: Final = 4
"""Tiles with the largest change that decide; a micro-expression moves little of the picture."""

_GRID: Final = 4
MIN_FIT: Final = 0.4
MIN_MOVED: Final = 1.2
"""What changed is movement where one displacement per tile explains this share of its variance, and the part
explained has this root mean square, grey levels. Measured on stills (three photographs of scikit-image, two
drawn faces; sensor noise of sigma 0 and 2) coded by x264 at crf 18 to 40, key frames every 12 or 250: up to crf 30
no explained part above share 0.4 exceeded 1.0. From about crf 33 stills rich in texture can pass for moving, for
the codec itself shifts blocks."""

MAX_CODING_MEAN: Final = 8.0
MAX_CODING_RMS: Final = 20.0
"""Changes that are no coding noise whatever their form (a cut, a flash), grey levels of the tiles' mean and root
mean square. On the same stills at crf 40 the largest were 5.3 and 17."""

MIN_FREEZE_MS: Final = 1000.0
"""Freezes from this length count in ``frozen_share``: twice the longest micro-expression (Yan et al. 2013), half
of FFmpeg's default. Sound clips rest for up to 600 ms as far as coded 8-bit video shows it."""

DIP: Final = 0.5
"""A repeated frame changes less than this share of what the frames before and after it change."""

_OWN = "equime; closed forms in tests/evaluation_framework/test_sequence.py"

METRICS: Final = (
    Metric("motion_energy", "grey level", 0, 255, "none",
           "Mean absolute difference of consecutive grey frames; noise and compression count too.",
           "Bobick & Davis 2001 (frame differencing)", per_frame=True),
    Metric("motion_above_noise", "grey level", 0, None, "none",
           "Root mean square of the change between consecutive frames that local displacement explains, "
           "its expectation under noise taken off.",
           "Lucas & Kanade 1981 (linear fit per tile)", per_frame=True),
    Metric("flicker", "grey level", 0, 127.5, "lower",
           "Amplitude of light that goes up and down from frame to frame: half the smaller of two consecutive "
           "changes of opposite sign, mean over tiles and frames; steady movement and drift give 0.",
           _OWN, per_frame=True),
    Metric("jerk", "1", 0, None, "lower",
           "Second temporal difference of the velocity of the 16 sixteenths of the picture over that velocity, "
           "root mean squares: 0 for a steady movement, 2.4 for velocities and 3.2 for positions that are noise, "
           "4 for shaking between two positions. It is per frame, so compare clips of one rate.",
           _OWN),
    Metric("n_duplicate_frames", "1", 0, None, "lower",
           "Frames equal to the frame before in every grey pixel.", "counted", type="whole"),
    Metric("duplicate_share", "1", 0, 1, "lower",
           "The same over the number of frames that have one before.", "counted"),
    Metric("n_near_duplicate_frames", "1", 0, None, "lower",
           "Frames that are equal to the frame before, or change less than half of what both their neighbours "
           "change: repeated before coding. Few are found above crf 23, where coding hides them.",
           _OWN, type="whole"),
    Metric("longest_frozen_ms", "ms", 0, None, "lower",
           "Longest time without a change beyond coding noise, first to last frame of the stretch.",
           "after FFmpeg freezedetect (reference frame held), with a test of movement instead of a level"),
    Metric("frozen_share", "1", 0, 1, "lower",
           "Share of the clip in such stretches of a second or more, or over the whole clip.", _OWN),
    Metric("is_frozen", "", None, None, "lower",
           "No frame shows movement against the first, nor any change beyond coding noise.", _OWN, type="flag"),
    Metric("blockiness", "1", 0, 1, "lower",
           "How strongly an 8 x 8 grid shows: contrast of pixel differences across and inside of its borders, "
           "mean over frames.", "after Wang, Sheikh & Bovik, ICIP 2002", per_frame=True),
    Metric("noise_sigma", "grey level", 0, None, "none",
           "Standard deviation of spatial noise, mean over frames; fine texture adds to it.",
           "Immerkaer, CVIU 64 (1996)", per_frame=True),
)  # fmt: skip


class SequenceQuality:
    """Annotator of what only the sequence of frames shows, and of coding damage in each."""

    name = "sequence"
    version = "1"
    metrics = METRICS
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False

    def start(self, clip: ClipContext) -> SequenceSession:
        """Open a session.

        Raises:
            WorkError: frames smaller than 24 pixels.
        """
        return SequenceSession(clip)


class SequenceSession:
    """The measuring of one clip; holds three frames and six numbers per frame."""

    def __init__(self, clip: ClipContext) -> None:
        self.file = clip.source.file
        self.time_ms: list[float] = []
        self.energy: list[float] = []
        self.spatial: list[tuple[float | None, float | None]] = []
        self.grey: U8 | None = None
        self.previous: F32 | None = None
        self.changes = _Changes()
        self.freezes = _Freezes()

    def feed(self, frame: Frame) -> None:
        """Compare with the frame before and with the first of the present stretch."""
        grey = frame.grey
        if min(grey.shape) < TILE_PX + 8:
            size = f"{grey.shape[1]} x {grey.shape[0]}"
            raise WorkError(f"{self.file}: {size} px; `sequence` needs {TILE_PX + 8} px a side, leave it out")
        small = _reduced(grey)
        if self.grey is not None and self.previous is not None:
            if grey.shape != self.grey.shape:
                raise WorkError(
                    f"{self.file}: frame {frame.index} has another size; make the clip of one size"
                )
            self.energy.append(cv2.norm(grey, self.grey, cv2.NORM_L1) / grey.size)
            change = compare(self.previous, small)
            self.changes.add(change)
        else:
            change = None
        self.freezes.add(small, self.previous, change)
        self.spatial.append((blockiness(grey), noise_sigma(grey)))
        self.time_ms.append(frame.time_ms)
        self.grey, self.previous = grey.copy(), small

    def finish(self) -> Row:
        """The clip's row. What needs more frames than there are does not apply."""
        energy = np.array(self.energy)
        n = energy.size
        changes, repeated = self.changes, energy == 0
        frames = {
            "motion_energy": _per_frame(self.energy, n + 1),
            "motion_above_noise": _per_frame(changes.explained, n + 1),
            "flicker": _per_frame(changes.flicker, n + 1),
            "blockiness": np.array([b for b, _ in self.spatial], np.float64),
            "noise_sigma": np.array([s for _, s in self.spatial], np.float64),
        }
        frozen = ("longest_frozen_ms", "frozen_share", "is_frozen")
        values = {
            **{name: _mean(series) for name, series in frames.items()},
            "jerk": changes.jerk(),
            "n_duplicate_frames": int(repeated.sum()) if n else None,
            "duplicate_share": float(repeated.mean()) if n else None,
            "n_near_duplicate_frames": int((repeated | _dips(energy)).sum()) if n else None,
            **dict(zip(frozen, self.freezes.finish(self.time_ms), strict=True)),
        }
        return Row({m.name: values[m.name] for m in METRICS}, frames)


@dataclass(frozen=True)
class Change:
    """What changed between two frames, per tile of the reduced frames.

    Attributes:
        mean: float64 (tiles,), change of the tile's mean, grey levels.
        variance: float64 (tiles,), of the change around that mean, grey levels squared.
        explained: float64 (tiles,), part of ``variance`` that one displacement of the tile explains.
        velocity: float64 (16, 2), displacement (x, y) of each sixteenth of the picture, pixels of the reduced
            frame; up to about a pixel it is unbiased, beyond it is too small.
    """

    mean: F64
    variance: F64
    explained: F64
    velocity: F64

    @property
    def is_more_than_coding(self) -> bool:
        """Whether something moved, or changed more than a codec changes a still picture."""
        k = min(N_TILES, self.mean.size)
        top = np.argpartition(self.variance, -k)[-k:]
        explained, variance = float(self.explained[top].mean()), float(self.variance[top].mean())
        moved = explained >= MIN_MOVED**2 and explained >= MIN_FIT * variance
        level = float(np.partition(np.abs(self.mean), -k)[-k])
        return moved or level >= MAX_CODING_MEAN or float(self.variance[top].min()) >= MAX_CODING_RMS**2

    @property
    def rms_above_noise(self) -> float:
        """Root mean square of the explained change of the picture, less what a fit explains of pure noise."""
        n = TILE_PX * TILE_PX
        by_chance = 2 * (self.variance - self.explained) / (n - 3)  # two of the n - 1 degrees of freedom
        return float(np.sqrt(max(0.0, float((self.explained - by_chance).mean()))))


def compare(reference: F32, other: F32) -> Change:
    """Fit the change from one reduced frame to another. Both float32 of one shape."""
    sums = _tile_sums(reference, other) / (TILE_PX * TILE_PX)
    variance, explained, _ = _fit(sums)
    cell = _cells(*reference.shape)
    sixteenths = np.stack([np.bincount(cell, column, _GRID**2) for column in sums.T], axis=1)
    n = np.maximum(np.bincount(cell, minlength=_GRID**2), 1)
    return Change(sums[:, 0], variance, explained, _fit(sixteenths / n[:, None])[2])


@functools.lru_cache(maxsize=8)
def _cells(height: int, width: int) -> NDArray[np.intp]:
    """Which sixteenth of the picture each tile lies in."""
    rows, columns = (height - 2) // TILE_PX, (width - 2) // TILE_PX
    row, column = np.arange(rows) * _GRID // rows, np.arange(columns) * _GRID // columns
    return (row[:, None] * _GRID + column).ravel()


class _Changes:
    """What the changes from frame to frame add up to."""

    def __init__(self) -> None:
        self.explained: list[float] = []
        self.flicker: list[float] = []
        self.last: tuple[Change, ...] = ()
        self.speed = self.bend = 0.0

    def add(self, change: Change) -> None:
        self.explained.append(change.rms_above_noise)
        self.last = (*self.last[-2:], change)
        self.speed += float((change.velocity**2).sum())
        if len(self.last) > 1:
            before, now = (c.mean for c in self.last[-2:])
            smaller = np.minimum(np.abs(before), np.abs(now))
            self.flicker.append(float(np.where(before * now < 0, smaller, 0).mean()) / 2)
        if len(self.last) > 2:
            a, b, c = (c.velocity for c in self.last)
            self.bend += float(((c - 2 * b + a) ** 2).sum())

    def jerk(self) -> float | None:
        """None under four frames, and where nothing moves."""
        n = len(self.explained)
        if n < 3 or self.speed == 0:
            return None
        return float(np.sqrt(self.bend / (n - 2) / (self.speed / n)))


class _Freezes:
    """Stretches without a change against their first frame."""

    def __init__(self) -> None:
        self.anchor: F32 | None = None
        self.bounds: list[int] = []
        self.n = 0

    def add(self, small: F32, previous: F32 | None, change: Change | None) -> None:
        if self.anchor is not None and (change is None or self.anchor is not previous):
            change = compare(self.anchor, small)
        if change is None or change.is_more_than_coding:
            self.anchor = small
            self.bounds.append(self.n)
        self.n += 1

    def finish(self, time_ms: list[float]) -> tuple[float | None, float | None, bool | None]:
        """Longest stretch in ms, share of the clip in long ones, whether the clip is one; None for one frame."""
        if self.n < 2:
            return None, None, None
        ends = [*self.bounds[1:], self.n]
        lengths = np.array([time_ms[e - 1] - time_ms[b] for b, e in zip(self.bounds, ends, strict=True)])
        if lengths.size == 1:
            return float(lengths[0]), 1.0, True
        total = time_ms[-1] - time_ms[0]
        share = float(lengths[lengths >= MIN_FREEZE_MS].sum()) / total if total > 0 else 0.0
        return float(lengths.max()), share, False


def _reduced(grey: U8) -> F32:
    """The frame at about `ANALYSIS_PX`, float32, by means over squares of a whole number of pixels."""
    return _area_means(grey, max(1, round(min(grey.shape) / ANALYSIS_PX)))


def _means(grey: U8, side: int) -> F32:  # pragma: no cover
    """Means over squares of ``side`` pixels; what is left over at the right and below is cut off."""
    out = np.empty((grey.shape[0] // side, grey.shape[1] // side), np.float32)
    for y in range(out.shape[0]):
        column = np.zeros(grey.shape[1], np.int32)
        for row in range(y * side, y * side + side):
            for x in range(column.size):
                column[x] += np.int32(grey[row, x])
        total = np.zeros(out.shape[1], np.int32)
        for k in range(side):
            for x in range(total.size):
                total[x] += column[x * side + k]
        out[y] = total / np.float32(side * side)
    return out


def _sums(reference: F32, other: F32) -> F64:  # pragma: no cover
    """Per tile the sums of d, gx, gy, d d, gx d, gy d, gx gx, gx gy, gy gy; d the change, g the gradient."""
    rows, columns = (reference.shape[0] - 2) // TILE_PX, (reference.shape[1] - 2) // TILE_PX
    out = np.zeros((rows * columns, 9))
    for y in range(1, rows * TILE_PX + 1):
        for column in range(columns):
            sd = sx = sy = sdd = sxd = syd = sxx = sxy = syy = np.float32(0)
            start = column * TILE_PX + 1
            for x in range(start, start + TILE_PX):
                d = other[y, x] - reference[y, x]
                gx = (reference[y, x + 1] - reference[y, x - 1]) * np.float32(0.5)
                gy = (reference[y + 1, x] - reference[y - 1, x]) * np.float32(0.5)
                sd += d
                sx += gx
                sy += gy
                sdd += d * d
                sxd += gx * d
                syd += gy * d
                sxx += gx * gx
                sxy += gx * gy
                syy += gy * gy
            row = out[(y - 1) // TILE_PX * columns + column]
            row[0] += sd
            row[1] += sx
            row[2] += sy
            row[3] += sdd
            row[4] += sxd
            row[5] += syd
            row[6] += sxx
            row[7] += sxy
            row[8] += syy
    return out


def _fits(means: F64) -> tuple[F64, F64, F64]:  # pragma: no cover
    """Variance of the change, the part explained, and the displacement (n, 2), of areas with these means."""
    n = means.shape[0]
    variance, explained, moved = np.empty(n), np.empty(n), np.empty((n, 2))
    for i in range(n):
        d, gx, gy = means[i, 0], means[i, 1], means[i, 2]
        variance[i] = max(means[i, 3] - d * d, 0.0)
        bx, by = means[i, 4] - gx * d, means[i, 5] - gy * d
        # A gradient of 1/4 grey level per pixel is added, so that flat areas fit no noise.
        xx, xy = means[i, 6] - gx * gx + 0.0625, means[i, 7] - gx * gy
        yy = means[i, 8] - gy * gy + 0.0625
        determinant = xx * yy - xy * xy
        x, y = -(yy * bx - xy * by) / determinant, -(xx * by - xy * bx) / determinant
        explained[i] = min(max(-(x * bx + y * by), 0.0), variance[i])
        moved[i, 0], moved[i, 1] = x, y
    return variance, explained, moved


_options: Final[dict[str, Any]] = {"cache": True, "nogil": True, "boundscheck": False, "error_model": "numpy"}
# Sums of 16 floats may change their order, which lets them use vector registers.
_tile_sums: Callable[[F32, F32], F64] = njit(fastmath={"reassoc", "nsz"}, **_options)(_sums)
_area_means: Callable[[U8, int], F32] = njit(**_options)(_means)
_fit: Callable[[F64], tuple[F64, F64, F64]] = njit(**_options)(_fits)


def _dips(energy: F64) -> NDArray[np.bool_]:
    """Changes (T - 1,) that are small against both neighbours."""
    found = np.zeros(energy.size, bool)
    found[1:-1] = energy[1:-1] < DIP * np.minimum(energy[:-2], energy[2:])
    return found


def _per_frame(series: list[float], n_frames: int) -> F64:
    """A series that starts at the second frame, NaN where a frame has no value."""
    out = np.full(n_frames, np.nan)
    out[1 : len(series) + 1] = series
    return out


def _mean(series: F64) -> float | None:
    there = series[~np.isnan(series)]
    return float(there.mean()) if there.size else None
