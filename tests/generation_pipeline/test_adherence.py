"""The adherence gate: verdicts on records, on mesh clips, and on failures made from them."""

from __future__ import annotations

from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equime.dataset import ClipView, Dataset
from equime.generation_pipeline.adherence import agreement, assess, check_frames, judge
from equime.generation_pipeline.adherence_measure import measure_frames
from equime.generation_pipeline.adherence_rates import Judged, acceptance
from equime.generation_pipeline.adherence_records import REASONS, Adherence, Intended, Limits, Measured
from equime.motion.track import EYES, REGIONS, MotionTrack
from equime.types import AuPeak

LIMITS = Limits()
SMILE = Intended(
    onset_ms=1000.0,
    apex_ms=1200.0,
    offset_ms=1400.0,
    aus={"L12": 2.0, "R12": 2.0},
    moves_skin=True,
    regions=("mouth_right", "mouth_left"),
    displacement_mm=tuple((1.0, 1.0) if name.startswith("mouth") else (0.0, 0.0) for name in REGIONS),
)
NEUTRAL = Intended(onset_ms=None, apex_ms=None, offset_ms=None, aus={}, moves_skin=False)
PICTURE: dict[str, Any] = {
    "n_frames": 48, "black_share": 0.0, "repeated_share": 0.0, "face_share": 1.0, "likeness": 0.99, "unexplained_mm": 0.4,
}  # fmt: skip


def shown(**changes: Any) -> Measured:
    """What a clip of `SMILE` shows, but for ``changes``."""
    movement = {
        "n_movements": 1, "onset_ms": 1010.0, "apex_ms": 1190.0, "offset_ms": 1390.0, "duration_ms": 380.0, "peak_mm": 1.0,
        "regions": SMILE.regions, "displacement_mm": SMILE.displacement_mm,
    }  # fmt: skip
    return Measured(**{**PICTURE, **movement, **changes})


def reason(aim: Intended, measured: Measured, limits: Limits = LIMITS) -> str | None:
    return judge(aim, measured, agreement(aim, measured), limits).reason


BROWS = tuple((0.0, 1.0) if name.startswith("brow") else (0.0, 0.0) for name in REGIONS)
WRONG: dict[str, dict[str, Any]] = {
    "black": {"black_share": 0.25},
    "no_face": {"face_share": 0.5},
    "frozen": {"repeated_share": 0.97},
    "identity_drift": {"likeness": 0.31},
    "warped_face": {"unexplained_mm": 4.25},
    "no_movement": {
        "apex_ms": None,
        "duration_ms": None,
        "onset_ms": None,
        "offset_ms": None,
        "displacement_mm": (),
    },
    "too_long": {"duration_ms": 912.0},
    "wrong_time": {"apex_ms": 1600.0},
    "wrong_region": {"displacement_mm": BROWS, "regions": ("brow_right", "brow_left")},
}
TOLD = {"black": "25%", "no_face": "50%", "frozen": "97%", "identity_drift": "0.31", "warped_face": "4.2 mm",
        "no_movement": "L12+R12", "too_long": "912 ms", "wrong_time": "+400 ms", "wrong_region": "brow_right"}  # fmt: skip


def test_every_reason_is_tested() -> None:
    assert set(WRONG) | {"unexpected_movement"} == set(REASONS)


@pytest.mark.parametrize("name", WRONG)
def test_each_failure_has_its_reason_and_its_number(name: str) -> None:
    measured = shown(**WRONG[name])
    verdict = judge(SMILE, measured, agreement(SMILE, measured), LIMITS)
    assert (verdict.accepted, verdict.reason) == (False, name)
    assert TOLD[name] in verdict.message
    if verdict.limit is not None:
        assert verdict.value is not None


def test_what_was_intended_is_accepted() -> None:
    measured = shown()
    verdict = judge(SMILE, measured, agreement(SMILE, measured), LIMITS)
    assert (verdict.accepted, verdict.reason, verdict.limit) == (True, None, None)


def test_an_onset_far_off_is_the_wrong_time_though_the_apex_is_right() -> None:
    assert reason(SMILE, shown(onset_ms=700.0)) == "wrong_time"
    assert reason(SMILE, shown(onset_ms=None)) is None


def test_a_neutral_clip_must_keep_still() -> None:
    assert reason(NEUTRAL, Measured(**PICTURE)) is None
    assert reason(NEUTRAL, shown()) == "unexpected_movement"
    assert reason(NEUTRAL, shown(repeated_share=0.97)) == "frozen"


def test_gaze_and_head_codes_are_not_judged_by_skin() -> None:
    gaze = msgspec.structs.replace(SMILE, aus={"61": 3.0}, moves_skin=False, displacement_mm=())
    assert reason(gaze, Measured(**PICTURE)) is None
    assert reason(gaze, shown(likeness=0.1)) == "identity_drift"


def test_lids_alone_agree_as_far_as_the_intended_movement_is_theirs() -> None:
    lids = tuple((0.0, 1.0) if name in EYES else (0.0, 0.0) for name in REGIONS)
    measured = shown(eyes_only=True, peak_mm=None, regions=EYES)
    assert agreement(msgspec.structs.replace(SMILE, displacement_mm=lids), measured) == pytest.approx(1.0)
    assert agreement(SMILE, measured) == 0.0


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {
            "black_share": st.floats(0, 1),
            "repeated_share": st.floats(0, 1),
            "face_share": st.floats(0, 1),
            "likeness": st.floats(-1, 1),
            "unexplained_mm": st.floats(0, 9),
            "duration_ms": st.floats(0, 2000),
            "apex_ms": st.floats(0, 2000),
        }
    )
)
def test_wider_limits_never_turn_a_clip_away(values: dict[str, float]) -> None:
    wide = Limits(
        max_black_share=0.5, min_face_share=0.5, max_repeated_share=0.9, min_likeness=0.0, max_unexplained_mm=5.0,
        max_duration_ms=1500.0, onset_tolerance_ms=1e4, apex_tolerance_ms=800.0, min_agreement=-1.0,
    )  # fmt: skip
    measured = shown(**values)
    strict, loose = reason(SMILE, measured), reason(SMILE, measured, wide)
    assert strict is not None or loose is None
    assert (strict is None) == (
        values["black_share"] <= LIMITS.max_black_share
        and values["face_share"] >= LIMITS.min_face_share
        and values["repeated_share"] <= LIMITS.max_repeated_share
        and values["likeness"] >= LIMITS.min_likeness
        and values["unexplained_mm"] <= LIMITS.max_unexplained_mm
        and values["duration_ms"] <= LIMITS.max_duration_ms + LIMITS.duration_slack_ms
        and abs(values["apex_ms"] - 1200.0) <= LIMITS.apex_tolerance_ms
    )


def test_rates_are_by_group_with_wilsons_interval() -> None:
    clips = [
        Judged(
            subject_id=f"s{i % 4}",
            reason="no_movement" if i < 2 else None,
            groups={"emotion": "fear"} | ({"gender": "f"} if i % 2 else {}),
        )
        for i in range(10)
    ]
    total, fear, women = acceptance(clips)
    assert (total.by, total.n, total.n_people, total.n_accepted) == ("all", 10, 4, 8)
    assert (total.low, total.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert (fear.group, fear.reasons) == ("fear", {"no_movement": 2})
    assert (women.by, women.group, women.n, women.n_accepted, women.n_people) == ("gender", "f", 5, 4, 2)
    assert acceptance([]) == []


Shown = tuple[ClipView, NDArray[np.uint8], Measured, MotionTrack | None]


@pytest.fixture(scope="module")
def smile(mesh_clips: Dataset) -> Shown:
    view = next(view for view in mesh_clips if view.spec.emotion == "happiness")
    frames = view.frames()
    return view, frames, *measure_frames(frames, view.spec.fps, view.spec.n_frames)


def spoilt(smile: Shown, frames: Any) -> Adherence:
    return check_frames(frames, smile[0].spec)


def test_a_mesh_clip_is_accepted_and_measured_apart_from_its_intent(smile: Shown) -> None:
    view, _, measured, track = smile
    found = assess(view.spec, measured, track)
    phases = view.spec.phases
    assert phases is not None
    assert found.verdict.accepted, found.verdict.message
    assert found.intended.apex_ms == phases.apex_ms
    assert measured.apex_ms != phases.apex_ms
    assert measured.apex_ms == pytest.approx(phases.apex_ms, abs=LIMITS.apex_tolerance_ms)
    assert set(measured.regions) & set(found.intended.regions)
    assert found.agreement is not None
    assert found.agreement > 0.7
    assert msgspec.json.decode(msgspec.json.encode(found), type=Adherence) == found


def test_the_same_frames_against_other_specs(smile: Shown) -> None:
    view, _, measured, track = smile
    spec = view.spec
    brows = msgspec.structs.replace(
        spec, aus=(AuPeak(au=1, left=3.0, right=3.0), AuPeak(au=2, left=3.0, right=3.0))
    )
    assert assess(brows, measured, track).verdict.reason == "wrong_region"
    neutral = msgspec.structs.replace(spec, aus=(), phases=None)
    assert assess(neutral, measured, track).verdict.reason == "unexpected_movement"
    assert spec.phases is not None
    early = msgspec.structs.replace(
        spec.phases,
        **{f"{name}_ms": getattr(spec.phases, f"{name}_ms") - 300.0 for name in ("onset", "apex", "offset")},
    )
    assert assess(msgspec.structs.replace(spec, phases=early), measured, track).verdict.reason == "wrong_time"


def test_a_still_face_shows_no_movement(mesh_clips: Dataset, smile: Shown) -> None:
    still = next(view for view in mesh_clips if view.spec.emotion == "neutral")
    measured, track = measure_frames(still.frames(), still.spec.fps, still.spec.n_frames)
    assert assess(still.spec, measured, track).verdict.accepted
    assert assess(smile[0].spec, measured, track).verdict.reason == "no_movement"


def test_frozen_and_black_and_empty(smile: Shown) -> None:
    _, frames, _, _ = smile
    assert spoilt(smile, [frames[0]] * 12).verdict.reason == "frozen"
    assert spoilt(smile, np.zeros_like(frames[:8])).verdict.reason == "black"
    grey = [np.full_like(frames[0], 90 + i) for i in range(8)]
    assert spoilt(smile, grey).verdict.reason == "no_face"
    assert spoilt(smile, []).verdict.reason == "no_face"


def test_a_face_that_turns_into_another_has_drifted(mesh_clips: Dataset, smile: Shown) -> None:
    view, frames, _, _ = smile
    other = next(clip for clip in mesh_clips if clip.face.face_id != view.face.face_id).frames()[0]
    share = np.linspace(0.0, 1.0, 19)
    drifting = (cv2.addWeighted(f, 1 - k, other, k, 0) for f, k in zip(frames, share, strict=False))
    assert spoilt(smile, drifting).verdict.reason == "identity_drift"


def test_a_face_that_is_bent_is_warped(smile: Shown) -> None:
    _, frames, _, _ = smile
    height, width = frames[0].shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    bump = 5.0 * np.exp(-((x - 110) ** 2 + (y - 150) ** 2) / (2 * 12.0**2))
    bent = (
        cv2.remap(f, x + bump * min(1.0, i / 6), y - bump * min(1.0, i / 6), cv2.INTER_LINEAR)
        for i, f in enumerate(frames[:13])
    )
    assert spoilt(smile, bent).verdict.reason == "warped_face"
