"""How often an attribute estimator is wrong: from its own probabilities, or from what was published of it.

Either gives the same two things: the confusion ``P(estimated | true)``, and for each person the probabilities of
the true group given the estimate.
"""

from __future__ import annotations

import functools
import itertools
import math
import tomllib
from importlib import resources
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.evaluation_framework.audit.data import Attribute
from equime.evaluation_framework.audit.people import F64, People
from equime.evaluation_framework.audit.representation import trait
from equime.types import Record

ASSUMED: Final = "taken to be the same whatever the outcome"

MAX_CONDITION: Final = 1e6
"""Of a confusion that can be undone; above it two groups are confused completely."""


class PublishedError(Record, frozen=True):
    """What was published of one estimator and trait; the head of ``published_errors.toml`` explains the kinds.

    Attributes:
        table: what the attribute's source names.
        trait: "gender", "race", "age".
        kind: which of the figures below are given.
        source: who says so, and what had to be assumed.
        positive: names of the group that precision and recall are of.
        accuracy, precision, recall: 0 to 1.
        mae: mean absolute error, in the attribute's unit.
    """

    table: str
    trait: str
    kind: Literal["two_groups", "accuracy", "mae"]
    source: str
    positive: tuple[str, ...] = ()
    accuracy: float = 1.0
    precision: float = 1.0
    recall: float = 1.0
    mae: float = 0.0


class LabelErrors(NamedTuple):
    """The errors of the labels of some people."""

    confusion: F64
    """(n_groups, n_groups) P(estimated | true), true in rows."""
    given: F64
    """(n_subjects, n_groups) P(true | estimate) of each person."""
    shares: F64 | None
    """(n_groups,) of the true groups; None where the estimated shares cannot come from such errors."""
    text: str
    """Which error, who says so, what it assumes."""
    from_rates: bool = False
    """Whether ``given`` rests on the shares of these very people, and not on each one's own probabilities."""

    def given_of(self, codes: NDArray[np.intp], weights: F64) -> F64:
        """P(true | estimate) of each person, if the people had been drawn with these weights (n_subjects,)."""
        if not self.from_rates:
            return self.given
        observed = np.bincount(codes, weights, len(self.confusion)) / weights.sum()
        return _given_from(self.confusion, observed, codes)


@functools.cache
def published_errors() -> tuple[PublishedError, ...]:
    """All of ``published_errors.toml``."""
    text = resources.files(__package__).joinpath("published_errors.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text)["error"], tuple[PublishedError, ...])


def published_for(attribute: Attribute) -> PublishedError | None:
    """What was published of an attribute's estimator, or None."""
    what = trait(attribute.name)
    return next(
        (e for e in published_errors() if e.table in attribute.source and what.startswith(e.trait)), None
    )


def label_errors(
    people: People, attribute: Attribute, groups: tuple[str, ...], subjects: NDArray[np.bool_]
) -> list[LabelErrors]:
    """All that is known of the errors of an attribute: one entry per way, none where nothing is known.

    Args:
        people: of the data set.
        attribute: an estimated one.
        groups: those that are looked at.
        subjects: (n_subjects of the data set,) people of these groups.
    """
    codes = people.codes(attribute.name, groups)[subjects]
    ways = [_own(people, attribute, groups, subjects, codes)]
    if (error := published_for(attribute)) is not None:
        if error.kind == "mae":
            ways.append(_from_number(people, attribute, error, subjects, codes))
        else:
            ways.append(_from_rates(error, groups, codes))
    return [way for way in ways if way is not None]


def _own(
    people: People,
    attribute: Attribute,
    groups: tuple[str, ...],
    subjects: NDArray[np.bool_],
    codes: NDArray[np.intp],
) -> LabelErrors | None:
    """From the probabilities of the estimator, taken as calibrated, over the groups that are looked at."""
    if not attribute.soft:
        return None
    columns = [attribute.soft[attribute.groups.index(group)] for group in groups]
    soft = np.stack([people.means(column)[subjects] for column in columns], 1)
    soft /= np.where(soft.sum(1, keepdims=True) > 0, soft.sum(1, keepdims=True), np.nan)
    there = ~np.isnan(soft).any(1)
    if not there.any():
        return None
    for group in range(len(groups)):  # without probabilities: as the others with this label
        alike = there & (codes == group)
        soft[~there & (codes == group)] = soft[alike].mean(0) if alike.any() else soft[there].mean(0)
    text = f"the estimator's own probabilities, taken as calibrated, its error {ASSUMED}"
    return _from_given(soft, codes, text)


def _from_given(given: F64, codes: NDArray[np.intp], text: str) -> LabelErrors:
    n_groups = given.shape[1]
    joint = given.T @ (codes[:, None] == np.arange(n_groups)).astype(float)
    true = joint.sum(1, keepdims=True)
    confusion = np.divide(joint, true, out=np.eye(n_groups), where=true > 0)
    return LabelErrors(confusion, given, given.mean(0), text)


def _from_number(
    people: People,
    attribute: Attribute,
    error: PublishedError,
    subjects: NDArray[np.bool_],
    codes: NDArray[np.intp],
) -> LabelErrors | None:
    """From the mean absolute error of a number: the true number given the estimated one, both taken as normal.

    Regression calibration (Carroll et al. 2006, ch. 4): the variance of the estimates is that of the truth and of
    the error; what is estimated far from the mean is in part error.
    """
    if attribute.number is None:
        return None
    number = people.means(attribute.number)[subjects]
    number = np.where(np.isnan(number), np.nanmean(number), number) if not np.isnan(number).all() else number
    spread = error.mae * math.sqrt(math.pi / 2)
    reliability = 1 - spread**2 / max(float(np.var(number)), 1e-12)
    if not reliability > 0.05:
        return None
    middle = number.mean() + reliability * (number - number.mean())
    order = np.argsort([number[codes == g].mean() for g in range(int(codes.max()) + 1)])
    below = [-math.inf, *_limits([number[codes == g] for g in order]), math.inf]
    steps = np.diff(
        _normal_cdf((np.array(below) - middle[:, None]) / (spread * math.sqrt(reliability))), axis=1
    )
    given = np.empty_like(steps)
    given[:, order] = steps
    return _from_given(given, codes, f"{error.source}, {ASSUMED}")


def _limits(numbers: list[F64]) -> list[float]:
    """Where one group ends and the next begins, from the numbers of the people in them."""
    return [float(lower.max() + upper.min()) / 2 for lower, upper in itertools.pairwise(numbers)]


def _normal_cdf(z: F64) -> F64:
    from scipy.special import ndtr  # noqa: PLC0415

    return np.asarray(ndtr(z))


def _from_rates(
    error: PublishedError, groups: tuple[str, ...], codes: NDArray[np.intp]
) -> LabelErrors | None:
    confusion = confusion_of(error, groups)
    if confusion is None:
        return None
    observed = np.bincount(codes, minlength=len(groups)) / len(codes)
    return LabelErrors(
        confusion=confusion,
        given=_given_from(confusion, observed, codes),
        shares=rogan_gladen(observed, confusion),
        text=f"{error.source}, {ASSUMED}",
        from_rates=True,
    )


def _given_from(confusion: F64, observed: F64, codes: NDArray[np.intp]) -> F64:
    """P(true | estimate) of each person by Bayes, from the confusion and the estimated shares."""
    prior = most_likely_shares(observed, confusion)
    joint = prior[:, None] * confusion
    return np.asarray((joint / joint.sum(0, keepdims=True)).T[codes])


def confusion_of(error: PublishedError, groups: tuple[str, ...]) -> F64 | None:
    """P(estimated | true) over ``groups``, true in rows; None where the published figures do not tell it."""
    n = len(groups)
    if n < 2:
        return None
    if error.kind == "accuracy":
        wrong = (1 - error.accuracy) / (n - 1)
        return np.full((n, n), wrong) + np.eye(n) * (error.accuracy - wrong)
    positive = [group.lower() in error.positive for group in groups]
    if n != 2 or sum(positive) != 1:
        return None
    hit, reject = error.recall, specificity(error.accuracy, error.precision, error.recall)
    rows = np.array([[hit, 1 - hit], [1 - reject, reject]])
    return rows if positive[0] else rows[::-1, ::-1].copy()


def specificity(accuracy: float, precision: float, recall: float) -> float:
    """What three published figures of two groups imply of the fourth.

    With the share s of positives: ``1 - accuracy = s (1 - recall) + s recall (1 - precision) / precision``.
    """
    false_per_positive = recall * (1 - precision) / precision
    share = (1 - accuracy) / (1 - recall + false_per_positive)
    return 1 - share * false_per_positive / (1 - share)


def rogan_gladen(observed: F64, confusion: F64) -> F64 | None:
    """True shares from estimated ones (Rogan & Gladen, Am. J. Epidemiol. 107, 1978), for any number of groups.

    None where no true shares give the observed ones: the confusion has no inverse, or a share falls below 0.
    """
    if np.linalg.cond(confusion) > MAX_CONDITION:
        return None
    shares: F64 = np.asarray(np.linalg.solve(confusion.T, observed), np.float64)
    return shares if (shares >= -1e-9).all() else None


def most_likely_shares(observed: F64, confusion: F64, n_steps: int = 500) -> F64:
    """True shares of largest likelihood, never below 0: `rogan_gladen` where that exists, else by EM."""
    exact = rogan_gladen(observed, confusion)
    if exact is not None:
        return np.asarray(np.maximum(exact, 0))
    shares = np.full(len(observed), 1 / len(observed))
    for _ in range(n_steps):
        joint = shares[:, None] * confusion
        shares = (joint / joint.sum(0, keepdims=True)) @ observed
    return shares
