"""MMEW: 300 micro-expressions of 36 people at 90 fps, with AUs, apex and estimated emotion.

Frames lie in ``Micro_Expression/<emotion>/S01-01-001/15.jpg``, numbered from 1; the table's subject 1 is ``S01``. The
release also holds ``Macro_Expression`` (single pictures), which is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from equime.coded import CodedClip, CodedSet
from equime.corpora.corpus import About
from equime.corpora.exports import export_rows
from equime.corpora.locate import find_base, find_table_file, holds
from equime.corpora.reading import (
    Columns,
    Rules,
    build_set,
    clips_of_table,
    other_bases,
    table_set,
)
from equime.corpora.tables import as_text, find_table, norm_name, write_rows

EMOTIONS: Final = frozenset({"happiness", "surprise", "anger", "disgust", "fear", "sadness", "others"})
ABOUT: Final = About(
    key="mmew",
    title="MMEW",
    source=(
        "Ben et al. 2022, Video-Based Facial Micro-Expression Analysis: A Survey of Datasets, Features and "
        "Algorithms, IEEE Transactions on Pattern Analysis and Machine Intelligence 44(9)"
    ),
    licence=(
        "For academic research by the person who signed the licence agreement of Shandong University (ask Xianye Ben "
        "there). No commercial use, no passing on. equime never copies the frames."
    ),
    fps=90.0,
    tables=("MMEW_Micro_Exp.xlsx", "MMEW_Micro*.xlsx", "MMEW_Micro*.xls", "MMEW_Micro*.csv"),
    layout="Micro_Expression/happiness/S01-01-001/15.jpg",
)
ORDER: Final = (
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "remarks",
)  # fmt: skip
COLUMNS: Final = Columns(
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion", "Action Units"
)
BASES: Final = ("Micro_Expression", "MMEW/Micro_Expression", "MMEW_Final/Micro_Expression", ".")
PROBES: Final = tuple(f"{emotion}/S[0-9]*-[0-9]*-[0-9]*" for emotion in sorted(EMOTIONS))


def subject_of(cell: object) -> str:
    """1, "01" and "S1" are subject "S01", as the clips' names begin."""
    text = as_text(cell)
    number = text[1:] if text[:1] in {"S", "s"} else text
    return f"S{int(number):02d}" if number.isascii() and number.isdigit() else text


RULES: Final = Rules(subject=subject_of, emotions=EMOTIONS)


class Mmew:
    """Reads and writes MMEW; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has clips, or a coding table, called as MMEW's."""
        return any(root.glob("MMEW_Micro*")) or any(holds(root / base, PROBES) for base in BASES)

    def is_table(self, columns: Sequence[str]) -> bool:
        """CASME II's columns and ``remarks``."""
        return COLUMNS.fit(columns) and "remarks" in {norm_name(column) for column in columns}

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """See `Corpus.read`; a clip that lies under another emotion's folder than its row's is found there."""
        base, others = find_base(root, BASES, PROBES, ABOUT.layout)
        found = find_table(find_table_file(root, ABOUT.tables, table, ABOUT.title), COLUMNS.required())
        clips, notes = clips_of_table(ABOUT, found, COLUMNS, RULES)
        other_bases(notes, base, others)
        present = [place for probe in PROBES for place in base.glob(probe)]
        by_name: dict[str, list[Path]] = {}
        for place in present:
            by_name.setdefault(place.name, []).append(place)

        def folders(clip: CodedClip) -> list[Path]:
            return [base / (clip.emotion or "others") / clip.name, *by_name.get(clip.name, [])]

        return build_set(
            ABOUT, root, clips, notes, folders=folders, present=present, config={"table": found.path.name}
        )

    def read_table(self, table: Path) -> CodedSet:
        """See `Corpus.read_table`."""
        found = find_table(table, COLUMNS.required())
        return table_set(ABOUT, found, *clips_of_table(ABOUT, found, COLUMNS, RULES))

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """The eight columns; subjects as numbers where they are ``S<number>``."""
        rows = export_rows(clips, COLUMNS, ORDER, {"Subject": _number})
        write_rows(path, ORDER, rows)


def _number(clip: CodedClip) -> int | str:
    match = re.fullmatch(r"S0*(\d+)", clip.subject_id)
    return int(match[1]) if match else clip.subject_id
