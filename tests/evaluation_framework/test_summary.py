"""Summaries per metric and emotion, the order of clips, and the frozen clip from file to score."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from equime.annotation.annotators import Metric
from equime.annotation.measure import measure_clip
from equime.clip_sources import find_clips
from equime.dataset import Dataset
from equime.errors import InputError
from equime.evaluation_framework.fidelity import Fidelity
from equime.evaluation_framework.sequence import SequenceQuality
from equime.evaluation_framework.statistics import bootstrap_mean
from equime.evaluation_framework.summary import best_and_worst, scores, summarise
from equime.evaluation_framework.video_file import VideoFile
from equime.video import read_frames, read_planes, write_clip

METRICS = {
    "flicker": Metric("flicker", "grey level", 0, None, "lower", "", ""),
    "n_duplicate_frames": Metric("n_duplicate_frames", "1", 0, None, "lower", "", "", type="whole"),
    "is_frozen": Metric("is_frozen", "", None, None, "lower", "", "", type="flag"),
    "codec": Metric("codec", "", None, None, "none", "", "", type="text"),
    "lpips": Metric("lpips", "1", 0, None, "lower", "", ""),
}


def table(n: int = 24) -> pd.DataFrame:
    """Clips of six people in turn; two without a flicker value, one of unknown emotion."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "clip_id": [f"c{i}" for i in range(n)],
            "file": [f"{i:02d}.mp4" for i in range(n)],
            "subject_id": [f"s{i % 6}" for i in range(n)],
            "emotion": ["anger" if i < n // 2 else "fear" for i in range(n)],
            "flicker": random.uniform(0, 2, n),
            "n_duplicate_frames": random.integers(0, 5, n),
            "is_frozen": pd.Series([i == 7 for i in range(n)], dtype=object),
            "codec": ["h264"] * n,
        }
    )
    frame.loc[[2, 3], "flicker"] = np.nan
    frame.loc[5, "is_frozen"] = None
    frame.loc[n - 1, "emotion"] = None
    return frame


def test_a_row_per_number_and_flag_that_was_measured() -> None:
    frame = table()
    rows = {row.metric: row for row in summarise(frame, METRICS, "emotion")}
    assert list(rows) == ["flicker", "n_duplicate_frames", "is_frozen"]
    flicker = rows["flicker"]
    assert flicker.overall == bootstrap_mean(frame["flicker"], frame["subject_id"])
    assert flicker.overall.mean == pytest.approx(frame["flicker"].mean())
    assert (flicker.n_missing, flicker.overall.n, flicker.overall.n_subjects) == (2, 22, 6)
    assert (flicker.low, flicker.median, flicker.high) == pytest.approx(
        tuple(frame["flicker"].quantile([0, 0.5, 1]))
    )
    assert list(flicker.groups) == ["anger", "fear", "unknown"]
    anger = frame[frame["emotion"] == "anger"]
    assert flicker.groups["anger"] == bootstrap_mean(anger["flicker"], anger["subject_id"])
    assert flicker.groups["unknown"].low is None


def test_a_flag_has_its_share_and_no_range() -> None:
    row = summarise(table(), METRICS, None)[2]
    assert row.overall.mean == pytest.approx(1 / 23)
    assert (row.low, row.median, row.high, row.groups, row.n_missing) == (None, None, None, {}, 1)


def test_a_column_without_any_value_is_a_row_of_none() -> None:
    row = summarise(table().assign(lpips=None), {"lpips": METRICS["lpips"]}, "emotion")[0]
    assert (row.overall.mean, row.low, row.median, row.n_missing) == (None, None, None, 24)


def test_a_table_without_ids_is_refused() -> None:
    with pytest.raises(InputError, match="no column subject_id"):
        summarise(table().drop(columns="subject_id"), METRICS, None)
    with pytest.raises(InputError, match="no column gender"):
        summarise(table(), METRICS, "gender")


def test_best_and_worst_come_in_order_with_reasons_and_never_twice() -> None:
    frame = table()
    best, worst = best_and_worst(frame, 4)
    assert worst[0].clip_id == "c7"
    assert worst[0].reason == "frozen: the whole clip is one picture"
    flicker = dict(zip(frame["clip_id"], frame["flicker"], strict=True))
    ordered = sorted((v, k) for k, v in flicker.items() if v == v and k != "c7")
    assert [clip.clip_id for clip in best] == [k for _, k in ordered[:4]]
    assert [clip.clip_id for clip in worst[1:]] == [k for _, k in ordered[::-1][:3]]
    assert worst[1].reason.startswith("lowest part: steady_light")
    for n in (1, 5, 100):
        best, worst = best_and_worst(frame, n)
        assert not {c.clip_id for c in best} & {c.clip_id for c in worst}
    assert len(best) + len(worst) == 22  # two clips have no value at all


def test_equal_scores_are_in_the_order_of_files_however_the_table_is_sorted() -> None:
    frame = table().assign(flicker=1.0, is_frozen=False)
    first = best_and_worst(frame, 3)
    assert [clip.file for clip in first[1]] == ["00.mp4", "01.mp4", "02.mp4"]
    assert best_and_worst(frame[::-1], 3) == first


def test_no_clips_are_neither_best_nor_worst() -> None:
    assert best_and_worst(table(24)[:0], 3) == ([], [])


def consecutive(path: Path) -> tuple[float, float]:
    """PSNR in dB and SSIM between consecutive grey frames, by scikit-image, clip means."""
    grey = [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in read_frames(path)]
    pairs = list(itertools.pairwise(grey))
    with np.errstate(divide="ignore"):
        psnr = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs]
    return float(np.mean(psnr)), float(np.mean([structural_similarity(a, b) for a, b in pairs]))


def test_a_frozen_clip_is_last_though_consecutive_psnr_and_ssim_call_it_first(
    mesh_clips: Dataset, tmp_path: Path
) -> None:
    for i in range(3):
        planes = list(read_planes(mesh_clips[i].path))[:30]
        write_clip(tmp_path / f"sound_{i}.mp4", planes, fps=24, size=256)
    still = next(iter(read_planes(mesh_clips[0].path)))
    write_clip(tmp_path / "frozen.mp4", [still] * 30, fps=24, size=256)
    rows = []
    for source in find_clips(tmp_path)[0]:
        measured = measure_clip(source, [SequenceQuality(), Fidelity(), VideoFile()])
        assert measured.problems == ()
        psnr, ssim = consecutive(source.path)
        about = {
            "clip_id": source.clip_id, "file": source.file, "subject_id": None, "emotion": "happiness",
            "psnr_consecutive_db": psnr, "ssim_consecutive": ssim,
        }  # fmt: skip
        rows.append(about | {k: v for row in measured.rows.values() for k, v in row.values.items()})
    frame = pd.DataFrame(rows).set_index("file", drop=False)
    assert frame["psnr_consecutive_db"].idxmax() == "frozen.mp4"
    assert frame["ssim_consecutive"].idxmax() == "frozen.mp4"
    assert frame["psnr_source_db"].idxmax() == "frozen.mp4"

    best, worst = best_and_worst(frame, 4)
    assert worst[0].file == "frozen.mp4"
    assert worst[0].score.score == 0
    sound = [clip.score.score for clip in scores(frame) if clip.file != "frozen.mp4"]
    assert len(sound) == 3
    assert min(score for score in sound if score is not None) > 0.7
    assert "frozen.mp4" not in {clip.file for clip in best}
