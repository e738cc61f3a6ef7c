"""Gates: which faces may carry a micro-expression, as configuration."""

from __future__ import annotations

from typing import Literal

from equime.types import Record


class Gates(Record):
    """Thresholds of the gates."""

    several_faces: Literal["largest", "reject"] = "reject"
