from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.action_units import ACTION_UNITS, EMOTIONS, letter
from equime.errors import InputError
from equime.generation_pipeline.au_sets import AU_DEFINED, emotion_of, weighted_sets
from equime.generation_pipeline.causal_model import CausalModel, _draw_noise, spec_id
from equime.generation_pipeline.graph import NODE_NAMES, NODES, descendants
from equime.generation_pipeline.priors import default_priors
from equime.generation_pipeline.setting import MAX_TOTAL_MS
from equime.seeding import canonical_json
from equime.types import ClipSpec
from tests.generation_pipeline.specimens import make_face

MODEL = CausalModel(p_felt=0.4)
MODEL_0 = CausalModel()
EXPRESSIVE = tuple(e for e in EMOTIONS if e != "neutral")

FORCED: dict[str, Any] = {
    "context": {"gender": "m"},
    "label_semantics": "felt",
    "emotion": "surprise",
    "au_set": "L12B+6",
    "laterality": "right",
    "intensity": "E",
    "phases": {"onset_to_apex_ms": 111.0, "apex_to_offset_ms": 222.0},
    "apex_shape": {"hold_ms": 1.5, "rise": 2.0},
    "asynchrony": 3.0,
    "blinks": [{"start_ms": 1000.0, "duration_ms": 200.0, "closure": 1.0}],
    "gaze": [{"start_ms": 2000.0, "duration_ms": 30.0, "yaw_deg": 3.0, "pitch_deg": 0.0}],
    "head": [],
    "illumination": {"light_amplitude": 0.0},
    "sensor_noise": {"noise_sigma": 0.0},
}
"""One intervention per node."""

faces = st.builds(make_face, st.integers(0, 100_000))
seeds = st.integers(0, 2**40)
emotions = st.sampled_from(EMOTIONS)


def recorded(spec: ClipSpec) -> dict[str, Any]:
    """What each node set in a spec, read back from the record."""
    timing = spec.phases
    return {
        "context": spec.context,
        "label_semantics": spec.label_semantics,
        "emotion": spec.emotion,
        "au_set": [p.au for p in spec.aus],
        "laterality": [(p.au, p.left > 0, p.right > 0) for p in spec.aus],
        "intensity": [(p.au, max(p.left, p.right)) for p in spec.aus],
        "phases": timing and (timing.onset_ms, timing.apex_ms, timing.offset_ms),
        "apex_shape": timing and (timing.hold_ms, timing.rise, timing.decay),
        "asynchrony": [(p.au, p.delay_ms) for p in spec.aus],
        "blinks": spec.blinks,
        "gaze": spec.gaze,
        "head": spec.head,
        "illumination": (
            spec.camera.light_amplitude, spec.camera.light_period_ms, spec.camera.light_phase_rad,
        ),
        "sensor_noise": (spec.camera.noise_sigma, spec.camera.noise_seed),
    }  # fmt: skip


GOLDEN_AUS = [(6, 1.285, 1.4, 0.0), (12, 2.448, 0.0, 22.15)]
GOLDEN_PHASES = (2997.71, 3234.63, 3322.7)
GOLDEN_NOISE_SEED = 737023871188

# --- sampling -----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(face=faces, seed=seeds, emotion=emotions, replicate=st.integers(0, 50))
def test_draws_are_valid(face: Any, seed: int, emotion: str, replicate: int) -> None:
    spec = MODEL.sample(face, seed, do={"emotion": emotion}, replicate=replicate)
    assert spec.emotion == emotion
    assert (spec.phases is None) == (not spec.aus) == (emotion == "neutral")
    for peak in spec.aus:
        strong, weak = max(peak.left, peak.right), min(peak.left, peak.right)
        assert 0.5 <= strong <= 5.0
        assert weak == 0 or weak >= 0.5
        assert weak == strong or ACTION_UNITS[peak.au].sided
    if spec.phases is not None:
        p = spec.phases
        assert 0 < p.onset_ms < p.apex_ms <= p.apex_ms + p.hold_ms < p.offset_ms < spec.duration_ms
        assert p.offset_ms - p.onset_ms <= MAX_TOTAL_MS + 1e-6
        assert min(p.apex_ms - p.onset_ms, p.offset_ms - p.apex_ms) >= 50 - 1e-6
        assert min(a.delay_ms for a in spec.aus) == 0
        assert max(a.delay_ms for a in spec.aus) <= 0.25 * (p.apex_ms - p.onset_ms) + 0.01
    assert all(0 <= u < 1 and u == round(u, 6) for us in spec.noise.values() for u in us)
    ends = [b.start_ms + b.duration_ms for b in spec.blinks]
    assert all(e <= spec.duration_ms for e in ends)
    assert all(b.start_ms > e for b, e in zip(spec.blinks[1:], ends, strict=False))


@settings(deadline=None)
@given(face=faces, seed=seeds)
def test_record_round_trips_and_its_id_is_its_content(face: Any, seed: int) -> None:
    spec = MODEL.sample(face, seed)
    read = msgspec.json.decode(canonical_json(spec), type=ClipSpec)
    assert read == spec
    assert spec_id(read) == spec.spec_id
    assert canonical_json(read) == canonical_json(spec)
    other = msgspec.structs.replace(spec, sequence=spec.sequence + 1)
    assert spec_id(other) != spec.spec_id


def test_same_inputs_give_the_same_ids_in_another_process() -> None:
    code = (
        "from equime.generation_pipeline.causal_model import CausalModel\n"
        "from tests.generation_pipeline.specimens import make_face\n"
        "print(*[CausalModel(p_felt=0.4).sample(make_face(i), 9).spec_id for i in range(5)])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [MODEL.sample(make_face(i), 9).spec_id for i in range(5)]


def test_golden_draw() -> None:
    """Fails where a mechanism or the noise changes: then `VERSION` must change too."""
    spec = CausalModel().sample(make_face(1), 7, do={"emotion": "happiness"})
    assert spec.model.startswith("equime-scm/1 ")
    assert [(p.au, p.left, p.right, p.delay_ms) for p in spec.aus] == GOLDEN_AUS
    assert spec.phases is not None
    assert (spec.phases.onset_ms, spec.phases.apex_ms, spec.phases.offset_ms) == GOLDEN_PHASES
    assert spec.camera.noise_seed == GOLDEN_NOISE_SEED


@settings(deadline=None)
@given(face=faces, seed=seeds, emotion=emotions)
def test_nothing_but_context_depends_on_the_declared_group(face: Any, seed: int, emotion: str) -> None:
    declared = [{"gender": "f", "age": 20.0}, {"gender": "m", "age": 70.0, "ethnicity": "x"}, {}]
    twins = [make_face(int(face.subject_id), **d) for d in declared]
    specs = [MODEL.sample(twin, seed, do={"emotion": emotion}) for twin in twins]
    assert specs[0].context == {"age_group": "20-29", "gender": "f"}
    assert specs[1].context == {"age_group": "70-79", "ethnicity": "x", "gender": "m"}
    blind = [msgspec.structs.replace(s, context={}, spec_id="") for s in specs]
    assert blind[0] == blind[1] == blind[2]


def test_context_has_no_descendant() -> None:
    assert descendants("context") == {"context"}


def test_emotions_of_a_block_are_noise_twins() -> None:
    specs = [MODEL.sample(make_face(), 1, do={"emotion": e}) for e in EMOTIONS]
    for spec in specs[1:]:
        assert spec.noise == specs[0].noise
        assert (spec.blinks, spec.gaze, spec.head, spec.camera) == (
            specs[0].blinks, specs[0].gaze, specs[0].head, specs[0].camera,
        )  # fmt: skip


def test_replicates_faces_and_seeds_are_independent() -> None:
    draws = [
        np.concatenate([MODEL.sample(make_face(f), s, replicate=r).noise["intensity"] for f in range(40)])
        for s, r in ((1, 0), (1, 1), (2, 0))
    ]
    correlation = np.corrcoef(draws)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 4 / np.sqrt(len(draws[0]))
    assert abs(np.mean(draws) - 0.5) < 4 / np.sqrt(12 * np.size(draws))


def test_noise_of_a_node_does_not_depend_on_other_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = MODEL.sample(make_face(), 1).noise
    monkeypatch.setattr("equime.generation_pipeline.causal_model.NODES", NODES[:3] + NODES[-5:])
    fewer = _draw_noise(1, make_face().face_id, 0, 6000.0)
    assert 0 < len(fewer) < len(before)
    assert all(before[name] == draws for name, draws in fewer.items())


def test_noise_holds_a_draw_for_every_au() -> None:
    spec = MODEL.sample(make_face(), 1, do={"emotion": "neutral"})
    for au in ACTION_UNITS:
        twin = MODEL.counterfactual(spec, {"au_set": [au]})
        assert [p.au for p in twin.aus] == [au]
        assert twin.phases is not None


# --- interventions and counterfactuals ----------------------------------------------------------------


@settings(deadline=None)
@given(face=faces, seed=seeds, emotion=emotions)
def test_counterfactual_without_intervention_is_the_spec(face: Any, seed: int, emotion: str) -> None:
    spec = MODEL.sample(face, seed, do={"emotion": emotion, "intensity": "B"})
    read = msgspec.json.decode(canonical_json(spec), type=ClipSpec)
    twin = MODEL.counterfactual(read, {})
    assert twin.twin_of == spec.spec_id
    assert msgspec.structs.replace(twin, twin_of=None, spec_id=spec.spec_id) == spec


@pytest.mark.parametrize("node", NODE_NAMES)
@settings(deadline=None, max_examples=25)
@given(face=faces, seed=seeds, emotion=emotions)
def test_do_changes_descendants_only(node: str, face: Any, seed: int, emotion: str) -> None:
    spec = MODEL.sample(face, seed, do={"emotion": emotion})
    twin = MODEL.counterfactual(spec, {node: FORCED[node]})
    before, after = recorded(spec), recorded(twin)
    exactly_before, exactly_after = MODEL.values(spec), MODEL.values(twin)
    affected = descendants(node)
    if node in ("laterality", "intensity", "asynchrony"):
        assert before["au_set"] == after["au_set"]
    for other in NODE_NAMES:
        if other not in affected:
            assert before[other] == after[other], other
            assert exactly_before[other] == exactly_after[other], other
    assert twin.noise == spec.noise
    assert (twin.face_id, twin.seed, twin.fps) == (spec.face_id, spec.seed, spec.fps)
    assert msgspec.json.decode(twin.do[node]) == FORCED[node]
    assert twin.twin_of == spec.spec_id != twin.spec_id


@pytest.mark.parametrize("node", NODE_NAMES)
def test_do_takes_effect(node: str) -> None:
    spec = MODEL_0.sample(make_face(3, gender="f"), 5, do={"emotion": "happiness", "au_set": [12, 25]})
    twin = MODEL_0.counterfactual(spec, {node: FORCED[node]})
    assert MODEL_0.values(twin)[node] != MODEL_0.values(spec)[node]


@settings(deadline=None)
@given(face=faces, seed=seeds, emotion=emotions, other=emotions)
def test_emotion_twin_and_back(face: Any, seed: int, emotion: str, other: str) -> None:
    spec = MODEL.sample(face, seed, do={"emotion": emotion})
    there = MODEL.twin_with_emotion(spec, other)
    assert there.emotion == other
    back = MODEL.twin_with_emotion(there, emotion)
    assert back.twin_of == there.spec_id
    assert msgspec.structs.replace(back, twin_of=None, spec_id=spec.spec_id) == spec
    drawn = MODEL.sample(face, seed, do={"emotion": other})
    assert msgspec.structs.replace(there, twin_of=None, spec_id=drawn.spec_id) == drawn


def test_twin_on_face_keeps_everything_but_the_face() -> None:
    spec = MODEL.sample(make_face(1, gender="f"), 5, do={"emotion": "anger"})
    twin = MODEL.twin_on_face(spec, make_face(2, gender="m"), sequence=4)
    assert (twin.face_id, twin.subject_id, twin.sequence) == ("face000002", "000002", 4)
    assert twin.context == {"gender": "m"}
    assert twin.twin_of == spec.spec_id
    same = {f: getattr(spec, f) for f in ("face_id", "subject_id", "sequence", "context", "spec_id")}
    assert msgspec.structs.replace(twin, **same, twin_of=None) == spec


def test_null_lifts_an_intervention() -> None:
    spec = MODEL.sample(make_face(), 1, do={"emotion": "fear", "intensity": "E"})
    lifted = MODEL.counterfactual(spec, {"intensity": None})
    assert lifted.do.keys() == {"emotion"}
    plain = MODEL.sample(make_face(), 1, do={"emotion": "fear"})
    assert lifted.aus == plain.aus


def test_a_spec_of_another_model_is_refused() -> None:
    spec = CausalModel().sample(make_face(), 1)
    with pytest.raises(InputError, match="is of the model"):
        MODEL.counterfactual(spec, {})


def test_noise_that_does_not_fit_is_refused() -> None:
    spec = MODEL.sample(make_face(), 1)
    cut = msgspec.structs.replace(spec, noise={**spec.noise, "head": (0.5,)})
    with pytest.raises(InputError, match=r"head \(1 of 18\)"):
        MODEL.counterfactual(cut, {})


# --- distributions ------------------------------------------------------------------------------------


def test_au_defined_sets_belong_to_one_emotion_each() -> None:
    owners: dict[frozenset[int], list[str]] = defaultdict(list)
    for emotion, sets in AU_DEFINED.items():
        for aus in sets:
            assert 1 <= len(aus) <= 3
            assert tuple(sorted(set(aus))) == aus
            owners[frozenset(aus)].append(emotion)
    assert all(len(e) == 1 for e in owners.values())
    assert set(AU_DEFINED) == set(EXPRESSIVE)


def _aus_and_emotion(p_felt: float, n: int) -> list[tuple[tuple[int, ...], str]]:
    model = CausalModel(p_felt=p_felt)
    return [
        (tuple(p.au for p in model.sample(make_face(i), 11, do={"emotion": e}).aus), e)
        for i in range(n)
        for e in EXPRESSIVE
    ]


def test_au_defined_emotion_is_readable_and_of_micro_expression_size() -> None:
    drawn = _aus_and_emotion(0.0, 400)
    assert all(emotion_of(aus) == emotion for aus, emotion in drawn)
    assert 1.4 <= np.mean([len(aus) for aus, _ in drawn]) <= 1.85
    assert len({aus for aus, _ in drawn}) > 40


def test_felt_emotion_is_readable_up_to_the_ceiling_of_the_priors() -> None:
    """The best reader of AU sets; the ceiling is computed from the priors, about 0.53 for 7 emotions."""
    probability: dict[tuple[int, ...], dict[str, float]] = defaultdict(dict)
    for emotion in EXPRESSIVE:
        for aus, weight in weighted_sets(default_priors(), "felt", emotion):
            probability[aus][emotion] = weight / len(EXPRESSIVE)
    ceiling = sum(max(p.values()) for p in probability.values())
    drawn = _aus_and_emotion(1.0, 700)
    best = {aus: max(p, key=lambda e: p[e]) for aus, p in probability.items()}
    accuracy = np.mean([best[aus] == emotion for aus, emotion in drawn])
    assert 0.5 < ceiling < 0.7
    assert accuracy == pytest.approx(ceiling, abs=4 * np.sqrt(0.25 / len(drawn)))


def test_mixture_weight() -> None:
    n = 2000
    felt = Counter(MODEL.sample(make_face(i), 2).label_semantics for i in range(n))["felt"]
    assert felt / n == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / n))


@pytest.mark.parametrize("emotion", EXPRESSIVE)
def test_timing_reproduces_the_priors(emotion: str) -> None:
    """Truncation to 500 ms leaves the rise (within 3 %) and shortens the decay, by up to a fifth."""
    prior = default_priors().phase_durations_per_emotion_DFME[emotion]
    phases = [MODEL.sample(make_face(i), 3, do={"emotion": emotion}).phases for i in range(1500)]
    rise = np.array([p.apex_ms - p.onset_ms for p in phases if p])
    fall = np.array([p.offset_ms - p.apex_ms for p in phases if p])
    assert np.median(rise) == pytest.approx(prior.onset_to_apex.median_ms, rel=0.05)
    assert 0.75 < np.median(fall) / prior.apex_to_offset.median_ms < 1.02
    assert 300 < np.median(rise + fall) < 400
    assert (rise + fall).max() <= 500.001
    assert (rise + fall).min() >= 129.99
    onset = np.array([p.onset_ms for p in phases if p])
    position = (onset - 300) / (6000 - 600 - rise - fall)
    histogram = np.histogram(position, bins=10, range=(-1e-9, 1.00001))[0]
    assert histogram.sum() == len(position)
    assert ((histogram - 150) ** 2 / 150).sum() < 33.7  # chi-squared, 9 degrees of freedom, p = 1e-4


def test_intensity_letters_follow_the_priors() -> None:
    shares = default_priors().intensity_letters_SAMM
    total = sum(shares[c] for c in "ABCDE")
    n = 6000
    drawn = Counter(
        letter(max(p.left, p.right))
        for i in range(n)
        for p in MODEL.sample(make_face(i), 4, do={"emotion": "anger", "au_set": [24]}).aus
    )
    for c in "ABCDE":
        assert drawn[c] / n == pytest.approx(shares[c] / total, abs=0.025)


@pytest.mark.parametrize("au", [1, 2, 4, 12, 17, 20, 24])
def test_laterality_follows_the_priors(au: int) -> None:
    prior = default_priors().unilateral_share_per_au[str(au)]
    n = 2000
    peaks = [
        MODEL.sample(make_face(i), 5, do={"emotion": "happiness", "au_set": [au]}).aus[0] for i in range(n)
    ]
    left = sum(p.right == 0 for p in peaks)
    right = sum(p.left == 0 for p in peaks)
    if not ACTION_UNITS[au].sided:
        assert all(p.left == p.right for p in peaks)
        return
    assert (left + right) / n == pytest.approx(prior.unilateral, abs=4 * np.sqrt(0.25 / n))
    if left + right > 300 and prior.left_of_unilateral is not None:
        assert left / (left + right) == pytest.approx(
            prior.left_of_unilateral, abs=4 * np.sqrt(0.25 / (left + right))
        )


def test_unilateral_aus_of_a_clip_lie_on_one_side_in_contempt() -> None:
    specs = [CausalModel().sample(make_face(i), 6, do={"emotion": "contempt"}) for i in range(600)]
    sides = [
        {"both" if p.left and p.right else "left" if p.left else "right" for p in s.aus if p.au != 17}
        for s in specs
    ]
    assert all(len(s) == 1 for s in sides)
    share = np.mean(["both" not in s for s in sides])
    assert share == pytest.approx(0.85, abs=0.06)


def test_blinks_come_at_the_spontaneous_rate_whatever_the_emotion() -> None:
    counts = {
        e: sum(len(MODEL.sample(make_face(i), 8, do={"emotion": e}).blinks) for i in range(500))
        for e in ("neutral", "fear")
    }
    assert counts["neutral"] == counts["fear"]
    long = [MODEL.sample(make_face(i), 8, duration_ms=60_000.0).blinks for i in range(60)]
    assert 15 <= np.mean([len(b) for b in long]) <= 20
    assert 12 <= counts["fear"] / 500 * 10 <= 20


@pytest.mark.parametrize("fps", [24.0, 30.0, 200.0])
def test_short_clips_leave_room_at_both_ends(fps: float) -> None:
    duration = {24.0: 667.0, 30.0: 640.0, 200.0: 625.0}[fps]
    for i in range(300):
        phases = MODEL.sample(
            make_face(i), 9, do={"emotion": "sadness"}, fps=fps, duration_ms=duration
        ).phases
        assert phases is not None
        assert phases.onset_ms >= 2000 / fps - 0.01
        assert phases.offset_ms <= duration - 2000 / fps + 0.02


# --- bad input and description ------------------------------------------------------------------------


def test_format_problems_are_collected() -> None:
    with pytest.raises(InputError) as caught:
        MODEL.sample(make_face(), 1, fps=12.0, duration_ms=300.0, size_px=63)
    message = str(caught.value)
    assert message.count("\n") == 2
    assert "fewer than 3 frames" in message
    assert "24 to 500" in message
    assert "0.3 s" in message
    assert "63 px" in message


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), -1.0, 501.0])
def test_bad_fps(fps: float) -> None:
    with pytest.raises(InputError, match="fps"):
        MODEL.sample(make_face(), 1, fps=fps)


def test_bad_p_felt_and_sequence() -> None:
    with pytest.raises(InputError, match="p_felt"):
        CausalModel(p_felt=1.5)
    with pytest.raises(InputError, match="sequence"):
        MODEL.sample(make_face(), 1, sequence=0)


def test_description() -> None:
    described = MODEL.describe()
    assert msgspec.json.decode(msgspec.json.encode(described)) == described
    names = [node["name"] for node in described["nodes"]]
    assert names == list(NODE_NAMES)
    assert ["au_set", "intensity"] in described["edges"]
    for parent, child in described["edges"]:
        assert parent != "context"
        assert names.index(parent) < names.index(child)
        assert f"{parent} --> {child}" in MODEL.to_mermaid()
        assert f"{parent} -> {child};" in MODEL.to_dot()
    spec = MODEL.sample(make_face(), 1)
    assert {n["name"]: n["n_noise_at_6_s"] for n in described["nodes"] if n["n_noise_at_6_s"]} == {
        name: len(draws) for name, draws in spec.noise.items()
    }
