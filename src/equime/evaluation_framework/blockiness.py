"""No-reference measures of single frames: how strongly a grid of 8 x 8 blocks shows, and how noisy they are.

Blocking follows Wang, Sheikh & Bovik (ICIP 2002): the mean absolute difference of neighbouring pixels across
the borders of blocks, B, against that inside of blocks, A. Two things differ. Their measure assumes that the
grid starts at pixel 0; a cropped or padded clip has it elsewhere, so all eight offsets are tried and the
strongest is taken. And the ratio is written as the contrast (B - A) / (B + A), which is bounded and has a value
where blocks are flat (A = 0).

The price of trying eight offsets is a small value above 0 for pictures without any grid: the largest of eight
noisy means. x264's deblocking filter hides much of the grid, so H.264 gives far lower values than JPEG at the
same loss. Blocks that were scaled after coding have another period than 8 px and are not found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK_PX: Final = 8

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def blockiness(grey: U8) -> float | None:
    """Contrast of pixel differences across and inside of the strongest 8-pixel grid, mean over both directions.

    Args:
        grey: uint8 (H, W).

    Returns:
        0 (no grid) to 1 (flat blocks); None for a picture that is flat in one direction, or smaller than three
        blocks.
    """
    if min(grey.shape) < 3 * BLOCK_PX:
        return None
    across, down = (_contrast(differences) for differences in _mean_differences(grey))
    return None if across is None or down is None else (across + down) / 2


def grid_offset(grey: U8) -> tuple[int, int]:
    """Where the strongest grid's first border lies: (x, y), 0 to 7 pixels from the left and the top."""
    x, y = ((int(_by_phase(d).argmax()) + 1) % BLOCK_PX for d in _mean_differences(grey))
    return x, y


def _mean_differences(grey: U8) -> tuple[F64, F64]:
    """Mean absolute differences of neighbouring columns (W - 1,) and of neighbouring rows (H - 1,)."""
    columns, rows = _difference_sums(grey)
    return columns / grey.shape[0], rows / grey.shape[1]


def _by_phase(differences: F64) -> F64:
    """Means (8,) of the differences at each distance from the grid; whole periods only."""
    n = differences.size // BLOCK_PX * BLOCK_PX
    means: F64 = differences[:n].reshape(-1, BLOCK_PX).mean(axis=0)
    return means


def _contrast(differences: F64) -> float | None:
    means = _by_phase(differences)
    border = float(means.max())
    if border == 0:
        return None
    inside = (float(means.sum()) - border) / (BLOCK_PX - 1)
    return (border - inside) / (border + inside)


def noise_sigma(grey: U8) -> float | None:
    """Standard deviation of the noise in a frame, grey levels, by Immerkaer's fast estimate.

    J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64 (1996): the mean
    absolute response to the difference of two Laplacians, which is 0 on planes. Fine texture (hair) adds to it
    and strong compression removes what it looks for, so compare clips of like content.

    Args:
        grey: uint8 (H, W).

    Returns:
        The estimate; None under 3 x 3 pixels.
    """
    if min(grey.shape) < 3:
        return None
    height, width = grey.shape
    return float(np.sqrt(np.pi / 2) * _laplacian_sum(grey) / (6 * (width - 2) * (height - 2)))


def _differences(grey: U8) -> tuple[I64, I64]:  # pragma: no cover
    """Sums of absolute differences between columns x, x + 1 and between rows y, y + 1."""
    height, width = grey.shape
    columns, rows = np.zeros(width - 1, np.int64), np.zeros(height - 1, np.int64)
    for top in range(0, height, 128):  # 128 differences fit 16 bits
        part = np.zeros(width - 1, np.uint16)
        for y in range(top, min(top + 128, height)):
            for x in range(width - 1):
                part[x] += np.uint16(abs(np.int16(grey[y, x + 1]) - np.int16(grey[y, x])))
        columns += part
    for y in range(height - 1):
        total = np.int32(0)
        for x in range(width):
            total += abs(np.int32(grey[y + 1, x]) - np.int32(grey[y, x]))
        rows[y] = total
    return columns, rows


def _laplacian(grey: U8) -> int:  # pragma: no cover
    """Sum of the absolute response to [1 -2 1] across and down."""
    height, width = grey.shape
    column = np.empty(width, np.int16)
    total = np.int64(0)
    for y in range(1, height - 1):
        for x in range(width):
            column[x] = (
                np.int16(grey[y - 1, x]) + np.int16(grey[y + 1, x]) - np.int16(2) * np.int16(grey[y, x])
            )
        row = np.int32(0)
        for x in range(1, width - 1):
            row += abs(np.int32(column[x - 1]) + np.int32(column[x + 1]) - np.int32(2) * np.int32(column[x]))
        total += np.int64(row)
    return int(total)


_options: Final[dict[str, Any]] = {"cache": True, "nogil": True, "boundscheck": False, "error_model": "numpy"}
_difference_sums: Callable[[U8], tuple[I64, I64]] = njit(**_options)(_differences)
_laplacian_sum: Callable[[U8], int] = njit(**_options)(_laplacian)
