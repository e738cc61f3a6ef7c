"""Faces for the tests of the generation pipeline: drawn ones, landmarks detected as in a real run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from equime.drawn_face import DrawnFace, default_faces, describe_face
from equime.face import landmarks as lm
from equime.face.alignment import align, aligned_crop, px_per_mm, scale_points
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.renderers.mesh import MeshRenderer, PreparedMesh
from equime.types import AuPeak, Camera, ClipSpec, Declared, Face, FaceQuality, Phases


def _drawn(face: DrawnFace, size_px: int) -> FaceInput:
    image = face.image(512)
    seen = lm.mesh(image)
    assert seen is not None
    to_crop = align(seen)
    points = lm.mesh(aligned_crop(image, to_crop, 512))
    assert points is not None
    quality = FaceQuality(
        face_px=300.0, sharpness=100.0, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, eye_open=0.3,
        mouth_open=0.0, smile=0.0, humanness=1.0, n_faces=1,
    )  # fmt: skip
    a, b, tx, c, d, ty = (float(v) for v in to_crop.ravel())
    record = Face(
        face_id="drawn", subject_id=face.subject_id, path="drawn.png", sha256="0" * 64, face_index=0,
        image_size=(512, 512), to_crop=(a, b, tx, c, d, ty), landmarks="faces/drawn.npy",
        px_per_mm=px_per_mm(points), source="drawn", licence="CC0-1.0", declared=Declared(),
        quality=quality, aligner="test",
    )  # fmt: skip
    return FaceInput(
        face=record,
        image=aligned_crop(image, to_crop, size_px),
        landmarks=scale_points(points, size_px),
        px_per_mm=px_per_mm(points) * size_px / 512,
    )


@pytest.fixture(scope="session")
def face_input() -> FaceInput:
    """A drawn face at 512 px."""
    return _drawn(default_faces()[0], 512)


@pytest.fixture(scope="session")
def small_face_input() -> FaceInput:
    """Another drawn face at 128 px, for what needs no detail."""
    return _drawn(default_faces()[3], 128)


@pytest.fixture(scope="session")
def prepared(face_input: FaceInput) -> PreparedMesh:
    return MeshRenderer().prepare(face_input)


@pytest.fixture(scope="session")
def prepared_small(small_face_input: FaceInput) -> PreparedMesh:
    return MeshRenderer().prepare(small_face_input)


@pytest.fixture
def make_spec() -> Callable[..., ClipSpec]:
    """A spec by hand: `make_spec(aus={12: (3, 3)}, ...)`; still camera unless told otherwise."""

    def make(aus: dict[int, tuple[float, float]] | None = None, **changes: object) -> ClipSpec:
        peaks = tuple(AuPeak(au=au, left=left, right=right) for au, (left, right) in (aus or {}).items())
        values: dict[str, object] = {
            "spec_id": "spec", "model": "test", "face_id": "face", "subject_id": "1", "sequence": 1, "seed": 0,
            "context": {}, "label_semantics": "au-defined", "emotion": "happiness" if aus else "neutral",
            "aus": peaks,
            "phases": Phases(onset_ms=200.0, apex_ms=400.0, hold_ms=0.0, offset_ms=600.0) if aus else None,
            "blinks": (), "gaze": (), "head": (),
            "camera": Camera(noise_sigma=0.0, noise_seed=1, light_amplitude=0.0, light_period_ms=4e3, light_phase_rad=0.0),
            "fps": 50.0, "duration_ms": 800.0, "size_px": 512, "noise": {},
        }  # fmt: skip
        return ClipSpec(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def prepared_with_glasses() -> PreparedMesh:
    return MeshRenderer().prepare(_drawn(describe_face(11, glasses=True, skin_tone=3), 512))
