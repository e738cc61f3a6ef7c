"""Skin tone as a picture shows it: ITA, lightness, hue, the nearest Monk swatch, and how far to trust them.

Measured on both cheeks and the forehead (`equime.attribute_extraction.skin_regions`) of a few frames, as CIELAB
of sRGB under D65. ITA is the individual typology angle of Chardon, Cretois & Hourseau 1991 with the six groups of
Del Bino & Bernerd 2013; hue is reported beside it because tone from light to dark is one dimension of skin
colour and leaves out red to yellow (Thong, Joniak & Xiang 2023).

What these numbers are not:

* They are of a *picture*, not of a person. Camera, exposure, white balance, make-up and light move the ITA of one
  person by tens of degrees; dermatology measures it by contact, under a known lamp. Lightness taken from photographs
  in uncontrolled light is a poor stand-in for skin reflectance: in Howard et al. 2021 ("Reliability and validity
  of image-based and self-reported skin phenotype metrics", arXiv 2106.11240) it varied widely within one person.
  Compare groups of pictures that were taken, or made, in like light, and read `lighting_confidence`.
* They are not race, ethnicity or origin, and no stand-in for them.
* The groups were defined on skin measured by contact. A picture's ITA falls into them by convention only; near a
  limit, a group is a coin toss.
* The Monk number is an estimate of a picture, the nearest of ten painted swatches; see
  `equime.attribute_extraction.monk` for why it hardly ever says 1 to 4.

A grey video has no skin colour, and its columns stay empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from equime.annotation.annotators import ClipContext, Metric, Row, Session, Value
from equime.attribute_extraction.colour import F64, hex_of_lab, hue_deg, ita_deg, ita_group
from equime.attribute_extraction.lighting import lighting_confidence
from equime.attribute_extraction.monk import nearest_monk
from equime.attribute_extraction.sampled_faces import SampledFaces, SampleSession, sampled_faces
from equime.attribute_extraction.skin_regions import Skin, is_grey, measure_skin

_ITA: Final = "Chardon, Cretois & Hourseau 1991"
_GROUPS: Final = "Del Bino & Bernerd 2013"
_HUE: Final = "Thong, Joniak & Xiang 2023"
_LAB: Final = "CIE 15:2018"
_MONK: Final = "Monk 2019"

_SKIN_HUES_DEG: Final = (15.0, 90.0)
"""Hue angles that skin has in photographs; beyond, the light or the picture is coloured."""

METRICS: Final = (
    Metric("measured_ita_deg", "deg", -90.0, 90.0, "none",
           "Individual typology angle of the skin in the picture; the larger, the lighter.", _ITA),
    Metric("measured_ita_group", "", None, None, "none",
           "Group of that angle: very light above 55, light above 41, intermediate above 28, tan above 10, brown "
           "above -30, dark.", _GROUPS, type="text"),
    Metric("measured_hue_deg", "deg", 0.0, 360.0, "none",
           "Hue angle h* of the skin in the picture, red 0, yellow 90.", _HUE),
    Metric("measured_lightness", "1", 0.0, 100.0, "none", "L* of the skin in the picture.", _LAB),
    Metric("measured_a", "1", -128.0, 128.0, "none", "a* of the skin: green to red.", _LAB),
    Metric("measured_b", "1", -128.0, 128.0, "none", "b* of the skin: blue to yellow.", _LAB),
    Metric("measured_skin_srgb", "", None, None, "none", "The same colour as #rrggbb.", "IEC 61966-2-1",
           type="text"),
    Metric("measured_monk", "1", 1.0, 10.0, "none",
           "Nearest swatch of the Monk Skin Tone scale, an estimate of the picture.", _MONK, type="whole"),
    Metric("measured_monk_distance", "1", 0.0, None, "none",
           "Colour difference (CIE 1976) to that swatch; above 15 it is not much like any.", _MONK),
    Metric("ita_spread_deg", "deg", 0.0, 180.0, "lower", "Largest less smallest ITA over the sampled frames.",
           "equime"),
    Metric("ita_side_difference_deg", "deg", -180.0, 180.0, "none",
           "ITA of the right cheek less that of the left; light from one side.", "equime"),
    Metric("lighting_confidence", "1", 0.0, 1.0, "higher",
           "How far the light lets skin colour be read: 1 where nothing speaks against it.", "equime"),
    Metric("lighting_limit", "", None, None, "none",
           "What limits the confidence: sides, forehead, clipped, patchy, cast or covered.", "equime",
           type="text"),
    Metric("n_skin_frames", "1", 0.0, None, "none", "Sampled frames in which skin was measured.", "equime",
           type="whole"),
    Metric("skin_px", "px", 0.0, None, "none", "Pixels of a frame that the colour rests on.", "equime",
           type="whole"),
    Metric("skin_share", "1", 0.0, 1.0, "none",
           "Share of cheeks and forehead that was kept; hair, glasses, shine and shadow are dropped.", "equime"),
)  # fmt: skip


class SkinTone:
    """Annotator ``skin_tone``."""

    name = "skin_tone"
    version = "1"
    metrics = METRICS
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False

    def start(self, clip: ClipContext) -> Session:
        """Open a session."""
        return SampleSession(lambda frames: skin_row(sampled_faces(frames)))


def skin_row(sample: SampledFaces) -> Row:
    """The row of a clip of which these frames were looked at."""
    nothing: dict[str, Value] = dict.fromkeys(metric.name for metric in METRICS)
    nothing["n_skin_frames"] = 0
    notes = list(sample.notes())
    coloured = [face for face in sample.faces if not is_grey(face.rgb, face.landmarks)]
    skins = [skin for face in coloured if (skin := measure_skin(face.rgb, face.landmarks)) is not None]
    if skins:
        values = _values(skins)
        notes += _doubts(values)
        return Row(values, notes=tuple(notes))
    if coloured:
        text = "cheeks and forehead show too little skin: the face is small, turned away, covered or clipped"
        notes.append(("little_skin", text))
    elif sample.faces:
        notes.append(("grey_picture", "the video is grey: no skin colour can be measured in it"))
    return Row(nothing, notes=tuple(notes))


def _values(skins: Sequence[Skin]) -> dict[str, Value]:
    colours = np.stack([skin.colour for skin in skins])
    colour: F64 = np.median(colours, axis=0)
    angle = ita_deg(colour)
    angles = [one for one in map(ita_deg, colours) if one is not None]
    monk, distance = nearest_monk(colour)
    confidence, limit = lighting_confidence(skins)
    return {
        "measured_ita_deg": angle,
        "measured_ita_group": ita_group(angle) if angle is not None else None,
        "measured_hue_deg": hue_deg(colour),
        "measured_lightness": float(colour[0]),
        "measured_a": float(colour[1]),
        "measured_b": float(colour[2]),
        "measured_skin_srgb": hex_of_lab(colour),
        "measured_monk": monk,
        "measured_monk_distance": distance,
        "ita_spread_deg": max(angles) - min(angles) if angles else None,
        "ita_side_difference_deg": _side_difference(skins),
        "lighting_confidence": confidence,
        "lighting_limit": limit,
        "n_skin_frames": len(skins),
        "skin_px": round(float(np.median([skin.n_px for skin in skins]))),
        "skin_share": float(np.median([skin.share for skin in skins])),
    }


def _side_difference(skins: Sequence[Skin]) -> float | None:
    found = []
    for skin in skins:
        sides = [skin.regions.get("cheek_right"), skin.regions.get("cheek_left")]
        right, left = (ita_deg(side) if side is not None else None for side in sides)
        if right is not None and left is not None:
            found.append(right - left)
    return float(np.median(found)) if found else None


def _doubts(values: dict[str, Value]) -> list[tuple[str, str]]:
    hue, low, high = values["measured_hue_deg"], *_SKIN_HUES_DEG
    if isinstance(hue, float) and low <= hue <= high:
        return []
    text = (
        f"what lies on cheeks and forehead has the hue {hue:.0f} degrees, skin has {low:.0f} to {high:.0f}: "
        "coloured light, make-up, or a picture that is tinted"
    )
    return [("not_skin_coloured", text)]
