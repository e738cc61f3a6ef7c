from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.baselines import splits
from equime.baselines.splits import Split, Who
from equime.coded import THREE, CodedClip
from equime.errors import InputError
from tests.baselines.experiment_cases import clip


def who(people: list[str], sets: list[str] | None = None, ids: list[str] | None = None) -> Who:
    n = len(people)
    return Who(
        np.array(people), np.array(ids or [f"id{i}" for i in range(n)]), np.array(sets or ["made"] * n)
    )


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.intp)


def test_a_person_on_both_sides_is_refused_and_named() -> None:
    with pytest.raises(InputError, match=r"1 person in both training and test: casme2/01; .*overlap"):
        Split("x", rows(0, 1), rows(2), who(["casme2/01", "casme2/02", "casme2/01"]))


def test_a_clip_on_both_sides_is_refused_under_another_name_too() -> None:
    with pytest.raises(InputError, match="1 clip in both training and test: same"):
        Split("x", rows(0), rows(1), who(["a/1", "b/1"], ids=["same", "same"]))


@pytest.mark.parametrize(
    ("train", "test", "side"), [(rows(), rows(1), "training"), (rows(0), rows(), "test")]
)
def test_an_empty_fold_is_refused(train: np.ndarray, test: np.ndarray, side: str) -> None:
    with pytest.raises(InputError, match=f"fold 'x' has no {side} clip"):
        Split("x", train, test, who(["a", "b"]))


def test_one_subject_number_in_two_corpora_is_two_people() -> None:
    """Subject 1 of SAMM is not subject 1 of CASME II; two faces of one equime set are one person each."""
    clips = [clip("01", "x", "positive", "samm"), clip("01", "x", "positive", "casme2")]
    found = splits.who_are(clips, ["real", "real"])
    assert len(splits.loso(found, rows(0, 1))) == 2
    twins = [clip("face7", f"clip{i}", "positive", "equime") for i in range(2)]
    with pytest.raises(InputError, match="1 people"):
        splits.loso(splits.who_are(twins, ["a", "b"]), rows(0, 1))


PEOPLE = st.lists(st.integers(0, 7), min_size=4, max_size=40).filter(lambda p: len(set(p)) > 3)


@settings(max_examples=40, deadline=None)
@given(PEOPLE, st.integers(0, 3))
def test_every_clip_is_tested_once_by_somebody_who_has_not_seen_its_person(
    numbers: list[int], seed: int
) -> None:
    people = [f"made/{n}" for n in numbers]
    sets = [f"set{n % 2}" for n in numbers]
    identities = who(people, sets)
    everything = np.arange(len(people))
    makers: list[Callable[[], list[Split]]] = [
        lambda: splits.loso(identities, everything),
        lambda: splits.k_fold(identities, everything, 3, seed),
        lambda: splits.across(
            identities, everything, everything, "self", "fold", 3, seed
        ),  # the same people on both sides
    ]
    if len(set(sets)) == 2:
        makers.append(lambda: splits.leave_one_set_out(identities, everything))
    for make in makers:
        folds = make()
        tested = np.concatenate([fold.test for fold in folds])
        assert sorted(tested.tolist()) == everything.tolist()
        for fold in folds:
            assert not set(identities.people[fold.train]) & set(identities.people[fold.test])
            assert len(np.unique(np.concatenate([fold.train, fold.test]))) == len(people)


def test_folds_of_people_are_even() -> None:
    people = [f"made/{p}" for p, n in enumerate([20, 1, 1, 1, 9, 8]) for _ in range(n)]
    sizes = sorted(len(f.test) for f in splits.k_fold(who(people), np.arange(len(people)), 2))
    assert sizes == [20, 20]
    with pytest.raises(InputError, match="6 people"):
        splits.k_fold(who(people), np.arange(len(people)), 7)


def test_across_sets_with_people_on_both_sides() -> None:
    identities = who(["e/1", "e/2", "e/3", "e/2", "e/3", "e/4"], list("aaabbb"))
    train, test = rows(0, 1, 2), rows(3, 4, 5)
    with pytest.raises(InputError, match="2 people in both training and test: e/2, e/3"):
        splits.across(identities, train, test, "a to b")
    (dropped,) = splits.across(identities, train, test, "a to b", "drop")
    assert dropped.train.tolist() == [0]
    folds = splits.across(identities, train, test, "a to b", "fold", 3)
    assert sorted(len(fold.train) for fold in folds) == [2, 2, 3]
    with pytest.raises(InputError, match="no training clip"):
        splits.across(identities, rows(1, 2), rows(3, 4), "a to b", "drop")


def test_loso_with_further_training_clips() -> None:
    identities = who(["r/1", "r/2", "s/1", "s/2"])
    folds = splits.loso(identities, rows(0, 1), rows(2, 3))
    assert [fold.train.tolist() for fold in folds] == [[2, 3, 1], [2, 3, 0]]
    twins = who(["e/1", "e/2", "e/1", "e/2"])
    with pytest.raises(InputError, match="1 person in both"):
        splits.loso(twins, rows(0, 1), rows(2, 3))
    folds = splits.loso(twins, rows(0, 1), rows(2, 3), "drop")
    assert [fold.train.tolist() for fold in folds] == [[3, 1], [2, 0]]


def test_inner_folds_never_hold_the_test_person() -> None:
    identities = who([f"made/{i % 5}" for i in range(20)])
    for fold in splits.loso(identities, np.arange(20)):
        nested = splits.inner(identities, fold, 3)
        used = np.concatenate([np.concatenate([f.train, f.test]) for f in nested])
        assert not set(identities.people[used]) & set(identities.people[fold.test])
        assert sorted(np.concatenate([f.test for f in nested]).tolist()) == sorted(fold.train.tolist())


def test_one_data_set_cannot_be_left_out_of_itself() -> None:
    with pytest.raises(InputError, match="two sets or more, there is only made"):
        splits.leave_one_set_out(who(["a", "b"]), rows(0, 1))


def test_sets_are_told_apart_by_role_where_the_corpus_is_the_same() -> None:
    assert splits.set_names(["smic", "samm", "equime", "equime"], ["real", "real", "a", "b"]) == [
        "smic", "samm", "a", "b",
    ]  # fmt: skip


def examined(clips: list[CodedClip]) -> dict[str, tuple[int, bool]]:
    identities = splits.who_are(clips, ["real"] * len(clips))
    labels = np.array([THREE.index(c.label) if c.label else -1 for c in clips])
    return {f.code: (f.n, f.dropped) for f in splits.examine(clips, identities, labels, THREE)}


def test_findings_of_thin_data() -> None:
    clips = [clip("1", f"n{i}", "negative") for i in range(3)] + [clip("2", "n", "negative")]
    clips += [clip("1", f"p{i}", "positive") for i in range(2)]
    assert examined([*clips, clip("2", "s", "surprise")]) == {
        "class_of_one_subject": (2, False),
        "class_of_one_clip": (1, False),
    }
    assert examined([*clips, clip("3", "o", None)]) == {
        "unlabelled": (1, True),
        "subject_unlabelled": (1, True),
        "class_of_one_subject": (2, False),
        "class_absent": (0, False),
    }


def test_a_set_given_twice_is_refused() -> None:
    clips = [clip("1", "a", "negative"), clip("2", "b", "negative")]
    with pytest.raises(InputError, match=r"2 clips are in the data twice \(subjects made/1, made/2\)"):
        splits.refuse_repeats(splits.who_are(clips * 2, ["real"] * 4))
