"""The answer in plain sentences: which figures, which groups, which n; what was not found, and what would have been."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from equime.evaluation_framework.audit.model_records import Flip, ModelAudit
from equime.evaluation_framework.audit.records import Association, Audit, Parity
from equime.evaluation_framework.audit.report import words as w
from equime.evaluation_framework.audit.report.blocks import Block, Bullets, Heading, Text
from equime.evaluation_framework.report.words import listing, number, plural

N_SENTENCES: Final = 6
"""So many findings of one kind are written out; the tables hold all."""

_IN_8_OF_10: Final = "or larger would have been found in 8 of 10 cases"


def answer(audit: Audit) -> tuple[Block, ...]:
    """All sentences, by question."""
    parts = (
        ("Who is in it", _who(audit)),
        ("What goes with whom", _associations(audit)),
        ("Whether movement reached the pixels alike", _parity(audit)),
        ("Recognisers", (s for m in audit.model_audits for s in _model(audit, m))),
    )
    blocks: list[Block] = []
    for title, sentences in parts:
        said = tuple(sentences)
        if said:
            blocks += [Heading(title), Bullets(said)]
    return (*blocks, Text(SCOPE.format(100 * audit.level), soft=True))


SCOPE: Final = (
    "Figures in brackets behind a figure are its {:g} % interval. "
    "These sentences hold for the groups, figures and numbers of people named, and for nothing else. That nothing was "
    "found does not show that nothing is there: it bounds how large it can be."
)


def _who(audit: Audit) -> Iterator[str]:
    yield f"{w.counted(audit.n_subjects, audit.n_clips)} were audited."
    for r in audit.representation:
        known = [g for g in r.groups if g.share is not None]
        if not known:
            yield f"{w.capital(w.introduced(r.title, r.attribute))} is not known of anybody."
            continue
        counts = ", ".join(f"{g.group} {w.percent(g.share)} ({w.n_is(g.n_subjects)})" for g in known)
        unknown = f"; not known of {w.people(r.n_unknown)}" if r.n_unknown else ""
        absent = f"; nobody is in: {listing(r.absent)}" if r.absent else ""
        yield f"{w.capital(w.introduced(r.title, r.attribute))}, of people: {counts}{unknown}{absent}."
    if not audit.representation:
        yield "Nothing is known of who they are: no attribute was declared, estimated or measured."


def _associations(audit: Audit) -> Iterator[str]:
    tests = w.tested(audit.associations)
    if not tests:
        yield "No association could be tested."
        return
    hits = [t for t in tests if w.found(t)]
    for t in hits[:N_SENTENCES]:
        yield _found(t)
    if len(hits) > N_SENTENCES:
        yield f"{len(hits) - N_SENTENCES} more associations were found; the table lists them."
    for attribute in dict.fromkeys(t.attribute for t in audit.associations if not t.skipped):
        missed = [
            t for t in audit.associations if t.attribute == attribute and not t.skipped and not w.found(t)
        ]
        yield from _not_found(missed)
    yield _chance(len(tests), len(hits), sum(_only_before_correction(t) for t in tests))


def _found(t: Association) -> str:
    title = w.introduced(t.attribute_title, t.attribute)
    return (
        f"{w.capital(title)} goes with {t.outcome_title}: {w.MEASURES[t.measure]} = {w.estimate(t.effect, 1.0)}, "
        f"{w.p_is('q', t.q)}, {w.on(t.effect)}.{_extremes(t)}"
    )


def _extremes(t: Association) -> str:
    """Between which groups, on which level, the difference is largest."""
    if t.outcome_kind == "groups":
        levels = dict.fromkeys(level for g in t.groups for level in g.shares)
        values = {level: [(g.shares.get(level, 0.0), g) for g in t.groups] for level in levels}
    else:
        known = [(g.estimate.value, g) for g in t.groups if g.estimate.value is not None]
        values = {"": known} if known else {}
    if not values:
        return ""
    level = max(values, key=lambda k: max(v for v, _ in values[k]) - min(v for v, _ in values[k]))
    (low, least), (high, most) = (f(values[level], key=lambda pair: pair[0]) for f in (min, max))
    unit = f" {t.unit}" if t.unit not in ("", "1") else ""
    shown = [number(v) + unit if t.outcome_kind == "number" else w.percent(v) for v in (high, low)]
    what = f"“{level}” makes up" if level else f"The {'mean' if t.outcome_kind == 'number' else 'share'} is"
    whose = [f"{w.group(t.attribute, g.group)} ({w.on(g.estimate)})" for g in (most, least)]
    of = "of the clips of" if level else "for"
    return f" {what} {shown[0]} {of} {whose[0]} and {shown[1]} {of} {whose[1]}."


def _not_found(tests: Sequence[Association]) -> Iterator[str]:
    """The outcome that matters most by name, the others by how large an effect could have been missed."""
    if not tests:
        return
    first = next((t for t in tests if t.outcome == "emotion"), tests[0])
    title = w.introduced(first.attribute_title, first.attribute)
    rest = [t for t in tests if t is not first]
    more = f" Nor with {_outcomes(rest)}." if rest else ""
    yield (
        f"No association between {title} and {first.outcome_title} was found; {_power(first)} ({w.on(first.effect)}).{more}"
    )


def _power(t: Association) -> str:
    """How large an effect would have been found; where there is none at all by design, that."""
    if t.detectable is not None:
        return f"an effect of {w.SYMBOLS[t.measure]} = {number(t.detectable, 1.0)} {_IN_8_OF_10}"
    shares = {tuple(sorted((level, round(s, 9)) for level, s in g.shares.items())) for g in t.groups}
    if t.outcome_kind == "groups" and len(t.groups) > 1 and len(shares) == 1:
        return "all groups have exactly the same shares"
    return _UNKNOWN_SIZE


_UNKNOWN_SIZE: Final = "how large an effect would have been found is not known"


def _outcomes(tests: Sequence[Association]) -> str:
    """How many outcomes, and how large an effect would have been found: 7 more outcomes, where V = 0.2 or larger ..."""
    sizes = []
    for measure, symbol in w.SYMBOLS.items():
        known = [t.detectable for t in tests if t.measure == measure and t.detectable is not None]
        if known:
            sizes.append(f"{symbol} = {number(max(known), 1.0)}")
    bound = f", where {' and '.join(sizes)} {_IN_8_OF_10}" if sizes else ""
    return f"{plural(len(tests), 'more outcome')}{bound}"


def _only_before_correction(t: Association | Parity) -> bool:
    return not w.found(t) and t.p is not None and t.p < w.ALPHA


def _chance(n_tests: int, n_hits: int, n_before: int) -> str:
    """What many tests found, beside what they give by chance."""
    return (
        f"{plural(n_tests, 'test')} in all: q is below {w.ALPHA:g} in {n_hits}, p but not q in {n_before}. Chance alone "
        f"gives p below {w.ALPHA:g} in about {number(w.ALPHA * n_tests, 10.0)}."
    )


def _parity(audit: Audit) -> Iterator[str]:
    tests = sorted((t for t in audit.parity if not t.skipped), key=w.rank)
    if not tests:
        yield "Whether the same expression moves the pixels alike on everybody could not be tested."
        return
    hits = [t for t in tests if w.found(t)]
    for t in hits[:N_SENTENCES]:
        yield _gap(t)
    if len(hits) > N_SENTENCES:
        yield f"{len(hits) - N_SENTENCES} more gaps were found; the table lists them."
    for attribute in dict.fromkeys(t.attribute for t in audit.parity if not t.skipped):
        yield from _no_gap(
            [t for t in audit.parity if t.attribute == attribute and not t.skipped and not w.found(t)]
        )
    yield _chance(len(tests), len(hits), sum(_only_before_correction(t) for t in tests))


def _gap(t: Parity) -> str:
    title = w.introduced(t.attribute_title, t.attribute)
    unit = f" {t.unit}" if t.unit not in ("", "1") else ""
    relative = f", {w.percent(t.relative_gap)} of the mean" if t.relative_gap is not None else ""
    by = {r.group: r.estimate for r in t.rows}
    ends = [
        f"{number(by[g].value)}{unit} for {w.group(t.attribute, g)} ({w.on(by[g])})"
        for g in (t.lowest, t.highest)
        if g is not None and g in by
    ]
    return (
        f"{w.capital(t.outcome_title)} differs by {title}: a gap of {w.estimate(t.gap)}{unit}{relative}, "
        f"{w.p_is('q', t.q)}, {w.on(t.gap)}; {listing(ends)}.{_held(t)}"
    )


def _held(t: Parity) -> str:
    if t.adjusted_for == "twins":
        return " The very same expressions were compared."
    return f" Held equal: {t.adjusted_for}." if t.adjusted_for else " Nothing was held equal."


def _no_gap(tests: Sequence[Parity]) -> Iterator[str]:
    for t in tests[:2]:
        title = w.introduced(t.attribute_title, t.attribute)
        unit = f" {t.unit}" if t.unit not in ("", "1") else ""
        size = (
            f"a gap of {number(t.detectable)}{unit} {_IN_8_OF_10}"
            if t.detectable is not None
            else _UNKNOWN_SIZE
        )
        yield f"No gap in {t.outcome_title} by {title} was found; {size} ({w.on(t.gap)})."
    if len(tests) > 2:
        title = w.introduced(tests[0].attribute_title, tests[0].attribute)
        names = listing(t.outcome_title for t in tests[2:])
        yield f"Nor was one found by {title} in {names}; the table says how large a gap would have been found."


def _model(audit: Audit, m: ModelAudit) -> Iterator[str]:
    """Overall, then the largest gap of each score that was found, then the twins."""
    name = next((k for k in ("uf1", "uar", "accuracy") if k in m.overall), None)
    if name is not None:
        score = m.overall[name]
        yield f"{m.file}: {w.SCORES[name]} {w.estimate(score, 1.0)}, {w.on(score)}."
    hits = [(a, g) for a in m.by_group for g in a.gaps if g.q is not None and g.q < w.ALPHA]
    hits.sort(key=lambda pair: (pair[1].q or 0.0, -(pair[1].gap.value or 0.0)))
    for a, g in hits[:N_SENTENCES]:
        titles = " and ".join(w.introduced(t, n) for t, n in zip(a.titles, a.attributes, strict=True))
        of = f" for {g.klass}" if g.klass else ""
        yield (
            f"{m.file}: {w.SCORES.get(g.name, g.name)}{of} differs by {titles}: {w.estimate(g.gap, 1.0)}, {w.p_is('q', g.q)}, "
            f"{w.on(g.gap)}; between {_named(a.attributes, g.worst)} (worst, or least) and {_named(a.attributes, g.best)} (best, or most)."
        )
    n_gaps = sum(len(a.gaps) for a in m.by_group)
    if n_gaps and len(hits) != n_gaps:
        yield f"{m.file}: in {n_gaps - len(hits)} of {n_gaps} gaps between groups nothing was found beyond chance."
    twins = m.counterfactual
    if twins is not None and not twins.skipped:
        yield (
            f"{m.file}: shown the same expression on another person, it predicts another class in "
            f"{w.percent(twins.flip_rate.value)} ({w.percent(twins.flip_rate.low)} to "
            f"{w.percent(twins.flip_rate.high)}) of {plural(twins.n_pairs, 'pair')} ({w.on(twins.flip_rate)})."
        )
        yield from itertools.islice(_twins(m, twins.flips), N_SENTENCES)


def _twins(m: ModelAudit, flips: Sequence[Flip]) -> Iterator[str]:
    """Pairs of groups between which more than identity changes, or one is right more often."""
    for f in flips:
        title = w.introduced(f.attribute_title, f.attribute)
        pair = f"{w.group(f.attribute, f.groups[0])} and {w.group(f.attribute, f.groups[1])}"
        on = f"{plural(f.n_pairs, 'pair')}, {w.people(f.n_subjects)}"
        if f.excess is not None and f.excess_q is not None and f.excess_q < w.ALPHA:
            yield (
                f"{m.file}: between {pair} ({title}) the prediction changes more often than identity alone makes it: by "
                f"{w.estimate(f.excess, 1.0)} of the pairs, {w.p_is('q', f.excess_q)} ({on})."
            )
        if f.q is not None and f.q < w.ALPHA:
            yield (
                f"{m.file}: on the same expressions of {pair} ({title}), the share that is right differs by "
                f"{w.estimate(f.difference, 1.0)}, first less second, {w.p_is('q', f.q)} ({on})."
            )


def _named(attributes: Sequence[str], groups: Sequence[str]) -> str:
    return " and ".join(w.group(a, g) for a, g in zip(attributes, groups, strict=True))
