"""The section that sets these clips beside published means."""

from __future__ import annotations

from collections.abc import Sequence

from equime.evaluation_framework.published import PublishedRow, published_means
from equime.evaluation_framework.report import method as texts
from equime.evaluation_framework.report import svg
from equime.evaluation_framework.report.contents import Report
from equime.evaluation_framework.report.listings import column_name
from equime.evaluation_framework.report.markup import Markup, join, tag
from equime.evaluation_framework.report.page import heads, table
from equime.evaluation_framework.report.words import number

OWN = "these clips"


def by_metric(rows: Sequence[PublishedRow]) -> dict[str, list[PublishedRow]]:
    """Rows of every metric that was measured, in order."""
    found: dict[str, list[PublishedRow]] = {}
    for row in rows:
        if row.mean is not None:
            found.setdefault(row.metric, []).append(row)
    return found


def reasons(rows: Sequence[PublishedRow]) -> dict[str, str]:
    """Why not comparable, each once, with a letter for the note."""
    texts_found = dict.fromkeys(row.why for row in rows if row.mean is not None and not row.comparable)
    return {why: chr(ord("a") + i) if i < 26 else str(i + 1) for i, why in enumerate(texts_found)}


def published(report: Report) -> Markup:
    """These clips beside the published means: a table with notes on what cannot be compared, and a plot a metric."""
    metrics = by_metric(report.published)
    if not metrics:
        return tag("p", "None of the five published metrics was measured.")
    notes = reasons(report.published)
    names = list(published_means().sets)
    numeric = ("These clips", *names)
    head = heads("Metric", *numeric, numeric=numeric)
    body = tag("tbody", [_row(metric, rows, notes) for metric, rows in metrics.items()])
    listed = [tag("li", tag("sup", letter), f" {why}") for why, letter in notes.items()]
    about = [tag("li", tag("strong", name), f": {of.what}") for name, of in published_means().sets.items()]
    drawn = [_plot(report, metric, rows) for metric, rows in metrics.items()]
    return join(
        tag("p", texts.PUBLISHED, class_="soft"),
        table(head, body, label="Means beside published means", class_="pinned"),
        [tag("p", "Not comparable, for the reason named:", class_="small"), tag("ul", listed, class_="notes")]
        if listed
        else None,
        tag("div", drawn, class_="grid-3"),
        tag("p", "What the sets are:", class_="small"),
        tag("ul", about, class_="notes"),
    )


def _row(metric: str, rows: Sequence[PublishedRow], notes: dict[str, str]) -> Markup:
    own = rows[0]
    spread = max(abs(row.published_mean) for row in rows) / 10
    cells = [tag("th", column_name(metric), scope="row"), tag("td", number(own.mean, spread), class_="num")]
    for row in rows:
        note = None if row.comparable else tag("sup", notes[row.why])
        kind = "num" if row.comparable else "num soft"
        cells.append(tag("td", number(row.published_mean, spread), note, class_=kind))
    return tag("tr", *cells)


def _plot(report: Report, metric: str, rows: Sequence[PublishedRow]) -> Markup:
    own = rows[0]
    assert own.mean is not None
    points = [svg.Point(OWN, own.mean, own.low, own.high, "own")]
    points += [
        svg.Point(r.name, r.published_mean, None, None, "same" if r.comparable else "other") for r in rows
    ]
    unit = report.evaluation.metrics[metric].unit
    caption = tag("figcaption", tag("strong", metric), f", {unit}" if unit not in ("", "1") else None)
    return tag("figure", caption, svg.points(points, name=metric))
