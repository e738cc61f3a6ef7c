"""Sequence quality, against closed forms on made frames and on what x264 makes of still and moving pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import fourier_shift, gaussian_filter
from skimage import data

from equime.annotation.annotators import ClipContext, Row
from equime.annotation.measure import measure_clip
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.errors import WorkError
from equime.evaluation_framework.sequence import METRICS, SequenceQuality, compare
from equime.frames import Frame, StreamInfo
from equime.video import EncoderSettings, Planes, read_planes, rgb_to_yuv, write_clip

U8 = NDArray[np.uint8]
SIZE = 128


def measured(frames: Iterable[NDArray[np.generic]], fps: float = 25.0) -> Row:
    """The row of grey pictures (H, W)."""
    source = ClipSource(clip_id="c", file="made.mp4", root=".", kind="video", input_digest="0")
    info = StreamInfo(fps=fps, width=0, height=0, codec="", pix_fmt="", n_declared=None, size_bytes=0)
    session = SequenceQuality().start(ClipContext(source, info))
    for index, grey in enumerate(frames):
        image = np.clip(np.rint(np.asarray(grey, np.float64)), 0, 255).astype(np.uint8)
        session.feed(Frame(index, 1000 * index / fps, cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)))
    return session.finish()


def texture(size: int = SIZE, seed: int = 0) -> NDArray[np.float64]:
    """A smooth random picture that goes on at the opposite edge."""
    noise = np.random.default_rng(seed).normal(0, 1, (size, size))
    smooth = gaussian_filter(noise, 3, mode="wrap")
    return np.asarray(128 + 30 * smooth / smooth.std())


def shifted(picture: NDArray[np.float64], right: float, down: float = 0) -> NDArray[np.float64]:
    """Exactly, by its Fourier transform."""
    return np.asarray(np.fft.ifft2(fourier_shift(np.fft.fft2(picture), (down, right))).real)


def test_every_column_has_its_cell_and_lies_within_its_bounds(mesh_clips: Dataset) -> None:
    sources, _ = find_clips(mesh_clips.root)
    for source in sources[:2]:
        row = measure_clip(source, [SequenceQuality()]).rows["sequence"]
        assert list(row.values) == [m.name for m in METRICS]
        for metric in METRICS:
            value = row.values[metric.name]
            assert value is not None
            assert metric.low is None or metric.low <= float(value)
            assert metric.high is None or float(value) <= metric.high
        assert set(row.frames) == {m.name for m in METRICS if m.per_frame}
        assert {series.shape for series in row.frames.values()} == {(48,)}
        for name, series in row.frames.items():
            assert row.values[name] == pytest.approx(np.nanmean(series))


def test_a_still_clip_moves_nothing_and_is_frozen() -> None:
    values = measured([texture()] * 30).values
    nothing = ("motion_energy", "motion_above_noise", "flicker")
    assert [values[name] for name in nothing] == [0, 0, 0]
    assert (values["jerk"], values["is_frozen"], values["frozen_share"]) == (None, True, 1)
    assert (values["n_duplicate_frames"], values["duplicate_share"]) == (29, 1)
    assert values["longest_frozen_ms"] == pytest.approx(29 * 40)


def test_steady_drift_of_light_is_motion_energy_but_neither_flicker_nor_movement() -> None:
    values = measured(60 + i + np.zeros((SIZE, SIZE)) for i in range(6)).values
    assert values["motion_energy"] == 1
    assert (values["flicker"], values["motion_above_noise"], values["jerk"]) == (0, 0, None)


@pytest.mark.parametrize("amplitude", [1, 5])
def test_flicker_is_the_amplitude_of_alternating_light(amplitude: int) -> None:
    values = measured(texture() * 0.5 + 64 + amplitude * (-1) ** i for i in range(20)).values
    assert values["flicker"] == pytest.approx(amplitude, rel=0.01)
    assert values["motion_energy"] == pytest.approx(2 * amplitude, rel=0.01)
    assert values["motion_above_noise"] == pytest.approx(0, abs=0.1)


def test_flicker_of_a_sine_is_what_its_turning_points_give() -> None:
    amplitude, period = 40.0, 8
    light = amplitude * np.sin(2 * np.pi * (np.arange(1 + 10 * period) + 0.25) / period)
    steps = np.diff(light)
    turns = steps[1:] * steps[:-1] < 0
    expected = float(np.where(turns, np.minimum(np.abs(steps[1:]), np.abs(steps[:-1])), 0).mean()) / 2
    assert turns.mean() == pytest.approx(2 / period, abs=0.02)
    values = measured(100 + step + np.zeros((SIZE, SIZE)) for step in light).values
    assert values["flicker"] == pytest.approx(expected, abs=0.3)


def test_large_flicker_is_no_frozen_clip() -> None:
    assert measured(texture() * 0.5 + 64 + 10 * (-1) ** i for i in range(40)).values["is_frozen"] is False


@pytest.mark.parametrize("speed", [0.2, 0.5])
def test_a_steady_shift_has_no_jerk_and_its_energy_is_gradient_times_speed(speed: float) -> None:
    picture = texture()
    frames = [shifted(picture, speed * i) for i in range(12)]
    values = measured(frames).values
    slope = np.gradient(picture, axis=1)
    assert values["motion_energy"] == pytest.approx(speed * np.abs(slope).mean(), rel=0.1)
    assert values["motion_above_noise"] == pytest.approx(speed * np.sqrt((slope**2).mean()), rel=0.1)
    assert values["jerk"] < 0.25
    assert values["flicker"] < 0.2


@pytest.mark.parametrize("period", [2, 4, 12])
def test_jerk_of_shaking_is_that_of_a_sine(period: int) -> None:
    phase = 2 * np.pi * (np.arange(6 * period + 1) + 0.5) / period
    frames = [shifted(texture(), 0.4 * np.sin(p)) for p in phase]
    expected = (2 * np.sin(np.pi / period)) ** 2  # gain of the second difference at this frequency
    assert measured(frames).values["jerk"] == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize(("kind", "expected"), [("positions", np.sqrt(10)), ("velocities", np.sqrt(6))])
def test_jerk_of_random_movement_is_that_of_white_noise(kind: str, expected: float) -> None:
    steps = np.random.default_rng(3).normal(0, 0.2, 250)
    way = steps if kind == "positions" else np.cumsum(steps)
    picture = texture(64)
    assert measured(shifted(picture, x) for x in way).values["jerk"] == pytest.approx(expected, rel=0.12)


def test_displacements_are_found_as_they_were_made() -> None:
    picture = texture(256)
    moved = shifted(picture, 0.4, -0.25)
    change = compare(picture.astype(np.float32), moved.astype(np.float32))
    np.testing.assert_allclose(change.velocity, np.tile([0.4, -0.25], (16, 1)), atol=0.04)


def test_what_noise_explains_by_chance_is_taken_off() -> None:
    random = np.random.default_rng(0)
    values = measured(texture() + random.normal(0, 3, (SIZE, SIZE)) for _ in range(30)).values
    assert values["motion_energy"] == pytest.approx(2 * 3 / np.sqrt(np.pi), rel=0.03)
    assert values["motion_above_noise"] < 0.25
    assert values["is_frozen"] is True
    assert values["n_duplicate_frames"] == values["n_near_duplicate_frames"] == 0


@given(st.integers(2, 6), st.integers(2, 5))
@settings(max_examples=8, deadline=None)
def test_frames_repeated_every_n_are_counted(every: int, n_times: int) -> None:
    frames = []
    for i in range(every * n_times):
        frames.append(shifted(texture(64), 0.7 * i))
        if i % every == every - 1:
            frames.append(frames[-1])
    values = measured(frames).values
    assert values["n_duplicate_frames"] == n_times
    assert values["duplicate_share"] == pytest.approx(n_times / (len(frames) - 1))
    assert values["n_near_duplicate_frames"] == n_times


def test_repeats_with_noise_are_near_duplicates() -> None:
    random = np.random.default_rng(1)
    frames = []
    for i in range(20):
        picture = shifted(texture(), 0.7 * i)
        frames.append(picture)
        if i % 4 == 2:
            frames.append(picture + random.normal(0, 0.5, picture.shape))
    values = measured(frames).values
    assert (values["n_duplicate_frames"], values["n_near_duplicate_frames"]) == (0, 5)


def test_a_freeze_within_a_clip_is_timed() -> None:
    def at(i: int) -> NDArray[np.float64]:
        return np.asarray(shifted(texture(), 0.7 * i))

    moving, held = [at(i) for i in range(20)], [at(19)] * 30
    values = measured([*moving, *held, *(at(i) for i in range(20, 40))]).values
    assert values["longest_frozen_ms"] == pytest.approx(30 * 40)
    assert values["frozen_share"] == pytest.approx(30 / 69)
    assert values["is_frozen"] is False


@pytest.mark.parametrize(
    ("n", "known"),
    [
        (1, {"blockiness", "noise_sigma"}),
        (2, {"motion_energy", "is_frozen"}),
        (3, {"flicker"}),
        (4, {"jerk"}),
    ],
)
def test_short_clips_have_what_their_frames_allow(n: int, known: set[str]) -> None:
    later = {2: "flicker", 3: "jerk", 1: "is_frozen"}
    row = measured(shifted(texture(), 0.5 * i) for i in range(n))
    assert all(row.values[name] is not None for name in known)
    if n in later:
        assert row.values[later[n]] is None
    assert {series.size for series in row.frames.values()} == {n}


def test_frames_too_small_are_named() -> None:
    with pytest.raises(WorkError, match=r"made\.mp4: 20 x 40 px.*leave it out"):
        measured([np.zeros((40, 20))])


def coded(path: Path, planes: Iterable[Planes], crf: float, keyint: int = 250, fps: float = 24) -> Row:
    frames = list(planes)
    write_clip(
        path, frames, fps=fps, size=frames[0][0].shape[0], settings=EncoderSettings(crf=crf, keyint=keyint)
    )
    sources, _ = find_clips(path)
    return measure_clip(sources[0], [SequenceQuality()]).rows["sequence"]


def with_noise(planes: Planes, sigma: float, n: int) -> list[Planes]:
    random = np.random.default_rng(0)
    y, u, v = planes
    noisy = (y + random.normal(0, sigma, y.shape) for _ in range(n))
    return [(np.clip(np.rint(frame), 0, 255).astype(np.uint8), u, v) for frame in noisy]


def photograph(name: str, size: int) -> Planes:
    """A picture that no threshold was measured on."""
    image = getattr(data, name)()
    side = min(image.shape[:2])
    square = cv2.resize(np.ascontiguousarray(image[:side, :side]), (size, size), interpolation=cv2.INTER_AREA)
    return rgb_to_yuv(square)


STILLS: dict[str, Callable[[Dataset], Planes]] = {
    "drawn face": lambda clips: next(iter(read_planes(clips[1].path))),
    "rocket": lambda _: photograph("rocket", 256),
    "immunohistochemistry": lambda _: photograph("immunohistochemistry", 384),
}


@pytest.mark.parametrize("still", STILLS)
@pytest.mark.parametrize(
    ("crf", "keyint", "sigma"), [(18, 250, 0), (23, 12, 0), (30, 12, 0), (18, 250, 2), (23, 12, 1)]
)
def test_a_coded_still_is_frozen(
    mesh_clips: Dataset, tmp_path: Path, still: str, crf: int, keyint: int, sigma: float
) -> None:
    planes = STILLS[still](mesh_clips)
    row = coded(tmp_path / "still.mp4", with_noise(planes, sigma, 26), crf, keyint)
    assert row.values["n_duplicate_frames"] < 25  # what equality of frames would have to go by
    assert row.values["is_frozen"] is True
    assert row.values["frozen_share"] == 1


def test_no_rendered_clip_is_frozen_and_neutral_ones_least_of_all(mesh_clips: Dataset) -> None:
    sources, _ = find_clips(mesh_clips.root)
    for source in sources:
        values = measure_clip(source, [SequenceQuality()]).rows["sequence"].values
        assert values["is_frozen"] is False, source.file
        assert values["frozen_share"] == 0, source.file
    assert any(source.emotion == "neutral" for source in sources)


@pytest.mark.parametrize("crf", [18, 26])
def test_a_movement_of_one_and_a_half_pixels_is_no_frozen_clip(
    mesh_clips: Dataset, tmp_path: Path, crf: int
) -> None:
    y, u, v = next(iter(read_planes(mesh_clips[1].path)))
    rows, columns = np.mgrid[:256, :256].astype(np.float32)
    corner = np.exp(-((columns - 100) ** 2 + (rows - 180) ** 2) / (2 * 16**2))

    def raised(i: int) -> Planes:
        lift = 1.5 * np.sin(np.pi * i / 12) * corner
        bent = cv2.remap(y, columns, (rows + lift).astype(np.float32), cv2.INTER_CUBIC)
        return np.asarray(bent, np.uint8), u, v

    row = coded(tmp_path / "raised.mp4", (raised(i) for i in range(13)), crf)
    assert row.values["is_frozen"] is False
