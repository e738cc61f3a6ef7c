"""Videos as OpenCV reads them, with their times; damage is told and never crashes."""

from __future__ import annotations

import struct
import weakref
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from equime import video
from equime.frames import Frame, FrameError, open_frames
from tests.core.clip_files import as_opencv, check_as_opencv, problem, read, source, start_at, write
from tests.core.test_video import frames as planes


def test_a_clip_of_equime_as_opencv_reads_it(tmp_path: Path) -> None:
    video.write_clip(tmp_path / "a.mp4", planes(12), fps=24, size=64)
    info, got = check_as_opencv(tmp_path / "a.mp4")
    probe = video.probe(tmp_path / "a.mp4")
    for name in ("fps", "width", "height", "codec", "pix_fmt", "size_bytes"):
        assert getattr(info, name) == getattr(probe, name)
    assert (info.n_declared, info.rotation_deg) == (12, 0)
    assert [f.index for f in got] == list(range(12))
    assert [f.time_ms for f in got] == [float(Fraction(i * 1000, 24)) for i in range(12)]


def test_tags_of_bt709_are_followed(tmp_path: Path) -> None:
    """Or the test above would compare two readers that both ignore them."""
    tagged, plain = (
        write(tmp_path / f"{bt709}.mp4", pix_fmt="yuv444p", n=1, bt709=bt709, qp="0")
        for bt709 in (True, False)
    )
    different = np.abs(read(tagged)[1][0].bgr.astype(int) - read(plain)[1][0].bgr)
    assert different.max() > 3


@pytest.mark.parametrize("bt709", [False, True])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("size", [(96, 80), (98, 76), (514, 302), (18, 18)])
def test_h264_of_any_size_tags_and_range(
    tmp_path: Path, size: tuple[int, int], bt709: bool, full: bool
) -> None:
    check_as_opencv(write(tmp_path / "a.mp4", size=size, n=3, bt709=bt709, full=full))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "stored"),
    [
        ("a.mp4", "libx264", "yuv444p", "yuv444p"),
        ("a.mp4", "libx264", "yuv422p", "yuv422p"),
        ("a.mp4", "libx264", "yuv420p10le", "yuv420p10le"),
        ("a.mp4", "libx264", "yuv422p10le", "yuv422p10le"),
        ("a.mp4", "libx264", "gray", "yuv420p"),  # FFmpeg's decoder gives monochrome H.264 grey chroma
        ("a.mkv", "ffv1", "gray", "gray"),
        ("a.mkv", "ffv1", "gray10le", "gray10le"),
        ("a.mkv", "ffv1", "yuv420p10le", "yuv420p10le"),
        ("a.mkv", "ffv1", "bgr0", "bgr0"),
        ("a.avi", "mpeg4", "yuv420p", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p", "yuvj420p"),
        ("a.avi", "rawvideo", "bgr24", "bgr24"),
        ("a.webm", "libvpx-vp9", "yuv420p", "yuv420p"),
        ("a.mpg", "mpeg1video", "yuv420p", "yuv420p"),
        ("a.wmv", "wmv2", "yuv420p", "yuv420p"),
        ("a.mov", "png", "rgb24", "rgb24"),
    ],
)  # fmt: skip
def test_formats(tmp_path: Path, name: str, codec: str, pix_fmt: str, stored: str) -> None:
    info, got = check_as_opencv(write(tmp_path / name, codec, pix_fmt, n=5))
    assert (info.pix_fmt, len(got)) == (stored, 5)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv444p"),
        ("a.mp4", "libx264", "gray"),
        ("a.mkv", "ffv1", "yuv420p"),
        ("a.mkv", "ffv1", "gray"),
        ("a.mkv", "ffv1", "yuv420p10le"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
    ],
)
@pytest.mark.parametrize("size", [(99, 75), (99, 76), (98, 75)])
def test_odd_sizes(tmp_path: Path, name: str, codec: str, pix_fmt: str, size: tuple[int, int]) -> None:
    info, _ = check_as_opencv(write(tmp_path / name, codec, pix_fmt, size, n=3))
    assert (info.width, info.height) == size


@pytest.mark.parametrize(
    ("degrees", "matrix"),
    [(90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1)), (270, (0, -1, 1, 0)), (0, (1, 0, 0, 1))],
)
def test_turned_as_the_file_asks(tmp_path: Path, degrees: int, matrix: tuple[int, ...]) -> None:
    path = write(tmp_path / "a.mp4", n=3)
    upright = read(path)[1]
    data = path.read_bytes()
    at = data.index(b"tkhd") + 44
    a, b, c, d = (v << 16 for v in matrix)
    path.write_bytes(data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + 36 :])
    info, got = check_as_opencv(path)
    assert info.rotation_deg == degrees
    assert (info.width, info.height) == ((80, 96) if degrees % 180 else (96, 80))
    np.testing.assert_array_equal(got[0].bgr, np.rot90(upright[0].bgr, -degrees // 90))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.mov"])
@pytest.mark.parametrize("bf", ["0", "3"])
def test_times_with_b_frames(tmp_path: Path, name: str, bf: str) -> None:
    """AVI holds no presentation times and H.264 is reordered in it; Matroska's clock ticks every ms."""
    path = write(tmp_path / name, n=20, rate=25, bf=bf)
    _, got = check_as_opencv(path)
    assert [f.time_ms for f in got] == [i * 40 for i in range(20)]


@pytest.mark.parametrize(("name", "first"), [("a.mp4", 30), ("a.mkv", -7), ("a.mkv", 30)])
def test_times_start_at_the_first_frame(tmp_path: Path, name: str, first: int) -> None:
    offsets = [0, 2, 3, 7, 18]
    _, got = read(write(tmp_path / name, n=5, rate=25, pts=[first + t for t in offsets], bf="0"))
    assert [f.time_ms for f in got] == [t * 40 for t in offsets]


def test_mp4_does_not_show_what_is_before_zero(tmp_path: Path) -> None:
    """Negative times become an edit list; OpenCV sees the same two frames."""
    _, got = check_as_opencv(write(tmp_path / "a.mp4", n=5, rate=25, pts=[-7, -5, -4, 0, 11], bf="0"))
    assert [f.time_ms for f in got] == [0, 440]


def test_frames_that_an_avi_dropped_keep_their_time(tmp_path: Path) -> None:
    """The writer fills the gaps with empty packets, which the header counts."""
    info, got = read(write(tmp_path / "a.avi", "mpeg4", n=6, rate=25, pts=[0, 1, 2, 5, 6, 9]))
    assert [f.time_ms for f in got] == [t * 40 for t in (0, 1, 2, 5, 6, 9)]
    assert info.n_declared == 10


def test_an_edit_list_cuts_frames_away(tmp_path: Path) -> None:
    """They are declared and there, but not shown: no damage."""
    path = write(tmp_path / "a.mp4", n=20, rate=25, bf="0")
    everything = read(path)[1]
    start_at(path, 5, rate=25)
    info, got = read(path)
    assert (info.n_declared, len(got), got[0].time_ms) == (20, 15, 0.0)
    np.testing.assert_array_equal(got[0].bgr, everything[5].bgr)


def test_one_frame_is_no_error(tmp_path: Path) -> None:
    for name, codec in (("a.mp4", "libx264"), ("a.webm", "libvpx-vp9"), ("a.mpg", "mpeg1video")):
        info, got = read(write(tmp_path / name, codec, n=1))
        assert (len(got), got[0].time_ms, info.fps) == (1, 0.0, 24.0)


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=44100)
        for i in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 44100, i * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_files_that_hold_no_video(tmp_path: Path) -> None:
    assert problem(tmp_path / "none.mp4").code == "no_file"
    (tmp_path / "empty.mp4").touch()
    assert problem(tmp_path / "empty.mp4").code == "empty_file"
    (tmp_path / "text.mp4").write_text("hello " * 500)
    assert problem(tmp_path / "text.mp4").code == "not_a_video"
    sound = problem(write_sound(tmp_path / "sound.mp4"))
    assert sound.code == "no_video_stream"
    assert "only audio" in str(sound)


def test_a_stream_without_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", n=5, rate=25, bf="0")
    start_at(path, 100, rate=25)
    assert problem(path).code == "no_frame"


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {}),
        ("b.mp4", "libx264", {"movflags": "+faststart"}),
        ("a.mkv", "libx264", {}),
        ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
        ("a.avi", "mpeg4", {}),
        ("a.wmv", "wmv2", {}),
    ],
)
def test_cut_off_files(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    """Of every container, with the index in front or at the end."""
    path = write(tmp_path / name, codec, n=48, **options)
    data = path.read_bytes()
    for keep in (0.4, 0.7):
        path.write_bytes(data[: int(len(data) * keep)])
        assert problem(path).code == "truncated", keep


@pytest.mark.parametrize("missing", [1, 100, 5000])
def test_a_cut_off_clip_of_equime(tmp_path: Path, missing: int) -> None:
    """A single byte is enough."""
    path = tmp_path / "a.mp4"
    video.write_clip(path, planes(24), fps=24, size=64)
    path.write_bytes(path.read_bytes()[:-missing])
    assert problem(path).code == "truncated"


def test_where_it_is_cut_off_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", n=48)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with open_frames(source(path)) as stream, pytest.raises(FrameError, match=r"of the 2\.000 s") as caught:
        list(stream.frames)
    assert f"after frame {len(as_opencv(path)) - 1} (from 0)" in str(caught.value)


def test_damage_inside_never_crashes(tmp_path: Path) -> None:
    """Random bytes over the file, header and all: frames or a FrameError, and mostly the latter."""
    rng = np.random.default_rng(5)
    clean = write(tmp_path / "clean.mp4", n=30, movflags="+faststart").read_bytes()
    told = []
    for i in range(60):
        data = bytearray(clean)
        for at in rng.integers(0, len(data), 40):
            data[at] = rng.integers(256)
        path = tmp_path / f"{i}.mp4"
        path.write_bytes(bytes(data))
        try:
            read(path)
        except FrameError as error:
            told.append(error.code)
    assert len(told) > 50
    assert set(told) <= {
        "truncated",
        "not_a_video",
        "no_video_stream",
        "no_frame",
        "mixed_sizes",
        "fps_unknown",
    }
    assert told.count("truncated") > len(told) // 2


def test_a_stream_that_changes_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    big, small = (write(tmp_path / f"{w}.avi", "mjpeg", "yuvj420p", (w, 80), n=3) for w in (96, 64))
    with av.open(str(path), "w") as out, av.open(str(big)) as a, av.open(str(small)) as b:
        stream = out.add_stream_from_template(a.streams.video[0])
        packets = [p for c in (a, b) for p in c.demux(video=0) if p.size]
        for i, packet in enumerate(packets):
            packet.pts = packet.dts = i
            packet.stream = stream
            out.mux(packet)
    error = problem(path)
    assert error.code == "mixed_sizes"
    assert "frame 3 is 64 x 80 px, the first is 96 x 80 px" in str(error)


def test_tags_in_another_encoding(tmp_path: Path) -> None:
    """Handler names and titles of older recorders are Latin-1 or GBK."""
    path = write(tmp_path / "a.mp4", n=3)
    path.write_bytes(path.read_bytes().replace(b"VideoHandler", b"Vid\xe9oHandler"))
    assert len(read(path)[1]) == 3


def test_only_the_current_frame_is_held(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", n=30)
    gone: list[weakref.ref[Frame]] = []
    with open_frames(source(path)) as stream:
        for frame in stream.frames:
            assert [ref for ref in gone[:-1] if ref()] == []
            gone.append(weakref.ref(frame))
    assert len(gone) == 30
