"""Movement of the face in a clip, by optical flow, with the head's own motion taken off.

Flow always runs from the reference frame (the first that shows a face) to the frame at hand, so that errors do
not add up over a clip. The frame is first cut into the analysis crop by the head's pose of the frame before:
what the flow has to find stays small however far the head has gone. Dense inverse search (DIS, Kroeger et al.
2016) is the default; TV-L1 (Zach et al. 2007) is there for parity with the micro-expression literature, at some
hundred times the cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext
from equime.errors import InputError, MissingError
from equime.face import affine
from equime.face import anatomy as a
from equime.face.alignment import px_per_mm, warp
from equime.frames import Frame
from equime.motion.blinks import CLOSED, LidWatch
from equime.motion.head_motion import HeadModel, HeadPose
from equime.motion.regions import FaceMap, RegionMeans, face_map
from equime.motion.spotting import find_events
from equime.motion.track import EYES, REGIONS, MotionTrack

F64 = NDArray[np.float64]
Grey = NDArray[np.uint8]
Flow = Callable[[Grey, Grey], NDArray[np.float32]]

SIZE_PX: Final = 256
"""Side of the analysis crop. On rendered 512 px clips DIS errs by 0.31 px of the frame in it, 0.26 px at 320 px for
half as much time again, 0.34 px at 224 px; movements of 0.3 mm are timed."""

_REFERENCE_FRAMES: Final = 5
"""A face is looked for in this many frames."""

_FOLLOW_PX: Final = 1.5
"""The crop is cut anew when the head has moved by more than this in it; smaller movement is not resampled."""

_GRID: Final = 2
_N_PEAKS: Final = 4
_PEAK_GAP_MS: Final = 300.0
_BASE_MS: Final = (1000.0, 300.0)
"""A movement is judged against where its region was this long ago: head motion leaves a slow rest."""

_LIDS_SETTLE_MS: Final = 200.0
"""Around a blink, what the lids do is the blink."""

_EYE_ROWS: Final = [REGIONS.index(name) for name in EYES]
_SKIN_ROWS: Final = [i for i, name in enumerate(REGIONS) if name not in EYES]


def flow_method(name: str) -> Flow:
    """Dense optical flow between two grey crops: (first, second) to float32 (C, C, 2) pixels.

    Args:
        name: "dis" (OpenCV's medium preset with patches every 4 px and 3 refinements, as accurate and faster) or "tvl1" (OpenCV's defaults, those of the
            original code).

    Raises:
        InputError: another name.
        MissingError: TV-L1 is in OpenCV's contrib modules, and they are not there.
    """
    if name == "dis":
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        dis.setPatchStride(4)
        dis.setVariationalRefinementIterations(3)
        return _calculator(dis)
    if name == "tvl1":
        if not hasattr(cv2, "optflow"):
            raise MissingError(
                "tvl1: this OpenCV has no optflow module; run `pip install opencv-contrib-python-headless`"
            )
        return _calculator(cv2.optflow.DualTVL1OpticalFlow.create())
    raise InputError(f"optical flow {name!r} is not known; use dis or tvl1")


def _calculator(method: Any) -> Flow:
    def calculate(first: Grey, second: Grey) -> NDArray[np.float32]:
        return np.asarray(method.calc(first, second, None), np.float32)

    return calculate


class MotionSession:
    """Fed every frame once; then gives the track.

    Memory: a few numbers per frame, the reference frame, and up to eight frames at peaks of movement.

    Args:
        clip: the clip.
        flow: see `flow_method`.
        size_px: side of the analysis crop.
    """

    def __init__(self, clip: ClipContext, *, flow: str = "dis", size_px: int = SIZE_PX) -> None:
        self.clip = clip
        self._flow, self._size_px = flow_method(flow), size_px
        self._waiting: list[Frame] = []
        self._face: _FaceMotion | None = None
        self._given_up = False

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        if self._face is not None:
            self._face.feed(frame)
        elif not self._given_up:
            self._look_for_face(frame)

    def finish(self) -> MotionTrack | None:
        """The track; None where the first frames show no face."""
        return self._face.track(self.clip.info.fps) if self._face else None

    def _look_for_face(self, frame: Frame) -> None:
        self._waiting.append(Frame(frame.index, frame.time_ms, frame.bgr.copy()))
        landmarks = _landmarks(frame)
        if landmarks is not None:
            self._face = _FaceMotion(frame, landmarks, self._flow, self._size_px)
            for earlier in self._waiting:
                self._face.feed(earlier)
            self._waiting = []
        elif len(self._waiting) >= _REFERENCE_FRAMES:
            self._given_up, self._waiting = True, []


def _landmarks(frame: Frame) -> NDArray[np.float32] | None:
    """Landmarks (478, 3) of the largest face; None where there is none."""
    from equime.face.landmarks import find_boxes, mesh_in_box  # noqa: PLC0415

    rgb = np.ascontiguousarray(frame.bgr[..., ::-1])
    boxes = find_boxes(rgb)
    return mesh_in_box(rgb, boxes[0]) if boxes else None


class _FaceMotion:
    """The frames of one clip against its reference frame."""

    def __init__(self, reference: Frame, landmarks: NDArray[np.float32], flow: Flow, size_px: int) -> None:
        self._landmarks, self._px_per_mm = landmarks, px_per_mm(landmarks)
        self._reference = Frame(reference.index, reference.time_ms, reference.bgr.copy())
        self._flow, self._size_px = flow, size_px
        self._map: FaceMap = face_map(landmarks, self._px_per_mm, size_px)
        eyes = np.asarray(self._map.regions[_EYE_ROWS].any(axis=0))
        self._head = HeadModel(self._map, eyes)
        self._lids = [LidWatch(self._map, side) for side in (a.RIGHT, a.LEFT)]
        margins = [strip for lid in self._lids for strip in (lid.upper, lid.lower)]
        self._areas = RegionMeans(self._map, margins, _GRID)
        self._to_crop = self._map.crop
        self._crop0 = self._cut(reference.grey, self._map.crop)
        self._apertures(HeadPose.still(), self._reference, np.zeros(len(margins), np.float32))
        self._previous: Grey | None = None
        self._times: list[float] = []
        self._regions: list[NDArray[np.float32]] = []
        self._rest: list[tuple[float, ...]] = []
        self._peaks, self._lid_peaks = _Peaks(), _Peaks()
        self._lids_free_ms = -np.inf

    def feed(self, frame: Frame) -> None:
        """Measure a frame."""
        flow_mm, still = self._since_reference(frame.grey)
        pose = self._head.fit(flow_mm)
        self._follow(pose)
        face_mm = self._head.remove(flow_mm[::_GRID, ::_GRID], pose, _GRID)
        regions, margins = self._areas.measure(face_mm)
        apertures = self._apertures(pose, frame, margins)
        self._times.append(frame.time_ms)
        self._regions.append(regions)
        self._rest.append((*pose.as_row, *pose.turn_deg, *apertures, self._change(still)))
        skin, lids = self._scores()
        for peaks, score in ((self._peaks, skin), (self._lid_peaks, lids)):
            if score is not None and peaks.wants(score, frame.time_ms):
                peaks.keep(_Peak(score, len(self._times) - 1, frame.time_ms, frame.bgr.copy(), flow_mm, pose))

    def track(self, fps: float) -> MotionTrack:
        """Everything that was measured."""
        time_ms = np.array(self._times, np.float64)
        regions, rest = np.stack(self._regions), np.array(self._rest, np.float32)
        displacement, aperture = regions[..., :2], rest[:, 6:8]
        events = find_events(time_ms, displacement, aperture)
        peaks = self._lid_peaks if events and events[0].eyes_only and self._lid_peaks.kept else self._peaks
        peak = peaks.best(events[0].apex_ms if events else None)
        return MotionTrack(
            time_ms=time_ms,
            fps=fps,
            landmarks=self._landmarks[:, :2].copy(),
            px_per_mm=self._px_per_mm,
            displacement_mm=displacement,
            magnitude_mm=regions[..., 2],
            strain=regions[..., 3],
            head=rest[:, :4],
            aperture=aperture,
            change=rest[:, 8],
            peak_frame=peak.index,
            peak_flow_mm=self._head.remove(peak.flow_mm, peak.pose) * np.array([1, -1], np.float32),
            crop=self._map.crop,
            reference_bgr=self._reference.bgr,
            peak_bgr=peak.bgr,
            head_turn_deg=rest[:, 4:6],
            lid_gap_mm=(self._lids[0].gap_mm, self._lids[1].gap_mm),
            reference_frame=self._reference.index,
        )

    def _cut(self, grey: Grey, to_crop: F64) -> Grey:
        return warp(grey, to_crop, self._size_px)

    def _since_reference(self, grey: Grey) -> tuple[NDArray[np.float32], Grey]:
        """Displacement (C, C, 2) in mm of every point of the reference crop, head motion included, y down; and
        the crop of this frame where the face was in the reference frame.
        """
        still = self._cut(grey, self._map.crop)
        followed = self._to_crop is not self._map.crop
        flow = self._flow(self._crop0, self._cut(grey, self._to_crop) if followed else still)
        if followed:
            # A point x of the reference is found at x + flow in the crop that follows the head.
            back = affine.compose(self._map.crop, affine.inverse(self._to_crop)).astype(np.float32)
            turn = back[:, :2] - np.eye(2, dtype=np.float32)
            axis = np.arange(self._size_px, dtype=np.float32)
            x, y = flow[..., 0] + axis[None, :], flow[..., 1] + axis[:, None]
            flow = flow + np.stack([turn[i, 0] * x + turn[i, 1] * y + back[i, 2] for i in (0, 1)], axis=-1)
        return flow / np.float32(self._map.px_per_mm), still

    def _follow(self, pose: HeadPose) -> None:
        """Aim the crop at where the head has gone."""
        moved = pose.similarity(self._size_px, self._map.px_per_mm)
        corners = np.array([[0.0, 0.0], [self._size_px, self._size_px]])
        now = affine.apply(
            affine.compose(self._to_crop, affine.inverse(self._map.crop)), affine.apply(moved, corners)
        )
        if np.abs(now - corners).max() > _FOLLOW_PX:
            self._to_crop = affine.compose(affine.inverse(moved), self._map.crop)

    def _apertures(
        self, pose: HeadPose, frame: Frame, margins_mm: NDArray[np.float32]
    ) -> tuple[float, float]:
        """Right and left; margins are the upward movements of the upper and lower lid, right then left."""
        found = []
        back = affine.inverse(self._map.crop)
        for i, lid in enumerate(self._lids):
            at = affine.apply(back, self._head.moved(lid.points, pose)).astype(np.float32)
            colours = cv2.remap(
                frame.bgr, at[:, :1], at[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            upper, lower = (float(v) for v in margins_mm[2 * i : 2 * i + 2])
            found.append(lid.aperture(np.asarray(colours[:, 0], np.uint8), upper, lower))
        return found[0], found[1]

    def _change(self, now: Grey) -> float:
        """Mean grey difference to the frame before, in the face as it lay in the reference frame."""
        before, self._previous = self._previous, now
        return 0.0 if before is None else float(cv2.absdiff(now, before)[self._map.face].mean())

    def _scores(self) -> tuple[float, float | None]:
        """Largest movement outside of the eyes, and of the lids, against the second before; None in a blink."""
        now_ms = self._times[-1]
        first, last = (bisect_left(self._times, now_ms - before) for before in _BASE_MS)
        skin, lids = self._regions[-1][_SKIN_ROWS, :2], np.array(self._rest[-1][6:8])
        if lids.max() < CLOSED:
            self._lid_peaks.forget_since(now_ms - _LIDS_SETTLE_MS)
            self._lids_free_ms = now_ms + _LIDS_SETTLE_MS
        if last > first:
            skin = skin - np.median([row[_SKIN_ROWS, :2] for row in self._regions[first:last]], axis=0)
            lids = lids - np.median([row[6:8] for row in self._rest[first:last]], axis=0)
        else:
            lids = lids - 1.0
        free = now_ms >= self._lids_free_ms
        return float(np.hypot(skin[:, 0], skin[:, 1]).max()), float(np.abs(lids).max()) if free else None


@dataclass(frozen=True)
class _Peak:
    score: float
    index: int
    time_ms: float
    bgr: NDArray[np.uint8]
    flow_mm: NDArray[np.float32]
    pose: HeadPose


class _Peaks:
    """The frames of the largest movements, a few of them: which one it is that is the expression shows at the end."""

    def __init__(self) -> None:
        self.kept: list[_Peak] = []

    def wants(self, score: float, time_ms: float) -> bool:
        """Whether a frame would be kept."""
        near = [peak for peak in self.kept if time_ms - peak.time_ms < _PEAK_GAP_MS]
        if near:
            return score > max(peak.score for peak in near)
        return len(self.kept) < _N_PEAKS or score > min(peak.score for peak in self.kept)

    def keep(self, peak: _Peak) -> None:
        """Keep it in the place of those of the same movement, or of the smallest."""
        others = [p for p in self.kept if peak.time_ms - p.time_ms >= _PEAK_GAP_MS]
        others.sort(key=lambda p: -p.score)
        self.kept = [*others[: _N_PEAKS - 1], peak]

    def forget_since(self, time_ms: float) -> None:
        """Drop what was kept after an instant."""
        self.kept = [peak for peak in self.kept if peak.time_ms < time_ms]

    def best(self, apex_ms: float | None) -> _Peak:
        """The kept frame next to the apex that was found; the largest where none was or none is near."""
        near = [p for p in self.kept if apex_ms is not None and abs(p.time_ms - apex_ms) < _PEAK_GAP_MS]
        if near and apex_ms is not None:
            return min(near, key=lambda p: abs(p.time_ms - apex_ms))
        return max(self.kept, key=lambda p: p.score)
