"""CASME II: 255 micro-expressions of 26 people at 200 fps, with AUs, apex and estimated emotion.

Frames lie in ``CASME2_RAW_selected/sub01/EP02_01f/img46.jpg`` (onset to offset), ``CASME2-RAW`` (longer clips),
``Cropped/sub01/EP02_01f/reg_img46.jpg``, or as one video per clip in ``CASME2_compressed/sub01/EP02_01f.avi``. Both
coding tables, 20140508 and 20190701, have the same nine columns, two of them blank; ``/`` is an apex nobody found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from equime.coded import CodedClip, CodedSet
from equime.corpora.corpus import About
from equime.corpora.exports import export_rows, number_or_text
from equime.corpora.locate import holds
from equime.corpora.reading import Columns, Rules, clips_of_table, read_by_table, table_set
from equime.corpora.tables import as_text, find_table, norm_name, write_rows

ABOUT: Final = About(
    key="casme2",
    title="CASME II",
    source="Yan et al. 2014, CASME II: An Improved Spontaneous Micro-Expression Database, PLoS ONE 9(1)",
    licence=(
        "For research by the person who signed the release agreement of the Institute of Psychology, Chinese Academy "
        "of Sciences (ask there, with a signed copy from an institution). No commercial use, no passing on; faces may "
        "be shown in publications only as the agreement says. equime never copies the frames."
    ),
    fps=200.0,
    tables=(
        "CASME2-coding-20190701.xlsx", "CASME2-coding-20140508.xlsx", "CASME2-coding*.xlsx", "CASME2-coding*.xls",
        "CASME2-coding*.csv", "CASME2*.xlsx", "CASME2*.csv",
    ),
    layout="CASME2_RAW_selected/sub01/EP02_01f/img46.jpg",
)  # fmt: skip

ORDER: Final = (
    "Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "", "Action Units", "Estimated Emotion",
)  # fmt: skip
COLUMNS: Final = Columns(
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion", "Action Units"
)
EMOTIONS: Final = frozenset({"happiness", "disgust", "surprise", "repression", "others", "fear", "sadness"})
OBJECTIVE: Final = ("Objective Class", "Objective Classes")
BASES: Final = (
    "CASME2_RAW_selected", "CASME2-RAW", "CASME2_RAW", "CASME2-RAW_selected", "Cropped", "Cropped-updated/Cropped",
    "Cropped-updated", "Cropped_original", ".", "CASME2_compressed", "CASME2_Compressed video/CASME2_compressed",
    "CASME2_Compressed video/CASME2_Compressed video/CASME2_compressed", "CASME2_Compressed_video/CASME2_compressed",
)  # fmt: skip
PROBE: Final = "sub[0-9][0-9]/EP*"


def subject_of(cell: object) -> str:
    """1, "1", "01" and "sub01" are subject "01"."""
    text = as_text(cell)
    text = text[3:] if text.lower().startswith("sub") else text
    return text.zfill(2) if text.isdigit() else text


RULES: Final = Rules(subject=subject_of, emotions=EMOTIONS)


class Casme2:
    """Reads and writes CASME II; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has clips, or a coding table, called as CASME II's."""
        return any(root.glob("CASME2*coding*")) or any(
            holds(root / base, [f"{PROBE}/img*.jpg", f"{PROBE}/reg_img*.jpg", f"{PROBE}.avi"])
            for base in BASES
        )

    def is_table(self, columns: Sequence[str]) -> bool:
        """MMEW's table has the same columns and ``remarks``, SAMM's has ``Inducement Code``."""
        names = {norm_name(column) for column in columns}
        return COLUMNS.fit(columns) and not {"remarks", "inducementcode"} & names

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """See `Corpus.read`; of several versions of the frames the first of `BASES` is read."""
        return read_by_table(ABOUT, root, table, COLUMNS, RULES, bases=BASES, probe=PROBE, folders=_folders)

    def read_table(self, table: Path) -> CodedSet:
        """See `Corpus.read_table`."""
        found = find_table(table, COLUMNS.required())
        return table_set(ABOUT, found, *clips_of_table(ABOUT, found, COLUMNS, RULES))

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """The nine columns, and the objective class where a clip has one."""
        order = [*ORDER, *(name for name in OBJECTIVE if any(name in clip.coded for clip in clips))]
        rows = export_rows(clips, COLUMNS, order, {"Subject": lambda clip: number_or_text(clip.subject_id)})
        write_rows(path, order, rows)


def _folders(base: Path, clip: CodedClip) -> list[Path]:
    """Where a clip's frames may lie."""
    folder = base / f"sub{clip.subject_id}"
    return [folder / clip.name, folder / f"{clip.name}.avi"]
