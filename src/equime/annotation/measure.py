"""One clip, decoded once, past every annotator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equime.annotation.annotators import Annotator, ClipContext, Row, Session, Value
from equime.clip_sources import ClipSource
from equime.errors import EquimeError, WorkError
from equime.frames import Frame, open_frames

if TYPE_CHECKING:
    from equime.motion.session import MotionSession


@dataclass(frozen=True)
class ClipProblem:
    """Why a clip, or one annotator on it, gave no value.

    Attributes:
        clip_id, file: the clip.
        annotator: whose row is missing; "" where the whole clip cannot be read.
        code: stable name.
        message: what is there, what was expected, the next step.
    """

    clip_id: str
    file: str
    annotator: str
    code: str
    message: str


@dataclass(frozen=True)
class Measured:
    """What one pass over a clip gave.

    Attributes:
        rows: one per annotator that succeeded.
        problems: of the others, or of the whole clip.
        time_ms: presentation time of every frame.
    """

    rows: dict[str, Row]
    problems: tuple[ClipProblem, ...]
    time_ms: tuple[float, ...] = ()


def measure_clip(source: ClipSource, annotators: Sequence[Annotator], *, flow: str = "dis") -> Measured:
    """Feed every frame of a clip to every annotator.

    A clip that cannot be decoded gives a problem and no row; an annotator that fails gives a problem and the
    others go on.

    Args:
        source: the clip.
        annotators: decoded once for all of them.
        flow: optical flow of the motion analysis, "dis" or "tvl1".
    """
    run = _Run(source)
    time_ms: list[float] = []
    try:
        with open_frames(source) as stream:
            context = ClipContext(source, stream.info)
            sessions = run.start(annotators, context)
            motion = _motion(context, flow) if any(a.needs_motion for a in annotators) else None
            for frame in stream.frames:
                if motion is not None:
                    motion.feed(frame)
                run.feed(sessions, frame)
                time_ms.append(frame.time_ms)
        if not time_ms:
            raise WorkError(f"{source.file}: holds no frame; make it again or leave it out")
        if motion is not None:
            context.motion = motion.finish()
        rows = run.finish(sessions)
    except EquimeError as error:
        return Measured({}, (run.problem("", getattr(error, "code", "unreadable"), str(error)),))
    return Measured(rows, tuple(run.problems), tuple(time_ms))


def _motion(context: ClipContext, flow: str) -> MotionSession:
    """The motion analysis; its import takes a second, which most measurements need not wait for."""
    from equime.motion.session import MotionSession  # noqa: PLC0415

    return MotionSession(context, flow=flow)


class _Run:
    """The pass over one clip; an annotator that fails leaves it, with a problem in its place."""

    def __init__(self, source: ClipSource) -> None:
        self.source = source
        self.problems: list[ClipProblem] = []

    def problem(self, annotator: str, code: str, message: str) -> ClipProblem:
        return ClipProblem(self.source.clip_id, self.source.file, annotator, code, message)

    def start(self, annotators: Iterable[Annotator], context: ClipContext) -> dict[str, Session]:
        sessions = {}
        for annotator in annotators:
            try:
                sessions[annotator.name] = annotator.start(context)
            except Exception as error:
                self._failed(annotator.name, error)
        return sessions

    def feed(self, sessions: dict[str, Session], frame: Frame) -> None:
        for name, session in list(sessions.items()):
            try:
                session.feed(frame)
            except Exception as error:
                self._failed(name, error)
                del sessions[name]

    def finish(self, sessions: dict[str, Session]) -> dict[str, Row]:
        rows = {}
        for name, session in sessions.items():
            try:
                rows[name] = self._checked(name, session.finish())
            except Exception as error:
                self._failed(name, error)
        return rows

    def _checked(self, name: str, row: Row) -> Row:
        """The row with NaN and infinity replaced by None, each of them a problem."""
        values: dict[str, Value] = {}
        for metric, value in row.values.items():
            plain = value.item() if isinstance(value, np.generic) else value
            if isinstance(plain, float) and not np.isfinite(plain):
                text = f"{self.source.file}: {metric} is {plain}; look at the clip, and please report it"
                self.problems.append(self.problem(name, "not_a_number", text))
                plain = None
            values[metric] = plain
        return Row(values, row.frames, row.notes)

    def _failed(self, name: str, error: Exception) -> None:
        if isinstance(error, MemoryError):
            raise error
        code = getattr(error, "code", "failed")
        text = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, EquimeError):
            text = f"{self.source.file}: {name}: {type(error).__name__}: {text}"
        self.problems.append(self.problem(name, code, text))
