"""Dynamic images: a clip as one picture, by approximate rank pooling.

Source: Bilen et al. 2016, "Dynamic Image Networks for Action Recognition", section 3: the weights of the frames in
closed form, a_t = 2 (T - t + 1) - (T + 1) (H_T - H_(t-1)) with the harmonic numbers H.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rank_pooling_weights(n_frames: int) -> NDArray[np.float64]:
    """Weight of each of ``n_frames`` frames, (T,); they sum to 0, and are 0 for one frame.

    T = 2: -1/2, 1/2. T = 3: -4/3, 2/3, 2/3.
    """
    t = np.arange(1, n_frames + 1, dtype=np.float64)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / t)])
    weights = 2 * (n_frames - t + 1) - (n_frames + 1) * (harmonic[-1] - harmonic[:-1])
    return np.asarray(weights if n_frames > 1 else np.zeros(n_frames), np.float64)


def dynamic_image(frames: NDArray[np.generic]) -> NDArray[np.float32]:
    """The dynamic image of a clip, scaled by its minimum and maximum over all channels.

    Args:
        frames: (T, H, W, K), any range.

    Returns:
        (H, W, K), 0..1; 0 where nothing moves (one frame, or equal ones).
    """
    pooled = np.tensordot(rank_pooling_weights(len(frames)), frames.astype(np.float64), axes=1)
    span = float(np.ptp(pooled)) if pooled.size else 0.0
    if span < 1e-6:
        return np.zeros(pooled.shape, np.float32)
    return np.asarray((pooled - pooled.min()) / span, np.float32)
