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


@njit(cache=True, nogil=True, boundscheck=False)
def _span(
    ax: float, ay: float, bx: float, by: float, cx: float, cy: float, y: float
) -> tuple[float, float]:  # pragma: no cover
    """Where the row ``y`` enters and leaves a triangle; edges are half-open, computed from their lower end,
    so that two triangles that share an edge get the same number and no pixel is drawn twice or missed."""
    lo, hi = 1e30, -1e30
    for k in range(3):
        if k == 0:
            px, py, qx, qy = ax, ay, bx, by
        elif k == 1:
            px, py, qx, qy = bx, by, cx, cy
        else:
            px, py, qx, qy = cx, cy, ax, ay
        if py > qy:
            px, py, qx, qy = qx, qy, px, py
        if py <= y < qy:
            x = px + (qx - px) * ((y - py) / (qy - py))
            lo = min(lo, x)
            hi = max(hi, x)
    return lo, hi


@njit(cache=True, nogil=True, boundscheck=False)
def draw(tex: U8, dst: F32, src: F32, triangles: I32, alpha: F32, out: I16) -> None:  # pragma: no cover
    """Draw textured triangles in order.

    Args:
        tex: uint8 (h, w) texture.
        dst: (V, 2) positions in ``out``'s pixels (centres at integers).
        src: (V, 2) positions in ``tex``'s texels.
        triangles: (N, 3) vertices.
        alpha: (V,) opacity, interpolated; triangles with three ones are opaque.
        out: int16 (H, W), grey levels times 16.
    """
    height, width = out.shape
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = float(dst[i, 0]), float(dst[i, 1])
        bx, by = float(dst[j, 0]), float(dst[j, 1])
        cx, cy = float(dst[k, 0]), float(dst[k, 1])
        det = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(det) < 1e-7:
            continue
        y0 = max(0, int(np.ceil(min(ay, by, cy))))
        y1 = min(height - 1, int(np.ceil(max(ay, by, cy))) - 1)
        ux, uy = (cy - ay) / det, -(cx - ax) / det
        vx, vy = -(by - ay) / det, (bx - ax) / det
        s_i, s_j, s_k = float(src[i, 0]), float(src[j, 0]), float(src[k, 0])
        t_i, t_j, t_k = float(src[i, 1]), float(src[j, 1]), float(src[k, 1])
        sxx = (s_j - s_i) * ux + (s_k - s_i) * vx
        sxy = (s_j - s_i) * uy + (s_k - s_i) * vy
        syx = (t_j - t_i) * ux + (t_k - t_i) * vx
        syy = (t_j - t_i) * uy + (t_k - t_i) * vy
        step_x = int(np.rint(sxx * 65536.0))
        step_y = int(np.rint(syx * 65536.0))
        opaque = alpha[i] >= 1.0 and alpha[j] >= 1.0 and alpha[k] >= 1.0
        aax = (alpha[j] - alpha[i]) * ux + (alpha[k] - alpha[i]) * vx
        aay = (alpha[j] - alpha[i]) * uy + (alpha[k] - alpha[i]) * vy
        for y in range(y0, y1 + 1):
            lo, hi = _span(ax, ay, bx, by, cx, cy, float(y))
            if lo > hi:
                continue
            x0 = max(0, int(np.ceil(lo)))
            x1 = min(width, int(np.ceil(hi)))
            if x0 >= x1:
                continue
            fx = int(np.rint((s_i + sxx * (x0 - ax) + sxy * (y - ay) + PAD) * 65536.0))
            fy = int(np.rint((t_i + syx * (x0 - ax) + syy * (y - ay) + PAD) * 65536.0))
            a = (alpha[i] + aax * (x0 - ax) + aay * (y - ay)) * 256.0
            for x in range(x0, x1):
                column, row = fx >> 16, fy >> 16
                wx, wy = (fx >> 8) & 255, (fy >> 8) & 255
                top = int(tex[row, column]) * (256 - wx) + int(tex[row, column + 1]) * wx
                low = int(tex[row + 1, column]) * (256 - wx) + int(tex[row + 1, column + 1]) * wx
                value = (top * (256 - wy) + low * wy + 2048) >> 12
                if opaque:
                    out[y, x] = value
                else:
                    share = min(256, max(0, int(a)))
                    out[y, x] = (int(out[y, x]) * (256 - share) + value * share + 128) >> 8
                    a += aax * 256.0
                fx += step_x
                fy += step_y


@njit(cache=True, nogil=True, boundscheck=False)
def draw_attributes(dst: F32, values: F32, triangles: I32, alpha: F32, out: F32) -> None:  # pragma: no cover
    """Interpolate per-vertex ``values`` (V, C) over triangles into ``out`` (H, W, C); last drawn wins where
    its opacity is at least one half."""
    height, width, channels = out.shape
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = float(dst[i, 0]), float(dst[i, 1])
        bx, by = float(dst[j, 0]), float(dst[j, 1])
        cx, cy = float(dst[k, 0]), float(dst[k, 1])
        det = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(det) < 1e-7:
            continue
        y0 = max(0, int(np.ceil(min(ay, by, cy))))
        y1 = min(height - 1, int(np.ceil(max(ay, by, cy))) - 1)
        for y in range(y0, y1 + 1):
            lo, hi = _span(ax, ay, bx, by, cx, cy, float(y))
            for x in range(max(0, int(np.ceil(lo))), min(width, int(np.ceil(hi)))):
                u = ((cy - ay) * (x - ax) - (cx - ax) * (y - ay)) / det
                v = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / det
                w = 1.0 - u - v
                if alpha[i] * w + alpha[j] * u + alpha[k] * v >= 0.5:
                    for c in range(channels):
                        out[y, x, c] = values[i, c] * w + values[j, c] * u + values[k, c] * v


@njit(cache=True, nogil=True, boundscheck=False)
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
    height, width = plane.shape
    level = np.int32(black << FRACTION_BITS)
    gain_fixed = np.int32(np.rint(gain * 4096.0))
    # noise/32 * strength * 16 grey-level fractions, in 1/256 of them.
    noise_fixed = np.int32(np.rint(strength * 128.0))
    for y in range(height):
        start = offset + y * width
        for x in range(width):
            value = level + (((np.int32(plane[y, x]) - level) * gain_fixed) >> 12)
            value += (np.int32(noise[start + x]) * noise_fixed) >> 8
            value = (value + 8) >> FRACTION_BITS
            out[y, x] = min(255, max(0, value))


@njit(cache=True, nogil=True, boundscheck=False)
def shade(tex: U8, x0: int, y0: int, relief: F32, amount: float, black: int) -> None:  # pragma: no cover
    """Multiply a box of a texture by ``1 + amount * relief`` about ``black``, in place."""
    for y in range(relief.shape[0]):
        for x in range(relief.shape[1]):
            level = float(tex[y0 + y, x0 + x]) - black
            value = black + level * (1.0 + amount * relief[y, x])
            tex[y0 + y, x0 + x] = min(255, max(0, int(value + 0.5)))


@njit(cache=True, nogil=True, boundscheck=False)
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
    interpolated (the half-sample filter of H.264, 8.4.2.2.1)."""

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
