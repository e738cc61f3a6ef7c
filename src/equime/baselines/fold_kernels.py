"""Compiled inner loops of STSTNet's training for many folds at once; see `equime.baselines.fold_batches`.

Sixteen channels of a fold lie side by side, then those of the next fold: a *lane* is one channel of one fold. Every
loop over lanes runs in vector registers, and what it is multiplied with, a value of the image, is the same for all
lanes. The picture is walked through by pooling windows of 3x3 positions, so that convolution, ReLU, the statistics
of batch normalisation and the maximum need no memory beyond the window.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U16 = NDArray[np.uint16]
I32 = NDArray[np.int32]

CHANNELS: Final = 16
"""Output channels of a fold's convolution."""

FOLDS: Final = 6
"""Folds that are trained side by side; fixed, so that the compiler knows all distances in memory."""

LANES: Final = CHANNELS * FOLDS
"""Channels of all of them."""

TAPS: Final = 27
"""3x3 over 3 input channels."""

SIDE: Final = 28
"""Of the image, in pixels."""

OUT: Final = 30
"""Side of the convolution's output (padding 2)."""

POOLED: Final = 10
"""Side after pooling (3x3, stride 3, padding 1)."""

CELLS: Final = 5
"""Side after averaging 2x2."""

_WINDOWS = (
    11  # the eleventh holds the last row and column, which no pooling window reaches but statistics count
)
_PADDED = 36

# Rows of what every lane has, in one array, so that the compiler can see that they do not overlap.
_FIRST, _SECOND, _BEST, _SIGN, _WHERE, _KEPT = 0, LANES, 2 * LANES, 3 * LANES, 4 * LANES, 5 * LANES
_OFFSET, _SLOPE, _MEMBER, _D_BIAS = 6 * LANES, 7 * LANES, 8 * LANES, 9 * LANES
_N_ROWS = 10

_ZERO = np.float32(0)
_OUTSIDE = np.float32(-1e30)  # what a position outside of the output adds to its value before the maximum

_jit = njit(
    cache=True,
    nogil=True,
    boundscheck=False,
    error_model="numpy",
    fastmath={"contract", "reassoc", "nsz", "arcp"},
)


@_jit
def _add(out: F32, rows: F32, p: F32, q: F32, r: F32) -> None:  # pragma: no cover
    """For three rows of lanes, ``out[o] += sum over a, b < 3 of rows[a][b] * (p, q, r)[a][b + o]``.

    The loop that everything waits for: three neighbouring positions of a convolution from three channels and columns,
    or the gradients of three neighbouring taps from the nine positions of a window.
    """
    p0, p1, p2, p3, p4 = p[0], p[1], p[2], p[3], p[4]
    q0, q1, q2, q3, q4 = q[0], q[1], q[2], q[3], q[4]
    r0, r1, r2, r3, r4 = r[0], r[1], r[2], r[3], r[4]
    for lane in range(LANES):
        a, b, c = rows[lane], rows[LANES + lane], rows[2 * LANES + lane]
        d, e, f = rows[3 * LANES + lane], rows[4 * LANES + lane], rows[5 * LANES + lane]
        g, h, i = rows[6 * LANES + lane], rows[7 * LANES + lane], rows[8 * LANES + lane]
        out[lane] += a * p0 + b * p1 + c * p2 + d * q0 + e * q1 + f * q2 + g * r0 + h * r1 + i * r2
        out[LANES + lane] += a * p1 + b * p2 + c * p3 + d * q1 + e * q2 + f * q3 + g * r1 + h * r2 + i * r3
        out[2 * LANES + lane] += (
            a * p2 + b * p3 + c * p4 + d * q2 + e * q3 + f * q4 + g * r2 + h * r3 + i * r4
        )


@_jit
def _convolve(
    padded: F32, i: int, j: int, weights: F32, bias: F32, z: F32, outside: F32
) -> None:  # pragma: no cover
    """Values (3, 3 * LANES) at the positions of window (i, j).

    Outside of the output it is -1, which no ReLU passes, and ``outside`` (9) is `_OUTSIDE` instead of 0.
    """
    for ty in range(3):
        y = 3 * i + ty
        for tx in range(3):
            for lane in range(LANES):
                z[ty, tx * LANES + lane] = bias[lane]
        if 1 <= y <= OUT:
            for dy in range(3):
                rows = padded[y + dy]
                _add(
                    z[ty],
                    weights[dy],
                    rows[0, 3 * j : 3 * j + 5],
                    rows[1, 3 * j : 3 * j + 5],
                    rows[2, 3 * j : 3 * j + 5],
                )
        for tx in range(3):
            x = 3 * j + tx
            inside = 1 <= y <= OUT and 1 <= x <= OUT
            outside[3 * ty + tx] = _ZERO if inside else _OUTSIDE
            if not inside:
                for lane in range(LANES):
                    z[ty, tx * LANES + lane] = -1


@_jit
def _count(z: F32, outside: F32, state: F32) -> None:  # pragma: no cover
    """Add a window to the sums, and find its maximum."""
    for lane in range(LANES):
        first, second, best = state[_FIRST + lane], state[_SECOND + lane], _OUTSIDE
        for t in range(9):
            r = z[t * LANES + lane] if z[t * LANES + lane] > 0 else _ZERO
            first += r
            second += r * r
            value = r * state[_SIGN + lane] + outside[t]
            best = value if value > best else best
        state[_FIRST + lane] = first
        state[_SECOND + lane] = second
        state[_BEST + lane] = best


@_jit
def _keep(bits: U16, window: int, state: F32) -> None:  # pragma: no cover
    """What dropout keeps of a window: 0 or 1 per lane, from a word per fold."""
    for f in range(FOLDS):
        word = np.int32(bits[f, window])
        for c in range(CHANNELS):
            state[_KEPT + f * CHANNELS + c] = np.float32((word >> np.int32(c)) & np.int32(1))


@_jit
def _pool(state: F32, pooled: F32, kept: F32) -> None:  # pragma: no cover
    """Add what is kept of a window to its cell."""
    for lane in range(LANES):
        pooled[lane] += state[_KEPT + lane] * state[_BEST + lane] * state[_SIGN + lane]
        kept[lane] += state[_KEPT + lane]


@_jit
def forward(
    images: F32, bits: U16, member: F32, weights: F32, lanes: F32, pooled: F32, kept: F32, sums: F64
) -> None:  # pragma: no cover
    """Convolution, ReLU, maximum, dropout and averaging of a batch; and the sums that normalisation needs.

    Args:
        images: (U, 28, 3, 28) all images that are in the batch of some fold: row, channel, column.
        bits: (U, FOLDS, 100) words of 16 bits, what dropout keeps at each pooled position.
        member: (U, LANES) 1 where the image is in the batch of the lane's fold, else 0.
        weights: (3, 9 * LANES), a row of lanes per tap: by the tap's row; then channel, column.
        lanes: (2, LANES) bias; and sign of the normalisation's factor: where it is negative, the maximum of the
            normalised value is the minimum of the ReLU.
        pooled: (U, 25, LANES) out: sum over each cell of what is kept of the maxima.
        kept: (U, 25, LANES) out: how many are kept.
        sums: (2, LANES) out: sums of the ReLU and of its square over all positions.
    """
    padded = np.zeros((_PADDED, 3, _PADDED), np.float32)
    outside = np.zeros(9, np.float32)
    z, state = np.zeros((3, 3 * LANES), np.float32), np.zeros(_N_ROWS * LANES, np.float32)
    bias = lanes[0]
    state[_SIGN : _SIGN + LANES] = lanes[1]
    sums[:] = 0
    pooled[:] = 0
    kept[:] = 0
    for s in range(images.shape[0]):
        padded[3 : 3 + SIDE, :, 3 : 3 + SIDE] = images[s]
        state[: 2 * LANES] = 0
        for i in range(_WINDOWS):
            for j in range(_WINDOWS):
                _convolve(padded, i, j, weights, bias, z, outside)
                _count(z.reshape(-1), outside, state)
                if i < POOLED and j < POOLED:
                    _keep(bits[s], i * POOLED + j, state)
                    cell = (i // 2) * CELLS + j // 2
                    _pool(state, pooled[s, cell], kept[s, cell])
        for lane in range(LANES):
            sums[0, lane] += member[s, lane] * state[_FIRST + lane]
            sums[1, lane] += member[s, lane] * state[_SECOND + lane]


@_jit
def _grade(z: F32, outside: F32, through: F32, state: F32, grad: F32) -> None:  # pragma: no cover
    """Gradient (9 * LANES) at the positions of a window, before the ReLU.

    What comes through the maximum goes to the first of equal ones, as in torch.
    """
    for lane in range(LANES):
        best, where = _OUTSIDE, _ZERO
        for t in range(9):
            r = z[t * LANES + lane] if z[t * LANES + lane] > 0 else _ZERO
            value = r * state[_SIGN + lane] + outside[t]
            where = np.float32(t) if value > best else where
            best = value if value > best else best
        peak = state[_KEPT + lane] * through[lane]
        total = _ZERO
        for t in range(9):
            g = state[_OFFSET + lane] + state[_SLOPE + lane] * z[t * LANES + lane]
            g += peak if where == np.float32(t) else _ZERO
            g = g * state[_MEMBER + lane] if z[t * LANES + lane] > 0 else _ZERO
            grad[t * LANES + lane] = g
            total += g
        state[_D_BIAS + lane] += total


@_jit
def _collect(padded: F32, i: int, j: int, grad: F32, own: F32) -> None:  # pragma: no cover
    """Add window (i, j) to the gradient of the weights (9, 3 * LANES)."""
    x = 3 * j
    for dy in range(3):
        y = 3 * i + dy
        for c in range(3):
            _add(
                own[3 * dy + c],
                grad,
                padded[y, c, x : x + 5],
                padded[y + 1, c, x : x + 5],
                padded[y + 2, c, x : x + 5],
            )


@_jit
def backward(
    images: F32, bits: U16, member: F32, weights: F32, lanes: F32, through: F32, gradient: F32
) -> None:  # pragma: no cover
    """Gradients of the convolution.

    Args:
        images, bits, member, weights: as `forward`.
        lanes: (4, LANES) bias; sign; offset and slope: the gradient of every active ReLU is ``offset + slope *
            value``, by way of the statistics.
        through: (U, 25, LANES) gradient of each kept maximum of a cell.
        gradient: (10, 3 * LANES) out: of the weights, then of the bias (the first third of the last row).
    """
    padded = np.zeros((_PADDED, 3, _PADDED), np.float32)
    outside, nothing = np.zeros(9, np.float32), np.zeros(LANES, np.float32)
    z, grad = np.zeros((3, 3 * LANES), np.float32), np.zeros(9 * LANES, np.float32)
    state, own = np.zeros(_N_ROWS * LANES, np.float32), np.zeros((9, 3 * LANES), np.float32)
    bias = lanes[0]
    state[_SIGN : _SIGN + LANES] = lanes[1]
    state[_OFFSET : _OFFSET + LANES] = lanes[2]
    state[_SLOPE : _SLOPE + LANES] = lanes[3]
    gradient[:] = 0
    for s in range(images.shape[0]):
        padded[3 : 3 + SIDE, :, 3 : 3 + SIDE] = images[s]
        own[:] = 0
        state[_D_BIAS : _D_BIAS + LANES] = 0
        state[_MEMBER : _MEMBER + LANES] = member[s]
        for i in range(_WINDOWS):
            for j in range(_WINDOWS):
                _convolve(padded, i, j, weights, bias, z, outside)
                if i < POOLED and j < POOLED:
                    _keep(bits[s], i * POOLED + j, state)
                    _grade(z.reshape(-1), outside, through[s, (i // 2) * CELLS + j // 2], state, grad)
                else:
                    _grade(z.reshape(-1), outside, nothing, state, grad)
                _collect(padded, i, j, grad, own)
        for k in range(9):
            for lane in range(3 * LANES):
                gradient[k, lane] += own[k, lane]
        for lane in range(LANES):
            gradient[9, lane] += state[_D_BIAS + lane]
