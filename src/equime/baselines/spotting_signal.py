"""What spotters look at: movement of the facial regions over a video of any length, head motion taken off.

The core's motion analysis (`equime.motion`) measures every frame against one reference frame, which serves for a clip
of seconds. In minutes the face leaves that reference (posture, light), so a long video is measured in stretches of
`STRETCH_S` that overlap by `OVERLAP_S`, each against its own first frame, and joined where they overlap. Only numbers
are kept, so memory does not grow with the pictures: 31 of them per analysed frame.

Frames beyond `ANALYSIS_FPS` a second are left out: at 200 fps every third is analysed (67 a second), which leaves 8
frames to a micro-expression of 130 ms.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError, MissingError
from equime.frame_folders import series_in
from equime.motion.track import EYES, REGIONS
from equime.records import write_atomic
from equime.seeding import content_id

if TYPE_CHECKING:
    from equime.frames import Frame, StreamInfo

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
Picture = NDArray[np.uint8]

STRETCH_S: Final = 15.0
OVERLAP_S: Final = 1.5
ANALYSIS_FPS: Final = 67.0
BASELINE_MS: Final = 5000.0
"""Window of the running median that is taken for rest; expressions up to half of it are seen whole."""

VERSION: Final = "1"
"""Raised whenever a signal can change; part of the cache's keys."""

SKIN: Final = tuple(i for i, name in enumerate(REGIONS) if name not in EYES)
"""Rows of the regions that blinks and gaze do not move by themselves."""


@dataclass(frozen=True)
class FaceSignal:
    """Movement in one video. T analysed frames, R `REGIONS`.

    Attributes:
        number: int64 (T,), the frame's number: from 0 in a video, as the file is named in a frame folder.
        time_ms: float64 (T,), from the first frame.
        fps: frames per second of the video (not of the analysis).
        displacement_mm: float32 (T, R, 2), x to the subject's left, y up; 0 where no face was found.
        aperture: float32 (T, 2), lids right and left, 1 as open as in the reference frame.
        head: float32 (T, 6), x_mm, y_mm, roll_deg, log scale, yaw_deg, pitch_deg of the motion that was removed.
        seen: bool (T,), whether the frame belongs to a stretch in which a face was found.
    """

    number: NDArray[np.int64]
    time_ms: F64
    fps: float
    displacement_mm: F32
    aperture: F32
    head: F32
    seen: NDArray[np.bool_]

    @property
    def step_ms(self) -> float:
        """Time between analysed frames."""
        return float(np.median(np.diff(self.time_ms))) if len(self.time_ms) > 1 else 1000.0 / self.fps

    def at_rest(self) -> F64:
        """Where every region rests: running median over `BASELINE_MS`, float64 (T, R, 2)."""
        return running_median(self.displacement_mm, self.step_ms)


def running_median(values: F32, step_ms: float) -> F64:
    """Running median over `BASELINE_MS` along the first axis, edges reflected; float64 of the same shape.

    Taken ten times a second and interpolated: it changes slowly, and a window of 1,000 frames is dear.
    """
    from scipy.ndimage import median_filter  # noqa: PLC0415

    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    stride = max(1, round(100.0 / step_ms))
    n = min(round(BASELINE_MS / (stride * step_ms)) | 1, 2 * (len(flat[::stride]) // 2) + 1)
    coarse = median_filter(flat[::stride], size=(n, 1), mode="reflect")
    at, places = np.arange(len(flat)), np.arange(len(flat))[::stride]
    out = np.stack([np.interp(at, places, column) for column in coarse.T], axis=1)
    return out.reshape(values.shape)


def signal_of(
    source: str | Path | Iterable[Picture], fps: float | None = None, *, cache: Path | None = None
) -> FaceSignal:
    """Measure a video, a folder of frames, or frames in memory.

    Args:
        source: path, or BGR pictures (H, W, 3) uint8 in order.
        fps: frames per second; None takes a video's own rate.
        cache: folder that keeps signals by content of the file; None measures anew. Frames in memory are not kept.

    Raises:
        InputError: frames without fps, no frame, or fps not above 0.
        MissingError: no such file.
        WorkError: damaged video.
    """
    if fps is not None and not 0 < fps < float("inf"):
        raise InputError(f"fps {fps} is not a frame rate; give frames per second, for example 200")
    if not isinstance(source, (str, Path)):
        return _of_pictures(source, fps)
    path = Path(source)
    if not path.exists():
        raise MissingError(f"{path}: no such video or folder of frames; check the path")
    return _cached(path, fps, cache) if cache else _of_path(path, fps)


def _of_pictures(pictures: Iterable[Picture], fps: float | None) -> FaceSignal:
    from equime.frames import Frame, StreamInfo  # noqa: PLC0415

    if fps is None:
        raise InputError("frames in memory have no frame rate; give fps")
    frames = (Frame(i, i * 1000 / fps, np.asarray(bgr, np.uint8)) for i, bgr in enumerate(pictures))
    first = next(frames, None)
    if first is None:
        raise InputError("no frame to look at; give at least one picture")
    height, width = first.bgr.shape[:2]
    info = StreamInfo(
        fps=fps, width=width, height=height, codec="", pix_fmt="", n_declared=None, size_bytes=0
    )
    return _measure(chain([first], frames), info, fps, None)


def _of_path(path: Path, fps: float | None) -> FaceSignal:
    from equime.frames import open_frames  # noqa: PLC0415

    numbers = None
    if path.is_dir():
        series = series_in(child.name for child in path.iterdir())
        if not series:
            raise InputError(
                f"{path}: holds no numbered images; give a video, or the folder with the frames of one"
            )
        numbers = np.array(series[0].numbers, np.int64)
    with open_frames(_source(path, fps)) as stream:
        return _measure(stream.frames, stream.info, fps or stream.info.fps, numbers)


def _source(path: Path, fps: float | None) -> Any:
    from equime.clip_sources import ClipSource  # noqa: PLC0415

    return ClipSource(
        clip_id="", file=path.name, root=str(path.parent), kind="frames" if path.is_dir() else "video",
        input_digest="", fps=fps,
    )  # fmt: skip


def _cached(path: Path, fps: float | None, cache: Path) -> FaceSignal:
    """The signal from the cache, measured and kept where it is not there."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stamp = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    file = cache / f"{content_id([str(path.resolve()), stamp, fps, VERSION])}.npz"
    if file.is_file():
        with np.load(file) as held:
            return FaceSignal(
                **{name: held[name] for name in held.files if name != "fps"}, fps=float(held["fps"])
            )
    found = _of_path(path, fps)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **vars(found))
    write_atomic(file, buffer.getvalue())
    return found


def _measure(
    frames: Iterable[Frame], info: StreamInfo, fps: float, numbers: NDArray[np.int64] | None
) -> FaceSignal:
    stride = max(1, round(fps / ANALYSIS_FPS))
    joined = _Joined(fps / stride, info)
    for frame in frames:
        if frame.index % stride == 0:
            joined.feed(frame)
    index, values = joined.finish()
    n = len(REGIONS)
    return FaceSignal(
        number=index if numbers is None else numbers[index],
        time_ms=index.astype(np.float64) * (1000.0 / fps),
        fps=fps,
        displacement_mm=values[:, : 2 * n].reshape(-1, n, 2),
        aperture=values[:, 2 * n : 2 * n + 2],
        head=values[:, 2 * n + 2 : 2 * n + 8],
        seen=values[:, -1] > 0,
    )


_STILL: Final = np.array([*[0.0] * (2 * len(REGIONS)), 1.0, 1.0, *[0.0] * 6, 0.0], np.float32)
"""A frame without a face: nothing moves, eyes open, not seen."""

_MULTIPLIED: Final = slice(2 * len(REGIONS), 2 * len(REGIONS) + 2)


class _Joined:
    """Stretches of a video, each measured on its own, as one row of numbers per frame."""

    def __init__(self, rate: float, info: StreamInfo) -> None:
        self.info = info
        self.n_overlap = max(2, round(OVERLAP_S * rate))
        self.n_stretch = max(2 * self.n_overlap, round(STRETCH_S * rate))
        self.index: list[int] = []
        self.rows: list[F32] = []
        self._now: Any = self._session()
        self._next: Any = None
        self._n_now = 0

    def _session(self) -> Any:
        from equime.annotation.annotators import ClipContext  # noqa: PLC0415
        from equime.motion.session import MotionSession  # noqa: PLC0415

        return MotionSession(ClipContext(_source(Path("frames"), self.info.fps), self.info))

    def feed(self, frame: Frame) -> None:
        """The next analysed frame."""
        self.index.append(frame.index)
        self._now.feed(frame)
        self._n_now += 1
        if self._n_now > self.n_stretch - self.n_overlap:
            self._next = self._next or self._session()
            self._next.feed(frame)
        if self._n_now == self.n_stretch:
            self._join(self._now, self._n_now)
            self._now, self._next, self._n_now = self._next, None, self.n_overlap

    def _join(self, session: Any, n: int) -> None:
        """Add a stretch of n frames, levelled with what is there where they overlap."""
        rows = _rows(session.finish(), n)
        if self.rows:
            before = self.rows[-1][-self.n_overlap :]
            shared = (before[:, -1] > 0) & (rows[: self.n_overlap, -1] > 0)
            if shared.any():
                rows = _levelled(rows, before[shared], rows[: self.n_overlap][shared])
            rows = rows[self.n_overlap :]
        self.rows.append(rows)

    def finish(self) -> tuple[NDArray[np.int64], F32]:
        """Frame indices, and everything measured of them."""
        if not self.rows or self._n_now > self.n_overlap:
            self._join(self._now, self._n_now)
        return np.array(self.index, np.int64), np.concatenate(self.rows)


def _rows(track: Any, n: int) -> F32:
    """Numbers of a stretch, float32 (n, 2 R + 9)."""
    if track is None or len(track.time_ms) != n:
        return np.tile(_STILL, (n, 1))
    turn = track.head_turn_deg if track.head_turn_deg is not None else np.zeros((n, 2), np.float32)
    parts = [track.displacement_mm.reshape(n, -1), track.aperture, track.head, turn, np.ones((n, 1))]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _levelled(rows: F32, before: F32, same: F32) -> F32:
    """Rows shifted (lids: scaled) so that their overlap agrees with that of the stretch before."""
    out = rows.copy()
    shift = np.median(before - same, axis=0)
    shift[_MULTIPLIED] = 0.0
    shift[-1] = 0.0
    out += shift * (rows[:, -1:] > 0)
    ratio = np.median(before[:, _MULTIPLIED], axis=0) / np.maximum(
        np.median(same[:, _MULTIPLIED], axis=0), 0.1
    )
    out[:, _MULTIPLIED] *= np.clip(ratio, 0.5, 2.0)
    return out.astype(np.float32)
