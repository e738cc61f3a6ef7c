"""Long videos in intent: several micro-expressions on one face, among everything that is mistaken for them.

A long video is one `ClipSpec` without an expression (blinks, gaze, head, light and sensor noise over the whole
duration, from the causal model) and a list of events. Micro-expressions are draws of the causal model, moved to their
place. Macro-expressions are such draws too, stronger and slower: the same AUs. Speech is a train of mouth movements as
short as micro-expressions, and head turns are the codes 51 to 58. No event overlaps another; blinks, gaze and the sway
of the head go on underneath all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np

from equime.action_units import MAX_INTENSITY
from equime.errors import InputError
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.setting import MAX_DURATION_MS, STANDARD_NORMAL
from equime.generation_pipeline.trajectory import Trajectory, trajectory
from equime.seeding import content_id, stream
from equime.types import AuPeak, ClipSpec, Face, Phases, Record

EventKind = Literal["micro", "macro", "speech", "head"]

DURATION_S: Final = (10.0, MAX_DURATION_MS / 1000)

MACRO_ONSET_MS: Final = 463.0
MACRO_TOTAL_MS: Final = 1074.0
"""Medians of macro-expressions; between those of CAS(ME)^2 (462, 1,033) and SAMM Long Videos (465, 1,115)."""
MACRO_SIGMA: Final = 0.35
MACRO_RANGE_MS: Final = (620.0, 3000.0)
MACRO_RISE_SHARE: Final = (0.2, 0.7)
MACRO_PEAK: Final = (2.5, 5.0)
"""Log-normal spread, limits, and peaks from FACS C to E (assumptions)."""

SPEECH_MS: Final = (600.0, 2200.0)
SYLLABLE_MS: Final = (170.0, 290.0)
SPEECH_AUS: Final = (25, 26, 18, 22, 20)
SPEECH_PEAK: Final = (0.6, 2.6)
"""Four to six syllables a second, each with one or two movements of lips and jaw (assumptions)."""

HEAD_CODES: Final = (51, 52, 53, 54, 55, 56)
HEAD_MS: Final = (500.0, 1400.0)
HEAD_PEAK: Final = (0.75, 3.0)
"""Turns, nods and tilts of 1.5 to 6 degrees and back (assumption)."""

EDGE_MS: Final = 700.0
GAP_MS: Final = 450.0
"""Neutral time before the first event and after the last, and between two of them."""

_SOURCE_MS: Final = 6000.0


class Rates(Record, frozen=True):
    """Events per minute; a video of d seconds holds ``round(rate * d / 60)`` of each kind."""

    micro: float = 6.0
    macro: float = 6.0
    speech: float = 3.0
    head: float = 4.0

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            InputError: naming every rate outside of 0 to 30.
        """
        bad = [f"{name} {value:g}" for name, value in self.items() if not 0 <= value <= 30]
        if bad:
            raise InputError(f"events per minute: {', '.join(bad)} is outside 0 to 30")

    def items(self) -> list[tuple[EventKind, float]]:
        """Kind and rate."""
        return [("micro", self.micro), ("macro", self.macro), ("speech", self.speech), ("head", self.head)]

    def counts(self, duration_s: float) -> dict[EventKind, int]:
        """How many events of each kind a video holds."""
        return {kind: round(rate * duration_s / 60) for kind, rate in self.items()}


class Part(Record, frozen=True):
    """One smooth movement of an event.

    Attributes:
        aus: peaks.
        phases: ms from the start of the video.
    """

    aus: tuple[AuPeak, ...]
    phases: Phases


class LongEvent(Record, frozen=True):
    """Something the face does.

    Attributes:
        kind: micro- or macro-expression, or a distractor.
        emotion: of an expression; "" of a distractor.
        parts: one; the syllables of speech.
    """

    kind: EventKind
    emotion: str
    parts: tuple[Part, ...]

    @property
    def start_ms(self) -> float:
        """First instant of movement."""
        return min(part.phases.onset_ms for part in self.parts)

    @property
    def end_ms(self) -> float:
        """First instant of rest afterwards."""
        return max(part.phases.offset_ms for part in self.parts)


class LongPlan(Record, frozen=True):
    """One long video in intent.

    Attributes:
        plan_id: content id of everything else in the record.
        number: of the video in its set, from 0.
        spec: blinks, gaze, head, light, noise and format; a neutral clip.
        events: in order of time.
    """

    plan_id: str
    number: int
    spec: ClipSpec
    events: tuple[LongEvent, ...]


class EventFrames(Record, frozen=True):
    """Frames that show an event: the first and last with any movement, and that of the largest."""

    onset: int
    apex: int
    offset: int


def plan_long_video(
    model: CausalModel,
    face: Face,
    number: int,
    *,
    seed: int,
    duration_s: float = 30.0,
    fps: float = 30.0,
    size_px: int = 256,
    rates: Rates | None = None,
) -> LongPlan:
    """Draw one long video; the same arguments give the same plan.

    Args:
        model: draws expressions and confounders.
        face: whose face.
        number: of the video in its set; videos of one face differ by it.
        seed: of all randomness.
        duration_s: 10 to 60 s.
        fps: frames per second, 24 to 500.
        size_px: side of the picture, even.
        rates: events per minute.

    Raises:
        InputError: format out of range, or more events than fit into the duration.
    """
    if not DURATION_S[0] <= duration_s <= DURATION_S[1]:
        low, high = DURATION_S
        raise InputError(
            f"duration {duration_s:g} s is outside {low:g} to {high:g} s; use for example --duration 30"
        )
    counts = (rates or Rates()).counts(duration_s)
    spec = model.sample(
        face, seed, do={"emotion": "neutral"}, replicate=number, sequence=number + 1, fps=fps,
        duration_ms=duration_s * 1000, size_px=size_px,
    )  # fmt: skip
    draw = _Draw(model, face, seed, number, fps)
    events = [draw.event(kind, i) for kind, n in counts.items() for i in range(n)]
    plan = LongPlan(
        plan_id="", number=number, spec=spec, events=tuple(draw.placed(events, duration_s * 1000))
    )
    return msgspec.structs.replace(plan, plan_id=content_id(plan))


class _Draw:
    """Draws of one video; every event has a stream of its own."""

    def __init__(self, model: CausalModel, face: Face, seed: int, number: int, fps: float) -> None:
        self.model, self.face, self.seed, self.number, self.fps = model, face, seed, number, fps
        self.emotions = tuple(e for e in model.priors.emotions if e != "neutral")

    def random(self, *names: str | int) -> np.random.Generator:
        return stream(self.seed, "long video", self.face.face_id, self.number, *names)

    def event(self, kind: EventKind, i: int) -> LongEvent:
        """An event that starts at 0 ms."""
        random = self.random(kind, i)
        if kind == "speech":
            return LongEvent(kind=kind, emotion="", parts=tuple(_syllables(random)))
        if kind == "head":
            return LongEvent(kind=kind, emotion="", parts=(_head_turn(random),))
        emotion = self.emotions[int(random.integers(len(self.emotions)))]
        part = self._expression(kind, i, emotion)
        return LongEvent(
            kind=kind, emotion=emotion, parts=(_macro(part, random) if kind == "macro" else part,)
        )

    def _expression(self, kind: EventKind, i: int, emotion: str) -> Part:
        """A micro-expression as the causal model draws it."""
        spec = self.model.sample(
            self.face, int(self.random(kind, i, "noise").integers(2**31)), do={"emotion": emotion},
            fps=self.fps, duration_ms=_SOURCE_MS,
        )  # fmt: skip
        assert spec.phases is not None
        return Part(aus=spec.aus, phases=_moved(spec.phases, -spec.phases.onset_ms))

    def placed(self, events: Sequence[LongEvent], duration_ms: float) -> list[LongEvent]:
        """The events in random order, the time left over divided at random between them."""
        random = self.random("order")
        ordered = [events[i] for i in random.permutation(len(events))]
        busy = sum(event.end_ms - event.start_ms for event in ordered)
        free = duration_ms - 2 * EDGE_MS - busy - GAP_MS * max(0, len(ordered) - 1)
        if free < 0:
            raise InputError(
                f"{len(ordered)} events need {(duration_ms - free) / 1000:.1f} s, the video lasts "
                f"{duration_ms / 1000:g} s; ask for fewer events per minute"
            )
        shares = random.dirichlet(np.ones(len(ordered) + 1))
        at, out = EDGE_MS, []
        for event, share in zip(ordered, shares, strict=False):
            at += float(share) * free
            out.append(_event_moved(event, round(at - event.start_ms, 2)))
            at += event.end_ms - event.start_ms + GAP_MS
        return out


def _macro(part: Part, random: np.random.Generator) -> Part:
    """The same AUs and sides, stronger and slower."""
    total = _log_normal(random, MACRO_TOTAL_MS, MACRO_RANGE_MS)
    low, high = (share * total for share in MACRO_RISE_SHARE)
    apex = _log_normal(random, MACRO_ONSET_MS, (low, high))
    stretch = apex / part.phases.apex_ms
    top = float(random.uniform(*MACRO_PEAK))
    gain = top / max(max(peak.left, peak.right) for peak in part.aus)
    aus = tuple(
        AuPeak(
            au=peak.au,
            left=round(min(MAX_INTENSITY, gain * peak.left), 3),
            right=round(min(MAX_INTENSITY, gain * peak.right), 3),
            delay_ms=round(stretch * peak.delay_ms, 2),
        )
        for peak in part.aus
    )
    hold = round(float(random.uniform(0.0, 0.5)) * (total - apex), 2)
    phases = Phases(
        onset_ms=0.0,
        apex_ms=apex,
        hold_ms=hold,
        offset_ms=total,
        rise=part.phases.rise,
        decay=part.phases.decay,
    )
    return Part(aus=aus, phases=phases)


def _log_normal(random: np.random.Generator, median: float, limits: tuple[float, float]) -> float:
    """Log-normal with `MACRO_SIGMA`, cut to limits by its quantiles."""
    low, high = (STANDARD_NORMAL.cdf(math.log(limit / median) / MACRO_SIGMA) for limit in limits)
    z = STANDARD_NORMAL.inv_cdf(low + float(random.uniform(1e-6, 1 - 1e-6)) * (high - low))
    return round(min(max(median * math.exp(MACRO_SIGMA * z), limits[0]), limits[1]), 2)


def _syllables(random: np.random.Generator) -> list[Part]:
    """Opening and closing of the mouth, again and again; neighbours touch."""
    end, at, parts = float(random.uniform(*SPEECH_MS)), 0.0, []
    while at < end:
        length = round(float(random.uniform(*SYLLABLE_MS)), 2)
        numbers = random.permutation(len(SPEECH_AUS))[: int(random.integers(1, 3))]
        peaks = sorted((SPEECH_AUS[i], round(float(random.uniform(*SPEECH_PEAK)), 3)) for i in numbers)
        apex = round(at + length * float(random.uniform(0.35, 0.6)), 2)
        parts.append(
            Part(
                aus=tuple(AuPeak(au=au, left=value, right=value) for au, value in peaks),
                phases=Phases(onset_ms=at, apex_ms=apex, hold_ms=0.0, offset_ms=round(at + length, 2)),
            )
        )
        at = round(at + length * float(random.uniform(0.75, 1.0)), 2)
    return parts


def _head_turn(random: np.random.Generator) -> Part:
    code, peak = (
        HEAD_CODES[int(random.integers(len(HEAD_CODES)))],
        round(float(random.uniform(*HEAD_PEAK)), 3),
    )
    total = round(float(random.uniform(*HEAD_MS)), 2)
    apex = round(total * float(random.uniform(0.35, 0.6)), 2)
    return Part(
        aus=(AuPeak(au=code, left=peak, right=peak),),
        phases=Phases(onset_ms=0.0, apex_ms=apex, hold_ms=0.0, offset_ms=total),
    )


def _moved(phases: Phases, by_ms: float) -> Phases:
    return msgspec.structs.replace(
        phases,
        onset_ms=round(phases.onset_ms + by_ms, 2),
        apex_ms=round(phases.apex_ms + by_ms, 2),
        offset_ms=round(phases.offset_ms + by_ms, 2),
    )


def _event_moved(event: LongEvent, by_ms: float) -> LongEvent:
    parts = tuple(msgspec.structs.replace(part, phases=_moved(part.phases, by_ms)) for part in event.parts)
    return msgspec.structs.replace(event, parts=parts)


def long_trajectory(plan: LongPlan) -> Trajectory:
    """The exact curves of a long video: what the spec does, and the events added to it (at most 5 per AU)."""
    base = trajectory(plan.spec)
    aus = sorted(
        {*base.aus, *(peak.au for event in plan.events for part in event.parts for peak in part.aus)}
    )
    curve = np.zeros((len(base.time_ms), len(aus), 2), np.float32)
    gaze, head = base.gaze_deg.copy(), base.head.copy()
    for track in (base, *(_part_track(plan.spec, part) for event in plan.events for part in event.parts)):
        for column, au in enumerate(track.aus):
            curve[:, aus.index(au)] += track.curve[:, column]
        if track is not base:
            gaze += track.gaze_deg
            head += track.head
    np.minimum(curve, np.float32(MAX_INTENSITY), out=curve)
    return Trajectory(
        time_ms=base.time_ms, aus=tuple(aus), curve=curve, gaze_deg=gaze, head=head, light=base.light
    )


def event_frames(plan: LongPlan, event: LongEvent) -> EventFrames:
    """Frames of an event, by the same rule as `trajectory.frame_timing`.

    Raises:
        InputError: where no frame shows it.
    """
    total = sum(_part_track(plan.spec, part).curve.sum(axis=(1, 2), dtype=np.float64) for part in event.parts)
    shown = np.flatnonzero(total)
    if not len(shown):
        raise InputError(
            f"no frame at {plan.spec.fps:g} fps shows the {event.kind} of {event.start_ms:g} ms; raise fps"
        )
    return EventFrames(onset=int(shown[0]), apex=int(np.argmax(total)), offset=int(shown[-1]))


def _part_track(spec: ClipSpec, part: Part) -> Trajectory:
    """The curves of one movement alone."""
    alone = msgspec.structs.replace(
        spec, aus=part.aus, phases=part.phases, blinks=(), gaze=(), head=(), emotion="neutral"
    )
    return trajectory(alone)
