"""Where skin is seen best, and its colour there: both cheeks above the beard line, and the lower forehead.

The outlines follow the landmarks and leave out brows, lids, nose, nostrils, lips and the beard. What covers
skin all the same (hair on the forehead, the rim of glasses, stubble, moles) and what is not its colour (clipped
pixels, shine, shadow) is taken out by its colour:

1. pixels with a channel at its end are counted and dropped;
2. of the forehead, only pixels that could be the skin of the cheeks stay (`_HAIR_LIGHTNESS`, `_HAIR_COLOUR`);
3. per region, pixels whose a* or b* lies more than three robust standard deviations from the median go;
4. per region, the darkest and the lightest fifth go, the mean of the others is the region's colour.

The colour of a face is the mean of its regions, each counting once: light from one side lifts one cheek and
lowers the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.attribute_extraction.colour import F64, lab, stops
from equime.face.alignment import LEFT_IRIS, RIGHT_IRIS
from equime.face.anatomy import FACE_OVAL, LOWER_LID, UPPER_LID

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
Place = Literal["cheek_right", "cheek_left", "forehead"]

# From the cheek bone along the lower orbit to the nose, down beside it, and back above the line of a beard.
# The fourth point is where an outline shrinks to, away from the edge of the face, where hair and shade are.
_CHEEKS: Final[dict[Place, tuple[int, ...]]] = {
    "cheek_right": (117, 118, 101, 36, 205, 187, 123),
    "cheek_left": (346, 347, 330, 266, 425, 411, 352),
}
_INWARD: Final = 0.85
_ABOVE_BROWS: Final = (69, 108, 151, 337, 299)
_HAIRLINE: Final = (67, 109, 10, 338, 297)
_UP: Final = 0.55

_EYES_PX: Final = 90.0
"""Larger faces are shrunk to this eye distance; colour needs no more pixels."""

_CLIPPED: Final = (1, 254)
"""A channel at or beyond either has lost its value."""

_HAIR_LIGHTNESS: Final = 15.0
_HAIR_COLOUR: Final = 15.0
_OUTLIER: Final = 3.0
_LEAST_SPREAD: Final = 1.0
_TRIMMED: Final = 0.2
_PATCHY_STOPS: Final = 0.5
"""A pixel this far from the median of its region lies in shadow or shines."""

_LEAST_PX: Final = 30
_LEAST_SHARE: Final = 0.3
_FORESHORTENED: Final = 0.3
"""A cheek with less than this share of the other's area is turned away and not used."""

_GREY_LEVELS: Final = 8
_WHITE_FROM: Final = 1.15
_WHITE_PX: Final = 8


@dataclass(frozen=True)
class Skin:
    """The skin of one face in one picture.

    Attributes:
        regions: CIELAB (3,) of each region that could be measured.
        n_px: pixels of the picture that they rest on.
        share: of the outlines' pixels that were kept, 0..1.
        clipped: share of pixels with a channel at its end.
        patchy: share of pixels that lie in shadow or shine, against their region.
        white: CIELAB (3,) of the white of the eyes; None where too little of it is seen.
    """

    regions: dict[Place, F64]
    n_px: int
    share: float
    clipped: float
    patchy: float
    white: F64 | None

    @property
    def colour(self) -> F64:
        """CIELAB (3,), the mean of the regions."""
        return np.asarray(np.mean(list(self.regions.values()), axis=0), np.float64)


def is_grey(rgb: Pixels, landmarks: NDArray[np.float32]) -> bool:
    """Whether a picture has no colour: the channels of the face differ by a few levels at most.

    Args:
        rgb: uint8 (H, W, 3).
        landmarks: (478, 3), pixels of it.
    """
    face = rgb[_mask(rgb, landmarks[list(FACE_OVAL), :2].astype(np.float64))]
    spread = face.max(axis=1).astype(int) - face.min(axis=1)
    return not len(face) or float(np.quantile(spread, 0.95)) <= _GREY_LEVELS


def measure_skin(rgb: Pixels, landmarks: NDArray[np.float32]) -> Skin | None:
    """Colour of the skin of a face.

    Args:
        rgb: uint8 (H, W, 3), sRGB.
        landmarks: (478, 3), pixels of it.

    Returns:
        None where no region has enough skin.
    """
    rgb, points, scale = _cut(rgb, landmarks[:, :2].astype(np.float64))
    pixels = {place: rgb[_mask(rgb, outline)] for place, outline in outlines(points).items()}
    n_outlined = sum(map(len, pixels.values()))
    usable = {place: lab(own[~_clipped(own)]) for place, own in pixels.items()}
    n_usable = sum(map(len, usable.values()))
    usable["forehead"] = _without_hair(usable)
    kept = {place: _without_outliers(own) for place, own in usable.items()}
    kept = {
        place: own
        for place, own in kept.items()
        if len(own) >= max(_LEAST_PX, _LEAST_SHARE * len(pixels[place]))
    }
    if not kept:
        return None
    n_kept = sum(map(len, kept.values()))
    n_patchy = sum(map(_n_patchy, kept.values()))
    return Skin(
        regions={place: _trimmed_mean(own) for place, own in kept.items()},
        n_px=round(n_kept / scale**2),
        share=n_kept / n_outlined,
        clipped=1 - n_usable / n_outlined,
        patchy=n_patchy / n_kept,
        white=_white_of_eyes(rgb, points),
    )


def outlines(points: Points) -> dict[Place, Points]:
    """Polygons (N, 2) of the regions that face the camera.

    Args:
        points: landmarks (478, 2), pixels.
    """
    made: dict[Place, Points] = {}
    for place, indices in _CHEEKS.items():
        inner = points[indices[3]]
        made[place] = inner + _INWARD * (points[list(indices)] - inner)
    areas = {place: _area(outline) for place, outline in made.items()}
    made = {p: outline for p, outline in made.items() if areas[p] >= _FORESHORTENED * max(areas.values())}
    low, high = points[list(_ABOVE_BROWS)], points[list(_HAIRLINE)]
    made["forehead"] = np.vstack([low, (low + _UP * (high - low))[::-1]])
    return made


def _area(outline: Points) -> float:
    return float(cv2.contourArea(outline.astype(np.float32)))


def _cut(rgb: Pixels, points: Points) -> tuple[Pixels, Points, float]:
    """The part of the picture with the face, shrunk if it is large; the points in it; the scale."""
    low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, None)
    high = np.ceil(points.max(axis=0)).astype(int) + 1
    part = rgb[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)]
    eyes = float(np.hypot(*(points[LEFT_IRIS[0]] - points[RIGHT_IRIS[0]])))
    scale = min(1.0, _EYES_PX / max(eyes, 1e-6))
    if scale < 1.0 and part.size:
        part = np.asarray(cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    return part, (points - low + 0.5) * scale - 0.5, scale


def _mask(rgb: Pixels, outline: Points) -> NDArray[np.bool_]:
    mask = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], (1,))
    return mask.astype(bool)


def _clipped(pixels: Pixels) -> NDArray[np.bool_]:
    low, high = _CLIPPED
    return np.asarray((pixels.max(axis=1) >= high) | (pixels.max(axis=1) <= low), np.bool_)


def _without_hair(pixels: dict[Place, F64]) -> F64:
    """Pixels of the forehead that could be the same skin as the cheeks'."""
    forehead = pixels["forehead"]
    cheeks = [own for place, own in pixels.items() if place != "forehead" and len(own)]
    if not cheeks:
        return forehead
    skin = np.mean([np.median(own, axis=0) for own in cheeks], axis=0)
    light = forehead[:, 0] >= skin[0] - _HAIR_LIGHTNESS
    alike = np.hypot(*(forehead[:, 1:] - skin[1:]).T) <= _HAIR_COLOUR
    return np.asarray(forehead[light & alike], np.float64)


def _without_outliers(pixels: F64) -> F64:
    if not len(pixels):
        return pixels
    away = np.abs(pixels[:, 1:] - np.median(pixels[:, 1:], axis=0))
    # 1.4826: a median absolute deviation as a standard deviation of normal values.
    spread = np.maximum(1.4826 * np.median(away, axis=0), _LEAST_SPREAD)
    return np.asarray(pixels[(away <= _OUTLIER * spread).all(axis=1)], np.float64)


def _trimmed_mean(pixels: F64) -> F64:
    low, high = np.quantile(pixels[:, 0], [_TRIMMED, 1 - _TRIMMED])
    inside = (pixels[:, 0] >= low) & (pixels[:, 0] <= high)
    return np.asarray(pixels[inside].mean(axis=0), np.float64)


def _n_patchy(pixels: F64) -> int:
    light = stops(pixels[:, 0])
    return int((np.abs(light - np.median(light)) > _PATCHY_STOPS).sum())


def _white_of_eyes(rgb: Pixels, points: Points) -> F64 | None:
    """Median CIELAB of the lighter part of what lies between lids and iris, both eyes together."""
    found = []
    for upper, lower, iris in zip(UPPER_LID, LOWER_LID, (RIGHT_IRIS, LEFT_IRIS), strict=True):
        lids = points[[*upper, *lower[-2:0:-1]]]
        inside = np.argwhere(_mask(rgb, lids.mean(axis=0) + _INWARD * (lids - lids.mean(axis=0))))
        radius = float(np.hypot(*(points[iris[1]] - points[iris[3]]))) / 2
        away = np.hypot(*(inside[:, ::-1] - points[iris[0]]).T) / max(radius, 1e-6)
        found.append(rgb[tuple(inside[away > _WHITE_FROM].T)])
    white = lab(np.concatenate(found))
    if len(white) < _WHITE_PX:
        return None
    # The darker part is lashes, corner and the shadow of the lid.
    lighter = white[white[:, 0] >= np.median(white[:, 0])]
    return np.asarray(np.median(lighter, axis=0), np.float64)
