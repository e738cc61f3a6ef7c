"""A figure that is never given without what it rests on."""

from __future__ import annotations

from equime.types import Record


class Interval(Record, frozen=True):
    """A figure with its interval and what it rests on.

    Attributes:
        value: None where it cannot be computed.
        low, high: bounds; None where there are too few subjects, or the value is None.
        n: clips that it rests on.
        n_subjects: people that it rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_subjects: int
