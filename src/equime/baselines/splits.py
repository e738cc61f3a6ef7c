"""Which clips are trained on and which are tested on, with nobody on both sides.

`Split` refuses, when it is made, a person or a clip on both sides: no protocol can get round it. People are
`CodedClip.person`: the subject of a corpus. All replicates and identity twins of one face in equime sets carry the
face's subject id and are one person.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.coded import CodedClip, Finding
from equime.errors import InputError
from equime.seeding import stream

Rows = NDArray[np.intp]

_NAMED: Final = 10
"""People or clips that a message names."""

_KEPT: Final = 20
"""Clips that a finding names."""


@dataclass(frozen=True)
class Who:
    """Identities of N clips.

    Attributes:
        people: (N,) subject of each, unique over corpora.
        ids: (N,) clip ids.
        sets: (N,) data set of each, as `set_names` tells them apart.
    """

    people: NDArray[np.str_]
    ids: NDArray[np.str_]
    sets: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.people)


@dataclass(frozen=True)
class Split:
    """One fold.

    Attributes:
        name: the person or data set that is left out, "fold 3", ...
        train, test: rows of ``who``.
        who: identities of all rows.

    Raises:
        InputError: on making it, where a side is empty, or a person or a clip is on both.
    """

    name: str
    train: Rows
    test: Rows
    who: Who

    def __post_init__(self) -> None:
        for side, rows in (("training", self.train), ("test", self.test)):
            if not len(rows):
                raise InputError(
                    f"fold {self.name!r} has no {side} clip; give data with more people, or fewer folds"
                )
        self._refuse(self.who.ids, "clip", "clips", "give two sets that share no clip")
        self._refuse(
            self.who.people, "person", "people",
            "a recogniser tested on people whom it has seen says nothing of others; leave them out of one side, "
            'or use overlap = "fold" (each part of the people is tested by a recogniser that has not seen them) '
            'or overlap = "drop" (they are left out of training)',
        )  # fmt: skip

    def _refuse(self, names: NDArray[np.str_], one: str, many: str, hint: str) -> None:
        both = np.intersect1d(names[self.train], names[self.test])
        if len(both):
            more = f" and {len(both) - _NAMED} more" if len(both) > _NAMED else ""
            raise InputError(
                f"fold {self.name!r}: {len(both)} {one if len(both) == 1 else many} in both training and test: "
                f"{', '.join(both[:_NAMED].tolist())}{more}; {hint}"
            )


def set_names(corpora: Sequence[str], roles: Sequence[str]) -> list[str]:
    """Data set of each clip: its corpus; where clips of one corpus play several roles (two equime sets), its role."""
    played: dict[str, set[str]] = {}
    for corpus, role in zip(corpora, roles, strict=True):
        played.setdefault(corpus, set()).add(role)
    return [corpus if len(played[corpus]) == 1 else role for corpus, role in zip(corpora, roles, strict=True)]


def who_are(clips: Sequence[CodedClip], roles: Sequence[str]) -> Who:
    """Identities of clips.

    Args:
        clips: N.
        roles: of each in the experiment.
    """
    return Who(
        people=np.array([clip.person for clip in clips], dtype=np.str_),
        ids=np.array([clip.clip_id for clip in clips], dtype=np.str_),
        sets=np.array(set_names([clip.corpus for clip in clips], roles), dtype=np.str_),
    )


def loso(who: Who, rows: Rows, extra: Rows | None = None, overlap: str = "refuse") -> list[Split]:
    """Leave one subject out: a fold per person of ``rows``.

    Args:
        who: identities.
        rows: clips that are tested, each once.
        extra: further clips that are trained on in every fold.
        overlap: where ``extra`` has clips of the people of ``rows``: "refuse", or else they are left out of training
            in the fold of that person.
    """
    _enough(who, rows, 2)
    folds = []
    for person in np.unique(who.people[rows]).tolist():
        more = extra
        if more is not None and overlap != "refuse":
            more = more[who.people[more] != person]
        theirs = who.people[rows] == person
        folds.append(Split(person, _with(more, rows[~theirs]), rows[theirs], who))
    return folds


def k_fold(who: Who, rows: Rows, k: int, seed: int = 0) -> list[Split]:
    """Folds of whole people, even in the number of clips.

    Raises:
        InputError: fewer people than folds, or k below 2.
    """
    return [
        Split(f"fold {i + 1}", rows[~inside], rows[inside], who)
        for i, inside in enumerate(_parts(who, rows, k, seed))
    ]


def leave_one_set_out(who: Who, rows: Rows, overlap: str = "refuse") -> list[Split]:
    """Train on all data sets but one, test on that one; a fold per set."""
    sets = np.unique(who.sets[rows]).tolist()
    if len(sets) < 2:
        raise InputError(
            f"leaving one data set out needs two sets or more, there is only {sets[0] if sets else 'none'}; "
            "add one with --data ROLE=PATH"
        )
    folds: list[Split] = []
    for name in sets:
        inside = who.sets[rows] == name
        folds += across(who, rows[~inside], rows[inside], name, overlap)
    return folds


def across(
    who: Who, train: Rows, test: Rows, name: str, overlap: str = "refuse", k: int = 5, seed: int = 0
) -> list[Split]:
    """Train on some clips, test on others.

    Args:
        who: identities.
        train, test: rows.
        name: of the fold.
        overlap: what to do about people on both sides. "refuse": an `InputError` that names them. "drop": they are
            left out of training. "fold": the test people are divided in ``k`` parts, and each part is tested by a
            recogniser trained on the clips of all others.
        k, seed: of "fold".
    """
    if overlap == "drop":
        train = train[~np.isin(who.people[train], who.people[test])]
    if overlap == "fold" and np.isin(who.people[test], who.people[train]).any():
        return [
            Split(f"{name}, fold {i + 1}", train[~np.isin(who.people[train], who.people[test[inside]])], test[inside], who)
            for i, inside in enumerate(_parts(who, test, k, seed))
        ]  # fmt: skip
    return [Split(name, train, test, who)]


def inner(who: Who, split: Split, k: int, seed: int = 0) -> list[Split]:
    """Folds inside the training people of a fold, to select options by; the test people are in none of them."""
    n_people = len(np.unique(who.people[split.train]))
    return k_fold(who, split.train, min(k, n_people), seed)


def _enough(who: Who, rows: Rows, n: int) -> None:
    people = np.unique(who.people[rows])
    if len(people) < n:
        raise InputError(
            f"{len(people)} people with labelled clips ({', '.join(people.tolist()) or 'none'}), at least {n} are "
            "needed; give data of more people"
        )


def _parts(who: Who, rows: Rows, k: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Masks over rows, one per part. People with many clips first, each to the part that has fewest; ties by chance."""
    if k < 2:
        raise InputError(f"{k} folds are too few; use 2 or more")
    _enough(who, rows, k)
    people, place, n_clips = np.unique(who.people[rows], return_inverse=True, return_counts=True)
    order = stream(seed, "folds of people").permutation(len(people))
    part = np.empty(len(people), np.intp)
    load = np.zeros(k)
    for person in sorted(order.tolist(), key=lambda p: -n_clips[p]):
        part[person] = load.argmin()
        load[part[person]] += n_clips[person]
    yield from (part[place] == i for i in range(k))


def _with(extra: Rows | None, rows: Rows) -> Rows:
    return rows if extra is None else np.concatenate([extra, rows])


def examine(
    clips: Sequence[CodedClip], who: Who, labels: NDArray[np.integer], classes: Sequence[str]
) -> list[Finding]:
    """What a reader of the results should know of the data: clips and people without a class, classes that one
    person or one clip makes up.

    Args:
        clips: N.
        who: their identities.
        labels: (N,) -1 where a clip has none of the classes.
        classes: names.
    """
    found = []
    names = np.array([clip.name for clip in clips], dtype=np.str_)
    without = labels < 0
    if without.any():
        words = sorted(
            {clip.emotion or "no emotion" for clip, out in zip(clips, without, strict=True) if out}
        )
        message = f"clips have none of the classes {', '.join(classes)} (they are coded {', '.join(words)}) and are left out"
        found.append(_finding("unlabelled", message, names[without], dropped=True))
    silent = np.setdiff1d(who.people, who.people[~without])
    if len(silent):
        message = (
            f"people have no clip of any class and are not tested: {', '.join(silent[:_NAMED].tolist())}"
        )
        found.append(Finding(code="subject_unlabelled", message=message, n=len(silent), dropped=True))
    for i, name in enumerate(classes):
        of_class = labels == i
        n, n_people = int(of_class.sum()), len(np.unique(who.people[of_class]))
        if n == 0:
            found.append(Finding(code="class_absent", message=f"no clip of class {name!r}; scores leave it out", n=0))  # fmt: skip
        elif n == 1 or n_people == 1:
            message = (
                f"class {name!r} has {n} clip{'s' * (n != 1)} of one person ({who.people[of_class][0]}): whoever "
                "leaves that person out has no example of it, so it cannot be recognised; leave the class out with "
                "--classes, or add data"
            )
            code = "class_of_one_clip" if n == 1 else "class_of_one_subject"
            found.append(_finding(code, message, names[of_class]))
    return found


def _finding(code: str, message: str, names: NDArray[np.str_], *, dropped: bool = False) -> Finding:
    return Finding(
        code=code, message=message, clips=tuple(names[:_KEPT].tolist()), n=len(names), dropped=dropped
    )


def refuse_repeats(who: Who) -> None:
    """Raise `InputError` where one clip is there twice: a set was given twice, or in two roles at once."""
    ids, n = np.unique(who.ids, return_counts=True)
    twice = ids[n > 1]
    if len(twice):
        at = np.flatnonzero(np.isin(who.ids, twice))[:_NAMED]
        raise InputError(
            f"{len(twice)} clips are in the data twice (subjects {', '.join(sorted(set(who.people[at].tolist())))}): "
            "the same set was given twice, or a set and its copy; give every set once and in one role"
        )
