"""Flow images from onset to apex: u, v and optical strain, as the published flow folders hold them.

How the published pictures were made, as far as their authors and those who rebuilt them say (Liong et al. 2019,
STSTNet, MATLAB; SoftNet-SpotME and the flows of CAS(ME)^3 in Python): TV-L1 from the onset to the apex frame on the
cropped face at its own size, strain from that field at the same size, all three resized, each scaled by its
minimum and maximum. MATLAB's ``imresize`` averages when it shrinks, OpenCV's bilinear resize does not and keeps
one pixel in ten; here it is `cv2.INTER_AREA`, which averages as MATLAB does.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.baselines.strain import min_max, optical_strain
from equime.errors import InputError

Grey = NDArray[np.uint8]
F32 = NDArray[np.float32]
Method = Literal["tvl1", "dis"]
StrainAt = Literal["full", "resized"]

METHODS: Final = ("tvl1", "dis")

MAX_PX: Final = 256
"""Longer side at which flow is computed by default; larger crops are averaged down first."""

SMALLEST_PX: Final = 16
"""Below this, there is nothing to follow, and DIS refuses."""

_OWN = threading.local()


@contextlib.contextmanager
def one_thread() -> Generator[None]:
    """OpenCV with one thread: DIS divides the picture by their number, and its result depends on it."""
    before = cv2.getNumThreads()
    if before == 1:
        yield
        return
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def flow_field(first: Grey, second: Grey, method: Method = "tvl1") -> F32:
    """Dense optical flow from one picture to another, the same for any number of threads.

    Args:
        first, second: uint8 (H, W), at least `SMALLEST_PX` a side.
        method: "tvl1": TV-L1 (Zach et al. 2007) with OpenCV's defaults, what the flow folders were made with
            (`equime.baselines.tvl1`, the same numbers sooner);
            "dis": dense inverse search (Kroeger et al. 2016) at full resolution, about 3 times faster.

    Returns:
        (H, W, 2): u to the picture's right, v downwards, pixels.

    Raises:
        InputError: another method, or pictures of different or too small size.
    """
    if first.shape != second.shape or first.ndim != 2 or min(first.shape) < SMALLEST_PX:
        raise InputError(
            f"flow between pictures of shape {first.shape} and {second.shape}; both must be grey, of one size "
            f"and at least {SMALLEST_PX} px a side"
        )
    if method not in METHODS:
        raise InputError(f"optical flow {method!r} is not known; use {' or '.join(METHODS)}")
    first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
    with one_thread():
        if method == "tvl1":
            from equime.baselines.tvl1 import tvl1_flow  # noqa: PLC0415

            return tvl1_flow(first, second)
        return np.asarray(_dis().calc(first, second, None), np.float32)


def _dis() -> Any:
    """OpenCV's object, one per thread: it keeps buffers between calls.

    At full resolution, with ten rounds of refinement: nearer to the truth than TV-L1 on warped faces, where the
    presets, which stop at half the resolution, are further from it (``bench/flow_features.py --settings``).
    """
    if "dis" in _OWN.__dict__:
        return _OWN.dis
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    dis.setPatchStride(4)
    dis.setVariationalRefinementIterations(10)
    _OWN.dis = dis
    return dis


def flow_image(
    onset: Grey,
    apex: Grey,
    *,
    size_px: int = 28,
    method: Method = "tvl1",
    max_px: int = MAX_PX,
    strain: StrainAt = "full",
) -> F32:
    """The flow image of two cropped frames: what recognisers of kind "flow" look at.

    Args:
        onset, apex: uint8 (H, W), the same crop of the two frames.
        size_px: S.
        method: see `flow_field`.
        max_px: longer side at which flow is computed; 0 for the crop's own.
        strain: "full": from the field at full size, then resized, as published; "resized": from the resized
            field.

    Returns:
        (S, S, 3): u, v, strain, each 0..1; a channel without any movement is 0.
    """
    first, second = shrunk(onset, max_px), shrunk(apex, max_px)
    return image_of_field(flow_field(first, second, method), size_px=size_px, strain=strain)


def image_of_field(flow: F32, *, size_px: int = 28, strain: StrainAt = "full") -> F32:
    """The flow image of a field (H, W, 2). Arguments as `flow_image`."""
    return min_max(raw_image(flow, size_px=size_px, strain=strain))


def raw_image(flow: F32, *, size_px: int = 28, strain: StrainAt = "full") -> F32:
    """As `image_of_field`, before scaling: u, v in pixels of the field, and strain."""
    if strain == "full":
        full = np.dstack([flow, optical_strain(flow)])
        return np.asarray(resized(full, size_px), np.float32)
    small = np.asarray(resized(flow, size_px), np.float32)
    return np.dstack([small, optical_strain(small)])


def resized(image: NDArray[Any], size_px: int) -> Any:
    """Any picture as a square of ``size_px``: averaged where it shrinks, else bilinear."""
    height, width = image.shape[:2]
    area = min(height, width) >= size_px
    how = cv2.INTER_AREA if area else cv2.INTER_LINEAR
    return cv2.resize(image, (size_px, size_px), interpolation=how)


def shrunk(image: Grey, max_px: int) -> Grey:
    """A picture whose longer side is at most ``max_px`` (0: as it is), averaged down."""
    longer = max(image.shape[:2])
    if not max_px or longer <= max_px:
        return image
    height, width = (max(1, round(side * max_px / longer)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
