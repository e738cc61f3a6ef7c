"""Displacements of a face's landmarks to AU intensities, frame by frame, with few numbers kept per frame.

The fit is that of `equime.face.au_fit` (non-negative relaxed lasso), with two differences that a whole clip asks
for:

* *The head may turn.* Beside shift, roll and scale, the two shifts in proportion to depth that a small yaw and
  pitch make under weak perspective are fitted along and thrown away (Frisch & Waugh 1933).
* *The neutral is not known until the end.* Least squares depends on a displacement only through its components
  along the fields and the energy that is left (a sufficient statistic). These K + 1 numbers are kept of every
  frame; since they are linear in the displacement, another neutral is subtracted from them afterwards. The energy
  alone is not linear, and stays that against the first reference: a poor one raises the penalty a little.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.face.au_fit import OBSERVED, PENALTY, AuBasis

F64 = NDArray[np.float64]

_TINY: Final = 1e-9


class AuSolver:
    """The fit on one face.

    Args:
        basis: AU fields on it.
        depth: (478,) of its landmarks, any unit, negative towards the camera.
        observed: landmarks to look at.

    Attributes:
        n_kept: K + 1, numbers kept of a frame.
        n_points: landmarks looked at.
    """

    def __init__(
        self, basis: AuBasis, depth: NDArray[np.floating], observed: Iterable[int] = OBSERVED
    ) -> None:
        self._chosen = np.fromiter(observed, np.int64)
        self.n_points = len(self._chosen)
        self._head = _head_moves(basis.landmarks[self._chosen], np.asarray(depth, np.float64)[self._chosen])
        fields = basis.fields[:, self._chosen].reshape(len(basis.keys), -1).T
        fields = fields - self._head @ (self._head.T @ fields)
        self._length = np.linalg.norm(fields, axis=0)
        seen = self._length > _TINY * max(1.0, float(self._length.max(initial=0.0)))
        self._length[~seen] = 1.0
        self._fields, self._r = np.linalg.qr(np.where(seen, fields / self._length, 0.0))
        self._seen = np.flatnonzero(seen)
        self._n_free = 2 * self.n_points - len(basis.keys)
        self.n_kept = len(basis.keys) + 1

    def project(self, moved_px: F64) -> F64:
        """What is kept of a displacement (478, 2) in pixels of the basis: float64 (K + 1,)."""
        moved = moved_px[self._chosen].ravel()
        moved = moved - self._head @ (self._head.T @ moved)
        along = self._fields.T @ moved
        rest = max(float(moved @ moved - along @ along), 0.0)
        return np.append(along, rest)

    def intensities(self, kept: F64, neutral: F64) -> F64:
        """Intensities (K,), in the order of the basis's keys, of a frame.

        Args:
            kept: (K + 1,) of the frame.
            neutral: (K,) of the neutral.
        """
        along, rest = kept[:-1] - neutral, float(kept[-1])
        found = np.zeros(len(along))
        columns = self._r[:, self._seen]
        found[self._seen] = _relaxed_lasso(columns, along, rest, max(self._n_free, 1))
        found /= self._length
        return found

    def unexplained(self, along: F64, neutral: F64) -> float:
        """Energy in px^2 that no muscles explain by pulling, of what is kept (T, K) of frames but its last number,
        from a neutral (K,).
        """
        from scipy.optimize import nnls  # noqa: PLC0415

        columns = self._r[:, self._seen]
        left = (nnls(columns, row - neutral, maxiter=50 * len(row))[1] for row in along)
        return float(sum(residual**2 for residual in left))


def _head_moves(at: F64, depth: F64) -> F64:
    """Orthonormal (2 n, 6): shifts, roll, scale, yaw and pitch of a rigid head under weak perspective; (2 n, 4)
    of a face without depth.
    """
    x, y = ((at - at.mean(axis=0)) / max(float(np.ptp(at)), _TINY)).T
    z = (depth - depth.mean()) / max(float(np.ptp(depth)), _TINY)
    one, nil = np.ones_like(x), np.zeros_like(x)
    moves = np.stack([one, nil, nil, one, x, y, -y, x, z, nil, nil, z], axis=1).reshape(-1, 6, 2)
    moves = moves if z.any() else moves[:, :4]
    return np.asarray(np.linalg.qr(moves.transpose(0, 2, 1).reshape(2 * len(at), -1))[0], np.float64)


def _relaxed_lasso(columns: F64, along: F64, rest: float, n_free: int) -> F64:
    """As `equime.face.au_fit` does it, on the QR factor (K, K) and the components of the displacement.

    Args:
        columns: R of the fields of unit length.
        along: Q' displacement.
        rest: energy of the displacement outside of the fields.
        n_free: equations less unknowns.
    """
    from scipy.optimize import nnls  # noqa: PLC0415

    out = np.zeros(columns.shape[1])
    limit = 50 * max(len(along), 1)
    full, residual = nnls(columns, along, maxiter=limit)
    sigma = np.sqrt((residual**2 + rest) / n_free)
    penalty = PENALTY * sigma * np.sqrt(2.0 * np.log(max(len(along), 2)))
    if penalty <= _TINY * np.sqrt(along @ along + rest):
        return np.asarray(full, np.float64)
    normal = columns.T @ along - penalty
    if normal.max(initial=-1.0) <= 0:
        return out
    gram = columns.T @ columns + 1e-10 * np.eye(columns.shape[1])
    factor = np.linalg.cholesky(gram)
    kept, _ = nnls(factor.T, np.linalg.solve(factor, normal), maxiter=limit)
    support = kept > _TINY * max(float(kept.max()), 1e-300)
    if support.any():
        out[support] = nnls(columns[:, support], along, maxiter=limit)[0]
    return out
