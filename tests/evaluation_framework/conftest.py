"""Clips to measure: a small data set that the mesh renderer made of drawn faces."""

from __future__ import annotations

from pathlib import Path

import pytest

import equime
from equime.dataset import Dataset
from equime.drawn_face import save_default_faces


@pytest.fixture(scope="session")
def mesh_clips(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eight clips of two faces: four emotions each, 256 px, 2 s at 24 fps. Do not change it."""
    folder: Path = tmp_path_factory.mktemp("mesh")
    table = save_default_faces(folder / "source", 2, size_px=320)
    emotions = ["happiness", "surprise", "anger", "neutral"]
    return equime.generate(
        table, folder / "out", clips=8, seed=3, emotions=emotions, duration_s=2.0, size_px=256, workers=0
    )
