"""A clip's micro-expression as a fixed vector of real numbers, made without weights: where, which way, how far,
how strained, how long.

Two sets of clips are compared by the distribution of these columns (`equime.evaluation_framework.comparison`),
and they serve as a descriptor for classical recognisers. Lengths are millimetres on the face and times
milliseconds, so neither image size nor frame rate is in them. Every region is a column of its own; those of
`EYES` hold blinks and gaze and can be left out. A clip in which nothing moves has zeros and full still bins,
not missing cells, so that it stays in a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext, Metric, Row, Value
from equime.frames import Frame
from equime.motion.regions import region_masks
from equime.motion.track import EYES, REGIONS, MotionTrack

Array = NDArray[np.float64]

STILL_MM: Final = 0.15
"""Movement below this is none: about a quarter of a pixel in a face of 512 px, the floor of optical flow."""

DIRECTIONS_DEG: Final = tuple(range(0, 360, 45))
"""Centres of the orientation bins; 0 is towards the subject's left, 90 is up."""

PHASE_MS: Final = tuple(t for t in range(-500, 501, 50) if t != 0)
"""Instants around the peak at which the movement curve is sampled; at 0 it is 1 by definition."""

LEADING: Final = 3
"""How many regions, those that move most at the peak, make the movement curve."""

REACH_MS: Final = 1000.0
"""Durations are cut off here on both sides of the peak; longer is no micro-expression."""

_HOOF: Final = "Chaudhry et al. 2009 (HOOF); in regions as Liu et al. 2016 (MDMO)"
_SHREVE: Final = "Shreve et al. 2009, 2011; as a feature Liong et al. 2014"
_PHASE: Final = "phases as Yan et al. 2013 measure them"
_PHASH: Final = "Zauner 2010, as OpenCV's img_hash.PHash"


def _phase_name(time_ms: int) -> str:
    return f"mf_phase_{'before' if time_ms < 0 else 'after'}_{abs(time_ms)}_ms"


def _flow_metrics() -> list[Metric]:
    metrics = []
    for region in REGIONS:
        for degrees in DIRECTIONS_DEG:
            text = f"Share of the movement of {region} at the peak that goes {degrees} degrees (90 is up)."
            metrics.append(Metric(f"mf_flow_{region}_{degrees:03d}", "1", 0, 1, "none", text, _HOOF))
        text = f"Share of {region} that moves less than {STILL_MM} mm at the peak."
        metrics.append(Metric(f"mf_flow_{region}_still", "1", 0, 1, "none", text, _HOOF))
    return metrics


def _regional_metrics() -> list[Metric]:
    metrics = []
    for region in REGIONS:
        text = f"Mean length of the displacement of {region} at the peak."
        metrics.append(Metric(f"mf_magnitude_{region}_mm", "mm", 0, None, "none", text, _HOOF))
    for region in REGIONS:
        text = f"Mean optical strain of {region} at the peak."
        metrics.append(Metric(f"mf_strain_{region}", "1", 0, None, "none", text, _SHREVE))
    for name, what in (("mean", "Mean"), ("sd", "Standard deviation"), ("p95", "95th percentile")):
        text = f"{what} of optical strain over all regions but the eyes' at the peak."
        metrics.append(Metric(f"mf_strain_{name}", "1", 0, None, "none", text, _SHREVE))
    return metrics


def _phase_metrics() -> list[Metric]:
    metrics = []
    for time_ms in PHASE_MS:
        text = f"Movement {abs(time_ms)} ms {'before' if time_ms < 0 else 'after'} the peak, over that at it."
        metrics.append(Metric(_phase_name(time_ms), "1", None, None, "none", text, _PHASE))
    for name, text in (
        ("rise", "before the peak from half of its height"),
        ("fall", "after the peak to half of it"),
    ):
        metrics.append(Metric(f"mf_phase_half_{name}_ms", "ms", 0, REACH_MS, "none", f"Time {text}.", _PHASE))
    return metrics


FEATURES: Final = tuple(m.name for m in [*_flow_metrics(), *_regional_metrics(), *_phase_metrics()])
"""Columns of the vector: per region (`REGIONS`) eight directions and a still bin of the peak flow
(``mf_flow_``), its magnitude (``mf_magnitude_``) and strain (``mf_strain_``), strain over the face, and the shape
of the movement in time (``mf_phase_``)."""

GROUPS: Final = ("mf_flow_", "mf_magnitude_", "mf_strain_", "mf_phase_")
"""Prefixes of the groups of `FEATURES`."""

EYE_FEATURES: Final = tuple(name for name in FEATURES if any(f"_{eye}" in name for eye in EYES))
"""Those that blinks and gaze move."""

NOISE: Final = {
    "mf_flow_": 0.02,
    "mf_magnitude_": 0.05,
    "mf_strain_": 0.005,
    "mf_phase_": 0.05,
    "mf_phase_half_": 20.0,
}
"""Spread that measuring alone gives, by the longest prefix, in the columns' units; a set that varies less than this
does not vary."""

HASHES: Final = ("phash_first", "phash_peak")
"""Columns with a perceptual hash, 16 hex digits."""


def noise(names: Sequence[str]) -> Array:
    """`NOISE` of each of these columns."""
    prefixes = sorted(NOISE, key=len, reverse=True)
    return np.array([NOISE[next(p for p in prefixes if name.startswith(p))] for name in names])


def features(track: MotionTrack) -> dict[str, float]:
    """The vector of a clip, every name of `FEATURES` to a finite number.

    Args:
        track: of the clip.
    """
    peak = track.peak_frame
    values: dict[str, float] = {}
    masks = _masks(track)
    for region, mask in zip(REGIONS, masks, strict=True):
        histogram = orientation_histogram(track.peak_flow_mm[mask])
        names = [f"{degrees:03d}" for degrees in DIRECTIONS_DEG] + ["still"]
        values |= {f"mf_flow_{region}_{name}": float(v) for name, v in zip(names, histogram, strict=True)}
    for r, region in enumerate(REGIONS):
        values[f"mf_magnitude_{region}_mm"] = float(track.magnitude_mm[peak, r])
        values[f"mf_strain_{region}"] = float(track.strain[peak, r])
    in_eyes = np.array([region in EYES for region in REGIONS])
    # A derivative reaches one pixel across the border of the eyes.
    eyes = cv2.dilate(masks[in_eyes].any(0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    inside = masks[~in_eyes].any(0) & ~eyes
    strain = optical_strain(track.peak_flow_mm, track.px_per_mm * _scale(track))[inside]
    values["mf_strain_mean"] = float(strain.mean())
    values["mf_strain_sd"] = float(strain.std())
    values["mf_strain_p95"] = float(np.quantile(strain, 0.95))
    values |= _phase(track)
    return {name: values[name] for name in FEATURES}


def _scale(track: MotionTrack) -> float:
    """Crop pixels per pixel of the frame."""
    return float(np.hypot(*track.crop[0, :2]))


def _masks(track: MotionTrack) -> NDArray[np.bool_]:
    """Masks of `REGIONS` in the crop, bool (R, C, C)."""
    points = track.landmarks[:, :2].astype(np.float64) @ track.crop[:, :2].T + track.crop[:, 2]
    return region_masks(points, track.px_per_mm * _scale(track), len(track.peak_flow_mm))


def orientation_histogram(flow_mm: NDArray[Any]) -> Array:
    """Magnitude-weighted directions of a region, and how much of it is still; the nine sum to 1.

    The still bin is the share of pixels that move less than `STILL_MM`; the rest is shared out among the
    directions by the length of the vectors. A vector between the centres of two bins is split between them,
    so that a small turn moves no pixel from one bin to another.

    Args:
        flow_mm: (N, 2), x to the subject's left and y up.
    """
    histogram = np.zeros(len(DIRECTIONS_DEG) + 1)
    length = np.hypot(flow_mm[:, 0], flow_mm[:, 1]).astype(np.float64)
    moving = length >= STILL_MM
    share = float(moving.mean()) if len(length) else 0.0
    histogram[-1] = 1 - share
    if share > 0:
        n = len(DIRECTIONS_DEG)
        place = np.arctan2(flow_mm[moving, 1], flow_mm[moving, 0]).astype(np.float64) / (2 * np.pi) * n % n
        lower = np.floor(place).astype(int)
        weight = length[moving] * share / length[moving].sum()
        np.add.at(histogram, lower % n, weight * (1 - (place - lower)))
        np.add.at(histogram, (lower + 1) % n, weight * (place - lower))
    return histogram


def optical_strain(flow_mm: NDArray[Any], px_per_mm: float) -> Array:
    """Magnitude of the infinitesimal strain tensor, ``sqrt(exx^2 + eyy^2 + 2 exy^2)`` (Shreve et al.), a pure number.

    Args:
        flow_mm: (H, W, 2), y up.
        px_per_mm: pixels of the field per millimetre.
    """
    # y runs up and rows down, hence the signs of the derivatives along rows.
    du_dx, dv_dx = (np.gradient(flow_mm[..., i].astype(np.float64), axis=1) * px_per_mm for i in (0, 1))
    du_dy, dv_dy = (-np.gradient(flow_mm[..., i].astype(np.float64), axis=0) * px_per_mm for i in (0, 1))
    shear = (du_dy + dv_dx) / 2
    strain: Array = np.sqrt(du_dx**2 + dv_dy**2 + 2 * shear**2)
    return strain


def _phase(track: MotionTrack) -> dict[str, float]:
    """Shape of the movement in time; all 0 where nothing moves."""
    curve = movement_curve(track)
    time_ms = track.time_ms - track.time_ms[track.peak_frame]
    values = {_phase_name(t): float(np.interp(t, time_ms, curve)) for t in PHASE_MS}
    peak = track.peak_frame
    values["mf_phase_half_rise_ms"] = _until_half(-time_ms[peak::-1], curve[peak::-1])
    values["mf_phase_half_fall_ms"] = _until_half(time_ms[peak:], curve[peak:])
    return values


def movement_curve(track: MotionTrack) -> Array:
    """Movement of the regions that lead at the peak, along their direction there, over that at the peak.

    Each region's displacement is taken against where it lay in the second before the peak (its median between
    1,000 and 300 ms before; the clip's first frame where it starts later), which takes slow drift off, and is
    projected on its direction at the peak, which keeps noise from adding up. Outside of the clip the curve
    stays at its first and last value: corpora cut at onset and offset are neutral there.

    Args:
        track: of the clip.

    Returns:
        float64 (T,), 1 at the peak; all 0 where the leading regions move less than `STILL_MM`.
    """
    moved = track.displacement_mm[:, [region not in EYES for region in REGIONS]].astype(np.float64)
    time_ms = track.time_ms - track.time_ms[track.peak_frame]
    before = (time_ms >= -1000) & (time_ms <= -300)
    moved = moved - (np.median(moved[before], axis=0) if before.any() else moved[0])
    length = np.hypot(*moved[track.peak_frame].T)
    leading = np.argsort(-length, kind="stable")[:LEADING]
    height = length[leading].mean()
    if height < STILL_MM:
        return np.zeros(len(time_ms))
    ahead = moved[track.peak_frame, leading] / np.maximum(length[leading, None], 1e-12)
    curve: Array = np.einsum("tri,ri->tr", moved[:, leading], ahead).mean(1) / height
    return curve


def _until_half(time_ms: Array, shape: Array) -> float:
    """Time from the peak (first entry) until the curve first is at half of it, at most `REACH_MS`.

    0 where nothing moves; where half is never reached, the time to the end of the clip.
    """
    if shape[0] == 0:
        return 0.0
    below = np.flatnonzero(shape <= 0.5)
    if len(below) == 0:
        return float(min(time_ms[-1], REACH_MS))
    i = int(below[0])
    before, after = shape[i - 1], shape[i]
    time = time_ms[i - 1] + (time_ms[i] - time_ms[i - 1]) * (before - 0.5) / (before - after)
    return float(min(time, REACH_MS))


def perceptual_hash(bgr: NDArray[np.uint8]) -> str:
    """64-bit perceptual hash of an image, 16 hex digits: signs of its lowest DCT coefficients (Zauner 2010).

    Args:
        bgr: uint8 (H, W, 3).
    """
    return bytes(cv2.img_hash.PHash.create().compute(bgr).ravel()).hex()


@dataclass
class _Session:
    clip: ClipContext

    def feed(self, frame: Frame) -> None:
        """Nothing is taken from single frames; the motion track holds it all."""

    def finish(self) -> Row:
        """The vector and the hashes; None in every cell without a face."""
        track = self.clip.motion
        if track is None:
            empty: dict[str, Value] = dict.fromkeys((*FEATURES, *HASHES))
            return Row(empty, notes=(("no_face", "no face in the first frames: its motion has no features"),))
        values: dict[str, Value] = dict(features(track))
        values["phash_first"] = perceptual_hash(track.reference_bgr)
        values["phash_peak"] = perceptual_hash(track.peak_bgr)
        return Row(values)


class MotionFeatures:
    """Annotator ``motion_features``."""

    name = "motion_features"
    version = "1"
    metrics = (
        *_flow_metrics(),
        *_regional_metrics(),
        *_phase_metrics(),
        Metric("phash_first", "", None, None, "none", "Perceptual hash of the first frame.", _PHASH, "text"),
        Metric("phash_peak", "", None, None, "none", "Perceptual hash of the peak frame.", _PHASH, "text"),
    )
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = True

    def start(self, clip: ClipContext) -> _Session:
        """Open a session."""
        return _Session(clip)
