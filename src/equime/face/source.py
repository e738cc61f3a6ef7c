"""The aligned crop and the landmarks of a recorded Face, made again from its photograph.

Crops are not stored (their licence is the photograph's). They are made again from the source image and the
recorded transform, and the digest of the image says whether it is still the same one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equime.errors import WorkError
from equime.face.alignment import aligned_crop
from equime.face.images import UnreadableImageError, decode, read_bytes
from equime.types import N_LANDMARKS, Face


def source_crop(face: Face, faces_root: Path, size_px: int) -> NDArray[np.uint8]:
    """Make the aligned crop of a face again.

    Args:
        face: the record.
        faces_root: the folder, image or table that the faces came from.
        size_px: side of the crop.

    Returns:
        uint8 (size_px, size_px, 3) RGB.

    Raises:
        WorkError: the image is gone, changed or damaged.
    """
    base = faces_root if faces_root.is_dir() else faces_root.parent
    image = _same_image(face, base / face.path)
    return aligned_crop(image, np.array(face.to_crop, np.float64).reshape(2, 3), size_px)


def stored_landmarks(face: Face, dataset_root: Path) -> NDArray[np.float32]:
    """The face's landmarks, float32 (478, 3) at `CROP_PX`.

    Raises:
        WorkError: the file is gone or damaged.
    """
    return _load_landmarks(face, dataset_root / face.landmarks)


def _same_image(face: Face, file: Path) -> NDArray[np.uint8]:
    hint = "put the image back or start a new data set"
    try:
        data, sha256 = read_bytes(file)
        if sha256 != face.sha256:
            raise WorkError(
                f"{file}: changed since it was ingested (sha256 {sha256[:12]}..., recorded "
                f"{face.sha256[:12]}...) for subject {face.subject_id}; {hint}"
            )
        return decode(data)
    except UnreadableImageError as error:
        raise WorkError(f"{file}: the source image of subject {face.subject_id} {error}; {hint}") from error


def _load_landmarks(face: Face, file: Path) -> NDArray[np.float32]:
    hint = "remove the face's line from faces.jsonl so that it is ingested again"
    try:
        points = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise WorkError(
            f"{file}: landmarks of subject {face.subject_id} cannot be read ({error}); {hint}"
        ) from error
    if points.shape != (N_LANDMARKS, 3):
        raise WorkError(f"{file}: landmarks of shape {points.shape}, expected ({N_LANDMARKS}, 3); {hint}")
    return np.asarray(points, np.float32)
