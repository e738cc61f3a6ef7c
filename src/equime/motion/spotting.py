"""Where in a clip the face moves: onset, apex and offset from regional movement. Pure functions of arrays.

1. The slow rest of head motion is taken off by a running median; what noise remains is measured on the clip
   itself (median absolute deviation, blinks left out).
2. A region moves where it exceeds `DETECT_MM` and `DETECT_SIGMA` times its noise; a movement lasts as long as
   it exceeds half of that (hysteresis). Eyes count only where nothing else moves, by how far they are open,
   and never within a blink.
3. Time is read off one curve per movement: displacements of all regions projected on the pattern they form at
   its peak, weighted by their noise. A smooth bump is fitted to it. Its rise and decay are minimum-jerk curves
   (Flash & Hogan 1985), which start and end at rest: a threshold on so smooth a start would be late by a
   fifth of the phase or more. A plateau between them is fitted where the data ask for one (BIC).

So **onset** is the last instant before the movement and **offset** the first after it, extrapolated between
frames; **apex** is the instant at which the largest movement is reached. An annotator who looks for the first
frame with visible movement (Yan et al. 2013) will be later, and earlier at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.motion.blinks import find_blinks, runs, step_ms
from equime.motion.track import EYES, REGIONS

F64 = NDArray[np.float64]

DETECT_MM: Final = 0.25
"""Smallest movement of a region that counts: codecs freeze smooth skin by up to 0.2 mm of head motion."""

DETECT_SIGMA: Final = 6.0
"""The same in standard deviations of the region's noise."""

DETECT_APERTURE: Final = 0.08
"""Smallest change of the lids' opening that counts as a movement of the eyes alone."""

RELEASE: Final = 0.5
"""Share of the detection level down to which a movement lasts."""

BLINK_RAISE: Final = 2.0
"""Around the eyes, the detection level during a blink, which drags the skin there along."""

BASELINE_MS: Final = 1600.0
"""Window of the running median; movements up to half of it are seen whole, shorter clips are left as they are."""

MERGE_MS: Final = 60.0
MARGIN_MS: Final = 350.0
MIN_PHASE_MS: Final = 30.0
MICRO_TOTAL_MS: Final = 500.0
MICRO_ONSET_MS: Final = 250.0
"""A micro-expression lasts at most 500 ms, or its onset phase at most 250 ms (Yan et al. 2013)."""

_EYE_ROWS: Final = [REGIONS.index(name) for name in EYES]
_SKIN_ROWS: Final = [i for i, name in enumerate(REGIONS) if name not in EYES]
_NEAR_EYES: Final = ("brow_right", "brow_left", "glabella", "cheek_right", "cheek_left", "nose")
_NOISE_FLOOR_MM: Final = 0.02
_NOISE_FLOOR_APERTURE: Final = 0.01
_PATTERN: Final = 0.3


@dataclass(frozen=True)
class Movement:
    """One movement of the face.

    Attributes:
        onset_ms: last instant before it; None where the clip starts later.
        apex_ms: instant at which the largest movement is reached.
        offset_ms: first instant after it; None where the clip ends earlier.
        peak_mm: largest mean displacement of a region; None for a movement of the lids alone.
        strength: peak over the detection level, above 1.
        eyes_only: whether only the lids move.
    """

    onset_ms: float | None
    apex_ms: float
    offset_ms: float | None
    peak_mm: float | None
    strength: float
    eyes_only: bool

    @property
    def duration_ms(self) -> float | None:
        """From onset to offset."""
        return None if self.onset_ms is None or self.offset_ms is None else self.offset_ms - self.onset_ms

    @property
    def onset_phase_ms(self) -> float | None:
        """From onset to apex."""
        return None if self.onset_ms is None else self.apex_ms - self.onset_ms

    @property
    def is_micro(self) -> bool | None:
        """Whether it is as short as a micro-expression; None where the clip does not show enough of it."""
        if self.duration_ms is not None and self.duration_ms <= MICRO_TOTAL_MS:
            return True
        if self.onset_phase_ms is None:
            return None
        return (
            True if self.onset_phase_ms <= MICRO_ONSET_MS else False if self.duration_ms is not None else None
        )


def find_events(
    time_ms: F64, displacement_mm: NDArray[np.float32], aperture: NDArray[np.float32]
) -> list[Movement]:
    """Movements of a clip, the strongest first; none where the face keeps still.

    Args:
        time_ms: (T,) frame times.
        displacement_mm: (T, R, 2) of `REGIONS`, head motion removed.
        aperture: (T, 2) lids of the right and the left eye.
    """
    if len(time_ms) < 4:
        return []
    blinking = _blinking(time_ms, aperture)
    skin = _Signal(
        time_ms, displacement_mm[:, _SKIN_ROWS].astype(np.float64), blinking, DETECT_MM, _NOISE_FLOOR_MM
    )
    near = np.isin(np.array(REGIONS)[_SKIN_ROWS], _NEAR_EYES)
    skin.level = skin.level * np.where(blinking[:, None] & near[None, :], BLINK_RAISE, 1.0)
    found = [skin.movement(first, last, eyes_only=False) for first, last in skin.runs()]
    if not found:
        lids = _Signal(
            time_ms,
            aperture[:, :, None].astype(np.float64) - 1.0,
            blinking,
            DETECT_APERTURE,
            _NOISE_FLOOR_APERTURE,
        )
        lids.level = np.where(blinking[:, None], np.inf, lids.level)
        lids.hidden = blinking
        found = [lids.movement(first, last, eyes_only=True) for first, last in lids.runs()]
    return sorted((m for m in found if m is not None), key=lambda m: -m.strength)


def _blinking(time_ms: F64, aperture: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Frames within a blink or next to one."""
    mask = np.zeros(len(time_ms), np.bool_)
    for blink in find_blinks(time_ms, aperture):
        pad = 0.5 * (blink.end_ms - blink.start_ms)
        mask |= (time_ms >= blink.start_ms - pad) & (time_ms <= blink.end_ms + pad)
    return mask


class _Signal:
    """Curves of several parts of the face, (T, P, D), with their noise and detection levels.

    Attributes:
        level: (T, P), length of a movement that counts.
        hidden: (T,), frames that say nothing.
    """

    def __init__(
        self, time_ms: F64, values: F64, blinking: NDArray[np.bool_], least: float, noise_floor: float
    ) -> None:
        self.time_ms, self.values = time_ms, values
        self.hidden = np.zeros(len(time_ms), np.bool_)
        self.moving = values - baseline(time_ms, values)
        quiet = self.moving[~blinking] if (~blinking).sum() >= 4 else self.moving
        self.noise = np.maximum(1.4826 * np.median(np.abs(quiet), axis=0), noise_floor)
        if len(time_ms) * step_ms(time_ms) < BASELINE_MS:
            # Movement may fill a short clip: its noise is what changes from frame to frame.
            jitter = 1.4826 * np.median(np.abs(np.diff(quiet, axis=0)), axis=0)
            self.noise = np.maximum(np.minimum(self.noise, jitter), noise_floor)
        spread = np.linalg.norm(self.noise, axis=-1)
        self.level = np.broadcast_to(np.maximum(least, DETECT_SIGMA * spread), values.shape[:2])

    def runs(self) -> list[tuple[int, int]]:
        """First and last frame of every movement, by hysteresis."""
        ratio = (np.linalg.norm(self.moving, axis=-1) / self.level).max(axis=1)
        gap = MERGE_MS / step_ms(self.time_ms)
        merged: list[tuple[int, int]] = []
        for first, last in runs(ratio >= RELEASE):
            if merged and first - merged[-1][1] <= gap:
                merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        return [(first, last) for first, last in merged if ratio[first : last + 1].max() >= 1.0]

    def movement(self, first: int, last: int, *, eyes_only: bool) -> Movement | None:
        """The movement of a run of frames, None where no bump fits it."""
        length = np.linalg.norm(self.moving, axis=-1)
        ratio = length / self.level
        top = first + int(np.argmax(ratio[first : last + 1].max(axis=1)))
        curve = self._curve(top)
        use = (self.time_ms >= self.time_ms[first] - MARGIN_MS) & (
            self.time_ms <= self.time_ms[last] + MARGIN_MS
        )
        use &= ~self.hidden
        fit = fit_bump(
            self.time_ms[use], curve[use], self.time_ms[first], self.time_ms[top], self.time_ms[last]
        )
        if fit is None:
            return None
        step, start, end = step_ms(self.time_ms), float(self.time_ms[0]), float(self.time_ms[-1])
        return Movement(
            onset_ms=max(fit.onset_ms, start) if fit.onset_ms >= start - step else None,
            apex_ms=min(max(fit.apex_ms, start), end),
            offset_ms=min(fit.offset_ms, end) if fit.offset_ms <= end + step else None,
            peak_mm=None if eyes_only else float(length[top].max()),
            strength=float(ratio[top].max()),
            eyes_only=eyes_only,
        )

    def _curve(self, top: int) -> F64:
        """Projection (T,) on the pattern around a frame, 1 there."""
        pattern = self.moving[top]
        length = np.linalg.norm(pattern, axis=-1, keepdims=True)
        pattern = np.where(length >= _PATTERN * length.max(), pattern, 0.0)
        weighted = pattern / self.noise**2
        curve: F64 = (self.values * weighted).sum(axis=(1, 2)) / (pattern * weighted).sum()
        return curve


def baseline(time_ms: F64, values: F64) -> F64:
    """Running median over `BASELINE_MS` along the first axis; zero where the clip is shorter than that."""
    from scipy.ndimage import median_filter  # noqa: PLC0415

    n = round(BASELINE_MS / step_ms(time_ms)) | 1
    if len(time_ms) < n:
        return np.zeros_like(values)
    flat = values.reshape(len(values), -1)
    running: F64 = median_filter(flat, size=(n, 1), mode="reflect").reshape(values.shape)
    return running


@dataclass(frozen=True)
class Bump:
    """A fitted movement; it holds its largest value from ``apex_ms`` to ``hold_end_ms``."""

    onset_ms: float
    apex_ms: float
    hold_end_ms: float
    offset_ms: float
    height: float


def fit_bump(time_ms: F64, values: F64, first_ms: float, top_ms: float, last_ms: float) -> Bump | None:
    """Least-squares bump on a straight baseline.

    Args:
        time_ms, values: (N,) samples with some rest on either side.
        first_ms, top_ms, last_ms: where the movement is seen, from which the search starts.

    Returns:
        None where there are fewer samples than parameters, or no bump rises above the baseline.
    """
    if len(time_ms) < 5:
        return None
    simple = _search(time_ms, values, (first_ms, top_ms, last_ms), hold=False)
    held = _search(time_ms, values, (first_ms, top_ms, last_ms), hold=True) if len(time_ms) > 7 else simple
    n = len(time_ms)
    gain = n * np.log(max(simple[1], 1e-12) / max(held[1], 1e-12))
    onset, apex, hold_end, offset = held[0] if gain > np.log(n) else simple[0]
    height = float(_linear(time_ms, values, bump(time_ms, onset, apex, hold_end, offset))[0][0])
    return Bump(onset, apex, hold_end, offset, height) if height > 0 else None


def bump(time_ms: F64, onset_ms: float, apex_ms: float, hold_end_ms: float, offset_ms: float) -> F64:
    """0 before onset, minimum-jerk rise to 1 at the apex, held, minimum-jerk decay to 0 at the offset."""
    rise = _minimum_jerk((time_ms - onset_ms) / (apex_ms - onset_ms))
    decay = _minimum_jerk((offset_ms - time_ms) / (offset_ms - hold_end_ms))
    return np.minimum(rise, decay)


def _minimum_jerk(x: F64) -> F64:
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (10.0 + x * (6.0 * x - 15.0))


def _search(
    time_ms: F64, values: F64, seen: tuple[float, float, float], *, hold: bool
) -> tuple[tuple[float, float, float, float], float]:
    """Best (onset, apex, end of hold, offset) and its sum of squares, from starts of several widths."""
    first, top, last = seen
    least = max(MIN_PHASE_MS, 0.5 * step_ms(time_ms))
    longest = 2.0 * (last - first) + MARGIN_MS

    def phases(p: F64) -> tuple[float, float, float, float]:
        apex, rise, decay, held = (*p, 0.0)[:4]
        return float(apex - rise), float(apex), float(apex + held), float(apex + held + decay)

    from scipy.optimize import least_squares  # noqa: PLC0415

    def rest(p: F64) -> F64:
        return _linear(time_ms, values, bump(time_ms, *phases(p)))[1]

    low, high = [first, least, least, 0.0], [last + 1.0, longest, longest, longest]
    n = 4 if hold else 3
    best: tuple[tuple[float, float, float, float], float] | None = None
    for widen in (1.1, 1.7):
        guess = np.array([top, widen * (top - first), widen * (last - top), 0.25 * (last - first)])[:n]
        start = np.clip(guess, np.array(low[:n]) + 1e-3, np.array(high[:n]) - 1e-3)
        fit = least_squares(rest, start, bounds=(low[:n], high[:n]), x_scale=50.0, max_nfev=60)
        squares = float(2 * fit.cost)
        if best is None or squares < best[1]:
            best = phases(fit.x), squares
    assert best is not None
    return best


def _linear(time_ms: F64, values: F64, shape: F64) -> tuple[F64, F64]:
    """Height of a shape and the straight baseline that fit best, and the residuals."""
    slope = (time_ms - time_ms.mean()) / 1000.0
    design = np.stack([shape, np.ones_like(shape), slope], axis=1)
    gram = design.T @ design + 1e-9 * np.eye(3)
    coefficients = np.linalg.solve(gram, design.T @ values)
    return coefficients, values - design @ coefficients
