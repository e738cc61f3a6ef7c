"""BRISQUE: how far an image is from natural-scene statistics, as PIQ computes it, at a fraction of the time.

Mittal, Moorthy and Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE TIP 2012. The
36 features (shape and variance of the normalised coefficients and of the products of neighbours, at two scales)
go through the support vector regression of the authors, in PIQ's file of weights.

Parity with ``piq.brisque`` 0.8: convolution and resampling follow PIQ's float32 arithmetic operation by operation
(as oneDNN does it on x86-64 with fused multiply-add), because in flat areas the features hang on the sign of a
rounding error. Sums over pixels and the regression are exact to double precision, which PIQ's are not: its sums
depend on the number of threads, and its regression cancels 774 float32 terms far larger than the score. Two
differences remain. Where a ratio of moments falls between two entries of PIQ's table of shapes (steps of 0.001) to
within PIQ's rounding, the two may choose neighbours; and the noise of PIQ's regression grows with the coefficients.
``bench/value_table.py`` shows both, beside the difference of PIQ to itself with another number of threads.

torch reads the weights and makes the tables, whose rounding decides between neighbours; the work on pixels is done
without it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime import torch_env
from equime.annotation.annotators import ClipContext, Metric, Row
from equime.errors import WorkError
from equime.evaluation_framework import kernels
from equime.evaluation_framework.grey_frames import mean_or_none
from equime.frames import Frame

F32 = NDArray[np.float32]

MIN_SIDE_PX: Final = 14
"""Smallest side: at half of it the 7 px window still fits."""

N_FEATURES: Final = 36
_N_SCALES = 2
_GAMMA, _RHO = 0.05, -153.591  # of the authors' regression

# Smallest and largest value of every feature in the authors' training, by which features are scaled to -1..1.
# Source: the MATLAB release, as in PIQ.
_LOW = np.array(
    [0.338, 0.017204, 0.236, -0.123884, 0.000155, 0.001122, 0.244, -0.123586, 0.000152, 0.000975, 0.249, -0.135687,
     0.000174, 0.000913, 0.258, -0.143408, 0.000179, 0.000888, 0.471, 0.012809, 0.218, -0.094876, 1.5e-05, 0.001272,
     0.222, -0.115772, 1.6e-05, 0.001374, 0.227, -0.117188, 3e-05, 0.001122, 0.228, -0.12243, 2.8e-05, 0.001118],
    np.float32,
)  # fmt: skip
_HIGH = np.array(
    [10, 0.806612, 1.642, 0.20293, 0.712298, 0.470257, 1.641, 0.179083, 0.710456, 0.470984, 1.555, 0.100858,
     0.684173, 0.534174, 1.561, 0.100486, 0.685696, 0.536508, 3.264, 0.703171, 1.046, 0.187459, 0.442057, 0.40803,
     1.042, 0.162604, 0.444362, 0.40243, 0.996, 0.09832299999999999, 0.531903, 0.369589, 0.99, 0.098658, 0.530092,
     0.370399],
    np.float32,
)  # fmt: skip

# Grey levels as PIQ sees them: x / 255 * 255 in float32 is not always x again.
_LEVELS = np.arange(256, dtype=np.float32) / np.float32(255) * np.float32(255)


@dataclass(frozen=True)
class BrisqueModel:
    """The regression and PIQ's tables.

    Attributes:
        coefficients: float64 (774,) of the support vectors.
        vectors: float64 (36, 774).
        shapes: (9801,) shape parameters 0.2..10.
        symmetric: (9801,) ratio of moments of a generalised Gaussian of each shape.
        asymmetric: (9801,) the same of the asymmetric one.
        mean_factor: (9801,) mean of the asymmetric one over the difference of its spreads.
    """

    coefficients: NDArray[np.float64]
    vectors: NDArray[np.float64]
    shapes: F32
    symmetric: F32
    asymmetric: F32
    mean_factor: F32


@functools.lru_cache(maxsize=1)
def load_model(file: Path) -> BrisqueModel:
    """Read PIQ's ``brisque_svm_weights.pt``.

    Raises:
        MissingError: torch is not installed.
        WorkError: the file holds something else.
    """
    torch = torch_env.torch()
    expected = f"expected the pair (coefficients (n,), vectors (n, {N_FEATURES})) that PIQ publishes"
    hint = "run `equime weights verify brisque`"
    try:
        coefficients, vectors = torch.load(file, map_location="cpu", weights_only=True)
        found = f"coefficients {tuple(coefficients.shape)} and vectors {tuple(vectors.shape)}"
    except OSError:
        raise
    except Exception as error:
        raise WorkError(f"{file}: not a file of BRISQUE weights ({error}); {expected}; {hint}") from error
    if tuple(vectors.shape) != (coefficients.numel(), N_FEATURES):
        raise WorkError(f"{file}: {found}; {expected}; {hint}")
    columns = np.ascontiguousarray(vectors.double().numpy().T)
    return BrisqueModel(coefficients.double().numpy().ravel(), columns, *_tables(torch))


def _tables(torch: Any) -> tuple[F32, F32, F32, F32]:
    """PIQ's tables in torch's float32, whose rounding decides between neighbours."""
    shape = torch.arange(0.2, 10 + 0.001, 0.001, dtype=torch.float32)
    one, two, three = (torch.lgamma(k / shape) for k in (1.0, 2.0, 3.0))
    symmetric = (one + three - 2 * two).exp()
    asymmetric = torch.exp(2 * two - one - three)
    mean_factor = torch.exp(two - (one + three) / 2)
    return shape.numpy(), symmetric.numpy(), asymmetric.numpy(), mean_factor.numpy()


@functools.cache
def _window() -> F32:
    """Gaussian (7, 7), sigma 7/6, sums to 1; by torch, whose rounding decides in flat areas."""
    torch = torch_env.torch()
    square = (torch.arange(7, dtype=torch.float32) - 3.0) ** 2
    window = (-(square[None, :] + square[:, None]) / (2 * (7 / 6) ** 2)).exp()
    return np.asarray((window / window.sum()).numpy(), np.float32)


@functools.lru_cache(maxsize=16)
def _half_taps(size: int) -> tuple[NDArray[np.int64], F32]:
    """Rows and weights of PIQ's ``imresize`` to half size: bicubic (a = -0.5), widened against aliasing.

    Returns:
        (size // 2, taps) each; outside of the image the border is mirrored, edge rows counted twice.
    """
    torch = torch_env.torch()
    n = size // 2
    scale = n / size
    n_taps = math.ceil(4 / scale) + 2
    position = (torch.arange(n, dtype=torch.float32) + 0.5) / scale - 0.5
    first = position.floor() - n_taps // 2 + 1
    weight = _cubic(((position - first) - torch.arange(n_taps, dtype=torch.float32)[:, None]) * scale)
    weight = weight / weight.sum(dim=0, keepdim=True)
    index = first.long().numpy()[:, None] + np.arange(n_taps)
    index = np.where(index < 0, -index - 1, index)
    index = np.where(index >= size, 2 * size - 1 - index, index)
    return index, np.ascontiguousarray(weight.numpy().T, np.float32)


def _cubic(x: Any) -> Any:
    """Keys' kernel of a tensor, in PIQ's order of operations."""
    a = x.abs()
    a2 = a * a
    a3 = a * a2
    near = 1.5 * a3 - 2.5 * a2 + 1
    far = -0.5 * a3 + 2.5 * a2 - 4.0 * a + 2.0
    return near * (a <= 1).float() + far * ((a > 1) & (a <= 2)).float()


def _halved(image: F32) -> F32:
    """Half size, rounded down."""
    shorter = kernels.resample_rows(image, *_half_taps(image.shape[0]))
    sideways = np.asarray(cv2.transpose(shorter), np.float32)
    narrower = kernels.resample_rows(sideways, *_half_taps(image.shape[1]))
    return np.asarray(cv2.transpose(narrower), np.float32)


def features(grey: NDArray[np.uint8], model: BrisqueModel) -> F32 | None:
    """The 36 features of an image, unscaled.

    Args:
        grey: uint8 (H, W), both sides at least `MIN_SIDE_PX`.
        model: for its tables.

    Returns:
        float32 (36,); None where the image is too flat for them (PIQ raises AssertionError there).
    """
    if grey.min() == grey.max():
        return None
    image = np.asarray(cv2.LUT(grey, _LEVELS), np.float32)
    out: list[F32] = []
    for scale in range(_N_SCALES):
        if scale:
            image = _halved(image)
        found = _statistics(image, model)
        if found is None:
            return None
        out.append(found)
    return np.concatenate(out)


def _statistics(image: F32, model: BrisqueModel) -> F32 | None:
    """18 features of one scale: a symmetric fit of the coefficients, an asymmetric one of each product."""
    n = image.size
    moments, products = kernels.mscn_sums(image, _window())
    mean_size, variance = (moments / n).astype(np.float32)
    counts = products[:, 3:]
    if np.sqrt(variance) <= 1e-8 or (counts == 0).any():
        return None
    ratio = variance / mean_size**2
    shape = model.shapes[np.abs(ratio - model.symmetric).argmin()]
    sigma = np.sqrt((products[:, :2] / counts).astype(np.float32))
    if (sigma == 0).any():
        return None
    left, right = sigma[:, 0], sigma[:, 1]
    skew = left / right
    mean_square = ((products[:, 0] + products[:, 1]) / n).astype(np.float32)
    ratio = (products[:, 2] / n).astype(np.float32) ** 2 / mean_square
    one = np.float32(1)
    ratio = (ratio * (skew * skew * skew + one) * (skew + one)) / (skew**2 + one) ** 2
    at = [int(np.abs(r - model.asymmetric).argmin()) for r in ratio]
    mean = (right - left) * model.mean_factor[at]
    pairs = np.stack([model.shapes[at], mean, left**2, right**2], axis=1)
    return np.concatenate([np.array([shape, np.sqrt(variance) ** 2], np.float32), pairs.ravel()])


def score(grey: NDArray[np.uint8], model: BrisqueModel) -> float | None:
    """BRISQUE of an image; None where it is too flat. Arguments as `features`."""
    found = features(grey, model)
    if found is None:
        return None
    scaled = -1 + 2 * (found.astype(np.float64) - _LOW) / (_HIGH - _LOW)
    distance = ((scaled[:, None] - model.vectors) ** 2).sum(0)
    return float(np.exp(-_GAMMA * distance) @ model.coefficients) - _RHO


class Brisque:
    """Annotator of BRISQUE on grey frames."""

    name = "brisque"
    version = "1"
    weights: tuple[str, ...] = ("brisque",)
    packages: tuple[str, ...] = ("torch",)
    needs_motion = False
    metrics = (
        Metric(
            "brisque", "1", None, None, "lower",
            "Distance of grey frames from the statistics of natural images (0 good, 100 bad, both can be passed), mean over the frames.",
            "Mittal et al., IEEE TIP 21 (2012); piq.brisque", per_frame=True,
        ),
    )  # fmt: skip

    def start(self, clip: ClipContext) -> _Session:
        """Open a session.

        Raises:
            MissingError: no weights, or no torch.
            WorkError: the file of weights holds something else.
        """
        from equime import weights  # noqa: PLC0415

        return _Session(clip, load_model(weights.require("brisque")))


class _Session:
    def __init__(self, clip: ClipContext, model: BrisqueModel) -> None:
        self._file, self._model = clip.source.file, model
        self._scores: list[float] = []
        self._small = False

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        self._small = min(frame.grey.shape) < MIN_SIDE_PX
        found = None if self._small else score(frame.grey, self._model)
        self._scores.append(np.nan if found is None else found)

    def finish(self) -> Row:
        """Mean over the frames that have a value."""
        scores = np.array(self._scores, np.float64)
        n_flat = int(np.isnan(scores).sum())
        notes = []
        if self._small:
            notes.append(("too_small", f"{self._file}: a side is under {MIN_SIDE_PX} px; no BRISQUE"))
        elif n_flat:
            text = f"{self._file}: {n_flat} of {scores.size} frames are too flat for BRISQUE and left out"
            notes.append(("flat_frame", text))
        return Row({"brisque": mean_or_none(scores)}, {"brisque": scores}, tuple(notes))
