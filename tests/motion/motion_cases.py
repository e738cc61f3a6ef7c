"""Frames with known movement: a drawn face warped by known fields, and what the motion analysis sees in them."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext
from equime.clip_sources import ClipSource
from equime.frames import Frame, StreamInfo
from equime.motion.session import MotionSession
from equime.motion.track import MotionTrack

Image = NDArray[np.uint8]


def context(fps: float = 25.0, size: int = 384) -> ClipContext:
    source = ClipSource(clip_id="x", file="x.mp4", root=".", kind="video", input_digest="0")
    return ClipContext(source, StreamInfo(fps=fps, width=size, height=size, codec="raw", pix_fmt="bgr24", n_declared=None, size_bytes=0))  # fmt: skip


def session(images: Iterable[Image], fps: float = 25.0, **options: object) -> MotionSession:
    started = MotionSession(context(fps), **options)  # type: ignore[arg-type]
    for i, bgr in enumerate(images):
        started.feed(Frame(i, 1000.0 * i / fps, bgr))
    return started


def track(images: Iterable[Image], fps: float = 25.0, **options: object) -> MotionTrack:
    found = session(images, fps, **options).finish()
    assert found is not None
    return found


def moved(bgr: Image, dx: float = 0.0, dy: float = 0.0, roll_deg: float = 0.0, scale: float = 1.0) -> Image:
    """The whole picture, turned and scaled about its middle and shifted (pixels, y down)."""
    size = bgr.shape[0]
    affine = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), -roll_deg, scale)
    affine[:, 2] += dx, dy
    out = cv2.warpAffine(bgr, affine, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def push_weight(
    x: NDArray[np.floating], y: NDArray[np.floating], centre: NDArray[np.floating], radius: float
) -> NDArray[np.floating]:
    """Share of the push at points of the picture before it: 1 within half the radius, 0 outside."""
    t = np.clip(2.0 - 2.0 * np.hypot(x - centre[0], y - centre[1]) / radius, 0.0, 1.0)
    return t * t * (3 - 2 * t)


def pushed(bgr: Image, centre: NDArray[np.floating], radius: float, dx: float, dy: float) -> Image:
    """A patch of the picture moved by (dx, dy) pixels (y down), fading as `push_weight`."""
    rows, columns = np.mgrid[: bgr.shape[0], : bgr.shape[1]].astype(np.float64)
    x, y = columns, rows
    for _ in range(8):  # where a pixel comes from: fixed point of x = x' - d(x)
        share = push_weight(x, y, centre, radius)
        x, y = columns - dx * share, rows - dy * share
    return np.asarray(cv2.remap(bgr, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC), np.uint8)


def noisy(bgr: Image, seed: int, sigma: float = 1.0) -> Image:
    rng = np.random.Generator(np.random.PCG64(seed))
    return np.clip(np.rint(bgr + rng.normal(0, sigma, bgr.shape)), 0, 255).astype(np.uint8)
