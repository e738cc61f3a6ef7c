"""Optical strain of a flow field, and the scaling of flow images.

Strain is the symmetric part of the field's gradient, e = 1/2 (grad u + grad u^T); its magnitude is
sqrt(exx^2 + eyy^2 + 2 exy^2) (Shreve et al. 2011; Liong et al. 2014, 2019).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def optical_strain(flow: F32) -> F32:
    """Magnitude of the optical strain of a field.

    Derivatives are differences to the pixel before, as in the published codes, so the first row and column
    repeat nothing of a neighbour: they are 0.

    Args:
        flow: (H, W, 2) displacement in pixels.

    Returns:
        (H, W), pixels of displacement per pixel, not negative.
    """
    along_x, along_y = np.zeros_like(flow), np.zeros_like(flow)
    np.subtract(flow[:, 1:], flow[:, :-1], out=along_x[:, 1:])
    np.subtract(flow[1:], flow[:-1], out=along_y[1:])
    shear = along_y[..., 0] + along_x[..., 1]  # 2 exy
    squared = along_x[..., 0] ** 2 + along_y[..., 1] ** 2 + np.float32(0.5) * shear**2
    return np.asarray(np.sqrt(squared), np.float32)


def min_max(image: F32) -> F32:
    """Each channel shifted and scaled to 0..1; a channel that is constant (or nearly: below 1e-6) becomes 0.

    Args:
        image: (H, W, K).
    """
    low, high = image.min(axis=(0, 1)), image.max(axis=(0, 1))
    span = high - low
    moves = span > 1e-6
    scaled = (image - low) / np.where(moves, span, np.float32(1))
    return np.asarray(np.where(moves, scaled, np.float32(0)), np.float32)
