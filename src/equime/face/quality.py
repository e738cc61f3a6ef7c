"""Measure an aligned face: pose, eyes, mouth, sharpness, glasses, and whether it is a human face at all.

Everything is measured on the aligned crop (`CROP_PX`), where every head has the same size and place: a number
means the same for every photograph. Lengths are relative to the face, brightness to the face's own contrast:
a grey, dark or pale photograph measures like a bright one.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.face import landmarks as lm
from equime.face.alignment import EYES_TO_MOUTH, LEFT_IRIS, RIGHT_IRIS
from equime.types import FaceQuality

Points = NDArray[np.float32]
Pixels = NDArray[np.uint8]

OVAL: Final = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Outline of the face."""

RIGHT_LIDS: Final = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_LIDS: Final = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
"""Outline of the opening of an eye, from the outer corner over the upper lid."""

# Upper and lower lid above and below the iris, as positions in *_LIDS.
_LID_PAIRS: Final = ((3, 13), (4, 12), (5, 11))

# The same place on the subject's right and left.
_PAIRS: Final = (
    (33, 263), (133, 362), (61, 291), (78, 308), (468, 473), (105, 334), (234, 454), (127, 356),
    (50, 280), (98, 327), (172, 397), (93, 323),
)  # fmt: skip
_EYE_PAIRS: Final = (
    *zip(RIGHT_LIDS, LEFT_LIDS, strict=True),
    (469, 476), (470, 475), (471, 474), (472, 477),
)  # fmt: skip
_MIDLINE: Final = (0, 1, 2, 4, 6, 8, 10, 13, 14, 17, 152, 168)

_SHARPNESS_PX: Final = 256
_SHARPNESS_SPREAD: Final = 40.0
_OPEN_ENOUGH: Final = 0.15
# Of the line from forehead to chin in a level head; the median of 18 frontal portraits.
_FRONTAL_PITCH_DEG: Final = -8.0

# Medians of the same portraits.
_NEUTRAL_LIFT: Final = 0.03
_NEUTRAL_WIDTH: Final = 0.77


def measure(crop: Pixels, landmarks: Points, *, face_px: float, roll_deg: float, n_faces: int) -> FaceQuality:
    """All measurements of one aligned face.

    Args:
        crop: uint8 (512, 512, 3) RGB.
        landmarks: (478, 3) in pixels of the crop.
        face_px: shorter side of the face in the source image, pixels.
        roll_deg: tilt of the head in the source image.
        n_faces: faces in the source image.
    """
    yaw, pitch = yaw_pitch(landmarks)
    openings = eye_openings(landmarks)
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
    return FaceQuality(
        face_px=_rounded(face_px),
        sharpness=_rounded(sharpness(grey, landmarks)),
        yaw_deg=_rounded(yaw),
        pitch_deg=_rounded(pitch),
        roll_deg=_rounded(roll_deg),
        eye_open=_rounded(min(openings)),
        mouth_open=_rounded(mouth_opening(landmarks)),
        smile=_rounded(smile(landmarks)),
        humanness=_rounded(humanness(crop, landmarks)),
        n_faces=n_faces,
        glasses=_rounded(glasses(grey, landmarks)),
    )


def _rounded(value: float) -> float:
    """Four decimals: what is beyond them is noise."""
    return round(float(value), 4)


def _distance(points: Points, a: int, b: int) -> float:
    return float(np.hypot(*(points[a, :2] - points[b, :2])))


def face_unit(landmarks: Points) -> float:
    """The eye distance in pixels, as it would be if the head were not turned."""
    eyes = (landmarks[RIGHT_IRIS[0], :2] + landmarks[LEFT_IRIS[0], :2]) / 2
    mouth = (landmarks[61, :2] + landmarks[291, :2]) / 2
    return max(
        _distance(landmarks, RIGHT_IRIS[0], LEFT_IRIS[0]), float(np.hypot(*(mouth - eyes))) / EYES_TO_MOUTH
    )


def yaw_pitch(landmarks: Points) -> tuple[float, float]:
    """Head pose from the depth of the mesh, degrees: yaw positive to the subject's left, pitch positive up.

    Yaw is the direction of the lines that join the two sides of the face, pitch that of the line from
    forehead to chin.
    """
    points = landmarks.astype(np.float64)
    right, left = (list(side) for side in zip(*_PAIRS, strict=True))
    across = (points[left] - points[right]).sum(0)
    down = points[152] - points[10]
    yaw = np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1])))
    pitch = np.degrees(np.arctan2(-down[2], np.hypot(down[0], down[1]))) - _FRONTAL_PITCH_DEG
    return float(yaw), float(pitch)


def eye_openings(landmarks: Points) -> tuple[float, float]:
    """Lid gap over eye width, (right, left); an open eye has 0.2 to 0.45, a closed one about 0.1 or less."""
    right, left = (
        sum(_distance(landmarks, lids[a], lids[b]) for a, b in _LID_PAIRS)
        / len(_LID_PAIRS)
        / max(_distance(landmarks, lids[0], lids[8]), 1e-6)
        for lids in (RIGHT_LIDS, LEFT_LIDS)
    )
    return right, left


def mouth_opening(landmarks: Points) -> float:
    """Gap between the inner lips over the inner width of the mouth."""
    return _distance(landmarks, 13, 14) / max(_distance(landmarks, 78, 308), 1e-6)


def smile(landmarks: Points) -> float:
    """Lift of the lip corners plus widening of the mouth against a neutral face; a broad smile has 0.35.

    Lift is the height of the corners above the line between the lips, over the width of the mouth; width is
    that of the mouth over the eye distance.
    """
    width = max(_distance(landmarks, 61, 291), 1e-6)
    lift = float((landmarks[[13, 14], 1].mean() - landmarks[[61, 291], 1].mean()) / width)
    return (lift - _NEUTRAL_LIFT) + (width / face_unit(landmarks) - _NEUTRAL_WIDTH)


def sharpness(grey: Pixels, landmarks: Points) -> float:
    """Variance of the Laplacian inside the face, with the crop shrunk to 256 px (Pech-Pacheco 2000).

    Referred to a face whose grey levels have a standard deviation of 40, so that a pale photograph does not
    count as blurred.
    """
    small = cv2.resize(grey, (_SHARPNESS_PX, _SHARPNESS_PX), interpolation=cv2.INTER_AREA)
    face = _mask(small.shape, landmarks[list(OVAL), :2] * (_SHARPNESS_PX / len(grey)))
    spread = max(float(small[face].std()), 1.0)
    return float(cv2.Laplacian(small, cv2.CV_32F)[face].var()) * (_SHARPNESS_SPREAD / spread) ** 2


def _mask(shape: tuple[int, ...], outline: NDArray[np.float32]) -> NDArray[np.bool_]:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], (1,))
    return mask.astype(bool)


def glasses(grey: Pixels, landmarks: Points) -> float:
    """Evidence of glasses, 0..1: the strongest level edge that crosses the bridge of the nose.

    Skin has no such edge there, the bridge of a frame has. Rimless glasses may be missed.
    """
    unit = face_unit(landmarks)
    x, y = landmarks[[6, 168], :2].mean(0)
    patch = _patch(grey, x, y, 0.12 * unit, 0.24 * unit)
    if patch.size == 0:
        return 0.0
    smooth = cv2.GaussianBlur(patch.astype(np.float32), (0, 0), 1.0)
    # The mean along a row before the absolute value: texture cancels, a line stays.
    edges = np.abs(cv2.Sobel(smooth, cv2.CV_32F, 0, 1).mean(axis=1)) / 8
    return _ramp(float(edges[2:-2].max(initial=0.0)), 8.0, 24.0)


def _patch(image: Pixels, x: float, y: float, half_width: float, half_height: float) -> Pixels:
    top, bottom = max(0, round(y - half_height)), max(0, round(y + half_height))
    left, right = max(0, round(x - half_width)), max(0, round(x + half_width))
    return image[top:bottom, left:right]


def _ramp(value: float, zero: float, one: float) -> float:
    """0 at ``zero`` or beyond, 1 at ``one`` or beyond, linear between."""
    return float(np.clip((value - zero) / (one - zero), 0.0, 1.0))


def humanness(crop: Pixels, landmarks: Points) -> float:
    """0..1: the weakest of three independent pieces of evidence that this is the face of a human.

    * The far-range detector sees a face in the crop. Unlike the near-range one and the mesh it does not take
      animals for people.
    * The mesh of the mirrored crop is the mirrored mesh: where nothing fits, it drifts.
    * The irises are darker than the white around them, measured in units of the face's own contrast: the eyes
      of statues are of one material. An eye that is almost shut is not asked.

    The crop and its mirror image are treated alike, so that both get (nearly) the same answer.
    """
    mirror = np.ascontiguousarray(crop[:, ::-1])
    other = lm.mesh(mirror)
    if other is None:
        return 0.0
    back = mirrored(other, crop.shape[1])
    seen = max(lm.far_score(crop), lm.far_score(mirror))
    contrast = iris_contrast(crop, ((landmarks + back) / 2).astype(np.float32))
    return min(
        _ramp(seen, 0.2, 0.6),
        _ramp(disagreement(landmarks, back), 0.12, 0.06),
        1.0 if contrast is None else _ramp(contrast, 0.0, 0.5),
    )


def mirrored(landmarks: Points, width: int) -> Points:
    """Landmarks of a mirrored picture, turned back; only the points of eyes, pairs and midline are right."""
    out = landmarks.copy()
    right, left = (list(side) for side in zip(*_PAIRS, *_EYE_PAIRS, strict=True))
    out[right], out[left] = landmarks[left], landmarks[right]
    out[:, 0] = width - 1 - out[:, 0]
    return out


def disagreement(landmarks: Points, others: Points) -> float:
    """Mean distance between two meshes of one face over pairs and midline, in eye distances."""
    compared = [*(i for pair in _PAIRS for i in pair), *_MIDLINE]
    return float(np.hypot(*(landmarks - others)[compared, :2].T).mean()) / face_unit(landmarks)


def iris_contrast(crop: Pixels, landmarks: Points) -> float | None:
    """How much darker the irises are than the white, in standard deviations of the face's brightness.

    Brightness is logarithmic, so that the exposure and the gamma of a photograph cancel.

    Returns:
        Mean of the eyes that are open enough to tell; None if neither is.
    """
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
    lightness = np.log(grey.astype(np.float32) + 4.0)
    spread = float(lightness[_mask(grey.shape, landmarks[list(OVAL), :2])].std())
    values = []
    eyes = zip((RIGHT_LIDS, LEFT_LIDS), (RIGHT_IRIS, LEFT_IRIS), eye_openings(landmarks), strict=True)
    for lids, iris, opening in eyes:
        if opening < _OPEN_ENOUGH:
            continue
        inside = np.argwhere(_mask(lightness.shape, landmarks[list(lids), :2]))
        radius = _distance(landmarks, iris[1], iris[3]) / 2
        away = np.hypot(*(inside[:, ::-1] - landmarks[iris[0], :2]).T) / max(radius, 1e-6)
        dark, white = inside[away < 0.8], inside[away > 1.15]
        if len(dark) and len(white):
            values.append(float(lightness[tuple(white.T)].mean() - lightness[tuple(dark.T)].mean()))
    return float(np.mean(values)) / max(spread, 0.01) if values else None
