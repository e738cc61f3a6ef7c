"""Renderers for tests of everything around rendering: fast, and able to fail in the ways that real ones do.

Given as ``--renderer tests.renderers:<class>``. They draw the photograph with one grey square whose level is
the frame's number and the clip's seed, so that different clips have different bytes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from equime.generation_pipeline.renderers import FaceInput, Yuv
from equime.types import ClipSpec
from equime.video import rgb_to_yuv


class StaticRenderer:
    """The photograph, still but for one square. EQUIME_TEST_SLEEP_S makes every clip take that long."""

    name = "static"
    version = "1"

    def __init__(self) -> None:
        self.params: dict[str, float | int | str | bool] = {}

    def prepare(self, face: FaceInput) -> StaticFace:
        return StaticFace(face)

    def before(self, spec: ClipSpec) -> None:
        """What goes wrong."""


class StaticFace:
    renderer: type[StaticRenderer] = StaticRenderer

    def __init__(self, face: FaceInput) -> None:
        self.planes = rgb_to_yuv(face.image)

    def frames(self, spec: ClipSpec) -> Iterator[Yuv]:
        time.sleep(float(os.environ.get("EQUIME_TEST_SLEEP_S", "0")))
        log_rendered(spec)
        level = spec.camera.noise_seed % 100
        for i in range(spec.n_frames):
            y, u, v = (plane.copy() for plane in self.planes)
            y[:16, :16] = 16 + (level + i) % 200
            yield Yuv(y, u, v)


def log_rendered(spec: ClipSpec) -> None:
    """One line per rendering begun, where EQUIME_TEST_LOG names a file."""
    log = os.environ.get("EQUIME_TEST_LOG")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{spec.spec_id} {os.getpid()}\n")


def one_in(spec: ClipSpec) -> bool:
    """True for the clips that a faulty renderer fails on."""
    return spec.sequence == 2


class FailingRenderer(StaticRenderer):
    """Raises in the third frame of the second clip of every face."""

    name = "failing"

    def prepare(self, face: FaceInput) -> StaticFace:
        return FailingFace(face)


class FailingFace(StaticFace):
    def frames(self, spec: ClipSpec) -> Iterator[Yuv]:
        for i, planes in enumerate(super().frames(spec)):
            if one_in(spec) and i == 3 and "EQUIME_TEST_HEALED" not in os.environ:
                raise ValueError("a wrinkle too far")
            yield planes


class DyingRenderer(StaticRenderer):
    """Kills its own process in the second clip of every face; only once where EQUIME_TEST_ONCE names a folder."""

    name = "dying"

    def prepare(self, face: FaceInput) -> StaticFace:
        return DyingFace(face)


class DyingFace(StaticFace):
    def frames(self, spec: ClipSpec) -> Iterator[Yuv]:
        for i, planes in enumerate(super().frames(spec)):
            if one_in(spec) and i == 3 and self._must_die(spec):
                os.kill(os.getpid(), signal.SIGKILL)
            yield planes

    def _must_die(self, spec: ClipSpec) -> bool:
        once = os.environ.get("EQUIME_TEST_ONCE")
        if once is None:
            return True
        mark = Path(once) / spec.spec_id
        if mark.exists():
            return False
        mark.touch()
        return True


class NoisyRenderer(StaticRenderer):
    """Frames that do not compress, to fill a disk."""

    name = "noisy"

    def prepare(self, face: FaceInput) -> StaticFace:
        return NoisyFace(face)


class NoisyFace(StaticFace):
    def frames(self, spec: ClipSpec) -> Iterator[Yuv]:
        rng = np.random.Generator(np.random.PCG64(spec.camera.noise_seed))
        for _ in range(spec.n_frames):
            half = spec.size_px // 2
            sizes = (spec.size_px, half, half)
            yield Yuv(*(rng.integers(16, 235, (s, s), dtype=np.uint8) for s in sizes))
