"""Frames against the source face by the full-reference measures of PIQ that need no weights.

The values are PIQ's own (version 0.8), frame by frame: frames are never batched, because PIQ's SR-SIM scales
its saliency map over the whole batch (2e-4 between one frame and a batch), and a batch is not faster on one
processor.

Ten measures cost about as much as the whole rest of the evaluation, so only some frames are measured:
every `FRAMES_EVERY`-th and the frame of the apex, where it is known. The mean over them is a mean over the clip
for anything that changes slowly (fidelity, compression); per-frame values show which frames were taken.

What the reference is stands in the row: the *photograph* of an equime clip (its aligned crop, made again from
the source image), or the clip's own *first frame* for anything else. Means of the two kinds do not compare:
every clip is close to its own first frame. That first frame itself is then not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext, Direction, Metric, Row, Value
from equime.evaluation_framework.source_reference import FIRST_FRAME, PHOTOGRAPH, photograph
from equime.frames import Frame
from equime.torch_env import load, quiet, torch

FRAMES_EVERY: Final = 6
"""Every so many frames are measured: 4 a second at 24 fps."""

Compare = Callable[[Any, Any], dict[str, float]]
"""Frame and reference, float32 tensors (1, 3, H, W) of RGB in 0..1, to a value per column; NaN is undefined."""

ROUNDING: Final = 1e-4
"""How far a value may lie outside of its range by rounding alone (PIQ's DSS gives 1.000002 for equal images)."""


@dataclass(frozen=True)
class Measure:
    """One of PIQ's functions.

    Attributes:
        column: of the table.
        function: its name in the module ``piq``.
        smallest_px: shorter side below which it has no value.
        high: largest value; None where there is no bound.
        direction: which way is better.
        meaning: one sentence.
        reference: the paper.
    """

    column: str
    function: str
    smallest_px: int
    high: float | None
    direction: Direction
    meaning: str
    reference: str


MEASURES: Final = (
    Measure("ms_ssim_source", "multi_scale_ssim", 161, 1.0, "higher",
            "Structural similarity with the source face over five scales.",
            "Wang, Simoncelli, Bovik, Asilomar 2003"),
    Measure("vif_source", "vif_p", 41, None, "higher",
            "Share of the source face's visual information that the frame keeps (pixel domain); above 1 where "
            "contrast was raised.", "Sheikh, Bovik, IEEE TIP 15(2), 2006"),
    Measure("gmsd_source", "gmsd", 16, None, "lower",
            "Spread of the gradient differences to the source face; 0 for equal images.",
            "Xue et al., IEEE TIP 23(2), 2014"),
    Measure("fsim_source", "fsim", 16, 1.0, "higher",
            "Similarity with the source face in phase congruency, gradient and chroma (FSIMc).",
            "Zhang et al., IEEE TIP 20(8), 2011"),
    Measure("haarpsi_source", "haarpsi", 16, 1.0, "higher",
            "Similarity with the source face in Haar wavelets.", "Reisenhofer et al., Signal Processing 61, 2018"),
    Measure("mdsi_source", "mdsi", 16, None, "lower",
            "Deviation of gradient and chroma similarity with the source face; 0 for equal images.",
            "Ziaei Nafchi et al., IEEE Access 4, 2016"),
    Measure("vsi_source", "vsi", 16, 1.0, "higher",
            "Similarity with the source face weighted by where people look.", "Zhang et al., IEEE TIP 23(10), 2014"),
    Measure("srsim_source", "srsim", 40, 1.0, "higher",
            "Similarity with the source face weighted by spectral-residual saliency.",
            "Zhang, Li, ICIP 2012"),
    Measure("iw_ssim_source", "information_weighted_ssim", 161, 1.0, "higher",
            "Structural similarity with the source face weighted by information content.",
            "Wang, Li, IEEE TIP 20(5), 2011"),
    Measure("dss_source", "dss", 32, 1.0, "higher",
            "Similarity with the source face in DCT subbands.", "Balanov et al., ICIP 2015"),
)  # fmt: skip
"""All of them run in PIQ 0.8 with torch 2.13."""


class FullReference:
    """Annotator ``full_reference``."""

    name = "full_reference"
    version = "1"
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ("torch", "torchvision", "piq")
    needs_motion = False
    metrics: tuple[Metric, ...] = (
        *(Metric(m.column, "1", 0.0, m.high, m.direction, m.meaning, f"{m.reference}; PIQ 0.8 {m.function}",
                 per_frame=True) for m in MEASURES),
        Metric("n_frames_full_reference", "", 0, None, "none",
               f"Frames that were measured: every {FRAMES_EVERY}th and the apex.", "equime", "whole"),
        Metric("full_reference_against", "", None, None, "none",
               "What frames were compared with: photograph or first_frame.", "equime", "text"),
    )  # fmt: skip

    def start(self, clip: ClipContext) -> ReferenceSession:
        """Open a session."""
        shorter = min(clip.info.width, clip.info.height)
        usable = [m for m in MEASURES if shorter >= m.smallest_px]
        notes = tuple(
            ("too_small", f"{m.column} needs {m.smallest_px} px, the frames have {shorter} px")
            for m in MEASURES
            if m not in usable
        )
        return ReferenceSession(clip, _comparison(usable), "full_reference", self.columns, notes)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the measures."""
        return tuple(m.column for m in MEASURES)


def _comparison(measures: Sequence[Measure]) -> Compare:
    piq, undefined = load("piq"), torch().linalg.LinAlgError

    def one(measure: Measure, frame: Any, reference: Any) -> float:
        try:
            found = getattr(piq, measure.function)(frame, reference, data_range=1.0, reduction="none")
        except undefined:  # IW-SSIM of a flat image: a covariance that has no inverse
            return float("nan")
        value = float(found.reshape(-1)[0])
        high = measure.high
        return high if high is not None and high < value <= high + ROUNDING else value

    def compare(frame: Any, reference: Any) -> dict[str, float]:
        return {m.column: one(m, frame, reference) for m in measures}

    return compare


class ReferenceSession:
    """Chosen frames of a clip against one reference; shared with LPIPS.

    Args:
        clip: the clip.
        compare: gives the values of one frame.
        suffix: of the columns ``n_frames_<suffix>`` and ``<suffix>_against``.
        columns: that ``compare`` may give; one that it never gives is None.
        notes: to begin with.
    """

    def __init__(
        self,
        clip: ClipContext,
        compare: Compare,
        suffix: str,
        columns: Sequence[str],
        notes: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._compare, self._suffix, self._columns = compare, suffix, columns
        bgr, why = photograph(clip)
        self._kind = FIRST_FRAME if bgr is None else PHOTOGRAPH
        self._reference = None if bgr is None else as_tensor(bgr[..., ::-1])
        self._notes = [*notes, *why]
        recorded = clip.source.clip
        timing = recorded.timing if recorded is not None else None
        self._apex = None if timing is None else timing.apex_frame
        self._values: dict[int, dict[str, float]] = {}
        self._latest: tuple[int, NDArray[np.uint8]] | None = None
        self._n_frames = 0

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        self._n_frames += 1
        if self._reference is None:
            self._reference = as_tensor(_rgb(frame))
        elif frame.index % FRAMES_EVERY == 0 or frame.index == self._apex:
            self._measure(frame.index, _rgb(frame))
        elif not self._values:
            self._latest = (frame.index, _rgb(frame))

    def finish(self) -> Row:
        """Means over the measured frames. A clip too short for one of them has its last frame measured."""
        if not self._values and self._latest is not None:
            self._measure(*self._latest)
        if not self._values:
            self._notes.append(("too_few_frames", "the clip has one frame, which is its own reference"))
        per_frame = {column: self._column(column) for column in self._columns}
        values: dict[str, Value] = {column: self._mean(column, x) for column, x in per_frame.items()}
        values[f"n_frames_{self._suffix}"] = len(self._values)
        values[f"{self._suffix}_against"] = self._kind if self._values else None
        return Row(values, per_frame, tuple(self._notes))

    def _measure(self, index: int, rgb: NDArray[np.uint8]) -> None:
        with quiet(), torch().inference_mode():
            self._values[index] = self._compare(as_tensor(rgb), self._reference)
        self._latest = None

    def _column(self, column: str) -> NDArray[np.float64]:
        found = np.full(self._n_frames, np.nan)
        for index, values in self._values.items():
            value = values.get(column, np.nan)
            found[index] = value if np.isfinite(value) else np.nan
        return found

    def _mean(self, column: str, per_frame: NDArray[np.float64]) -> float | None:
        given = [values[column] for values in self._values.values() if column in values]
        defined = per_frame[np.isfinite(per_frame)]
        if len(defined) < len(given):
            n = len(given) - len(defined)
            self._notes.append(
                ("not_defined", f"{column} has no value for {n} of {len(given)} frames (flat)")
            )
        return float(defined.mean()) if len(defined) else None


def as_tensor(rgb: NDArray[np.uint8]) -> Any:
    """uint8 (H, W, 3) to float32 (1, 3, H, W) in 0..1, as PIQ wants it."""
    return torch().from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255


def _rgb(frame: Frame) -> NDArray[np.uint8]:
    return np.ascontiguousarray(frame.bgr[..., ::-1])
