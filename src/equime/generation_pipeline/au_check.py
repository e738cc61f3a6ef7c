"""Does the face in the file do what was commanded? Measured again from the decoded MP4.

For every AU a short clip is rendered with that AU alone, encoded, decoded, and the landmarks are detected
anew at neutral and apex, by the same detector that never saw the commands. Compared over the landmarks that
the AU is commanded to move by at least half of its largest displacement:

* *cosine*: direction, between the commanded and the measured displacement of all those landmarks;
* *ratio*: magnitude, the measured displacement's share along the commanded one;
* *flow cosine* and *flow ratio*: the same from dense optical flow (DIS, Kroeger et al. 2016) at those
  landmarks, a second instrument that has no idea of what a face is;
* *apex error*: of the frame (and ms) at which the movement is largest.

A landmark detector has a prior of its own (a lip it has rarely seen pulled sideways is drawn back), so the
two instruments bound what reached the pixels from two sides.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.action_units import ACTION_UNITS, intensity
from equime.face import anatomy as a
from equime.face import landmarks as lm
from equime.generation_pipeline.ground_truth import GroundTruth
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.renderers.mesh import MeshRenderer, PreparedMesh
from equime.types import AuPeak, Camera, ClipSpec, Phases, Record
from equime.video import EncoderSettings, read_frames, write_clip

COSINE_MIN: Final = 0.8
RATIO_RANGE: Final = (0.6, 1.4)
PHASES: Final = Phases(onset_ms=125.0, apex_ms=333.0, hold_ms=0.0, offset_ms=583.0)
DURATION_MS: Final = 750.0
SHARE: Final = 0.5
"""Landmarks that move by at least this share of the largest commanded displacement are compared."""


class AuResult(Record, frozen=True):
    """One AU on one face.

    Attributes:
        face: name of the face.
        au: FACS number.
        largest_px: largest commanded displacement of a landmark.
        n_landmarks: landmarks compared.
        cosine, ratio: from landmarks detected anew.
        flow_cosine, flow_ratio: from dense optical flow.
        apex_error_frames: measured less true apex frame.
        apex_error_ms: measured (between frames) less true apex.
    """

    face: str
    au: int
    largest_px: float
    n_landmarks: int
    cosine: float
    ratio: float
    flow_cosine: float
    flow_ratio: float
    apex_error_frames: int
    apex_error_ms: float

    @property
    def passes(self) -> bool:
        """Whether the re-detected landmarks moved as commanded."""
        return self.cosine >= COSINE_MIN and RATIO_RANGE[0] <= self.ratio <= RATIO_RANGE[1]

    @property
    def flow_passes(self) -> bool:
        """Whether the pixels at the landmarks moved as commanded, by optical flow."""
        return self.flow_cosine >= COSINE_MIN and RATIO_RANGE[0] <= self.flow_ratio <= RATIO_RANGE[1]


def check_face(
    face: FaceInput,
    name: str,
    *,
    aus: Iterable[int] = tuple(ACTION_UNITS),
    letter: str = "C",
    fps: float = 24.0,
    settings: EncoderSettings | None = None,
) -> list[AuResult]:
    """Measure every AU on one face.

    Args:
        face: what the renderer gets.
        name: for the table.
        aus: FACS numbers.
        letter: FACS intensity at apex.
        fps: of the clips.
        settings: encoder settings; default as `equime generate`.
    """
    prepared = MeshRenderer().prepare(face)
    with tempfile.TemporaryDirectory() as folder:
        return [
            _check_au(prepared, name, au, intensity(letter), fps, settings or EncoderSettings(), Path(folder))
            for au in aus
        ]


def _spec(au: int, peak: float, fps: float, size: int) -> ClipSpec:
    return ClipSpec(
        spec_id=f"au-check-{au}",
        model="none",
        face_id="none",
        subject_id="none",
        sequence=1,
        seed=0,
        context={},
        label_semantics="au-defined",
        emotion="neutral",
        aus=(AuPeak(au=au, left=peak, right=peak),),
        phases=PHASES,
        blinks=(),
        gaze=(),
        head=(),
        camera=Camera(
            noise_sigma=1.0, noise_seed=au, light_amplitude=0.0, light_period_ms=1e4, light_phase_rad=0.0
        ),
        fps=fps,
        duration_ms=DURATION_MS,
        size_px=size,
        noise={},
    )


def _check_au(
    prepared: PreparedMesh,
    name: str,
    au: int,
    peak: float,
    fps: float,
    settings: EncoderSettings,
    folder: Path,
) -> AuResult:
    spec = _spec(au, peak, fps, prepared.size)
    truth = GroundTruth(prepared, spec)
    assert truth.timing is not None
    file = folder / f"au{au}.mp4"
    write_clip(
        file, prepared.frames(spec), fps=fps, size=prepared.size, settings=settings, comment="AU check"
    )
    frames = list(read_frames(file))
    apex = truth.timing.apex_frame
    commanded = (truth.landmarks(apex) - truth.landmarks(0)).astype(np.float64)
    length = np.linalg.norm(commanded, axis=1)
    chosen = np.flatnonzero(length >= SHARE * length.max())
    flow = _flow_at(frames[0], frames[apex], truth.landmarks(0)[chosen])
    cosine, ratio = _compare(commanded, _detected(frames[0], frames[apex], length), chosen)
    flow_cosine, flow_ratio = _compare(commanded[chosen], flow, np.arange(len(chosen)))
    measured_ms = _apex_ms(frames, commanded[chosen], truth.landmarks(0)[chosen], fps)
    return AuResult(
        face=name,
        au=au,
        largest_px=float(length.max()),
        n_landmarks=len(chosen),
        cosine=cosine,
        ratio=ratio,
        flow_cosine=flow_cosine,
        flow_ratio=flow_ratio,
        apex_error_frames=round(measured_ms * fps / 1000) - apex,
        apex_error_ms=measured_ms - PHASES.apex_ms,
    )


def _detected(
    neutral: NDArray[np.uint8], apex: NDArray[np.uint8], commanded_length: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Displacement (478, 2) of landmarks detected anew; NaN where a face is not found.

    The detector places the whole mesh a fraction of a pixel differently in every picture: the mean
    displacement of stable points that the AU does not move is taken off.
    """
    before, after = lm.mesh(neutral), lm.mesh(apex)
    if before is None or after is None:
        return np.full((478, 2), np.nan)
    moved = (after - before)[:, :2].astype(np.float64)
    still = [p for p in a.STABLE if commanded_length[p] < 0.05 * commanded_length.max()]
    return moved - moved[still].mean(axis=0) if len(still) >= 3 else moved


def _compare(
    commanded: NDArray[np.float64], measured: NDArray[np.float64], chosen: NDArray[np.int64]
) -> tuple[float, float]:
    c, m = commanded[chosen].ravel(), measured[chosen].ravel()
    along = float(c @ m)
    return along / float(np.linalg.norm(c) * np.linalg.norm(m) + 1e-12), along / float(c @ c)


def _flow_at(
    start: NDArray[np.uint8], end: NDArray[np.uint8], points: NDArray[np.float32]
) -> NDArray[np.float64]:
    before, after = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (start, end))
    flow = np.asarray(_dis().calc(before, after, np.zeros((*before.shape, 2), np.float32)))
    at = np.ascontiguousarray(points, np.float32)
    sampled = [
        cv2.remap(np.ascontiguousarray(flow[..., c]), at[:, 0], at[:, 1], cv2.INTER_LINEAR) for c in (0, 1)
    ]
    return np.stack(sampled, axis=-1).reshape(-1, 2).astype(np.float64)


def _dis() -> cv2.DISOpticalFlow:
    """DIS down to full resolution with small patches: lids and lips are narrow."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)
    flow.setPatchSize(8)
    flow.setPatchStride(3)
    return flow


def _apex_ms(
    frames: Sequence[NDArray[np.uint8]],
    commanded: NDArray[np.float64],
    points: NDArray[np.float32],
    fps: float,
) -> float:
    """Instant of the largest movement along the commanded direction, by optical flow from frame 0."""
    first, last = (round(ms * fps / 1000) for ms in (PHASES.onset_ms, PHASES.offset_ms))
    indices = list(range(first, min(last + 1, len(frames))))
    scale = float((commanded**2).sum())
    height = [float((_flow_at(frames[0], frames[i], points) * commanded).sum()) / scale for i in indices]
    return _peak(np.array(indices, np.float64), np.array(height)) * 1000 / fps


def _peak(x: NDArray[np.float64], height: NDArray[np.float64]) -> float:
    """Where a sampled single peak lies: the vertex of a parabola through what reaches 95 % of it."""
    top = int(np.argmax(height))
    near = np.abs(np.arange(len(x)) - top) <= 1
    high = height >= 0.95 * height[top]
    if high.sum() > 3:
        near = high
    if near.sum() < 3:
        return float(x[top])
    bend, slope, _ = np.polyfit(x[near] - x[top], height[near], 2)
    if bend >= 0:
        return float(x[top])
    return float(np.clip(x[top] - slope / (2 * bend), x[near].min(), x[near].max()))


def table(results: Sequence[AuResult]) -> str:
    """Results as text, one line per AU over all faces: medians, the worst, and how many faces pass."""
    lines = [
        f"{'':33}{'landmarks detected anew':^47}{'optical flow':^47}{'apex error':>12}",
        f"{'AU':>3} {'name':<22} {'px':>5}  {'cosine':<14}  {'ratio':<22}  {'pass':<7}  {'cosine':<14}  "
        f"{'ratio':<22}  {'pass':<7}  {'fr.':>4}  {'ms':>5}",
    ]
    for au in sorted({r.au for r in results}):
        rows = [r for r in results if r.au == au]
        cosine, ratio = np.array([r.cosine for r in rows]), np.array([r.ratio for r in rows])
        flow_cosine = np.array([r.flow_cosine for r in rows])
        flow_ratio = np.array([r.flow_ratio for r in rows])
        cells = [
            f"{au:>3} {ACTION_UNITS[au].name:<22} {np.median([r.largest_px for r in rows]):5.1f}",
            f"{np.median(cosine):5.2f} (>={cosine.min():5.2f})",
            f"{np.median(ratio):5.2f} ({ratio.min():5.2f} to {ratio.max():5.2f})",
            f"{sum(r.passes for r in rows):>3}/{len(rows):<3}",
            f"{np.median(flow_cosine):5.2f} (>={flow_cosine.min():5.2f})",
            f"{np.median(flow_ratio):5.2f} ({flow_ratio.min():5.2f} to {flow_ratio.max():5.2f})",
            f"{sum(r.flow_passes for r in rows):>3}/{len(rows):<3}",
            f"{max((r.apex_error_frames for r in rows), key=abs):>4d}",
            f"{max((r.apex_error_ms for r in rows), key=abs):7.1f}",
        ]
        lines.append("  ".join(cells))
    rule = f"cosine >= {COSINE_MIN}, ratio {RATIO_RANGE[0]} to {RATIO_RANGE[1]}"
    by_landmarks, by_flow = sum(r.passes for r in results), sum(r.flow_passes for r in results)
    lines.append(f"{by_landmarks} of {len(results)} pass by landmarks, {by_flow} by optical flow ({rule})")
    return "\n".join(lines)
