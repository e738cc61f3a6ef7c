"""Markdown of strangers' text, and tables of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_SPECIAL: Final = str.maketrans(
    {c: f"\\{c}" for c in "\\`*_{}[]#|!~$@"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)

_ADDRESS: Final = re.compile(r":(?=\S)")


def text(value: object) -> str:
    """Text of a stranger as one line of Markdown that means nothing but itself.

    ``:`` is escaped before anything but a space so that no address becomes a link, ``@`` so that nobody is mentioned.
    """
    line = " ".join(str(value).encode("utf-8", "replace").decode("utf-8").split())
    return _ADDRESS.sub(r"\\:", line.translate(_SPECIAL))


def code(value: object) -> str:
    """The same as code; backticks and pipes cannot leave it."""
    line = " ".join(str(value).encode("utf-8", "replace").decode("utf-8").split())
    return f"`{line.replace('`', chr(0x2019)).replace('|', chr(0xA6))}`" if line else ""


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """A table; cells are Markdown already."""
    rule = ["---:" if i in numeric else "---" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
