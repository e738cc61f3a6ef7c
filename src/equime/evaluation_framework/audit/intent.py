"""What the causal model drew for a clip, as the outcomes of an audit.

By construction none of it depends on whose face the clip shows; that is what the audit tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from equime.action_units import ACTION_UNITS
from equime.evaluation_framework.audit.data import Outcome
from equime.types import ClipSpec

RARE: Final = "other"
"""Level that holds AU sets of fewer than `MIN_CLIPS` clips."""

MIN_CLIPS: Final = 5
"""An AU, or an AU set, of fewer clips has no test of its own."""

OUTCOMES: Final = (
    Outcome("emotion", "emotion", "groups"),
    Outcome("au_set", "set of AUs", "groups"),
    Outcome("laterality", "side of the movement", "groups"),
    Outcome("intensity_max", "largest intensity (0 to 5)", "number"),
    Outcome("onset_ms", "onset", "number", "ms"),
    Outcome("onset_to_apex_ms", "onset to apex", "number", "ms"),
    Outcome("apex_to_offset_ms", "apex to offset", "number", "ms"),
    Outcome("intended_n_blinks", "number of blinks", "number"),
    Outcome("n_gaze_shifts", "number of gaze shifts", "number"),
    Outcome("head_turn_deg", "amplitude of head turns", "number", "deg"),
    Outcome("head_shift_mm", "amplitude of head shifts", "number", "mm"),
    Outcome("light_amplitude", "amplitude of the light's drift", "number"),
    Outcome("sensor_noise_sigma", "sensor noise", "number", "grey levels"),
)


def intent_row(spec: ClipSpec) -> dict[str, Any]:
    """A cell per outcome of `OUTCOMES` but emotion, and one per AU (``au12``); None where it does not apply."""
    phases, aus = spec.phases, spec.aus
    head = [(wave.axis, wave.amplitude) for wave in spec.head]
    row: dict[str, Any] = {
        "au_set": "+".join(str(peak.au) for peak in sorted(aus, key=lambda p: p.au)) or None,
        "laterality": _laterality(spec),
        "intensity_max": max((max(peak.left, peak.right) for peak in aus), default=None),
        "onset_ms": None if phases is None else phases.onset_ms,
        "onset_to_apex_ms": None if phases is None else phases.apex_ms - phases.onset_ms,
        "apex_to_offset_ms": None if phases is None else phases.offset_ms - phases.apex_ms,
        "intended_n_blinks": len(spec.blinks),
        "n_gaze_shifts": len(spec.gaze),
        "head_turn_deg": max((abs(a) for axis, a in head if axis.endswith("_deg")), default=0.0),
        "head_shift_mm": max((abs(a) for axis, a in head if axis.endswith("_mm")), default=0.0),
        "light_amplitude": spec.camera.light_amplitude,
        "sensor_noise_sigma": spec.camera.noise_sigma,
    }
    return row | {_column(peak.au): True for peak in aus}


def _laterality(spec: ClipSpec) -> str | None:
    """Sides that the sided AUs of a clip show; None where it has none."""
    sides = set()
    for peak in spec.aus:
        if ACTION_UNITS[peak.au].sided:
            sides |= {name for name, value in (("left", peak.left), ("right", peak.right)) if value > 0}
    return None if not sides else "both" if len(sides) == 2 else sides.pop()


def finished(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], tuple[Outcome, ...]]:
    """Rows with rare AU sets brought together and a flag for every AU, and the outcomes that they hold.

    An AU is False in every clip that shows another one, and None in neutral clips: whether a clip is neutral is
    a matter of its emotion.
    """
    sets = Counter(row["au_set"] for row in rows if row["au_set"] is not None)
    columns = Counter(name for row in rows for name in row if name.startswith("au") and name[2:].isdigit())
    aus = sorted((name for name, n in columns.items() if n >= MIN_CLIPS), key=lambda name: int(name[2:]))
    done = []
    for row in rows:
        kept = {k: v for k, v in row.items() if k not in columns}
        if kept["au_set"] is not None and sets[kept["au_set"]] < MIN_CLIPS:
            kept["au_set"] = RARE
        moves = row["au_set"] is not None
        done.append(kept | {name: row.get(name, False) if moves else None for name in aus})
    names = tuple(Outcome(name, f"AU {int(name[2:])} ({_name(name)})", "flag") for name in aus)
    return done, OUTCOMES + names


def _column(au: int) -> str:
    return f"au{au:02d}"


def _name(column: str) -> str:
    return ACTION_UNITS[int(column[2:])].name
