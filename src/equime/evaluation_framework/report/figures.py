"""Sections of the HTML report that are pictures, and the tables that belong to them."""

from __future__ import annotations

from typing import Final

from equime.action_units import ACTION_UNITS
from equime.evaluation_framework.report import method as texts
from equime.evaluation_framework.report import plots
from equime.evaluation_framework.report.contents import Pick, Report
from equime.evaluation_framework.report.facts import Distribution
from equime.evaluation_framework.report.ground_truth import AuRow, AuTable, Timing
from equime.evaluation_framework.report.markup import Markup, join, tag
from equime.evaluation_framework.report.page import heads, shade, table
from equime.evaluation_framework.report.strips import Picture
from equime.evaluation_framework.report.words import NONE, interval, number, share

N_SHOWN: Final = 12
"""Distributions on the page; the others fold out."""

N_NAMED: Final = 13
"""With more Action Units in the heat map their names are left out on paper."""

_TENTHS: Final = 10.0
"""Spread of numbers written to a tenth."""


def distributions(report: Report) -> Markup:
    """Small multiples, a metric each."""
    found = report.distributions
    if not found:
        return tag("p", "No metric varies between the clips, so there is nothing to draw.")
    first, rest = found[:N_SHOWN], found[N_SHOWN:]
    more = None
    if rest:
        more = tag("details", tag("summary", f"{len(rest)} more metrics"), _grid(rest), class_="more")
    return join(tag("p", texts.DISTRIBUTIONS, class_="soft"), _grid(first), more)


def _grid(found: tuple[Distribution, ...]) -> Markup:
    return tag("div", [_distribution(item) for item in found], class_="grid-3")


def _distribution(shown: Distribution) -> Markup:
    metric = shown.metric
    unit = f", {metric.unit}" if metric.unit not in ("", "1") else ""
    better = f"; {metric.direction} is better" if metric.direction != "none" else ""
    caption = tag("figcaption", tag("strong", metric.name), f"{unit}{better}", title=metric.meaning)
    return tag("figure", caption, plots.strip_and_box(shown))


def strips(report: Report) -> Markup:
    """The worst and the best clips."""
    if not report.worst and not report.best:
        return tag("p", "No metric that ranks clips was measured, so none is shown.")
    return join(
        tag("p", f"{texts.SCORE} {texts.STRIPS}", class_="soft"),
        tag("h3", "Worst first"),
        [_clip(pick) for pick in report.worst],
        [tag("h3", "Best"), *(_clip(pick) for pick in report.best)] if report.best else None,
    )


def _clip(pick: Pick) -> Markup:
    about = ", ".join(
        text for text in (pick.emotion, pick.subject_id and f"subject {pick.subject_id}") if text
    )
    title = tag("h4", pick.file)
    reason = f"Score {pick.score:.2f}; {pick.reason}"
    line = tag("p", reason, tag("span", f" ({about}; {pick.strip.basis})" if about else "", class_="soft"))
    if pick.strip.problem:
        body = tag("p", f"No pictures: {pick.strip.problem}", class_="soft")
    else:
        body = tag("ul", [_picture(pick, picture) for picture in pick.strip.pictures], class_="strip")
    return tag("article", title, line, body, class_="clip")


def _picture(pick: Pick, picture: Picture) -> Markup:
    if picture.frame is None:
        alt, under = f"Change between two frames of {pick.file}: {picture.caption}", "grey: no change"
    else:
        phase = f", {picture.caption}" if picture.caption else ""
        alt = f"Frame {picture.frame} of {pick.file}{phase}"
        under = f"frame {picture.frame}" if picture.time_ms is None else f"{picture.time_ms:.0f} ms"
    image = tag("img", src=picture.uri, alt=alt, width=str(picture.width), height=str(picture.height))
    return tag("li", image, tag("strong", picture.caption), under)


def action_units(report: Report) -> Markup:
    """Commanded by measured."""
    if report.au_table is None:
        return tag(
            "p",
            "Action Units were not measured against commanded ones (au_fidelity needs a data set of equime).",
        )
    return join(tag("p", texts.ACTION_UNITS, class_="soft"), _heat_map(report.au_table))


def _heat_map(shown: AuTable) -> Markup:
    cells = [value for row in shown.rows for value in row.measured if value is not None]
    top = max([abs(value) for value in cells] + [row.commanded for row in shown.rows] + [1e-9])
    head = [
        tag("th", "Commanded", scope="col"),
        tag("th", "Clips", scope="col"),
        tag("th", "Intensity", scope="col"),
        *(tag("th", f"AU {au}", scope="col", title=_name(au)) for au in shown.aus),
    ]
    body = tag("tbody", [_heat_row(row, shown.aus, top) for row in shown.rows])
    return table(
        head,
        body,
        label="Measured by commanded Action Unit",
        class_="heat many" if len(shown.aus) > N_NAMED else "heat",
    )


def _heat_row(row: AuRow, aus: tuple[int, ...], top: float) -> Markup:
    cells = []
    for au, value in zip(aus, row.measured, strict=True):
        kinds = [shade(value, top), "own" if au == row.au else ""]
        text = NONE if value is None else f"{value:.2f}" if abs(value) >= 0.005 else "0"
        cells.append(tag("td", text, class_=" ".join(filter(None, kinds)) or None))
    name = tag("th", f"AU {row.au} ", tag("span", _name(row.au), class_="soft"), scope="row")
    return tag("tr", name, tag("td", str(row.n)), tag("td", f"{row.commanded:.2f}"), *cells)


def _name(au: int) -> str:
    return ACTION_UNITS[au].name if au in ACTION_UNITS else ""


def timing(report: Report) -> Markup:
    """Scatters of times and durations, and the errors."""
    shown = report.timing
    if shown is None:
        return tag("p", "Onset, apex and offset were not measured.")
    parts: list[Markup] = []
    scatters = plots.identity_scatters(shown)
    if scatters:
        parts.append(tag("p", texts.TIMING, class_="soft"))
        figures = [tag("figure", tag("figcaption", tag("strong", name)), plot) for name, plot in scatters]
        parts += [tag("div", figures, class_="grid-3"), _errors(shown)]
    else:
        parts.append(tag("p", "The true times of these clips are not known; only durations can be judged."))
    pairs = (("measured minus true", plots.errors(shown)), ("durations", plots.durations(shown)))
    drawn = [
        tag("figure", tag("figcaption", tag("strong", name)), plot)
        for name, plot in pairs
        if plot is not None
    ]
    return join(parts, tag("p", texts.CRITERION, class_="soft"), tag("div", drawn, class_="grid-3"))


def _errors(shown: Timing) -> Markup:
    numeric = (
        "Mean error, ms",
        "95 % interval",
        "Mean absolute, ms",
        "95 % interval ",
        "Median absolute, ms",
        "Within a frame",
        "Clips",
    )
    rows = []
    for e in shown.errors:
        values = (
            number(e.bias_ms.mean, _TENTHS), interval(e.bias_ms, _TENTHS), number(e.absolute_ms.mean, _TENTHS),
            interval(e.absolute_ms, _TENTHS), number(e.median_ms, _TENTHS), NONE if e.within_frame is None else share(e.within_frame, e.bias_ms.n), str(e.bias_ms.n),
        )  # fmt: skip
        cells = [tag("td", value, class_="num") for value in values]
        rows.append(tag("tr", tag("th", e.phase, scope="row"), *cells))
    frame = f" A frame lasts {shown.frame_ms:.1f} ms." if shown.frame_ms else ""
    text = f"Error is measured minus true.{frame}"
    head = heads("Phase", *numeric, numeric=numeric)
    return join(table(head, tag("tbody", rows), label="Timing errors"), tag("p", text, class_="soft small"))
