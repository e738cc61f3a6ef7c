"""LBP-TOP and a linear support vector machine: the baseline that every micro-expression corpus was published with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from equime.baselines.fit_checks import check_folds, with_defaults
from equime.baselines.inputs import Input
from equime.baselines.lbp_histograms import LbpTop as Descriptor
from equime.baselines.lbp_histograms import at_length, histograms, without_padding
from equime.baselines.recogniser import About, Fitted, Head, Options
from equime.baselines.sklearn_fit import SvmSettings, fit_svms
from equime.baselines.svm_machine import Machine
from equime.errors import InputError

F32 = NDArray[np.float32]

_OPTIONS: Final[dict[str, Any]] = {
    "points": 4,
    "radius_x": 1,
    "radius_y": 1,
    "radius_t": 4,
    "blocks_x": 5,
    "blocks_y": 5,
    "blocks_t": 1,
    "uniform": False,
    "n_frames": 32,
    "c": 1.0,
    "balanced": True,
    "multiclass": "ovo",
    "start_weight": 1.0,
}
_SVM: Final = ("c", "balanced", "multiclass", "start_weight")


@dataclass(frozen=True)
class ClipMachine:
    """A trained machine and the descriptor that it reads clips by."""

    machine: Machine
    descriptor: Descriptor
    n_frames: int

    def probabilities(self, x: NDArray[np.generic]) -> F32:
        """See `Fitted`."""
        return self.machine.probabilities([descriptors(x, self.descriptor, self.n_frames)])

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """See `Fitted`."""
        d = self.descriptor
        numbers = (d.points, d.radius_x, d.radius_y, d.radius_t, *d.blocks, int(d.uniform), self.n_frames)
        return {**self.machine.tensors(), "descriptor": np.array(numbers, np.int64)}


class LbpTop:
    """LBP-TOP with a linear machine.

    Options:
        points, radius_x, radius_y, radius_t, blocks_x, blocks_y, blocks_t, uniform: see `lbp_histograms.LbpTop`.
        n_frames: length that every clip is interpolated to (black frames at its end are left out first), so that a
            clip's length does not show; 0 leaves clips as long as they are, as the publication does.
        c, balanced, multiclass, start_weight: see `RbfSvm`.
    """

    about = About(
        key="lbp_top", title="LBP-TOP + SVM",
        source="Zhao & Pietikainen, PAMI 2007; settings of CASME II's baseline: Yan et al., PLoS ONE 2014",
        input=Input("clip", 64, 96),
        differs="64 px grey face crops instead of registered faces of about 280 x 340 px, the clip's first 96 frames "
        "only; of the radii that Yan et al. try (1 to 4 px, 2 to 4 frames) 1, 1 and 4 are taken, and that these gave their "
        "best figure could not be checked; every clip is interpolated to 32 frames (CASME II's baseline takes clips as they are); the cost "
        "parameter is not published; sides are weighed alike",
        deterministic=True, options=_OPTIONS,
    )  # fmt: skip

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
        settings = SvmSettings("linear", **{name: given[name] for name in _SVM})
        check_folds(y, folds, head=head, n_outputs=n_outputs)
        descriptor, n_frames = _descriptor(given), int(given["n_frames"])
        bases = None if start is None else [_machine_of(fitted, descriptor, n_frames) for fitted in start]
        blocks = [descriptors(x, descriptor, n_frames)]
        machines = fit_svms(blocks, y, folds, settings, head=head, n_outputs=n_outputs, start=bases)
        return [ClipMachine(machine, descriptor, n_frames) for machine in machines]

    def restore(
        self, tensors: Mapping[str, NDArray[np.generic]], *, head: Head, n_outputs: int
    ) -> Fitted:  # fmt: skip
        """See `Recogniser.restore`."""
        points, rx, ry, rt, rows, columns, slices, uniform, n_frames = map(
            int, cast(Any, tensors["descriptor"])
        )
        descriptor = Descriptor(points, rx, ry, rt, (rows, columns, slices), bool(uniform))
        return ClipMachine(Machine.of_tensors(tensors, head), descriptor, n_frames)


def descriptors(x: NDArray[np.generic], descriptor: Descriptor, n_frames: int) -> F32:
    """Descriptors (N, D) of grey clips (N, T, H, W), black frames at the end left out.

    Raises:
        InputError: a clip is too short for the radius in time.
    """
    found = np.zeros((len(x), descriptor.n_features), np.float32)
    for i, clip in enumerate(x):
        shown = without_padding(np.asarray(clip, np.uint8))
        found[i] = histograms(at_length(shown, n_frames) if n_frames else shown, descriptor)
    return found


def _descriptor(given: Mapping[str, Any]) -> Descriptor:
    blocks = given["blocks_y"], given["blocks_x"], given["blocks_t"]
    return Descriptor(
        given["points"], given["radius_x"], given["radius_y"], given["radius_t"], blocks, given["uniform"]
    )


def _machine_of(fitted: Fitted, descriptor: Descriptor, n_frames: int) -> Machine:
    if not isinstance(fitted, ClipMachine) or (fitted.descriptor, fitted.n_frames) != (descriptor, n_frames):
        raise InputError(
            f"start: LBP-TOP goes on from LBP-TOP with the same settings only ({asdict(descriptor)}, n_frames "
            f"{n_frames}); train that one first"
        )
    return fitted.machine
