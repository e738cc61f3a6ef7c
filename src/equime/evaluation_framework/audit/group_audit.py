"""A recogniser by the groups of one attribute, or by the intersection of two."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equime.evaluation_framework.audit.data import MIN_GROUP_SUBJECTS, UNKNOWN, Attribute
from equime.evaluation_framework.audit.disaggregated import RATES, Rates, rates_by_group
from equime.evaluation_framework.audit.gaps import Compared, GapKind, gaps
from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.model_records import Gap, GroupAudit, GroupScore
from equime.evaluation_framework.audit.permutation import permuted_tables, resampled_tables
from equime.evaluation_framework.audit.predictions import Predictions
from equime.evaluation_framework.audit.scores import F64, OVERALL, Tally, figures, scores_of
from equime.seeding import stream

if TYPE_CHECKING:
    import pandas as pd

Cell = tuple[str, ...]
"""One group per attribute."""


@dataclass(frozen=True)
class Effort:
    """How much is computed: see `model_audit`."""

    n_boot: int
    n_permutations: int
    seed: int
    level: float


def cells_of(attributes: Sequence[Attribute], people: pd.DataFrame) -> dict[Cell, list[int]]:
    """Every cell that somebody is in to the positions of its people, in the order of the attributes' groups."""
    found: dict[Cell, list[int]] = {}
    columns = [people[a.name].tolist() for a in attributes]
    for i, cell in enumerate(zip(*columns, strict=True)):
        found.setdefault(cell, []).append(i)
    order = itertools.product(*((*a.groups, UNKNOWN) for a in attributes))
    return {cell: found[cell] for cell in order if cell in found}


def compared(cells: dict[Cell, list[int]]) -> tuple[Cell, ...]:
    """Cells of known groups with people enough."""
    return tuple(c for c, own in cells.items() if UNKNOWN not in c and len(own) >= MIN_GROUP_SUBJECTS)


def group_audit(
    attributes: tuple[Attribute, ...],
    predictions: Predictions,
    clips: pd.DataFrame,
    people: pd.DataFrame,
    tally: Tally,
    kinds: tuple[GapKind, ...],
    effort: Effort,
) -> GroupAudit:
    """Scores of every group, and gaps between those of `MIN_GROUP_SUBJECTS` people or more; q is None.

    Args:
        attributes: one or two.
        predictions: as read.
        clips: `AuditData.clips`.
        people: one row per person, in the order of ``tally.subjects``.
        tally, kinds, effort: what is computed, and how.
    """
    names = tuple(a.name for a in attributes)
    cells = cells_of(attributes, people)
    scored = {cell: _too_small(cell, tally.columns[own], tally) for cell, own in cells.items()}
    found: tuple[Gap, ...] = ()
    if enough := compared(cells):
        groups = compare({cell: tally.columns[cells[cell]] for cell in enough}, tally, names, effort)
        rates = rates_by_group(predictions, clips.iloc[predictions.clips][list(names)].reset_index(drop=True))
        for g, (cell, rows) in enumerate(zip(enough, groups.rows, strict=True)):
            draws = {key: own[:, g] for key, own in groups.draws.items()}
            scores = scores_of(rows, draws, tally, effort.level)
            scored[cell] = _score(cell, rows, scores, rates[cell], tally, enough=True)
        found = gaps(kinds, groups, tally, effort.level) if len(enough) > 1 else ()
    return GroupAudit(
        attributes=names,
        titles=tuple(a.title for a in attributes),
        groups=tuple(scored.values()),
        gaps=found,
        skipped="" if found else f"fewer than two groups have {MIN_GROUP_SUBJECTS} people with predictions",
    )


def compare(rows: dict[Cell, F64], tally: Tally, names: tuple[str, ...], effort: Effort) -> Compared:
    """Resamples and permutations of groups.

    Args:
        rows: group to the rows of its people in ``tally.columns``, (people, D), in the order of their names: a
            random stream then meets the same people always.
        tally: which classes there are.
        names: of the attributes.
        effort: how many, and the seed.
    """
    columns = np.concatenate(list(rows.values()))
    codes = np.repeat(np.arange(len(rows)), [len(own) for own in rows.values()])
    of_boot, of_null = (stream(effort.seed, "model audit", what, *names) for what in ("boot", "permutation"))
    resampled = resampled_tables(columns, codes, len(rows), effort.n_boot, of_boot)
    permuted = {}
    if len(rows) > 1:
        permuted = figures(permuted_tables(columns, codes, len(rows), effort.n_permutations, of_null), tally)
    return Compared(tuple(rows), tuple(rows.values()), figures(resampled, tally), permuted)


def _too_small(cell: Cell, rows: F64, tally: Tally) -> GroupScore:
    """A group that is counted and gets no figures: too few people, or not known."""
    nothing = Interval(None, None, None, tally.n_clips(rows), len(rows))
    scores = {name: nothing for name in OVERALL if tally.has_probabilities or name not in ("ece", "brier")}
    return _score(
        cell, rows, scores, {rate: dict.fromkeys(tally.labels) for rate in RATES}, tally, enough=False
    )


def _score(
    cell: Cell, rows: F64, scores: dict[str, Interval], rates: Rates, tally: Tally, *, enough: bool
) -> GroupScore:
    selection, recall, false_positive = (rates[rate] for rate in RATES)
    return GroupScore(
        group=cell,
        n=tally.n_clips(rows),
        n_subjects=len(rows),
        scores=scores,
        selection=selection,
        recall=recall,
        false_positive=false_positive,
        enough=enough,
    )
