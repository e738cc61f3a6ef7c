"""Captions: true, readable back, and silent about who the person is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.action_units import ACTION_UNITS, LETTERS
from equime.errors import InputError
from equime.generation_pipeline import caption_phrases, trajectory
from equime.generation_pipeline.caption_parser import AuFact, contradictions, parse, spec_facts
from equime.generation_pipeline.captions import write_captions
from equime.types import AuPeak, Captions, ClipSpec, FrameTiming
from tests.generation_pipeline.clip_specs import clip_specs, make_spec, neutral_spec


def texts(captions: Captions) -> list[str]:
    return [captions.short, captions.facs, captions.plain, *captions.paraphrases]


def all_captions(spec: ClipSpec) -> Captions:
    return write_captions(spec, n_paraphrases=8)


def test_reads_well() -> None:
    """The wording itself, once, so that a change of it is seen."""
    timing = FrameTiming(
        onset_frame=20, apex_frame=24, offset_frame=29, onset_ms=812.0, apex_ms=1010.0, offset_ms=1240.0
    )
    captions = write_captions(make_spec(), timing)
    assert captions.short == (
        "A brief movement labelled happiness: the person slightly raises the cheeks, clearly pulls the left lip "
        "corner up, and slightly pulls the right lip corner up."
    )
    assert captions.facs == (
        "6B cheek raiser (both sides), L12C+R12B lip corner puller (left C, right B); onset 812 ms (frame 20), "
        "apex 1010 ms (frame 24), offset 1240 ms (frame 29); label happiness (au-defined); blinks 2; "
        "gaze shifts 1."
    )
    assert captions.plain == (
        "At 0.81 seconds, the person slightly raises the cheeks, clearly pulls the left lip corner up, and "
        "slightly pulls the right lip corner up. The movement peaks at 1.01 seconds and is gone by 1.24 seconds. "
        "They blink twice, the gaze shifts once, and the head drifts a little. "
        "Left and right are the person's own."
    )
    neutral = write_captions(neutral_spec())
    assert neutral.short == "The person's face stays neutral."
    assert neutral.facs == "no AU scored; label neutral (au-defined); blinks 2; gaze shifts 1."


@given(spec=clip_specs())
@settings(max_examples=150, deadline=None)
def test_facts_come_back(spec: ClipSpec) -> None:
    captions, true = all_captions(spec), spec_facts(spec)
    facs = parse(captions.facs)
    assert facs.aus == true.aus
    assert facs.emotion == true.emotion
    assert facs.n_blinks == true.n_blinks
    assert spec.phases is not None
    stated = (facs.onset_ms, facs.apex_ms, facs.offset_ms)
    assert stated == pytest.approx(
        (spec.phases.onset_ms, spec.phases.apex_ms, spec.phases.offset_ms), abs=0.51
    )
    plain = parse(captions.plain)
    assert plain.aus == true.aus
    assert plain.n_blinks == true.n_blinks
    for text in captions.paraphrases:
        assert parse(text).aus == true.aus, text
    short = parse(captions.short)
    assert short.emotion == true.emotion
    assert set(short.aus) <= set(true.aus)
    assert len(short.aus) == min(2, len(true.aus))


@given(spec=st.one_of(clip_specs(), clip_specs(neutral=True)))
@settings(max_examples=150, deadline=None)
def test_true_captions_contradict_nothing(spec: ClipSpec) -> None:
    for text in texts(all_captions(spec)):
        assert contradictions(text, spec) == [], text


@given(spec=clip_specs(), other=clip_specs())
@settings(max_examples=100, deadline=None)
def test_captions_of_another_clip_contradict(spec: ClipSpec, other: ClipSpec) -> None:
    true = spec_facts(spec)
    different = [fact for fact in spec_facts(other).aus if fact not in true.aus]
    captions = all_captions(other)
    for text in [captions.facs, captions.plain, *captions.paraphrases]:
        found = " ".join(contradictions(text, spec))
        for fact in different:
            assert f"AU {fact.au} " in found


@given(spec=clip_specs(neutral=True))
@settings(max_examples=50, deadline=None)
def test_neutral_clips_say_so(spec: ClipSpec) -> None:
    for text in texts(all_captions(spec)):
        facts = parse(text)
        assert facts.emotion == "neutral", text
        assert facts.aus == ()
        assert facts.n_blinks in (None, len(spec.blinks))
    assert contradictions(all_captions(spec).plain, make_spec()) != []


@given(spec=st.one_of(clip_specs(), clip_specs(neutral=True)))
@settings(max_examples=100, deadline=None)
def test_grammar_and_manner(spec: ClipSpec) -> None:
    captions = all_captions(spec)
    for text in texts(captions):
        assert re.fullmatch(r"\S+( \S+)*", text), "one space between words"
        assert text.endswith(".")
        assert "{" not in text
        assert "and and" not in text
        assert ",," not in text
    for text in [captions.short, captions.plain, *captions.paraphrases]:
        assert text[0].isupper() or text[0].isdigit()
        assert not re.search(r"\bAU\b|\d[A-E]\b", text), "no code for a lay reader"
        assert not re.search(r"\b(?:they|to) (?:\w+ly )?(?:\w+[^s]s) the\b", text), (
            "they raise, not they raises"
        )
    assert captions.short.count(".") == 1


WORDS = "he she his her him man woman male female boy girl old young black white asian latino skin beard age"


@given(spec=st.one_of(clip_specs(), clip_specs(neutral=True)))
@settings(max_examples=50, deadline=None)
def test_no_demographics_and_no_feeling(spec: ClipSpec) -> None:
    spec = make_spec(
        **{f: getattr(spec, f) for f in ("seed", "aus", "phases", "emotion")}, context={"gender": "f"}
    )
    for text in texts(all_captions(spec)):
        words = set(re.findall(r"[a-z]+", text.lower()))
        assert not words & set(WORDS.split()), text
        assert not words & {"feels", "feel", "feeling", "happy", "sad", "afraid", "angry"}, text


@pytest.mark.parametrize("number", ACTION_UNITS)
@pytest.mark.parametrize("name", LETTERS)
def test_every_au_letter_phrase_and_side(number: int, name: str) -> None:
    """Every phrase, adverb, form and side of the table, alone."""
    intensity = float(LETTERS.index(name) + 1)
    sided = ACTION_UNITS[number].sided
    sides = (
        [(intensity, intensity), (intensity, 0.0), (0.0, intensity)] if sided else [(intensity, intensity)]
    )
    for left, right in sides:
        want = (AuFact(au=number, left=name if left else "", right=name if right else ""),)
        for seed in range(3):
            spec = make_spec(aus=(AuPeak(au=number, left=left, right=right),), seed=seed)
            for text in texts(all_captions(spec)):
                assert parse(text).aus == want, text


def test_table_covers_the_action_units() -> None:
    assert set(caption_phrases.PHRASES) == set(ACTION_UNITS)
    for number, phrases in caption_phrases.PHRASES.items():
        unit = ACTION_UNITS[number]
        assert f"{phrases[0].verb} {phrases[0].both}".strip() == unit.plain
        assert all(bool(phrase.one) == unit.sided for phrase in phrases), number


def test_one_meaning_per_phrase_and_adverb() -> None:
    adverbs = [adverb for group in caption_phrases.ADVERBS.values() for adverb in group]
    assert len(set(adverbs)) == len(adverbs)
    rests = [(p.verb, r) for ps in caption_phrases.PHRASES.values() for p in ps for r in {p.both, p.one} if r]
    assert len(set(rests)) == len(rests)


def test_verb_forms() -> None:
    for verb, base, gerund in [
        ("raises", "raise", "raising"),
        ("pushes", "push", "pushing"),
        ("presses", "press", "pressing"),
        ("drops", "drop", "dropping"),
        ("knits", "knit", "knitting"),
        ("shuts", "shut", "shutting"),
        ("squeezes", "squeeze", "squeezing"),
        ("purses", "purse", "pursing"),
        ("closes", "close", "closing"),
        ("looks", "look", "looking"),
        ("lowers", "lower", "lowering"),
    ]:
        assert (caption_phrases.base_form(verb), caption_phrases.gerund(verb)) == (base, gerund)


def test_seeded() -> None:
    assert write_captions(make_spec()) == write_captions(make_spec())
    variants = {write_captions(make_spec(seed=seed)).paraphrases for seed in range(20)}
    assert len(variants) > 15
    assert len(set(all_captions(make_spec()).paraphrases)) == 8
    assert len(caption_phrases.TEMPLATES) >= 8
    assert len(caption_phrases.NEUTRAL_TEMPLATES) >= 8
    assert write_captions(make_spec(), n_paraphrases=0).paraphrases == ()
    with pytest.raises(InputError, match="n_paraphrases 9 is outside 0 to 8"):
        write_captions(make_spec(), n_paraphrases=9)


def test_felt_labels_are_marked() -> None:
    captions = write_captions(make_spec(label_semantics="felt"))
    assert "labelled felt happiness" in captions.short
    assert "label happiness (felt)" in captions.facs
    assert parse(captions.short).emotion == parse(captions.facs).emotion == "happiness"


def test_too_weak_to_be_seen() -> None:
    spec = make_spec(aus=(AuPeak(au=12, left=0.3, right=0.4),))
    captions = write_captions(spec)
    assert "too weak" in captions.short
    assert parse(captions.facs).aus == ()
    assert all(contradictions(text, spec) == [] for text in texts(captions))


def test_aus_without_phases() -> None:
    with pytest.raises(InputError, match="no phases"):
        write_captions(make_spec(phases=None))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("happiness", "fear", "emotion fear stated, is happiness"),
        ("L12C+R12B", "12C", "AU 12 right C stated, is B"),
        ("L12C+R12B", "L12C", "AU 12 right absent stated, is B"),
        ("6B cheek raiser", "4B brow lowerer", "AU 4 stated, is not in the clip"),
        ("onset 812 ms", "onset 830 ms", "onset 830 ms stated, is 812 ms"),
        ("blinks 2", "blinks 3", "n_blinks 3 stated, is 2"),
        ("gaze shifts 1", "gaze shifts 0", "n_gaze_shifts 0 stated, is 1"),
    ],
)
def test_each_wrong_fact_is_named(old: str, new: str, problem: str) -> None:
    text = write_captions(make_spec()).facs
    assert old in text
    assert contradictions(text.replace(old, new), make_spec()) == [problem]


def test_wrong_facts_in_lay_words() -> None:
    plain = write_captions(make_spec()).plain
    assert contradictions(plain.replace("cheeks", "eyebrows"), make_spec()) == []  # no phrase of the table
    assert contradictions(plain.replace("raises the cheeks", "drops the jaw"), make_spec()) == [
        "AU 26 stated, is not in the clip"
    ]
    assert contradictions(plain.replace("slightly raises", "strongly raises"), make_spec()) == [
        "AU 6 left D stated, is B",
        "AU 6 right D stated, is B",
    ]
    assert contradictions(plain.replace("blink twice", "do not blink"), make_spec()) == [
        "n_blinks 0 stated, is 2"
    ]
    assert contradictions("Late in the clip, the person raises the cheeks.", make_spec()) == [
        "position late stated, is early"
    ]


def test_text_without_facts() -> None:
    facts = parse("A person in front of a white wall, filmed at 24 fps.")
    assert facts == type(facts)()


def test_timing_of_the_trajectory_fits() -> None:
    spec = make_spec()
    timing = trajectory.frame_timing(spec, trajectory.trajectory(spec))
    assert timing is not None
    facs = write_captions(spec, timing).facs
    assert f"apex 1010 ms (frame {timing.apex_frame})" in facs
