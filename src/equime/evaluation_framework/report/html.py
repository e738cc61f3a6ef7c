"""The HTML report: one file, no request to anywhere, readable without scripts, on a phone and on paper.

A Content-Security-Policy in the page forbids everything but its own style sheet and script (by digest) and
``data:`` pictures, so that nothing from a file name or a message could ever load or run.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Final

from equime.evaluation_framework.report import beside_published, figures, listings, reference
from equime.evaluation_framework.report.contents import Report
from equime.evaluation_framework.report.markup import Markup, join, tag

_SECTIONS: Final = (
    ("summary", "Summary", listings.summary),
    ("not-run", "Not run", listings.not_run),
    ("problems", "Problems", listings.problems),
    ("distributions", "Distributions by emotion", figures.distributions),
    ("clips", "Worst and best clips", figures.strips),
    ("action-units", "Action Units: commanded and measured", figures.action_units),
    ("timing", "Timing", figures.timing),
    ("reference", "Against the reference set", reference.section),
    ("published", "Against published means", beside_published.published),
    ("all-clips", "All clips", listings.clips),
    ("method", "How it was computed", listings.method),
)


def write_html(report: Report) -> str:
    """The page as text."""
    style, script = _file("style.css"), _file("sort.js")
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
        tag("title", report.title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(style)),
    )
    sections = [_section(key, title, build(report)) for key, title, build in _SECTIONS]
    body = tag(
        "body",
        tag("main", _opening(report), _contents(), sections),
        tag("script", Markup(script)),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def _file(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _opening(report: Report) -> Markup:
    """Title, what was measured, verdict."""
    facts = [join(tag("dt", name), tag("dd", value)) for name, value in report.measured]
    verdict = tag("p", " ".join(report.verdict), class_="verdict")
    return tag("header", tag("h1", report.title), tag("dl", facts, class_="measured"), verdict)


def _contents() -> Markup:
    links = [tag("li", tag("a", title, href=f"#{key}")) for key, title, _ in _SECTIONS]
    return tag("nav", tag("ul", links), aria_label="Contents")


def _section(key: str, title: str, content: Markup) -> Markup:
    return tag(
        "section", tag("h2", title, id=f"{key}-title"), content, id=key, aria_labelledby=f"{key}-title"
    )
