"""From a model's probabilities on a few frames to one estimated label of a clip, or to none.

The clip's probabilities are the mean of the frames' probabilities. EquiME takes the label that most frames have;
a majority throws away how sure each frame was, so that three frames at 0.51 outvote two at 0.99, and it gives no
probability that a later analysis could use. The frames of a clip show one person and are not independent: the
mean is not a combination of evidence and gets no surer with more frames.

How far the frames agree is kept as the disagreement: the share of frames whose own most probable class is not that
of the clip. A label is withheld ("abstained") where the most probable class of the clip stays below
`ABSTAIN_BELOW`. That number is a convention, not tuned on any data: what a network gives as a probability is
seldom calibrated, so it does not mean that 60 % of such labels are right. The probabilities are kept either way, so
that another threshold can be applied to the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import Metric, Value

ABSTAIN_BELOW: Final = 0.6
"""A label is given where the mean probability of its class reaches this."""

AGE_BINS: Final = (0, 3, 10, 20, 30, 40, 50, 60, 70)
"""First year of each age group: those of FairFace, so that labellers can be compared."""

AGE_GROUPS: Final = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")

NO_GROUND: Final = "an estimate of how a model reads a picture, not of who a person is"


@dataclass(frozen=True)
class Labelled:
    """An attribute with classes, as a model gives it.

    Attributes:
        prefix: of its columns ("estimated_gender_fairface").
        classes: labels in the order of the model's outputs.
        what: the attribute in words ("gender").
        reference: model and source.
        label_column: where the label stands; None is the prefix itself.
    """

    prefix: str
    classes: tuple[str, ...]
    what: str
    reference: str
    label_column: str | None = None

    @property
    def label(self) -> str:
        """Column of the label."""
        return self.label_column or self.prefix

    def probability(self, name: str) -> str:
        """Column of one class's probability."""
        return f"{self.prefix}_p_{column_name(name)}"


def column_name(label: str) -> str:
    """A label as part of a column's name: "latino hispanic" is ``latino_hispanic``, "70+" is ``70_up``."""
    return label.replace(" ", "_").replace("-", "_").replace("+", "_up")


def metrics(attribute: Labelled) -> tuple[Metric, ...]:
    """The columns that `summarise` fills."""
    prefix, what, reference = attribute.prefix, attribute.what, attribute.reference
    return (
        Metric(attribute.label, "", None, None, "none",
               f"Estimated {what}: {', '.join(attribute.classes)}; none where the model is not sure enough. "
               f"It is {NO_GROUND}.", reference, type="text"),
        *(Metric(attribute.probability(name), "1", 0.0, 1.0, "none",
                 f"Probability that the model gives to {what} {name!r}, mean over the frames.", reference)
          for name in attribute.classes),
        Metric(f"{prefix}_disagreement", "1", 0.0, 1.0, "lower",
               f"Share of the frames whose own most probable {what} is not that of the clip.", "equime"),
        Metric(f"{prefix}_abstained", "", None, None, "none",
               f"Whether no {what} is given because the most probable one stays below {ABSTAIN_BELOW:g}.",
               "equime", type="flag"),
    )  # fmt: skip


def age_metrics(prefix: str, reference: str) -> tuple[Metric, ...]:
    """The columns that `summarise_age` fills."""
    return (
        Metric(f"{prefix}_years", "years", 0.0, 100.0, "none",
               f"Estimated age, mean over the frames: {NO_GROUND}.", reference),
        Metric(f"{prefix}_spread_years", "years", 0.0, 100.0, "lower",
               "Oldest less youngest estimate of the frames.", "equime"),
    )  # fmt: skip


def count_metric(name: str) -> Metric:
    """The column with the number of frames behind a row."""
    text = "Frames with a face, of those that were sampled, that the labels come from."
    return Metric(name, "1", 0.0, None, "none", text, "equime", type="whole")


def summarise(attribute: Labelled, probabilities: NDArray[np.floating]) -> dict[str, Value]:
    """A clip's label, probabilities, disagreement and whether a label is withheld.

    Args:
        attribute: with K classes.
        probabilities: (N, K) of N frames, each row summing to 1.

    Returns:
        A cell for each of `metrics`; None everywhere where there is no frame.

    Raises:
        ValueError: probabilities of another shape.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or p.shape[1] != len(attribute.classes):
        raise ValueError(
            f"{attribute.prefix}: probabilities {p.shape}, expected (N, {len(attribute.classes)})"
        )
    if len(p) == 0:
        return dict.fromkeys(metric.name for metric in metrics(attribute))
    mean = p.mean(axis=0)
    top = int(mean.argmax())
    abstained = bool(mean[top] < ABSTAIN_BELOW)
    columns = zip(attribute.classes, mean.tolist(), strict=True)
    return {
        attribute.label: None if abstained else attribute.classes[top],
        **{attribute.probability(name): value for name, value in columns},
        f"{attribute.prefix}_disagreement": float((p.argmax(axis=1) != top).mean()),
        f"{attribute.prefix}_abstained": abstained,
    }


def summarise_age(prefix: str, years: NDArray[np.floating]) -> dict[str, Value]:
    """A clip's age and how far its frames differ.

    Args:
        prefix: of the columns ("estimated_age").
        years: (N,) estimates of N frames.

    Returns:
        A cell for each of `age_metrics`; None everywhere where there is no frame.
    """
    if len(years) == 0:
        return {f"{prefix}_years": None, f"{prefix}_spread_years": None}
    return {f"{prefix}_years": float(np.mean(years)), f"{prefix}_spread_years": float(np.ptp(years))}


def age_group(years: float) -> str:
    """The group of `AGE_GROUPS` that an age belongs to; a person is 29 until the day of turning 30."""
    return AGE_GROUPS[int(np.searchsorted(AGE_BINS, years, side="right")) - 1]


def names(columns: Iterable[Metric]) -> tuple[str, ...]:
    """Names of columns."""
    return tuple(metric.name for metric in columns)
