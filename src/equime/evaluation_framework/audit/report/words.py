"""How the audit says what it found: see docs/language-guide.md, which these words keep to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.records import Association, Audit, Parity
from equime.evaluation_framework.audit.report.blocks import Cell
from equime.evaluation_framework.report.words import NONE, number, plural

ALPHA: Final = 0.05
"""A test counts as having found something when its q is below this."""

SYMBOLS: Final = {"cramers_v": "V", "eta_squared": "η²"}
MEASURES: Final = {"cramers_v": "Cramér's V", "eta_squared": "eta squared"}

SCORES: Final = {"uf1": "UF1", "uar": "UAR", "accuracy": "accuracy", "ece": "ECE"}

_NBSP: Final = "\N{NO-BREAK SPACE}"
_ORIGIN_OF: Final = {"declared_": "declared", "estimated_": "estimated", "measured_": "measured"}
_PEOPLE_OF: Final = {
    "declared": "people declared as “{}”",
    "estimated": "people whom the model labels as “{}”",
    "measured": "people whose pictures were measured as “{}”",
}


def origin(attribute: str) -> str:
    """Who says so, by the column's name: "declared", "estimated", "measured", "" where it does not tell."""
    return next((o for prefix, o in _ORIGIN_OF.items() if attribute.startswith(prefix)), "")


def introduced(title: str, attribute: str) -> str:
    """An attribute's title with who says so in it.

    >>> introduced("gender", "estimated_gender"), introduced("skin tone (measured)", "measured_skin_tone")
    ('gender (estimated)', 'skin tone (measured)')
    """
    who = origin(attribute)
    return title if not who or who in title.lower() else f"{title} ({who})"


def group(attribute: str, name: str) -> str:
    """The people of a group, called what they are: labelled, declared or measured so."""
    return _PEOPLE_OF.get(origin(attribute), "people of group “{}”").format(name)


def people(n: int) -> str:
    """1 person, 2 people."""
    return f"{n:,} {'person' if n == 1 else 'people'}"


def counted(n_subjects: int, n_clips: int) -> str:
    """Both counts: 42 people, 240 clips."""
    return f"{people(n_subjects)}, {plural(n_clips, 'clip')}"


def on(estimate: Interval) -> str:
    """What a figure rests on."""
    return counted(estimate.n_subjects, estimate.n)


def percent(share: float | None) -> str:
    """A share in percent; below a tenth with one decimal."""
    if share is None:
        return NONE
    decimals = 1 if 0 < abs(share) < 0.0995 else 0
    return f"{100 * share:.{decimals}f}{_NBSP}%"


def p_value(p: float | None) -> str:
    """To three decimals, never as 0."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_is(name: str, p: float | None) -> str:
    """In a sentence: q = 0.020, q < 0.001; kept on one line."""
    if p is None:
        return f"{name} not known"
    written = p_value(p) if p < 0.001 else f"= {p_value(p)}"
    return f"{name} {written}".replace(" ", _NBSP)


def n_is(n: int) -> str:
    """In a sentence: n = 12."""
    return f"n{_NBSP}={_NBSP}{n:,}"


def reach(low: float | None, high: float | None, spread: float | None = None) -> str:
    """Bounds of an interval, to the same place: 0.22 to 0.40."""
    if low is None or high is None:
        return NONE
    spread = spread or max(abs(low), abs(high))
    return f"{number(low, spread)} to {number(high, spread)}"


def estimate(found: Interval, spread: float | None = None) -> str:
    """A figure with its interval in brackets."""
    if found.low is None or found.high is None:
        return number(found.value, spread)
    spread = spread or max(abs(found.low), abs(found.high))
    value = number(found.value, spread)
    return f"{value} ({reach(found.low, found.high, spread)})"


def figure(value: float | None, spread: float | None = None) -> Cell:
    """A number as a cell that can be sorted."""
    return Cell(number(value, spread), value)


def count(n: int) -> Cell:
    """A count as a cell that can be sorted."""
    return Cell(f"{n:,}", n)


def p_cell(p: float | None) -> Cell:
    """A p or q as a cell that can be sorted."""
    return Cell(p_value(p), p)


def found(test: Association | Parity) -> bool:
    """Whether something was found, after correction for all tests of its family."""
    return test.q is not None and test.q < ALPHA


def rank(test: Association | Parity) -> tuple[float, float]:
    """Order of a table of tests: by q, then the largest first."""
    size = test.effect.value if isinstance(test, Association) else test.relative_gap
    return (2.0 if test.q is None else test.q, -(size or 0.0))


def tested(tests: Iterable[Association]) -> list[Association]:
    """Those that were tested, in the order of `rank`."""
    return sorted((t for t in tests if not t.skipped), key=rank)


def title_of(audit: Audit, attribute: str) -> str:
    """The title of an attribute by its column; the column where the audit has no such attribute."""
    known = {r.attribute: r.title for r in audit.representation}
    return introduced(known.get(attribute, attribute.replace("_", " ")), attribute)


def capital(sentence: str) -> str:
    """The sentence with a capital at its start."""
    return sentence[:1].upper() + sentence[1:]
