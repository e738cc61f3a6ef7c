"""Prediction for any clip: where it moves, what the movement resembles, which AUs it shows.

Onset, apex and offset are measured as `equime evaluate` measures them (`equime.motion`), or given. Of the onset and
the apex frame the recogniser's own input is made, with the settings that its card names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from equime.annotation.annotators import ClipContext
from equime.baselines.feature_clips import make
from equime.baselines.feature_frames import ClipError, frames_of
from equime.baselines.feature_options import ClipJob, FeatureOptions
from equime.baselines.shipped import Card, Shipped, list_shipped, load_shipped, usable
from equime.clip_sources import ClipSource, find_clips
from equime.coded import CodedClip
from equime.errors import InputError, MissingError
from equime.frames import FrameError, open_frames
from equime.motion.session import MotionSession
from equime.motion.spotting import MICRO_TOTAL_MS, Movement, find_events
from equime.motion.track import MotionTrack

PRESENT_FROM: Final = 0.5
"""Probability from which an AU counts as present where the card names no other."""
_TOLERANCE: Final = 0.01

NO_MOVEMENT: Final = "no movement found"
TOO_LONG: Final = "the movement is longer than a micro-expression"
NO_FACE: Final = "no face was found in the first frames; use a clip that shows one face, upright"


@dataclass(frozen=True)
class Moments:
    """Onset, apex and offset of a clip.

    Attributes:
        onset, apex, offset: numbers of the frames as they are named in a folder, indices from 0 in a video.
        onset_ms, apex_ms, offset_ms: from the clip's first frame; measured between frames where spotted.
        spotted: whether they were measured; else they were given.
        is_micro: whether the movement is as short as a micro-expression; None where that cannot be said.
        movement_mm: largest mean displacement of a facial region; None where only the lids move, or not measured.
    """

    onset: int
    apex: int
    offset: int | None
    onset_ms: float
    apex_ms: float
    offset_ms: float | None
    spotted: bool
    is_micro: bool | None = None
    movement_mm: float | None = None


@dataclass(frozen=True)
class Prediction:
    """What was found in one clip.

    Attributes:
        file: relative to what was asked for.
        clip_id: of the source.
        fps: of the clip; None where it could not be opened.
        subject_id: where the path says it.
        moments: None where nothing moved, or nothing could be read.
        label: the likeliest class; None without a movement or without a recogniser for classes.
        probabilities: class to probability.
        aus: AU to probability.
        present: AUs that count as present.
        recognisers: names of what was used.
        notes: what a person must know of this clip.
        problem: why there is no prediction, as code and message; None where there is one or nothing moved.
    """

    file: str
    clip_id: str
    fps: float | None = None
    subject_id: str | None = None
    moments: Moments | None = None
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    aus: dict[str, float] = field(default_factory=dict)
    present: tuple[str, ...] = ()
    recognisers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: tuple[str, str] | None = None


def choose_recognisers(names: Sequence[str] = (), folder: Path | None = None) -> list[Shipped]:
    """What to predict with: those named, else the first usable one for classes and the first for AUs.

    Raises:
        MissingError: none ships, or none that ships can run here.
        InputError: unknown name, or two for the same head.
    """
    if names:
        chosen = [load_shipped(name, folder) for name in names]
        heads = [shipped.card.head for shipped in chosen]
        if len(set(heads)) < len(heads):
            raise InputError(
                f"recognisers {', '.join(names)}: two with the head {heads[0]}; give at most one per head"
            )
        return chosen
    cards = list_shipped(folder)
    first: dict[str, Card] = {}
    reasons = []
    for card in cards:
        reason = usable(card)
        if reason is None:
            first.setdefault(card.head, card)
        else:
            reasons.append(f"{card.name} {reason}")
    if not first:
        why = "; ".join(reasons) or "no weights are in this installation"
        raise MissingError(f"no recogniser can be used: {why}; give one with --model FOLDER")
    return [load_shipped(card.name, folder) for card in first.values()]


def predict_paths(
    paths: Iterable[Path],
    recognisers: Sequence[Shipped],
    *,
    fps: float | None = None,
    onset: int | None = None,
    apex: int | None = None,
) -> Iterator[Prediction]:
    """Predictions for every clip at the paths, in order; what cannot be read is a prediction with a problem.

    Args:
        paths: videos, frame folders, folders of either, equime data sets.
        recognisers: see `choose_recognisers`.
        fps: of frame folders.
        onset, apex: frames (see `Moments`), both or neither; for one clip only.

    Raises:
        InputError: only one of onset and apex, the apex not after the onset, or more than one clip with them.
    """
    check_moments(onset, apex)
    found = [find_clips(path, fps=fps) for path in paths]
    n = sum(len(sources) for sources, _ in found)
    if onset is not None and n > 1:
        raise InputError(f"--onset and --apex: {n} clips are given, the frames can be those of one only")
    for sources, problems in found:
        for source in sources:
            yield predict_clip(source, recognisers, onset=onset, apex=apex)
        for problem in problems:
            yield Prediction(problem.file, "", problem=(problem.code, problem.message))


def check_moments(onset: int | None, apex: int | None) -> None:
    """Refuse what is no pair of frames. Raises InputError."""
    if (onset is None) != (apex is None):
        raise InputError("--onset and --apex belong together; give both, or neither to have them measured")
    if onset is not None and apex is not None and not 0 <= onset < apex:
        raise InputError(f"--onset {onset} --apex {apex}: the apex must come after the onset, both from 0 on")


def predict_clip(
    source: ClipSource, recognisers: Sequence[Shipped], *, onset: int | None = None, apex: int | None = None
) -> Prediction:
    """The prediction for one clip. Never raises for a bad clip."""
    empty = Prediction(source.file, source.clip_id, subject_id=source.subject_id)
    try:
        if onset is not None and apex is not None:
            return _given(empty, source, recognisers, onset, apex)
        return _spotted(empty, source, recognisers)
    except (FrameError, ClipError) as error:
        return replace(empty, problem=(error.code, str(error)))


def _given(
    empty: Prediction, source: ClipSource, recognisers: Sequence[Shipped], onset: int, apex: int
) -> Prediction:
    with open_frames(source) as stream:
        fps = stream.info.fps
    first = min(frames_of(_coded(source, fps, onset, apex), source.path).numbers(), default=0)
    step = 1000.0 / fps
    moments = Moments(
        onset, apex, None, (onset - first) * step, (apex - first) * step, None, spotted=False
    )  # fmt: skip
    return _recognised(replace(empty, fps=fps, moments=moments), source, recognisers)


def _spotted(empty: Prediction, source: ClipSource, recognisers: Sequence[Shipped]) -> Prediction:
    with open_frames(source) as stream:
        fps = stream.info.fps
        session = MotionSession(ClipContext(source, stream.info))
        for frame in stream.frames:
            session.feed(frame)
    track = session.finish()
    empty = replace(empty, fps=fps)
    if track is None:
        return replace(empty, problem=("no_face", NO_FACE))
    events = find_events(track.time_ms, track.displacement_mm, track.aperture)
    if not events:
        return replace(empty, notes=(NO_MOVEMENT,))
    moments, notes = moments_of(track, events[0])
    numbers = frames_of(_coded(source, fps, 0, 1), source.path).numbers()
    moments = _renumbered(moments, numbers)
    if len(events) > 1:
        notes = (*notes, f"{len(events)} movements found; this is the strongest")
    return _recognised(replace(empty, moments=moments, notes=notes), source, recognisers)


def moments_of(track: MotionTrack, event: Movement) -> tuple[Moments, tuple[str, ...]]:
    """Frames of a movement as positions in the clip, and what must be said of it.

    Onset is the first frame after the instant of onset, offset the last before that of offset, as
    `equime.types.FrameTiming` counts them.
    """
    time_ms = track.time_ms
    slack = _TOLERANCE * float(np.median(np.diff(time_ms)))
    notes = []
    apex = int(np.argmin(np.abs(time_ms - event.apex_ms)))
    onset, onset_ms, offset, offset_ms = 0, 0.0, None, event.offset_ms
    if event.onset_ms is None:
        notes.append("the movement begins before the clip; its first frame is taken for the onset")
    else:
        onset, onset_ms = int(np.searchsorted(time_ms, event.onset_ms + slack)), event.onset_ms
    if offset_ms is None:
        notes.append("the movement goes on when the clip ends")
    else:
        offset = int(np.searchsorted(time_ms, offset_ms - slack)) - 1
    if event.is_micro is False:
        notes.append(f"{TOO_LONG} (over {MICRO_TOTAL_MS:.0f} ms)")
    if event.eyes_only:
        notes.append("only the lids move")
    apex = max(apex, 1)
    onset = min(onset, apex - 1)
    moments = Moments(
        onset, apex, offset, onset_ms, event.apex_ms, offset_ms, True, event.is_micro, event.peak_mm
    )
    return moments, tuple(notes)


def _renumbered(moments: Moments, numbers: Sequence[int]) -> Moments:
    """Positions as the numbers that frames have in their folder."""

    def named(at: int | None) -> int | None:
        return None if at is None else numbers[min(max(at, 0), len(numbers) - 1)]

    onset, apex = named(moments.onset), named(moments.apex)
    assert onset is not None
    assert apex is not None
    return replace(moments, onset=onset, apex=apex, offset=named(moments.offset))


def _recognised(found: Prediction, source: ClipSource, recognisers: Sequence[Shipped]) -> Prediction:
    moments = found.moments
    assert moments is not None
    clip = _coded(source, found.fps or 1.0, moments.onset, moments.apex, moments.offset)
    for shipped in recognisers:
        job = ClipJob(clip, str(source.path), FeatureOptions.of(dict(shipped.card.features)), shared=True)
        made = make(job, [shipped.card.input])[shipped.card.input.key]
        if made.array is None:
            return replace(found, problem=made.notes[-1])
        p = [float(v) for v in shipped.fitted.probabilities(made.array[None])[0]]
        named = dict(zip(shipped.card.outputs, p, strict=True))
        if shipped.card.head == "emotion":
            found = replace(found, label=max(named, key=lambda name: named[name]), probabilities=named)
        else:
            limits = shipped.card.thresholds
            present = tuple(au for au, v in named.items() if v >= limits.get(au, PRESENT_FROM))
            found = replace(found, aus=named, present=present)
    return replace(found, recognisers=tuple(shipped.card.name for shipped in recognisers))


def _coded(source: ClipSource, fps: float, onset: int, apex: int, offset: int | None = None) -> CodedClip:
    return CodedClip(
        clip_id=source.clip_id,
        corpus="clip",
        subject_id=source.subject_id or "unknown",
        name=source.file,
        fps=fps,
        file=source.file,
        kind="video" if source.kind == "video" else "frames",
        onset=onset,
        apex=apex,
        offset=offset,
    )
