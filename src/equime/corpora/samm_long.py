"""SAMM Long Videos: 147 videos of 32 people at 200 fps with 343 macro- and 159 micro-expressions, AUs, no emotions.

Frames lie in ``SAMM_longvideos/006_1/006_1_0001.jpg``, one folder per video; a video holds several coded intervals,
each a clip here. The header of the coding table stands in row 10; ``006_1_2`` is an expression in video ``006_1``. An
apex or offset of 0 or -1 stands for one that is not known, mostly because the video ends before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from equime.coded import CodedClip, CodedSet
from equime.corpora.corpus import About
from equime.corpora.exports import duration, export_rows
from equime.corpora.frame_check import Notes, label_of
from equime.corpora.locate import find_base, find_table_file, holds
from equime.corpora.reading import (
    Columns,
    Rules,
    build_set,
    clips_of_table,
    other_bases,
    table_set,
)
from equime.corpora.samm import LICENCE, subject_of
from equime.corpora.tables import Table, find_table, write_rows

ABOUT: Final = About(
    key="samm_long",
    title="SAMM Long Videos",
    source="Yap, Kendrick & Yap 2020, SAMM Long Videos: A Spontaneous Facial Micro- and Macro-Expressions Dataset, FG",
    licence=LICENCE,
    fps=200.0,
    tables=(
        "SAMM_LongVideos_V3_Release.xlsx",
        "SAMM_LongVideos*.xlsx",
        "SAMM_LongVideos*.xls",
        "SAMM_LongVideos*.csv",
    ),
    layout="SAMM_longvideos/006_1/006_1_0001.jpg",
)

ORDER: Final = (
    "Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type", "Action Units", "Notes",
)  # fmt: skip
COLUMNS: Final = Columns("Subject", "Filename", "Onset", "Apex", "Offset", aus="Action Units")
TYPE: Final = "Type"
PREAMBLE_ROWS: Final = 9
BASES: Final = ("SAMM_longvideos", "SAMM_LongVideos", "SAMM_longvideos_crop", ".")
PROBE: Final = "[0-9][0-9][0-9]_[0-9]*/[0-9][0-9][0-9]_*.*"
RULES: Final = Rules(subject=subject_of, no_mark_numbers=frozenset({0}), several=True)


class SammLong:
    """Reads and writes SAMM Long Videos; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has videos, or a coding table, called as in the release."""
        return any(root.glob("SAMM_LongVideos*.xls*")) or any(holds(root / base, [PROBE]) for base in BASES)

    def is_table(self, columns: Sequence[str]) -> bool:
        """SAMM's own table says "Onset Frame" and has emotions."""
        return Columns("Subject", "Inducement Code", "Onset", "Offset", aus=TYPE).fit(columns)

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """See `Corpus.read`; gaps in a video count only inside coded intervals."""
        base, others = find_base(root, BASES, PROBE, ABOUT.layout)
        found = find_table(
            find_table_file(root, ABOUT.tables, table, ABOUT.title), [*COLUMNS.required(), TYPE]
        )
        clips, notes = _clips(found)
        other_bases(notes, base, others)

        def folders(clip: CodedClip) -> list[Path]:
            return [base / video_of(clip.name)]

        present = (p for p in base.glob("[0-9][0-9][0-9]_[0-9]*") if p.is_dir())
        return build_set(
            ABOUT, root, clips, notes, folders=folders, present=present, config={"table": found.path.name}
        )

    def read_table(self, table: Path) -> CodedSet:
        """See `Corpus.read_table`."""
        found = find_table(table, [*COLUMNS.required(), TYPE])
        return table_set(ABOUT, found, *_clips(found))

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """Header in row 10; the type is "Macro", or "Micro - 1/2" where the clip does not say which."""
        rows = export_rows(clips, COLUMNS, ORDER, {
            "Duration": lambda clip: duration(clip, "Duration"),
            TYPE: lambda clip: clip.coded.get(TYPE) or ("Macro" if clip.expression == "macro" else "Micro - 1/2"),
        })  # fmt: skip
        preamble = ["SAMM Long Videos: movements, written by equime", *[""] * (PREAMBLE_ROWS - 1)]
        write_rows(path, ORDER, rows, preamble=preamble)


def video_of(name: str) -> str:
    """Folder of an expression's video: "006_1" for "006_1_2"."""
    return "_".join(name.split("_")[:2])


def _clips(table: Table) -> tuple[list[CodedClip], Notes]:
    clips, notes = clips_of_table(ABOUT, table, COLUMNS, RULES)
    column = table.column(TYPE) or TYPE
    typed = []
    for clip in clips:
        word = clip.coded.get(column, "").casefold()
        if not word.startswith(("macro", "micro")):
            notes.add("unknown_type", label_of(clip), f"type {clip.coded.get(column, '')!r}",
                      "expected is Macro or Micro - 1/2; taken for micro")  # fmt: skip
        typed.append(
            msgspec.structs.replace(clip, expression="macro" if word.startswith("macro") else "micro")
        )
    return typed, notes
