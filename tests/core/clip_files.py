"""Clips made for tests of the readers, and how to read and compare them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from equime.clip_sources import ClipSource
from equime.frames import Frame, FrameError, StreamInfo, open_frames

Pixels = NDArray[np.uint8]


def scene(n: int, width: int, height: int) -> list[Pixels]:
    """Coloured waves that move, with noise: RGB."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width]
    out = []
    for i in range(n):
        waves = [np.sin((x + 3 * i) / 17), np.cos(y / 13 + i / 5), np.sin((x + y) / 23)]
        image = 127 + 100 * np.stack(waves, axis=2) + rng.normal(0, 12, (height, width, 3))
        out.append(np.clip(image, 0, 255).astype(np.uint8))
    return out


def write(
    path: Path, codec: str = "libx264", pix_fmt: str = "yuv420p", size: tuple[int, int] = (96, 80), n: int = 8,
    *, pts: Sequence[int] | None = None, rate: int = 24, bt709: bool = False, full: bool = False, **options: str,
) -> Path:  # fmt: skip
    """A video made by PyAV."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        context = stream.codec_context
        if bt709:
            context.colorspace = context.color_primaries = context.color_trc = 1
        if full:
            context.color_range = 2
        for i, image in enumerate(scene(n, *size)):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = (pts[i] if pts else i), Fraction(1, rate)
            if bt709:
                frame.colorspace = 1
            if full:
                frame.color_range = 2
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def start_at(path: Path, frame: int, rate: int) -> None:
    """Make the edit list of an MP4 start at this frame."""
    data = bytearray(path.read_bytes())
    (ticks_per_s,) = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)
    struct.pack_into(">I", data, data.index(b"elst") + 16, frame * ticks_per_s // rate)
    path.write_bytes(bytes(data))


def save(folder: Path, names: Sequence[str], images: Sequence[Pixels]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, image in zip(names, images, strict=True):
        assert cv2.imwrite(str(folder / name), image)
    return folder


def source(path: Path, fps: float | None = None) -> ClipSource:
    kind = "frames" if path.is_dir() else "video"
    return ClipSource("id", path.name, str(path.parent), kind, "0", fps=fps)  # type: ignore[arg-type]


def read(path: Path, fps: float | None = None) -> tuple[StreamInfo, list[Frame]]:
    with open_frames(source(path, fps)) as stream:
        return stream.info, list(stream.frames)


def problem(path: Path, fps: float | None = None) -> FrameError:
    with pytest.raises(FrameError) as caught:
        read(path, fps)
    assert path.name in str(caught.value)
    return caught.value


def as_opencv(path: Path) -> list[Pixels]:
    capture = cv2.VideoCapture(str(path))
    out = []
    while True:
        there, bgr = capture.read()
        if not there:
            return out
        out.append(bgr)


def check_as_opencv(path: Path) -> tuple[StreamInfo, list[Frame]]:
    """Read, and compare every byte."""
    info, got = read(path)
    want = as_opencv(path)
    assert len(got) == len(want) > 0
    for frame, bgr in zip(got, want, strict=True):
        np.testing.assert_array_equal(frame.bgr, bgr)
        np.testing.assert_array_equal(frame.grey, cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))
    return info, got
