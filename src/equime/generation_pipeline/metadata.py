"""The metadata JSON of one clip: a view for people, written from the records.

It holds what a reader of the EquiME page expects (pseudolabels, technical properties, generation parameters)
and what only a rendered clip can give: exact AU curves, onset, apex and offset. The records are the truth;
nothing reads this file back to learn a fact. Of a clip whose renderer does not obey its spec, ``aus``, ``timing``,
``blinks`` and captions are measured, ``intended`` holds the wish, and what nobody measures is null. The same records give the same bytes: no time stamp, no path of
a machine.

Attributes of the person stand in two places that never mix: ``declared`` is what the source of the photograph
says; ``pseudolabels`` are estimates by a model (gender, age, race, EquiME's names), null until attribute
extraction ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime import action_units
from equime.action_units import letter
from equime.clip_labels import described
from equime.generation_pipeline.trajectory import (
    HEAD_AXES,
    Trajectory,
    blink_intervals,
    trajectory,
)
from equime.types import AuPeak, Clip, ClipSpec, Face

SCHEMA: Final = "equime-clip-metadata/1"
PSEUDOLABELS: Final = ("gender", "age", "race")
NO_PSEUDOLABELS: Final = "not estimated; run `equime attributes`"
ESTIMATES: Final = (
    "read from the picture by a model, with errors; not what the person is or says of themselves"
)

MICRO_TOTAL_MS: Final = 500.0
MICRO_ONSET_MS: Final = 250.0
"""A movement is micro when it lasts at most 500 ms or rises within 250 ms (Yan et al. 2013, rounded)."""


def clip_metadata(
    spec: ClipSpec,
    clip: Clip,
    face: Face,
    track: Trajectory | None = None,
    *,
    pseudolabels: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything about one clip, ready for JSON; see `metadata_bytes`.

    Args:
        spec: intent.
        clip: fact.
        face: source identity.
        track: the spec's trajectory where it is at hand; computed otherwise.
        pseudolabels: estimates under the keys ``gender``, ``age``, ``race``, ``probabilities`` and ``estimator``;
            None as a value where the estimator abstained.

    Returns:
        Keys in a fixed order; times in ms from the first frame, intensities 0 to 5, sides the subject's.
    """
    made = described(spec, clip)
    if made is not spec or track is None:
        track = trajectory(made)
    return {
        "schema": SCHEMA,
        "video_name": PurePosixPath(clip.file).name,
        "synthetic": True,
        "emotion": spec.emotion,
        "label_semantics": spec.label_semantics,
        "pseudolabels": _pseudolabels(pseudolabels),
        "declared": msgspec.to_builtins(face.declared) | {"gender": face.declared.gender},
        "technical": _technical(clip),
        "aus": [_peak(peak) for peak in made.aus],
        "timing": _timing(clip),
        "au_curves": _curves(track) if clip.labels == "exact" else [],
        "blinks": [_rounded(msgspec.to_builtins(blink)) for blink in blink_intervals(made)],
        "gaze": _gaze(spec, track) if clip.shown is None else None,
        "head": _head(track) if clip.shown is None else None,
        "captions": msgspec.to_builtins(clip.captions),
        **_shown(spec, clip),
        "generation": _generation(spec, clip, face),
    }


def metadata_bytes(metadata: Mapping[str, Any]) -> bytes:
    """The file's content: UTF-8 JSON, indented, the order of keys kept, a line feed at the end."""
    return msgspec.json.format(msgspec.json.encode(metadata), indent=2) + b"\n"


def _pseudolabels(estimates: Mapping[str, Any] | None) -> dict[str, Any]:
    values: dict[str, Any] = {name: (estimates or {}).get(name) for name in PSEUDOLABELS}
    if estimates is None:
        return {**values, "note": NO_PSEUDOLABELS}
    more = {name: estimates.get(name) for name in ("probabilities", "estimator")}
    return {**values, **more, "note": ESTIMATES}


def _technical(clip: Clip) -> dict[str, Any]:
    return {
        "fps": clip.fps,
        "total_frames": clip.n_frames,
        "duration_s": round(clip.duration_ms / 1000, 6),
        "size_bytes": clip.size_bytes,
        "size_mb": round(clip.size_bytes / 1e6, 6),
        "bitrate_kbps": clip.bitrate_kbps,
        "codec": clip.codec,
        "pix_fmt": clip.pix_fmt,
        "resolution": f"{clip.width}x{clip.height}",
        "width": clip.width,
        "height": clip.height,
        "sha256": clip.sha256,
    }


def _shown(spec: ClipSpec, clip: Clip) -> dict[str, Any]:
    """What was measured and what was meant, side by side, where a clip had to be measured; else nothing."""
    if clip.shown is None:
        return {}
    phases = None if spec.phases is None else _rounded(msgspec.to_builtins(spec.phases))
    return {
        "labels": clip.labels,
        "intended": {"aus": [_peak(peak) for peak in spec.aus], "phases": phases},
        "shown": msgspec.to_builtins(clip.shown),
    }


def _peak(peak: AuPeak) -> dict[str, Any]:
    unit = action_units.get(peak.au)
    return {
        "au": peak.au,
        "name": unit.name,
        "code": action_units.format_code(peak.au, peak.left, peak.right),
        "side": _side(peak) if unit.sided else None,
        "intensity_left": round(peak.left, 4),
        "intensity_right": round(peak.right, 4),
        "letter_left": letter(peak.left) or None,
        "letter_right": letter(peak.right) or None,
        "delay_ms": round(peak.delay_ms, 3),
    }


def _side(peak: AuPeak) -> action_units.Side:
    if peak.left > 0 and peak.right > 0:
        return "both"
    return "left" if peak.left > 0 else "right"


def _timing(clip: Clip) -> dict[str, Any] | None:
    """Onset, apex, offset and whether the movement is micro; None for a neutral clip."""
    timing = clip.timing
    if timing is None:
        return None
    total_ms = timing.offset_ms - timing.onset_ms
    rise_ms = timing.apex_ms - timing.onset_ms
    within = (total_ms <= MICRO_TOTAL_MS, rise_ms <= MICRO_ONSET_MS)
    return {
        **_rounded(msgspec.to_builtins(timing)),
        "total_ms": round(total_ms, 3),
        "onset_phase_ms": round(rise_ms, 3),
        "criterion": {
            f"total_within_{MICRO_TOTAL_MS:.0f}_ms": within[0],
            f"onset_phase_within_{MICRO_ONSET_MS:.0f}_ms": within[1],
            "micro_expression": any(within),
        },
    }


def _curves(track: Trajectory) -> list[dict[str, Any]]:
    """Exact intensities, only the stretches of frames in which an AU is active."""
    curves = []
    for column, au in enumerate(track.aus):
        values = track.curve[:, column]
        for first, stop in _stretches(values.max(axis=1) > 0):
            left, right = (_list(values[first:stop, side]) for side in (0, 1))
            curves.append({"au": au, "first_frame": first, "left": left, "right": right})
    return curves


def _stretches(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, one past the last) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], active, [False])).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _list(values: NDArray[np.float32]) -> list[float]:
    return [round(float(value), 3) for value in values]


def _gaze(spec: ClipSpec, track: Trajectory) -> dict[str, Any]:
    return {
        "shifts": [_rounded(msgspec.to_builtins(shift)) for shift in spec.gaze],
        "max_abs_yaw_deg": _peak_of(track.gaze_deg[:, 0]),
        "max_abs_pitch_deg": _peak_of(track.gaze_deg[:, 1]),
    }


def _head(track: Trajectory) -> dict[str, float]:
    return {f"max_abs_{axis}": _peak_of(track.head[:, i]) for i, axis in enumerate(HEAD_AXES)}


def _peak_of(values: NDArray[np.float32]) -> float:
    return round(float(np.abs(values).max()), 4)


def _generation(spec: ClipSpec, clip: Clip, face: Face) -> dict[str, Any]:
    """Everything that made the clip: enough to make it again from the same photograph."""
    return {
        "spec_id": spec.spec_id,
        "clip_id": clip.clip_id,
        "face_id": face.face_id,
        "subject_id": face.subject_id,
        "sequence": spec.sequence,
        "seed": spec.seed,
        "model": spec.model,
        "do": {name: msgspec.json.decode(value) for name, value in sorted(spec.do.items())},
        "twin_of": spec.twin_of,
        "renderer": clip.renderer,
        "renderer_version": clip.renderer_version,
        "renderer_params": dict(sorted(clip.renderer_params.items())),
        "encoder": dict(sorted(clip.encoder.items())),
        "camera": _rounded(msgspec.to_builtins(spec.camera)),
        "source": {
            "name": face.source,
            "licence": face.licence,
            "sha256": face.sha256,
            "face_index": face.face_index,
            "aligner": face.aligner,
        },
    }


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    """Floats with 4 decimals: 0.1 microseconds, a ten-thousandth of an intensity."""
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in fields.items()}
