"""The HTML report: what it measured, its verdict and its sections in the frame of `page`."""

from __future__ import annotations

from typing import Final

from equime.evaluation_framework.report import beside_published, figures, listings, reference
from equime.evaluation_framework.report.contents import Report
from equime.evaluation_framework.report.markup import Markup, join, tag
from equime.evaluation_framework.report.page import page

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
    sections = [(key, title, build(report)) for key, title, build in _SECTIONS]
    return page(report.title, _opening(report), sections)


def _opening(report: Report) -> Markup:
    """Title, what was measured, verdict."""
    facts = [join(tag("dt", name), tag("dd", value)) for name, value in report.measured]
    verdict = tag("p", " ".join(report.verdict), class_="verdict")
    return tag("header", tag("h1", report.title), tag("dl", facts, class_="measured"), verdict)
