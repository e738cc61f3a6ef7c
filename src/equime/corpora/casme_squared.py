"""CAS(ME)^2: 57 micro- and 300 macro-expressions of 22 people in 97 long videos at 30 fps, with AUs.

The first sheet of the coding table has no header: subject number, video and number of the expression (``anger1_1``),
onset, apex, offset, AUs, emotion, macro- or micro-expression, self-report, and in some releases a duration. Sheets
two and three give the subjects' folders (15, s15, 1) and the videos' codes (0401, anger1), from which the frames follow:
``rawpic/s15/15_0401girlcrashing/img557.jpg``. The names of both sheets are used where a table has only the first.
0 stands for a mark that was not coded.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from equime.coded import CodedClip, CodedSet
from equime.corpora.corpus import About
from equime.corpora.exports import export_rows, number_or_text
from equime.corpora.frame_check import Notes, label_of
from equime.corpora.locate import find_base, find_table_file, holds
from equime.corpora.reading import Columns, Rules, build_set, clips_of_table, other_bases, table_set
from equime.corpora.tables import Grid, Table, as_text, sheets_of
from equime.errors import InputError
from equime.records import write_atomic

ABOUT: Final = About(
    key="casme_squared",
    title="CAS(ME)^2",
    source=(
        "Qu et al. 2018, CAS(ME)^2: A Database for Spontaneous Macro-Expression and Micro-Expression Spotting and "
        "Recognition, IEEE Transactions on Affective Computing 9(4)"
    ),
    licence=(
        "For research by the person who signed the release agreement of the Institute of Psychology, Chinese Academy "
        "of Sciences (ask there). No commercial use, no passing on. equime never copies the frames."
    ),
    fps=30.0,
    tables=("CAS(ME)^2code_final*.xlsx", "CAS(ME)^2code_final*.xls", "CAS(ME)^2*.csv", "code_final*.xlsx"),
    layout="rawpic/s15/15_0401girlcrashing/img557.jpg",
)
ORDER: Final = (
    "subject no.", "video", "onset", "apex", "offset", "AUs", "estimated emotion", "expression", "self-report",
)  # fmt: skip
"""Names of the columns, which the release does not have."""
COLUMNS: Final = Columns("subject no.", "video", "onset", "apex", "offset", "estimated emotion", "AUs")
RULES: Final = Rules(
    emotions=frozenset({"negative", "positive", "surprise", "others"}),
    renamed={"other": "others"},
    no_mark_numbers=frozenset({0}),
)
FOLDERS: Final = dict(
    zip(
        map(str, range(1, 23)),
        (15, 16, 19, 20, 21, 22, 23, 24, 25, 26, 27, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 40),
        strict=True,
    )
)
"""Subject number to the number in the folder's name, as sheet "naming rule1" has it."""
VIDEOS: Final = {
    "disgust1": "0101", "disgust2": "0102", "anger1": "0401", "anger2": "0402", "happy1": "0502", "happy2": "0503",
    "happy3": "0505", "happy4": "0507", "happy5": "0508",
}  # fmt: skip
"""Video to the code in the folder's name, as sheet "naming rule2" has it."""
BASES: Final = ("rawpic", "rawpic/rawpic", "selectedpic", "cropped", ".")
PROBE: Final = "s[0-9]*/[0-9]*_[0-9][0-9][0-9][0-9]*"

_VIDEO = re.compile(r"([a-z]+\d)_(\d+)", re.IGNORECASE)
_TYPE = re.compile(r"(macro|micro)-?\s?expression", re.IGNORECASE)


class CasmeSquared:
    """Reads and writes CAS(ME)^2; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has videos, or a coding table, called as CAS(ME)^2's."""
        return any(root.glob("CAS(ME)^2*code*")) or any(holds(root / base, [PROBE]) for base in BASES)

    def is_table(self, columns: Sequence[str]) -> bool:
        """Whether these are the cells of a row: the table has no header."""
        return _is_row(columns)

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """See `Corpus.read`; several clips lie in one video's folder."""
        base, others = find_base(root, BASES, PROBE, ABOUT.layout)
        file = find_table_file(root, ABOUT.tables, table, ABOUT.title)
        clips, notes, _ = _clips(file)
        other_bases(notes, base, others)
        present = [place for place in base.glob(PROBE) if place.is_dir()]
        by_code: dict[tuple[str, str], list[Path]] = {}
        for place in present:
            person, _, rest = place.name.partition("_")
            own = place.parent.name == f"s{person}"
            by_code.setdefault((place.parent.name, rest[:4]), []).insert(0 if own else 1, place)

        def folders(clip: CodedClip) -> list[Path]:
            code = clip.coded["video code"]
            missing = base / clip.subject_id / f"{clip.subject_id[1:]}_{code}"
            return by_code.get((clip.subject_id, code)) or [missing]

        # Videos without an expression are part of the release, so that folders without a row are no finding.
        return build_set(ABOUT, root, clips, notes, folders=folders, config={"table": file.name})

    def read_table(self, table: Path) -> CodedSet:
        """See `Corpus.read_table`."""
        clips, notes, found = _clips(table)
        return table_set(ABOUT, found, clips, notes)

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """Without a header, as the release has it; .xlsx also with the two sheets of names."""
        numbers = {f"s{folder}": number for number, folder in FOLDERS.items()}
        rows = export_rows(clips, COLUMNS, ORDER, {
            "subject no.": lambda clip: number_or_text(numbers.get(clip.subject_id, clip.subject_id)),
            "expression": lambda clip: f"{clip.expression}-expression",
            "onset": lambda clip: clip.onset or 0,
            "apex": lambda clip: clip.apex or 0,
            "offset": lambda clip: clip.offset or 0,
        })  # fmt: skip
        cells = [[row.get(column) for column in ORDER] for row in rows]
        if path.suffix.lower() == ".csv":
            text = io.StringIO(newline="")
            csv.writer(text, lineterminator="\n").writerows(
                ["" if c is None else c for c in row] for row in cells
            )
            write_atomic(path, text.getvalue().encode())
        elif path.suffix.lower() == ".xlsx":
            write_atomic(path, _book(cells))
        else:
            raise InputError(f"{path}: a table is written as .xlsx or .csv; change the ending")


def _book(cells: Grid) -> bytes:
    import openpyxl  # noqa: PLC0415

    book = openpyxl.Workbook()
    book.remove(book.active)
    folders = [[folder, f"s{folder}", int(number)] for number, folder in FOLDERS.items()]
    videos = [[code, video] for video, code in VIDEOS.items()]
    for name, grid in (("CASFEcode_final", cells), ("naming rule1", folders), ("naming rule2", videos)):
        sheet = book.create_sheet(name)
        for row in grid:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _is_row(cells: Sequence[object]) -> bool:
    texts = [as_text(cell) for cell in cells]
    marks = all(text.isdigit() or not text for text in texts[2:5])
    return len(texts) >= 8 and bool(texts[1]) and marks and bool(_TYPE.fullmatch(texts[7]))


def _table(path: Path) -> tuple[Table, dict[str, Grid]]:
    """The first sheet that has such rows, under the names of `ORDER`."""
    sheets = sheets_of(path)
    for name, grid in sheets.items():
        at = next((i for i, cells in enumerate(grid[:5]) if _is_row(cells)), None)
        if at is not None:
            rows, numbers = [], []
            for number, cells in enumerate(grid[at:], at + 1):
                if any(cell is not None for cell in cells):
                    rows.append(dict(zip(ORDER, cells, strict=False)))
                    numbers.append(number)
            return Table(path, name, at, ORDER, tuple(rows), tuple(numbers)), sheets
    raise InputError(
        f"{path}: no row like those of CAS(ME)^2 ({', '.join(ORDER)}) at the top of any sheet; is it the table of "
        "another corpus?"
    )


def _names(sheets: Mapping[str, Grid]) -> tuple[dict[str, str], dict[str, str]]:
    """Subject number to folder, video to code: those of the release, and what the naming sheets say instead."""
    folders = {number: f"s{folder}" for number, folder in FOLDERS.items()}
    videos = dict(VIDEOS)
    for grid in sheets.values():
        for row in grid:
            texts = [as_text(cell) for cell in row]
            if len(texts) >= 3 and re.fullmatch(r"s\d+", texts[1]) and texts[2].isdigit():
                folders[texts[2]] = texts[1]
            elif (
                len(texts) >= 2 and re.fullmatch(r"\d{3,4}", texts[0]) and re.fullmatch(r"[a-z]+\d", texts[1])
            ):
                videos[texts[1]] = texts[0].zfill(4)
    return folders, videos


def _clips(path: Path) -> tuple[list[CodedClip], Notes, Table]:
    """Rows as clips, under the names of the folders."""
    found, sheets = _table(path)
    subjects, videos = _names(sheets)
    rules = replace(RULES, subject=lambda cell: subjects.get(as_text(cell), as_text(cell)))
    clips, notes = clips_of_table(ABOUT, found, COLUMNS, rules)
    out = []
    for clip in clips:
        match = _VIDEO.fullmatch(clip.name)
        kind = _TYPE.fullmatch(clip.coded.get("expression", ""))
        if kind is None:
            notes.add("no_expression_type", label_of(clip), f"expression {clip.coded.get('expression', '')!r}",
                      "expected is macro-expression or micro-expression; taken for a macro-expression")  # fmt: skip
        code = videos.get(match[1].lower(), "?") if match else "?"
        out.append(
            msgspec.structs.replace(
                clip,
                expression="micro" if kind and kind[1].lower() == "micro" else "macro",
                coded=clip.coded | {"video code": code},
            )
        )
    return out, notes, found
