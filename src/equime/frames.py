"""Decoded frames of any clip, one at a time: videos through PyAV, frame folders through OpenCV.

Grey is what OpenCV gives: BGR by FFmpeg's default conversion, then ``COLOR_BGR2GRAY``. Most published scripts
read frames this way, so values can be compared with theirs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from equime.clip_sources import ClipSource
from equime.types import Record


class StreamInfo(Record, frozen=True):
    """What is known of a clip before its frames are decoded.

    Attributes:
        fps: frames per second (average rate of the stream, or as given for a frame folder).
        width, height: pixels.
        codec: FFmpeg's name, or the image format of a frame folder ("png", "jpg").
        pix_fmt: FFmpeg's name; "gray" or "bgr24" for a frame folder.
        n_declared: frames that the container or folder promises; None where it does not say.
        size_bytes: of the file, or of all files of the folder.
    """

    fps: float
    width: int
    height: int
    codec: str
    pix_fmt: str
    n_declared: int | None
    size_bytes: int


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
    bgr: NDArray[np.uint8]

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """uint8 (H, W), as ``cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)``."""
        return np.asarray(cv2.cvtColor(self.bgr, cv2.COLOR_BGR2GRAY), np.uint8)


@dataclass(frozen=True)
class FrameStream:
    """An opened clip; iterate it once.

    Attributes:
        info: what is known before decoding.
        frames: the frames in presentation order. Raises WorkError where the clip is damaged.
    """

    info: StreamInfo
    frames: Iterator[Frame]


@contextlib.contextmanager
def open_frames(source: ClipSource) -> Generator[FrameStream]:
    """Open a clip for one pass over its frames; nothing but the current frame is held.

    Raises:
        WorkError: naming the file, what is wrong with it and the next step.
    """
    with av.open(str(source.path)) as container:
        stream: Any = container.streams.video[0]
        stream.codec_context.thread_count = 1
        info = StreamInfo(
            fps=float(stream.average_rate),
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            codec=stream.codec_context.name,
            pix_fmt=stream.codec_context.pix_fmt or "",
            n_declared=stream.frames or None,
            size_bytes=source.path.stat().st_size,
        )
        yield FrameStream(info, _decoded(container, stream))


def _decoded(container: Any, stream: Any) -> Iterator[Frame]:
    start = None
    for index, frame in enumerate(container.decode(stream)):
        start = frame.pts if start is None else start
        time_ms = float((frame.pts - start) * stream.time_base * 1000)
        yield Frame(index, time_ms, np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))
