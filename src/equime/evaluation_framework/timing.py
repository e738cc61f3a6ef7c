"""Annotator ``timing``: onset, apex and offset measured on the decoded frames, and how far from what was meant.

What is measured is called ``measured_``, what the data set intended ``intended_``; errors are measured less
intended. Everything comes from optical flow and knows nothing of the clip's spec.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext, Metric, Row, Value
from equime.frames import Frame
from equime.motion.blinks import find_blinks
from equime.motion.spotting import MICRO_ONSET_MS, MICRO_TOTAL_MS, Movement, find_events
from equime.motion.track import MotionTrack
from equime.types import ClipSpec

_FLOW: Final = "equime spotting on DIS optical flow (Kroeger et al. 2016)"
_YAN: Final = "Yan et al. 2013, How fast are the leaked facial expressions"
_TRUTH: Final = "the Dataset's spec"
_TOLERANCE: Final = 0.01


def _ms(name: str, meaning: str, reference: str = _FLOW, low: float | None = 0.0) -> Metric:
    return Metric(name, "ms", low, None, "none", meaning, reference)


def _frame(name: str, meaning: str) -> Metric:
    return Metric(name, "1", 0.0, None, "none", meaning, _FLOW, "whole")


_ERROR = "Measured less intended {}; 0 is best. None where either is missing."

METRICS: Final = (
    _ms("measured_onset_ms", "Last instant before the strongest facial movement, extrapolated between frames."),
    _ms("measured_apex_ms", "Instant at which that movement is largest."),
    _ms("measured_offset_ms", "First instant after that movement."),
    _frame("measured_onset_frame", "First frame after the measured onset."),
    _frame("measured_apex_frame", "Frame next to the measured apex."),
    _frame("measured_offset_frame", "Last frame before the measured offset."),
    _ms("measured_duration_ms", "From measured onset to measured offset."),
    _ms("measured_onset_phase_ms", "From measured onset to measured apex."),
    Metric("peak_motion_mm", "mm", 0.0, None, "none",
           "Largest mean displacement of a facial region at the apex, head motion removed; None for lids alone.",
           _FLOW),
    Metric("is_micro_duration", "", None, None, "none",
           f"Whether the movement lasts at most {MICRO_TOTAL_MS:.0f} ms, or its onset phase at most "
           f"{MICRO_ONSET_MS:.0f} ms.", _YAN, "flag"),
    Metric("n_events", "1", 0.0, None, "none", "Facial movements found in the clip, blinks left out.", _FLOW, "whole"),
    Metric("n_blinks", "1", 0.0, None, "none", "Blinks found in the clip.", "equime lid apertures", "whole"),
    Metric("head_motion_mm", "mm", 0.0, None, "none",
           "Diagonal of the box in the picture's plane that holds all positions of the head.", _FLOW),
    _ms("onset_error_ms", _ERROR.format("onset"), _TRUTH, None),
    _ms("apex_error_ms", _ERROR.format("apex"), _TRUTH, None),
    _ms("offset_error_ms", _ERROR.format("offset"), _TRUTH, None),
    _ms("intended_duration_ms", "From the intended onset to the intended offset.", _TRUTH),
    Metric("movement_found", "", None, None, "higher",
           "Whether the strongest movement has its apex between the intended onset and offset; None for neutral "
           "clips and clips without a spec.", _TRUTH, "flag"),
    Metric("false_movement", "", None, None, "lower",
           "Whether a movement was found in a clip that is meant to be neutral; None for other clips.", _TRUTH,
           "flag"),
)  # fmt: skip

NO_FACE: Final = (
    "no_face",
    "no face was found in the first frames, so no movement was measured; look at the clip",
)


class Timing:
    """Measured onset, apex, offset, blinks and head motion of a clip."""

    name = "timing"
    version = "1"
    metrics = METRICS
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = True

    def start(self, clip: ClipContext) -> TimingSession:
        """Open a session; it looks at nothing but the motion track."""
        return TimingSession(clip)


class TimingSession:
    """The measuring of one clip.

    Args:
        clip: with its motion track by the time of `finish`.
    """

    def __init__(self, clip: ClipContext) -> None:
        self.clip = clip

    def feed(self, frame: Frame) -> None:
        """Nothing: the motion track holds what is needed."""

    def finish(self) -> Row:
        """The clip's row."""
        values: dict[str, Value] = {metric.name: None for metric in METRICS}
        track = self.clip.motion
        if track is None:
            return Row(values, notes=(NO_FACE,))
        events = find_events(track.time_ms, track.displacement_mm, track.aperture)
        values |= {
            "n_events": len(events),
            "n_blinks": len(find_blinks(track.time_ms, track.aperture)),
            "head_motion_mm": head_range_mm(track.head),
        }
        strongest = events[0] if events else None
        if strongest is not None:
            values |= measured(track, strongest)
        if self.clip.source.spec is not None:
            values |= against_intent(self.clip.source.spec, strongest)
        return Row(values)


def measured(track: MotionTrack, event: Movement) -> dict[str, Value]:
    """The cells of a movement.

    Frame numbers are positions in the clip: the first frame after the onset, the one next to the apex, the last
    before the offset, as `equime.types.FrameTiming` counts them.
    """
    time_ms = track.time_ms
    slack = _TOLERANCE * float(np.median(np.diff(time_ms)))
    onset, offset = event.onset_ms, event.offset_ms
    onset_frame = None if onset is None else int(np.searchsorted(time_ms, onset + slack))
    offset_frame = None if offset is None else int(np.searchsorted(time_ms, offset - slack)) - 1
    return {
        "measured_onset_ms": onset,
        "measured_apex_ms": event.apex_ms,
        "measured_offset_ms": offset,
        "measured_onset_frame": onset_frame,
        "measured_apex_frame": int(np.argmin(np.abs(time_ms - event.apex_ms))),
        "measured_offset_frame": offset_frame,
        "measured_duration_ms": event.duration_ms,
        "measured_onset_phase_ms": event.onset_phase_ms,
        "peak_motion_mm": event.peak_mm,
        "is_micro_duration": event.is_micro,
    }


def against_intent(spec: ClipSpec, event: Movement | None) -> dict[str, Value]:
    """Errors of a movement against a spec; whether one was found where one was intended, or where none was."""
    if spec.phases is None:
        return {"false_movement": event is not None}
    phases = spec.phases
    values: dict[str, Value] = {
        "intended_duration_ms": phases.offset_ms - phases.onset_ms,
        "movement_found": False,
    }
    if event is None or not phases.onset_ms <= event.apex_ms <= phases.offset_ms:
        return values
    return values | {
        "movement_found": True,
        "onset_error_ms": None if event.onset_ms is None else event.onset_ms - phases.onset_ms,
        "apex_error_ms": event.apex_ms - phases.apex_ms,
        "offset_error_ms": None if event.offset_ms is None else event.offset_ms - phases.offset_ms,
    }


def head_range_mm(head: NDArray[np.float32]) -> float:
    """Diagonal of the box that holds all positions of the head in the picture's plane.

    Args:
        head: (T, 4) of `MotionTrack`.
    """
    x, y = np.ptp(head[:, 0].astype(np.float64)), np.ptp(head[:, 1].astype(np.float64))
    return math.hypot(float(x), float(y))
