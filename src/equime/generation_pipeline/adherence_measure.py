"""What a clip's frames show, whatever made them: the labels that are *measured*, for the adherence gate.

One pass over the frames. The face's movement comes from `equime.motion` (optical flow, the head's own motion taken
off), its AUs from `equime.face.au_fit`; whether it stays this face, and a face, from `adherence_face`. Nothing
here looks at the clip's spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext
from equime.clip_sources import ClipSource
from equime.face.au_fit import AuSide, au_basis, fit_aus
from equime.frames import Frame, StreamInfo
from equime.generation_pipeline.adherence_face import FirstFace, Look
from equime.generation_pipeline.adherence_records import (
    AU_PRESENT,
    BLACK_LEVEL,
    N_LOOKS,
    REGION_SHARE,
    REPEATED_GREY,
    Measured,
)
from equime.motion.blinks import MeasuredBlink, find_blinks
from equime.motion.session import MotionSession
from equime.motion.spotting import DETECT_MM, Movement, find_events
from equime.motion.track import EYES, REGIONS, MotionTrack
from equime.types import N_LANDMARKS

F64 = NDArray[np.float64]

_REST_MS: Final = 250.0
"""Before onset and after offset, over this time, a region's resting place is read."""

_THUMB_PX: Final = 96


class AdherenceSession:
    """Fed every frame once; then gives what was measured.

    Memory: that of a `MotionSession`, and up to `N_LOOKS` + 1 frames.

    Args:
        clip: the clip; only its frame rate is looked at.
        n_frames: frames that the clip is meant to have, to spread the looks over.
    """

    def __init__(self, clip: ClipContext, n_frames: int) -> None:
        self.motion = MotionSession(clip)
        self._wanted = {round(i * (n_frames - 1) / N_LOOKS) for i in range(1, N_LOOKS + 1)}
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._before: NDArray[np.uint8] | None = None
        self._n = self._n_black = self._n_repeated = 0

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        self.motion.feed(frame)
        self._count(frame)
        if frame.index in self._wanted:
            self._kept[frame.index] = frame.bgr.copy()

    def finish(self) -> tuple[Measured, MotionTrack | None]:
        """The measured labels, and the motion they come from; None where the first frames show no face."""
        n = max(self._n, 1)
        shares: dict[str, Any] = {
            "n_frames": self._n,
            "black_share": self._n_black / n,
            "repeated_share": self._n_repeated / max(self._n - 1, 1),
        }
        track = self.motion.finish()
        if track is None:
            return Measured(face_share=0.0, **shares), None
        blinks = find_blinks(track.time_ms, track.aperture)
        blinking = _blinking(track, blinks)
        frames = {i: bgr for i, bgr in self._kept.items() if i > track.reference_frame}
        first = FirstFace(track.reference_bgr)
        looks = [first.look(bgr, blink=bool(blinking[i])) for i, bgr in frames.items()]
        values = shares | {"face_share": _share(looks)} | _faces(looks) | _movement(track)
        step = float(np.median(np.diff(track.time_ms)))
        values["blinks_ms"] = tuple(
            (float(track.time_ms[b.first_frame]), float(track.time_ms[b.last_frame]) + step) for b in blinks
        )
        return Measured(**values), track

    def _count(self, frame: Frame) -> None:
        grey = frame.grey
        self._n += 1
        small = cv2.resize(grey, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA)
        self._n_black += bool(np.percentile(small, 99) < BLACK_LEVEL)
        if self._before is not None:
            self._n_repeated += bool(cv2.norm(grey, self._before, cv2.NORM_L1) < REPEATED_GREY * grey.size)
        self._before = grey


def measure_frames(
    rgb: Iterable[NDArray[np.uint8]], fps: float, n_frames: int
) -> tuple[Measured, MotionTrack | None]:
    """Measure frames that have no file yet, as a renderer makes them.

    Args:
        rgb: uint8 (H, W, 3) each, all of one size.
        fps: frames per second.
        n_frames: how many there are meant to be.
    """
    source = ClipSource(clip_id="", file="frames", root=".", kind="frames", input_digest="")
    session: AdherenceSession | None = None
    for index, picture in enumerate(rgb):
        if session is None:
            height, width = picture.shape[:2]
            info = StreamInfo(fps=fps, width=width, height=height, codec="raw", pix_fmt="bgr24", n_declared=n_frames,
                              size_bytes=0)  # fmt: skip
            session = AdherenceSession(ClipContext(source, info), n_frames)
        session.feed(Frame(index, index * 1000.0 / fps, np.ascontiguousarray(picture[..., ::-1])))
    if session is None:
        return Measured(n_frames=0, black_share=0.0, repeated_share=0.0, face_share=0.0), None
    return session.finish()


def _share(looks: list[Look | None]) -> float:
    return (1 + sum(look is not None for look in looks)) / (1 + len(looks))


def _faces(looks: list[Look | None]) -> dict[str, Any]:
    seen = [look for look in looks if look is not None]
    if not seen:
        return {}
    return {
        "likeness": min(look.likeness for look in seen),
        "unexplained_mm": max(look.unexplained_mm for look in seen),
    }


def _blinking(track: MotionTrack, blinks: Sequence[MeasuredBlink]) -> NDArray[np.bool_]:
    mask = np.zeros(len(track.time_ms), np.bool_)
    for blink in blinks:
        mask[blink.first_frame : blink.last_frame + 1] = True
    return mask


def _movement(track: MotionTrack) -> dict[str, Any]:
    """The strongest movement, and what moved in it."""
    events = find_events(track.time_ms, track.displacement_mm, track.aperture)
    if not events:
        return {}
    event = events[0]
    start, end = float(track.time_ms[0]), float(track.time_ms[-1])
    onset, offset = event.onset_ms, event.offset_ms
    moved = at_apex(track, event)
    return {
        "n_movements": len(events),
        "onset_ms": onset,
        "apex_ms": event.apex_ms,
        "offset_ms": offset,
        "duration_ms": (end if offset is None else offset) - (start if onset is None else onset),
        "peak_mm": event.peak_mm,
        "eyes_only": event.eyes_only,
        "regions": EYES if event.eyes_only else moved_regions(moved),
        "displacement_mm": tuple((float(x), float(y)) for x, y in moved),
        "aus": _aus(track),
    }


def at_apex(track: MotionTrack, event: Movement) -> F64:
    """Displacement (R, 2) of the regions at an event's apex against where they rest before and after it, mm."""
    time_ms, values = track.time_ms, track.displacement_mm.astype(np.float64)
    rests = []
    if event.onset_ms is not None:
        rests.append((time_ms >= event.onset_ms - _REST_MS) & (time_ms <= event.onset_ms))
    if event.offset_ms is not None:
        rests.append((time_ms >= event.offset_ms) & (time_ms <= event.offset_ms + _REST_MS))
    means = [np.median(values[rest], axis=0) for rest in rests if rest.any()]
    rest = np.mean(means, axis=0) if means else np.zeros_like(values[0])
    moved: F64 = values[int(np.argmin(np.abs(time_ms - event.apex_ms)))] - rest
    return moved


def moved_regions(displacement_mm: F64) -> tuple[str, ...]:
    """Regions outside of the eyes that moved, by `REGION_SHARE` and `DETECT_MM`."""
    length = np.linalg.norm(displacement_mm, axis=1)
    length[[REGIONS.index(name) for name in EYES]] = 0.0
    least = max(DETECT_MM, REGION_SHARE * float(length.max()))
    return tuple(name for name, value in zip(REGIONS, length, strict=True) if value >= least)


def _aus(track: MotionTrack) -> dict[str, float]:
    """AUs that explain the flow of the peak frame, those present."""
    points = track.landmarks.astype(np.float64) @ track.crop[:, :2].T + track.crop[:, 2]
    scale = track.px_per_mm * float(np.hypot(*track.crop[0, :2]))
    flow = np.ascontiguousarray(track.peak_flow_mm, np.float32)
    x, y = points.T.astype(np.float32)[:, None]
    moved = cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0] * np.array(
        [scale, -scale]
    )
    found = fit_aus(moved.reshape(N_LANDMARKS, 2), au_basis(points, scale))
    return {au_name(key): round(value, 2) for key, value in found.items() if value >= AU_PRESENT}


def au_name(key: AuSide) -> str:
    """An AU and a side as FACS writes them: "L12", "4"."""
    au, side = key
    return {"left": "L", "right": "R", "both": ""}[side] + str(au)
