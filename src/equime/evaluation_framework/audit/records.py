"""What an audit found, as records: the JSON report is these, HTML and Markdown are written from them.

Every figure stands with its n (clips and subjects) and, where there are people enough, its interval. A figure that
cannot be had is None, with the reason beside it; nothing is left out in silence.
"""

from __future__ import annotations

from typing import Literal

from equime.evaluation_framework.audit.data import Finding, Origin
from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.model_records import ModelAudit
from equime.provenance import Provenance
from equime.types import Record

# Who is in it


class GroupShare(Record, frozen=True):
    """One group of an attribute.

    Attributes:
        group: its name.
        n_subjects, n_clips: in the data set.
        share: of the people of known group; None for "unknown".
        low, high: Wilson interval of that share.
        target: share asked for; None where no target was given.
        difference: share less target.
        enough: whether the group has subjects enough to be compared.
    """

    group: str
    n_subjects: int
    n_clips: int
    share: float | None
    low: float | None
    high: float | None
    target: float | None = None
    difference: float | None = None
    enough: bool = True


class Representation(Record, frozen=True):
    """The groups of one attribute, "unknown" last.

    Attributes:
        attribute, origin, title: which.
        groups: counts and shares.
        n_unknown: people whose group is not known.
        entropy_bits: of the people's shares, 0 for one group.
        effective_number: 2 ** entropy: as many equally large groups would have the same entropy.
        evenness: effective number over the number of groups, 1 where all are equally large.
        target_distance: total variation distance to the target, 0 to 1; None without one.
        target_p: exact or Monte-Carlo multinomial test of the shares against the target.
        absent: groups of the target, or of the labeller's list, with nobody in them.
    """

    attribute: str
    origin: Origin
    title: str
    groups: tuple[GroupShare, ...]
    n_unknown: int
    entropy_bits: float | None
    effective_number: float | None
    evenness: float | None
    target_distance: float | None = None
    target_p: float | None = None
    absent: tuple[str, ...] = ()


class Cell(Record, frozen=True):
    """One intersection of two attributes."""

    groups: tuple[str, str]
    n_subjects: int
    n_clips: int


class Intersection(Record, frozen=True):
    """Two attributes crossed; every pair of known groups has a cell, empty ones too.

    Attributes:
        attributes: names of the two.
        titles: for people.
        cells: in the order of the groups.
        n_empty: cells without anybody.
        n_small: cells with somebody, but fewer than the smallest group that is compared.
        effective_number: of occupied cells, by people.
    """

    attributes: tuple[str, str]
    titles: tuple[str, str]
    cells: tuple[Cell, ...]
    n_empty: int
    n_small: int
    effective_number: float | None


# What goes with whom


class GroupMean(Record, frozen=True):
    """What an outcome is in one group: mean of a number, share of a flag, or shares of the levels."""

    group: str
    estimate: Interval
    shares: dict[str, float]


Measure = Literal["cramers_v", "eta_squared"]


class Association(Record, frozen=True):
    """Whether an outcome goes with an attribute.

    Attributes:
        attribute, attribute_title, outcome, outcome_title, unit: which.
        outcome_kind: "groups", "flag" or "number".
        measure: Cramer's V (bias corrected) for groups and flags, eta squared (bias corrected: epsilon squared)
            for numbers; both 0 for none and 1 for complete.
        effect: with an interval from resampling whole subjects.
        information_bits: mutual information (Miller-Madow corrected, not below 0); None for numbers.
        p: permutation of the group labels over subjects; the smallest possible is 1 / (n_permutations + 1).
        q: p corrected for all tests of its family (Benjamini-Hochberg).
        n_tests: tests of that family.
        detectable: smallest effect that this data would have found at p < 0.05 in 80 of 100 cases, estimated from
            the permutation distribution; None where it was not estimated.
        groups: the outcome per group.
        skipped: why it was not tested ("constant", "one group", "too few subjects"); "" where it was.
    """

    attribute: str
    attribute_title: str
    outcome: str
    outcome_title: str
    unit: str
    outcome_kind: str
    measure: Measure
    effect: Interval
    information_bits: float | None
    p: float | None
    q: float | None
    n_tests: int
    detectable: float | None
    groups: tuple[GroupMean, ...]
    skipped: str = ""


class LabelNoise(Record, frozen=True):
    """What the attribute estimator's own errors do to one figure.

    Attributes:
        attribute, figure: "share of women", "Cramer's V with emotion".
        observed: the figure as computed from the estimated labels.
        low, high: range of the figure over draws of the true labels given the estimated ones (2.5 to 97.5 %).
        corrected: the figure with the mean effect of the errors taken off; None where that is not identified.
        error: the error assumed, and where it was published.
    """

    attribute: str
    figure: str
    observed: float
    low: float
    high: float
    corrected: float | None
    error: str


# Whether movement reached the pixels alike


class ParityRow(Record, frozen=True):
    """One measured quantity in one group."""

    group: str
    estimate: Interval


class Parity(Record, frozen=True):
    """Whether one measured quantity is alike in all groups of an attribute, at the same commanded expression.

    Attributes:
        attribute, attribute_title, outcome, outcome_title, unit, direction: which.
        rows: mean per group, adjusted for what was commanded (see ``adjusted_for``).
        adjusted_for: what was held equal: "twins" (the very same expressions on every person), or "emotion and
            intensity" (by regression on what was commanded); "" where nothing.
        gap: largest less smallest group mean, with its interval.
        relative_gap: gap over the mean of all; None where that is not above 0.
        lowest, highest: groups of the gap.
        p, q, n_tests: permutation over subjects, corrected as for `Association`.
        detectable: as for `Association`, in the unit of the gap.
        skipped: why it was not tested; "" where it was.
    """

    attribute: str
    attribute_title: str
    outcome: str
    outcome_title: str
    unit: str
    direction: str
    rows: tuple[ParityRow, ...]
    adjusted_for: str
    gap: Interval
    relative_gap: float | None
    lowest: str | None
    highest: str | None
    p: float | None
    q: float | None
    n_tests: int
    detectable: float | None
    skipped: str = ""


# Labellers against each other


class Agreement(Record, frozen=True):
    """Two or more labellers of one attribute.

    Attributes:
        attribute: without the prefix: "gender", "race", "age".
        labellers: columns that were compared.
        alpha: Krippendorff's alpha, nominal for groups, interval for numbers, over people.
        level: "nominal" or "interval".
        agreement: share of people given the same group by all who labelled them; None for numbers.
        labels: rows and columns of ``confusion``.
        confusion: people by first (row) and second (column) labeller; empty for numbers or more than two.
        mean_difference: first less second, of numbers.
        n_subjects: people with at least two labels.
        note: where categories had to be mapped or left out.
    """

    attribute: str
    labellers: tuple[str, ...]
    alpha: Interval
    level: str
    agreement: float | None
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    mean_difference: float | None
    n_subjects: int
    note: str = ""


class Skin(Record, frozen=True):
    """Skin tone of the people, for the strip and the histogram.

    Attributes:
        subject_id: whom.
        ita_deg, hue_deg, lightness: measured; None where there was no usable skin.
        group: ITA group.
        monk: 1 (lightest) to 10; None.
        srgb: mean skin colour as #rrggbb; None.
        confidence: of the lighting, 0 to 1; None.
    """

    subject_id: str
    ita_deg: float | None
    hue_deg: float | None
    lightness: float | None
    group: str | None
    monk: int | None
    srgb: str | None
    confidence: float | None


class Audit(Record, frozen=True):
    """Everything that an audit says.

    Attributes:
        path: the data set, as asked for.
        n_clips, n_subjects: in it.
        n_selected: clips that passed the quality gate; None where none was applied.
        renderers, models, licences: what made the clips; licence of the source photographs to clips.
        emotions: clips per emotion.
        findings: what limits the audit.
        representation, intersections, associations, label_noise, parity, agreement, model_audits: see their types.
        skin: one per person, lightest first.
        min_group_subjects: smallest group that is compared.
        n_permutations, n_boot, level, seed: of tests and intervals.
        provenance: versions and platform.
    """

    path: str
    n_clips: int
    n_subjects: int
    n_selected: int | None
    renderers: tuple[str, ...]
    models: tuple[str, ...]
    licences: dict[str, int]
    emotions: dict[str, int]
    findings: tuple[Finding, ...]
    representation: tuple[Representation, ...]
    intersections: tuple[Intersection, ...]
    associations: tuple[Association, ...]
    label_noise: tuple[LabelNoise, ...]
    parity: tuple[Parity, ...]
    agreement: tuple[Agreement, ...]
    model_audits: tuple[ModelAudit, ...]
    skin: tuple[Skin, ...]
    min_group_subjects: int
    n_permutations: int
    n_boot: int
    level: float
    seed: int
    provenance: Provenance
