"""Counterfactual fairness on twins: does the prediction change when only the identity does?

Twins are clips of one expression (the same AUs, timing and noise) on several people. A pair of them *flips* where
the recogniser predicts two different classes. A recogniser of expressions alone would never flip; any flip is
identity. That it flips between two groups is not yet about the groups: people of one group are different people
too. Hence the flip rate within groups stands beside it, and what is tested is the excess of the one over the other
and the difference in share correct.

Everything is a sum over pairs of people, which factors: with ``x[e, k, a]`` clips of expression e on person a that
were given class k, the pairs of two groups that agree are ``sum_e sum_k (sum_a x)(sum_b x)``. No pair is ever
listed, and a resample, which weights a pair with the product of how often its two people were drawn, costs one
product of matrices. A person drawn twice makes no pair with herself.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.evaluation_framework.audit.data import MIN_GROUP_SUBJECTS, UNKNOWN, Attribute, AuditData
from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.model_records import Counterfactual, Flip
from equime.evaluation_framework.audit.permutation import benjamini_hochberg, p_value
from equime.evaluation_framework.audit.predictions import Predictions
from equime.evaluation_framework.audit.scores import interval
from equime.seeding import stream

if TYPE_CHECKING:
    import pandas as pd

F64 = NDArray[np.float64]

_AT_ONCE = 4_000_000
"""Numbers of the products that are held at once."""


@dataclass(frozen=True)
class Twins:
    """Predictions on expressions that two people or more show.

    Attributes:
        subjects: S people in the order of their names.
        given: sparse (E * K, S): clips of each expression that were given each class, by person.
        shown, right: sparse (E, S): clips, and those predicted correctly.
    """

    subjects: tuple[str, ...]
    given: Any
    shown: Any
    right: Any


def counterfactual(
    predictions: Predictions,
    data: AuditData,
    *,
    n_boot: int = 1000,
    n_permutations: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Counterfactual:
    """What changes when only the identity changes.

    Intervals come from resampling whole people (within groups where there are groups), p-values from permuting
    the groups over people; both keep together what one person's clips have in common. The exact McNemar test
    beside them ignores that, and takes one random pair of people per expression.

    Args:
        predictions: as read.
        data: with `twin_group`.
        n_boot, n_permutations, seed, level: as for `model_audit`.

    Returns:
        With `skipped` where no expression has predictions on two people.
    """
    nothing = Interval(None, None, None, 0, 0)
    if data.clips["twin_group"].isna().all():
        why = (
            "this data set has no twins (the same expression on several people); "
            "`equime generate --twins` makes one that has"
        )
        return Counterfactual(0, 0, nothing, {}, (), why)
    twins = _twins(predictions, data.clips)
    if not twins.subjects:
        why = "no expression has predictions on two people or more; predict all clips of the data set"
        return Counterfactual(0, 0, nothing, {}, (), why)
    people = data.clips.drop_duplicates("subject_id").set_index("subject_id").loc[list(twins.subjects)]
    within, flips = {}, []
    for attribute in data.attributes:
        groups = _groups(attribute, people)
        if groups:
            within[attribute.name] = _within(twins, attribute, groups, n_boot, seed, level)
        flips += [
            _flip(twins, attribute, pair, groups, n_boot, n_permutations, seed, level)
            for pair in itertools.combinations(groups, 2)
        ]
    everybody = np.arange(len(twins.subjects))
    overall = _rate(twins, [everybody], n_boot, level, stream(seed, "twins", "all"))
    return Counterfactual(
        n_expressions=twins.shown.shape[0],
        n_pairs=overall.n,
        flip_rate=overall,
        within_group_flip_rate=within,
        flips=_corrected(flips),
    )


def _twins(predictions: Predictions, clips: pd.DataFrame) -> Twins:
    from scipy.sparse import coo_array  # noqa: PLC0415

    used = clips.iloc[predictions.clips]
    names = used["twin_group"].to_numpy(object)
    subject = used["subject_id"].to_numpy(str)
    people_of: dict[str, set[str]] = {}
    for name, who in zip(names, subject, strict=True):
        if isinstance(name, str):
            people_of.setdefault(name, set()).add(who)
    kept = np.array([isinstance(name, str) and len(people_of[name]) > 1 for name in names], bool)
    expressions, e = np.unique(names[kept].astype(str), return_inverse=True)
    subjects, a = np.unique(subject[kept], return_inverse=True)
    k, n = len(predictions.labels), len(subjects)
    predicted, truth = predictions.predicted[kept], predictions.truth[kept]
    ones, shape = np.ones(len(e)), (len(expressions), n)
    return Twins(
        subjects=tuple(subjects.tolist()),
        given=coo_array((ones, (e * k + predicted, a)), shape=(shape[0] * k, n)).tocsr(),
        shown=coo_array((ones, (e, a)), shape=shape).tocsr(),
        right=coo_array(((predicted == truth).astype(float), (e, a)), shape=shape).tocsr(),
    )


def _groups(attribute: Attribute, people: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    """Groups that are compared, to the positions of their people."""
    column = people[attribute.name].to_numpy(object)
    found = {group: np.flatnonzero(column == group) for group in attribute.groups if group != UNKNOWN}
    return {group: own for group, own in found.items() if len(own) >= MIN_GROUP_SUBJECTS}


# Sums over pairs. Weights are (S, B): how often each person is in each of B samples.


def _between(twins: Twins, first: F64, second: F64) -> tuple[F64, F64, F64, F64]:
    """Pairs of one person of each, those that flip, and those of which only the first or the second is right: (B,)."""
    shown = twins.shown @ first, twins.shown @ second
    right = twins.right @ first, twins.right @ second
    pairs = (shown[0] * shown[1]).sum(0)
    agree = ((twins.given @ first) * (twins.given @ second)).sum(0)
    both = (right[0] * right[1]).sum(0)
    return pairs, pairs - agree, (right[0] * shown[1]).sum(0) - both, (shown[0] * right[1]).sum(0) - both


def _inside(twins: Twins, weights: F64) -> tuple[F64, F64]:
    """Pairs of two different people, and those that flip: (B,)."""
    own = weights**2
    pairs = ((twins.shown @ weights) ** 2).sum(0) - twins.shown.power(2).sum(0) @ own
    agree = ((twins.given @ weights) ** 2).sum(0) - twins.given.power(2).sum(0) @ own
    return pairs / 2, (pairs - agree) / 2


def _drawn(n: int, members: NDArray[np.intp], n_boot: int, random: np.random.Generator) -> F64:
    """Resamples of some people as weights of all n: (n, n_boot)."""
    weights = np.zeros((n, n_boot))
    weights[members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), n_boot).T
    return weights


def _one(n: int, members: NDArray[np.intp]) -> F64:
    weights = np.zeros((n, 1))
    weights[members] = 1
    return weights


def _parts(twins: Twins, n: int) -> list[int]:
    """Sizes of the parts that n samples are computed in."""
    at_once = max(1, _AT_ONCE // max(twins.given.shape))
    return [min(at_once, n - start) for start in range(0, n, at_once)]


def _share(part: F64, whole: F64) -> F64:
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _rate(
    twins: Twins, groups: list[NDArray[np.intp]], n_boot: int, level: float, random: np.random.Generator
) -> Interval:
    """Flip rate over the pairs inside of groups, all together."""
    n = len(twins.subjects)
    pairs, flips = np.sum([_inside(twins, _one(n, own)) for own in groups], axis=0)
    draws = []
    for some in _parts(twins, n_boot):
        sums = np.sum([_inside(twins, _drawn(n, own, some, random)) for own in groups], axis=0)
        draws.append(_share(sums[1], sums[0]))
    n_people = sum(len(own) for own in groups)
    value = float(_share(flips, pairs)[0])
    return interval(value, np.concatenate(draws), (round(float(pairs[0])), n_people), level)


def _within(
    twins: Twins, attribute: Attribute, groups: dict[str, NDArray[np.intp]], n_boot: int, seed: int, level: float
) -> Interval:  # fmt: skip
    random = stream(seed, "twins", "within", attribute.name)
    return _rate(twins, list(groups.values()), n_boot, level, random)


def _excess(twins: Twins, first: F64, second: F64, between: F64) -> F64:
    """Flip rate between two groups less that within them (mean of the two): above 0 where the groups matter.

    The two are weighted alike, as in the energy distance: then the expectation is 0 if and only if both groups are
    given every class alike, expression by expression.
    """
    within = [_share(flips, pairs) for pairs, flips in (_inside(twins, first), _inside(twins, second))]
    return np.asarray(between - (within[0] + within[1]) / 2)


def _statistics(twins: Twins, first: F64, second: F64) -> tuple[F64, F64, F64]:
    """Flip rate, difference in share correct, and excess of the flip rate: (B,) each."""
    pairs, flips, only_first, only_second = _between(twins, first, second)
    rate = _share(flips, pairs)
    return rate, _share(only_first - only_second, pairs), _excess(twins, first, second, rate)


def _flip(
    twins: Twins, attribute: Attribute, pair: tuple[str, str], groups: dict[str, NDArray[np.intp]], n_boot: int,
    n_permutations: int, seed: int, level: float,
) -> Flip:  # fmt: skip
    n, members = len(twins.subjects), (groups[pair[0]], groups[pair[1]])
    ones = _one(n, members[0]), _one(n, members[1])
    pairs, _, only_first, only_second = (round(float(v[0])) for v in _between(twins, *ones))
    rate, difference, excess = (float(v[0]) for v in _statistics(twins, *ones))
    names = (attribute.name, *pair)
    draws = _resampled(twins, members, n_boot, stream(seed, "twins", "boot", *names))
    null = _permuted(twins, members, n_permutations, stream(seed, "twins", "permutation", *names))
    fewest, n_people = min(map(len, members)), sum(map(len, members))
    found = [
        msgspec.structs.replace(interval(value, own, (pairs, fewest), level), n_subjects=n_people)
        for value, own in zip((rate, difference, excess), draws, strict=True)
    ]
    return Flip(
        attribute=attribute.name,
        attribute_title=attribute.title,
        groups=pair,
        n_pairs=pairs,
        n_subjects=n_people,
        flip_rate=found[0],
        only_first_correct=only_first,
        only_second_correct=only_second,
        difference=found[1],
        mcnemar_p=_mcnemar(twins, members, stream(seed, "twins", "mcnemar", *names)),
        p=_p(abs(difference), np.abs(null[1])),
        q=None,
        excess=found[2],
        excess_p=_p(excess, null[2]),
    )


def _p(observed: float, null: F64) -> float | None:
    """None where there is nothing to test; permutations without a value are left out."""
    kept = null[~np.isnan(null)]
    return None if np.isnan(observed) or not kept.size else p_value(observed, kept)


def _resampled(
    twins: Twins, members: tuple[NDArray[np.intp], NDArray[np.intp]], n_boot: int, random: np.random.Generator
) -> F64:
    """`_statistics` of resamples within the two groups: (3, n_boot)."""
    n = len(twins.subjects)
    return np.concatenate(
        [
            np.array(_statistics(twins, *(_drawn(n, own, some, random) for own in members)))
            for some in _parts(twins, n_boot)
        ],
        axis=1,
    )


def _permuted(
    twins: Twins, members: tuple[NDArray[np.intp], NDArray[np.intp]], n_permutations: int, random: np.random.Generator
) -> F64:  # fmt: skip
    """`_statistics` with the people of both groups dealt out anew: (3, n_permutations)."""
    people = np.concatenate(members)
    dealt = np.repeat([1.0, 0.0], [len(own) for own in members])
    found = []
    for some in _parts(twins, n_permutations):
        first = np.zeros((len(twins.subjects), some))
        second = np.zeros_like(first)
        drawn = random.permuted(np.broadcast_to(dealt, (some, len(dealt))), axis=1).T
        first[people], second[people] = drawn, 1 - drawn
        found.append(np.array(_statistics(twins, first, second)))
    return np.concatenate(found, axis=1)


def _mcnemar(
    twins: Twins, members: tuple[NDArray[np.intp], NDArray[np.intp]], random: np.random.Generator
) -> float | None:
    """Exact McNemar test (Psychometrika 12, 1947) on one random pair of people per expression; None without any.

    Expressions with one pair each are the only units of which the test could think as independent. They are not
    quite: a person shows many expressions.
    """
    from scipy.stats import binomtest  # noqa: PLC0415

    shown, right = twins.shown, twins.right
    only = [0, 0]
    n_pairs = 0
    for e in range(shown.shape[0]):
        here = shown[[e]].toarray()[0], right[[e]].toarray()[0]
        candidates = [own[here[0][own] > 0] for own in members]
        if not all(len(own) for own in candidates):
            continue
        n_pairs += 1
        # With several clips of one expression on one person, "right" is more than half of them.
        correct = [
            bool(here[1][who] * 2 > here[0][who]) for who in (random.choice(own) for own in candidates)
        ]
        if correct[0] != correct[1]:
            only[correct.index(True)] += 1
    if not n_pairs:
        return None
    return float(binomtest(only[0], sum(only), 0.5).pvalue) if sum(only) else 1.0


def _corrected(flips: list[Flip]) -> tuple[Flip, ...]:
    """The same with q: both tests of all rows corrected together."""
    q, _ = benjamini_hochberg([p for flip in flips for p in (flip.p, flip.excess_p)])
    return tuple(
        msgspec.structs.replace(flip, q=q[2 * i], excess_q=q[2 * i + 1]) for i, flip in enumerate(flips)
    )
