"""AU intensities of a clip from what was kept of its frames: neutral, lids, curves and their summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.action_units import ACTION_UNITS, MAX_INTENSITY, format_code
from equime.annotation.annotators import Value
from equime.attribute_extraction.au_solver import AuSolver
from equime.attribute_extraction.neutral import Neutral, find_neutral
from equime.face.au_fit import OBSERVED, AuBasis, AuSide
from equime.face.muscles import MUSCLES
from equime.motion.blinks import CLOSED, OPEN, find_blinks, runs

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

BLINK_AU, CLOSED_AU = 45, 43

HIDDEN_BY_LIDS: Final = (5, 6, 7)
"""AUs without a value while a lid closes: it covers what they move."""

LIDS_MS: Final = 60.0
"""This long before and after a closure, lids count as closing."""

HELD: Final = 0.4
"""An eye below this share of its opening that does not blink is held shut (AU 43)."""

_LID_FIELD: Final = 0.05
_NOISE_QUANTILE: Final = 0.95
_TRACE: Final = 1.0


def _keys() -> tuple[AuSide, ...]:
    found: list[AuSide] = []
    for au in MUSCLES:
        found += [(au, "left"), (au, "right")] if ACTION_UNITS[au].sided else [(au, "both")]
    return tuple(found)


KEYS: Final = _keys()
"""AUs and sides that are reported, in the order of the columns."""

_AT: Final = {key: i for i, key in enumerate(KEYS)}
_SKIN: Final = np.array([i for i, (au, _) in enumerate(KEYS) if au not in (BLINK_AU, CLOSED_AU)])
_HIDDEN: Final = np.array([au in HIDDEN_BY_LIDS for au, _ in KEYS])


def column(key: AuSide) -> str:
    """``au_intensity_au12_left``, or ``au_intensity_au17`` for an AU that FACS does not side."""
    au, side = key
    return f"au_intensity_au{au:02d}" + ("" if side == "both" else f"_{side}")


def cut_lids(basis: AuBasis) -> list[int]:
    """Landmarks that are looked at when a lid closes: those that it does not move."""
    lids = np.linalg.norm(basis.of(BLINK_AU, "left") + basis.of(BLINK_AU, "right"), axis=1)
    return [i for i in OBSERVED if lids[i] < _LID_FIELD * lids.max()]


@dataclass(frozen=True)
class Lids:
    """What the lids do in T frames; columns are left and right.

    Attributes:
        near: bool (T,), a lid closes, is closed or opens, or does so within `LIDS_MS`.
        blink: float64 (T, 2), AU 45: 0..5, 5 is closed.
        held: float64 (T, 2), AU 43 of eyes held shut; 0 where they are not.
    """

    near: Mask
    blink: F64
    held: F64

    @classmethod
    def of(cls, time_ms: F64, aperture: F64) -> Lids:
        """From the opening (T, 2) of the eyes, 1 is that of the reference."""
        blink, held = np.zeros_like(aperture), np.zeros_like(aperture)
        near = np.zeros(len(time_ms), np.bool_)
        for found in find_blinks(time_ms, aperture.astype(np.float32)):
            first, last = found.first_frame, found.last_frame
            around = aperture[[max(first - 1, 0), min(last + 1, len(aperture) - 1)]].max(axis=0)
            now = aperture[first : last + 1] / np.maximum(around, CLOSED)
            blink[first : last + 1] = MAX_INTENSITY * np.clip(1.0 - now, 0.0, 1.0)
            near |= _within(time_ms, first, last)
        for side in (0, 1):
            for first, last in runs(aperture[:, side] < OPEN):
                run = slice(first, last + 1)
                if aperture[run, side].min() < HELD and not blink[run, side].any():
                    held[run, side] = MAX_INTENSITY * np.clip(1.0 - aperture[run, side], 0.0, 1.0)
                    near |= _within(time_ms, first, last)
        return cls(near, blink, held)


def _within(time_ms: F64, first: int, last: int) -> Mask:
    near: Mask = (time_ms >= time_ms[first] - LIDS_MS) & (time_ms <= time_ms[last] + LIDS_MS)
    return near


@dataclass(frozen=True)
class AuCurves:
    """Intensities of T frames, and why some have none.

    Attributes:
        time_ms: float64 (T,).
        intensity: float64 (T, len(KEYS)), NaN where there is no value.
        measured, lost, turned: bool (T,), frames with values, without the face, with the head turned too far.
        neutral: None where no frame could be measured.
        reference: index of the frame whose landmarks were followed.
        px_per_mm: scale of the face in it.
    """

    time_ms: F64
    intensity: F64
    measured: Mask
    lost: Mask
    turned: Mask
    neutral: Neutral | None
    reference: int
    px_per_mm: float

    @classmethod
    def of(
        cls, *, time_ms: F64, kept: tuple[F64, F64], solvers: tuple[AuSolver, AuSolver], aperture: F64,
        lost: Mask, turned: Mask, reference: int, basis: AuBasis, px_per_mm: float,
    ) -> AuCurves:  # fmt: skip
        """From what was kept of every frame.

        Args:
            time_ms: (T,).
            kept: (T, K + 1) of both solvers.
            solvers: of all landmarks, and of those that a closing lid leaves alone.
            aperture: (T, 2) of the left and the right eye, 1 is that of the reference.
            lost, turned: (T,), frames without values.
            reference, px_per_mm: see the class.
            basis: of the solvers.
        """
        measured = ~lost & ~turned
        lids = Lids.of(time_ms, np.where(measured[:, None], aperture, 1.0))
        usable = measured & ~lids.near if (measured & ~lids.near).any() else measured
        neutral = find_neutral(kept[0][:, :-1], usable, solvers[0].unexplained)
        intensity = np.full((len(time_ms), len(KEYS)), np.nan)
        if neutral is not None:
            zero = (neutral.state, np.median(kept[1][neutral.frames, :-1], axis=0))
            own = [_AT[key] for key in basis.keys]
            for i in np.flatnonzero(measured):
                which = int(lids.near[i])
                intensity[i, own] = solvers[which].intensities(kept[which][i], zero[which])
            _put_lids(intensity, lids, measured)
        return cls(time_ms, intensity, measured, lost, turned, neutral, reference, px_per_mm)

    @property
    def comparable(self) -> bool:
        """Whether there are two frames to compare."""
        return int(self.measured.sum()) >= 2

    def values(self, n_before: int) -> dict[str, Value]:
        """The clip's cells; those that nothing was measured for are left out.

        Args:
            n_before: frames of the clip before the first of these.
        """
        if self.neutral is None or not self.comparable:
            return {}
        seen: Mask = np.asarray(np.isfinite(self.intensity).any(axis=0))
        peak = np.full(len(KEYS), np.nan)
        peak[seen] = np.nanmax(self.intensity[:, seen], axis=0)
        calm = self.intensity[self.neutral.frames][:, _SKIN]
        noise = float(np.quantile(np.nan_to_num(calm).max(axis=1), _NOISE_QUANTILE))
        total = np.nan_to_num(self.intensity[:, _SKIN]).sum(axis=1)
        apex = int(np.argmax(total))
        active = _active(np.nan_to_num(peak), max(noise, _TRACE))
        found: dict[str, Value] = {
            "au_codes": "+".join(format_code(au, *sides) for au, sides in active.items()),
            "au_n_active": len(active),
            "au_noise": noise,
            "au_n_neutral_frames": int(self.neutral.frames.sum()),
            "au_asymmetry": _asymmetry(active),
            **{column(key): float(peak[i]) for key, i in _AT.items() if seen[i]},
        }
        if total[apex] > 0:
            found |= {"au_apex_frame": n_before + apex, "au_apex_ms": float(self.time_ms[apex])}
        return found


def _put_lids(intensity: F64, lids: Lids, measured: Mask) -> None:
    """Lids that close are read from the opening of the eyes: flow cannot follow what they cover."""
    closing: Mask = measured & lids.near
    intensity[np.outer(closing, _HIDDEN)] = np.nan
    for side, name in enumerate(("left", "right")):
        intensity[measured, _AT[BLINK_AU, name]] = lids.blink[measured, side]  # type: ignore[index]
        intensity[closing, _AT[CLOSED_AU, name]] = lids.held[closing, side]  # type: ignore[index]


def _active(peak: F64, least: float) -> dict[int, tuple[float, float]]:
    """AUs whose stronger side reaches ``least``: largest intensity left and right, limited to E."""
    sides = {
        au: tuple(float(min(peak[_AT[key]], MAX_INTENSITY)) for key in _AT if key[0] == au) for au in MUSCLES
    }
    return {au: (found[0], found[-1]) for au, found in sides.items() if max(found) >= least}


def _asymmetry(active: dict[int, tuple[float, float]]) -> float | None:
    sided = {au: s for au, s in active.items() if ACTION_UNITS[au].sided and au not in (BLINK_AU, CLOSED_AU)}
    if not sided:
        return None
    left, right = max(sided.values(), key=max)
    return (left - right) / (left + right)
