"""Features of whole clips from a network trained on actions, for distances between sets of clips in the manner of FVD.

FVD (Unterthiner et al. 2018) is the Frechet distance between features of an I3D network. I3D's published file
is no part of any package, so this takes torchvision's R3D-18, trained on the same data (Kinetics-400). Distances by it
rank sets in the same way but are *not* FVD values and do not compare with published ones; name them
"Frechet distance of R3D-18 features".

The network sees `N_FRAMES` frames spread evenly over the clip. A micro-expression lasts 8 or 9 of 144 frames
at 24 fps, one of those that the network sees: the features tell of appearance, head motion and artefacts far more
than of the expression. `equime.evaluation_framework.set_distance` has the ones that look at the expression.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime import weights
from equime.annotation.annotators import ClipContext, Metric, Row
from equime.errors import InputError, WorkError
from equime.frames import Frame
from equime.torch_env import load, load_tensors, quiet, torch

N_FRAMES: Final = 16
"""Frames that the network sees, as in FVD."""

N_FEATURES: Final = 512
SIDE_PX: Final = 112
MEAN: Final = (0.43216, 0.394666, 0.37645)
STD: Final = (0.22803, 0.22145, 0.216989)
"""Of RGB in 0..1, as torchvision's weights were trained (``R3D_18_Weights.KINETICS400_V1``)."""

CAPACITY: Final = 512
"""Frames that a session keeps at most (each 38 kB); a longer clip is thinned by two until it fits."""

COLUMNS: Final = tuple(f"r3d_18_f{i:03d}" for i in range(N_FEATURES))


def video_features(frames_bgr: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features of one clip: the average-pooled last layer of R3D-18, at least 0.

    Args:
        frames_bgr: uint8 (H, W, 3) each, OpenCV's channel order; `N_FRAMES` of them are taken, evenly spread
            from the first to the last (fewer are repeated). Their shorter side becomes `SIDE_PX`, the middle is cut out.

    Returns:
        float32 (512,).

    Raises:
        InputError: no frames.
        MissingError, WorkError: as `equime.weights.require`.
    """
    if len(frames_bgr) == 0:
        raise InputError("video_features: no frames; give at least one")
    return _features([_small(frames_bgr[i]) for i in sampled(len(frames_bgr))])


def sampled(n_frames: int) -> list[int]:
    """Which frames of a clip the network sees."""
    return [round(x) for x in np.linspace(0, n_frames - 1, N_FRAMES)]


class DeepMotion:
    """Annotator ``deep_motion``: the features as columns, for `equime evaluate --against`."""

    name = "deep_motion"
    version = "1"
    weights: tuple[str, ...] = ("r3d_18",)
    packages: tuple[str, ...] = ("torch", "torchvision")
    needs_motion = False
    metrics: tuple[Metric, ...] = tuple(
        Metric(column, "1", 0.0, None, "none",
               f"Feature {i} of the clip in R3D-18; for distances between sets, no meaning of its own.",
               "Tran et al., CVPR 2018; torchvision r3d_18 KINETICS400_V1")
        for i, column in enumerate(COLUMNS)
    )  # fmt: skip

    def start(self, clip: ClipContext) -> _Session:
        """Open a session; the network is built once for a process."""
        model(weights.require("r3d_18"))
        return _Session()


class _Session:
    def __init__(self) -> None:
        self._kept: list[NDArray[np.uint8]] = []
        self._every = 1
        self._n_frames = 0

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        if self._n_frames % self._every == 0:
            if len(self._kept) == CAPACITY:
                self._kept = self._kept[::2]
                self._every *= 2
            if self._n_frames % self._every == 0:
                self._kept.append(_small(frame.bgr))
        self._n_frames += 1

    def finish(self) -> Row:
        """The features."""
        last = len(self._kept) - 1
        chosen = [self._kept[min(last, round(i / self._every))] for i in sampled(self._n_frames)]
        values = dict(zip(COLUMNS, _features(chosen).tolist(), strict=True))
        few = f"the clip has {self._n_frames} frames, the network sees {N_FRAMES}; some are repeated"
        return Row({**values}, notes=(("few_frames", few),) if self._n_frames < N_FRAMES else ())


def _small(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (112, 112, 3) RGB."""
    height, width = bgr.shape[:2]
    scale = SIDE_PX / min(height, width)
    size = (max(SIDE_PX, round(width * scale)), max(SIDE_PX, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(bgr, size, interpolation=method)
    top, left = (resized.shape[0] - SIDE_PX) // 2, (resized.shape[1] - SIDE_PX) // 2
    middle = resized[top : top + SIDE_PX, left : left + SIDE_PX, ::-1]
    return np.ascontiguousarray(middle, np.uint8)


def _features(small_rgb: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    network = model(weights.require("r3d_18"))
    rgb = np.stack(small_rgb).astype(np.float32) / 255
    x = (rgb - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    clip = torch().from_numpy(np.ascontiguousarray(x.transpose(3, 0, 1, 2)))[None]  # (1, RGB, T, H, W)
    with torch().inference_mode():
        return np.asarray(network(clip)[0].numpy(), np.float32)


@functools.lru_cache(maxsize=1)
def model(file: Path) -> Any:
    """Torchvision's R3D-18 without its classifier.

    Raises:
        WorkError: the file holds something else.
    """
    with quiet(), torch().device("meta"):
        network = load("torchvision.models.video").r3d_18(weights=None)
    try:
        network.load_state_dict(load_tensors(file), assign=True)
    except (RuntimeError, TypeError) as error:
        raise WorkError(f"{file}: is no R3D-18 of torchvision; run `equime weights fetch r3d_18`") from error
    network.fc = torch().nn.Identity()
    return network.eval()
