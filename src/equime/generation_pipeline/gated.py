"""Clips of a generating renderer: made, judged by the adherence gate, and made again with other noise where refused.

The labels of an accepted clip are what was measured on it (`Shown`); what its spec intended is never one of them. Which
attempt is kept depends on the spec alone and not on what else is in the batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.generation_pipeline.adherence_records import Adherence, Measured
from equime.generation_pipeline.renderers import BadVideo, FaceInput, Generator
from equime.types import Attempt, AuPeak, Blink, ClipSpec, Phases, Shown

GATE: Final = "adherence/1"
"""Name and version of the gate; part of every clip id of a generating renderer."""

OF_MOVEMENT: Final = ("no_movement", "too_long", "wrong_time", "wrong_region")
"""Reasons that are no objection where the movement is the spec's by construction: then the gate's instruments, which do
not see movements below some tenths of a millimetre, are what is wrong."""

NOT_WHOLE: Final = "not_whole"
BAD_VIDEO: Final = "bad_video"

Made = tuple[int, Shown, NDArray[np.uint8] | None, float]


@dataclass(frozen=True)
class Try:
    """A clip to make: its spec, its face, and how many attempts earlier runs made."""

    spec: ClipSpec
    face: FaceInput
    tried: int = 0


def tries(renderer: Generator, asked: Sequence[Try]) -> Iterator[Made]:
    """Make clips until each is accepted or has used up its attempts.

    Yields:
        Position in ``asked``, what the attempt shows, its frames (uint8 (T, S, S, 3) RGB) where it is kept and None
        where it is refused, and the seconds that it took.

    Raises:
        MissingError, WorkError: the model cannot be loaded or run.
    """
    from equime.generation_pipeline.adherence import check_frames  # noqa: PLC0415

    renderer.load()
    waiting = [(i, item.tried) for i, item in enumerate(asked)]
    while waiting:
        again = []
        clips = [(asked[i].face, asked[i].spec, attempt) for i, attempt in waiting]
        started = time.perf_counter()
        for (i, attempt), video in zip(waiting, renderer.videos(clips), strict=True):
            kept = None
            if isinstance(video, BadVideo):
                shown = _shown(
                    renderer, asked[i].spec, attempt, accepted=False, reason=BAD_VIDEO, message=str(video)
                )
            else:
                shown = shown_of(check_frames(video, asked[i].spec), renderer, asked[i].spec, attempt)
                kept = video if shown.accepted or not renderer.gate_rejects else None
            yield i, shown, kept, time.perf_counter() - started
            started = time.perf_counter()  # what the caller did with the frames is not the model's time
            if kept is None and attempt + 1 < renderer.attempts:
                again.append((i, attempt + 1))
        waiting = again


def shown_of(found: Adherence, renderer: Generator, spec: ClipSpec, attempt: int) -> Shown:
    """What the gate measured, as the record of a clip keeps it."""
    measured, verdict = found.measured, found.verdict
    phases = phases_of(measured)
    accepted, message = verdict.accepted, verdict.message
    reason: str | None = verdict.reason
    if renderer.labels == "exact":
        if reason in OF_MOVEMENT:
            accepted, message = True, f"the movement is the spec's; the gate finds otherwise: {message}"
    elif accepted and phases is None and spec.phases is not None and found.intended.moves_skin:
        accepted, reason = False, NOT_WHOLE
        message = "the movement fits, but does not both begin and end within the clip"
    return _shown(
        renderer,
        spec,
        attempt,
        accepted=accepted,
        reason=None if accepted else reason,
        message=message,
        aus=peaks_of(measured),
        phases=phases,
        blinks=tuple(Blink(start_ms=a, duration_ms=b - a) for a, b in measured.blinks_ms),
        agreement=found.agreement,
        onset_error_ms=found.onset_error_ms,
        apex_error_ms=found.apex_error_ms,
    )


def _shown(renderer: Generator, spec: ClipSpec, attempt: int, **found: Any) -> Shown:
    """With where the attempt comes from."""
    seed, prompt = renderer.seed_of(spec, attempt), renderer.prompt_of(spec)
    return Shown(gate=GATE, attempt=attempt, seed=seed, prompt=prompt, **found)


def phases_of(measured: Measured) -> Phases | None:
    """Measured instants; None without a movement that begins, peaks and ends within the clip."""
    onset, apex, offset = measured.onset_ms, measured.apex_ms, measured.offset_ms
    if onset is None or apex is None or offset is None or not 0 <= onset < apex < offset:
        return None
    return Phases(onset_ms=onset, apex_ms=apex, hold_ms=0.0, offset_ms=offset)


def peaks_of(measured: Measured) -> tuple[AuPeak, ...]:
    """Measured AUs ("L12", "R12", "4") as peaks, ascending."""
    sides: dict[int, dict[str, float]] = {}
    for name, value in measured.aus.items():
        side = name[0] if name[0] in "LR" else ""
        sides.setdefault(int(name.removeprefix(side)), {})[side] = min(value, 5.0)
    return tuple(
        AuPeak(au=au, left=found.get("L", found.get("", 0.0)), right=found.get("R", found.get("", 0.0)))
        for au, found in sorted(sides.items())
    )


def attempt_of(clip_id: str, spec: ClipSpec, shown: Shown, seconds: float) -> Attempt:
    """The line of ``attempts.jsonl``."""
    return Attempt(
        clip_id=clip_id, spec_id=spec.spec_id, subject_id=spec.subject_id, emotion=spec.emotion,
        attempt=shown.attempt, accepted=shown.accepted, reason=shown.reason, message=shown.message,
        seconds=round(seconds, 2),
    )  # fmt: skip
