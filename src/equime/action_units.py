"""FACS Action Units: names, muscles, sides, intensity letters.

Source: Ekman, Friesen & Hager, *Facial Action Coding System: The Manual* (2002). Left and right are the
*subject's* left and right throughout equime, as in the manual.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from equime.errors import InputError

Region = Literal["upper", "lower", "lids", "gaze", "head"]
Side = Literal["both", "left", "right"]


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One Action Unit.

    Attributes:
        number: FACS number.
        name: FACS name, lower case.
        plain: what a layperson sees, as a verb phrase ("raises the inner eyebrows").
        muscles: anatomical basis; empty for gaze and head codes.
        region: part of the face that it moves.
        sided: True where FACS scores left and right separately.
    """

    number: int
    name: str
    plain: str
    muscles: str
    region: Region
    sided: bool


_ALL = (
    ActionUnit(1, "inner brow raiser", "raises the inner eyebrows", "frontalis, pars medialis", "upper", True),
    ActionUnit(2, "outer brow raiser", "raises the outer eyebrows", "frontalis, pars lateralis", "upper", True),
    ActionUnit(4, "brow lowerer", "draws the eyebrows down and together", "corrugator supercilii, depressor supercilii, procerus", "upper", True),
    ActionUnit(5, "upper lid raiser", "widens the eyes", "levator palpebrae superioris", "lids", True),
    ActionUnit(6, "cheek raiser", "raises the cheeks", "orbicularis oculi, pars orbitalis", "upper", True),
    ActionUnit(7, "lid tightener", "tightens the eyelids", "orbicularis oculi, pars palpebralis", "lids", True),
    ActionUnit(9, "nose wrinkler", "wrinkles the nose", "levator labii superioris alaeque nasi", "lower", True),
    ActionUnit(10, "upper lip raiser", "raises the upper lip", "levator labii superioris", "lower", True),
    ActionUnit(12, "lip corner puller", "pulls the lip corners up", "zygomaticus major", "lower", True),
    ActionUnit(14, "dimpler", "tightens the lip corners inwards", "buccinator", "lower", True),
    ActionUnit(15, "lip corner depressor", "pulls the lip corners down", "depressor anguli oris", "lower", True),
    ActionUnit(16, "lower lip depressor", "pulls the lower lip down", "depressor labii inferioris", "lower", True),
    ActionUnit(17, "chin raiser", "pushes the chin and lower lip up", "mentalis", "lower", False),
    ActionUnit(18, "lip pucker", "puckers the lips", "incisivii labii superioris and inferioris", "lower", False),
    ActionUnit(20, "lip stretcher", "stretches the lips sideways", "risorius", "lower", True),
    ActionUnit(22, "lip funneler", "funnels the lips outwards", "orbicularis oris", "lower", False),
    ActionUnit(23, "lip tightener", "tightens the lips", "orbicularis oris", "lower", False),
    ActionUnit(24, "lip pressor", "presses the lips together", "orbicularis oris", "lower", False),
    ActionUnit(25, "lips part", "parts the lips", "depressor labii inferioris, relaxation of mentalis or orbicularis oris", "lower", False),
    ActionUnit(26, "jaw drop", "drops the jaw", "relaxed temporalis and medial pterygoid", "lower", False),
    ActionUnit(27, "mouth stretch", "stretches the mouth open", "pterygoids, digastric", "lower", False),
    ActionUnit(28, "lip suck", "sucks the lips in", "orbicularis oris", "lower", False),
    ActionUnit(43, "eyes closed", "closes the eyes", "relaxed levator palpebrae superioris", "lids", True),
    ActionUnit(45, "blink", "blinks", "orbicularis oculi, pars palpebralis; relaxed levator palpebrae superioris", "lids", True),
    ActionUnit(51, "head turn left", "turns the head to the left", "", "head", False),
    ActionUnit(52, "head turn right", "turns the head to the right", "", "head", False),
    ActionUnit(53, "head up", "lifts the head", "", "head", False),
    ActionUnit(54, "head down", "lowers the head", "", "head", False),
    ActionUnit(55, "head tilt left", "tilts the head to the left", "", "head", False),
    ActionUnit(56, "head tilt right", "tilts the head to the right", "", "head", False),
    ActionUnit(57, "head forward", "moves the head forward", "", "head", False),
    ActionUnit(58, "head back", "moves the head back", "", "head", False),
    ActionUnit(61, "eyes turn left", "looks to the left", "", "gaze", False),
    ActionUnit(62, "eyes turn right", "looks to the right", "", "gaze", False),
    ActionUnit(63, "eyes up", "looks up", "", "gaze", False),
    ActionUnit(64, "eyes down", "looks down", "", "gaze", False),
)  # fmt: skip

ACTION_UNITS: Final[dict[int, ActionUnit]] = {au.number: au for au in _ALL}
"""Every Action Unit that equime commands, by FACS number."""

LETTERS: Final = "ABCDE"
MAX_INTENSITY: Final = 5.0
"""Intensity runs from 0 (absent) over 1 (A, trace) and 3 (C, pronounced) to 5 (E, maximum)."""

EMOTIONS: Final = (
    "happiness",
    "sadness",
    "surprise",
    "fear",
    "anger",
    "disgust",
    "contempt",
    "neutral",
)
"""Emotions that a clip can be asked for; neutral holds blinks and head motion but no micro-expression."""


def get(number: int) -> ActionUnit:
    """The Action Unit with this FACS number.

    Raises:
        InputError: for a number that equime does not know.
    """
    try:
        return ACTION_UNITS[number]
    except KeyError:
        known = " ".join(str(n) for n in ACTION_UNITS)
        raise InputError(f"AU {number} is not known; use one of {known}") from None


def letter(intensity: float) -> str:
    """FACS letter of an intensity in 0..5: the nearest of A (1) to E (5); "" below 0.5."""
    step = min(5, int(intensity + 0.5))
    return LETTERS[step - 1] if step >= 1 else ""


def intensity(facs_letter: str) -> float:
    """Centre of a FACS letter's range: A 1.0 to E 5.0.

    Raises:
        InputError: for anything but one of the letters A to E.
    """
    if len(facs_letter) != 1 or facs_letter not in LETTERS:
        raise InputError(f"FACS intensity {facs_letter!r} is not one of A, B, C, D, E")
    return float(LETTERS.index(facs_letter) + 1)


_CODE = re.compile(r"^(?P<side>[LR]?)(?:AU)?(?P<number>\d{1,2})(?P<letter>[A-E]?)$", re.IGNORECASE)


def parse_code(text: str) -> tuple[int, Side, float | None]:
    """One FACS code such as ``12``, ``L2``, ``R12B``, ``AU4``, as (number, side, intensity or None).

    Raises:
        InputError: where the text is no code, or the AU is not known.
    """
    match = _CODE.match(text.strip())
    if not match:
        raise InputError(f"{text!r} is no FACS code; expected for example 12, L2 or R12B")
    number = get(int(match["number"])).number
    side: Side = {"": "both", "L": "left", "R": "right"}[match["side"].upper()]  # type: ignore[assignment]
    return number, side, intensity(match["letter"].upper()) if match["letter"] else None


def format_code(number: int, left: float, right: float) -> str:
    """FACS code of an AU with these peak intensities per side: ``12B``, ``L2A``, ``R14C``.

    A bilateral AU whose sides differ by a letter or more is written with both: ``L12C+R12B``.
    """
    left_letter, right_letter = letter(left), letter(right)
    if left_letter == right_letter:
        return f"{number}{left_letter}"
    codes = [f"L{number}{left_letter}"] if left > 0 else []
    codes += [f"R{number}{right_letter}"] if right > 0 else []
    return "+".join(codes)
