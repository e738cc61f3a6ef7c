"""The adherence gate: does a clip show what its spec intended?

For clips of any renderer. What was intended (`Intended`, from the spec) and what the frames show
(`adherence_measure.Measured`) are two records that never mix; `judge` compares them with `Limits` and gives a
`Verdict`: accepted, or rejected for the first of `REASONS` that applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from equime.action_units import ACTION_UNITS
from equime.generation_pipeline.adherence_records import (
    REGION_SHARE,
    Adherence,
    Intended,
    Limits,
    Measured,
    Reason,
    Verdict,
)
from equime.motion.spotting import DETECT_MM
from equime.motion.track import EYES, REGIONS
from equime.types import ClipSpec

if TYPE_CHECKING:
    from equime.motion.track import MotionTrack


def check_frames(
    rgb: Iterable[NDArray[np.uint8]], spec: ClipSpec, *, limits: Limits | None = None
) -> Adherence:
    """Judge a clip from its frames, before it has a file.

    Args:
        rgb: uint8 (H, W, 3) each, as many as the spec has.
        spec: what was intended.
        limits: where the lines are; the defaults where None.
    """
    from equime.generation_pipeline.adherence_measure import measure_frames  # noqa: PLC0415

    measured, track = measure_frames(rgb, spec.fps, spec.n_frames)
    return assess(spec, measured, track, limits)


def assess(
    spec: ClipSpec, measured: Measured, track: MotionTrack | None, limits: Limits | None = None
) -> Adherence:
    """Compare what was measured with a spec.

    Args:
        spec: of the clip.
        measured: of its frames.
        track: where the face lies; None where none was found.
        limits: as `check_frames`.
    """
    aim = intended(spec, track)
    onset, apex = _less(measured.onset_ms, aim.onset_ms), _less(measured.apex_ms, aim.apex_ms)
    agrees = agreement(aim, measured)
    verdict = judge(aim, measured, agrees, limits or Limits())
    return Adherence(
        intended=aim,
        measured=measured,
        onset_error_ms=onset,
        apex_error_ms=apex,
        agreement=agrees,
        verdict=verdict,
    )


def intended(spec: ClipSpec, track: MotionTrack | None) -> Intended:
    """The labels of a spec, on the face that a clip begins with."""
    from equime.face.muscles import MUSCLES  # noqa: PLC0415

    aus: dict[str, float] = {}
    for peak in spec.aus:
        sides = (
            (("L", peak.left), ("R", peak.right))
            if ACTION_UNITS[peak.au].sided
            else (("", max(peak.left, peak.right)),)
        )
        aus |= {f"{side}{peak.au}": value for side, value in sides if value > 0}
    phases = spec.phases
    moves = phases is not None and any(peak.au in MUSCLES for peak in spec.aus)
    field = _commanded_mm(spec, track) if track is not None and moves else np.zeros((0, 2))
    length = np.linalg.norm(field, axis=1)
    return Intended(
        onset_ms=phases.onset_ms if phases else None,
        apex_ms=phases.apex_ms if phases else None,
        offset_ms=phases.offset_ms if phases else None,
        aus=aus,
        moves_skin=moves,
        regions=tuple(
            n for n, v in zip(REGIONS, length, strict=False) if v > 0 and v >= REGION_SHARE * length.max()
        ),
        displacement_mm=tuple((float(x), float(y)) for x, y in field),
    )


def _commanded_mm(spec: ClipSpec, track: MotionTrack) -> NDArray[np.float64]:
    """Mean displacement (R, 2) of the regions by the spec's AUs at their peaks, mm, y up."""
    from scipy.interpolate import LinearNDInterpolator  # noqa: PLC0415

    from equime.face.au_fit import N_SKIN, commanded_displacement  # noqa: PLC0415
    from equime.motion.regions import region_masks  # noqa: PLC0415

    points = track.landmarks.astype(np.float64) @ track.crop[:, :2].T + track.crop[:, 2]
    scale = track.px_per_mm * float(np.hypot(*track.crop[0, :2]))
    peaks = {peak.au: (peak.left, peak.right) for peak in spec.aus}
    moved = commanded_displacement(points, scale, peaks) / scale * np.array([1.0, -1.0])
    field = LinearNDInterpolator(points[:N_SKIN], moved[:N_SKIN], fill_value=0.0)
    found = []
    for mask in region_masks(points, scale, len(track.peak_flow_mm)):
        rows, columns = np.nonzero(mask)
        # An empty region (a face at the picture's edge) does not move.
        found.append(field(columns[::8], rows[::8]).mean(axis=0) if len(rows) else np.zeros(2))
    return np.stack(found)


def agreement(aim: Intended, measured: Measured) -> float | None:
    """How far the measured movement goes where the intended one should, -1..1.

    Cosine between the displacements of all regions. Where only the lids moved, flow under a closing lid says little:
    then the share of the intended movement that is the eyes'.
    """
    if not aim.displacement_mm or not measured.displacement_mm:
        return None
    meant, seen = np.array(aim.displacement_mm), np.array(measured.displacement_mm)
    if measured.eyes_only:
        eyes = [REGIONS.index(name) for name in EYES]
        return float((meant[eyes] ** 2).sum() / max(float((meant**2).sum()), 1e-12))
    norm = float(np.linalg.norm(meant) * np.linalg.norm(seen))
    return float((meant * seen).sum()) / max(norm, 1e-12)


def judge(aim: Intended, measured: Measured, agrees: float | None, limits: Limits) -> Verdict:
    """The verdict: the first of `REASONS` that applies, else accepted."""
    return _of_picture(measured, limits) or _of_movement(aim, measured, agrees, limits) or _accepted(aim)


def _of_picture(m: Measured, limits: Limits) -> Verdict | None:
    """What is wrong whatever was intended."""
    if m.black_share > limits.max_black_share:
        return _no(
            "black",
            "{:.0%} of the frames are black; at most {:.0%} may be",
            m.black_share,
            limits.max_black_share,
        )
    if m.face_share < limits.min_face_share:
        text = "a face is found in {:.0%} of the frames looked at; it must be in at least {:.0%}"
        return _no("no_face", text, m.face_share, limits.min_face_share)
    if m.repeated_share > limits.max_repeated_share:
        text = "{:.0%} of the frames repeat the one before; at most {:.0%} may"
        return _no("frozen", text, m.repeated_share, limits.max_repeated_share)
    if m.likeness is not None and m.likeness < limits.min_likeness:
        text = "the face's skin correlates with that of the first frame by only {:.2f}; at least {:.2f} is the same face"
        return _no("identity_drift", text, m.likeness, limits.min_likeness)
    if m.unexplained_mm is not None and m.unexplained_mm > limits.max_unexplained_mm:
        text = "parts of the face move by {:.1f} mm in ways that no muscle and no head does; at most {:.1f} mm may be"
        return _no("warped_face", text, m.unexplained_mm, limits.max_unexplained_mm)
    return None


def _of_movement(aim: Intended, m: Measured, agrees: float | None, limits: Limits) -> Verdict | None:
    """What is wrong against the intent."""
    if aim.apex_ms is None:
        if m.apex_ms is None:
            return None
        text = (
            f"the clip is meant to be neutral and the face moves ({_where(m)}) with the apex at {{:.0f}} ms"
        )
        return _no("unexpected_movement", text, m.apex_ms, None)
    if not aim.moves_skin:
        return None
    if m.apex_ms is None or m.duration_ms is None:
        largest = max((float(np.hypot(x, y)) for x, y in aim.displacement_mm), default=0.0)
        text = (
            f"no facial movement is found; {_names(aim.aus)} at {aim.apex_ms:.0f} ms should move a region by "
        )
        text += f"{largest:.2f} mm, and movements of less than about {DETECT_MM:g} mm are not seen"
        return _no("no_movement", text, None, None)
    longest = limits.max_duration_ms + limits.duration_slack_ms
    if m.duration_ms > longest:
        text = (
            "the movement lasts {:.0f} ms; a micro-expression at most " + f"{limits.max_duration_ms:.0f} ms"
        )
        text += " ({:.0f} with the error of measuring)"
        return _no("too_long", text, m.duration_ms, longest)
    return _of_time(aim, m, limits) or _of_region(aim, m, agrees, limits)


def _of_time(aim: Intended, m: Measured, limits: Limits) -> Verdict | None:
    instants = (
        ("apex", m.apex_ms, aim.apex_ms, limits.apex_tolerance_ms),
        ("onset", m.onset_ms, aim.onset_ms, limits.onset_tolerance_ms),
    )
    for name, seen, meant, tolerance in instants:
        error = _less(seen, meant)
        if error is not None and abs(error) > tolerance:
            text = f"{name} at {seen:.0f} ms, intended at {meant:.0f} ms: {{:+.0f}} ms, at most {{:.0f}} ms either way"
            return _no("wrong_time", text, error, tolerance)
    return None


def _of_region(aim: Intended, m: Measured, agrees: float | None, limits: Limits) -> Verdict | None:
    if agrees is None or agrees >= limits.min_agreement:
        return None
    text = f"what moves is {_where(m)}; {_names(aim.aus)} moves {', '.join(aim.regions)}: agreement {{:.2f}}, at least {{:.2f}}"
    return _no("wrong_region", text, agrees, limits.min_agreement)


def _accepted(aim: Intended) -> Verdict:
    if aim.apex_ms is None:
        return Verdict(accepted=True, reason=None, message="no facial movement, as intended")
    if not aim.moves_skin:
        text = "only gaze or head codes are intended, which move no skin: faces and frames are judged, movement is not"
        return Verdict(accepted=True, reason=None, message=text)
    return Verdict(accepted=True, reason=None, message="movement where and when it is intended")


def _no(reason: Reason, text: str, value: float | None, limit: float | None) -> Verdict:
    return Verdict(accepted=False, reason=reason, message=text.format(value, limit), value=value, limit=limit)


def _where(m: Measured) -> str:
    return ", ".join(m.regions) or "no region much"


def _names(aus: Mapping[str, float]) -> str:
    return "AU " + "+".join(aus) if aus else "no AU"


def _less(seen: float | None, meant: float | None) -> float | None:
    return None if seen is None or meant is None else seen - meant
