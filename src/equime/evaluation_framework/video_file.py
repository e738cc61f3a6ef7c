"""The file itself: frames, rate, size, and whether its clock runs evenly.

Duration, gaps and evenness come from the frames' presentation times, which say what a viewer sees; rate and
``n_declared`` from the header, which says what the writer meant. Timing of a micro-expression is only as good
as these times.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext, Metric, Row, Value
from equime.frames import Frame

TOLERANCE: Final = 0.05
"""Share of the median interval by which an interval may differ in a file of constant rate."""

_FFMPEG = "FFmpeg, libavformat"
_CLOCK = "equime; presentation times of ISO/IEC 14496-12 and Matroska"


class VideoFile:
    """Container, stream and clock of a clip. ``n_frames`` is counted by decoding."""

    name = "video_file"
    version = "1"
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False
    metrics = (
        Metric("n_frames", "1", 1, None, "none", "Frames that can be decoded.", "counted", "whole"),
        Metric("n_declared", "1", 1, None, "none", "Frames that the container or folder promises.", _FFMPEG, "whole"),
        Metric("fps", "1/s", 0, None, "none", "Average frame rate by the header, or as given for a folder.", _FFMPEG),
        Metric(
            "duration_ms", "ms", 0, None, "none",
            "From the first frame's time to the last one's, and one median interval for the last frame itself.",
            _CLOCK,
        ),
        Metric("width", "px", 1, None, "none", "Width of a frame, after rotation.", _FFMPEG, "whole"),
        Metric("height", "px", 1, None, "none", "Height of a frame, after rotation.", _FFMPEG, "whole"),
        Metric("codec", "", None, None, "none", "FFmpeg's name of the codec, or the image format.", _FFMPEG, "text"),
        Metric("pix_fmt", "", None, None, "none", "FFmpeg's name of the stored pixel format.", _FFMPEG, "text"),
        Metric("size_bytes", "byte", 1, None, "none", "Size of the file, or of all images.", "file system", "whole"),
        Metric(
            "bitrate_kbps", "kbit/s", 0, None, "none",
            "Bits of the whole file per second of its duration, 1 kbit = 1000 bit.", "size_bytes * 8 / duration_ms",
        ),
        Metric(
            "is_variable_rate", "", None, None, "none",
            "Whether any two frames lie further apart or closer than the median interval by more than 5 % and by "
            "more than rounding to the container's clock (at most 1 ms). None with fewer than 3 frames.", _CLOCK, "flag",
        ),
        Metric(
            "longest_gap_ms", "ms", 0, None, "lower",
            "Longest time between two frames that follow each other. None with one frame.", _CLOCK,
        ),
        Metric(
            "n_dropped_frames", "1", 0, None, "lower",
            "Frames that are missing by the times: every interval over its median, rounded, less one, summed. "
            "A gap of 1.5 intervals or more counts. None with fewer than 3 frames.", _CLOCK, "whole",
        ),
    )  # fmt: skip

    def start(self, clip: ClipContext) -> VideoFileSession:
        """Open a session; any clip can be measured."""
        return VideoFileSession(clip)


class VideoFileSession:
    """Keeps the frames' times, 8 bytes each."""

    def __init__(self, clip: ClipContext) -> None:
        self.info = clip.info
        self.times_ms = array("d")

    def feed(self, frame: Frame) -> None:
        """Take the next frame's time."""
        self.times_ms.append(frame.time_ms)

    def finish(self) -> Row:
        """The row; notes on one frame, uneven times, and another number of frames than declared."""
        info, n = self.info, len(self.times_ms)
        intervals = np.diff(np.asarray(self.times_ms))
        # With one frame only the header can say how long it is shown.
        median_ms = float(np.median(intervals)) if n > 1 else 1000 / info.fps
        duration_ms = self.times_ms[-1] - self.times_ms[0] + median_ms
        uneven = _is_uneven(intervals, median_ms, info.tick_ms)
        n_dropped = _n_dropped(intervals, uneven, median_ms)
        values: dict[str, Value] = {
            "n_frames": n,
            "n_declared": info.n_declared,
            "fps": info.fps,
            "duration_ms": duration_ms if duration_ms > 0 else None,
            "width": info.width,
            "height": info.height,
            "codec": info.codec,
            "pix_fmt": info.pix_fmt,
            "size_bytes": info.size_bytes,
            "bitrate_kbps": info.size_bytes * 8 / duration_ms if duration_ms > 0 else None,
            "is_variable_rate": bool(uneven.any()) if n > 2 else None,
            "longest_gap_ms": float(intervals.max()) if n > 1 else None,
            "n_dropped_frames": n_dropped if n > 2 else None,
        }
        return Row(values, notes=tuple(_notes(n, info.n_declared, intervals, int(uneven.sum()), n_dropped)))


def _is_uneven(intervals: NDArray[np.float64], median_ms: float, tick_ms: float) -> NDArray[np.bool_]:
    """Which intervals differ from the median by more than tolerance and rounding allow.

    A time rounded to the container's clock (1 ms in Matroska) moves an interval by one tick at most. More than
    1 ms is never excused so: AVI's clock ticks once per frame, and a lost frame is one tick there.
    """
    allowed = max(TOLERANCE * median_ms, min(tick_ms, 1.0)) + 1e-6
    return np.asarray(np.abs(intervals - median_ms) > allowed)


def _n_dropped(intervals: NDArray[np.float64], uneven: NDArray[np.bool_], median_ms: float) -> int:
    """Frames that would fill the long intervals."""
    if median_ms <= 0:
        return 0
    gaps = intervals[uneven & (intervals > median_ms)]
    return int(np.sum(np.floor(gaps / median_ms + 0.5) - 1))


def _notes(
    n: int, n_declared: int | None, intervals: NDArray[np.float64], n_uneven: int, n_dropped: int
) -> Iterator[tuple[str, str]]:
    if n == 1:
        yield "one_frame", "one frame: motion metrics do not apply"
    if n_uneven:
        yield (
            "variable_rate",
            f"variable frame rate: {n_uneven} of {len(intervals)} intervals differ from the median by more than "
            f"5 % (shortest {intervals.min():.3f}, longest {intervals.max():.3f} ms; {n_dropped} frames missing "
            "by the times); metrics per frame assume even spacing",
        )
    if n > 1 and intervals.min() <= 0:
        yield (
            "times_not_increasing",
            f"{int(np.sum(intervals <= 0))} frames are not later than the one before; remux the file",
        )
    if n_declared is not None and n != n_declared:
        code = "fewer_frames" if n < n_declared else "more_frames"
        yield (
            code,
            f"{n} frames can be decoded, the header declares {n_declared} (an edit list may hide some)",
        )
