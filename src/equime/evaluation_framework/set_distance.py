"""Distances between two sets of clips with an interval and with what chance alone would give.

Clips of one subject are not independent. Intervals therefore resample whole subjects, and the null
distribution of a distance exchanges whole subjects between the two sets. A distance means little alone: the
null says how far two sets of these sizes lie apart when nothing but chance separates them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError
from equime.evaluation_framework.distribution import (
    NEIGHBOURS,
    Array,
    KernelPairs,
    checked,
    frechet_distance,
    ledoit_wolf,
    neighbour_shares,
)
from equime.evaluation_framework.statistics import MIN_SUBJECTS, Estimate, bootstrap_mean, widened
from equime.seeding import stream
from equime.types import Record

Index = NDArray[np.intp]

MAX_CLIPS: Final = 2000
"""Most clips per set for kernel and neighbours, whose memory grows with the square; more are drawn from."""


class Distance(Record, frozen=True):
    """A distance between two sets and what chance alone would give.

    Attributes:
        value: of all clips.
        low, high: interval for the expected distance of sets of these sizes, from resampling subjects within
            each set: the bootstrap's spread, laid around the value after its own mean was taken off (a plain
            percentile interval would add the bias of a small set once more), and its level widened as that of
            means. None with few subjects.
        null_median, null_high: median and ``level`` quantile of the distance after subjects were exchanged at
            random between the sets; None with few subjects.
        p_value: share of such exchanges (the observed one counted) that lie at least as far apart.
        n_measured, n_reference: clips that were used.
        n_subjects_measured, n_subjects_reference: different subjects among them.
        n_features: columns that were compared.
        shrinkage: share of the covariances' target, 0 for plain ones; None where there is no covariance.
        extrapolated: Frechet distance at infinite size; None where it cannot be told.
        level: of interval and null.
    """

    value: float
    low: float | None
    high: float | None
    null_median: float | None
    null_high: float | None
    p_value: float | None
    n_measured: int
    n_reference: int
    n_subjects_measured: int
    n_subjects_reference: int
    n_features: int
    shrinkage: float | None = None
    extrapolated: float | None = None
    level: float = 0.95


class Neighbours(Record, frozen=True):
    """How the two sets lie in each other, by the k nearest neighbours.

    Each is a mean over clips; intervals resample the subjects of those clips and hold the other set fixed.

    Attributes:
        precision: share of measured clips inside the reference's manifold, 0..1 (Kynkaanniemi et al. 2019).
        recall: share of reference clips inside the measured manifold, 0..1 (the same).
        density: reference balls that hold a measured clip, over k; 1 is as dense as the reference, can be more
            (Naeem et al. 2020). Unlike precision it is not raised by one outlier with a large ball.
        coverage: share of reference clips whose ball holds a measured clip, 0..1 (the same).
        k: nearest neighbour that sets the radius of a ball.
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate
    k: int


class Sets:
    """Two standardised sets with their subjects, and the resampling that all distances share.

    Args:
        measured, reference: (n, d) and (m, d), as `standardise` gives them.
        measured_subjects, reference_subjects: of each row.
        n_resamples: of the bootstrap and of the null.
        level: of interval and null.
        seed: of the named random streams.

    Raises:
        InputError: as `standardise`, or another number of subjects than rows.
    """

    def __init__(
        self,
        measured: Any,
        reference: Any,
        measured_subjects: Sequence[str],
        reference_subjects: Sequence[str],
        *,
        n_resamples: int = 200,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.x, self.y = checked(measured, "measured"), checked(reference, "reference")
        self.x_subjects, self.y_subjects = np.asarray(measured_subjects), np.asarray(reference_subjects)
        if len(self.x) != len(self.x_subjects) or len(self.y) != len(self.y_subjects):
            raise InputError(
                f"{len(self.x_subjects)} and {len(self.y_subjects)} subjects for "
                f"{len(self.x)} and {len(self.y)} clips; give one per clip"
            )
        self.n_resamples, self.level, self.seed = n_resamples, level, seed

    def frechet(self, *, shrink: bool = True) -> Distance:
        """`frechet_distance` with interval and null.

        Args:
            shrink: with no more clips than features in either set, shrink the covariances: both by the larger
                of their two Ledoit-Wolf shares, so that equal distributions stay equal, and by the same in all
                resamples. False gives the plain distance of any size, as FID and FVD are.
        """
        few = min(len(self.x), len(self.y)) <= self.x.shape[1]
        shrinkage = max(ledoit_wolf(self.x), ledoit_wolf(self.y)) if few and shrink else 0.0
        both = np.concatenate([self.x, self.y])

        def distance(a: Index, b: Index) -> float:
            return frechet_distance(both[a], both[b], shrinkage)

        extrapolated = None if few else self._extrapolated()
        return self._distance(
            both, lambda pairs: [distance(a, b) for a, b in pairs], 0.0, shrinkage, extrapolated
        )

    def kernel(self) -> Distance:
        """`kernel_distance` by subject with interval and null, over at most `MAX_CLIPS` of each set.

        Raises:
            InputError: a set with clips of one subject only.
        """
        small = self._thinned()
        both = np.concatenate([small.x, small.y])
        names = np.concatenate([small.x_subjects, small.y_subjects])
        pairs = KernelPairs(both, np.unique(names, return_inverse=True)[1])

        def distances(sets: list[tuple[Index, Index]]) -> list[float]:
            a, b = (np.array([np.bincount(s[i], minlength=len(both)) for s in sets], float) for i in (0, 1))
            return [float(v) for v in pairs.mmd2(a, b)]

        return small._distance(both, distances, -np.inf, None, None)

    def neighbours(self, k: int = NEIGHBOURS) -> Neighbours:
        """The four shares with intervals, over at most `MAX_CLIPS` of each set. Raises as `neighbour_shares`."""
        small = self._thinned()
        shares = neighbour_shares(small.x, small.y, k)
        subjects = {"precision": small.x_subjects, "density": small.x_subjects}
        return Neighbours(
            k=k,
            **{
                name: bootstrap_mean(
                    values.tolist(),
                    subjects.get(name, small.y_subjects).tolist(),
                    level=self.level,
                    seed=self.seed,
                )
                for name, values in shares.items()
            },
        )

    def _thinned(self) -> Sets:
        rng = stream(self.seed, "distribution", "subset")
        rows = [np.sort(rng.permutation(len(z))[:MAX_CLIPS]) for z in (self.x, self.y)]
        return Sets(
            self.x[rows[0]], self.y[rows[1]],
            self.x_subjects[rows[0]].tolist(), self.y_subjects[rows[1]].tolist(),
            n_resamples=self.n_resamples, level=self.level, seed=self.seed,
        )  # fmt: skip

    def _distance(
        self,
        both: Array,
        distances: Callable[[list[tuple[Index, Index]]], list[float]],
        lowest: float,
        shrinkage: float | None,
        extrapolated: float | None,
    ) -> Distance:
        """Value, interval and null of a distance of row numbers of ``both``."""
        n = len(self.x)
        value = distances([(np.arange(n), np.arange(n, len(both)))])[0]
        x_blocks, y_blocks = _blocks(self.x_subjects), _blocks(self.y_subjects, n)
        low = high = null_median = null_high = p_value = None
        if min(len(x_blocks), len(y_blocks)) >= MIN_SUBJECTS and self.n_resamples > 0:
            tail = (1 - widened(self.level, min(len(x_blocks), len(y_blocks)))) / 2
            drawn = np.array(distances(self._bootstrap(x_blocks, y_blocks)))
            bottom, top = np.quantile(drawn, [tail, 1 - tail])
            low = max(lowest, float(value + drawn.mean() - top))
            high = max(lowest, float(value + drawn.mean() - bottom))
            null = np.array(distances(self._exchanged(x_blocks, y_blocks)))
            null_median, null_high = (float(q) for q in np.quantile(null, [0.5, self.level]))
            p_value = float((1 + np.sum(null >= value)) / (1 + len(null)))
        return Distance(
            value=value, low=low, high=high, null_median=null_median, null_high=null_high, p_value=p_value,
            n_measured=n, n_reference=len(self.y), n_subjects_measured=len(x_blocks),
            n_subjects_reference=len(y_blocks), n_features=both.shape[1], shrinkage=shrinkage,
            extrapolated=extrapolated, level=self.level,
        )  # fmt: skip

    def _bootstrap(self, x_blocks: list[Index], y_blocks: list[Index]) -> list[tuple[Index, Index]]:
        """Subjects drawn with replacement within each set."""
        rng = stream(self.seed, "distribution", "bootstrap")

        def draw(blocks: list[Index]) -> Index:
            drawn = rng.integers(len(blocks), size=len(blocks))
            while (drawn == drawn[0]).all():  # One subject alone has no pairs; with 5 it is 1 draw in 625.
                drawn = rng.integers(len(blocks), size=len(blocks))
            return np.concatenate([blocks[i] for i in drawn])

        return [(draw(x_blocks), draw(y_blocks)) for _ in range(self.n_resamples)]

    def _exchanged(self, x_blocks: list[Index], y_blocks: list[Index]) -> list[tuple[Index, Index]]:
        """Subjects of both sets dealt out again, as many to each set as before."""
        rng = stream(self.seed, "distribution", "exchange")
        blocks, n = x_blocks + y_blocks, len(x_blocks)

        def deal() -> tuple[Index, Index]:
            order = rng.permutation(len(blocks))
            first, second = ([blocks[i] for i in part] for part in (order[:n], order[n:]))
            return np.concatenate(first), np.concatenate(second)

        return [deal() for _ in range(self.n_resamples)]

    def _extrapolated(self) -> float | None:
        """Frechet distance at infinite size: a line through values of smaller sets against 1 / size.

        Chong and Forsyth (2020), "Effectively unbiased FID". None with few subjects or where half a set would
        have fewer clips than features, as the bias is then not a line. It may be below 0.
        """
        x_blocks, y_blocks = _blocks(self.x_subjects), _blocks(self.y_subjects)
        enough = min(len(self.x), len(self.y)) >= 2 * self.x.shape[1] + 2
        if not enough or min(len(x_blocks), len(y_blocks)) < 2 * MIN_SUBJECTS:
            return None
        rng = stream(self.seed, "distribution", "extrapolation")
        inverse, values = [], []
        for share in np.repeat([0.5, 0.6, 0.7, 0.8, 0.9, 1.0], 5):
            a, b = (
                np.concatenate(
                    [blocks[i] for i in rng.permutation(len(blocks))[: round(share * len(blocks))]]
                )
                for blocks in (x_blocks, y_blocks)
            )
            inverse.append((len(self.x) / len(a) + len(self.y) / len(b)) / 2)
            values.append(frechet_distance(self.x[a], self.y[b]))
        slope = np.cov(inverse, values)[0, 1] / np.var(inverse, ddof=1)
        return float(np.mean(values) - slope * np.mean(inverse))


def _blocks(subjects: NDArray[Any], start: int = 0) -> list[Index]:
    """Row numbers of each subject, counted from ``start``."""
    codes = np.unique(subjects, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    return [part + start for part in np.split(order, np.cumsum(np.bincount(codes))[:-1])]
