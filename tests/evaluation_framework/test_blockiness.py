"""Blocking and noise of single frames, against closed forms, other implementations and an encoder's settings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import convolve2d
from skimage import data

from equime.dataset import Dataset
from equime.evaluation_framework.blockiness import blockiness, grid_offset, noise_sigma
from equime.video import EncoderSettings, read_frames, read_planes, write_clip

U8 = NDArray[np.uint8]


def ramp(step: int, inside: int, size: int = 128) -> U8:
    """Up and down by ``step`` across every border of 8 px, by ``inside`` between all other pixels."""
    x = np.arange(1, size)
    turns = (-1) ** (x % 8) * (-1) ** (x // 8)  # what a block climbs, the next falls
    steps = np.where(x % 8 == 0, step, inside) * turns
    line = 100 + np.concatenate([[0], np.cumsum(steps)])
    image = line[:, None] + line[None, :] - 100
    assert image.min() >= 0
    assert image.max() <= 255
    return image.astype(np.uint8)


@pytest.mark.parametrize(("step", "inside"), [(6, 0), (6, 2), (3, 3), (8, 4)])
def test_a_known_grid_has_the_contrast_of_its_steps(step: int, inside: int) -> None:
    assert blockiness(ramp(step, inside)) == pytest.approx((step - inside) / (step + inside))


def test_a_grid_is_found_wherever_it_starts() -> None:
    image = ramp(6, 2)
    for x in range(8):
        for y in (0, 3, 7):
            cropped = image[y:, x:]
            assert blockiness(cropped) == pytest.approx(0.5)
            assert grid_offset(cropped) == ((-x) % 8, (-y) % 8)


def test_flat_and_tiny_pictures_have_none() -> None:
    assert blockiness(np.full((64, 64), 90, np.uint8)) is None
    assert blockiness(np.zeros((23, 64), np.uint8)) is None
    assert noise_sigma(np.zeros((2, 9), np.uint8)) is None


@given(st.integers(0, 2**32 - 1), st.integers(24, 150), st.integers(24, 150))
@settings(max_examples=25, deadline=None)
def test_blockiness_is_a_mean_over_pixels_written_plainly(seed: int, height: int, width: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)

    def contrast(differences: NDArray[np.float64]) -> float:
        n = differences.shape[1] // 8 * 8
        phases = [float(differences[:, p:n:8].mean()) for p in range(8)]
        border = max(phases)
        inside = (sum(phases) - border) / 7
        return (border - inside) / (border + inside)

    wide = image.astype(np.float64)
    expected = (contrast(np.abs(np.diff(wide, axis=1))) + contrast(np.abs(np.diff(wide, axis=0)).T)) / 2
    assert blockiness(image) == pytest.approx(expected, rel=1e-9)


def test_it_grows_with_jpeg_compression() -> None:
    photograph = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    found = [
        blockiness(cv2.imdecode(cv2.imencode(".jpg", photograph, [cv2.IMWRITE_JPEG_QUALITY, q])[1], 0))
        for q in (95, 75, 50, 30, 15)
    ]
    assert found == sorted(found)
    assert blockiness(photograph) < 0.03 < 0.25 < found[-1]


def test_it_grows_with_the_quantiser_of_x264(mesh_clips: Dataset, tmp_path: Path) -> None:
    planes = [p for p, _ in zip(read_planes(mesh_clips[0].path), range(8), strict=False)]
    found = []
    for crf in (18, 27, 36, 45):
        path = tmp_path / f"{crf}.mp4"
        write_clip(path, planes, fps=24, size=256, settings=EncoderSettings(crf=crf))
        frames = [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in read_frames(path)]
        found.append(float(np.mean([blockiness(frame) for frame in frames])))
    assert found == sorted(found)
    assert found[-1] > found[0] + 0.1


@pytest.mark.parametrize("sigma", [1.0, 3.0, 10.0])
def test_the_sigma_of_white_noise_is_found_again(sigma: float) -> None:
    random = np.random.default_rng(0)
    plane = np.linspace(60, 180, 256)[None, :] + np.linspace(0, 20, 256)[:, None]
    noisy = np.rint(plane + random.normal(0, sigma, plane.shape)).astype(np.uint8)
    rounding = 1 / 12
    assert noise_sigma(noisy) == pytest.approx(np.sqrt(sigma**2 + rounding), rel=0.03)


def test_noise_is_immerkaers_formula() -> None:
    image = data.camera()[:200, :123]
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    response = convolve2d(image.astype(float), mask, mode="valid")
    expected = np.sqrt(np.pi / 2) * np.abs(response).sum() / (6 * 121 * 198)
    assert noise_sigma(image) == pytest.approx(expected, rel=1e-12)
