"""Dynamic images: weights by hand, and the sum over pairs that they come from."""

from __future__ import annotations

import numpy as np
import pytest

from equime.baselines.dynamic_image import dynamic_image, rank_pooling_weights
from equime.seeding import stream


@pytest.mark.parametrize(
    ("n", "weights"), [(1, [0]), (2, [-1 / 2, 1 / 2]), (3, [-4 / 3, 2 / 3, 2 / 3]), (0, [])]
)
def test_weights_by_hand(n: int, weights: list[float]) -> None:
    np.testing.assert_allclose(rank_pooling_weights(n), weights, atol=1e-12)


@pytest.mark.parametrize("n", [4, 9, 40])
def test_weights_are_the_sum_over_pairs_of_running_means(n: int) -> None:
    """Bilen et al. 2016, eq. 2: the first step of the ranking machine, sum over q > t of V_q - V_t."""
    frames = stream(1, "frames").normal(size=(n, 5))
    means = np.cumsum(frames, axis=0) / np.arange(1, n + 1)[:, None]
    pairs = sum((means[q] - means[t] for q in range(n) for t in range(q)), start=np.zeros(5))
    # Their closed form is this sum, frame by frame.
    np.testing.assert_allclose(rank_pooling_weights(n) @ frames, pairs, atol=1e-9)
    assert rank_pooling_weights(n).sum() == pytest.approx(0, abs=1e-9)


def test_what_brightens_is_bright() -> None:
    frames = np.full((5, 4, 6, 3), 100, np.uint8)
    frames[:, 1, 2] += np.arange(0, 50, 10, dtype=np.uint8)[:, None]
    frames[:, 3, 0] -= np.arange(0, 50, 10, dtype=np.uint8)[:, None]
    image = dynamic_image(frames)
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.float32
    assert (image[1, 2] == 1).all()
    assert (image[3, 0] == 0).all()
    assert image[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize("n", [1, 4])
def test_a_still_clip_is_empty(n: int) -> None:
    assert not dynamic_image(np.full((n, 3, 3, 3), 77, np.uint8)).any()
