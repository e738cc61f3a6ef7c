"""Video files: H.264 in MP4 written from planes, probed, and read back as RGB.

The encoder is libx264 (inside PyAV's wheel), one thread per clip: the same frames and settings give the same
bytes, on any number of workers. Nothing in a file depends on the clock or the machine (FFmpeg's
``bitexact``). A file stands under its final name only when it is complete: it is written beside it
(`partial_path`), synced and renamed.

Colour is ITU-R BT.709, limited range, tagged so; chroma is 4:2:0, sited left (H.264's default).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal, get_args

import av
import msgspec
import numpy as np
from av.video.reformatter import Colorspace, Interpolation
from numpy.typing import NDArray

from equime.errors import EquimeError, InputError, WorkError
from equime.types import Record

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Y (H, W), U (H/2, W/2), V (H/2, W/2); `generation_pipeline.renderers.Yuv` is one."""

FPS_RANGE: Final = (1.0, 1000.0)
PARTIAL_GLOB: Final = ".*.partial-*"
"""Names of files and folders being written; what a dead process left of them may be deleted."""

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]


class EncoderSettings(Record, frozen=True):
    """How a clip is encoded; part of every clip id.

    Attributes:
        crf: constant rate factor of x264, 0 to 51, lower is better; 18 is visually transparent.
        preset: x264's speed preset.
        keyint: most frames between two key frames. Scene-cut detection is off, so where a key frame lies
            depends on the frame number alone and never on what the face does. Macroblock-tree rate control
            is off too: its AVX code makes the bytes differ from run to run at widths that are not multiples
            of 128, and from processor to processor. Files are about 1.7 times as large for it at equal PSNR.
        lossless: quantiser 0 instead of crf: the decoded Y, U and V planes equal what was rendered
            (H.264 profile High 4:4:4 Predictive; not every browser plays it, FFmpeg and OpenCV do).
    """

    crf: float = 18.0
    preset: Preset = "veryfast"
    keyint: int = 250
    lossless: bool = False

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            InputError: naming every value out of range.
        """
        problems = []
        if not 0 <= self.crf <= 51:
            problems.append(f"crf {self.crf} is outside 0 to 51")
        if self.preset not in get_args(Preset):
            problems.append(f"preset {self.preset!r} is not one of {', '.join(get_args(Preset))}")
        if self.keyint < 1:
            problems.append(f"keyint {self.keyint} is below 1")
        if problems:
            raise InputError("encoder settings: " + "; ".join(problems))

    def as_params(self) -> dict[str, float | int | str | bool]:
        """The settings as `equime.types.Clip.encoder` holds them."""
        return {"codec": "libx264", **msgspec.structs.asdict(self)}


class Probe(Record, frozen=True):
    """What a video file says of itself; frames are counted, not taken from the header.

    Attributes:
        n_frames: packets of the video stream that are there.
        fps: average frame rate, frames per second.
        width, height: pixels.
        codec: FFmpeg's name ("h264").
        pix_fmt: FFmpeg's name ("yuv420p").
        duration_ms: n_frames / fps.
        size_bytes: of the file.
        bitrate_kbps: of the file, 1000 bit/s.
    """

    n_frames: int
    fps: float
    width: int
    height: int
    codec: str
    pix_fmt: str
    duration_ms: float
    size_bytes: int
    bitrate_kbps: float


def frame_rate(fps: float) -> Fraction:
    """The exact rate meant by a number: 23.976 is 2997/125, 24000/1001 and 100/3 are recognised as such.

    Raises:
        InputError: outside 1 to 1000 frames per second.
    """
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise InputError(f"fps {fps} is outside {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g}")
    return Fraction(fps).limit_denominator(1001)


def partial_path(path: Path) -> Path:
    """Where this process writes ``path`` until it is complete: same folder, matches `PARTIAL_GLOB`."""
    return path.with_name(f".{path.name}.partial-{os.getpid()}")


def write_clip(
    path: str | os.PathLike[str],
    frames: Iterable[Planes],
    *,
    fps: float,
    size: int,
    settings: EncoderSettings | None = None,
    comment: str = "",
    n_frames: int | None = None,
) -> None:
    """Encode frames to an MP4 file that appears under ``path`` only when complete.

    Args:
        path: the file; its folder is made.
        frames: Y (size, size), U and V (size/2, size/2) uint8 planes, BT.709 limited range; each is used up
            before the next is asked for.
        fps: frames per second; frame i is shown at exactly i / fps.
        size: side in pixels, even.
        settings: encoder; defaults where None.
        comment: metadata tag ``comment``; say there that the file is synthetic and which clip it is.
        n_frames: how many frames must come; None takes any number above 0.

    Raises:
        InputError: odd size, fps out of range.
        WorkError: frames of another shape or number, a frame source that raises, a full or read-only disk.
    """
    path = Path(path)
    if size < 2 or size % 2:
        raise InputError(f"{path.name}: size {size} px is not an even number of pixels (4:2:0 needs one)")
    rate = frame_rate(fps)
    with _aside(path) as partial:
        n_written = _encode(partial, path.name, frames, rate, size, settings or EncoderSettings(), comment)
        if n_written == 0 or n_frames not in (None, n_written):
            expected = "at least 1" if n_frames is None else n_frames
            raise WorkError(f"{path}: the renderer gave {n_written} frames, expected {expected}")
        _sync(partial)


def _encode(
    partial: Path,
    name: str,
    frames: Iterable[Planes],
    rate: Fraction,
    size: int,
    settings: EncoderSettings,
    comment: str,
) -> int:
    """Encode and mux all frames; returns how many."""
    n = 0
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(partial), "w", format="mp4", options=options) as container:
        if comment:
            container.metadata["comment"] = comment
        stream = _add_stream(container, rate, size, settings)
        for planes in _guarded(frames, name):
            frame = _video_frame(planes, size, name, n)
            frame.pts = n
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
            n += 1
        if n:
            container.mux(stream.encode(None))
    return n


def _add_stream(container: Any, rate: Fraction, size: int, settings: EncoderSettings) -> Any:
    """The H.264 stream of a container, every setting spelled out."""
    quality = {"qp": "0"} if settings.lossless else {"crf": f"{settings.crf:g}"}
    options = {
        "preset": settings.preset,
        **quality,
        "x264-params": f"keyint={settings.keyint}:scenecut=0:mbtree=0:threads=1:lookahead-threads=1",
    }
    stream = container.add_stream("libx264", rate=rate, options=options)
    context = stream.codec_context
    context.width = context.height = size
    context.pix_fmt = "yuv420p"
    context.time_base = 1 / rate
    context.thread_count = 1
    context.color_range = 1  # limited
    context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
    return stream


def _video_frame(planes: Planes, size: int, name: str, index: int) -> Any:
    """A frame holding a copy of the planes, row by row where FFmpeg pads its lines."""
    half = size // 2
    shapes = ((size, size), (half, half), (half, half))
    if len(planes) != 3 or any(
        p.shape != s or p.dtype != np.uint8 for p, s in zip(planes, shapes, strict=True)
    ):
        got = ", ".join(f"{p.dtype} {p.shape}" for p in planes)
        raise WorkError(f"{name}: frame {index} is {got}; expected uint8 planes {shapes}")
    frame = av.VideoFrame(size, size, "yuv420p")
    for plane, values in zip(frame.planes, planes, strict=True):
        target = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        target[: values.shape[0], : values.shape[1]] = values
    frame.colorspace = frame.color_range = 1  # as the stream: nothing to convert
    return frame


def _guarded(frames: Iterable[Planes], name: str) -> Iterator[Planes]:
    """The frames; whatever their source raises becomes a `WorkError` that names clip and frame."""
    n = 0
    try:
        for frame in frames:
            yield frame
            n += 1
    except EquimeError:
        raise
    except Exception as error:
        raise WorkError(f"{name}: rendering frame {n} failed: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _aside(path: Path) -> Generator[Path]:
    """A path to write to instead of ``path``; renamed on success, removed on any exception.

    Raises:
        WorkError: where the operating system refuses (folder, disk full, rights).
    """
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(partial)
        yield partial
        if path.is_dir() and partial.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
        _sync(path.parent)
    except BaseException as error:
        _remove(partial)
        if isinstance(error, (OSError, av.FFmpegError)):
            reason = error.strerror or str(error)
            raise WorkError(
                f"{path}: cannot be written: {reason}; free space or choose another folder"
            ) from error
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # What went wrong before is what the user must hear of.
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder, and its renames need no such flush.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def probe(path: str | os.PathLike[str]) -> Probe:
    """What a video file holds; demuxes all packets, decodes none (about a millisecond for a clip).

    Raises:
        InputError: no such file.
        WorkError: empty, truncated or no video; the message says what to do.
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        n_frames = sum(1 for packet in container.demux(stream) if packet.size and not packet.is_corrupt)
        n_expected = stream.frames
        fps = float(stream.average_rate or 0)
        context = stream.codec_context
        width, height, codec, pix_fmt = context.width, context.height, context.name, context.pix_fmt
    if n_frames == 0 or fps <= 0 or n_frames < n_expected:
        raise WorkError(
            f"{path}: truncated, {n_frames} of {n_expected} frames are there; delete it and run again"
        )
    size_bytes = path.stat().st_size
    seconds = n_frames / fps
    return Probe(
        n_frames=n_frames,
        fps=fps,
        width=width,
        height=height,
        codec=codec,
        pix_fmt=pix_fmt or "",
        duration_ms=round(seconds * 1000, 6),
        size_bytes=size_bytes,
        bitrate_kbps=round(size_bytes * 8 / seconds / 1000, 3),
    )


def read_comment(path: str | os.PathLike[str]) -> str:
    """The file's ``comment`` tag, "" where it has none. Raises as `probe`."""
    with _opened(Path(path)) as (container, _):
        return str(container.metadata.get("comment", ""))


def read_frames(path: str | os.PathLike[str]) -> Iterator[NDArray[np.uint8]]:
    """Decode a video as uint8 (H, W, 3) RGB, in order. Raises as `probe`."""
    with _opened(Path(path)) as (container, stream):
        for frame in container.decode(stream):
            yield _to_rgb(frame)


def read_planes(path: str | os.PathLike[str]) -> Iterator[Planes]:
    """Decode a yuv420p video to copies of its planes, without any colour conversion. Raises as `probe`.

    Raises:
        WorkError: also where the file is not yuv420p.
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        for frame in container.decode(stream):
            if frame.format.name not in ("yuv420p", "yuvj420p"):
                raise WorkError(f"{path}: pixel format {frame.format.name}; only yuv420p has 4:2:0 planes")
            y, u, v = (
                np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[: p.height, : p.width].copy()
                for p in frame.planes
            )
            yield y, u, v


def read_frame(path: str | os.PathLike[str], index: int) -> NDArray[np.uint8]:
    """Frame ``index`` (from 0) as uint8 (H, W, 3) RGB; seeks to the key frame before it.

    Raises:
        InputError: no such frame, or no such file.
        WorkError: as `probe`.
    """
    return read_frames_at(path, (index,))[0]


def read_frames_at(path: str | os.PathLike[str], indices: Iterable[int]) -> list[NDArray[np.uint8]]:
    """Several frames in the order asked for, decoding each stretch once. Raises as `read_frame`."""
    path = Path(path)
    wanted = list(indices)
    if not wanted:
        return []
    found: dict[int, NDArray[np.uint8]] = {}
    with _opened(path) as (container, stream):
        rate = Fraction(stream.average_rate)
        start = stream.start_time or 0
        if min(wanted) > 0:
            container.seek(start + round(Fraction(min(wanted)) / rate / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            index = round((frame.pts - start) * stream.time_base * rate)
            if index in wanted:
                found[index] = _to_rgb(frame)
            if index >= max(wanted):
                break
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise InputError(f"{path}: has no frame {missing[0]}; it holds {probe(path).n_frames}")
    return [found[i] for i in wanted]


@contextlib.contextmanager
def _opened(path: Path) -> Generator[tuple[Any, Any]]:
    """(container, video stream) of a file, with errors that a user can act on."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise WorkError(f"{path}: holds no video stream")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.FFmpegError as error:
        what = "empty file" if path.stat().st_size == 0 else f"not a readable video ({error.strerror})"
        raise WorkError(f"{path}: {what}; delete it and run again") from error


# Bilinear chroma between its samples and exact rounding; FFmpeg's default repeats chroma in 2x2 blocks.
_SWS: Final = int(Interpolation.BILINEAR) | 0x2000 | 0x4000 | 0x40000 | 0x80000


def _to_rgb(frame: Any) -> NDArray[np.uint8]:
    """RGB of a decoded frame by its own colour tags (untagged: BT.601, FFmpeg's default)."""
    source = Colorspace.ITU709 if frame.colorspace == 1 else Colorspace.ITU601
    rgb = frame.reformat(
        format="rgb24", src_colorspace=source, dst_colorspace=source, interpolation=_SWS, threads=1
    )
    return np.asarray(rgb.to_ndarray(), dtype=np.uint8)


def write_png_sequence(folder: str | os.PathLike[str], frames: Iterable[NDArray[np.uint8]]) -> int:
    """Write RGB frames as ``frame_000000.png`` ... into a folder that appears only when complete.

    Args:
        folder: replaced where it exists.
        frames: uint8 (H, W, 3) RGB.

    Returns:
        Number of files.

    Raises:
        WorkError: no frame, a frame of another kind, or a disk that refuses.
    """
    from PIL import Image  # noqa: PLC0415

    folder = Path(folder)
    n = 0
    with _aside(folder) as partial:
        partial.mkdir()
        for rgb in frames:
            if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
                raise WorkError(f"{folder}: frame {n} is {rgb.dtype} {rgb.shape}; expected uint8 (H, W, 3)")
            Image.fromarray(rgb).save(partial / f"frame_{n:06d}.png", compress_level=1)
            n += 1
        if n == 0:
            raise WorkError(f"{folder}: no frame to write")
    return n


# BT.709: Y' = 0.2126 R' + 0.7152 G' + 0.0722 B', limited range 16..235 and 16..240.
_KR, _KG, _KB = 0.2126, 0.7152, 0.0722


def rgb_to_yuv(rgb: NDArray[np.uint8]) -> Planes:
    """BT.709 limited-range 4:2:0 planes of an RGB image; chroma sited left (ITU-R BT.709-6, H.264 E.2.1).

    Args:
        rgb: uint8 (H, W, 3), H and W even.

    Raises:
        InputError: for another type or an odd size.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.shape[0] % 2 or rgb.shape[1] % 2:
        raise InputError(f"image is {rgb.dtype} {rgb.shape}; expected uint8 (even, even, 3)")
    r, g, b = np.moveaxis(rgb.astype(np.float32), 2, 0)
    luma = _KR * r + _KG * g + _KB * b
    cb = _halve((b - luma) / (2 * (1 - _KB)))
    cr = _halve((r - luma) / (2 * (1 - _KR)))
    y = 16 + luma * (219 / 255)
    return _to_uint8(y), _to_uint8(128 + cb * (224 / 255)), _to_uint8(128 + cr * (224 / 255))


def yuv_to_rgb(y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB (H, W, 3) of BT.709 limited-range 4:2:0 planes; inverse of `rgb_to_yuv`, chroma interpolated."""
    luma = (y.astype(np.float32) - 16) * (255 / 219)
    cb = _double((u.astype(np.float32) - 128) * (255 / 224))
    cr = _double((v.astype(np.float32) - 128) * (255 / 224))
    r = luma + 2 * (1 - _KR) * cr
    b = luma + 2 * (1 - _KB) * cb
    g = (luma - _KR * r - _KB * b) / _KG
    return _to_uint8(np.stack([r, g, b], axis=2))


def _halve(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half size: [1 2 1]/4 across centred on even columns (left siting), mean of two rows down."""
    rows = (plane[0::2] + plane[1::2]) * 0.5
    padded = np.pad(rows, ((0, 0), (1, 1)), mode="edge")
    out: NDArray[np.float32] = (padded[:, 0:-2:2] + 2 * padded[:, 1:-1:2] + padded[:, 2::2]) * 0.25
    return out


def _double(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Double size, linear: even columns lie on samples, odd ones between; rows at 1/4 and 3/4."""
    height, width = plane.shape
    padded = np.pad(plane, ((1, 1), (0, 1)), mode="edge")
    wide = np.empty((height + 2, 2 * width), np.float32)
    wide[:, 0::2] = padded[:, :-1]
    wide[:, 1::2] = (padded[:, :-1] + padded[:, 1:]) * 0.5
    out = np.empty((2 * height, 2 * width), np.float32)
    out[0::2] = wide[:-2] * 0.25 + wide[1:-1] * 0.75
    out[1::2] = wide[1:-1] * 0.75 + wide[2:] * 0.25
    return out


def _to_uint8(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
