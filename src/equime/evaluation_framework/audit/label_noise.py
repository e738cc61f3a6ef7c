"""What the errors of an attribute estimator do to the figures of an audit.

Estimated groups are not the people's groups. Shares of them are mixed by the estimator's confusions, and whatever
goes with the true group is weakened, because some people stand in the wrong one. Both can be undone where the
confusions are known and are the same whatever the outcome: with C = P(estimated | true), tables of estimated
groups are ``C' true``, so the true ones are had by solving that (Rogan & Gladen 1978; Barron, Biometrics 33, 1977).
What was chance in the estimated table grows with it and is taken off by permutation.

The range is another thing: labels are drawn for every person, given the estimate *and* the outcome (probabilistic
bias analysis: Lash, Fox & Fink 2009, ch. 8; without the outcome every draw would weaken the effect once more), and
the figure is worked out for each draw. What the draws rest on (shares and outcomes of the true groups) is estimated
from the same people, so it is estimated anew from people drawn again for every few draws (proper imputation: Rubin
1987, ch. 4). The range says how much the label errors leave open for these people; that other people could have
been in the set is the business of the interval of the association.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equime.evaluation_framework.audit.association import Effect, comparable
from equime.evaluation_framework.audit.data import Attribute, AuditData, Finding
from equime.evaluation_framework.audit.effect_sizes import phi_squared
from equime.evaluation_framework.audit.label_errors import MAX_CONDITION, LabelErrors, label_errors
from equime.evaluation_framework.audit.people import F64, People, Sums, sums
from equime.evaluation_framework.audit.permutation import group_tables, label_tables, permuted_tables
from equime.evaluation_framework.audit.records import Association, LabelNoise
from equime.seeding import stream

N_PERMUTATIONS: Final = 200
"""For the mean of a corrected effect by chance."""

N_PARTS: Final = 50
"""How often what the draws rest on is estimated anew."""

_FIGURE: Final = {"cramers_v": "Cramer's V", "eta_squared": "eta squared"}


class Draws(NamedTuple):
    """How labels are drawn."""

    n: int
    seed: int

    def weights(self, n_subjects: int, random: np.random.Generator) -> Iterator[F64]:
        """(n_subjects,) how often each person is drawn, for each of `N_PARTS` parts."""
        for _ in range(N_PARTS):
            yield np.bincount(random.integers(n_subjects, size=n_subjects), minlength=n_subjects).astype(
                float
            )

    @property
    def n_each(self) -> int:
        """Draws of labels per part."""
        return max(1, self.n // N_PARTS)

    def random(self, *names: str | int) -> np.random.Generator:
        """The stream of one figure."""
        return stream(self.seed, "audit", "label noise", *names)


def label_noise(
    data: AuditData, associations: Sequence[Association], *, seed: int = 0, n_draws: int = 500
) -> tuple[LabelNoise, ...]:
    """What label errors do to the shares and to the tested associations of every estimated attribute.

    One row per figure and per way to know the error: the estimator's own probabilities, and what was published.
    An attribute of which neither is known has no rows (`unknown_error` names it), nor has one of a single group.

    Args:
        data: whose.
        associations: of the same data; those that were skipped are left out.
        seed: of the draws.
        n_draws: of the true labels.
    """
    people, draws = People.of(data), Draws(n_draws, seed)
    outcomes = {outcome.name: outcome for outcome in data.intended}
    found: list[LabelNoise] = []
    for attribute in data.attributes:
        if attribute.origin != "estimated":
            continue
        found += _shares(people, attribute, draws)
        for row in associations:
            if row.attribute == attribute.name and not row.skipped:
                found += _effects(people, attribute, sums(people, outcomes[row.outcome]), row, draws)
    return tuple(found)


def unknown_error(data: AuditData) -> tuple[Finding, ...]:
    """Estimated attributes of whose errors nothing is known: their figures are as good as the labels are."""
    people = People.of(data)

    def known(a: Attribute) -> bool:
        codes = people.codes(a.name, a.groups)
        return bool(np.unique(codes[codes >= 0]).size < 2 or label_errors(people, a, a.groups, codes >= 0))

    return tuple(
        Finding(
            code="unknown_label_error",
            message=f"{a.title}: neither probabilities nor a published error are known of {a.source}, so what its "
            "label errors do to shares and associations cannot be told; add columns of probabilities",
        )
        for a in data.attributes
        if a.origin == "estimated"
        and not label_errors(people, a, a.groups, people.codes(a.name, a.groups) >= 0)
    )


def _shares(people: People, attribute: Attribute, draws: Draws) -> Iterator[LabelNoise]:
    there = set(people.groups(attribute.name))
    groups = tuple(group for group in attribute.groups if group in there)
    if len(groups) < 2:
        return
    codes = people.codes(attribute.name, groups)
    known = codes >= 0
    for way, errors in enumerate(label_errors(people, attribute, groups, known)):
        random = draws.random(attribute.name, "shares", way)
        drawn = np.concatenate(
            [
                draw_labels(errors.given_of(codes[known], weights), draws.n_each, random)
                for weights in draws.weights(int(known.sum()), random)
            ]
        )
        for i, group in enumerate(groups):
            low, high = np.quantile((drawn == i).mean(1), (0.025, 0.975))
            yield LabelNoise(
                attribute=attribute.name,
                figure=f"share of {group}",
                observed=float((codes[known] == i).mean()),
                low=float(low),
                high=float(high),
                corrected=None if errors.shares is None else float(errors.shares[i]),
                error=_text(errors),
            )


def _effects(
    people: People, attribute: Attribute, outcome: Sums, row: Association, draws: Draws
) -> Iterator[LabelNoise]:
    part = comparable(people.codes(attribute.name, attribute.groups), attribute.groups, outcome.n_clips > 0)
    own = outcome.of(part.subjects)
    effect = Effect.of(own, len(part.groups))
    for way, errors in enumerate(label_errors(people, attribute, part.groups, part.subjects)):
        random = draws.random(attribute.name, row.outcome, way)
        drawn = []
        for weights in draws.weights(len(part.codes), random):
            given = errors.given_of(part.codes, weights)
            true = true_table(own.columns * weights[:, None], part.codes, errors)
            if true is not None:
                given = _with_outcome(given, own, true, effect)
            drawn.append(draw_labels(given, draws.n_each, random))
        tables = label_tables(own.columns, np.concatenate(drawn), len(part.groups))
        values = effect.corrected(effect.statistic(tables))
        low, high = np.quantile(values, (0.025, 0.975))
        yield LabelNoise(
            attribute=attribute.name,
            figure=f"{_FIGURE[row.measure]} with {row.outcome_title}",
            observed=float(row.effect.value or 0.0),
            low=float(low),
            high=float(high),
            corrected=corrected_effect(own, part.codes, errors, effect, random),
            error=_text(errors),
        )


def _text(errors: LabelErrors) -> str:
    if errors.shares is not None:
        return errors.text
    return f"{errors.text}; the estimated shares cannot come from such errors, so nothing is corrected"


def draw_labels(given: F64, n_draws: int, random: np.random.Generator) -> NDArray[np.int16]:
    """Labels drawn from each person's probabilities: (n_subjects, n_groups) to (n_draws, n_subjects)."""
    steps = np.cumsum(given, 1)[:, :-1]
    uniform = random.random((n_draws, len(given)))
    labels = np.zeros(uniform.shape, np.int16)
    for column in steps.T:
        labels += uniform > column
    return labels


def true_table(columns: F64, codes: NDArray[np.intp], errors: LabelErrors) -> F64 | None:
    """Sums by true group, from those by estimated group: (n_groups, k). None where they are not identified.

    Cells can be below 0 by chance; groups cannot.
    """
    if errors.shares is None or np.linalg.cond(errors.confusion) > MAX_CONDITION:
        return None
    back = np.linalg.inv(errors.confusion.T)
    n_groups = len(errors.confusion)
    people = back @ np.bincount(codes, minlength=n_groups)
    return back @ group_tables(columns, codes, n_groups) if (people > 0).all() else None


def corrected_effect(
    outcome: Sums, codes: NDArray[np.intp], errors: LabelErrors, effect: Effect, random: np.random.Generator
) -> float | None:
    """The effect in the table of true groups; None where that is not identified.

    Args:
        outcome: of the people who take part.
        codes: (n_subjects,) their estimated groups.
        errors: of these labels.
        effect: the measure.
        random: for the effect of chance.
    """
    true = true_table(outcome.columns, codes, errors)
    if true is None:
        return None
    permuted = permuted_tables(outcome.columns, codes, effect.n_groups, N_PERMUTATIONS, random)
    chance = float(effect.statistic(np.linalg.inv(errors.confusion.T) @ permuted).mean())
    statistic = float(effect.statistic(true))
    if outcome.kind == "moments":
        return float(np.clip((statistic - chance) / (1 - chance), 0, 1)) if chance < 1 else None
    largest = min(effect.n_groups, effect.n_levels) - 1
    return float(np.sqrt(np.clip((statistic - chance) / largest, 0, 1)))


def _with_outcome(given: F64, outcome: Sums, true: F64, effect: Effect) -> F64:
    """P(true | estimate, outcome) of each person, from P(true | estimate) and the outcome in the true groups."""
    log = np.log(np.maximum(given, 1e-300)) + _log_likelihood(outcome, true, effect)
    weight = np.exp(log - log.max(1, keepdims=True))
    return np.asarray(weight / weight.sum(1, keepdims=True))


def _log_likelihood(outcome: Sums, true: F64, effect: Effect) -> F64:
    """(n_subjects, n_groups) log likelihood of each person's clips in each group, up to a constant.

    Clips of one person count as so many independent ones as the design effect leaves.
    """
    if outcome.kind == "counts":
        overall = outcome.columns.sum(0) / outcome.columns.sum()
        rates = np.maximum(true, 0) + 0.5 * overall + 1e-9
        rates /= rates.sum(1, keepdims=True)
        freedom = (effect.n_groups - 1) * (effect.n_levels - 1)
        # People of one true group are alike in part because of the group; that is not what makes clips count less.
        per_person = float((outcome.n_clips**2).sum()) / effect.n
        of_group = (effect.n_groups - 1) * per_person * float(phi_squared(np.maximum(true, 0))) / effect.n
        design_effect = max(1.0, (effect.null - of_group) * (effect.n - 1) / freedom)
        return np.asarray(outcome.columns @ np.log(rates).T / design_effect)
    n = outcome.columns[:, 0]
    means, centres = outcome.columns[:, 1] / n, true[:, 1] / np.maximum(true[:, 0], 1e-9)
    total = float(np.average((means - np.average(means, weights=n)) ** 2, weights=n))
    between = float(
        np.average(
            (centres - np.average(centres, weights=np.maximum(true[:, 0], 1e-9))) ** 2,
            weights=np.maximum(true[:, 0], 1e-9),
        )
    )
    inside = max(total - between, 0.05 * total, 1e-12)
    return np.asarray(-0.5 * (means[:, None] - centres) ** 2 / inside)
