"""Which Action Units explain a movement of the face's landmarks, and how strongly.

The muscles of `equime.face.muscles` move the skin linearly in intensity, so what was commanded is a sum of one
displacement field per AU and side, and a measured displacement is turned back into intensities by least squares
with no intensity below zero (Lawson & Hanson 1974). Three things make that well posed:

* *Head.* A similarity (shift, roll, scale) is fitted along with the AUs and thrown away: both sides of the
  equation are projected off it, which is the same (Frisch & Waugh 1933). It is not taken from a few "stable"
  points, which AU 4, 6 and 9 move.
* *Sparsity.* The lips have more AUs than they can move in ways: unpenalised, measurement noise on a dimple comes
  back as a bit of AU 14, 18, 20 and 22. A micro-expression is one to three AUs, so the sum of intensities is
  penalised (the lasso, Tibshirani 1996) at `PENALTY` times the universal threshold ``sigma * sqrt(2 log K)`` of
  Donoho & Johnstone (1994), sigma from the residual of the unpenalised fit; the AUs that stay are fitted again
  without penalty (relaxed lasso, Meinshausen 2007), so that intensities are not shrunk. Without noise the
  penalty is zero and recovery exact; a movement k times as large gives intensities k times as large.
* *Ambiguity.* AU 43 and 45 move the same skin the same way (they differ in duration) and always get the same
  value. Others are alike: `GROUPS`. Within a group a single intensity means little, as `reliability` tells.

Ridge was the alternative: it spreads a movement over similar AUs, where one of them is what was commanded.

Out of scope: gaze (61 to 64) and head codes (51 to 58), which move no skin; in a command they add nothing here.
A turn or nod is no similarity: what it moves by perspective stays in the displacement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.action_units import ACTION_UNITS, MAX_INTENSITY
from equime.errors import InputError
from equime.face import anatomy as a
from equime.face.muscles import MUSCLES, FaceFrame, SkinPoints, displacement_mm
from equime.types import N_LANDMARKS

F64 = NDArray[np.float64]
AuSide = tuple[int, Literal["left", "right", "both"]]
"""An AU and the subject's side; "both" for AUs that FACS does not side."""

N_SKIN: Final = 468
"""Landmarks on skin; behind them come the ten of the irises."""

OBSERVED: Final = tuple(i for i in range(N_SKIN) if i not in a.FACE_OVAL)
"""Landmarks that are fitted: skin without the outline of the face, where flow is that of the background."""

PENALTY: Final = 3.0
"""Times the universal threshold: errors of neighbouring landmarks are alike, which that of independent noise is
not made for."""

BISQUARE: Final = 4.685
"""Tukey's constant for 95 % efficiency under normal errors."""

FLOW_MARGIN_MM: Final = 25.0
"""What flow sees beyond the landmarks: as far as a jaw drops at E."""

FLOW_PX_PER_MM: Final = 2.0
"""Scale that flow works at, that of the aligned crop at 512 px."""

SAME_FIELD: Final = {45: 43}
"""AUs that move the same skin the same way as another."""

GROUPS: Final = ((14, 20), (18, 22), (23, 24, 28), (26, 27), (43, 45))
"""AUs to be read together: their fields have a cosine of `ALIKE` or more on most faces, directly or through a
third. On a few faces AU 12 joins 14 and 20.
"""

ALIKE: Final = 0.8


@dataclass(frozen=True)
class AuBasis:
    """Displacement fields of AUs on one face.

    Attributes:
        aus: that were asked for, `SAME_FIELD` included.
        keys: K AUs and sides with a field of their own.
        fields: float64 (K, 478, 2) pixels, y down, per unit of intensity; irises stay.
        landmarks: float64 (478, 2) pixels, neutral.
        px_per_mm: scale of the face.
    """

    aus: tuple[int, ...]
    keys: tuple[AuSide, ...]
    fields: F64
    landmarks: F64
    px_per_mm: float

    @cached_property
    def _index(self) -> dict[AuSide, int]:
        return {key: i for i, key in enumerate(self.keys)}

    def of(self, au: int, side: Literal["left", "right"]) -> F64:
        """Field (478, 2) of an AU on a side; that of both sides for AUs that are not sided."""
        own = SAME_FIELD.get(au, au) if (SAME_FIELD.get(au, au), side) in self._index else au
        key: AuSide = (own, side) if ACTION_UNITS[own].sided else (own, "both")
        field: F64 = self.fields[self._index[key]]
        return field


@dataclass(frozen=True)
class AuReliability:
    """How far one intensity of a fit can be trusted.

    Attributes:
        au, side: whose.
        largest_mm: largest displacement of a landmark at intensity E; small ones drown in noise first.
        vif: variance inflation factor, the variance of this intensity in an unpenalised fit of all AUs over
            that in a fit of it alone. 1 is free of the others, above 10 is usually called collinear.
        alike: the AU whose field is most alike (or most opposite).
        cosine: to that field.
        group: AUs it is read together with; itself alone where there is none.
    """

    au: int
    side: str
    largest_mm: float
    vif: float
    alike: int
    cosine: float
    group: tuple[int, ...]


def au_basis(
    landmarks_px: NDArray[np.floating], px_per_mm: float, aus: Iterable[int] = tuple(MUSCLES)
) -> AuBasis:
    """Fields of AUs on a neutral face.

    Args:
        landmarks_px: (478, 2 or 3) pixels of an upright face.
        px_per_mm: its scale.
        aus: FACS numbers; those that move no skin are left out.

    Raises:
        InputError: another number of landmarks, or a scale that is not positive.
    """
    frame, points = _face(landmarks_px, px_per_mm)
    wanted = tuple(au for au in aus if au in MUSCLES)
    keys: list[AuSide] = []
    fields: list[F64] = []
    for au in wanted:
        if SAME_FIELD.get(au) in wanted:
            continue
        left, right = (_field(frame, points, au, side) for side in (a.LEFT, a.RIGHT))
        if ACTION_UNITS[au].sided:
            keys += [(au, "left"), (au, "right")]
            fields += [left, right]
        else:
            keys.append((au, "both"))
            fields.append(left + right)
    stacked = np.stack(fields) if fields else np.zeros((0, N_LANDMARKS, 2))
    xy = np.asarray(landmarks_px, np.float64)[:, :2]
    return AuBasis(wanted, tuple(keys), stacked, xy, px_per_mm)


def commanded_displacement(
    landmarks_px: NDArray[np.floating], px_per_mm: float, aus: Mapping[int, tuple[float, float]]
) -> F64:
    """Where a command moves the landmarks of a neutral face, (478, 2) pixels, y down.

    Args:
        landmarks_px: (478, 2 or 3) pixels of an upright face.
        px_per_mm: its scale.
        aus: FACS number to intensity (left, right), 0..5. Gaze and head codes move no skin and add nothing.

    Raises:
        InputError: as `au_basis`.
    """
    frame, points = _face(landmarks_px, px_per_mm)
    total = np.zeros((N_LANDMARKS, 2))
    for au, sides in aus.items():
        for intensity, side in zip(sides, (a.LEFT, a.RIGHT), strict=True):
            if intensity:
                total += intensity * _field(frame, points, au, side)
    return total


def _face(landmarks_px: NDArray[np.floating], px_per_mm: float) -> tuple[FaceFrame, SkinPoints]:
    if landmarks_px.shape[0] != N_LANDMARKS or landmarks_px.ndim != 2:
        raise InputError(
            f"landmarks of shape {landmarks_px.shape}; expected ({N_LANDMARKS}, 2) from the face mesh"
        )
    if not px_per_mm > 0:
        raise InputError(f"scale of {px_per_mm} px per mm; it must be positive")
    seam = np.stack([landmarks_px[list(a.UPPER_SEAM), :2], landmarks_px[list(a.LOWER_SEAM), :2]], axis=1)
    frame = FaceFrame(landmarks_px, px_per_mm, seam)
    lip = np.zeros(N_LANDMARKS, np.int8)
    lip[list(a.UPPER_SEAM[1:-1])], lip[list(a.LOWER_SEAM[1:-1])] = 1, -1
    return frame, SkinPoints(frame.points, lip)


def _field(frame: FaceFrame, points: SkinPoints, au: int, side: int) -> F64:
    """Pixels per unit of intensity, (478, 2)."""
    field = frame.to_px(displacement_mm(frame, points, au, side)) / MAX_INTENSITY
    field[N_SKIN:] = 0.0
    return field


def fit_aus(
    displacement_px: NDArray[np.floating], basis: AuBasis, observed: Iterable[int] = OBSERVED
) -> dict[AuSide, float]:
    """Intensities of the AUs of a basis that explain a displacement best, head motion aside.

    Args:
        displacement_px: (478, 2) pixels, from the basis's landmarks to where they are found.
        basis: of the same face.
        observed: landmarks to look at; leave out what is covered (lids in a blink).

    Returns:
        Intensity per AU and side, >= 0 and not bounded above: more than 5 is more than the largest command.

    Raises:
        InputError: another shape, or a displacement that is not finite at an observed landmark.
    """
    chosen = np.fromiter(observed, np.int64)
    if displacement_px.shape != (N_LANDMARKS, 2):
        raise InputError(f"displacement of shape {displacement_px.shape}; expected ({N_LANDMARKS}, 2)")
    measured = np.asarray(displacement_px, np.float64)[chosen].ravel()
    if not np.isfinite(measured).all():
        raise InputError("displacement holds NaN or infinity; leave those landmarks out of `observed`")
    columns, head = _columns(basis, chosen)
    measured = measured - head @ (head.T @ measured)
    length = np.linalg.norm(columns, axis=0)
    seen = length > 1e-9 * max(1.0, length.max(initial=0.0))
    intensity = np.zeros(len(basis.keys))
    intensity[seen] = _sparse(columns[:, seen] / length[seen], measured) / length[seen]
    found = {key: float(value) for key, value in zip(basis.keys, intensity, strict=True)}
    for au, same in SAME_FIELD.items():
        if au in basis.aus and same in basis.aus:
            found.update({(au, side): value for (of, side), value in found.items() if of == same})
    return found


def _columns(basis: AuBasis, chosen: NDArray[np.int64]) -> tuple[F64, F64]:
    """Fields at the chosen landmarks as columns (2 n, K) with the head's similarity projected off, and an
    orthonormal basis (2 n, 4) of that similarity.
    """
    at = basis.landmarks[chosen]
    x, y = ((at - at.mean(axis=0)) / max(float(np.ptp(at)), 1e-9)).T
    one, nil = np.ones_like(x), np.zeros_like(x)
    moves = np.stack([one, nil, nil, one, x, y, -y, x], axis=1).reshape(-1, 4, 2)
    head = np.linalg.qr(moves.transpose(0, 2, 1).reshape(-1, 4))[0]
    columns = basis.fields[:, chosen].reshape(len(basis.keys), -1).T
    return columns - head @ (head.T @ columns), head


def _sparse(columns: F64, measured: F64) -> F64:
    """Non-negative relaxed lasso on columns (n, K) of unit length."""
    from scipy.optimize import nnls  # noqa: PLC0415

    n_rows, n_columns = columns.shape
    if not n_columns:
        return np.zeros(0)
    limit = 50 * n_columns
    full, residual = nnls(columns, measured, maxiter=limit)
    sigma = residual / np.sqrt(max(n_rows - n_columns, 1))
    penalty = PENALTY * sigma * np.sqrt(2.0 * np.log(max(n_columns, 2)))
    if penalty <= 1e-9 * np.linalg.norm(measured):
        return np.asarray(full, np.float64)
    # min |Ax - d|^2 / 2 + penalty * sum x over x >= 0, completed to a square by the Cholesky factor of A'A.
    gram = columns.T @ columns + 1e-10 * np.eye(n_columns)
    factor = np.linalg.cholesky(gram)
    kept, _ = nnls(factor.T, np.linalg.solve(factor, columns.T @ measured - penalty), maxiter=limit)
    support = kept > 1e-9 * max(float(kept.max()), 1e-300)
    out = np.zeros(n_columns)
    if support.any():
        out[support] = nnls(columns[:, support], measured, maxiter=limit)[0]
    return out


def flow_at(start: NDArray[np.uint8], end: NDArray[np.uint8], points: F64, px_per_mm: float) -> F64:
    """Displacement (n, 2) of points from one RGB picture to another, by DIS in the box around them.

    Pictures far from `FLOW_PX_PER_MM` are brought to it, so that patches cover about as much of any face.
    """
    low = np.maximum(np.floor(points.min(axis=0) - FLOW_MARGIN_MM * px_per_mm), 0).astype(int)
    high = np.ceil(points.max(axis=0) + FLOW_MARGIN_MM * px_per_mm).astype(int) + 1
    k = FLOW_PX_PER_MM / px_per_mm
    k = 1.0 if 2 / 3 < k < 3 / 2 else k
    how = cv2.INTER_CUBIC if k > 1 else cv2.INTER_AREA
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    grey = [cv2.cvtColor(np.ascontiguousarray(rgb[box]), cv2.COLOR_RGB2GRAY) for rgb in (start, end)]
    before, after = (cv2.resize(g, None, fx=k, fy=k, interpolation=how) if k != 1.0 else g for g in grey)
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # Lids and lips are narrow.
    dis.setFinestScale(0)
    dis.setPatchSize(8)
    dis.setPatchStride(3)
    flow = dis.calc(before, after, np.zeros((*before.shape, 2), np.float32))
    x, y = ((points - low + 0.5) * k - 0.5).T.astype(np.float32)[:, None]
    sampled = cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled[0], np.float64) / k


def head_motion(landmarks: F64, moved: F64, points: Sequence[int]) -> F64:
    """Displacement (478, 2) of all landmarks by the similarity that some of them moved by.

    Tukey's bisquare, by iteratively reweighted least squares from the ordinary fit.

    Args:
        landmarks: float64 (478, 2) pixels before.
        moved: float64 (478, 2) their displacement.
        points: at least two landmarks taken to be fixed to the skull.
    """
    centre = landmarks[list(points)].mean(axis=0)
    x, y = (landmarks - centre).T
    one, nil = np.ones_like(x), np.zeros_like(x)
    moves = np.stack([one, nil, x, -y, nil, one, y, x], axis=1).reshape(-1, 2, 4)
    rows, target = moves[list(points)], moved[list(points)]
    weight = np.ones(len(points))
    for _ in range(20):
        root = np.sqrt(weight)[:, None]
        motion = np.linalg.lstsq(
            (rows * root[..., None]).reshape(-1, 4), (target * root).ravel(), rcond=None
        )[0]
        error = np.linalg.norm(target - rows @ motion, axis=1)
        spread = max(BISQUARE * 1.4826 * float(np.median(error)), 1e-9)
        weight = np.maximum(1.0 - np.minimum(error / spread, 1.0) ** 2, 1e-3) ** 2
    return np.asarray(moves @ motion, np.float64)


def reliability(basis: AuBasis, observed: Iterable[int] = OBSERVED) -> list[AuReliability]:
    """How far each intensity of a fit with this basis can be told from the others, in the order of its keys."""
    chosen = np.fromiter(observed, np.int64)
    columns, _ = _columns(basis, chosen)
    columns = columns / np.linalg.norm(columns, axis=0)
    gram = columns.T @ columns
    vif = np.diag(np.linalg.inv(gram))
    others = gram - np.eye(len(gram))
    largest = np.linalg.norm(basis.fields, axis=2).max(axis=1) * MAX_INTENSITY / basis.px_per_mm
    found = []
    for i, (au, side) in enumerate(basis.keys):
        nearest = int(np.argmax(np.abs(others[i])))
        found.append(
            AuReliability(
                au=au, side=side, largest_mm=float(largest[i]), vif=float(vif[i]), alike=basis.keys[nearest][0],
                cosine=float(others[i, nearest]), group=group_of(au),
            )
        )  # fmt: skip
    return found


def reliability_table(rows: Iterable[AuReliability]) -> str:
    """`reliability` as text, one line per AU and side."""
    lines = [
        f"{'AU':>3} {'side':<5} {'mm at E':>7} {'VIF':>8} {'most alike':>10} {'cosine':>6}  read together"
    ]
    for r in rows:
        group = " ".join(map(str, r.group)) if len(r.group) > 1 else ""
        lines.append(
            f"{r.au:>3} {r.side:<5} {r.largest_mm:7.1f} {r.vif:8.1f} {r.alike:>10} {r.cosine:6.2f}  {group}".rstrip()
        )
    return "\n".join(lines)


def group_of(au: int) -> tuple[int, ...]:
    """The AUs that this one is read together with, itself included."""
    return next((group for group in GROUPS if au in group), (au,))


def alike_groups(basis: AuBasis, cosine: float = ALIKE) -> tuple[tuple[int, ...], ...]:
    """Groups of two and more AUs whose fields point the same way, single linkage; what `GROUPS` was read from."""
    columns, _ = _columns(basis, np.array(OBSERVED))
    columns = columns / np.linalg.norm(columns, axis=0)
    linked: dict[int, set[int]] = {au: {au} for au in basis.aus}
    for au, same in SAME_FIELD.items():
        if au in linked and same in linked:
            linked[au] = linked[same] = {au, same}
    for i, j in np.argwhere(np.triu(columns.T @ columns, 1) >= cosine):
        merged = linked[basis.keys[i][0]] | linked[basis.keys[j][0]]
        for au in merged:
            linked[au] = merged
    return tuple(sorted({tuple(sorted(group)) for group in linked.values() if len(group) > 1}))
