"""What the audit of a recogniser found, as records. They are part of the JSON report."""

from __future__ import annotations

from equime.evaluation_framework.audit.data import Finding
from equime.evaluation_framework.audit.intervals import Interval
from equime.types import Record


class GroupScore(Record, frozen=True):
    """How a recogniser does on one group.

    Attributes:
        group: names of the groups, one per attribute.
        n, n_subjects: clips and people.
        scores: "uf1", "uar", "accuracy", "ece", ... to a figure with interval; None values where the group is too
            small or lacks a class.
        selection: share of clips predicted as each class.
        recall, false_positive: per class; None where the group has no (other) clip of it.
        enough: whether it enters gaps.
    """

    group: tuple[str, ...]
    n: int
    n_subjects: int
    scores: dict[str, Interval]
    selection: dict[str, float | None]
    recall: dict[str, float | None]
    false_positive: dict[str, float | None]
    enough: bool = True


class Gap(Record, frozen=True):
    """The largest difference between groups.

    Attributes:
        name: "accuracy", "uf1", "demographic parity", "equal opportunity", "equalised odds", ...
        klass: the class that it is about; "" where it is about all.
        gap: largest less smallest, with interval.
        worst, best: groups.
        ratio: smallest over largest; None where the largest is 0.
        p, q: permutation over subjects, corrected over all gaps of one predictions file.
    """

    name: str
    klass: str
    gap: Interval
    worst: tuple[str, ...]
    best: tuple[str, ...]
    ratio: float | None
    p: float | None
    q: float | None


class GroupAudit(Record, frozen=True):
    """A recogniser by one attribute, or by the intersection of two."""

    attributes: tuple[str, ...]
    titles: tuple[str, ...]
    groups: tuple[GroupScore, ...]
    gaps: tuple[Gap, ...]
    skipped: str = ""


class Flip(Record, frozen=True):
    """Counterfactual fairness: the same expression on people of two groups.

    Attributes:
        attribute, attribute_title: which.
        groups: first and second.
        n_pairs: pairs of twins with a prediction on both.
        n_subjects: people in them.
        flip_rate: share of pairs in which the predicted class changes.
        only_first_correct, only_second_correct: discordant pairs.
        difference: share correct in the first less in the second.
        mcnemar_p: exact McNemar test on one random pair of people per expression, clustering ignored.
        p: of the difference, by permutation over subjects, which respects it.
        q: corrected over all rows of the audit, both tests together.
        excess: flip rate between the two groups less the mean of those within them: 0 where the flips are those
            of identity alone.
        excess_p, excess_q: permutation over subjects, corrected as q.
    """

    attribute: str
    attribute_title: str
    groups: tuple[str, str]
    n_pairs: int
    n_subjects: int
    flip_rate: Interval
    only_first_correct: int
    only_second_correct: int
    difference: Interval
    mcnemar_p: float | None
    p: float | None
    q: float | None
    excess: Interval | None = None
    excess_p: float | None = None
    excess_q: float | None = None


class Counterfactual(Record, frozen=True):
    """What changes when only the identity changes.

    Attributes:
        n_expressions: expressions that were shown on two people or more.
        n_pairs: pairs of twins with predictions.
        flip_rate: over all pairs of people.
        within_group_flip_rate: over pairs of the same group, per attribute: what identity alone does.
        flips: per attribute and pair of groups.
        skipped: why there are none; "" where there are.
    """

    n_expressions: int
    n_pairs: int
    flip_rate: Interval
    within_group_flip_rate: dict[str, Interval]
    flips: tuple[Flip, ...]
    skipped: str = ""


class ModelAudit(Record, frozen=True):
    """One predictions file.

    Attributes:
        file: as given.
        n_rows, n_used: rows of the file, and those joined with a clip.
        n_without: clips of the data set without a prediction.
        labels: classes.
        overall: scores over all clips that were used.
        by_group: per attribute, then per intersection.
        counterfactual: on twins.
        calibration: (mean confidence, share correct, n) per bin, over all clips; empty without probabilities.
        findings: unknown clips, missing predictions, doubled rows, ...
    """

    file: str
    n_rows: int
    n_used: int
    n_without: int
    labels: tuple[str, ...]
    overall: dict[str, Interval]
    by_group: tuple[GroupAudit, ...]
    counterfactual: Counterfactual | None
    calibration: tuple[tuple[float, float, int], ...]
    findings: tuple[Finding, ...]
