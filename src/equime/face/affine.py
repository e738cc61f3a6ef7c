"""Affine maps of the picture's plane, float64 (2, 3): x to ``M[:, :2] @ x + M[:, 2]``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def compose(outer: F64, inner: F64) -> F64:
    """The map that does ``inner``, then ``outer``."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def inverse(affine: F64) -> F64:
    """The map that undoes it. Raises `numpy.linalg.LinAlgError` where it is flat."""
    turn = np.linalg.inv(affine[:, :2])
    return np.column_stack([turn, -turn @ affine[:, 2]])


def apply(affine: F64, points: F64) -> F64:
    """Points (n, 2), mapped."""
    moved: F64 = points @ affine[:, :2].T + affine[:, 2]
    return moved
