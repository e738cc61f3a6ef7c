"""Near duplicates against a comparison of all pairs in plain Python."""

from __future__ import annotations

import itertools
import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime.errors import InputError
from equime.evaluation_framework import near_duplicates as nd
from equime.evaluation_framework.motion_features import perceptual_hash
from equime.evaluation_framework.near_duplicates import Hashed, near_duplicates


def hashed(hashes: list[int], subjects: list[str | None] | None = None, prefix: str = "c") -> Hashed:
    names = [f"{prefix}{i}" for i in range(len(hashes))]
    return Hashed(names, list(names) if subjects is None else subjects, [f"{h:016x}" for h in hashes])


def distance(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


clips = st.lists(
    # Few bits and few subjects, so that hits of all kinds are common.
    st.tuples(st.integers(0, 255), st.sampled_from(["s1", "s2", "s3", None])),
    min_size=1,
    max_size=25,
)


@given(clips, st.integers(0, 3))
def test_within_a_set_all_pairs_are_found(drawn: list[tuple[int, str | None]], max_bits: int) -> None:
    one = hashed([h for h, _ in drawn], [s for _, s in drawn])
    close = [
        (i, j)
        for i, j in itertools.combinations(range(len(drawn)), 2)
        if distance(one.hashes[i] or "", one.hashes[j] or "") <= max_bits
    ]
    same = [(i, j) for i, j in close if drawn[i][1] is not None and drawn[i][1] == drawn[j][1]]
    found = near_duplicates(one, max_bits=max_bits)
    other = set(close) - set(same)
    assert (found.n_clip_pairs, found.n_same_subject) == (len(other), len(same))
    assert found.n_clips_a == len({i for pair in other for i in pair})
    subjects = {frozenset({drawn[i][1] or f"#{i}", drawn[j][1] or f"#{j}"}) for i, j in other}
    assert len(found.pairs) == len(subjects)
    assert not found.cut_off


@given(clips, clips, st.integers(0, 3))
def test_between_sets_all_pairs_are_found(
    first: list[tuple[int, str | None]], second: list[tuple[int, str | None]], max_bits: int
) -> None:
    a = hashed([h for h, _ in first], [s for _, s in first], "a")
    b = hashed([h for h, _ in second], [s for _, s in second], "b")
    close = [
        (i, j)
        for i, j in itertools.product(range(len(first)), range(len(second)))
        if (first[i][0] ^ second[j][0]).bit_count() <= max_bits
    ]
    same = [(i, j) for i, j in close if first[i][1] is not None and first[i][1] == second[j][1]]
    found = near_duplicates(a, b, max_bits=max_bits)
    other = set(close) - set(same)
    assert (found.n_clip_pairs, found.n_same_subject) == (len(other), len(same))
    assert found.n_clips_a == len({i for i, _ in other})
    assert found.n_clips_b == len({j for _, j in other})
    assert all(pair.clip_a[0] == "a" and pair.clip_b[0] == "b" for pair in found.pairs)


def test_twins_are_no_finding() -> None:
    """Clips of one subject share their first frame by design."""
    found = near_duplicates(hashed([7] * 6 + [2**40 - 1] * 4, ["s1"] * 6 + ["s2"] * 4))
    assert (found.n_clip_pairs, found.pairs, found.n_same_subject) == (0, (), 15 + 6)


def test_one_photograph_under_two_names_is_one_finding() -> None:
    found = near_duplicates(hashed([7, 7, 7, 6, 6], ["s1", "s1", "s1", "s2", "s2"]))
    assert found.n_clip_pairs == 6
    assert len(found.pairs) == 1
    pair = found.pairs[0]
    assert {pair.subject_a, pair.subject_b} == {"s1", "s2"}
    assert pair.distance_bits == 1
    assert {pair.clip_a, pair.clip_b} == {"c0", "c3"}


def test_the_closest_are_listed_first_and_all_are_counted() -> None:
    found = near_duplicates(hashed([0, 1, 3, 7, 15, 31]), max_bits=3, max_listed=4)
    assert [pair.distance_bits for pair in found.pairs] == [1, 1, 1, 1]
    assert found.n_clip_pairs == 5 + 4 + 3
    assert found.cut_off


def test_pairs_across_blocks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    hashes = [int(h) for h in rng.integers(0, 2**63, 300)]
    hashes[299] = hashes[2] ^ 1
    hashes[150] = hashes[149] ^ 2
    whole = near_duplicates(hashed(hashes))
    monkeypatch.setattr(nd, "_ROWS", 7)
    monkeypatch.setattr(nd, "_COLUMNS", 13)
    assert near_duplicates(hashed(hashes)) == whole
    assert whole.n_clip_pairs == 2


def test_memory_is_bounded_when_everything_is_the_same_picture() -> None:
    """3,000 black first frames are 4.5 million pairs."""
    tracemalloc.start()
    found = near_duplicates(hashed([0] * 3000), max_listed=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.n_clip_pairs == 3000 * 2999 // 2
    assert len(found.pairs) == 10
    assert found.cut_off
    assert peak < 150e6


def test_the_table_counts_the_same_bits() -> None:
    values = np.random.default_rng(0).integers(0, 2**64, (20, 30), dtype=np.uint64)
    expected = [[int(v).bit_count() for v in row] for row in values]
    assert nd.n_bits(values).tolist() == expected
    assert nd._n_bits_by_table(values).tolist() == expected


def test_the_same_picture_in_another_encoding_is_a_near_duplicate() -> None:
    rng = np.random.default_rng(1)
    pictures = [
        cv2.GaussianBlur(rng.integers(0, 255, (240, 240, 3), np.uint8), (0, 0), 12) for _ in range(12)
    ]
    pictures = [cv2.normalize(p, None, 20, 230, cv2.NORM_MINMAX).astype(np.uint8) for p in pictures]
    jpeg = cv2.imdecode(cv2.imencode(".jpg", pictures[3], [1, 40])[1], 1)
    small = cv2.resize(pictures[5], (120, 120), interpolation=cv2.INTER_AREA)
    one = Hashed(
        [f"c{i}" for i in range(12)], [f"s{i}" for i in range(12)], [*map(perceptual_hash, pictures)]
    )
    two = Hashed(["jpeg", "small"], [None, None], [perceptual_hash(jpeg), perceptual_hash(small)])
    found = near_duplicates(one, two)
    assert {(p.clip_a, p.clip_b) for p in found.pairs} == {("c3", "jpeg"), ("c5", "small")}
    assert near_duplicates(one).n_clip_pairs == 0


def test_clips_without_hash_are_left_out() -> None:
    found = near_duplicates(Hashed(["a", "b", "c"], ["s", "t", "u"], ["0" * 16, None, "0" * 16]))
    assert (found.n_a, found.n_clip_pairs) == (2, 1)
    assert near_duplicates(Hashed(["a"], [None], [None])).n_a == 0


@pytest.mark.parametrize(
    ("clips", "max_bits", "message"),
    [
        (Hashed(["a"], ["s"], ["12"]), 5, "a: perceptual hash '12' is not 16 hex digits"),
        (Hashed(["a"], ["s"], ["g" * 16]), 5, "is not 16 hex digits"),
        (Hashed(["a", "b"], ["s"], ["0" * 16]), 5, "2 clips, 1 subjects, 1 hashes"),
        (Hashed([], [], []), 64, "max_bits is 64"),
    ],
)
def test_bad_input_is_named(clips: Hashed, max_bits: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        near_duplicates(clips, max_bits=max_bits)
