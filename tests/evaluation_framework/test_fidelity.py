"""Frames against the source face, and against the first frame where there is no photograph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from equime.annotation.measure import measure_clip
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.evaluation_framework import source_reference
from equime.evaluation_framework.fidelity import Fidelity
from equime.face.source import source_crop
from equime.frames import Frame, open_frames
from equime.video import rgb_to_yuv, write_clip
from tests.evaluation_framework.clip_sessions import measure, pictures


@pytest.fixture(scope="module")
def source(mesh_clips: Dataset) -> ClipSource:
    return find_clips(mesh_clips.root)[0][0]


def test_against_the_photograph(source: ClipSource, tmp_path: Path) -> None:
    """The reference value comes from a lossless clip of the crop, decoded by OpenCV."""
    assert source.face is not None
    assert source.faces_root is not None
    crop = source_crop(source.face, Path(source.faces_root), 256)
    still = tmp_path / "still.mp4"
    from equime.video import EncoderSettings  # noqa: PLC0415

    write_clip(still, [rgb_to_yuv(crop)], fps=24, size=256, settings=EncoderSettings(lossless=True))
    ok, bgr = cv2.VideoCapture(str(still)).read()
    assert ok
    reference = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    with open_frames(source) as stream:
        frames = [frame.grey.copy() for frame in stream.frames]

    row = measure_clip(source, [Fidelity()]).rows["fidelity"]
    psnr = [peak_signal_noise_ratio(reference, frame) for frame in frames]
    ssim = [structural_similarity(reference, frame) for frame in frames]
    assert row.frames["psnr_source_db"] == pytest.approx(psnr, abs=1e-9)
    assert row.frames["ssim_source"] == pytest.approx(ssim, abs=1e-9)
    assert row.values["psnr_source_db"] == pytest.approx(np.mean(psnr))
    assert row.values["fidelity_reference"] == "photograph"
    assert row.notes == ()
    # Frame 0 is the photograph but for the encoder and the sensor noise; there is no offset in brightness.
    assert psnr[0] > 38
    assert abs(float(np.mean(frames[0].astype(float) - reference))) < 0.3


def test_another_photograph_scores_lower(source: ClipSource, mesh_clips: Dataset) -> None:
    sources = find_clips(mesh_clips.root)[0]
    assert source.face is not None
    other = next(s.face for s in sources if s.face and s.face.face_id != source.face.face_id)
    own, wrong = (
        measure_clip(s, [Fidelity()]).rows["fidelity"].values for s in (source, replace(source, face=other))
    )
    assert wrong["psnr_source_db"] + 10 < own["psnr_source_db"]  # type: ignore[operator]
    assert wrong["ssim_source"] < own["ssim_source"]  # type: ignore[operator]


def test_without_the_photograph_the_first_frame_and_a_note(source: ClipSource, tmp_path: Path) -> None:
    gone = replace(source, faces_root=str(tmp_path / "gone"))
    row = measure_clip(gone, [Fidelity()]).rows["fidelity"]
    assert row.values["fidelity_reference"] == "first_frame"
    assert np.isnan(row.frames["psnr_source_db"][0])
    assert np.isfinite(row.frames["psnr_source_db"][1:]).all()
    assert [code for code, _ in row.notes] == ["no_photograph"]


def test_other_clips_are_compared_with_their_first_frame() -> None:
    frames = pictures(4, 40, 51)
    grey = [Frame(0, 0, f).grey for f in frames]
    row = measure(Fidelity(), frames)
    expected = [peak_signal_noise_ratio(grey[0], g) for g in grey[1:]]
    assert row.values["psnr_source_db"] == pytest.approx(np.mean(expected))
    assert row.values["ssim_source"] == pytest.approx(
        np.mean([structural_similarity(grey[0], g) for g in grey[1:]])
    )
    assert row.values["n_identical_to_source"] == 0
    assert row.notes == ()


def test_a_clip_that_is_no_square_crop_says_so(source: ClipSource) -> None:
    row = measure(Fidelity(), pictures(3, 40, 50), source)
    assert row.values["fidelity_reference"] == "first_frame"
    assert [code for code, _ in row.notes] == ["no_aligned_crop"]


def test_a_frozen_clip_and_one_frame_have_no_psnr() -> None:
    frozen = measure(Fidelity(), pictures(1, 40, 50) * 3)
    assert frozen.values["psnr_source_db"] is None
    assert frozen.values["n_identical_to_source"] == 2
    assert [code for code, _ in frozen.notes] == ["frozen"]
    single = measure(Fidelity(), pictures(1, 40, 50))
    assert single.values["ssim_source"] is None
    assert [code for code, _ in single.notes] == ["one_frame"]


def test_the_crop_is_made_once_per_face(source: ClipSource, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(*args: object) -> object:
        made.append(args)
        return source_crop(*args)  # type: ignore[arg-type]

    source_reference._crop.cache_clear()
    monkeypatch.setattr(source_reference, "source_crop", counted)
    for _ in range(3):
        measure_clip(source, [Fidelity()])
    assert len(made) == 1
    source_reference._crop.cache_clear()
