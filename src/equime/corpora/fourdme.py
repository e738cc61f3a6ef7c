"""4DME: 267 micro-expressions of 41 people at 60 fps (the grey videos), with AUs, apex and five coarse classes.

Frames lie in ``gray_micro/<sub_ID>/<fold_name>/``. An AU with ``(k)`` was there before the onset and goes on: it does
not move, so that it is in the table's text and not among `CodedClip.aus` (as MEB has it). A clip may be of several
classes; the column ``Emotion`` is what counts here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from equime.coded import CodedClip, CodedSet
from equime.corpora.au_grammar import parse_aus
from equime.corpora.corpus import About
from equime.corpora.exports import export_rows
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
from equime.corpora.tables import Table, find_table, write_rows

ABOUT: Final = About(
    key="4dme",
    title="4DME",
    source=(
        "Li et al. 2023, 4DME: A Spontaneous 4D Micro-Expression Dataset with Multimodalities, IEEE Transactions on "
        "Affective Computing 14(4)"
    ),
    licence=(
        "For academic research by the person who signed the end user licence agreement of the University of Oulu "
        "(ask there). No commercial use, no passing on. equime never copies the frames."
    ),
    fps=60.0,
    tables=("4DME_Labelling_Micro_release*.xlsx", "4DME*Micro*.xlsx", "4DME*Micro*.xls", "4DME*Micro*.csv"),
    layout="gray_micro/<sub_ID>/<fold_name>/<n>.jpg",
)
ONE_HOT: Final = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)
CLASSES: Final = ("Positive", "Negative", "Surprise", "Repression", "Others")
ORDER: Final = (
    "sub_ID", "fold", "fold_name", "Onset", "Apex", "Offset", "Total", "eye blink", *CLASSES, "AUs",
    *(f"AU{au}" for au in ONE_HOT), "Emotion",
)  # fmt: skip
COLUMNS: Final = Columns("sub_ID", "fold_name", "Onset", "Apex", "Offset", "Emotion", "AUs")
RULES: Final = Rules(
    emotions=frozenset(name.lower() for name in CLASSES),
    renamed={"other": "others"},
)
BASES: Final = (
    "gray_micro",
    "gray_micro_crop",
    "gray_micro_cropped",
    "4DME/gray_micro",
    "4DMicro/gray_micro",
)
PROBE: Final = "*/*/*.[jJpPbB]*"


class FourDme:
    """Reads and writes 4DME; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has gray_micro, or a coding table called as 4DME's."""
        return any(root.glob("4DME*Micro*")) or any(holds(root / base, [PROBE]) for base in BASES)

    def is_table(self, columns: Sequence[str]) -> bool:
        """Nobody else has sub_ID and fold_name."""
        return COLUMNS.fit(columns)

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """See `Corpus.read`; root may also be gray_micro itself, where the table is given or lies beside it."""
        itself = root.resolve().name.casefold() in BASES and holds(root, [PROBE])
        base, others = (root, []) if itself else find_base(root, BASES, PROBE, ABOUT.layout)
        clips, notes, found = _clips(
            find_table(find_table_file(root, ABOUT.tables, table, ABOUT.title), COLUMNS.required())
        )
        other_bases(notes, base, others)

        def folders(clip: CodedClip) -> list[Path]:
            return [base / clip.subject_id / clip.name, base / clip.name]

        present = [place for place in base.glob("*/*") if place.is_dir()]
        return build_set(
            ABOUT, root, clips, notes, folders=folders, present=present, config={"table": found.path.name}
        )

    def read_table(self, table: Path) -> CodedSet:
        """See `Corpus.read_table`."""
        clips, notes, found = _clips(find_table(table, COLUMNS.required()))
        return table_set(ABOUT, found, clips, notes)

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """The columns of the release, with the one-hot AUs and classes of clips that have none yet."""
        rows = export_rows(clips, COLUMNS, ORDER)
        for row, clip in zip(rows, clips, strict=True):
            numbers = {code.au for code in clip.aus or ()}
            if clip.aus is not None:
                row.update({f"AU{au}": int(au in numbers) for au in ONE_HOT})
            if not any(name in clip.coded for name in CLASSES):
                row.update({name: 1 for name in CLASSES if name.lower() in (clip.emotion, clip.label)})
            if clip.onset is not None and clip.offset is not None:
                row.setdefault("Total", clip.offset - clip.onset + 1)
        write_rows(path, ORDER, rows)


def _clips(found: Table) -> tuple[list[CodedClip], Notes, Table]:
    """Rows as clips, without the AUs that go on."""
    clips, notes = clips_of_table(ABOUT, found, COLUMNS, RULES)
    out = []
    for clip in clips:
        going_on = set(parse_aus(clip.au_text).continuing)
        if going_on and clip.aus is not None:
            notes.add(
                "continuing_au", label_of(clip), f"{clip.au_text!r} has AUs that were there before, (k)",
                "they do not move and are left out of the clip's AUs",
            )  # fmt: skip
            aus = tuple(code for code in clip.aus if code not in going_on)
            out.append(msgspec.structs.replace(clip, aus=aus))
        else:
            out.append(clip)
    return out, notes, found
