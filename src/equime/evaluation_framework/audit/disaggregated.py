"""The recogniser's rates by group, through fairlearn's MetricFrame.

fairlearn's rates are of two classes; each class is taken against all others. Intervals and tests are ours
(`scores`, `gaps`), because clips of one person are alike; tests hold that both give the same rates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from equime.evaluation_framework.audit.predictions import Places, Predictions

if TYPE_CHECKING:
    import pandas as pd

RATES: Final = ("selection", "recall", "false_positive")
"""`fairlearn.metrics.selection_rate`, ``true_positive_rate``, ``false_positive_rate``."""

Rates = dict[str, dict[str, float | None]]
"""Name of the rate and class to its value; None where the group has no clip that it could be of."""


def rates_by_group(predictions: Predictions, groups: pd.DataFrame) -> dict[tuple[str, ...], Rates]:
    """Rates of every group.

    Args:
        predictions: N clips.
        groups: (N, 1 or 2) group of each clip by one attribute, or by two; rows in the order of the predictions.

    Returns:
        Group to its rates; a group is there if it has a clip.
    """
    from fairlearn.metrics import MetricFrame  # noqa: PLC0415

    def rates(y_true: Any, y_pred: Any) -> Rates:
        return _rates(np.asarray(y_true), np.asarray(y_pred), predictions.labels)

    # One metric that returns all rates: MetricFrame goes through every clip once more for each metric.
    frame = MetricFrame(
        metrics=rates, y_true=predictions.truth, y_pred=predictions.predicted, sensitive_features=groups
    )
    by_group = {
        (group if isinstance(group, tuple) else (group,)): own for group, own in frame.by_group.items()
    }
    return {group: own for group, own in by_group.items() if isinstance(own, dict)}  # NaN where nobody is


def _rates(truth: Places, predicted: Places, labels: tuple[str, ...]) -> Rates:
    """One class against all others; None where fairlearn would put 0 because there is no clip that it could be of."""
    from fairlearn import metrics  # noqa: PLC0415

    found: Rates = {rate: {} for rate in RATES}
    for k, label in enumerate(labels):
        actual, given = truth == k, predicted == k
        for rate, of_two, n in (
            ("selection", metrics.selection_rate, actual.size),
            ("recall", metrics.true_positive_rate, actual.sum()),
            ("false_positive", metrics.false_positive_rate, (~actual).sum()),
        ):
            found[rate][label] = float(of_two(actual, given, pos_label=True)) if n else None
    return found
