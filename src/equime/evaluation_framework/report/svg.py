"""Scales, axes and frames of plots that are SVG elements of a page: text stays text, colours follow the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from equime.evaluation_framework.report.markup import Child, Markup, join, tag
from equime.evaluation_framework.report.words import number, tick

WIDTH: Final = 320.0
"""Of a plot of rows, in units of its view box."""

LEFT: Final = 74.0
"""Room for the names of rows."""

RIGHT: Final = 10.0
AXIS: Final = 24.0
"""Height of the numbers below a plot of rows."""


def ticks(values: Sequence[float]) -> tuple[float, ...]:
    """Three to six round numbers within the range of the values, for an axis."""
    low, high = float(min(values)), float(max(values))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / 4
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.75))
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return tuple(float(k * step) + 0.0 for k in np.arange(first, last + 1))


class Scale:
    """Numbers to coordinates, with a little air at both ends."""

    def __init__(self, values: Sequence[float], start: float, stop: float, air: float = 0.04) -> None:
        low, high = min(values), max(values)
        span = (high - low) or 1.0
        self.low, self.high = low - air * span, high + air * span
        self.start, self.stop = start, stop
        self.ticks = [t for t in ticks((self.low, self.high)) if self.low <= t <= self.high]
        self.step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0

    def __call__(self, value: float) -> float:
        """Where a number lies."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)


def grid_lines(x: Scale, bottom: float) -> list[Markup]:
    """Vertical lines with their numbers below."""
    lines = [tag("line", x1=x(t), x2=x(t), y1=0, y2=bottom, class_="grid") for t in x.ticks]
    numbers = [
        tag("text", tick(t, x.step), x=x(t), y=bottom + 14, class_="tick", text_anchor="middle")
        for t in x.ticks
    ]
    return lines + numbers


def frame(x: Scale, y: Scale, x_name: str, y_name: str) -> Markup:
    """Grid, tick labels and axis names of a scatter."""
    parts = []
    for t in x.ticks:
        parts.append(tag("line", x1=x(t), x2=x(t), y1=y.stop, y2=y.start, class_="grid"))
        parts.append(
            tag("text", tick(t, x.step), x=x(t), y=y.start + 14, class_="tick", text_anchor="middle")
        )
    for t in y.ticks:
        parts.append(tag("line", x1=x.start, x2=x.stop, y1=y(t), y2=y(t), class_="grid"))
        parts.append(
            tag("text", tick(t, y.step), x=x.start - 5, y=y(t) + 4, class_="tick", text_anchor="end")
        )
    middle = (y.start + y.stop) / 2
    parts.append(
        tag("text", x_name, x=(x.start + x.stop) / 2, y=y.start + 32, class_="name", text_anchor="middle")
    )
    parts.append(
        tag("text", y_name, x=10, y=middle, class_="name", text_anchor="middle",
            transform=f"rotate(-90 10 {middle:.1f})")
    )  # fmt: skip
    return join(parts)


@dataclass(frozen=True)
class Point:
    """One value in `points`: filled as "own" or "same", hollow as "other" where it cannot be compared."""

    name: str
    mean: float
    low: float | None
    high: float | None
    kind: str


def points(rows: Sequence[Point], *, name: str, left: float = LEFT, zero: bool = False) -> Markup:
    """One value per row, with its interval where it has one; ``zero`` draws a line there."""
    every = [v for p in rows for v in (p.mean, p.low, p.high) if v is not None]
    width = WIDTH - LEFT + left
    x = Scale([*every, 0.0] if zero else every, left, width - RIGHT)
    bottom = 20.0 * len(rows)
    parts = grid_lines(x, bottom)
    if zero:
        parts.append(tag("line", x1=x(0), x2=x(0), y1=0, y2=bottom, class_="identity"))
    for i, p in enumerate(rows):
        y = 20.0 * (i + 0.5)
        parts.append(tag("text", p.name, x=left - 8, y=y + 4, class_="name", text_anchor="end"))
        if p.low is not None and p.high is not None:
            parts.append(tag("line", x1=x(p.low), x2=x(p.high), y1=y, y2=y, class_="interval"))
        parts.append(tag("circle", cx=x(p.mean), cy=y, r=4, class_=p.kind))
    label = f"{name}: " + "; ".join(f"{p.name} {number(p.mean)}" for p in rows)
    return svg(width, bottom + AXIS, label, *parts)


def svg(width: float, height: float, label: str, *parts: Child) -> Markup:
    """A plot; ``label`` says in words what it shows."""
    return tag(
        "svg", *parts, viewBox=f"0 0 {width:g} {height:g}", width=f"{width:g}", height=f"{height:g}",
        role="img", aria_label=label,
    )  # fmt: skip
