"""Who is in a data set: groups of people, how even they are, how far from a target, and which crossings are empty.

Shares are of people of known group, whatever the number of their clips, with Wilson intervals (JASA 22, 1927): the
data set is seen as a sample of the people whom its source could have held. Evenness is the effective number of
groups (Hill, Ecology 54, 1973) over their number. No share is good or bad by itself; a target says what is wanted.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError
from equime.evaluation_framework.audit.data import MIN_GROUP_SUBJECTS, UNKNOWN, Attribute, AuditData
from equime.evaluation_framework.audit.people import People
from equime.evaluation_framework.audit.records import Cell, GroupShare, Intersection, Representation
from equime.seeding import stream

F64 = NDArray[np.float64]
Targets = Mapping[str, Mapping[str, float]]

MAX_EXACT: Final = 200_000
"""Most ways to divide the people over the groups for which the test against a target counts them all."""

N_DRAWN: Final = 20_000
"""Draws of the Monte-Carlo test where there are more ways."""

_SUM_TOLERANCE: Final = 1e-3
"""By which the shares of a target may miss 1: thirds written with three digits."""


def representation(
    data: AuditData, targets: Targets | None = None, *, seed: int = 0, level: float = 0.95
) -> tuple[Representation, ...]:
    """The groups of every attribute.

    Args:
        data: whose people.
        targets: attribute to group to share of the people; groups that it does not name have a share of 0.
        seed: of the Monte-Carlo test.
        level: of the Wilson intervals.

    Raises:
        InputError: for a target of an attribute that the data set does not have.
    """
    targets = targets or {}
    names = [attribute.name for attribute in data.attributes]
    if unknown := [name for name in targets if name not in names]:
        raise InputError(
            f"target of {', '.join(unknown)}: {data.path} has no such attribute; it has "
            f"{', '.join(names) or 'none'}: name one of these, or extract the attribute first"
        )
    people = People.of(data)
    return tuple(_groups_of(people, a, targets.get(a.name), seed, level) for a in data.attributes)


def _groups_of(
    people: People, attribute: Attribute, target: Mapping[str, float] | None, seed: int, level: float
) -> Representation:
    names = (*attribute.groups, *(g for g in target or {} if g not in attribute.groups))
    codes = people.codes(attribute.name, names)
    known = codes >= 0
    n_people = np.bincount(codes[known], minlength=len(names))
    n_clips = np.bincount(codes[known], people.n_clips[known], len(names)).astype(int)
    n = int(known.sum())
    n_unknown = len(people.names) - n
    wanted = None if target is None else np.array([target.get(g, 0.0) for g in names])
    rows = [
        _share(
            group, (int(n_people[i]), int(n_clips[i])), n, None if wanted is None else float(wanted[i]), level
        )
        for i, group in enumerate(names)
    ]
    if n_unknown:
        clips = int(people.n_clips[~known].sum())
        rows.append(GroupShare(UNKNOWN, n_unknown, clips, None, None, None, enough=False))
    entropy = entropy_bits(n_people)
    even = None if entropy is None else 2**entropy
    compared = wanted is not None and n > 0
    return Representation(
        attribute=attribute.name,
        origin=attribute.origin,
        title=attribute.title,
        groups=tuple(rows),
        n_unknown=n_unknown,
        entropy_bits=entropy,
        effective_number=even,
        evenness=None if even is None else even / len(names),
        target_distance=total_variation(n_people / n, wanted) if compared and wanted is not None else None,
        target_p=multinomial_p(n_people, wanted, seed) if compared and wanted is not None else None,
        absent=tuple(g for i, g in enumerate(names) if not n_people[i]),
    )


def _share(group: str, counted: tuple[int, int], n: int, target: float | None, level: float) -> GroupShare:
    n_subjects, n_clips = counted
    low, high = wilson(n_subjects, n, level)
    share = n_subjects / n if n else None
    return GroupShare(
        group=group,
        n_subjects=n_subjects,
        n_clips=n_clips,
        share=share,
        low=low,
        high=high,
        target=target,
        difference=None if share is None or target is None else share - target,
        enough=n_subjects >= MIN_GROUP_SUBJECTS,
    )


def intersections(data: AuditData) -> tuple[Intersection, ...]:
    """Every two attributes crossed.

    Two labellers of one trait (``declared_gender``, ``estimated_gender``) are no intersection: how far they agree
    is another question.
    """
    people = People.of(data)
    pairs = itertools.combinations(data.attributes, 2)
    return tuple(_crossed(people, a, b) for a, b in pairs if trait(a.name) != trait(b.name))


def trait(attribute: str) -> str:
    """What an attribute is about, without who says so and how it is cut: the first word after its origin."""
    return attribute.split("_")[1] if "_" in attribute else attribute


def _crossed(people: People, first: Attribute, second: Attribute) -> Intersection:
    a, b = people.codes(first.name, first.groups), people.codes(second.name, second.groups)
    known = (a >= 0) & (b >= 0)
    n_cells = len(first.groups) * len(second.groups)
    at = a[known] * len(second.groups) + b[known]
    n_people = np.bincount(at, minlength=n_cells)
    n_clips = np.bincount(at, people.n_clips[known], n_cells)
    entropy = entropy_bits(n_people)
    names = itertools.product(first.groups, second.groups)
    return Intersection(
        attributes=(first.name, second.name),
        titles=(first.title, second.title),
        cells=tuple(Cell(pair, int(n_people[i]), int(n_clips[i])) for i, pair in enumerate(names)),
        n_empty=int((n_people == 0).sum()),
        n_small=int(((n_people > 0) & (n_people < MIN_GROUP_SUBJECTS)).sum()),
        effective_number=None if entropy is None else 2**entropy,
    )


def wilson(count: int, n: int, level: float = 0.95) -> tuple[float | None, float | None]:
    """Score interval of a share (Wilson, JASA 22, 1927); (None, None) for n = 0."""
    if n == 0:
        return None, None
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share = count / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def entropy_bits(counts: NDArray[Any]) -> float | None:
    """Shannon entropy of counts in bits; None where there is nobody."""
    n = counts.sum()
    if n == 0:
        return None
    share = counts[counts > 0] / n
    return float(-(share * np.log2(share)).sum()) + 0.0  # no -0.0


def total_variation(shares: F64, target: F64) -> float:
    """Half the sum of absolute differences: the share of people who would have to be others."""
    return float(np.abs(shares - target).sum() / 2)


def multinomial_p(counts: NDArray[Any], target: F64, seed: int = 0) -> float:
    """Multinomial test: probability under the target of counts no more likely than these.

    Exact over all ways to divide the people over the groups where these are `MAX_EXACT` at most, else by Monte
    Carlo with `N_DRAWN` draws, the observed counts among them. Somebody in a group of target 0 gives p = 0.

    Args:
        counts: (k,) people per group.
        target: (k,) shares that sum to 1.
        seed: of the draws.
    """
    possible = target > 0
    if counts[~possible].any():
        return 0.0
    counts, target = counts[possible].astype(int), target[possible]
    n, k = int(counts.sum()), len(counts)
    observed = _log_probability(counts[None], target)[0]
    if math.comb(n + k - 1, k - 1) <= MAX_EXACT:
        every = _log_probability(_compositions(n, k), target)
        return min(1.0, float(np.exp(every[every <= observed + 1e-7]).sum()))
    drawn = stream(seed, "audit", "multinomial", *counts.tolist()).multinomial(n, target, N_DRAWN)
    return (1 + int((_log_probability(drawn, target) <= observed + 1e-7).sum())) / (1 + N_DRAWN)


def _log_probability(counts: NDArray[Any], target: F64) -> F64:
    from scipy.special import gammaln  # noqa: PLC0415

    n = counts.sum(1)
    return np.asarray(gammaln(n + 1) + (counts * np.log(target) - gammaln(counts + 1)).sum(1))


def _compositions(n: int, k: int) -> NDArray[np.int64]:
    """All ways to write n as a sum of k numbers from 0: (ways, k)."""
    chosen = list(itertools.combinations(range(n + k - 1), k - 1))
    bars = np.array(chosen, np.int64).reshape(len(chosen), k - 1)
    ends = np.hstack([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), n + k - 1)])
    return np.asarray(np.diff(ends, axis=1) - 1)


def load_targets(path: Path) -> dict[str, dict[str, float]]:
    """Shares asked for, from a TOML file: a table per attribute, a share of the people per group.

        [declared_gender]
        f = 0.5
        m = 0.5

    Raises:
        InputError: with every problem of the file, each with its attribute and value.
    """
    try:
        read = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a TOML file of targets") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: is no TOML ({error}); write [declared_gender] and below it f = 0.5"
        ) from None
    problems = [problem for name, shares in read.items() for problem in _problems(name, shares)]
    if not read:
        problems.append("holds no attribute; write [declared_gender] and below it f = 0.5 and m = 0.5")
    if problems:
        raise InputError("\n".join(f"{path}: {problem}" for problem in problems))
    return {name: _normalised(shares) for name, shares in read.items()}


def _problems(name: str, shares: Any) -> list[str]:
    if not isinstance(shares, dict) or not shares:
        return [f"{name} = {shares!r} is no table of shares; write [{name}] and below it one line per group"]
    wrong = [
        f"[{name}] {group} = {share!r} is no share; give a number from 0 to 1"
        for group, share in shares.items()
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1
    ]
    if wrong:
        return wrong
    if UNKNOWN in shares:
        return [
            f"[{name}] {UNKNOWN} is no group; shares are of the people whose group is known: leave it out"
        ]
    total = sum(shares.values())
    if abs(total - 1) > _SUM_TOLERANCE:
        return [f"[{name}]: the shares sum to {total:g}, not to 1; name every group with its share"]
    return []


def _normalised(shares: Mapping[str, float]) -> dict[str, float]:
    total = math.fsum(shares.values())
    return {group: float(share) / total for group, share in shares.items()}
