"""SAMM: 159 micro-expressions of 32 people of 13 ethnicities at 200 fps, grey, with AUs, apex and objective classes.

Frames lie in ``SAMM/006/006_1_2/006_05562.jpg`` (cropped ones in ``SAMM_CROP``); the header of the coding table, sheet
``MICRO_ONLY``, stands in row 14. Subjects are three digits, whether the cell holds "006" or 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from equime.coded import CodedClip, CodedSet
from equime.corpora.corpus import About
from equime.corpora.exports import capital, duration, export_rows
from equime.corpora.locate import holds
from equime.corpora.reading import Columns, Rules, clips_of_table, read_by_table, table_set
from equime.corpora.tables import as_text, find_table, write_rows

LICENCE: Final = (
    "For academic research by the person who signed the release agreement of Manchester Metropolitan University (ask "
    "there). No commercial use, no passing on; only faces of those participants who agreed may be published. equime "
    "never copies the frames."
)
ABOUT: Final = About(
    key="samm",
    title="SAMM",
    source=(
        "Davison et al. 2018, SAMM: A Spontaneous Micro-Facial Movement Dataset, IEEE Transactions on Affective "
        "Computing 9(1); objective classes: Davison, Merghani & Yap 2018, Journal of Imaging 4(10)"
    ),
    licence=LICENCE,
    fps=200.0,
    tables=(
        "SAMM_Micro_FACS_Codes_v2.xlsx",
        "SAMM_Micro*.xlsx",
        "SAMM_Micro*.xls",
        "SAMM_Micro*.csv",
        "SAMM.xlsx",
    ),
    layout="SAMM/006/006_1_2/006_05562.jpg",
)

ORDER: Final = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
    "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip
COLUMNS: Final = Columns(
    "Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Estimated Emotion", "Action Units"
)
EMOTIONS: Final = frozenset(
    {"anger", "happiness", "others", "surprise", "contempt", "disgust", "fear", "sadness"}
)
PREAMBLE_ROWS: Final = 13
BASES: Final = ("SAMM", "SAMM_CROP", "SAMM_Cropped", "SAMM_cropped", ".")
PROBE: Final = "[0-9][0-9][0-9]/[0-9][0-9][0-9]_*_*"


def subject_of(cell: object) -> str:
    """6, 6.0 and "006" are subject "006"."""
    text = as_text(cell)
    return text.zfill(3) if text.isdigit() else text


RULES: Final = Rules(
    subject=subject_of, emotions=EMOTIONS, renamed={"other": "others"}, no_mark_numbers=frozenset({0})
)


class Samm:
    """Reads and writes SAMM; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has clips, or a coding table, called as SAMM's."""
        return any(root.glob("SAMM_Micro*")) or any(
            holds(root / base, [f"{PROBE}/[0-9][0-9][0-9]_*.jpg"]) for base in BASES
        )

    def is_table(self, columns: Sequence[str]) -> bool:
        """CASME II's columns without the spaces are no SAMM table: SAMM has an inducement code."""
        return Columns("Subject", "Inducement Code", "Apex Frame", emotion="Estimated Emotion").fit(columns)

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """See `Corpus.read`."""
        return read_by_table(ABOUT, root, table, COLUMNS, RULES, bases=BASES, probe=PROBE, folders=_folders)

    def read_table(self, table: Path) -> CodedSet:
        """See `Corpus.read_table`."""
        found = find_table(table, COLUMNS.required())
        return table_set(ABOUT, found, *clips_of_table(ABOUT, found, COLUMNS, RULES))

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """Header in row 14 of sheet MICRO_ONLY, subjects as text, emotions with a capital."""
        rows = export_rows(clips, COLUMNS, ORDER, {
            "Duration": lambda clip: duration(clip, "Duration"),
            "Estimated Emotion": lambda clip: clip.coded.get("Estimated Emotion") or capital(clip.emotion),
        })  # fmt: skip
        preamble = ["SAMM: micro-movements, written by equime", *[""] * (PREAMBLE_ROWS - 1)]
        write_rows(path, ORDER, rows, sheet="MICRO_ONLY", preamble=preamble)


def _folders(base: Path, clip: CodedClip) -> list[Path]:
    """Where a clip's frames may lie."""
    return [base / clip.subject_id / clip.name]
