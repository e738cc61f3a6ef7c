"""Contact sheets: what a data set looks like, on one picture.

Per clip: the onset frame, the apex frame, their difference four times amplified (grey is no change), and the
exact AU curves around the micro-expression, over a strip of the whole clip with its blinks. Drawn from a
Dataset on disk alone: records, video files and metadata JSON.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.action_units import EMOTIONS, LETTERS, format_code, get
from equime.dataset import ClipView, Dataset
from equime.errors import InputError
from equime.records import aside
from equime.types import ClipSpec
from equime.video import read_frames_at

GAIN: Final = 4.0
"""Amplification of the difference picture."""

BLINK_AU: Final = 45
MARGIN_MS: Final = 150.0
"""Shown before onset and after offset."""

_DPI: Final = 110
_IMAGE: Final = 2.0  # side of a picture, inches
_PLOT: Final = 3.3  # width of the curves, inches
_GAP: Final = 0.08
_HEAD: Final = 0.7  # title and column names above the pictures of a clip
_EDGE: Final = 0.25
_TITLE: Final = 0.7
_COLOURS: Final = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")
_BLINK_COLOUR: Final = "#8c99a6"
_INK: Final = "#222222"
_FAINT: Final = "#777777"


@dataclass(frozen=True)
class _Panel:
    """Where one clip is drawn: the figure and the lower left corner of its pictures, inches."""

    figure: Any
    x: float
    y: float

    def axes(self, left: float, bottom: float, width: float, height: float) -> Any:
        """Axes at a place relative to the panel's corner, inches."""
        w, h = self.figure.get_size_inches()
        return self.figure.add_axes(((self.x + left) / w, (self.y + bottom) / h, width / w, height / h))

    def text(self, left: float, bottom: float, text: str, **style: Any) -> None:
        """Text at such a place."""
        w, h = self.figure.get_size_inches()
        self.figure.text((self.x + left) / w, (self.y + bottom) / h, text, **style)


def contact_sheet(
    dataset: Dataset | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    n_clips: int = 12,
    n_columns: int | None = None,
) -> list[str]:
    """Draw a contact sheet as PNG; the same data set gives the same picture.

    Args:
        dataset: opened, or its directory.
        output: the PNG file, written whole or not at all.
        n_clips: at most so many clips, spread over the emotions and the faces.
        n_columns: clips side by side; 1 below five clips and 2 otherwise where None.

    Returns:
        Files of the clips shown, in the order of the sheet.

    Raises:
        InputError: no data set, none of its clips is finished, or ``n_clips`` or ``n_columns`` below 1.
        WorkError: a broken clip, or a disk that refuses.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    if n_clips < 1 or (n_columns is not None and n_columns < 1):
        raise InputError(f"n_clips {n_clips} and n_columns {n_columns} must be at least 1")
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(Path(dataset))
    views = choose(data, n_clips)
    if not views:
        raise InputError(f"{data.root}: holds no finished clip; run `equime generate` first")
    columns = min(n_columns or (1 if len(views) < 5 else 2), len(views))
    rows = -(-len(views) // columns)
    width = 3 * _IMAGE + 3 * _GAP + _PLOT
    cell_width, cell_height = width + 2 * _EDGE, _IMAGE + _HEAD + _EDGE
    size = (columns * cell_width, rows * cell_height + _TITLE)
    figure = Figure(figsize=size, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    _heading(figure, data, len(views))
    for i, view in enumerate(views):
        row, column = divmod(i, columns)
        y = size[1] - _TITLE - (row + 1) * cell_height + _EDGE
        _draw_clip(_Panel(figure, column * cell_width + _EDGE, y), view)
    with aside(Path(output)) as partial:
        figure.savefig(partial, format="png", metadata={"Software": None})
    return [view.clip.file for view in views]


def choose(views: Iterable[ClipView], n_clips: int) -> list[ClipView]:
    """Clips that show the breadth of a data set: emotions in turn, and of each the least used face.

    Keeps at most ``n_clips`` candidates per emotion, so that memory does not grow with the data set.
    """
    candidates: dict[str, dict[str, ClipView]] = defaultdict(dict)
    spare: dict[str, list[ClipView]] = defaultdict(list)
    for view in views:
        of_emotion = candidates[view.spec.emotion]
        if len(of_emotion) < n_clips and view.face.face_id not in of_emotion:
            of_emotion[view.face.face_id] = view
        elif len(spare[view.spec.emotion]) < n_clips:
            spare[view.spec.emotion].append(view)
    emotions = sorted(candidates, key=lambda e: (EMOTIONS.index(e) if e in EMOTIONS else len(EMOTIONS), e))
    queues = {emotion: [*candidates[emotion].values(), *spare[emotion]] for emotion in emotions}
    used: Counter[str] = Counter()
    chosen: list[ClipView] = []
    while len(chosen) < n_clips and any(queues.values()):
        for emotion in emotions:
            if queues[emotion] and len(chosen) < n_clips:
                view = min(queues[emotion], key=lambda v: used[v.face.face_id])
                queues[emotion].remove(view)
                used[view.face.face_id] += 1
                chosen.append(view)
    return sorted(chosen, key=lambda v: emotions.index(v.spec.emotion))


def difference(onset: NDArray[np.uint8], apex: NDArray[np.uint8], gain: float = GAIN) -> NDArray[np.uint8]:
    """Signed difference ``128 + gain * (apex - onset)``, clipped to 0..255; grey where nothing changed."""
    change = apex.astype(np.float32) - onset.astype(np.float32)
    amplified: NDArray[np.float32] = np.clip(np.rint(128 + gain * change), 0, 255)
    return amplified.astype(np.uint8)


def _heading(figure: Any, data: Dataset, n_shown: int) -> None:
    height = figure.get_size_inches()[1]
    text = f"{data.root.resolve().name}   {n_shown} of {len(data)} clips   synthetic"
    panel = _Panel(figure, _EDGE, height - _TITLE)
    panel.text(0, 0.3, text, fontsize=14, color=_INK, weight="bold")
    note = f"Left and right are the subject's.  Difference: grey is no change, {GAIN:g}x amplified."
    panel.text(0, 0.06, note, fontsize=9.5, color=_FAINT)


def _draw_clip(panel: _Panel, view: ClipView) -> None:
    metadata = view.metadata()
    curves = metadata["au_curves"]
    first, second = _frames_shown(view, curves)
    before, after = read_frames_at(view.path, (first, second))
    _title(panel, view)
    names = ("onset", "apex") if view.clip.timing else ("first frame", _second_name(curves))
    pictures = (
        (f"{names[0]}, frame {first}", before),
        (f"{names[1]}, frame {second}", after),
        (f"difference x {GAIN:g}", difference(before, after)),
    )
    for i, (name, picture) in enumerate(pictures):
        left = i * (_IMAGE + _GAP)
        panel.text(left, _IMAGE + 0.06, name, fontsize=8.5, color=_FAINT)
        axes = panel.axes(left, 0, _IMAGE, _IMAGE)
        axes.imshow(picture, interpolation="antialiased")
        axes.set_axis_off()
    left = 3 * (_IMAGE + _GAP) + 0.32
    _draw_curves(panel.axes(left, 0.62, _PLOT - 0.32, _IMAGE - 0.62), view, curves)
    _draw_strip(panel.axes(left, 0.0, _PLOT - 0.32, 0.14), view, curves)


def _frames_shown(view: ClipView, curves: list[dict[str, Any]]) -> tuple[int, int]:
    """Onset and apex; of a neutral clip the first frame and the most closed lids, or the middle."""
    timing = view.clip.timing
    if timing is not None:
        return timing.onset_frame, timing.apex_frame
    blinks = [curve for curve in curves if curve["au"] == BLINK_AU]
    if not blinks:
        return 0, view.clip.n_frames // 2
    return 0, blinks[0]["first_frame"] + int(np.argmax(blinks[0]["left"]))


def _second_name(curves: list[dict[str, Any]]) -> str:
    return "blink" if any(curve["au"] == BLINK_AU for curve in curves) else "middle"


def _title(panel: _Panel, view: ClipView) -> None:
    codes = " + ".join(format_code(peak.au, peak.left, peak.right) for peak in view.described.aus)
    y = _IMAGE + 0.4
    panel.text(0, y, view.spec.emotion, fontsize=12, color=_INK, weight="bold")
    if view.clip.labels == "measured":
        codes = f"{codes or 'no movement'} (measured)"
    panel.text(1.15, y, codes or "no micro-expression", fontsize=11, color=_INK)
    right = 3 * (_IMAGE + _GAP) + _PLOT
    subject = f"{Path(view.clip.file).stem}   subject {view.spec.subject_id}"
    panel.text(right, y, subject, fontsize=9, color=_FAINT, ha="right")


def _draw_curves(axes: Any, view: ClipView, curves: list[dict[str, Any]]) -> None:
    """Intensity over time: around the micro-expression, or the whole of a neutral clip."""
    phases = view.described.phases
    start, stop = 0.0, view.clip.duration_ms
    if phases is not None:
        start, stop = max(0.0, phases.onset_ms - MARGIN_MS), min(stop, phases.offset_ms + MARGIN_MS)
    for i, au in enumerate(sorted({curve["au"] for curve in curves}, key=lambda au: (au == BLINK_AU, au))):
        colour = _BLINK_COLOUR if au == BLINK_AU else _COLOURS[i % len(_COLOURS)]
        _draw_au(axes, view, [c for c in curves if c["au"] == au], colour, (start, stop))
    if phases is not None:
        _mark_phases(axes, (phases.onset_ms, phases.apex_ms, phases.offset_ms))
    if view.clip.labels == "measured":
        _draw_measured(axes, view.described)
    axes.set_xlim(start, stop)
    axes.set_ylim(0, 5.3)
    axes.set_yticks(range(1, 6), list(LETTERS))
    axes.tick_params(labelsize=8, colors=_FAINT, length=2, pad=2)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color("#bbbbbb")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper right", fontsize=7.5, frameon=False, handlelength=1.4, labelspacing=0.2)


def _draw_measured(axes: Any, shown: ClipSpec) -> None:
    """Intensities as measured at the apex: dots, as nobody knows the curves between."""
    if shown.phases is None:
        return
    for i, peak in enumerate(shown.aus):
        colour, value = _COLOURS[i % len(_COLOURS)], max(peak.left, peak.right)
        axes.plot([shown.phases.apex_ms], [value], "o", color=colour, ms=4, label=f"AU {peak.au} at apex")


def _draw_au(
    axes: Any, view: ClipView, segments: list[dict[str, Any]], colour: str, shown_ms: tuple[float, float]
) -> None:
    """One AU: a line per side that moves, both as one where they agree."""
    sides = {side: np.zeros(view.clip.n_frames) for side in ("left", "right")}
    for segment in segments:
        frames = slice(segment["first_frame"], segment["first_frame"] + len(segment["left"]))
        for side, values in sides.items():
            values[frames] = segment[side]
    time_ms = np.arange(view.clip.n_frames) * 1000 / view.clip.fps
    step = 1000 / view.clip.fps
    inside = (time_ms >= shown_ms[0] - step) & (time_ms <= shown_ms[1] + step)
    number = segments[0]["au"]
    same = np.array_equal(sides["left"], sides["right"])
    for side, style in (("left", "-"),) if same else (("left", "-"), ("right", "--")):
        values = sides[side][inside]
        if values.any():
            label = f"AU{number}" if same or not get(number).sided else f"AU{number} {side}"
            marker = "." if inside.sum() < 40 else ""
            axes.plot(
                time_ms[inside],
                values,
                style,
                color=colour,
                label=label,
                linewidth=1.5,
                marker=marker,
                ms=3.5,
            )


def _mark_phases(axes: Any, at_ms: tuple[float, float, float]) -> None:
    axes.axvspan(at_ms[0], at_ms[2], color="#f3f0e6", zorder=0, linewidth=0)
    for name, x in zip(("onset", "apex", "offset"), at_ms, strict=True):
        axes.axvline(x, color="#999999", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"{name}\n{x:.0f} ms", (x, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2),
            textcoords="offset points", ha="center", va="bottom", fontsize=7.5, color=_INK, linespacing=0.95,
        )  # fmt: skip


def _draw_strip(axes: Any, view: ClipView, curves: list[dict[str, Any]]) -> None:
    """The whole clip as a bar: the micro-expression and the blinks in it."""
    duration = view.clip.duration_ms
    axes.set_facecolor("#eeeeee")
    phases = view.described.phases
    if phases is not None:
        axes.axvspan(phases.onset_ms, phases.offset_ms, color="#d95f02", linewidth=0)
    for curve in curves:
        if curve["au"] == BLINK_AU:
            first, n = curve["first_frame"], len(curve["left"])
            at_ms = (first * 1000 / view.clip.fps, (first + n) * 1000 / view.clip.fps)
            axes.axvspan(*at_ms, ymax=0.5, color=_BLINK_COLOUR, linewidth=0)
    axes.set_xlim(0, duration)
    axes.set_yticks([])
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    label = f"whole clip, {duration / 1000:g} s: " + ("movement orange, " if phases else "") + "blinks grey"
    axes.set_title(label, fontsize=7.5, color=_FAINT, pad=2, loc="left")
