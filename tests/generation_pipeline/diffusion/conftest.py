"""Tiny pipelines on disk, and faces to start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from equime.drawn_face import default_faces
from equime.generation_pipeline.diffusion.loading import forget_pipeline
from equime.generation_pipeline.renderers import FaceInput
from equime.types import Declared, Face, FaceQuality
from tests.generation_pipeline.diffusion import tiny
from tests.generation_pipeline.face_inputs import drawn_input


@pytest.fixture(scope="session")
def tiny_ltx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not change it."""
    return tiny.save_ltx(tmp_path_factory.mktemp("ltx") / "tiny-ltx")


@pytest.fixture(scope="session")
def tiny_cogvideox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_cogvideox(tmp_path_factory.mktemp("cogvideox") / "tiny-cogvideox")


@pytest.fixture(scope="session")
def tiny_wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_wan(tmp_path_factory.mktemp("wan") / "tiny-wan")


@pytest.fixture(scope="session")
def face_256() -> FaceInput:
    """A drawn face with its landmarks."""
    return drawn_input(default_faces()[0], 256)


@pytest.fixture(scope="session")
def small_face() -> FaceInput:
    return drawn_input(default_faces()[0], tiny.SIZE)


@pytest.fixture
def fresh() -> Iterator[None]:
    """No pipeline is kept from another test, nor for the next."""
    forget_pipeline()
    yield
    forget_pipeline()


@pytest.fixture(scope="session")
def first_frame() -> Callable[[int], FaceInput]:
    """A drawn face at the tiny size in three versions. A diffusion model looks at the picture alone: no landmarks."""
    quality = FaceQuality(
        face_px=300.0, sharpness=100.0, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, eye_open=0.3,
        mouth_open=0.0, smile=0.0, humanness=1.0, n_faces=1,
    )  # fmt: skip
    drawn = cv2.resize(default_faces(1)[0].image(96), (tiny.SIZE, tiny.SIZE), interpolation=cv2.INTER_AREA)
    images = [drawn, drawn[:, ::-1], drawn // 2]

    def make(number: int) -> FaceInput:
        record = Face(
            face_id=f"drawn{number}", subject_id=f"s{number}", path="drawn.png", sha256="0" * 64, face_index=0,
            image_size=(64, 64), to_crop=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), landmarks="faces/drawn.npy",
            px_per_mm=1.0, source="drawn", licence="CC0-1.0", declared=Declared(), quality=quality,
            aligner="test",
        )  # fmt: skip
        return FaceInput(
            record, np.ascontiguousarray(images[number], np.uint8), np.zeros((478, 3), np.float32), 1.0
        )

    return make
