"""Frames of a video file, decoded by PyAV with one thread, in presentation order."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from equime.clip_sources import ClipSource
from equime.frames import Frame, FrameError, StreamInfo

Image = NDArray[np.uint8]

_UNREADABLE: Final = {
    "empty_file": "is empty (0 bytes); copy or make it again",
    "cut": "is cut off: its index is missing or damaged, so no frame can be found; copy or make it again",
    "not_a_video": "is not a video that FFmpeg can read; check the file, or leave it out",
    "unknown_codec": "is in a codec that FFmpeg cannot decode, or damaged; convert it to H.264",
    "no_video_stream": "holds no video, only {streams}; leave it out",
}


class VideoReader:
    """A video file, opened for one pass; `equime.frames.open_frames` is the way to it.

    Args:
        source: of kind "video".

    Raises:
        FrameError: it cannot be opened, or holds no video.
    """

    def __init__(self, source: ClipSource) -> None:
        self.name, self.path = source.file, source.path
        self._container = self._opened()
        pictures = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        if not pictures or pictures[0].codec_context is None:
            kinds = sorted({s.type for s in self._container.streams})
            self.close()
            reason = "unknown_codec" if pictures else "no_video_stream" if kinds else "cut"
            raise self._error(reason, streams=", ".join(kinds))
        self._stream: Any = pictures[0]
        self._stream.codec_context.thread_count = 1
        self._reformatter = VideoReformatter()
        self._pix_fmt = ""
        self._rotation_deg = 0
        # AVI has frames only by number, and no packet for one that the recorder dropped.
        self._is_avi = "avi" in self._container.format.name.split(",")
        self._n_packets = 0

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _error(self, reason: str, **values: str) -> FrameError:
        code = {"cut": "truncated", "unknown_codec": "not_a_video"}.get(reason, reason)
        return FrameError(code, f"{self.name}: {_UNREADABLE[reason].format(**values)}")

    def _opened(self) -> Any:
        try:
            with self.path.open("rb") as file:
                start = file.read(12)
        except PermissionError as error:
            raise FrameError("no_file", f"{self.name}: cannot be opened; make it readable") from error
        if not start:
            raise self._error("empty_file")
        try:
            # Absolute, so that a colon in a name is never taken for a protocol; tags may be in any encoding.
            return av.open(str(self.path.absolute()), metadata_errors="replace")
        except av.FFmpegError as error:
            raise self._error("cut" if start[4:8] == b"ftyp" else "not_a_video") from error

    def info(self, first: Frame) -> StreamInfo:
        """What is known when the first frame is there. Raises FrameError where there is no frame rate."""
        stream, context = self._stream, self._stream.codec_context
        rate = stream.average_rate or context.framerate or stream.guessed_rate
        if not rate:
            raise FrameError(
                "fps_unknown",
                f"{self.name}: says nothing of its frame rate; remux it with one, or make it again",
            )
        height, width = first.bgr.shape[:2]
        return StreamInfo(
            fps=float(rate),
            width=width,
            height=height,
            codec=stream.codec.canonical_name,
            pix_fmt=self._pix_fmt,
            n_declared=stream.frames or None,
            size_bytes=self.path.stat().st_size,
            tick_ms=float(stream.time_base * 1000),
            rotation_deg=self._rotation_deg,
        )

    def frames(self) -> Iterator[Frame]:
        """Every frame; raises where the file ends before it should."""
        tick_ms = self._stream.time_base * 1000
        n = start = time = 0
        for time, frame in self._decoded():
            start = time if n == 0 else start
            yield Frame(n, float((time - start) * tick_ms), self._bgr(frame, n))
            n += 1
        self._check_length(n, float(time * tick_ms) / 1000)

    def _decoded(self) -> Iterator[tuple[int, Any]]:
        """(time in ticks of the container's clock, frame) in presentation order.

        AVI stores no presentation times. Frames leave the decoder in the order of presentation, so there the
        k-th frame is shown at the time of the k-th packet.
        """
        n = 0
        in_turn: deque[int] = deque()
        for packet in self._packets():
            if self._is_avi and packet.size and packet.dts is not None:
                in_turn.append(packet.dts)
            for frame in self._frames_of(packet, n):
                time = in_turn.popleft() if in_turn else frame.pts if frame.pts is not None else frame.dts
                if frame.is_corrupt:
                    raise self._damaged(n)
                if time is None:
                    text = f"{self.name}: frame {n} has no time stamp; remux the file, or leave it out"
                    raise FrameError("unreadable_frame", text)
                yield time, frame
                n += 1

    def _packets(self) -> Iterator[Any]:
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:  # The last one is empty and flushes the decoder.
                    self._n_packets += 1
                    if self._is_avi and packet.dts is not None:
                        self._n_packets = max(self._n_packets, packet.dts + 1)
                yield packet
        except av.FFmpegError as error:
            raise self._damaged(self._n_packets) from error

    def _frames_of(self, packet: Any, n_before: int) -> list[Any]:
        try:
            return list(packet.decode())
        except av.FFmpegError as error:
            raise self._damaged(n_before) from error

    def _damaged(self, n: int) -> FrameError:
        return FrameError(
            "truncated",
            f"{self.name}: damaged at about frame {n} (from 0); copy or make it again, or leave it out",
        )

    def _check_length(self, n: int, last_s: float) -> None:
        """That the file is as long as it says. Frames that an edit list cuts away are not missing.

        Raises:
            FrameError: fewer packets than declared, or, where none are declared (Matroska, WebM), a last frame
                more than two frames before the declared end.
        """
        declared = self._stream.frames
        if declared and self._n_packets < declared:
            raise FrameError(
                "truncated",
                f"{self.name}: cut off after {n} of the {declared} frames that it declares; copy or make it "
                "again, or leave it out",
            )
        end_s = _declared_seconds(self._container, self._stream)
        rate = self._stream.average_rate
        if n and not declared and end_s is not None and rate and last_s + 2 / float(rate) < end_s:
            raise FrameError(
                "truncated",
                f"{self.name}: cut off after frame {n - 1} (from 0) at {last_s:.3f} s of the {end_s:.3f} s "
                "that it declares; copy or make it again, or leave it out",
            )

    def _bgr(self, frame: Any, index: int) -> Image:
        if index == 0:
            self._pix_fmt = frame.format.name
            turn = -frame.rotation % 360
            self._rotation_deg = turn if turn in _TURNS else 0
        try:
            # One context for all frames: making it anew costs as much as the conversion.
            bgr = self._reformatter.reformat(
                frame, format="bgr24", interpolation=Interpolation.BICUBIC, threads=1
            ).to_ndarray()
        except (av.FFmpegError, ValueError) as error:
            raise FrameError(
                "unreadable_frame",
                f"{self.name}: frame {index} is in pixel format {frame.format.name}, which cannot be converted "
                "to BGR; convert the file to yuv420p",
            ) from error
        return _rotated(np.asarray(bgr, np.uint8), self._rotation_deg)


_TURNS: Final = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def _rotated(bgr: Image, clockwise_deg: int) -> Image:
    return np.asarray(cv2.rotate(bgr, _TURNS[clockwise_deg]), np.uint8) if clockwise_deg in _TURNS else bgr


def _declared_seconds(container: Any, stream: Any) -> float | None:
    """Where the video ends by the header of a Matroska or WebM file; None for others, or where it is silent."""
    if "matroska" not in container.format.name:
        return None
    match = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)\0*", stream.metadata.get("DURATION", ""))
    if match:
        hours, minutes, seconds = map(float, match.groups())
        return hours * 3600 + minutes * 60 + seconds
    # Of the longest stream: says nothing of the video where there is sound.
    alone = len(container.streams) == 1 and container.duration
    return container.duration / av.time_base if alone else None
