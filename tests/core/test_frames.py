"""Frame folders as OpenCV reads them, and the errors of both readers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from equime import video
from equime.clip_sources import find_clips
from equime.frames import FrameError, open_frames
from tests.core.clip_files import problem, read, save, scene


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(FrameError("truncated", "a.mp4: cut off")))
    assert (error.code, str(error)) == ("truncated", "a.mp4: cut off")


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "tif"])
def test_a_frame_folder_as_imread_reads_it(tmp_path: Path, ending: str) -> None:
    names = [f"img{i}.{ending}" for i in (8, 9, 10, 11)]
    folder = save(tmp_path / "clip", names, scene(4, 40, 30))
    info, got = read(folder, fps=200)
    assert (info.fps, info.width, info.height, info.codec) == (200, 40, 30, ending)
    assert (info.pix_fmt, info.n_declared) == ("bgr24", 4)
    assert info.size_bytes == sum(p.stat().st_size for p in folder.iterdir())
    assert [f.time_ms for f in got] == [0, 5, 10, 15]
    for frame, name in zip(got, names, strict=True):
        np.testing.assert_array_equal(frame.bgr, cv2.imread(str(folder / name)))


@pytest.mark.parametrize(
    ("dtype", "channels", "stored"),
    [(np.uint8, 1, "gray"), (np.uint16, 1, "gray16le"), (np.uint16, 3, "bgr48le"), (np.uint8, 4, "bgra")],
)
def test_grey_and_deep_images(tmp_path: Path, dtype: Any, channels: int, stored: str) -> None:
    rng = np.random.default_rng(0)
    shape = (20, 30) if channels == 1 else (20, 30, channels)
    images = [rng.integers(0, np.iinfo(dtype).max, shape).astype(dtype) for _ in range(2)]
    folder = save(tmp_path / "clip", ["1.png", "2.png"], images)
    info, got = read(folder, fps=100)
    assert (info.pix_fmt, got[0].bgr.dtype, got[0].bgr.shape) == (stored, np.uint8, (20, 30, 3))
    np.testing.assert_array_equal(got[1].bgr, cv2.imread(str(folder / "2.png")))
    if channels == 1:
        grey = images[0] if dtype is np.uint8 else images[0] >> 8
        np.testing.assert_array_equal(got[0].grey, grey.astype(np.uint8))


def test_wrong_images_in_a_folder(tmp_path: Path) -> None:
    images = scene(3, 40, 30)
    mixed = save(tmp_path / "mixed", ["1.png", "2.png", "3.png"], [*images[:2], images[2][:, :39]])
    error = problem(mixed, fps=25)
    assert (error.code, "frame 2 is 39 x 30" in str(error)) == ("mixed_sizes", True)
    for name in ("1.jpg", "2.jpg"):
        damaged = save(tmp_path / f"damaged-{name[0]}", ["1.jpg", "2.jpg", "3.jpg"], images)
        data = (damaged / name).read_bytes()
        for keep in (0.0, 0.5, 0.99):
            (damaged / name).write_bytes(data[: int(len(data) * keep)])
            error = problem(damaged, fps=25)
            assert error.code == "unreadable_frame"
            assert f"{name} is damaged" in str(error)


def test_a_folder_without_rate_or_frames(tmp_path: Path) -> None:
    folder = save(tmp_path / "clip", ["1.png", "2.png"], scene(2, 40, 30))
    assert problem(folder).code == "fps_unknown"
    for path in folder.iterdir():
        path.unlink()
    assert problem(folder, fps=25).code == "no_frame"


def test_a_png_sequence_of_equime(tmp_path: Path) -> None:
    """Written from a clip, read back: the same pixels as RGB."""
    images = scene(3, 40, 30)
    video.write_png_sequence(tmp_path / "clip", images)
    (found,), _ = find_clips(tmp_path / "clip", fps=24)
    with open_frames(found) as stream:
        for frame, image in zip(stream.frames, images, strict=True):
            np.testing.assert_array_equal(frame.bgr[..., ::-1], image)
