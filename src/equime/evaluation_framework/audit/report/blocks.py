"""What a page of the audit is made of, before it is HTML or Markdown: the words are written once for both.

All text here is plain text; the writers escape it, so that a name from a stranger's disk stays a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from equime.evaluation_framework.report.markup import Markup


@dataclass(frozen=True)
class Heading:
    """A heading below that of the section: level 3 or 4."""

    text: str
    level: int = 3


@dataclass(frozen=True)
class Text:
    """A paragraph; ``soft`` is for what explains a figure."""

    text: str
    soft: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of sentences; ``lead`` stands in front of each in bold."""

    items: tuple[str, ...]
    leads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bar:
    """A share drawn in a cell, with its interval and the target; all 0 to 1. Markdown leaves it out."""

    share: float
    low: float | None = None
    high: float | None = None
    target: float | None = None


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what it says.
        value: what a sortable table sorts it by; None for text, and for numbers that are not there.
        shade: of a heat table, 0 to 1 of its darkest; None for no shade.
        mark: "empty" where nobody is in the cell, "own" for the diagonal, "no" for a warning.
        code: a file or a column, written as such.
        bar: drawn instead of the text.
    """

    text: str
    value: float | None = None
    shade: float | None = None
    mark: str = ""
    code: bool = False
    bar: Bar | None = None


@dataclass(frozen=True)
class Column:
    """Head of a column; ``bar`` columns exist in HTML only."""

    name: str
    numeric: bool = False
    bar: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose first column holds the heads of the rows.

    Attributes:
        label: its caption: what it shows, of how many.
        kind: "plain", "sortable", or "heat".
    """

    label: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    kind: str = "plain"


@dataclass(frozen=True)
class Figure:
    """A plot; the numbers in it stand in a table too, so Markdown goes without."""

    title: str
    note: str
    plot: Markup
    wide: bool = False


@dataclass(frozen=True)
class Figures:
    """Plots beside each other, under a heading that, like them, Markdown goes without."""

    figures: tuple[Figure, ...]
    title: str = ""


@dataclass(frozen=True)
class Swatch:
    """A person's skin colour in the photograph."""

    srgb: str
    lines: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class Swatches:
    """A strip of skin colours; the table beside it says the same."""

    label: str
    swatches: tuple[Swatch, ...]


@dataclass(frozen=True)
class Fold:
    """What opens on demand."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Source:
    """Text to be copied as it stands; in HTML only, where the Markdown is not at hand."""

    label: str
    text: str


Block: TypeAlias = Heading | Text | Bullets | Table | Figure | Figures | Swatches | Fold | Source


@dataclass(frozen=True)
class Section:
    """A part of the page that the contents link to."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """All of it: title, what was audited (name and value), sections."""

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def columns(first: str, *names: str, text: Sequence[str] = ()) -> tuple[Column, ...]:
    """Heads of a table whose columns after the first hold numbers, except those in ``text``."""
    return (Column(first), *(Column(name, numeric=name not in text) for name in names))


def row(*cells: Cell | str) -> tuple[Cell, ...]:
    """Cells of a row, text made cells."""
    return tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)
