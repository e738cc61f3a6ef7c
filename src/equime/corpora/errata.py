"""Known errors of published coding tables, corrected by data: ``errata/<corpus>.json``.

An erratum names a clip (subject and name, or the row of the published table), the field, what stands there wrongly and
what is right, with reason and source. It is applied only where the wrong value is really there, so that a corrected
release, or a table that the user corrected, is left alone. What was applied stands in `CodedClip.notes`. Values that
somebody estimated for empty cells (apexes from optical flow) are no corrections and are not here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Final, Literal

import msgspec

from equime.coded import CodedClip, Finding
from equime.corpora.frame_check import Frames, Notes
from equime.types import Record

IMPLAUSIBLE: Final = "implausible"
MAX_MS: Final = 1000.0
"""Longest micro-expression that is believed: twice the definition's 500 ms (Yan et al. 2013)."""

_AU_COLUMN: Final = re.compile(r"AU ?\d+", re.IGNORECASE)


class Match(Record, frozen=True, omit_defaults=True):
    """Which clip an erratum is about; everything that is given must hold.

    Attributes:
        subject_id, name: as `CodedClip` has them.
        onset: where one name holds several clips.
        row: position in the published table, from 0.
        n_rows: number of rows of that table.
    """

    subject_id: str | None = None
    name: str | None = None
    onset: int | None = None
    row: int | None = None
    n_rows: int | None = None


class Erratum(Record, frozen=True, omit_defaults=True):
    """One correction of a mark.

    Attributes:
        match: of which clip.
        field: what is wrong.
        wrong: the wrong value (None for an empty cell), or "implausible", where the source names the right value
            only: a mark that is missing, or that no frame of the clip on the disk has while one has the right value;
            for a table without frames an offset before the onset or more than a second after it, or an apex outside.
        right: the right value, None for not coded.
        reason: how it was found.
        source: who says so.
    """

    match: Match
    field: Literal["onset", "apex", "offset"]
    wrong: int | str | None
    right: int | None
    reason: str
    source: str


class Swap(Record, frozen=True, omit_defaults=True):
    """Two rows whose AU cells and emotion were exchanged; undone where each row's emotion contradicts its own flags
    and fits the other's.

    Attributes:
        first, second: the rows.
        flags: column of coarse class (1 or empty) by emotion that goes with it.
        columns: further columns that were exchanged; those of single AUs ("AU4") always are.
        reason, source: as in `Erratum`.
    """

    first: Match
    second: Match
    flags: dict[str, str]
    reason: str
    source: str
    columns: tuple[str, ...] = ()


class Errata(Record, frozen=True, omit_defaults=True):
    """``errata/<corpus>.json``."""

    values: tuple[Erratum, ...] = ()
    swaps: tuple[Swap, ...] = ()


FramesOf = Callable[[CodedClip], Frames | None]


@functools.cache
def errata_of(corpus_key: str) -> Errata:
    """Known errors of a corpus; none where there is no file."""
    file = resources.files("equime.corpora") / "errata" / f"{corpus_key}.json"
    return msgspec.json.decode(file.read_bytes(), type=Errata) if file.is_file() else Errata()


def apply(
    corpus_key: str,
    clips: Sequence[CodedClip],
    frames_of: FramesOf | None = None,
    errata: Errata | None = None,
) -> tuple[list[CodedClip], list[Finding]]:
    """The clips, corrected where a known error is really there.

    Args:
        corpus_key: as in the registry.
        clips: one per row of the table, in its order.
        frames_of: what is on the disk of a clip; None where the table is read alone.
        errata: instead of those that ship.

    Returns:
        As many clips in the same order, and a finding where anything was corrected.
    """
    known = errata_of(corpus_key) if errata is None else errata
    out = list(clips)
    notes = Notes()
    for erratum in known.values:
        for i in _matching(erratum.match, clips):
            if _is_wrong(erratum, out[i], frames_of):
                value = getattr(out[i], erratum.field)
                text = f"{erratum.field} {value} corrected to {erratum.right} ({erratum.reason}; {erratum.source})"
                out[i] = msgspec.structs.replace(
                    out[i], notes=(*out[i].notes, text), **{erratum.field: erratum.right}
                )
                notes.add("erratum", f"{out[i].subject_id}/{out[i].name}", text)
    for swap in known.swaps:
        pairs = zip(_matching(swap.first, clips), _matching(swap.second, clips), strict=False)
        for i, j in pairs:
            if _is_swapped(swap, out[i], out[j]):
                out[i], out[j] = _coding_of(out[i], out[j], swap), _coding_of(out[j], out[i], swap)
                notes.add("erratum", f"{out[i].subject_id}/{out[i].name}", out[i].notes[-1])
                notes.add("erratum", f"{out[j].subject_id}/{out[j].name}", out[j].notes[-1])
    return out, notes.findings()


def _matching(match: Match, clips: Sequence[CodedClip]) -> list[int]:
    if match.n_rows is not None and match.n_rows != len(clips):
        return []
    places = range(len(clips)) if match.row is None else [match.row] if match.row < len(clips) else []
    return [
        i
        for i in places
        if match.subject_id in (None, clips[i].subject_id)
        and match.name in (None, clips[i].name)
        and match.onset in (None, clips[i].onset)
    ]


def _is_wrong(erratum: Erratum, clip: CodedClip, frames_of: FramesOf | None) -> bool:
    value: int | None = getattr(clip, erratum.field)
    if erratum.wrong != IMPLAUSIBLE:
        return value == erratum.wrong
    if value is None or value == erratum.right:
        return value is None
    frames = frames_of(clip) if frames_of else None
    if frames and frames.numbers:
        return value not in frames.numbers and erratum.right in frames.numbers
    return not _is_plausible(clip, erratum.field, value)


def _is_plausible(clip: CodedClip, field: str, value: int) -> bool:
    if clip.onset is None or clip.offset is None:
        return True
    if field == "apex":
        return clip.onset <= value <= clip.offset
    return 0 <= clip.offset - clip.onset <= MAX_MS / 1000 * clip.fps


def _is_swapped(swap: Swap, a: CodedClip, b: CodedClip) -> bool:
    def flagged(clip: CodedClip, emotion: str | None) -> bool:
        return clip.coded.get(swap.flags.get(emotion or "", ""), "") not in {"", "0"}

    own = flagged(a, a.emotion) or flagged(b, b.emotion)
    return not own and flagged(a, b.emotion) and flagged(b, a.emotion)


def _coding_of(row: CodedClip, other: CodedClip, swap: Swap) -> CodedClip:
    """A row with the other's AUs and emotion."""

    def exchanged(column: str) -> bool:
        return column in swap.columns or _AU_COLUMN.fullmatch(column) is not None

    kept = {k: v for k, v in row.coded.items() if not exchanged(k)}
    taken = {k: v for k, v in other.coded.items() if exchanged(k)}
    return msgspec.structs.replace(
        row,
        aus=other.aus,
        au_text=other.au_text,
        emotion=other.emotion,
        label=other.label,
        coded=kept | taken,
        notes=(*row.notes, f"AUs and emotion exchanged with {other.name} ({swap.reason}; {swap.source})"),
    )
