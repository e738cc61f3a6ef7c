"""A spec's exact motion over time: AU intensity per side, gaze, head pose and light of every frame.

This is the ground truth. A renderer moves the pixels by these curves, so onset, apex and offset are known
exactly instead of being annotated. All curves are pure functions of the `ClipSpec`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.action_units import MAX_INTENSITY
from equime.errors import InputError
from equime.types import AuPeak, Blink, ClipSpec, FrameTiming, HeadAxis, Phases, Record

Times = NDArray[np.float64]

BLINK_AU: Final = 45
BLINK_CLOSING_SHARE: Final = 1 / 3
"""Share of a blink's duration in which the lids close; opening is about twice as slow as closing."""

HEAD_AXES: Final[tuple[HeadAxis, ...]] = ("yaw_deg", "pitch_deg", "roll_deg", "x_mm", "y_mm", "z_mm")
"""Columns of `Trajectory.head`."""

HEAD_DEG_PER_INTENSITY: Final = 2.0
HEAD_MM_PER_INTENSITY: Final = 4.0
GAZE_DEG_PER_INTENSITY: Final = 4.0
"""What one unit of intensity of the head codes 51..58 and the gaze codes 61..64 means.

FACS gives them no amplitude; at E (5) the head turns 10 degrees or moves 20 mm, the eyes turn 20 degrees.
"""

_HEAD_CODES: Final[dict[int, tuple[int, float]]] = {
    51: (0, HEAD_DEG_PER_INTENSITY),
    52: (0, -HEAD_DEG_PER_INTENSITY),
    53: (1, HEAD_DEG_PER_INTENSITY),
    54: (1, -HEAD_DEG_PER_INTENSITY),
    55: (2, HEAD_DEG_PER_INTENSITY),
    56: (2, -HEAD_DEG_PER_INTENSITY),
    57: (5, HEAD_MM_PER_INTENSITY),
    58: (5, -HEAD_MM_PER_INTENSITY),
}
_GAZE_CODES: Final[dict[int, tuple[int, float]]] = {
    61: (0, GAZE_DEG_PER_INTENSITY),
    62: (0, -GAZE_DEG_PER_INTENSITY),
    63: (1, GAZE_DEG_PER_INTENSITY),
    64: (1, -GAZE_DEG_PER_INTENSITY),
}


@dataclass(frozen=True)
class Trajectory:
    """Ground truth of one clip, frame by frame.

    Attributes:
        time_ms: float64 (T,), frame times, ``i * 1000 / fps``.
        aus: columns of ``curve``, ascending FACS numbers (45 where the clip blinks).
        curve: float32 (T, A, 2), intensity 0..5; ``[..., 0]`` left, ``[..., 1]`` right (the subject's).
        gaze_deg: float32 (T, 2), yaw (+ subject's left) and pitch (+ up), relative to the photograph.
        head: float32 (T, 6), `HEAD_AXES`: degrees and millimetres, relative to the photograph.
        light: float32 (T,), multiplicative gain, exactly 1 at frame 0.
    """

    time_ms: NDArray[np.float64]
    aus: tuple[int, ...]
    curve: NDArray[np.float32]
    gaze_deg: NDArray[np.float32]
    head: NDArray[np.float32]
    light: NDArray[np.float32]


class BlinkInterval(Record, frozen=True):
    """One blink as frames of the file.

    Attributes:
        first_frame: first frame with a lid away from open.
        last_frame: last such frame.
        start_ms, end_ms: exact instants of the spec.
        closure: 1 closes fully.
    """

    first_frame: int
    last_frame: int
    start_ms: float
    end_ms: float
    closure: float


def trajectory(spec: ClipSpec) -> Trajectory:
    """The exact curves of a spec.

    Raises:
        InputError: where the spec's phases are out of order or two peaks name the same AU.
    """
    time_ms = frame_times(spec)
    n_frames = len(time_ms)
    expression = _expression_curve(spec, time_ms)
    aus = sorted({peak.au for peak in spec.aus} | ({BLINK_AU} if spec.blinks else set()))
    curve = np.zeros((n_frames, len(aus), 2), np.float32)
    gaze = _gaze(spec, time_ms)
    head = _head(spec, time_ms)
    for i, peak in enumerate(spec.aus):
        curve[:, aus.index(peak.au)] = expression[:, i]
        _add_pose(peak.au, expression[:, i].max(axis=1), head, gaze)
    if spec.blinks:
        lids = MAX_INTENSITY * blink_closure(spec.blinks, time_ms)
        column = curve[:, aus.index(BLINK_AU)]
        np.maximum(column, lids[:, None].astype(np.float32), out=column)
    return Trajectory(
        time_ms=time_ms,
        aus=tuple(aus),
        curve=curve,
        gaze_deg=gaze.astype(np.float32),
        head=head.astype(np.float32),
        light=_light(spec, time_ms).astype(np.float32),
    )


def frame_times(spec: ClipSpec) -> Times:
    """Instant of every frame in ms, float64 (T,): ``i * 1000 / fps``."""
    return np.arange(spec.n_frames, dtype=np.float64) * 1000.0 / spec.fps


def frame_timing(spec: ClipSpec, track: Trajectory) -> FrameTiming | None:
    """Onset, apex and offset of the micro-expression as frames; None for a neutral clip.

    Onset is the first frame with a non-zero intensity of the micro-expression's AUs, apex the (earliest)
    frame of their largest sum over both sides, offset the last non-zero frame. Blinks do not count.

    Raises:
        InputError: where no frame shows the micro-expression (between two frames, or outside the clip).
    """
    if spec.phases is None:
        return None
    total = _expression_curve(spec, track.time_ms).sum(axis=(1, 2), dtype=np.float64)
    shown = np.flatnonzero(total)
    if not len(shown):
        raise InputError(
            f"spec {spec.spec_id}: no frame at {spec.fps:g} fps shows the micro-expression of "
            f"{spec.phases.onset_ms:.0f} to {spec.phases.offset_ms:.0f} ms; use a higher fps or a longer clip"
        )
    return FrameTiming(
        onset_frame=int(shown[0]),
        apex_frame=int(np.argmax(total)),
        offset_frame=int(shown[-1]),
        onset_ms=spec.phases.onset_ms,
        apex_ms=spec.phases.apex_ms,
        offset_ms=spec.phases.offset_ms,
    )


def blink_intervals(spec: ClipSpec) -> tuple[BlinkInterval, ...]:
    """The blinks of a clip that at least one frame shows, in order."""
    time_ms = frame_times(spec)
    found = []
    for blink in sorted(spec.blinks, key=lambda b: b.start_ms):
        shown = np.flatnonzero(blink_closure((blink,), time_ms))
        if len(shown):
            found.append(
                BlinkInterval(
                    first_frame=int(shown[0]),
                    last_frame=int(shown[-1]),
                    start_ms=blink.start_ms,
                    end_ms=blink.start_ms + blink.duration_ms,
                    closure=blink.closure,
                )
            )
    return tuple(found)


def minimum_jerk(x: Times) -> Times:
    """S-curve of a smooth point-to-point movement, 0 for x <= 0 and 1 for x >= 1 (Flash & Hogan 1985)."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (10.0 + x * (6.0 * x - 15.0))


def expression_gain(phases: Phases, time_ms: Times, delay_ms: float = 0.0) -> Times:
    """g(t) in 0..1 of one AU: zero, rise to the apex, hold, decay, zero.

    Args:
        phases: timing of the clip's micro-expression.
        time_ms: float64 (T,).
        delay_ms: this AU's onset after the clip's.

    Raises:
        InputError: where onset + delay, apex, end of hold and offset do not follow each other in time.
    """
    start = phases.onset_ms + delay_ms
    hold_end = phases.apex_ms + phases.hold_ms
    if not start < phases.apex_ms <= hold_end < phases.offset_ms:
        raise InputError(
            f"phases out of order: onset {start:g} (with its delay of {delay_ms:g}), "
            f"apex {phases.apex_ms:g}, end of hold {hold_end:g}, offset {phases.offset_ms:g} ms must increase"
        )
    rise = minimum_jerk((time_ms - start) / (phases.apex_ms - start)) ** phases.rise
    decay = minimum_jerk((phases.offset_ms - time_ms) / (phases.offset_ms - hold_end)) ** phases.decay
    return np.minimum(rise, decay)


def blink_closure(blinks: tuple[Blink, ...], time_ms: Times) -> Times:
    """Lid closure 0..1 of all blinks, float64 (T,): fast close, slower open; the largest counts."""
    closure = np.zeros_like(time_ms)
    for blink in blinks:
        closed_at = blink.start_ms + BLINK_CLOSING_SHARE * blink.duration_ms
        end = blink.start_ms + blink.duration_ms
        closing = minimum_jerk((time_ms - blink.start_ms) / (closed_at - blink.start_ms))
        opening = minimum_jerk((end - time_ms) / (end - closed_at))
        np.maximum(closure, blink.closure * np.minimum(closing, opening), out=closure)
    return closure


def _expression_curve(spec: ClipSpec, time_ms: Times) -> NDArray[np.float32]:
    """Intensity (T, n_peaks, 2) of the spec's own AUs, without blinks; exactly linear in the peaks."""
    numbers = [peak.au for peak in spec.aus]
    if len(set(numbers)) != len(numbers):
        raise InputError(f"spec {spec.spec_id}: AUs {numbers} repeat; give each AU once, with both sides")
    curve = np.zeros((len(time_ms), len(spec.aus), 2), np.float32)
    if spec.phases is None:
        return curve
    gains: dict[float, Times] = {}
    for i, peak in enumerate(spec.aus):
        if peak.delay_ms not in gains:
            gains[peak.delay_ms] = expression_gain(spec.phases, time_ms, peak.delay_ms)
        curve[:, i] = gains[peak.delay_ms][:, None] * _sides(peak)
    return curve


def _sides(peak: AuPeak) -> NDArray[np.float64]:
    return np.array((peak.left, peak.right))


def _add_pose(au: int, intensity: NDArray[np.float32], head: Times, gaze: Times) -> None:
    """Add a head or gaze code's movement in place."""
    if au in _HEAD_CODES:
        axis, per_unit = _HEAD_CODES[au]
        head[:, axis] += per_unit * intensity
    elif au in _GAZE_CODES:
        axis, per_unit = _GAZE_CODES[au]
        gaze[:, axis] += per_unit * intensity


def _gaze(spec: ClipSpec, time_ms: Times) -> Times:
    gaze = np.zeros((len(time_ms), 2))
    before = np.zeros(2)
    for shift in sorted(spec.gaze, key=lambda s: s.start_ms):
        target = np.array((shift.yaw_deg, shift.pitch_deg))
        gaze += minimum_jerk((time_ms - shift.start_ms) / shift.duration_ms)[:, None] * (target - before)
        before = target
    return gaze


def _head(spec: ClipSpec, time_ms: Times) -> Times:
    head = np.zeros((len(time_ms), len(HEAD_AXES)))
    for wave in spec.head:
        head[:, HEAD_AXES.index(wave.axis)] += wave.amplitude * _drift(
            time_ms, wave.period_ms, wave.phase_rad
        )
    return head


def _light(spec: ClipSpec, time_ms: Times) -> Times:
    camera = spec.camera
    return 1.0 + camera.light_amplitude * _drift(time_ms, camera.light_period_ms, camera.light_phase_rad)


def _drift(time_ms: Times, period_ms: float, phase_rad: float) -> Times:
    """Sinusoid shifted to be exactly zero at time 0."""
    wave: Times = np.sin(2 * np.pi / period_ms * time_ms + phase_rad)
    wave -= np.sin(phase_rad)
    return wave
