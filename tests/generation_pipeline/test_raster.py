"""The rasteriser against plain numpy: coverage, sampling, blending, noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import Delaunay

from equime.generation_pipeline.renderers import raster

SIZE = 32


def _mesh(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random points over a square whose corners and edges lie just outside the picture."""
    rng = np.random.default_rng(seed)
    inside = rng.uniform(0, SIZE - 1, (20, 2))
    corners = np.array([(-0.5, -0.5), (SIZE - 0.5, -0.5), (-0.5, SIZE - 0.5), (SIZE - 0.5, SIZE - 0.5)])
    points = np.vstack([inside, corners]).astype(np.float32)
    return points, Delaunay(points).simplices.astype(np.int32)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_every_pixel_is_drawn_exactly_once(seed: int) -> None:
    points, triangles = _mesh(seed)
    counts = np.zeros((SIZE, SIZE), int)
    texture = raster.pack_luma(np.full((2 * SIZE + 8, 2 * SIZE + 8), 100, np.uint8))
    source = np.zeros_like(points)
    for triangle in triangles:
        out = np.zeros((SIZE, SIZE), np.int16)
        raster.draw_luma(texture, points, source, triangle[None], out)
        counts += out > 0
    assert (counts == 1).all()


def test_sampling_is_bilinear(rng: np.random.Generator) -> None:
    plane = ndimage.gaussian_filter(rng.uniform(0, 255, (SIZE, SIZE)), 1.5).astype(np.uint8)
    texture = raster.upsample2(plane)
    points, triangles = _mesh(3)
    shift = np.array([0.3, -0.7], np.float32)
    source = np.clip(2 * (points + shift), 0, 2 * SIZE - 2).astype(np.float32)
    out = np.zeros((SIZE, SIZE), np.int16)
    raster.draw_luma(raster.pack_luma(texture), points, source, triangles, out)
    y, x = np.mgrid[4 : SIZE - 4, 4 : SIZE - 4].astype(float)
    expected = ndimage.map_coordinates(
        texture.astype(float), [2 * (y + shift[1]) + raster.PAD, 2 * (x + shift[0]) + raster.PAD], order=1
    )
    inner = out[4:-4, 4:-4] / 16
    affine = np.abs(inner - expected) < 0.6
    # Triangles at the border have clipped texture positions and are no pure shift.
    assert affine.mean() > 0.8


def test_even_texels_are_the_source(rng: np.random.Generator) -> None:
    plane = rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
    up = raster.upsample2(plane)[raster.PAD : -raster.PAD, raster.PAD : -raster.PAD]
    np.testing.assert_array_equal(up[::2, ::2], plane)


def test_half_samples_follow_a_smooth_signal() -> None:
    x = np.arange(64)
    plane = np.broadcast_to(np.rint(128 + 80 * np.sin(x / 6)), (64, 64)).astype(np.uint8)
    up = raster.upsample2(plane)[raster.PAD : -raster.PAD, raster.PAD : -raster.PAD]
    truth = 128 + 80 * np.sin(np.arange(128) / 12)
    assert np.abs(up[20, 10:-10] - truth[10:-10]).max() < 1.6


def test_luma_and_chroma_kernels_agree(rng: np.random.Generator) -> None:
    plane = rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
    other = rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
    one, two = raster.upsample2(plane), raster.upsample2(other)
    points, triangles = _mesh(5)
    source = np.clip(2 * points + 0.37, 0, 2 * SIZE - 2).astype(np.float32)
    luma, u, v = (np.zeros((SIZE, SIZE), np.int16) for _ in range(3))
    raster.draw_chroma(raster.pack_chroma(one, two), points, source, triangles, u, v)
    for texture, drawn in ((one, u), (two, v)):
        raster.draw_luma(raster.pack_luma(texture), points, source, triangles, luma)
        np.testing.assert_array_equal(luma, drawn)


@pytest.mark.parametrize(("opacity", "expected"), [(0.0, 50), (1.0, 200), (0.5, 125)])
def test_veil_blends(opacity: float, expected: int) -> None:
    points = np.array([(-0.5, -0.5), (SIZE + 9, -0.5), (-0.5, SIZE + 9)], np.float32)
    texture = np.full((2 * SIZE + 8, 2 * SIZE + 8), 200, np.uint8)
    out = np.full((8, 8), 50 * 16, np.int16)
    alpha = np.full((3, 1), opacity, np.float32)
    raster.draw_veil(texture, points, np.zeros_like(points), np.array([[0, 1, 2]], np.int32), alpha, out)
    assert np.abs(out / 16 - expected).max() < 1


def test_develop_scales_about_black() -> None:
    plane = np.full((4, 4), 116 * 16, np.int16)
    bank, out = np.zeros(100, np.int8), np.zeros((4, 4), np.uint8)
    raster.develop(plane, 16, 1.1, bank, 0, 0.0, out)
    assert (out == 126).all()
    raster.develop(plane, 16, 1.0, bank, 0, 0.0, out)
    assert (out == 116).all()


def test_light_is_added_where_it_is_moved_to() -> None:
    out = np.zeros((10, 10), np.int16)
    light = np.array([[160]], np.int16)
    raster.add_light(out, light, 3.0, 4.0)
    assert out[4, 3] == 160
    assert out.sum() == 160
    raster.add_light(out, light, 6.5, 4.0)
    assert out[4, 6] == out[4, 7] == 80


def test_shading_multiplies_about_black() -> None:
    texture = np.full((20, 20), 116, np.uint8)
    raster.shade(texture, 5, 5, np.full((4, 4), -0.1, np.float32), 1.0, 16)
    assert (texture[5:9, 5:9] == 106).all()
    assert (texture[:5] == 116).all()
    packed = raster.pack_luma(np.full((20, 20), 116, np.uint8))
    raster.repack(texture, packed, 5, 5, 9, 9)
    np.testing.assert_array_equal(packed[4:9], raster.pack_luma(texture)[4:9])
