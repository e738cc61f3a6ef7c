"""The public face of the drawer: one portrait, its record, and the default set."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.drawn_face.person import Beard, DrawnGender, EyeColour, HairColour, HairStyle, Person, draw_person
from equime.errors import InputError, WorkError
from equime.types import Record

LICENCE: Final = "CC0-1.0, drawn by equime"
SOURCE: Final = "equime-drawn"
COLUMNS: Final = ("path", "subject_id", "gender", "age", "ethnicity", "licence", "source")
"""Columns of ``faces.csv``; ethnicity stays empty, a drawing has none."""

_SIZES_PX: Final = (96, 4096)

_DEFAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"seed": 101, "gender": "f", "skin_tone": 2, "age": 31.0, "hair_style": "long", "hair_colour": "brown"},
    {"seed": 102, "gender": "m", "skin_tone": 9, "age": 34.0, "hair_style": "buzz", "beard": "stubble"},
    {"seed": 103, "gender": "f", "skin_tone": 8, "age": 27.0, "hair_style": "afro", "hair_colour": "black"},
    {
        "seed": 104,
        "gender": "m",
        "skin_tone": 3,
        "age": 45.0,
        "hair_style": "short",
        "hair_colour": "dark_brown",
        "beard": "none",
    },
    {"seed": 105, "gender": "f", "skin_tone": 5, "age": 38.0, "hair_style": "tied", "hair_colour": "black"},
    {"seed": 106, "gender": "m", "skin_tone": 6, "age": 29.0, "hair_style": "swept", "beard": "full"},
    {"seed": 107, "gender": "f", "skin_tone": 10, "age": 52.0, "hair_style": "tied", "hair_colour": "black"},
    {"seed": 108, "gender": "m", "skin_tone": 1, "age": 63.0, "hair_style": "short", "hair_colour": "grey"},
    {
        "seed": 109,
        "gender": "f",
        "skin_tone": 4,
        "age": 24.0,
        "hair_style": "headscarf",
        "hair_colour": "dark_brown",
    },
    {"seed": 110, "gender": "m", "skin_tone": 7, "age": 57.0, "hair_style": "bald", "glasses": True},
)


class DrawnFace(Record, frozen=True):
    """One drawn identity and what it declares (true by construction: it was drawn so).

    Attributes:
        subject_id: identity, ``drawn_<seed>`` with the attributes that were asked for behind the seed.
        seed: of the drawing.
        gender: "m" or "f".
        age: years.
        skin_tone: Monk Skin Tone scale, 1 to 10.
        glasses, beard, hair_style, hair_colour, eye_colour: what is drawn.
        shape: deviations of the anatomical modes from the base face.
    """

    subject_id: str
    seed: int
    gender: DrawnGender
    age: float
    skin_tone: int
    glasses: bool
    beard: Beard
    hair_style: HairStyle
    hair_colour: HairColour
    eye_colour: EyeColour
    shape: dict[str, float]

    def image(self, size_px: int = 768, *, oversample: float | None = None) -> NDArray[np.uint8]:
        """The portrait.

        Args:
            size_px: side of the picture, 96 to 4096.
            oversample: drawn at this multiple and averaged down; default 1.5, or 1 below 512 px (fast).

        Returns:
            uint8 (size_px, size_px, 3) RGB.

        Raises:
            InputError: size or oversampling out of range.
        """
        from equime.drawn_face.render import render  # noqa: PLC0415

        factor = oversample if oversample is not None else (1.5 if size_px >= 512 else 1.0)
        if not (_SIZES_PX[0] <= size_px <= _SIZES_PX[1] and 1 <= factor <= 4):
            raise InputError(
                f"draw_face: size_px={size_px}, oversample={factor}: allowed are {_SIZES_PX[0]} to {_SIZES_PX[1]} px "
                "and 1 to 4."
            )
        return render(self._person(), size_px, factor)

    def landmarks(self, size_px: int = 768) -> NDArray[np.float32]:
        """Where the points of the drawn shape lie in `image`, the truth for a landmarker.

        Returns:
            float32 (478, 3) in MediaPipe's order, pixels; z in pixels, negative is nearer.
        """
        from equime.drawn_face.canvas import Canvas  # noqa: PLC0415
        from equime.drawn_face.shape import build_shape  # noqa: PLC0415

        canvas = Canvas(size_px)
        points = build_shape(self._person()).points
        z = -points[:, 2:] * canvas.px_per_mm
        return np.hstack([canvas.to_px(points), z]).astype(np.float32)

    def _person(self) -> Person:
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "subject_id"}
        return msgspec.convert(fields, Person)


def describe_face(seed: int, **attributes: Any) -> DrawnFace:
    """The identity of a seed, with any attribute fixed.

    Args:
        seed: names the identity.
        **attributes: gender ("m", "f"), age (years), skin_tone (Monk 1 to 10), hair_style, hair_colour,
            eye_colour, beard, glasses. The others are drawn from the seed.

    Raises:
        InputError: an attribute that is not drawn.
    """
    known = ("gender", "age", "skin_tone", "hair_style", "hair_colour", "eye_colour", "beard", "glasses")
    unknown = sorted(set(attributes) - set(known))
    if unknown:
        raise InputError(
            f"draw_face: unknown attribute {', '.join(unknown)}; allowed are {', '.join(known)}."
        )
    person = draw_person(seed, **attributes)
    return msgspec.convert({**msgspec.to_builtins(person), "subject_id": f"drawn_{seed}"}, DrawnFace)


def draw_face(
    seed: int, *, size_px: int = 768, oversample: float | None = None, **attributes: Any
) -> NDArray[np.uint8]:
    """Draws one portrait; the same arguments give the same bytes.

    Args:
        seed: names the identity.
        size_px, oversample: see `DrawnFace.image`.
        **attributes: see `describe_face`.

    Returns:
        uint8 (size_px, size_px, 3) RGB.
    """
    return describe_face(seed, **attributes).image(size_px, oversample=oversample)


def default_faces(n: int = 8) -> list[DrawnFace]:
    """The first ``n`` default identities, balanced over gender and spread over the skin tones.

    The first ten are chosen by hand, each with another Monk tone; further ones cycle through tones and genders.

    Raises:
        InputError: ``n`` is negative.
    """
    if n < 0:
        raise InputError(f"default_faces: n={n}: allowed are 0 and above.")
    chosen = [describe_face(**options) for options in _DEFAULTS[:n]]
    for i in range(len(_DEFAULTS), n):
        gender = "fm"[i % 2]
        chosen.append(describe_face(101 + i, gender=gender, skin_tone=1 + (7 * (i // 2) + i % 2 * 5) % 10))
    return chosen


def save_default_faces(folder: Path | str, n: int = 8, *, size_px: int = 768) -> Path:
    """Writes the default faces as PNG files and ``faces.csv`` beside them.

    Returns:
        Path of ``faces.csv`` (columns `COLUMNS`).

    Raises:
        WorkError: the folder cannot be written.
    """
    from PIL import Image  # noqa: PLC0415

    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        rows = []
        for face in default_faces(n):
            Image.fromarray(face.image(size_px)).save(target / f"{face.subject_id}.png")
            rows.append(
                (f"{face.subject_id}.png", face.subject_id, face.gender, f"{face.age:g}", "", LICENCE, SOURCE)
            )
        table = target / "faces.csv"
        with table.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *rows])
    except OSError as error:
        raise WorkError(
            f"{error.filename or target}: cannot write the default faces ({error.strerror}). "
            "Free space or name another folder."
        ) from error
    return table
