"""Group means at equal command, their intervals, permutation test and detectable gap, of many outcomes at once.

With the command's basis ``B``, ``M = I - B B'`` and groups ``D`` (n, G), the group effects ``g`` solve
``D'M D g = D'M y``. Everything that is needed of the clips are sums per person, so shuffling the groups of 2000
times costs a product of small matrices and not 2000 regressions.

Interval: people are resampled with all their clips, and each carries its score: what it adds to the solution
(Kline & Santos, Journal of Econometric Methods 1, 2012). Residuals are divided by ``sqrt(1 - leverage)`` first
(Davison & Hinkley 1997, 6.2): with two people to an expression they would else be half as large as they should be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.evaluation_framework.audit.parity_command import Command
from equime.evaluation_framework.statistics import MAX_RESAMPLED, widened
from equime.seeding import stream

F64 = NDArray[np.float64]
Ints = NDArray[np.intp]

POWER: Final = 0.8
P_VALUE: Final = 0.05
MAX_INFLATION: Final = 4.0
"""Where the command tells the groups apart so well that the variance of their difference is more than this many
times that of shuffled groups, they are not compared."""

_CELLS: Final = 4_000_000


@dataclass(frozen=True)
class Design:
    """Who is in which group and what was commanded, of the clips that have a value.

    Attributes:
        subject: int (n,), person of each clip, 0 to S - 1.
        group: int (S,), group of each person, 0 to G - 1.
        command: of the clips.
        n_clips: float64 (S,), clips of each person.
        command_sums: (S, r), sums of the basis per person; sparse for twins.
    """

    subject: Ints
    group: Ints
    command: Command
    n_clips: F64
    command_sums: Any

    @classmethod
    def of(cls, subject: Ints, group: Ints, command: Command) -> Design:
        """The design with its sums."""
        from scipy import sparse  # noqa: PLC0415

        n, n_people = subject.size, group.size
        by_person = sparse.csr_array((np.ones(n), (subject, np.arange(n))), shape=(n_people, n))
        return cls(
            subject, group, command, np.bincount(subject, minlength=n_people).astype(np.float64),
            by_person @ command.basis,
        )  # fmt: skip

    @property
    def n_groups(self) -> int:
        """G."""
        return int(self.group.max()) + 1

    def sums(self, values: F64) -> F64:
        """Sums per person (S, k) of values (n, k)."""
        n_people = self.group.size
        return np.stack([np.bincount(self.subject, column, n_people) for column in values.T], axis=1)

    def indicators(self) -> F64:
        """Clips by group, 0 or 1, float64 (n, G)."""
        return np.eye(self.n_groups)[self.group[self.subject]]


@dataclass(frozen=True)
class Fit:
    """Group means of k outcomes.

    Attributes:
        means: float64 (G, k), at the command of all clips.
        residuals: float64 (n, k).
        inverse: float64 (G, G), of the normal equations.
        scores: float64 (S, G, k), what each person adds to the means.
        identified: False where the command tells the groups apart completely.
    """

    means: F64
    residuals: F64
    inverse: F64
    scores: F64
    identified: bool


def fit(design: Design, values: F64) -> Fit:
    """Group means of values (n, k) at equal command."""
    y = design.command.without(values)
    d = design.command.without(design.indicators())
    solution, inverse, identified = next(_solutions(design, design.group[None], design.sums(y)))
    effects = solution[0]
    residuals = y - d @ effects
    wide = residuals / np.sqrt(np.maximum(1 - design.command.leverage, 1e-9))[:, None]
    scores = np.stack([design.sums(d * r[:, None]) @ inverse[0] for r in wide.T], axis=2)
    scores += design.sums(wide)[:, None, :] / design.subject.size
    return Fit(values.mean(0) + effects, residuals, inverse[0], scores, bool(identified[0]))


def _solutions(design: Design, labels: Ints, right: F64) -> Iterator[tuple[F64, F64, NDArray[np.bool_]]]:
    """Group effects (P, G, k), inverse (P, G, G) and whether it exists, some labellings (P, S) at a time.

    Effects add up to 0 over clips.
    """
    n_people, n_groups = design.group.size, design.n_groups
    width = n_groups * (n_people + design.command_sums.shape[1])
    at_once = max(1, _CELLS // width)
    for start in range(0, len(labels), at_once):
        some = labels[start : start + at_once]
        one_hot = (some[:, None, :] == np.arange(n_groups)[:, None]).astype(np.float64)
        flat = one_hot.reshape(-1, n_people)
        counts = (flat @ design.n_clips).reshape(len(some), n_groups)
        inner = np.asarray((design.command_sums.T @ flat.T).T).reshape(len(some), n_groups, -1)
        normal = counts[:, :, None] * np.eye(n_groups) - inner @ inner.transpose(0, 2, 1)
        normal += counts[:, :, None] * counts[:, None, :] / design.subject.size
        scale = np.sqrt(counts)
        values, vectors = np.linalg.eigh(normal / (scale[:, :, None] * scale[:, None, :]))
        there = values > 1e-8
        kept = np.where(there, 1 / np.where(there, values, 1), 0)
        inverse = (vectors * kept[:, None, :]) @ vectors.transpose(0, 2, 1)
        inverse /= scale[:, :, None] * scale[:, None, :]
        effects = inverse @ (flat @ right).reshape(len(some), n_groups, -1)
        yield effects, inverse, np.asarray(there.all(axis=1))


@dataclass(frozen=True)
class Shuffled:
    """What group effects are when the groups are shuffled among people.

    Attributes:
        outcomes: float64 (P, G, k), of the values.
        noise: float64 (P, G, k), of the residuals: as if no group differed.
        shifts: float64 (P, G, G), of a shift by 1 of one true group (last axis).
        inflation: variance of the difference of the true groups over its median when shuffled, at least 1, for
            the pair where it is largest. Above 1 where a group was commanded other expressions than the others.
    """

    outcomes: F64
    noise: F64
    shifts: F64
    inflation: float


def shuffled(design: Design, found: Fit, values: F64, n_permutations: int, seed: int, name: str) -> Shuffled:
    """Group effects under ``n_permutations`` random labellings of the people."""
    random = stream(seed, "parity", "permutation", name)
    labels = np.stack([random.permutation(design.group) for _ in range(n_permutations)])
    k = values.shape[1]
    noise = design.sums(found.residuals)
    # Residuals about G means, and shuffling without replacement, leave out this much of the variance.
    noise *= math.sqrt((design.group.size - 1) / max(1, design.group.size - design.n_groups))
    right = [
        design.sums(design.command.without(values)),
        noise,
        design.sums(design.command.without(design.indicators())),
    ]
    effects, variances = [], []
    for solution, inverse, _ in _solutions(design, labels, np.concatenate(right, axis=1)):
        effects.append(solution)
        variances.append(_pair_variances(inverse))
    joined = np.concatenate(effects)
    usual = np.median(np.concatenate(variances), axis=0)
    ratio = _pair_variances(found.inverse[None])[0] / usual
    inflation = float(max(1.0, ratio.max())) if found.identified else math.inf
    return Shuffled(joined[..., :k], joined[..., k : 2 * k], joined[..., 2 * k :], inflation)


def _pair_variances(inverse: F64) -> F64:
    """Variance factor of the difference of every pair of groups: (P, pairs)."""
    first, second = np.triu_indices(inverse.shape[-1], 1)
    diagonal = np.einsum("pgg->pg", inverse)
    return np.asarray(diagonal[:, first] + diagonal[:, second] - 2 * inverse[:, first, second])


def p_value(gap: float, null: F64, inflation: float) -> float:
    """Share of shuffled groups (P, G) whose largest gap is at least this one, the true labelling counted."""
    largest = np.ptp(np.ascontiguousarray(null.T), axis=0) * math.sqrt(inflation)
    return float((1 + (largest >= gap * (1 - 1e-9)).sum()) / (len(null) + 1))


def detectable(noise: F64, shifts: F64, inflation: float) -> float | None:
    """Smallest shift of one group that gives p < 0.05 in 80 of 100 cases, whichever group it is.

    A true shift also widens what shuffled groups show, which matters with few people. So the gap that is just
    significant is found first: the one that shuffled groups of such data pass in 5 of 100 cases. The shift is the
    one with which noise leads to a larger gap than that in 80 of 100.

    Args:
        noise: (P, G), shuffled group effects where no group differs.
        shifts: (P, G, G), shuffled group effects of a shift by 1 of one group (last axis).
        inflation: as `Shuffled` has it.

    Returns:
        In the unit of the outcome; None where no shift is found however large it is.
    """
    wide = np.ascontiguousarray(noise.T) * math.sqrt(inflation)
    apart = np.ascontiguousarray(shifts.transpose(2, 1, 0))
    found = [_smallest(wide, shift, own) for shift, own in zip(apart, np.eye(len(wide)), strict=True)]
    return None if None in found else max(size for size in found if size is not None)


def _smallest(noise: F64, shift: F64, group: F64) -> float | None:
    """Of noise (G, P), its widening by a shift of 1 (G, P), and which group is shifted (G,)."""
    limit = _first(lambda size: size - _limit(noise + size * shift), _limit(noise))
    if limit is None:
        return None
    moved = group[:, None]
    return _first(lambda size: float((np.ptp(noise + size * moved, axis=0) > limit).mean()) - POWER, limit)


def _limit(null: F64) -> float:
    """The gap that has to be passed for p < 0.05, given shuffled effects (G, P)."""
    gaps = np.ptp(null, axis=0)
    n_above = max(1, math.ceil(P_VALUE * (gaps.size + 1)) - 1)
    return float(np.partition(gaps, gaps.size - n_above)[gaps.size - n_above])


def _first(rising: Callable[[float], float], scale: float) -> float | None:
    """Where a function of a size turns from below 0, to 0.4 %; None where it does not up to 64 ``scale``."""
    sizes = [scale * 2**i for i in range(7)]
    high: float | None = next((size for size in sizes if rising(size) >= 0), None)
    if high is None or high == 0:
        return None
    low = high / 2 if high > scale else 0.0
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) >= 0 else (middle, high)
    return high


class Resampled:
    """Intervals of linear figures from resampling whole people; one draw for all outcomes of a design.

    Args:
        n_people: S.
        n_boot: resamples; with more than `MAX_RESAMPLED` people the interval is normal, as in `statistics`.
        level: of the intervals.
        seed: of the draw.
        name: of the design.
    """

    def __init__(self, n_people: int, n_boot: int, level: float, seed: int, name: str) -> None:
        self.level, self._weights = level, None
        if n_people <= MAX_RESAMPLED:
            random = stream(seed, "parity", "bootstrap", name)
            drawn = random.multinomial(n_people, np.full(n_people, 1 / n_people), size=n_boot)
            self._weights = drawn - 1.0

    def interval(self, value: float, scores: F64, n_people: int) -> tuple[float, float]:
        """Bounds of a figure to which every person adds its score (S,), resting on ``n_people`` of them."""
        if self._weights is None:
            reach = NormalDist().inv_cdf((1 + self.level) / 2) * math.sqrt(float((scores**2).sum()))
            return value - reach, value + reach
        tail = (1 - widened(self.level, n_people)) / 2
        low, high = np.quantile(value + self._weights @ scores, (tail, 1 - tail))
        return float(low), float(high)
