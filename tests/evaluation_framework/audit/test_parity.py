"""Realised-motion parity against regressions by hand, planted gaps and simulated truth."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from equime.errors import InputError
from equime.evaluation_framework.audit import parity as module
from equime.evaluation_framework.audit.data import Attribute, AuditData, Outcome
from equime.evaluation_framework.audit.parity import parity
from equime.evaluation_framework.audit.parity_command import command_of_spec, command_of_twins, numbers
from equime.evaluation_framework.audit.parity_tests import Design, fit
from equime.evaluation_framework.audit.records import Parity
from equime.evaluation_framework.statistics import bootstrap_mean
from tests.evaluation_framework.audit.cases import ATTRIBUTES, make_data

GENDER = ATTRIBUTES[:1]


def split(n: int, first: int) -> dict[str, list[str]]:
    """People by gender, the first so many women."""
    return {"declared_gender": ["f"] * first + ["m"] * (n - first)}


def row(data: AuditData, outcome: str, attribute: str = "declared_gender", **options: Any) -> Parity:
    few = dataclasses.replace(
        data,
        attributes=tuple(a for a in data.attributes if a.name == attribute),
        measured=tuple(o for o in data.measured if o.name == outcome),
    )
    (found,) = parity(few, **options)
    return found


def many(data: AuditData, columns: dict[str, Any]) -> AuditData:
    """The data with these columns as its measured outcomes: one fit for hundreds of simulated ones."""
    clips = pd.concat([data.clips, pd.DataFrame(columns)], axis=1)
    outcomes = tuple(Outcome(name, name, "number", "mm", "measured") for name in columns)
    return dataclasses.replace(data, clips=clips, measured=outcomes)


def noise(random: np.random.Generator, clips: pd.DataFrame, person: float, clip: float) -> np.ndarray:
    """1 and a normal part per person and per clip."""
    index = np.unique(clips["subject_id"].to_numpy().astype(str), return_inverse=True)[1]
    return 1 + random.normal(0, person, index.max() + 1)[index] + random.normal(0, clip, len(clips))


# Estimates


def regression(y: np.ndarray, groups: np.ndarray, command: np.ndarray) -> np.ndarray:
    """Group means by least squares of everything at once, at the mean command."""
    levels = np.unique(groups)
    d = (groups[:, None] == levels).astype(float)
    x = np.concatenate([d, command - command.mean(0)], axis=1)
    return np.linalg.lstsq(x, y, rcond=None)[0][: levels.size]


def test_means_are_those_of_the_regression_on_the_command() -> None:
    """Also where a group was commanded other expressions, which is where taking residuals of one side fails."""
    data = make_data(40, 10, seed=3, groups=split(40, 15))
    woman = (data.clips["declared_gender"] == "f").to_numpy()
    data.clips["intensity_max"] += 0.8 * woman
    data.clips["peak_motion_mm"] = 0.5 * data.clips["intensity_max"] + 0.1 * woman + noise(
        np.random.default_rng(0), data.clips, 0.05, 0.1
    )  # fmt: skip
    data = dataclasses.replace(data, intended=data.intended[:2])
    data.clips["laterality"] = None
    found = row(data, "peak_motion_mm")
    dummies = pd.get_dummies(data.clips["emotion"], drop_first=True).to_numpy(float)
    command = np.column_stack([dummies, data.clips["intensity_max"]])
    means = regression(
        data.clips["peak_motion_mm"].to_numpy(), data.clips["declared_gender"].to_numpy(), command
    )
    assert [r.group for r in found.rows] == ["f", "m"]
    expected = (
        means
        - (woman.mean() * means[0] + (1 - woman.mean()) * means[1])
        + data.clips["peak_motion_mm"].mean()
    )
    assert [r.estimate.value for r in found.rows] == pytest.approx(list(expected))
    assert found.gap.value == pytest.approx(abs(means[0] - means[1]))
    assert found.gap.value == pytest.approx(0.1, abs=0.06)
    assert found.adjusted_for == "emotion, intensity"
    assert found.relative_gap == pytest.approx(found.gap.value / data.clips["peak_motion_mm"].mean())
    assert (found.lowest, found.highest) == ("m", "f")
    assert [(r.estimate.n, r.estimate.n_subjects) for r in found.rows] == [(150, 15), (250, 25)]


def test_twins_are_fixed_effects_also_where_they_are_unbalanced() -> None:
    random = np.random.default_rng(2)
    data = make_data(30, 6, seed=2, twins=True, groups=split(30, 10))
    keep = random.random(len(data.clips)) < 0.7
    data = dataclasses.replace(data, clips=data.clips[keep].reset_index(drop=True))
    clips = data.clips
    expression = clips["twin_group"].map({name: i for i, name in enumerate(sorted(set(clips["twin_group"])))})
    clips["peak_motion_mm"] = (
        expression + 0.2 * (clips["declared_gender"] == "f") + noise(random, clips, 0.1, 0.1)
    )
    found = row(data, "peak_motion_mm")
    dummies = pd.get_dummies(clips["twin_group"], drop_first=True).to_numpy(float)
    means = regression(clips["peak_motion_mm"].to_numpy(), clips["declared_gender"].to_numpy(), dummies)
    assert found.gap.value == pytest.approx(means[0] - means[1])
    assert found.adjusted_for == "twins"
    assert found.gap.n == keep.sum()


def test_balanced_twins_give_plain_means_centred_by_expression() -> None:
    data = make_data(20, 5, seed=1, twins=True)
    y = data.clips["brisque"]
    centred = y - y.groupby(data.clips["twin_group"]).transform("mean") + y.mean()
    expected = centred.groupby(data.clips["declared_gender"]).mean()
    found = row(data, "brisque")
    assert {r.group: r.estimate.value for r in found.rows} == pytest.approx(dict(expected))


def test_clips_without_a_twin_are_left_out_where_most_have_one_and_else_twins_are_not_used() -> None:
    data = make_data(20, 5, seed=1, twins=True)
    alone = data.clips["twin_group"] == "x000"
    data.clips["twin_group"] = data.clips["twin_group"].where(~alone, None)
    found = row(data, "brisque")
    assert (found.adjusted_for, found.gap.n) == ("twins", 80)
    data.clips["twin_group"] = data.clips["twin_group"].where(data.clips["twin_group"] == "x001", None)
    found = row(data, "brisque")
    assert found.adjusted_for.startswith("emotion")
    assert found.gap.n == 100


def test_terms_of_the_command_are_no_more_than_the_clips_bear() -> None:
    large, small = make_data(60, 10), make_data(12, 5)
    full = command_of_spec(large.clips, large)
    assert full.text == "emotion, intensity, AUs, AUs by intensity, side, times"
    assert command_of_spec(small.clips, small).text == "emotion"
    for command in (full, command_of_twins(make_data(10, 5, twins=True).clips)):
        basis = np.asarray(command.basis.todense()) if hasattr(command.basis, "todense") else command.basis
        assert basis.T @ basis == pytest.approx(np.eye(basis.shape[1]), abs=1e-9)
        assert (basis**2).sum(1) == pytest.approx(command.leverage)
        assert command.without(np.ones((len(basis), 1))) == pytest.approx(0, abs=1e-9)


def test_intervals_are_those_of_whole_people_resampled() -> None:
    """With no command the mean of a group is its plain mean, so the interval is that of `bootstrap_mean`."""
    random = np.random.default_rng(5)
    data = make_data(60, 4, seed=5)
    data.clips["emotion"] = "happiness"
    data = dataclasses.replace(data, intended=())
    data.clips[["intensity_max", "laterality"]] = np.nan
    data.clips["brisque"] = noise(random, data.clips, 0.3, 0.2)
    found = row(data, "brisque", n_boot=4000)
    for r in found.rows:
        own = data.clips[data.clips["declared_gender"] == r.group]
        theirs = bootstrap_mean(own["brisque"], own["subject_id"], n_boot=4000)
        assert r.estimate.value == pytest.approx(theirs.mean)
        width = theirs.high - theirs.low  # type: ignore[operator]
        assert r.estimate.low == pytest.approx(theirs.low, abs=0.06 * width)
        assert r.estimate.high == pytest.approx(theirs.high, abs=0.06 * width)


def test_one_clip_per_person_and_two_groups_agree_with_scipy() -> None:
    data = make_data(30, 1, seed=8, groups=split(30, 12))
    data.clips["emotion"] = "happiness"
    data = dataclasses.replace(data, intended=())
    data.clips[["intensity_max", "laterality"]] = np.nan
    y = data.clips["brisque"] + 1.5 * (data.clips["declared_gender"] == "f")
    data.clips["brisque"] = y
    woman = data.clips["declared_gender"] == "f"
    found = row(data, "brisque", n_permutations=4000)
    theirs = stats.permutation_test(
        (y[woman], y[~woman]), lambda a, b: abs(a.mean() - b.mean()), alternative="greater", n_resamples=4000,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert found.p == pytest.approx(theirs.pvalue, abs=0.03)


# What is found


@pytest.mark.parametrize("twins", [False, True])
def test_a_planted_gap_is_found_with_its_size_and_groups(twins: bool) -> None:
    data = make_data(
        60, 5, seed=1, twins=twins,
        peak_motion_mm=lambda c: c.peak_motion_mm * (1 - 0.25 * (c.measured_ita_group == "brown")),
    )  # fmt: skip
    found = parity(data, n_permutations=1000)
    first = found[3]
    assert (first.attribute, first.outcome) == ("measured_ita_group", "peak_motion_mm")
    assert first.lowest == "brown"
    assert first.relative_gap == pytest.approx(0.25, abs=0.12)
    assert first.q is not None
    assert first.q < 0.02
    assert first.gap.low is not None
    assert first.gap.low > 0
    assert all(r.q > 0.05 for r in found if r is not first)  # type: ignore[operator]
    assert {r.n_tests for r in found} == {9}
    q = stats.false_discovery_control([r.p for r in found])  # type: ignore[misc]
    assert [r.q for r in found] == pytest.approx(list(q))


def simulated(design: str, seed: int) -> AuditData:
    """Data of one of the designs that a data set may have."""
    if design == "few":
        return make_data(12, 5, seed=seed, groups=split(12, 6))
    if design == "uneven":
        return make_data(40, 6, seed=seed, groups=split(40, 6))
    data = make_data(40, 6, seed=seed, groups=split(40, 20))
    if design == "pairs":
        pair = np.repeat(np.arange(20), 2)[np.random.default_rng(seed).permutation(40)]
        index = np.repeat(np.arange(40), 6)
        data.clips["twin_group"] = [f"p{pair[i]}_{k % 6}" for k, i in enumerate(index)]
    if design == "commanded":
        data.clips["intensity_max"] += 1.5 * (data.clips["declared_gender"] == "f")
    return data


@pytest.mark.parametrize("design", ["few", "uneven", "pairs", "commanded"])
def test_false_alarms_power_and_coverage(design: str) -> None:
    """Of 200 simulated outcomes: 5 % false alarms, 80 % found at the size said to be found, 95 % covered."""
    random, n = np.random.default_rng(7), 200
    data = dataclasses.replace(simulated(design, 4), attributes=GENDER)
    base = {f"y{i}": noise(random, data.clips, 0.1, 0.2) for i in range(n)}
    if design == "commanded":
        base = {name: y + 0.3 * data.clips["intensity_max"].to_numpy() for name, y in base.items()}
    null = parity(many(data, base), n_permutations=300, n_boot=300)
    alarms = sum(r.p < 0.05 for r in null)  # type: ignore[operator]
    assert stats.binomtest(alarms, n, 0.05).pvalue > 0.001
    shift = float(np.median([r.detectable for r in null]))  # type: ignore[arg-type]
    woman = (data.clips["declared_gender"] == "f").to_numpy()
    planted = parity(
        many(data, {k: y + shift * woman for k, y in base.items()}), n_permutations=300, n_boot=300
    )
    assert sum(r.p < 0.05 for r in planted) / n == pytest.approx(0.8, abs=0.1)  # type: ignore[operator]
    held = sum(_holds(r, shift) for r in planted)
    assert 0.905 <= held / n <= 0.995


def _holds(found: Parity, difference: float) -> bool:
    assert found.gap.low is not None
    assert found.gap.high is not None
    true = difference if found.highest == "f" else -difference
    return found.gap.low <= true <= found.gap.high


def test_three_groups_have_their_false_alarms_too() -> None:
    """The largest of three gaps is tested as such: one interval that leaves out 0 is not enough."""
    random, n = np.random.default_rng(3), 200
    data = make_data(
        36, 4, seed=3, groups={"estimated_race": ["asian"] * 12 + ["black"] * 12 + ["white"] * 12}
    )
    data = dataclasses.replace(data, attributes=ATTRIBUTES[2:])
    found = parity(
        many(data, {f"y{i}": noise(random, data.clips, 0.1, 0.2) for i in range(n)}),
        n_permutations=400,
        n_boot=400,
    )
    alarms = sum(r.p < 0.05 for r in found)  # type: ignore[operator]
    assert stats.binomtest(alarms, n, 0.05).pvalue > 0.001
    named_beforehand = sum(not _zero_inside(r) for r in found)
    assert named_beforehand > 1.5 * alarms


def _zero_inside(found: Parity) -> bool:
    assert found.gap.low is not None
    assert found.gap.high is not None
    return found.gap.low <= 0 <= found.gap.high


# What is not compared


def test_why_something_was_not_compared() -> None:
    data = make_data(
        24, 5, groups={**split(24, 20), "estimated_race": ["white"] * 24}, brisque=3.0, note="x",
        half=lambda c: np.where(c.measured_ita_group == "tan", np.nan, c.peak_motion_mm), none=None,
    )  # fmt: skip
    extra = (
        Outcome("note", "note", "groups"),
        Outcome("half", "half", "number"),
        Outcome("none", "none", "number"),
    )
    data = dataclasses.replace(data, measured=data.measured + extra)
    found = {(r.attribute, r.outcome): r for r in parity(data, n_permutations=100, n_boot=100)}
    assert found["declared_gender", "peak_motion_mm"].skipped == module.TOO_FEW
    assert found["estimated_race", "peak_motion_mm"].skipped == module.ONE_GROUP
    assert found["measured_ita_group", "brisque"].skipped == module.CONSTANT
    assert found["measured_ita_group", "note"].skipped == module.NOT_A_NUMBER
    assert found["measured_ita_group", "none"].skipped == module.NO_VALUE
    half = found["measured_ita_group", "half"]
    assert "tan" not in {r.group for r in half.rows}
    assert half.skipped == ""
    for r in found.values():
        assert (r.p is None) == bool(r.skipped) == (r.gap.value is None)


def test_groups_of_few_and_unknown_people_take_no_part() -> None:
    race = ["asian"] * 8 + ["black"] * 8 + ["white"] * 4 + ["unknown"] * 4
    found = row(make_data(24, 5, groups={"estimated_race": race}), "brisque", "estimated_race")
    assert [r.group for r in found.rows] == ["asian", "black"]
    assert found.gap.n_subjects == 16


def test_groups_that_were_commanded_apart_are_not_compared() -> None:
    data = make_data(20, 5, groups=split(20, 10))
    data.clips["emotion"] = np.where(data.clips["declared_gender"] == "f", "fear", "anger")
    assert row(data, "brisque").skipped == module.CONFOUNDED


def test_flags_are_shares() -> None:
    data = make_data(
        20, 5, movement_found=lambda c: [None if i % 7 == 0 else i % 4 > 0 for i in range(len(c))]
    )
    data = dataclasses.replace(data, measured=(Outcome("movement_found", "movement found", "flag"),))
    found = row(data, "movement_found")
    assert found.gap.n == 100 - 15
    shares = numbers(data.clips["movement_found"])
    weighted = sum(r.estimate.n * r.estimate.value for r in found.rows)  # type: ignore[misc]
    assert weighted == pytest.approx(np.nansum(shares))


def test_a_mean_that_is_not_above_0_has_no_relative_gap() -> None:
    data = make_data(20, 5, apex_error_ms=lambda c: -5 - c.brisque)
    assert row(data, "apex_error_ms").relative_gap is None


# Same input, same output


def test_order_of_rows_changes_nothing_and_the_seed_does() -> None:
    data = make_data(24, 5, seed=9)
    turned = dataclasses.replace(data, clips=data.clips.sample(frac=1, random_state=1).reset_index(drop=True))
    first, second = (parity(d, n_permutations=200, n_boot=200) for d in (data, turned))
    assert first == second
    assert first != parity(data, n_permutations=200, n_boot=200, seed=1)


def test_an_outcome_does_not_depend_on_which_others_there_are() -> None:
    data = make_data(24, 5, seed=9)
    whole = {(r.attribute, r.outcome): r for r in parity(data, n_permutations=200, n_boot=200)}
    alone = row(data, "brisque", n_permutations=200, n_boot=200)
    both = whole["declared_gender", "brisque"]
    assert (alone.p, alone.lowest) == (both.p, both.lowest)
    assert alone.gap.high == pytest.approx(both.gap.high)
    assert alone.detectable == pytest.approx(both.detectable)


def test_a_person_of_two_groups_is_an_error() -> None:
    data = make_data(12, 5)
    data.clips.loc[0, "declared_gender"] = "m" if data.clips.loc[1, "declared_gender"] == "f" else "f"
    with pytest.raises(InputError, match="s000"):
        parity(data)


def test_many_people_have_normal_intervals() -> None:
    """Above `MAX_RESAMPLED` people; the same width as resampling gives just below."""
    widths = []
    for n in (1990, 2010):
        data = make_data(n, 1, seed=2)
        design = Design.of(
            np.arange(n),
            (data.clips["declared_gender"] == "f").to_numpy(np.intp),
            command_of_spec(data.clips, data),
        )
        assert fit(design, data.clips[["brisque"]].to_numpy()).identified
        found = row(data, "brisque", n_permutations=100)
        widths.append(found.gap.high - found.gap.low)  # type: ignore[operator]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)


def test_attribute_without_groups() -> None:
    nobody = Attribute("declared_gender", "declared", "gender (declared)", (), "faces.jsonl")
    data = dataclasses.replace(
        make_data(12, 5, groups={"declared_gender": ["unknown"] * 12}), attributes=(nobody,)
    )
    assert {r.skipped for r in parity(data)} == {module.ONE_GROUP}
    assert parity(dataclasses.replace(data, attributes=())) == ()
