"""LBP-TOP: scikit-image's codes in every plane, histograms by block, interpolation in time as it was published."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import local_binary_pattern

from equime.baselines.lbp_histograms import (
    LbpTop,
    at_length,
    bins_of_codes,
    codes,
    histograms,
    without_padding,
)
from equime.baselines.models import lbp_top
from equime.errors import InputError
from equime.seeding import stream


def noise(frames: int = 12, rows: int = 16, columns: int = 14, *names: str) -> Any:
    return stream(3, "clip", *names).integers(1, 256, (frames, rows, columns), dtype=np.uint8)


def reference(image: Any, points: int, radius: int) -> Any:
    """scikit-image's codes where no point leaves the picture."""
    found = local_binary_pattern(image, points, radius, "default")
    return found[radius:-radius, radius:-radius].astype(np.uint8)


@pytest.mark.parametrize(("points", "radius"), [(4, 1), (4, 3), (8, 1), (8, 2), (6, 2)])
def test_codes_are_scikit_images(points: int, radius: int) -> None:
    clip = noise()
    found = codes(clip, LbpTop(points, radius, radius, radius, (1, 1, 1)))
    for t in range(found.shape[1]):
        np.testing.assert_array_equal(found[0, t], reference(clip[t + radius], points, radius))
    # In the planes with time, later frames are up, as smaller rows are in a picture.
    later_up = clip[::-1]
    for y in range(found.shape[2]):
        expected = reference(later_up[:, y + radius], points, radius)[::-1]
        np.testing.assert_array_equal(found[1, :, y], expected)
    for x in range(found.shape[3]):
        expected = reference(later_up[:, :, x + radius], points, radius)[::-1]
        np.testing.assert_array_equal(found[2, :, :, x], expected)


def test_a_code_by_hand() -> None:
    """One voxel, radii 2, 1 and 3: right, up, left, down; right, later, left, earlier; below, later, above, earlier."""
    clip = np.full((7, 3, 5), 10, np.uint8)
    clip[3, 1, 2] = 100
    clip[3, 1, 4] = 200  # right
    clip[3, 0, 2] = 100  # above, just as bright
    clip[6, 1, 2] = 101  # later
    found = codes(clip, LbpTop(4, 2, 1, 3, (1, 1, 1)))
    assert found.shape == (3, 1, 1, 1)
    assert found.ravel().tolist() == [0b0011, 0b0011, 0b0110]


def test_the_length_of_the_descriptor() -> None:
    clip = noise(32, 64, 64)
    assert LbpTop().n_features == 5 * 5 * 3 * 16
    assert histograms(clip, LbpTop()).shape == (1200,)
    assert LbpTop(points=8, uniform=True).n_features == 5 * 5 * 3 * 59
    assert LbpTop(points=4, uniform=True).n_bins == 15


def test_uniform_codes_are_scikit_images() -> None:
    """58 patterns of at most two changes, in scikit-image as 0 to 57 of "nri_uniform"."""
    clip = noise(3, 40, 40)
    found = local_binary_pattern(clip[1], 8, 1, "nri_uniform")[1:-1, 1:-1]
    bins = bins_of_codes(8, True)[codes(clip, LbpTop(8, 1, 1, 1, (1, 1, 1)))[0, 0]]
    assert ((bins == 58) == (found == 58)).all()
    assert len(np.unique(bins)) == len(np.unique(found)) == 59


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 2), st.booleans())
def test_histograms_count_every_code_once(rows: int, columns: int, slices: int, uniform: bool) -> None:
    clip = noise(11, 15, 13)
    chosen = LbpTop(4, 1, 2, 3, (rows, columns, slices), uniform)
    found = histograms(clip, chosen).reshape(rows, columns, slices, 3, chosen.n_bins)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-6)
    whole = bins_of_codes(4, uniform)[codes(clip, chosen)]
    if (rows, columns, slices) == (1, 1, 1):
        for plane in range(3):
            expected = np.bincount(whole[plane].ravel(), minlength=chosen.n_bins) / whole[plane].size
            np.testing.assert_allclose(found[0, 0, 0, plane], expected, atol=1e-6)


def test_blocks_are_where_they_should_be() -> None:
    """What changes in the lower left quarter in the second half shows in that block alone."""
    chosen = LbpTop(4, 1, 1, 1, (2, 2, 2))
    clip, changed = noise(18, 18, 18), noise(18, 18, 18)
    changed[12:, 12:, :6] = noise(6, 6, 6, "other")
    different = (histograms(clip, chosen) != histograms(changed, chosen)).reshape(2, 2, 2, -1).any(axis=-1)
    assert np.argwhere(different).tolist() == [[1, 0, 1]]


def zhou(clip: Any, n_frames: int) -> Any:
    """Temporal interpolation as Zhou et al. write it: frames to principal components, those to the graph's curve."""
    frames = clip.reshape(len(clip), -1).T.astype(float)
    n, mean = len(clip), frames.mean(axis=1, keepdims=True)
    basis, size, components = np.linalg.svd(frames - mean, full_matrices=False)
    basis, embedded = basis[:, : n - 1], (np.diag(size) @ components)[: n - 1]

    def curve(t: Any) -> Any:
        k = np.arange(1, n)[:, None]
        return np.sin(np.pi * k * t + np.pi * (n - k) / (2 * n))

    mixing = embedded @ np.linalg.pinv(curve(np.arange(1, n + 1) / n))
    wanted = basis @ mixing @ curve(np.linspace(1 / n, 1, n_frames)) + mean
    return wanted.T.reshape(n_frames, *clip.shape[1:])


@pytest.mark.parametrize("n_frames", [5, 10, 23])
def test_interpolation_is_that_of_zhou(n_frames: int) -> None:
    clip = noise(9, 6, 6)
    expected = np.clip(np.rint(zhou(clip, n_frames)), 0, 255)
    assert np.abs(at_length(clip, n_frames) - expected).max() <= 1  # roundings at .5
    assert (at_length(clip, n_frames)[[0, -1]] == clip[[0, -1]]).all()


def test_clips_that_need_no_interpolation() -> None:
    clip = noise(9, 6, 6)
    assert (at_length(clip, 9) == clip).all()
    assert (at_length(clip[:1], 4) == clip[0]).all()


def test_black_frames_at_the_end_are_no_part_of_a_clip() -> None:
    clip = noise(9, 6, 6)
    clip[3] = 0
    padded = np.concatenate([clip, np.zeros((5, 6, 6), np.uint8)])
    assert (without_padding(padded) == clip).all()
    assert len(without_padding(np.zeros((4, 6, 6), np.uint8))) == 1


def test_a_clip_too_small_for_its_radii() -> None:
    with pytest.raises(InputError, match="8 frames of 14 x 16 px is too small for radii x 1, y 1, t 4"):
        codes(noise(8), LbpTop())
    with pytest.raises(InputError, match="9 points; allowed are 2 to 8"):
        LbpTop(points=9)
    with pytest.raises(InputError, match="whole numbers from 1"):
        LbpTop(radius_t=0)


def moving(n: int) -> tuple[Any, Any]:
    """A texture that moves left, right or not at all, behind it black frames; clips of different lengths."""
    random = stream(9, "moving")
    y = np.arange(n) % 3
    x = np.zeros((n, 20, 20, 20), np.uint8)
    for clip, label in zip(x, y, strict=True):
        wide = random.integers(1, 256, (20, 80), dtype=np.uint8)
        for t in range(random.integers(12, 21)):
            at = 30 + (label - 1) * t
            clip[t] = wide[:, at : at + 20]
    return x, y


def test_it_tells_directions_apart() -> None:
    x, y = moving(48)
    model = lbp_top.LbpTop()
    chosen = {"blocks_x": 1, "blocks_y": 1, "n_frames": 0, "radius_t": 1}
    (fitted,) = model.fit(x, y, [np.arange(30)], options=chosen)
    assert (fitted.probabilities(x[30:]).argmax(axis=1) == y[30:]).all()


def test_length_does_not_show() -> None:
    """A still clip is the same descriptor whether it fills all frames or a few of them."""
    still = np.repeat(noise(1, 20, 20), 20, axis=0)
    short = still.copy()
    short[9:] = 0
    descriptors = lbp_top.descriptors(np.stack([still, short]), LbpTop(blocks=(2, 2, 1)), 12)
    np.testing.assert_array_equal(descriptors[0], descriptors[1])
