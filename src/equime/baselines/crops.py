"""Where a clip is cut: the face crops that the micro-expression literature uses.

One crop per clip, found on its onset frame and the same for every frame: a crop that followed the face would put
the detector's jitter, which is larger than a micro-expression, into the flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.face.alignment import LEFT_EYE, RIGHT_EYE, align, scaled
from equime.types import CROP_PX

Image = NDArray[np.uint8]
F64 = NDArray[np.float64]
CropName = Literal["eyes", "face", "tight", "aligned", "none"]

CROPS: Final[dict[str, str]] = {
    "eyes": "rectangle of Pfister et al. 2011 and Li et al. 2013, which SMIC's and CASME II's cropped releases "
    "have: 1.8 eye distances wide, 2.2 high, its corner 0.4 to the left of and 0.6 above the eye centre in the "
    "picture's left half",
    "face": "2.25 eye distances wide, 2.7 high, the eyes a third below its upper edge: the middle of the crops that the "
    "corpora come with, and of those that the shipped recognisers were trained on",
    "tight": "bounding box of the face mesh, as crops by dlib's 68 points (SAMM)",
    "aligned": "equime's crop: eyes level, head and hair in it",
    "none": "the frames as they are: corpora that come cropped",
}

_WIDTH, _HEIGHT = 1.8, 2.2
_LEFT, _ABOVE = 0.4, 0.6
_FACE: Final = (2.25, 2.7)
_FACE_EYES: Final = 1 / 3
_MESH: Final = 468


@dataclass(frozen=True)
class Crop:
    """How frames of one clip are cut.

    Attributes:
        to_crop: float64 (2, 3), from frame pixels to pixels of the crop.
        width, height: of the crop.
        shift_only: whether it moves whole pixels only, so that nothing is resampled.
    """

    to_crop: F64
    width: int
    height: int
    shift_only: bool

    def cut(self, image: Image) -> Image:
        """The crop of a frame (H, W) or (H, W, 3); its border is continued where the crop leaves the frame."""
        if self.shift_only:
            return self._slice(image)
        cut = cv2.warpAffine(
            image,
            self.to_crop,
            (self.width, self.height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(cut, np.uint8)

    def points(self, landmarks: NDArray[np.float32]) -> F64:
        """Landmarks (n, 2 or more) of the frame as (n, 2) pixels of the crop."""
        moved: F64 = landmarks[:, :2].astype(np.float64) @ self.to_crop[:, :2].T + self.to_crop[:, 2]
        return moved

    def _slice(self, image: Image) -> Image:
        x, y = (round(-shift) for shift in self.to_crop[:, 2])
        height, width = image.shape[:2]
        before = max(0, -y), max(0, -x)
        after = max(0, y + self.height - height), max(0, x + self.width - width)
        if any((*before, *after)):
            image = np.asarray(
                cv2.copyMakeBorder(image, before[0], after[0], before[1], after[1], cv2.BORDER_REPLICATE),
                np.uint8,
            )
            x, y = x + before[1], y + before[0]
        return np.ascontiguousarray(image[y : y + self.height, x : x + self.width])


def whole(shape: tuple[int, ...]) -> Crop:
    """The crop "none" of frames of this shape."""
    return Crop(np.array([[1.0, 0, 0], [0, 1.0, 0]]), shape[1], shape[0], True)


def crop_of(landmarks: NDArray[np.float32], name: CropName) -> Crop:
    """The crop of a face.

    Args:
        landmarks: (478, 3) pixels of the frame.
        name: one of `CROPS`, but not "none", for which see `whole`.
    """
    if name == "aligned":
        return _aligned(landmarks)
    points = landmarks[:_MESH, :2].astype(np.float64)
    if name == "tight":
        low, high = points.min(axis=0), points.max(axis=0)
        return _rectangle(low, high - low)
    right, left = points[list(RIGHT_EYE)].mean(axis=0), points[list(LEFT_EYE)].mean(axis=0)
    unit = float(np.hypot(*(left - right)))
    if name == "face":
        size = unit * np.array(_FACE)
        return _rectangle((right + left) / 2 - size * np.array([0.5, _FACE_EYES]), size)
    first = right if right[0] <= left[0] else left
    return _rectangle(first - unit * np.array([_LEFT, _ABOVE]), unit * np.array([_WIDTH, _HEIGHT]))


def _rectangle(low: F64, size: F64) -> Crop:
    """A rectangle of whole pixels."""
    x, y = (round(float(v)) for v in low)
    width, height = (max(2, round(float(v))) for v in size)
    return Crop(np.array([[1.0, 0, -x], [0, 1.0, -y]]), width, height, True)


def _aligned(landmarks: NDArray[np.float32]) -> Crop:
    """The aligned crop at the scale of the frame: turned, hardly resized."""
    to_crop = align(landmarks)
    side = max(2, round(CROP_PX / float(np.hypot(*to_crop[0, :2]))))
    return Crop(scaled(to_crop, side), side, side, False)


def find_landmarks(bgr: Image) -> NDArray[np.float32] | None:
    """Face mesh (478, 3) of the largest face of a frame, uint8 (H, W, 3) BGR; None where there is none."""
    from equime.face.landmarks import find_boxes, mesh_in_box  # noqa: PLC0415

    rgb = np.ascontiguousarray(bgr[..., ::-1])
    boxes = find_boxes(rgb)
    return mesh_in_box(rgb, boxes[0]) if boxes else None
