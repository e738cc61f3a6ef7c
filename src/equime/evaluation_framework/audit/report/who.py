"""Sections: what limits the audit, who is in it, skin tone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from equime.evaluation_framework.audit.data import Finding
from equime.evaluation_framework.audit.records import Audit, GroupShare, Intersection, Representation, Skin
from equime.evaluation_framework.audit.report import plots
from equime.evaluation_framework.audit.report import words as w
from equime.evaluation_framework.audit.report.blocks import (
    Bar,
    Block,
    Bullets,
    Cell,
    Column,
    Figure,
    Fold,
    Heading,
    Swatch,
    Swatches,
    Table,
    Text,
    columns,
    row,
)
from equime.evaluation_framework.report.words import NONE, listing, number, plural

N_MESSAGES: Final = 20
"""Findings of one code that are written out; audit.json holds all."""

N_SWATCHES: Final = 240
N_PEOPLE: Final = 300
"""People in the table of skin tone."""

ORIGINS: Final = (
    "Three kinds of attribute are kept apart. Declared: what the source of a photograph says. Estimated: what a model "
    "reads from the face; it is wrong for some people, more often for some groups than for others, and nobody was "
    "asked. Measured: what the pixels show; a measured skin tone belongs to a picture and its light, and is not "
    "anybody's race or ethnicity."
)
WHO: Final = (
    "Share is of the people whose group is known, with its Wilson interval; the bar shows it, the thin line its "
    "interval, the upright mark the target. The effective number is how many groups of equal size would be as diverse "
    "(two to the power of the entropy); evenness is that over the number of groups."
)
CROSSED: Final = (
    "People, and clips in brackets. An outlined 0 marks a cell with nobody in it, * one with fewer than {}."
)
SKIN: Final = (
    "One patch per person, lightest first: the mean colour of cheeks and forehead in the photograph, with the "
    "individual typology angle (ITA, degrees; larger is lighter) and the nearest tone of the Monk scale (1 lightest to "
    "10). White balance and light change these numbers; a low lighting confidence says where. They describe "
    "photographs, not persons."
)


def limits(audit: Audit) -> tuple[Block, ...]:
    """Findings, grouped and counted, and the groups that are too small."""
    found = list(audit.findings)
    found += [
        Finding(code=f.code, message=f"{m.file}: {f.message}", n=f.n)
        for m in audit.model_audits
        for f in m.findings
    ]
    blocks: list[Block] = []
    sentences = tuple(_small(audit))
    if sentences:
        blocks.append(Bullets(sentences))
    if not found:
        return (*blocks, Text("Nothing else was found that limits this audit."))
    by_code: dict[str, list[Finding]] = {}
    for finding in found:
        by_code.setdefault(finding.code, []).append(finding)
    rows = tuple(
        (Cell(code, code=True), w.count(sum(f.n for f in fs)), w.count(len(fs)), Cell(fs[0].message))
        for code, fs in by_code.items()
    )
    heads = columns("Code", "Concerned", "Times", "First message", text=("First message",))
    blocks.append(Table("What limits this audit, by kind; 0 concerned means the whole data set", heads, rows))
    for code, fs in by_code.items():
        if len(fs) > 1:
            messages = tuple(f.message for f in fs[:N_MESSAGES])
            rest = (f"{len(fs) - N_MESSAGES} more in audit.json.",) if len(fs) > N_MESSAGES else ()
            blocks.append(Fold(f"{code}: all {len(fs)}", (Bullets(messages + rest),)))
    return tuple(blocks)


def _small(audit: Audit) -> Iterator[str]:
    for r in audit.representation:
        small = [
            f"{g.group} ({w.n_is(g.n_subjects)})" for g in r.groups if g.share is not None and not g.enough
        ]
        if small:
            yield (
                f"{w.capital(w.introduced(r.title, r.attribute))}: counted but not compared, with fewer than "
                f"{audit.min_group_subjects} people: {listing(small)}."
            )
        if r.n_unknown:
            yield f"{w.capital(w.introduced(r.title, r.attribute))} is not known of {w.people(r.n_unknown)}."
    for origin in ("declared", "estimated", "measured"):
        if not any(r.origin == origin for r in audit.representation):
            yield f"No attribute was {origin}."


def who(audit: Audit) -> tuple[Block, ...]:
    """Counts and shares of every attribute, then of pairs."""
    if not audit.representation:
        return (Text("No attribute of anybody is known, so nobody can be counted by group."),)
    blocks: list[Block] = [Text(ORIGINS), Text(WHO, soft=True)]
    for r in audit.representation:
        blocks += _representation(r)
    if audit.intersections:
        blocks += [Heading("Intersections"), Text(CROSSED.format(audit.min_group_subjects), soft=True)]
        blocks += [block for crossed in audit.intersections for block in _intersection(crossed, audit)]
    return tuple(blocks)


def _representation(r: Representation) -> list[Block]:
    title = w.introduced(r.title, r.attribute)
    targeted = any(g.target is not None for g in r.groups)
    named = ("People", "Clips", "Share", "Interval") + (("Target", "Share − target") if targeted else ())
    heads = (*columns("Group", *named), Column("Share drawn", bar=True))
    n_people = sum(g.n_subjects for g in r.groups)
    label = f"{w.capital(title)}: {w.counted(n_people, sum(g.n_clips for g in r.groups))}"
    table = Table(label, heads, tuple(_group(g, targeted) for g in r.groups))
    return [Heading(w.capital(title)), Text(_sentence(r)), table]


def _group(g: GroupShare, targeted: bool) -> tuple[Cell, ...]:
    interval = NONE if g.low is None or g.high is None else f"{w.percent(g.low)} to {w.percent(g.high)}"
    target = (w.percent(g.target), _signed_percent(g.difference)) if targeted else ()
    bar = None if g.share is None else Bar(g.share, g.low, g.high, g.target)
    name = g.group if g.enough or g.share is None else f"{g.group} *"
    return row(
        name, f"{g.n_subjects:,}", f"{g.n_clips:,}", w.percent(g.share), interval, *target, Cell("", bar=bar)
    )


def _signed_percent(share: float | None) -> str:
    return (
        NONE if share is None else f"{'+' if share > 0 else '−' if share < 0 else ''}{w.percent(abs(share))}"
    )


def _sentence(r: Representation) -> str:
    said = []
    if r.effective_number is not None and r.entropy_bits is not None:
        said.append(
            f"Effective number of groups {number(r.effective_number, 1.0)} of "
            f"{sum(g.share is not None for g in r.groups)}, entropy {number(r.entropy_bits, 1.0)} bits, evenness "
            f"{number(r.evenness, 1.0)}."
        )
    said.append(f"Not known of {w.people(r.n_unknown)}." if r.n_unknown else "Known of everybody.")
    if r.target_distance is not None:
        p = f", {w.p_is('p', r.target_p)}" if r.target_p is not None else ""
        said.append(
            f"{w.percent(r.target_distance)} of the people would have to be of another group to meet the target{p}."
        )
    if r.absent:
        said.append(f"Nobody is in: {listing(r.absent)}.")
    if any(not g.enough and g.share is not None for g in r.groups):
        said.append("* marks groups with too few people to be compared.")
    return " ".join(said)


def _intersection(crossed: Intersection, audit: Audit) -> list[Block]:
    firsts = tuple(dict.fromkeys(c.groups[0] for c in crossed.cells))
    seconds = tuple(dict.fromkeys(c.groups[1] for c in crossed.cells))
    at = {c.groups: c for c in crossed.cells}
    most = max((c.n_subjects for c in crossed.cells), default=0) or 1
    titles = [w.introduced(t, a) for t, a in zip(crossed.titles, crossed.attributes, strict=True)]
    rows = []
    for first in firsts:
        cells = [Cell(first)]
        for second in seconds:
            cell = at.get((first, second))
            if cell is None or not cell.n_subjects:
                cells.append(Cell("0", mark="empty"))
                continue
            star = " *" if cell.n_subjects < audit.min_group_subjects else ""
            cells.append(Cell(f"{cell.n_subjects} ({cell.n_clips}){star}", shade=cell.n_subjects / most))
        rows.append(tuple(cells))
    n_people, n_clips = sum(c.n_subjects for c in crossed.cells), sum(c.n_clips for c in crossed.cells)
    label = f"{w.capital(titles[0])} (rows) by {titles[1]}: {w.counted(n_people, n_clips)}"
    number_of = (
        f", effective number of cells {number(crossed.effective_number, 1.0)}"
        if crossed.effective_number
        else ""
    )
    said = (
        f"{plural(crossed.n_empty, 'cell')} of {len(crossed.cells)} without anybody, {crossed.n_small} with fewer than "
        f"{audit.min_group_subjects} people{number_of}."
    )
    return [Table(label, columns("", *seconds), tuple(rows), "heat"), Text(said)]


def skin(audit: Audit) -> tuple[Block, ...]:
    """The strip, the histogram, the table."""
    measured = [s for s in audit.skin if s.ita_deg is not None]
    if not measured:
        return (Text("Skin tone was not measured, or no face showed usable skin."),)
    missing = len(audit.skin) - len(measured)
    blocks: list[Block] = [Text(SKIN, soft=True)]
    if missing:
        blocks.append(Text(f"Without usable skin, and not shown: {w.people(missing)}."))
    coloured = [s for s in measured if s.srgb is not None]
    if coloured:
        shown = _thinned(coloured, N_SWATCHES)
        of = (
            f"{w.people(len(shown))} of {len(coloured):,}, evenly through the order"
            if len(shown) < len(coloured)
            else w.people(len(shown))
        )
        blocks.append(Text(f"{w.capital(of)}.", soft=True))
        blocks.append(Swatches("Skin colours, lightest first", tuple(map(_swatch, shown))))
    plot = plots.ita_histogram(audit.skin)
    if plot is not None:
        note = f"people per {plots.STEP_DEG:g} degrees, n = {len(measured)}"
        blocks.append(Figure("Individual typology angle", note, plot))
    heads = columns(
        "Person",
        "ITA, deg",
        "Group",
        "Monk",
        "Hue, deg",
        "Lightness L*",
        "Lighting confidence",
        text=("Group",),
    )
    table = Table(
        f"Measured skin tone of {w.people(len(audit.skin))}",
        heads,
        tuple(map(_person, audit.skin[:N_PEOPLE])),
        "sortable",
    )
    rest = len(audit.skin) - N_PEOPLE
    more = (Text(f"{rest:,} more people in audit.json."),) if rest > 0 else ()
    return (*blocks, Fold("Every person in figures", (table, *more)))


def _thinned(people: list[Skin], n: int) -> list[Skin]:
    if len(people) <= n:
        return people
    return [people[round(i * (len(people) - 1) / (n - 1))] for i in range(n)]


def _swatch(s: Skin) -> Swatch:
    monk = "Monk –" if s.monk is None else f"Monk {s.monk}"
    ita = f"{s.ita_deg:.0f}°".replace("-", "−")
    return Swatch(s.srgb or "", (ita, monk), f"{s.subject_id}: ITA {ita}, {monk}, {s.group or 'no group'}")


def _person(s: Skin) -> tuple[Cell, ...]:
    monk = Cell(NONE) if s.monk is None else w.count(s.monk)
    return (
        Cell(s.subject_id), w.figure(s.ita_deg, 10.0), Cell(s.group or NONE), monk, w.figure(s.hue_deg, 10.0),
        w.figure(s.lightness, 10.0), w.figure(s.confidence, 1.0),
    )  # fmt: skip
