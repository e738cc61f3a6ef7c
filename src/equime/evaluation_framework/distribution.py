"""How far two sets of clips lie apart as distributions of features: the distances themselves.

Everything here works on plain arrays, one row per clip, so it serves motion features, deep features or any
other columns alike. Four questions are asked: Frechet distance (do mean and covariance agree), kernel distance
(do the distributions agree, without a bias from small sets), precision and density (does what was measured lie
where the reference lies), recall and coverage (does it reach everything the reference holds). Intervals and
what chance alone would give are in `equime.evaluation_framework.set_distance`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError

Array = NDArray[np.float64]

MIN_CLIPS: Final = 10
"""Fewest clips per set; below, covariance and neighbours say nothing."""

NEIGHBOURS: Final = 5
"""k of precision, recall, density and coverage (Naeem et al. 2020 use 5, Kynkaanniemi et al. 2019 use 3)."""


def standardise(measured: Any, reference: Any, floor: Any = 0.0) -> tuple[Array, Array]:
    """Both arrays in units of the reference: its mean 0, its standard deviation 1.

    Where the reference's standard deviation is below the floor, the floor is the unit: a column that hardly
    varies in the reference would otherwise turn measuring noise into a large distance. A column that is
    constant in the reference and has no floor is scaled by both sets together; one that is constant in both
    and the same is left out.

    Args:
        measured, reference: (n, d) and (m, d).
        floor: what counts as noise, in the columns' own units; (d,) or one for all.

    Raises:
        InputError: fewer than `MIN_CLIPS` rows, another number of columns, not finite, or nothing that varies.
    """
    x, y = checked(measured, "measured"), checked(reference, "reference")
    if x.shape[1] != y.shape[1]:
        raise InputError(f"measured has {x.shape[1]} columns, reference {y.shape[1]}; give both the same")
    both = np.concatenate([x, y])
    rounding = 1e-9 * np.abs(both).max(0) + 1e-300
    kept = both.std(0) > rounding
    if not kept.any():
        raise InputError(f"none of the {x.shape[1]} columns varies; there is nothing to compare")
    unit = np.maximum(y.std(0), np.broadcast_to(floor, kept.shape))
    unit = np.where(unit > rounding, unit, both.std(0))
    mean = y.mean(0)
    return ((x - mean)[:, kept] / unit[kept]), ((y - mean)[:, kept] / unit[kept])


def checked(values: Any, name: str) -> Array:
    """The values as float64 (n, d). Raises as `standardise`."""
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"{name} features have shape {array.shape}; expected (clips, features)")
    if len(array) < MIN_CLIPS:
        raise InputError(
            f"{name} set has {len(array)} clips with features; at least {MIN_CLIPS} are needed, better 50 or more"
        )
    if not np.isfinite(array).all():
        raise InputError(f"{name} features hold NaN or infinity; leave those clips out first")
    return array


def frechet_distance(measured: Any, reference: Any, shrinkage: float = 0.0) -> float:
    """Squared Frechet distance of the two Gaussians with the sets' means and covariances.

    ``|m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2))`` (Dowson and Landau 1982; Heusel et al. 2017 for
    Inception features), with n - 1 in the covariance. With ``S = F F'`` the last trace is the sum of the
    singular values of ``F1' F2``, which holds for singular covariances too; no matrix root is taken, and no
    constant is added to the diagonal.

    It is biased upwards, by about (features / clips): compare only values of the same sizes.

    Args:
        measured, reference: (n, d) and (m, d); n and m may differ.
        shrinkage: 0 for the plain covariance; else both are moved this share towards a sphere.
    """
    x, y = np.asarray(measured, np.float64), np.asarray(reference, np.float64)
    shift = x.mean(0) - y.mean(0)
    fx, fy = _factor(x, shrinkage), _factor(y, shrinkage)
    product = fx.T @ fy
    if fx.shape[0] == fx.shape[1] == fy.shape[1]:
        # Eigenvalues are a third of the work; a root of 0 comes out as 1e-8 of the largest at most.
        root = np.sqrt(np.maximum(np.linalg.eigvalsh(product @ product.T), 0)).sum()
    else:
        root = np.linalg.svd(product, compute_uv=False).sum()
    return max(0.0, float(shift @ shift + (fx**2).sum() + (fy**2).sum() - 2 * root))


def _factor(x: Array, shrinkage: float) -> Array:
    """F of shape (d, r) with F F' the covariance."""
    n, d = x.shape
    centred: Array = (x - x.mean(0)).T / np.sqrt(n - 1)
    if shrinkage == 0 and n <= d:
        return centred
    covariance = centred @ centred.T
    sphere = np.trace(covariance) / d * np.eye(d)
    covariance = (1 - shrinkage) * covariance + shrinkage * sphere
    try:
        return np.asarray(np.linalg.cholesky(covariance), np.float64)
    except np.linalg.LinAlgError:  # A column depends on others, as the bins of a histogram do.
        values, vectors = np.linalg.eigh(covariance)
        factor: Array = vectors * np.sqrt(np.maximum(values, 0))
        return factor


def ledoit_wolf(x: Any) -> float:
    """Share of the sphere that makes the covariance best conditioned and closest to the true one, 0..1.

    Ledoit and Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices".
    """
    centred = np.asarray(x, np.float64) - np.mean(x, 0)
    n, d = centred.shape
    covariance = centred.T @ centred / n
    spread = np.sum((covariance - np.trace(covariance) / d * np.eye(d)) ** 2)
    noise = (np.sum(np.sum(centred**2, 1) ** 2) / n - np.sum(covariance**2)) / n
    return float(min(noise / spread, 1)) if spread > 0 else 1.0


def kernel_distance(
    measured: Any, reference: Any, measured_subjects: Any = None, reference_subjects: Any = None
) -> float:
    """Kernel distance: squared maximum mean discrepancy, kernel ``(x.y / d + 1)^3``, unbiased.

    Binkowski et al. (2018). Unbiased means that two samples of one distribution give 0 on average, so it can
    be negative and is comparable between sets of different sizes. With subjects, pairs of clips of one subject
    are left out: they are alike, or (one clip of each emotion) unlike by design, and would bias it.

    Args:
        measured, reference: (n, d) and (m, d).
        measured_subjects, reference_subjects: of each row; None takes every clip as independent.

    Raises:
        InputError: a set with clips of one subject only.
    """
    x, y = np.asarray(measured, np.float64), np.asarray(reference, np.float64)
    if measured_subjects is None or reference_subjects is None:
        groups = np.arange(len(x) + len(y))
    else:
        names = np.concatenate([np.asarray(measured_subjects), np.asarray(reference_subjects)])
        groups = np.unique(names, return_inverse=True)[1]
    weights = np.zeros((2, len(groups)))
    weights[0, : len(x)] = weights[1, len(x) :] = 1
    pairs = KernelPairs(np.concatenate([x, y]), groups)
    return float(pairs.mmd2(weights[:1], weights[1:])[0])


class KernelPairs:
    """The kernel between all clips of two sets, from which the distance of any resample is quick.

    Args:
        z: (N, d), clips of both sets.
        groups: (N,) subject of each as a number from 0; pairs within one are left out.
    """

    def __init__(self, z: Array, groups: NDArray[np.intp]) -> None:
        self.kernel = (z @ z.T / z.shape[1] + 1) ** 3
        self.kernel[groups[:, None] == groups[None, :]] = 0
        self.groups = np.zeros((len(groups), int(groups.max()) + 1))
        self.groups[np.arange(len(groups)), groups] = 1

    def mmd2(self, a: Array, b: Array) -> Array:
        """Unbiased squared MMD between weighted sets.

        Args:
            a, b: (R, N), how often each clip is in the first and in the second set, for R resamples.

        Raises:
            InputError: one of the sets has clips of one subject only.
        """
        ka, kb = a @ self.kernel, b @ self.kernel
        in_a, in_b = a @ self.groups, b @ self.groups
        n, m = a.sum(1), b.sum(1)
        pairs_a, pairs_b = n**2 - (in_a**2).sum(1), m**2 - (in_b**2).sum(1)
        pairs = n * m - (in_a * in_b).sum(1)
        if min(pairs_a.min(), pairs_b.min(), pairs.min()) <= 0:
            raise InputError(
                "kernel distance leaves out pairs of one subject; each set needs two subjects or more"
            )
        within = (ka * a).sum(1) / pairs_a + (kb * b).sum(1) / pairs_b
        distance: Array = within - 2 * (ka * b).sum(1) / pairs
        return distance


def neighbour_shares(measured: Any, reference: Any, k: int = NEIGHBOURS) -> dict[str, Array]:
    """Precision, recall, density and coverage per clip; their means are the metrics.

    Args:
        measured, reference: (n, d) and (m, d).
        k: nearest neighbour that sets the radius of a clip's ball; itself not counted.

    Returns:
        "precision" and "density" (n), "recall" and "coverage" (m).

    Raises:
        InputError: k is not below both numbers of clips.
    """
    x, y = np.asarray(measured, np.float64), np.asarray(reference, np.float64)
    if not 0 < k < min(len(x), len(y)):
        raise InputError(
            f"k is {k}; it must be from 1 to {min(len(x), len(y)) - 1}, below the number of clips"
        )
    between = _distances(x, y)
    x_radius, y_radius = (np.partition(_distances(z, z), k, axis=1)[:, k] for z in (x, y))
    in_reference = between <= y_radius[None, :]
    return {
        "precision": in_reference.any(1).astype(np.float64),
        "recall": (between <= x_radius[:, None]).any(0).astype(np.float64),
        "density": in_reference.sum(1) / k,
        "coverage": in_reference.any(0).astype(np.float64),
    }


def _distances(x: Array, y: Array) -> Array:
    from scipy.spatial.distance import cdist  # noqa: PLC0415

    return np.asarray(cdist(x, y), np.float64)
