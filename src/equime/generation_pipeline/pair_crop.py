"""How training pairs are cut: the whole head with a margin, or a face crop as recognition code makes it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.face.alignment import LEFT_EYE, RIGHT_EYE
from equime.generation_pipeline.pair_sections import Crop

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def with_margin(luma: F32, landmarks: NDArray[np.floating], margin: float) -> F32:
    """Frames (N, S, S) cut around the face's outline, with this share of its width on every side."""
    low, high = landmarks[:468, :2].min(axis=0), landmarks[:468, :2].max(axis=0)
    room, size = margin * (high[0] - low[0]), luma.shape[1]
    x0, y0 = (max(int(v), 0) for v in np.floor(low - room))
    x1, y1 = (min(int(v) + 1, size) for v in np.ceil(high + room))
    return np.ascontiguousarray(luma[:, y0:y1, x0:x1])


def face_crop(luma: F32, landmarks: NDArray[np.floating], crop: Crop, rng: np.random.Generator) -> F32:
    """Frames (N, S, S) cut to one crop drawn from the recipe; what lies outside repeats the border."""
    to_crop, (width, height) = draw_crop(landmarks, crop, rng)
    return np.stack(
        [
            cv2.warpAffine(
                frame, to_crop, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            for frame in luma
        ]
    )


def draw_crop(
    landmarks: NDArray[np.floating], crop: Crop, rng: np.random.Generator
) -> tuple[F64, tuple[int, int]]:
    """A crop: float64 (2, 3) from picture to crop at the picture's scale, and (width, height) in pixels."""
    right, left = (landmarks[list(eye), :2].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE))
    across = left - right
    unit = float(np.hypot(*across))
    width = unit * rng.uniform(*crop.width)
    aspect = rng.uniform(*crop.aspect)
    height = width * (1.0 if rng.random() < crop.square_p else aspect)
    level = height * rng.uniform(*crop.eyes)
    angle = np.arctan2(across[1], across[0]) + np.deg2rad(rng.normal(0, crop.turn_sd_deg))
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    eyes = (right + left) / 2
    target = np.array([width / 2 + rng.normal(0, crop.shift_sd) * unit, level])
    return np.column_stack([turn, target - turn @ eyes]), (max(2, round(width)), max(2, round(height)))
