"""Scores of spotting, by the rules of the Micro-Expression Grand Challenge (MEGC 2019 to 2025).

* A spotted interval W_s is a true positive for a coded interval W_g where |W_s & W_g| / |W_s | W_g| >= 0.5, counted in
  frames with both ends included (He et al. 2020, "Spotting macro- and micro-expression intervals in long video
  sequences", section on the metric).
* Micro-expressions are compared with micro-expressions and macro with macro; "overall" adds their counts.
* Every coded interval counts once: the pairs are the largest possible number of them, and among those the ones with
  the largest sum of overlaps. (A greedy pairing in order of time may find one pair less where an interval overlaps two
  others by exactly one half; nothing else can make a difference as long as the intervals of a side are disjoint.)
* Counts are pooled over all videos, then F1 = 2 TP / (2 TP + FP + FN); it is None where there is neither a coded nor
  a spotted interval.
* STRS (MEGC 2022 and later) = F1 of spotting, micro-expressions x F1 of recognition on the true positives. The second
  is the unweighted mean over the classes that occur there, in truth or prediction (MEGC's "analysis" F1).

Intervals of confidence resample subjects (percentile bootstrap); clips of a subject are not independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from equime.coded import CodedClip, CodedSet
from equime.errors import InputError
from equime.seeding import stream
from equime.types import Record

IOU: Final = 0.5
N_BOOT: Final = 2000
LEVEL: Final = 0.95

Span = tuple[int, int]
"""First and last frame, both included."""

Which = Literal["micro", "macro", "overall"]


class Counts(Record, frozen=True):
    """True positives, false positives and misses."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(tp=self.tp + other.tp, fp=self.fp + other.fp, fn=self.fn + other.fn)

    @property
    def precision(self) -> float | None:
        """TP / spotted; None where nothing was spotted."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        """TP / coded; None where nothing is coded."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None where nothing was spotted and nothing is coded."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else None


class Score(Record, frozen=True):
    """Score of one kind of expression.

    Attributes:
        which: "micro", "macro" or "overall".
        counts: pooled over all videos.
        precision, recall, f1: of these; None where undefined.
        low, high: interval of F1 by subject; None with fewer than 2 subjects.
        n_videos, n_subjects: behind it.
    """

    which: Which
    counts: Counts
    precision: float | None
    recall: float | None
    f1: float | None
    low: float | None
    high: float | None
    n_videos: int
    n_subjects: int


class Spottable(Protocol):
    """A frame interval of one kind of expression; `equime.baselines.spotting.Interval` is one."""

    @property
    def onset(self) -> int:
        """First frame."""
        ...

    @property
    def offset(self) -> int:
        """Last frame."""
        ...

    @property
    def expression(self) -> Literal["micro", "macro"]:
        """Its kind."""
        ...


def iou(a: Span, b: Span) -> float:
    """Intersection over union in frames, ends included; 0 where they do not meet.

    Raises:
        InputError: an interval that ends before it starts.
    """
    for first, last in (a, b):
        if last < first:
            raise InputError(f"interval {first} to {last} ends before it starts; swap onset and offset")
    shared = min(a[1], b[1]) - max(a[0], b[0]) + 1
    if shared <= 0:
        return 0.0
    return shared / (a[1] - a[0] + b[1] - b[0] + 2 - shared)


def match(spotted: Sequence[Span], coded: Sequence[Span], *, threshold: float = IOU) -> list[tuple[int, int]]:
    """Pairs (place in ``spotted``, place in ``coded``) of true positives; each place at most once.

    As many pairs as possible; among these the largest sum of overlaps; see the module.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    if not spotted or not coded:
        return []
    overlap = np.array([[iou(s, c) for c in coded] for s in spotted])
    allowed = overlap >= threshold - 1e-12
    # One more pair outweighs every sum of overlaps, which is at most the number of pairs.
    value = np.where(allowed, len(spotted) + len(coded) + overlap, 0.0)
    rows, columns = linear_sum_assignment(value, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if allowed[r, c]]


def count(spotted: Sequence[Span], coded: Sequence[Span], *, threshold: float = IOU) -> Counts:
    """Counts of one video and one kind of expression."""
    n = len(match(spotted, coded, threshold=threshold))
    return Counts(tp=n, fp=len(spotted) - n, fn=len(coded) - n)


def truth_of(data: CodedSet) -> tuple[dict[str, list[CodedClip]], dict[str, str], int]:
    """Coded clips by file, the subject of every file, and how many clips lack an onset or offset and are left out.

    Raises:
        InputError: a file of two subjects.
    """
    clips: dict[str, list[CodedClip]] = {}
    people: dict[str, str] = {}
    n_without = 0
    for clip in data.clips:
        if clip.kind not in ("video", "frames"):
            continue
        if people.setdefault(clip.file, clip.person) != clip.person:
            raise InputError(
                f"{clip.file}: coded for {people[clip.file]} and for {clip.person}; correct the coding table"
            )
        found = clips.setdefault(clip.file, [])
        if clip.onset is None or clip.offset is None or clip.offset < clip.onset:
            n_without += 1
        else:
            found.append(clip)
    return clips, people, n_without


def score(
    spotted: Mapping[str, Sequence[Spottable]],
    data: CodedSet,
    *,
    threshold: float = IOU,
    n_boot: int = N_BOOT,
    seed: int = 0,
) -> dict[Which, Score]:
    """Scores over all videos of a set.

    Args:
        spotted: file to its intervals (anything with onset, offset and expression); a file of the set that is missing
            here is not scored, one without intervals scores its misses.
        data: coded clips, several to a file.
        threshold: smallest IoU.
        n_boot: resamples of subjects; 0 leaves the intervals out.
        seed: of the resamples.

    Raises:
        InputError: no file of the set was looked at, or a file of two subjects.
    """
    per_kind, n_videos = counts_by_person(spotted, data, threshold=threshold)
    return {which: _score(which, table, n_videos, n_boot, seed) for which, table in per_kind.items()}


def counts_by_person(
    spotted: Mapping[str, Sequence[Spottable]], data: CodedSet, *, threshold: float = IOU
) -> tuple[dict[Which, dict[str, Counts]], int]:
    """Counts of every person, by kind, and the number of videos; arguments and errors as `score`."""
    truth, people, _ = truth_of(data)
    files = [file for file in truth if file in spotted]
    if not files:
        raise InputError("none of the set's files was looked at; spot in the files of this set")
    per_kind: dict[Which, dict[str, Counts]] = {"micro": {}, "macro": {}, "overall": {}}
    for file in files:
        for kind in ("micro", "macro"):
            here = count(_spans(spotted[file], kind), _coded_spans(truth[file], kind), threshold=threshold)
            for which in (kind, "overall"):
                table = per_kind[which]
                table[people[file]] = table.get(people[file], Counts()) + here
    return per_kind, len(files)


def _spans(found: Iterable[Spottable], kind: str) -> list[Span]:
    return [(one.onset, one.offset) for one in found if one.expression == kind]


def _coded_spans(clips: Iterable[CodedClip], kind: str) -> list[Span]:
    return [
        (clip.onset, clip.offset)
        for clip in clips
        if clip.expression == kind and clip.onset is not None and clip.offset is not None
    ]


def _score(which: Which, by_person: Mapping[str, Counts], n_videos: int, n_boot: int, seed: int) -> Score:
    counts = sum(by_person.values(), Counts())
    table = np.array([[c.tp, c.fp, c.fn] for _, c in sorted(by_person.items())], np.int64)
    low, high = bootstrap_f1(table, n_boot, seed) if n_boot else (None, None)
    return Score(
        which=which, counts=counts, precision=counts.precision, recall=counts.recall, f1=counts.f1,
        low=low, high=high, n_videos=n_videos, n_subjects=len(by_person),
    )  # fmt: skip


def bootstrap_f1(
    by_subject: NDArray[np.int64], n_boot: int = N_BOOT, seed: int = 0
) -> tuple[float | None, float | None]:
    """Percentile interval of the pooled F1 over resampled subjects.

    Args:
        by_subject: (S, 3) tp, fp, fn of each subject.
        n_boot: resamples; those without any interval are left out.
        seed: of the resamples.

    Returns:
        None, None with fewer than 2 subjects or without any interval.
    """
    if len(by_subject) < 2 or not by_subject.sum():
        return None, None
    drawn = stream(seed, "spotting bootstrap").integers(len(by_subject), size=(n_boot, len(by_subject)))
    tp, fp, fn = np.moveaxis(by_subject[drawn].sum(axis=1), -1, 0)
    total = 2 * tp + fp + fn
    values = 2 * tp[total > 0] / total[total > 0]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def recognition_f1(true: Sequence[str], predicted: Sequence[str]) -> float | None:
    """Unweighted mean of the classes' F1, over classes that occur in either; None without samples.

    A prediction "" (nothing could be recognised) is wrong, and no class of its own.

    Raises:
        InputError: of different lengths.
    """
    if len(true) != len(predicted):
        raise InputError(
            f"{len(true)} true and {len(predicted)} predicted classes; give one of each per interval"
        )
    names = sorted({*true, *predicted} - {""})
    if not names:
        return None
    values = []
    for name in names:
        tp = sum(t == p == name for t, p in zip(true, predicted, strict=True))
        values.append(2 * tp / (sum(t == name for t in true) + sum(p == name for p in predicted)))
    return sum(values) / len(values)


def strs(spotting_f1: float | None, true: Sequence[str], predicted: Sequence[str]) -> float:
    """Spot-then-recognise score: F1 of spotting times F1 of recognition on the true positives.

    Args:
        spotting_f1: of micro-expressions; None (nothing coded, nothing spotted) counts as 0.
        true: class of the coded expression of every true positive.
        predicted: class that was recognised in its spotted interval.
    """
    recognition = recognition_f1(true, predicted)
    return (spotting_f1 or 0.0) * (recognition or 0.0)


def true_positives(
    spotted: Mapping[str, Sequence[Spottable]], data: CodedSet, *, kind: Literal["micro", "macro"] = "micro"
) -> list[tuple[str, int, CodedClip]]:
    """File, place among the file's spotted intervals, and coded clip of every true positive: what STRS recognises."""
    truth, _, _ = truth_of(data)
    found = []
    for file, coded in truth.items():
        here = spotted.get(file, ())
        places = [i for i, one in enumerate(here) if one.expression == kind]
        of_kind = [clip for clip in coded if clip.expression == kind]
        pairs = match(_spans(here, kind), _coded_spans(of_kind, kind))
        found += [(file, places[s], of_kind[c]) for s, c in pairs]
    return found
