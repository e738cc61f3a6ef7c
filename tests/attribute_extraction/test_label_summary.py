"""Aggregation over frames: means, disagreement, abstention, ages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime.attribute_extraction.deepface_labels import DeepFaceLabels
from equime.attribute_extraction.fairface_labels import FairFaceLabels
from equime.attribute_extraction.label_summary import (
    ABSTAIN_BELOW,
    AGE_BINS,
    AGE_GROUPS,
    Labelled,
    age_group,
    age_metrics,
    column_name,
    metrics,
    names,
    summarise,
    summarise_age,
)

COLOUR = Labelled("estimated_colour", ("red", "light green"), "colour", "nobody")


def rows(values: list[list[float]]) -> np.ndarray:
    return np.array(values)


def test_mean_and_not_majority() -> None:
    """Two sure frames outweigh three that are hardly decided; a majority would say otherwise."""
    p = rows([[0.51, 0.49]] * 3 + [[0.01, 0.99]] * 2)
    values = summarise(COLOUR, p)
    assert values["estimated_colour"] == "light green"
    assert values["estimated_colour_p_light_green"] == pytest.approx((3 * 0.49 + 2 * 0.99) / 5)
    assert values["estimated_colour_disagreement"] == pytest.approx(3 / 5)
    assert values["estimated_colour_abstained"] is False


def test_withheld_below_the_threshold_and_given_at_it() -> None:
    values = summarise(COLOUR, rows([[ABSTAIN_BELOW - 0.01, 0.41]]))
    assert values["estimated_colour"] is None
    assert values["estimated_colour_abstained"] is True
    assert values["estimated_colour_p_red"] == pytest.approx(0.59), "the probabilities are kept"
    assert summarise(COLOUR, rows([[ABSTAIN_BELOW, 0.4]]))["estimated_colour"] == "red"


def test_no_frames() -> None:
    values = summarise(COLOUR, np.zeros((0, 2)))
    assert set(values) == set(names(metrics(COLOUR)))
    assert set(values.values()) == {None}
    assert summarise_age("a", np.zeros(0)) == {"a_years": None, "a_spread_years": None}


def test_another_number_of_classes() -> None:
    with pytest.raises(ValueError, match=r"estimated_colour: probabilities \(2, 3\), expected \(N, 2\)"):
        summarise(COLOUR, np.zeros((2, 3)))


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=2, max_size=2), min_size=1, max_size=7), st.randoms())
def test_bounds_and_order(weights: list[list[float]], shuffle: object) -> None:
    p = rows(weights)
    p /= p.sum(axis=1, keepdims=True)
    values = summarise(COLOUR, p)
    assert set(values) == set(names(metrics(COLOUR)))
    share = values["estimated_colour_disagreement"]
    assert isinstance(share, float)
    assert 0 <= share <= 1
    total = sum(float(values[COLOUR.probability(c)]) for c in COLOUR.classes)  # type: ignore[arg-type]
    assert total == pytest.approx(1)
    assert summarise(COLOUR, p[::-1]) == {
        k: pytest.approx(v) if isinstance(v, float) else v for k, v in values.items()
    }


def test_age() -> None:
    assert summarise_age("a", np.array([20.0, 26.0, 23.0])) == {"a_years": 23.0, "a_spread_years": 6.0}
    assert names(age_metrics("a", "x")) == ("a_years", "a_spread_years")


@given(st.floats(0, 120))
def test_age_groups(years: float) -> None:
    i = AGE_GROUPS.index(age_group(years))
    assert AGE_BINS[i] <= years
    assert i == len(AGE_BINS) - 1 or years < AGE_BINS[i + 1]


def test_a_group_begins_at_a_birthday() -> None:
    assert [age_group(a) for a in (2.99, 3.0, 29.9, 30.0, 100.0)] == ["0-2", "3-9", "20-29", "30-39", "70+"]


def test_names_of_columns() -> None:
    assert column_name("latino hispanic") == "latino_hispanic"
    assert column_name("70+") == "70_up"
    every = [m.name for labeller in (DeepFaceLabels, FairFaceLabels) for m in labeller.metrics]
    assert len(every) == len(set(every))
    assert all(name.isidentifier() for name in every)
    for wanted in (
        "estimated_gender", "estimated_gender_p_woman", "estimated_race_p_middle_eastern", "estimated_age_years",
        "estimated_age_group", "estimated_emotion_p_happy", "estimated_race_fairface_p_black",
        "estimated_age_fairface_years", "estimated_age_fairface_group", "estimated_age_fairface_p_70_up",
    ):  # fmt: skip
        assert wanted in every
