"""Which corpus a folder or a coding table is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from equime.coded import CodedSet, is_set
from equime.corpora.corpus import Corpus
from equime.corpora.meb import is_meb, read_meb
from equime.corpora.tables import SEARCHED_ROWS, as_text, sheets_of
from equime.errors import InputError, MissingError
from equime.registry import CORPORA, lookup

MEB = "meb"

SAY_WHICH: Final = "say which with --as KEY, or as KEY:PATH where a command takes no --as"


def corpus(key: str) -> Corpus:
    """A registered corpus, or ``module:attribute``.

    Raises:
        InputError: unknown; the message lists the known ones.
    """
    found: Corpus = lookup("corpus", key)()
    return found


def detect(root: Path) -> list[str]:
    """Keys of the corpora whose layout a folder has, in the order of the registry."""
    return [key for key in CORPORA if corpus(key).recognises(root)] if root.is_dir() else []


def detect_table(path: Path) -> list[str]:
    """Keys of the corpora whose coding table a file is; "meb" for MEB's normalised one.

    Raises:
        MissingError: no such file.
        InputError: no table at all.
    """
    known = {key: corpus(key) for key in CORPORA}
    for cells in _headers(path):
        if is_meb(cells):
            return [MEB]
        keys = [key for key, one in known.items() if one.is_table(cells)]
        if keys:
            return keys
    return []


def _headers(path: Path) -> Iterator[list[str]]:
    """Rows that may be a header."""
    for grid in sheets_of(path).values():
        for row in itertools.islice(grid, SEARCHED_ROWS):
            cells = [as_text(cell) for cell in row]
            if any(cells):
                yield cells


def open_corpus(root: Path, key: str | None = None, table: Path | None = None) -> CodedSet:
    """Read a copy of a corpus.

    Args:
        root: its folder.
        key: of the corpus; None finds it out.
        table: the coding table, where it does not lie in root.

    Raises:
        MissingError: no such folder, no table, no frames.
        InputError: the folder is no corpus that equime knows, or may be several; a written set; see `Corpus.read`.
    """
    if is_set(root):
        raise InputError(
            f"{root}: is a set that was read already; show it with `equime corpus show {root}`, or give the corpus' own "
            "folder"
        )
    if key is not None:
        return corpus(key).read(root, table=table)
    if root.is_file():
        raise InputError(
            f"{root}: is a file; give the corpus' folder, and the file with --table (`equime fit-priors` takes tables "
            "alone)"
        )
    if not root.is_dir():
        raise MissingError(f"{root}: no such folder; give the folder of your copy of the corpus")
    keys = detect(root)
    if not keys and table is not None:
        keys = [found for found in detect_table(table) if found != MEB]
    if len(keys) == 1:
        return corpus(keys[0]).read(root, table=table)
    if keys:
        raise InputError(f"{root}: may be {' or '.join(keys)}; {SAY_WHICH}")
    raise InputError(_unknown(root))


def _unknown(root: Path) -> str:
    near = [
        f"{place} ({', '.join(found)})"
        for place in [*root.resolve().parents[:2], *sorted(p for p in root.iterdir() if p.is_dir())[:50]]
        if (found := detect(place))
    ]
    if near:
        return f"{root}: no layout of a corpus there; the right folder may be {' or '.join(near[:3])}"
    layouts = "; ".join(f"{key}: {corpus(key).about.layout}" for key in CORPORA)
    return f"{root}: no layout of a corpus that equime knows. Expected is one of: {layouts}. Else {SAY_WHICH}"


def open_table(path: Path, key: str | None = None) -> CodedSet:
    """Read a coding table alone.

    Args:
        path: .xlsx, .xls, .csv, or MiE-X's list of labels.
        key: of the corpus, or "meb"; None finds it out.

    Raises:
        MissingError: no such file.
        InputError: a table of no corpus that equime knows, or of several.
    """
    keys = [key] if key is not None else detect_table(path)
    if len(keys) > 1:
        raise InputError(f"{path}: may be the table of {' or '.join(keys)}; say which with --as KEY")
    if not keys:
        raise InputError(
            f"{path}: its columns are those of no corpus that equime knows ({', '.join((*CORPORA, MEB))}); say which it "
            "is with --as KEY"
        )
    return read_meb(path) if keys[0] == MEB else corpus(keys[0]).read_table(path)
