"""Hairs: many thin anti-aliased strokes drawn into one layer of colour and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from equime.drawn_face.canvas import Array, Canvas, Points

_BITS: Final = 4


def strand_layer(
    canvas: Canvas,
    paths_mm: Sequence[Points],
    widths_mm: Sequence[float],
    colours: Array,
) -> tuple[Array, Array]:
    """Draws strokes in order, later ones over earlier ones.

    Args:
        canvas: the surface.
        paths_mm: one (n, 2) polyline per stroke.
        widths_mm: its width; below a pixel the stroke gets fainter.
        colours: (n_strokes, 3) or (n_strokes, n_parts, 3) linear light 0..1, along the stroke in equal parts.

    Returns:
        Colour (H, W, 3) in linear light and coverage (H, W).
    """
    side = canvas.side_px
    colour = np.zeros((side, side, 3), np.uint8)
    alpha = np.zeros((side, side), np.uint8)
    coded = np.round(np.sqrt(np.clip(colours, 0, 1)) * 255).astype(int)
    if coded.ndim == 2:
        coded = coded[:, None, :]
    for path, width_mm, parts in zip(paths_mm, widths_mm, coded, strict=True):
        points = canvas.fixed(path)
        width_px = width_mm * canvas.px_per_mm
        thick = max(1, round(width_px))
        cover = int(255 * min(1.0, width_px))
        for i, part in enumerate(parts):
            a, b = i * (len(points) - 1) // len(parts), (i + 1) * (len(points) - 1) // len(parts)
            piece = [points[a : b + 1]]
            value = tuple(int(c) for c in part)
            # The colour is drawn wider than the coverage, so that no dark fringe mixes in.
            cv2.polylines(colour, piece, False, value, thick + 1, cv2.LINE_8, _BITS)
            cv2.polylines(alpha, piece, False, cover, thick, cv2.LINE_AA, _BITS)
    return (colour.astype(np.float32) / 255) ** 2, alpha.astype(np.float32) / 255
