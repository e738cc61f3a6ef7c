"""Mechanisms of the expression: each node's value as a pure function of its parents and its noise.

Every function takes the values of the node's parents (and of nothing else), the node's recorded uniform
draws and the `Setting`, and returns the node's value. Where a number has no source it is an assumption and
is called one. The nodes that have no parents (blinks, head, camera) are in `confounders`.
"""

from __future__ import annotations

import bisect
import math
from typing import Final, NamedTuple

from equime.action_units import ACTION_UNITS, MAX_INTENSITY
from equime.errors import InputError
from equime.generation_pipeline.au_sets import AuSet
from equime.generation_pipeline.priors import POOLED_CORPUS, LogNormal, PhaseDurations, Priors
from equime.generation_pipeline.setting import (
    HALF_STEP,
    MAX_TOTAL_MS,
    MIN_FRAMES,
    STANDARD_NORMAL,
    Noise,
    Parents,
    Setting,
    margin_ms,
)
from equime.types import Declared

MIN_PHASE_MS: Final = 50.0
MIN_TOTAL_MS: Final = 130.0
"""Shortest drawn micro-expression: just over 3 frame intervals at 24 fps, so 3 frames show it at any fps."""

NOISE_AUS: Final = (
    1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27, 28, 43, 45,
    51, 52, 53, 54, 55, 56, 57, 58, 61, 62, 63, 64,
)  # fmt: skip
"""Order of the per-AU draws in the recorded noise. Append only: the position is the key."""
_NOISE_INDEX: Final = {au: i for i, au in enumerate(NOISE_AUS)}

CONTEMPT_UNILATERAL: Final = 0.85
"""Share of unilateral 14 in SAMM, where contempt is 14; for au-defined contempt (EMFACS R12+R14)."""
MAX_ASYMMETRY: Final = 0.1
"""Largest relative difference between the sides of a bilateral movement (assumption)."""
MAX_DELAY_SHARE: Final = 0.25
"""Largest delay of one AU's onset after another's, as a share of the rise (assumption)."""
MAX_HOLD_SHARE: Final = 0.25
"""Largest share of apex-to-offset that is held at the apex (assumption)."""
MAX_SHAPE_EXPONENT: Final = 1.25
"""Exponents of rise and decay are log-uniform between its inverse and it (assumption)."""


class PhaseValues(NamedTuple):
    """Value of the node phases, ms."""

    onset_ms: float
    onset_to_apex_ms: float
    apex_to_offset_ms: float


class ApexShape(NamedTuple):
    """Value of the node apex_shape."""

    hold_ms: float
    rise: float
    decay: float


def context(_: Parents, __: Noise, setting: Setting) -> dict[str, str]:
    """Declared groups of the face. No node has this one as a parent."""
    return declared_groups(setting.declared)


def declared_groups(declared: Declared) -> dict[str, str]:
    """Groups that a face declares: gender, age_group (decades), ethnicity and the source's extra columns."""
    groups = {**declared.extra, "gender": declared.gender}
    if declared.age is not None:
        decade = int(declared.age // 10) * 10
        groups["age_group"] = f"{decade}-{decade + 9}"
    if declared.ethnicity is not None:
        groups["ethnicity"] = declared.ethnicity
    return dict(sorted(groups.items()))


def label_semantics(_: Parents, u: Noise, setting: Setting) -> str:
    """Felt with probability ``p_felt``, else au-defined."""
    return "felt" if u[0] < setting.knowledge.p_felt else "au-defined"


def emotion(_: Parents, u: Noise, setting: Setting) -> str:
    """Uniform over the emotions of the priors and neutral; a design of experiments forces it instead."""
    emotions = setting.knowledge.priors.emotions
    return emotions[int(u[0] * len(emotions))]


def au_set(parents: Parents, u: Noise, setting: Setting) -> AuSet:
    """One of the emotion's AU sets under its label semantics."""
    cumulative, sets = setting.knowledge.sets[parents["label_semantics"], parents["emotion"]]
    return sets[min(bisect.bisect_right(cumulative, u[0]), len(sets) - 1)]


def laterality(parents: Parents, u: Noise, setting: Setting) -> dict[int, tuple[float, float]]:
    """Factor on the peak per side and AU: (1, 0) left only, (1, 0.94) slightly stronger on the left.

    ``u[0]`` picks the side for all unilateral AUs of the clip, ``u[1]`` decides au-defined contempt as a
    whole, the rest decides each AU and, where it is bilateral, how unequal its sides are.
    """
    one_sided = parents["emotion"] == "contempt" and parents["label_semantics"] == "au-defined"
    together = one_sided and u[1] < CONTEMPT_UNILATERAL
    sides = {}
    for au in parents["au_set"]:
        shares = setting.knowledge.priors.unilateral_share_per_au.get(str(au))
        central = not ACTION_UNITS[au].sided
        p = 0.0 if central or one_sided or shares is None else shares.unilateral
        draw = u[2 + _NOISE_INDEX[au]]
        if central:
            sides[au] = (1.0, 1.0)
        elif together or draw < p:
            p_left = 0.5 if shares is None or shares.left_of_unilateral is None else shares.left_of_unilateral
            sides[au] = (1.0, 0.0) if u[0] < (0.5 if together else p_left) else (0.0, 1.0)
        else:
            sides[au] = _unequal((draw - p) / (1 - p))
    return sides


def _unequal(draw: float) -> tuple[float, float]:
    tilt = MAX_ASYMMETRY * (2 * draw - 1)
    return (1.0, round(1 - tilt, 4)) if tilt >= 0 else (round(1 + tilt, 4), 1.0)


def intensity(parents: Parents, u: Noise, setting: Setting) -> dict[int, float]:
    """Peak per AU: letter from the priors, uniform inside the letter (A is 0.5 to 1.5, E 4.5 to 5)."""
    edges = setting.knowledge.letter_edges
    return {au: _from_letters(u[_NOISE_INDEX[au]], edges) for au in parents["au_set"]}


def _from_letters(draw: float, edges: tuple[float, ...]) -> float:
    i = min(bisect.bisect_right(edges, draw), len(edges) - 1)
    below = edges[i - 1] if i else 0.0
    low = i + 0.5
    width = min(low + 1, MAX_INTENSITY) - low
    return round(low + width * min((draw - below) / (edges[i] - below), 1.0), 3)


def phases(parents: Parents, u: Noise, setting: Setting) -> PhaseValues | None:
    """Durations from truncated log-normals, onset uniform within the clip; None without AUs."""
    if not parents["au_set"]:
        return None
    rise = onset_to_apex_ms(setting.knowledge.priors, parents["emotion"], u[0])
    fall = apex_to_offset_ms(setting.knowledge.priors, parents["emotion"], u[1], rise)
    return PhaseValues(_onset_ms(u[2], rise + fall, setting), rise, fall)


def force_phases(
    forced: dict[str, float], natural: PhaseValues | None, u: Noise, setting: Setting
) -> PhaseValues | None:
    """Phases with some parts forced; the onset keeps its relative position unless it is forced itself.

    Raises:
        InputError: where the forced micro-expression does not fit into the clip or spans too few frames.
    """
    if natural is None:
        return None
    rise = forced.get("onset_to_apex_ms", natural.onset_to_apex_ms)
    fall = forced.get("apex_to_offset_ms", natural.apex_to_offset_ms)
    frame_ms = 1000 / setting.fps
    if rise + fall <= MIN_FRAMES * frame_ms:
        raise InputError(
            f"do phases: {rise + fall:g} ms from onset to offset span fewer than {MIN_FRAMES} frames at "
            f"{setting.fps:g} fps; use more than {MIN_FRAMES * frame_ms:.0f} ms or a higher fps"
        )
    room = setting.duration_ms - 2 * margin_ms(setting.fps, setting.duration_ms)
    if "onset_ms" not in forced and rise + fall > room:
        raise InputError(
            f"do phases: {rise + fall:g} ms from onset to offset do not fit into a clip of "
            f"{setting.duration_ms:g} ms; at most {room:.0f} ms do, or use a longer clip"
        )
    onset = forced.get("onset_ms", _onset_ms(u[2], rise + fall, setting))
    if onset + rise + fall > setting.duration_ms - frame_ms:
        raise InputError(
            f"do phases: onset {onset:g} ms and {rise + fall:g} ms of movement end at "
            f"{onset + rise + fall:g} ms, after the last frame of a clip of {setting.duration_ms:g} ms; "
            "use an earlier onset_ms"
        )
    return PhaseValues(onset, rise, fall)


def onset_to_apex_ms(priors: Priors, emotion: str, draw: float) -> float:
    """Quantile ``draw`` of the rise, log-normal within 50..450 ms, which leaves room for the decay."""
    durations = _durations(priors, emotion)
    return _truncated(durations.onset_to_apex, draw, MIN_PHASE_MS, MAX_TOTAL_MS - MIN_PHASE_MS)


def apex_to_offset_ms(priors: Priors, emotion: str, draw: float, rise_ms: float) -> float:
    """Quantile ``draw`` of the decay, log-normal within what the duration criterion leaves after the rise."""
    low = max(MIN_PHASE_MS, MIN_TOTAL_MS - rise_ms)
    return _truncated(_durations(priors, emotion).apex_to_offset, draw, low, MAX_TOTAL_MS - rise_ms)


def _durations(priors: Priors, emotion: str) -> PhaseDurations:
    if emotion == "neutral":
        return priors.phase_durations[POOLED_CORPUS]
    return priors.phase_durations_per_emotion_DFME[emotion]


def _truncated(lognormal: LogNormal, draw: float, low: float, high: float) -> float:
    """Quantile of a log-normal truncated to ``low..high``, to 0.01 ms."""
    mu, sigma = lognormal.mu_log_ms, lognormal.sigma_log_ms
    p_low = STANDARD_NORMAL.cdf((math.log(low) - mu) / sigma)
    p_high = STANDARD_NORMAL.cdf((math.log(high) - mu) / sigma)
    p = p_low + (draw + HALF_STEP) * (p_high - p_low)
    value = math.exp(mu + sigma * STANDARD_NORMAL.inv_cdf(p))
    return round(min(max(value, low), high), 2)


def _onset_ms(draw: float, total_ms: float, setting: Setting) -> float:
    margin = margin_ms(setting.fps, setting.duration_ms)
    return round(margin + draw * (setting.duration_ms - 2 * margin - total_ms), 2)


def apex_shape(parents: Parents, u: Noise, _: Setting) -> ApexShape | None:
    """How long the apex is held and how steep rise and decay are; None without AUs."""
    timing: PhaseValues | None = parents["phases"]
    if timing is None:
        return None
    hold = round(MAX_HOLD_SHARE * u[0] * timing.apex_to_offset_ms, 2)
    return ApexShape(hold, _exponent(u[1]), _exponent(u[2]))


def _exponent(draw: float) -> float:
    return round(math.pow(MAX_SHAPE_EXPONENT, 2 * draw - 1), 4)


def asynchrony(parents: Parents, u: Noise, _: Setting) -> dict[int, float]:
    """Delay of each AU's onset after the clip's, ms; the earliest AU has none."""
    timing: PhaseValues | None = parents["phases"]
    if timing is None:
        return {}
    draws = {au: u[_NOISE_INDEX[au]] for au in parents["au_set"]}
    first = min(draws.values())
    scale = MAX_DELAY_SHARE * timing.onset_to_apex_ms
    return {au: round(scale * (draw - first), 2) for au, draw in draws.items()}
