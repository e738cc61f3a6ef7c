"""The MEGC 2019 composite: 442 clips of SMIC, CASME II and SAMM in the classes negative, positive and surprise.

Its list has the columns dataset, sub, filename_o, label (0 negative, 1 positive, 2 surprise), apex and imagename
(``casme2,sub01,EP02_01f,1,,sub01_EP02_01f.jpg``). equime does not ship it: the composite is not all clips of the three
corpora that have a class, so that only the organisers' list (or a copy in a published code) says which are in it.

Source: See et al. 2019, MEGC 2019: The Second Facial Micro-Expressions Grand Challenge, FG.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from equime.coded import FORMAT_VERSION, THREE, CodedClip, CodedInfo, CodedSet, Finding
from equime.corpora.tables import Table, as_int, as_text, find_table, norm_name, write_rows
from equime.errors import InputError
from equime.provenance import provenance

COLUMNS: Final = ("dataset", "sub", "filename_o", "label", "apex", "imagename")
CORPORA: Final = ("casme2", "smic", "samm")
N_CLIPS: Final = 442

_SHOWN: Final = 20
_SPELLINGS: Final = {"casmeii": "casme2", "smichs": "smic", "smic-hs": "smic", "casme ii": "casme2"}


@dataclass(frozen=True)
class Entry:
    """One row of the list.

    Attributes:
        corpus: key.
        subject, name: as the list has them.
        label: class.
        apex: frame number; None where the list has none.
    """

    corpus: str
    subject: str
    name: str
    label: str
    apex: int | None


def is_megc(columns: Iterable[str]) -> bool:
    """Whether a table with these columns is such a list."""
    return {"dataset", "sub", "filenameo", "label"} <= {norm_name(column) for column in columns}


def read_list(path: Path) -> list[Entry]:
    """The rows of a list.

    Raises:
        MissingError: no such file.
        InputError: no such list, or a label other than 0, 1, 2 (the message names the row).
    """
    found = find_table(path, COLUMNS[:4])
    return [_entry(found, i) for i in range(len(found.rows))]


def _entry(found: Table, i: int) -> Entry:
    def cell(name: str) -> Any:
        column = found.column(name)
        return found.rows[i].get(column) if column else None

    label = as_text(cell("label"))
    if label not in {"0", "1", "2"}:
        raise InputError(
            f"{found.where(i)}: label {label!r} is none of 0 (negative), 1 (positive), 2 (surprise); correct the row"
        )
    word = as_text(cell("dataset")).lower()
    name = as_text(cell("filename_o"))
    apex = as_int(cell("apex"), {"/", "nan"})
    return Entry(_SPELLINGS.get(word, word), as_text(cell("sub")), name, THREE[int(label)], apex)


def write_list(clips: Sequence[CodedClip], path: Path) -> list[Finding]:
    """Write clips as such a list.

    Returns:
        What was left out: clips without a class.
    """
    kept = [clip for clip in clips if clip.label in THREE]
    rows = []
    for clip in kept:
        sub = f"sub{clip.subject_id}" if clip.corpus == "casme2" else clip.subject_id
        rows.append(
            {
                "dataset": clip.corpus, "sub": sub, "filename_o": clip.name, "label": THREE.index(clip.label or ""),
                "apex": clip.apex, "imagename": f"{sub}_{clip.name}.jpg",
            }
        )  # fmt: skip
    write_rows(path, COLUMNS, rows)
    without = [f"{clip.subject_id}/{clip.name}" for clip in clips if clip.label not in THREE]
    return _noted("no_class", "clips without a class (others, neutral) are not in the list", without, True)


def joined(sets: Sequence[CodedSet]) -> CodedSet:
    """Several sets as one, below the folder that their roots share.

    Raises:
        InputError: no set, or one clip in two of them.
    """
    if not sets:
        raise InputError("no set to join; give at least one")
    seen = Counter(clip.clip_id for data in sets for clip in data.clips)
    if again := [clip.name for data in sets for clip in data.clips if seen[clip.clip_id] > 1]:
        raise InputError(
            f"{len(again)} clips are in more than one set, for example {again[0]}; give each set once"
        )
    root = Path(os.path.commonpath([data.root.resolve() for data in sets]))
    clips = [
        msgspec.structs.replace(
            clip, file=data.path_of(clip).resolve().relative_to(root).as_posix() if clip.file else ""
        )
        for data in sets
        for clip in data.clips
    ]
    keys = list(dict.fromkeys(data.info.corpus for data in sets))
    info = CodedInfo(
        format_version=FORMAT_VERSION, corpus=keys[0] if len(keys) == 1 else "+".join(keys), root=str(root),
        licence="; ".join(dict.fromkeys(f"{data.info.corpus}: {data.info.licence}" for data in sets)),
        synthetic=all(data.info.synthetic for data in sets),
        findings=tuple(finding for data in sets for finding in data.info.findings), provenance=provenance(),
    )  # fmt: skip
    return CodedSet(info, root, tuple(clips))


def select(sets: Sequence[CodedSet], path: Path) -> CodedSet:
    """The clips of a list, in its order, with its classes, and with its apexes where it has any.

    Args:
        sets: of SMIC, CASME II and SAMM, all or some; also a set of flow folders.
        path: the list.

    Raises:
        MissingError: no such file.
        InputError: no such list; no set; not one clip of the list is in the sets.
    """
    whole = joined(sets)
    places: dict[tuple[str, str, str], CodedClip] = {}
    for clip in whole.clips:
        places.setdefault(_key(clip.corpus, clip.subject_id, clip.name), clip)
    entries = read_list(path)
    here = {clip.corpus for clip in whole.clips}
    chosen: dict[str, CodedClip] = {}
    missing, outside, relabelled = [], [], []
    for entry in entries:
        found = places.get(_key(entry.corpus, entry.subject, entry.name))
        label = f"{entry.corpus}/{entry.subject}/{entry.name}"
        if found is None:
            missing += [label] if entry.corpus in here else []
            continue
        apex = found.apex
        if entry.apex is not None and found.kind != "flow":
            if _inside(entry.apex, found):
                apex = entry.apex
            else:
                outside.append(label)
        relabelled += [label] if found.label != entry.label else []
        chosen[found.clip_id] = msgspec.structs.replace(found, label=entry.label, apex=apex)
    if not chosen:
        raise InputError(f"{path}: not one of its {len(entries)} clips is among the {len(whole.clips)} of the sets; is "
                         "it the list of the MEGC 2019 composite?")  # fmt: skip
    left = [f"{clip.person}/{clip.name}" for clip in whole.clips if clip.clip_id not in chosen]
    findings = [
        *whole.info.findings,
        *_noted("not_in_composite", f"clips that {path.name} does not name are left out", left, True),
        *_noted("missing_of_composite", f"clips of {path.name} that the set lacks; read the whole corpus", missing, False),
        *_noted("relabelled", f"clips whose class was taken from {path.name}", relabelled, False),
        *_noted("apex_outside", f"apexes of {path.name} outside [onset, offset] were not taken", outside, False),
    ]  # fmt: skip
    config = whole.info.config | {"megc": path.name}
    info = msgspec.structs.replace(whole.info, findings=tuple(findings), config=config)
    return CodedSet(info, whole.root, tuple(chosen.values()))


def _inside(apex: int, clip: CodedClip) -> bool:
    above = clip.onset is None or apex >= clip.onset
    return above and (clip.offset is None or apex <= clip.offset)


def _key(corpus: str, subject: str, name: str) -> tuple[str, str, str]:
    """Subjects by their number; SMIC's clips are s1_ne_01 in the corpus and s01_ne_01 in the list."""
    digits = re.sub(r"\D", "", subject)
    clip = name.strip().lower()
    return (
        corpus,
        str(int(digits)) if digits else subject,
        re.sub(r"^s0+(?=\d)", "s", clip) if corpus == "smic" else clip,
    )


def _noted(code: str, message: str, names: Sequence[str], dropped: bool) -> list[Finding]:
    if not names:
        return []
    return [Finding(code=code, message=message, clips=tuple(names[:_SHOWN]), n=len(names), dropped=dropped)]
