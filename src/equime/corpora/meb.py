"""MEB's normalised table: one row per clip of any corpus, AUs one-hot, so that MEB's tools run on it unchanged.

Columns: subject, material, onset, apex, offset, AU, emotion, dataset, n_frames, apexf, AU1 to AU64. ``apexf`` counts from
the onset, ``n_frames`` from onset to offset. Where a corpus has no AU coding the AU cells are empty, never 0.

Source: Varanka et al. 2023 (arXiv 2211.11425), github.com/tvaranka/meb.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from equime.coded import AuCode, CodedClip, CodedSet, coded_id
from equime.corpora.au_grammar import format_aus
from equime.corpora.corpus import About
from equime.corpora.frame_check import Notes, label_of
from equime.corpora.reading import Columns, clips_of_table, table_set
from equime.corpora.tables import as_text, find_table, norm_name, write_rows
from equime.registry import CORPORA, lookup

ABOUT: Final = About(
    key="meb",
    title="MEB's normalised table",
    source="Varanka et al. 2023, arXiv 2211.11425, github.com/tvaranka/meb",
    licence="that of the corpora its rows are from; not to be passed on",
    fps=1.0,
    tables=(),
    layout="a table without frames",
)
META: Final = (
    "subject", "material", "onset", "apex", "offset", "AU", "emotion", "dataset", "n_frames", "apexf",
)  # fmt: skip
N_AUS: Final = 64
COLUMNS: Final = Columns(
    "subject", "material", "onset", "apex", "offset", "emotion", "AU", optional=frozenset({"apex", "aus"})
)
DATASETS: Final = {"4dme": "fourd", "casme3": "casme3a"}
"""Key of a corpus to MEB's name for it, where they differ."""

_KEYS: Final = {
    "fourd": "4dme", "fourdmicro": "4dme", "4d": "4dme", "casme3a": "casme3", "casme3c": "casme3", "casmeii": "casme2",
}  # fmt: skip
_WIDTH: Final = {"casme": 2, "casme2": 2, "samm": 3}
"""Digits of a subject, which a spreadsheet may have taken for a number."""


def is_meb(columns: Sequence[str]) -> bool:
    """Whether a table with these columns is one of MEB's."""
    have = {norm_name(column) for column in columns}
    return COLUMNS.fit(columns) and "dataset" in have and any(f"au{au}" in have for au in range(1, N_AUS + 1))


def write_meb(clips: Sequence[CodedClip], path: Path) -> None:
    """Write clips of any corpora.

    Args:
        clips: marks of videos are written as they are, frame indices from 0.
        path: .xlsx or .csv.

    Raises:
        InputError: another ending.
        WorkError: full disk or no write permission.
    """
    beyond = {code.au for clip in clips for code in clip.aus or () if code.au > N_AUS}
    numbers = [*range(1, N_AUS + 1), *sorted(beyond)]
    columns = [*META, *(f"AU{au}" for au in numbers)]
    write_rows(path, columns, (_row(clip, numbers) for clip in clips))


def _row(clip: CodedClip, numbers: Sequence[int]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "subject": clip.subject_id, "material": clip.name, "onset": clip.onset, "apex": clip.apex, "offset": clip.offset,
        "AU": clip.au_text or format_aus(clip.aus) or None, "emotion": clip.emotion,
        "dataset": DATASETS.get(clip.corpus, clip.corpus), "n_frames": _span(clip.onset, clip.offset, 1),
        "apexf": _span(clip.onset, clip.apex, 0),
    }  # fmt: skip
    if clip.aus is not None:
        present = {code.au for code in clip.aus}
        row |= {f"AU{au}": int(au in present) for au in numbers}
    return row


def _span(first: int | None, last: int | None, more: int) -> int | None:
    return None if first is None or last is None else last - first + more


def read_meb(path: Path) -> CodedSet:
    """Read such a table, without frames. The frame rate is that of each row's corpus.

    Raises:
        MissingError: no such file.
        InputError: not such a table.
    """
    found = find_table(path, [*COLUMNS.required(), "dataset"])
    clips, notes = clips_of_table(ABOUT, found, COLUMNS)
    hot = {au: column for au in range(1, 100) if (column := found.column(f"AU{au}"))}
    dataset = found.column("dataset") or "dataset"
    return table_set(ABOUT, found, [_own(clip, dataset, hot, notes) for clip in clips], notes)


def _own(clip: CodedClip, dataset: str, hot: dict[int, str], notes: Notes) -> CodedClip:
    """The clip under its corpus' key, with its AUs: the cell's where there is one, else the one-hot columns'."""
    word = clip.coded.get(dataset, "").lower()
    corpus = _KEYS.get(word, word) or ABOUT.key
    fps = ABOUT.fps
    if corpus in CORPORA:
        fps = lookup("corpus", corpus)().about.fps
    else:
        notes.add("unknown_dataset", label_of(clip), f"dataset {word!r} is no corpus that equime knows",
                  f"kept with {fps:g} frames per second, which means nothing")  # fmt: skip
    subject = clip.subject_id
    if subject.isdigit():
        subject = subject.zfill(_WIDTH.get(corpus, 0))
    cells = {au: as_text(clip.coded[column]) for au, column in hot.items() if column in clip.coded}
    aus = clip.aus
    if aus is None and cells:
        aus = tuple(AuCode(au=au) for au, cell in cells.items() if cell not in ("0", "0.0"))
    own = {"dataset", "n_frames", "apexf", *hot.values()}
    return msgspec.structs.replace(
        clip, clip_id=coded_id(corpus, subject, clip.name, clip.onset), corpus=corpus, subject_id=subject, fps=fps,
        aus=aus, coded={key: value for key, value in clip.coded.items() if key not in own},
    )  # fmt: skip
