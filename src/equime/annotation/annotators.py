"""What an annotator is: (frames, clip) to one typed row, with everything a reader needs to know of a number.

An annotator is stateless and describes its metrics; `Annotator.start` opens a session for one clip, which is
fed every frame once, in order, and then gives its row. A clip is decoded once for all annotators. Sessions
hold no frames beyond the few that their method needs, so memory does not grow with the length of a clip.

A new annotator is its module, one line in `equime.registry.ANNOTATORS` and its test; the contract tests in
``tests/evaluation_framework/test_contract.py`` run over every registered one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from equime.clip_sources import ClipSource
from equime.frames import Frame, StreamInfo
from equime.motion.track import MotionTrack

Value = float | int | bool | str | None
"""A cell of a table. None is "does not apply to this clip"; never a sentinel number, never NaN."""

Direction = Literal["higher", "lower", "none"]
Type = Literal["real", "whole", "text", "flag"]


@dataclass(frozen=True)
class Metric:
    """One column of an annotator's table.

    Attributes:
        name: of the column; ends in its unit where it has one (``psnr_consecutive_db``).
        unit: "dB", "px", "mm", "ms", "1" for a pure number, "" for text and flags.
        low, high: smallest and largest possible value, None where there is no bound.
        direction: which way is better; "none" where neither is.
        meaning: one sentence for a researcher who has not met it.
        reference: paper, standard or program that defines it.
        type: of the cells.
        per_frame: whether the session also gives its value per frame.
    """

    name: str
    unit: str
    low: float | None
    high: float | None
    direction: Direction
    meaning: str
    reference: str
    type: Type = "real"
    per_frame: bool = False


@dataclass
class ClipContext:
    """What a session may look at beside the frames.

    Attributes:
        source: the clip, with the Dataset's records where it has any.
        info: of the opened stream.
        motion: set before `Session.finish` is called, for annotators with ``needs_motion``; None where no face
            was found in the first frames.
    """

    source: ClipSource
    info: StreamInfo
    motion: MotionTrack | None = None


@dataclass(frozen=True)
class Row:
    """What a session measured.

    Attributes:
        values: a cell for every metric of the annotator, None where it does not apply.
        frames: per-frame values, float (T,) per metric with ``per_frame``; NaN where a frame has none.
        notes: (code, message) of what a person should know of this clip (a fallback reference, no face).
            A note is not an error; it is counted in the report.
    """

    values: dict[str, Value]
    frames: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()


class Session(Protocol):
    """The measuring of one clip."""

    def feed(self, frame: Frame) -> None:
        """Take the next frame; it may be kept only by copying what is needed of it."""
        ...

    def finish(self) -> Row:
        """The clip's row, after the last frame."""
        ...


class Annotator(Protocol):
    """One table.

    Attributes:
        name: of the table and in `equime.registry.ANNOTATORS`.
        version: raised whenever a value can change; rows of another version are measured again.
        metrics: its columns.
        weights: names in `equime.weights.WEIGHTS` without which it cannot run.
        packages: module names of extras without which it cannot run.
        needs_motion: whether `ClipContext.motion` must be there.
    """

    name: str
    version: str
    metrics: tuple[Metric, ...]
    weights: tuple[str, ...]
    packages: tuple[str, ...]
    needs_motion: bool

    def start(self, clip: ClipContext) -> Session:
        """Open a session.

        Raises:
            WorkError: where this clip cannot be measured by it; the message names the file.
        """
        ...
