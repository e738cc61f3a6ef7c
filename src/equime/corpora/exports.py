"""Coded clips back to rows of a coding table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from equime.coded import CodedClip
from equime.corpora.au_grammar import format_aus
from equime.corpora.corpus import Row
from equime.corpora.reading import TABLE_ONSET, Columns


def export_rows(
    clips: Iterable[CodedClip],
    columns: Columns,
    order: Sequence[str],
    rules_out: Mapping[str, Callable[[CodedClip], Any]] | None = None,
) -> list[Row]:
    """Rows of a corpus' own table.

    Args:
        clips: of any corpus.
        columns: as for reading; the first of each alternative that is in ``order`` is written.
        order: the table's columns; further cells of a clip are written where one has their name.
        rules_out: cells by column that need more than the default.
    """
    at = {
        name: next((one for one in names.split("|") if one in order), None)
        for name, names in columns.given().items()
    }
    rows = []
    for clip in clips:
        start = int(clip.coded.get(TABLE_ONSET, "0")) if clip.kind == "video" else 0
        marks = {"onset": clip.onset, "apex": clip.apex, "offset": clip.offset}
        cells: Row = {
            **{mark: None if value is None else value + start for mark, value in marks.items()},
            "subject": clip.subject_id,
            "name": clip.name,
            "emotion": clip.emotion,
            "aus": clip.au_text or format_aus(clip.aus) or None,
        }
        row: Row = {column: cells[name] for name, column in at.items() if column}
        row |= {key: _native(value) for key, value in clip.coded.items() if key in order}
        row |= {column: rule(clip) for column, rule in (rules_out or {}).items()}
        rows.append(row)
    return rows


def _native(text: str) -> int | float | str:
    """A number where the text is exactly how one is written; "006" stays text."""
    for kind in (int, float):
        try:
            if str(kind(text)) == text:
                return kind(text)
        except ValueError:
            continue
    return text


def number_or_text(text: str) -> int | str:
    """A subject for a column of numbers: 1 for "01"; "s01" stays text."""
    return int(text) if text.isascii() and text.isdigit() else text


def capital(emotion: str | None) -> str | None:
    """As SAMM writes emotions: "Anger", "Other"."""
    return None if emotion is None else "Other" if emotion == "others" else emotion.capitalize()


def duration(clip: CodedClip, column: str) -> int | str | None:
    """Frames from onset to offset, both counted; the table's own cell where it has one."""
    if column in clip.coded:
        return number_or_text(clip.coded[column])
    return None if clip.onset is None or clip.offset is None else clip.offset - clip.onset + 1
