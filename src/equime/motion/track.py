"""What the motion analysis hands to the annotators of a clip: facial movement with the head's taken off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

REGIONS: Final = (
    "brow_right", "brow_left", "glabella", "eye_right", "eye_left", "cheek_right", "cheek_left", "nose",
    "mouth_right", "mouth_left", "upper_lip", "lower_lip", "chin",
)  # fmt: skip
"""Facial regions; right and left are the subject's."""

EYES: Final = ("eye_right", "eye_left")
"""Regions that blinks and gaze move."""


@dataclass(frozen=True)
class MotionTrack:
    """Movement of the face in one clip, relative to a neutral reference frame.

    Lengths are millimetres on the face (from `px_per_mm`), x to the picture's right (the subject's left), y up.
    T frames, R `REGIONS`, C side of the analysis crop in pixels.

    Attributes:
        time_ms: float64 (T,).
        fps: frames per second.
        landmarks: float32 (478, 2), frame 0, pixels of the frame.
        px_per_mm: scale of the face in the frame.
        displacement_mm: float32 (T, R, 2), mean displacement of each region since frame 0, head motion removed.
        magnitude_mm: float32 (T, R), mean length of the displacement in each region, head motion removed.
        strain: float32 (T, R), mean optical strain magnitude, sqrt(exx^2 + eyy^2 + 2 exy^2).
        head: float32 (T, 4), x_mm, y_mm, roll_deg, log scale of the rigid motion that was removed.
        aperture: float32 (T, 2), lid aperture right and left relative to frame 0 (1 is as open as frame 0).
        change: float32 (T,), mean absolute grey difference to the previous frame in the face, grey levels.
        peak_frame: frame of the largest movement outside of the eyes, or of the lids where nothing else moves.
        peak_flow_mm: float32 (C, C, 2), dense displacement frame 0 to ``peak_frame`` in the crop, head motion
            removed.
        crop: float64 (2, 3), similarity from frame pixels to crop pixels.
        reference_bgr, peak_bgr: uint8 (H, W, 3), frame 0 and ``peak_frame``.
        head_turn_deg: float32 (T, 2), yaw (to the subject's left) and pitch (up) that were removed.
        lid_gap_mm: opening of the right and the left eye in the reference frame.
        reference_frame: what "frame 0" above stands for: the first frame that shows a face.
    """

    time_ms: NDArray[np.float64]
    fps: float
    landmarks: NDArray[np.float32]
    px_per_mm: float
    displacement_mm: NDArray[np.float32]
    magnitude_mm: NDArray[np.float32]
    strain: NDArray[np.float32]
    head: NDArray[np.float32]
    aperture: NDArray[np.float32]
    change: NDArray[np.float32]
    peak_frame: int
    peak_flow_mm: NDArray[np.float32]
    crop: NDArray[np.float64]
    reference_bgr: NDArray[np.uint8]
    peak_bgr: NDArray[np.uint8]
    head_turn_deg: NDArray[np.float32] | None = None
    lid_gap_mm: tuple[float, float] | None = None
    reference_frame: int = 0
