"""Sessions of annotators fed with frames that a test makes."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from equime.annotation.annotators import Annotator, ClipContext, Row
from equime.clip_sources import ClipSource
from equime.frames import Frame, StreamInfo
from equime.weights import PLACE

Image = NDArray[np.uint8]


def pictures(n: int, height: int, width: int, seed: int = 0) -> list[Image]:
    """Coloured patterns that drift: uint8 (H, W, 3), each a little further from the first."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 20
    base = np.stack([np.sin(x + k) * np.cos(y * (1 + k / 3)) for k in range(3)], -1)
    noise = draw.normal(size=base.shape)
    frames = [np.clip(128 + 80 * np.roll(base, k, 1) + 4 * k * noise, 0, 255) for k in range(n)]
    return [frame.astype(np.uint8) for frame in frames]


def context(frames: Sequence[Image], source: ClipSource | None = None) -> ClipContext:
    height, width = frames[0].shape[:2]
    info = StreamInfo(
        fps=24.0, width=width, height=height, codec="h264", pix_fmt="yuv420p", n_declared=None, size_bytes=1
    )
    made = ClipSource(clip_id="a", file="a.mp4", root=".", kind="video", input_digest="0")
    return ClipContext(source or made, info)


def measure(annotator: Annotator, frames: Sequence[Image], source: ClipSource | None = None) -> Row:
    """The row of a clip that consists of these BGR frames."""
    session = annotator.start(context(frames, source))
    for index, bgr in enumerate(frames):
        session.feed(Frame(index, index * 1000 / 24, bgr))
    row = session.finish()
    assert set(row.values) == {metric.name for metric in annotator.metrics}
    assert set(row.frames) <= {metric.name for metric in annotator.metrics if metric.per_frame}
    assert all(len(values) == len(frames) for values in row.frames.values())
    return row


def cut_off(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """A home without caches, and no network: whoever looks for weights elsewhere fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test went to the network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TORCH_HOME", str(home / ".cache" / "torch"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv(PLACE, str(home / "weights"))


def link(source: Path, *targets: Path) -> None:
    """The same file at several places, as a download would have put it there."""
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
