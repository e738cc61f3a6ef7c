"""Mechanisms of what every clip has, whatever its emotion: blinks, gaze, head sway, light, sensor noise.

None of these nodes has a parent, so they carry no information about emotion, Action Units or the face.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from equime.generation_pipeline.setting import HALF_STEP, STANDARD_NORMAL, Noise, Parents, Setting
from equime.types import Blink, GazeShift, HeadAxis, HeadWave

BLINK_REFRACTORY_MS: Final = 300.0
BLINK_GAP_MS: Final = 2900.0
BLINK_DURATION_MS: Final = (100.0, 250.0)
BLINK_FULL_SHARE: Final = 0.85
"""Spontaneous blinks, about 18 a minute (17 in Bentivoglio et al. 1997), 100 to 250 ms, some partial."""

GAZE_MIN_FIXATION_MS: Final = 800.0
GAZE_MORE_FIXATION_MS: Final = 1800.0
GAZE_SD_DEG: Final = (2.0, 1.2)
GAZE_MAX_DEG: Final = (6.0, 4.0)
"""Fixations of somebody who looks at a screen: targets scatter around the photograph's gaze (assumption)."""

HEAD_RANGES: Final[dict[HeadAxis, tuple[float, float]]] = {
    "yaw_deg": (0.3, 1.5), "pitch_deg": (0.3, 1.2), "roll_deg": (0.3, 0.9),
    "x_mm": (0.5, 2.0), "y_mm": (0.5, 1.5), "z_mm": (0.5, 2.0),
}  # fmt: skip
"""Amplitude of the slow sway of a seated head, per axis (assumption)."""
HEAD_PERIOD_MS: Final = (2000.0, 8000.0)

LIGHT_AMPLITUDE: Final = (0.002, 0.015)
LIGHT_PERIOD_MS: Final = (2000.0, 10_000.0)
NOISE_SIGMA: Final = (0.6, 1.6)
"""Grey levels of 255; an 8-bit camera in room light (assumption)."""


class Illumination(NamedTuple):
    """Value of the node illumination: relative amplitude, period and phase of the drift."""

    light_amplitude: float
    light_period_ms: float
    light_phase_rad: float


class SensorNoise(NamedTuple):
    """Value of the node sensor_noise: grey levels and the stream that draws them."""

    noise_sigma: float
    noise_seed: int


def blinks(_: Parents, u: Noise, setting: Setting) -> tuple[Blink, ...]:
    """Spontaneous blinks: a renewal process with a refractory time; none is cut by the clip's end."""
    found = []
    earliest = 1000 / setting.fps
    for gap, length, closing in _threes(u):
        start = round(earliest - BLINK_GAP_MS * math.log1p(-gap), 2)
        duration = round(_between(length, BLINK_DURATION_MS), 2)
        if start + duration > setting.duration_ms:
            break
        found.append(Blink(start_ms=start, duration_ms=duration, closure=_closure(closing)))
        earliest = start + duration + BLINK_REFRACTORY_MS
    return tuple(found)


def _closure(draw: float) -> float:
    if draw < BLINK_FULL_SHARE:
        return 1.0
    return round(0.5 + 0.5 * (draw - BLINK_FULL_SHARE) / (1 - BLINK_FULL_SHARE), 3)


def gaze(_: Parents, u: Noise, setting: Setting) -> tuple[GazeShift, ...]:
    """Small saccades between fixations; their duration follows the main sequence of their amplitude."""
    found = []
    time, yaw, pitch = 1000 / setting.fps, 0.0, 0.0
    for gap, across, up in _threes(u):
        start = round(time + GAZE_MIN_FIXATION_MS - GAZE_MORE_FIXATION_MS * math.log1p(-gap), 2)
        target = _scatter(across, 0), _scatter(up, 1)
        duration = saccade_duration_ms(math.hypot(target[0] - yaw, target[1] - pitch))
        if start + duration > setting.duration_ms:
            break
        yaw, pitch = target
        found.append(GazeShift(start_ms=start, duration_ms=duration, yaw_deg=yaw, pitch_deg=pitch))
        time = start + duration
    return tuple(found)


def saccade_duration_ms(amplitude_deg: float) -> float:
    """Main sequence: 21 ms and 2.2 ms per degree (Carpenter, *Movements of the Eyes*, 1988)."""
    return round(21.0 + 2.2 * amplitude_deg, 2)


def _scatter(draw: float, axis: int) -> float:
    limit = GAZE_MAX_DEG[axis]
    value = GAZE_SD_DEG[axis] * STANDARD_NORMAL.inv_cdf(draw + HALF_STEP)
    return round(min(max(value, -limit), limit), 3)


def head(_: Parents, u: Noise, __: Setting) -> tuple[HeadWave, ...]:
    """One slow wave per axis."""
    return tuple(
        HeadWave(
            axis=axis,
            amplitude=round(_between(size, amplitudes), 3),
            period_ms=round(_between(period, HEAD_PERIOD_MS), 1),
            phase_rad=_phase(phase),
        )
        for (axis, amplitudes), (size, period, phase) in zip(HEAD_RANGES.items(), _threes(u), strict=True)
    )


def illumination(_: Parents, u: Noise, __: Setting) -> Illumination:
    """A slow drift of the light."""
    return Illumination(
        round(_between(u[0], LIGHT_AMPLITUDE), 5), round(_between(u[1], LIGHT_PERIOD_MS), 1), _phase(u[2])
    )


def sensor_noise(_: Parents, u: Noise, __: Setting) -> SensorNoise:
    """Strength and stream of the camera's noise."""
    return SensorNoise(round(_between(u[0], NOISE_SIGMA), 3), round(u[1] * 1e6) * 10**6 + round(u[2] * 1e6))


def n_blink_noise(duration_ms: float) -> int:
    """Draws that the blinks of a clip need: three per possible blink."""
    return 3 * (2 + math.ceil(duration_ms / 1500))


def n_gaze_noise(duration_ms: float) -> int:
    """Draws that the gaze shifts of a clip need: three per possible shift."""
    return 3 * (2 + math.ceil(duration_ms / 1200))


def _between(draw: float, limits: tuple[float, float]) -> float:
    return limits[0] + draw * (limits[1] - limits[0])


def _phase(draw: float) -> float:
    return round(2 * math.pi * draw, 4)


def _threes(u: Noise) -> list[tuple[float, float, float]]:
    return list(zip(u[0::3], u[1::3], u[2::3], strict=True))
