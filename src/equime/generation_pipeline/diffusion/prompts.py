"""What a diffusion model is told: prompts from a spec, and the negative prompt.

Three modes: ``equime`` is EquiME's constant prompt, ``emotion`` EquiME's prompt per emotion, ``au`` is written from
the spec. A prompt is a wish and no label: what a model made of it is measured on the clip.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from equime.errors import InputError
from equime.generation_pipeline.caption_parser import AuFact, au_facts, position_of
from equime.generation_pipeline.caption_phrases import ADVERBS, PHRASES, conjugated
from equime.types import ClipSpec

PromptMode = Literal["equime", "emotion", "au"]
MODES: Final[tuple[PromptMode, ...]] = get_args(PromptMode)

CONSTANT: Final = "A person blinking and turning their head"
"""EquiME's constant prompt."""

_SADNESS: Final = (
    "A professional static headshot of a person showing a sadness micro-expression transitioning to neutral. "
    "The expression involves slight lip corners turning down, minimal inner eyebrow raising, and a subtle "
    "downturn of the mouth."
)

EMOTION_PROMPTS: Final[dict[str, str]] = {
    "happiness": "A professional static headshot showing subtle happiness micro-expression transitioning to neutral.",
    "sadness": _SADNESS,
    "surprise": "A professional static headshot showing brief surprise micro-expression with raised eyebrows.",
    "fear": "A professional static headshot showing subtle fear micro-expression with widened eyes.",
    "anger": "A professional static headshot showing controlled anger micro-expression with tightened facial muscles.",
    "disgust": "A professional static headshot showing subtle disgust micro-expression with a wrinkled nose.",
    "contempt": "A professional static headshot showing subtle contempt micro-expression with one lip corner tightened.",
    "neutral": "A professional static headshot of a person with a neutral expression.",
}
"""EquiME's emotion prompts. The one for sadness stands whole in its published script; of happiness, surprise, fear and
anger its README gives the beginning, which is all that is used here. Disgust, contempt and neutral have none
there: those three are equime's own, in the same words."""

NEGATIVE: Final = (
    "blurry, out of focus, double exposure, motion blur, camera shake, exaggerated expression, distorted features, "
    "warped face, changing identity, unrealistic skin, filters, overlays, text, multiple faces, hands, "
    "low resolution, pixelation, compression artifacts, cartoon, illustration, 3d render"
)
"""The default negative prompt: EquiME's without what every clip of equime shows on purpose (blinks, head motion) and
without what the photograph decides (make-up, accessories, side angles, lighting)."""

NEGATIVE_EQUIME: Final = (
    "Blink eye, blurry, out of focus, double exposure, motion blur, head movement, camera shake, extreme expressions, "
    "distorted features, unrealistic skin, artistic effects, filters, overlays, multiple faces, side angles, tilted "
    "head, poor lighting, shadows, low resolution, pixelation, compression artifacts, makeup, accessories, jewelry, "
    "visible clothing, background details, hand gestures, body movement, animation style, cartoon, illustration, "
    "3d render"
)
"""The negative prompt of EquiME's published script."""

SAME_TIME_MS: Final = 20.0
"""AUs whose onsets differ by less are told in one breath; a frame at 24 fps is 42 ms."""


def prompt_for(spec: ClipSpec, mode: PromptMode) -> str:
    """The prompt of a clip.

    Args:
        spec: the intent.
        mode: one of `MODES`.

    Raises:
        InputError: another mode, or an emotion that has no prompt.
    """
    if mode not in MODES:
        raise InputError(f"prompt mode {mode!r} is not known; use one of {', '.join(MODES)}")
    if mode == "equime":
        return CONSTANT
    if mode == "au":
        return _au_prompt(spec)
    if spec.emotion not in EMOTION_PROMPTS:
        raise InputError(
            f"emotion {spec.emotion!r} has no prompt; known are {', '.join(EMOTION_PROMPTS)}; use prompt mode au"
        )
    return EMOTION_PROMPTS[spec.emotion]


def negative_prompt(choice: str) -> str:
    """``default`` and ``equime`` are the texts above, ``none`` is empty, anything else is taken as it stands."""
    return {"default": NEGATIVE, "equime": NEGATIVE_EQUIME, "none": ""}.get(choice, choice)


def _au_prompt(spec: ClipSpec) -> str:
    """Muscles in plain words, in the order in which they begin, with side, strength and time."""
    opening = "A close-up video of a person's face, looking into a fixed camera."
    facts = {fact.au: fact for fact in au_facts(spec)}
    if spec.phases is None or not facts:
        return f"{opening} The face stays neutral. {_also(spec)}"
    seconds = (spec.phases.offset_ms - spec.phases.onset_ms) / 1000
    return (
        f"{opening} The face is neutral. {position_of(spec, spec.phases).capitalize()} in the video, for "
        f"{seconds:.2f} seconds only, {_movement(spec, facts)}. "
        f"Then the face is neutral again. {_also(spec)}"
    )


def _movement(spec: ClipSpec, facts: dict[int, AuFact]) -> str:
    """Such as: the person first slightly raises the inner eyebrows, then barely parts the lips."""
    steps: list[list[str]] = []
    last_ms = -SAME_TIME_MS
    for peak in sorted(spec.aus, key=lambda p: (p.delay_ms, p.au)):
        if peak.au not in facts:
            continue
        if not steps or peak.delay_ms - last_ms >= SAME_TIME_MS:
            steps.append([])
            last_ms = peak.delay_ms
        steps[-1] += _clauses(facts[peak.au])
    told = [" and ".join(step) for step in steps]
    return f"the person {told[0]}" if len(told) == 1 else f"the person first {', then '.join(told)}"


def _clauses(fact: AuFact) -> list[str]:
    """One clause, or one per active side where the sides differ; the words are those of the plain caption."""
    phrase = PHRASES[fact.au][0]
    verb = conjugated(phrase.verb, "does")
    if fact.left == fact.right:
        return [f"{ADVERBS[fact.left][0]} {verb} {phrase.both}".rstrip()]
    return [
        f"{ADVERBS[strength][0]} {verb} {phrase.one.format(side=side)}"
        for side, strength in (("left", fact.left), ("right", fact.right))
        if strength
    ]


def _also(spec: ClipSpec) -> str:
    parts = ["blink naturally" if spec.blinks else "do not blink"]
    if spec.gaze:
        parts.append("glance aside")
    if spec.head:
        parts.append("move the head a little")
    return f"They {' and '.join((', '.join(parts[:-1]), parts[-1])) if parts[1:] else parts[0]}."
