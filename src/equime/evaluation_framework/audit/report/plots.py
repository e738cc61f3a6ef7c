"""Plots of the audit: group means with intervals, histogram of skin tone, reliability diagram.

Groups are rows with names and counts, never colours alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from equime.evaluation_framework.audit.attributes import ITA_GROUPS
from equime.evaluation_framework.audit.records import Parity, Skin
from equime.evaluation_framework.audit.report.words import n_is
from equime.evaluation_framework.report import svg
from equime.evaluation_framework.report.markup import Markup, tag
from equime.evaluation_framework.report.words import number, plural, tick

ITA_EDGES_DEG: Final = (55.0, 41.0, 28.0, 10.0, -30.0)
"""Between the groups `ITA_GROUPS` (Chardon et al. 1991, Del Bino & Bernerd 2013)."""

STEP_DEG: Final = 5.0
"""Width of a bar of the histogram."""

_NAMES: Final = 120.0
_BAR: Final = 7.0
_SIDE: Final = 300.0


def parity(shown: Parity) -> Markup | None:
    """Mean of each group with its interval; None where no group has a mean."""
    points = [
        svg.Point(
            f"{r.group} ({n_is(r.estimate.n_subjects)})",
            r.estimate.value,
            r.estimate.low,
            r.estimate.high,
            "own",
        )
        for r in shown.rows
        if r.estimate.value is not None
    ]
    return svg.points(points, name=shown.outcome_title, left=_NAMES) if points else None


def ita_histogram(people: Sequence[Skin]) -> Markup | None:
    """People per 5 degrees of ITA, lightest on top, with the groups; None without a measured angle."""
    angles = [p.ita_deg for p in people if p.ita_deg is not None]
    if not angles:
        return None
    top = math.ceil((max(*angles, ITA_EDGES_DEG[0]) + 1e-9) / STEP_DEG) * STEP_DEG + STEP_DEG
    bottom = math.floor(min(*angles, ITA_EDGES_DEG[-1]) / STEP_DEG) * STEP_DEG - 2 * STEP_DEG
    n_rows = round((top - bottom) / STEP_DEG)
    counts = [0] * n_rows
    for angle in angles:
        counts[min(n_rows - 1, math.floor((top - angle) / STEP_DEG))] += 1
    x = svg.Scale([0.0, float(max(counts))], _NAMES + 34, svg.WIDTH - svg.RIGHT, 0.0)
    height = n_rows * _BAR

    def y(angle: float) -> float:
        return (top - angle) / STEP_DEG * _BAR

    parts: list[Markup] = list(svg.grid_lines(x, height))
    edges = (top, *ITA_EDGES_DEG, bottom)
    for name, upper, lower in zip(ITA_GROUPS, edges[:-1], edges[1:], strict=True):
        n = sum(lower < a <= upper for a in angles)
        middle = (y(upper) + y(lower)) / 2 + 4
        parts.append(tag("text", f"{name} ({n_is(n)})", x=_NAMES, y=middle, class_="name", text_anchor="end"))
    parts += [
        tag("rect", x=x(0), y=i * _BAR + 0.5, width=x(n) - x(0), height=_BAR - 1, class_="share")
        for i, n in enumerate(counts)
        if n
    ]
    for edge in ITA_EDGES_DEG:
        parts.append(tag("line", x1=x(0), x2=svg.WIDTH, y1=y(edge), y2=y(edge), class_="identity"))
        parts.append(
            tag(
                "text",
                f"{edge:g}°".replace("-", "−"),
                x=x(0) - 5,
                y=y(edge) + 4,
                class_="tick",
                text_anchor="end",
            )
        )
    label = f"Individual typology angle of {plural(len(angles), 'face')}: " + "; ".join(
        f"{name} {sum(lower < a <= upper for a in angles)}"
        for name, upper, lower in zip(ITA_GROUPS, edges[:-1], edges[1:], strict=True)
    )
    return svg.svg(svg.WIDTH, height + svg.AXIS, label, *parts)


def reliability(bins: Sequence[tuple[float, float, int]]) -> Markup:
    """Share correct against mean confidence, a ring per bin whose area grows with its clips."""
    x = svg.Scale([0.0, 1.0], 46, _SIDE - 8, 0.03)
    y = svg.Scale([0.0, 1.0], _SIDE - 40, 8, 0.03)
    most = max(n for _, _, n in bins)
    parts = [
        svg.frame(x, y, "mean confidence", "share correct"),
        tag("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="identity"),
    ]
    for confidence, correct, n in bins:
        tip = f"confidence {tick(confidence, 0.01)}, correct {tick(correct, 0.01)}, {plural(n, 'clip')}"
        radius = 2.5 + 6.5 * math.sqrt(n / most)
        parts.append(
            tag("circle", tag("title", tip), cx=x(confidence), cy=y(correct), r=radius, class_="dot")
        )
    label = "Share correct by mean confidence; the line is where they are equal: " + "; ".join(
        f"{number(c, 1.0)} at {number(m, 1.0)} (n {n})" for m, c, n in bins
    )
    return svg.svg(_SIDE, _SIDE, label, *parts)
