"""CAS(ME)^3: long videos at 30 fps with depth; part A (100 people, 13 videos each), part C (31 people, mock crime).

Three tables are read, whichever lies there first or is given: the 860 micro-expressions of part A with emotions
(``cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx``), all expressions of part A, macro ones too
(``CAS(ME)3_part_A_v2.xls``), and the micro-expressions of part C (``CAS(ME)3_part_C_ME.xlsx``, without apex). A name is a
video and holds several clips, so that ids take the onset. Only the colour frames are read:
``part_A/spNO.1/a/color/175.jpg``; numbers are those of the video.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from equime.coded import CodedClip, CodedSet, three_of
from equime.corpora.corpus import About
from equime.corpora.exports import export_rows, number_or_text
from equime.corpora.frame_check import Notes
from equime.corpora.locate import find_base, find_table_file, holds
from equime.corpora.reading import Columns, Rules, build_set, clips_of_table, other_bases, table_set
from equime.corpora.tables import Table, as_text, find_table, write_rows
from equime.errors import InputError

ABOUT: Final = About(
    key="casme3",
    title="CAS(ME)^3",
    source=(
        "Li et al. 2023, CAS(ME)^3: A Third Generation Facial Spontaneous Micro-Expression Database with Depth "
        "Information and High Ecological Validity, IEEE Transactions on Pattern Analysis and Machine Intelligence 45(3)"
    ),
    licence=(
        "For research by the person who signed the release agreement of the Institute of Psychology, Chinese Academy "
        "of Sciences (ask there). No commercial use, no passing on. equime never copies the frames."
    ),
    fps=30.0,
    tables=(
        "cas(me)3_part_A_ME_label*.xlsx", "cas(me)3_part_A_ME*.csv", "CAS(ME)3_part_A_v*.xls*",
        "cas(me)3_part_A*.csv", "CAS(ME)3_part_C_ME*.xlsx", "cas(me)3_part_C*.csv",
    ),
    layout="part_A/spNO.1/a/color/175.jpg",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One kind of table.

    Attributes:
        order: its columns.
        columns: what stands where.
        bases: folders of its frames.
        probes: globs of videos below them.
        layout: in words, for messages.
    """

    order: tuple[str, ...]
    columns: Columns
    bases: tuple[str, ...]
    probes: tuple[str, ...]
    layout: str = ABOUT.layout


_BASES_A: Final = ("part_A", "part_A/part_A", "data/part_A", "part_A/data/part_A", "ME_A", ".")
_PROBE_A: Final = "spNO.*/*/color"
_MARKS: Final = ("Onset", "Apex", "Offset")
LABELS: Final = Part(
    ("Subject", "Filename", *_MARKS, "AU", "Objective class", "emotion"),
    Columns("Subject", "Filename", *_MARKS, "emotion", "AU"), _BASES_A, (_PROBE_A,),
)  # fmt: skip
ALL: Final = Part(
    ("Subject", "Filename", *_MARKS, "AU", "Expression type", "Objective class"),
    Columns("Subject", "Filename", *_MARKS, None, "AU"), _BASES_A, (_PROBE_A,),
)  # fmt: skip
PART_C: Final = Part(
    ("sub", "count", "onset", "offset", "au", "emotion"),
    Columns("sub", "count", "onset", None, "offset", "emotion", "au"),
    ("part_C", "part_C/part_C", "ME_C", "."),
    ("[0-9]*/*/color", "[0-9]*/color", "[0-9]*/*/*.jpg"),
    "part_C/01/a/color/175.jpg",
)

EMOTIONS: Final = frozenset({"happy", "disgust", "fear", "anger", "sad", "surprise", "others"})
_EXPRESSION: Final = "Expression type"


def _subject_a(cell: object) -> str:
    """1 and "spNO.1" are subject "spNO.1"."""
    text = as_text(cell)
    return f"spNO.{int(text)}" if text.isascii() and text.isdigit() else text


def _subject_c(cell: object) -> str:
    text = as_text(cell)
    return text.zfill(2) if text.isdigit() else text


def _label(emotion: str | None) -> str | None:
    return three_of({"sad": "sadness"}.get(emotion or "", emotion))


RULES_A: Final = Rules(
    subject=_subject_a, name=lambda cell: as_text(cell).lower(), emotions=EMOTIONS,
    renamed={"happiness": "happy", "sadness": "sad", "other": "others"}, several=True, label=_label,
)  # fmt: skip
RULES_C: Final = replace(RULES_A, subject=_subject_c, name=as_text, emotions=())


class Casme3:
    """Reads and writes CAS(ME)^3; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has videos, or a coding table, called as CAS(ME)^3's."""
        named = any(file.name.lower().startswith("cas(me)3_part") for file in root.glob("[cC][aA][sS](*"))
        return named or any(holds(root / base, [_PROBE_A]) for base in _BASES_A)

    def is_table(self, columns: Sequence[str]) -> bool:
        """One of the three."""
        return _part(columns) is not None

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """See `Corpus.read`; the part is that of the table."""
        found, part = _table(find_table_file(root, ABOUT.tables, table, ABOUT.title))
        base, others = find_base(root, part.bases, part.probes, part.layout)
        clips, notes = _clips(found, part)
        other_bases(notes, base, others)

        def folders(clip: CodedClip) -> list[Path]:
            person = base / clip.subject_id
            if part is not PART_C:
                return [person / clip.name / "color", person / clip.name.upper() / "color"]
            # One video per person, or one folder per clip.
            return [
                person / clip.name / "color",
                person / "color" / f"{clip.subject_id}_{clip.name}",
                person / "a" / "color",
                person / "color",
                person / "a",
            ]

        return build_set(ABOUT, root, clips, notes, folders=folders, config={"table": found.path.name})

    def read_table(self, table: Path) -> CodedSet:
        """See `Corpus.read_table`."""
        found, part = _table(table)
        return table_set(ABOUT, found, *_clips(found, part))

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """The table of part A with emotions; that with expression types where a clip is a macro-expression."""
        macro = any(clip.expression == "macro" or _EXPRESSION in clip.coded for clip in clips)
        part = ALL if macro else LABELS
        order = (*part.order, "emotion") if macro and any(clip.emotion for clip in clips) else part.order
        columns = LABELS.columns if "emotion" in order else part.columns
        rows = export_rows(clips, columns, order, {
            "Subject": lambda clip: number_or_text(clip.subject_id),
            **({_EXPRESSION: lambda clip: f"{clip.expression.capitalize()}-expression"} if macro else {}),
        })  # fmt: skip
        write_rows(path, order, rows, sheet="label")


def _part(columns: Sequence[str]) -> Part | None:
    kinds = Columns("Subject", "Filename", "Onset", "Offset", emotion=_EXPRESSION)
    if PART_C.columns.fit(columns):
        return PART_C
    if kinds.fit(columns) and ALL.columns.fit(columns):
        return ALL
    objective = Columns("Subject", "Filename", "Objective class")
    return LABELS if LABELS.columns.fit(columns) and objective.fit(columns) else None


def _table(path: Path) -> tuple[Table, Part]:
    problems = []
    for part in (LABELS, ALL, PART_C):
        try:
            found = find_table(path, part.columns.required())
        except InputError as error:
            problems.append(error)
        else:
            return found, _part(found.columns) or part
    raise problems[0]


def _clips(found: Table, part: Part) -> tuple[list[CodedClip], Notes]:
    clips, notes = clips_of_table(ABOUT, found, part.columns, RULES_C if part is PART_C else RULES_A)
    out = []
    for clip in clips:
        macro = re.match("macro", clip.coded.get(_EXPRESSION, ""), re.IGNORECASE)
        out.append(msgspec.structs.replace(clip, expression="macro") if macro else clip)
    return out, notes
