"""Spot, then recognise: what a long video shows where the spotter found something (STRS of MEGC 2022 and later)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from equime.baselines.feature_options import FeatureOptions
from equime.baselines.features import build
from equime.baselines.inputs import Samples
from equime.baselines.shipped import Shipped
from equime.baselines.spotting import Interval
from equime.baselines.spotting_scores import (
    LEVEL,
    N_BOOT,
    Counts,
    counts_by_person,
    recognition_f1,
    strs,
    true_positives,
)
from equime.coded import CodedClip, CodedSet, Finding
from equime.errors import InputError
from equime.progress import Progress
from equime.seeding import content_id, stream
from equime.types import Record

UNREAD = ""
"""Stands for the class of an interval that no input could be made of; it is no class of its own."""


class SpotThenRecognise(Record, frozen=True):
    """STRS of one recogniser on what one spotter found.

    Attributes:
        recogniser: its name.
        strs: F1 of spotting micro-expressions times `recognition_f1`.
        low, high: 95 % interval over resampled subjects; None with fewer than two.
        recognition_f1: unweighted mean over classes on the true positives; None where there are none.
        n: true positives that have a class.
        n_unread: of these, such that the recogniser's input could not be made of; they count as wrong.
        n_unclassed: true positives that are coded as none of the classes; left out.
        synthetic: whether the recogniser was trained on synthetic clips alone.
    """

    recogniser: str
    strs: float
    low: float | None
    high: float | None
    recognition_f1: float | None
    n: int
    n_unread: int
    n_unclassed: int
    synthetic: bool


def spot_then_recognise(
    spotted: Mapping[str, Sequence[Interval]],
    data: CodedSet,
    recogniser: Shipped,
    *,
    n_boot: int = N_BOOT,
    seed: int = 0,
    cache: Path | None = None,
    workers: int | None = 0,
    progress: Progress | None = None,
) -> tuple[SpotThenRecognise, tuple[Finding, ...]]:
    """Recognise every interval that was spotted rightly, from its own onset and apex, and score both steps together.

    Args:
        spotted: intervals of each file.
        data: the coding of these files.
        recogniser: of emotions.
        n_boot: resamples of the subjects.
        seed: of the resamples.
        cache, workers, progress: of the features, as `equime.baselines.features.build`.

    Raises:
        InputError: a recogniser of Action Units.
    """
    card = recogniser.card
    if card.head != "emotion":
        raise InputError(f"{card.name} names Action Units, STRS needs classes; use a recogniser of emotions")
    hits = true_positives(spotted, data)
    names = [name or "" for name in _classes([clip for _, _, clip in hits], card.outputs)]
    classed = [(hit, name) for hit, name in zip(hits, names, strict=True) if name]
    clips = [_as_spotted(clip, spotted[file][place]) for (file, place, clip), _ in classed]
    found, findings = _recognised(data.only(clips), recogniser, cache, workers, progress)
    true = [name for _, name in classed]
    predicted = [found.get(clip.clip_id, UNREAD) for clip in clips]
    per_person = counts_by_person(spotted, data)[0]["micro"]
    low, high = _interval(per_person, [clip.person for clip in clips], true, predicted, n_boot, seed)
    result = SpotThenRecognise(
        recogniser=card.name,
        strs=strs(sum(per_person.values(), Counts()).f1, true, predicted),
        low=low,
        high=high,
        recognition_f1=recognition_f1(true, predicted),
        n=len(true),
        n_unread=predicted.count(UNREAD),
        n_unclassed=len(hits) - len(true),
        synthetic=card.synthetic,
    )
    return result, findings


def _classes(clips: Sequence[CodedClip], outputs: Sequence[str]) -> list[str | None]:
    places = Samples(tuple(clips)).labels(outputs)
    return [outputs[place] if place >= 0 else None for place in places]


def _as_spotted(clip: CodedClip, interval: Interval) -> CodedClip:
    """The coded clip with the moments that were spotted; its labels stay and are not looked at."""
    moments = {
        "onset": interval.onset,
        "apex": max(interval.apex, interval.onset + 1),
        "offset": interval.offset,
    }
    own = content_id(["spotted", clip.clip_id, *moments.values()])
    return msgspec.structs.replace(clip, clip_id=own, **moments)


def _recognised(
    data: CodedSet, recogniser: Shipped, cache: Path | None, workers: int | None, progress: Progress | None
) -> tuple[dict[str, str], tuple[Finding, ...]]:
    """Clip to class, for the clips that can be read."""
    card = recogniser.card
    if not data.clips:
        return {}, ()
    options = FeatureOptions.of(dict(card.features))
    try:
        samples, findings = build(
            data, [card.input], options=options, cache=cache, workers=workers, progress=progress
        )
    except InputError as error:
        return {}, (Finding(code="not_recognised", message=str(error), n=len(data.clips), dropped=True),)
    p = recogniser.fitted.probabilities(np.asarray(samples.input(card.input)))
    best = [card.outputs[place] for place in p.argmax(1)]
    return {clip.clip_id: name for clip, name in zip(samples.clips, best, strict=True)}, findings


def _interval(
    per_person: Mapping[str, Counts],
    people: Sequence[str],
    true: Sequence[str],
    predicted: Sequence[str],
    n_boot: int,
    seed: int,
) -> tuple[float | None, float | None]:
    """Percentile interval of STRS over resampled subjects."""
    names = sorted(per_person)
    if len(names) < 2 or not n_boot:
        return None, None
    rows = {name: [i for i, person in enumerate(people) if person == name] for name in names}
    values = []
    for drawn in stream(seed, "strs bootstrap").integers(len(names), size=(n_boot, len(names))):
        some = [names[i] for i in drawn]
        at = [i for name in some for i in rows[name]]
        f1 = sum((per_person[name] for name in some), Counts()).f1
        values.append(strs(f1, [true[i] for i in at], [predicted[i] for i in at]))
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
