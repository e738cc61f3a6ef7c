"""Skin tone of the people of a data set, lightest first: what the strip and the histogram of the report show."""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from equime.evaluation_framework.audit.data import UNKNOWN, AuditData
from equime.evaluation_framework.audit.parity_command import numbers
from equime.evaluation_framework.audit.records import Skin

if TYPE_CHECKING:
    import pandas as pd

ITA: Final = "measured_ita_deg"
_COLUMNS: Final = (
    ITA, "measured_hue_deg", "measured_lightness", "measured_ita_group", "measured_monk", "measured_skin_srgb",
    "lighting_confidence",
)  # fmt: skip
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")


def skin(data: AuditData) -> tuple[Skin, ...]:
    """One row per person, by falling ITA; people without one last.

    Numbers are medians over the person's clips (of the Monk tone the lower median, of the colour one median per
    channel), the group is that of the clip whose ITA is next to the median. Columns that the data set has not are
    None; without any of them the result is empty.
    """
    there = [name for name in _COLUMNS if name in data.clips]
    if not there:
        return ()
    people = data.clips.sort_values("clip_id").groupby("subject_id", sort=True)
    rows = [_row(str(subject), clips) for subject, clips in people]
    return tuple(sorted(rows, key=lambda row: (row.ita_deg is None, -(row.ita_deg or 0.0), row.subject_id)))


def _row(subject_id: str, clips: pd.DataFrame) -> Skin:
    monk = _values(clips, "measured_monk")
    return Skin(
        subject_id=subject_id,
        ita_deg=_median(clips, ITA),
        hue_deg=_median(clips, "measured_hue_deg"),
        lightness=_median(clips, "measured_lightness"),
        group=_group(clips),
        monk=int(statistics.median_low(monk)) if monk else None,
        srgb=_colour(clips),
        confidence=_median(clips, "lighting_confidence"),
    )


def _values(clips: pd.DataFrame, name: str) -> list[float]:
    if name not in clips:
        return []
    found = numbers(clips[name])
    return [float(value) for value in found[~np.isnan(found)]]


def _median(clips: pd.DataFrame, name: str) -> float | None:
    values = _values(clips, name)
    return float(statistics.median(values)) if values else None


def _group(clips: pd.DataFrame) -> str | None:
    middle = _median(clips, ITA)
    if "measured_ita_group" not in clips or middle is None:
        return None
    distance = np.abs(numbers(clips[ITA]) - middle)
    group: Any = clips["measured_ita_group"].to_numpy(object)[int(np.nanargmin(distance))]
    return str(group) if isinstance(group, str) and group != UNKNOWN else None


def _colour(clips: pd.DataFrame) -> str | None:
    if "measured_skin_srgb" not in clips:
        return None
    texts = [v for v in clips["measured_skin_srgb"] if isinstance(v, str) and _COLOUR.fullmatch(v)]
    if not texts:
        return None
    channels = np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in texts])
    return "#" + "".join(f"{round(float(value)):02x}" for value in np.median(channels, axis=0))
