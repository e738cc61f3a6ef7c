"""A few frames of a clip, evenly spread, and one person's face in each of them.

What a person looks like does not change within a clip, so five frames tell as much as all of them at a fraction
of the cost. Annotators of one clip sample the same frames; faces are found once for all of them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import Row
from equime.frames import Frame

if TYPE_CHECKING:
    from equime.face.landmarks import Box

Points = NDArray[np.float32]
Picture = NDArray[np.uint8]
T = TypeVar("T")

N_FRAMES: Final = 5
"""Frames that are looked at, or as many as the clip has."""

_REMEMBERED: Final = 32
_SIMILAR_SIZE: Final = 0.5


class FrameSample:
    """Keeps evenly spread frames of a clip of unknown length.

    Holds fewer than 2 ``n`` frames at any time: those at every 2**k-th place, thinned out as the clip goes on.

    Args:
        n: frames wanted at the end.
    """

    def __init__(self, n: int = N_FRAMES) -> None:
        self._n, self._step = n, 1
        self._kept: list[Frame] = []

    def feed(self, frame: Frame) -> None:
        """Take the next frame; it is copied if it is kept."""
        if frame.index % self._step:
            return
        self._kept.append(Frame(frame.index, frame.time_ms, frame.bgr.copy()))
        if len(self._kept) == 2 * self._n:
            self._kept = self._kept[::2]
            self._step *= 2

    def frames(self) -> list[Frame]:
        """At most ``n`` frames, from the first to (nearly) the last."""
        if len(self._kept) <= self._n:
            return list(self._kept)
        places = np.rint(np.linspace(0, len(self._kept) - 1, self._n)).astype(int)
        return [self._kept[i] for i in places]


class SampleSession:
    """Session of an annotator that looks at a few frames of a clip, at its end.

    Args:
        row_of: from the sampled frames to the clip's row.
    """

    def __init__(self, row_of: Callable[[Sequence[Frame]], Row]) -> None:
        self._row_of, self._sample = row_of, FrameSample()

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        self._sample.feed(frame)

    def finish(self) -> Row:
        """The clip's row."""
        return self._row_of(self._sample.frames())


@dataclass(frozen=True)
class SampledFace:
    """The person in one sampled frame.

    Attributes:
        rgb: uint8 (H, W, 3), the whole frame.
        landmarks: float32 (478, 3), pixels of it.
    """

    rgb: Picture
    landmarks: Points


@dataclass(frozen=True)
class SampledFaces:
    """What the sampled frames show.

    Attributes:
        faces: one per frame in which the face was found, in order.
        n_frames: frames that were looked at.
        n_faces_max: largest number of faces in one of them.
    """

    faces: tuple[SampledFace, ...]
    n_frames: int
    n_faces_max: int

    def notes(self) -> tuple[tuple[str, str], ...]:
        """What a person should know: no face, or several."""
        if not self.faces:
            return (("no_face", f"no face found in any of {self.n_frames} sampled frames"),)
        if self.n_faces_max > 1:
            text = f"up to {self.n_faces_max} faces in a frame; the largest of the first frame is measured"
            return (("several_faces", text),)
        return ()


def sampled_faces(frames: Sequence[Frame]) -> SampledFaces:
    """Find one person in each frame.

    The largest face of the first frame that shows one is followed: in the others, the face nearest to where it
    was last, among those of similar size.
    """
    found, last, n_faces_max = [], None, 0
    for frame in frames:
        rgb = np.ascontiguousarray(frame.bgr[..., ::-1])
        key = hashlib.blake2b(rgb.data, digest_size=16, key=repr(rgb.shape).encode()).digest()
        boxes = _boxes(rgb, key)
        n_faces_max = max(n_faces_max, len(boxes))
        box = _same_person(boxes, last)
        points = _points(rgb, key, box) if box is not None else None
        if points is not None:
            last = box
            found.append(SampledFace(rgb, points))
    return SampledFaces(tuple(found), len(frames), n_faces_max)


def _same_person(boxes: Sequence[Box], last: Box | None) -> Box | None:
    if not boxes or last is None:
        return boxes[0] if boxes else None
    similar = [b for b in boxes if _SIMILAR_SIZE <= b.side / last.side <= 1 / _SIMILAR_SIZE] or boxes
    x, y = last.x + last.side / 2, last.y + last.side / 2
    return min(similar, key=lambda b: float(np.hypot(b.x + b.side / 2 - x, b.y + b.side / 2 - y)))


# Keyed by content: the detectors give the same for the same pixels, in any order.
_found: OrderedDict[tuple[bytes, Box | None], Any] = OrderedDict()


def _remembered(key: tuple[bytes, Box | None], find: Callable[[], T]) -> T:
    """What was found for this key lately, or what ``find`` gives now."""
    if key not in _found:
        _found[key] = find()
        if len(_found) > _REMEMBERED:
            _found.popitem(last=False)
    found: T = _found[key]
    return found


def _boxes(rgb: Picture, key: bytes) -> list[Box]:
    from equime.face.landmarks import find_boxes  # noqa: PLC0415

    return _remembered((key, None), lambda: find_boxes(rgb))


def _points(rgb: Picture, key: bytes, box: Box) -> Points | None:
    from equime.face.landmarks import mesh_in_box  # noqa: PLC0415

    return _remembered((key, box), lambda: mesh_in_box(rgb, box))
