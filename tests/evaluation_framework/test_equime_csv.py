"""EquiME's CSV file: its columns, its N/A, its units."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equime.errors import InputError
from equime.evaluation_framework.equime_csv import write_equime_csv

PUBLISHED = "video_path,psnr_mean,ssim_mean,tv_mean,brisque_mean,clip_iqa_mean,num_frames,size_mb,duration_s,bitrate_kbps"

ROW = {
    "clip_id": "x", "file": "anger/f_1_001.mp4", "psnr_consecutive_db": 38.5, "psnr_wrapped_consecutive_db": 40.25,
    "ssim_consecutive": 0.97, "tv": 13.5, "brisque": 16.0, "clip_iqa": 0.75, "n_frames": 144,
    "size_bytes": 3 * 1024 * 1024, "duration_ms": 6000.0, "bitrate_kbps": 4194.304,
}  # fmt: skip


def written(path: Path, frame: pd.DataFrame, *, wrapped: bool = False) -> list[dict[str, str]]:
    write_equime_csv(path, frame, wrapped=wrapped)
    assert path.read_text().splitlines()[0] == PUBLISHED
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_values_and_units(tmp_path: Path) -> None:
    (line,) = written(tmp_path / "a.csv", pd.DataFrame([ROW]))
    assert line == {
        "video_path": "anger/f_1_001.mp4", "psnr_mean": "38.5", "ssim_mean": "0.97", "tv_mean": "13.5",
        "brisque_mean": "16.0", "clip_iqa_mean": "0.75", "num_frames": "144", "size_mb": "3.0", "duration_s": "6.0",
        "bitrate_kbps": "4194.304",
    }  # fmt: skip


def test_the_wrapped_psnr_on_request_only(tmp_path: Path) -> None:
    (line,) = written(tmp_path / "a.csv", pd.DataFrame([ROW]), wrapped=True)
    assert line["psnr_mean"] == "40.25"


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_missing_cells_and_columns_are_not_available(tmp_path: Path, missing: object) -> None:
    frame = pd.DataFrame([ROW, {**ROW, "brisque": missing, "n_frames": missing}], dtype=object)
    second = written(tmp_path / "a.csv", frame.drop(columns=["clip_iqa"]))[1]
    assert {name for name, text in second.items() if text == "N/A"} == {
        "brisque_mean", "clip_iqa_mean", "num_frames",
    }  # fmt: skip


def test_whole_numbers_survive_a_column_with_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame([ROW, {**ROW, "n_frames": None}])
    assert [line["num_frames"] for line in written(tmp_path / "a.csv", frame)] == ["144", "N/A"]


def test_no_clip_gives_the_header(tmp_path: Path) -> None:
    assert written(tmp_path / "a.csv", pd.DataFrame(columns=["file"])) == []


def test_without_files_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'file'"):
        write_equime_csv(tmp_path / "a.csv", pd.DataFrame({"tv": [1.0]}))
    assert not (tmp_path / "a.csv").exists()
