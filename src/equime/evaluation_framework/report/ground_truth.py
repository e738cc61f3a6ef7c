"""Facts of the two checks against what was commanded: when the face moved, and which Action Units did."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from equime.evaluation_framework.evaluation import Evaluation
from equime.evaluation_framework.report.facts import Array, emotions, estimate_of, has, numbers
from equime.evaluation_framework.statistics import Estimate

if TYPE_CHECKING:
    import pandas as pd

PHASES: Final = ("onset", "apex", "offset")
TOTAL_MS: Final = 500.0
"""Longest total of a micro-expression (Yan et al. 2013)."""
ONSET_MS: Final = 250.0
"""Longest onset phase; meeting either limit is enough (the criterion that holds for 97 to 100 % of the coded
clips of CASME II, SAMM, SMIC and DFME)."""

_COLUMN: Final = re.compile(r"^commanded_au(\d+)$")


@dataclass(frozen=True)
class TimingError:
    """Measured minus true time of one phase.

    Attributes:
        phase: onset, apex or offset.
        bias_ms: mean of measured - true.
        absolute_ms: mean of its absolute value.
        median_ms: of the absolute value.
        within_frame: clips at most one frame off; None where no frame rate is known.
    """

    phase: str
    bias_ms: Estimate
    absolute_ms: Estimate
    median_ms: float
    within_frame: int | None


@dataclass(frozen=True)
class Timing:
    """Onset, apex and offset of every clip.

    Attributes:
        files, emotions: of the clips, (n).
        true_ms, measured_ms: (n, 3) in the order of `PHASES`; NaN where there is none. ``true_ms`` is None
            where nothing is known of the true times.
        errors: per phase; empty where nothing is known of the true times.
        frame_ms: length of a frame where all clips agree, else None.
    """

    files: tuple[str, ...]
    emotions: tuple[str, ...]
    true_ms: Array | None
    measured_ms: Array
    errors: tuple[TimingError, ...]
    frame_ms: float | None


@dataclass(frozen=True)
class AuRow:
    """Clips in which one Action Unit was commanded.

    Attributes:
        au: FACS number.
        n: clips.
        commanded: mean commanded intensity.
        measured: mean measured intensity per column of the table. The AU's own column counts all n clips;
            any other only those in which its AU was not commanded, and is None where it always was.
    """

    au: int
    n: int
    commanded: float
    measured: tuple[float | None, ...]


@dataclass(frozen=True)
class AuTable:
    """Commanded by measured; columns are ``aus``, as are the rows."""

    aus: tuple[int, ...]
    rows: tuple[AuRow, ...]


def timing(evaluation: Evaluation) -> Timing | None:
    """Times of the clips in which movement was measured; None where no timing was measured."""
    clips = evaluation.clips
    names = [f"measured_{phase}_ms" for phase in PHASES]
    if not has(clips, *names):
        return None
    measured = np.stack([numbers(clips, name) for name in names], axis=1)
    known = [f"intended_{phase}_ms" for phase in PHASES]
    true = np.stack([numbers(clips, name) for name in known], axis=1) if has(clips, *known) else None
    frame_ms = 1000 / numbers(clips, "fps") if has(clips, "fps") else np.full(len(clips), np.nan)
    errors = () if true is None else tuple(
        _error(clips, phase, measured[:, i] - true[:, i], frame_ms) for i, phase in enumerate(PHASES)
    )  # fmt: skip
    found = frame_ms[np.isfinite(frame_ms)]
    same = bool(found.size) and float(np.ptp(found)) < 1e-6
    return Timing(
        files=tuple(map(str, clips["file"])),
        emotions=tuple(emotions(clips)),
        true_ms=true,
        measured_ms=measured,
        errors=errors,
        frame_ms=float(found[0]) if same else None,
    )


def _error(clips: pd.DataFrame, phase: str, error_ms: Array, frame_ms: Array) -> TimingError:
    both = np.isfinite(error_ms) & np.isfinite(frame_ms)
    absolute = np.abs(error_ms)
    found = absolute[np.isfinite(absolute)]
    return TimingError(
        phase=phase,
        bias_ms=estimate_of(clips, error_ms),
        absolute_ms=estimate_of(clips, absolute),
        median_ms=float(np.median(found)) if found.size else float("nan"),
        within_frame=int((absolute[both] <= frame_ms[both] + 1e-6).sum()) if both.any() else None,
    )


def au_table(evaluation: Evaluation) -> AuTable | None:
    """Mean measured intensity by commanded Action Unit; None where AUs were not measured.

    AUs are commanded together (4 with 7, say). A measured AU 7 is then no leak of AU 4, so a cell off the
    diagonal counts only clips in which its column was not commanded.
    """
    clips = evaluation.clips
    matches = (_COLUMN.match(str(column)) for column in clips.columns)
    aus = sorted(int(m[1]) for m in matches if m and f"measured_au{m[1]}" in clips)
    columns = {f"{au:02d}" if f"commanded_au{au:02d}" in clips else str(au): au for au in aus}
    commanded = {au: np.nan_to_num(numbers(clips, f"commanded_au{code}")) for code, au in columns.items()}
    measured = {au: numbers(clips, f"measured_au{code}") for code, au in columns.items()}
    looked = {au: np.isfinite(values) for au, values in measured.items()}
    shown = [au for au in aus if (commanded[au] > 0)[looked[au]].any()]
    if not shown:
        return None
    rows = []
    for au in shown:
        here = (commanded[au] > 0) & looked[au]
        cells = []
        for other in shown:
            chosen = here & looked[other] & ((commanded[other] == 0) | (other == au))
            cells.append(float(measured[other][chosen].mean()) if chosen.any() else None)
        rows.append(AuRow(au, int(here.sum()), float(commanded[au][here].mean()), tuple(cells)))
    return AuTable(tuple(shown), tuple(rows))
