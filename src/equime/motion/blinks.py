"""Lids: how far they are open in every frame, and the blinks in that.

Two instruments, because neither sees everything. Optical flow at the lids' margins follows a lid that widens
or tightens by a few tenths of a millimetre, and fails where a closing lid covers what it should follow. What
colour the opening has tells how far a lid has come down over it, and is blind to widening. Small closures are
the flow's, large ones the colour's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.face import anatomy as a
from equime.motion.regions import FaceMap, eye_opening, lid_strip

F64 = NDArray[np.float64]

_STRIP_MM: Final = 0.6
_SKIN_MM: Final = (1.5, 2.0, 2.5, 3.0)
_HAND_OVER: Final = (0.2, 0.4)
"""Covered share of the opening between which the colour takes over from the flow."""

CLOSED: Final = 0.70
"""A blink brings the lids below this share of their opening; tightened lids (AU 7) stay above it."""

OPEN: Final = 0.90
"""Its start and end are where the lids pass this share."""

MAX_BLINK_MS: Final = 600.0
"""Longer closures are eyes held shut (AU 43), not blinks; FACS draws the line at half a second."""

_BASE_MS: Final = 2000.0


class LidWatch:
    """One eye's aperture, relative to the reference frame.

    Args:
        face: layout of the face.
        side: `anatomy.RIGHT` or `anatomy.LEFT`.
    """

    def __init__(self, face: FaceMap, side: int) -> None:
        self.upper, self.lower = lid_strip(face, side, _STRIP_MM)
        upper, lower = (_line(face, lid[side]) for lid in (a.UPPER_LID, a.LOWER_LID))
        rows, columns = np.nonzero(eye_opening(face, side))
        low, high = np.percentile(columns, (15, 85)) if len(columns) else (0.0, 0.0)
        middle = (columns >= low) & (columns <= high)
        rows, columns = rows[middle].astype(np.float64), columns[middle].astype(np.float64)
        top, bottom = (np.interp(columns, *line) for line in (upper, lower))
        self.gap_mm = float(np.mean(bottom - top)) / face.px_per_mm if len(columns) else 0.0
        depth = (rows - top) / np.maximum(bottom - top, 1.0)
        order = np.argsort(depth, kind="stable")
        self._depth = np.clip(depth[order], 0.0, 1.0)
        across = np.arange(low, high + 1.0)
        skin = [np.stack([across, np.interp(across, *upper) - mm * face.px_per_mm], 1) for mm in _SKIN_MM]
        self.points = np.concatenate([np.stack([columns, rows], 1)[order], *skin])
        """float64 (P, 2), crop pixels whose colours `aperture` takes: the opening, then the lid above it."""
        self._open: NDArray[np.float32] | None = None
        self._skin: NDArray[np.float32] | None = None

    def aperture(self, colours: NDArray[np.uint8], upper_mm: float, lower_mm: float) -> float:
        """Aperture of a frame; the first call is the reference frame.

        Args:
            colours: (P, 3) of the frame at `points`, head motion taken off.
            upper_mm, lower_mm: upward movement of the lids' margins by flow.
        """
        opening = colours[: len(self._depth)].astype(np.float32)
        if self._open is None or self._skin is None:
            self._open, self._skin = opening, np.median(colours[len(self._depth) :], axis=0)
        if self.gap_mm <= 0:
            return 1.0
        by_flow = max(0.0, 1.0 + (upper_mm - lower_mm) / self.gap_mm)
        covered = self._covered(opening, self._open, self._skin)
        share = float(np.clip((covered - _HAND_OVER[0]) / (_HAND_OVER[1] - _HAND_OVER[0]), 0.0, 1.0))
        return share * (1.0 - covered) + (1.0 - share) * by_flow

    def _covered(
        self, now: NDArray[np.float32], opened: NDArray[np.float32], skin: NDArray[np.float32]
    ) -> float:
        """Share of the opening, from the top, that looks like lid rather than as it did when open."""
        gain = np.abs(now - skin).sum(axis=1) - np.abs(now - opened).sum(axis=1)
        cost = np.concatenate([[0.0], np.cumsum(gain)])
        best = int(np.argmin(cost))
        return float(self._depth[best - 1]) if best else 0.0


def _line(face: FaceMap, lid: tuple[int, ...]) -> tuple[F64, F64]:
    """A lid's margin as x (ascending) and y in crop pixels."""
    points = face.points[list(lid)]
    order = np.argsort(points[:, 0])
    return points[order, 0], points[order, 1]


@dataclass(frozen=True)
class MeasuredBlink:
    """One blink.

    Attributes:
        start_ms, end_ms: where the lids pass `OPEN` on the way down and up, between frames.
        closure: 1 less the smallest aperture, relative to the eye before and after.
        first_frame, last_frame: frames that show it.
    """

    start_ms: float
    end_ms: float
    closure: float
    first_frame: int
    last_frame: int


def find_blinks(time_ms: F64, aperture: NDArray[np.float32]) -> list[MeasuredBlink]:
    """Blinks of a clip, in order.

    A blink is a closing of both eyes below `CLOSED` of the opening around it (running median over 2 s) that
    ends within `MAX_BLINK_MS`; closures of one eye are winks and do not count.

    Args:
        time_ms: (T,) frame times.
        aperture: (T, 2) of the right and the left eye.
    """
    if len(time_ms) < 3:
        return []
    level = relative_aperture(time_ms, aperture)
    found = []
    for first, last in runs(level < OPEN):
        deepest = float(level[first : last + 1].min())
        start = _crossing(time_ms, level, first - 1, first, OPEN)
        end = _crossing(time_ms, level, last, last + 1, OPEN)
        if deepest < CLOSED and end - start <= MAX_BLINK_MS:
            found.append(MeasuredBlink(start, end, min(1.0, 1.0 - deepest), first, last))
    return found


def relative_aperture(time_ms: F64, aperture: NDArray[np.float32]) -> F64:
    """The wider eye's aperture over its running median, float64 (T,)."""
    from scipy.ndimage import median_filter  # noqa: PLC0415

    n = min(len(time_ms), round(_BASE_MS / step_ms(time_ms)) | 1)
    base = median_filter(aperture.astype(np.float64), size=(n, 1), mode="nearest")
    relative: F64 = (aperture / np.maximum(base, 0.3)).max(axis=1)
    return relative


def step_ms(time_ms: F64) -> float:
    """Time between frames, the median where it varies."""
    return float(np.median(np.diff(time_ms))) or 1.0


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


def _crossing(time_ms: F64, level: F64, i: int, j: int, value: float) -> float:
    """Time between neighbouring frames i < j at which the level passes a value; the clip's end where one is outside."""
    if i < 0 or j >= len(level):
        return float(time_ms[max(i, 0)] if j >= len(level) else time_ms[j])
    share = (value - level[i]) / (level[j] - level[i])
    return float(time_ms[i] + share * (time_ms[j] - time_ms[i]))
