"""Inputs of one clip: which frames they need, where the face is cut, what is made of them. Runs in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.baselines import crops, flow
from equime.baselines.apex_spotting import spot_apex
from equime.baselines.dynamic_image import dynamic_image
from equime.baselines.feature_frames import ClipError, ClipFrames, FlowFile, frames_of, not_there
from equime.baselines.feature_options import ClipJob
from equime.baselines.flow_head_motion import scaled_points, without_head_motion
from equime.baselines.inputs import Input
from equime.baselines.strain import min_max

Image = NDArray[np.uint8]
Note = tuple[str, str]


@dataclass(frozen=True)
class Made:
    """One input of one clip.

    Attributes:
        array: as `Input` says; None where the clip gives none.
        notes: (code, text) of what was noticed; the last says why where there is no array.
    """

    array: NDArray[np.generic] | None
    notes: tuple[Note, ...]


def handler(wanted: tuple[Input, ...]) -> Callable[[ClipJob], dict[str, Made]]:
    """What a worker does with a clip; see `equime.runner.run`."""
    return lambda job: make(job, wanted)


def make(job: ClipJob, wanted: Sequence[Input]) -> dict[str, Made]:
    """All wanted inputs of a clip, from one pass over its frames.

    Where one of them cannot be made, each is made by itself: a damaged frame that the flow does not need is no
    reason to lose the flow.
    """
    notes: list[Note] = []
    try:
        arrays = _arrays(job, wanted, notes)
    except ClipError as error:
        if len(wanted) > 1:
            return {one.key: make(job, [one])[one.key] for one in wanted}
        return {wanted[0].key: Made(None, (*notes, (error.code, error.text)))}
    return {one.key: Made(arrays[one.key], tuple(notes)) for one in wanted}


def _arrays(job: ClipJob, wanted: Sequence[Input], notes: list[Note]) -> dict[str, NDArray[np.generic]]:
    if job.clip.kind == "none":
        raise ClipError("no_frames", f"{job.clip.name}: the coding table was read without frames")
    if job.clip.kind == "flow":
        return {one.key: _of_flow_file(job, one, notes) for one in wanted}
    return _ClipWork(job, wanted, notes).run()


def _of_flow_file(job: ClipJob, wanted: Input, notes: list[Note]) -> NDArray[np.float32]:
    image = FlowFile(Path(job.path)).read()
    if image.shape[:2] != (wanted.size_px, wanted.size_px):
        height, width = image.shape[:2]
        notes.append(("flow_resized", f"{job.path}: {width} x {height} px"))
        image = np.asarray(flow.resized(image, wanted.size_px), np.float32)
    return image


@dataclass
class Plan:
    """Which frames of a clip its inputs need.

    Attributes:
        job: the clip.
        frames: access to its frames.
        notes: what was noticed; filled on the way.
    """

    job: ClipJob
    frames: ClipFrames
    notes: list[Note] = field(default_factory=list)

    @cached_property
    def onset(self) -> int:
        """Number of the onset frame; the first of the file where none is coded."""
        if self.job.clip.onset is not None:
            return self.job.clip.onset
        self._note("no_onset", "no onset is coded")
        return self.frames.numbers()[0]

    @cached_property
    def coded_offset(self) -> int | None:
        """The coded offset, unless it lies before the onset."""
        offset = self.job.clip.offset
        if offset is not None and offset < self.onset:
            self._note("offset_before_onset", f"offset {offset} lies before onset {self.onset}")
            return None
        return offset

    @cached_property
    def span(self) -> Sequence[int]:
        """Numbers of the frames from onset to offset that there are, the onset first."""
        numbers = self.frames.numbers()
        last = numbers[-1] if self.coded_offset is None else self.coded_offset
        if last > numbers[-1]:
            self._note("ends_early", f"offset is {last}, the last frame {numbers[-1]}")
        inside = [n for n in numbers if self.onset <= n <= last]
        if inside[:1] != [self.onset]:
            raise ClipError("missing_frame", not_there(Path(self.job.path), self.onset, numbers))
        if len(inside) <= min(last, numbers[-1]) - self.onset:
            gap = min(last, numbers[-1]) - self.onset + 1 - len(inside)
            self._note("gap_in_frames", f"{gap} of the frames {self.onset} to {last} are not there")
        return inside

    @cached_property
    def coded_apex(self) -> int | None:
        """The apex without looking at pixels; None where it must be spotted."""
        clip, way = self.job.clip, self.job.options.apex
        if way == "middle":
            return self.span[len(self.span) // 2]
        if way == "spotted":
            return None
        if clip.apex is None:
            self._note("apex_spotted", "no apex is coded")
            return None
        end = self.coded_offset
        if clip.apex < self.onset or (end is not None and clip.apex > end):
            where = f"apex {clip.apex} lies outside of onset {self.onset} and offset {end}"
            self._note("apex_outside", where)
            return None
        return clip.apex

    def numbers(self, wanted: Input, apex: int | None) -> list[int]:
        """Frames of an input, in order, some perhaps twice; of an unknown apex the whole span."""
        kind = wanted.kind
        if kind in ("flow", "frame", "frame_pair"):
            if apex is None:
                return list(self.span)
            return [apex] if kind == "frame" else [self.onset, apex]
        if kind == "rgb_clip":
            places = np.rint(np.linspace(0, len(self.span) - 1, wanted.n_frames)).astype(int)
            return [self.span[i] for i in places]
        if kind == "dynamic":
            return list(self.span)
        coded = self.job.shared or self.job.options.clip_frames == "coded"
        return list(self.span if coded else self.frames.numbers())[: wanted.n_frames]

    def _note(self, code: str, text: str) -> None:
        self.notes.append((code, f"{self.job.path}: {text}"))


class _ClipWork:
    """One clip, decoded once (twice where the apex is spotted)."""

    def __init__(self, job: ClipJob, wanted: Sequence[Input], notes: list[Note]) -> None:
        self._wanted, self._options = wanted, job.options
        self._frames = frames_of(job.clip, Path(job.path))
        self._plan = Plan(job, self._frames, notes)
        self._path, self._notes = job.path, notes
        self._crop: crops.Crop | None = None
        self._landmarks: NDArray[np.float32] | None = None

    def run(self) -> dict[str, NDArray[np.generic]]:
        apex = (
            self._apex() if any(one.kind in ("flow", "frame", "frame_pair") for one in self._wanted) else None
        )
        numbers = {one.key: self._plan.numbers(one, apex) for one in self._wanted}
        users: dict[int, list[Input]] = {}
        for one in self._wanted:
            for number in numbers[one.key]:
                users.setdefault(number, []).append(one)
        parts: dict[str, dict[int, Image]] = {one.key: {} for one in self._wanted}
        for number, cut in self._cut({self._plan.onset, *users}):
            for one in users.get(number, ()):
                parts[one.key][number] = _part(one, cut)
        return {
            one.key: self._made(one, [parts[one.key][n] for n in numbers[one.key]]) for one in self._wanted
        }

    def _apex(self) -> int:
        coded = self._plan.coded_apex
        if coded is not None:
            return coded
        greys = ((number, _grey(cut)) for number, cut in self._cut(set(self._plan.span)))
        first = next(greys)
        assert self._crop is not None
        points = None if self._landmarks is None else self._crop.points(self._landmarks)
        return spot_apex(_chained(first, greys), points)

    def _cut(self, numbers: set[int]) -> Iterator[tuple[int, Image]]:
        """(number, cropped BGR) of frames; those before the onset wait for its crop."""
        waiting: list[tuple[int, Image]] = []
        for number, bgr in self._frames.read(numbers):
            if self._crop is None and number < self._plan.onset:
                waiting.append((number, bgr.copy()))
                continue
            if self._crop is None:
                self._crop = self._found(bgr)
            for earlier, image in waiting:
                yield earlier, self._crop.cut(image)
            waiting = []
            yield number, self._crop.cut(bgr)

    def _found(self, onset: Image) -> crops.Crop:
        name, removes = self._options.crop, self._options.head_motion == "remove"
        if name != "none" or removes:
            self._landmarks = crops.find_landmarks(onset)
        if name == "none":
            return crops.whole(onset.shape)
        if self._landmarks is None:
            raise ClipError("no_face", f"{self._path}: frame {self._plan.onset} shows no face")
        return crops.crop_of(self._landmarks, name)

    def _made(self, one: Input, parts: list[Image]) -> NDArray[np.generic]:
        if one.kind == "flow":
            return self._flow(one, *parts)
        if one.kind == "dynamic":
            image = dynamic_image(np.stack(parts))
            if not image.any():
                self._note("no_movement", "its frames do not differ")
            return image
        if one.kind == "frame":
            return parts[0]
        if one.kind == "clip":
            clip = np.zeros((one.n_frames, one.size_px, one.size_px), np.uint8)
            clip[: len(parts)] = parts
            return clip
        return np.stack(parts)

    def _flow(self, one: Input, onset: Image, apex: Image) -> NDArray[np.float32]:
        first, second = (flow.shrunk(grey, self._options.max_px) for grey in (onset, apex))
        if min(first.shape) < flow.SMALLEST_PX:
            height, width = first.shape
            raise ClipError("too_small", f"{self._path}: the crop is {width} x {height} px")
        field_px = flow.flow_field(first, second, self._options.method)
        if self._options.head_motion == "remove":
            field_px = self._still(field_px, onset.shape)
        image = min_max(flow.raw_image(field_px, size_px=one.size_px, strain=self._options.strain))
        if not image.any(axis=(0, 1)).all():
            self._note("no_movement", "nothing moves between its onset and apex frames")
        return image

    def _still(self, field_px: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
        if self._landmarks is None or self._crop is None:
            self._note("head_motion_kept", "no face was found to fit it to")
            return field_px
        scale = field_px.shape[1] / shape[1], field_px.shape[0] / shape[0]
        return without_head_motion(field_px, scaled_points(self._crop.points(self._landmarks), scale))

    def _note(self, code: str, text: str) -> None:
        self._notes.append((code, f"{self._path}: {text}"))


def _part(one: Input, cut: Image) -> Image:
    """What an input keeps of a cropped frame."""
    if one.kind == "flow":
        return _grey(cut)
    if one.kind in ("rgb_clip", "dynamic"):
        return np.ascontiguousarray(flow.resized(cut, one.size_px)[..., ::-1])
    return np.asarray(flow.resized(_grey(cut), one.size_px), np.uint8)


def _grey(bgr: Image) -> Image:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)


def _chained(first: tuple[int, Image], rest: Iterator[tuple[int, Image]]) -> Iterator[tuple[int, Image]]:
    yield first
    yield from rest
