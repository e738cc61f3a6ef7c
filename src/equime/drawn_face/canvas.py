"""The drawing surface: millimetres of the face to pixels, anti-aliased masks, strokes, blurs and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""A picture, mask or height field: float32 (H, W) or (H, W, 3)."""

Points = NDArray[Any]
"""float64 (n, 2) or (n, 3), millimetres of the face unless a name says pixels."""

FIELD_MM: Final = 326.0
"""Side of the picture on the plane of the face: a head (225 mm) with hair and the start of the shoulders."""

EYE_LINE: Final = 0.475
"""Height of the eye line in the picture, from the top: eyes at half height of the head."""

_SUBPIXEL_BITS: Final = 4


@dataclass(frozen=True)
class Canvas:
    """A square picture of ``side_px`` whose origin (0, 0) mm lies between the pupils."""

    side_px: int

    @property
    def px_per_mm(self) -> float:
        """Pixels per millimetre on the face."""
        return self.side_px / FIELD_MM

    def to_px(self, points_mm: Any) -> Points:
        """Pixel coordinates (pixel centres at integers) of the first two columns of ``points_mm``."""
        xy = np.asarray(points_mm, np.float64)[..., :2]
        origin = np.array([self.side_px / 2, self.side_px * EYE_LINE])
        return np.asarray(xy * self.px_per_mm + origin - 0.5)

    def grid_mm(self) -> tuple[Array, Array]:
        """Coordinates x and y of every pixel centre, millimetres."""
        return _grid_mm(self.side_px)

    def fixed(self, points_mm: Any) -> NDArray[np.int32]:
        """Points in OpenCV's fixed-point pixels."""
        return np.round(self.to_px(points_mm) * (1 << _SUBPIXEL_BITS)).astype(np.int32)

    def fill(self, outline_mm: Any, soft_mm: float = 0.0) -> Array:
        """Mask 0..1 of a polygon, its edge softened by a Gaussian of ``soft_mm``."""
        mask = np.zeros((self.side_px, self.side_px), np.uint8)
        cv2.fillPoly(mask, [self.fixed(outline_mm)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
        return self.blur(mask.astype(np.float32) / 255, soft_mm)

    def line(self, path_mm: Any, width_mm: float, soft_mm: float = 0.0) -> Array:
        """Mask 0..1 of a polyline; a line thinner than a pixel is fainter instead."""
        mask = np.zeros((self.side_px, self.side_px), np.uint8)
        width_px = width_mm * self.px_per_mm
        value = 255 * min(1.0, width_px)
        cv2.polylines(
            mask, [self.fixed(path_mm)], False, value, max(1, round(width_px)), cv2.LINE_AA, _SUBPIXEL_BITS
        )
        return self.blur(mask.astype(np.float32) / 255, soft_mm)

    def spot(self, x: float, y: float, rx: float, ry: float | None = None) -> Array:
        """Gaussian spot of height 1 at (x, y) with standard deviations rx and ry, millimetres."""
        gx, gy = self.grid_mm()
        bell_x = np.exp(-0.5 * ((gx[0] - x) / rx) ** 2).astype(np.float32)
        bell_y = np.exp(-0.5 * ((gy[:, 0] - y) / (ry or rx)) ** 2).astype(np.float32)
        return np.asarray(bell_y[:, None] * bell_x[None, :])

    def blur(self, image: Array, sigma_mm: float) -> Array:
        """Gaussian blur; wide ones are computed on a reduced picture."""
        sigma = sigma_mm * self.px_per_mm
        if sigma < 0.15:
            return image
        step = int(sigma // 4)
        if step < 2:
            return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
        small_px = math.ceil(image.shape[0] / step)
        small = cv2.resize(image, (small_px, small_px), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma * small_px / image.shape[0])
        size = (image.shape[1], image.shape[0])
        return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.float32)

    def shift(self, image: Array, dx_mm: float, dy_mm: float) -> Array:
        """The picture moved right and down; its border repeats."""
        move = np.array([[1, 0, dx_mm], [0, 1, dy_mm]]) * [[1, 1, self.px_per_mm]]
        size = (self.side_px, self.side_px)
        return np.asarray(cv2.warpAffine(image, move, size, borderMode=cv2.BORDER_REPLICATE), np.float32)

    def noise(self, rng: np.random.Generator, scale_mm: float) -> Array:
        """Smooth noise of mean 0 and standard deviation 1 whose grain is about ``scale_mm``.

        The grain lies on a grid in millimetres: the same stream gives the same pattern at any size that can
        show it, and a fainter one where the grain is finer than a pixel. The draws come from a child of
        ``rng``, so their number does not move what is drawn next.
        """
        wanted = math.ceil(2 * FIELD_MM / scale_mm)
        n = min(max(4, wanted), self.side_px)
        grain = rng.spawn(1)[0].standard_normal((n, n), dtype=np.float32)
        # Blurred grain shows no lattice after resizing; 3.2 gives it back its standard deviation.
        grain = cv2.GaussianBlur(grain, (0, 0), 0.9) * (3.2 * min(1.0, n / wanted))
        size = (self.side_px, self.side_px)
        return np.asarray(cv2.resize(grain, size, interpolation=cv2.INTER_CUBIC), np.float32)


@lru_cache(maxsize=3)
def _grid_mm(side_px: int) -> tuple[Array, Array]:
    index = (np.arange(side_px) + 0.5) * FIELD_MM / side_px
    x, y = np.meshgrid(index - FIELD_MM / 2, index - FIELD_MM * EYE_LINE)
    x, y = x.astype(np.float32), y.astype(np.float32)
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


def smoothstep(x: Any, low: float, high: float) -> Any:
    """0 below ``low``, 1 above ``high``, smooth between (``low`` may be the larger one)."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def spline(points: Any, n: int = 60, closed: bool = False) -> Points:
    """Catmull-Rom-like smooth curve (cubic, chord length) through ``points``, sampled at ``n`` places."""
    from scipy.interpolate import CubicSpline, PchipInterpolator  # noqa: PLC0415

    p = np.asarray(points, np.float64)
    if closed:
        p = np.vstack([p, p[:1]])
    t = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))]
    s = np.linspace(0, t[-1], n, endpoint=not closed)
    if closed:
        return np.asarray(CubicSpline(t, p, bc_type="periodic")(s))
    return np.asarray(PchipInterpolator(t, p)(s) if len(p) < 4 else CubicSpline(t, p)(s))


def mix(under: Array, over: Any, alpha: Array) -> Array:
    """``over`` (a picture or an RGB triple) laid over ``under`` with ``alpha`` (H, W)."""
    a = alpha[..., None]
    return np.asarray(under + (np.asarray(over, np.float32) - under) * a, np.float32)


def linear(srgb: Any) -> Array:
    """Linear light of sRGB values 0..1."""
    c = np.asarray(srgb, np.float32)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)


def hex_linear(code: str) -> Array:
    """``"#rrggbb"`` to linear light."""
    return linear([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)])
