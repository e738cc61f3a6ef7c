"""Who is drawn: declared attributes and the anatomical variation behind them, all from one seed."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec
import numpy as np

from equime.errors import InputError
from equime.seeding import stream
from equime.types import Record

DrawnGender = Literal["m", "f"]
HairStyle = Literal["short", "swept", "long", "wavy", "tied", "afro", "buzz", "bald", "headscarf"]
HairColour = Literal["black", "dark_brown", "brown", "auburn", "blond", "red", "grey", "white"]
EyeColour = Literal["dark_brown", "brown", "hazel", "green", "blue", "grey"]
Beard = Literal["none", "stubble", "full", "moustache"]

AGES: Final = (18.0, 80.0)
"""Youngest and oldest face that the shapes and textures are made for, years."""

SHAPE_SD: Final[dict[str, float]] = {
    "face_width": 0.025,
    "lower_face": 0.035,
    "jaw": 0.030,
    "chin": 0.05,
    "eye_size": 0.03,
    "eye_opening": 0.05,
    "eye_tilt": 0.8,
    "eye_spacing": 0.7,
    "brow_height": 1.0,
    "brow_arch": 0.8,
    "brow_thickness": 0.15,
    "nose_width": 0.06,
    "nose_length": 1.3,
    "nose_bridge": 1.5,
    "mouth_width": 0.05,
    "upper_lip": 0.12,
    "lower_lip": 0.12,
    "cheeks": 1.0,
    "forehead": 3.0,
}
"""Standard deviation of each shape mode between people: ratios, or millimetres (tilt, spacing, heights, depths)."""

_FEMALE_MINUS_MALE: Final[dict[str, float]] = {
    "face_width": -0.03,
    "lower_face": -0.05,
    "jaw": -0.07,
    "chin": -0.10,
    "eye_size": 0.04,
    "eye_opening": 0.05,
    "brow_height": 1.2,
    "brow_arch": 0.7,
    "brow_thickness": -0.35,
    "nose_width": -0.07,
    "nose_length": -1.5,
    "nose_bridge": -1.5,
    "upper_lip": 0.16,
    "lower_lip": 0.16,
    "cheeks": 1.0,
}
"""Mean difference between women and men, same units (after Farkas 1994; brows and lips by eye)."""


class Person(Record, frozen=True):
    """One drawn identity.

    Attributes:
        seed: names every random stream of the drawing.
        gender, age: declared; they move the means of the shape and the skin's texture.
        skin_tone: Monk Skin Tone scale, 1 (lightest) to 10.
        hair_style, hair_colour, eye_colour, beard, glasses: what is drawn.
        shape: value of each mode of `SHAPE_SD`, deviation from the base face.
    """

    seed: int
    gender: DrawnGender
    age: float
    skin_tone: int
    hair_style: HairStyle
    hair_colour: HairColour
    eye_colour: EyeColour
    beard: Beard
    glasses: bool
    shape: dict[str, float]


def draw_person(
    seed: int,
    *,
    gender: str | None = None,
    age: float | None = None,
    skin_tone: int | None = None,
    hair_style: str | None = None,
    hair_colour: str | None = None,
    eye_colour: str | None = None,
    beard: str | None = None,
    glasses: bool | None = None,
) -> Person:
    """Draws every attribute that is not given from the seed's stream (giving one does not move the others).

    Raises:
        InputError: an attribute has a value that is not drawn; all wrong ones are listed.
    """
    rng = stream(seed, "drawn_face", "person")
    pick = {
        name: rng.random() for name in ("gender", "age", "tone", "hair", "colour", "eye", "beard", "glasses")
    }
    gender = gender or ("f" if pick["gender"] < 0.5 else "m")
    age = age if age is not None else float(round(20 + 45 * pick["age"] ** 1.4))
    tone = skin_tone if skin_tone is not None else 1 + int(pick["tone"] * 10)
    hair_colour = hair_colour or _hair_colour(tone, age, pick["colour"])
    fields: dict[str, object] = {
        "seed": seed,
        "gender": gender,
        "age": float(age),
        "skin_tone": tone,
        "hair_style": hair_style or _hair_style(gender, tone, pick["hair"]),
        "hair_colour": hair_colour,
        "eye_colour": eye_colour or _eye_colour(tone, pick["eye"]),
        "beard": beard or _beard(gender, pick["beard"]),
        "glasses": bool(glasses) if glasses is not None else pick["glasses"] < 0.12,
        "shape": _shape(seed, gender, tone),
    }
    _check(fields)
    return msgspec.convert(fields, Person)


def _check(fields: dict[str, object]) -> None:
    allowed = {
        "gender": DrawnGender,
        "hair_style": HairStyle,
        "hair_colour": HairColour,
        "eye_colour": EyeColour,
        "beard": Beard,
    }
    problems = [
        f"{name}={fields[name]!r}: allowed are {', '.join(get_args(values))}"
        for name, values in allowed.items()
        if fields[name] not in get_args(values)
    ]
    if fields["skin_tone"] not in range(1, 11):
        problems.append(f"skin_tone={fields['skin_tone']!r}: allowed are the Monk tones 1 to 10")
    age = fields["age"]
    if not (isinstance(age, float) and AGES[0] <= age <= AGES[1]):
        problems.append(f"age={age!r}: allowed are {AGES[0]:g} to {AGES[1]:g} years")
    if problems:
        raise InputError(
            "draw_face: " + "; ".join(problems) + ". Leave an attribute out to draw it from the seed."
        )


def _choose(u: float, options: tuple[tuple[str, float], ...]) -> str:
    total = sum(weight for _, weight in options)
    for name, weight in options:
        u -= weight / total
        if u < 0:
            return name
    return options[-1][0]


def _hair_style(gender: str, tone: int, u: float) -> str:
    afro = 2.0 if tone >= 7 else 0.0
    if gender == "f":
        return _choose(u, (("long", 3), ("wavy", 2), ("tied", 2), ("afro", afro), ("headscarf", 0.7)))
    return _choose(
        u, (("short", 3), ("swept", 2), ("buzz", 1.2 + afro / 2), ("bald", 0.8), ("afro", afro / 2))
    )


def _hair_colour(tone: int, age: float, u: float) -> str:
    grey = max(0.0, (age - 45) / 12)
    light = max(0.0, 4.5 - tone)
    options = (
        ("black", 1.0 + max(0, tone - 3)),
        ("dark_brown", 2.0),
        ("brown", 0.6 * light),
        ("blond", 0.5 * light),
        ("auburn", 0.25 * light),
        ("red", 0.12 * light),
        ("grey", grey),
        ("white", max(0.0, grey - 1)),
    )
    return _choose(u, options)


def _eye_colour(tone: int, u: float) -> str:
    light = max(0.0, 4.5 - tone)
    options = (("dark_brown", tone * 0.6), ("brown", 2.0), ("hazel", 0.4 * light), ("green", 0.2 * light))
    return _choose(u, (*options, ("blue", 0.6 * light), ("grey", 0.2 * light)))


def _beard(gender: str, u: float) -> str:
    if gender == "f":
        return "none"
    return _choose(u, (("none", 5), ("stubble", 3), ("full", 2), ("moustache", 0.6)))


def _shape(seed: int, gender: str, tone: int) -> dict[str, float]:
    rng = stream(seed, "drawn_face", "shape")
    z = np.clip(rng.standard_normal(len(SHAPE_SD)), -1.8, 1.8)
    side = 0.5 if gender == "f" else -0.5
    shape = {
        name: float(sd * value + side * _FEMALE_MINUS_MALE.get(name, 0.0))
        for (name, sd), value in zip(SHAPE_SD.items(), z, strict=True)
    }
    # Wider noses and fuller lips are commoner with darker skin (Porter & Olson 2001); half of it is applied.
    dark = (tone - 5) / 5
    shape["nose_width"] += 0.06 * dark
    shape["upper_lip"] += 0.18 * dark
    shape["lower_lip"] += 0.12 * dark
    return shape
