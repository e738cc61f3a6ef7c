"""Which clips of a data set a row of somebody's table speaks of: by clip_id, by file, or by subject."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

from equime.dataset import Dataset
from equime.errors import InputError
from equime.layout import safe_subject

Key = Literal["clip_id", "file", "subject_id"]

KEY_COLUMNS: Final[dict[str, Key]] = {
    "clip_id": "clip_id",
    **dict.fromkeys(("file", "file_name", "filename", "video", "video_name", "video_path", "path"), "file"),
    **dict.fromkeys(("subject_id", "subject"), "subject_id"),
}
"""Columns that say which clip a row is about; the first that a table has counts."""


@dataclass(frozen=True)
class Keys:
    """How rows find their clips.

    Attributes:
        column: of the table.
        kind: what it holds.
        spellings: of a key to the key itself; None where several clips or people are spelled so.
        members: key to its clip_ids.
    """

    column: str
    kind: Key
    spellings: Mapping[str, str | None]
    members: Mapping[str, tuple[str, ...]]

    def find(self, text: str) -> str | None:
        """The key that a cell means; None where the data set has none.

        Raises:
            InputError: several clips are called so.
        """
        for spelled in _spellings(self.kind, text.replace("\\", "/")):
            if spelled in self.spellings:
                found = self.spellings[spelled]
                if found is None:
                    raise InputError(
                        f"{self.column} {text!r} may be several clips or people; give clip_id (see `clips.jsonl`)"
                    )
                return found
        return None


def keys_of(dataset: Dataset, columns: tuple[str, ...], file: str) -> Keys:
    """The keys of a table with these columns.

    Raises:
        InputError: none of `KEY_COLUMNS` is among them, or the data set has no clip.
    """
    column = next((name for name in KEY_COLUMNS if name in columns), None)
    if column is None:
        raise InputError(
            f"{file}: no column says which clip a row is about; it has {', '.join(columns)}, and needs one of "
            f"{', '.join(KEY_COLUMNS)}"
        )
    kind = KEY_COLUMNS[column]
    members: dict[str, list[str]] = defaultdict(list)
    for view in dataset:
        key = {"clip_id": view.clip.clip_id, "file": view.clip.file, "subject_id": view.spec.subject_id}[kind]
        members[key].append(view.clip.clip_id)
    if not members:
        raise InputError(
            f"{dataset.root}: the data set has no finished clip yet; run `equime generate` first"
        )
    spellings: dict[str, str | None] = {}
    for key in members:
        for spelled in _names(kind, key):
            spellings[spelled] = key if spellings.get(spelled, key) == key else None
    spellings |= {key: key for key in members}
    return Keys(column, kind, spellings, {key: tuple(ids) for key, ids in members.items()})


def _names(kind: Key, key: str) -> Iterable[str]:
    """Other ways to write a key of the data set."""
    if kind == "file":
        path = PurePosixPath(key)
        return (path.name, path.stem)
    return (safe_subject(key),) if kind == "subject_id" else ()


def _spellings(kind: Key, text: str) -> Iterable[str]:
    """What a cell may be written as in the data set, the most exact first: any folders before a file may be left
    out, as paths of another computer.
    """
    if kind == "subject_id":
        return (text, safe_subject(text))
    if kind == "clip_id":
        return (text,)
    parts = PurePosixPath(text).parts
    return ("/".join(parts[i:]) for i in range(len(parts)))
