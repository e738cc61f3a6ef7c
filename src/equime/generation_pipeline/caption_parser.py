"""The parser of captions: from a text back to the facts that it states, and what of them is wrong.

`parse` reads captions of `equime.generation_pipeline.captions` exactly; it is no reader of free text. A
sentence written by someone else that uses the same phrases or FACS codes is understood as far as they go.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Final, Literal

from equime import action_units
from equime.action_units import ACTION_UNITS, EMOTIONS, letter
from equime.generation_pipeline.caption_phrases import ADVERBS, COUNTS, FORMS, PHRASES, conjugated
from equime.generation_pipeline.trajectory import blink_intervals
from equime.types import ClipSpec, Phases, Record

TIME_TOLERANCE_MS: Final = 5.001
"""Lay captions give hundredths of a second, so stated times may differ by half of that."""

Position = Literal["early", "midway", "late"]


class AuFact(Record, frozen=True, order=True):
    """One AU as a caption states it.

    Attributes:
        au: FACS number.
        left, right: FACS letter on that side, "" where it is not active, "?" where no strength is stated.
    """

    au: int
    left: str
    right: str


class CaptionFacts(Record, frozen=True):
    """What a text states; None or empty is "not stated".

    Attributes:
        emotion: label of the movement.
        aus: the AUs, ascending.
        onset_ms, apex_ms, offset_ms: instants from the start of the clip.
        duration_ms: onset to offset.
        position: third of the clip that the apex lies in.
        n_blinks: blinks, 0 where the text says that there are none.
        n_gaze_shifts: shifts of gaze.
    """

    emotion: str | None = None
    aus: tuple[AuFact, ...] = ()
    onset_ms: float | None = None
    apex_ms: float | None = None
    offset_ms: float | None = None
    duration_ms: float | None = None
    position: str | None = None
    n_blinks: int | None = None
    n_gaze_shifts: int | None = None


def spec_facts(spec: ClipSpec) -> CaptionFacts:
    """Everything that a complete and true caption of a spec could state."""
    phases = spec.phases
    return CaptionFacts(
        emotion=spec.emotion,
        aus=tuple(au_facts(spec)),
        onset_ms=phases.onset_ms if phases else None,
        apex_ms=phases.apex_ms if phases else None,
        offset_ms=phases.offset_ms if phases else None,
        duration_ms=phases.offset_ms - phases.onset_ms if phases else None,
        position=position_of(spec, phases) if phases else None,
        n_blinks=len(blink_intervals(spec)),
        n_gaze_shifts=len(spec.gaze),
    )


def au_facts(spec: ClipSpec) -> list[AuFact]:
    """The AUs of a spec at their peak, ascending, as letters per side; sides below A are left out."""
    facts = []
    for peak in spec.aus:
        sided = action_units.get(peak.au).sided
        left = letter(peak.left)
        right = letter(peak.right) if sided else left
        if left or right:
            facts.append(AuFact(au=peak.au, left=left, right=right))
    return sorted(facts)


def position_of(spec: ClipSpec, phases: Phases) -> Position:
    """Third of the clip that the apex lies in."""
    third = int(3 * phases.apex_ms / spec.duration_ms)
    positions: tuple[Position, ...] = ("early", "midway", "late")
    return positions[min(max(third, 0), 2)]


_LETTER_OF: Final = {adverb: name for name, adverbs in ADVERBS.items() for adverb in adverbs}
_CODE: Final = re.compile(r"(?<![\w.])(?P<side>[LR]?)(?P<au>\d{1,2})(?P<letter>[A-E])(?![\w.])")
_NUMBER: Final = r"(\d+(?:\.\d+)?) (ms|seconds)"
_ANY_NUMBER: Final = r"[\d.]+ (?:ms|seconds)"


def _phrase_table() -> dict[str, tuple[int, str]]:
    """Every phrase in every form to (AU, side); "" is both sides."""
    table: dict[str, tuple[int, str]] = {}
    for au, phrases in PHRASES.items():
        for phrase in phrases:
            rests = [(phrase.both, "")]
            rests += [(phrase.one.format(side=side), side) for side in ("left", "right") if phrase.one]
            for form in FORMS:
                for rest, side in rests:
                    table[f"{conjugated(phrase.verb, form)} {rest}".rstrip()] = (au, side)
    return table


@functools.cache
def _actions() -> tuple[dict[str, tuple[int, str]], re.Pattern[str]]:
    """The table of phrases and the pattern that finds one; made when a text is first read, as it takes 0.1 s."""
    table = _phrase_table()
    phrases = "|".join(map(re.escape, sorted(table, key=len, reverse=True)))
    adverbs = "|".join(_LETTER_OF)
    return table, re.compile(rf"(?:\b(?P<adverb>{adverbs}) )?\b(?P<phrase>{phrases})\b", re.IGNORECASE)


_TIMES: Final = {
    name: [re.compile(pattern.replace("#", _NUMBER), re.IGNORECASE) for pattern in patterns]
    for name, patterns in {
        "onset_ms": (r"\bonset #", r"\bat #, the person", r"still until #", r"\bfrom # to\b", r"begins at #"),
        "apex_ms": (
            r"\bapex #", r"peaks at #", r"the peak is at #", r"most visibly at #", r"watch closely at #",
        ),
        "offset_ms": (r"\boffset #", r"\bby #", rf"\bfrom {_ANY_NUMBER} to #", r"ends at #"),
        "duration_ms": (r"lasts only #", r"\bfor #", r"micro-expression of #"),
    }.items()
}  # fmt: skip
_EMOTION: Final = re.compile(rf"\blabel(?:led)? (?:felt )?({'|'.join(EMOTIONS)})\b", re.IGNORECASE)
_NEUTRAL_CLIP: Final = re.compile(
    r"stays neutral(?! again)|\bno micro-expression|without any micro-expression|keeps a neutral face|"
    r"nothing but a neutral face",
    re.IGNORECASE,
)
_POSITION: Final = re.compile(r"\b(early|midway|late) in the clip", re.IGNORECASE)
_BLINKS: Final = re.compile(
    rf"\bblinks (?P<digits>\d+)\b|\b(?P<none>do not blink)\b|\bblink (?P<words>{'|'.join(COUNTS[1:])}|\d+ times)\b",
    re.IGNORECASE,
)
_GAZE: Final = re.compile(r"\bgaze shifts (?P<words>\d+|[a-z]+(?: times)?)", re.IGNORECASE)


def parse(text: str) -> CaptionFacts:
    """The facts that a caption states.

    FACS captions give AUs, sides, letters and times (to 1 ms) exactly; lay captions give the same AUs, sides
    and letters (each letter has its own adverbs) and times to 0.01 s, as far as the sentence states them.
    """
    times = {name: _first_time(patterns, text) for name, patterns in _TIMES.items()}
    emotion = _EMOTION.search(text)
    position = _POSITION.search(text)
    stated = emotion[1].lower() if emotion else ("neutral" if _NEUTRAL_CLIP.search(text) else None)
    return CaptionFacts(
        emotion=stated,
        aus=_parse_aus(text),
        position=position[1].lower() if position else None,
        n_blinks=_parse_blinks(text),
        n_gaze_shifts=_parse_gaze(text),
        **times,
    )


def _parse_aus(text: str) -> tuple[AuFact, ...]:
    sides: dict[int, list[str]] = {}
    found = [(int(m["au"]), m["side"].upper(), m["letter"]) for m in _CODE.finditer(text)]
    # A FACS caption names its AUs in words too ("45C blink"), so where there are codes they alone count.
    phrases, action = _actions()
    for match in () if found else action.finditer(_BLINKS.sub(" ", text)):
        au, side = phrases[match["phrase"].lower()]
        found.append((au, side[:1].upper(), _LETTER_OF.get((match["adverb"] or "").lower(), "?")))
    for au, side, strength in found:
        if au not in ACTION_UNITS:
            continue
        pair = sides.setdefault(au, ["", ""])
        if side != "R":
            pair[0] = strength
        if side != "L":
            pair[1] = strength
    return tuple(AuFact(au=au, left=pair[0], right=pair[1]) for au, pair in sorted(sides.items()))


def _first_time(patterns: Sequence[re.Pattern[str]], text: str) -> float | None:
    for pattern in patterns:
        if match := pattern.search(text):
            value, unit = match.groups()
            return float(value) * (1.0 if unit == "ms" else 1000.0)
    return None


def _parse_blinks(text: str) -> int | None:
    for match in _BLINKS.finditer(text):
        if match["none"]:
            return 0
        count = match["digits"] or match["words"]
        if (n := _count(count)) is not None:
            return n
    return None


def _parse_gaze(text: str) -> int | None:
    match = _GAZE.search(text)
    return _count(match["words"]) if match else None


def _count(words: str) -> int | None:
    number = words.lower().removesuffix(" times")
    if number.isdigit():
        return int(number)
    return COUNTS.index(words.lower()) if words.lower() in COUNTS[1:] else None


def contradictions(text: str, spec: ClipSpec) -> list[str]:
    """What a caption states that is not so in the spec; silence about something is no contradiction.

    Returns:
        One sentence each: stated and true value. Empty where nothing stated is wrong.
    """
    said, true = parse(text), spec_facts(spec)
    problems = [
        f"{name.removesuffix('_ms')} {getattr(said, name):g} ms stated, is {_or_none(getattr(true, name))}"
        for name in ("onset_ms", "apex_ms", "offset_ms", "duration_ms")
        if _times_differ(getattr(said, name), getattr(true, name))
    ]
    problems += [
        f"{name} {getattr(said, name)} stated, is {_or_none(getattr(true, name))}"
        for name in ("emotion", "position", "n_blinks", "n_gaze_shifts")
        if getattr(said, name) not in (None, getattr(true, name))
    ]
    truth = {fact.au: fact for fact in true.aus}
    for fact in said.aus:
        problems += _au_contradictions(fact, truth.get(fact.au))
    return problems


def _or_none(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g} ms" if isinstance(value, float) else str(value)


def _times_differ(said: float | None, true: float | None) -> bool:
    return said is not None and (true is None or abs(said - true) > TIME_TOLERANCE_MS)


def _au_contradictions(said: AuFact, true: AuFact | None) -> list[str]:
    if true is None:
        return [f"AU {said.au} stated, is not in the clip"]
    problems = []
    for side in ("left", "right"):
        a, b = getattr(said, side), getattr(true, side)
        if a != b and not (a == "?" and b):
            problems.append(f"AU {said.au} {side} {a or 'absent'} stated, is {b or 'absent'}")
    return problems
