"""Clips that somebody coded, and the folder in which a set of them meets every other subsystem.

A *coded clip* says where a clip's frames are and what a coder (or, for synthetic clips, the renderer) says of it:
onset, apex, offset, emotion, Action Units. Corpora become sets of coded clips (`equime.corpora`), equime data sets
are read as such (`of_dataset`), synthetic pairs are written as such, and `equime.baselines` trains and tests on
nothing else. On disk a set is a folder with ``coded.json`` (what it is) and ``coded.jsonl`` (a line per clip); the
frames may lie anywhere and are never copied: they are the corpus owner's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from equime.action_units import Side
from equime.errors import InputError, MissingError
from equime.provenance import Provenance
from equime.records import read, write_atomic
from equime.seeding import canonical_json, content_id
from equime.types import Record

Kind = Literal["frames", "video", "flow", "none"]

INFO: Final = "coded.json"
CLIPS: Final = "coded.jsonl"
FORMAT_VERSION: Final = 1

THREE: Final = ("negative", "positive", "surprise")
"""Classes of the MEGC 2019 composite, in the order of its labels 0, 1, 2 (See et al. 2019), which the flow folders
and MiE-X share."""


class AuCode(Record, frozen=True, omit_defaults=True):
    """One Action Unit as a coder wrote it.

    Attributes:
        au: FACS number; also those that equime cannot command (38, 39, 40, 57, ...).
        side: of the subject; "both" where the code names none.
        letter: intensity A to E; "" where none was coded.
    """

    au: int
    side: Side = "both"
    letter: str = ""


class CodedClip(Record, frozen=True, omit_defaults=True):
    """One coded clip.

    Attributes:
        clip_id: content id of corpus, subject, name and (where one name holds several clips) onset; the Dataset's
            own id for clips of an equime data set.
        corpus: key of the corpus ("casme2", "samm", ...), "equime" or the name a user gave.
        subject_id: as the corpus writes it. Unique within the corpus only, see `person`.
        name: of the clip in the corpus.
        file: folder of frames, video, or flow image, relative to the set's root; "" for kind "none".
        kind: what ``file`` is; "none" where the table was read without the frames.
        fps: frames per second.
        onset, apex, offset: numbers of the frames *as they are named* in a frame folder; frame indices from 0 in a
            video; None where not coded. Never a sentinel.
        emotion: as coded, lower case, in the corpus' words ("others", "repression", ...).
        label: one of `THREE`; None where the clip belongs to none of them (others, neutral).
        aus: None where the corpus has no AU coding for it, () where the coder saw none.
        au_text: the cell as it stands in the table.
        expression: "micro" or "macro" (the long-video corpora code both).
        coded: further cells of the table, by its own column names, as text: for exports.
        notes: corrections that were applied to this row (errata), in words.
    """

    clip_id: str
    corpus: str
    subject_id: str
    name: str
    fps: float
    file: str = ""
    kind: Kind = "frames"
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    emotion: str | None = None
    label: str | None = None
    aus: tuple[AuCode, ...] | None = None
    au_text: str = ""
    expression: Literal["micro", "macro"] = "micro"
    coded: dict[str, str] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def person(self) -> str:
        """Subject, unique over corpora: ``<corpus>/<subject>``. What splits and intervals count by."""
        return f"{self.corpus}/{self.subject_id}"


class Finding(Record, frozen=True, omit_defaults=True):
    """Something that a reader noticed; never dropped in silence.

    Attributes:
        code: stable, for scripts ("missing_frames", "apex_outside", "unknown_emotion", ...).
        message: names file and value, says what was expected and the next step.
        clips: names of the clips concerned, at most the first 20.
        n: how many clips are concerned.
        dropped: whether those clips are left out of the set (else they are in it as they are).
    """

    code: str
    message: str
    clips: tuple[str, ...] = ()
    n: int = 0
    dropped: bool = False


class CodedInfo(Record, frozen=True, omit_defaults=True):
    """``coded.json``: what a set of coded clips is.

    Attributes:
        format_version: `FORMAT_VERSION`.
        corpus: key of the corpus, or a name.
        root: folder that the clips' files are relative to: absolute, or relative to this file's folder.
        licence: of the clips, in words; "unknown" where nobody said.
        synthetic: whether the clips were generated. Figures on synthetic clips are called so everywhere.
        cropped: whether the frames are face crops already; features then do not look for a face in them.
        findings: what the reader noticed.
        config: how it was asked for.
        provenance: what wrote it.
    """

    format_version: int
    corpus: str
    root: str
    licence: str = "unknown"
    synthetic: bool = False
    cropped: bool = False
    findings: tuple[Finding, ...] = ()
    config: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    provenance: Provenance | None = None


@dataclass(frozen=True)
class CodedSet:
    """A set of coded clips in memory.

    Attributes:
        info: what it is.
        root: folder that the clips' files are relative to.
        clips: one per coded clip, in the order of the table.
    """

    info: CodedInfo
    root: Path
    clips: tuple[CodedClip, ...]

    def path_of(self, clip: CodedClip) -> Path:
        """Where a clip's frames, video or flow image is."""
        return self.root / clip.file

    def only(self, clips: Iterable[CodedClip]) -> CodedSet:
        """The same set with these clips."""
        return CodedSet(self.info, self.root, tuple(clips))


def coded_id(corpus: str, subject_id: str, name: str, onset: int | None = None) -> str:
    """Id of a corpus' clip; ``onset`` where one name holds several clips (long videos)."""
    return content_id([corpus, subject_id, name, onset])


def write_set(data: CodedSet, out: Path) -> None:
    """Write ``coded.json`` and ``coded.jsonl`` to ``out``; the first is written last and makes the set complete."""
    out.mkdir(parents=True, exist_ok=True)
    lines = b"".join(canonical_json(clip) + b"\n" for clip in data.clips)
    write_atomic(out / CLIPS, lines)
    write_atomic(out / INFO, msgspec.json.format(canonical_json(data.info), indent=1) + b"\n")


def is_set(path: Path) -> bool:
    """Whether a folder holds a written set."""
    return (path / INFO).is_file()


def read_set(path: Path) -> CodedSet:
    """A set that `write_set` wrote.

    Raises:
        MissingError: no such set there.
        InputError: written by a newer equime, or damaged.
    """
    file = path / INFO
    try:
        info = msgspec.json.decode(file.read_bytes(), type=CodedInfo)
    except FileNotFoundError:
        raise MissingError(f"{path}: no {INFO} there; make the set with `equime corpus read`") from None
    except msgspec.DecodeError as error:
        raise InputError(
            f"{file}: not the description of a set of coded clips: {error}; read the corpus again"
        ) from None
    if info.format_version > FORMAT_VERSION:
        raise InputError(
            f"{file}: format {info.format_version} is newer than this equime reads ({FORMAT_VERSION}); update equime"
        )
    return CodedSet(info, (path / info.root).resolve(), tuple(read(path / CLIPS, CodedClip)))


def of_dataset(path: Path) -> CodedSet:
    """The finished clips of an equime data set as coded clips: AUs and timing as the clips show them (`ClipView.described`).

    Label: `three_of` of the emotion. Neutral clips have no label, no onset, and ``aus`` ().
    """
    from equime.dataset import Dataset  # noqa: PLC0415

    data = Dataset.open(path)
    clips = []
    for view in data:
        clip, spec, timing = view.clip, view.spec, view.clip.timing
        clips.append(
            CodedClip(
                clip_id=clip.clip_id, corpus="equime", subject_id=spec.subject_id, name=Path(clip.file).stem,
                file=clip.file, kind="video", fps=clip.fps,
                onset=timing.onset_frame if timing else None, apex=timing.apex_frame if timing else None,
                offset=timing.offset_frame if timing else None,
                emotion=spec.emotion, label=three_of(spec.emotion),
                aus=tuple(code for peak in view.described.aus for code in codes_of(peak.au, peak.left, peak.right)),
            )
        )  # fmt: skip
    if not clips:
        raise InputError(f"{path}: the data set has no finished clip yet; run `equime generate` first")
    info = CodedInfo(format_version=FORMAT_VERSION, corpus="equime", root=str(path.resolve()), synthetic=True)
    return CodedSet(info, path.resolve(), tuple(clips))


def codes_of(au: int, left: float, right: float) -> list[AuCode]:
    """An AU with these peak intensities (0..5): one code where the letters of both sides agree, else one per side."""
    from equime.action_units import letter  # noqa: PLC0415

    if letter(left) == letter(right):
        return [AuCode(au=au, letter=letter(left))] if left > 0 or right > 0 else []
    sides: tuple[tuple[Side, float], ...] = (("left", left), ("right", right))
    return [AuCode(au=au, side=side, letter=letter(value)) for side, value in sides if value > 0]


_THREE: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("anger", "contempt", "disgust", "fear", "sadness", "repression", "negative"), "negative"
    ),
    **dict.fromkeys(("happiness", "happy", "positive"), "positive"),
    **dict.fromkeys(("surprise",), "surprise"),
}


def three_of(emotion: str | None) -> str | None:
    """Class of the MEGC 2019 composite that an emotion belongs to; None for others, neutral and unknown words.

    Source: See et al. 2019 (MEGC 2019): negative holds repression, anger, contempt, disgust, fear and sadness.
    """
    return _THREE.get(emotion.strip().lower()) if emotion else None
