"""How two families of networks want a face framed, cut from the face mesh's landmarks.

*Tight box*, as DeepFace's detectors hand faces on: upright, no wider than the face, from the top of the forehead to
the chin, brought to 224 px by its longer side and put on black (``deepface.modules.preprocessing.resize_image``).
The box here is that of the mesh's outline after the eyes are levelled, which is close to RetinaFace's. DeepFace's
default detector (OpenCV's Haar cascade) gives squares that begin below the hairline; its age and gender networks
were trained on IMDB-WIKI, its race network on FairFace, with other margins again. No one framing is the right one
for all of them; this one shows no background and is the same for every clip.

*dlib's chip*, as FairFace was trained on and predicts from (``dlib.get_face_chip(size=300, padding=0.25)`` on five
landmarks, then 224 px): the similarity that brings the corners of the eyes and the base of the nose closest to
dlib's template. The landmarks are MediaPipe's, not those of dlib's predictor, and one resampling takes the place
of two; that is as near as it gets without dlib.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.face.alignment import align, warp
from equime.face.quality import OVAL

SIZE_PX: Final = 224
"""Input side of both."""

CHIP_PADDING: Final = 0.25
"""Border around dlib's template, share of its side."""

CHIP_LANDMARKS: Final = (263, 362, 33, 133, 2)
"""Outer and inner corner of the left eye, of the right eye, base of the nose (subject's sides)."""

CHIP_TEMPLATE: Final = (
    (0.8595674595992, 0.2134981538014),
    (0.6460604764104, 0.2289674387677),
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.4901123135679, 0.6277975316475),
)
"""Where dlib puts them, shares of the side without padding (``get_face_chip_details`` in dlib's interpolation.h)."""


def tight_box(rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The upright face in its own box, its longer side `SIZE_PX`, on black.

    Args:
        rgb: uint8 (H, W, 3).
        landmarks: float32 (478, 3) in pixels of it.

    Returns:
        uint8 (224, 224, 3) RGB.
    """
    to_crop = align(landmarks)
    outline = landmarks[list(OVAL), :2].astype(np.float64) @ to_crop[:, :2].T + to_crop[:, 2]
    low, high = outline.min(axis=0), outline.max(axis=0)
    k = SIZE_PX / float((high - low).max())
    transform = k * to_crop
    transform[:, 2] += (SIZE_PX - 1) / 2 - k * (low + high) / 2
    crop = warp(rgb, transform, SIZE_PX, cv2.BORDER_CONSTANT)
    width, height = np.rint(k * (high - low)).astype(int)
    left, top = (SIZE_PX - width) // 2, (SIZE_PX - height) // 2
    framed = np.zeros_like(crop)
    inside = np.s_[top : top + height, left : left + width]
    framed[inside] = crop[inside]
    return framed


def dlib_chip(rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The face as dlib cuts it with a padding of 0.25; what lies outside of the picture is black.

    Args:
        rgb: uint8 (H, W, 3).
        landmarks: float32 (478, 3) in pixels of it.

    Returns:
        uint8 (224, 224, 3) RGB.
    """
    return warp(rgb, chip_transform(landmarks), SIZE_PX, cv2.BORDER_CONSTANT)


def chip_transform(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Similarity from pixels of the picture to those of the chip, float64 (2, 3).

    As in dlib it is the inverse of the least-squares similarity from template to landmarks (Umeyama 1991; in two
    dimensions, with points as complex numbers, the slope of a regression line).
    """
    template = (np.array(CHIP_TEMPLATE) + CHIP_PADDING) / (1 + 2 * CHIP_PADDING) * SIZE_PX
    points = landmarks[list(CHIP_LANDMARKS), :2].astype(np.float64)
    from_, to = template @ (1, 1j), points @ (1, 1j)
    away = from_ - from_.mean()
    slope = (away.conj() * (to - to.mean())).sum() / (np.abs(away) ** 2).sum()
    back = 1 / slope
    shift = from_.mean() - back * to.mean()
    return np.array([[back.real, -back.imag, shift.real], [back.imag, back.real, shift.imag]])
