"""Support vector machines on optical flow: few parameters, no luck in training, and better than most deep networks.

In the cross-dataset AU detection of MEB (Varanka et al. 2023) a linear machine on flow reaches an AU-F1 of 36.2, more
than most networks that were published for the task; whoever claims something for a network has to show this beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from equime.baselines.fit_checks import check_folds, with_defaults
from equime.baselines.inputs import FLOW28
from equime.baselines.recogniser import About, Fitted, Head, Options
from equime.baselines.sklearn_fit import SvmSettings, fit_svms
from equime.baselines.svm_machine import Machine
from equime.errors import InputError

F32 = NDArray[np.float32]

NORMALISATIONS: Final = ("minmax", "robust")

_BATCH: Final = 1024
_SOURCE: Final = "Cortes & Vapnik, Machine Learning 1995; on flow: Varanka et al., arXiv 2211.11425, 2023"
_DIFFERS: Final = (
    "MEB's preprocessing of the flow and its cost parameter are not known here; each channel is scaled by its spread "
    "over training rows; probabilities are scores times a factor fitted on training rows"
)
_DEFAULTS: Final[dict[str, Any]] = {
    "c": 1.0,
    "normalisation": "minmax",
    "flip": False,
    "balanced": True,
    "multiclass": "ovr",
    "start_weight": 1.0,
}


@dataclass(frozen=True)
class FlowMachine:
    """A trained machine, and how it wants its flow.

    Attributes:
        machine: the machine.
        normalisation: one of `NORMALISATIONS`.
    """

    machine: Machine
    normalisation: str

    def scores(self, x: NDArray[np.generic]) -> NDArray[np.float64]:
        """(N, K) before they become probabilities."""
        return np.concatenate([self.machine.scores(blocks) for blocks in self._batches(x)])

    def probabilities(self, x: NDArray[np.generic]) -> F32:
        """See `Fitted`."""
        return np.concatenate([self.machine.probabilities(blocks) for blocks in self._batches(x)])

    def _batches(self, x: NDArray[np.generic]) -> Iterator[list[F32]]:
        """Blocks of flow; one empty batch where there are no rows, for the shape of the answer."""
        for i in range(0, max(len(x), 1), _BATCH):
            yield flow_blocks(x[i : i + _BATCH], self.normalisation)

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """See `Fitted`."""
        place = np.array([NORMALISATIONS.index(self.normalisation)], np.uint8)
        return {**self.machine.tensors(), "normalisation": place}


class LinearSvm:
    """Linear machine on flow; options as `RbfSvm` without ``gamma``."""

    about = About(
        key="svm_linear", title="Linear SVM on flow", source=_SOURCE, input=FLOW28, differs=_DIFFERS, deterministic=True,
        options=_DEFAULTS,
    )  # fmt: skip
    _kernel = "linear"

    def fit(
        self,
        x: NDArray[np.generic],
        y: NDArray[np.integer],
        folds: Sequence[NDArray[np.intp]],
        *,
        head: Head = "emotion",
        n_outputs: int = 3,
        seed: int = 0,
        options: Options | None = None,
        start: Sequence[Fitted] | None = None,
    ) -> list[Fitted]:
        """See `Recogniser.fit`. Nothing is random, so the seed changes nothing."""
        given = with_defaults(self.about.key, self.about.options, options)
        normalisation, flip = str(given.pop("normalisation")), bool(given.pop("flip"))
        if normalisation not in NORMALISATIONS:
            raise InputError(
                f"option normalisation: {normalisation!r} is none of {', '.join(NORMALISATIONS)}"
            )
        settings = SvmSettings(cast(Any, self._kernel), **given)
        check_folds(y, folds, head=head, n_outputs=n_outputs)
        bases = None if start is None else [_machine_of(fitted, normalisation) for fitted in start]
        blocks = flow_blocks(x, normalisation)
        if flip:
            mirrored_blocks = flow_blocks(mirrored(x), normalisation)
            blocks = [np.concatenate(pair) for pair in zip(blocks, mirrored_blocks, strict=True)]
            folds = [np.concatenate([rows, rows + len(x)]) for rows in folds]
            y = np.concatenate([y, y])
        machines = fit_svms(blocks, y, folds, settings, head=head, n_outputs=n_outputs, start=bases)
        return [FlowMachine(machine, normalisation) for machine in machines]

    def restore(
        self, tensors: Mapping[str, NDArray[np.generic]], *, head: Head, n_outputs: int
    ) -> Fitted:  # fmt: skip
        """See `Recogniser.restore`."""
        return FlowMachine(
            Machine.of_tensors(tensors, head), NORMALISATIONS[int(tensors["normalisation"][0])]
        )


class RbfSvm(LinearSvm):
    """Machine with an RBF kernel on flow.

    Options:
        c: cost of a training row on the wrong side.
        gamma: of the kernel; 1 corresponds to scikit-learn's "scale".
        normalisation: "minmax", the flow as it comes; "robust", per sample and channel less its median and divided by
            the 90th percentile of its absolute deviation, which puts no motion at 0 whatever the largest motion was.
        flip: train on mirror images too.
        balanced: whether both sides of each machine count alike.
        multiclass: "ovr" or "ovo".
        start_weight: how strongly the scores of a machine to go on from count.
    """

    about = About(
        key="svm_rbf", title="RBF SVM on flow", source=_SOURCE, input=FLOW28, differs=_DIFFERS, deterministic=True,
        options={**_DEFAULTS, "gamma": 1.0},
    )  # fmt: skip
    _kernel = "rbf"


def flow_blocks(x: NDArray[np.generic], normalisation: str) -> list[F32]:
    """Flow (N, H, W, C) as C blocks (N, H x W), normalised."""
    flow: F32 = np.asarray(x, np.float32)
    if normalisation == "robust":
        flow = np.asarray(flow - np.median(flow, axis=(1, 2), keepdims=True), np.float32)
        spread = np.quantile(np.abs(flow), 0.9, axis=(1, 2), keepdims=True)
        flow = np.asarray(flow / np.maximum(spread, 1e-6), np.float32)
    n, height, width, channels = flow.shape
    return [np.ascontiguousarray(flow[..., c]).reshape(n, height * width) for c in range(channels)]


def mirrored(x: NDArray[np.generic]) -> F32:
    """Flow (N, H, W, C) of the mirrored face: columns reversed, horizontal motion (u, 0..1) turned round."""
    flow = np.asarray(x, np.float32)[:, :, ::-1].copy()
    flow[..., 0] = 1 - flow[..., 0]
    return flow


def _machine_of(fitted: Fitted, normalisation: str) -> Machine:
    if not isinstance(fitted, FlowMachine) or fitted.normalisation != normalisation:
        raise InputError(
            "start: a support vector machine on flow goes on from another one with the same option normalisation "
            f"({normalisation!r}); train that one first"
        )
    return fitted.machine
