"""Vector code of STSTNet's training; the loops around it are in `equime.baselines.fold_kernels`.

The 16 channels of the three streams lie side by side (two vectors of 8). No compiler keeps twelve sums in registers by
itself, therefore these inner loops are written as vector code.

The convolution is Winograd's F(2, 3) along a row (Lavin & Gray 2016): two neighbouring outputs of a kernel w of three
taps, from pixels d0 to d3, take four products instead of six,

    m0 = (d0 - d2) w0,  m1 = (d1 + d2) (w0 + w1 + w2) / 2,  m2 = (d2 - d1) (w0 - w1 + w2) / 2,  m3 = (d3 - d1) w2,

of which the outputs are m0 + m1 + m2 and m1 - m2 + m3. The first factors come from the image alone, the second ones
from the weights alone; here both are called transformed. Row and channel of the input are added up before.

numba keeps what it compiled by the file of the loops alone: after a change here touch ``fold_kernels.py`` as well.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

CHANNELS: Final = 16
"""Maps of all streams."""

TAPS: Final = 27
"""3x3 over 3 input channels, in the order row, column, channel."""

SIDE: Final = 28
"""Of the image, in pixels."""

OUT: Final = 30
"""Side of the convolution's output (padding 2)."""

TILES: Final = 15
"""Pairs of neighbouring positions in a row of the output."""

LINES: Final = 9
"""Rows of the kernel times input channels."""

PRODUCT = (
    48  # values of one of the four products in a row of the transformed image: 3 * 15, and a rest for vectors
)
ROW = 4 * PRODUCT  # such a row
WIDE = 32 * CHANNELS  # a row of values: one position left of the output, 30 inside, one right of it
VECTOR = 8
HALVES = range(0, CHANNELS, VECTOR)
_PLACES = [t // 3 * WIDE + t % 3 * CHANNELS for t in range(9)]  # of a window's values


class _Vectors:
    """Vectors of 8 floats while code is generated."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.builder = builder
        self.type = ir.VectorType(ir.FloatType(), VECTOR)
        self.index = ir.IntType(64)
        self.args = [
            context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, args, strict=True)
        ]

    def _place(self, array: Any, at: Any, offset: int) -> Any:
        here = ir.Constant(self.index, offset)
        return self.builder.gep(array, [here if at is None else self.builder.add(at, here)])

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
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), VECTOR), [0] * VECTOR)
        return self.builder.shuffle_vector(one, none, zeros)

    def add_product(self, total: Any, a: Any, b: Any) -> Any:
        """``total + a * b``, in one rounding where the machine can."""
        product = self.builder.fmul(a, b, flags=("contract",))
        return self.builder.fadd(total, product, flags=("contract",))

    def zero(self) -> Any:
        """Eight zeros."""
        return ir.Constant(self.type, [0.0] * VECTOR)

    def bits(self, word: Any, half: int) -> Any:
        """Whether the bits of eight channels are set."""
        kind = ir.VectorType(self.index, VECTOR)
        none = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(none, word, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), VECTOR), [0] * VECTOR)
        narrow = self.builder.trunc(self.builder.shuffle_vector(one, none, zeros), zeros.type)
        bits = ir.Constant(zeros.type, [1 << (half + c) for c in range(VECTOR)])
        return self.builder.icmp_unsigned("!=", self.builder.and_(narrow, bits), zeros)

    def positive(self, value: Any) -> Any:
        """ReLU."""
        return self.builder.select(self.builder.fcmp_ordered(">", value, self.zero()), value, self.zero())


def _six_sums(v: _Vectors, image: Any, at: Any, weights: Any, bias: Any) -> dict[tuple[int, int], Any]:
    """ReLU of the convolution at six neighbouring positions, three tiles: by position and half.

    Of each tile's four products, the second and the third enter both positions: as sum and as difference.
    """
    keys = [(tile, half) for tile in range(3) for half in HALVES]
    one, two = {key: v.load(bias, None, key[1]) for key in keys}, {key: v.zero() for key in keys}

    def add(*each: tuple[dict[tuple[int, int], Any], int]) -> None:
        """Products, to sums of theirs: two at a time, for twelve sums in the air."""
        for tap in range(LINES):
            for sums, product in each:
                kernel = {h: v.load(weights, None, (product * LINES + tap) * CHANNELS + h) for h in HALVES}
                for tile in range(3):
                    pixel = v.every(image, at, tap // 3 * ROW + product * PRODUCT + 3 * tile + tap % 3)
                    for half in HALVES:
                        sums[tile, half] = v.add_product(sums[tile, half], kernel[half], pixel)

    add((one, 1), (two, 2))
    left = {key: v.builder.fadd(one[key], two[key]) for key in keys}
    right = {key: v.builder.fsub(one[key], two[key]) for key in keys}
    add((left, 0), (right, 3))
    both = (
        (2 * tile + side, half, sums[tile, half])
        for side, sums in enumerate((left, right))
        for tile, half in keys
    )
    return {(x, half): v.positive(total) for x, half, total in both}


def _convolve_six_code(
    typing: Any, image: Any, at: Any, weights: Any, bias: Any, out: Any, to: Any, moments: Any
) -> Any:
    """ReLU of the convolution at six positions, and what the statistics need.

    Args:
        typing: numba's.
        image: transformed, flat; ``at`` the first product of the first tile's first row.
        weights: (36 * 16), transformed.
        bias: (16).
        out: receives 6 * 16 values from ``to`` on.
        moments: (2 * 16) the values and their squares are added to.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        image, at, weights, bias, out, to, moments = v.args
        values = _six_sums(v, image, at, weights, bias)
        first = {half: v.load(moments, None, half) for half in HALVES}
        second = {half: v.load(moments, None, CHANNELS + half) for half in HALVES}
        for (x, half), value in values.items():
            v.store(value, out, to, x * CHANNELS + half)
            first[half] = builder.fadd(first[half], value)
            second[half] = v.add_product(second[half], value, value)
        for half in HALVES:
            v.store(first[half], moments, None, half)
            v.store(second[half], moments, None, CHANNELS + half)
        return context.get_dummy_value()

    return types.void(image, types.intp, weights, bias, out, types.intp, moments), generate


convolve_six: Any = intrinsic(_convolve_six_code)


def _grade_six_code(
    typing: Any, image: Any, at: Any, weights: Any, bias: Any, lines: Any, out: Any, grad: Any, to: Any
) -> Any:
    """ReLU of the convolution at six positions once more, and its gradient by way of the statistics.

    Args:
        typing, image, at, weights, bias: as `convolve_six`.
        lines: (2 * 16) offset and slope of the gradient where the ReLU is active.
        out, grad: receive 6 * 16 values from ``to`` on.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        image, at, weights, bias, lines, out, grad, to = v.args
        for (x, half), value in _six_sums(v, image, at, weights, bias).items():
            offset, slope = v.load(lines, None, half), v.load(lines, None, CHANNELS + half)
            line = v.add_product(offset, slope, value)
            active = builder.select(builder.fcmp_ordered(">", value, v.zero()), line, v.zero())
            v.store(value, out, to, x * CHANNELS + half)
            v.store(active, grad, to, x * CHANNELS + half)
        return context.get_dummy_value()

    return types.void(image, types.intp, weights, bias, lines, out, grad, types.intp), generate


grade_six: Any = intrinsic(_grade_six_code)


def _transform_row_code(typing: Any, grad: Any, start: Any, out: Any, total: Any) -> Any:
    """What a row of gradients, 30 positions, gives to the second and third product, and their sum.

    Args:
        typing: numba's.
        grad: of the values; ``start`` the first position's first channel.
        out: (2 * 15 * 16) by product and tile. To the others a tile's first and second gradient are given as they are.
        total: (16) receives the sum over the row, which is the gradient of the bias.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        grad, start, out, total = v.args
        for half in HALVES:
            value = v.load(total, None, half)
            for tile in range(TILES):
                left, right = (v.load(grad, start, (2 * tile + side) * CHANNELS + half) for side in range(2))
                both = builder.fadd(left, right)
                for product, given in enumerate((both, builder.fsub(left, right))):
                    v.store(given, out, None, (product * TILES + tile) * CHANNELS + half)
                value = builder.fadd(value, both)
            v.store(value, total, None, half)
        return context.get_dummy_value()

    return types.void(grad, types.intp, out, total), generate


transform_row: Any = intrinsic(_transform_row_code)


def _collect_row_code(
    typing: Any, grad: Any, start: Any, given: Any, image: Any, at: Any, own: Any, to: Any
) -> Any:
    """Add a row of 15 tiles to the gradient of a row of the transformed kernel.

    Args:
        typing: numba's.
        grad, start: as `transform_row`.
        given: what that gave.
        image: transformed, flat; ``at`` the first product of the row.
        own: (36 * 16) gradient of the transformed weights; ``to`` the first of the row.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        grad, start, given, image, at, own, to = v.args

        def gradient(product: int, tile: int, half: int) -> Any:
            if product in (1, 2):
                return v.load(given, None, ((product - 1) * TILES + tile) * CHANNELS + half)
            return v.load(grad, start, (2 * tile + product // 3) * CHANNELS + half)

        for products in ((0, 3), (1, 2)):  # twelve sums in the air
            keys = [(p, c, half) for p in products for c in range(3) for half in HALVES]
            sums = {(p, c, half): v.load(own, to, (p * LINES + c) * CHANNELS + half) for p, c, half in keys}
            for tile in range(TILES):
                for p in products:
                    row = {half: gradient(p, tile, half) for half in HALVES}
                    for c in range(3):
                        pixel = v.every(image, at, p * PRODUCT + 3 * tile + c)
                        for half in HALVES:
                            sums[p, c, half] = v.add_product(sums[p, c, half], row[half], pixel)
            for (p, c, half), value in sums.items():
                v.store(value, own, to, (p * LINES + c) * CHANNELS + half)
        return context.get_dummy_value()

    return types.void(grad, types.intp, given, image, types.intp, own, types.intp), generate


collect_row: Any = intrinsic(_collect_row_code)


def _window(v: _Vectors, values: Any, at: Any, sign: Any, low: Any, half: int) -> tuple[list[Any], Any]:
    """The nine values of a window, signed and shut out where they must, and the largest of them."""
    signs = v.load(sign, None, half)
    signed = [v.builder.fmul(v.load(values, at, place + half), signs) for place in _PLACES]
    signed = [v.builder.fadd(value, v.every(low, None, t)) for t, value in enumerate(signed)]
    best = signed[0]
    for value in signed[1:]:
        best = v.builder.select(v.builder.fcmp_ordered(">", value, best), value, best)
    return signed, best


def _pool_window_code(
    typing: Any, values: Any, at: Any, sign: Any, low: Any, word: Any, pooled: Any, kept: Any, to: Any
) -> Any:
    """Add what dropout keeps of a window's maximum to its cell.

    Args:
        typing: numba's.
        values: three rows; ``at`` the window's first value.
        sign: (16).
        low: (9) added to the values; shuts out what lies outside of the output.
        word: whose bit c says whether map c is kept.
        pooled, kept: sum and number; ``to`` the cell's first channel.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        values, at, sign, low, word, pooled, kept, to = v.args
        one = ir.Constant(v.type, [1.0] * VECTOR)
        for half in HALVES:
            _, best = _window(v, values, at, sign, low, half)
            keep = v.bits(word, half)
            for array, value in ((pooled, builder.fmul(best, v.load(sign, None, half))), (kept, one)):
                given = builder.select(keep, value, v.zero())
                v.store(builder.fadd(v.load(array, to, half), given), array, to, half)
        return context.get_dummy_value()

    return types.void(values, types.intp, sign, low, types.intp, pooled, kept, types.intp), generate


pool_window: Any = intrinsic(_pool_window_code)


def _add_peak_code(
    typing: Any,
    values: Any,
    at: Any,
    sign: Any,
    low: Any,
    word: Any,
    factor: Any,
    cell: Any,
    to: Any,
    grad: Any,
) -> Any:
    """Add a gradient where the maximum of a window is: at the first of equal ones, as torch does.

    Args:
        typing, values, at, sign, low, word: as `pool_window`.
        factor: (16) of the gradient.
        cell: gradients of the cells; ``to`` this one's first channel.
        grad: three rows.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        values, at, sign, low, word, factor, cell, to, grad = v.args
        for half in HALVES:
            signed, best = _window(v, values, at, sign, low, half)
            # Where the largest value is 0, or the smallest, the ReLU lets nothing through.
            active = builder.and_(builder.fcmp_ordered("!=", best, v.zero()), v.bits(word, half))
            added = builder.fmul(v.load(cell, to, half), v.load(factor, None, half))
            left = builder.select(active, added, v.zero())
            for value, place in zip(signed, _PLACES, strict=True):
                here = builder.fcmp_ordered("==", value, best)
                share = builder.select(here, left, v.zero())
                left = builder.select(here, v.zero(), left)
                v.store(builder.fadd(v.load(grad, at, place + half), share), grad, at, place + half)
        return context.get_dummy_value()

    arguments = (values, types.intp, sign, low, types.intp, factor, cell, types.intp, grad)
    return types.void(*arguments), generate


add_peak: Any = intrinsic(_add_peak_code)
