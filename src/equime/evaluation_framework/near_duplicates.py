"""Clips that show nearly the same picture though they should not, found by perceptual hashes.

The same photograph under two subject names lets a subject be in training and test at once; the same photograph
in two sets makes one no test of the other. Clips of one subject share their first frame by design, so they are
counted and not listed. A hash sees a picture, not a person: two pictures of one person are not found.

All pairs are compared in blocks of fixed size: exact, and memory does not grow with the square.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError
from equime.types import Record

MAX_BITS: Final = 5
"""Largest distance of near duplicates, bits of 64. Another encoding, size, noise or light of one picture gives 0
to 2, a crop of 1 % gives 5; the closest of 171 pairs of different aligned portraits have 13. Among thousands of
faces a few pairs come this close by chance: look at what is listed."""

_ROWS, _COLUMNS = 256, 8192


@dataclass(frozen=True)
class Hashed:
    """Clips of one set, in step.

    Attributes:
        clip_ids: names of the clips.
        subjects: whose; None where it is not known, which makes the clip a subject of its own.
        hashes: 16 hex digits as ``motion_features`` gives them; None where there is none.
    """

    clip_ids: Sequence[str]
    subjects: Sequence[str | None]
    hashes: Sequence[str | None]


class DuplicatePair(Record, frozen=True):
    """Two subjects with nearly the same picture, by their closest clips.

    Attributes:
        clip_a, clip_b: the clips; the second of the other set where two were compared.
        subject_a, subject_b: whose; None where it is not known.
        distance_bits: differing bits of 64.
    """

    clip_a: str
    clip_b: str
    subject_a: str | None
    subject_b: str | None
    distance_bits: int


class NearDuplicates(Record, frozen=True):
    """What was found, within one set or between two.

    Attributes:
        n_a, n_b: clips with a hash in each set; ``n_b`` is None within one set.
        max_bits: largest distance that counts.
        n_clip_pairs: pairs of clips of different subjects that are near duplicates.
        n_clips_a, n_clips_b: clips that are in such a pair; ``n_clips_b`` is None within one set.
        n_same_subject: pairs of clips of the same subject, expected within one set.
        pairs: closest first, one per pair of subjects; cut off at the number asked for.
        cut_off: whether there are more pairs of subjects than are listed.
    """

    n_a: int
    n_b: int | None
    max_bits: int
    n_clip_pairs: int
    n_clips_a: int
    n_clips_b: int | None
    n_same_subject: int
    pairs: tuple[DuplicatePair, ...]
    cut_off: bool


def near_duplicates(
    clips: Hashed, other: Hashed | None = None, *, max_bits: int = MAX_BITS, max_listed: int = 200
) -> NearDuplicates:
    """Near-duplicate clips of different subjects, within one set or between two.

    Args:
        clips: the set.
        other: compare with these instead of with each other.
        max_bits: largest distance that counts, 0..63.
        max_listed: most pairs of subjects to name; all are counted.

    Raises:
        InputError: a hash that is not 16 hex digits, sequences of different length, or ``max_bits`` out of range.
    """
    if not 0 <= max_bits <= 63:
        raise InputError(f"max_bits is {max_bits}; it must be from 0 to 63 (of 64 bits)")
    a = _Entries(clips, 0)
    b = a if other is None else _Entries(other, a.n_unnamed)
    names = np.unique(np.concatenate([a.subjects, b.subjects]))
    search = _Search(a, b, names, max_bits, max_listed)
    for rows, columns in _tiles(len(a.hashes), len(b.hashes), triangle=other is None):
        search.tile(rows, columns)
    return search.result()


class _Entries:
    """Different (subject, hash) of a set, each with its first clip and how many clips share it."""

    def __init__(self, clips: Hashed, first_unnamed: int) -> None:
        if not len(clips.clip_ids) == len(clips.subjects) == len(clips.hashes):
            sizes = len(clips.clip_ids), len(clips.subjects), len(clips.hashes)
            raise InputError(
                f"{sizes[0]} clips, {sizes[1]} subjects, {sizes[2]} hashes; give one of each per clip"
            )
        kept = [i for i, digits in enumerate(clips.hashes) if digits is not None]
        hashes = np.array([_number(clips.clip_ids[i], clips.hashes[i]) for i in kept], np.uint64)
        # A NUL cannot be in a name, so clips of unknown subject never meet a named one.
        subjects = np.array(
            [f"\0{first_unnamed + i}" if clips.subjects[i] is None else str(clips.subjects[i]) for i in kept],
            dtype=object,
        ).astype(str)
        keys = np.rec.fromarrays([subjects, hashes]) if kept else np.empty(0)
        _, first, self.counts = np.unique(keys, return_index=True, return_counts=True)
        self.hashes, self.subjects = hashes[first], subjects[first]
        self.clip_ids = [str(clips.clip_ids[kept[i]]) for i in first]
        self.n, self.n_unnamed = len(kept), first_unnamed + len(clips.hashes)

    def subject(self, i: int) -> str | None:
        name = str(self.subjects[i])
        return None if name.startswith("\0") else name


class _Search:
    """Counts and the closest pairs, updated tile by tile."""

    def __init__(self, a: _Entries, b: _Entries, names: NDArray[Any], max_bits: int, max_listed: int) -> None:
        self.a, self.b, self.max_bits, self.max_listed = a, b, max_bits, max_listed
        self.codes_a, self.codes_b = np.searchsorted(names, a.subjects), np.searchsorted(names, b.subjects)
        self.n_names = len(names)
        self.hit_a, self.hit_b = np.zeros(len(a.hashes), bool), np.zeros(len(b.hashes), bool)
        self.n_pairs = 0
        # Clips with the very same subject and hash are one entry.
        self.n_same = int((a.counts * (a.counts - 1) // 2).sum()) if a is b else 0
        self.found = np.empty((0, 3), np.int64)
        self.cut_off = False

    def tile(self, rows: slice, columns: slice) -> None:
        bits = n_bits(self.a.hashes[rows, None] ^ self.b.hashes[None, columns])
        i, j = np.nonzero(bits <= self.max_bits)
        distance = bits[i, j].astype(np.int64)
        i, j = i + rows.start, j + columns.start
        if self.a is self.b:
            upper = i < j
            i, j, distance = i[upper], j[upper], distance[upper]
        n_clips = self.a.counts[i] * self.b.counts[j]
        same = self.codes_a[i] == self.codes_b[j]
        self.n_same += int(n_clips[same].sum())
        self.n_pairs += int(n_clips[~same].sum())
        i, j, distance = i[~same], j[~same], distance[~same]
        self.hit_a[i] = self.hit_b[j] = True
        new = np.column_stack([distance, i, j])
        if self.cut_off:  # The list is full: only what is closer than its last can enter.
            new = new[distance < self.found[-1, 0]]
        if len(new):
            self._keep(new)

    def _keep(self, new: NDArray[np.int64]) -> None:
        """The closest pair of entries of every pair of subjects, as many as are to be listed."""
        found = np.concatenate([self.found, new])
        found = found[np.lexsort((found[:, 2], found[:, 1], found[:, 0]))]
        first, second = self.codes_a[found[:, 1]], self.codes_b[found[:, 2]]
        if self.a is self.b:
            first, second = np.minimum(first, second), np.maximum(first, second)
        one_each = np.sort(np.unique(first * self.n_names + second, return_index=True)[1])
        self.cut_off |= len(one_each) > self.max_listed
        self.found = found[one_each[: self.max_listed]]

    def result(self) -> NearDuplicates:
        a, b, between = self.a, self.b, self.a is not self.b
        hit_a = self.hit_a if between else self.hit_a | self.hit_b
        pairs = (
            DuplicatePair(
                clip_a=a.clip_ids[i], clip_b=b.clip_ids[j], subject_a=a.subject(i), subject_b=b.subject(j),
                distance_bits=distance,
            )
            for distance, i, j in self.found.tolist()
        )  # fmt: skip
        return NearDuplicates(
            n_a=a.n,
            n_b=b.n if between else None,
            max_bits=self.max_bits,
            n_clip_pairs=self.n_pairs,
            n_clips_a=int(a.counts[hit_a].sum()),
            n_clips_b=int(b.counts[self.hit_b].sum()) if between else None,
            n_same_subject=self.n_same,
            pairs=tuple(pairs),
            cut_off=self.cut_off,
        )


def _number(clip_id: str, digits: str | None) -> int:
    try:
        if digits is not None and len(digits) == 16:
            return int(digits, 16)
    except ValueError:
        pass
    raise InputError(
        f"{clip_id}: perceptual hash {digits!r} is not 16 hex digits; measure motion_features again"
    )


def _tiles(n: int, m: int, *, triangle: bool) -> Iterator[tuple[slice, slice]]:
    """Blocks of the n by m pairs; with ``triangle`` only those that hold some i < j."""
    for top in range(0, n, _ROWS):
        for left in range((top // _COLUMNS) * _COLUMNS if triangle else 0, m, _COLUMNS):
            yield slice(top, min(top + _ROWS, n)), slice(left, min(left + _COLUMNS, m))


def n_bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Number of ones in each value; numpy 1 has no function for it."""
    count = getattr(np, "bitwise_count", None)
    return np.asarray(count(values) if count else _n_bits_by_table(values), np.uint8)


def _n_bits_by_table(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    words = np.arange(2**16, dtype=np.uint16)
    table = np.unpackbits(words.view(np.uint8).reshape(-1, 2), axis=1).sum(1).astype(np.uint8)
    total: NDArray[np.uint8] = table[np.ascontiguousarray(values)[..., None].view(np.uint16)].sum(
        -1, dtype=np.uint8
    )
    return total
