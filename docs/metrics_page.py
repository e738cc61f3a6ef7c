"""The reference page of metrics, read from the annotators themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from equime import registry
from equime.annotation.annotators import Annotator, Metric
from equime.annotation.suites import EVALUATION

MANY = 60
"""Annotators with more columns than this are described by their groups of columns."""

Table = Callable[[Sequence[str], Iterable[Sequence[object]]], str]


def metrics_page(table: Table) -> str:
    """Every annotator with its columns: unit, range, direction, meaning, source."""
    parts = [
        "# Metrics",
        "What `equime evaluate` measures. Every annotator writes `tables/<annotator>.parquet`, one row per clip "
        "keyed by `clip_id`; unit, direction and meaning are also in the metadata of each Parquet field. "
        "A cell without a value is empty: the metric does not apply to that clip. Columns marked *per frame* are "
        "also in `tables/<annotator>_frames.parquet` after `--per-frame`.",
    ]
    parts += [_annotator(registry.lookup("annotator", name)(), table) for name in registry.ANNOTATORS]
    parts += [
        "# Attributes",
        "What `equime attributes` extracts, in tables of the same kind. *Estimated* is what a model reads from a "
        "picture, *measured* is what its pixels show.",
    ]
    parts += [_annotator(registry.lookup("annotator", name)(), table) for name in registry.ATTRIBUTES]
    return "\n\n".join(parts)


def _annotator(annotator: Annotator, table: Table) -> str:
    needs = [f"package `{name}`" for name in annotator.packages]
    needs += [f"weights `{name}`" for name in annotator.weights]
    about = [f"Needs {', '.join(needs)}."] if needs else []
    if annotator.name in EVALUATION.on_request:
        about.append(f"Runs only when asked for: `--metrics {annotator.name}`.")
    shown = _grouped(annotator.metrics)
    rows = [
        (
            f"`{label}`",
            m.unit or m.type,
            _range(m),
            m.direction,
            "yes" if m.per_frame else "",
            m.meaning,
            m.reference,
        )
        for label, m in shown
    ]
    head = ("column", "unit", "range", "better", "per frame", "meaning", "source")
    return "\n\n".join([f"## {annotator.name}", *about, table(head, rows).rstrip("\n")])


def _grouped(metrics: Sequence[Metric]) -> list[tuple[str, Metric]]:
    """All columns, or one line per run of columns with the same first words where there are very many."""
    if len(metrics) <= MANY:
        return [(m.name, m) for m in metrics]
    groups: dict[str, list[Metric]] = {}
    for metric in metrics:
        groups.setdefault("_".join(metric.name.split("_")[:2]), []).append(metric)
    return [
        (some[0].name if len(some) == 1 else f"{some[0].name} ... {some[-1].name} ({len(some)})", some[0])
        for some in groups.values()
    ]


def _range(metric: Metric) -> str:
    if metric.low is None and metric.high is None:
        return ""
    low, high = (("" if bound is None else f"{bound:g}") for bound in (metric.low, metric.high))
    return f"{low} to {high}" if high else f"{low} and more"
