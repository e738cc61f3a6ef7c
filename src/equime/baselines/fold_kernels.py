"""Compiled loops of STSTNet's training; see `equime.baselines.fold_batches`.

The 16 channels of the three streams lie side by side (two vectors of 8). The picture is walked through in strips of
three rows, which is what a pooling window covers, so that convolution, ReLU, the statistics of batch normalisation,
maximum, dropout and averaging never leave the first level of cache. The two inner loops are written as vector code,
because no compiler keeps twelve sums in registers by itself.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U16 = NDArray[np.uint16]

CHANNELS: Final = 16
"""Maps of all streams."""

TAPS: Final = 27
"""3x3 over 3 input channels, in the order row, column, channel."""

SIDE: Final = 28
"""Of the image, in pixels."""

OUT: Final = 30
"""Side of the convolution's output (padding 2)."""

POOLED: Final = 10
"""Side after pooling (3x3, stride 3, padding 1)."""

CELLS: Final = 5
"""Side after averaging 2x2."""

_STRIPS = 11  # the eleventh holds the last row, which no pooling window reaches but statistics count
_ROW = 32 * 3  # a row of the padded image
_WIDE = 32 * CHANNELS  # a row of values: one position left of the output, 30 inside, one right of it
_TILE = 6  # positions at a time
_NINE = 9  # taps of a row of the kernel
_VECTOR = 8
_LOW = np.float32(-1e30)
_ZERO = np.float32(0)

_jit = njit(
    cache=True,
    nogil=True,
    boundscheck=False,
    error_model="numpy",
    fastmath={"contract", "reassoc", "nsz", "arcp"},
)


class _Vectors:
    """Vectors of 8 floats while code is generated."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.builder = builder
        self.type = ir.VectorType(ir.FloatType(), _VECTOR)
        self.index = ir.IntType(64)
        self.args = [
            context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, args, strict=True)
        ]

    def _place(self, array: Any, at: Any, offset: int) -> Any:
        where = self.builder.add(at, ir.Constant(self.index, offset)) if at is not None else None
        return self.builder.gep(array, [where if at is not None else ir.Constant(self.index, offset)])

    def load(self, array: Any, at: Any, offset: int) -> Any:
        """Eight values."""
        place = self.builder.bitcast(self._place(array, at, offset), self.type.as_pointer())
        return self.builder.load(place, align=4)

    def store(self, value: Any, array: Any, at: Any, offset: int) -> None:
        place = self.builder.bitcast(self._place(array, at, offset), self.type.as_pointer())
        self.builder.store(value, place, align=4)

    def every(self, array: Any, at: Any, offset: int) -> Any:
        """One value eight times."""
        value = self.builder.load(self._place(array, at, offset))
        none = ir.Constant(self.type, ir.Undefined)
        one = self.builder.insert_element(none, value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), _VECTOR), [0] * _VECTOR)
        return self.builder.shuffle_vector(one, none, zeros)

    def add_product(self, total: Any, a: Any, b: Any) -> Any:
        """``total + a * b``, in one rounding where the machine can."""
        product = self.builder.fmul(a, b, flags=("contract",))
        return self.builder.fadd(total, product, flags=("contract",))

    def positive(self, value: Any) -> Any:
        """ReLU."""
        zero = ir.Constant(self.type, [0.0] * _VECTOR)
        return self.builder.select(self.builder.fcmp_ordered(">", value, zero), value, zero)


def _convolve_six_code(typing: Any, image: Any, at: Any, weights: Any, bias: Any, out: Any, to: Any) -> Any:
    """ReLU of the convolution at six neighbouring positions, all 16 channels.

    Args:
        typing: numba's.
        image: padded, flat; ``at`` the upper left tap of the first position.
        weights: (27 * 16).
        bias: (16).
        out: receives 6 * 16 values from ``to`` on.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        image, at, weights, bias, out, to = v.args
        halves = range(0, CHANNELS, _VECTOR)
        sums = {(x, half): v.load(bias, None, half) for x in range(_TILE) for half in halves}
        for tap in range(TAPS):
            kernel = {half: v.load(weights, None, tap * CHANNELS + half) for half in halves}
            for x in range(_TILE):
                pixel = v.every(image, at, tap // _NINE * _ROW + 3 * x + tap % _NINE)
                for half in halves:
                    sums[x, half] = v.add_product(sums[x, half], kernel[half], pixel)
        for (x, half), total in sums.items():
            v.store(v.positive(total), out, to, x * CHANNELS + half)
        return context.get_dummy_value()

    return types.void(image, types.intp, weights, bias, out, types.intp), generate


_convolve_six: Any = intrinsic(_convolve_six_code)


def _collect_row_code(typing: Any, grad: Any, start: Any, image: Any, at: Any, own: Any, to: Any) -> Any:
    """Add a row of 30 positions to the gradient of nine taps of the kernel's row, 8 channels.

    Args:
        typing: numba's.
        grad: of the values; ``start`` the first position's first channel.
        image: padded, flat; ``at`` the first tap of the first position.
        own: gradient of the weights; ``to`` the first tap's first channel.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        grad, start, image, at, own, to = v.args
        sums = [v.load(own, to, k * CHANNELS) for k in range(_NINE)]
        for x in range(OUT):
            g = v.load(grad, start, x * CHANNELS)
            sums = [v.add_product(sums[k], g, v.every(image, at, 3 * x + k)) for k in range(_NINE)]
        for k, total in enumerate(sums):
            v.store(total, own, to, k * CHANNELS)
        return context.get_dummy_value()

    return types.void(grad, types.intp, image, types.intp, own, types.intp), generate


_collect_row: Any = intrinsic(_collect_row_code)


def _add_peak_code(typing: Any, values: Any, at: Any, sign: Any, low: Any, peak: Any, grad: Any) -> Any:
    """Add a gradient where the maximum of a window is: at the first of equal ones, as torch does.

    Args:
        typing: numba's.
        values: three rows; ``at`` the window's first value.
        sign: (16).
        low: (9) added to the values; shuts out what lies outside of the output.
        peak: (16) gradient of the maximum.
        grad: three rows.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        values, at, sign, low, peak, grad = v.args
        places = [t // 3 * _WIDE + t % 3 * CHANNELS for t in range(9)]
        for half in range(0, CHANNELS, _VECTOR):
            signs, added = v.load(sign, None, half), v.load(peak, None, half)
            signed = [builder.fmul(v.load(values, at, place + half), signs) for place in places]
            signed = [builder.fadd(value, v.every(low, None, t)) for t, value in enumerate(signed)]
            best = signed[0]
            for value in signed[1:]:
                best = builder.select(builder.fcmp_ordered(">", value, best), value, best)
            # Where the largest value is 0, or the smallest, the ReLU lets nothing through.
            active = builder.fcmp_ordered("!=", best, ir.Constant(v.type, [0.0] * _VECTOR))
            left = builder.select(active, added, ir.Constant(v.type, [0.0] * _VECTOR))
            for value, place in zip(signed, places, strict=True):
                here = builder.fcmp_ordered("==", value, best)
                share = builder.select(here, left, ir.Constant(v.type, [0.0] * _VECTOR))
                left = builder.select(here, ir.Constant(v.type, [0.0] * _VECTOR), left)
                v.store(builder.fadd(v.load(grad, at, place + half), share), grad, at, place + half)
        return context.get_dummy_value()

    return types.void(values, types.intp, sign, low, peak, grad), generate


_add_peak: Any = intrinsic(_add_peak_code)


@_jit
def _pad(image: F32, padded: F32) -> None:  # pragma: no cover
    """Put an image (28, 84) into the middle of zeros (32, 96), scaled from 0..1 to 0..255."""
    for y in range(SIDE):
        for x in range(3 * SIDE):
            padded[y + 2, x + 6] = np.float32(255) * image[y, x]


@_jit
def _strip(padded: F32, i: int, weights: F32, bias: F32, values: F32) -> None:  # pragma: no cover
    """Values (3 * _WIDE) of the rows 3i - 1 to 3i + 1."""
    for t in range(3):
        y = 3 * i - 1 + t
        if 0 <= y < OUT:
            for x in range(0, OUT, _TILE):
                _convolve_six(padded, y * _ROW + 3 * x, weights, bias, values, t * _WIDE + (x + 1) * CHANNELS)


@_jit
def _rows_inside(i: int) -> tuple[int, int]:  # pragma: no cover
    """First row of a strip that is inside of the output, and the one behind the last."""
    return (1 if i == 0 else 0), (1 if i == _STRIPS - 1 else 3)


@_jit
def _count(row: F32, sums: F32) -> None:  # pragma: no cover
    """Add a row's values and their squares."""
    for e in range(CHANNELS, (OUT + 1) * CHANNELS):
        sums[e] += row[e]
        sums[_WIDE + e] += row[e] * row[e]


@_jit
def _top(values: F32, sign: F32, low: F32, best: F32) -> None:  # pragma: no cover
    """Largest value of each column of a strip; ``low`` (3) shuts out rows outside of the output."""
    for e in range(_WIDE):
        top = _LOW
        for t in range(3):
            value = values[t * _WIDE + e] * sign[e] + low[t]
            top = value if value > top else top
        best[e] = top


@_jit
def _pool(best: F32, sign: F32, word: int, pooled: F32, kept: F32) -> None:  # pragma: no cover
    """Add what dropout keeps of a window's maximum to its cell."""
    for c in range(CHANNELS):
        a = best[c] if best[c] > best[CHANNELS + c] else best[CHANNELS + c]
        b = best[2 * CHANNELS + c]
        keep = np.float32((np.int32(word) >> np.int32(c)) & np.int32(1))
        pooled[c] += keep * sign[c] * (a if a > b else b)
        kept[c] += keep


@_jit
def _tiled(row: F32) -> F32:  # pragma: no cover
    """16 values once per position of a row."""
    wide = np.zeros(_WIDE, np.float32)
    for e in range(_WIDE):
        wide[e] = row[e % CHANNELS]
    return wide


@_jit
def forward(
    images: F32, words: U16, weights: F32, channels: F32, pooled: F32, kept: F32, sums: F64
) -> None:  # pragma: no cover
    """Convolution, ReLU, maximum, dropout and averaging of a batch; and the sums that normalisation needs.

    Args:
        images: (B, 28, 84) rows of pixels, channels last, 0..1.
        words: (B, 100), of 16 bits: which channels dropout keeps at each pooled position.
        weights: (27 * 16).
        channels: (2, 16) bias; and sign of the normalisation's factor: where it is negative, the maximum of the
            normalised value is the minimum of the ReLU.
        pooled: (B, 25, 16) out: sum over each cell of what is kept of the maxima.
        kept: (B, 25, 16) out: how many are kept.
        sums: (2, 16) out: of the ReLU and of its square over all positions.
    """
    padded, low = np.zeros((32, _ROW), np.float32), np.zeros(3, np.float32)
    values, best, own = (
        np.zeros(3 * _WIDE, np.float32),
        np.zeros(_WIDE, np.float32),
        np.zeros(2 * _WIDE, np.float32),
    )
    weights, bias, sign = weights.copy(), channels[0].copy(), _tiled(channels[1])
    pooled[:] = 0
    kept[:] = 0
    sums[:] = 0
    for s in range(images.shape[0]):
        _pad(images[s], padded)
        own[:] = 0
        for i in range(_STRIPS):
            _strip(padded.reshape(-1), i, weights, bias, values)
            first, last = _rows_inside(i)
            for t in range(first, last):
                _count(values[t * _WIDE : (t + 1) * _WIDE], own)
            if i < POOLED:
                low[0] = _LOW if i == 0 else _ZERO
                _top(values, sign, low, best)
                best[:CHANNELS] = _LOW
                for j in range(POOLED):
                    cell = (i // 2) * CELLS + j // 2
                    window = best[3 * j * CHANNELS : 3 * (j + 1) * CHANNELS]
                    _pool(window, sign, words[s, i * POOLED + j], pooled[s, cell], kept[s, cell])
        for k in range(2):
            for x in range(1, OUT + 1):
                for c in range(CHANNELS):
                    sums[k, c] += own[k * _WIDE + x * CHANNELS + c]


@_jit
def _grade(row: F32, lines: F32, grad: F32) -> None:  # pragma: no cover
    """Gradient of a row by way of the statistics; 0 where the ReLU is not active."""
    for e in range(CHANNELS, (OUT + 1) * CHANNELS):
        g = lines[e] + lines[_WIDE + e] * row[e]
        grad[e] = g if row[e] > 0 else _ZERO


@_jit
def _through(word: int, gradient: F32, peak: F32) -> None:  # pragma: no cover
    """What dropout lets through of a cell's gradient (16)."""
    for c in range(CHANNELS):
        peak[c] = gradient[c] * np.float32((np.int32(word) >> np.int32(c)) & np.int32(1))


@_jit
def _peaks(
    values: F32, i: int, words: U16, through: F32, sign: F32, low: F32, peak: F32, grad: F32
) -> None:  # pragma: no cover
    """Add what comes through the ten windows of strip i."""
    for j in range(POOLED):
        for t in range(9):
            low[t] = _LOW if (i == 0 and t < 3) or (j == 0 and t % 3 == 0) else _ZERO
        _through(words[i * POOLED + j], through[(i // 2) * CELLS + j // 2], peak)
        _add_peak(values, 3 * j * CHANNELS, sign, low, peak, grad)


@_jit
def _collect(padded: F32, y: int, grad: F32, start: int, own: F32, total: F32) -> None:  # pragma: no cover
    """Add row y, whose gradient begins at ``start``, to the gradients of the weights and of the bias."""
    row = grad[start : start + _WIDE]
    for e in range(CHANNELS, (OUT + 1) * CHANNELS):
        total[e] += row[e]
    for dy in range(3):
        for half in range(0, CHANNELS, _VECTOR):
            _collect_row(row, CHANNELS + half, padded, (y + dy) * _ROW, own, dy * _NINE * CHANNELS + half)


@_jit
def backward(
    images: F32, words: U16, weights: F32, channels: F32, through: F32, gradient: F32
) -> None:  # pragma: no cover
    """Gradients of the convolution.

    Args:
        images, words, weights: as `forward`.
        channels: (4, 16) bias; sign; offset and slope: the gradient of every active ReLU is ``offset + slope *
            value``, by way of the statistics.
        through: (B, 25, 16) gradient of each kept maximum of a cell.
        gradient: (28, 16) out: of the weights, then of the bias.
    """
    padded, low, peak = (
        np.zeros((32, _ROW), np.float32),
        np.zeros(9, np.float32),
        np.zeros(CHANNELS, np.float32),
    )
    values, grad = np.zeros(3 * _WIDE, np.float32), np.zeros(3 * _WIDE, np.float32)
    own, total = np.zeros(TAPS * CHANNELS, np.float32), np.zeros(_WIDE, np.float32)
    weights, bias, sign = weights.copy(), channels[0].copy(), _tiled(channels[1])
    lines = np.zeros(2 * _WIDE, np.float32)
    lines[:_WIDE], lines[_WIDE:] = _tiled(channels[2]), _tiled(channels[3])
    gradient[:] = 0
    for s in range(images.shape[0]):
        _pad(images[s], padded)
        flat = padded.reshape(-1)
        own[:] = 0
        total[:] = 0
        for i in range(_STRIPS):
            _strip(flat, i, weights, bias, values)
            first, last = _rows_inside(i)
            for t in range(first, last):
                _grade(values[t * _WIDE : (t + 1) * _WIDE], lines, grad[t * _WIDE : (t + 1) * _WIDE])
            if i < POOLED:
                _peaks(values, i, words[s], through[s], sign, low, peak, grad)
            for t in range(first, last):
                _collect(flat, 3 * i - 1 + t, grad, t * _WIDE, own, total)
        for k in range(TAPS):
            for c in range(CHANNELS):
                gradient[k, c] += own[k * CHANNELS + c]
        for x in range(1, OUT + 1):
            for c in range(CHANNELS):
                gradient[TAPS, c] += total[x * CHANNELS + c]
