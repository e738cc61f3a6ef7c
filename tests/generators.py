"""A renderer that generates, for tests: mesh frames that obey the spec only from a certain attempt on.

Given as ``--renderer tests.generators:FakeGenerator``. Options: ``fail`` (attempts that are frozen), ``nan`` (emotion whose
first attempt is no video), ``gate``, ``attempts``, ``batch``. EQUIME_TEST_SLEEP_S makes every clip take that long;
EQUIME_TEST_LOG names a file that gets a line per clip made.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError, MissingError
from equime.generation_pipeline.renderers import BadVideo, Cost, FaceInput, Params
from equime.generation_pipeline.renderers.mesh import MeshRenderer, PreparedMesh
from equime.types import ClipSpec, Labels
from equime.video import yuv_to_rgb


class FakeGenerator:
    name = "fake"
    version = "1"
    labels: Labels = "measured"
    licence = "test-weights"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        given = dict(options or {})
        self.fail = int(given.pop("fail", 0))
        self.nan = given.pop("nan", "")
        self.missing = given.pop("missing", "")
        self.gate_rejects = given.pop("gate", "reject") == "reject"
        self.attempts, self.batch = int(given.pop("attempts", 3)), int(given.pop("batch", 1))
        if given:
            raise InputError(f"renderer options: {', '.join(given)} not known")
        self.params: Params = {"gate_rejects": self.gate_rejects, "fail": self.fail}

    def check_format(self, fps: float, n_frames: int, size_px: int) -> None:
        if size_px % 32:
            raise InputError(f"size {size_px}: multiples of 32 only")

    def require(self) -> None:
        if self.missing:
            raise MissingError("weights are not here")

    def load(self) -> None:
        pass

    def n_devices(self) -> int:
        return 1

    def cost(self, n_frames: int, size_px: int) -> Cost:
        return Cost(36.0, "a guess")

    def prompt_of(self, spec: ClipSpec) -> str:
        return f"show {spec.emotion}"

    def seed_of(self, spec: ClipSpec, attempt: int) -> int:
        return spec.camera.noise_seed + attempt

    def prepare(self, face: FaceInput) -> PreparedMesh:
        return MeshRenderer().prepare(face)

    def videos(
        self, clips: Sequence[tuple[FaceInput, ClipSpec, int]]
    ) -> Iterator[NDArray[np.uint8] | BadVideo]:
        for face, spec, attempt in clips:
            time.sleep(float(os.environ.get("EQUIME_TEST_SLEEP_S", "0")))
            if log := os.environ.get("EQUIME_TEST_LOG"):
                with Path(log).open("a") as file:
                    file.write(f"{spec.spec_id} {attempt} {os.getpid()}\n")
            if spec.emotion == self.nan and attempt == 0:
                yield BadVideo("the model gave NaN")
            elif attempt < self.fail:
                yield np.stack([face.image] * spec.n_frames)
            else:
                yield np.stack([yuv_to_rgb(*planes) for planes in self.prepare(face).frames(spec)])
