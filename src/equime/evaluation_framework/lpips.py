"""LPIPS of frames against the source face: distance in the features of VGG-16, weighted as people judged.

The values are those of ``piq.LPIPS``. Only where its files come from differs (`equime.weights` instead of a
download), and that the features of the reference are computed once for a clip. Frames and reference are chosen as in
`equime.evaluation_framework.piq_metrics`.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

from equime import weights
from equime.annotation.annotators import ClipContext, Metric
from equime.errors import WorkError
from equime.evaluation_framework.piq_metrics import FRAMES_EVERY, ReferenceSession
from equime.torch_env import load, load_tensors, quiet, torch

LAYERS: Final = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
"""Of VGG-16, one learned weight vector each."""

SMALLEST_PX: Final = 16
"""Four poolings come before the last layer."""


class Lpips:
    """Annotator ``lpips``."""

    name = "lpips"
    version = "1"
    weights: tuple[str, ...] = ("lpips",)
    packages: tuple[str, ...] = ("torch", "torchvision", "piq")
    needs_motion = False
    metrics: tuple[Metric, ...] = (
        Metric("lpips_source", "1", 0.0, None, "lower",
               "Perceptual distance to the source face; 0 for equal images.",
               "Zhang et al., CVPR 2018; PIQ 0.8 LPIPS (VGG-16)", per_frame=True),
        Metric("n_frames_lpips", "", 0, None, "none",
               f"Frames that were measured: every {FRAMES_EVERY}th and the apex.", "equime", "whole"),
        Metric("lpips_against", "", None, None, "none",
               "What frames were compared with: photograph or first_frame.", "equime", "text"),
    )  # fmt: skip

    def start(self, clip: ClipContext) -> ReferenceSession:
        """Open a session; the network is built once for a process."""
        network = weights.require("lpips", "vgg16-397923af.pth")
        learned = weights.require("lpips", "lpips_weights.pt")
        shorter = min(clip.info.width, clip.info.height)
        columns, note = (
            ("lpips_source",),
            f"lpips_source needs {SMALLEST_PX} px, the frames have {shorter} px",
        )
        if shorter < SMALLEST_PX:
            return ReferenceSession(clip, lambda *_: {}, "lpips", columns, (("too_small", note),))
        return ReferenceSession(clip, _Comparison(model(network, learned)), "lpips", columns)


class _Comparison:
    """The last lines of PIQ's ``ContentLoss.forward``, with the reference's features kept."""

    def __init__(self, loss: Any) -> None:
        self._loss = loss
        self._reference: Any = None
        self._features: Any = None

    def __call__(self, frame: Any, reference: Any) -> dict[str, float]:
        if self._reference is not reference:
            self._reference, self._features = reference, self._loss.get_features(reference)
        distances = self._loss.compute_distance(self._loss.get_features(frame), self._features)
        means = [(d * w).mean(dim=(2, 3)) for d, w in zip(distances, self._loss.weights, strict=True)]
        return {"lpips_source": float(torch().cat(means, dim=1).sum())}


@functools.lru_cache(maxsize=1)
def model(network: Path, learned: Path) -> Any:
    """PIQ's loss of which LPIPS is a special case, with the published weights.

    Args:
        network: torchvision's VGG-16 for ImageNet; only its convolutions are used.
        learned: PIQ's file with the weights of the layers.

    Raises:
        WorkError: a file holds something else.
    """
    perceptual = load("piq.perceptual")
    with quiet():
        return perceptual.ContentLoss(
            feature_extractor=_convolutions(network),
            layers=[perceptual.VGG16_LAYERS[layer] for layer in LAYERS],
            weights=_learned(learned),
            normalize_features=True,
            reduction="none",
        ).eval()


def _convolutions(file: Path) -> Any:
    """VGG-16 without its classifier, which holds nine tenths of the parameters."""
    state = load_tensors(file)
    wanted = {k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")}
    with torch().device("meta"):
        features = load("torchvision.models").vgg16(init_weights=False).features
    try:
        features.load_state_dict(wanted, assign=True)
    except RuntimeError as error:
        raise WorkError(f"{file}: is no VGG-16 of torchvision; run `equime weights fetch lpips`") from error
    return features


def _learned(file: Path) -> list[Any]:
    found = load_tensors(file)
    shapes = [tuple(tensor.shape) for tensor in found] if isinstance(found, list) else None
    if shapes != [(1, channels, 1, 1) for channels in (64, 128, 256, 512, 512)]:
        raise WorkError(
            f"{file}: does not hold the five weight vectors of LPIPS; run `equime weights fetch lpips`"
        )
    return list(found)
