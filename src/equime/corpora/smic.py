"""SMIC: 164 micro-expressions of 16 people at 100 fps (HS), 71 of 8 people each by a normal and a near-infrared camera
at 25 fps (VIS, NIR), in the classes negative, positive and surprise. No AUs, no apex.

There is no coding table: ``SMIC_all_raw/HS/s01/micro/negative/s1_ne_01/image090823.jpg`` says the class, and a folder
runs from onset to offset. One camera is read at a time: HS, unless the folder of another one is given. A table like
MEB's ``smic.xlsx`` (subject, material, emotion, onset, offset, perhaps an apex that somebody estimated) is used where
it lies beside the frames or is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from equime.coded import CodedClip, CodedSet, coded_id, three_of
from equime.corpora.corpus import About
from equime.corpora.exports import export_rows
from equime.corpora.frame_check import Notes, label_of, look
from equime.corpora.locate import find_base, find_table_file, holds
from equime.corpora.reading import (
    Columns,
    Rules,
    build_set,
    clips_of_table,
    other_bases,
    table_set,
)
from equime.corpora.tables import find_table, norm_name, write_rows
from equime.errors import MissingError

ABOUT: Final = About(
    key="smic",
    title="SMIC",
    source="Li et al. 2013, A Spontaneous Micro-expression Database: Inducement, Collection and Baseline, FG",
    licence=(
        "For academic research by the person who signed the agreement of the University of Oulu's Center for Machine "
        "Vision and Signal Analysis (ask there). No commercial use, no passing on; only faces of those participants "
        "who agreed may be published. equime never copies the frames."
    ),
    fps=100.0,
    tables=("smic.xlsx", "smic.csv"),
    layout="SMIC_all_raw/HS/s01/micro/negative/s1_ne_01/image090823.jpg",
)

CAMERAS: Final = ("HS", "VIS", "NIR")
SLOW_FPS: Final = 25.0
CLASSES: Final = {"ne": "negative", "po": "positive", "sur": "surprise"}
ORDER: Final = ("subject", "emotion", "material", "onset", "offset")
COLUMNS: Final = Columns(
    "subject", "material|Filename", "onset", "apex", "offset", "emotion", optional=frozenset({"apex"})
)
RULES: Final = Rules(emotions=frozenset(CLASSES.values()))
PROBE: Final = "s[0-9]*/micro/*/s[0-9]*_*_[0-9]*"
_ABOVE: Final = ("", "SMIC_all_raw/", "SMIC_all_cropped/", "SMIC/SMIC_all_raw/", "SMIC/SMIC_all_cropped/")
BASES: Final = (*(f"{above}{camera}" for camera in CAMERAS for above in _ABOVE), ".")


class Smic:
    """Reads and writes SMIC; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has the layout."""
        return any(holds(root / base, [PROBE]) for base in BASES)

    def is_table(self, columns: Sequence[str]) -> bool:
        """MEB's table of SMIC; its tables of the other corpora have AUs or name the data set."""
        have = {norm_name(column) for column in columns}
        wanted = {"subject", "material", "emotion", "onset", "offset"}
        return wanted <= have and not have & {"au", "aus", "actionunits", "dataset"}

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """See `Corpus.read`."""
        base, others = find_base(root, BASES, PROBE, ABOUT.layout)
        camera = next((c for c in CAMERAS if base.resolve().name.upper() == c), "HS")
        places = {(p.parts[-4], p.name): p for p in sorted(base.glob(PROBE)) if p.is_dir()}
        config = {"camera": camera}
        try:
            file = find_table_file(root, ABOUT.tables, table, ABOUT.title)
        except MissingError:
            if table is not None:
                raise
            notes = Notes()
            clips = [_of_folder(place, notes) for place in places.values()]
        else:
            clips, notes = clips_of_table(ABOUT, find_table(file, COLUMNS.required()), COLUMNS, RULES)
            config["table"] = file.name
        by_number = {(_number(subject), name): place for (subject, name), place in places.items()}
        other_bases(notes, base, others)

        def place_of(clip: CodedClip) -> Path:
            place = by_number.get((_number(clip.subject_id), clip.name))
            return place or base / clip.subject_id / "micro" / (clip.emotion or "?") / clip.name

        def folders(clip: CodedClip) -> list[Path]:
            return [place_of(clip)]

        clips = [_of_camera(clip, camera, place_of(clip)) for clip in clips]

        return build_set(ABOUT, root, clips, notes, folders=folders, present=places.values(), config=config)

    def read_table(self, table: Path) -> CodedSet:
        """See `Corpus.read_table`."""
        found = find_table(table, COLUMNS.required())
        return table_set(ABOUT, found, *clips_of_table(ABOUT, found, COLUMNS, RULES))

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """The columns of MEB's smic.xlsx, and an apex where a clip has one."""
        order = [*ORDER, *(["apex"] if any(clip.apex is not None for clip in clips) else [])]
        coarse = {"emotion": lambda clip: three_of(clip.emotion) or clip.emotion}
        write_rows(path, order, export_rows(clips, COLUMNS, order, coarse))


def _number(subject: str) -> str:
    """What "s1", "s01" and "1" share; names that are no such number stay as they are."""
    digits = subject.lower().removeprefix("s")
    return str(int(digits)) if digits.isascii() and digits.isdigit() else subject


def _of_folder(place: Path, notes: Notes) -> CodedClip:
    """A clip whose folders say everything: onset and offset are its first and last frame."""
    subject, emotion = place.parts[-4], place.parts[-2].lower()
    frames = look(place)
    numbers = frames.numbers if frames else ()
    clip = CodedClip(
        clip_id=coded_id(ABOUT.key, subject, place.name), corpus=ABOUT.key, subject_id=subject, name=place.name,
        fps=ABOUT.fps, kind="none", onset=numbers[0] if numbers else None, offset=numbers[-1] if numbers else None,
        emotion=emotion, label=three_of(emotion),
    )  # fmt: skip
    if emotion not in CLASSES.values():
        notes.add("unknown_emotion", label_of(clip), f"folder {place.parts[-2]!r} is no class of SMIC",
                  f"expected are {', '.join(CLASSES.values())}; kept, without a class")  # fmt: skip
    parts = place.name.split("_")
    coded = CLASSES.get(parts[1].lower()) if len(parts) > 2 else None
    if coded is not None and coded != emotion:
        notes.add("class_contradicts_name", label_of(clip), f"{place.name} lies in folder {place.parts[-2]!r}",
                  "the folder is believed; move the clip if its name is right")  # fmt: skip
    return clip


def _of_camera(clip: CodedClip, camera: str, place: Path) -> CodedClip:
    """A clip under its folder's subject; the cameras share their names of clips, so VIS and NIR go into the id."""
    subject = place.parts[-4]
    name = clip.name if camera == "HS" else f"{camera}/{clip.name}"
    return msgspec.structs.replace(
        clip,
        clip_id=coded_id(ABOUT.key, subject, name),
        subject_id=subject,
        fps=ABOUT.fps if camera == "HS" else SLOW_FPS,
        coded=clip.coded | {"camera": camera},
    )
