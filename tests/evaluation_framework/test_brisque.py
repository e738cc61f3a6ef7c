"""BRISQUE against PIQ, with weights of the published file's shapes (the authors' own are not in the repository)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from equime import weights
from equime.clip_sources import find_clips
from equime.dataset import Dataset
from equime.errors import WorkError
from equime.evaluation_framework import brisque
from equime.evaluation_framework.brisque import Brisque, BrisqueModel, load_model, score
from equime.frames import open_frames
from equime.torch_env import load, torch
from tests.evaluation_framework.brisque_weights import save_brisque
from tests.evaluation_framework.clip_sessions import measure, pictures

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_brisque(tmp_path_factory.mktemp("weights") / "brisque_svm_weights.pt")


@pytest.fixture
def model(file: Path) -> BrisqueModel:
    return load_model(file)


@pytest.fixture
def piq_brisque(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """PIQ's module, reading the same file."""
    load("piq")
    module = sys.modules["piq.brisque"]
    monkeypatch.setattr(module, "load_url", lambda *_, **__: torch().load(file))
    before = torch().get_num_threads()
    torch().set_num_threads(1)
    yield module
    torch().set_num_threads(before)


@pytest.fixture
def installed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "require", lambda name: {"brisque": file}[name])


def piqs(module: ModuleType, grey: Image) -> float:
    return float(module.brisque(torch().from_numpy(grey.astype(np.float32))[None, None] / 255).item())


def images(clips: Dataset) -> dict[str, Image]:
    """Photographs, a drawing and its frames, noise, blur, flat areas and odd sizes."""
    rng = np.random.Generator(np.random.PCG64(1))
    camera = cv2.resize(data.camera(), (256, 256), interpolation=cv2.INTER_AREA)
    flat = camera.copy()
    flat[:90], flat[150:, :100] = 128, 255
    found = {
        "astronaut": cv2.cvtColor(data.astronaut()[:300, 100:380], cv2.COLOR_RGB2GRAY),
        "camera": camera,
        "flat areas": flat,
        "odd size": camera[:201, :173].copy(),
        "noise": rng.integers(0, 256, (160, 160), dtype=np.uint8),
        "blurred": cv2.GaussianBlur(camera, (0, 0), 2.5),
        "dark": (camera // 16).astype(np.uint8),
        "smallest": camera[100:114, 100:114].copy(),
    }
    with open_frames(find_clips(clips.root)[0][0]) as stream:
        found |= {f"frame {f.index}": f.grey.copy() for f in stream.frames if f.index % 6 == 0}
    return found


def test_scores_are_piqs(mesh_clips: Dataset, model: BrisqueModel, piq_brisque: ModuleType) -> None:
    for name, grey in images(mesh_clips).items():
        assert score(grey, model) == pytest.approx(piqs(piq_brisque, grey), abs=1e-4), name


def test_the_coefficients_and_the_half_size_are_piqs_but_for_rounding(
    mesh_clips: Dataset, piq_brisque: ModuleType
) -> None:
    for name, grey in images(mesh_clips).items():
        levels = torch().from_numpy(grey.astype(np.float32))[None, None] / 255 / 1.0 * 255
        half = piq_brisque.imresize(levels, sizes=(grey.shape[0] // 2, grey.shape[1] // 2))[0, 0].numpy()
        assert np.abs(brisque._halved(levels[0, 0].numpy()) - half).max() < 1e-4, name


def test_the_sign_in_flat_areas_is_piqs(piq_brisque: ModuleType, model: BrisqueModel) -> None:
    """In an area of one grey level the coefficients are rounding errors, and their signs are counted."""
    rng = np.random.Generator(np.random.PCG64(2))
    for level in (17, 100, 128, 200, 235, 255):
        grey = np.full((96, 96), level, np.uint8)
        grey[60:] = rng.integers(0, 256, (36, 96))
        assert score(grey, model) == pytest.approx(piqs(piq_brisque, grey), abs=1e-4), level


@pytest.mark.parametrize("level", [0, 128])
def test_flat_frames_have_no_score(level: int, piq_brisque: ModuleType, model: BrisqueModel) -> None:
    assert score(np.full((64, 64), level, np.uint8), model) is None
    if level == 0:
        with pytest.raises(AssertionError):
            piqs(piq_brisque, np.full((64, 64), level, np.uint8))


@pytest.mark.usefixtures("installed")
def test_the_row_is_a_mean_over_frames_with_a_score(model: BrisqueModel) -> None:
    frames = pictures(3, 64, 80)
    black = np.zeros_like(frames[0])
    row = measure(Brisque(), [frames[0], black, *frames[1:]])
    expected = [score(cv2.cvtColor(f, cv2.COLOR_BGR2GRAY), model) for f in frames]
    assert row.frames["brisque"][[0, 2, 3]] == pytest.approx(expected)
    assert np.isnan(row.frames["brisque"][1])
    assert row.values["brisque"] == pytest.approx(np.mean(expected))  # type: ignore[arg-type]
    assert [code for code, _ in row.notes] == ["flat_frame"]


@pytest.mark.usefixtures("installed")
def test_clips_that_are_flat_or_tiny_have_no_value() -> None:
    for frames, code in (
        ([np.zeros((40, 40, 3), np.uint8)] * 2, "flat_frame"),
        (pictures(2, 13, 40), "too_small"),
    ):
        row = measure(Brisque(), frames)
        assert row.values["brisque"] is None
        assert [c for c, _ in row.notes] == [code]


@pytest.mark.parametrize(
    "content",
    [b"", b"not a file of weights", "transposed", "three"],
    ids=["empty", "text", "transposed", "three"],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "brisque_svm_weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pair = (torch().zeros(774), torch().zeros(36, 774))
        torch().save(pair if content == "transposed" else (*pair, pair), path)
    with pytest.raises(WorkError, match="equime weights verify brisque"):
        load_model(path)
