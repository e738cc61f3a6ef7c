"""The frame that all report pages share: one file, no request to anywhere, readable on a phone and on paper.

A Content-Security-Policy in the page forbids everything but its own style sheet and script (by digest) and
``data:`` pictures, so that nothing from a file name or a message could ever load or run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Final

from equime.evaluation_framework.report.markup import Child, Markup, join, tag

N_SHADES: Final = 8
"""Shades of a heat table, classes h1 to h8 of the style sheet."""


def page(
    title: str, opening: Markup, sections: Sequence[tuple[str, str, Markup]], *, more_style: str = ""
) -> str:
    """A whole page.

    Args:
        title: of the window.
        opening: what stands above the contents, with the page's only h1.
        sections: (id, heading, content); the contents link to them.
        more_style: CSS that follows the shared sheet.
    """
    style, script = _file("style.css") + more_style, _file("sort.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="equime"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(style)),
    )
    links = [tag("li", tag("a", name, href=f"#{key}")) for key, name, _ in sections]
    contents = tag("nav", tag("ul", links), aria_label="Contents")
    main = tag("main", opening, contents, [_section(*section) for section in sections])
    body = tag("body", main, tag("script", Markup(script)))
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def _file(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _section(key: str, title: str, content: Markup) -> Markup:
    return tag(
        "section", tag("h2", title, id=f"{key}-title"), content, id=key, aria_labelledby=f"{key}-title"
    )


def table(head: Iterable[Markup], body: Child, *, label: str, class_: str = "") -> Markup:
    """A table that scrolls sideways within the page where it is too wide."""
    content = tag("table", tag("thead", tag("tr", *head)), body, class_=class_ or None)
    return tag("div", content, class_="scroll", role="region", aria_label=label, tabindex="0")


def prose(text: str) -> Markup:
    """Text in which what stands between backticks is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return join(text)
    return join([tag("code", part) if i % 2 else part for i, part in enumerate(parts)])


def heads(*names: str, numeric: Sequence[str] = ()) -> list[Markup]:
    """Column heads; numbers are set right."""
    return [tag("th", n, scope="col", class_="num" if n in numeric else None) for n in names]


def shade(value: float | None, top: float) -> str:
    """Class of a cell of a heat table, "" for nothing; ``top`` is the value of the darkest."""
    if value is None:
        return ""
    step = round(abs(value) / top * N_SHADES)
    if value < 0:
        return f"m{min(3, -(-step // 2))}" if step else ""
    return f"h{min(N_SHADES, step)}" if step else ""
