"""Coded clips from whatever a path holds: an equime data set, a set that was read before, or a corpus."""

from __future__ import annotations

from pathlib import Path

from equime import layout
from equime.coded import CodedSet, is_set, of_dataset, read_set
from equime.errors import InputError, MissingError
from equime.registry import CORPORA


def open_data(path: str | Path, *, key: str | None = None, table: Path | None = None) -> CodedSet:
    """Open a set of coded clips.

    Args:
        path: an equime data set (it has ``dataset.json``), a set that equime wrote (``coded.json``), or a copy of a
            corpus. ``casme2:PATH`` says which corpus it is.
        key: the same.
        table: coding table of a corpus, where it does not lie in its folder.

    Raises:
        MissingError: nothing there.
        InputError: something there that is none of them; the message says what was looked for.
    """
    if key is None and isinstance(path, str) and ":" in path:
        head, _, rest = path.partition(":")
        if head in CORPORA:
            key, path = head, rest
    folder = Path(path)
    if not folder.exists():
        raise MissingError(
            f"{folder}: nothing there; give an equime data set, a set of coded clips, or a corpus folder"
        )
    if folder.is_file():
        raise InputError(f"{folder}: is a file; give the folder of a data set or corpus")
    if key is None and table is None:
        if (folder / layout.INFO).is_file():
            return of_dataset(folder)
        if is_set(folder):
            return read_set(folder)
    from equime.corpora.detect import open_corpus  # noqa: PLC0415

    return open_corpus(folder, key=key, table=table)
