"""sRGB to CIELAB and back, and the numbers of skin colour that follow from it: ITA, hue angle, chroma.

Pixels are taken for sRGB (IEC 61966-2-1) seen under D65 by the 2 degree observer, which is what cameras and
H.264 files mean where they say nothing else. White is R = G = B, so a grey pixel has a* = b* = 0.

Sources: CIE 15:2018 (CIELAB); Chardon, Cretois & Hourseau 1991 (individual typology angle); Del Bino & Bernerd
2013 (its six groups); Thong, Joniak & Xiang 2023, "Beyond skin tone" (hue angle beside it).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]

_TO_XYZ: Final = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE: Final[F64] = _TO_XYZ.sum(axis=1)
_KNEE: Final = 6 / 29

ITA_GROUPS: Final = ("dark", "brown", "tan", "intermediate", "light", "very light")
"""From the smallest angle to the largest."""

ITA_LIMITS_DEG: Final = (-30.0, 10.0, 28.0, 41.0, 55.0)
"""Largest angle of each group but the last: an angle on a limit belongs to the darker group."""


def linear(srgb: ArrayLike) -> F64:
    """Linear light 0..1 of sRGB values 0..1, any shape."""
    v = np.asarray(srgb, np.float64)
    return np.asarray(np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4), np.float64)


_LINEAR_OF_BYTE: Final[F64] = linear(np.arange(256) / 255)


def lab(rgb: NDArray[np.uint8]) -> F64:
    """CIELAB of 8-bit sRGB pixels.

    Args:
        rgb: uint8 (..., 3).

    Returns:
        float64 (..., 3): L* 0..100, a*, b*.
    """
    xyz = _LINEAR_OF_BYTE[rgb] @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > _KNEE**3, np.cbrt(xyz), xyz / (3 * _KNEE**2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def srgb_of_lab(colour: ArrayLike) -> NDArray[np.uint8]:
    """The nearest 8-bit sRGB, uint8 (..., 3); what lies outside of sRGB is cut off."""
    lightness, a, b = np.moveaxis(np.asarray(colour, np.float64), -1, 0)
    y = (lightness + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(f > _KNEE, f**3, 3 * _KNEE**2 * (f - 4 / 29)) * _WHITE
    light = np.clip(xyz @ np.linalg.inv(_TO_XYZ).T, 0.0, 1.0)
    v = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * v), np.uint8)


def hex_of_lab(colour: ArrayLike) -> str:
    """The nearest sRGB as ``#rrggbb``."""
    return "#" + bytes(srgb_of_lab(colour)).hex()


def lab_of_hex(text: str) -> F64:
    """CIELAB (3,) of ``#rrggbb``."""
    return lab(np.frombuffer(bytes.fromhex(text[1:]), np.uint8))


def stops(lightness: ArrayLike) -> F64:
    """Light in photographic stops (base-2 logarithm of relative luminance) of L*; noise ends it at -8.

    A difference in stops is a ratio of light, and the same on dark and on light skin; one in L* is not.
    """
    f = (np.asarray(lightness, np.float64) + 16) / 116
    luminance = np.where(f > _KNEE, f**3, 3 * _KNEE**2 * (f - 4 / 29))
    return np.asarray(np.log2(np.maximum(luminance, 2.0**-8)), np.float64)


def ita_deg(colour: ArrayLike) -> float | None:
    """Individual typology angle: the direction of (b*, L* - 50), degrees; the larger, the lighter.

    Args:
        colour: L*, a*, b*.

    Returns:
        -90 to 90; None where b* is not positive: the angle is defined for skin, which is yellowish.
    """
    lightness, _, b = np.asarray(colour, np.float64)
    return float(np.degrees(np.arctan2(lightness - 50, b))) if b > 0 else None


def ita_group(angle_deg: float) -> str:
    """The group of `ITA_GROUPS` that an angle falls in (Del Bino & Bernerd 2013)."""
    return ITA_GROUPS[int(np.searchsorted(ITA_LIMITS_DEG, angle_deg, side="left"))]


def hue_deg(colour: ArrayLike) -> float:
    """Hue angle h*, the direction of (a*, b*), degrees 0..360: red 0, yellow 90; skin has 20 to 80."""
    _, a, b = np.asarray(colour, np.float64)
    return float(np.degrees(np.arctan2(b, a)) % 360)


def chroma(colour: ArrayLike) -> F64:
    """C*ab, the distance from grey, of (..., 3)."""
    values = np.asarray(colour, np.float64)
    return np.asarray(np.hypot(values[..., 1], values[..., 2]), np.float64)
