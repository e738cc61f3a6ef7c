"""Sections: what goes with whom, what label errors do, whether movement reached the pixels alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from equime.evaluation_framework.audit.records import Association, Audit, Parity
from equime.evaluation_framework.audit.report import plots
from equime.evaluation_framework.audit.report import words as w
from equime.evaluation_framework.audit.report.blocks import (
    Block,
    Bullets,
    Cell,
    Figure,
    Figures,
    Fold,
    Heading,
    Table,
    Text,
    columns,
    row,
)
from equime.evaluation_framework.report.words import NONE, number, plural

N_ROWS: Final = 300
"""Groups in the table of all groups; audit.json holds all."""

N_PLOTS: Final = 6
"""Plots of one attribute on the page; the others fold out."""

ASSOCIATIONS: Final = (
    "Whether what was intended goes with who is shown. Cramér's V (groups, yes or no) and eta squared (numbers) are "
    "both 0 for no association and 1 for a complete one, and both are corrected for the size of the sample. p is from "
    "exchanging people between groups; q is p corrected for all tests. Detectable: the smallest effect that these "
    "people and clips would have shown at p below 0.05 in 8 of 10 cases. Read p and q with the effect beside them, "
    "never alone."
)
HEAT: Final = "Share of a group's clips with each emotion; people and clips stand behind the group's name."
NOISE: Final = (
    "An estimator's labels are wrong at a known rate, and wrong labels move every figure that rests on them, mostly "
    "towards no association. The range holds 95 % of the values that the figure takes when true labels are drawn "
    "given the estimated ones and the published error. Corrected: the figure with the mean effect of the errors taken "
    "off, where it can be had."
)
PARITY: Final = (
    "The same commanded expression must move the pixels by the same amount and at the same time on everybody. Means "
    "per group with their intervals; the gap is the largest mean less the smallest, which is above 0 by chance alone, "
    "so read it with p, q and the gap that would have been found. A gap belongs to what made the movement and to what "
    "measured it together: optical flow sees less where the skin has less contrast."
)


def associations(audit: Audit) -> tuple[Block, ...]:
    """The table of tests, heat maps by emotion, groups in figures, and what was skipped."""
    tests = w.tested(audit.associations)
    skipped = [t for t in audit.associations if t.skipped]
    if not audit.associations:
        return (Text("No association was tested: there is no attribute, or nothing was intended."),)
    blocks: list[Block] = [Text(ASSOCIATIONS, soft=True)]
    if tests:
        blocks.append(_table(tests))
        heat = [_heat(t) for t in tests if t.outcome == "emotion" and t.outcome_kind == "groups"]
        if heat:
            blocks += [Heading("Emotions by group"), Text(HEAT, soft=True), *heat]
        blocks.append(Fold("Every outcome by group", tuple(_groups(tests))))
    if skipped:
        blocks += [Heading("Not tested"), _skipped(skipped)]
    return tuple(blocks)


def _table(tests: Sequence[Association]) -> Table:
    names = (
        "Outcome",
        "Measure",
        "Effect",
        "Interval",
        "Information, bits",
        "p",
        "q",
        "Detectable",
        "People",
        "Clips",
    )
    rows = tuple(
        (
            Cell(w.introduced(t.attribute_title, t.attribute)), Cell(t.outcome_title), Cell(w.MEASURES[t.measure]),
            w.figure(t.effect.value, 1.0), Cell(w.reach(t.effect.low, t.effect.high, 1.0), t.effect.low),
            w.figure(t.information_bits, 1.0), w.p_cell(t.p), w.p_cell(t.q), w.figure(t.detectable, 1.0),
            w.count(t.effect.n_subjects), w.count(t.effect.n),
        )
        for t in tests
    )  # fmt: skip
    label = f"{plural(len(tests), 'association')} tested, by q, then the largest effect first"
    return Table(label, columns("Attribute", *names, text=names[:2]), rows, "sortable")


def _heat(t: Association) -> Table:
    levels = tuple(dict.fromkeys(level for g in t.groups for level in g.shares))
    most = max((s for g in t.groups for s in g.shares.values()), default=0.0) or 1.0
    rows = tuple(
        (
            Cell(f"{g.group} ({w.on(g.estimate)})"),
            *(_share_cell(g.shares.get(level, 0.0), most) for level in levels),
        )
        for g in t.groups
    )
    title = w.introduced(t.attribute_title, t.attribute)
    return Table(
        f"{w.capital(title)}: share of clips by emotion, {w.on(t.effect)}", columns("", *levels), rows, "heat"
    )


def _share_cell(share: float, most: float) -> Cell:
    return Cell(w.percent(share), shade=share / most) if share else Cell("0", mark="empty")


def _groups(tests: Sequence[Association]) -> list[Block]:
    rows = []
    for t in tests:
        title = w.introduced(t.attribute_title, t.attribute)
        for g in t.groups:
            for name, value in _values(t, g.shares, w.estimate(g.estimate)):
                rows.append(
                    row(title, name, g.group, value, w.count(g.estimate.n_subjects), w.count(g.estimate.n))
                )
    heads = columns(
        "Attribute", "Outcome", "Group", "Value", "People", "Clips", text=("Outcome", "Group", "Value")
    )
    found: list[Block] = [
        Table(
            "Outcomes by group: means, or shares of clips, with their intervals",
            heads,
            tuple(rows[:N_ROWS]),
            "sortable",
        )
    ]
    if len(rows) > N_ROWS:
        found.append(Text(f"{len(rows) - N_ROWS:,} more rows in audit.json."))
    return found


def _values(t: Association, shares: dict[str, float], mean: str) -> Iterable[tuple[str, str]]:
    """(outcome, value): one for a number or a flag, one with all levels for groups."""
    if t.outcome_kind == "groups":
        return [
            (t.outcome_title, ", ".join(f"{level} {w.percent(s)}" for level, s in shares.items()) or NONE)
        ]
    unit = f", {t.unit}" if t.unit not in ("", "1") else ""
    return [(f"{t.outcome_title}{unit}", mean)]


def _skipped(skipped: Sequence[Association | Parity]) -> Table:
    rows = []
    for t in skipped:
        on = t.effect if isinstance(t, Association) else t.gap
        title = w.introduced(t.attribute_title, t.attribute)
        rows.append(row(title, t.outcome_title, t.skipped, w.count(on.n_subjects), w.count(on.n)))
    heads = columns("Attribute", "Outcome", "Why", "People", "Clips", text=("Outcome", "Why"))
    return Table(f"{plural(len(skipped), 'test')} that could not be made", heads, tuple(rows))


def label_noise(audit: Audit) -> tuple[Block, ...]:
    """The table of figures with what label errors do to them."""
    if not audit.label_noise:
        return (
            Text(
                "No figure rests on estimated labels whose error is published, so there is nothing to show here."
            ),
        )
    known = {
        r.attribute: (
            sum(g.n_subjects for g in r.groups if g.share is not None),
            sum(g.n_clips for g in r.groups if g.share is not None),
        )
        for r in audit.representation
    }
    errors = dict.fromkeys(n.error for n in audit.label_noise)
    letters = {error: str(i + 1) for i, error in enumerate(errors)}
    rows = tuple(
        row(
            w.title_of(audit, n.attribute), n.figure, number(n.observed, 1.0), w.reach(n.low, n.high, 1.0),
            number(n.corrected, 1.0), letters[n.error],
            *(f"{k:,}" for k in known.get(n.attribute, (audit.n_subjects, audit.n_clips))),
        )
        for n in audit.label_noise
    )  # fmt: skip
    names = ("Figure", "Observed", "Range", "Corrected", "Error", "People", "Clips")
    heads = columns("Attribute", *names, text=("Figure",))
    table = Table("Figures from estimated labels under the errors assumed below", heads, rows)
    listed = Bullets(tuple(errors), tuple(f"Error {letter}:" for letter in letters.values()))
    return Text(NOISE, soft=True), table, listed


def parity(audit: Audit) -> tuple[Block, ...]:
    """Plots per attribute, the table of gaps, what was skipped."""
    if not audit.parity:
        return (
            Text("No movement was measured, so nothing can be said about it. Run `equime evaluate` first."),
        )
    tests = sorted((t for t in audit.parity if not t.skipped), key=w.rank)
    skipped = [t for t in audit.parity if t.skipped]
    blocks: list[Block] = [Text(PARITY, soft=True)]
    for attribute in dict.fromkeys(t.attribute for t in audit.parity if not t.skipped):
        of = [t for t in tests if t.attribute == attribute]
        figures = [f for f in map(_plot, of) if f is not None]
        title = w.capital(w.introduced(of[0].attribute_title, attribute))
        blocks.append(Figures(tuple(figures[:N_PLOTS]), title))
        if figures[N_PLOTS:]:
            blocks.append(
                Fold(plural(len(figures) - N_PLOTS, "more outcome"), (Figures(tuple(figures[N_PLOTS:])),))
            )
    if tests:
        blocks += [Heading("All gaps"), _gaps(tests), Fold("Means of all groups", (_means(tests),))]
    if skipped:
        blocks += [Heading("Not tested"), _skipped(skipped)]
    return tuple(blocks)


def _plot(t: Parity) -> Figure | None:
    plot = plots.parity(t)
    if plot is None:
        return None
    unit = f"{t.unit}; " if t.unit not in ("", "1") else ""
    better = "" if t.direction == "none" else f"; {t.direction} is better"
    return Figure(t.outcome_title, f"{unit}gap {number(t.gap.value)}, {w.p_is('q', t.q)}{better}", plot)


def _gaps(tests: Sequence[Parity]) -> Table:
    names = (
        "Outcome", "Held equal", "Gap", "Interval", "Of the mean", "Lowest", "Highest", "p", "q", "Detectable",
        "People", "Clips",
    )  # fmt: skip
    rows = tuple(
        (
            Cell(w.introduced(t.attribute_title, t.attribute)), Cell(_with_unit(t)), Cell(t.adjusted_for or "nothing"),
            w.figure(t.gap.value), Cell(w.reach(t.gap.low, t.gap.high), t.gap.low),
            Cell(w.percent(t.relative_gap), t.relative_gap), Cell(t.lowest or NONE), Cell(t.highest or NONE),
            w.p_cell(t.p), w.p_cell(t.q), w.figure(t.detectable), w.count(t.gap.n_subjects), w.count(t.gap.n),
        )
        for t in tests
    )  # fmt: skip
    heads = columns("Attribute", *names, text=("Outcome", "Held equal", "Lowest", "Highest"))
    return Table(f"{plural(len(tests), 'gap')} tested, by q, then the largest first", heads, rows, "sortable")


def _with_unit(t: Parity) -> str:
    return f"{t.outcome_title}, {t.unit}" if t.unit not in ("", "1") else t.outcome_title


def _means(tests: Sequence[Parity]) -> Table:
    rows = tuple(
        row(
            w.introduced(t.attribute_title, t.attribute), _with_unit(t), r.group, w.figure(r.estimate.value),
            Cell(w.reach(r.estimate.low, r.estimate.high), r.estimate.low), w.count(r.estimate.n_subjects),
            w.count(r.estimate.n),
        )
        for t in tests
        for r in t.rows
    )  # fmt: skip
    names = ("Outcome", "Group", "Mean", "Interval", "People", "Clips")
    return Table("Mean of every group", columns("Attribute", *names, text=names[:2]), rows, "sortable")
