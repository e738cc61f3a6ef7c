"""Is a later frame still a face, and this one? Two measures that need no weights, against the clip's first face.

* *Likeness*: the aligned faces are cut into windows, and each window's pattern (band-pass) is looked for in the
  other picture within a few pixels, by normalised cross-correlation (Lewis 1995). Skin that moved is found again;
  the skin of another person is not. It knows this photograph, and nothing of other photographs of the person.
* *Unexplained movement*: optical flow at the landmarks, less what a rigid head (affine in depth, which the pose of a
  head under weak perspective is) and the muscles of `equime.face.au_fit` can do. A face that is bent in ways that
  no muscle bends it keeps a rest.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.face import au_fit
from equime.face.alignment import align, px_per_mm, scaled, warp

Image = NDArray[np.uint8]
Pattern = NDArray[np.float32]

CROP_PX: Final = 160
WINDOW_PX: Final = 16
REACH_PX: Final = 4
_ROWS: Final = (48, 128)
_COLUMNS: Final = (40, 120)
"""Brows to chin and cheek to cheek in the crop."""

_BAND: Final = (1.0, 4.0)
"""Standard deviations of the two Gaussians whose difference is the pattern: coarser than noise, finer than light."""

_BLINK_AU: Final = 45

_LIDS: Final = 0.05
"""Landmarks that a closing lid moves by more than this share of its largest movement are left out in a blink."""

_QUANTILE: Final = 0.95

_LEAST: Final = 0.2
"""Quantile of the windows that counts: an expression changes a few of them, another person most."""


class Look(NamedTuple):
    """One frame against the first: see the module."""

    likeness: float
    unexplained_mm: float


class FirstFace:
    """The face that a clip begins with, to compare later frames with.

    Args:
        bgr: uint8 (H, W, 3), the frame.

    Attributes:
        landmarks: float32 (478, 3) pixels; None where the frame shows no face.
    """

    def __init__(self, bgr: Image) -> None:
        self._rgb = np.ascontiguousarray(bgr[..., ::-1])
        self.landmarks = find_face(self._rgb)
        if self.landmarks is not None:
            self._scale = px_per_mm(self.landmarks)
            self._points = self.landmarks[:, :2].astype(np.float64)
            self._basis = au_fit.au_basis(self._points, self._scale)
            self._pattern = _pattern(self._rgb, self.landmarks)

    def look(self, bgr: Image, *, blink: bool = False) -> Look | None:
        """Compare a later frame; None where one of the two shows no face.

        Args:
            bgr: uint8 (H, W, 3), as large as the first.
            blink: the lids are closed in it.
        """
        rgb = np.ascontiguousarray(bgr[..., ::-1])
        after = find_face(rgb) if self.landmarks is not None else None
        if after is None:
            return None
        return Look(likeness(self._pattern, _pattern(rgb, after)), self._unexplained_mm(rgb, blink=blink))

    def _unexplained_mm(self, later: Image, *, blink: bool) -> float:
        """95th percentile over landmarks of the movement that neither head nor muscles explain, mm."""
        assert self.landmarks is not None
        basis, observed = self._basis, np.array(au_fit.OBSERVED)
        if blink:
            lids = np.linalg.norm(basis.of(_BLINK_AU, "left") + basis.of(_BLINK_AU, "right"), axis=1)
            observed = observed[lids[observed] < _LIDS * lids.max()]
        moved = au_fit.flow_at(self._rgb, later, self._points, self._scale)
        depth = np.column_stack([self.landmarks.astype(np.float64), np.ones(len(self.landmarks))])
        head, *_ = np.linalg.lstsq(depth[observed], moved[observed], rcond=None)
        moved = moved - depth @ head
        found = au_fit.fit_aus(moved, basis, observed)
        explained = sum(found[key] * field for key, field in zip(basis.keys, basis.fields, strict=True))
        rest = np.linalg.norm((moved - explained)[observed], axis=1) / self._scale
        return float(np.quantile(rest, _QUANTILE))


def find_face(rgb: Image) -> NDArray[np.float32] | None:
    """Landmarks (478, 3) of the largest face; None where there is none."""
    from equime.face.landmarks import find_boxes, mesh_in_box  # noqa: PLC0415

    boxes = find_boxes(rgb)
    return mesh_in_box(rgb, boxes[0]) if boxes else None


def likeness(first: Pattern, later: Pattern) -> float:
    """Lower quintile over windows of the best normalised cross-correlation, -1..1; 1 is the same skin.

    Args:
        first, later: patterns of aligned faces, float32 (CROP_PX, CROP_PX).
    """
    found = []
    for y in range(*_ROWS, WINDOW_PX):
        for x in range(*_COLUMNS, WINDOW_PX):
            window = first[y : y + WINDOW_PX, x : x + WINDOW_PX]
            low_y, low_x = y - REACH_PX, x - REACH_PX
            area = later[low_y : y + WINDOW_PX + REACH_PX, low_x : x + WINDOW_PX + REACH_PX]
            found.append(float(cv2.matchTemplate(area, window, cv2.TM_CCOEFF_NORMED).max()))
    return float(np.quantile(found, _LEAST))


def _pattern(rgb: Image, landmarks: NDArray[np.float32]) -> Pattern:
    crop = warp(rgb, scaled(align(landmarks), CROP_PX), CROP_PX)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in _BAND)
    return np.asarray(fine - coarse, np.float32)
