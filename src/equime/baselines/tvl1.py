"""TV-L1 optical flow: OpenCV's own numbers, to the last bit, in a seventh to a tenth of the time.

The algorithm is that of Zach, Pock & Bischof 2007 in the form of Sanchez Perez, Meinhardt-Llopis & Facciolo
(IPOL 2013), with what OpenCV's ``DualTVL1OpticalFlow`` adds (median filtering, its borders, its stopping rule) and its
default settings. Pyramid, bicubic warping and median are OpenCV's functions. What takes the time, up to 300 iterations
for each of 25 warps, is one pass over memory here: the flow of a row is followed at once by the dual variables of the
row above it, which is when both rows of flow are there and nobody needs the old dual variables any more.

The order of additions, the quotients and the roots are OpenCV's, because less is not enough: the warp rounds to 1/32
px and the stopping rule decides between a median and no median, so that differences in the last bit grow. With fused
products, reciprocals and float32 roots it was faster by another third, and on 5 of 12 rendered pairs with noise the
correlation of the flow with OpenCV's was only 0.95 to 0.997. Equality holds where OpenCV is built without fused
products, as its packages for x86 are.

Measured on one core (AMD EPYC, AVX2), processor time: 60 rendered face pairs of 94 to 399 px, 7 to 12 times as fast
(median 9.3), no pixel differs; drawn faces with noise (``bench/flow_features.py``), 20 ms for 169 ms at 125 px, 105 ms
for 1,058 ms at 300 px. The first call of a process compiles (2 s) or loads what was compiled before (0.6 s).

Unlike OpenCV's object, which goes on with fewer scales after one picture below 40 px, nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

F32 = NDArray[np.float32]

TAU: Final = 0.25
LAMBDA: Final = 0.15
THETA: Final = 0.3
EPSILON: Final = 0.01
SCALES: Final = 5
SCALE_STEP: Final = 0.8
WARPS: Final = 5
OUTER: Final = 10
INNER: Final = 30
MEDIAN_PX: Final = 5

SMALLEST_PX: Final = 16
"""Side below which OpenCV adds no further scale to the pyramid."""

# Planes of the state: flow, its dual variables, the warped picture's gradient, what of the brightness difference does
# not depend on the flow, the gradient's square, and the squared change of the flow.
_U, _V, _P11, _P12, _P21, _P22, _IX, _IY, _RHO, _SQUARE, _CHANGE = range(11)
_PLANES = 11

_LANES = 8
_ROUNDING = 2.0**-23
_TINY = float(np.finfo(np.float32).eps)  # squared gradient where there is nothing to follow

# numba's own type of it takes ``typing`` for an argument of the call.
_code: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic
_jit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")


class _Vectors:
    """Eight neighbouring pixels of each plane while code is generated.

    Args:
        context, builder, signature: numba's.
        args: the state, flat; index of the first of the pixels in plane 0; floats per plane; floats per row.
    """

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.builder = builder
        self.type = ir.VectorType(ir.FloatType(), _LANES)
        self.state = context.make_array(signature.args[0])(context, builder, args[0]).data
        self.at, self.plane, self.row = args[1:4]

    def _place(self, plane: int, down: int, right: int) -> Any:
        b, index = self.builder, ir.IntType(64)
        where = b.add(self.at, b.mul(self.plane, ir.Constant(index, plane)))
        where = b.add(where, b.mul(self.row, ir.Constant(index, down)))
        place = b.gep(self.state, [b.add(where, ir.Constant(index, right))])
        return b.bitcast(place, self.type.as_pointer())

    def load(self, plane: int, down: int = 0, right: int = 0) -> Any:
        return self.builder.load(self._place(plane, down, right), align=4)

    def store(self, value: Any, plane: int) -> None:
        self.builder.store(value, self._place(plane, 0, 0), align=4)

    def of(self, value: float) -> Any:
        return ir.Constant(self.type, [float(np.float32(value))] * _LANES)

    def length(self, a: Any, b: Any) -> Any:
        """Of a vector, to the last bit of float32: squares of float32 and roots of their sums need float64."""
        wide = ir.VectorType(ir.DoubleType(), _LANES)
        b_ = self.builder
        kind = ir.FunctionType(wide, [wide])
        root = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            b_.module, kind, f"llvm.sqrt.v{_LANES}f64"
        )
        a, b = b_.fpext(a, wide), b_.fpext(b, wide)
        return b_.fptrunc(b_.call(root, [b_.fadd(b_.fmul(a, a), b_.fmul(b, b))]), self.type)


def _divergence(v: _Vectors, along: int, down: int, first: Any) -> Any:
    """Of a dual variable; left of and above the picture it is 0.

    Args:
        v: the pixels.
        along, down: planes of its two components.
        first: which pixels are of the first column, where OpenCV adds in another order.
    """
    b = v.builder
    horizontal = b.fsub(v.load(along), v.load(along, right=-1))
    below, above = v.load(down), v.load(down, down=-1)
    total = b.fadd(horizontal, b.select(first, below, b.fsub(below, above)))
    return b.fsub(total, b.select(first, above, v.of(0)))


@_code
def _flow_step(
    typing: Any, state: Any, at: Any, plane: Any, row: Any, columns: Any, x: Any, sums: Any
) -> Any:
    """New flow of eight pixels.

    Args:
        typing: numba's.
        state, at, plane, row: see `_Vectors`.
        columns: per column of a row: -1 for the picture's first, 1 for its others, 0 outside of it.
        x: the first pixel's place in ``columns``.
        sums: (8), to which the squared change is added.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v, b = _Vectors(context, builder, signature, args), builder
        vector = v.type.as_pointer()
        mask, total = (context.make_array(signature.args[k])(context, builder, args[k]).data for k in (4, 6))
        mask, total = builder.bitcast(builder.gep(mask, [args[5]]), vector), builder.bitcast(total, vector)
        sign = b.load(mask, align=4)
        first = b.fcmp_ordered("<", sign, v.of(0))
        old = v.load(_U), v.load(_V)
        gradient = v.load(_IX), v.load(_IY)
        linear = b.fadd(b.fmul(gradient[0], old[0]), b.fmul(gradient[1], old[1]))
        rho = b.fadd(v.load(_RHO), linear)
        most = v.of(float(np.float32(LAMBDA * THETA)))
        square = v.load(_SQUARE)
        edge = b.fmul(most, square)
        textured = b.fcmp_ordered(">", square, v.of(_TINY))
        step = b.select(textured, b.fdiv(b.fneg(rho), square), v.of(0))
        step = b.select(b.fcmp_ordered("<", rho, b.fneg(edge)), most, step)
        step = b.select(b.fcmp_ordered(">", rho, edge), b.fneg(most), step)
        squares = []
        for k, (along, down) in enumerate(((_P11, _P12), (_P21, _P22))):
            new = b.fadd(old[k], b.fmul(step, gradient[k]))
            new = b.fadd(new, b.fmul(v.of(THETA), _divergence(v, along, down, first)))
            change = b.fsub(new, old[k])
            squares.append(b.fmul(change, change))
            v.store(new, (_U, _V)[k])
        counted = b.select(b.fcmp_ordered("!=", sign, v.of(0)), b.fadd(*squares), v.of(0))
        v.store(counted, _CHANGE)
        builder.store(b.fadd(builder.load(total, align=4), counted), total, align=4)
        return context.get_dummy_value()

    return types.void(state, types.intp, types.intp, types.intp, columns, types.intp, sums), generate


@_code
def _dual_step(typing: Any, state: Any, at: Any, plane: Any, row: Any) -> Any:
    """New dual variables of eight pixels."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v, b = _Vectors(context, builder, signature, args), builder
        rate = v.of(TAU / THETA)
        for k, planes in ((_U, (_P11, _P12)), (_V, (_P21, _P22))):
            here = v.load(k)
            slope = b.fsub(v.load(k, right=1), here), b.fsub(v.load(k, down=1), here)
            norm = b.fadd(v.of(1), b.fmul(rate, v.length(*slope)))
            for own, along in zip(planes, slope, strict=True):
                v.store(b.fdiv(b.fadd(v.load(own), b.fmul(rate, along)), norm), own)
        return context.get_dummy_value()

    return types.void(state, types.intp, types.intp, types.intp), generate


@_jit
def _pass(state: F32, size: tuple[int, int], row: int, columns: F32, sums: F32) -> None:  # pragma: no cover
    """One iteration; arguments as `_iterate` and `_flow_step`."""
    height, width = size
    plane, end = (height + 2) * row, _LANES + width
    for y in range(1, height + 2):
        start = y * row
        if y <= height:
            for x in range(_LANES, end, _LANES):
                _flow_step(state, start + x, plane, row, columns, x, sums)
            # The slope is 0 across the right border, and across the lower one.
            for k in (_U, _V):
                state[k * plane + start + end] = state[k * plane + start + end - 1]
        else:
            for k in (_U, _V):
                for x in range(_LANES, end):
                    state[k * plane + start + x] = state[k * plane + start - row + x]
        if y > 1:
            for x in range(_LANES, end, _LANES):
                _dual_step(state, start - row + x, plane, row)


@_jit
def _iterate(
    state: F32, size: tuple[int, int], row: int, columns: F32, limit: float
) -> float:  # pragma: no cover
    """Iterate until the squared change of the flow, summed over the picture, is at most ``limit``.

    Args:
        state: the planes of `_Scale`, flat.
        size: H, W of the picture.
        row: floats per row of a plane.
        columns: see `_flow_step`.
        limit: pixels squared.

    Returns:
        The last iteration's change; there are `INNER` at most.
    """
    height, width = size
    sums = np.empty(_LANES, np.float32)
    change = 0.0
    for _ in range(INNER):
        sums[:] = 0
        _pass(state, size, row, columns, sums)
        change = 0.0
        for lane in range(_LANES):
            change += sums[lane]
        if abs(change - limit) <= change * height * width * _ROUNDING:
            # So near to the limit, rounding decides: add up in OpenCV's order.
            total = np.float32(0)
            for y in range(1, height + 1):
                start = (_CHANGE * (height + 2) + y) * row + _LANES
                for x in range(start, start + width):
                    total += state[x]
            change = float(total)
        if change <= limit:
            break
    return change


class _Scale:
    """One scale of the pyramid.

    Args:
        first, second: float32 (H, W).
        flow: (u, v) to start from, float32 (H, W) each.
    """

    def __init__(self, first: F32, second: F32, flow: tuple[F32, F32]) -> None:
        self.first = first
        height, width = first.shape
        # A column right of the picture is read, and vectors are written whole.
        stride = _LANES + (width // _LANES + 1) * _LANES + _LANES
        self.state = np.zeros((_PLANES, height + 2, stride), np.float32)
        self.planes = self.state[:, 1:-1, _LANES : _LANES + width]
        self.planes[_U], self.planes[_V] = flow
        self.columns = np.zeros(stride, np.float32)
        self.columns[_LANES : _LANES + width] = 1
        self.columns[_LANES] = -1
        # One warp of three channels finds each place once.
        self.warped_from = cv2.merge([second, _slope(second, 1), _slope(second, 0)])
        self.x, self.y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]

    def warp(self) -> None:
        """Linearise the second picture around the present flow."""
        u, v, ix, iy, rho, square = (self.planes[k] for k in (_U, _V, _IX, _IY, _RHO, _SQUARE))
        warped = cv2.remap(self.warped_from, self.x + u, self.y + v, cv2.INTER_CUBIC)
        ix[:], iy[:] = warped[..., 1], warped[..., 2]
        rho[:] = warped[..., 0] - ix * u - iy * v - self.first
        square[:] = ix * ix + iy * iy

    def solve(self) -> None:
        """The flow for the present linearisation."""
        limit = float(np.float32(EPSILON * EPSILON * self.first.size))
        flat = self.state.reshape(-1)
        for _ in range(OUTER):
            for k in (_U, _V):
                self.planes[k] = cv2.medianBlur(np.ascontiguousarray(self.planes[k]), MEDIAN_PX)
            if _iterate(flat, self.first.shape, self.state.shape[2], self.columns, limit) <= limit:
                break

    def flow(self) -> tuple[F32, F32]:
        """Flow after all warps."""
        for _ in range(WARPS):
            self.warp()
            self.solve()
        return np.ascontiguousarray(self.planes[_U]), np.ascontiguousarray(self.planes[_V])


def _slope(image: F32, axis: int) -> F32:
    """Central differences; half the difference to the one neighbour at the border."""
    wide = np.pad(image, [(1, 1) if axis == k else (0, 0) for k in (0, 1)], mode="edge")
    after, before = (wide[2:], wide[:-2]) if axis == 0 else (wide[:, 2:], wide[:, :-2])
    return np.asarray(np.float32(0.5) * (after - before), np.float32)


def tvl1_flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> F32:
    """Dense TV-L1 flow from one picture to another.

    Args:
        first, second: uint8 (H, W), of one size, at least 3 px a side.

    Returns:
        (H, W, 2): u to the picture's right, v downwards, pixels.
    """
    pyramid = [(first.astype(np.float32), second.astype(np.float32))]
    while len(pyramid) < SCALES:
        a, b = (
            cv2.resize(p, None, fx=SCALE_STEP, fy=SCALE_STEP, interpolation=cv2.INTER_LINEAR)
            for p in pyramid[-1]
        )
        if min(a.shape) < SMALLEST_PX:
            break
        pyramid.append((np.asarray(a, np.float32), np.asarray(b, np.float32)))
    still = np.zeros(pyramid[-1][0].shape, np.float32)
    flow = still, still
    for a, b in reversed(pyramid):
        if flow[0].shape != a.shape:
            u, v = (cv2.resize(f, a.shape[::-1], interpolation=cv2.INTER_LINEAR) for f in flow)
            flow = np.float32(1 / SCALE_STEP) * u, np.float32(1 / SCALE_STEP) * v
        flow = _Scale(a, b, flow).flow()
    return np.dstack(flow)
