"""Weights of BRISQUE for tests: the published file's shapes and form, not the authors' values."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from equime.torch_env import torch

N_VECTORS = 774


def save_brisque(path: Path) -> Path:
    """A regression that is smooth and gives scores of 0 to 100, as the authors' does.

    Kernel ridge regression on random vectors of a soft step along a random direction.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    vectors = rng.uniform(-1, 1, (N_VECTORS, 36))
    across = rng.normal(size=36)
    target = 50 + 40 * np.tanh(2 * vectors @ across / np.linalg.norm(across))
    distance = ((vectors[:, None] - vectors[None]) ** 2).sum(-1)
    coefficients = np.linalg.solve(np.exp(-0.05 * distance) + np.eye(N_VECTORS), target - 153.591)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch().save(tuple(torch().tensor(a, dtype=torch().float32) for a in (coefficients, vectors)), path)
    return path
