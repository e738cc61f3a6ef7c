"""Gaps between groups against fairlearn, against all permutations, and on planted differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fairlearn.metrics import (
    demographic_parity_difference,
    equalized_odds_difference,
    true_positive_rate_difference,
)

from equime.evaluation_framework.audit.data import AuditData
from equime.evaluation_framework.audit.gaps import GapKind, gap_kinds, gaps
from equime.evaluation_framework.audit.group_audit import Effort, cells_of, compare, compared
from equime.evaluation_framework.audit.model_records import Gap
from equime.evaluation_framework.audit.predictions import Predictions
from equime.evaluation_framework.audit.scores import tally
from tests.evaluation_framework.audit.cases import make_data
from tests.evaluation_framework.audit.recognisers import recogniser

ACCURACY = (GapKind("accuracy", "", ((("accuracy", ""),),)),)


def gaps_of(
    predictions: Predictions, data: AuditData, attribute: str, *, n_permutations: int = 200, n_boot: int = 200, seed: int = 0,
    kinds: tuple[GapKind, ...] | None = None,
) -> dict[tuple[str, str], Gap]:  # fmt: skip
    sums = tally(predictions, data.clips)
    people = data.clips.drop_duplicates("subject_id").set_index("subject_id").loc[list(sums.subjects)]
    cells = cells_of([data.attribute(attribute)], people)
    rows = {cell: sums.columns[cells[cell]] for cell in compared(cells)}
    groups = compare(rows, sums, (attribute,), Effort(n_boot, n_permutations, seed, 0.95))
    return {(gap.name, gap.klass): gap for gap in gaps(kinds or gap_kinds(sums), groups, sums, 0.95)}


def genders(n_f: int, n_m: int, **more: object) -> AuditData:
    return make_data(n_f + n_m, 5, groups={"declared_gender": ["f"] * n_f + ["m"] * n_m}, **more)


def test_rates_against_fairlearn() -> None:
    data = make_data(40, 5, seed=3)
    made = recogniser(data, seed=3)
    found = gaps_of(made, data, "estimated_race")
    race = data.clips["estimated_race"]
    largest: dict[str, float] = {}
    for k, label in enumerate(made.labels):
        actual, given = made.truth == k, made.predicted == k
        for name, difference in (
            ("demographic parity", demographic_parity_difference),
            ("equal opportunity", true_positive_rate_difference),
            ("equalised odds", equalized_odds_difference),
        ):
            expected = difference(actual, given, sensitive_features=race)
            assert found[name, label].gap.value == pytest.approx(expected)
            largest[name] = max(largest.get(name, 0), expected)
    for name, value in largest.items():
        assert found[name, ""].gap.value == pytest.approx(value)


def test_what_is_left_of_the_gap() -> None:
    data = make_data(40, 5, seed=3)
    made = recogniser(data, seed=3, probabilities=True)
    found = gaps_of(made, data, "estimated_race")
    right = made.truth == made.predicted
    share = {g: right[data.clips["estimated_race"] == g].mean() for g in ("asian", "black", "white")}
    gap = found["accuracy", ""]
    worst, best = min(share, key=share.__getitem__), max(share, key=share.__getitem__)
    assert (gap.worst, gap.best) == ((worst,), (best,))
    assert gap.ratio == pytest.approx(share[worst] / share[best])
    in_pair = data.clips[data.clips["estimated_race"].isin([worst, best])]
    assert (gap.gap.n, gap.gap.n_subjects) == (len(in_pair), in_pair["subject_id"].nunique())
    assert found["equal opportunity", "fear"].gap.n < gap.gap.n, "a recall rests on the clips of its class"
    ece = found["ece", ""]
    assert ece.ratio is not None
    assert ece.ratio < 1
    assert ece.gap.value is not None


def test_p_against_all_permutations() -> None:
    """5 and 5 people: 252 ways to deal them out."""
    data = genders(5, 5, seed=2)
    skill = np.repeat(np.linspace(0.9, 0.3, 10), 5)
    made = recogniser(data, seed=2, accuracy=lambda _: skill)
    gap = gaps_of(made, data, "declared_gender", n_permutations=4000)["accuracy", ""]
    right = (made.truth == made.predicted).reshape(10, 5).sum(1)
    observed = abs(right[:5].sum() - right[5:].sum())
    null = [abs(2 * right[list(own)].sum() - right.sum()) for own in itertools.combinations(range(10), 5)]
    exact = np.mean(np.array(null) >= observed)
    assert gap.p == pytest.approx(exact, abs=0.025)
    assert 0.01 < exact < 0.5


def test_a_planted_difference_is_found_and_named() -> None:
    data = genders(60, 60)
    is_f = (data.clips["declared_gender"] == "f").to_numpy()
    made = recogniser(data, accuracy=lambda _: np.where(is_f, 0.45, 0.75))
    gap = gaps_of(made, data, "declared_gender", n_permutations=999, n_boot=999)["accuracy", ""]
    assert (gap.worst, gap.best) == (("f",), ("m",))
    assert gap.p == pytest.approx(0.001)
    assert gap.gap.low is not None
    assert gap.gap.high is not None
    assert 0 < gap.gap.low < 0.3 < gap.gap.high


def test_where_nothing_differs_five_in_a_hundred_are_found() -> None:
    """People differ in how well they are recognised, which a test over clips would take for the groups."""
    found = []
    for seed in range(80):
        data = genders(10, 10, seed=seed)
        skill = np.random.default_rng(1000 + seed).choice([0.2, 0.9], 20)
        made = recogniser(data, seed=seed, accuracy=lambda _, s=skill: np.repeat(s, 5))
        found.append(
            gaps_of(made, data, "declared_gender", n_permutations=99, n_boot=2, kinds=ACCURACY)[
                "accuracy", ""
            ].p
        )
    assert 0.0 < np.mean([p is not None and p <= 0.05 for p in found]) <= 0.14  # binomial, 99.9 %


def test_equal_groups_have_a_gap_of_nothing_between_two_of_them() -> None:
    data = genders(6, 6)
    gap = gaps_of(recogniser(data, accuracy=1.0), data, "declared_gender")["accuracy", ""]
    assert (gap.gap.value, gap.ratio, gap.p) == (0.0, 1.0, 1.0)
    assert (gap.worst, gap.best) == (("f",), ("m",))
    assert gap.gap.low is None, "everybody is alike: resampling says nothing"


def test_a_group_that_lacks_a_class_has_no_uf1_to_compare() -> None:
    data = make_data(24, 5, groups={"estimated_race": ["asian", "black", "white"] * 8}, seed=5)
    lacks = (data.clips["estimated_race"] == "black") & (data.clips["emotion"] == "fear")
    found = gaps_of(recogniser(data, kept=~lacks.to_numpy()), data, "estimated_race")
    for key in (("uf1", ""), ("uar", ""), ("equal opportunity", "fear")):
        assert {found[key].worst, found[key].best} == {("asian",), ("white",)}
    two = genders(8, 8)
    lacks = (two.clips["declared_gender"] == "f") & (two.clips["emotion"] == "fear")
    found = gaps_of(recogniser(two, kept=~lacks.to_numpy()), two, "declared_gender")
    assert (found["uf1", ""].gap.value, found["uf1", ""].p, found["uf1", ""].worst) == (None, None, ())
    assert ("equalised odds", "fear") in found
    assert found["equalised odds", "fear"].gap.value is None, "no recall, so no equalised odds"
    assert found["accuracy", ""].gap.value is not None
    assert found["equal opportunity", ""].gap.value is not None, "the largest of the classes that both have"


def test_classes_that_cannot_differ_are_no_tests() -> None:
    data = genders(6, 6)
    always = recogniser(data)
    always = Predictions(**{**vars(always), "predicted": np.zeros_like(always.predicted)})
    found = gaps_of(always, data, "declared_gender")
    assert {klass for name, klass in found if name == "demographic parity"} == {"", always.labels[0]}
    assert found["demographic parity", ""].gap.value == 0
