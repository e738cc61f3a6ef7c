"""Total variation against PIQ, and across resolutions."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from equime.evaluation_framework.total_variation import TotalVariation
from equime.frames import Frame
from equime.torch_env import load, torch
from tests.evaluation_framework.clip_sessions import measure, pictures


def test_values_are_piqs() -> None:
    frames = pictures(4, 97, 130)
    row = measure(TotalVariation(), frames)
    piq, tensors = load("piq"), [Frame(0, 0, f).grey.astype(np.float32) / 255 for f in frames]
    expected = [piq.total_variation(torch().from_numpy(t)[None, None]).item() for t in tensors]
    assert row.frames["tv"] == pytest.approx(expected, abs=1e-4)
    assert row.values["tv"] == pytest.approx(np.mean(expected), abs=1e-4)


def test_a_ramp_in_closed_form() -> None:
    ramp = np.repeat(np.arange(60, dtype=np.uint8)[None, :, None] * 3, 40, 0).repeat(3, 2)
    row = measure(TotalVariation(), [ramp, ramp])
    assert row.values["tv"] == pytest.approx(np.sqrt(40 * 59) * 3 / 255)
    assert row.values["tv_per_pixel"] == pytest.approx(np.sqrt(59 / 60) * 3 / 255)


def test_noise_of_another_size_has_the_same_value_per_pixel_only() -> None:
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (256, 256), dtype=np.uint8)
    whole, quarter = (
        measure(TotalVariation(), [cv2.cvtColor(n, cv2.COLOR_GRAY2BGR)]).values
        for n in (noise, noise[:128, :128])
    )
    assert whole["tv"] == pytest.approx(2 * quarter["tv"], rel=0.02)  # type: ignore[operator]
    assert whole["tv_per_pixel"] == pytest.approx(quarter["tv_per_pixel"], rel=0.02)


def test_a_constant_frame_has_none() -> None:
    flat = np.full((30, 20, 3), 90, np.uint8)
    assert measure(TotalVariation(), [flat]).values == {"tv": 0, "tv_per_pixel": 0}
