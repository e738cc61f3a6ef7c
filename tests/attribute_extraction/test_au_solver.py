"""The fit recovers what was put in, whatever the head does, and against another neutral."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equime.attribute_extraction.au_curves import cut_lids
from equime.attribute_extraction.au_solver import AuSolver
from equime.drawn_face.shape import base_points
from equime.face.au_fit import AuBasis, au_basis, fit_aus

F64 = NDArray[np.float64]
SCALE = 2.0


@pytest.fixture(scope="module")
def landmarks() -> F64:
    """(478, 3) pixels, z away from the camera."""
    return base_points() * (SCALE, SCALE, -SCALE) + (300.0, 300.0, 0.0)


@pytest.fixture(scope="module")
def basis(landmarks: F64) -> AuBasis:
    return au_basis(landmarks, SCALE)


@pytest.fixture(scope="module")
def solver(basis: AuBasis, landmarks: F64) -> AuSolver:
    return AuSolver(basis, landmarks[:, 2])


def displacement(basis: AuBasis, intensity: F64) -> F64:
    moved: F64 = np.tensordot(intensity, basis.fields, axes=1)
    return moved


def zero(solver: AuSolver) -> F64:
    return np.zeros(solver.n_kept - 1)


@settings(max_examples=25, deadline=None)
@given(
    chosen=st.dictionaries(st.integers(0, 36), st.floats(0.2, 5.0), min_size=1, max_size=4),
    head=st.tuples(*[st.floats(-0.2, 0.2)] * 6),
)
def test_sums_of_fields_are_recovered_whatever_the_head_does(
    basis: AuBasis, solver: AuSolver, landmarks: F64, chosen: dict[int, float], head: tuple[float, ...]
) -> None:
    wanted = np.zeros(len(basis.keys))
    wanted[list(chosen)] = list(chosen.values())
    x, y, z = (landmarks - landmarks.mean(axis=0)).T
    a, b, k, m, tx, ty = head
    rigid = np.stack([a * x - b * y + k * z + 50 * tx, b * x + a * y + m * z + 50 * ty], axis=1)
    found = solver.intensities(solver.project(displacement(basis, wanted) + rigid), zero(solver))
    assert found == pytest.approx(wanted, abs=1e-6)


def test_it_is_the_fit_of_au_fit_where_the_face_is_flat(basis: AuBasis) -> None:
    """A face without depth has no turn to leave out; noise brings the penalty in."""
    flat = AuSolver(basis, np.zeros(478))
    rng = np.random.Generator(np.random.PCG64(3))
    for index in (0, 6, 17, 30):
        intensity = np.zeros(len(basis.keys))
        intensity[[index, index + 1]] = 2.0, 1.0
        moved = displacement(basis, intensity) + rng.normal(0, 0.3, (478, 2))
        found = flat.intensities(flat.project(moved), zero(flat))
        expected = fit_aus(moved, basis)
        assert found == pytest.approx([expected[key] for key in basis.keys], abs=1e-6)
        assert found[index] > 1.0


def test_another_neutral_is_subtracted_afterwards(basis: AuBasis, solver: AuSolver) -> None:
    """The first frame shows AU 12: what is relative to it becomes relative to rest."""
    held = np.zeros(len(basis.keys))
    held[basis.keys.index((12, "left"))] = held[basis.keys.index((12, "right"))] = 2.0
    rest = solver.project(displacement(basis, -held))
    first = solver.project(np.zeros((478, 2)))
    assert solver.intensities(first, zero(solver)) == pytest.approx(0.0, abs=1e-9)
    assert solver.intensities(first, rest[:-1]) == pytest.approx(held, abs=1e-6)
    from_rest = solver.unexplained(np.stack([first[:-1], rest[:-1]]), rest[:-1])
    from_smile = solver.unexplained(np.stack([first[:-1], rest[:-1]]), first[:-1])
    assert from_rest < 1e-9 < from_smile


def test_noise_alone_reads_as_nothing(solver: AuSolver) -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    read = [
        solver.intensities(solver.project(rng.normal(0, 0.3, (478, 2))), zero(solver)).max()
        for _ in range(20)
    ]
    assert max(read) < 0.1


def test_what_lids_cover_is_not_looked_at(basis: AuBasis, landmarks: F64) -> None:
    without = AuSolver(basis, landmarks[:, 2], cut_lids(basis))
    moved = displacement(basis, np.zeros(len(basis.keys)))
    moved += 5.0 * (basis.of(45, "left") + basis.of(45, "right"))
    outside = np.ones(478, np.bool_)
    outside[cut_lids(basis)] = False
    assert 40 < outside.sum() < 200
    moved[~outside] = 0.0  # the faint rim of the lids' field
    moved[outside] += 10.0
    assert without.intensities(without.project(moved), zero(without)) == pytest.approx(0.0, abs=1e-9)
    intensity = np.zeros(len(basis.keys))
    intensity[basis.keys.index((12, "left"))] = 3.0
    both = displacement(basis, intensity) + moved
    found = without.intensities(without.project(both), zero(without))
    assert found[basis.keys.index((12, "left"))] == pytest.approx(3.0, abs=1e-6)
