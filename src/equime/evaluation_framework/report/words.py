"""Numbers and sentences as the report writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from equime.annotation.annotators import Metric
from equime.evaluation_framework.statistics import Estimate

NONE: Final = "–"
"""Written where there is no value."""

BETTER: Final = {"higher": "higher", "lower": "lower", "none": NONE}


def number(value: float | None, spread: float | None = None) -> str:
    """A value with three significant figures of its spread (of itself where there is none).

    >>> number(40.8617, 3.2), number(0.97171), number(144.0), number(None)
    ('40.86', '0.972', '144', '–')
    """
    if value is None or not np.isfinite(value):
        return NONE
    scale = abs(spread) if spread else abs(value)
    if scale == 0:
        return "0"
    if scale < 1e-4 or scale >= 1e7:
        return f"{value:.3g}"
    decimals = int(np.clip(2 - np.floor(np.log10(scale)), 0, 6))
    return _unsigned_zero(f"{value:,.{decimals}f}" if abs(value) >= 10_000 else f"{value:.{decimals}f}")


def tick(value: float, step: float) -> str:
    """A label of an axis whose labels are ``step`` apart."""
    if step >= 1e8 or step < 1e-4:
        return f"{value:.3g}"
    if step >= 10_000:
        return f"{value:,.0f}"
    for decimals in range(6):
        if abs(round(step, decimals) - step) < step * 1e-6:
            break
    return _unsigned_zero(f"{value:.{decimals}f}")


def _unsigned_zero(text: str) -> str:
    return text.removeprefix("-") if text.startswith("-") and not text.strip("-0.") else text


def interval(estimate: Estimate, spread: float | None = None) -> str:
    """Bounds of an interval, "–" where there are too few subjects for one."""
    if estimate.low is None or estimate.high is None:
        return NONE
    return f"{number(estimate.low, spread)} to {number(estimate.high, spread)}"


def share(n: int, of: int, noun: str = "") -> str:
    """A count of a total: 3 of 25 clips (12 %)."""
    words = f"{n:,} of {of:,}{f' {noun}' if noun else ''}"
    return words + (f" ({100 * n / of:.0f}\N{NO-BREAK SPACE}%)" if of else "")


def plural(n: int, word: str) -> str:
    """A count with its noun: 1 clip, 2 clips."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def text_counts(counts: Sequence[tuple[str, int]], n_texts: int) -> str:
    """Values of a text column and how often each is there."""
    if not n_texts:
        return NONE
    if not counts:
        return f"{plural(n_texts, 'different value')}"
    return ", ".join(f"{value}: {plural(n, 'clip')}" for value, n in counts)


def bounds(metric: Metric) -> str:
    """Possible values of a metric in words."""
    if metric.type == "flag":
        return "true or false"
    if metric.type == "text":
        return "text"
    if metric.low is None and metric.high is None:
        return "any number"
    if metric.high is None:
        return f"from {metric.low:g} up"
    if metric.low is None:
        return f"up to {metric.high:g}"
    return f"{metric.low:g} to {metric.high:g}"


def listing(words: Iterable[str]) -> str:
    """Words as a list: a, b and c."""
    *head, last = list(words) or [""]
    return f"{', '.join(head)} and {last}" if head else last
