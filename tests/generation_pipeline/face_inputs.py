"""A drawn face as a renderer is given it, landmarks detected as in a real run."""

from __future__ import annotations

from equime.drawn_face import DrawnFace
from equime.face import landmarks as lm
from equime.face.alignment import align, aligned_crop, px_per_mm, scale_points
from equime.generation_pipeline.renderers import FaceInput
from equime.types import Declared, Face, FaceQuality


def drawn_input(face: DrawnFace, size_px: int) -> FaceInput:
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
