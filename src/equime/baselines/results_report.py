"""``results.json`` and ``results.md``: every figure with its interval, what it rests on, and how to read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from equime.baselines.intervals import Interval
from equime.baselines.results import FULL, Difference, ModelResult, Part, Results, spread
from equime.baselines.scores import NAMES
from equime.coded import Finding
from equime.records import write_atomic
from equime.seeding import canonical_json

JSON: Final = "results.json"
MARKDOWN: Final = "results.md"

TITLES: Final = {
    "uf1": "UF1",
    "uar": "UAR",
    "accuracy": "accuracy",
    "f1": "AU-F1",
    "f1_macro": "AU-F1 macro",
}


def write_report(results: Results, out: Path) -> None:
    """Write both files. Raises WorkError where the disk refuses."""
    write_atomic(out / JSON, msgspec.json.format(canonical_json(results), indent=1) + b"\n")
    write_atomic(out / MARKDOWN, markdown(results).encode())


def read_results(out: Path) -> Results:
    """What `write_report` wrote."""
    return msgspec.json.decode((out / JSON).read_bytes(), type=Results)


def markdown(results: Results) -> str:
    """The report as Markdown."""
    config = results.config
    lines = [f"# {config.title}", "", *([config.description.strip(), ""] if config.description else [])]
    lines += _data(results)
    for arm in config.arms:
        done = [r for r in results.models if r.arm == arm.name and not r.error]
        lines += [f"## {arm.name or 'Results'}", "", *_scores(results, done), *_by_set(results, done)]
        lines += _per_class(results, done)
    lines += _differences(results)
    lines += ["## How to read this", "", *(f"* {sentence}" for sentence in results.reading), ""]
    lines += _models(results)
    lines += _failed(results)
    lines += _findings(results)
    return "\n".join(lines).rstrip() + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    body = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    if not body:
        return []
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body, ""]


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def figure(value: float | None) -> str:
    """Three decimals without the leading zero, as the field writes scores."""
    if value is None:
        return "–"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def with_interval(interval: Interval) -> str:
    """A figure and its interval."""
    if interval.low is None or interval.high is None:
        return figure(interval.value)
    return f"{figure(interval.value)} [{figure(interval.low)}, {figure(interval.high)}]"


def _data(results: Results) -> list[str]:
    rows = [
        (d.role, d.corpus, "synthetic" if d.synthetic else "real", d.n_used, d.n - d.n_used, d.n_subjects, d.licence)
        for d in results.data
    ]  # fmt: skip
    head = ("role", "corpus", "kind", "clips with a class", "without one", "people", "licence")
    return ["## Data", "", *_table(head, rows)]


def _scores(results: Results, done: Sequence[ModelResult]) -> list[str]:
    names = NAMES[results.config.head]
    head = ("model", "clips", "people", *(TITLES[n] for n in names), "seeds", f"spread of {TITLES[names[0]]}")
    rows = [_row(result.model, _full(result), names, len(result.seeds)) for result in done]
    return _table(head, rows)


def _full(result: ModelResult) -> Part:
    return next(part for part in result.parts if part.name == FULL)


def _row(first: str, part: Part, names: Sequence[str], n_seeds: int) -> tuple[object, ...]:
    figures = (with_interval(part.scores[n]) for n in names)
    return (first, part.n, part.n_subjects, *figures, n_seeds, figure(spread(part, names[0])))


def _by_set(results: Results, done: Sequence[ModelResult]) -> list[str]:
    names = NAMES[results.config.head]
    rows = [
        (result.model, *_row(part.name, part, names, len(result.seeds))[:-2])
        for result in done
        for part in result.parts
        if part.name != FULL
    ]
    head = ("model", "data set", "clips", "people", *(TITLES[n] for n in names))
    lines = _table(head, rows)
    if results.config.head == "aus" and rows:
        lines += _mean_over_sets(done, names)
    return lines


def _mean_over_sets(done: Sequence[ModelResult], names: Sequence[str]) -> list[str]:
    """MEB gives both: mean over AUs of pooled predictions (the first table), and mean over the sets' means."""
    rows = []
    for result in done:
        sets = [part for part in result.parts if part.name != FULL]
        values = [[part.scores[n].value for part in sets] for n in names]
        rows.append((result.model, *(figure(_mean(v)) for v in values)))
    return ["Mean over the data sets:", "", *_table(("model", *(TITLES[n] for n in names)), rows)]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _per_class(results: Results, done: Sequence[ModelResult]) -> list[str]:
    if not done:
        return []
    counts = _full(done[0]).n_per_class
    head = ("F1 of each", *(f"{name} ({n})" for name, n in counts.items()))
    rows = [(r.model, *(figure(v) for v in _full(r).f1_per_class.values())) for r in done]
    return _table(head, rows)


def _differences(results: Results) -> list[str]:
    names = NAMES[results.config.head]
    reference = next(iter(results.config.models))
    rows = [
        (_called(d.first, d), _called(d.second, d), *(with_interval(d.scores[n]) for n in names))
        for d in results.differences
        if d.second[1] == reference or d.first[1] == d.second[1]
    ]
    if not rows:
        return []
    return [
        "## Differences",
        "",
        f"First less second, the same people resampled for both: each model less {reference}, and arms of one model. "
        f"An interval that holds 0 decides nothing. The other pairs of models are in {JSON}.",
        "",
        *_table(("first", "second", *(TITLES[n] for n in names)), rows),
    ]


def _called(which: tuple[str, str], difference: Difference) -> str:
    """Model, with its arm where the two differ in it."""
    return which[1] if difference.first[0] == difference.second[0] == "" else f"{which[0]}: {which[1]}"


def _models(results: Results) -> list[str]:
    lines = ["## Models", ""]
    shown: set[str] = set()
    for result in results.models:
        if result.error or result.model in shown:
            continue
        shown.add(result.model)
        said = f"* **{result.model}**: {result.title} ({result.source})."
        said += f" {result.n_parameters:,} parameters as published." if result.n_parameters else ""
        said += f" Differs: {result.differs}." if result.differs else ""
        said += f" Options: {_options(result.options)}." if result.options else ""
        lines.append(said)
    for result in results.models:
        if result.chosen:
            picks = "; ".join(f"{choice} ({n})" for choice, n in result.chosen.items())
            lines.append(
                f"* Selected for {result.model}{f' in {result.arm}' if result.arm else ''}: {picks}."
            )
    return [*lines, ""] if len(lines) > 2 else []


def _options(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in sorted(options.items()))


def _failed(results: Results) -> list[str]:
    rows = [(r.arm, r.model, r.error) for r in results.models if r.error]
    return ["## Not done", "", *_table(("arm", "model", "why"), rows)] if rows else []


def _findings(results: Results) -> list[str]:
    found = [(finding, "") for finding in results.findings]
    found += [(f, f"{r.arm}: {r.model}" if r.arm else r.model) for r in results.models for f in r.findings]
    merged: dict[tuple[str, str, int], list[str]] = {}
    for finding, model in found:
        merged.setdefault((finding.code, finding.message, finding.n), []).append(model)
    lines = [_finding(key, [m for m in models if m]) for key, models in merged.items()]
    return ["## Findings", "", *lines, ""] if lines else []


def _finding(key: tuple[str, str, int], models: Sequence[str]) -> str:
    code, message, n = key
    of = f" ({', '.join(models)})" if models else ""
    return f"* {code}{f' ({n})' if n else ''}: {message}{of}"


def findings_of(results: Results) -> list[Finding]:
    """All findings, of the data and of the models, each once."""
    every = [*results.findings, *(f for r in results.models for f in r.findings)]
    return list({(f.code, f.message): f for f in every}.values())
