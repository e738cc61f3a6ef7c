"""Where in a copy of a corpus the frames and the coding table are; a wrong level is recognised and said."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from equime.errors import MissingError

TABLE_ENDINGS: Final = frozenset({".xlsx", ".xls", ".xlsm", ".csv", ".tsv", ".txt"})


def find_root(root: Path, pattern: str | Sequence[str], what: str = "") -> Path:
    """``root``, if something below it has the layout.

    Args:
        root: what the user gave.
        pattern: globs below a right root ("sub*/EP*"), any of which will do.
        what: the layout in words, for the message.

    Raises:
        MissingError: not there. Where a folder above or up to two levels below has the layout, the message names
            that one: it is never used in silence, as a copy may hold several versions of a corpus.
    """
    patterns = [pattern] if isinstance(pattern, str) else list(pattern)
    if not root.is_dir():
        raise MissingError(f"{root}: no such folder; give the folder of your copy of the corpus")
    if holds(root, patterns):
        return root
    whole = root.resolve()
    near = [p for p in (whole.parent, whole.parent.parent) if holds(p, patterns)]
    near += [p for p in _below(whole) if holds(p, patterns)]
    near = [p for i, p in enumerate(near) if not any(p.is_relative_to(q) for q in near[:i])]
    wanted = what or " or ".join(patterns)
    if near:
        more = "".join(f" (or {p})" for p in near[1:3])
        level = "low" if whole.is_relative_to(near[0]) else "high"
        raise MissingError(
            f"{root}: too {level} a level, no {wanted} right below it; use {near[0]}{more} instead"
        )
    raise MissingError(f"{root}: holds no {wanted}; give the folder that does")


def _below(root: Path) -> list[Path]:
    children = [p for p in _children(root)[:500] if p.is_dir()]
    return children + [p for child in children for p in _children(child)[:100] if p.is_dir()]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # A file, or a folder that may not be read: nothing of ours is in it.
        return []


def _descend(root: Path, base: str) -> Path | None:
    """The folder ``base`` below root, whatever the case of its name."""
    if base == ".":
        return root
    for part in Path(base).parts:
        names = {p.name.casefold(): p for p in reversed(_children(root))}
        if part.casefold() not in names:
            return None
        root = names[part.casefold()]
    return root


def holds(root: Path, patterns: Sequence[str]) -> bool:
    """Whether anything below root matches one of the globs."""
    return any(next(root.glob(pattern), None) is not None for pattern in patterns)


def find_base(
    root: Path, bases: Sequence[str], probe: str | Sequence[str], what: str = ""
) -> tuple[Path, list[Path]]:
    """The folder that clip folders are relative to, where releases differ in what stands above them.

    Args:
        root: what the user gave.
        bases: folders below root, the preferred first; "." for root itself. Archives that unpack to a folder of their
            own name twice are seen through.
        probe: globs below the base.
        what: the layout in words.

    Returns:
        The first base that there is, and the other ones (another version of the frames).

    Raises:
        MissingError: none; see `find_root`.
    """
    probes = [probe] if isinstance(probe, str) else list(probe)
    if root.is_dir():
        names = [
            base if not again else f"{base}/{Path(base).name}" for base in bases for again in (False, True)
        ]
        folders = [folder for name in names if (folder := _descend(root, name)) is not None]
        found = [f for f in dict.fromkeys(folders) if f.is_dir() and holds(f, probes)]
        if found:
            return found[0], found[1:]
    patterns = [f"{base}/{p}" if base != "." else p for base in bases for p in probes]
    return find_root(root, patterns, what), []


def find_table_file(root: Path, names: Sequence[str], given: Path | None, key: str) -> Path:
    """The coding table: the given one, else the first pattern that matches in root, its subfolders or its parents.

    Raises:
        MissingError: no table; the message says what was looked for and where.
    """
    if given is not None:
        if not given.is_file():
            raise MissingError(f"{given}: no such file; give the coding table with --table")
        return given
    whole = root.resolve()
    places = [whole, *(p for p in _children(whole)[:50] if p.is_dir()), whole.parent, whole.parent.parent]
    # A folder of thousands of frames is listed once, whatever the number of patterns.
    listed = [[file for file in _children(place) if file.suffix.lower() in TABLE_ENDINGS] for place in places]
    for name in names:
        for files in listed:
            for file in files:
                if fnmatch(file.name.casefold(), name.casefold()) and _is_table(file):
                    return file
    raise MissingError(
        f"{root}: no coding table of {key} there, in its subfolders or above; looked for {', '.join(names)}; "
        "give the file with --table"
    )


def _is_table(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(("~$", "."))  # Excel's lock of an open file.
