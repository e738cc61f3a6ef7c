"""Compiled loops of STSTNet's training; see `equime.baselines.fold_batches`.

The picture is walked through in strips of three rows, which is what a pooling window covers, so that convolution,
ReLU, the statistics of batch normalisation, maximum, dropout and averaging never leave the first level of cache.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from equime.baselines.fold_vectors import (
    CHANNELS,
    LINES,
    OUT,
    PRODUCT,
    ROW,
    SIDE,
    TAPS,
    TILES,
    WIDE,
    add_peak,
    collect_row,
    convolve_six,
    grade_six,
    pool_window,
    transform_row,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U16 = NDArray[np.uint16]
Rows = NDArray[np.int64]

POOLED: Final = 10
"""Side after pooling (3x3, stride 3, padding 1)."""

CELLS: Final = 5
"""Side after averaging 2x2."""

_HALF = 52  # values of the even or the odd pixels of a row, and of those on either side
_STRIPS = 11  # the eleventh holds the last row, which no pooling window reaches but statistics count
_LOW = np.float32(-1e30)
_ZERO = np.float32(0)

_jit = njit(
    cache=True,
    nogil=True,
    boundscheck=False,
    error_model="numpy",
    fastmath={"contract", "reassoc", "nsz", "arcp"},
)


def split_columns(images: F32) -> F32:
    """Even and odd pixels of each row (N, 28, 2, 52), 0..255, zero pixels before and after, of (N, 28, 28, 3) 0..1."""
    split = np.zeros((len(images), SIDE, 2, _HALF), np.float32)
    pixels = images.reshape(-1, SIDE, SIDE // 2, 2, 3).swapaxes(2, 3)
    split[..., 3:45] = np.float32(255) * pixels.reshape(-1, SIDE, 2, 42)
    return split


@_jit
def transform_image(images: F32, row: int, image: F32) -> None:  # pragma: no cover
    """The first factors of an image, with two rows of zeros above and below.

    Args:
        images, row: split, and which.
        image: (32 * ROW) out; its first and last two rows are zeros and stay so.
    """
    for y in range(SIDE):
        to = (y + 2) * ROW
        for e in range(PRODUCT):
            even, odd = images[row, y, 0, e], images[row, y, 1, e]
            even_next, odd_next = images[row, y, 0, e + 3], images[row, y, 1, e + 3]
            image[to + e] = even - even_next
            image[to + PRODUCT + e] = odd + even_next
            image[to + 2 * PRODUCT + e] = even_next - odd
            image[to + 3 * PRODUCT + e] = odd_next - odd


def transform_weights(taps: F32) -> F32:
    """The second factors (4 * 9 * 16), product, row, channel, map, of weights (27, 16)."""
    left, middle, right = taps.reshape(3, 3, 3, CHANNELS).swapaxes(0, 1)
    half = np.float32(0.5)
    return np.stack([left, half * (left + middle + right), half * (left - middle + right), right]).reshape(-1)


def weights_gradient(gradient: F32) -> F32:
    """The gradient of weights (27, 16) from that of the second factors (4 * 9 * 16)."""
    zeroth, first, second, third = gradient.reshape(4, 3, 3, CHANNELS)
    half = np.float32(0.5) * (first + second)
    taps = np.stack([zeroth + half, np.float32(0.5) * (first - second), half + third], axis=1)
    return taps.reshape(TAPS, CHANNELS)


@_jit
def _outside(i: int, j: int, low: F32) -> None:  # pragma: no cover
    """What shuts out the values (9) of window j of strip i that lie outside of the output."""
    for t in range(9):
        low[t] = _LOW if (i == 0 and t < 3) or (j == 0 and t % 3 == 0) else _ZERO


@_jit
def forward(
    images: F32, rows: Rows, words: U16, weights: F32, channels: F32, pooled: F32, kept: F32, sums: F64
) -> None:  # pragma: no cover
    """Convolution, ReLU, maximum, dropout and averaging of a batch; and the sums that normalisation needs.

    Args:
        images: (N, 28, 2, 52), split.
        rows: (B,) which of them.
        words: (B * 100), of 16 bits: which channels dropout keeps at each pooled position.
        weights: (36 * 16), transformed.
        channels: (2, 16) bias; and sign of the normalisation's factor: where it is negative, the maximum of the
            normalised value is the minimum of the ReLU.
        pooled: (B * 25 * 16) out: sum over each cell of what is kept of the maxima.
        kept: (B * 25 * 16) out: how many are kept.
        sums: (2, 16) out: of the ReLU and of its square over all positions.
    """
    image, low = np.zeros(32 * ROW, np.float32), np.zeros(9, np.float32)
    values, own = np.zeros(3 * WIDE, np.float32), np.zeros(2 * CHANNELS, np.float32)
    weights, bias, sign = weights.copy(), channels[0].copy(), channels[1].copy()
    pooled[:] = 0
    kept[:] = 0
    sums[:] = 0
    for s in range(rows.shape[0]):
        transform_image(images, rows[s], image)
        own[:] = 0
        for i in range(_STRIPS):
            for y in range(max(0, 3 * i - 1), min(OUT, 3 * i + 2)):
                for x in range(0, OUT, 6):
                    to = (y + 1 - 3 * i) * WIDE + (x + 1) * CHANNELS
                    convolve_six(image, y * ROW + 3 * (x // 2), weights, bias, values, to, own)
            if i < POOLED:
                for j in range(POOLED):
                    _outside(i, j, low)
                    cell = ((s * CELLS + i // 2) * CELLS + j // 2) * CHANNELS
                    word = words[(s * POOLED + i) * POOLED + j]
                    pool_window(values, 3 * j * CHANNELS, sign, low, word, pooled, kept, cell)
        for k in range(2):
            for c in range(CHANNELS):
                sums[k, c] += own[k * CHANNELS + c]


@_jit
def backward(
    images: F32, rows: Rows, words: U16, weights: F32, channels: F32, through: F32, gradient: F32
) -> None:  # pragma: no cover
    """Gradients of the convolution.

    Args:
        images, rows, words, weights: as `forward`.
        channels: (5, 16) bias; sign; offset and slope: the gradient of every active ReLU is ``offset + slope *
            value``, by way of the statistics; factor of what comes through.
        through: (B * 25 * 16) gradient of each cell.
        gradient: (37 * 16) out: of the transformed weights, then of the bias.
    """
    image, low = np.zeros(32 * ROW, np.float32), np.zeros(9, np.float32)
    values, grad = np.zeros(3 * WIDE, np.float32), np.zeros(3 * WIDE, np.float32)
    own, of_bias = np.zeros(4 * LINES * CHANNELS, np.float32), np.zeros(CHANNELS, np.float32)
    weights, bias, sign = weights.copy(), channels[0].copy(), channels[1].copy()
    factor = channels[4].copy()
    lines, given = channels[2:4].copy().reshape(-1), np.empty(2 * TILES * CHANNELS, np.float32)
    gradient[:] = 0
    for s in range(rows.shape[0]):
        transform_image(images, rows[s], image)
        own[:] = 0
        of_bias[:] = 0
        for i in range(_STRIPS):
            inside = range(max(0, 3 * i - 1), min(OUT, 3 * i + 2))
            for y in inside:
                for x in range(0, OUT, 6):
                    to = (y + 1 - 3 * i) * WIDE + (x + 1) * CHANNELS
                    grade_six(image, y * ROW + 3 * (x // 2), weights, bias, lines, values, grad, to)
            if i < POOLED:
                for j in range(POOLED):
                    _outside(i, j, low)
                    cell = ((s * CELLS + i // 2) * CELLS + j // 2) * CHANNELS
                    word = words[(s * POOLED + i) * POOLED + j]
                    add_peak(values, 3 * j * CHANNELS, sign, low, word, factor, through, cell, grad)
            for y in inside:
                at = (y + 1 - 3 * i) * WIDE + CHANNELS
                transform_row(grad, at, given, of_bias)
                for dy in range(3):
                    collect_row(grad, at, given, image, (y + dy) * ROW, own, 3 * dy * CHANNELS)
        for k in range(own.shape[0]):
            gradient[k] += own[k]
        for c in range(CHANNELS):
            gradient[own.shape[0] + c] += of_bias[c]
