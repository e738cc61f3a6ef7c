"""The report as GitHub Markdown: the same facts in tables, without pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from equime.evaluation_framework.report import method as texts
from equime.evaluation_framework.report import reference
from equime.evaluation_framework.report.beside_published import by_metric
from equime.evaluation_framework.report.contents import Pick, Report
from equime.evaluation_framework.report.facts import Group, SummaryRow
from equime.evaluation_framework.report.markdown_text import code, grid, text
from equime.evaluation_framework.report.words import (
    BETTER,
    NONE,
    interval,
    number,
    plural,
    share,
    text_counts,
)
from equime.evaluation_framework.score import PARTS

N_ENTRIES: Final = 20
"""Problems of one kind that are written out."""


def write_markdown(report: Report) -> str:
    """The report as text."""
    parts = [f"# {text(report.title)}", _measured(report), text_of(report.verdict)]
    for title, lines in (
        ("Summary", _summary(report)),
        ("Not run", _not_run(report)),
        ("Problems", _problems(report)),
        ("Distributions by emotion", _distributions(report)),
        ("Worst and best clips", _picks(report)),
        ("Action Units: commanded and measured", _action_units(report)),
        ("Timing", _timing(report)),
        ("Against the reference set", _reference(report)),
        ("Against published means", _published(report)),
        ("How it was computed", _method(report)),
    ):
        parts += [f"## {title}", *lines]
    return "\n\n".join(parts) + "\n"


def text_of(sentences: Iterable[str]) -> str:
    """Sentences as a paragraph."""
    return text(" ".join(sentences))


def _measured(report: Report) -> str:
    return grid(("What", "Value"), [(name, text(value)) for name, value in report.measured])


def _summary(report: Report) -> Iterator[str]:
    yield texts.SUMMARY
    head = ("Metric", "Unit", "Better", "Mean", "95 % interval", "Clips", "Subjects", "Min", "Median", "Max")
    for group in report.summary:
        yield f"### {code(group.annotator)}"
        if group.rows:
            yield grid(head, [_row(row) for row in group.rows], range(3, 10))
        if group.n_unlisted:
            yield f"{plural(group.n_unlisted, 'more column')}, per clip in the tables and not listed one by one."


def _row(row: SummaryRow) -> list[str]:
    metric = row.metric
    unit = "share" if metric.type == "flag" else "" if metric.unit == "1" else text(metric.unit)
    start = [code(metric.name), unit, BETTER[metric.direction]]
    if row.estimate is None:
        return [*start, text(text_counts(row.counts, row.n_texts)), *[""] * 6]
    e = row.estimate
    spread = None if row.low is None or row.high is None else row.high - row.low
    values = [number(value, spread) for value in (row.low, row.median, row.high)]
    return [*start, number(e.mean, spread), interval(e, spread), str(e.n), str(e.n_subjects), *values]


def _not_run(report: Report) -> Iterator[str]:
    found = report.evaluation.not_run
    if not found:
        yield "Everything that equime knows was run."
        return
    rows = [(code(n.annotator), str(len(n.metrics)), text(n.reason), code(n.next_step)) for n in found]
    yield grid(("Annotator", "Columns", "Why", "How to get it"), rows, (1,))


def _problems(report: Report) -> Iterator[str]:
    if not report.problems:
        yield "No clip had a problem."
    else:
        yield f"{share(report.counts.n_with_problem, report.counts.n_clips, 'clips')} had a problem."
    for group in report.problems:
        yield from _group(group)
    if report.notes:
        yield "### Notes"
        yield texts.NOTES
        rows = [
            (code(g.code), code(g.annotator), str(len(g.entries)), text(g.entries[0][1]))
            for g in report.notes
        ]
        yield grid(("Code", "Annotator", "Clips", "For example"), rows, (2,))


def _group(group: Group) -> Iterator[str]:
    yield f"### {code(group.code)} ({text(group.annotator or 'whole clip')}): {plural(len(group.entries), 'clip')}"
    yield grid(("Clip", "Message"), [(code(f), text(m)) for f, m in group.entries[:N_ENTRIES]])
    if len(group.entries) > N_ENTRIES:
        yield f"{len(group.entries) - N_ENTRIES:,} more in report.json."


def _distributions(report: Report) -> Iterator[str]:
    if not report.distributions:
        yield "No metric varies between the clips."
        return
    yield "Median (lower to upper quartile)."
    names = list(dict.fromkeys(s.name for d in report.distributions for s in d.spreads))
    rows = []
    for shown in report.distributions:
        spread = max(s.high for s in shown.spreads) - min(s.low for s in shown.spreads)
        cells = {
            s.name: f"{number(s.median, spread)} ({number(s.q1, spread)} to {number(s.q3, spread)})"
            for s in shown.spreads
        }
        rows.append([code(shown.metric.name), *(cells.get(name, NONE) for name in names)])
    yield grid(("Metric", *map(text, names)), rows)


def _picks(report: Report) -> Iterator[str]:
    if not report.worst and not report.best:
        yield "No metric that ranks clips was measured."
        return
    yield f"{texts.SCORE} Frames are shown in report.html."
    for title, picks in (("Worst first", report.worst), ("Best", report.best)):
        if picks:
            yield f"### {title}"
            yield grid(("Clip", "Emotion", "Subject", "Score", "Why"), [_pick(pick) for pick in picks], (3,))


def _pick(pick: Pick) -> tuple[str, ...]:
    about = text(pick.emotion or NONE), text(pick.subject_id or NONE)
    return code(pick.file), *about, f"{pick.score:.2f}", text(pick.reason)


def _action_units(report: Report) -> Iterator[str]:
    shown = report.au_table
    if shown is None:
        yield "Action Units were not measured against commanded ones."
        return
    yield texts.ACTION_UNITS.replace("outlined", "bold")
    rows = []
    for row in shown.rows:
        cells = [NONE if v is None else f"{v:.2f}" for v in row.measured]
        own = shown.aus.index(row.au)
        cells[own] = f"**{cells[own]}**"
        rows.append([f"AU {row.au}", str(row.n), f"{row.commanded:.2f}", *cells])
    head = ["Commanded", "Clips", "Intensity", *(f"AU {au}" for au in shown.aus)]
    yield grid(head, rows, range(1, len(head)))


def _timing(report: Report) -> Iterator[str]:
    shown = report.timing
    if shown is None:
        yield "Onset, apex and offset were not measured."
        return
    counts = report.counts
    if counts.n_micro is not None and counts.n_moving is not None:
        yield f"{share(counts.n_micro, counts.n_moving)} of the movements found are as short as a micro-expression."
    if not shown.errors:
        yield "The true times of these clips are not known."
        return
    head = (
        "Phase",
        "Mean error, ms",
        "95 % interval",
        "Mean absolute, ms",
        "95 % interval",
        "Median absolute, ms",
        "Within a frame",
        "Clips",
    )
    rows = [
        (
            e.phase, number(e.bias_ms.mean, 10.0), interval(e.bias_ms, 10.0), number(e.absolute_ms.mean, 10.0),
            interval(e.absolute_ms, 10.0), number(e.median_ms, 10.0),
            NONE if e.within_frame is None else share(e.within_frame, e.bias_ms.n), str(e.bias_ms.n),
        )
        for e in shown.errors
    ]  # fmt: skip
    yield grid(head, rows, range(1, 8))


def _reference(report: Report) -> Iterator[str]:
    head: tuple[str, ...]
    found = report.evaluation.comparison
    if found is None:
        yield "No reference set was given."
        return
    yield f"Reference: {code(report.evaluation.reference_path)}. Clips: {found.n_measured} and {found.n_reference}."
    if found.warnings:
        yield "\n".join(f"* {text(line)}" for line in found.warnings)
    if found.distances:
        yield text(reference.DISTANCES)
        head = (
            "Distance",
            "Value",
            "95 % interval",
            "Chance, median",
            "Chance, 95 %",
            "p",
            "Clips",
            "Features",
        )
        yield grid(
            head, [(code(n), *reference.distance_cells(d)) for n, d in found.distances.items()], range(1, 8)
        )
        head = ("Features", "Precision", "Recall", "Density", "Coverage", "k")
        yield grid(
            head, [(code(n), *reference.neighbour_cells(d)) for n, d in found.neighbours.items()], range(1, 6)
        )
    if found.metrics:
        yield text(reference.MEANS.partition("; in the plot")[0] + ".")
        head = ("Metric", "These clips", "Reference", "Difference", "95 % interval", "Effect")
        yield grid(head, [(code(m.metric), *reference.mean_cells(m)) for m in found.metrics], range(1, 6))
    yield reference.duplicate_sentence("within these clips", found.duplicates_measured)
    yield reference.duplicate_sentence("between the sets", found.duplicates_between)


def _published(report: Report) -> Iterator[str]:
    metrics = by_metric(report.published)
    if not metrics:
        yield "None of the five published metrics was measured."
        return
    yield text(texts.PUBLISHED.partition(" In grey")[0])
    rows = [
        (
            code(row.metric), number(row.mean), text(row.name), number(row.published_mean), f"{row.published_n:,}",
            "yes" if row.comparable else f"no: {text(row.why)}",
        )
        for of_metric in metrics.values()
        for row in of_metric
    ]  # fmt: skip
    yield grid(("Metric", "These clips", "Set", "Published mean", "Clips", "Comparable"), rows, (1, 3, 4))


def _method(report: Report) -> Iterator[str]:
    yield "\n".join(f"* {text(line)}" for line in texts.caveats(report.evaluation))
    yield "### The score that orders clips"
    yield texts.SCORE_METHOD
    yield "\n".join(f"* {code(part.name)}: {text(part.meaning)}" for part in PARTS)
    made = report.evaluation.provenance
    versions = [*made.versions.items(), ("Python", made.python), ("Platform", made.platform)]
    versions += [("Commit", made.commit)] if made.commit else []
    yield grid(("What", "Version"), [(text(name), code(v)) for name, v in versions])
