"""The frames of a coded clip by their numbers: as they are named in a folder, from 0 in a video.

Frames are 8-bit BGR as `equime.frames` gives them. Images of a higher depth are scaled by one range for the whole
clip, so that a darker frame stays darker.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.clip_sources import ClipSource
from equime.coded import CodedClip
from equime.frame_folders import is_image, series_in
from equime.frames import FrameError, open_frames

Image = NDArray[np.uint8]

_BLOCK: Final = 1 << 20
_RANGES: Final = (255.0, 4095.0, 65535.0)


class ClipError(Exception):
    """A clip that gives no sample.

    Attributes:
        code: of the `equime.coded.Finding`.
        text: what is wrong with this clip.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class ClipFrames(Protocol):
    """Access to one clip's frames."""

    def numbers(self) -> Sequence[int]:
        """Numbers of the frames that there are, ascending. Raises ClipError."""
        ...

    def read(self, wanted: Iterable[int]) -> Iterator[tuple[int, Image]]:
        """(number, uint8 (H, W, 3) BGR) of the wanted frames, ascending, each once.

        Raises:
            ClipError: one of them is not there or damaged, or of another size than the first.
        """
        ...

    def digest(self, wanted: Iterable[int]) -> str:
        """SHA-256 of the bytes that these frames are made from; says so where a file cannot be read."""
        ...


def frames_of(clip: CodedClip, path: Path) -> ClipFrames:
    """Frames of a clip of kind "frames" or "video" at this path. Raises ClipError where there is no such thing."""
    if clip.kind == "frames":
        return FolderFrames(path)
    return VideoFrames(path, clip.fps)


class FolderFrames:
    """A folder of numbered images. Of several series in it, the longest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = _numbered(path)
        self._range: float | None = None

    def numbers(self) -> Sequence[int]:
        """Numbers in the names."""
        return sorted(self._files)

    def read(self, wanted: Iterable[int]) -> Iterator[tuple[int, Image]]:
        """See `ClipFrames`."""
        shape = None
        for number in sorted(set(wanted)):
            image = self._decoded(number)
            shape = shape or image.shape
            if image.shape != shape:
                raise ClipError("mixed_sizes", _mixed(self.path, number, image.shape, shape))
            yield number, image

    def digest(self, wanted: Iterable[int]) -> str:
        """See `ClipFrames`."""
        digest = hashlib.sha256()
        for number in sorted(set(wanted)):
            name = self._files.get(number)
            digest.update(f"{number}\0{_digest(self.path / name) if name else 'missing'}\n".encode())
        return digest.hexdigest()

    def _decoded(self, number: int) -> Image:
        name = self._files.get(number)
        if name is None:
            raise ClipError("missing_frame", not_there(self.path, number, self.numbers()))
        try:
            data = np.fromfile(self.path / name, np.uint8)
            image = _decode(data) if data.size else None
        except (OSError, cv2.error) as error:
            raise ClipError("corrupt_frame", f"{self.path / name}: cannot be read ({error})") from error
        if image is None:
            raise ClipError("corrupt_frame", f"{self.path / name}: damaged, empty or no image")
        return self._eight_bit(image)

    def _eight_bit(self, image: NDArray[np.generic]) -> Image:
        if image.dtype == np.uint8:
            return image.astype(np.uint8, copy=False)
        full = self._full_range(image)
        values = np.nan_to_num(image.astype(np.float32), posinf=full)
        scaled: NDArray[np.float32] = np.rint(np.clip(values, 0, full) * (255.0 / full))
        return scaled.astype(np.uint8)

    def _full_range(self, image: NDArray[np.generic]) -> float:
        """White of this clip: the smallest usual range that holds the first image of the folder."""
        if self._range is None:
            try:
                first = _decode(np.fromfile(self.path / self._files[min(self._files)], np.uint8))
            except (OSError, cv2.error):
                first = None
            image = image if first is None or first.dtype != image.dtype else first
            ranges = _RANGES if np.issubdtype(image.dtype, np.integer) else (1.0, *_RANGES)
            peak = float(np.nan_to_num(image.astype(np.float64), posinf=0.0).max(initial=0.0))
            self._range = next((r for r in ranges if peak <= r), peak)
        return self._range


def not_there(path: Path, number: int, numbers: Sequence[int]) -> str:
    """What to say of a frame that is missing; off by one at either end, table and files count differently."""
    text = f"{path}: frame {number} is not there; there are {len(numbers)} frames"
    if not len(numbers):
        return text
    off_by_one = number in (numbers[0] - 1, numbers[-1] + 1)
    hint = "; is one counted from 0 and the other from 1?" if off_by_one else ""
    return f"{text}, {numbers[0]} to {numbers[-1]}{hint}"


class VideoFrames:
    """A video; every `read` decodes it from the start, up to the last frame that is wanted."""

    def __init__(self, path: Path, fps: float) -> None:
        if not path.is_file():
            raise ClipError("missing_file", f"{path}: no such video")
        self.path = path
        self._source = ClipSource(
            clip_id="", file=path.name, root=str(path.parent), kind="video", input_digest="", fps=fps
        )
        self._n: int | None = None

    def numbers(self) -> Sequence[int]:
        """0 to the last index."""
        if self._n is None:
            try:
                with open_frames(self._source) as stream:
                    declared = stream.info.n_declared
                    self._n = declared or sum(1 for _ in stream.frames)
            except FrameError as error:
                raise ClipError("corrupt_video", str(error)) from error
        return range(self._n)

    def read(self, wanted: Iterable[int]) -> Iterator[tuple[int, Image]]:
        """See `ClipFrames`."""
        left = sorted(set(wanted), reverse=True)
        n_seen = 0
        try:
            with open_frames(self._source) as stream:
                while left:
                    frame = next(stream.frames, None)
                    if frame is None:
                        break
                    n_seen = frame.index + 1
                    if frame.index == left[-1]:
                        left.pop()
                        yield frame.index, frame.bgr
        except FrameError as error:
            raise ClipError("corrupt_video", str(error)) from error
        if left:
            raise ClipError(
                "missing_frame",
                f"{self.path}: frame {left[-1]} is not there; it holds {n_seen}, counted from 0",
            )

    def digest(self, wanted: Iterable[int]) -> str:
        """Of the whole file."""
        return _digest(self.path)


@dataclass(frozen=True)
class FlowFile:
    """A flow image of a flow folder.

    Attributes:
        path: of the image.
    """

    path: Path

    def read(self) -> NDArray[np.float32]:
        """float32 (H, W, 3): u, v, strain, 0..1: the file's red, green and blue.

        Raises:
            ClipError: not there, damaged or no 8-bit image.
        """
        try:
            data = np.fromfile(self.path, np.uint8)
        except OSError as error:
            raise ClipError("missing_file", f"{self.path}: cannot be read: {error.strerror}") from error
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if bgr is None:
            raise ClipError("corrupt_frame", f"{self.path}: damaged, empty or no image")
        return np.ascontiguousarray(bgr[..., ::-1], np.float32) / np.float32(255)

    def digest(self) -> str:
        """SHA-256 of its bytes."""
        return _digest(self.path)


def _decode(data: Image) -> NDArray[np.generic] | None:
    """BGR (H, W, 3) of any depth; None where it is no image."""
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:  # OpenCV makes no colour of grey fractions.
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if image is not None and image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
    return None if image is None else np.asarray(image)[..., :3]


def _numbered(path: Path) -> dict[int, str]:
    """Number to file name. Of two files with one number, the first by name."""
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise ClipError("missing_file", f"{path}: cannot be opened: {error.strerror or error}") from error
    series = series_in(names)
    if series:
        pairs = zip(series[0].numbers, series[0].names, strict=True)
        return {number: group[0][1] for number, group in _grouped(pairs)}
    if any(is_image(name) for name in names):
        raise ClipError("missing_frame", f"{path}: holds fewer than two numbered images")
    raise ClipError("missing_file", f"{path}: holds no numbered images")


def _grouped(pairs: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    for number, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
        yield number, list(group)


def _mixed(path: Path, number: int, shape: tuple[int, ...], first: tuple[int, ...]) -> str:
    return (
        f"{path}: frame {number} is {shape[1]} x {shape[0]} px, the first is {first[1]} x {first[0]} px; all must "
        "have one size"
    )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return digest.hexdigest()
