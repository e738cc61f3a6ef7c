"""Which AU sets an emotion shows, under the two label semantics.

*au-defined*: sets of micro-expression size (1 to 3 AUs), each of exactly one emotion, so the emotion can be
read from the AUs. *felt*: the sets that were coded when people reported the emotion; emotions share them.

Sources of the au-defined table: the objective classes I to VI of Davison, Merghani & Yap, *Objective classes
for micro-facial expression recognition* (J. Imaging 4, 2018); EMFACS (Ekman & Friesen 1983); table 11-1 of
the FACS Investigator's Guide (2002). Sets beyond the objective classes are parts of those prototypes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from equime.generation_pipeline.priors import Priors

AuSet = tuple[int, ...]
WeightedSets = tuple[tuple[AuSet, float], ...]

AU_DEFINED: Final[dict[str, tuple[AuSet, ...]]] = {
    # Objective class I; 12+25 from FACS 6+12+25.
    "happiness": ((12,), (6, 12), (6,), (7, 12), (6, 7, 12), (12, 25)),
    # Objective class V; 1+15, 4+15 and 1+4+15 from EMFACS 1+4+15.
    "sadness": ((1,), (15,), (1, 4), (6, 15), (15, 17), (1, 15), (4, 15), (1, 4, 15)),
    # Objective class II; 2, 2+5 and 1+2+5 from FACS 1+2+5+26.
    "surprise": ((1, 2), (5,), (25,), (1, 2, 25), (25, 26), (5, 24), (2,), (2, 5), (1, 2, 5), (1, 2, 26)),
    # Objective class VI; the rest from EMFACS 1+2+4+5+7+20+26 and FACS 1+2+4+5+20+25.
    "fear": ((20,), (1, 2, 4), (4, 20), (5, 20), (20, 25), (20, 26), (1, 4, 5)),
    # Objective class III; 7, 24, 4+23, 4+24 and 7+23 from FACS 4+5+7+24 and EMFACS 4+5+7+23.
    "anger": (
        (4,), (4, 7), (4, 5), (23,), (17, 24), (4, 5, 7), (4, 6, 7), (7,), (24,), (4, 24), (4, 23), (7, 23),
    ),
    # Objective class IV; 4+10, 10+17 from FACS 10+17+4; 9+15 from EMFACS 9+15+16.
    "disgust": (
        (10,), (9,), (4, 9), (4, 7, 9), (4, 9, 17), (4, 7, 10), (7, 10), (4, 10), (9, 10), (10, 17), (9, 15),
    ),
    # EMFACS R12A+R14A; SAMM codes contempt as 14, with 17 in a quarter of the clips.
    "contempt": ((14,), (12, 14), (14, 17)),
}  # fmt: skip
"""Emotion to the AU sets that define it. No set belongs to two emotions."""

SMOOTHING: Final = 5.0
"""Pseudo-count of every au-defined set: unseen sets still occur, common ones dominate."""

_EMOTION_OF: Final = {frozenset(aus): emotion for emotion, sets in AU_DEFINED.items() for aus in sets}


def emotion_of(aus: Iterable[int]) -> str | None:
    """The emotion that an au-defined set names; "neutral" for the empty set, None for any other set."""
    key = frozenset(aus)
    return _EMOTION_OF.get(key) if key else "neutral"


def weighted_sets(priors: Priors, semantics: str, emotion: str) -> WeightedSets:
    """The AU sets of an emotion with their probabilities, in a fixed order.

    au-defined: empirical count of the set for that emotion plus `SMOOTHING`. felt: the empirical counts;
    clips with a set seen only once are left out, because the priors file does not name those sets.
    """
    if emotion == "neutral":
        return (((), 1.0),)
    counts = {tuple(sorted(s.aus)): s.count for s in priors.au_sets_per_emotion[emotion].sets}
    if semantics == "au-defined":
        weights = {aus: counts.get(aus, 0) + SMOOTHING for aus in AU_DEFINED[emotion]}
    else:
        weights = {aus: float(count) for aus, count in counts.items()}
    total = sum(weights.values())
    return tuple((aus, weight / total) for aus, weight in weights.items())
