"""The number that orders clips: frozen ones are last whatever else is good about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.annotation.annotators import Value
from equime.evaluation_framework.score import NO_MOVEMENT_CAP, PARTS, clip_score

PERFECT: dict[str, Value] = {
    "is_frozen": False, "frozen_share": 0.0, "duplicate_share": 0.0, "flicker": 0.0, "blockiness": 0.0,
    "psnr_source_db": 40.0, "ssim_source": 1.0, "fidelity_reference": "photograph", "brisque": 10.0,
    "clip_iqa": 0.9, "movement_found": True, "false_movement": False, "intended_onset_ms": 500.0,
    "emotion": "anger", "is_micro_duration": True, "onset_error_ms": 0.0, "apex_error_ms": 0.0,
    "offset_error_ms": 0.0, "flow_cosine": 1.0, "flow_ratio": 1.0, "flow_leakage": 0.0,
    "au_passes": True, "identity_similarity": 1.0, "n_dropped_frames": 0, "is_variable_rate": False,
}  # fmt: skip

WORST: dict[str, Value] = {
    "frozen_share": 1.0, "duplicate_share": 1.0, "flicker": 50.0, "blockiness": 1.0, "psnr_source_db": 5.0,
    "ssim_source": -1.0, "brisque": 150.0, "clip_iqa": 0.0, "movement_found": False, "false_movement": True,
    "is_micro_duration": False, "onset_error_ms": -900.0, "apex_error_ms": 900.0, "offset_error_ms": 900.0,
    "flow_cosine": -1.0, "flow_ratio": -3.0, "flow_leakage": 9.0, "au_passes": False,
    "identity_similarity": -1.0, "n_dropped_frames": 7, "is_variable_rate": True,
}  # fmt: skip


def test_a_perfect_clip_has_every_part_at_one_and_no_cap() -> None:
    found = clip_score(PERFECT)
    assert found.score == 1
    assert set(found.parts) == {part.name for part in PARTS}
    assert set(found.parts.values()) == {1.0}
    assert (found.left_out, found.caps, found.reason) == ((), (), "no part below its best")


@pytest.mark.parametrize("column", WORST)
def test_each_column_counts(column: str) -> None:
    found = clip_score({**PERFECT, column: WORST[column]})
    assert found.score is not None
    assert found.score < 1
    assert found.reason != "no part below its best"


def test_the_worst_of_everything_is_zero() -> None:
    assert clip_score({**PERFECT, **WORST, "is_frozen": True}).score == 0


def test_score_is_the_mean_of_the_parts_that_apply() -> None:
    found = clip_score({"flicker": 1.0, "blockiness": 0.05, "au_passes": None, "brisque": float("nan")})
    assert found.parts == {"steady_light": 0.5, "no_blocking": 1.0}
    assert found.score == 0.75
    assert (found.lowest, found.reason) == ("steady_light", "lowest part: steady_light 0.50")
    assert set(found.left_out) == {part.name for part in PARTS} - set(found.parts)


def test_nothing_measured_is_no_score() -> None:
    for nothing in ({}, {"flicker": None, "is_frozen": None}):
        found = clip_score(nothing)
        assert (found.score, found.lowest, found.reason) == (None, None, "nothing was measured")


def test_a_frozen_clip_is_zero_though_all_else_is_perfect() -> None:
    assert clip_score({**PERFECT, "is_frozen": True}).score == 0
    assert clip_score({"is_frozen": True}).score == 0
    assert clip_score({**PERFECT, "duplicate_share": 1.0}).score == 0
    assert "one picture" in clip_score({**PERFECT, "is_frozen": True}).reason


def test_a_freeze_takes_its_share_of_the_most_a_clip_can_have() -> None:
    found = clip_score({**PERFECT, "frozen_share": 0.7})
    assert found.score == pytest.approx(0.3)
    assert found.reason == "frozen for 70% of its time"


@pytest.mark.parametrize(
    ("about", "is_capped"),
    [
        ({"emotion": "anger", "intended_onset_ms": None}, True),
        ({"emotion": None, "intended_onset_ms": 500.0}, True),
        ({"emotion": "neutral", "intended_onset_ms": None}, False),
        ({"emotion": None, "intended_onset_ms": None}, False),
    ],
)
def test_movement_counts_as_missing_only_where_one_was_intended(
    about: dict[str, Value], is_capped: bool
) -> None:
    found = clip_score({**PERFECT, **about, "movement_found": False})
    assert (found.score == NO_MOVEMENT_CAP) == is_capped
    assert found.parts["movement"] == (0.0 if is_capped else 1.0)


def test_movement_in_a_neutral_clip_is_held_against_it() -> None:
    neutral = {**PERFECT, "emotion": "neutral", "intended_onset_ms": None, "false_movement": True}
    assert clip_score(neutral).parts["movement"] == 0
    still = {**neutral, "movement_found": None, "false_movement": False}
    assert clip_score(still).parts["movement"] == 1
    assert "movement" in clip_score({**still, "false_movement": None}).left_out


def test_likeness_to_its_own_first_frame_is_no_merit() -> None:
    assert "likeness" in clip_score({**PERFECT, "fidelity_reference": "first_frame"}).left_out


def test_no_input_is_a_measure_between_consecutive_frames() -> None:
    columns = {column for part in PARTS for column in part.columns}
    assert not [c for c in columns if "consecutive" in c or c in ("motion_energy", "tv")]
    still = {"psnr_consecutive_db": 99.0, "ssim_consecutive": 1.0}
    assert clip_score({**PERFECT, **still}) == clip_score(PERFECT)


def test_numpy_and_pandas_cells_are_read() -> None:
    row: dict[str, Any] = {"is_frozen": np.bool_(False), "flicker": np.float64(1.0), "au_passes": pd.NA}
    found = clip_score(row)
    assert found.parts == {"steady_light": 0.5}
    assert clip_score({"is_frozen": np.bool_(True), "flicker": 0.0}).score == 0


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.one_of(
                st.none(),
                st.booleans() if isinstance(v, bool) else st.floats(allow_nan=True, allow_infinity=False),
            )
            for name, v in PERFECT.items()
            if not isinstance(v, str)
        },
    )
)
@settings(max_examples=200, deadline=None)
def test_whatever_the_cells_the_score_lies_between_frozen_and_perfect(values: dict[str, Value]) -> None:
    found = clip_score(values)
    assert found.score is None or 0 <= found.score <= 1
    assert all(0 <= part <= 1 for part in found.parts.values())
    assert set(found.parts) | set(found.left_out) == {part.name for part in PARTS}
    frozen = clip_score({**values, "is_frozen": True})
    assert frozen.score == 0
