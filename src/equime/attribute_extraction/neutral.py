"""Which frames of a clip show the face at rest.

No annotation is needed. A face at rest stays where it is, so rest is a state that many frames share; but so is an
expression that is held. What tells them apart is that muscles only pull: seen from rest, every frame is a sum of
AUs with positive intensities; seen from an expression, the way back to rest is not. So the states in which the
face dwells are candidates, and the one is taken from which AUs explain the clip with the least energy left over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Unexplained = Callable[[F64, F64], float]
"""Frames (T, K) and a neutral (K,) to the energy that pulling muscles leave unexplained."""

DWELL_SHARE: Final = 0.2
"""A state in which the face dwells holds this share of the frames, near enough in time or not."""

_AT_LEAST: Final = 3
_N_SAMPLED: Final = 240
"""States are looked for in this many frames, evenly spread: cost does not grow with the square of a clip."""

_N_EXPLAINED: Final = 48
_N_CANDIDATES: Final = 3
_APART: Final = 3.0
_BETTER: Final = 0.8
"""A state is preferred to a denser one where it leaves less than this share of the energy."""

_WITHIN: Final = 2.0
"""Frames are at rest within this many radii of the state."""


@dataclass(frozen=True)
class Neutral:
    """The state at rest.

    Attributes:
        state: float64 (K,), median of the frames at rest.
        frames: bool (T,), which those are.
    """

    state: F64
    frames: NDArray[np.bool_]


def find_neutral(states: F64, usable: NDArray[np.bool_], unexplained: Unexplained) -> Neutral | None:
    """The state at rest of a clip.

    Args:
        states: (T, K), what the face does in each frame, linear in the displacement of its skin.
        usable: (T,), frames that were measured and in which nobody blinks.
        unexplained: how badly pulling muscles explain frames from a neutral.

    Returns:
        None where no frame is usable.
    """
    at = np.flatnonzero(usable)
    if not len(at):
        return None
    chosen = at[np.unique(np.linspace(0, len(at) - 1, min(len(at), _N_SAMPLED)).round().astype(int))]
    sample = states[chosen]
    candidates = _dwelling(sample)
    few = sample[
        np.unique(np.linspace(0, len(sample) - 1, min(len(sample), _N_EXPLAINED)).round().astype(int))
    ]
    left = [unexplained(few, state) for state, _ in candidates]
    best = 0
    for i in range(1, len(candidates)):
        if left[i] < _BETTER * left[best]:
            best = i
    state, radius = candidates[best]
    frames = np.zeros(len(states), np.bool_)
    frames[at] = np.linalg.norm(states[at] - state, axis=1) <= _WITHIN * radius
    if not frames.any():
        frames[at[np.argmin(np.linalg.norm(states[at] - state, axis=1))]] = True
    return Neutral(np.median(states[frames], axis=0), frames)


def _dwelling(sample: F64) -> list[tuple[F64, float]]:
    """(state, radius) of up to `_N_CANDIDATES` densest states, densest first, and that of the first frame: clips
    cut by hand begin at onset.

    A state is the median of the ball about a frame that holds `DWELL_SHARE` of all frames; radius is the ball's.
    """
    distance = np.linalg.norm(sample[:, None] - sample[None], axis=-1)
    n = min(len(sample), max(_AT_LEAST, round(DWELL_SHARE * len(sample))))
    radius = np.sort(distance, axis=1)[:, n - 1]
    apart = max(_APART * float(radius.min()), 1e-12)
    found: list[int] = []
    for i in np.argsort(radius, kind="stable"):
        if len(found) < _N_CANDIDATES and all(distance[i, j] > apart for j in found):
            found.append(int(i))
    if all(distance[0, j] > apart for j in found):
        found.append(0)
    return [(np.median(sample[distance[i] <= radius[i]], axis=0), float(radius[i])) for i in found]
