"""The section that sets these clips beside a reference set: distances, neighbours, means, near-duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from equime.evaluation_framework.comparison import EmotionComparison, MetricDifference, SetComparison
from equime.evaluation_framework.near_duplicates import NearDuplicates
from equime.evaluation_framework.report import svg
from equime.evaluation_framework.report.contents import Report
from equime.evaluation_framework.report.listings import column_name
from equime.evaluation_framework.report.markup import Markup, join, tag
from equime.evaluation_framework.report.page import heads, table
from equime.evaluation_framework.report.words import NONE, interval, number, plural
from equime.evaluation_framework.set_distance import Distance, Neighbours
from equime.evaluation_framework.statistics import Estimate

DISTANCES: Final = (
    "Distances between the two sets as wholes, over features of facial motion in units of the reference's spread. "
    "Chance is what the same distance is when subjects are exchanged at random between the sets; a value within "
    "its range is no difference that these clips can show."
)
NEIGHBOURS: Final = (
    "Precision and density: how much of these clips lies where the reference lies. Recall and coverage: how much of "
    "the reference these clips reach."
)
MEANS: Final = (
    "Difference is these clips less the reference, with its interval by subject. Effect is the difference over the "
    "standard deviation of clips (Cohen's d); in the plot with its interval."
)

N_PAIRS: Final = 20
_N_EFFECTS: Final = 30


def section(report: Report) -> Markup:
    """Everything about the reference set, or how to get it."""
    found: SetComparison | None = report.evaluation.comparison
    if found is None:
        command = tag("code", "equime evaluate PATH --against OTHER")
        return tag("p", "No reference set was given; ", command, " compares with one.")
    sizes = (
        f"{plural(found.n_measured, 'clip')} of {plural(found.n_subjects_measured, 'subject')} against "
        f"{plural(found.n_reference, 'clip')} of {plural(found.n_subjects_reference, 'subject')} in "
    )
    warnings = (
        tag("ul", [tag("li", text) for text in found.warnings], class_="prose") if found.warnings else None
    )
    return join(
        tag("p", sizes, tag("code", report.evaluation.reference_path or "the reference set"), "."),
        warnings,
        _distances(found),
        _emotions(found),
        _means(found),
        _duplicates(report, found),
    )


def _table(
    label: str, first: str, numeric: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]
) -> Markup:
    """A table whose first column is a name and whose others are numbers."""
    body = [
        tag(
            "tr",
            tag("th", column_name(name), scope="row"),
            *(tag("td", cell, class_="num") for cell in cells),
        )
        for name, cells in rows
    ]
    return table(heads(first, *numeric, numeric=numeric), tag("tbody", body), label=label, class_="pinned")


def _distances(found: SetComparison) -> Markup:
    if not found.distances:
        return tag("p", "No distance could be computed.")
    numeric = ("Value", "95 % interval", "Chance, median", "Chance, 95 %", "p", "Clips", "Features")
    spatial = ("Precision", "Recall", "Density", "Coverage", "k")
    return join(
        tag("h3", "Distances"),
        tag("p", DISTANCES, class_="soft"),
        _table(
            "Distances",
            "Distance",
            numeric,
            ((name, distance_cells(d)) for name, d in found.distances.items()),
        ),
        tag("p", NEIGHBOURS, class_="soft"),
        _table(
            "Neighbours",
            "Features",
            spatial,
            ((name, neighbour_cells(n)) for name, n in found.neighbours.items()),
        ),
    )


def distance_cells(d: Distance) -> tuple[str, ...]:
    """A distance as cells: value, interval, chance, p, clips, features."""
    return (
        number(d.value), _interval(d.low, d.high), number(d.null_median), number(d.null_high),
        NONE if d.p_value is None else f"{d.p_value:.3f}", f"{d.n_measured} / {d.n_reference}", str(d.n_features),
    )  # fmt: skip


def neighbour_cells(found: Neighbours) -> tuple[str, ...]:
    """Precision, recall, density and coverage with intervals, and k."""
    four = (found.precision, found.recall, found.density, found.coverage)
    return (*(estimate_cell(e) for e in four), str(found.k))


def estimate_cell(e: Estimate) -> str:
    """A mean with its interval: 0.82 (0.71 to 0.90)."""
    shown = number(e.mean)
    return shown if e.low is None else f"{shown} ({interval(e)})"


def _interval(low: float | None, high: float | None) -> str:
    return NONE if low is None or high is None else f"{number(low)} to {number(high)}"


def _emotions(found: SetComparison) -> Markup | None:
    if not found.emotions:
        return None
    numeric = ("Clips", "Kernel distance", "95 % interval", "p", "Precision", "Coverage")
    rows = ((name, _emotion_cells(e)) for name, e in found.emotions.items())
    return join(tag("h3", "By emotion"), _table("Distances by emotion", "Emotion", numeric, rows))


def _emotion_cells(e: EmotionComparison) -> tuple[str, ...]:
    clips = f"{e.n_measured} / {e.n_reference}"
    if e.kernel_motion is None or e.neighbours_motion is None:
        return (clips, "too few clips", *[NONE] * 4)
    value, bounds, _, _, p, *_ = distance_cells(e.kernel_motion)
    shares = (number(e.neighbours_motion.precision.mean), number(e.neighbours_motion.coverage.mean))
    return (clips, value, bounds, p, *shares)


def _means(found: SetComparison) -> Markup | None:
    if not found.metrics:
        return None
    numeric = ("These clips", "Reference", "Difference", "95 % interval", "Effect")
    ranked = sorted((m for m in found.metrics if m.effect is not None), key=lambda m: -abs(m.effect or 0.0))
    points = [p for p in map(_effect, ranked[:_N_EFFECTS]) if p is not None]
    plot = svg.points(points, name="Effect of each metric", left=190.0, zero=True) if points else None
    caption = tag("figcaption", tag("strong", "Effect"), ", standard deviations, largest first")
    return join(
        tag("h3", "Means of both sets"),
        tag("p", MEANS, class_="soft"),
        tag("figure", caption, plot, class_="wide") if plot is not None else None,
        _table("Means of both sets", "Metric", numeric, ((m.metric, mean_cells(m)) for m in found.metrics)),
    )


def mean_cells(m: MetricDifference) -> tuple[str, ...]:
    """Both means, the difference with its interval, the effect."""
    d = m.difference
    means = (number(m.measured.mean), number(m.reference.mean), number(d.difference))
    return (*means, _interval(d.low, d.high), NONE if m.effect is None else f"{m.effect:.2f}")


def _effect(m: MetricDifference) -> svg.Point | None:
    d = m.difference
    if m.effect is None or not d.difference:
        return None
    scale = m.effect / d.difference
    low, high = (None if v is None else v * scale for v in (d.low, d.high))
    return svg.Point(m.metric, m.effect, low, high, "own")


def _duplicates(report: Report, found: SetComparison) -> Markup:
    clips = report.evaluation.clips
    file_of = dict(zip(clips["clip_id"], clips["file"], strict=True))
    parts = [tag("h3", "Near-duplicates")]
    for name, other, pairs in (
        ("within these clips", file_of, found.duplicates_measured),
        ("between the sets", {}, found.duplicates_between),
    ):
        parts.append(tag("p", duplicate_sentence(name, pairs)))
        if pairs is not None and pairs.pairs:
            rows = (
                (
                    str(file_of.get(p.clip_a, p.clip_a)),
                    (
                        str(other.get(p.clip_b, p.clip_b)),
                        p.subject_a or NONE,
                        p.subject_b or NONE,
                        str(p.distance_bits),
                    ),
                )
                for p in pairs.pairs[:N_PAIRS]
            )
            heads_of = ("Other clip", "Subject", "Other subject", "Differing bits")
            parts.append(_table(f"Near-duplicates {name}", "Clip", heads_of, rows))
    return join(parts)


def duplicate_sentence(name: str, found: NearDuplicates | None) -> str:
    """How many near-duplicates there are."""
    if found is None:
        return f"Near-duplicates {name} were not looked for: there are no picture hashes."
    if not found.n_clip_pairs:
        return f"Near-duplicates {name}: none (up to {found.max_bits} differing bits of 64)."
    return (
        f"Near-duplicates {name}: {plural(found.n_clip_pairs, 'pair')} of clips of different subjects "
        f"(up to {found.max_bits} differing bits of 64); the closest pair per pair of subjects:"
    )
