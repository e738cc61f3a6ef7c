"""Video files: exact, reproducible, complete or absent."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data

from equime import video
from equime.errors import InputError, WorkError
from equime.video import EncoderSettings, Planes

SIZE = 64


def frames(n: int, size: int = SIZE, seed: int = 0) -> Iterator[Planes]:
    """Noise around a moving ramp; the same arrays are reused, as a renderer may do."""
    rng = np.random.default_rng(seed)
    y = np.empty((size, size), np.uint8)
    u, v = np.empty((2, size // 2, size // 2), np.uint8)
    ramp = np.linspace(40, 200, size)
    for i in range(n):
        y[:] = np.roll(ramp, i) + rng.normal(0, 3, y.shape)
        u[:] = 110 + rng.integers(0, 5, u.shape)
        v[:] = 140 + rng.integers(0, 5, v.shape)
        yield y, u, v


def write(path: Path, n: int = 12, fps: float = 24.0, **kwargs: object) -> Path:
    video.write_clip(path, frames(n), fps=fps, size=SIZE, **kwargs)  # type: ignore[arg-type]
    return path


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.pts * stream.time_base for frame in container.decode(stream)]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [64, 66, 96, 256])
def test_same_input_gives_same_bytes(tmp_path: Path, size: int) -> None:
    """Many times: x264's macroblock tree reads past its rows at such widths and differed every few runs."""
    clip = [(y.copy(), u.copy(), v.copy()) for y, u, v in frames(12, size)]
    digests = set()
    for i in range(20):
        path = tmp_path / f"{i}.mp4"
        video.write_clip(path, clip, fps=24, size=size, comment="x")
        digests.add(digest(path))
    assert len(digests) == 1


def test_settings_change_the_bytes(tmp_path: Path) -> None:
    assert digest(write(tmp_path / "a.mp4")) != digest(
        write(tmp_path / "b.mp4", settings=EncoderSettings(crf=19))
    )


def test_no_clock_and_no_machine_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", comment="synthetic; clip 0123")
    with av.open(str(path)) as container:
        assert "creation_time" not in container.metadata
        assert "encoder" not in container.metadata
    assert video.read_comment(path) == "synthetic; clip 0123"
    assert str(tmp_path).encode() not in path.read_bytes()


def test_faststart_and_colour_tags(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"colr" in data
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.color_range, context.colorspace, context.color_primaries, context.color_trc)
        assert tags == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (24.0, Fraction(24)),
        (23.976, Fraction(2997, 125)),
        (24000 / 1001, Fraction(24000, 1001)),
        (100 / 3, Fraction(100, 3)),
        (200.0, Fraction(200)),
        (500.0, Fraction(500)),
    ],
)
def test_time_stamps_are_exact(tmp_path: Path, fps: float, rate: Fraction) -> None:
    path = write(tmp_path / "a.mp4", n=9, fps=fps)
    assert times(path) == [i / rate for i in range(9)]
    assert video.probe(path).fps == pytest.approx(fps, rel=1e-12)


def test_lossless_returns_the_planes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", settings=EncoderSettings(lossless=True))
    for got, want in zip(video.read_planes(path), frames(12), strict=True):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_default_quality_is_close(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    errors = [
        np.abs(got[0].astype(int) - want[0]).mean()
        for got, want in zip(video.read_planes(path), frames(12), strict=True)
    ]
    assert 0 < max(errors) < 3


def test_probe_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", n=36)
    probe = video.probe(path)
    assert (probe.n_frames, probe.fps, probe.width, probe.height) == (36, 24.0, SIZE, SIZE)
    assert (probe.codec, probe.pix_fmt, probe.duration_ms) == ("h264", "yuv420p", 1500.0)
    assert probe.size_bytes == path.stat().st_size
    assert probe.bitrate_kbps == pytest.approx(probe.size_bytes * 8 / 1.5 / 1000, abs=1e-3)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_damaged_files_are_named(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path / "a.mp4", n=36)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(WorkError, match=r"a\.mp4: .*delete it and run again"):
        video.probe(path)


def test_not_a_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello " * 500)
    with pytest.raises(WorkError, match="not a readable video"):
        video.probe(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="no such file"):
        video.probe(tmp_path / "b.mp4")


def failing() -> Iterator[Planes]:
    yield from frames(5)
    raise ZeroDivisionError("bad muscle")


def disk_in_the_source() -> Iterator[Planes]:
    yield from frames(5)
    raise OSError("landmarks gone")


def wrong_shape() -> Iterator[Planes]:
    yield from frames(3)
    yield from frames(1, size=32)


def wrong_type() -> Iterator[Planes]:
    yield tuple(p.astype(np.float32) for p in next(frames(1)))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (failing, "frame 5 failed: ZeroDivisionError: bad muscle"),
        (disk_in_the_source, "frame 5 failed: OSError: landmarks gone"),
        (wrong_shape, r"frame 3 is uint8 \(32, 32\)"),
        (wrong_type, "frame 0 is float32"),
        (lambda: frames(0), "gave 0 frames, expected 10"),
        (lambda: frames(9), "gave 9 frames, expected 10"),
        (lambda: frames(11), "gave 11 frames, expected 10"),
    ],
)
def test_failing_source_leaves_nothing(
    tmp_path: Path, source: Callable[[], Iterator[Planes]], message: str
) -> None:
    with pytest.raises(WorkError, match=message):
        video.write_clip(tmp_path / "a.mp4", source(), fps=24, size=SIZE, n_frames=10)
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    before = path.read_bytes()
    with pytest.raises(WorkError):
        video.write_clip(path, failing(), fps=24, size=SIZE)
    assert path.read_bytes() == before


def test_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Planes]:
        yield from frames(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video.write_clip(tmp_path / "a.mp4", interrupted(), fps=24, size=SIZE)
    assert list(tmp_path.iterdir()) == []


def test_partial_name_is_found_by_the_glob(tmp_path: Path) -> None:
    seen = []

    def watching() -> Iterator[Planes]:
        yield from frames(60)  # past the encoder's look-ahead, so that the file is open
        seen.extend(tmp_path.glob(video.PARTIAL_GLOB))

    video.write_clip(tmp_path / "a.mp4", watching(), fps=24, size=SIZE)
    assert seen == [video.partial_path(tmp_path / "a.mp4")]
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
def test_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """A file size limit makes the kernel refuse the write, as a full disk does; anywhere in the file."""
    code = f"""
        import resource
        from pathlib import Path
        from equime import video
        from equime.errors import WorkError
        from tests.core.test_video import frames
        path = Path({str(tmp_path)!r}) / "a.mp4"
        def write():
            video.write_clip(path, frames(40, 128), fps=24, size=128)
        write()
        size = path.stat().st_size
        path.unlink()
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        for missing in (1, 700, size // 2, size - 2000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - missing, hard))
            try:
                write()
            except WorkError as error:
                assert "a.mp4: cannot be written" in str(error), error
            else:
                raise AssertionError(missing)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(WorkError, match="cannot be written"):
        write(tmp_path / "out" / "a.mp4")


@pytest.mark.parametrize("size", [63, 0, -2])
def test_odd_size(tmp_path: Path, size: int) -> None:
    with pytest.raises(InputError, match="even number"):
        video.write_clip(tmp_path / "a.mp4", frames(1), fps=24, size=size)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 5000])
def test_fps_out_of_range(tmp_path: Path, fps: float) -> None:
    with pytest.raises(InputError, match="fps"):
        write(tmp_path / "a.mp4", fps=fps)


def test_settings_collect_all_problems() -> None:
    with pytest.raises(InputError, match=r"crf 99.*preset 'quick'.*keyint 0"):
        EncoderSettings(crf=99, preset="quick", keyint=0)  # type: ignore[arg-type]
    assert EncoderSettings().as_params() == {
        "codec": "libx264",
        "crf": 18.0,
        "preset": "veryfast",
        "keyint": 250,
        "lossless": False,
    }


def test_single_frames_equal_the_sequence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", n=40, fps=23.976, settings=EncoderSettings(keyint=7))
    sequence = list(video.read_frames(path))
    assert len(sequence) == 40
    for index in (0, 1, 6, 7, 25, 39):
        np.testing.assert_array_equal(video.read_frame(path, index), sequence[index])
    several = video.read_frames_at(path, [30, 3, 30])
    np.testing.assert_array_equal(np.stack(several), np.stack([sequence[30], sequence[3], sequence[30]]))
    assert video.read_frames_at(path, []) == []
    for index in (40, -1):
        with pytest.raises(InputError, match=f"no frame {index}; it holds 40"):
            video.read_frame(path, index)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(skimage.data.astronaut()[:256, :256])


def test_colours_survive_the_file(tmp_path: Path, photo: np.ndarray) -> None:
    """The pixels a reader gets are those that were rendered, whatever converts them."""
    planes = video.rgb_to_yuv(photo)
    lossless = EncoderSettings(lossless=True)
    video.write_clip(tmp_path / "a.mp4", [planes], fps=24, size=256, settings=lossless)
    got = video.read_frame(tmp_path / "a.mp4", 0).astype(int)
    own = video.yuv_to_rgb(*planes).astype(int)
    assert np.abs(got - own).max() <= 2
    assert np.abs(got - photo).mean() < 2.0  # what 4:2:0 itself costs on this photograph


def test_primaries_come_back_exactly() -> None:
    """Flat colours lose nothing to chroma subsampling: rounding only."""
    rng = np.random.default_rng(0)
    for colour in [
        (0, 0, 0),
        (255, 255, 255),
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        *rng.integers(0, 256, (20, 3)),
    ]:
        flat = np.full((8, 8, 3), colour, np.uint8)
        y, u, v = video.rgb_to_yuv(flat)
        assert np.ptp(y) == np.ptp(u) == np.ptp(v) == 0
        assert np.abs(video.yuv_to_rgb(y, u, v).astype(int) - flat).max() <= 2
    assert [int(p[0, 0]) for p in video.rgb_to_yuv(np.full((2, 2, 3), 255, np.uint8))] == [235, 128, 128]
    assert [int(p[0, 0]) for p in video.rgb_to_yuv(np.zeros((2, 2, 3), np.uint8))] == [16, 128, 128]


def test_agrees_with_ffmpeg(photo: np.ndarray) -> None:
    frame = av.VideoFrame.from_ndarray(photo, "rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU709", interpolation="BILINEAR", dst_color_range="MPEG"
    )
    planes = [np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:, : p.width] for p in frame.planes]
    ours = video.rgb_to_yuv(photo)
    assert np.abs(ours[0].astype(int) - planes[0]).max() <= 1
    for a, b in zip(ours[1:], planes[1:], strict=True):
        difference = np.abs(a.astype(int) - b)
        assert difference.mean() < 1.0
        assert np.median(difference) <= 1


def test_chroma_is_sited_left() -> None:
    """A colour ramp comes back unshifted: a siting error would move it by half a pixel."""
    ramp = np.linspace(0, 255, 64)
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = np.rint(ramp)
    back = video.yuv_to_rgb(*video.rgb_to_yuv(image)).astype(int)
    assert np.abs(back - image)[:, 2:-2].max() <= 3
    assert abs((back - image)[:, 2:-2, 0].mean()) < 0.3  # half a pixel would be 2 levels


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((5, 4, 3), np.uint8), np.zeros((4, 4, 3))]
)
def test_wrong_image(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected uint8"):
        video.rgb_to_yuv(bad)


def test_png_sequence(tmp_path: Path, photo: np.ndarray) -> None:
    folder = tmp_path / "clip"
    assert video.write_png_sequence(folder, [photo, 255 - photo]) == 2
    assert sorted(p.name for p in folder.iterdir()) == ["frame_000000.png", "frame_000001.png"]
    np.testing.assert_array_equal(skimage.io.imread(folder / "frame_000001.png"), 255 - photo)
    assert video.write_png_sequence(folder, [photo]) == 1
    assert [p.name for p in folder.iterdir()] == ["frame_000000.png"]


def test_png_sequence_fails_whole(tmp_path: Path, photo: np.ndarray) -> None:
    for bad in ([], [photo, photo[..., 0]]):
        with pytest.raises(WorkError):
            video.write_png_sequence(tmp_path / "clip", bad)
        assert list(tmp_path.iterdir()) == []
