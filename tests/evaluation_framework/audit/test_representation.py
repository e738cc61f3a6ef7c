"""Shares, targets, intersections: against scipy, by hand, and on bad input."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, multinomial

from equime.errors import InputError
from equime.evaluation_framework.audit.data import UNKNOWN
from equime.evaluation_framework.audit.representation import (
    intersections,
    load_targets,
    multinomial_p,
    representation,
    wilson,
)
from tests.evaluation_framework.audit.cases import make_data

GENDER = ["f"] * 12 + ["m"] * 6 + [UNKNOWN] * 2


def test_counts_people_and_clips() -> None:
    data = make_data(20, 5, groups={"declared_gender": GENDER})
    gender = representation(data)[0]
    assert [(g.group, g.n_subjects, g.n_clips) for g in gender.groups] == [
        ("f", 12, 60), ("m", 6, 30), (UNKNOWN, 2, 10),
    ]  # fmt: skip
    assert gender.groups[0].share == pytest.approx(12 / 18)
    assert gender.groups[2].share is None
    assert not gender.groups[2].enough
    assert gender.n_unknown == 2
    entropy = -(2 / 3) * math.log2(2 / 3) - (1 / 3) * math.log2(1 / 3)
    assert gender.entropy_bits == pytest.approx(entropy)
    assert gender.effective_number == pytest.approx(2**entropy)
    assert gender.evenness == pytest.approx(2**entropy / 2)
    assert gender.target_distance is None


def test_people_count_once_however_many_clips_they_have() -> None:
    data = make_data(20, 5, groups={"declared_gender": GENDER})
    first = data.clips[data.clips["subject_id"] == "s000"]
    more = data.clips.iloc[[*range(len(data.clips)), *list(first.index) * 9]].reset_index(drop=True)
    more["clip_id"] = [f"c{i}" for i in range(len(more))]
    data.__dict__["clips"] = more
    share = representation(data)[0].groups[0]
    assert (share.n_subjects, share.n_clips) == (12, 105)
    assert share.share == pytest.approx(12 / 18)


def test_target() -> None:
    data = make_data(20, 5, groups={"declared_gender": GENDER})
    gender = representation(data, {"declared_gender": {"f": 0.5, "m": 0.4, "x": 0.1}})[0]
    assert gender.absent == ("x",)
    assert [g.group for g in gender.groups] == ["f", "m", "x", UNKNOWN]
    assert gender.groups[0].difference == pytest.approx(12 / 18 - 0.5)
    assert gender.target_distance == pytest.approx(abs(12 / 18 - 0.5))
    assert gender.target_p is not None
    assert 0 < gender.target_p < 1
    assert representation(data)[0].target_p is None


def test_target_of_an_attribute_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"declared_age.*it has declared_gender, measured_ita_group"):
        representation(make_data(), {"declared_age": {"old": 1.0}})


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (97, 100), (10, 10)])
def test_wilson_against_scipy(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(0.9, method="wilson")
    assert wilson(k, n, 0.9) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert wilson(0, 0) == (None, None)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.05, 0.95))
def test_two_groups_are_the_exact_binomial_test(a: int, b: int, target: float) -> None:
    if a + b == 0:
        return
    expected = binomtest(a, a + b, target).pvalue
    assert multinomial_p(np.array([a, b]), np.array([target, 1 - target])) == pytest.approx(
        expected, abs=1e-6
    )


def test_three_groups_by_counting() -> None:
    target, counts = np.array([0.5, 0.3, 0.2]), np.array([2, 1, 4])
    every = [(a, b, 7 - a - b) for a in range(8) for b in range(8 - a)]
    p = multinomial.pmf(every, 7, target)
    expected = p[p <= multinomial.pmf(counts, 7, target) * (1 + 1e-7)].sum()
    assert multinomial_p(counts, target) == pytest.approx(expected)


def test_monte_carlo_where_there_are_too_many_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, target = np.array([20, 12, 8]), np.array([0.4, 0.4, 0.2])
    exact = multinomial_p(counts, target)
    monkeypatch.setattr("equime.evaluation_framework.audit.representation.MAX_EXACT", 1)
    drawn = multinomial_p(counts, target, seed=3)
    assert drawn == pytest.approx(exact, abs=0.015)
    assert drawn == multinomial_p(counts, target, seed=3)


def test_somebody_where_nobody_may_be() -> None:
    assert multinomial_p(np.array([5, 1]), np.array([1.0, 0.0])) == 0
    assert multinomial_p(np.array([5, 0]), np.array([1.0, 0.0])) == 1


def test_intersections() -> None:
    groups = {"declared_gender": ["f"] * 10 + ["m"] * 10, "measured_ita_group": ["tan"] * 13 + ["light"] * 7}
    data = make_data(20, 5, groups=groups)
    found = intersections(data)
    assert len(found) == 3
    crossed = found[0]
    assert crossed.attributes == ("declared_gender", "measured_ita_group")
    cells = {cell.groups: (cell.n_subjects, cell.n_clips) for cell in crossed.cells}
    assert cells == {
        ("f", "tan"): (10, 50),
        ("f", "light"): (0, 0),
        ("m", "tan"): (3, 15),
        ("m", "light"): (7, 35),
    }
    assert (crossed.n_empty, crossed.n_small) == (1, 1)
    assert crossed.effective_number is not None
    assert 2 < crossed.effective_number < 3


def test_nobody_known() -> None:
    data = make_data(6, 5, groups={"declared_gender": [UNKNOWN] * 6})
    gender = representation(data)[0]
    assert gender.entropy_bits is None
    assert [g.group for g in gender.groups] == [UNKNOWN]
    assert intersections(data)[0].effective_number is None


def test_the_order_of_rows_does_not_matter() -> None:
    data = make_data(15)
    before = representation(data), intersections(data)
    data.__dict__["clips"] = data.clips.sample(frac=1, random_state=1).reset_index(drop=True)
    assert (representation(data), intersections(data)) == before


def test_a_person_of_two_groups_and_a_clip_of_nobody() -> None:
    data = make_data(10)
    data.clips.loc[3, "declared_gender"] = "x"
    with pytest.raises(InputError, match=r"declared_gender: subject s000 is .* a person has one group"):
        representation(data)
    data = make_data(10)
    data.clips.loc[3, "subject_id"] = None
    with pytest.raises(InputError, match="clip c000003 and 0 more have no subject_id"):
        representation(data)


def test_targets_are_read(tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(
        "[declared_gender]\nf = 0.5\nm = 0.5\n[estimated_race]\na = 0.333\nb = 0.333\nc = 0.333\n"
    )
    targets = load_targets(file)
    assert targets["declared_gender"] == {"f": 0.5, "m": 0.5}
    assert sum(targets["estimated_race"].values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[declared_gender]\nf = 0.5\n",
            r"targets.toml: \[declared_gender\]: the shares sum to 0.5, not to 1",
        ),
        (
            "[declared_gender]\nf = 50\nm = 50\n",
            r"\[declared_gender\] f = 50 is no share; give a number from 0 to 1",
        ),
        ("[declared_gender]\nf = 'half'\n", "f = 'half' is no share"),
        ("[declared_gender]\nf = 0.5\nunknown = 0.5\n", "unknown is no group"),
        ("declared_gender = 3\n", "declared_gender = 3 is no table of shares"),
        ("", "holds no attribute"),
        ("[declared_gender\n", "is no TOML"),
    ],
)
def test_bad_targets(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_targets(file)


def test_all_problems_of_a_target_file_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text("[a]\nx = 2\n[b]\ny = 0.1\n")
    with pytest.raises(InputError, match=r"(?s)\[a\] x = 2.*\[b\]: the shares"):
        load_targets(file)
    with pytest.raises(InputError, match="cannot be read"):
        load_targets(tmp_path / "none.toml")
