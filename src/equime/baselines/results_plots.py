"""Plots of an experiment as PNG: confusion, scores by seed, reliability, training loss by epoch."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from equime.baselines.results import FULL, ModelResult, Results, first_score
from equime.baselines.results_report import TITLES
from equime.records import write_atomic

if TYPE_CHECKING:
    from equime.baselines.protocols import Outcome

PLOTS: Final = "plots"

N_BINS: Final = 10
"""Bins of equal width of the reliability diagram."""

_DPI: Final = 110
_COLUMNS: Final = 4


def write_plots(results: Results, outcomes: Mapping[tuple[str, str], Outcome], out: Path) -> list[Path]:
    """Write ``plots/confusion.png``, ``scores.png``, ``reliability.png`` and ``learning.png``.

    None where no model was trained; the last one where any has a training loss.
    """
    done = [result for result in results.models if not result.error]
    if not done:
        return []
    figures = {
        "confusion": _confusions(results, done),
        "scores": _scores(results, done),
        "reliability": _reliabilities(done, outcomes),
    }
    if learned := [result for result in done if any(result.curves)]:
        figures["learning"] = _learning(learned)
    files = []
    for name, figure in figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
        files.append(out / PLOTS / f"{name}.png")
        write_atomic(files[-1], buffer.getvalue())
    return files


def _panels(n: int, size: float) -> tuple[Any, list[Any]]:
    """A figure with n panels, without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    columns = min(n, _COLUMNS)
    rows = -(-n // columns)
    figure = Figure(figsize=(max(size * columns, 4.5), size * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(n)]


def _title(result: ModelResult) -> str:
    model = result.model.rpartition(":")[2]
    return f"{result.arm}\n{model}" if result.arm else model


def _confusions(results: Results, done: Sequence[ModelResult]) -> Any:
    names = results.config.outputs
    figure, panels = _panels(len(done), 3.2)
    for panel, result in zip(panels, done, strict=True):
        counts = np.array(result.confusion, np.float64)
        if results.config.head == "aus":
            _bars(panel, names, [v or 0.0 for v in result.parts[0].f1_per_class.values()])
        else:
            _matrix(panel, names, counts)
        panel.set_title(_title(result), fontsize=9)
    return figure


def _matrix(panel: Any, names: Sequence[str], counts: Any) -> None:
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    panel.imshow(share, vmin=0, vmax=1, cmap="Blues")
    for i, j in np.ndindex(*share.shape):
        colour = "white" if share[i, j] > 0.6 else "black"
        panel.text(j, i, f"{share[i, j]:.2f}\n{counts[i, j]:.0f}", ha="center", va="center", color=colour, fontsize=7)  # fmt: skip
    panel.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=7)
    panel.set_yticks(range(len(names)), names, fontsize=7)
    panel.set_xlabel("predicted", fontsize=8)
    panel.set_ylabel("true", fontsize=8)


def _bars(panel: Any, names: Sequence[str], values: Sequence[float]) -> None:
    panel.bar(range(len(names)), values)
    panel.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    panel.set_ylim(0, 1)
    panel.set_ylabel("F1", fontsize=8)


def _scores(results: Results, done: Sequence[ModelResult]) -> Any:
    """The first score of every model with its interval, and of every seed."""
    name = first_score(results.config.head)
    figure, (panel,) = _panels(1, 4.5)
    figure.set_size_inches(7.0, 1.2 + 0.35 * len(done))
    for i, result in enumerate(done):
        part = next(p for p in result.parts if p.name == FULL)
        interval = part.scores[name]
        if interval.low is not None:
            panel.plot([interval.low, interval.high], [i, i], color="0.6", linewidth=4, solid_capstyle="butt")
        each = [v for v in part.by_seed[name] if v is not None]
        panel.plot(each, [i] * len(each), "o", color="tab:blue", markersize=3, alpha=0.6)
        if interval.value is not None:
            panel.plot([interval.value], [i], "D", color="black", markersize=5)
    panel.set_yticks(range(len(done)), [_title(r).replace("\n", ": ") for r in done], fontsize=8)
    panel.invert_yaxis()
    panel.set_xlim(0, 1)
    panel.set_xlabel(f"{TITLES[name]}, interval by subject, and every seed", fontsize=8)
    panel.grid(axis="x", alpha=0.3)
    return figure


def _learning(done: Sequence[ModelResult]) -> Any:
    """Training loss by epoch, a line per seed: whether it has come to rest, not how good it is."""
    figure, panels = _panels(len(done), 2.8)
    for panel, result in zip(panels, done, strict=True):
        for seed, curve in zip(result.seeds, result.curves, strict=True):
            panel.plot(range(1, len(curve) + 1), curve, linewidth=1, label=f"seed {seed}")
        panel.set_ylim(bottom=0)
        panel.set_title(_title(result), fontsize=9)
        panel.set_xlabel("epoch", fontsize=8)
        panel.set_ylabel("training loss, mean of the folds", fontsize=8)
        panel.tick_params(labelsize=7)
    return figure


def _reliabilities(done: Sequence[ModelResult], outcomes: Mapping[tuple[str, str], Outcome]) -> Any:
    figure, panels = _panels(len(done), 2.8)
    for panel, result in zip(panels, done, strict=True):
        bins = reliability(outcomes[result.arm, result.model])
        panel.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        sizes = [10 + 90 * n / max(b[2] for b in bins) for _, _, n in bins]
        panel.scatter([b[0] for b in bins], [b[1] for b in bins], s=sizes, alpha=0.7)
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1)
        panel.set_title(_title(result), fontsize=9)
        panel.set_xlabel("probability given", fontsize=8)
        panel.set_ylabel("share right", fontsize=8)
    return figure


def reliability(outcome: Outcome) -> list[tuple[float, float, int]]:
    """(mean probability, share right, number) per bin of the mean probabilities, lowest first; AUs pooled.

    Emotion: the probability of the predicted class and whether it is the true one. AUs: the probability of "present"
    and whether it is.
    """
    p = outcome.probabilities
    if outcome.head == "aus":
        known = outcome.truth >= 0
        sure, right = p[known], outcome.truth[known] == 1
    else:
        sure, right = p.max(1), p.argmax(1) == outcome.truth
    at = np.clip(np.ceil(sure * N_BINS) - 1, 0, N_BINS - 1).astype(int)
    return [
        (float(sure[at == b].mean()), float(right[at == b].mean()), int((at == b).sum()))
        for b in np.unique(at)
    ]
