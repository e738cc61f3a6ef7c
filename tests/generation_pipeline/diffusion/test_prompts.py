from __future__ import annotations

import pytest
from hypothesis import given, settings

from equime.action_units import EMOTIONS
from equime.errors import InputError
from equime.generation_pipeline.caption_parser import au_facts, parse
from equime.generation_pipeline.diffusion import prompts
from equime.types import AuPeak, ClipSpec
from tests.generation_pipeline.clip_specs import clip_specs, make_spec, neutral_spec


def test_the_constant_prompt_is_equimes_whatever_the_spec() -> None:
    said = {prompts.prompt_for(spec, "equime") for spec in (make_spec(), neutral_spec())}
    assert said == {"A person blinking and turning their head"}


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_emotion_has_a_prompt_that_names_it(emotion: str) -> None:
    assert emotion in prompts.prompt_for(make_spec(emotion=emotion), "emotion")


def test_an_au_prompt_names_muscles_sides_strength_and_order() -> None:
    spec = make_spec(
        aus=(AuPeak(au=12, left=2.0, right=2.0, delay_ms=80.0), AuPeak(au=1, left=1.0, right=3.0))
    )
    text = prompts.prompt_for(spec, "au")
    assert (
        "Early in the video, for 0.43 seconds only, the person first barely raises the left inner eyebrow and clearly "
        "raises the right inner eyebrow, then slightly pulls the lip corners up. Then the face is neutral again."
    ) in text
    assert text.endswith("They blink naturally, glance aside and move the head a little.")


def test_aus_that_begin_within_a_frame_are_told_together() -> None:
    together = make_spec(
        aus=(AuPeak(au=1, left=2.0, right=2.0), AuPeak(au=2, left=2.0, right=2.0, delay_ms=10.0))
    )
    text = prompts.prompt_for(together, "au")
    assert "slightly raises the inner eyebrows and slightly raises the outer eyebrows" in text
    assert "then slightly" not in text


def test_a_neutral_spec_asks_for_no_movement() -> None:
    text = prompts.prompt_for(neutral_spec(blinks=(), gaze=(), head=()), "au")
    assert "stays neutral" in text
    assert text.endswith("They do not blink.")


@given(clip_specs())
@settings(max_examples=25)
def test_au_prompts_state_the_specs_facts_and_fit_the_token_limit(spec: ClipSpec) -> None:
    text = prompts.prompt_for(spec, "au")
    # Without the last sentence: of blinks it says only whether there are any.
    said = parse(text[: text.rindex("They ")]).aus
    assert sorted(said) == au_facts(spec)
    # SentencePiece needs less than two pieces per English word and mark; LTX-Video takes 256.
    assert 2 * len(text.split()) < 256


def test_negative_prompts() -> None:
    assert "Blink eye" in prompts.negative_prompt("equime")
    assert "blink" not in prompts.negative_prompt("default").lower()
    assert "head movement" not in prompts.negative_prompt("default")
    assert prompts.negative_prompt("none") == ""
    assert prompts.negative_prompt("red hair") == "red hair"


def test_unknown_mode_and_emotion() -> None:
    with pytest.raises(InputError, match="use one of equime, emotion, au"):
        prompts.prompt_for(make_spec(), "poem")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'boredom' has no prompt.*prompt mode au"):
        prompts.prompt_for(make_spec(emotion="boredom"), "emotion")
