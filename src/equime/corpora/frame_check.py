"""Do the frames on the disk fit the coding table? What is wrong is named and counted, and never repaired in silence.

Marks (onset, apex, offset) stay as coded, also where no such frame exists: whoever uses them must look. A clip without
any frame is left out of the set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from equime.coded import CodedClip, Finding
from equime.frame_folders import is_image, series_in, spelled

N_NAMED: Final = 20

SHIFT_SHARE: Final = 0.5
"""Share of the clips from which on a common shift is taken for the table's way of counting, not for typing errors."""


@dataclass
class Notes:
    """Collects findings: one per code, with the first clip's words and the number of clips.

    Attributes:
        advice: next step by code, added to the message.
    """

    advice: dict[str, str] = field(default_factory=dict)
    _found: dict[tuple[str, bool], tuple[str, dict[str, None]]] = field(default_factory=dict)

    def add(self, code: str, clip: str, what: str, advice: str = "", *, dropped: bool = False) -> None:
        """Note what is wrong with a clip (or row, or file)."""
        self._found.setdefault((code, dropped), (what, {}))[1][clip] = None
        if advice:
            self.advice[code] = advice

    def findings(self) -> list[Finding]:
        """One per code, in the order of the first of each."""
        return [
            Finding(
                code=code,
                message=f"{clip_text(clips)}: {what}"
                + (f" (and {len(clips) - 1} more like it)" if len(clips) > 1 else "")
                + (f"; {self.advice[code]}" if code in self.advice else ""),
                clips=tuple(clips)[:N_NAMED],
                n=len(clips),
                dropped=dropped,
            )
            for (code, dropped), (what, clips) in self._found.items()
        ]


def clip_text(clips: Iterable[str]) -> str:
    """The first of them."""
    return next(iter(clips))


@dataclass(frozen=True)
class Frames:
    """What a frame folder holds.

    Attributes:
        numbers: of its longest series, ascending.
        gaps: runs of numbers that are not there.
        others: patterns of further series.
        strays: images that are in no series ("img46 (1).jpg").
        empty: files without a byte.
        twice: numbers that two files share.
    """

    numbers: tuple[int, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()
    others: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    twice: tuple[int, ...] = ()


def look(folder: Path) -> Frames | None:
    """What is in a frame folder; None where it is no folder."""
    try:
        with os.scandir(folder) as entries:
            sizes = {e.name: e.stat().st_size for e in entries if is_image(e.name) and e.is_file()}
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = series_in(sizes)
    if not found:
        return Frames(strays=tuple(sorted(sizes)))
    main = found[0]
    named = {name for series in found for name in series.names}
    return Frames(
        numbers=main.numbers,
        gaps=tuple(main.missing()),
        others=tuple(series.pattern for series in found[1:]),
        strays=tuple(sorted(set(sizes) - named)),
        empty=tuple(name for name in main.names if sizes[name] == 0),
        twice=tuple(a for a, b in zip(main.numbers, main.numbers[1:], strict=False) if a == b),
    )


def check_frames(clip: CodedClip, folder: Path) -> tuple[CodedClip, list[Finding]]:
    """Compare one clip with its folder.

    Returns:
        The clip (kind "none" where the folder has no frames) and what was found.
    """
    notes = Notes()
    frames = look(folder)
    if frames is None or not frames.numbers:
        note_absent(notes, clip, folder, frames)
        return without_frames(clip), notes.findings()
    note_folder(notes, clip, folder, frames)
    note_order(notes, clip)
    note_marks(notes, [(clip, frames)])
    return clip, notes.findings()


def without_frames(clip: CodedClip) -> CodedClip:
    """The clip as its table says it, without frames."""
    return msgspec.structs.replace(clip, kind="none", file="")


def label_of(clip: CodedClip) -> str:
    """A clip in messages: subject and name."""
    return f"{clip.subject_id}/{clip.name}"


def note_absent(notes: Notes, clip: CodedClip, folder: Path, frames: Frames | None) -> None:
    """The folder is not there, or holds no numbered images."""
    if frames is None:
        notes.add("no_folder", label_of(clip), f"no folder {folder}",
                  "copy the missing folders, or check their names; these clips are left out", dropped=True)  # fmt: skip
    elif frames.strays:
        notes.add("unnumbered_frames", label_of(clip),
                  f"{folder} has no numbered series of images (first file: {frames.strays[0]})",
                  "restore the names of the release; these clips are left out", dropped=True)  # fmt: skip
    else:
        notes.add("empty_folder", label_of(clip), f"{folder} holds no image",
                  "copy the frames again; these clips are left out", dropped=True)  # fmt: skip


def note_folder(notes: Notes, clip: CodedClip, folder: Path, frames: Frames) -> None:
    """What is wrong with the files themselves; gaps only inside the coded interval."""
    low = clip.onset if clip.onset is not None else frames.numbers[0]
    high = clip.offset if clip.offset is not None and clip.offset >= low else frames.numbers[-1]
    gaps = [(max(a, low), min(b, high)) for a, b in frames.gaps if a <= high and b >= low]
    name = label_of(clip)
    if gaps:
        notes.add("missing_frames", name, f"{folder} lacks frame {spelled(gaps)}", "copy the frames again")
    if frames.empty:
        notes.add("empty_files", name, f"{folder / frames.empty[0]} is empty", "copy the frames again")
    if frames.twice:
        notes.add(
            "number_twice", name, f"{folder} has two files numbered {frames.twice[0]}", "remove one of them"
        )
    if frames.others:
        notes.add("second_series", name, f"{folder} also holds {frames.others[0]}",
                  "the longest series is used; move the other one elsewhere")  # fmt: skip
    if frames.strays:
        notes.add(
            "stray_images", name, f"{folder / frames.strays[0]} is no numbered frame", "it is left alone"
        )


def note_order(notes: Notes, clip: CodedClip) -> None:
    """Onset <= apex <= offset, where they are coded."""
    name, (onset, apex, offset) = label_of(clip), (clip.onset, clip.apex, clip.offset)
    if onset is not None and offset is not None and offset < onset:
        notes.add("offset_before_onset", name, f"offset {offset} lies before onset {onset}",
                  "kept as coded; correct the row")  # fmt: skip
    elif apex is not None and (
        (onset is not None and apex < onset) or (offset is not None and apex > offset)
    ):
        notes.add("apex_outside", name, f"apex {apex} lies outside [onset {onset}, offset {offset}]",
                  "kept as coded; correct the row, or let the apex be spotted (empty the cell)")  # fmt: skip


def _marks(clip: CodedClip) -> dict[str, int]:
    marks = {"onset": clip.onset, "apex": clip.apex, "offset": clip.offset}
    return {name: value for name, value in marks.items() if value is not None}


def note_marks(notes: Notes, pairs: Sequence[tuple[CodedClip, Frames]]) -> None:
    """Marks that no file has the number of: by clip, or, where one way of counting explains them, for all of them."""
    wrong = [
        (c, f) for c, f in pairs if any(not f.numbers[0] <= m <= f.numbers[-1] for m in _marks(c).values())
    ]
    common = len(wrong) > 1 and (len(wrong) >= SHIFT_SHARE * len(pairs) or _at_the_edge(wrong))
    explained = _counting(wrong) if common else ""
    for clip, frames in wrong:
        first, last = frames.numbers[0], frames.numbers[-1]
        text = ", ".join(f"{k} {m}" for k, m in _marks(clip).items() if not first <= m <= last)
        notes.add(
            "other_counting" if explained else "mark_not_among_frames", label_of(clip),
            f"{text} not among the frames {first} to {last}",
            explained or "marks stay as coded; correct the row, or copy the missing frames",
        )  # fmt: skip


def _at_the_edge(wrong: Sequence[tuple[CodedClip, Frames]]) -> bool:
    """Whether several clips miss their folder by exactly one frame on one side."""
    low = [min(_marks(c).values()) == f.numbers[0] - 1 for c, f in wrong]
    high = [max(_marks(c).values()) == f.numbers[-1] + 1 for c, f in wrong]
    return all(low) or all(high)


def _counting(wrong: Sequence[tuple[CodedClip, Frames]]) -> str:
    """The way of counting that would explain all of them, and the fix, in words; "" where there is none."""

    def fits(shift_of: dict[int, int]) -> bool:
        return all(
            f.numbers[0] <= m + shift_of[i] <= f.numbers[-1]
            for i, (c, f) in enumerate(wrong)
            for m in _marks(c).values()
        )

    if wrong and fits(dict.fromkeys(range(len(wrong)), 1)):
        return (
            "all fit if the table counts from 0 and the files from 1: add 1 to onset, apex and offset of the whole "
            "table (or rename the files), and read again; nothing was shifted"
        )
    if wrong and fits(dict.fromkeys(range(len(wrong)), -1)):
        return (
            "all fit if the table counts from 1 and the files from 0: take 1 off onset, apex and offset of the whole "
            "table (or rename the files), and read again; nothing was shifted"
        )
    for base in (0, 1):
        if wrong and fits({i: f.numbers[0] - base for i, (_, f) in enumerate(wrong)}):
            return (
                f"all fit if the table counts every clip from {base} while the files are numbered on: use the "
                "release's own table or frames, and read again; nothing was shifted"
            )
    return ""
