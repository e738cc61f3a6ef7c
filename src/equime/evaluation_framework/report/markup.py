"""HTML written so that text cannot become markup: everything is escaped unless it is `Markup` already.

File names, paths, captions and messages come from disks of strangers. Only this module and the SVG of
`plots` make `Markup`; all other text passes through `escape`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final, TypeAlias

Child: TypeAlias = "str | Markup | int | Iterable[Child] | None"
"""What an element may hold; None is nothing."""

_VOID: Final = frozenset({"meta", "link", "img", "br", "wbr", "hr", "line", "rect", "circle", "path"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """Text as HTML; `Markup` stays what it is. Control characters, which HTML forbids, become U+FFFD."""
    if isinstance(value, Markup):
        return value
    text = "".join(c if c in "\n\t" or ord(c) >= 0x20 else "�" for c in str(value))
    # A lone surrogate (a file name that is no UTF-8) cannot be encoded.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return Markup(html.escape(text, quote=True))


def join(*children: Child) -> Markup:
    """The children after each other, escaped."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, str | int):
            parts.append(escape(child))
        else:
            parts.append(join(*child))
    return Markup("".join(parts))


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An element.

    Args:
        name: of the element.
        children: text (escaped), `Markup`, or iterables of them.
        attributes: escaped; ``class_`` is class, other underscores become hyphens; None and False are left
            out, True gives the bare name.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID and not children:
        return Markup(
            f"<{name}{written}/>" if name in ("line", "rect", "circle", "path") else f"<{name}{written}>"
        )
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{escape(_short(value) if isinstance(value, float) else value)}"'


def _short(value: float) -> str:
    """Coordinates of SVG, to a hundredth."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"
