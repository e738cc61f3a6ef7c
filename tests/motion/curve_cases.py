"""Synthetic regional movement with known timing: a bump of one's own in some regions, noise, drift and blinks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equime.motion.track import REGIONS, MotionTrack

F64 = NDArray[np.float64]


def smooth_bump(time_ms: F64, onset: float, apex: float, offset: float, power: float = 1.0) -> F64:
    """Rises to 1 and falls along the solution of the minimum-jerk problem, to a power; zero outside."""

    def s(x: F64) -> F64:
        x = np.clip(x, 0, 1)
        return (6 * x**5 - 15 * x**4 + 10 * x**3) ** power

    return np.where(
        time_ms < apex, s((time_ms - onset) / (apex - onset)), s((offset - time_ms) / (offset - apex))
    )


def closing(time_ms: F64, start: float, duration: float, depth: float = 1.0) -> F64:
    """Aperture (T, 2) of a blink: closed after a third of the duration."""
    bump = smooth_bump(time_ms, start, start + duration / 3, start + duration)
    return np.repeat(1.0 - depth * bump[:, None], 2, axis=1)


class Curves:
    """A clip's curves at rest, with noise as the motion analysis has it; add to it what should move."""

    def __init__(self, fps: float, duration_ms: float, seed: int = 0, noise_mm: float = 0.012) -> None:
        rng = np.random.Generator(np.random.PCG64(seed))
        self.fps = fps
        self.time_ms = np.arange(0, duration_ms, 1000 / fps)
        self.displacement = rng.normal(0, noise_mm, (len(self.time_ms), len(REGIONS), 2))
        self.aperture = np.ones((len(self.time_ms), 2)) + rng.normal(0, 0.005, (len(self.time_ms), 2))

    def move(self, region: str, mm: tuple[float, float], curve: F64) -> Curves:
        self.displacement[:, REGIONS.index(region)] += curve[:, None] * np.array(mm)
        return self

    def drift(self, mm: float, period_ms: float = 5000.0) -> Curves:
        for i in range(len(REGIONS)):
            self.displacement[:, i] += mm * np.sin(2 * np.pi * self.time_ms / period_ms + i)[:, None]
        return self

    def blink(self, start: float, duration: float, depth: float = 1.0) -> Curves:
        self.aperture *= closing(self.time_ms, start, duration, depth)
        for name, share in (("eye_right", 2.0), ("eye_left", 2.0), ("glabella", 0.2), ("cheek_left", 0.25)):
            self.move(name, (0.0, -share), 1.0 - closing(self.time_ms, start, duration, depth)[:, 0])
        return self

    @property
    def arguments(self) -> tuple[F64, NDArray[np.float32], NDArray[np.float32]]:
        return self.time_ms, self.displacement.astype(np.float32), self.aperture.astype(np.float32)

    def track(self) -> MotionTrack:
        n = len(self.time_ms)
        time_ms, displacement, aperture = self.arguments
        blank = np.zeros((8, 8, 3), np.uint8)
        head = np.zeros((n, 4), np.float32)
        head[:, 0] = np.linspace(0, 3, n)
        head[:, 1] = np.linspace(0, -4, n)
        return MotionTrack(
            time_ms=time_ms, fps=self.fps, landmarks=np.zeros((478, 2), np.float32), px_per_mm=2.0,
            displacement_mm=displacement, magnitude_mm=np.linalg.norm(displacement, axis=2).astype(np.float32),
            strain=np.zeros((n, len(REGIONS)), np.float32), head=head, aperture=aperture,
            change=np.zeros(n, np.float32), peak_frame=0, peak_flow_mm=np.zeros((8, 8, 2), np.float32),
            crop=np.eye(2, 3), reference_bgr=blank, peak_bgr=blank,
        )  # fmt: skip
