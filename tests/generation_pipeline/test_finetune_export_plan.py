"""What a fine-tuning export chooses: people, captions, prompts, and what it refuses and warns of."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.dataset import ClipView
from equime.errors import EquimeError, InputError
from equime.generation_pipeline.captions import contradictions, write_captions
from equime.generation_pipeline.finetune_export_plan import (
    Bucket,
    Request,
    Sample,
    caption_of,
    findings,
    prompts,
    validation_people,
)
from equime.types import Blink, Clip, ClipSpec
from tests.generation_pipeline.clip_specs import clip_specs, make_spec
from tests.generation_pipeline.test_metadata import make_face


def as_seen(spec: ClipSpec, n_frames: int) -> ClipSpec:
    """What the first frames of a clip show."""
    end_ms = n_frames * 1000 / spec.fps
    gaze = tuple(shift for shift in spec.gaze if shift.start_ms < end_ms)
    return msgspec.structs.replace(spec, duration_ms=end_ms, gaze=gaze)


@given(
    people=st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=30, unique=True),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_people_are_kept_out_whole_and_keep_their_place(people: list[str], share: float, seed: int) -> None:
    kept = validation_people(people * 3, share, seed)
    assert kept < set(people)
    assert len(kept) == min(len(people) - 1, max(1, round(share * len(people))))
    assert kept == validation_people(reversed(people), share, seed)
    # One person more changes the number at most; those who stay were the first in the order before.
    more = validation_people([*people, "somebody else"], share, seed) - {"somebody else"}
    assert more <= kept or kept <= more


def view_of(spec: ClipSpec, **changes: Any) -> ClipView:
    clip = Clip(
        clip_id=f"clip{spec.sequence}", spec_id=spec.spec_id, face_id="face0", file="happiness/f_s1_001.mp4",
        sha256="ab" * 32, renderer="mesh", renderer_version="1", renderer_params={}, encoder={}, n_frames=spec.n_frames,
        fps=spec.fps, width=512, height=512, codec="h264", pix_fmt="yuv420p", duration_ms=spec.duration_ms,
        size_bytes=1, bitrate_kbps=1.0, timing=None, captions=write_captions(spec),
    )  # fmt: skip
    face = make_face(subject_id=spec.subject_id, licence=changes.pop("licence", "CC0-1.0"))
    return ClipView(None, msgspec.structs.replace(clip, **changes), spec, face)  # type: ignore[arg-type]


BUCKET = Bucket(width=512, height=512, frames=137, fps=24.0, n_frames=144, size_px=512)


@given(spec=clip_specs(), style=st.sampled_from(["plain", "short", "facs", "paraphrase"]))
@settings(max_examples=60, deadline=None)
def test_a_caption_is_true_of_the_frames_that_training_sees(spec: ClipSpec, style: Any) -> None:
    text, rewritten = caption_of(view_of(spec), BUCKET, Request(layout="ltx", captions=style))
    assert contradictions(text, as_seen(spec, BUCKET.frames)) == []
    captions = write_captions(spec)
    assert rewritten or text in (captions.plain, captions.short, captions.facs, *captions.paraphrases)


def test_a_blink_after_the_cut_leaves_the_caption() -> None:
    early = (Blink(start_ms=2000.0, duration_ms=300.0),)
    request = Request(layout="ltx", trigger="  MICROEX ")
    whole = make_spec(duration_ms=6000.0, blinks=early)
    text, rewritten = caption_of(view_of(whole), BUCKET, request)
    assert not rewritten
    late = make_spec(duration_ms=6000.0, blinks=(*early, Blink(start_ms=5750.0, duration_ms=240.0)))
    assert "twice" in write_captions(late).plain
    assert caption_of(view_of(late), BUCKET, request) == (text, True)
    assert text.startswith("MICROEX At 0.81 seconds, the person")


def test_validation_prompts_are_of_different_people_and_emotions_first() -> None:
    specs = [
        make_spec(subject_id=person, emotion=emotion, sequence=10 * i + j)
        for i, person in enumerate(["a", "b"])
        for j, emotion in enumerate(["happiness", "surprise", "anger"])
    ]
    chosen = prompts([Sample(view_of(spec), "validation", "", False) for spec in specs])
    assert len(chosen) == 4
    assert len({s.view.spec.subject_id for s in chosen[:2]}) == 2
    assert len({s.view.spec.emotion for s in chosen[:3]}) == 3


def test_what_to_know_before_training_is_said() -> None:
    views = [
        view_of(
            make_spec(subject_id=f"s{i}", sequence=i),
            licence=name,
            renderer=renderer,
            measured=renderer == "ltx",
        )
        for i, (name, renderer) in enumerate(
            [("unknown", "mesh"), ("CC-BY-NC-4.0", "ltx"), ("CC0-1.0", "mesh")]
        )
    ]
    samples = [Sample(view, "train", "", False) for view in views]
    said = "\n".join(findings(samples, BUCKET, "finetrainers"))
    for text in (
        "1 face(s) without a licence", "1 face(s) under 'CC-BY-NC-4.0'", "3 licences", "renderer ltx",
        "one latent frame is 333 ms", "as if it had 25 fps",
    ):  # fmt: skip
        assert text in said
    fast = msgspec.structs.replace(BUCKET, fps=100.0)
    assert findings(samples[2:], fast, "ltx") == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"layout": "sora"}, "layout 'sora' not known; use one of ltx, finetrainers"),
        ({"captions": "long"}, "captions 'long' not known"),
        ({"captions": "trigger"}, "give --trigger"),
        ({"validation": 1.0}, "validation 1 is outside"),
        ({"validation": math.nan}, "validation nan is outside"),
        ({"frames": 144}, "use 137 or 145"),
        ({"frames": 1}, "use 9 or 17"),
    ],
)
def test_options_are_checked_before_anything_is_read(options: dict[str, Any], text: str) -> None:
    with pytest.raises(EquimeError, match=text):
        Request(**{"layout": "ltx", **options})


def test_one_person_alone_cannot_be_on_both_sides() -> None:
    with pytest.raises(InputError, match="give --validation 0"):
        validation_people(["s1"], 0.1, 0)
