"""Measured Action Units, frame by frame, of any video: annotator ``au_intensity``.

Landmarks are found once, in the first frame that shows a face (a later one if that blinks), and followed from there by dense
flow (`au_flow`); what moved, the head's own motion aside, is turned into intensities by the muscle model of
`equime.face.muscles` (`au_solver`); and the neutral is looked for in the whole clip (`neutral`), so that it need
not begin with one. No network is trained, and no other clip takes part.

Scale: 0 to 5 as FACS letters A to E (`equime.action_units`); 1 is a fifth of the muscle model's largest movement.
Nothing bounds it above. Flow comes up short of small and half-hidden movements, and some AUs cannot be told from
each other by geometry: `au_reliability` says how far each can be trusted. That table was measured on rendered
clips, which the same muscle model made: it is an upper bound, and no validation on filmed faces.

Not measured: furrows and bulges that move no landmark, gaze (61 to 64) and head codes (51 to 58).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext, Metric, Row, Session, Value
from equime.attribute_extraction.au_curves import KEYS, AuCurves, column, cut_lids
from equime.attribute_extraction.au_flow import MATCH_MIN, FaceFollower, Followed
from equime.attribute_extraction.au_reliability import meaning_of
from equime.attribute_extraction.au_solver import AuSolver
from equime.face import anatomy as a
from equime.face.au_fit import au_basis
from equime.frames import Frame

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

N_WAITING: Final = 12
"""Frames held at the start of a clip: if it begins in a blink, the eyes are opened in one of them."""

WIDER: Final = 1.2
"""A later one of these frames is the reference where its eyes are open wider by this factor. The face mesh sees a
closed lid as anything from a quarter to four fifths of an open one, so some blinks go unnoticed."""

LOOK_MS: Final = 500.0
"""After those, or when the face is lost, it is looked for this often."""

TURN_MAX_DEG: Final = 8.0
"""Yaw or pitch against the reference from which a frame has no values. On rendered clips a turn of 8 degrees reads
as up to 0.7 of some AU, one of 16 as up to 2: the turn is no longer linear."""

SMALL_PX_PER_MM: Final = 0.6
"""Below this scale (about 38 px between the eyes) an AU at A moves skin by less than flow can see."""

SLOW_FPS: Final = 15.0
_FEW_NEUTRAL: Final = 5
_RIVAL: Final = 0.5


def _metrics() -> tuple[Metric, ...]:
    own, facs = "equime", "Ekman, Friesen & Hager 2002; Lawson & Hanson 1974"
    found = [
        Metric("au_codes", "", None, None, "none",
               "AUs whose largest intensity passes 1 (A) and au_noise, FACS codes.", facs, "text"),
        Metric("au_n_active", "1", 0.0, None, "none", "Number of AUs in au_codes.", own, "whole"),
        Metric("au_apex_frame", "1", 0.0, None, "none",
               "Frame of the largest sum of intensities, blinks and closed lids aside.", own, "whole"),
        Metric("au_apex_ms", "ms", 0.0, None, "none", "Time of that frame.", own),
        Metric("au_asymmetry", "1", -1.0, 1.0, "none",
               "(left - right) / (left + right) of the strongest sided AU in au_codes, each side at its largest; "
               "left is the subject's.", own),
        Metric("au_noise", "1", 0.0, None, "lower",
               "What the face at rest reads as: 95th percentile, over the neutral frames, of the largest intensity "
               "of any AU but 43 and 45.", own),
        Metric("au_share_measured", "1", 0.0, 1.0, "higher", "Share of the frames that have intensities.", own),
        Metric("au_n_neutral_frames", "1", 0.0, None, "none",
               "Frames that the neutral was taken from.", own, "whole"),
    ]  # fmt: skip
    for key in KEYS:
        found.append(Metric(column(key), "1", 0.0, None, "none", meaning_of(*key), facs, per_frame=True))
    return tuple(found)


METRICS: Final = _metrics()


class AuIntensity:
    """Annotator ``au_intensity``: intensities per frame; its clip's value is the largest one."""

    name = "au_intensity"
    version = "1"
    metrics = METRICS
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False

    def start(self, clip: ClipContext) -> Session:
        """Open a session."""
        return _Clip(clip)


@dataclass(frozen=True)
class _Found:
    """A face in a frame that waits."""

    frame: Frame
    landmarks: F32
    opening: float


class _Clip:
    """One clip: waits for a face, then follows it."""

    def __init__(self, clip: ClipContext) -> None:
        self._clip = clip
        self._waiting: list[Frame] = []
        self._found: list[_Found] = []
        self._look_at_ms = 0.0
        self._face: _Face | None = None
        self._n_before = 0
        self._times: list[float] = []
        self.notes: dict[str, str] = {}

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        self._times.append(frame.time_ms)
        if self._face is not None:
            self._face.feed(frame)
        elif len(self._times) <= N_WAITING:
            self._wait(Frame(frame.index, frame.time_ms, frame.bgr.copy()))
        elif frame.time_ms >= self._look_at_ms:
            self._look_at_ms = frame.time_ms + LOOK_MS
            self._waiting = [Frame(frame.index, frame.time_ms, frame.bgr.copy())]
            self._look(self._waiting[0])
            self._begin()
        else:
            self._n_before += 1

    def _wait(self, frame: Frame) -> None:
        """The first frames: a face may show, or open its eyes."""
        self._waiting.append(frame)
        n = len(self._waiting)
        if not self._found or n in (N_WAITING // 2, N_WAITING):
            self._look(frame)
        if n == N_WAITING:
            self._begin()

    def _look(self, frame: Frame) -> None:
        landmarks, n_faces = find_face(frame)
        if n_faces > 1:
            self.notes["several_faces"] = (
                f"frame {frame.index} shows {n_faces} faces; the largest was measured: cut out the one you mean"
            )
        if landmarks is not None:
            self._found.append(_Found(frame, landmarks, eyes_open(landmarks)))

    def _begin(self) -> None:
        """Follow the face from the first frame that shows it, or from one with eyes clearly wider open."""
        if self._found:
            chosen = self._found[0]
            for other in self._found[1:]:
                chosen = other if other.opening > WIDER * chosen.opening else chosen
            self._face = _Face(chosen.frame, chosen.landmarks)
            first = self._found[0].frame.index
            for frame in self._waiting:
                if frame.index >= first:
                    self._face.feed(frame)
            self._n_before += sum(frame.index < first for frame in self._waiting)
        else:
            self._n_before += len(self._waiting)
        self._waiting, self._found = [], []

    def finish(self) -> Row:
        """The clip's row."""
        if self._face is None and self._waiting:
            self._begin()
        empty: dict[str, Value] = dict.fromkeys(metric.name for metric in METRICS)
        if self._face is None:
            empty["au_share_measured"] = 0.0
            self.notes["no_face"] = "no face found in the frames that were looked at; nothing was measured"
            return Row(empty, notes=tuple(self.notes.items()))
        time_ms = np.array(self._times, np.float64)
        before = self._n_before
        curves = self._face.curves(time_ms[before:])
        values = {**empty, **curves.values(before)}
        self._note(curves, len(time_ms))
        if not curves.comparable:
            self.notes["nothing_to_compare"] = (
                f"{int(curves.measured.sum())} of {len(time_ms)} frames can be measured; AUs are a change between frames"
            )
        values["au_share_measured"] = float(curves.measured.sum() / len(time_ms))
        if not curves.comparable:
            return Row(values, notes=tuple(self.notes.items()))
        frames = {
            column(key): np.concatenate([np.full(before, np.nan), curve])
            for key, curve in zip(KEYS, curves.intensity.T, strict=True)
        }
        return Row(values, frames, tuple(self.notes.items()))

    def _note(self, curves: AuCurves, n_frames: int) -> None:
        scale, fps = curves.px_per_mm, self._clip.info.fps
        if self._n_before:
            self.notes["late_face"] = (
                f"no face in the first {self._n_before} of {n_frames} frames; they have no values"
            )
        if curves.lost.any():
            self.notes["face_lost"] = (
                f"{int(curves.lost.sum())} of {n_frames} frames do not show the face of frame {curves.reference} "
                "(covered, out of the picture, or another scene); they have no values"
            )
        if curves.turned.any():
            self.notes["head_turned"] = (
                f"{int(curves.turned.sum())} of {n_frames} frames show the head turned by more than "
                f"{TURN_MAX_DEG:g} degrees against frame {curves.reference}; they have no values"
            )
        if curves.neutral is not None and curves.neutral.frames.sum() < _FEW_NEUTRAL:
            self.notes["few_neutral_frames"] = (
                f"{int(curves.neutral.frames.sum())} neutral frame(s) found; intensities hang on them"
            )
        if scale < SMALL_PX_PER_MM:
            self.notes["small_face"] = (
                f"{scale:.2f} px per mm of face; below {SMALL_PX_PER_MM:g} small movements do not show"
            )
        if fps < SLOW_FPS:
            self.notes["low_fps"] = (
                f"{fps:g} frames per second; below {SLOW_FPS:g} a micro-expression's apex can fall between frames"
            )


def eyes_open(landmarks: F32) -> float:
    """Opening of the eyes over their width, the mean of both."""
    found = []
    for upper, lower in zip(a.UPPER_LID, a.LOWER_LID, strict=True):
        top, bottom = landmarks[list(upper[2:-2]), :2], landmarks[list(lower[2:-2]), :2]
        width = np.linalg.norm(landmarks[upper[0], :2] - landmarks[upper[-1], :2])
        found.append(float(np.linalg.norm(top - bottom, axis=1).max() / max(float(width), 1e-6)))
    return float(np.mean(found))


class _Face:
    """The frames of one clip from its first face on: 81 numbers are kept of each."""

    def __init__(self, reference: Frame, landmarks: F32) -> None:
        self._follower = FaceFollower(reference, landmarks)
        self._reference, face = reference.index, self._follower.face
        self._basis = au_basis(face.points, face.px_per_mm)
        self._whole = AuSolver(self._basis, landmarks[:, 2])
        self._no_lids = AuSolver(self._basis, landmarks[:, 2], cut_lids(self._basis))
        self._kept: list[F32] = []
        self._look_at_ms = -np.inf

    def feed(self, frame: Frame) -> None:
        """Measure a frame."""
        found = self._follower.follow(frame)
        if found.match < MATCH_MIN and frame.time_ms >= self._look_at_ms:
            self._look_at_ms = frame.time_ms + LOOK_MS
            found = self._again(frame, found)
        both = [solver.project(found.moved_px) for solver in (self._whole, self._no_lids)]
        seen = (*found.turn_deg, *found.aperture, found.match)
        self._kept.append(np.concatenate([*both, seen]).astype(np.float32))

    def _again(self, frame: Frame, found: Followed) -> Followed:
        """A lost face, looked for anew."""
        landmarks, _ = find_face(frame)
        if landmarks is None:
            return found
        self._follower.aim_at(landmarks)
        return self._follower.follow(frame)

    def curves(self, time_ms: F64) -> AuCurves:
        """The intensities of every frame that was fed."""
        split = [self._whole.n_kept, self._whole.n_kept + self._no_lids.n_kept]
        whole, no_lids, seen = np.split(np.stack(self._kept).astype(np.float64), split, axis=1)
        lost = seen[:, 4] < MATCH_MIN
        turned = ~lost & (np.abs(seen[:, :2]).max(axis=1) > TURN_MAX_DEG)
        return AuCurves.of(
            time_ms=time_ms,
            kept=(whole, no_lids),
            solvers=(self._whole, self._no_lids),
            aperture=seen[:, 3:1:-1],
            lost=lost,
            turned=turned,
            reference=self._reference,
            basis=self._basis,
            px_per_mm=self._follower.px_per_mm,
        )


def find_face(frame: Frame) -> tuple[F32 | None, int]:
    """Landmarks (478, 3) of the largest face, None where there is none, and how many faces are about as large."""
    from equime.face.landmarks import find_boxes, mesh_in_box  # noqa: PLC0415

    rgb = np.ascontiguousarray(frame.bgr[..., ::-1])
    boxes = find_boxes(rgb)
    if not boxes:
        return None, 0
    return mesh_in_box(rgb, boxes[0]), sum(box.side >= _RIVAL * boxes[0].side for box in boxes)
