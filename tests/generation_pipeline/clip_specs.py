"""Clip specs for tests: one by hand, and a hypothesis strategy over all of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from equime import seeding
from equime.action_units import ACTION_UNITS, EMOTIONS
from equime.types import AuPeak, Blink, Camera, ClipSpec, GazeShift, HeadWave, Phases

CAMERA = Camera(
    noise_sigma=1.0, noise_seed=1, light_amplitude=0.01, light_period_ms=4000.0, light_phase_rad=0.0
)


def make_spec(**changes: Any) -> ClipSpec:
    """A happiness clip, 6B bilateral and 12 stronger on the left; ``changes`` replace fields."""
    fields: dict[str, Any] = {
        "model": "test",
        "face_id": "face0",
        "subject_id": "s1",
        "sequence": 1,
        "seed": 7,
        "context": {},
        "label_semantics": "au-defined",
        "emotion": "happiness",
        "aus": (AuPeak(au=6, left=2.0, right=2.0), AuPeak(au=12, left=3.0, right=2.0)),
        "phases": Phases(onset_ms=812.0, apex_ms=1010.0, hold_ms=0.0, offset_ms=1240.0),
        "blinks": (Blink(start_ms=2000.0, duration_ms=300.0), Blink(start_ms=3000.0, duration_ms=250.0)),
        "gaze": (GazeShift(start_ms=1500.0, duration_ms=40.0, yaw_deg=2.0, pitch_deg=0.5),),
        "head": (HeadWave(axis="yaw_deg", amplitude=0.5, period_ms=3000.0, phase_rad=0.0),),
        "camera": CAMERA,
        "fps": 24.0,
        "duration_ms": 4000.0,
        "size_px": 512,
        "noise": {},
    }
    fields.update(changes)
    if "spec_id" not in fields:
        fields["spec_id"] = seeding.content_id(fields)
    return ClipSpec(**fields)


def neutral_spec(**changes: Any) -> ClipSpec:
    return make_spec(**{"emotion": "neutral", "aus": (), "phases": None, **changes})


@st.composite
def au_peaks(draw: st.DrawFn, min_size: int = 1) -> tuple[AuPeak, ...]:
    numbers = draw(st.lists(st.sampled_from(list(ACTION_UNITS)), min_size=min_size, max_size=5, unique=True))
    peaks = []
    for number in sorted(numbers):
        left = draw(st.sampled_from([x / 4 for x in range(1, 21)]))
        right = draw(st.sampled_from([left, 0.0, 1.0, 2.5, 4.0])) if ACTION_UNITS[number].sided else left
        if draw(st.booleans()):
            left, right = right, left
        peaks.append(AuPeak(au=number, left=left, right=right))
    return tuple(peaks)


@st.composite
def clip_specs(draw: st.DrawFn, neutral: bool = False) -> ClipSpec:
    n_blinks = draw(st.integers(0, 9))
    n_gaze = draw(st.integers(0, 3))
    common = {
        "seed": draw(st.integers(0, 2**32)),
        "blinks": tuple(Blink(start_ms=500.0 * i, duration_ms=300.0) for i in range(n_blinks)),
        "gaze": tuple(
            GazeShift(start_ms=900.0 * i, duration_ms=40.0, yaw_deg=i, pitch_deg=0.0) for i in range(n_gaze)
        ),
        "head": draw(st.sampled_from([(), make_spec().head])),
        "duration_ms": 6000.0,
    }
    if neutral:
        return neutral_spec(**common)
    onset = draw(st.floats(0, 5000))
    apex = onset + draw(st.floats(40, 300))
    return make_spec(
        **common,
        emotion=draw(st.sampled_from(EMOTIONS[:-1])),
        label_semantics=draw(st.sampled_from(["au-defined", "felt"])),
        aus=draw(au_peaks()),
        phases=Phases(onset_ms=onset, apex_ms=apex, hold_ms=0.0, offset_ms=apex + draw(st.floats(40, 300))),
    )
