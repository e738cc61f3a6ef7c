"""What every registered annotator promises, asked of each of them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equime import registry, weights
from equime.annotation import measure
from equime.annotation.annotators import Annotator
from equime.annotation.choice import requirement
from equime.annotation.measure import Measured, measure_clip
from equime.annotation.suites import EVALUATION
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.frames import Frame, FrameStream, open_frames
from equime.video import write_clip
from tests import runs
from tests.evaluation_framework.brisque_weights import save_brisque

NAMES = list(registry.ANNOTATORS | registry.ATTRIBUTES)
TYPES: dict[str, tuple[type, ...]] = {"real": (float, int), "whole": (int,), "text": (str,), "flag": (bool,)}
QUICK = [name for name in NAMES if name not in EVALUATION.on_request]


def annotator(name: str) -> Annotator:
    found: Annotator = registry.lookup("annotator", name)()
    return found


def runnable(name: str) -> Annotator:
    found = annotator(name)
    lacks = requirement(found)
    if lacks is not None:
        pytest.skip(f"{name}: {lacks[0]}; its own tests make the weights")
    return found


@pytest.fixture(autouse=True, scope="module")
def _weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """BRISQUE's small weights are made, so that it takes part; networks take too long."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIME_WEIGHTS", str(folder))
        save_brisque(weights.path("brisque"))
        yield


@pytest.fixture(scope="module")
def clips(mesh_clips: Dataset) -> list[ClipSource]:
    return find_clips(mesh_clips.root)[0]


def planes(rgb_level: np.ndarray, size: int) -> Any:
    half = size // 2
    return rgb_level, np.full((half, half), 128, np.uint8), np.full((half, half), 128, np.uint8)


@pytest.fixture(scope="module")
def odd_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClipSource]:
    """Clips at the edge: one frame, all frames equal, nothing but noise, black."""
    folder = tmp_path_factory.mktemp("odd")
    rng = np.random.Generator(np.random.PCG64(1))
    size = 128
    still = rng.integers(30, 200, (size, size), dtype=np.uint8)
    kinds = {
        "one_frame": [still],
        "frozen": [still] * 12,
        "noise": [rng.integers(16, 235, (size, size), dtype=np.uint8) for _ in range(12)],
        "black": [np.full((size, size), 16, np.uint8)] * 12,
    }
    for name, levels in kinds.items():
        write_clip(folder / f"{name}.mp4", (planes(level, size) for level in levels), fps=24, size=size)
    return {Path(source.file).stem: source for source in find_clips(folder)[0]}


def check(name: str, measured: Measured) -> dict[str, Any]:
    """The row keeps what the metrics promise; returns it."""
    assert [p for p in measured.problems if p.annotator in (name, "")] == []
    row = measured.rows[name]
    known = {metric.name: metric for metric in annotator(name).metrics}
    assert set(row.values) == set(known)
    for metric in known.values():
        value = row.values[metric.name]
        if value is None:
            continue
        plain = value.item() if isinstance(value, np.generic) else value
        assert isinstance(plain, TYPES[metric.type]), metric.name
        assert metric.type == "flag" or not isinstance(plain, bool), metric.name
        if metric.type in ("real", "whole"):
            assert np.isfinite(plain), metric.name
            slack = 1e-6
            assert metric.low is None or plain >= metric.low - slack, metric.name
            assert metric.high is None or plain <= metric.high + slack, metric.name
    for column, values in row.frames.items():
        assert known[column].per_frame
        assert np.asarray(values).shape == (len(measured.time_ms),)
    for code, message in row.notes:
        assert re.fullmatch(r"[a-z_]+", code)
        assert message
    return row.values


def test_columns_are_unique_over_all_annotators() -> None:
    counts = Counter(metric.name for name in NAMES for metric in annotator(name).metrics)
    assert [name for name, n in counts.items() if n > 1] == []
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in counts)


@pytest.mark.parametrize("name", NAMES)
def test_descriptions(name: str) -> None:
    found = annotator(name)
    assert found.name == name
    assert found.version
    assert found.metrics
    for metric in found.metrics:
        assert metric.meaning.endswith("."), metric.name
        assert metric.reference, metric.name
        assert metric.low is None or metric.high is None or metric.low < metric.high, metric.name
        assert metric.type in TYPES
        assert metric.direction == "none" or metric.type in ("real", "whole", "flag"), metric.name
        assert not metric.per_frame or metric.type in ("real", "whole", "flag"), metric.name


def test_importing_all_of_them_loads_no_torch() -> None:
    code = (
        "from equime import registry; [registry.lookup('annotator', n)() for n in registry.ANNOTATORS]; "
        "import sys; print('torch' in sys.modules, 'mediapipe' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=runs.environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"], done.stderr


@pytest.mark.parametrize("name", QUICK)
def test_rows_of_rendered_clips(name: str, clips: list[ClipSource]) -> None:
    found = runnable(name)
    for source in clips[:3]:
        check(name, measure_clip(source, [found]))


@pytest.mark.parametrize("kind", ["one_frame", "frozen", "noise", "black"])
@pytest.mark.parametrize("name", QUICK)
def test_rows_of_odd_clips(name: str, kind: str, odd_clips: dict[str, ClipSource]) -> None:
    check(name, measure_clip(odd_clips[kind], [runnable(name)]))


def test_all_together_give_what_each_gives_alone(clips: list[ClipSource]) -> None:
    """Nothing leaks from one session into another."""
    able = [annotator(name) for name in QUICK if requirement(annotator(name)) is None]
    assert len(able) >= 8
    together = measure_clip(clips[0], able)
    for found in able:
        alone = measure_clip(clips[0], [found])
        assert alone.rows[found.name].values == together.rows[found.name].values, found.name


@pytest.mark.parametrize("name", QUICK)
def test_sessions_keep_no_frame_they_do_not_own(
    name: str, clips: list[ClipSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame's memory may be used again after `feed`."""
    found = runnable(name)
    expected = measure_clip(clips[1], [found]).rows[name].values

    def spoiled(source: ClipSource) -> Any:
        return Spoiling(open_frames(source))

    monkeypatch.setattr(measure, "open_frames", spoiled)
    assert measure_clip(clips[1], [found]).rows[name].values == expected


class Spoiling:
    """`open_frames` that overwrites each frame when the next is asked for."""

    def __init__(self, opened: Any) -> None:
        self.opened = opened

    def __enter__(self) -> FrameStream:
        stream = self.opened.__enter__()
        return FrameStream(stream.info, self.spoil(stream.frames))

    def __exit__(self, *what: Any) -> Any:
        return self.opened.__exit__(*what)

    def spoil(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            own = Frame(frame.index, frame.time_ms, frame.bgr.copy())
            yield own
            own.grey[:] = 77
            own.bgr[:] = 77
