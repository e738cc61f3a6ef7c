"""Means with n and a bootstrap interval by subject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from equime.types import Record


class Estimate(Record, frozen=True):
    """A mean with its uncertainty.

    Attributes:
        mean: of the clips' values.
        low, high: bounds of the interval; None where there are too few subjects for one.
        n: clips with a value.
        n_subjects: different subjects among them.
        level: of the interval, 0.95.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    n_subjects: int
    level: float = 0.95


def bootstrap_mean(
    values: Sequence[float | None] | Any,
    subjects: Sequence[str] | Any,
    *,
    n_boot: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Mean over clips with a percentile interval from resampling whole subjects."""
    raise NotImplementedError
