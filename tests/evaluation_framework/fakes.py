"""Annotators for tests of everything around measuring: fast, and able to fail in the ways that real ones do.

Given as ``--metrics tests.evaluation_framework.fakes:<class>``.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from equime.annotation.annotators import ClipContext, Metric, Row
from equime.frames import Frame


def metric(name: str, **more: object) -> Metric:
    given: dict[str, object] = {"unit": "1", "low": 0.0, "high": None, "direction": "none"}
    return Metric(name=name, meaning="For tests.", reference="none", **(given | more))  # type: ignore[arg-type]


class Brightness:
    """Mean grey level; EQUIME_TEST_LOG names a file that gets a line per clip begun."""

    name = "brightness"
    version = "1"
    metrics = (
        metric("brightness", high=255.0, per_frame=True),
        metric("n_seen", type="whole"),
        metric("shape", unit="", type="text", low=None),
        metric("is_dark", unit="", type="flag", low=None),
    )
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False

    def start(self, clip: ClipContext) -> BrightnessSession:
        log = os.environ.get("EQUIME_TEST_LOG")
        if log:
            with Path(log).open("a") as file:
                file.write(f"{clip.source.file}\n")
        time.sleep(float(os.environ.get("EQUIME_TEST_SLEEP_S", "0")))
        return BrightnessSession(clip)


class BrightnessSession:
    def __init__(self, clip: ClipContext) -> None:
        self.clip = clip
        self.levels: list[float] = []

    def feed(self, frame: Frame) -> None:
        self.levels.append(float(frame.grey.mean()))

    def finish(self) -> Row:
        level = float(np.mean(self.levels))
        info = self.clip.info
        values = {
            "brightness": level,
            "n_seen": len(self.levels),
            "shape": f"{info.width}x{info.height}",
            "is_dark": level < 20,
        }
        return Row(values, {"brightness": np.array(self.levels)}, (("seen", "looked at"),))


class Failing(Brightness):
    """Raises in the third frame of every second clip of a subject."""

    name = "failing"
    metrics = (metric("failing"),)

    def start(self, clip: ClipContext) -> BrightnessSession:
        return FailingSession(clip)


class FailingSession(BrightnessSession):
    def feed(self, frame: Frame) -> None:
        spec = self.clip.source.spec
        if frame.index == 3 and spec is not None and spec.sequence == 2:
            raise ValueError("a wrinkle too far")

    def finish(self) -> Row:
        return Row({"failing": 1.0})


class NotANumber(Brightness):
    """Gives NaN."""

    name = "not_a_number"
    metrics = (metric("nothing"), metric("something"))

    def start(self, clip: ClipContext) -> BrightnessSession:
        return NotANumberSession(clip)


class NotANumberSession(BrightnessSession):
    def finish(self) -> Row:
        return Row({"nothing": float("nan"), "something": np.float32(2.0)})  # type: ignore[dict-item]


class Dying(Brightness):
    """Kills its own process on the second clip of every subject."""

    name = "dying"
    metrics = (metric("dying"),)

    def start(self, clip: ClipContext) -> BrightnessSession:
        spec = clip.source.spec
        if spec is not None and spec.sequence == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return DyingSession(clip)


class DyingSession(BrightnessSession):
    def finish(self) -> Row:
        return Row({"dying": 1.0})


class NeedsPackage(Brightness):
    """Needs what nobody has."""

    name = "needs_package"
    metrics = (metric("needs_package"),)
    packages = ("no_such_package_anywhere",)
