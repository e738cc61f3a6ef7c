"""Spotting: where in a long video the face shows micro- and macro-expressions. The baseline that learns nothing.

`RegionalSpotter` looks at the displacement of eleven facial regions (`spotting_signal`), head motion taken off:

1. What a region does is its distance from its own running median; its noise is measured on the video itself (median
   absolute deviation). A region moves above ``sigma`` times its noise, and never below ``least_mm``.
2. A movement lasts as long as any region stays above half of that (hysteresis). Around the eyes the level is doubled
   during a blink, which drags the skin along; the eyes themselves are not looked at.
3. Onset, apex and offset come from the core's fit of a smooth bump (`equime.motion.spotting.fit_bump`) to the
   displacements projected on their pattern at the peak.
4. Three or more movements of the mouth in close succession are speech and left out.
5. A movement of at most ``micro_ms`` is a micro-expression, a longer one a macro-expression (MEGC's rule).

The values of 4 and the shortest movement were set on one synthetic set (17 drawn faces, seed 11 of ``bench/spotting.py``),
everything else is the core's; figures are reported on other faces and another seed.

The idea, regional optical flow against the video's own statistics, is that of MDMD (Wang et al. 2017), the baseline of
MEGC 2020 (He et al. 2020), and of the regional spotters after it (Zhang et al. 2020, Yu et al. 2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from equime.baselines.spotting_signal import SKIN, FaceSignal, Picture, signal_of
from equime.coded import CodedSet, Finding
from equime.errors import EquimeError, InputError
from equime.motion.blinks import find_blinks, runs
from equime.motion.spotting import fit_bump
from equime.motion.track import REGIONS
from equime.progress import Progress, Silent
from equime.types import Record

F64 = NDArray[np.float64]
Expression = Literal["micro", "macro"]

MICRO_MS: Final = 500.0
"""Longest micro-expression (Yan et al. 2013; MEGC)."""

SIGMA: Final = 6.0
LEAST_MM: Final = 0.25
"""Those of `equime.motion.spotting`."""

RELEASE: Final = 0.5
MERGE_MS: Final = 60.0
MARGIN_MS: Final = 350.0
NOISE_FLOOR_MM: Final = 0.02
BLINK_RAISE: Final = 2.0
PATTERN: Final = 0.3
TRAIN_GAP_MS: Final = 400.0
TRAIN_LENGTH: Final = 3

NAMES: Final = np.array(REGIONS)[list(SKIN)]
NEAR_EYES: Final = np.isin(
    NAMES, ["brow_right", "brow_left", "glabella", "cheek_right", "cheek_left", "nose"]
)
MOUTH: Final = np.isin(NAMES, ["mouth_right", "mouth_left", "upper_lip", "lower_lip", "chin"])


class Interval(Record, frozen=True):
    """One spotted expression; frames are inclusive.

    Attributes:
        onset, apex, offset: numbers of the frames: from 0 in a video, as the files are named in a frame folder.
        onset_ms, apex_ms, offset_ms: instants, from the first frame.
        score: how sure; comparable within one method only (regional: peak over the level, above 1; learned: 0 to 1).
        expression: "micro" or "macro".
    """

    onset: int
    apex: int
    offset: int
    onset_ms: float
    apex_ms: float
    offset_ms: float
    score: float
    expression: Expression


class Spotter(Protocol):
    """A method."""

    @property
    def name(self) -> str:
        """Of the method."""
        ...

    def intervals(self, signal: FaceSignal) -> tuple[Interval, ...]:
        """Expressions in one video, in order of time; no two of them overlap."""
        ...


@dataclass(frozen=True)
class Spotted:
    """What was spotted in the videos of a set.

    Attributes:
        intervals: file to its intervals; every file that could be read is there.
        findings: files that could not.
    """

    intervals: Mapping[str, tuple[Interval, ...]]
    findings: tuple[Finding, ...] = ()


def spot(
    source: str | Path | Iterable[Picture],
    fps: float | None = None,
    *,
    spotter: Spotter | None = None,
    cache: Path | None = None,
) -> tuple[Interval, ...]:
    """Expressions in a video, a folder of frames, or BGR pictures in memory.

    Args:
        source: path, or pictures (H, W, 3) uint8 in order.
        fps: frames per second; needed for frames, None takes a video's own.
        spotter: method; the regional one where None.
        cache: folder that keeps the measured movement.

    Raises:
        InputError, MissingError, WorkError: as `spotting_signal.signal_of`.
    """
    return (spotter or RegionalSpotter()).intervals(signal_of(source, fps, cache=cache))


def signals_of_set(
    data: CodedSet, *, cache: Path | None = None, progress: Progress | None = None
) -> tuple[dict[str, FaceSignal], tuple[Finding, ...]]:
    """Movement in every file of a set, measured once however many clips share it; and what could not be read.

    Raises:
        InputError: no clip of the set has frames.
    """
    progress = progress or Silent()
    files = files_of(data)
    if not files:
        raise InputError(
            "the set holds no clip with a video or a folder of frames; read the corpus with its frames"
        )
    progress.start("measure", len(files), 0)
    found, failed = {}, []
    for file, fps in files.items():
        try:
            found[file] = signal_of(data.root / file, fps, cache=cache)
        except EquimeError as error:
            failed.append((file, str(error)))
            progress.note(f"{file}: {error}")
        progress.advance()
    if not failed:
        return found, ()
    names = tuple(file for file, _ in failed[:20])
    text = f"{len(failed)} of {len(files)} files cannot be looked at, first: {failed[0][1]}"
    return found, (Finding(code="unreadable_file", message=text, clips=names, n=len(failed), dropped=True),)


def files_of(data: CodedSet) -> dict[str, float | None]:
    """Every file that the clips of a set lie in, and the frame rate where it is a folder of frames."""
    return {
        clip.file: clip.fps if clip.kind == "frames" else None
        for clip in data.clips
        if clip.kind in ("video", "frames")
    }


def spot_set(
    data: CodedSet, spotter: Spotter, *, cache: Path | None = None, progress: Progress | None = None
) -> Spotted:
    """Spot in every file of a set. Raises as `signals_of_set`."""
    signals, findings = signals_of_set(data, cache=cache, progress=progress)
    return Spotted({file: spotter.intervals(signal) for file, signal in signals.items()}, findings)


def make_interval(
    signal: FaceSignal, times_ms: tuple[float, float, float], score: float, kind: Expression | float
) -> Interval | None:
    """An interval from instants: the frames from the first after the onset to the last before the offset.

    Args:
        signal: of the video.
        times_ms: onset, apex and offset.
        score: how sure.
        kind: of expression; a number is the longest micro-expression in ms, from its first frame to its last (so is a
            micro-expression defined in coded frames).

    Returns:
        None where no frame lies between.
    """
    rate = signal.fps / 1000.0
    end = float(signal.time_ms[-1])
    onset_ms, apex_ms, offset_ms = (float(np.clip(t, 0.0, end)) for t in times_ms)
    first, last = np.ceil(onset_ms * rate - 1e-6), np.floor(offset_ms * rate + 1e-6)
    if last < first:
        return None
    apex = np.clip(np.rint(apex_ms * rate), first, last)
    at = np.rint(signal.time_ms * rate)
    expression: Expression
    if isinstance(kind, str):
        expression = kind
    else:
        expression = "micro" if (last - first) / rate <= kind + 1e-6 else "macro"
    onset, top, offset = (round(float(np.interp(k, at, signal.number))) for k in (first, apex, last))
    return Interval(
        onset=onset, apex=top, offset=offset, onset_ms=round(onset_ms, 2), apex_ms=round(apex_ms, 2),
        offset_ms=round(offset_ms, 2), score=round(score, 4), expression=expression,
    )  # fmt: skip


@dataclass(frozen=True)
class RegionalSpotter:
    """Peaks of regional movement over the video's own noise; see the module.

    Attributes:
        sigma: detection level in standard deviations of a region's noise.
        least_mm: smallest movement that counts.
        micro_ms: longest micro-expression, from its first to its last frame.
        shortest_ms, longest_ms: shorter and longer movements are no expressions.
        speech: whether trains of mouth movements are left out.
    """

    sigma: float = SIGMA
    least_mm: float = LEAST_MM
    micro_ms: float = MICRO_MS
    shortest_ms: float = 100.0
    longest_ms: float = 4000.0
    speech: bool = True
    name: str = field(default="regional", init=False)

    def intervals(self, signal: FaceSignal) -> tuple[Interval, ...]:
        """Expressions in one video, in order of time."""
        if len(signal.time_ms) < 8 or not signal.seen.any():
            return ()
        moves = Movements(signal, self.sigma, self.least_mm).found()
        if self.speech:
            moves = without_trains(moves)
        out: list[Interval] = []
        for move in moves:
            times = (move.onset_ms, move.apex_ms, move.offset_ms)
            if self.shortest_ms <= move.offset_ms - move.onset_ms <= self.longest_ms:
                found = make_interval(signal, times, move.strength, self.micro_ms)
                out += [found] if found else []
        return without_overlap(out)


@dataclass(frozen=True)
class Move:
    """A movement before it is an interval; ``mouth`` says whether the region that moves most is of the mouth."""

    onset_ms: float
    apex_ms: float
    offset_ms: float
    strength: float
    mouth: bool


class Movements:
    """Runs of frames in which a region moves, and the timing of each.

    Attributes:
        ratio: float64 (T, 11), movement of every region of `SKIN` over its level; 0 where no face was seen.
    """

    def __init__(self, signal: FaceSignal, sigma: float = SIGMA, least_mm: float = LEAST_MM) -> None:
        self.time_ms, self.step_ms = signal.time_ms, signal.step_ms
        self.moving: F64 = (signal.displacement_mm - signal.at_rest())[:, list(SKIN)]
        quiet = self.moving[signal.seen]
        self.noise = np.maximum(1.4826 * np.median(np.abs(quiet), axis=0), NOISE_FLOOR_MM)
        level = np.maximum(least_mm, sigma * np.linalg.norm(self.noise, axis=-1))
        levels = np.broadcast_to(level, self.moving.shape[:2]).copy()
        levels[np.ix_(_blinking(signal), NEAR_EYES)] *= BLINK_RAISE
        levels[~signal.seen] = np.inf
        self.ratio: F64 = np.linalg.norm(self.moving, axis=-1) / levels

    def found(self) -> list[Move]:
        """Every movement, in order of time."""
        top = self.ratio.max(axis=1)
        merged: list[tuple[int, int]] = []
        for first, last in runs(top >= RELEASE):
            if merged and (first - merged[-1][1]) * self.step_ms <= MERGE_MS:
                merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        return [self._move(a, b, top) for a, b in merged if top[a : b + 1].max() >= 1.0]

    def _move(self, first: int, last: int, top: F64) -> Move:
        peak = first + int(np.argmax(top[first : last + 1]))
        strength, mouth = float(top[peak]), bool(MOUTH[int(np.argmax(self.ratio[peak]))])
        times = self.time_ms[first], self.time_ms[peak], self.time_ms[last]
        use = (self.time_ms >= times[0] - MARGIN_MS) & (self.time_ms <= times[2] + MARGIN_MS)
        fit = fit_bump(self.time_ms[use], self._curve(peak)[use], *times)
        if fit is None:
            return Move(float(times[0]), float(times[1]), float(times[2]), strength, mouth)
        return Move(fit.onset_ms, fit.apex_ms, fit.offset_ms, strength, mouth)

    def _curve(self, peak: int) -> F64:
        """Displacements projected on their pattern at a frame, 1 there."""
        pattern = self.moving[peak]
        length = np.linalg.norm(pattern, axis=-1, keepdims=True)
        pattern = np.where(length >= PATTERN * length.max(), pattern, 0.0)
        weighted = pattern / self.noise**2
        curve: F64 = (self.moving * weighted).sum(axis=(1, 2)) / (pattern * weighted).sum()
        return curve


def _blinking(signal: FaceSignal) -> NDArray[np.bool_]:
    """Frames within a blink or next to one."""
    mask = np.zeros(len(signal.time_ms), np.bool_)
    for blink in find_blinks(signal.time_ms, signal.aperture):
        pad = 0.5 * (blink.end_ms - blink.start_ms)
        mask |= (signal.time_ms >= blink.start_ms - pad) & (signal.time_ms <= blink.end_ms + pad)
    return mask


def without_trains(moves: list[Move]) -> list[Move]:
    """Movements, in order of time, without runs of `TRAIN_LENGTH` and more of the mouth in close succession."""
    kept: list[Move] = []
    train: list[Move] = []
    for move in moves:
        if train and (not move.mouth or move.onset_ms - train[-1].offset_ms > TRAIN_GAP_MS):
            kept += train if len(train) < TRAIN_LENGTH else []
            train = []
        if move.mouth:
            train.append(move)
        else:
            kept.append(move)
    return kept + (train if len(train) < TRAIN_LENGTH else [])


def without_overlap(found: Iterable[Interval]) -> tuple[Interval, ...]:
    """Of intervals that share a frame the one with the higher score (of equals the earlier), in order of time."""
    kept: list[Interval] = []
    for one in sorted(found, key=lambda i: (-i.score, i.onset)):
        if all(one.offset < other.onset or one.onset > other.offset for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda i: i.onset))
