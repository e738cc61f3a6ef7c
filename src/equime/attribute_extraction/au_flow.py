"""The landmarks of one face followed through a clip: one neutral reference, flow from it to every frame.

Flow always starts at the reference, so errors do not add up. The frame is first cut out where the head was a
frame ago (a similarity); what is left for the flow is small. A turn in depth is measured, not undone: the fit of
the AUs leaves it out of account (`equime.attribute_extraction.au_solver`).

Flow is DIS (Kroeger et al. 2016) at full resolution with small patches, since lids and lips are narrow, without
the variational refinement: it reads as much of a movement as with refinement on a larger crop, at a quarter of
the cost, and more than the faster flow of `equime.motion` (``bench/au_intensity.py --flows``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.face import affine
from equime.face import anatomy as a
from equime.face.alignment import px_per_mm, warp
from equime.frames import Frame
from equime.motion.blinks import LidWatch
from equime.motion.head_motion import HeadModel, HeadPose
from equime.motion.regions import FaceMap, face_map
from equime.motion.track import EYES, REGIONS

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
Grey = NDArray[np.uint8]

SIZE_PX: Final = 320
"""Side of the crop that the flow sees; the face's outline fills it."""

MATCH_MIN: Final = 0.85
"""Correlation of the reference with what flow found for it, below which the face is lost: cut away, covered or
gone. On rendered clips expressions, blinks and turned heads stay above 0.95; another face in the same place is at 0.75."""

_AROUND_PX: Final = 10
_GRID_PX: Final = 3
_FOLLOW_PX: Final = 1.5
"""The crop is cut anew when the head has moved by more than this in it; smaller movement is not resampled."""

_AGAIN_PX: Final = 8.0
"""A frame in which the head has jumped by more is looked at a second time, aimed better."""

_EYE_ROWS: Final = [REGIONS.index(name) for name in EYES]


@dataclass(frozen=True)
class Followed:
    """What was seen of the face in one frame.

    Attributes:
        moved_px: float64 (478, 2), displacement of the landmarks since the reference in crop pixels, y down, the
            head's shift, roll and scale undone.
        turn_deg: yaw (to the subject's left) and pitch (up) of the head since the reference.
        aperture: of the right and the left eye, 1 is as open as in the reference.
        match: correlation -1..1 of the reference with what flow found for it.
    """

    moved_px: F64
    turn_deg: tuple[float, float]
    aperture: tuple[float, float]
    match: float


class FaceFollower:
    """Follows one face from its reference frame.

    Memory: the reference's crop and a few layouts of it, whatever the length of the clip.

    Args:
        reference: frame that everything is measured against.
        landmarks: (478, 3) in pixels of it.

    Attributes:
        px_per_mm: scale of the face in the frames.
        face: its layout in the crop.
    """

    def __init__(self, reference: Frame, landmarks: F32) -> None:
        self.px_per_mm = px_per_mm(landmarks)
        self.face: FaceMap = face_map(landmarks, self.px_per_mm, SIZE_PX)
        eyes = np.asarray(self.face.regions[_EYE_ROWS].any(axis=0))
        self._head = HeadModel(self.face, eyes)
        self._lids = [LidWatch(self.face, side) for side in (a.RIGHT, a.LEFT)]
        low = np.clip(np.floor(self.face.points.min(axis=0)) - _AROUND_PX, 0, SIZE_PX).astype(int)
        high = np.clip(np.ceil(self.face.points.max(axis=0)) + _AROUND_PX, 0, SIZE_PX).astype(int)
        self._box = (slice(low[1], high[1]), slice(low[0], high[0]))
        self._dis = _dis()
        self._crop0 = self._cut(reference, self.face.crop)
        rows, columns = np.nonzero(self.face.face)
        grid = (rows % _GRID_PX == 0) & (columns % _GRID_PX == 0)
        self._seen = rows[grid], columns[grid]
        self._to_crop: F64 = self.face.crop
        self._apertures(reference, HeadPose.still(), np.zeros((SIZE_PX, SIZE_PX, 2), np.float32))

    def follow(self, frame: Frame) -> Followed:
        """Measure a frame; where it matches, the next one is looked for at the same place."""
        found, beyond, pose = self._look(frame)
        if beyond > _AGAIN_PX or found.match < MATCH_MIN:
            self._aim(pose)
            again, beyond, better = self._look(frame)
            if again.match > found.match:
                found, pose = again, better
        if found.match < MATCH_MIN:
            self._to_crop = self.face.crop
        elif beyond > _FOLLOW_PX:
            self._aim(pose)
        return found

    def aim_at(self, landmarks: F32) -> None:
        """Look for the face at landmarks (478, 3) of the next frame: it was lost and detected again."""
        steady = list(a.STABLE)
        now, before = landmarks[steady, :2], self.face.points[steady]
        back, _ = cv2.estimateAffinePartial2D(now.astype(np.float64), before, method=cv2.LMEDS)
        if back is not None:
            self._to_crop = np.asarray(back, np.float64)

    def _aim(self, pose: HeadPose) -> None:
        self._to_crop = affine.compose(affine.inverse(self._similarity(pose)), self.face.crop)

    def _similarity(self, pose: HeadPose) -> F64:
        return pose.similarity(SIZE_PX, self.face.px_per_mm)

    def _cut(self, frame: Frame, to_crop: F64) -> Grey:
        return warp(frame.grey, to_crop, SIZE_PX)

    def _look(self, frame: Frame) -> tuple[Followed, float, HeadPose]:
        """The frame as seen from where the crop is aimed at; how far from there the head is, in crop pixels."""
        now = self._cut(frame, self._to_crop)
        flow = np.zeros((SIZE_PX, SIZE_PX, 2), np.float32)
        flow[self._box] = self._dis.calc(
            *(np.ascontiguousarray(g[self._box]) for g in (self._crop0, now)), None
        )
        match = self._match(flow, now)
        flow = self._since_reference(flow)
        pose = self._head.fit(flow / np.float32(self.face.px_per_mm))
        moved = self._similarity(pose)
        points = self.face.points.astype(np.float32)
        sampled = cv2.remap(
            flow, points[:, :1], points[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        undone = affine.apply(affine.inverse(moved), self.face.points + sampled[:, 0]) - self.face.points
        corners = np.array([[0.0, 0.0], [SIZE_PX, SIZE_PX]])
        aimed = affine.apply(
            affine.compose(self._to_crop, affine.inverse(self.face.crop)), affine.apply(moved, corners)
        )
        beyond = float(np.abs(aimed - corners).max())
        return Followed(undone, pose.turn_deg, self._apertures(frame, pose, flow), match), beyond, pose

    def _since_reference(self, flow: F32) -> F32:
        """Displacement in the reference's crop: the flow, and how far the crop was moved to find it."""
        if self._to_crop is self.face.crop:
            return flow
        back = affine.compose(self.face.crop, affine.inverse(self._to_crop)).astype(np.float32)
        axis = np.arange(SIZE_PX, dtype=np.float32)
        x, y = flow[..., 0] + axis[None, :], flow[..., 1] + axis[:, None]
        turn = back[:, :2] - np.eye(2, dtype=np.float32)
        moved = [turn[i, 0] * x + turn[i, 1] * y + back[i, 2] for i in (0, 1)]
        return np.asarray(flow + np.stack(moved, axis=-1), np.float32)

    def _match(self, flow: F32, now: Grey) -> float:
        rows, columns = self._seen
        x = columns.astype(np.float32) + flow[rows, columns, 0]
        y = rows.astype(np.float32) + flow[rows, columns, 1]
        there = cv2.remap(now, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        one = there[:, 0].astype(np.float64)
        other = self._crop0[rows, columns].astype(np.float64)
        one, other = one - one.mean(), other - other.mean()
        scale = float(np.linalg.norm(one) * np.linalg.norm(other))
        return float(one @ other) / scale if scale > 0 else 0.0

    def _apertures(self, frame: Frame, pose: HeadPose, flow: F32) -> tuple[float, float]:
        """Right and left, from the lids' margins and the colours of the opening; the first call is the reference."""
        found = []
        back, upright = affine.inverse(self.face.crop), affine.inverse(self._similarity(pose))
        for lid in self._lids:
            at = affine.apply(back, self._head.moved(lid.points, pose)).astype(np.float32)
            colours = cv2.remap(
                frame.bgr, at[:, :1], at[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            upper, lower = (self._rise_mm(strip, flow, upright) for strip in (lid.upper, lid.lower))
            found.append(lid.aperture(np.asarray(colours[:, 0], np.uint8), upper, lower))
        return found[0], found[1]

    def _rise_mm(self, strip: NDArray[np.bool_], flow: F32, upright: F64) -> float:
        """Mean upward movement of a lid's margin, the head's similarity undone."""
        rows, columns = np.nonzero(strip)
        if not len(rows):
            return 0.0
        at = np.stack([columns, rows], axis=1).astype(np.float64)
        moved = affine.apply(upright, at + flow[rows, columns]) - at
        return -float(moved[:, 1].mean()) / self.face.px_per_mm


def _dis() -> Any:
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    dis.setPatchSize(8)
    dis.setPatchStride(4)
    dis.setVariationalRefinementIterations(0)
    return dis
