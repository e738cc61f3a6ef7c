"""What one training pair shows: a pure function of seed, recipe and number.

Nothing is rendered here, so the records of a finished set can be written, and a broken run continued, without
looking at a picture. Every section of the recipe draws from a stream of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equime.action_units import ACTION_UNITS, MAX_INTENSITY, Side, letter
from equime.coded import THREE, AuCode
from equime.generation_pipeline.pair_recipe import Group, Recipe
from equime.generation_pipeline.pair_sections import CoderNoise
from equime.generation_pipeline.priors import default_priors
from equime.generation_pipeline.trajectory import Trajectory
from equime.seeding import stream

BLINK_AU: Final = 45
_GOLDEN: Final = (5**0.5 - 1) / 2
_TRIES: Final = 200


class Peak(NamedTuple):
    """One AU at the peak, each side as a fraction of its maximum."""

    au: int
    left: float
    right: float


@dataclass(frozen=True)
class PairPlan:
    """One pair.

    Attributes:
        label: one of `THREE`.
        emotion: of the group it was drawn from.
        source: of that group.
        peaks: coded AUs.
        uncoded: AUs that nobody coded.
        onset, apex: shares of the peak that the two frames show.
        lids: closure 0..1 by a blink in progress, at onset and apex.
        gaze_deg: (2, 2) yaw and pitch of both frames.
        head: (2, 6) of both frames, `HEAD_AXES`.
    """

    label: str
    emotion: str
    source: str
    peaks: tuple[Peak, ...]
    uncoded: tuple[Peak, ...]
    onset: float
    apex: float
    lids: tuple[float, float]
    gaze_deg: NDArray[np.float32]
    head: NDArray[np.float32]

    def track(self) -> Trajectory:
        """The two instants as a trajectory of two frames."""
        moving = {p.au: (p.left, p.right) for p in self.peaks}
        aus = sorted({*moving, *(p.au for p in self.uncoded), BLINK_AU})
        curve = np.zeros((2, len(aus), 2), np.float32)
        for au, sides in moving.items():
            curve[:, aus.index(au)] = np.outer([self.onset, self.apex], sides) * MAX_INTENSITY
        for p in self.uncoded:
            curve[1, aus.index(p.au)] = MAX_INTENSITY * np.array([p.left, p.right])
        curve[:, aus.index(BLINK_AU)] = MAX_INTENSITY * np.array(self.lids)[:, None]
        return Trajectory(
            time_ms=np.array([0.0, 200.0]),
            aus=tuple(aus),
            curve=curve,
            gaze_deg=self.gaze_deg,
            head=self.head,
            light=np.ones(2, np.float32),
        )

    def codes(self) -> tuple[AuCode, ...]:
        """What a coder would write: each AU with its side and the letter of what the apex frame shows."""
        out = []
        for peak in self.peaks:
            side: Side = "left" if not peak.right else "right" if not peak.left else "both"
            shown = MAX_INTENSITY * self.apex * max(peak.left, peak.right)
            out.append(AuCode(au=peak.au, side=side, letter=letter(shown)))
        return tuple(out)


def label_of(recipe: Recipe, number: int) -> str:
    """Class of a pair: a golden-ratio sequence over the shares, balanced in every stretch and for every face."""
    shares = np.array([recipe.classes[name].share if name in recipe.classes else 0.0 for name in THREE])
    at = ((number + 1) * _GOLDEN) % 1.0
    return THREE[int(np.searchsorted(np.cumsum(shares / shares.sum()), at, side="right"))]


def plan_pair(recipe: Recipe, seed: int, number: int) -> PairPlan:
    """The plan of pair ``number``."""

    def rng(section: str) -> np.random.Generator:
        return stream(seed, "pair", number, section)

    label = label_of(recipe, number)
    draw = rng("aus")
    group = _choose(recipe.classes[label].groups, draw)
    aus = _aus(group, draw)
    apex, onset = 1.0, 0.0
    if recipe.timing.on:
        draw = rng("timing")
        apex, onset = draw.uniform(*recipe.timing.apex), draw.uniform(*recipe.timing.onset)
    return PairPlan(
        label=label,
        emotion=group.emotion,
        source=group.source,
        peaks=_peaks(recipe, group, aus, rng("intensity"), rng("sides")),
        uncoded=_uncoded(recipe.coder_noise, aus, rng("coder noise")),
        onset=float(onset),
        apex=float(apex),
        lids=_lids(recipe, rng("blink")),
        gaze_deg=_gaze(recipe, rng("gaze"), rng("pose gaze")),
        head=_head(recipe, rng("head"), rng("pose")),
    )


def _choose(groups: Sequence[Group], rng: np.random.Generator) -> Group:
    weights = np.array([group.weight for group in groups])
    return groups[int(rng.choice(len(groups), p=weights / weights.sum()))]


def _aus(group: Group, rng: np.random.Generator) -> tuple[int, ...]:
    """An AU set of a group; empty draws are repeated, and after many the likeliest AU is taken."""
    for _ in range(_TRIES):
        found: set[int] = set()
        if group.sets:
            weights = np.array([s.weight for s in group.sets])
            found.update(group.sets[int(rng.choice(len(weights), p=weights / weights.sum()))].aus)
        found.update(int(au) for au, p in sorted(group.aus.items()) if rng.random() < p)
        if found:
            return tuple(sorted(found))
    return (int(max(group.aus, key=lambda au: group.aus[au])),)


def _peaks(
    recipe: Recipe, group: Group, aus: tuple[int, ...], rng: np.random.Generator, sides: np.random.Generator
) -> tuple[Peak, ...]:
    low, high = recipe.intensity.fraction
    fraction = rng.uniform(low, high) if recipe.intensity.on else 0.5 * (low + high)
    # One side for all of a pair's one-sided AUs, as the causal model draws them.
    leans_left = sides.random()
    out = []
    for au in aus:
        strength = fraction * (rng.uniform(*recipe.intensity.per_au) if recipe.intensity.on else 1.0)
        factors = _sides(recipe, group, au, leans_left, sides) if recipe.sides.on else (1.0, 1.0)
        out.append(Peak(au, *(float(min(strength, 1.0) * f) for f in factors)))
    return tuple(out)


def _sides(
    recipe: Recipe, group: Group, au: int, leans_left: float, rng: np.random.Generator
) -> tuple[float, float]:
    one_sided, weaker, which = rng.random(3)
    if not ACTION_UNITS[au].sided:
        return 1.0, 1.0
    shares = default_priors().unilateral_share_per_au.get(str(au))
    p = group.unilateral.get(str(au), shares.unilateral if shares else 0.0)
    p_left = shares.left_of_unilateral if shares and shares.left_of_unilateral is not None else 0.5
    if one_sided < p:
        return (1.0, 0.0) if leans_left < p_left else (0.0, 1.0)
    other = 1.0 - recipe.sides.imbalance * weaker
    return (1.0, other) if which < 0.5 else (other, 1.0)


def _uncoded(noise: CoderNoise, aus: tuple[int, ...], rng: np.random.Generator) -> tuple[Peak, ...]:
    free = [au for au in noise.aus if au not in aus]
    if not noise.on or not free or rng.random() >= noise.p:
        return ()
    au, strength = int(rng.choice(free)), float(rng.uniform(*noise.fraction))
    left, right = ((1, 1), (1, 0), (0, 1))[int(rng.integers(3))] if ACTION_UNITS[au].sided else (1, 1)
    return (Peak(au, strength * left, strength * right),)


def _lids(recipe: Recipe, rng: np.random.Generator) -> tuple[float, float]:
    """Lids at onset and apex: mostly one of the frames falls into the blink, at times both."""
    happens, both, apex_first = rng.random(3)
    first, second = (float(v) for v in rng.uniform(0.05, 1.0, 2))
    if not recipe.blink.on or happens >= recipe.blink.p:
        return 0.0, 0.0
    if both < 0.25:
        return first, second
    return (0.0, first) if apex_first < 0.65 else (first, 0.0)


def _gaze(recipe: Recipe, rng: np.random.Generator, pose: np.random.Generator) -> NDArray[np.float32]:
    gaze = np.zeros((2, 2))
    if recipe.pose.on:
        gaze += recipe.pose.gaze_deg * np.clip(pose.standard_normal(2), -2, 2)
    if recipe.gaze.on and rng.random() < recipe.gaze.p:
        gaze[1] += recipe.gaze.sd_deg * np.clip(rng.standard_normal(2), -3, 3)
    return gaze.astype(np.float32)


def _head(recipe: Recipe, rng: np.random.Generator, pose: np.random.Generator) -> NDArray[np.float32]:
    head = np.zeros((2, 6))
    if recipe.pose.on:
        sds = np.array([recipe.pose.yaw_deg, recipe.pose.pitch_deg])
        head[:, :2] += sds * np.clip(pose.standard_normal(2), -2, 2)
    if recipe.head.on:
        h = recipe.head
        sds = np.array([h.turn_deg, h.turn_deg, h.roll_deg, h.shift_mm, h.shift_mm, h.towards_mm])
        # Scaled to unit variance; a tail beyond six standard deviations would be a macro movement of the head.
        t = rng.standard_t(h.tail_df, 6) * np.sqrt((h.tail_df - 2) / h.tail_df)
        head[1] += sds * np.clip(t, -6, 6)
    return head.astype(np.float32)
