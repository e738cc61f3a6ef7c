"""Compiled loops: textured triangles into planes by scan-line, noise and light, shading, motion fields.

One thread, integer arithmetic in the inner loops: the same input gives the same bytes. Texture planes are
sampled at twice the picture's resolution (`upsample2`), whose even samples are the source itself, so that a
picture that does not move is the source to the last bit and one that moves by half a pixel stays sharp.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
F32 = NDArray[np.float32]

PAD = 2
"""Texels around every texture, so that bilinear look-ups need no bounds checks."""
FRACTION_BITS = 4
"""Accumulator planes hold grey levels times 16, so that light and noise are added before rounding."""


_jit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
_inline = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy", inline="always")


@_inline
def _corners(dst: F32, i: int, j: int, k: int) -> tuple[float, ...]:  # pragma: no cover
    """Corners from top to bottom with the slopes dx/dy of the long, the upper and the lower edge.

    A slope depends on the edge's two ends alone, so two triangles that share an edge cross a row at the same
    number and no pixel is drawn twice or missed.
    """
    ax, ay = float(dst[i, 0]), float(dst[i, 1])
    bx, by = float(dst[j, 0]), float(dst[j, 1])
    cx, cy = float(dst[k, 0]), float(dst[k, 1])
    if by < ay:
        ax, ay, bx, by = bx, by, ax, ay
    if cy < ay:
        ax, ay, cx, cy = cx, cy, ax, ay
    if cy < by:
        bx, by, cx, cy = cx, cy, bx, by
    long = (cx - ax) / (cy - ay) if cy > ay else 0.0
    upper = (bx - ax) / (by - ay) if by > ay else 0.0
    lower = (cx - bx) / (cy - by) if cy > by else 0.0
    return ax, ay, bx, by, cy, long, upper, lower


@_inline
def _plane(
    dst: F32, values: F32, c: int, i: int, j: int, k: int
) -> tuple[float, float, float]:  # pragma: no cover
    """Column ``c`` of per-vertex values as ``v0 + vx * x + vy * y`` over a triangle."""
    ax, ay = float(dst[i, 0]), float(dst[i, 1])
    bx, by = float(dst[j, 0]) - ax, float(dst[j, 1]) - ay
    cx, cy = float(dst[k, 0]) - ax, float(dst[k, 1]) - ay
    inverse = 1.0 / (bx * cy - cx * by)
    v = float(values[i, c])
    vj, vk = (float(values[j, c]) - v) * inverse, (float(values[k, c]) - v) * inverse
    vx, vy = vj * cy - vk * by, vk * bx - vj * cx
    return v - vx * ax - vy * ay, vx, vy


@_inline
def _is_flat(dst: F32, i: int, j: int, k: int) -> bool:  # pragma: no cover
    bx, by = dst[j, 0] - dst[i, 0], dst[j, 1] - dst[i, 1]
    cx, cy = dst[k, 0] - dst[i, 0], dst[k, 1] - dst[i, 1]
    return bool(abs(bx * cy - cx * by) < 1e-6)


def pack_luma(plane: U8) -> NDArray[np.uint32]:
    """A texture with every texel next to the one below it (low and high 16 bits), so that one multiplication
    blends two rows.
    """
    packed = plane.astype(np.uint32)
    packed[:-1] |= packed[1:] << 16
    return packed


def pack_chroma(u: U8, v: U8) -> NDArray[np.uint64]:
    """U over its lower neighbour and V over its own, 16 bits each."""
    return pack_luma(u).astype(np.uint64) | (pack_luma(v).astype(np.uint64) << np.uint64(32))


@_jit
def draw_luma(
    tex: NDArray[np.uint32], dst: F32, src: F32, triangles: I32, out: I16
) -> None:  # pragma: no cover
    """Draw opaque textured triangles in order.

    Args:
        tex: (h, w) of `pack_luma`.
        dst: (V, 2) positions in ``out``'s pixels (centres at integers).
        src: (V, 2) positions in ``tex``'s texels, before padding.
        triangles: (N, 3) vertices.
        out: int16 (H, W), grey levels times 16.
    """
    height, width = out.shape
    stride = np.int64(tex.shape[1])
    texels, pixels = tex.reshape(-1), out.reshape(-1)
    one, full, half = np.uint64(1), np.uint32(256), np.uint32(2048)
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if _is_flat(dst, i, j, k):
            continue
        top_x, top_y, mid_x, mid_y, end_y, long, upper, lower = _corners(dst, i, j, k)
        s0, sx, sy = _plane(dst, src, 0, i, j, k)
        t0, tx, ty = _plane(dst, src, 1, i, j, k)
        step_s, step_t = np.int32(np.rint(sx * 65536.0)), np.int32(np.rint(tx * 65536.0))
        for y in range(max(0, int(np.ceil(top_y))), min(height, int(np.ceil(end_y)))):
            p = top_x + long * (y - top_y)
            q = top_x + upper * (y - top_y) if y < mid_y else mid_x + lower * (y - mid_y)
            x0, x1 = max(0, int(np.ceil(min(p, q)))), min(width, int(np.ceil(max(p, q))))
            # Half a unit of the fixed point, so that truncation rounds.
            fs = np.int32((s0 + sx * x0 + sy * y + PAD) * 65536.0 + 0.5)
            ft = np.int32((t0 + tx * x0 + ty * y + PAD) * 65536.0 + 0.5)
            pixel = np.uint64(y * width + x0)
            for _ in range(x1 - x0):
                at = np.uint64((ft >> np.int32(16)) * stride + (fs >> np.int32(16)))
                ws = np.uint32((fs >> np.int32(8)) & np.int32(255))
                wt = np.uint32((ft >> np.int32(8)) & np.int32(255))
                rows = texels[at] * (full - ws) + texels[at + one] * ws
                value = (rows & np.uint32(0xFFFF)) * (full - wt) + (rows >> np.uint32(16)) * wt
                pixels[pixel] = np.int16((value + half) >> np.uint32(12))
                pixel += one
                fs += step_s
                ft += step_t


@_jit
def draw_chroma(
    tex: NDArray[np.uint64], dst: F32, src: F32, triangles: I32, out_u: I16, out_v: I16
) -> None:  # pragma: no cover
    """As `draw_luma` for both chroma planes at once; ``tex`` of `pack_chroma`."""
    height, width = out_u.shape
    stride = np.int64(tex.shape[1])
    texels, pixels_u, pixels_v = tex.reshape(-1), out_u.reshape(-1), out_v.reshape(-1)
    one, full, half, low = np.uint64(1), np.uint64(256), np.uint64(2048), np.uint64(0xFFFF)
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if _is_flat(dst, i, j, k):
            continue
        top_x, top_y, mid_x, mid_y, end_y, long, upper, lower = _corners(dst, i, j, k)
        s0, sx, sy = _plane(dst, src, 0, i, j, k)
        t0, tx, ty = _plane(dst, src, 1, i, j, k)
        step_s, step_t = np.int32(np.rint(sx * 65536.0)), np.int32(np.rint(tx * 65536.0))
        for y in range(max(0, int(np.ceil(top_y))), min(height, int(np.ceil(end_y)))):
            p = top_x + long * (y - top_y)
            q = top_x + upper * (y - top_y) if y < mid_y else mid_x + lower * (y - mid_y)
            x0, x1 = max(0, int(np.ceil(min(p, q)))), min(width, int(np.ceil(max(p, q))))
            fs = np.int32((s0 + sx * x0 + sy * y + PAD) * 65536.0 + 0.5)
            ft = np.int32((t0 + tx * x0 + ty * y + PAD) * 65536.0 + 0.5)
            pixel = np.uint64(y * width + x0)
            for _ in range(x1 - x0):
                at = np.uint64((ft >> np.int32(16)) * stride + (fs >> np.int32(16)))
                ws = np.uint64((fs >> np.int32(8)) & np.int32(255))
                wt = np.uint64((ft >> np.int32(8)) & np.int32(255))
                rows = texels[at] * (full - ws) + texels[at + one] * ws
                u = (rows & low) * (full - wt) + ((rows >> np.uint64(16)) & low) * wt
                v = ((rows >> np.uint64(32)) & low) * (full - wt) + (rows >> np.uint64(48)) * wt
                pixels_u[pixel] = np.int16((u + half) >> np.uint64(12))
                pixels_v[pixel] = np.int16((v + half) >> np.uint64(12))
                pixel += one
                fs += step_s
                ft += step_t


@_inline
def _bilinear(tex: U8, column: int, row: int, ws: int, wt: int) -> int:  # pragma: no cover
    """Grey level times 16 between four texels; weights in 1/256."""
    top = int(tex[row, column]) * (256 - ws) + int(tex[row, column + 1]) * ws
    low = int(tex[row + 1, column]) * (256 - ws) + int(tex[row + 1, column + 1]) * ws
    return (top * (256 - wt) + low * wt + 2048) >> 12


@_jit
def draw_veil(tex: U8, dst: F32, src: F32, triangles: I32, alpha: F32, out: I16) -> None:  # pragma: no cover
    """Blend textured triangles over a plane by an opacity that is interpolated over each.

    Args:
        tex: uint8 (h, w), padded.
        dst, src, triangles, out: as in `draw_luma`.
        alpha: (V, 1) opacity.
    """
    height, width = out.shape
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if _is_flat(dst, i, j, k):
            continue
        top_x, top_y, mid_x, mid_y, end_y, long, upper, lower = _corners(dst, i, j, k)
        s0, sx, sy = _plane(dst, src, 0, i, j, k)
        t0, tx, ty = _plane(dst, src, 1, i, j, k)
        a0, ax, ay = _plane(dst, alpha, 0, i, j, k)
        for y in range(max(0, int(np.ceil(top_y))), min(height, int(np.ceil(end_y)))):
            p = top_x + long * (y - top_y)
            q = top_x + upper * (y - top_y) if y < mid_y else mid_x + lower * (y - mid_y)
            for x in range(max(0, int(np.ceil(min(p, q)))), min(width, int(np.ceil(max(p, q))))):
                fs = int((s0 + sx * x + sy * y + PAD) * 256.0 + 0.5)
                ft = int((t0 + tx * x + ty * y + PAD) * 256.0 + 0.5)
                value = _bilinear(tex, fs >> 8, ft >> 8, fs & 255, ft & 255)
                share = min(256, max(0, int((a0 + ax * x + ay * y) * 256.0)))
                out[y, x] = (int(out[y, x]) * (256 - share) + value * share + 128) >> 8


@_jit
def draw_masked(
    tex: U8, opacity: U8, dst: F32, src: F32, triangles: I32, out: I16
) -> None:  # pragma: no cover
    """Blend textured triangles over a plane by an opacity texture.

    Args:
        tex: uint8 (h, w), padded.
        opacity: uint8 (h, w), 255 is opaque.
        dst, src, triangles, out: as in `draw_luma`.
    """
    height, width = out.shape
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if _is_flat(dst, i, j, k):
            continue
        top_x, top_y, mid_x, mid_y, end_y, long, upper, lower = _corners(dst, i, j, k)
        s0, sx, sy = _plane(dst, src, 0, i, j, k)
        t0, tx, ty = _plane(dst, src, 1, i, j, k)
        for y in range(max(0, int(np.ceil(top_y))), min(height, int(np.ceil(end_y)))):
            p = top_x + long * (y - top_y)
            q = top_x + upper * (y - top_y) if y < mid_y else mid_x + lower * (y - mid_y)
            for x in range(max(0, int(np.ceil(min(p, q)))), min(width, int(np.ceil(max(p, q))))):
                fs = int((s0 + sx * x + sy * y + PAD) * 256.0 + 0.5)
                ft = int((t0 + tx * x + ty * y + PAD) * 256.0 + 0.5)
                column, row = fs >> 8, ft >> 8
                share = _bilinear(opacity, column, row, fs & 255, ft & 255)
                if share > 8:
                    value = _bilinear(tex, column, row, fs & 255, ft & 255)
                    share = min(4080, share) * 4096 // 4080
                    out[y, x] = (int(out[y, x]) * (4096 - share) + value * share + 2048) >> 12


@_jit
def draw_attributes(dst: F32, values: F32, triangles: I32, alpha: F32, out: F32) -> None:  # pragma: no cover
    """Interpolate per-vertex ``values`` (V, C) over triangles into ``out`` (H, W, C); last drawn wins where
    its opacity (V, 1) is at least one half.
    """
    height, width, channels = out.shape
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if _is_flat(dst, i, j, k):
            continue
        top_x, top_y, mid_x, mid_y, end_y, long, upper, lower = _corners(dst, i, j, k)
        a0, ax, ay = _plane(dst, alpha, 0, i, j, k)
        for c in range(channels):
            v0, vx, vy = _plane(dst, values, c, i, j, k)
            for y in range(max(0, int(np.ceil(top_y))), min(height, int(np.ceil(end_y)))):
                p = top_x + long * (y - top_y)
                q = top_x + upper * (y - top_y) if y < mid_y else mid_x + lower * (y - mid_y)
                for x in range(max(0, int(np.ceil(min(p, q)))), min(width, int(np.ceil(max(p, q))))):
                    if a0 + ax * x + ay * y >= 0.5:
                        out[y, x, c] = v0 + vx * x + vy * y


@_jit
def develop(
    plane: I16, black: int, gain: float, noise: NDArray[np.int8], offset: int, strength: float, out: U8
) -> None:  # pragma: no cover
    """Accumulator to grey levels: light gain about ``black``, plus noise, rounded and clipped.

    Args:
        plane: int16 (H, W), grey levels times 16.
        black: level that the gain leaves alone (16 for luma, 128 for chroma).
        gain: light, 1.0 is none.
        noise: int8 bank of at least ``offset + H * W`` standard normals times 32.
        offset: where in the bank this frame starts.
        strength: standard deviation of the noise in grey levels.
        out: uint8 (H, W).
    """
    level = np.int32(black << FRACTION_BITS)
    gain_fixed = np.int32(np.rint(gain * 4096.0))
    # noise/32 * strength * 16 grey-level fractions, in 1/256 of them.
    noise_fixed = np.int32(np.rint(strength * 128.0))
    half, low, high = np.int32(8), np.int32(0), np.int32(255)
    levels, grey = plane.reshape(-1), out.reshape(-1)
    grain = noise[offset : offset + len(levels)]
    for i in range(len(levels)):
        value = level + (((np.int32(levels[i]) - level) * gain_fixed) >> np.int32(12))
        value += (np.int32(grain[i]) * noise_fixed) >> np.int32(8)
        value = (value + half) >> np.int32(FRACTION_BITS)
        grey[i] = np.uint8(min(high, max(low, value)))


@_jit
def shade(tex: U8, x0: int, y0: int, relief: F32, amount: float, black: int) -> None:  # pragma: no cover
    """Multiply a box of a texture by ``1 + amount * relief`` about ``black``, in place."""
    for y in range(relief.shape[0]):
        for x in range(relief.shape[1]):
            level = float(tex[y0 + y, x0 + x]) - black
            value = black + level * (1.0 + amount * relief[y, x])
            tex[y0 + y, x0 + x] = min(255, max(0, int(value + 0.5)))


@_jit
def repack(
    tex: U8, packed: NDArray[np.uint32], x0: int, y0: int, x1: int, y1: int
) -> None:  # pragma: no cover
    """Bring a box of a `pack_luma` texture up to date with its plane."""
    for y in range(max(0, y0 - 1), y1):
        for x in range(x0, x1):
            packed[y, x] = np.uint32(tex[y, x]) | (np.uint32(tex[y + 1, x]) << np.uint32(16))


@_jit
def add_light(out: I16, light: I16, x: float, y: float) -> None:  # pragma: no cover
    """Add a patch to an accumulator with its corner at a (fractional) position."""
    column, row = int(np.floor(x)), int(np.floor(y))
    wx, wy = int((x - column) * 256.0), int((y - row) * 256.0)
    height, width = light.shape
    for j in range(height + 1):
        for i in range(width + 1):
            ty, tx = row + j, column + i
            if ty < 0 or tx < 0 or ty >= out.shape[0] or tx >= out.shape[1]:
                continue
            total = 0
            for dj in range(2):
                for di in range(2):
                    sy, sx = j - dj, i - di
                    if 0 <= sy < height and 0 <= sx < width:
                        wgt = (wy if dj else 256 - wy) * (wx if di else 256 - wx)
                        total += int(light[sy, sx]) * wgt
            out[ty, tx] += (total + 32768) >> 16


def upsample2(plane: U8) -> U8:
    """A plane at twice the resolution, padded by `PAD`: even samples are the source, odd ones 6-tap
    interpolated (the half-sample filter of H.264, 8.4.2.2.1).
    """

    def halves(p: NDArray[np.float32]) -> NDArray[np.float32]:
        q = np.pad(p, ((2, 3), (0, 0)), mode="edge")
        n = len(p)
        taps = (1, -5, 20, 20, -5, 1)
        return sum(np.float32(w / 32) * q[i : i + n] for i, w in enumerate(taps))  # type: ignore[return-value]

    tall = np.empty((2 * plane.shape[0], plane.shape[1]), np.float32)
    tall[::2] = plane
    tall[1::2] = halves(tall[::2])
    full = np.empty((tall.shape[0], 2 * tall.shape[1]), np.float32)
    full[:, ::2] = tall
    full[:, 1::2] = halves(np.ascontiguousarray(tall.T)).T
    return np.pad(np.clip(full + 0.5, 0, 255).astype(np.uint8), PAD, mode="edge")
