from __future__ import annotations

import itertools
import tracemalloc
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.action_units import EMOTIONS
from equime.errors import InputError
from equime.generation_pipeline.balance import parse_balance
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.design import PRESETS, Design, plan
from equime.types import Face
from tests.generation_pipeline.specimens import make_face

FIVE = PRESETS["equime"].emotions
MODEL = CausalModel()


def make_faces(n_female: int, n_male: int, n_unknown: int = 0) -> list[Face]:
    genders = ["f"] * n_female + ["m"] * n_male + ["u"] * n_unknown
    return [make_face(i, gender=g, ethnicity="ab"[i % 2]) for i, g in enumerate(genders)]


def design(faces: list[Face] | None = None, n_clips: int = 100, **fields: Any) -> Design:
    return Design(faces=make_faces(6, 4) if faces is None else faces, n_clips=n_clips, seed=1, **fields)


@settings(deadline=None, max_examples=40)
@given(
    n_faces=st.integers(1, 12),
    n_blocks=st.integers(1, 40),
    n_emotions=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_emotion_is_balanced_exactly_within_every_identity_and_group(
    n_faces: int, n_blocks: int, n_emotions: int, seed: int
) -> None:
    emotions = EMOTIONS[:n_emotions]
    faces = [make_face(i, gender="fm"[i % 2]) for i in range(n_faces)]
    made = Design(faces=faces, n_clips=n_blocks * n_emotions, seed=seed, emotions=emotions)
    cells = Counter((c.face.face_id, c.emotion) for c in made.assignments())
    for face in faces:
        assert len({cells[face.face_id, e] for e in emotions}) == 1
    per_face = Counter(c.face.face_id for c in made.assignments())
    assert len(per_face) == min(n_faces, n_blocks)
    assert max(per_face.values()) - min(per_face.values()) <= n_emotions
    report = made.report()
    for by_emotion in report.per_group_and_emotion["gender"].values():
        assert set(by_emotion) == set(emotions)
        assert len(set(by_emotion.values())) == 1
    assert report.n_incomplete == 0


def test_sequence_and_replicate_count_per_subject() -> None:
    clips = list(design(n_clips=150).assignments())
    for _, own in itertools.groupby(sorted(clips, key=lambda c: c.face.face_id), lambda c: c.face.face_id):
        mine = list(own)
        assert [c.sequence for c in mine] == list(range(1, 16))
        assert [c.replicate for c in mine] == [0] * 5 + [1] * 5 + [2] * 5


@pytest.mark.parametrize("balance", [{}, {"gender": "equal"}, {"gender": {"f": 0.25, "m": 0.75}}])
def test_a_smaller_plan_is_the_beginning_of_a_larger_one(balance: Any) -> None:
    large = list(design(n_clips=120, balance=balance).specs(MODEL))
    small = list(design(n_clips=37, balance=balance).specs(MODEL))
    assert small == large[:37]


def test_order_of_the_faces_does_not_matter_and_the_seed_does() -> None:
    faces = make_faces(6, 4)
    forth, back = (list(design(f).assignments()) for f in (faces, faces[::-1]))
    assert forth == back
    other = Design(faces=faces, n_clips=100, seed=2)
    assert [c.face.face_id for c in other.assignments()] != [c.face.face_id for c in forth]


def test_specs_are_what_was_assigned() -> None:
    made = design(fps=200.0, duration_ms=1000.0, size_px=128, do={"intensity": "C"})
    specs = list(made.specs(MODEL))
    assert len({s.spec_id for s in specs}) == 100
    for spec, clip in zip(specs, made.assignments(), strict=True):
        assert (spec.face_id, spec.emotion, spec.sequence) == (clip.face.face_id, clip.emotion, clip.sequence)
        assert (spec.fps, spec.duration_ms, spec.size_px) == (200.0, 1000.0, 128)
        assert {n: msgspec.json.decode(v) for n, v in spec.do.items()} == {
            "emotion": clip.emotion,
            "intensity": "C",
        }
        assert all(max(p.left, p.right) == 3.0 for p in spec.aus)


def test_plan_streams_the_same_specs() -> None:
    faces = make_faces(3, 3)
    planned = list(plan(faces, model=MODEL, n_clips=20, seed=1))
    assert planned == list(Design(faces=faces, n_clips=20, seed=1).specs(MODEL))


def test_memory_does_not_grow_with_the_number_of_clips() -> None:
    stream = design(n_clips=1_000_000).specs(MODEL)
    list(itertools.islice(stream, 200))
    tracemalloc.start()
    for _ in itertools.islice(stream, 1500):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("balance", "target"),
    [
        ({"gender": "equal"}, {"f": 0.5, "m": 0.5}),
        ({"gender": {"f": 0.2, "m": 0.8}}, {"f": 0.2, "m": 0.8}),
        ({"gender": {"m": 1.0, "f": 0.0}}, {"m": 1.0}),
    ],
)
def test_target_is_reached_by_choosing_identities(balance: Any, target: dict[str, float]) -> None:
    report = design(make_faces(30, 6, 4), n_clips=1000, balance=balance).report()
    reached = {t.group: t.reached for t in report.targets}
    assert reached.keys() == target.keys()
    for group, share in target.items():
        assert reached[group] == pytest.approx(share, abs=5 / 1000)
    assert report.n_unused == 40 - report.n_identities
    assert "u" not in report.per_group["gender"]


def test_two_targets_at_once() -> None:
    balance = {"gender": {"f": 0.5, "m": 0.5}, "ethnicity": {"a": 0.3, "b": 0.7}}
    report = design(make_faces(30, 6), n_clips=2000, balance=balance).report()
    for target in report.targets:
        assert target.reached == pytest.approx(target.target, abs=0.005)
    assert report.max_per_identity > report.min_per_identity + 5
    assert any("reuse the identities of small groups" in note for note in report.notes)


def test_a_target_out_of_reach_together_is_reported() -> None:
    faces = [make_face(i, gender="fm"[i % 2], ethnicity="ab"[i % 2]) for i in range(20)]
    balance = {"gender": {"f": 0.9, "m": 0.1}, "ethnicity": {"a": 0.1, "b": 0.9}}
    report = design(faces, n_clips=1000, balance=balance).report()
    assert any("not the target" in note for note in report.notes)


def test_an_incomplete_last_block_is_reported() -> None:
    report = design(n_clips=102).report()
    assert report.n_incomplete == 2
    assert "the last block holds 2 of 5; 100 clips balance exactly" in report.notes[0]
    assert sum(report.per_emotion.values()) == 102
    assert max(report.per_emotion.values()) - min(report.per_emotion.values()) == 1


def test_report_counts_what_is_not_declared() -> None:
    faces = [make_face(0, gender="f", ethnicity="a"), make_face(1, gender="f")]
    assert design(faces, n_clips=10).report().per_group["ethnicity"] == {"a": 5, "not declared": 5}


@pytest.mark.parametrize(
    ("texts", "parsed"),
    [
        (["gender=equal"], {"gender": "equal"}),
        (["gender=f:0.5,m:0.5"], {"gender": {"f": 0.5, "m": 0.5}}),
        ([" gender = f : 0.25 , m : 0.75 ", "x=equal"], {"gender": {"f": 0.25, "m": 0.75}, "x": "equal"}),
        (["skin=I-II: 0.5,a:b:0.5"], {"skin": {"I-II": 0.5, "a:b": 0.5}}),
    ],
)
def test_balance_syntax(texts: list[str], parsed: Any) -> None:
    assert parse_balance(texts) == parsed


@pytest.mark.parametrize(
    "text", ["", "gender", "gender=", "=equal", "gender=f", "gender=f:half", "gender=f:1,f:0"]
)
def test_bad_balance_syntax(text: str) -> None:
    with pytest.raises(InputError, match="balance"):
        parse_balance([text])


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        ({"gender": {"f": 0.5, "x": 0.5}}, r"no face is declared x; declared: f \(6\), m \(4\)"),
        ({"gender": {"f": 0.5, "m": 0.4}}, "add up to 1, not 0.9"),
        ({"gender": {"f": 1.5, "m": -0.5}}, "must lie in 0..1"),
        ({"gender": "same"}, "'same' is not 'equal'"),
        ({"height": "equal"}, "no face declares it"),
    ],
)
def test_bad_targets(balance: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        design(balance=balance)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Design(
            faces=[make_face(1), make_face(1)], n_clips=0, seed=1, emotions=("joy", "joy"), fps=5.0, size_px=3,
            balance={"height": "equal"}, do={"emotion": "fear"},
        )  # fmt: skip
    message = str(caught.value)
    for part in ("clips 0", "joy, joy not known", "each once", "face_id", "subject_id", "fps 5", "size 3", "height",
                 "do emotion"):  # fmt: skip
        assert part in message


def test_no_faces() -> None:
    with pytest.raises(InputError, match="faces: there are none"):
        design([])


def test_unknown_emotion_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="joy not known; use any of happiness, sadness"):
        design(emotions=("joy",))


@pytest.mark.parametrize(("name", "n_clips"), [("equime", 75_000), ("me-vlm", 100_000)])
def test_presets(name: str, n_clips: int) -> None:
    preset = PRESETS[name]
    assert preset.n_clips == n_clips
    assert preset.emotions == ("happiness", "sadness", "surprise", "fear", "anger")
    assert (preset.size_px, preset.fps, preset.duration_ms) == (512, 24.0, 6000.0)
    made = Design(faces=make_faces(1, 1), n_clips=1, seed=1, emotions=preset.emotions)
    assert next(made.specs(MODEL)).n_frames == 144


def shown(spec: Any) -> Any:
    """What a spec shows, without whose face it is."""
    return msgspec.structs.replace(spec, spec_id="", face_id="", subject_id="", context={}, twin_of=None)


def test_twins_show_the_same_expressions_on_every_face() -> None:
    specs = list(design(n_clips=100, twins=True).specs(MODEL))
    by_expression: dict[tuple[str, int], list[Any]] = {}
    for spec in specs:
        by_expression.setdefault((spec.emotion, spec.sequence), []).append(spec)
    assert len(by_expression) == 10
    for (_, _), group in by_expression.items():
        assert len({spec.face_id for spec in group}) == len(group) == 10
        factual = [spec for spec in group if spec.twin_of is None]
        assert len(factual) == 1
        assert all(spec.twin_of == factual[0].spec_id for spec in group if spec is not factual[0])
        assert all(shown(spec) == shown(factual[0]) for spec in group)
    assert len({msgspec.json.encode(shown(group[0])) for group in by_expression.values()}) == 10


def test_a_smaller_plan_of_twins_is_the_beginning_of_a_larger_one() -> None:
    large = list(design(n_clips=60, twins=True).specs(MODEL))
    assert list(design(n_clips=33, twins=True).specs(MODEL)) == large[:33]
    assert {s.twin_of for s in large} - {None} <= {s.spec_id for s in large}


def test_without_twins_no_two_faces_show_the_same() -> None:
    specs = list(design(n_clips=50).specs(MODEL))
    assert len({msgspec.json.encode(shown(spec)) for spec in specs}) == len(specs)
