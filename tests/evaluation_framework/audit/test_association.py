"""Associations: null where they are null, found where they are planted, and honest about what they could find."""

import dataclasses

import numpy as np
import pytest

from equime.errors import InputError
from equime.evaluation_framework.audit.association import associations
from equime.evaluation_framework.audit.data import UNKNOWN, AuditData
from equime.evaluation_framework.audit.records import Association
from tests.evaluation_framework.audit.cases import INTENDED, make_data

QUICK = {"n_permutations": 200, "n_boot": 200}


def only(data: AuditData, outcome: str, attribute: str = "declared_gender") -> AuditData:
    return dataclasses.replace(
        data,
        attributes=tuple(a for a in data.attributes if a.name == attribute),
        intended=tuple(o for o in INTENDED if o.name == outcome),
    )


def row(data: AuditData, outcome: str, attribute: str = "declared_gender", **options: int) -> Association:
    (found,) = associations(only(data, outcome, attribute), **{**QUICK, **options})
    return found


def halves(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.array(["f", "m"], dtype=object), n // 2))


def test_every_attribute_meets_every_outcome_in_order() -> None:
    data = make_data(30)
    found = associations(data, **QUICK)
    assert [(a.attribute, a.outcome) for a in found] == [
        (a.name, o.name) for a in data.attributes for o in data.intended
    ]
    assert {a.n_tests for a in found} == {len(found)}
    assert all(a.q is not None and a.p is not None and a.q >= a.p for a in found)


def test_emotions_in_turn_have_no_effect_by_construction() -> None:
    emotion = row(make_data(30, 10), "emotion")
    assert (emotion.effect.value, emotion.effect.low, emotion.effect.high) == (0, 0, 0)
    assert (emotion.p, emotion.detectable, emotion.information_bits) == (1, None, 0)
    assert emotion.groups[0].shares["fear"] == pytest.approx(0.2)
    assert emotion.groups[0].estimate.value is None


def test_a_planted_difference_is_found_and_told_in_its_unit() -> None:
    data = make_data(60, 5, 1, intensity_max=lambda c: c.intensity_max + 1.5 * (c.declared_gender == "f"))
    found = row(data, "intensity_max")
    assert found.p == pytest.approx(1 / 201)
    f, m = found.groups
    assert f.estimate.value is not None
    own = data.clips[data.clips["declared_gender"] == "f"]["intensity_max"]
    assert f.estimate.value == pytest.approx(own.mean())
    assert f.estimate.low is not None
    assert m.estimate.high is not None
    assert f.estimate.low > m.estimate.high
    assert (f.estimate.n, f.estimate.n_subjects) == (len(own), len(own) // 5)
    assert found.effect.low is not None
    assert found.effect.low > 0.1
    assert found.detectable is not None


def test_a_planted_flag_is_found() -> None:
    random = np.random.default_rng(2)
    data = make_data(
        60, 5, 2, au12=lambda c: random.random(len(c)) < np.where(c.declared_gender == "f", 0.6, 0.2)
    )
    found = row(data, "au12")
    assert found.p is not None
    assert found.p < 0.01
    assert found.effect.value == pytest.approx(0.4, abs=0.15)
    assert found.information_bits is not None
    assert found.information_bits > 0.05
    share = data.clips[data.clips["declared_gender"] == "f"]["au12"].mean()
    assert found.groups[0].estimate.value == pytest.approx(share)


def test_clips_of_one_person_do_not_count_as_many() -> None:
    """40 people with 20 alike clips each: 800 clips must not make a chance difference of people significant."""
    p = []
    for seed in range(60):
        person = np.random.default_rng(seed).normal(size=40)
        data = make_data(40, 20, seed, intensity_max=np.repeat(person, 20))
        found = row(data, "intensity_max", n_permutations=100, n_boot=100)
        assert found.p is not None
        p.append(found.p)
    assert 0.2 < np.mean(np.array(p) < 0.5) < 0.8
    assert np.mean(np.array(p) < 0.05) < 0.15


def test_skipped_with_the_reason() -> None:
    data = make_data(20, intensity_max=1.0)
    assert row(data, "intensity_max").skipped == "constant"
    data = make_data(20, groups={"declared_gender": ["f"] * 20})
    assert row(data, "intensity_max").skipped == "one group"
    data = make_data(20, groups={"declared_gender": ["f"] * 16 + ["m"] * 4})
    few = row(data, "intensity_max")
    assert (few.skipped, few.p, few.q, few.n_tests, few.effect.value) == (
        "too few subjects",
        None,
        None,
        0,
        None,
    )
    assert row(make_data(20, intensity_max=np.nan), "intensity_max").skipped == "no values"
    assert row(make_data(20, au12=True), "au12").skipped == "constant"


def test_unknown_and_small_groups_stay_out() -> None:
    gender = ["f"] * 10 + ["m"] * 10 + [UNKNOWN] * 10 + ["x"] * 3
    found = row(make_data(33, 5, groups={"declared_gender": gender}), "intensity_max")
    assert [g.group for g in found.groups] == ["f", "m"]
    assert (found.effect.n, found.effect.n_subjects) == (100, 20)


def test_outcomes_that_do_not_apply_to_a_clip() -> None:
    def without(c):
        return np.where(c.emotion == "fear", np.nan, c.intensity_max)

    found = row(make_data(30, 5, intensity_max=without), "intensity_max")
    assert (found.effect.n, found.effect.n_subjects) == (120, 30)


def test_groups_are_compared_only_where_they_have_the_outcome() -> None:
    gender = ["f"] * 10 + ["m"] * 10 + ["x"] * 6
    data = make_data(
        26, 5, groups={"declared_gender": gender},
        intensity_max=lambda c: np.where((c.subject_id > "s022"), np.nan, c.intensity_max),
    )  # fmt: skip
    assert [g.group for g in row(data, "intensity_max").groups] == ["f", "m"]
    assert [g.group for g in row(data, "laterality").groups] == ["f", "m", "x"]


def test_same_result_in_any_order_of_rows_and_beside_any_other_outcome() -> None:
    data = make_data(30, 10, 3)
    before = associations(data, **QUICK)
    mixed = data.clips.sample(frac=1, random_state=2).reset_index(drop=True)
    assert associations(dataclasses.replace(data, clips=mixed), **QUICK) == before
    alone = row(data, "n_blinks")
    beside = next(a for a in before if (a.attribute, a.outcome) == ("declared_gender", "n_blinks"))
    assert (alone.p, alone.effect, alone.detectable) == (beside.p, beside.effect, beside.detectable)
    assert associations(data, **QUICK, seed=1) != before


def test_twins_are_no_trouble() -> None:
    found = associations(make_data(30, 10, twins=True), **QUICK)
    assert all(a.skipped == "constant" or a.p == 1 for a in found), "no permutation changes anything"


def test_intervals_cover_and_do_not_miss_zero() -> None:
    truth = 0.25 * 0.8**2 / (1 + 0.25 * 0.8**2)
    covered = zero = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        person = np.repeat(random.normal(size=60), 5)
        data = make_data(
            60, 5, seed, {"declared_gender": halves(60, seed)},
            intensity_max=lambda c, x=person: x + 0.8 * (c.declared_gender == "f"), head_motion_deg=person,
        )  # fmt: skip
        planted, null = (row(data, name, n_permutations=100) for name in ("intensity_max", "head_motion_deg"))
        assert planted.effect.low is not None
        assert planted.effect.high is not None
        covered += planted.effect.low <= truth <= planted.effect.high
        zero += null.effect.low == 0
    assert covered >= 51, "95 % nominal; 85 % is four standard errors below"
    assert zero >= 54


@pytest.mark.parametrize("outcome", ["intensity_max", "laterality"])
def test_the_detectable_effect_is_found_in_80_of_100_cases(outcome: str) -> None:
    """Plant exactly what the audit says it would find, in the share of people that it looks at."""
    n = 60
    told = row(make_data(n, 5, 0, {"declared_gender": halves(n, 0)}), outcome, n_permutations=2000).detectable
    assert told is not None
    found = 0
    for seed in range(120):
        random, women = np.random.default_rng(seed), halves(n, seed) == "f"
        if outcome == "intensity_max":
            values = random.normal(size=n) + 2 * np.sqrt(told / (1 - told)) * women
        else:  # V of two equal groups and three levels, of which one is moved to another
            move = told / np.sqrt(6)
            u = random.random(n)
            edges = np.where(women, 1 / 3 + move, 1 / 3 - move)
            values = np.where(u < edges, "left", np.where(u < 2 / 3, "right", "both"))
        data = make_data(
            n, 5, seed, {"declared_gender": np.where(women, "f", "m")}, **{outcome: np.repeat(values, 5)}
        )  # fmt: skip
        p = row(data, outcome, n_permutations=199, n_boot=100).p
        assert p is not None
        found += p <= 0.05
    assert 0.69 <= found / 120 <= 0.91, "0.8, three standard errors"


def test_bad_options() -> None:
    with pytest.raises(InputError, match="n_permutations 10 is below 100"):
        associations(make_data(10), n_permutations=10)
    with pytest.raises(InputError, match="level 95 is not between 0 and 1"):
        associations(make_data(10), level=95)
    with pytest.raises(InputError, match="intensity_max: 'strong' is no number"):
        associations(make_data(10, intensity_max="strong"), **QUICK)
