"""Captions written from a clip's Action Units, and the parser that reads the facts back.

What a caption says and does not say:

* The emotion is a *label of the movement* ("a movement labelled happiness"), never a statement about what the
  person feels. With au-defined semantics the label follows from the AUs by convention; with felt semantics it
  says which felt emotion the AU set was drawn for ("labelled felt happiness"), and AUs alone do not determine
  it.
* No gender, age or ethnicity: the subject is "the person" or "they". Left and right are the person's own.
* A side of an AU below FACS intensity A (under 0.5 of 5) is not stated.

`parse` (in `caption_parser`) recovers the facts of every kind of caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from equime import action_units, seeding
from equime.errors import InputError
from equime.generation_pipeline.caption_parser import (
    AuFact,
    CaptionFacts,
    au_facts,
    contradictions,
    parse,
    position_of,
    spec_facts,
)
from equime.generation_pipeline.caption_phrases import (
    ADVERBS,
    COUNTS,
    NEUTRAL_TEMPLATES,
    PHRASES,
    TEMPLATES,
    Form,
    Phrase,
    conjugated,
)
from equime.generation_pipeline.trajectory import blink_intervals
from equime.types import Captions, ClipSpec, FrameTiming, Phases

__all__ = ["AuFact", "CaptionFacts", "contradictions", "parse", "spec_facts", "write_captions"]

N_PARAPHRASES: Final = 4


def write_captions(
    spec: ClipSpec, timing: FrameTiming | None = None, n_paraphrases: int = N_PARAPHRASES
) -> Captions:
    """All captions of a clip.

    Args:
        spec: the intent; its AUs, phases, blinks and gaze are what the text says.
        timing: frames of onset, apex and offset; the FACS caption names them where given.
        n_paraphrases: 0 to 8 different variants, drawn from the stream ``captions`` of the spec's seed.

    Raises:
        InputError: for another number of paraphrases, or an AU that equime does not know.
    """
    if not 0 <= n_paraphrases <= len(NEUTRAL_TEMPLATES):
        raise InputError(f"n_paraphrases {n_paraphrases} is outside 0 to {len(NEUTRAL_TEMPLATES)}")
    facts = au_facts(spec)
    if facts and spec.phases is None:
        raise InputError(
            f"spec {spec.spec_id}: has AUs {[f.au for f in facts]} but no phases; give both or neither"
        )
    return Captions(
        short=_short(spec, facts),
        facs=_facs(spec, facts, timing),
        plain=_plain(spec, facts),
        paraphrases=_paraphrases(spec, facts, n_paraphrases),
    )


def _short(spec: ClipSpec, facts: Sequence[AuFact]) -> str:
    """The label and the two strongest AUs."""
    if not facts:
        return "The person's face stays neutral." if spec.phases is None else _invisible(spec)
    strongest = sorted(facts, key=lambda f: (-ord(max(f.left, f.right)), f.au))[:2]
    return f"A brief movement labelled {_label(spec)}: the person {_clauses(sorted(strongest), 'does')}."


def _invisible(spec: ClipSpec) -> str:
    return f"A movement labelled {_label(spec)} that is too weak to be seen."


def _facs(spec: ClipSpec, facts: Sequence[AuFact], timing: FrameTiming | None) -> str:
    parts = [", ".join(map(_facs_item, facts)) or "no AU scored"]
    if spec.phases is not None:
        frames = (timing.onset_frame, timing.apex_frame, timing.offset_frame) if timing else (None,) * 3
        at_ms = (spec.phases.onset_ms, spec.phases.apex_ms, spec.phases.offset_ms)
        parts.append(", ".join(map(_facs_instant, ("onset", "apex", "offset"), at_ms, frames)))
    parts.append(f"label {spec.emotion} ({spec.label_semantics})")
    parts.append(f"blinks {len(blink_intervals(spec))}")
    if spec.gaze:
        parts.append(f"gaze shifts {len(spec.gaze)}")
    return "; ".join(parts) + "."


def _facs_item(fact: AuFact) -> str:
    """``12B lip corner puller (both sides)``, ``L12C+R12B lip corner puller (left C, right B)``."""
    unit = action_units.get(fact.au)
    if fact.left == fact.right:
        return f"{fact.au}{fact.left} {unit.name}" + (" (both sides)" if unit.sided else "")
    sides = [(name, s) for name, s in (("left", fact.left), ("right", fact.right)) if s]
    code = "+".join(f"{name[0].upper()}{fact.au}{s}" for name, s in sides)
    if len(sides) == 1:
        return f"{code} {unit.name} ({sides[0][0]} side)"
    return f"{code} {unit.name} (left {fact.left}, right {fact.right})"


def _facs_instant(name: str, at_ms: float, frame: int | None) -> str:
    return f"{name} {at_ms:.0f} ms" + ("" if frame is None else f" (frame {frame})")


def _plain(spec: ClipSpec, facts: Sequence[AuFact]) -> str:
    if spec.phases and facts:
        text = TEMPLATES[0].format(**_fields(spec, spec.phases, facts, None))
    else:
        text = _short(spec, facts)
    return text + _also(spec) + _sides_note(facts)


def _paraphrases(spec: ClipSpec, facts: Sequence[AuFact], n: int) -> tuple[str, ...]:
    rng = seeding.stream(spec.seed, "captions", spec.spec_id)
    templates = TEMPLATES[1:] if facts else NEUTRAL_TEMPLATES
    texts = []
    for i in rng.permutation(len(templates))[:n]:
        if spec.phases is None:
            text = templates[i]
        else:
            text = (
                templates[i].format(**_fields(spec, spec.phases, facts, rng)) if facts else _invisible(spec)
            )
        texts.append(text + (_also(spec) if rng.random() < 0.5 or not facts else ""))
    return tuple(dict.fromkeys(texts))


def _fields(
    spec: ClipSpec, phases: Phases, facts: Sequence[AuFact], rng: np.random.Generator | None
) -> dict[str, str]:
    """Values of the templates' fields; phrases and adverbs vary where a generator is given."""
    chosen = [_choice(fact, rng) for fact in facts]
    position = position_of(spec, phases)
    quick = phases.apex_ms - phases.onset_ms <= 200
    return {
        "onset": _seconds(phases.onset_ms),
        "apex": _seconds(phases.apex_ms),
        "offset": _seconds(phases.offset_ms),
        "duration": _seconds(phases.offset_ms - phases.onset_ms),
        "position": position,
        "Position": position.capitalize(),
        "speed": "quickly" if quick else "unhurriedly",
        "label": _label(spec),
        "does": _join([words for pick in chosen for words in _words(*pick, "does")]),
        "do": _join([words for pick in chosen for words in _words(*pick, "do")]),
        "doing": _join([words for pick in chosen for words in _words(*pick, "doing")]),
    }


def _clauses(facts: Sequence[AuFact], form: Form) -> str:
    return _join([words for fact in facts for words in _words(*_choice(fact, None), form)])


def _choice(fact: AuFact, rng: np.random.Generator | None) -> tuple[AuFact, int, int]:
    """(fact, index of the phrase, index of the adverb, taken modulo how many there are)."""
    if rng is None:
        return fact, 0, 0
    return fact, int(rng.integers(len(PHRASES[fact.au]))), int(rng.integers(6))


def _words(fact: AuFact, i_phrase: int, i_adverb: int, form: Form) -> list[str]:
    """One clause, or two where the sides differ: "slightly raises the inner eyebrows"."""
    phrase = PHRASES[fact.au][i_phrase]
    if fact.left == fact.right:
        return [_clause(phrase, phrase.both, fact.left, i_adverb, form)]
    return [
        _clause(phrase, phrase.one.format(side=side), strength, i_adverb, form)
        for side, strength in (("left", fact.left), ("right", fact.right))
        if strength
    ]


def _clause(phrase: Phrase, rest: str, strength: str, i_adverb: int, form: Form) -> str:
    adverbs = ADVERBS[strength]
    return f"{adverbs[i_adverb % len(adverbs)]} {conjugated(phrase.verb, form)} {rest}".rstrip()


def _join(clauses: Sequence[str]) -> str:
    """Clauses as a list: a; a and b; a, b, and c."""
    if len(clauses) <= 2:
        return " and ".join(clauses)
    return f"{', '.join(clauses[:-1])}, and {clauses[-1]}"


def _label(spec: ClipSpec) -> str:
    return f"felt {spec.emotion}" if spec.label_semantics == "felt" else spec.emotion


def _seconds(at_ms: float) -> str:
    return f"{at_ms / 1000:.2f} seconds"


def _also(spec: ClipSpec) -> str:
    """What every clip may hold besides: " They blink twice, the gaze shifts once and the head drifts."."""
    n_blinks = len(blink_intervals(spec))
    parts = [f"they blink {_times(n_blinks)}"] if n_blinks else ["they do not blink"]
    if spec.gaze:
        parts.append(f"the gaze shifts {_times(len(spec.gaze))}")
    if spec.head:
        parts.append("the head drifts a little")
    text = _join(parts)
    return f" {text[0].upper()}{text[1:]}."


def _times(n: int) -> str:
    return COUNTS[n] if n < len(COUNTS) else f"{n} times"


def _sides_note(facts: Sequence[AuFact]) -> str:
    return " Left and right are the person's own." if any(f.left != f.right for f in facts) else ""
