"""Sections: labellers against each other, and recognisers by group and on twins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.model_records import (
    Counterfactual,
    Flip,
    Gap,
    GroupAudit,
    GroupScore,
    ModelAudit,
)
from equime.evaluation_framework.audit.records import Agreement, Audit
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
from equime.evaluation_framework.report.words import NONE, listing, number, plural

N_INTERSECTIONS: Final = 6
"""Pairs of attributes on the page; the others fold out."""

AGREEMENT: Final = (
    "Krippendorff's alpha is 1 where labellers always agree and 0 where they agree as often as chance. Labellers that "
    "agree can be wrong together."
)
BY_GROUP: Final = (
    "Every score with its interval over people. UF1 is the mean F1 of the classes, UAR their mean recall, ECE the "
    "expected calibration error (smaller is better). * marks groups with too few people: counted, and not in any gap."
)
GAPS: Final = (
    "A gap is the largest less the smallest group; it is above 0 by chance alone. p is from exchanging people between groups, "
    "q is corrected for all gaps of this file. Demographic parity compares how often a class is predicted, equal "
    "opportunity how often it is found where it is there, equalised odds that and false alarms (Hardt et al. 2016). "
    "For them worst is the group with the lowest rate, of false alarms the highest. Which of them matters depends on the harm: see the language guide."
)
TWINS: Final = (
    "Twins are clips of the very same expression on different people, so only the identity changes (after Kusner et "
    "al. 2017). A change of the predicted class within a group is what identity alone does; beyond identity is how much "
    "more often it changes between the groups, with its own q. McNemar's test treats pairs as independent, which they are not; p and q respect it."
)


def agreement(audit: Audit) -> tuple[Block, ...]:
    """Alpha, then confusion tables."""
    if not audit.agreement:
        return (Text("No attribute has two labellers, so none could be compared."),)
    names = (
        "Labellers",
        "Alpha",
        "Interval",
        "Level",
        "Agree",
        "Mean difference",
        "People",
        "Clips",
        "Note",
    )
    rows = tuple(
        row(
            a.attribute, _labellers(audit, a), number(a.alpha.value, 1.0), w.reach(a.alpha.low, a.alpha.high, 1.0), a.level,
            w.percent(a.agreement), number(a.mean_difference), f"{a.n_subjects:,}", f"{a.alpha.n:,}", a.note or NONE,
        )
        for a in audit.agreement
    )  # fmt: skip
    heads = columns("Attribute", *names, text=("Labellers", "Level", "Note"))
    tables = [_confusion(audit, a) for a in audit.agreement if a.confusion]
    return Text(AGREEMENT, soft=True), Table("Agreement of labellers", heads, rows), *tables


def _labellers(audit: Audit, a: Agreement) -> str:
    return listing(w.title_of(audit, name) for name in a.labellers)


def _confusion(audit: Audit, a: Agreement) -> Table:
    most = max((n for counts in a.confusion for n in counts), default=0) or 1
    rows = tuple(
        (Cell(label), *(_confused(n, most, own=i == j) for j, n in enumerate(counts)))
        for i, (label, counts) in enumerate(zip(a.labels, a.confusion, strict=True))
    )
    first, second = (w.title_of(audit, name) for name in a.labellers[:2])
    label = f"{w.capital(a.attribute)}: {w.people(a.n_subjects)} by {first} (rows) and {second} (columns)"
    return Table(label, columns("", *a.labels), rows, "heat")


def _confused(n: int, most: int, *, own: bool) -> Cell:
    return Cell(str(n), shade=n / most if n else None, mark="own" if own else "")


def recognisers(audit: Audit) -> tuple[Block, ...]:
    """Every predictions file."""
    if not audit.model_audits:
        return (Text("No predictions file was given; `equime audit --predictions FILE` adds one."),)
    return tuple(block for m in audit.model_audits for block in _model(m))


def _model(m: ModelAudit) -> Iterator[Block]:
    yield Heading(m.file)
    yield Text(
        f"{plural(m.n_rows, 'row')}, {m.n_used:,} joined with a clip; {plural(m.n_without, 'clip')} of the data set "
        f"without a prediction. Classes: {listing(m.labels)}."
    )
    if m.findings:
        yield Bullets(tuple(f.message for f in m.findings), tuple(f"{f.code}, {f.n:,}:" for f in m.findings))
    if m.overall:
        rows = tuple(
            row(
                w.SCORES.get(name, name),
                number(i.value, 1.0),
                w.reach(i.low, i.high, 1.0),
                f"{i.n_subjects:,}",
                f"{i.n:,}",
            )
            for name, i in m.overall.items()
        )
        yield Table("Over all clips", columns("Score", "Value", "Interval", "People", "Clips"), rows)
    yield from _calibration(m)
    shown = [a for a in m.by_group if len(a.attributes) == 1]
    pairs = [a for a in m.by_group if len(a.attributes) > 1]
    if m.by_group:
        yield Text(f"{BY_GROUP} {GAPS}", soft=True)
    for a in (*shown, *pairs[:N_INTERSECTIONS]):
        yield from _by_group(a)
    if pairs[N_INTERSECTIONS:]:
        more = tuple(block for a in pairs[N_INTERSECTIONS:] for block in _by_group(a))
        yield Fold(f"{len(pairs) - N_INTERSECTIONS} more intersections", more)
    if m.counterfactual is not None:
        yield from _twins(m.counterfactual)


def _calibration(m: ModelAudit) -> Iterator[Block]:
    bins = [b for b in m.calibration if b[2]]
    if not bins:
        return
    note = f"{plural(sum(n for *_, n in bins), 'clip')}; larger dots are more clips"
    yield Figures((Figure("Reliability", note, plots.reliability(bins)),))
    rows = tuple(row(number(c, 1.0), w.percent(s), f"{k:,}") for c, s, k in bins)
    table = Table("Confidence and share correct", columns("Mean confidence", "Correct", "Clips"), rows)
    yield Fold("Reliability in figures", (table,))


def _titles(a: GroupAudit) -> str:
    return " and ".join(w.introduced(t, n) for t, n in zip(a.titles, a.attributes, strict=True))


def _by_group(a: GroupAudit) -> Iterator[Block]:
    yield Heading(w.capital(_titles(a)), 4)
    if a.skipped:
        yield Text(f"Not compared: {a.skipped}.")
    if a.groups:
        names = tuple(dict.fromkeys(name for g in a.groups for name in g.scores))
        rows = tuple(_group(g, names) for g in a.groups)
        heads = columns("Group", "People", "Clips", *(w.SCORES.get(name, name) for name in names))
        yield Table(f"Scores by {_titles(a)}", heads, rows, "sortable")
    if a.gaps:
        yield Table(f"Gaps by {_titles(a)}", _GAP_HEADS, tuple(map(_gap, a.gaps)), "sortable")
    if a.groups:
        yield Fold("Classes by group", (_classes(a),))


def _group(g: GroupScore, names: Sequence[str]) -> tuple[Cell, ...]:
    scores = [g.scores.get(name) for name in names]
    cells = [Cell(NONE) if s is None else Cell(w.estimate(s, 1.0), s.value) for s in scores]
    return Cell(_name(g.group) + ("" if g.enough else " *")), w.count(g.n_subjects), w.count(g.n), *cells


def _name(groups: Sequence[str]) -> str:
    return ", ".join(groups)


_GAP_HEADS: Final = columns(
    "What", "Class", "Gap", "Interval", "Ratio", "Worst", "Best", "p", "q", "People", "Clips",
    text=("Class", "Worst", "Best"),
)  # fmt: skip


def _gap(g: Gap) -> tuple[Cell, ...]:
    return (
        Cell(w.SCORES.get(g.name, g.name)), Cell(g.klass or "all"), w.figure(g.gap.value, 1.0),
        Cell(w.reach(g.gap.low, g.gap.high, 1.0), g.gap.low), w.figure(g.ratio, 1.0), Cell(_name(g.worst)),
        Cell(_name(g.best)), w.p_cell(g.p), w.p_cell(g.q), w.count(g.gap.n_subjects), w.count(g.gap.n),
    )  # fmt: skip


def _classes(a: GroupAudit) -> Table:
    rows = []
    for g in a.groups:
        for klass in g.selection:
            rates = (g.selection[klass], g.recall.get(klass), g.false_positive.get(klass))
            shares = [Cell(w.percent(r), r) for r in rates]
            rows.append((Cell(_name(g.group)), Cell(klass), *shares, w.count(g.n_subjects), w.count(g.n)))
    heads = columns(
        "Group", "Class", "Predicted", "Found", "False alarms", "People", "Clips", text=("Class",)
    )
    return Table(
        f"How often each class is predicted and found, by {_titles(a)}", heads, tuple(rows), "sortable"
    )


def _twins(c: Counterfactual) -> Iterator[Block]:
    yield Heading("The same expression on another person", 4)
    if c.skipped:
        yield Text(f"Not compared: {c.skipped}.")
        return
    yield Text(TWINS, soft=True)
    yield Text(
        f"{plural(c.n_expressions, 'expression')} shown on two people or more, {plural(c.n_pairs, 'pair')} of twins. The "
        f"predicted class changes in {_rate(c.flip_rate)}."
    )
    if c.within_group_flip_rate:
        known = c.within_group_flip_rate.items()
        yield Bullets(tuple(f"Within groups of {_attribute(c, name)}: {_rate(i)}." for name, i in known))
    if c.flips:
        heads = columns(
            "Attribute", "First", "Second", "Changed", "Interval", "Only first right", "Only second right",
            "Right, first − second", "McNemar p", "p", "q", "Beyond identity", "q of that", "Pairs", "People", text=("First", "Second"),
        )  # fmt: skip
        yield Table("Pairs of twins of two groups", heads, tuple(map(_flip, c.flips)), "sortable")


def _attribute(c: Counterfactual, name: str) -> str:
    titles = {f.attribute: f.attribute_title for f in c.flips}
    return w.introduced(titles.get(name, name.replace("_", " ")), name)


def _rate(i: Interval) -> str:
    bounds = "" if i.low is None else f" ({w.percent(i.low)} to {w.percent(i.high)})"
    return f"{w.percent(i.value)}{bounds} of the pairs ({w.on(i)})"


def _flip(f: Flip) -> tuple[Cell, ...]:
    reach = (
        NONE if f.flip_rate.low is None else f"{w.percent(f.flip_rate.low)} to {w.percent(f.flip_rate.high)}"
    )
    beyond = Cell(NONE) if f.excess is None else Cell(w.estimate(f.excess, 1.0), f.excess.value)
    return (
        Cell(w.introduced(f.attribute_title, f.attribute)), Cell(f.groups[0]), Cell(f.groups[1]),
        Cell(w.percent(f.flip_rate.value), f.flip_rate.value), Cell(reach, f.flip_rate.low),
        w.count(f.only_first_correct), w.count(f.only_second_correct),
        Cell(w.estimate(f.difference, 1.0), f.difference.value), w.p_cell(f.mcnemar_p), w.p_cell(f.p), w.p_cell(f.q),
        beyond, w.p_cell(f.excess_q), w.count(f.n_pairs), w.count(f.n_subjects),
    )  # fmt: skip
