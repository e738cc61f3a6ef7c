"""Decoded frames of any clip, one at a time: videos through PyAV, frame folders through OpenCV.

Pixels are what ``cv2.VideoCapture(file).read()`` gives: FFmpeg's conversion to BGR with its bicubic filter
(which decides the bytes only where chroma has to be interpolated: 10 bit, odd sizes), with the colour matrix
and range that the file is tagged with, turned by the rotation in its display matrix (phones write one) where
that is a multiple of 90 degrees. Grey is ``COLOR_BGR2GRAY`` of it. Most published scripts read frames this
way, so values can be compared with theirs. OpenCV before 4.9 ignored the tags and took every file for BT.601.

Frame folders are read as ``cv2.imread(file)`` does: 8 bit (16-bit images by their upper 8 bits, as 65,535 is
their white), three channels, turned by EXIF.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.clip_sources import ClipSource
from equime.errors import WorkError
from equime.frame_folders import series_in
from equime.types import Record

Image = NDArray[np.uint8]


class FrameError(WorkError):
    """A clip that cannot be read, or not to its end.

    Attributes:
        code: "no_file" (or no right to read it), "empty_file", "not_a_video", "no_video_stream", "no_frame",
            "truncated" (cut off, or damaged inside), "mixed_sizes", "unreadable_frame" (a damaged image, a
            frame without time, or pixels in a format that FFmpeg cannot convert) or "fps_unknown".
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, str(self))


class StreamInfo(Record, frozen=True):
    """What is known of a clip when its first frame is there.

    Attributes:
        fps: frames per second (average rate of the stream, or as given for a frame folder).
        width, height: pixels of the frames as they are given, after rotation.
        codec: FFmpeg's name, or the image format of a frame folder ("png", "jpg").
        pix_fmt: FFmpeg's name of what is stored; for a frame folder that of its first image: "gray",
            "gray16le", "bgr24", "bgr48le", "bgra" or "bgra64le".
        n_declared: frames that the container or folder promises; None where it does not say.
        size_bytes: of the file, or of all frames of the folder.
        tick_ms: smallest step of the container's clock; 0 where times are exact.
        rotation_deg: clockwise turn that the file asks for and the frames have had: 0, 90, 180 or 270.
    """

    fps: float
    width: int
    height: int
    codec: str
    pix_fmt: str
    n_declared: int | None
    size_bytes: int
    tick_ms: float = 0.0
    rotation_deg: int = 0


@dataclass
class Frame:
    """One decoded frame.

    Attributes:
        index: from 0.
        time_ms: presentation time from the first frame.
        bgr: uint8 (H, W, 3), OpenCV's channel order; do not write to it.
    """

    index: int
    time_ms: float
    bgr: Image

    @cached_property
    def grey(self) -> Image:
        """uint8 (H, W), as ``cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)``."""
        return np.asarray(cv2.cvtColor(self.bgr, cv2.COLOR_BGR2GRAY), np.uint8)


@dataclass(frozen=True)
class FrameStream:
    """An opened clip; iterate it once.

    Attributes:
        info: what is known before the rest is decoded.
        frames: the frames in presentation order. Raises FrameError where the clip is damaged.
    """

    info: StreamInfo
    frames: Iterator[Frame]


@contextlib.contextmanager
def open_frames(source: ClipSource) -> Generator[FrameStream]:
    """Open a clip for one pass over its frames; nothing but the current frame is held.

    The first frame is decoded here, because only it tells size and pixel format for certain.

    Raises:
        FrameError: naming the file, what is wrong with it and the next step.
    """
    if not source.path.exists():
        raise FrameError("no_file", f"{source.file}: no such file; it was there when the clips were listed")
    if source.kind == "frames":
        yield _peeked(_Folder(source))
        return
    from equime.video_frames import VideoReader  # noqa: PLC0415

    with contextlib.closing(VideoReader(source)) as video:
        yield _peeked(video)


class _Reader(Protocol):
    """A clip, opened; ``name`` is what messages call it."""

    name: str

    def info(self, first: Frame) -> StreamInfo: ...

    def frames(self) -> Iterator[Frame]: ...


def _peeked(clip: _Reader) -> FrameStream:
    """The stream, after its first frame was decoded."""
    frames = clip.frames()
    first = next(frames, None)
    if first is None:
        raise FrameError("no_frame", f"{clip.name}: holds no frame; make it again or leave it out")
    info = clip.info(first)
    return FrameStream(info, _same_size(clip.name, _first_again(first, frames), info))


def _first_again(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    """``itertools.chain``, which would hold the first frame to the end."""
    yield first
    del first
    yield from rest


def _same_size(name: str, frames: Iterator[Frame], info: StreamInfo) -> Iterator[Frame]:
    """The frames, all of the first one's size."""
    for frame in frames:
        height, width = frame.bgr.shape[:2]
        if (width, height) != (info.width, info.height):
            raise FrameError(
                "mixed_sizes",
                f"{name}: frame {frame.index} is {width} x {height} px, the first is {info.width} x "
                f"{info.height} px; every frame must have one size: scale or crop them alike",
            )
        yield frame


class _Folder:
    """A folder of numbered images."""

    def __init__(self, source: ClipSource) -> None:
        self.name, self.path = source.file, source.path
        if source.fps is None:
            raise FrameError("fps_unknown", f"{self.name}: its frame rate is not known; give it with --fps")
        self.fps = source.fps
        series = series_in(path.name for path in self.path.iterdir())
        self._names = series[0].names if series else ()

    def info(self, first: Frame) -> StreamInfo:
        height, width = first.bgr.shape[:2]
        stored = np.asarray(cv2.imdecode(self._bytes(self._names[0]), cv2.IMREAD_UNCHANGED))
        channels = 1 if stored.ndim == 2 else stored.shape[2]
        deep = stored.dtype != np.uint8
        return StreamInfo(
            fps=self.fps,
            width=width,
            height=height,
            codec=Path(self._names[0]).suffix[1:].lower(),
            pix_fmt=_STORED[channels][deep],
            n_declared=len(self._names),
            size_bytes=sum((self.path / name).stat().st_size for name in self._names),
        )

    def frames(self) -> Iterator[Frame]:
        """Every image, in order of its number."""
        for index, name in enumerate(self._names):
            data = self._bytes(name)
            # Not imread: it takes a JPEG that is cut off for whole, and no file name beyond ASCII on Windows.
            bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
            if bgr is None:
                raise FrameError(
                    "unreadable_frame",
                    f"{self.name}: {name} is damaged or no image; copy it again, or leave the clip out",
                )
            yield Frame(index, index * 1000 / self.fps, np.asarray(bgr, np.uint8))

    def _bytes(self, name: str) -> Image:
        try:
            return np.fromfile(self.path / name, np.uint8)
        except OSError as error:
            raise FrameError(
                "unreadable_frame", f"{self.name}: {name} cannot be read: {error.strerror}"
            ) from error


_STORED: Final = {1: ("gray", "gray16le"), 3: ("bgr24", "bgr48le"), 4: ("bgra", "bgra64le")}
