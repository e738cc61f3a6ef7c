"""The words captions are made of: one meaning per phrase, so that a caption can be read back.

Every AU has verb phrases as (verb in the third person, what follows for both sides, what follows for one
side); the first one is `ActionUnit.plain`. Every FACS letter has its own adverbs, all of them placed before
the verb. No phrase names a person's gender, age or ethnicity.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Form = Literal["does", "do", "doing"]
FORMS: Final[tuple[Form, ...]] = ("does", "do", "doing")


class Phrase(NamedTuple):
    """A verb phrase: "raises" + "the inner eyebrows" or, for one side, "the {side} inner eyebrow"."""

    verb: str
    both: str
    one: str = ""


PHRASES: Final[dict[int, tuple[Phrase, ...]]] = {
    1: (
        Phrase("raises", "the inner eyebrows", "the {side} inner eyebrow"),
        Phrase("lifts", "the inner ends of the eyebrows", "the inner end of the {side} eyebrow"),
    ),
    2: (
        Phrase("raises", "the outer eyebrows", "the {side} outer eyebrow"),
        Phrase("lifts", "the outer ends of the eyebrows", "the outer end of the {side} eyebrow"),
    ),
    4: (
        Phrase("draws", "the eyebrows down and together", "the {side} eyebrow down and inwards"),
        Phrase("knits", "the eyebrows", "the {side} eyebrow"),
    ),
    5: (
        Phrase("widens", "the eyes", "the {side} eye"),
        Phrase("raises", "the upper eyelids", "the {side} upper eyelid"),
    ),
    6: (
        Phrase("raises", "the cheeks", "the {side} cheek"),
        Phrase("lifts", "the cheeks towards the eyes", "the {side} cheek towards the eye"),
    ),
    7: (
        Phrase("tightens", "the eyelids", "the {side} eyelids"),
        Phrase("tenses", "the eyelids", "the {side} eyelids"),
    ),
    9: (
        Phrase("wrinkles", "the nose", "the {side} side of the nose"),
        Phrase("scrunches", "the nose", "the {side} side of the nose"),
    ),
    10: (
        Phrase("raises", "the upper lip", "the {side} side of the upper lip"),
        Phrase("lifts", "the upper lip", "the {side} side of the upper lip"),
    ),
    12: (
        Phrase("pulls", "the lip corners up", "the {side} lip corner up"),
        Phrase("lifts", "the corners of the mouth", "the {side} corner of the mouth"),
    ),
    14: (
        Phrase("tightens", "the lip corners inwards", "the {side} lip corner inwards"),
        Phrase("presses", "the corners of the mouth inwards", "the {side} corner of the mouth inwards"),
    ),
    15: (
        Phrase("pulls", "the lip corners down", "the {side} lip corner down"),
        Phrase("lowers", "the corners of the mouth", "the {side} corner of the mouth"),
    ),
    16: (
        Phrase("pulls", "the lower lip down", "the {side} side of the lower lip down"),
        Phrase("lowers", "the lower lip", "the {side} side of the lower lip"),
    ),
    17: (Phrase("pushes", "the chin and lower lip up"), Phrase("raises", "the chin")),
    18: (Phrase("puckers", "the lips"), Phrase("purses", "the lips")),
    20: (
        Phrase("stretches", "the lips sideways", "the lips sideways on the {side}"),
        Phrase("draws", "the mouth sideways", "the mouth sideways on the {side}"),
    ),
    22: (Phrase("funnels", "the lips outwards"), Phrase("pushes", "the lips out like a funnel")),
    23: (Phrase("tightens", "the lips"), Phrase("narrows", "the lips")),
    24: (Phrase("presses", "the lips together"), Phrase("squeezes", "the lips together")),
    25: (Phrase("parts", "the lips"), Phrase("opens", "the lips")),
    26: (Phrase("drops", "the jaw"), Phrase("lowers", "the jaw")),
    27: (Phrase("stretches", "the mouth open"), Phrase("opens", "the mouth wide")),
    28: (Phrase("sucks", "the lips in"), Phrase("rolls", "the lips in over the teeth")),
    43: (Phrase("closes", "the eyes", "the {side} eye"), Phrase("shuts", "the eyes", "the {side} eye")),
    45: (Phrase("blinks", "", "with the {side} eye"),),
    51: (Phrase("turns", "the head to the left"), Phrase("rotates", "the head to the left")),
    52: (Phrase("turns", "the head to the right"), Phrase("rotates", "the head to the right")),
    53: (Phrase("lifts", "the head"), Phrase("raises", "the head")),
    54: (Phrase("lowers", "the head"), Phrase("drops", "the head")),
    55: (Phrase("tilts", "the head to the left"), Phrase("leans", "the head to the left")),
    56: (Phrase("tilts", "the head to the right"), Phrase("leans", "the head to the right")),
    57: (Phrase("moves", "the head forward"), Phrase("pushes", "the head forward")),
    58: (Phrase("moves", "the head back"), Phrase("pulls", "the head back")),
    61: (Phrase("looks", "to the left"), Phrase("glances", "to the left")),
    62: (Phrase("looks", "to the right"), Phrase("glances", "to the right")),
    63: (Phrase("looks", "up"), Phrase("glances", "up")),
    64: (Phrase("looks", "down"), Phrase("glances", "down")),
}

ADVERBS: Final[dict[str, tuple[str, ...]]] = {
    "A": ("barely", "faintly", "almost imperceptibly"),
    "B": ("slightly", "mildly"),
    "C": ("clearly", "noticeably", "markedly"),
    "D": ("strongly", "intensely"),
    "E": ("fully", "maximally"),
}
"""FACS letter (A trace, B slight, C marked, D severe, E maximum) to adverbs; the first is the plain caption's."""

COUNTS: Final = ("", "once", "twice", "three times", "four times", "five times", "six times", "seven times")
"""How often, in words; above that "8 times"."""

_DOUBLED = {"drop": "dropping", "knit": "knitting", "shut": "shutting"}


def base_form(verb: str) -> str:
    """Base of a verb in the third person: raises, raise; pushes, push."""
    return verb[:-2] if verb.endswith(("shes", "ches", "sses")) else verb[:-1]


def gerund(verb: str) -> str:
    """Gerund of a verb in the third person: raises, raising; drops, dropping."""
    base = base_form(verb)
    return _DOUBLED.get(base) or (base[:-1] if base.endswith("e") else base) + "ing"


def conjugated(verb: str, form: Form) -> str:
    """A verb given in the third person, in the form that a sentence needs."""
    return {"does": verb, "do": base_form(verb), "doing": gerund(verb)}[form]


TEMPLATES: Final = (
    "At {onset}, the person {does}. The movement peaks at {apex} and is gone by {offset}.",
    "The person's face is still until {onset}; then they {do}. The peak is at {apex}, and by {offset} the "
    "face is neutral again.",
    "A fleeting facial movement, {position} in the clip: the person {does}.",
    "{Position} in the clip, the person {does}. The movement lasts only {duration}.",
    "For {duration} the person can be seen {doing}. The peak is at {apex}.",
    "From {onset} to {offset} they {do}, most visibly at {apex}.",
    "In this clip the person {does}. It begins at {onset}, peaks at {apex} and ends at {offset}.",
    "Watch closely at {apex}: {speed}, the person {does}; the face is neutral again by {offset}.",
    "A micro-expression of {duration}, labelled {label}: the person {does}.",
    "The person is seen {doing}. This brief movement is labelled {label} and peaks at {apex}.",
)
"""Paraphrases of a clip with a micro-expression; each states a part of the timing or the label."""

NEUTRAL_TEMPLATES: Final = (
    "The person's face stays neutral throughout.",
    "No micro-expression can be seen; the face stays neutral.",
    "The person keeps a neutral face for the whole clip.",
    "A clip without any micro-expression: the person's expression is neutral.",
    "Nothing but a neutral face is seen.",
    "Their expression stays neutral from the first frame to the last.",
    "In this clip the person shows a neutral face and no micro-expression.",
    "There is no micro-expression here, only a neutral face.",
)
"""Paraphrases of a neutral clip; all of them say "neutral"."""
