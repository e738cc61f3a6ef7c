"""MiE-X: 45,000 synthetic micro-expressions, each an onset and an apex picture, of 5,000 people.

A sample is a folder ``<id>_<source>_<label>`` (``000106_mmew_0``) of two pictures; in the release's own lists it is
``<folder><label> <label>`` per line, without the underscores. **Labels: 0 negative, 1 positive, 2 surprise**, as its code
has them; EquiME's loaders take 0 for positive and 1 for negative, so that its MiE-X baseline was trained with the two
classes swapped. Here they are not. A pair has no time: ``fps`` is 1 and means nothing. Some pairs (6 % of EquiME's copy)
are the same picture twice; they are kept and named.

The release's scripts call the pictures ``0_out.png`` and ``1_out.png``. Frames are found by the number before the ending,
so that such folders are left out with a finding that says how to rename them.

Source: Liu, Wang, Gedeon & Zheng 2022, ECCV (arXiv 2112.01730), github.com/liuyvchi/MiE-X.
"""

from __future__ import annotations

import filecmp
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from equime.coded import THREE, CodedClip, CodedSet, coded_id
from equime.corpora.corpus import About
from equime.corpora.frame_check import Notes, label_of, look
from equime.corpora.locate import find_base, holds
from equime.corpora.reading import build_set, table_set
from equime.corpora.tables import Table
from equime.errors import InputError, MissingError
from equime.frame_folders import series_in
from equime.records import write_atomic

ABOUT: Final = About(
    key="miex",
    title="MiE-X",
    source=(
        "Liu, Wang, Gedeon & Zheng 2022, How to Synthesize a Large-Scale and Trainable Micro-Expression Dataset?, ECCV; "
        "github.com/liuyvchi/MiE-X"
    ),
    licence=(
        "For research; the faces are CelebA's (non-commercial research only, not to be passed on). equime never copies "
        "the frames."
    ),
    fps=1.0,
    tables=("simulate_*.txt",),
    layout="000106_mmew_0/<n>.png",
)
PROBE: Final = "[0-9N]*_[a-zA-Z]*_[012]"
BASES: Final = (".", "generated5k_mmewAU", "MiE-X")
_FOLDER = re.compile(r"(?P<id>.+)_(?P<source>[A-Za-z][^_]*)_(?P<label>[012])")
_LINE = re.compile(r"(?P<path>\S.*?)\s+(?P<label>[012])\s*")
_OUT = re.compile(r"\d+_[^.]*\.\w+")


class MieX:
    """Reads and writes MiE-X; see `equime.corpora.corpus.Corpus`."""

    about = ABOUT

    def recognises(self, root: Path) -> bool:
        """Whether the folder has samples called as MiE-X's."""
        return any(holds(root / base, [PROBE]) for base in BASES)

    def is_table(self, columns: Sequence[str]) -> bool:
        """Whether the first line is one of a list of labels, which has no header."""
        return len(columns) == 1 and _LINE.fullmatch(str(columns[0])) is not None

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """All samples in the folder, or those of a list of labels (`read_table`)."""
        notes = Notes()
        if table is None:
            base, _ = find_base(root, BASES, PROBE, ABOUT.layout)
            folders = sorted(place for place in base.glob(PROBE) if place.is_dir())
            samples = [(place, _of_folder(place.name)) for place in folders]
            rows = [(place, clip) for place, clip in samples if clip is not None]
        else:
            if not root.is_dir():
                raise MissingError(
                    f"{root}: no such folder; give the one that the list's paths are relative to"
                )
            rows = [(_place(root, path), clip) for path, clip in _listed(table)]
        places = {clip.clip_id: place for place, clip in rows}
        clips = [_with_marks(clip, place, notes) for place, clip in rows]
        return build_set(ABOUT, root, clips, notes, folders=lambda clip: [places[clip.clip_id]])

    def read_table(self, table: Path) -> CodedSet:
        """A list of labels: a folder, a space and 0, 1 or 2 per line."""
        clips = [clip for _, clip in _listed(table)]
        return table_set(ABOUT, Table(table, "", 0, (), (), ()), clips, Notes())

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """A list of labels, as the release's training code reads it.

        Raises:
            InputError: clips without a class.
        """
        without = [clip.name for clip in clips if clip.label not in THREE]
        if without:
            raise InputError(
                f"{path}: {len(without)} of {len(clips)} clips have no class (negative, positive, surprise), for "
                f"example {', '.join(without[:5])}; leave them out"
            )
        lines = (f"{clip.name} {THREE.index(clip.label or '')}\n" for clip in clips)
        write_atomic(path, "".join(lines).encode())


def _clip(subject: str, name: str, label: str, source: str = "") -> CodedClip:
    word = THREE[int(label)]
    return CodedClip(
        clip_id=coded_id(ABOUT.key, subject, name), corpus=ABOUT.key, subject_id=subject, name=name, fps=ABOUT.fps,
        kind="none", emotion=word, label=word, coded={"source": source} if source else {},
    )  # fmt: skip


def _of_folder(name: str) -> CodedClip | None:
    match = _FOLDER.fullmatch(name)
    return _clip(match["id"], name, match["label"], match["source"]) if match else None


def _listed(table: Path) -> list[tuple[str, CodedClip]]:
    """Paths and clips of a list of labels.

    Raises:
        MissingError: no such file.
        InputError: a line that is none, or none at all.
    """
    try:
        text = table.read_text("utf-8")
    except FileNotFoundError:
        raise MissingError(f"{table}: no such file; give a list of labels with --table") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{table}: cannot be read as a list of labels: {error}") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            match = _LINE.fullmatch(line.strip())
            if match is None:
                raise InputError(
                    f"{table}, line {number}: {line.strip()[:80]!r} is no folder followed by 0, 1 or 2; is it another "
                    "table?"
                )
            found.append((match["path"], _of_line(match["path"], match["label"])))
    if not found:
        raise InputError(f"{table}: holds no line; expected is a folder and 0, 1 or 2 per line")
    return found


def _of_line(path: str, label: str) -> CodedClip:
    name = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    parts = _FOLDER.fullmatch(name)
    subject = parts["id"] if parts else name.removesuffix(label) or name
    return _clip(subject, name, label, parts["source"] if parts else "")


def _place(root: Path, path: str) -> Path:
    whole = root / path
    return whole if whole.is_dir() else root / Path(path).name


def _with_marks(clip: CodedClip, place: Path, notes: Notes) -> CodedClip:
    """The first frame is the onset, the last the apex."""
    frames = look(place)
    if frames is None or len(frames.numbers) < 2:
        if frames is not None and any(map(_OUT.fullmatch, frames.strays)):
            notes.add(
                "named_out", label_of(clip), f"{frames.strays[0]} has its number in front",
                "left out; rename 0_out.png to out_0.png and 1_out.png to out_1.png in every folder", dropped=True,
            )  # fmt: skip
        return clip
    numbered = next(iter(series_in(entry.name for entry in place.iterdir())))
    first, last = place / numbered.names[0], place / numbered.names[-1]
    if filecmp.cmp(first, last, shallow=False):
        notes.add(
            "identical_pair", label_of(clip), f"{first.name} and {last.name} are the same picture: no expression",
            "kept; leave them out where motion is learned",
        )  # fmt: skip
    return msgspec.structs.replace(clip, onset=frames.numbers[0], apex=frames.numbers[-1])
