"""Motion tracks with known movement, made without a video."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from equime.drawn_face import describe_face
from equime.face.alignment import px_per_mm
from equime.motion.regions import crop_transform, region_masks
from equime.motion.track import REGIONS, MotionTrack

SIDE = 128
"""Of the analysis crop."""

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def triangle(onset_ms: float = 800, apex_ms: float = 1000, offset_ms: float = 1300) -> Curve:
    """0 until onset, straight to 1 at apex, straight to 0 at offset."""
    return lambda t: np.interp(t, [onset_ms, apex_ms, offset_ms], [0.0, 1.0, 0.0])


def at_apex(moved: dict[str, tuple[float, float]]) -> NDArray[np.float64]:
    """Displacement (R, 2) of the regions, mm to the subject's left and up."""
    return np.array([moved.get(region, (0.0, 0.0)) for region in REGIONS])


@cache
def _face() -> NDArray[np.float32]:
    """Landmarks (478, 3) of a drawn face, pixels of a 512 px picture."""
    return describe_face(0).landmarks(512)


def track(
    moved: dict[str, tuple[float, float]],
    curve: Curve | None = None,
    *,
    fps: float = 100.0,
    duration_s: float = 2.0,
    scale: float = 1.0,
    noise_mm: float = 0.0,
    seed: int = 0,
) -> MotionTrack:
    """A clip in which regions move as blocks.

    Args:
        moved: displacement at the apex, by region.
        curve: of time, 0..1; `triangle` by default.
        fps, duration_s: of the clip.
        scale: of the frame: 2 is a face of twice the size.
        noise_mm: standard deviation of the displacement of regions and pixels.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    landmarks = _face() * np.float32(scale)
    crop = crop_transform(landmarks, SIDE)
    per_mm = px_per_mm(landmarks)
    points = landmarks[:, :2] @ crop[:, :2].T + crop[:, 2]
    masks = region_masks(points, per_mm * np.hypot(*crop[0, :2]), SIDE)
    time_ms = np.arange(round(duration_s * fps)) * 1000 / fps
    height = (curve or triangle())(time_ms)
    regions = height[:, None, None] * at_apex(moved) + rng.normal(
        0, noise_mm, (len(time_ms), len(REGIONS), 2)
    )
    regions[0] = 0
    peak = int(np.argmax(height))
    flow = np.einsum("rhw,ri->hwi", masks.astype(float), regions[peak]) + rng.normal(
        0, noise_mm, (SIDE, SIDE, 2)
    )
    grey = np.full((8, 8, 3), 128, np.uint8)
    return MotionTrack(
        time_ms=time_ms,
        fps=fps,
        landmarks=landmarks[:, :2],
        px_per_mm=per_mm,
        displacement_mm=regions.astype(np.float32),
        magnitude_mm=np.hypot(regions[..., 0], regions[..., 1]).astype(np.float32),
        strain=(0.05 * np.hypot(regions[..., 0], regions[..., 1])).astype(np.float32),
        head=np.zeros((len(time_ms), 4), np.float32),
        aperture=np.ones((len(time_ms), 2), np.float32),
        change=np.zeros(len(time_ms), np.float32),
        peak_frame=peak,
        peak_flow_mm=flow.astype(np.float32),
        crop=crop,
        reference_bgr=grey,
        peak_bgr=grey,
    )


EXPRESSIONS: dict[str, dict[str, tuple[float, float]]] = {
    "happiness": {"mouth_left": (1.4, 1.4), "mouth_right": (-1.4, 1.4), "cheek_left": (0.2, 0.6), "cheek_right": (-0.2, 0.6)},
    "surprise": {"brow_left": (0.0, 1.5), "brow_right": (0.0, 1.5), "glabella": (0.0, 0.8)},
    "anger": {"brow_left": (-0.6, -0.9), "brow_right": (0.6, -0.9), "glabella": (0.0, -0.7)},
}  # fmt: skip
"""Displacements at the apex, roughly what AU 6+12, 1+2 and 4 do."""


def population(
    n_subjects: int, seed: int, *, amplitude: float = 1.0, reverse: bool = False
) -> list[tuple[str, str, MotionTrack]]:
    """(subject, emotion, track) of every expression of every subject.

    Amplitude and timing vary from clip to clip (fall longer than rise), amplitude also from subject to subject.

    Args:
        n_subjects: how many.
        seed: of all draws.
        amplitude: of every movement; 0 is a frozen clip.
        reverse: play the movement backwards.
    """
    rng = np.random.default_rng(seed)
    found = []
    for subject in range(n_subjects):
        of_subject = np.exp(rng.normal(0, 0.2))
        for emotion, moved in EXPRESSIONS.items():
            size = amplitude * of_subject * np.exp(rng.normal(0, 0.2))
            rise, fall = np.exp(rng.normal(np.log(120), 0.2)), np.exp(rng.normal(np.log(260), 0.2))
            times = (1000 - fall, 1000, 1000 + rise) if reverse else (1000 - rise, 1000, 1000 + fall)
            turned = {k: (size * x + rng.normal(0, 0.1) * size, size * y) for k, (x, y) in moved.items()}
            noise = 0.02 if amplitude else 0.0
            clip = track(turned, triangle(*times), fps=50, noise_mm=noise, seed=int(rng.integers(2**31)))
            found.append((f"s{seed}_{subject}", emotion, clip))
    return found
