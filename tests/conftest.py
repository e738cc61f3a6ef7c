"""Fixtures: drawn faces, a data set that is planned but not rendered, and small finished ones to measure."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import hypothesis
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import equime
from equime.dataset import Dataset
from equime.drawn_face import DrawnFace, save_default_faces
from equime.seeding import content_id
from tests import runs

# The suite asks for the same examples every time: a change is not refused for what it has not touched. To look
# for new ones: HYPOTHESIS_PROFILE=search.
hypothesis.settings.register_profile("same", derandomize=True, max_examples=50)
hypothesis.settings.register_profile("search", print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a module's fixture run in one process, as it would be made in each otherwise.

    The named groups, which are the long ones, come first, single tests last, so that no process waits at the end.
    """
    named = [item for item in items if item.get_closest_marker("xdist_group")]
    alone = set(items) - set(named)
    by_module = [item for item in items if item in alone and uses_module_fixture(item)]
    for item in by_module:
        item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    rank = dict.fromkeys(items, 2) | dict.fromkeys(by_module, 1) | dict.fromkeys(named, 0)
    items.sort(key=rank.__getitem__)


def uses_module_fixture(item: pytest.Item) -> bool:
    """Whether a fixture of a test is made once per module."""
    fixtures = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    return any(definition.scope == "module" for found in fixtures.values() for definition in found)


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is filled once for all processes of the test run; the others wait for it."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = base / name, base / f"{name}.done"
    with filelock.FileLock(base / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session", autouse=True)
def _drawn_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A face that one test drew (seconds) is read from a file by the others, in any process of the run."""
    folder = shared(tmp_path_factory, "drawn_faces", lambda _: None)
    draw = DrawnFace.image

    @functools.wraps(draw)
    def image(self: DrawnFace, size_px: int = 768, *, oversample: float | None = None) -> NDArray[np.uint8]:
        path = folder / f"{content_id([msgspec.to_builtins(self), size_px, oversample])}.npy"
        if not path.exists():
            partial = path.with_name(f"{path.stem}.{os.getpid()}.npy")
            np.save(partial, draw(self, size_px, oversample=oversample))
            os.replace(partial, path)
        found: NDArray[np.uint8] = np.load(path)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DrawnFace, "image", image)
        yield


def own_copy(factory: pytest.TempPathFactory, folder: Path) -> Path:
    """Of this process: commands lock the data set that they read."""
    return shutil.copytree(folder, factory.mktemp(folder.parent.name) / folder.name)


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with three drawn faces, small."""
    folder = shared(
        tmp_path_factory, "three_faces", lambda folder: save_default_faces(folder, 3, size_px=320)
    )
    return folder / "faces.csv"


@pytest.fixture(scope="session")
def planned(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of `runs.N_CLIPS` clips of those faces; copy it."""

    def make(folder: Path) -> None:
        code, _, err = runs.call("plan", faces, folder / "out", *runs.options())
        assert code == 0, err

    return own_copy(tmp_path_factory, shared(tmp_path_factory, "planned", make) / "out")


@pytest.fixture(scope="session")
def reference(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, made in one go by one worker; do not change it."""

    def make(folder: Path) -> None:
        code, _, err = runs.call("generate", faces, folder / "out", *runs.options(), "--workers", "1")
        assert code == 0, err

    return own_copy(tmp_path_factory, shared(tmp_path_factory, "reference", make) / "out")


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

    def make(folder: Path) -> None:
        table = save_default_faces(folder / "source", 2, size_px=320)
        emotions = ["happiness", "surprise", "anger", "neutral"]
        equime.generate(
            table, folder / "out", clips=8, seed=3, emotions=emotions, duration_s=2.0, size_px=256, workers=0
        )

    return Dataset.open(own_copy(tmp_path_factory, shared(tmp_path_factory, "mesh_clips", make) / "out"))
