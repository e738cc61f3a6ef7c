"""Image to Face or Rejection, and Face to what a renderer needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.face import landmarks as lm
from equime.face.alignment import align, aligned_crop, px_per_mm, scale_points
from equime.face.images import SourceImage, UnreadableImageError, decode, read_bytes
from equime.face.quality import measure
from equime.face.source import source_crop, stored_landmarks
from equime.generation_pipeline.gates import Gates, failures
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.sources import FaceSource
from equime.seeding import content_id
from equime.types import CROP_PX, Face, FaceQuality, Rejection

ALIGNER: Final = "mediapipe-face-mesh-0.10.21/eyes-mouth-1"
"""Detector and alignment; part of every face id. Raise the number when landmarks or crops change."""


@dataclass(frozen=True)
class _Seen:
    """A face in the source image: index among the boxes (largest first) and landmarks in source pixels."""

    index: int
    points: NDArray[np.float32]
    n_faces: int


class _Turned(Exception):
    """The image gives no face."""

    def __init__(self, reason: str, message: str, quality: FaceQuality | None = None) -> None:
        super().__init__(message)
        self.reason, self.quality = reason, quality


def ingest_image(item: FaceSource, gates: Gates) -> tuple[Face, NDArray[np.float32]] | Rejection:
    """Look for one face in one image. Pure: the same file and gates give the same answer in any process.

    Args:
        item: the image and what its source declares.
        gates: thresholds.

    Returns:
        The Face and its float32 (478, 3) landmarks in crop pixels, to be stored under ``face.landmarks``; or
        the Rejection. Never raises for a bad image.
    """
    sha256 = None
    try:
        data, sha256 = read_bytes(Path(item.file))
        return _face(item, SourceImage(decode(data), sha256), gates)
    except UnreadableImageError as error:
        reason, message, quality = "unreadable", str(error), None
    except _Turned as turned:
        reason, message, quality = turned.reason, str(turned), turned.quality
    return Rejection(
        path=item.path,
        reason=reason,
        message=message,
        sha256=sha256,
        subject_id=item.subject_id,
        quality=quality,
    )


def _face(item: FaceSource, image: SourceImage, gates: Gates) -> tuple[Face, NDArray[np.float32]]:
    seen = _see(image.rgb, gates)
    to_crop = align(seen.points)
    crop = aligned_crop(image.rgb, to_crop, CROP_PX)
    points = lm.mesh(crop)
    if points is None:
        raise _Turned("no_face", "the face was lost when looked at closely; use a clearer image")
    quality = measure(
        crop,
        points,
        face_px=float(np.ptp(seen.points[:, :2], axis=0).min()),
        roll_deg=float(np.degrees(np.arctan2(-to_crop[1, 0], to_crop[0, 0]))),
        n_faces=seen.n_faces,
    )
    problems = failures(quality, gates)
    if problems:
        raise _Turned(problems[0][0], "; also ".join(message for _, message in problems), quality)
    return _record(item, image, seen, to_crop, points, quality), points


def _see(rgb: NDArray[np.uint8], gates: Gates) -> _Seen:
    """The largest spot that a detector takes for a face and in which the mesh finds one."""
    boxes = lm.find_boxes(rgb, gates.min_detection)
    if not boxes:
        raise _Turned("no_face", "no face found; use an image that shows a face upright and whole")
    found: list[tuple[int, NDArray[np.float32]]] = []
    for index, box in enumerate(boxes):
        if found and box.side < gates.several_min_ratio * boxes[found[0][0]].side:
            break
        points = lm.mesh_in_box(rgb, box)
        if points is not None:
            found.append((index, points))
    if not found:
        raise _Turned("no_face", f"no face landmarks found in {len(boxes)} spot(s) that resemble a face")
    if len(found) > 1 and gates.several_faces == "reject":
        sizes = ", ".join(f"{boxes[index].side:.0f}" for index, _ in found)
        raise _Turned(
            "several_faces",
            f"{len(found)} faces of comparable size ({sizes} px); "
            "cut one out or set several_faces to 'largest'",
        )
    return _Seen(*found[0], n_faces=len(found))


def _record(
    item: FaceSource,
    image: SourceImage,
    seen: _Seen,
    to_crop: NDArray[np.float64],
    points: NDArray[np.float32],
    quality: FaceQuality,
) -> Face:
    face_id = content_id([image.sha256, seen.index, ALIGNER])
    a, b, tx, c, d, ty = (float(value) for value in to_crop.ravel())
    return Face(
        face_id=face_id,
        subject_id=item.subject_id,
        path=item.path,
        sha256=image.sha256,
        face_index=seen.index,
        image_size=(image.rgb.shape[1], image.rgb.shape[0]),
        to_crop=(a, b, tx, c, d, ty),
        landmarks=f"faces/{face_id}.npy",
        px_per_mm=px_per_mm(points),
        source=item.source,
        licence=item.licence,
        declared=item.declared,
        quality=quality,
        aligner=ALIGNER,
    )


def load_face(face: Face, faces_root: Path, dataset_root: Path, size_px: int) -> FaceInput:
    """Make the aligned crop of a face again from its source image.

    Args:
        face: the record.
        faces_root: the folder, image or table that the faces came from.
        dataset_root: the Dataset, which holds the landmarks.
        size_px: side of the crop.

    Raises:
        WorkError: the image or the landmarks are gone, changed or damaged.
    """
    crop = source_crop(face, faces_root, size_px)
    return FaceInput(
        face=face,
        image=crop,
        landmarks=scale_points(stored_landmarks(face, dataset_root), size_px),
        px_per_mm=face.px_per_mm * size_px / CROP_PX,
    )
