"""Did the face do what it was commanded to? AUs and sides, measured on the decoded frames of a Dataset's clip.

Two frames are compared: the last one before onset in which nobody blinks, and the apex. What should have moved
between them follows from the exact AU curves and the muscles; what did move is measured by two instruments:

* ``flow``: dense optical flow (DIS, Kroeger et al. 2016, at full resolution with small patches) at the
  landmarks. It knows nothing of faces. It smooths: magnitudes come out 12 % low, those of the lids at less than
  about 2 px half (AU 5 in small pictures then fails);
* ``landmark``: the face mesh detected anew on both frames, what a landmark-based annotator would see. It has a
  prior of its own and reports half and less of a movement of brows, nose, cheeks and lower lip: a comparison
  between data sets, no verdict on a clip.

The head's similarity, from stable points that the command leaves alone, is removed first. Lids are left out
where a blink falls into either frame, irises and the face's outline always. Not scored: gaze (61 to 64), because
flow underestimates the small, half-covered iris, and head codes (51 to 58), which move no skin; a clip that
commands only these has an empty row and a note. The error of the apex's time is the timing annotator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime import layout
from equime.action_units import ACTION_UNITS, format_code
from equime.annotation.annotators import ClipContext, Direction, Metric, Row, Session, Type, Value
from equime.clip_sources import ClipSource
from equime.errors import WorkError
from equime.face import anatomy as a
from equime.face import au_fit
from equime.face.muscles import MUSCLES
from equime.frames import Frame
from equime.types import CROP_PX, ClipSpec

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Sides = dict[int, tuple[float, float]]
"""Intensity (left, right) by FACS number."""

COSINE_MIN: Final = 0.8
RATIO_RANGE: Final = (0.6, 1.4)
"""A clip passes with direction and magnitude within these, the rule of the generator's own AU check."""

SHARE, STILL = 0.5, 0.05
"""Of the largest commanded movement: landmarks from SHARE on are compared, those below STILL should not move."""

ASYMMETRY: Final = 0.5
"""Difference in intensity between the sides, half a FACS letter, from which a command counts as asymmetric."""

INSTRUMENTS: Final = {
    "flow": ("optical flow at the landmarks", "Kroeger et al. 2016 (DIS)"),
    "landmark": ("landmarks detected anew", "Kartynnik et al. 2019 (face mesh)"),
}
"""Prefix of the columns to how they are measured, and its source."""

BLINK_AU: Final = 45

_SCORES: Final[tuple[tuple[str, str, float | None, float | None, Direction, Type, str], ...]] = (
    ("cosine", "1", -1.0, 1.0, "higher", "real", "Cosine between commanded and measured displacement"),
    ("ratio", "1", None, None, "none", "real", "Measured displacement's share along the commanded one, 1 is exact"),
    ("leakage", "1", 0.0, None, "lower", "real",
     "Mean squared movement where none was commanded, less the noise, over that where it was commanded"),
    ("noise_px", "px", 0.0, None, "lower", "real", "Root mean square movement between two neutral frames"),
    ("side_agrees", "", None, None, "higher", "flag", "Whether AUs commanded stronger on one side are so measured"),
)  # fmt: skip


def _metrics() -> tuple[Metric, ...]:
    facs, own, fit = "Ekman, Friesen & Hager 2002", "equime", "Lawson & Hanson 1974; au_fit"
    rule = f"By flow a cosine of at least {COSINE_MIN:g} and a ratio of {RATIO_RANGE[0]:g} to {RATIO_RANGE[1]:g}."
    codes, largest = "AUs commanded in the clip, FACS codes.", "Largest commanded movement of a landmark."
    found = [
        Metric("commanded_aus", "", None, None, "none", codes, facs, "text"),
        Metric("largest_commanded_px", "px", 0.0, None, "none", largest, own),
        Metric("n_landmarks_compared", "1", 0.0, 478.0, "none", "Landmarks that should move.", own, "whole"),
        Metric("au_passes", "", None, None, "higher", rule, own, "flag"),
    ]
    for prefix, (how, reference) in INSTRUMENTS.items():
        for name, unit, low, high, direction, kind, meaning in _SCORES:
            text = f"{meaning}, by {how}."
            found.append(Metric(f"{prefix}_{name}", unit, low, high, direction, text, reference, kind))
    for au in MUSCLES:
        what = f"of AU {au} ({ACTION_UNITS[au].name}), the stronger side"
        asked, seen = f"Intensity {what}, commanded at the apex frame.", f"Intensity {what}, by optical flow."
        found.append(Metric(f"commanded_au{au:02d}", "1", 0.0, 5.0, "none", asked, facs))
        found.append(Metric(f"measured_au{au:02d}", "1", 0.0, None, "none", seen, fit))
    return tuple(found)


METRICS: Final = _metrics()


class AuFidelity:
    """Annotator ``au_fidelity``: commanded against measured AUs; clips without a command have an empty row."""

    name = "au_fidelity"
    version = "1"
    metrics = METRICS
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False

    def start(self, clip: ClipContext) -> Session:
        """Open a session. Raises WorkError where the table of AU curves cannot be read."""
        return _Fidelity(clip.source)


@dataclass(frozen=True)
class Command:
    """What the frames of a clip were commanded to show.

    Attributes:
        reference: the neutral frame.
        apex: frame of the largest intensity.
        noise: another neutral frame, about as far from the reference as the apex; None where there is none.
        aus: intensity at the apex less that at the reference, AUs that move skin, blinks included.
        blinks: whether a blink falls into reference or apex.
        notes: what a person should know of it.
    """

    reference: int
    apex: int
    noise: int | None
    aus: Sides
    blinks: bool
    notes: tuple[tuple[str, str], ...] = ()


def command_of(source: ClipSource) -> Command | None:
    """The command of a clip; None without one, where it moves no skin, or where no frame comes before the apex."""
    spec, timing = source.spec, source.clip.timing if source.clip else None
    if spec is None or timing is None or not any(peak.au in MUSCLES for peak in spec.aus):
        return None
    apex = timing.apex_frame
    neutral = [frame for frame in range(timing.onset_frame) if not _blinks_at(spec, frame)]
    reference = neutral[-1] if neutral else max(timing.onset_frame - 1, 0)
    if reference == apex:
        return None
    others = [frame for frame in neutral if frame != reference]
    noise = min(others, key=lambda frame: abs(frame - (2 * reference - apex)), default=None)
    blinks = _blinks_at(spec, reference) or _blinks_at(spec, apex)
    curves = _curves_at(source, (reference, apex))
    if curves is None:
        peaks: Sides = {peak.au: (peak.left, peak.right) for peak in spec.aus if peak.au in MUSCLES}
        note = ("no_au_curves", "no AU curves on disk; the peaks of the spec stand for them")
        return Command(reference, apex, noise, peaks, blinks, (note,))
    before, after = curves
    aus = {au: (left - before[au][0], right - before[au][1]) for au, (left, right) in after.items()}
    return Command(reference, apex, noise, {au: sides for au, sides in aus.items() if any(sides)}, blinks)


def _blinks_at(spec: ClipSpec, frame: int) -> bool:
    time_ms = frame * 1000.0 / spec.fps
    return any(blink.start_ms < time_ms < blink.start_ms + blink.duration_ms for blink in spec.blinks)


def _curves_at(source: ClipSource, frames: Sequence[int]) -> list[Sides] | None:
    """Exact intensities of frames, from ``tables/au_curves.parquet``; None where that has no such clip."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    path = Path(source.root) / layout.AU_CURVES
    try:
        groups = _row_groups(str(path), path.stat().st_mtime_ns) if path.is_file() else {}
        if source.clip_id not in groups:
            return None
        table = pq.ParquetFile(path).read_row_group(groups[source.clip_id])
        mine = (pc.field("clip_id") == source.clip_id) & pc.field("frame").isin(list(frames))
        rows = {row["frame"]: row for row in table.filter(mine).to_pylist()}
    except (OSError, pa.ArrowException) as error:
        hint = "delete it and run `equime generate` again"
        raise WorkError(f"{path}: cannot be read ({error}); {hint}") from error
    return [{au: _sides(rows[frame], au) for au in MUSCLES} for frame in frames]


def _sides(row: dict[str, float], au: int) -> tuple[float, float]:
    left, right = ("_L", "_R") if ACTION_UNITS[au].sided else ("", "")
    return row[f"AU{au:02d}{left}"], row[f"AU{au:02d}{right}"]


@lru_cache(maxsize=4)
def _row_groups(path: str, mtime_ns: int) -> dict[str, int]:
    """Row group of every clip; read once per process and version of the file."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    file = pq.ParquetFile(path)
    ids = [
        file.read_row_group(i, columns=["clip_id"])["clip_id"].unique() for i in range(file.num_row_groups)
    ]
    return {clip_id: group for group, found in enumerate(ids) for clip_id in found.to_pylist()}


class _Fidelity:
    """Keeps the two or three frames that are compared."""

    def __init__(self, source: ClipSource) -> None:
        self.source = source
        self.command = command_of(source)
        wanted = (self.command.reference, self.command.apex, self.command.noise) if self.command else ()
        self.wanted = {frame for frame in wanted if frame is not None}
        self.kept: dict[int, NDArray[np.uint8]] = {}

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        if frame.index in self.wanted:
            self.kept[frame.index] = frame.bgr.copy()

    def finish(self) -> Row:
        """Measure. Raises WorkError where the file ends before the apex."""
        empty: dict[str, Value] = dict.fromkeys(metric.name for metric in METRICS)
        if self.command is None:
            return Row(empty, notes=_why_nothing(self.source))
        missing = self.wanted - self.kept.keys()
        if missing:
            raise WorkError(f"{self.source.file}: ends before frame {max(missing)}; make the clip again")
        values, notes = _measure(self.source, self.command, self.kept)
        return Row({**empty, **values}, notes=tuple(notes))


def _why_nothing(source: ClipSource) -> tuple[tuple[str, str], ...]:
    if source.spec is None or not source.spec.aus:
        return ()
    if any(peak.au in MUSCLES for peak in source.spec.aus):
        return (("no_neutral_frame", "the clip begins at its apex: there is nothing to compare it with"),)
    return (("only_gaze_or_head", "only gaze or head codes are commanded; they are not scored"),)


def _measure(
    source: ClipSource, command: Command, frames: dict[int, NDArray[np.uint8]]
) -> tuple[dict[str, Value], list[tuple[str, str]]]:
    assert source.spec is not None
    assert source.face is not None
    codes = [format_code(peak.au, peak.left, peak.right) for peak in source.spec.aus]
    values: dict[str, Value] = {"commanded_aus": "+".join(codes)}
    rgb = {index: np.ascontiguousarray(bgr[..., ::-1]) for index, bgr in frames.items()}
    found = {index: detect(picture) for index, picture in rgb.items()}
    notes = list(command.notes)
    notes += [("no_face", f"no face found on frame {i}") for i, points in found.items() if points is None]
    at, before = found[command.reference], rgb.pop(command.reference)
    if at is None:
        return values, notes
    scale = source.face.px_per_mm * before.shape[1] / CROP_PX
    scene = Scene.of(at, scale, command)
    values["largest_commanded_px"] = float(scene.length.max())
    values["n_landmarks_compared"] = int(scene.compared.sum())
    flow: dict[int | None, F64] = {
        index: au_fit.flow_at(before, picture, at, scale) for index, picture in rgb.items()
    }
    mesh: dict[int | None, F64] = {
        index: points - at for index, points in found.items() if points is not None
    }
    for name, moved in (("flow", flow), ("landmark", mesh)):
        if command.apex in moved:
            scores = scene.scores(moved[command.apex], moved.get(command.noise))
            values.update({f"{name}_{key}": value for key, value in scores.items()})
    if not scene.compared.any():
        notes.append(("hidden_by_blink", "a blink covers what the command moves"))
    values["au_passes"] = passes(values.get("flow_cosine"), values.get("flow_ratio"))
    return {**values, **scene.intensities(flow[command.apex])}, notes


def passes(cosine: Value, ratio: Value) -> bool | None:
    """Whether direction and magnitude are as commanded; None where they were not measured."""
    if isinstance(cosine, float) and isinstance(ratio, float):
        return cosine >= COSINE_MIN and RATIO_RANGE[0] <= ratio <= RATIO_RANGE[1]
    return None


def _energy(moved: F64) -> float:
    return float((moved**2).sum(axis=1).mean())


@dataclass(frozen=True)
class Scene:
    """A face in its reference frame and what it was commanded to do.

    Attributes:
        basis: AU fields at the detected landmarks.
        command: of the clip.
        commanded: float64 (478, 2) pixels.
        length: float64 (478,) of `commanded`.
        observed, compared, still: bool (478,), visible landmarks, and those that should and should not move.
    """

    basis: au_fit.AuBasis
    command: Command
    commanded: F64
    length: F64
    observed: Mask
    compared: Mask
    still: Mask

    @classmethod
    def of(cls, landmarks: F64, px_per_mm: float, command: Command) -> Scene:
        """From the landmarks (478, 2) of the reference frame."""
        basis = au_fit.au_basis(landmarks, px_per_mm)
        aus = {au: v for au, v in command.aus.items() if not (command.blinks and au == BLINK_AU)}
        commanded = au_fit.commanded_displacement(landmarks, px_per_mm, aus)
        length = np.linalg.norm(commanded, axis=1)
        observed = np.zeros(len(landmarks), np.bool_)
        observed[list(au_fit.OBSERVED)] = True
        if command.blinks:
            lids = np.linalg.norm(basis.of(BLINK_AU, "left") + basis.of(BLINK_AU, "right"), axis=1)
            observed &= lids < STILL * lids.max()
        compared = observed & (length > 0) & (length >= SHARE * length.max())
        still = observed & (length < STILL * length.max())
        return cls(basis, command, commanded, length, observed, compared, still)

    def relative(self, moved: F64) -> F64:
        """A displacement (478, 2) less that of the head."""
        fixed = [p for p in a.STABLE if self.still[p]]
        if len(fixed) < 4:
            fixed = [p for p in a.STABLE if self.observed[p]]
        return moved - au_fit.head_motion(self.basis.landmarks, moved, fixed)

    def scores(self, moved: F64, noise: F64 | None) -> dict[str, Value]:
        """What `_SCORES` lists, of displacements (478, 2) from the reference to the apex and to a neutral frame."""
        own, scores = self.relative(moved), dict[str, Value]()
        floor = None if noise is None or not self.still.any() else _energy(self.relative(noise)[self.still])
        if floor is not None:
            scores["noise_px"] = float(np.sqrt(floor))
        if not self.compared.any():
            return scores
        c, m = self.commanded[self.compared].ravel(), own[self.compared].ravel()
        along = float(c @ m)
        cosine = along / max(float(np.linalg.norm(c) * np.linalg.norm(m)), 1e-12)
        scores["cosine"] = min(max(cosine, -1.0), 1.0)
        scores["ratio"] = along / float(c @ c)
        scores["side_agrees"] = self.side_agrees(moved)
        if floor is not None:
            excess = max(_energy(own[self.still]) - floor, 0.0)
            scores["leakage"] = excess / max(_energy(own[self.compared]), 1e-12)
        return scores

    def side_agrees(self, moved: F64) -> bool | None:
        """Whether asymmetric AUs are measured stronger on the commanded side; None where none is asymmetric."""
        hidden = self.hidden()
        asked = {
            au: left - right for au, (left, right) in self.command.aus.items()
            if ACTION_UNITS[au].sided and abs(left - right) >= ASYMMETRY and au not in hidden
        }  # fmt: skip
        if not asked:
            return None
        # Only what was commanded is fitted: no other AU takes a part of a side.
        aus = [au for au in self.command.aus if au not in hidden]
        basis = au_fit.au_basis(self.basis.landmarks, self.basis.px_per_mm, aus)
        found = au_fit.fit_aus(moved, basis, np.flatnonzero(self.observed))
        return all(more * (found[au, "left"] - found[au, "right"]) > 0 for au, more in asked.items())

    def hidden(self) -> set[int]:
        """AUs most of whose movement lies where a blink hides it."""
        energy = (self.basis.fields**2).sum(axis=2)[:, list(au_fit.OBSERVED)]
        seen = (energy * self.observed[list(au_fit.OBSERVED)]).sum(axis=1)
        own = {self.basis.keys[i][0] for i in np.flatnonzero(seen < 0.5 * energy.sum(axis=1))}
        return own | {au for au, same in au_fit.SAME_FIELD.items() if same in own}

    def intensities(self, moved: F64) -> dict[str, Value]:
        """Commanded and measured intensity per AU, the stronger side; None for AUs that a blink hides."""
        found = au_fit.fit_aus(moved, self.basis, np.flatnonzero(self.observed))
        hidden = self.hidden()
        values: dict[str, Value] = {}
        for au in MUSCLES:
            strongest = max(value for (of, _), value in found.items() if of == au)
            values[f"commanded_au{au:02d}"] = max(0.0, *self.command.aus.get(au, (0.0, 0.0)))
            values[f"measured_au{au:02d}"] = None if au in hidden else strongest
        return values


def detect(rgb: NDArray[np.uint8]) -> F64 | None:
    """Landmarks (478, 2) of the face of a clip's frame, in its pixels; None where there is none."""
    from equime.face import landmarks as lm  # noqa: PLC0415

    points = lm.mesh(rgb)
    if points is None:
        boxes = lm.find_boxes(rgb)
        points = lm.mesh_in_box(rgb, boxes[0]) if boxes else None
    return None if points is None else points[:, :2].astype(np.float64)
