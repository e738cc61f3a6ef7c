"""What an evaluation found, in one record: the measurement, and the comparison with a reference set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from equime.annotation.measurement import Measurement


@dataclass(frozen=True, kw_only=True)
class Evaluation(Measurement):
    """Everything that a report says, before any of it is put into words.

    Attributes:
        comparison: with a reference set (`comparison.SetComparison`), None where none was given.
        reference_path: of that set.
    """

    comparison: Any | None = None
    reference_path: str | None = None
