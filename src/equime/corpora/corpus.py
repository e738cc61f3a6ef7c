"""What a corpus is to equime: one module per corpus gives one of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from equime.coded import CodedClip, CodedSet

Row = dict[str, Any]
"""One row of a coding table: column name to cell, None for an empty one."""


@dataclass(frozen=True)
class About:
    """What is known of a corpus before a copy of it is seen.

    Attributes:
        key: name in the registry, in commands and in `CodedClip.corpus` ("casme2").
        title: as published ("CASME II").
        source: paper (authors, year, venue) and, where there is one, the page that describes the release.
        licence: conditions of use in plain words; equime never distributes a corpus.
        fps: frames per second of the recordings.
        tables: file names (glob patterns) of the coding tables, the preferred one first; () where there is none.
        layout: path of a clip's frames below the root, for messages and documentation
            ("CASME2_RAW_selected/sub01/EP02_01f/img46.jpg").
    """

    key: str
    title: str
    source: str
    licence: str
    fps: float
    tables: tuple[str, ...]
    layout: str


class Corpus(Protocol):
    """One corpus.

    Attributes:
        about: what it is.
    """

    about: About

    def recognises(self, root: Path) -> bool:
        """Whether a folder looks like a copy of this corpus (its table or its layout), cheaply."""
        ...

    def is_table(self, columns: Sequence[str]) -> bool:
        """Whether a coding table with these column names is this corpus' table."""
        ...

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """Read a copy: coding table, errata, frames.

        Args:
            root: the corpus folder; one level too high or too low is recognised and said.
            table: the coding table, where it does not lie in root.

        Raises:
            MissingError: no table or no frames where the layout has them; the message says what was looked for.
            InputError: something there, but not this corpus.
        """
        ...

    def read_table(self, table: Path) -> CodedSet:
        """Read a coding table alone, without frames (kind "none"): for priors and exports."""
        ...

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """Write coded clips (of any corpus) as a table in this corpus' own format."""
        ...
