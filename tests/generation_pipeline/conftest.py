"""Faces for the tests of the generation pipeline: drawn ones, landmarks detected as in a real run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from equime.drawn_face import default_faces, describe_face
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.renderers.mesh import MeshRenderer, PreparedMesh
from equime.types import AuPeak, Camera, ClipSpec, Phases
from tests.generation_pipeline.face_inputs import drawn_input


@pytest.fixture(scope="session")
def face_input() -> FaceInput:
    """A drawn face at 512 px."""
    return drawn_input(default_faces()[0], 512)


@pytest.fixture(scope="session")
def small_face_input() -> FaceInput:
    """Another drawn face at 128 px, for what needs no detail."""
    return drawn_input(default_faces()[3], 128)


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
    return MeshRenderer().prepare(drawn_input(describe_face(11, glasses=True, skin_tone=3), 512))
