"""DFME: 7,526 micro-expressions of 656 people at 200, 300 or 500 fps, with AUs, apex and seven emotions.

The release comes in lists: a training list and the test lists A and B of its challenge (without emotions where they
are hidden). Each row has its own frame rate. Frames lie in one folder per clip, ``sub0003_01``, below the list's
folder or its subject's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import msgspec

from equime.coded import CodedClip, CodedSet
from equime.corpora.corpus import About
from equime.corpora.exports import export_rows
from equime.corpora.frame_check import Notes, label_of
from equime.corpora.locate import find_base
from equime.corpora.reading import Columns, Rules, build_set, clips_of_table, table_set
from equime.corpora.tables import Table, find_table, norm_name, write_rows
from equime.errors import InputError, MissingError

ABOUT: Final = About(
    key="dfme",
    title="DFME",
    source=(
        "Zhao et al. 2024, DFME: A New Benchmark for Dynamic Facial Micro-Expression Recognition, IEEE Transactions on "
        "Affective Computing 15(3)"
    ),
    licence=(
        "For academic research by the person who signed the release agreement of the University of Science and "
        "Technology of China (ask there). No commercial use, no passing on. equime never copies the frames."
    ),
    fps=200.0,
    tables=(
        "DFME*train*", "*train*.xlsx", "*train*.csv", "DFME*.xlsx", "DFME*.csv", "*test*.xlsx", "*test*.csv",
    ),
    layout="<training or test folder>/sub0003_01/<n>.jpg",
)  # fmt: skip
ORDER: Final = (
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU",
)  # fmt: skip
AUS: Final = "AU|AUs|Action Units"
COLUMNS: Final = Columns(
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", AUS,
    optional=frozenset({"emotion", "aus"}),
)  # fmt: skip
REQUIRED: Final = (*COLUMNS.required(), "Fps")
LIST: Final = Columns("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Fps")
MAX_FPS: Final = 1000.0
ENDINGS: Final = frozenset({".xlsx", ".xls", ".csv"})
EMOTIONS: Final = frozenset({"happiness", "anger", "contempt", "disgust", "fear", "sadness", "surprise"})
RULES: Final = Rules(
    emotions=EMOTIONS, renamed={"other": "others", "happy": "happiness", "sad": "sadness", "angry": "anger"}
)
CLIP: Final = "sub[0-9][0-9][0-9][0-9]_*"
PROBES: Final = (CLIP, f"*/{CLIP}", f"*/sub[0-9][0-9][0-9][0-9]/{CLIP}")


class Dfme:
    """Reads and writes DFME; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has clips called as DFME's."""
        return any(place.is_dir() for probe in PROBES for place in root.glob(probe))

    def is_table(self, columns: Sequence[str]) -> bool:
        """The only one with a frame rate per row."""
        return LIST.fit(columns)

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """All lists in the folder, the training list first; one list alone where it is given as the table."""
        base, _ = find_base(root, (".",), PROBES, ABOUT.layout)
        found = _together([find_table(table, REQUIRED)] if table else _lists(root))
        clips, notes = _clips(found)
        places = {
            place.name: place for probe in reversed(PROBES) for place in base.glob(probe) if place.is_dir()
        }
        return build_set(
            ABOUT, root, clips, notes, present=places.values(),
            folders=lambda clip: [places.get(clip.name, base / clip.name)], config={"table": found.path.name},
        )  # fmt: skip

    def read_table(self, table: Path) -> CodedSet:
        """See `Corpus.read_table`; one list."""
        found = _together([find_table(table, REQUIRED)])
        return table_set(ABOUT, found, *_clips(found))

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """The nine columns."""
        rate = {"Fps": lambda clip: int(clip.fps) if float(clip.fps).is_integer() else clip.fps}
        write_rows(path, ORDER, export_rows(clips, COLUMNS, ORDER, rate))


def _lists(root: Path) -> list[Table]:
    """Coding tables in root and its folders, the training list first."""
    places = [root, *sorted(p for p in root.iterdir() if p.is_dir() and not fnmatch(p.name, CLIP))]
    files = [file for place in places for file in sorted(place.iterdir()) if file.suffix.lower() in ENDINGS]
    lists = []
    for file in files:
        if not file.name.startswith(("~$", ".")):
            with contextlib.suppress(InputError):  # Some other table; that no list is left is said below.
                lists.append(find_table(file, REQUIRED))
    if not lists:
        raise MissingError(
            f"{root}: no list of DFME there (a table with the columns {', '.join(REQUIRED)}); give one with --table"
        )
    return sorted(lists, key=lambda found: not fnmatch(found.path.name.lower(), "*train*"))


def _together(tables: Sequence[Table]) -> Table:
    """Lists one after the other, under the columns of `ORDER`."""
    own = {norm_name(column): column for column in ORDER} | dict.fromkeys(
        map(norm_name, AUS.split("|")), "AU"
    )
    rows = [
        {own.get(norm_name(key), key): value for key, value in row.items()}
        for table in tables
        for row in table.rows
    ]
    path = tables[0].path.with_name(", ".join(table.path.name for table in tables))
    columns = dict.fromkeys(own.get(norm_name(name), name) for table in tables for name in table.columns)
    numbers = tuple(number for table in tables for number in table.numbers)
    return Table(path, "", tables[0].header_row, tuple(columns), tuple(rows), numbers)


def _clips(found: Table) -> tuple[list[CodedClip], Notes]:
    """Rows as clips with their own frame rate."""
    clips, notes = clips_of_table(ABOUT, found, COLUMNS, RULES)
    out = []
    for clip in clips:
        try:
            fps = float(clip.coded.get("Fps", ""))
        except ValueError:
            fps = 0.0
        if not 0 < fps <= MAX_FPS:
            notes.add("no_fps", label_of(clip), f"Fps {clip.coded.get('Fps', '')!r} is no frame rate",
                      f"{ABOUT.fps:g} is used")  # fmt: skip
            fps = ABOUT.fps
        out.append(msgspec.structs.replace(clip, fps=fps))
    return out, notes
