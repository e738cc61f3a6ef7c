"""CASME: 189 coded micro-expressions at 60 fps, with AUs, apex and emotion.

Frames lie in ``CASME_raw_selected/sub01/EP01_5/EP01_5-12.jpg``, cropped ones in ``Cropped/sub01/EP01_5/
reg_EP01_5-12.jpg``. The coding table has two blank columns and a second apex, which is kept as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from equime.coded import CodedClip, CodedSet
from equime.corpora.casme2 import subject_of
from equime.corpora.corpus import About
from equime.corpora.exports import export_rows, number_or_text
from equime.corpora.locate import holds
from equime.corpora.reading import Columns, Rules, clips_of_table, read_by_table, table_set
from equime.corpora.tables import find_table, write_rows

ABOUT: Final = About(
    key="casme",
    title="CASME",
    source="Yan et al. 2013, CASME Database: A Dataset of Spontaneous Micro-Expressions, FG",
    licence=(
        "For research by the person who signed the release agreement of the Institute of Psychology, Chinese Academy "
        "of Sciences (ask there, with a signed copy from an institution). No commercial use, no passing on. equime "
        "never copies the frames."
    ),
    fps=60.0,
    tables=("casme.xlsx", "casme.xls", "casme.csv", "CASME[!2-9_^]*.xlsx", "CASME[!2-9_^]*.xls"),
    layout="CASME_raw_selected/sub01/EP01_5/EP01_5-12.jpg",
)

ORDER: Final = ("Subject", "Filename", "", "OnsetF", "ApexF1", "ApexF2", "OffsetF", "", "AU", "Emotion")
COLUMNS: Final = Columns("Subject", "Filename", "OnsetF", "ApexF1", "OffsetF", "Emotion", "AU|Action Units")
EMOTIONS: Final = frozenset(
    {
        "happiness", "disgust", "surprise", "repression", "tense", "fear", "sadness", "contempt", "others",
    }
)  # fmt: skip
BASES: Final = ("CASME_raw_selected", "CASME_RAW_selected", "Cropped", "Cropped2", ".")
PROBE: Final = "sub[0-9][0-9]/EP*"
RULES: Final = Rules(subject=subject_of, emotions=EMOTIONS)


class Casme:
    """Reads and writes CASME; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has frames called after their clip, or a coding table of that name."""
        return any(root.glob("casme.*")) or any(
            holds(root / base, [f"{PROBE}/EP*-*.jpg", f"{PROBE}/reg_EP*-*.jpg"]) for base in BASES
        )

    def is_table(self, columns: Sequence[str]) -> bool:
        """Only CASME's table abbreviates its marks so."""
        return COLUMNS.fit(columns)

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """See `Corpus.read`."""
        return read_by_table(ABOUT, root, table, COLUMNS, RULES, bases=BASES, probe=PROBE, folders=_folders)

    def read_table(self, table: Path) -> CodedSet:
        """See `Corpus.read_table`."""
        found = find_table(table, COLUMNS.required())
        return table_set(ABOUT, found, *clips_of_table(ABOUT, found, COLUMNS, RULES))

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """See `Corpus.export`."""
        rows = export_rows(clips, COLUMNS, ORDER, {"Subject": lambda clip: number_or_text(clip.subject_id)})
        write_rows(path, ORDER, rows)


def _folders(base: Path, clip: CodedClip) -> list[Path]:
    """Where a clip's frames may lie."""
    return [base / f"sub{clip.subject_id}" / clip.name]
