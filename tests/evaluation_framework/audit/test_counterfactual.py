"""Twins: flips and differences against every pair listed, and on planted ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from equime.evaluation_framework.audit.counterfactual import counterfactual
from equime.evaluation_framework.audit.data import AuditData
from equime.evaluation_framework.audit.model_records import Counterfactual
from equime.evaluation_framework.audit.predictions import Predictions
from tests.evaluation_framework.audit.cases import ATTRIBUTES, make_data
from tests.evaluation_framework.audit.recognisers import recogniser

GENDER = ATTRIBUTES[:1]


def genders(n_f: int, n_m: int, n_expressions: int = 5, seed: int = 0) -> AuditData:
    groups = {"declared_gender": ["f"] * n_f + ["m"] * n_m}
    return make_data(n_f + n_m, n_expressions, seed, groups=groups, twins=True, attributes=GENDER)


def few(predictions: Predictions, data: AuditData, n: int = 200, seed: int = 0) -> Counterfactual:
    return counterfactual(predictions, data, n_boot=n, n_permutations=n - 1, seed=seed)


def listed(predictions: Predictions, data: AuditData) -> list[tuple[str, str, bool, bool, bool]]:
    """Every pair of clips of one expression on two people: groups (in order), flips, first right, second right."""
    clips = data.clips.iloc[predictions.clips]
    rows = list(
        zip(clips["subject_id"], clips["twin_group"], clips["declared_gender"], predictions.predicted,
            predictions.predicted == predictions.truth, strict=True)
    )  # fmt: skip
    pairs = []
    for a, b in itertools.combinations(rows, 2):
        if a[1] == b[1] and a[0] != b[0]:
            first, second = sorted((a, b), key=lambda row: str(row[2]))
            pairs.append((first[2], second[2], bool(a[3] != b[3]), bool(first[4]), bool(second[4])))
    return pairs


@given(seed=st.integers(0, 1000), share=st.floats(0.6, 1))
@settings(max_examples=10, deadline=None)
def test_sums_are_those_of_every_pair(seed: int, share: float) -> None:
    data = genders(6, 7, 8, seed)
    # Three expressions of the fifth round on, so that a person has several clips of some.
    clips = data.clips.assign(twin_group=data.clips["twin_group"].replace({"x007": "x002"}))
    data = AuditData(**{**vars(data), "clips": clips})
    made = recogniser(data, seed=seed, kept=np.random.default_rng(seed).uniform(size=len(clips)) < share)
    pairs = listed(made, data)
    found = few(made, data, 100)
    assert found.n_pairs == len(pairs)
    assert found.flip_rate.value == pytest.approx(np.mean([flip for _, _, flip, _, _ in pairs]))
    inside = [flip for a, b, flip, _, _ in pairs if a == b]
    within = found.within_group_flip_rate["declared_gender"]
    assert (within.n, within.value) == (len(inside), pytest.approx(np.mean(inside)))
    across = [pair[2:] for pair in pairs if pair[0] != pair[1]]
    row = found.flips[0]
    assert (row.n_pairs, row.groups) == (len(across), ("f", "m"))
    assert row.flip_rate.value == pytest.approx(np.mean([flip for flip, _, _ in across]))
    assert row.only_first_correct == sum(a and not b for _, a, b in across)
    assert row.only_second_correct == sum(b and not a for _, a, b in across)
    assert row.difference.value == pytest.approx(np.mean([int(a) - int(b) for _, a, b in across]))
    of_group = {g: np.mean([flip for a, b, flip, _, _ in pairs if a == b == g]) for g in ("f", "m")}
    assert row.excess is not None
    assert row.excess.value == pytest.approx(row.flip_rate.value - (of_group["f"] + of_group["m"]) / 2)


def test_a_person_drawn_twice_makes_no_pair_with_herself() -> None:
    """Else the resampled flip rate would be too low by 1 / n: the interval would lie beside the figure."""
    data = genders(6, 6, 20)
    made = recogniser(data, accuracy=0.3)
    rate = few(made, data, 2000).flip_rate
    assert rate.low is not None
    assert rate.high is not None
    assert rate.value is not None
    assert (rate.low + rate.high) / 2 == pytest.approx(rate.value, abs=0.015)


def test_p_against_all_permutations() -> None:
    data = genders(5, 5, 4, seed=1)
    skill = np.repeat([0.9] * 5 + [0.5] * 5, 4)
    made = recogniser(data, seed=4, accuracy=lambda _: skill)
    found = few(made, data, 4000).flips[0]
    right = (made.predicted == made.truth).reshape(10, 4).sum(1)
    null = np.array(
        [2 * right[list(own)].sum() - right.sum() for own in itertools.combinations(range(10), 5)]
    )
    observed = right[:5].sum() - right[5:].sum()
    assert found.difference.value == pytest.approx(observed / 20)
    assert found.p == pytest.approx(np.mean(np.abs(null) >= abs(observed)), abs=0.025)


def test_mcnemar_by_hand() -> None:
    """One person per group who always differ in the same way would be 12 discordant pairs of 12."""
    data = genders(5, 5, 12)
    made = recogniser(data, accuracy=lambda d: (d.clips["declared_gender"] == "f").to_numpy() * 1.0)
    found = few(made, data).flips[0]
    assert found.mcnemar_p == pytest.approx(2 * binom.pmf(12, 12, 0.5))
    assert (found.only_first_correct, found.only_second_correct) == (12 * 25, 0)
    alike = few(recogniser(data, accuracy=1.0), data).flips[0]
    assert (alike.mcnemar_p, alike.p, alike.excess_p) == (1.0, 1.0, 1.0)
    assert alike.flip_rate.value == 0


def test_flips_without_a_difference_in_accuracy_are_found() -> None:
    """Both groups are always wrong, each in its own way: only the excess sees it."""
    data = genders(10, 10)
    made = recogniser(data)
    is_f = (data.clips["declared_gender"] == "f").to_numpy()
    made = Predictions(**{**vars(made), "predicted": (made.truth + np.where(is_f, 1, 2)) % 5})
    found = few(made, data, 400).flips[0]
    assert found.flip_rate.value == 1
    assert (found.difference.value, found.p) == (0.0, 1.0)
    assert found.excess is not None
    assert found.excess.value == 1
    assert found.excess_p == pytest.approx(1 / 400)
    assert found.excess_q == pytest.approx(2 / 400)


def test_identity_alone_is_no_excess() -> None:
    """People differ, groups do not: in about five of a hundred data sets something is found."""
    found = []
    for seed in range(60):
        data = genders(8, 8, 5, seed)
        way = np.repeat(np.random.default_rng(seed).integers(1, 4, 16), 5)
        made = recogniser(data, seed=seed)
        made = Predictions(**{**vars(made), "predicted": (made.truth + way) % 5})
        found.append(few(made, data, 100, seed).flips[0].excess_p)
    assert 0 < np.mean([p is not None and p <= 0.05 for p in found]) <= 0.17  # binomial, 99.9 %


def test_groups_of_too_few_people_are_not_compared() -> None:
    found = few(recogniser(genders(5, 4)), genders(5, 4))
    assert found.flips == ()
    assert found.skipped == ""
    assert found.within_group_flip_rate["declared_gender"].n == 10 * 5


def test_without_twins_it_says_how_to_get_them() -> None:
    data = make_data(10, 5, attributes=GENDER)
    found = few(recogniser(data), data)
    assert "equime generate --twins" in found.skipped
    assert (found.n_pairs, found.flip_rate.value, found.flips) == (0, None, ())


def test_twins_of_whom_one_only_was_predicted() -> None:
    data = genders(6, 6)
    made = recogniser(data, kept=(data.clips["subject_id"] == "s000").to_numpy())
    assert "two people" in few(made, data).skipped
