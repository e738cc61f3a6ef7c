"""MEGC's scores against hand-worked numbers and against the slow way."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.baselines import spotting_scores as s
from equime.coded import FORMAT_VERSION, CodedClip, CodedInfo, CodedSet
from equime.errors import InputError


@dataclass(frozen=True)
class Found:
    onset: int
    offset: int
    expression: Literal["micro", "macro"] = "micro"


def coded(*rows: tuple[str, str, int | None, int | None, Literal["micro", "macro"]]) -> CodedSet:
    """(subject, file, onset, offset, expression) to a set."""
    clips = tuple(
        CodedClip(
            clip_id=str(i), corpus="c", subject_id=subject, name=file, file=file, kind="video", fps=30.0,
            onset=onset, offset=offset, expression=expression, emotion="happiness",
        )
        for i, (subject, file, onset, offset, expression) in enumerate(rows)
    )  # fmt: skip
    return CodedSet(CodedInfo(format_version=FORMAT_VERSION, corpus="c", root="."), Path(), clips)


SPANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda t: (t[0], t[0] + t[1])), max_size=4
)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((10, 19), (10, 19), 1.0),
        ((10, 19), (15, 24), 5 / 15),
        ((10, 19), (15, 19), 5 / 10),
        ((10, 19), (19, 28), 1 / 19),  # ends are included: they share a frame
        ((10, 19), (20, 29), 0.0),
        ((7, 7), (7, 7), 1.0),
    ],
)
def test_iou_counts_frames_with_both_ends(a: s.Span, b: s.Span, expected: float) -> None:
    assert s.iou(a, b) == pytest.approx(expected)
    assert s.iou(b, a) == s.iou(a, b)


@given(SPANS.filter(len), st.integers(0, 5))
@settings(max_examples=25)
def test_iou_is_that_of_sets_of_frames(spans: list[s.Span], shift: int) -> None:
    a, b = spans[0], (spans[-1][0] + shift, spans[-1][1] + shift)
    one, two = set(range(a[0], a[1] + 1)), set(range(b[0], b[1] + 1))
    assert s.iou(a, b) == pytest.approx(len(one & two) / len(one | two))


def test_an_interval_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(InputError, match="9 to 3"):
        s.iou((9, 3), (0, 1))


def test_one_half_is_enough() -> None:
    assert s.count([(15, 19)], [(10, 19)]) == s.Counts(tp=1)
    assert s.count([(16, 19)], [(10, 19)]) == s.Counts(fp=1, fn=1)


def test_every_coded_interval_counts_once() -> None:
    assert s.count([(10, 19), (11, 19), (10, 18)], [(10, 19)]) == s.Counts(tp=1, fp=2)
    assert s.match([(11, 19), (10, 19)], [(10, 19)]) == [(1, 0)]  # the better of the two


def test_as_many_pairs_as_possible_where_greedy_finds_fewer() -> None:
    # In order of time (0, 19), which overlaps both by one half, takes (0, 9) from the only one that fits it.
    spotted, truth = [(0, 19), (0, 9)], [(0, 9), (10, 19)]
    assert s.count(spotted, truth) == s.Counts(tp=2)


def most_pairs(spotted: list[s.Span], truth: list[s.Span]) -> tuple[int, float]:
    """Number of pairs and sum of overlaps of the best pairing, by trying all."""
    best = (0, 0.0)
    for n in range(1, min(len(spotted), len(truth)) + 1):
        for rows in combinations(range(len(spotted)), n):
            for columns in permutations(range(len(truth)), n):
                overlaps = [s.iou(spotted[r], truth[c]) for r, c in zip(rows, columns, strict=True)]
                if min(overlaps) >= s.IOU:
                    best = max(best, (n, sum(overlaps)))
    return best


@given(SPANS, SPANS)
@settings(max_examples=60)
def test_pairing_is_the_best_there_is(spotted: list[s.Span], truth: list[s.Span]) -> None:
    pairs = s.match(spotted, truth)
    assert (
        len(pairs),
        pytest.approx(sum(s.iou(spotted[r], truth[c]) for r, c in pairs)),
    ) == most_pairs(spotted, truth)
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)


@given(SPANS, SPANS)
@settings(max_examples=30)
def test_swapping_the_sides_swaps_precision_and_recall(spotted: list[s.Span], truth: list[s.Span]) -> None:
    one, other = s.count(spotted, truth), s.count(truth, spotted)
    assert (one.precision, one.recall, one.f1) == (other.recall, other.precision, other.f1)


def test_scores_pool_over_videos_and_add_the_kinds() -> None:
    data = coded(
        ("1", "a", 10, 19, "micro"), ("1", "a", 100, 139, "macro"),
        ("2", "b", 10, 19, "micro"), ("2", "b", 50, 59, "micro"),
    )  # fmt: skip
    spotted = {
        "a": [Found(10, 19), Found(100, 139), Found(200, 209)],  # the macro-expression is called micro
        "b": [Found(12, 19), Found(50, 54), Found(70, 99, "macro")],
    }
    scores = s.score(spotted, data)
    assert scores["micro"].counts == s.Counts(tp=3, fp=2, fn=0)
    assert scores["macro"].counts == s.Counts(tp=0, fp=1, fn=1)
    assert scores["overall"].counts == s.Counts(tp=3, fp=3, fn=1)
    assert scores["micro"].f1 == pytest.approx(6 / 8)
    assert scores["overall"].f1 == pytest.approx(2 * 0.5 * 0.75 / (0.5 + 0.75))
    assert scores["macro"].f1 == 0.0
    assert (scores["micro"].n_videos, scores["micro"].n_subjects) == (2, 2)


def test_published_counts_give_the_published_figures() -> None:
    """MDMD on CAS(ME)^2 (He et al. 2020, MEGC 2020's baseline): F1 0.1196, 0.0082 and, counts added, 0.0376."""
    macro, micro = s.Counts(tp=109, fp=1414, fn=191), s.Counts(tp=21, fp=5014, fn=36)
    assert macro.f1 == pytest.approx(0.1196, abs=5e-5)
    assert micro.f1 == pytest.approx(0.0082, abs=5e-5)
    assert (macro + micro).f1 == pytest.approx(0.0376, abs=5e-5)


def test_what_is_not_there_is_none_and_not_zero() -> None:
    nothing = s.Counts()
    assert (nothing.precision, nothing.recall, nothing.f1) == (None, None, None)
    assert s.Counts(fp=2).f1 == 0.0
    assert s.Counts(fn=2).f1 == 0.0


def test_files_that_nobody_looked_at_are_not_scored() -> None:
    data = coded(("1", "a", 10, 19, "micro"), ("2", "b", 10, 19, "micro"))
    scores = s.score({"a": [Found(10, 19)]}, data)
    assert scores["micro"].counts == s.Counts(tp=1)
    assert scores["micro"].low is None  # one subject
    with pytest.raises(InputError, match="looked at"):
        s.score({"c": []}, data)


def test_clips_without_onset_are_counted_and_a_file_of_two_subjects_refused() -> None:
    _, _, n_without = s.truth_of(coded(("1", "a", None, 19, "micro"), ("1", "a", 5, 9, "micro")))
    assert n_without == 1
    with pytest.raises(InputError, match="c/1 and for c/2"):
        s.truth_of(coded(("1", "a", 1, 2, "micro"), ("2", "a", 3, 4, "micro")))


def test_bootstrap_resamples_subjects() -> None:
    alike = np.tile([[4, 1, 1]], (12, 1))
    assert s.bootstrap_f1(alike, 200) == (pytest.approx(0.8), pytest.approx(0.8))
    mixed = np.array([[5, 0, 0], [0, 5, 5]] * 6)
    low, high = s.bootstrap_f1(mixed, 500)
    assert low is not None
    assert high is not None
    assert low < 2 * 30 / (2 * 30 + 60) < high
    # Of 12 subjects, each good with 1/2: F1 is the share of good ones, whose binomial interval is 3 to 9 of 12.
    assert (low, high) == (pytest.approx(3 / 12, abs=0.05), pytest.approx(9 / 12, abs=0.05))
    assert s.bootstrap_f1(mixed, 500) == (low, high)


def test_recognition_is_the_mean_over_classes() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    true, predicted = list("ppnnsn"), list("pnnnpn")
    expected = sklearn.f1_score(true, predicted, average="macro", zero_division=0)
    assert s.recognition_f1(true, predicted) == pytest.approx(expected)
    assert s.recognition_f1([], []) is None
    with pytest.raises(InputError, match="2 true and 1"):
        s.recognition_f1(["a", "b"], ["a"])


def test_strs_of_the_published_baseline() -> None:
    """MEAN (Liong et al. 2023) on SAMM: TP 6, FP 217, FN 202 give F1 0.0278; with recognition 0.2222, STRS 0.0062."""
    f1 = s.Counts(tp=6, fp=217, fn=202).f1
    assert f1 == pytest.approx(0.0278, abs=5e-5)
    true = ["negative"] * 2 + ["positive"] * 2 + ["surprise"] * 2
    predicted = ["negative"] * 4 + ["positive"] * 2
    # negative 4/6, positive 0, surprise 0
    assert s.recognition_f1(true, predicted) == pytest.approx(0.2222, abs=5e-5)
    assert s.strs(f1, true, predicted) == pytest.approx(0.0062, abs=5e-5)
    assert s.strs(None, [], []) == 0.0


def test_true_positives_name_the_coded_clip() -> None:
    data = coded(("1", "a", 100, 139, "macro"), ("1", "a", 10, 19, "micro"), ("2", "b", 1, 9, "micro"))
    spotted = {"a": [Found(100, 139, "macro"), Found(11, 19)], "b": [Found(30, 40)]}
    assert s.true_positives(spotted, data) == [("a", 1, data.clips[1])]
    assert s.true_positives(spotted, data, kind="macro") == [("a", 0, data.clips[0])]
