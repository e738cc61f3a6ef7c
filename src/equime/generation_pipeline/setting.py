"""What every mechanism may look at beside its parents and its noise: the priors, the clip's format, the face.

Here too: the limits of that format, and the check that speaks before anything is drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Final

from equime.action_units import LETTERS
from equime.errors import InputError
from equime.generation_pipeline.au_sets import AuSet, weighted_sets
from equime.generation_pipeline.priors import Priors
from equime.types import Declared

Parents = Mapping[str, Any]
Noise = Sequence[float]

MIN_FPS: Final = 24.0
MAX_FPS: Final = 500.0
MIN_SIZE_PX: Final = 64
MAX_SIZE_PX: Final = 4096
MAX_DURATION_MS: Final = 60_000.0
MIN_FRAMES: Final = 3
"""A micro-expression spans at least this many frames."""
MAX_TOTAL_MS: Final = 500.0
"""Duration criterion of a micro-expression (Yan et al. 2013)."""

STANDARD_NORMAL: Final = NormalDist()
HALF_STEP: Final = 5e-7
"""Recorded draws are the lower ends of steps of 1e-6; the middle of the step keeps quantiles finite."""


@dataclass(frozen=True)
class Knowledge:
    """The causal model's parameters, with their lookup tables.

    Attributes:
        priors: the validated priors.
        p_felt: probability of the felt label semantics, 0..1.
        sets: (label semantics, emotion) to cumulative probabilities and AU sets.
        letter_edges: cumulative shares of the intensity letters A to E.
    """

    priors: Priors
    p_felt: float
    sets: Mapping[tuple[str, str], tuple[list[float], list[AuSet]]]
    letter_edges: tuple[float, ...]

    @classmethod
    def of(cls, priors: Priors, p_felt: float) -> Knowledge:
        """Tables of these priors."""
        shares = [priors.intensity_letters_SAMM[letter] for letter in LETTERS]
        tables = {}
        for semantics in ("au-defined", "felt"):
            for emotion in priors.emotions:
                weighted = weighted_sets(priors, semantics, emotion)
                cumulative = list(itertools.accumulate(weight for _, weight in weighted))
                tables[semantics, emotion] = cumulative, [aus for aus, _ in weighted]
        edges = tuple(itertools.accumulate(share / sum(shares) for share in shares))
        return cls(priors, p_felt, tables, edges)


@dataclass(frozen=True)
class Setting:
    """Of one clip.

    Attributes:
        knowledge: of the model.
        fps, duration_ms: format of the clip.
        declared: attributes of the face, read by the context node only.
    """

    knowledge: Knowledge
    fps: float
    duration_ms: float
    declared: Declared = field(default_factory=Declared)


def margin_ms(fps: float, duration_ms: float) -> float:
    """Neutral time kept before the onset and after the offset: a tenth of the clip, 2 frames to 300 ms."""
    return max(2000 / fps, min(300.0, 0.1 * duration_ms))


def min_duration_ms(fps: float) -> float:
    """Shortest clip that holds the longest micro-expression and the margins at both ends."""
    return max(MAX_TOTAL_MS / 0.8, MAX_TOTAL_MS + 4000 / fps)


def validate_clip_format(fps: float, duration_ms: float, size_px: int) -> None:
    """Check a clip's format before anything is drawn.

    Raises:
        InputError: with every problem: value, allowed range and next step, one per line.
    """
    problems = []
    if not MIN_FPS <= fps <= MAX_FPS:
        why = f"; below {MIN_FPS:g} fps a micro-expression spans fewer than {MIN_FRAMES} frames"
        problems.append(
            f"fps {fps:g} is outside {MIN_FPS:g} to {MAX_FPS:g}{why if fps < MIN_FPS else ''}; "
            f"use --fps {MIN_FPS if not fps > MAX_FPS else MAX_FPS:g}"
        )
    shortest = min_duration_ms(fps if fps >= MIN_FPS else MIN_FPS)
    if not shortest <= duration_ms <= MAX_DURATION_MS:
        problems.append(
            f"duration {duration_ms / 1000:g} s is outside {shortest / 1000:.3f} to "
            f"{MAX_DURATION_MS / 1000:g} s; a clip holds a micro-expression of up to {MAX_TOTAL_MS:g} ms and "
            "neutral frames before and after; use for example --duration 6"
        )
    if size_px % 2 or not MIN_SIZE_PX <= size_px <= MAX_SIZE_PX:
        problems.append(
            f"size {size_px} px is not an even number from {MIN_SIZE_PX} to {MAX_SIZE_PX}; "
            "use for example --size 512"
        )
    if problems:
        raise InputError("\n".join(problems))
