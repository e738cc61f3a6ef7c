"""The Monk Skin Tone scale: ten swatches, and the one that is nearest to a colour.

The scale was made for people to choose from, by eye, not for pictures to be measured against. The swatches 1 to
4 have L* 88 to 94, lighter than skin gets in most photographs, and differ among themselves more in hue than in
lightness; the step from 5 to 6 is 23 in L*. So light skin mostly comes out as 5, light skin with a rosy tint as
2, and dark skin with a sheen as 8. Group people by ITA rather than by this column.

Source: Monk 2019, released by Google 2022 (skintone.google), CC BY 4.0.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from equime.attribute_extraction.colour import F64, lab_of_hex

SWATCHES: Final = (
    *("#f6ede4", "#f3e7db", "#f7ead0", "#eadaba", "#d7bd96"),
    *("#a07e56", "#825c43", "#604134", "#3a312a", "#292420"),
)
"""sRGB of Monk 1 to 10."""

_LAB: Final[F64] = np.stack([lab_of_hex(swatch) for swatch in SWATCHES])


def nearest_monk(colour: ArrayLike) -> tuple[int, float]:
    """The swatch nearest in CIELAB.

    Args:
        colour: L*, a*, b*.

    Returns:
        Its number 1 to 10, and the distance to it (CIE 1976 colour difference).
    """
    distance = np.linalg.norm(_LAB - np.asarray(colour, np.float64), axis=1)
    best = int(distance.argmin())
    return best + 1, float(distance[best])
