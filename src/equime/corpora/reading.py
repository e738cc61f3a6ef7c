"""What the readers of corpora share: rows become coded clips, clips find their frames, and both are counted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from equime.coded import (
    FORMAT_VERSION,
    CodedClip,
    CodedInfo,
    CodedSet,
    Finding,
    coded_id,
    three_of,
)
from equime.corpora import errata
from equime.corpora.au_grammar import parse_aus
from equime.corpora.corpus import About, Row
from equime.corpora.frame_check import (
    Frames,
    Notes,
    label_of,
    look,
    note_absent,
    note_folder,
    note_marks,
    note_order,
)
from equime.corpora.locate import find_base, find_table_file
from equime.corpora.tables import CellError, Table, as_int, as_text, find_table, norm_name
from equime.errors import InputError, WorkError
from equime.provenance import provenance
from equime.video import probe

VIDEO_ENDINGS: Final = frozenset({".avi", ".mp4", ".mov", ".mkv", ".wmv"})
TABLE_ONSET: Final = "onset in the table"
"""Key in `CodedClip.coded` of a clip that is a video: what was taken off its marks."""

N_LOOKED: Final = 64
"""Listings of frame folders that are kept, for corpora with several clips in one folder."""


@dataclass(frozen=True)
class Columns:
    """Where a coding table has what; each may name alternatives, "Action Units|AU". None: the corpus codes no such thing.

    Attributes:
        subject, name, onset, apex, offset, emotion, aus: columns.
        optional: which of these (by attribute) a table may lack.
    """

    subject: str
    name: str
    onset: str | None = None
    apex: str | None = None
    offset: str | None = None
    emotion: str | None = None
    aus: str | None = None
    optional: frozenset[str] = frozenset()

    def given(self) -> dict[str, str]:
        """Columns by attribute, without those that the corpus does not have."""
        names = ("subject", "name", "onset", "apex", "offset", "emotion", "aus")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def required(self) -> list[str]:
        """What a header must hold, for `find_table`."""
        return [value for name, value in self.given().items() if name not in self.optional]

    def fit(self, columns: Iterable[str]) -> bool:
        """Whether a header with these names has all of them."""
        have = {norm_name(column) for column in columns}
        return all(have & {norm_name(one) for one in names.split("|")} for names in self.required())


@dataclass(frozen=True)
class Rules:
    """How cells are understood.

    Attributes:
        subject, name: a cell to the id that folders have (zero-padding and the like).
        emotions: words that the corpus uses, in lower case; others are kept and noted. Empty: any.
        renamed: words that mean another one ("others" for "other").
        no_mark: cells of a number column that mean "not coded", in lower case.
        no_mark_numbers: numbers that mean it (-1, 0): they become None with a finding.
        several: whether one name holds several clips; ids then take the onset.
        label: class of an emotion.
    """

    subject: Callable[[Any], str] = as_text
    name: Callable[[Any], str] = as_text
    emotions: Collection[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    no_mark: frozenset[str] = frozenset({"/"})
    no_mark_numbers: frozenset[int] = frozenset()
    several: bool = False
    label: Callable[[str | None], str | None] = three_of


def clips_of_table(
    about: About, table: Table, columns: Columns, rules: Rules | None = None
) -> tuple[list[CodedClip], Notes]:
    """Every row that names a clip, in the table's order, and what was noticed.

    Cells that could not be understood are kept in `CodedClip.coded` under their column, so that an export has them.
    """
    rules = rules or Rules()
    notes = Notes()
    at = {name: table.column(*names.split("|")) for name, names in columns.given().items()}
    clips: list[CodedClip] = []
    for i, row in enumerate(table.rows):
        clip = _clip(about, table, i, row, at, rules, notes)
        if clip is not None:
            clips.append(clip)
    return clips, notes


def _clip(
    about: About, table: Table, i: int, row: Row, at: Mapping[str, str | None], rules: Rules, notes: Notes
) -> CodedClip | None:
    cell = {name: row.get(column) if column else None for name, column in at.items()}
    subject, name = rules.subject(cell["subject"]), rules.name(cell["name"])
    if not subject or not name:
        notes.add("row_without_clip", table.where(i), "no subject or no file name in the row",
                  "fill the cells; these rows are left out", dropped=True)  # fmt: skip
        return None
    label = f"{subject}/{name}"
    coded = {
        key: as_text(value) for key, value in row.items() if key not in at.values() and value is not None
    }
    marks: dict[str, int | None] = {}
    for mark in ("onset", "apex", "offset"):
        marks[mark] = _mark(mark, cell.get(mark), label, table.where(i), rules, notes)
        if marks[mark] is None and as_text(cell.get(mark)):
            coded[str(at[mark])] = as_text(cell[mark])
    word = as_text(cell.get("emotion"))
    emotion = rules.renamed.get(word.casefold(), word.casefold()) or None
    if emotion != (word or None):
        coded[str(at["emotion"])] = word
    if emotion and rules.emotions and emotion not in rules.emotions:
        notes.add("unknown_emotion", label, f"emotion {word!r} ({table.where(i)})",
                  f"{about.title} has {', '.join(sorted(rules.emotions))}; kept, without a class")  # fmt: skip
    text = as_text(cell.get("aus"))
    reading = parse_aus(text)
    if reading.unread:
        notes.add("unread_au", label, f"no AU code: {', '.join(reading.unread)} in {text!r} ({table.where(i)})",
                  "the other codes of the cell are used")  # fmt: skip
    if len(reading.alternatives) > 1:
        notes.add("au_alternatives", label, f"{text!r} allows several readings", "the first one is used")
    return CodedClip(
        clip_id=coded_id(about.key, subject, name, marks["onset"] if rules.several else None),
        corpus=about.key, subject_id=subject, name=name, fps=about.fps, kind="none",
        onset=marks["onset"], apex=marks["apex"], offset=marks["offset"], emotion=emotion,
        label=rules.label(emotion), aus=reading.aus if at.get("aus") else None, au_text=text, coded=coded,
    )  # fmt: skip


def _mark(mark: str, cell: Any, label: str, where: str, rules: Rules, notes: Notes) -> int | None:
    try:
        value = as_int(cell, rules.no_mark)
    except CellError as error:
        notes.add("not_a_number", label, f"{mark} {error} ({where})", "taken for not coded; correct the cell")
        return None
    if value is not None and (value in rules.no_mark_numbers or value < 0):
        notes.add(
            "sentinel",
            label,
            f"{mark} {value} ({where}) stands for a mark that is not known",
            "taken for not coded",
        )
        return None
    return value


def without_duplicates(clips: Sequence[CodedClip], notes: Notes) -> list[CodedClip]:
    """The first clip of each id; the others are noted."""
    seen: dict[str, CodedClip] = {}
    for clip in clips:
        first = seen.setdefault(clip.clip_id, clip)
        if first is not clip:
            same = "the same row again" if first == clip else "a second, different row"
            notes.add("duplicate_row", label_of(clip), same, "the first one is used", dropped=True)
    return list(seen.values())


def table_set(about: About, table: Table, clips: Sequence[CodedClip], notes: Notes) -> CodedSet:
    """A set without frames, of a table alone.

    Raises:
        InputError: the table has no clip.
    """
    corrected, found = errata.apply(about.key, clips)
    kept = without_duplicates(corrected, notes)
    for clip in kept:
        note_order(notes, clip)
    if not kept:
        raise InputError(f"{table.path}: no row that names a clip below the header in row {table.header_row}")
    root = table.path.resolve().parent
    return CodedSet(
        _info(about, root, [*notes.findings(), *found], {"table": table.path.name}), root, tuple(kept)
    )


def _info(about: About, root: Path, findings: Iterable[Finding], config: Mapping[str, str]) -> CodedInfo:
    return CodedInfo(
        format_version=FORMAT_VERSION, corpus=about.key, root=str(root), licence=about.licence,
        findings=tuple(findings), config=dict(config), provenance=provenance(),
    )  # fmt: skip


Folders = Callable[[CodedClip], Sequence[Path]]


def build_set(
    about: About,
    root: Path,
    clips: Sequence[CodedClip],
    notes: Notes,
    *,
    folders: Folders,
    present: Iterable[Path] | None = None,
    config: Mapping[str, str] | None = None,
) -> CodedSet:
    """Correct the clips, find their frames, check both against each other.

    Args:
        about: the corpus.
        root: of the set; absolute, or made so.
        clips: one per row of the table, in its order.
        notes: what the table gave; findings are added to these.
        folders: places of a clip's frames (or its video), the preferred first.
        present: all clip folders on the disk, to find those without a row.
        config: kept in the set.

    Returns:
        The set; clips without frames are left out.

    Raises:
        InputError: not one clip has frames.
    """
    root = root.resolve()
    disk = _Disk(folders)
    corrected, found = errata.apply(about.key, clips, lambda clip: disk.frames(disk.place(clip)))
    rows = without_duplicates(corrected, notes)
    kept: list[CodedClip] = []
    pairs: list[tuple[CodedClip, Frames]] = []
    used: set[Path] = set()
    for row in rows:
        place = disk.place(row)
        used.add(place)
        note_order(notes, row)
        if _is_video(place):
            video = _as_video(row, root, place, notes)
            kept += [video] if video else []
            continue
        frames = disk.frames(place)
        if frames is None or not frames.numbers:
            note_absent(notes, row, place, frames)
            continue
        note_folder(notes, row, place, frames)
        pairs.append((row, frames))
        kept.append(msgspec.structs.replace(row, kind="frames", file=_relative(place, root)))
    note_marks(notes, pairs)
    for folder in sorted(p for p in set(present or ()) - used if p.is_dir() or _is_video(p)):
        notes.add("no_row", _relative(folder, root), "frames without a row in the coding table",
                  "these are left out; is it the table of this release?", dropped=True)  # fmt: skip
    if not kept:
        first = next(iter(rows), None)
        asked = f"; looked for {disk.place(first)} first" if first else ""
        raise InputError(
            f"{root}: none of the {len(rows)} clips of {about.title} has frames there{asked}. "
            f"Expected is {about.layout}"
        )
    info = _info(about, root, [*notes.findings(), *found], {"n_rows": str(len(clips))} | dict(config or {}))
    return CodedSet(info, root, tuple(kept))


def read_by_table(
    about: About,
    root: Path,
    table: Path | None,
    columns: Columns,
    rules: Rules,
    *,
    bases: Sequence[str],
    probe: str,
    folders: Callable[[Path, CodedClip], Sequence[Path]],
) -> CodedSet:
    """Read a copy whose table names clips and whose frames lie below one of several folders.

    Args:
        about, root, table: as `Corpus.read` has them.
        columns, rules: of the table.
        bases: folders that may hold the frames, the preferred first; the others are named.
        probe: pattern of a clip's folder below a base.
        folders: places of a clip below the base that is read.
    """
    base, others = find_base(root, bases, probe, about.layout)
    found = find_table(find_table_file(root, about.tables, table, about.title), columns.required())
    clips, notes = clips_of_table(about, found, columns, rules)
    other_bases(notes, base, others)
    return build_set(
        about, root, clips, notes, folders=lambda clip: folders(base, clip), present=base.glob(probe),
        config={"table": found.path.name},
    )  # fmt: skip


def other_bases(notes: Notes, base: Path, others: Sequence[Path]) -> None:
    """Say that a copy holds further versions of the frames."""
    for other in others:
        notes.add("other_version", other.name, f"{other} holds the clips as well; {base} is read",
                  "give the other folder to read that one")  # fmt: skip


class _Disk:
    """Places of clips and listings of their folders, the last few of which are kept."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._places: dict[str, Path] = {}
        self._frames: dict[Path, Frames | None] = {}

    def place(self, clip: CodedClip) -> Path:
        """The first place that is there, else the first."""
        if clip.clip_id not in self._places:
            places = self._folders(clip)
            self._places[clip.clip_id] = next((p for p in places if p.exists()), places[0])
        return self._places[clip.clip_id]

    def frames(self, place: Path) -> Frames | None:
        if place not in self._frames:
            if len(self._frames) >= N_LOOKED:
                self._frames.pop(next(iter(self._frames)))
            self._frames[place] = look(place)
        return self._frames[place]


def _is_video(place: Path) -> bool:
    return place.suffix.lower() in VIDEO_ENDINGS and place.is_file()


def _relative(place: Path, root: Path) -> str:
    whole = place.resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else str(whole)


def _as_video(clip: CodedClip, root: Path, place: Path, notes: Notes) -> CodedClip | None:
    """A clip cut from onset to offset and compressed: marks become indices of its frames, the table's stay in coded.

    None where the video cannot be read.
    """
    try:
        n_frames = probe(place).n_frames
    except (WorkError, InputError):
        notes.add("unreadable_video", label_of(clip), f"{place} is no complete video",
                  "copy it again; these clips are left out", dropped=True)  # fmt: skip
        return None
    start = clip.onset or 0

    def index(mark: int | None) -> int | None:
        return None if mark is None else mark - start

    wanted = None if clip.offset is None else clip.offset - start + 1
    if wanted is not None and n_frames != wanted:
        notes.add("video_length", label_of(clip), f"{place} has {n_frames} frames, onset to offset are {wanted}",
                  "its first frame is taken for the onset; use the frame folders of the release to be sure")  # fmt: skip
    return msgspec.structs.replace(
        clip, kind="video", file=_relative(place, root),
        onset=index(clip.onset), apex=index(clip.apex), offset=index(clip.offset),
        coded=clip.coded | {TABLE_ONSET: str(start)},
    )  # fmt: skip
