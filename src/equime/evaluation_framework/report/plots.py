"""Plots as SVG elements within the page: text stays text, colours follow the page, nothing is loaded.

Every plot is a string of a few kilobytes and depends on its numbers alone. Colour is never the only sign:
emotions are rows with names, true and measured differ in shape.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from equime.evaluation_framework.report.facts import Array, Distribution, Spread, spread
from equime.evaluation_framework.report.ground_truth import ONSET_MS, PHASES, TOTAL_MS, Timing
from equime.evaluation_framework.report.markup import Markup, tag
from equime.evaluation_framework.report.svg import AXIS, LEFT, RIGHT, WIDTH, Scale, frame, grid_lines, svg
from equime.evaluation_framework.report.words import number, plural

Rows: TypeAlias = NDArray[np.intp]
"""Which clips."""

_ROW: Final = 25.0
_SIDE: Final = 300.0
_LINKED: Final = 60
"""Up to so many clips, true and measured durations are joined by a line."""

_N_POINTS: Final = 400
"""Clips drawn in a scatter, evenly through the set."""


def strip_and_box(shown: Distribution) -> Markup:
    """Every clip as a dot, the box of its quartiles behind, one row per emotion."""
    name, unit = shown.metric.name, shown.metric.unit
    every = [v for s in shown.spreads for v in (*s.points, s.low, s.high)]
    x = Scale(every, LEFT, WIDTH - RIGHT)
    bottom = _ROW * len(shown.spreads)
    parts = [*grid_lines(x, bottom), *(_row(s, x, _ROW * (i + 0.5)) for i, s in enumerate(shown.spreads))]
    label = f"{name}{f' in {unit}' if unit not in ('', '1') else ''} by emotion: " + "; ".join(
        f"{s.name} median {number(s.median)} (quartiles {number(s.q1)} to {number(s.q3)}, n {s.n})"
        for s in shown.spreads
    )
    return svg(WIDTH, bottom + AXIS, label, *parts)


def _row(spread: Spread, x: Scale, y: float, left: float = LEFT) -> Markup:
    """Name, whiskers, box, median and dots of one emotion."""
    half = _ROW * 0.32
    box = max(x(spread.q3) - x(spread.q1), 1.0)
    tip = f"{spread.name}: n {spread.n}, median {number(spread.median)}"
    # Lines of no length with round ends: a dot costs a tenth of a circle's bytes.
    places = (f"M{x(v):.1f} {y + half * 0.8 * _jitter(i):.1f}h0" for i, v in enumerate(spread.points))
    return tag(
        "g",
        tag("title", tip),
        tag("text", spread.name, x=left - 8, y=y + 4, class_="name", text_anchor="end"),
        tag("line", x1=x(spread.low), x2=x(spread.high), y1=y, y2=y, class_="whisker"),
        tag("rect", x=x(spread.q1), y=y - half, width=box, height=2 * half, class_="box"),
        tag("path", d="".join(places), class_="dots"),
        tag("line", x1=x(spread.median), x2=x(spread.median), y1=y - half, y2=y + half, class_="median"),
    )


def _jitter(index: int) -> float:
    """Spreads dots over a row, -1 to 1, the same every time (golden ratio sequence)."""
    return float((index * 0.6180339887498949) % 1.0) * 2 - 1


def identity_scatters(timing: Timing) -> list[tuple[str, Markup]]:
    """(caption, plot) of measured against true time per phase, with the line where they are equal."""
    if timing.true_ms is None:
        return []
    found = []
    for i, phase in enumerate(PHASES):
        true, measured = timing.true_ms[:, i], timing.measured_ms[:, i]
        both = np.flatnonzero(np.isfinite(true) & np.isfinite(measured))
        if both.size:
            found.append((phase, _identity(timing, phase, true, measured, _thinned(both))))
    return found


def _identity(timing: Timing, phase: str, true: Array, measured: Array, rows: Rows) -> Markup:
    every = [*true[rows].tolist(), *measured[rows].tolist()]
    x, y = Scale(every, 46, _SIDE - 8), Scale(every, _SIDE - 40, 8)
    corners = {"x1": x(x.low), "y1": y(x.low), "x2": x(x.high), "y2": y(x.high)}
    dots = [
        tag(
            "circle",
            tag("title", f"{timing.files[i]}: true {true[i]:.0f} ms, measured {measured[i]:.0f} ms"),
            cx=x(true[i]), cy=y(measured[i]), r=3, class_="dot",
        )
        for i in rows
    ]  # fmt: skip
    label = f"Measured against true {phase} of {plural(len(rows), 'clip')}, in milliseconds; the line is where they are equal."
    parts = (frame(x, y, "true, ms", "measured, ms"), tag("line", **corners, class_="identity"), dots)
    return svg(_SIDE, _SIDE, label, *parts)


def errors(timing: Timing) -> Markup | None:
    """Measured minus true time, a dot per clip and the quartiles; the band is one frame either way."""
    if timing.true_ms is None:
        return None
    difference = timing.measured_ms - timing.true_ms
    spreads = [spread(phase, difference[:, i]) for i, phase in enumerate(PHASES)]
    found = [s for s in spreads if s is not None]
    if not found:
        return None
    frame_ms = timing.frame_ms or 0.0
    every = [v for s in found for v in s.points]
    x = Scale([*every, -frame_ms, frame_ms], 52, _SIDE - 8)
    bottom = 40.0 * len(found)
    band = tag("rect", x=x(-frame_ms), y=0, width=x(frame_ms) - x(-frame_ms), height=bottom, class_="band")
    parts = [band, *grid_lines(x, bottom), tag("line", x1=x(0), x2=x(0), y1=0, y2=bottom, class_="identity")]
    parts += [_row(s, x, 40.0 * (i + 0.5), left=52) for i, s in enumerate(found)]
    parts.append(
        tag(
            "text",
            "measured − true, ms",
            x=(52 + _SIDE) / 2,
            y=bottom + 32,
            class_="name",
            text_anchor="middle",
        )
    )
    label = "Measured minus true time in milliseconds: " + "; ".join(
        f"{s.name} median {number(s.median)} (quartiles {number(s.q1)} to {number(s.q3)}, n {s.n})"
        for s in found
    )
    return svg(_SIDE, bottom + 38, label, *parts)


def durations(timing: Timing) -> Markup | None:
    """Total duration against onset phase, with the limits of the micro-expression criterion."""
    measured = _phases(timing.measured_ms)
    true = None if timing.true_ms is None else _phases(timing.true_ms)
    rows = _thinned(np.flatnonzero(np.isfinite(measured).all(axis=1)))
    if not rows.size:
        return None
    drawn = [measured[rows], *([] if true is None else [true[rows]])]
    points = np.concatenate([d[np.isfinite(d).all(axis=1)] for d in drawn])
    x = Scale([0.0, ONSET_MS * 1.2, *points[:, 0].tolist()], 46, _SIDE - 8, 0.02)
    y = Scale([0.0, TOTAL_MS * 1.2, *points[:, 1].tolist()], _SIDE - 40, 8, 0.02)
    parts = [frame(x, y, "onset to apex, ms", "onset to offset, ms"), *_limits(x, y)]
    for i in rows:
        a = measured[i]
        if true is not None and np.isfinite(true[i]).all():
            b = true[i]
            if rows.size <= _LINKED:
                parts.append(tag("line", x1=x(b[0]), y1=y(b[1]), x2=x(a[0]), y2=y(a[1]), class_="link"))
            parts.append(tag("circle", cx=x(b[0]), cy=y(b[1]), r=3, class_="ring"))
        tip = f"{timing.files[i]}: onset phase {a[0]:.0f} ms, total {a[1]:.0f} ms"
        parts.append(tag("circle", tag("title", tip), cx=x(a[0]), cy=y(a[1]), r=3, class_="dot"))
    label = (
        f"Measured total duration against onset phase of {plural(len(rows), 'clip')}; lines at "
        f"{ONSET_MS:.0f} ms onset phase and {TOTAL_MS:.0f} ms total."
    )
    return svg(_SIDE, _SIDE, label, *parts)


def _thinned(rows: Rows) -> Rows:
    """At most `_N_POINTS` of the rows, evenly spaced."""
    if rows.size <= _N_POINTS:
        return rows
    thinned: Rows = rows[np.linspace(0, rows.size - 1, _N_POINTS).round().astype(int)]
    return thinned


def _limits(x: Scale, y: Scale) -> list[Markup]:
    """The limits of the criterion, and the corner outside of both."""
    shade = {
        "x": x(ONSET_MS),
        "y": y(y.high),
        "width": x(x.high) - x(ONSET_MS),
        "height": y(TOTAL_MS) - y(y.high),
    }
    return [
        tag("rect", **shade, class_="outside"),
        tag("line", x1=x(ONSET_MS), x2=x(ONSET_MS), y1=y(y.low), y2=y(y.high), class_="limit"),
        tag("line", x1=x(x.low), x2=x(x.high), y1=y(TOTAL_MS), y2=y(TOTAL_MS), class_="limit"),
    ]


def _phases(times_ms: Array) -> Array:
    """Onset phase and total duration, (n, 2)."""
    return np.stack([times_ms[:, 1] - times_ms[:, 0], times_ms[:, 2] - times_ms[:, 0]], axis=1)
