"""Audit of a recogniser: how well it does on every group of people, and where it treats them differently.

Groups of fewer than `MIN_GROUP_SUBJECTS` people with a prediction are listed with their n and get no figures: they
would be about persons. Differences between groups may come from the recogniser, from what the groups' clips show
(labels that are distributed differently), or from the labels themselves; on twins (`counterfactual`) only the
first is left.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from equime.evaluation_framework.audit.calibration import reliability
from equime.evaluation_framework.audit.counterfactual import counterfactual
from equime.evaluation_framework.audit.data import Attribute, AuditData, Finding
from equime.evaluation_framework.audit.gaps import gap_kinds
from equime.evaluation_framework.audit.group_audit import Effort, cells_of, compared, group_audit
from equime.evaluation_framework.audit.model_records import GroupAudit, ModelAudit
from equime.evaluation_framework.audit.permutation import benjamini_hochberg
from equime.evaluation_framework.audit.predictions import Predictions, read_predictions
from equime.evaluation_framework.audit.representation import trait
from equime.evaluation_framework.audit.scores import overall_scores, tally

if TYPE_CHECKING:
    import pandas as pd

MAX_INTERSECTIONS: Final = 10
"""Pairs of attributes that are crossed; each adds as many tests as an attribute."""

COVERAGE_SPREAD: Final = 0.1
"""Difference between groups in the share of clips without a prediction from which it is a finding."""


def model_audit(
    file: Path,
    data: AuditData,
    *,
    n_boot: int = 1000,
    n_permutations: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> ModelAudit:
    """Audit one predictions file.

    Args:
        file: see `read_predictions`.
        data: the data set that was predicted.
        n_boot: resamples of people, for the intervals.
        n_permutations: of the groups' labels over people, for the tests.
        seed: the same one gives the same audit, in whatever order the rows come.
        level: of the intervals.

    Raises:
        InputError: see `read_predictions`.
    """
    return audit_predictions(
        read_predictions(file, data.clips), data, n_boot=n_boot, n_permutations=n_permutations, seed=seed, level=level
    )  # fmt: skip


def audit_predictions(
    predictions: Predictions,
    data: AuditData,
    *,
    n_boot: int = 1000,
    n_permutations: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> ModelAudit:
    """`model_audit` of predictions that are read already."""
    sums = tally(predictions, data.clips)
    kinds = gap_kinds(sums)
    people = data.clips.drop_duplicates("subject_id").set_index("subject_id").loc[list(sums.subjects)]
    pairs, left = _pairs(data.attributes, people)
    effort = Effort(n_boot, n_permutations, seed, level)
    by_group = [
        group_audit(attributes, predictions, data.clips, people, sums, kinds, effort)
        for attributes in (*((a,) for a in data.attributes), *pairs)
    ]
    p = predictions.probabilities
    return ModelAudit(
        file=predictions.file,
        n_rows=predictions.n_rows,
        n_used=len(predictions.clips),
        n_without=predictions.n_without,
        labels=predictions.labels,
        overall=overall_scores(sums, n_boot=n_boot, level=level, seed=seed),
        by_group=_corrected(by_group),
        counterfactual=counterfactual(
            predictions, data, n_boot=n_boot, n_permutations=n_permutations, seed=seed, level=level
        ),
        calibration=() if p is None else reliability(p, predictions.truth, predictions.predicted),
        findings=(*predictions.findings, *_coverage(predictions, data), *left),
    )


def _pairs(
    attributes: Sequence[Attribute], people: pd.DataFrame
) -> tuple[list[tuple[Attribute, Attribute]], list[Finding]]:
    """Pairs of attributes of which two cells or more can be compared, at most `MAX_INTERSECTIONS`.

    Two labels of the same thing (gender declared and estimated) are no intersection: where they differ is a matter
    of agreement between labellers.
    """
    found = [
        (a, b)
        for a, b in itertools.combinations(attributes, 2)
        if trait(a.name) != trait(b.name) and len(compared(cells_of((a, b), people))) >= 2
    ]
    n_left = len(found) - MAX_INTERSECTIONS
    if n_left <= 0:
        return found, []
    message = (
        f"{n_left} of {len(found)} pairs of attributes were not crossed; the first {MAX_INTERSECTIONS} are, because "
        "every one adds tests"
    )
    return found[:MAX_INTERSECTIONS], [Finding("intersections_left_out", message, n_left)]


def _corrected(audits: Sequence[GroupAudit]) -> tuple[GroupAudit, ...]:
    """The same with q: p corrected over all gaps of the file."""
    corrected = iter(benjamini_hochberg([gap.p for audit in audits for gap in audit.gaps])[0])
    return tuple(
        msgspec.structs.replace(
            audit, gaps=tuple(msgspec.structs.replace(gap, q=next(corrected)) for gap in audit.gaps)
        )
        for audit in audits
    )


def _coverage(predictions: Predictions, data: AuditData) -> list[Finding]:
    """Attributes of which some groups lack predictions more often: a recogniser that fails leaves no row."""
    if not predictions.n_without:
        return []
    lacks = np.ones(len(data.clips), bool)
    lacks[predictions.clips] = False
    found = []
    for attribute in data.attributes:
        groups = data.clips[attribute.name].to_numpy(object)
        share = {group: float(lacks[groups == group].mean()) for group in data.comparable(attribute)}
        if share and max(share.values()) - min(share.values()) >= COVERAGE_SPREAD:
            listed = ", ".join(f"{value:.0%} of {group}" for group, value in share.items())
            message = f"clips without a prediction are not alike in all groups of {attribute.title}: {listed}"
            found.append(Finding("uneven_predictions", message, int(lacks.sum())))
    return found
