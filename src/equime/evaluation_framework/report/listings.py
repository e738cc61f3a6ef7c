"""Sections of the HTML report that are tables and text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from equime.annotation.measurement import ID_COLUMNS, NotRun
from equime.evaluation_framework.report import method as texts
from equime.evaluation_framework.report.contents import Report, records
from equime.evaluation_framework.report.facts import Group, SummaryGroup, SummaryRow
from equime.evaluation_framework.report.markup import Child, Markup, join, tag
from equime.evaluation_framework.report.page import heads, prose, table
from equime.evaluation_framework.report.words import (
    BETTER,
    NONE,
    bounds,
    interval,
    number,
    plural,
    share,
    text_counts,
)
from equime.evaluation_framework.score import PARTS

N_ENTRIES: Final = 100
"""Problems of one kind that are written out; all of them stand in report.json."""

N_CLIPS: Final = 300
"""Clips in the table of all clips; all of them stand in report.json."""

CLIP_COLUMNS: Final[tuple[str, ...]] = (
    "is_frozen", "movement_found", "is_micro_duration", "au_passes", "onset_error_ms", "apex_error_ms",
    "offset_error_ms", "peak_motion_mm", "identity_similarity",
)  # fmt: skip
"""What the table of all clips shows, where it was measured."""


def column_name(name: str) -> Markup:
    """A column's name as code that may break after its underscores."""
    return tag("code", _breakable(name, "_"))


def file_name(name: str) -> Markup:
    """A file's name that may break after slashes and underscores."""
    return _breakable(name, "/_")


def _breakable(name: str, after: str) -> Markup:
    return join([[c, tag("wbr") if c in after else None] for c in name])


def summary(report: Report) -> Markup:
    """Every metric over all clips."""
    if not any(group.rows or group.n_unlisted for group in report.summary):
        return tag("p", "Nothing was measured.")
    numeric = ("Mean", "95 % interval", "Clips", "Subjects", "Min", "Median", "Max")
    head = heads("Metric", "Unit", "Better", *numeric, numeric=numeric)
    body = [tag("tbody", _group(group, len(head))) for group in report.summary]
    intro = tag("p", texts.SUMMARY, class_="soft")
    return join(intro, table(head, body, label="Summary of all metrics", class_="pinned names"))


def _group(group: SummaryGroup, width: int) -> list[Markup]:
    rows = [tag("tr", tag("th", group.annotator, scope="rowgroup", colspan=str(width)))]
    rows += [_row(row) for row in group.rows]
    if group.n_unlisted:
        text = f"{plural(group.n_unlisted, 'more column')}, per clip in the tables and not listed one by one"
        rows.append(tag("tr", tag("td", text, class_="soft", colspan=str(width))))
    return rows


def _row(row: SummaryRow) -> Markup:
    metric = row.metric
    about = f"{metric.meaning} Possible values: {bounds(metric)}. Source: {metric.reference}"
    name = tag("details", tag("summary", column_name(metric.name), title=metric.meaning), tag("p", about))
    cells = [tag("th", name, scope="row"), tag("td", _unit(row)), tag("td", BETTER[metric.direction])]
    if row.estimate is None:
        return tag("tr", *cells, tag("td", text_counts(row.counts, row.n_texts), colspan="7"))
    e = row.estimate
    spread = None if row.low is None or row.high is None else row.high - row.low
    values = (
        number(e.mean, spread), interval(e, spread), str(e.n), str(e.n_subjects),
        number(row.low, spread), number(row.median, spread), number(row.high, spread),
    )  # fmt: skip
    return tag("tr", *cells, *(tag("td", value, class_="num") for value in values))


def _unit(row: SummaryRow) -> str:
    if row.metric.type == "flag":
        return "share"
    return {"1": "", "": ""}.get(row.metric.unit, row.metric.unit)


def not_run(report: Report) -> Markup:
    """What was not computed and how to get it."""
    found = report.evaluation.not_run
    if not found:
        return tag("p", "Everything that equime knows was run.")
    return tag("ul", [_not_run(item) for item in found], class_="plain")


def _not_run(item: NotRun) -> Markup:
    columns = [[", " if i else None, column_name(name)] for i, name in enumerate(item.metrics)]
    step = prose(item.next_step) if "`" in item.next_step else tag("code", item.next_step)
    listed: Child = join("Columns that are therefore not here: ", columns)
    if len(item.metrics) > 4:
        listed = tag("details", tag("summary", plural(len(item.metrics), "column")), tag("p", columns))
    return tag(
        "li",
        tag("p", tag("strong", item.annotator), ": ", prose(item.reason), ". Next: ", step),
        tag("div", listed, class_="soft small"),
    )


def problems(report: Report) -> Markup:
    """Problems and notes, counted by kind."""
    counts = report.counts
    if report.problems:
        n = sum(len(group.entries) for group in report.problems)
        text = f"{plural(n, 'problem')} on {share(counts.n_with_problem, counts.n_clips, 'clips')}. Each message ends with what to do."
    else:
        text = "No clip had a problem."
    found = [tag("p", text), *(_problem(group, opened=True) for group in report.problems)]
    if report.notes:
        found.append(tag("h3", "Notes"))
        found.append(tag("p", texts.NOTES, class_="soft"))
        found += [_problem(group, opened=False) for group in report.notes]
    return join(found)


def _problem(group: Group, *, opened: bool) -> Markup:
    whose = group.annotator or "whole clip"
    head = tag("summary", tag("code", group.code), f" ({whose}): {plural(len(group.entries), 'clip')}")
    rows = [
        tag("li", tag("p", file_name(file), class_="file"), tag("p", prose(message)))
        for file, message in group.entries[:N_ENTRIES]
    ]
    left = len(group.entries) - N_ENTRIES
    rest = tag("p", f"{left:,} more in report.json.", class_="soft") if left > 0 else None
    return tag("details", head, tag("ul", rows, class_="plain"), rest, open=opened, class_="more")


def clips(report: Report) -> Markup:
    """One row per clip."""
    evaluation = report.evaluation
    columns = [name for name in CLIP_COLUMNS if name in evaluation.metrics and name in evaluation.clips]
    if not len(evaluation.clips):
        return tag("p", "No clip was found.")
    head = [
        *heads("File", "Subject", "Emotion", "Problems", "Score", numeric=("Problems", "Score")),
        *(tag("th", _clip_head(report, name), scope="col", class_="num") for name in columns),
    ]
    n_problems: dict[str, int] = {}
    for problem in evaluation.problems:
        n_problems[problem.file] = n_problems.get(problem.file, 0) + 1
    shown = records(evaluation.clips[[*ID_COLUMNS, *columns]].iloc[:N_CLIPS])
    spreads = {name: _spread_of(row[name] for row in shown) for name in columns}
    rows = [
        _clip_row(row, spreads, n_problems.get(row["file"], 0), report.scores.get(row["clip_id"]))
        for row in shown
    ]
    body = tag("tbody", rows)
    left = len(evaluation.clips) - len(shown)
    rest = tag("p", f"{left:,} more clips in report.json.", class_="soft") if left > 0 else None
    return join(table(head, body, label="All clips", class_="sortable pinned"), rest)


def _clip_head(report: Report, name: str) -> Markup:
    return tag("span", name.replace("_", " "), title=report.evaluation.metrics[name].meaning)


def _clip_row(
    row: dict[str, Any], spreads: dict[str, float | None], n_problems: int, score: float | None
) -> Markup:
    cells = [
        tag("th", file_name(row["file"]), scope="row", class_="file"),
        tag("td", row["subject_id"] or NONE),
        tag("td", row["emotion"] or NONE),
        tag("td", str(n_problems), class_="num" if not n_problems else "num no", data_value=str(n_problems)),
        _cell(score, 1.0),
    ]
    return tag("tr", *cells, *(_cell(row[name], spread) for name, spread in spreads.items()))


def _spread_of(cells: Iterable[Any]) -> float | None:
    """Range of a column's numbers, so that all of them are written to the same place."""
    found = [float(cell) for cell in cells if isinstance(cell, int | float)]
    return max(found) - min(found) if found else None


def _cell(value: Any, spread: float | None) -> Markup:
    if isinstance(value, bool):
        return tag("td", "yes" if value else "no", class_="num", data_value=str(int(value)))
    if value is None:
        return tag("td", NONE, class_="num", data_value="")
    if isinstance(value, str):
        return tag("td", value)
    return tag("td", number(value, spread), class_="num", data_value=repr(value))


def method(report: Report) -> Markup:
    """Versions, definitions, caveats."""
    made = report.evaluation.provenance
    versions = [*made.versions.items(), ("Python", made.python), ("Platform", made.platform)]
    if made.commit:
        versions.append(("Commit", made.commit))
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", tag("code", v))) for name, v in versions]
    return join(
        tag("h3", "Definitions and caveats"),
        tag("ul", [tag("li", text) for text in texts.caveats(report.evaluation)], class_="prose"),
        tag("h3", "The score that orders clips"),
        tag("p", texts.SCORE_METHOD),
        tag(
            "ul",
            [tag("li", tag("code", part.name), f": {part.meaning}") for part in PARTS],
            class_="prose small",
        ),
        tag("h3", "Versions"),
        table(heads("What", "Version"), tag("tbody", rows), label="Versions"),
    )
