"""Fixtures: drawn faces, a data set that is planned but not rendered, and small finished ones to measure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import hypothesis
import pytest

import equime
from equime.dataset import Dataset
from equime.drawn_face import save_default_faces
from tests import runs

# The suite asks for the same examples every time: a change is not refused for what it has not touched. To look
# for new ones: HYPOTHESIS_PROFILE=search.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("search", print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long groups first, so that the other processes have something to do meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with three drawn faces, small."""
    return save_default_faces(tmp_path_factory.mktemp("faces"), 3, size_px=320)


@pytest.fixture(scope="session")
def planned(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of `runs.N_CLIPS` clips of those faces; copy it."""
    out = tmp_path_factory.mktemp("planned") / "out"
    code, _, err = runs.call("plan", faces, out, *runs.options())
    assert code == 0, err
    return out


@pytest.fixture(scope="session")
def reference(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, made in one go by one worker; do not change it."""
    out = tmp_path_factory.mktemp("reference") / "out"
    code, _, err = runs.call("generate", faces, out, *runs.options(), "--workers", "1")
    assert code == 0, err
    return out


@pytest.fixture
def out(planned: Path, tmp_path: Path) -> Path:
    """A fresh copy of the plan."""
    return shutil.copytree(planned, tmp_path / "out")


@pytest.fixture
def made(reference: Path, tmp_path: Path) -> Path:
    """A fresh copy of the finished data set."""
    return shutil.copytree(reference, tmp_path / "made")


@pytest.fixture(scope="session")
def mesh_clips(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eight clips of two faces: four emotions each, 256 px, 2 s at 24 fps. Do not change it."""
    folder: Path = tmp_path_factory.mktemp("mesh")
    table = save_default_faces(folder / "source", 2, size_px=320)
    emotions = ["happiness", "surprise", "anger", "neutral"]
    return equime.generate(
        table, folder / "out", clips=8, seed=3, emotions=emotions, duration_s=2.0, size_px=256, workers=0
    )
