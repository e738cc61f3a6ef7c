"""Affine maps against homogeneous matrices."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from equime.face.affine import apply, compose, inverse

F64 = NDArray[np.float64]


def maps(seed: int) -> tuple[F64, F64, F64]:
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(2, 2, 3))
    return first, second, random.normal(size=(7, 2))


def full(affine: F64) -> F64:
    return np.vstack([affine, [0.0, 0.0, 1.0]])


@pytest.mark.parametrize("seed", range(5))
def test_as_matrices(seed: int) -> None:
    outer, inner, points = maps(seed)
    np.testing.assert_allclose(full(compose(outer, inner)), full(outer) @ full(inner))
    np.testing.assert_allclose(full(inverse(outer)) @ full(outer), np.eye(3), atol=1e-9)
    homogeneous = np.column_stack([points, np.ones(7)]) @ full(outer).T
    np.testing.assert_allclose(apply(outer, points), homogeneous[:, :2])
    np.testing.assert_allclose(apply(inverse(outer), apply(outer, points)), points, atol=1e-9)
