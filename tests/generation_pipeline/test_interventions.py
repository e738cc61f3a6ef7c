from __future__ import annotations

from typing import Any

import pytest

from equime.errors import InputError
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.graph import NODE_NAMES
from equime.types import AuPeak, Blink, ClipSpec
from tests.generation_pipeline.specimens import make_face

MODEL = CausalModel()


def sample(do: dict[str, Any]) -> ClipSpec:
    return MODEL.sample(make_face(1), 7, do={"emotion": "happiness", **do})


def peaks(do: dict[str, Any]) -> dict[int, AuPeak]:
    return {p.au: p for p in sample(do).aus}


@pytest.mark.parametrize("codes", ["L12B+6", ["L12B", 6], ["6", "L12B"], "AU6+L12B"])
def test_codes_force_sides_and_letters(codes: Any) -> None:
    drawn = peaks({"au_set": codes})
    assert set(drawn) == {6, 12}
    assert (drawn[12].left, drawn[12].right) == (2.0, 0.0)
    free = peaks({"au_set": [6, 12]})
    assert (drawn[6].left, drawn[6].right) == (free[6].left, free[6].right)


def test_codes_with_both_sides_named() -> None:
    drawn = peaks({"au_set": "L12C+R12B"})[12]
    assert (drawn.left, drawn.right) == (3.0, 2.0)
    drawn = peaks({"au_set": "L12+R12"})[12]
    assert drawn.left == drawn.right


def test_a_node_of_its_own_wins_over_the_code() -> None:
    drawn = peaks({"au_set": "L12B", "laterality": {"12": "right"}, "intensity": {"12": 4}})[12]
    assert (drawn.left, drawn.right) == (0.0, 4.0)


@pytest.mark.parametrize("empty", ["", []])
def test_no_au_is_no_expression(empty: Any) -> None:
    spec = sample({"au_set": empty})
    assert spec.aus == ()
    assert spec.phases is None


def test_per_au_values_leave_other_aus_alone() -> None:
    free = peaks({"au_set": [6, 12]})
    forced = peaks({"au_set": [6, 12], "intensity": {"12": "D", "4": 1}})
    assert max(forced[12].left, forced[12].right) == 4.0
    assert forced[6] == free[6]
    assert 4 not in forced
    every = peaks({"au_set": [6, 12], "intensity": {"12": "D", "*": "A"}})
    assert max(every[6].left, every[6].right) == 1.0


def test_laterality_for_all_leaves_central_aus_alone() -> None:
    drawn = peaks({"au_set": [12, 25], "laterality": "left"})
    assert drawn[12].right == 0.0
    assert drawn[25].left == drawn[25].right > 0


def test_phases_in_parts() -> None:
    free = sample({}).phases
    moved = sample({"phases": {"onset_ms": 1000.0}}).phases
    assert free is not None
    assert moved is not None
    assert moved.onset_ms == 1000.0
    assert moved.apex_ms - moved.onset_ms == pytest.approx(free.apex_ms - free.onset_ms)
    macro = sample({"phases": {"onset_to_apex_ms": 465.0, "apex_to_offset_ms": 650.0}}).phases
    assert macro is not None
    assert macro.offset_ms - macro.onset_ms == pytest.approx(1115.0)
    assert macro.offset_ms < 6000.0


def test_confounders() -> None:
    spec = sample(
        {
            "blinks": [{"start_ms": 500, "duration_ms": 150}],
            "gaze": [],
            "head": [],
            "illumination": {"light_amplitude": 0},
            "sensor_noise": {"noise_sigma": 0},
        }
    )
    assert spec.blinks == (Blink(start_ms=500.0, duration_ms=150.0),)
    assert spec.gaze == spec.head == ()
    assert spec.camera.light_amplitude == spec.camera.noise_sigma == 0
    assert spec.camera.noise_seed == sample({}).camera.noise_seed


BAD = [
    ({"colour": "red"}, "do colour: no such node; the nodes are context, label_semantics"),
    ({"emotion": "joy"}, "do emotion: 'joy' is not allowed; use one of happiness, .*neutral"),
    ({"emotion": 3}, "do emotion: 3 is not allowed"),
    ({"label_semantics": "mixed"}, "use one of au-defined, felt"),
    ({"context": {"age": 3}}, "not an object of strings"),
    ({"au_set": 12}, "12 is no AU set"),
    ({"au_set": "12X"}, "'12X' is no FACS code"),
    ({"au_set": [99]}, "AU 99 is not known"),
    ({"au_set": "L17"}, "does not side AU 17"),
    ({"au_set": "12+L12"}, "given twice"),
    ({"au_set": "L12B+L12C"}, "given twice"),
    ({"au_set": "L12B+R12"}, "both sides an intensity letter, or neither"),
    ({"laterality": "up"}, "'up' is no side"),
    ({"laterality": {"12": [0.5, 0.5]}}, "is no side"),
    ({"laterality": {"17": "left"}}, "does not side AU 17"),
    ({"laterality": {"twelve": "left"}}, "'twelve' is no FACS number"),
    ({"intensity": 5.5}, "number above 0, up to 5"),
    ({"intensity": 0}, "is no intensity"),
    ({"intensity": "F"}, "'F' is not one of A"),
    ({"intensity": True}, "is no intensity"),
    ({"phases": {}}, "is not an object with any of onset_ms"),
    ({"phases": {"apex_ms": 3}}, "'apex_ms' is not one of"),
    ({"phases": {"onset_ms": 5900}}, "after the last frame"),
    ({"phases": {"onset_to_apex_ms": 5000, "apex_to_offset_ms": 600}}, "do not fit into a clip"),
    ({"phases": {"onset_to_apex_ms": 60, "apex_to_offset_ms": 60}}, "fewer than 3 frames at 24 fps"),
    ({"apex_shape": {"rise": 0}}, "rise 0 is outside 0.4 to 4"),
    ({"apex_shape": {"hold_ms": 450}}, "reaches the offset"),
    ({"asynchrony": -1}, "is no delay"),
    ({"asynchrony": {"*": 450}}, "reaches the apex"),
    ({"blinks": "none"}, "is not a list of Blink"),
    ({"blinks": [{"start_ms": 1}]}, "missing required field `duration_ms`"),
    ({"blinks": [{"start_ms": -5, "duration_ms": 100}]}, "needs start_ms >= 0"),
    ({"gaze": [{"start_ms": 1, "duration_ms": 30, "yaw_deg": 90, "pitch_deg": 0}]}, "within -30..30"),
    ({"head": [{"axis": "q", "amplitude": 1, "period_ms": 900, "phase_rad": 0}]}, "Invalid enum value 'q'"),
    ({"head": [{"axis": "x_mm", "amplitude": 1, "period_ms": 1, "phase_rad": 0}]}, "period_ms >= 200"),
    ({"illumination": {"light_amplitude": 2}}, "light_amplitude 2 is outside 0 to 0.2"),
    ({"sensor_noise": {"noise_sigma": float("nan")}}, "noise_sigma None is outside"),
    ({"emotion": object()}, "is not JSON data"),
]


@pytest.mark.parametrize(("do", "message"), BAD, ids=[f"{next(iter(d))}: {message}" for d, message in BAD])
def test_bad_interventions_are_explained(do: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample(do)


def test_every_node_has_a_bad_value_tested() -> None:
    assert {node for do, _ in BAD for node in do} >= set(NODE_NAMES)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        sample({"colour": "red", "intensity": 9, "au_set": "zz"})
    assert len(str(caught.value).splitlines()) == 3
