"""Hairs: many thin anti-aliased strokes drawn into one layer of colour and coverage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from equime.drawn_face.canvas import Array, Canvas, Points


def _splat(layer: Any, paths: Any, widths: Any, colours: Any, opacity: float) -> None:
    """Walks each path in steps of 0.8 px and blends a soft round dab, thinner at root and tip."""
    side = layer.shape[0]
    n_points, n_parts = paths.shape[1], colours.shape[1]
    for k in range(paths.shape[0]):
        for i in range(n_points - 1):
            x0, y0, x1, y1 = paths[k, i, 0], paths[k, i, 1], paths[k, i + 1, 0], paths[k, i + 1, 1]
            n_steps = int(np.ceil(1.25 * np.hypot(x1 - x0, y1 - y0)))
            for s in range(n_steps):
                f = s / n_steps
                x, y = x0 + (x1 - x0) * f, y0 + (y1 - y0) * f
                t = (i + f) / (n_points - 1)
                radius = 0.5 * widths[k] * min(1.0, 0.5 + 6 * t) * min(1.0, 0.25 + 3 * (1 - t))
                # A dab is never smaller than a pixel; what is thinner is fainter.
                cover = opacity * min(1.0, radius / 0.5) * 0.75
                r = max(radius, 0.5)
                place = t * n_parts - 0.5
                j = min(max(int(place), 0), n_parts - 1)
                j1 = min(j + 1, n_parts - 1)
                g = min(max(place - j, 0.0), 1.0)
                red = colours[k, j, 0] * (1 - g) + colours[k, j1, 0] * g
                green = colours[k, j, 1] * (1 - g) + colours[k, j1, 1] * g
                blue = colours[k, j, 2] * (1 - g) + colours[k, j1, 2] * g
                reach = (r + 0.5) * (r + 0.5)
                for py in range(max(0, int(np.floor(y - r))), min(side - 1, int(np.ceil(y + r))) + 1):
                    for px in range(max(0, int(np.floor(x - r))), min(side - 1, int(np.ceil(x + r))) + 1):
                        away = (px - x) * (px - x) + (py - y) * (py - y)
                        if away < reach:
                            a = cover * min(1.0, r + 0.5 - np.sqrt(away))
                            layer[py, px, 0] += (red - layer[py, px, 0]) * a
                            layer[py, px, 1] += (green - layer[py, px, 1]) * a
                            layer[py, px, 2] += (blue - layer[py, px, 2]) * a
                            layer[py, px, 3] += (1 - layer[py, px, 3]) * a


_compiled: Callable[..., None] = numba.njit(cache=True)(_splat)


def draw_strands(
    canvas: Canvas, image: Array, paths_mm: Any, widths_mm: Any, colours: Any, opacity: float = 1.0
) -> tuple[Array, Array]:
    """Draws strokes onto a copy of ``image``, later ones over earlier ones.

    Args:
        canvas: the surface.
        image: (H, W, 3) linear light.
        paths_mm: (n, points, 2) polylines.
        widths_mm: (n,) widths; below a pixel the stroke gets fainter.
        colours: (n, 3) or (n, parts, 3) linear light, interpolated along the stroke.
        opacity: of one stroke.

    Returns:
        The picture and the coverage (H, W) of the strokes.
    """
    layer = np.dstack([image, np.zeros(image.shape[:2], np.float32)]).astype(np.float32)
    shades = np.asarray(colours, np.float32)
    if shades.ndim == 2:
        shades = shades[:, None, :]
    paths = canvas.to_px(paths_mm).astype(np.float32)
    widths = (np.asarray(widths_mm) * canvas.px_per_mm).astype(np.float32)
    _compiled(layer, paths, widths, np.ascontiguousarray(shades), opacity)
    return np.ascontiguousarray(layer[..., :3]), np.ascontiguousarray(layer[..., 3])


def bezier(start: Any, middle: Any, end: Any, n: int = 7) -> Points:
    """(strokes, n, 2) quadratic curves from three (strokes, 2) arrays of control points."""
    t = np.linspace(0, 1, n)[None, :, None]
    a, b, c = (np.asarray(p)[:, None, :] for p in (start, middle, end))
    return np.asarray(a * (1 - t) ** 2 + 2 * b * t * (1 - t) + c * t**2)
