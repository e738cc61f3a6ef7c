"""Full-reference measures: PIQ's values, on the frames and against the reference that the page says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from equime.clip_sources import find_clips
from equime.dataset import Dataset
from equime.evaluation_framework import piq_metrics
from equime.evaluation_framework.piq_metrics import (
    FRAMES_EVERY,
    MEASURES,
    FullReference,
    Measure,
)
from equime.face.source import source_crop
from equime.frames import open_frames
from equime.torch_env import load, torch
from equime.video import EncoderSettings, rgb_to_yuv, write_clip
from tests import runs
from tests.evaluation_framework.clip_sessions import Image, measure, pictures

COLUMNS = [m.column for m in MEASURES]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch().set_num_threads(1)


def piq_value(function: str, frame_bgr: Image, reference_bgr: Image) -> float:
    """As PIQ's documentation calls it: skimage-like RGB, scaled to 0..1."""
    tensors = [
        torch().tensor(np.moveaxis(image[..., ::-1] / 255.0, 2, 0), dtype=torch().float32).unsqueeze(0)
        for image in (frame_bgr, reference_bgr)
    ]
    return float(getattr(load("piq"), function)(*tensors, data_range=1.0))


def test_importing_the_annotators_does_not_import_torch() -> None:
    modules = ("piq_metrics", "clip_iqa", "lpips", "deep_features")
    code = "; ".join(f"import equime.evaluation_framework.{m}" for m in modules)
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print({{'torch', 'torchvision', 'piq'}} & set(sys.modules))"],
        env=runs.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "set()"


def test_values_are_piqs() -> None:
    frames = pictures(FRAMES_EVERY + 2, 176, 192)
    row = measure(FullReference(), frames)
    assert row.values["n_frames_full_reference"] == 1
    assert row.values["full_reference_against"] == "first_frame"
    assert row.notes == ()
    for m in MEASURES:
        expected = piq_value(m.function, frames[FRAMES_EVERY], frames[0])
        assert row.values[m.column] == pytest.approx(expected, abs=1e-4), m.column
        assert row.frames[m.column][FRAMES_EVERY] == pytest.approx(expected, abs=1e-4)
        assert np.isnan(np.delete(row.frames[m.column], FRAMES_EVERY)).all()


@pytest.mark.parametrize("m", MEASURES, ids=lambda m: m.column)
def test_there_is_a_value_at_the_smallest_size(m: Measure) -> None:
    first, other = pictures(2, m.smallest_px, m.smallest_px + 30)
    assert np.isfinite(piq_value(m.function, other, first))


@pytest.mark.parametrize(
    "column", ["ms_ssim_source", "vif_source", "haarpsi_source", "srsim_source", "iw_ssim_source"]
)
def test_where_the_limit_is_piqs_it_refuses_less(column: str) -> None:
    m = next(m for m in MEASURES if m.column == column)
    first, other = pictures(2, m.smallest_px - 1, m.smallest_px + 30)
    with pytest.raises(ValueError, match=r"(?i)size"):
        piq_value(m.function, other, first)


def test_small_frames_have_no_value_and_say_so() -> None:
    row = measure(FullReference(), pictures(8, 64, 80))
    absent = {column for column in COLUMNS if row.values[column] is None}
    assert absent == {"ms_ssim_source", "iw_ssim_source"}
    assert row.notes[0] == ("too_small", "ms_ssim_source needs 161 px, the frames have 64 px")


def test_equal_frames_are_best_and_within_the_range() -> None:
    frame = pictures(1, 176, 176)[0]
    row = measure(FullReference(), [frame] * 8)
    for metric in FullReference.metrics[: len(MEASURES)]:
        value = row.values[metric.name]
        assert isinstance(value, float)
        best = {"higher": 1.0, "lower": 0.0}[metric.direction]
        assert value == pytest.approx(best, abs=1e-4), metric.name
        assert metric.high is None or value <= metric.high


def test_what_is_undefined_for_flat_frames_is_none_with_a_note() -> None:
    black = np.zeros((176, 176, 3), np.uint8)
    row = measure(FullReference(), [black] * 14)
    undefined = {column for column in COLUMNS if row.values[column] is None}
    assert undefined == {"haarpsi_source", "iw_ssim_source"}
    assert ("not_defined", "haarpsi_source has no value for 2 of 2 frames (flat)") in row.notes


@pytest.mark.parametrize(("n_frames", "n_measured"), [(1, 0), (2, 1), (5, 1), (7, 1), (13, 2)])
def test_short_clips(n_frames: int, n_measured: int) -> None:
    row = measure(FullReference(), pictures(n_frames, 40, 40))
    assert row.values["n_frames_full_reference"] == n_measured
    assert (row.values["gmsd_source"] is None) == (n_measured == 0)
    if n_frames == 1:
        assert row.notes[-1][0] == "too_few_frames"
    if n_frames == 5:
        assert np.isfinite(row.frames["gmsd_source"][4])


def test_a_clip_of_equime_is_compared_with_its_photograph_and_at_the_apex(
    mesh_clips: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    comparison = piq_metrics._comparison
    monkeypatch.setattr(
        piq_metrics, "_comparison", lambda all_: comparison([m for m in all_ if m.column == "gmsd_source"])
    )
    sources, _ = find_clips(mesh_clips.root)
    source = next(s for s in sources if s.clip is not None and s.clip.timing is not None)
    assert source.clip is not None
    assert source.clip.timing is not None
    assert source.face is not None
    assert source.faces_root is not None
    with open_frames(source) as stream:
        frames = [frame.bgr for frame in stream.frames]
    wanted = sorted({*range(0, len(frames), FRAMES_EVERY), source.clip.timing.apex_frame})
    row = measure(FullReference(), frames, source)
    assert row.values["full_reference_against"] == "photograph"
    assert row.values["n_frames_full_reference"] == len(wanted)
    assert np.flatnonzero(np.isfinite(row.frames["gmsd_source"])).tolist() == wanted
    crop = tmp_path / "crop.mp4"
    planes = rgb_to_yuv(source_crop(source.face, Path(source.faces_root), 256))
    write_clip(crop, [planes], fps=24, size=256, settings=EncoderSettings(lossless=True))
    ok, reference = cv2.VideoCapture(str(crop)).read()
    assert ok
    expected = np.mean([piq_value("gmsd", frames[i], reference) for i in wanted])
    assert row.values["gmsd_source"] == pytest.approx(expected, abs=1e-4)

    gone = replace(source, faces_root=str(mesh_clips.root))
    row = measure(FullReference(), frames[:8], gone)
    assert row.values["full_reference_against"] == "first_frame"
    code, why = row.notes[0]
    assert code == "no_photograph"
    assert source.face.path in why
