"""Consecutive frames: values of scikit-image, EquiME's wrapped ones, and what a still clip gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from equime.annotation.measure import measure_clip
from equime.clip_sources import find_clips
from equime.dataset import Dataset
from equime.errors import WorkError
from equime.evaluation_framework.smoothness import Smoothness
from equime.frames import Frame, open_frames
from tests.evaluation_framework.clip_sessions import Image, context, measure, pictures


def equime_psnr(a: Image, b: Image) -> float:
    """As EquiME's published script has it."""
    mse = np.mean((a - b) ** 2)
    return 100.0 if mse == 0 else float(20 * np.log10(255.0 / np.sqrt(mse)))


def grey(frame: Image) -> Image:
    return Frame(0, 0, frame).grey


def test_values_of_a_rendered_clip(mesh_clips: Dataset) -> None:
    source = find_clips(mesh_clips.root)[0][0]
    with open_frames(source) as stream:
        frames = [frame.grey.copy() for frame in stream.frames]
    row = measure_clip(source, [Smoothness()]).rows["smoothness"]
    pairs = list(itertools.pairwise(frames))
    expected = {
        "psnr_consecutive_db": [peak_signal_noise_ratio(a, b) for a, b in pairs],
        "ssim_consecutive": [structural_similarity(a, b) for a, b in pairs],
        "psnr_wrapped_consecutive_db": [equime_psnr(a, b) for a, b in pairs],
    }
    for name, values in expected.items():
        assert np.isnan(row.frames[name][0])
        assert row.frames[name][1:] == pytest.approx(values, abs=1e-9), name
        assert row.values[name] == pytest.approx(np.mean(values), abs=1e-9), name
    assert row.values["n_identical_pairs"] == 0


def test_large_differences_wrap_in_equimes_psnr_only() -> None:
    frames = pictures(2, 40, 50)
    frames[1] = np.roll(frames[0], 20, axis=1)
    a, b = map(grey, frames)
    row = measure(Smoothness(), frames)
    assert row.values["psnr_consecutive_db"] == pytest.approx(peak_signal_noise_ratio(a, b), abs=1e-9)
    assert row.values["psnr_wrapped_consecutive_db"] == pytest.approx(equime_psnr(a, b), abs=1e-9)
    assert row.values["psnr_consecutive_db"] < 24 < row.values["psnr_wrapped_consecutive_db"]  # type: ignore[operator]


def test_a_step_of_sixteen_levels_counts_as_none_when_wrapped() -> None:
    frames = [np.full((20, 20, 3), level, np.uint8) for level in (100, 116)]
    row = measure(Smoothness(), frames)
    assert row.values["psnr_wrapped_consecutive_db"] == 100
    assert row.values["psnr_consecutive_db"] == pytest.approx(20 * np.log10(255 / 16))
    assert row.values["n_identical_pairs"] == 0


def test_identical_pairs_are_counted_and_left_out() -> None:
    first, second, third = pictures(3, 40, 50)
    row = measure(Smoothness(), [first, first, second, second, third])
    known = [
        peak_signal_noise_ratio(grey(first), grey(second)),
        peak_signal_noise_ratio(grey(second), grey(third)),
    ]
    assert row.values["psnr_consecutive_db"] == pytest.approx(np.mean(known))
    assert row.values["n_identical_pairs"] == 2
    assert np.isnan(row.frames["psnr_consecutive_db"][[0, 1, 3]]).all()
    assert row.frames["ssim_consecutive"][1] == 1
    assert row.notes == ()


def test_a_frozen_clip_has_no_psnr() -> None:
    row = measure(Smoothness(), pictures(1, 40, 50) * 5)
    assert row.values == {
        "psnr_consecutive_db": None, "ssim_consecutive": 1, "psnr_wrapped_consecutive_db": 100, "n_identical_pairs": 4,
    }  # fmt: skip
    assert [code for code, _ in row.notes] == ["frozen"]


def test_one_frame_has_no_value() -> None:
    row = measure(Smoothness(), pictures(1, 40, 50))
    assert set(row.values.values()) == {None}
    assert [code for code, _ in row.notes] == ["one_frame"]


def test_tiny_frames_have_no_ssim() -> None:
    row = measure(Smoothness(), pictures(3, 6, 50))
    assert row.values["ssim_consecutive"] is None
    assert row.values["psnr_consecutive_db"] is not None
    assert [code for code, _ in row.notes] == ["too_small"]


def test_a_change_of_size_is_refused() -> None:
    small, large = pictures(1, 40, 50)[0], pictures(1, 44, 50)[0]
    session = Smoothness().start(context([small]))
    session.feed(Frame(0, 0, small))
    with pytest.raises(WorkError, match="frame 1 is 50 x 44 px"):
        session.feed(Frame(1, 1, large))


def test_no_direction_is_better() -> None:
    assert {metric.direction for metric in Smoothness.metrics} == {"none"}
