"""Compiled loops of the image metrics: one pass over memory each, one thread, nothing of torch.

What can be counted is counted in whole numbers (differences, box sums, gradients), so those sums are exact and
do not depend on their order. `mscn_sums` follows PIQ's arithmetic operation by operation, because in flat areas
BRISQUE hangs on its last bit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SSIM_WINDOW: Final = 7
"""Side of the uniform window, scikit-image's default."""

_N = SSIM_WINDOW * SSIM_WINDOW
# (K L)^2 of Wang et al. 2004 with K1 = 0.01, K2 = 0.03, L = 255, times the factors that make the rest whole.
_C1 = (0.01 * 255) ** 2 * _N * _N
_C2 = (0.03 * 255) ** 2 * _N * (_N - 1)
_BLOCK = 1 << 14  # squares of 16,384 differences fit 32 bits

_jit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
# The order of a sum may change, which lets it use vector registers; it moves the result by its last bits.
_sums = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy", fastmath={"reassoc", "nsz"})
# Product and sum in one rounding, as oneDNN's convolution does.
_fused = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy", fastmath={"contract"})


@_jit
def squared_differences(a: U8, b: U8) -> tuple[int, int]:  # pragma: no cover
    """Sums of squared differences of two images of the same shape.

    Returns:
        The exact sum of ``(a - b)^2``; and the sum of what ``(a - b) ** 2`` gives in uint8, where difference
        and square wrap modulo 256.
    """
    flat_a, flat_b = a.reshape(-1), b.reshape(-1)
    exact, wrapped = 0, 0
    for start in range(0, flat_a.size, _BLOCK):
        s, w = np.int32(0), np.int32(0)
        for i in range(start, min(start + _BLOCK, flat_a.size)):
            d = np.int32(flat_a[i]) - np.int32(flat_b[i])
            square = np.int32(d * d)
            s = np.int32(s + square)
            w = np.int32(w + (square & np.int32(255)))
        exact += int(s)
        wrapped += int(w)
    return exact, wrapped


@_jit
def squared_gradients(a: U8) -> int:  # pragma: no cover
    """Exact sum of the squared differences of horizontal and of vertical neighbours, uint8 (H, W).

    Rows may have up to 66,000 pixels, so that a row's sum fits 32 bits.
    """
    height, width = a.shape
    total = 0
    for y in range(height):
        row, below = a[y], a[min(y + 1, height - 1)]  # the last row is compared with itself
        down, across = np.uint32(0), np.uint32(0)
        for x in range(width):
            d = np.int32(below[x]) - np.int32(row[x])
            down = np.uint32(down + np.uint32(d * d))
        for x in range(width - 1):
            d = np.int32(row[x + 1]) - np.int32(row[x])
            across = np.uint32(across + np.uint32(d * d))
        total += int(down) + int(across)
    return total


@_jit
def _slide(columns: I32, a: U8, b: U8, sign: int) -> None:  # pragma: no cover
    """Add a row to the column sums of a, b, a^2 + b^2 and ab, or take it off."""
    s = np.int32(sign)
    sum_a, sum_b, sum_squares, sum_ab = columns[0], columns[1], columns[2], columns[3]
    for x in range(a.size):
        p, q = np.int32(a[x]), np.int32(b[x])
        sum_a[x] += np.int32(s * p)
        sum_b[x] += np.int32(s * q)
        sum_squares[x] += np.int32(s * np.int32(np.int32(p * p) + np.int32(q * q)))
        sum_ab[x] += np.int32(s * np.int32(p * q))


@_jit
def _window(c: I32, x: int) -> np.int32:  # pragma: no cover
    """Sum of seven neighbouring column sums."""
    return np.int32(c[x] + c[x + 1] + c[x + 2] + c[x + 3] + c[x + 4] + c[x + 5] + c[x + 6])


@_sums
def _ssim_row(columns: I32) -> float:  # pragma: no cover
    """Sum of the structural similarity over a row of windows.

    With box sums S over N pixels and sample covariance, the formula times N^2 (its first factor) and N (N - 1)
    (its second) holds whole numbers only; all of them fit 32 bits.
    """
    sum_a, sum_b, sum_squares, sum_ab = columns[0], columns[1], columns[2], columns[3]
    n = np.int32(_N)
    total = 0.0
    for x in range(sum_a.size - SSIM_WINDOW + 1):
        a, b = _window(sum_a, x), _window(sum_b, x)
        ab = np.int32(a * b)
        squares = np.int32(np.int32(a * a) + np.int32(b * b))
        covariance = np.int32(np.int32(n * _window(sum_ab, x)) - ab)
        variances = np.int32(np.int32(n * _window(sum_squares, x)) - squares)
        top = (2.0 * np.float64(ab) + _C1) * (2.0 * np.float64(covariance) + _C2)
        bottom = (np.float64(squares) + _C1) * (np.float64(variances) + _C2)
        total += top / bottom
    return total


@_jit
def ssim(a: U8, b: U8) -> float:  # pragma: no cover
    """Mean structural similarity of two uint8 (H, W) images, both sides at least `SSIM_WINDOW`.

    As ``skimage.metrics.structural_similarity`` by default: uniform 7 x 7 window, sample covariance, data range
    255, mean over the windows that lie inside the image.
    """
    height, width = a.shape
    columns = np.zeros((4, width), np.int32)
    for y in range(SSIM_WINDOW - 1):
        _slide(columns, a[y], b[y], 1)
    total = 0.0
    for y in range(height - SSIM_WINDOW + 1):
        _slide(columns, a[y + SSIM_WINDOW - 1], b[y + SSIM_WINDOW - 1], 1)
        total += _ssim_row(columns)
        _slide(columns, a[y], b[y], -1)
    return float(total / ((height - SSIM_WINDOW + 1) * (width - SSIM_WINDOW + 1)))


@_fused
def _add_taps(row: F32, k: F32, mean: F32, square: F32) -> None:  # pragma: no cover
    """Add one row of a 7 x 7 kernel to the running convolutions of an image row and of its square."""
    k0, k1, k2, k3, k4, k5, k6 = k[0], k[1], k[2], k[3], k[4], k[5], k[6]
    for x in range(mean.size):
        v0, v1, v2, v3 = row[x], row[x + 1], row[x + 2], row[x + 3]
        v4, v5, v6 = row[x + 4], row[x + 5], row[x + 6]
        m, s = mean[x] + k0 * v0, square[x] + k0 * (v0 * v0)
        m, s = m + k1 * v1, s + k1 * (v1 * v1)
        m, s = m + k2 * v2, s + k2 * (v2 * v2)
        m, s = m + k3 * v3, s + k3 * (v3 * v3)
        m, s = m + k4 * v4, s + k4 * (v4 * v4)
        m, s = m + k5 * v5, s + k5 * (v5 * v5)
        m, s = m + k6 * v6, s + k6 * (v6 * v6)
        mean[x], square[x] = m, s


@_jit
def _normalise(row: F32, mean: F32, square: F32, out: F32) -> None:  # pragma: no cover
    one = np.float32(1)
    for x in range(mean.size):
        m = mean[x]
        out[x] = (row[x] - m) / (np.sqrt(np.abs(square[x] - m * m)) + one)


@_sums
def _add_moments(row: F32, moments: F64) -> None:  # pragma: no cover
    size, square = np.float32(0), np.float32(0)
    for x in range(row.size):
        size += np.abs(row[x])
        square += row[x] * row[x]
    moments[0] += size
    moments[1] += square


@_sums
def _add_products(a: F32, b: F32, sums: F64) -> None:  # pragma: no cover
    zero = np.float32(0)
    left, right, size = zero, zero, zero
    n_left, n_right = np.int32(0), np.int32(0)
    for x in range(a.size):
        p = a[x] * b[x]
        below = p if p < zero else zero
        above = p if p > zero else zero
        left += below * below
        right += above * above
        size += above - below
        n_left = np.int32(n_left + np.int32(p < zero))
        n_right = np.int32(n_right + np.int32(p > zero))
    sums[0] += left
    sums[1] += right
    sums[2] += size
    sums[3] += n_left
    sums[4] += n_right


@_jit
def _add_vertical(row: F32, above: F32, products: F64) -> None:  # pragma: no cover
    _add_products(row[1:], above[1:], products[1])
    _add_products(row[1:], above[:-1], products[2])
    _add_products(row[:-1], above[1:], products[3])


@_jit
def mscn_sums(image: F32, kernel: F32) -> tuple[F64, F64]:  # pragma: no cover
    """What BRISQUE fits its distributions to: sums over the mean-subtracted contrast-normalised coefficients.

    Coefficients are ``(I - mu) / (sigma + 1)`` with mu and sigma^2 the mean and variance under a Gaussian window,
    zeros outside of the image; for the products the image wraps round at its edges. In an area of one grey level
    I - mu is the rounding error of mu, and its sign moves the features by far more than the tolerance; hence mu
    is summed as PIQ's convolution sums it: float32, tap by tap along the rows, product and sum in one rounding.

    Only a few rows are held: whole planes would cost more in memory traffic than in arithmetic.

    Args:
        image: (H, W), grey levels.
        kernel: (7, 7) window, sums to 1.

    Returns:
        (2,): sums of the absolute values and of the squares; and (4, 5) for the products with the left, upper,
        upper left and upper right neighbour: sum of the squares of the negative ones, of the positive ones, sum
        of the absolute values, number of negative and of positive ones.
    """
    height, width = image.shape
    moments, products = np.zeros(2), np.zeros((4, 5))
    padded = np.zeros((7, width + 6), np.float32)  # image row r is in row r % 7
    mean, square = np.empty(width, np.float32), np.empty(width, np.float32)
    first, above = np.empty(width + 1, np.float32), np.empty(width + 1, np.float32)
    row = np.empty(width + 1, np.float32)
    for y in range(-3, height):
        if y + 3 < height:
            padded[(y + 3) % 7, 3:-3] = image[y + 3]
        if y < 0:
            continue
        mean[:] = 0
        square[:] = 0
        for r in range(max(y - 3, 0), min(y + 4, height)):
            _add_taps(padded[r % 7], kernel[r - y + 3], mean, square)
        _normalise(image[y], mean, square, row[1:])
        row[0] = row[width]  # the left neighbour of the first
        _add_moments(row[1:], moments)
        _add_products(row[1:], row[:-1], products[0])
        if y == 0:
            first[:] = row
        else:
            _add_vertical(row, above, products)
        above[:] = row
    _add_vertical(first, above, products)
    return moments, products


@_jit
def _add_weighted(row: F32, weight: np.float32, out: F32) -> None:  # pragma: no cover
    for x in range(row.size):
        out[x] += weight * row[x]


@_jit
def resample_rows(image: F32, index: I64, weight: F32) -> F32:  # pragma: no cover
    """Every row of the result as a weighted sum of rows of the image, in the order of the taps.

    Args:
        image: (H, W).
        index: (n, taps) rows of ``image``.
        weight: (n, taps).

    Returns:
        (n, W).
    """
    out = np.zeros((index.shape[0], image.shape[1]), np.float32)
    for i in range(index.shape[0]):
        for t in range(index.shape[1]):
            if weight[i, t] != 0:
                _add_weighted(image[index[i, t]], weight[i, t], out[i])
    return out
