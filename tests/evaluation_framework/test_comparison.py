"""One set against another: near where they should be near, far where they should be far."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from equime.errors import InputError
from equime.evaluation_framework.comparison import SetComparison, compare_sets
from equime.evaluation_framework.motion_features import features
from tests.evaluation_framework.synthetic_tracks import population

GROUPS = ("motion", "motion_flow", "motion_magnitude", "motion_strain", "motion_phase")


@cache
def clips(seed: int, n_subjects: int = 20, **how: Any) -> pd.DataFrame:
    """A table of motion features; do not change it."""
    rows = [
        {"clip_id": f"{subject}_{emotion}", "subject_id": subject, "emotion": emotion, **features(track)}
        for subject, emotion, track in population(n_subjects, seed, **how)
    ]
    return pd.DataFrame(rows)


def compared(a: pd.DataFrame, b: pd.DataFrame, **options: Any) -> SetComparison:
    return compare_sets(a, b, n_resamples=options.pop("n_resamples", 50), **options)


REFERENCE = 2


@cache
def alike() -> SetComparison:
    return compared(clips(1), clips(REFERENCE))


@cache
def against(**how: Any) -> SetComparison:
    return compared(clips(3, **how), clips(REFERENCE))


# Near and far


def test_two_sets_of_one_population_are_near() -> None:
    found = alike()
    for group in GROUPS:
        kernel = found.distances[f"kernel_{group}"]
        assert kernel.p_value is not None
        assert kernel.p_value > 0.05, group
        assert found.neighbours[group].precision.mean > 0.7, group
        assert found.neighbours[group].coverage.mean > 0.7, group


@pytest.mark.parametrize(
    ("how", "group"),
    [
        ({"reverse": True}, "motion_phase"),
        ({"amplitude": 2.0}, "motion_magnitude"),
        ({"amplitude": 0.0}, "motion"),
    ],
    ids=["reversed", "doubled", "frozen"],
)
def test_what_is_wrong_is_far_and_in_the_group_that_it_concerns(how: dict[str, Any], group: str) -> None:
    found = against(**how)
    for kind in ("frechet", "kernel"):
        far, near = found.distances[f"{kind}_{group}"], alike().distances[f"{kind}_{group}"]
        assert far.p_value == pytest.approx(1 / 51)
        assert far.null_high is not None
        assert far.value > 2 * far.null_high
        assert far.value > 5 * near.value
    assert found.neighbours[group].coverage.mean < 0.5 * alike().neighbours[group].coverage.mean


def test_time_reversed_is_not_far_in_space() -> None:
    """The peak is the same picture; only the phases tell."""
    found = against(reverse=True)
    for group in ("motion_flow", "motion_magnitude", "motion_strain"):
        p_value = found.distances[f"kernel_{group}"].p_value
        assert p_value is not None
        assert p_value > 0.05, group


def test_a_frozen_set_is_the_farthest() -> None:
    """It must come out worst, not best."""
    frozen, doubled = against(amplitude=0.0), against(amplitude=2.0)
    assert frozen.neighbours["motion"].recall.mean == 0
    assert frozen.neighbours["motion"].precision.mean == 0
    assert frozen.distances["kernel_motion_phase"].value > 5 * doubled.distances["kernel_motion_phase"].value


def test_a_set_against_itself_is_at_distance_zero() -> None:
    found = compared(clips(1), clips(1), n_resamples=0)
    for group in GROUPS:
        assert found.distances[f"frechet_{group}"].value == pytest.approx(0, abs=1e-4)
        assert found.neighbours[group].coverage.mean == found.neighbours[group].precision.mean == 1
    assert any("20 subject names are in both sets" in w for w in found.warnings)


# Eyes, emotions, deep features


def test_blinks_do_not_count_unless_asked_for() -> None:
    blinking = clips(1).copy()
    eyes = [c for c in blinking if "_eye_" in c]
    blinking[eyes] = blinking[eyes].to_numpy() + 5
    plain = compared(blinking, clips(REFERENCE), n_resamples=0)
    assert plain.distances == compared(clips(1), clips(REFERENCE), n_resamples=0).distances
    with_eyes = compared(blinking, clips(REFERENCE), n_resamples=0, eyes=True)
    assert with_eyes.distances["kernel_motion_magnitude"].value > 10 * abs(
        plain.distances["kernel_motion_magnitude"].value
    )


def test_emotions_are_compared_where_both_sets_have_them() -> None:
    a = clips(1)[clips(1).emotion != "anger"]
    found = compared(a, clips(REFERENCE), n_resamples=0)
    assert sorted(found.emotions) == ["happiness", "surprise"]
    one = found.emotions["happiness"]
    assert (one.n_measured, one.n_reference) == (20, 20)
    swapped = a.assign(emotion=a.emotion.map({"happiness": "surprise", "surprise": "happiness"}))
    wrong = compared(swapped, clips(REFERENCE), n_resamples=0).emotions["happiness"]
    assert one.kernel_motion is not None
    assert wrong.kernel_motion is not None
    assert wrong.kernel_motion.value > 5 * abs(one.kernel_motion.value)
    assert one.neighbours_motion is not None
    few = compared(clips(1).head(30), clips(REFERENCE).head(12), n_resamples=0).emotions["anger"]
    assert (few.n_reference, few.kernel_motion) == (4, None)


def test_deep_features_are_compared_where_they_are_and_are_no_fvd() -> None:
    rng = np.random.default_rng(0)
    names = [f"r3d_18_f{i:03d}" for i in range(512)]
    a, b = (
        pd.concat([clips(seed), pd.DataFrame(rng.random((60, 512)) + shift, columns=names)], axis=1)
        for seed, shift in ((1, 0.2), (REFERENCE, 0.0))
    )
    found = compared(a, b, n_resamples=0)
    assert found.distances["frechet_r3d18"].n_features == 512
    assert found.distances["frechet_r3d18"].shrinkage == 0
    assert any("no FVD value" in w for w in found.warnings)
    assert found.metrics == ()
    assert "frechet_r3d18" not in alike().distances


# Means


def test_means_and_their_difference() -> None:
    rng = np.random.default_rng(1)
    a = clips(1).assign(brisque=rng.normal(30, 4, 60), intended_onset_ms=1.0, note="x", blinked=True)
    b = clips(REFERENCE).assign(brisque=rng.normal(20, 4, 60), intended_onset_ms=2.0, note="y", blinked=False)
    a.loc[3, "brisque"] = None
    (found,) = compared(a, b, n_resamples=0).metrics
    assert found.metric == "brisque"
    assert (found.measured.n, found.reference.n) == (59, 60)
    x, y = a.brisque.dropna(), b.brisque
    assert found.difference.difference == pytest.approx(x.mean() - y.mean())
    pooled = np.sqrt((x.var() * 58 + y.var() * 59) / 117)
    assert found.effect == pytest.approx((x.mean() - y.mean()) / pooled)
    assert found.difference.low is not None
    assert found.difference.low > 7


# Near duplicates


def test_near_duplicates_are_reported() -> None:
    a = clips(1).assign(phash_first=[f"{int(s.split('_')[1]):015x}0" for s in clips(1).subject_id])
    # s1_0 and s1_1 are one picture but for a bit; the last subject of the reference is that of s1_9.
    b = clips(REFERENCE).assign(phash_first=["f" * 16] * 57 + [f"{9:015x}0"] * 3)
    found = compared(a, b, n_resamples=0)
    assert found.duplicates_measured is not None
    assert found.duplicates_between is not None
    assert found.duplicates_measured.n_same_subject == 20 * 3
    between = {(p.subject_a, p.subject_b) for p in found.duplicates_between.pairs if p.distance_bits == 0}
    assert between == {("s1_9", f"s{REFERENCE}_19")}
    assert alike().duplicates_between is None


# Warnings and bad input


def test_the_record_is_json() -> None:
    text = msgspec.json.encode(alike())
    assert msgspec.json.decode(text, type=SetComparison) == alike()


def test_small_sets_are_warned_of() -> None:
    found = compared(clips(1).head(45), clips(REFERENCE), n_resamples=0)
    assert any("45 measured clips have motion features, fewer than 50" in w for w in found.warnings)
    assert any("covariances were shrunk: frechet_motion" in w for w in found.warnings)
    few = compared(clips(1).head(9).assign(tv=1.0), clips(REFERENCE).assign(tv=2.0), n_resamples=0)
    assert few.distances == {}
    assert any("9 measured and 60 reference clips" in w for w in few.warnings)
    assert any("measured set has 3 subjects" in w for w in few.warnings)
    assert few.metrics[0].difference.difference == -1


def test_clips_without_a_face_are_left_out_and_counted() -> None:
    a = clips(1).copy()
    a.loc[[2, 5], [c for c in a if c.startswith("mf_")]] = None
    found = compared(a, clips(REFERENCE), n_resamples=0)
    assert (found.n_measured, found.n_features_measured) == (60, 58)
    assert found.distances["kernel_motion"].n_measured == 58
    assert any("2 of 60 measured clips have no motion features" in w for w in found.warnings)


def test_clips_of_unknown_subjects_count_as_their_own() -> None:
    a = clips(1).drop(columns="subject_id")
    found = compared(a, clips(REFERENCE), n_resamples=0)
    assert (found.n_subjects_measured, found.n_subjects_reference) == (60, 20)


def test_tables_without_motion_features_still_have_means() -> None:
    a, b = (pd.DataFrame({"clip_id": list("abcdefgh"), "tv": np.arange(8.0) + s}) for s in (0, 1))
    found = compared(a, b)
    assert found.metrics[0].difference.difference == -1
    assert any("no motion features in both tables" in w for w in found.warnings)
    with pytest.raises(InputError, match="share no column of numbers"):
        compared(a, b.drop(columns="tv"))
    with pytest.raises(InputError, match="measured table has no column clip_id"):
        compared(a.drop(columns="clip_id"), b)
