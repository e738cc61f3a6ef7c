"""Agreement of labellers against published values, the krippendorff package and tables by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equime.evaluation_framework.audit import vocabulary
from equime.evaluation_framework.audit.agreement import age_bounds, agreement
from equime.evaluation_framework.audit.alpha import alpha
from equime.evaluation_framework.audit.data import UNKNOWN, Attribute, AuditData
from equime.evaluation_framework.audit.records import Agreement
from tests.evaluation_framework.audit.cases import make_data

NAN = float("nan")

PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T
"""Four observers and twelve units: Krippendorff 2011, example C."""

WIKIPEDIA = np.array(
    [
        [NAN, NAN, NAN, NAN, NAN, 3, 4, 1, 2, 1, 1, 3, 3, NAN, 3],
        [1, NAN, 2, 1, 3, 3, 4, 3, NAN, NAN, NAN, NAN, NAN, NAN, NAN],
        [NAN, NAN, 2, 1, 3, 4, 4, NAN, 2, 1, 1, 3, 3, NAN, 4],
    ]
).T


@pytest.mark.parametrize(
    ("values", "nominal", "interval"), [(PUBLISHED, 0.743, 0.849), (WIKIPEDIA, 0.691, 0.811)]
)
def test_published_examples(values: np.ndarray, nominal: float, interval: float) -> None:
    assert alpha(values, "nominal")[0] == pytest.approx(nominal, abs=5e-4)
    assert alpha(values, "interval")[0] == pytest.approx(interval, abs=5e-4)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(2, 12), st.integers(2, 4)),
              elements=st.sampled_from([1.0, 2.0, 3.0, 7.5, NAN])))  # fmt: skip
def test_same_as_the_krippendorff_package(values: np.ndarray) -> None:
    several = values[(~np.isnan(values)).sum(1) >= 2]
    if several.size == 0 or np.nanmax(several) == np.nanmin(several):
        assert np.isnan(alpha(values, "nominal")[0])
        return
    for level in ("nominal", "interval"):
        theirs = krippendorff.alpha(reliability_data=values.T, level_of_measurement=level)
        assert alpha(values, level)[0] == pytest.approx(theirs, abs=1e-9)


def test_weights_count_people_several_times() -> None:
    weights = np.array([[2.0, 0, 1, 3, 0, 1, 1, 1, 0, 2, 1, 0]])
    rows = np.repeat(PUBLISHED, weights[0].astype(int), axis=0)
    for level in ("nominal", "interval"):
        kept = weights[:, (~np.isnan(PUBLISHED)).sum(1) >= 2]
        assert alpha(PUBLISHED, level, kept)[0] == pytest.approx(alpha(rows, level)[0])


def labelled(**columns: list[Any]) -> AuditData:
    """People with these columns, two clips each; numbers are columns that end in ``_years``."""
    n = len(next(iter(columns.values())))
    groups = {name: values for name, values in columns.items() if not name.endswith("_years")}
    attributes = []
    for name, values in groups.items():
        origin = name.partition("_")[0]
        there = tuple(sorted(set(values) - {UNKNOWN}))
        years = name.replace("_group", "_years")
        source = {"fairface": "tables/fairface.parquet", "lab": "tables/labels_lab.parquet"}.get(
            name.removesuffix("_group").rpartition("_")[2], "tables/deepface.parquet"
        )
        number = years if years in columns and years != name else None
        attributes.append(Attribute(name, origin, name, there, source, number=number))  # type: ignore[arg-type]
    data = make_data(n, 2, groups=columns, attributes=tuple(attributes))
    return dataclasses.replace(data, attributes=tuple(attributes))


def only(data: AuditData) -> Agreement:
    (found,) = agreement(data)
    return found


def test_two_by_two_by_hand() -> None:
    """8 + 6 agree, 4 and 2 do not, of 20 people: values 18 woman, 22 man.

    D_o = 2 * 6 / 40, D_e = 2 * 22 * 18 / (40 * 39), alpha = 1 - 0.3 / 0.50769.
    """
    found = only(labelled(
        estimated_gender=["woman"] * 8 + ["man"] * 6 + ["woman"] * 4 + ["man"] * 2,
        estimated_gender_fairface=["woman"] * 8 + ["man"] * 6 + ["man"] * 4 + ["woman"] * 2,
    ))  # fmt: skip
    assert found.labellers == ("estimated_gender", "estimated_gender_fairface")
    assert found.alpha.value == pytest.approx(1 - 0.3 / (2 * 22 * 18 / (40 * 39)))
    assert (found.agreement, found.labels) == (0.7, ("woman", "man"))
    assert found.confusion == ((8, 4), (2, 6))
    assert (found.n_subjects, found.alpha.n_subjects, found.alpha.n) == (20, 20, 40)
    assert found.alpha.low is not None
    assert found.alpha.low < found.alpha.value < found.alpha.high  # type: ignore[operator]
    assert (found.level, found.mean_difference) == ("nominal", None)


def test_words_of_labellers_are_mapped_and_said() -> None:
    found = only(labelled(
        estimated_race=["asian", "asian", "black", "white", "latino hispanic", "indian"],
        estimated_race_fairface=["East Asian", "Southeast Asian", "Black", "White", "Latino_Hispanic", "elf"],
    ))  # fmt: skip
    assert found.agreement == pytest.approx(5 / 6)
    assert found.labels == ("asian", "indian", "black", "white", "latino hispanic", "elf")
    assert "East Asian, Southeast Asian taken as asian" in found.note
    assert "left as they are: elf" in found.note


def test_declared_comes_last_and_unknown_takes_no_part() -> None:
    data = labelled(
        declared_gender=["f", "m", "f", UNKNOWN, "m", "m"],
        estimated_gender=["woman", "man", "man", "man", UNKNOWN, "man"],
        estimated_gender_lab=["Female", "Male", "Female", "Male", "Male", "Male"],
    )
    found = agreement(data)
    assert [row.labellers for row in found] == [
        ("estimated_gender", "estimated_gender_lab", "declared_gender"),
        ("estimated_gender", "estimated_gender_lab"),
        ("estimated_gender", "declared_gender"),
        ("estimated_gender_lab", "declared_gender"),
    ]
    assert [row.n_subjects for row in found] == [6, 5, 4, 5]
    assert found[0].agreement == pytest.approx(5 / 6)
    assert found[0].confusion == ()
    assert found[2].confusion == ((1, 0), (1, 2))
    assert found[3].alpha.value == pytest.approx(1)


def test_ethnicity_is_compared_with_race_and_other_attributes_by_their_name() -> None:
    data = labelled(
        declared_ethnicity=["Black", "white"] * 4, estimated_race=["black", "white"] * 4,
        estimated_glasses_lab=["yes", "no"] * 4, declared_glasses=["yes", "yes"] * 4,
        declared_city=["x", "y"] * 4,
    )  # fmt: skip
    assert [(row.attribute, row.agreement) for row in agreement(data)] == [("glasses", 0.5), ("race", 1.0)]


def test_ages_as_numbers() -> None:
    years, true = [20.0, 33.0, 41.0, NAN, 60.0, 29.0], [22.0, 30.0, 45.0, 50.0, 58.0, 30.0]
    found = only(labelled(
        estimated_age_group=["a"] * 6, estimated_age_years=years, declared_age_group=["b"] * 6,
        declared_age_years=true,
    ))  # fmt: skip
    both = np.array([years, true])[:, [0, 1, 2, 4, 5]]
    theirs = krippendorff.alpha(reliability_data=both, level_of_measurement="interval")
    assert (found.level, found.n_subjects, found.confusion) == ("interval", 5, ())
    assert found.alpha.value == pytest.approx(theirs)
    assert found.mean_difference == pytest.approx(np.mean(both[0] - both[1]))


def test_years_are_cut_into_the_bins_of_who_has_none() -> None:
    found = only(labelled(
        estimated_age_group=["x"] * 5, estimated_age_years=[20.0, 29.6, 30.0, 71.0, NAN],
        estimated_age_group_fairface=["20-29", "20-29", "20-29", "more than 70", "3-9"],
    ))  # fmt: skip
    assert found.level == "nominal"
    assert (found.agreement, found.n_subjects) == (0.75, 4)
    assert "cut into the bins of estimated_age_group_fairface" in found.note
    assert "30 years, in no bin" in found.labels


@pytest.mark.parametrize(
    ("text", "bounds"),
    [("20-29", (20, 30)), ("3 to 9", (3, 10)), ("more than 70", (70, np.inf)), ("70+", (70, np.inf)),
     ("60 and over", (60, np.inf)), ("under 18", (0, 18)), ("old", None)],
)  # fmt: skip
def test_bins_of_ages(text: str, bounds: tuple[float, float] | None) -> None:
    assert age_bounds(text) == bounds


def test_what_has_no_alpha_says_why() -> None:
    constant = only(labelled(estimated_gender=["woman"] * 9, estimated_gender_lab=["f"] * 9))
    assert (constant.alpha.value, constant.alpha.low, constant.agreement) == (None, None, 1.0)
    assert "everybody has the same label" in constant.note
    apart = only(labelled(estimated_gender=["woman", UNKNOWN], estimated_gender_lab=[UNKNOWN, "f"]))
    assert (apart.alpha.value, apart.agreement, apart.n_subjects) == (None, None, 0)
    assert "nobody has two labels" in apart.note
    one = only(labelled(estimated_gender=["woman"], estimated_gender_lab=["man"]))
    assert (one.agreement, one.n_subjects, one.alpha.low) == (0.0, 1, None)
    equal = only(labelled(estimated_gender=["woman", "man"] * 10, estimated_gender_lab=["f", "m"] * 10))
    assert (equal.alpha.value, equal.alpha.low, equal.alpha.high) == (1.0, None, None)
    assert "up to 13.9% of all people" in equal.note  # 0.05 ** (1 / 20) = 0.861
    alone = only(labelled(
        estimated_age_group=["a"] * 6, estimated_age_years=[30.0] * 6, declared_age_group=["b"] * 6,
        declared_age_years=[30.0] * 6,
    ))  # fmt: skip
    assert (alone.alpha.value, alone.mean_difference) == (None, 0.0)
    assert agreement(make_data(6)) == ()


def test_interval_covers_what_many_people_give() -> None:
    """Two labellers that are right in 85 of 100 cases: 95 % intervals of 60 people hold the alpha of very many."""
    random = np.random.default_rng(1)

    def drawn(n: int) -> np.ndarray:
        true = random.integers(2, size=n)
        wrong = random.random((n, 2)) < 0.15
        return np.where(wrong, 1 - true[:, None], true[:, None]).astype(float)

    target = alpha(drawn(400_000), "nominal")[0]
    words = np.array(["woman", "man"])
    n_held = 0
    for _ in range(60):
        values = drawn(60).astype(int)
        found = only(labelled(
            estimated_gender=list(words[values[:, 0]]), estimated_gender_lab=list(words[values[:, 1]])
        ))  # fmt: skip
        assert found.alpha.low is not None
        n_held += found.alpha.low <= target <= found.alpha.high  # type: ignore[operator]
    assert n_held >= 51  # fewer has a chance of about 1 in 1000 at 95 %


def test_order_of_rows_changes_nothing() -> None:
    data = labelled(estimated_gender=["woman", "man"] * 5, estimated_gender_lab=["f"] * 3 + ["m"] * 7)
    turned = dataclasses.replace(data, clips=data.clips.iloc[::-1].reset_index(drop=True))
    assert agreement(data) == agreement(turned)
    assert agreement(data, seed=1) != agreement(data)


def test_vocabulary_has_every_word_once() -> None:
    for attribute in ("gender", "race", "emotion"):
        for group in vocabulary.groups(attribute):
            assert vocabulary.group_of(attribute, group) == group
        words = [w for words in vocabulary._tables()[attribute].values() for w in words]
        assert len(words) == len(set(words))
        assert all(vocabulary.spelled(word) == word for word in words)
    assert vocabulary.group_of("race", "Middle_Eastern") == "middle eastern"
    assert vocabulary.group_of("attributes", "sex") is None
