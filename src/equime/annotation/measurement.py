"""What measuring a set of clips gave, in one record: values, what failed, what was not run and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from equime.annotation.annotators import Metric
from equime.provenance import Provenance

if TYPE_CHECKING:
    import pandas as pd

    from equime.annotation.measure import ClipProblem

Kind = Literal["dataset", "videos", "frames"]

ID_COLUMNS = ("clip_id", "file", "subject_id", "emotion")
"""Columns of `Measurement.clips` that say which clip a row is; all others are measured or intended values."""


@dataclass(frozen=True)
class NotRun:
    """An annotator that was not computed.

    Attributes:
        annotator: its name.
        metrics: the columns that are therefore not there.
        reason: in words ("weights brisque are not there").
        next_step: what to type ("equime weights fetch brisque").
    """

    annotator: str
    metrics: tuple[str, ...]
    reason: str
    next_step: str


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """All values of a set of clips.

    Attributes:
        path: what was measured, as it was asked for.
        kind: an equime data set, video files, or folders of frames.
        clips: one row per clip found: `ID_COLUMNS`, then a column per metric, None or NaN where a clip has no
            value. Text and flags are of dtype object. The exact times of a Dataset's clips stand in
            ``intended_onset_ms``, ``intended_apex_ms`` and ``intended_offset_ms``.
        metrics: by column name.
        annotators: name to its columns, in the order of the registry.
        problems: clips, or annotators on clips, without a value.
        notes: (clip_id, annotator, code, message) of what a person should know of a clip.
        not_run: what was not computed, and how to get it.
        root: folder that ``clips.file`` is relative to.
        provenance: versions, commit and platform of the measuring.
        missing: annotators among ``not_run`` that were asked for by name.
    """

    path: str
    kind: Kind
    clips: pd.DataFrame
    metrics: dict[str, Metric]
    annotators: dict[str, tuple[str, ...]]
    problems: tuple[ClipProblem, ...]
    notes: tuple[tuple[str, str, str, str], ...]
    not_run: tuple[NotRun, ...]
    root: Path
    provenance: Provenance
    missing: tuple[str, ...] = ()
