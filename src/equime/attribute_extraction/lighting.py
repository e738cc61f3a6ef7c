"""How far the light lets the colour of skin be read from a picture: 0 (not at all) to 1 (nothing speaks against it).

Five things are asked, each giving 1 up to a harmless value, 0 from a ruinous one, linear between; the confidence
is the smallest of them, because good light from the front does not make up for a yellow lamp:

========== ============================================================ ======== =======
part       quantity                                                     1 up to  0 from
========== ============================================================ ======== =======
sides      difference between the cheeks, stops                         0.3      1.5
forehead   difference between forehead and cheeks, stops                0.6      2.0
clipped    share of pixels with a channel at its end                    0.02     0.30
patchy     share of pixels half a stop or more from their region's      0.10     0.60
           median: shadow and shine
cast       C*ab of the white of the eyes: a colour cast of the light    14       35
========== ============================================================ ======== =======

Light is compared in stops, so that a shadow weighs the same on dark and on light skin. Shine adds light rather than
multiplying it: it changes the measured colour of dark skin more than that of light skin, and lowers its confidence
more. A limit on the confidence therefore drops unlike shares of the groups; count what it drops.
A region that is missing (turned away, under hair) cannot be compared: 0.6 with one of the three missing, 0.3
with two. Eyes that are shut or small do not tell the light's colour; the last part is then left out.

The bounds are equime's own, chosen by eye on a few dozen portraits and drawn faces; they have no source. What
the confidence cannot see: exposure. A dark picture of light skin is a picture of dark skin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from equime.attribute_extraction.colour import chroma, stops
from equime.attribute_extraction.skin_regions import Skin

BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "sides": (0.3, 1.5),
    "forehead": (0.6, 2.0),
    "clipped": (0.02, 0.30),
    "patchy": (0.10, 0.60),
    "cast": (14.0, 35.0),
}
"""Largest harmless and smallest ruinous value of each part."""

_REGIONS_FOUND: Final = {3: 1.0, 2: 0.6, 1: 0.3}


def lighting_confidence(skins: Sequence[Skin]) -> tuple[float, str | None]:
    """Confidence 0..1 over the frames of a clip, and what limits it.

    Args:
        skins: of its frames, at least one.

    Returns:
        The smallest part, and its name ("sides", "forehead", "clipped", "patchy", "cast" or "covered"); None
        for a name where nothing speaks against the light.
    """
    looks = [_quantities(skin) for skin in skins]
    parts = {"covered": float(np.median([_REGIONS_FOUND[len(skin.regions)] for skin in skins]))}
    for name, (harmless, ruinous) in BOUNDS.items():
        values = [look[name] for look in looks if name in look]
        if values:
            worse = (float(np.median(values)) - harmless) / (ruinous - harmless)
            parts[name] = 1.0 - min(max(worse, 0.0), 1.0)
    weakest = min(parts, key=lambda name: parts[name])
    return parts[weakest], weakest if parts[weakest] < 1 else None


def _quantities(skin: Skin) -> dict[str, float]:
    found = {"clipped": skin.clipped, "patchy": skin.patchy}
    light = {place: float(stops(colour[0])) for place, colour in skin.regions.items()}
    cheeks = [value for place, value in light.items() if place != "forehead"]
    if len(cheeks) == 2:
        found["sides"] = abs(cheeks[0] - cheeks[1])
    if cheeks and "forehead" in light:
        found["forehead"] = abs(light["forehead"] - float(np.mean(cheeks)))
    if skin.white is not None:
        found["cast"] = float(chroma(skin.white))
    return found
