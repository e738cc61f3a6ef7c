"""Face records without images, for tests of what never looks at pixels."""

from __future__ import annotations

from typing import Any

from equime.types import Declared, Face, FaceQuality


def make_face(i: int = 0, **declared: Any) -> Face:
    quality = FaceQuality(
        face_px=400.0, sharpness=200.0, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, eye_open=0.3,
        mouth_open=0.0, smile=0.0, humanness=1.0, n_faces=1,
    )  # fmt: skip
    return Face(
        face_id=f"face{i:06d}", subject_id=f"{i:06d}", path=f"{i}.jpg", sha256="0" * 64, face_index=0,
        image_size=(1024, 1024), to_crop=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), landmarks=f"landmarks/{i}.npy",
        px_per_mm=2.5, source="synthetic", licence="none", declared=Declared(**declared), quality=quality,
        aligner="none",
    )  # fmt: skip
