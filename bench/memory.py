"""Memory of `equime evaluate` on one long file: it must not grow with the number of frames.

    python bench/memory.py [--frames 200] [--minutes M] [--size 1920x1080] [--metrics NAME ...]

Makes a 25 fps H.264 file of a drawn face that sways, with sensor noise (eight pictures in turn, made in a
process of its own), measures it with every annotator of the default set that can run here, or with those
named, and prints the peak of resident memory when 10 %, 50 % and 100 % of the frames were fed, and after the
rows were made. The first hundred frames load models and fill the allocator's pools; what may not happen is
growth that goes on. ``--minutes 10`` is the real thing, and takes about an hour with all annotators.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from equime import registry
from equime.annotation.annotators import Annotator, ClipContext, Metric, Row
from equime.annotation.choice import requirement
from equime.annotation.measure import measure_clip
from equime.annotation.suites import EVALUATION
from equime.clip_sources import find_clips
from equime.drawn_face import save_default_faces
from equime.errors import EquimeError
from equime.frames import Frame

FPS = 25
N_PICTURES = 8
MARKS = (10, 50, 100)


def pictures(width: int, height: int) -> Iterator[np.ndarray]:
    """RGB pictures of a face in the middle of a grey room, each moved by a fraction of a pixel."""
    with tempfile.TemporaryDirectory() as folder:
        save_default_faces(Path(folder), 1, size_px=320)
        face = cv2.imread(str(next(Path(folder).glob("*.png"))))[..., ::-1]
    face = cv2.resize(face, (min(width, height),) * 2, interpolation=cv2.INTER_CUBIC)
    room = np.full((height, width, 3), 96, np.uint8)
    top, left = (height - face.shape[0]) // 2, (width - face.shape[1]) // 2
    room[top : top + face.shape[0], left : left + face.shape[1]] = face
    rng = np.random.default_rng(0)
    for i in range(N_PICTURES):
        shift = 0.8 * np.sin(2 * np.pi * i / N_PICTURES)
        moved = cv2.warpAffine(room, np.float64([[1, 0, shift], [0, 1, shift / 2]]), (width, height))
        noise = rng.normal(0, 1.5, (height, width, 1))
        yield np.clip(moved + noise, 0, 255).astype(np.uint8)


def write(path: str, width: int, height: int, n_frames: int) -> None:
    """The file, as fast as x264 can."""
    options = {"preset": "ultrafast", "crf": "28"}
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        turn = [
            av.VideoFrame.from_ndarray(p, "rgb24").reformat(format="yuv420p") for p in pictures(width, height)
        ]
        for i, frame in enumerate(islice(cycle(turn), n_frames)):
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


class Watch:
    """An annotator that writes down the peak of memory as frames go by."""

    name, version = "watch", "1"
    metrics: tuple[Metric, ...] = ()
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False

    def __init__(self, n_frames: int) -> None:
        self.at = {max(1, n_frames * share // 100): share for share in MARKS}
        self.peaks: dict[int, float] = {}

    def start(self, clip: ClipContext) -> Watch:
        return self

    def feed(self, frame: Frame) -> None:
        share = self.at.get(frame.index + 1)
        if share is not None:
            self.peaks[share] = peak_mib()

    def finish(self) -> Row:
        return Row({})


def chosen(names: list[str] | None) -> list[Annotator]:
    """The annotators; those that cannot run are told."""
    found = []
    for name in names or [name for name in registry.ANNOTATORS if name not in EVALUATION.on_request]:
        try:
            annotator: Annotator = registry.lookup("annotator", name)()
            lacks = requirement(annotator)
        except EquimeError as error:
            lacks = (str(error), "")
        if lacks is None:
            found.append(annotator)
        else:
            print(f"not run: {name}: {lacks[0]}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--minutes", type=float, help=f"instead of --frames: length at {FPS} fps")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--metrics", nargs="*", help="names of annotators; without it the default set")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    n_frames = round(args.minutes * 60 * FPS) if args.minutes else args.frames
    annotators = chosen(args.metrics)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        start = time.perf_counter()
        writer = multiprocessing.get_context("spawn").Process(
            target=write, args=(str(path), width, height, n_frames)
        )
        writer.start()
        writer.join()
        if writer.exitcode:
            raise SystemExit(f"writing the file failed with exit code {writer.exitcode}")
        print(
            f"{n_frames} frames of {width} x {height} px, {n_frames / FPS / 60:.2f} min, "
            f"{path.stat().st_size / 1e6:.0f} MB, made in {time.perf_counter() - start:.0f} s"
        )
        print(f"annotators: {', '.join(a.name for a in annotators) or 'none'}")
        watch = Watch(n_frames)
        before = peak_mib()
        start = time.perf_counter()
        (source,), _ = find_clips(path)
        measured = measure_clip(source, [*annotators, watch])
        seconds = time.perf_counter() - start
    print(f"  before             {before:8.0f} MiB")
    for share, peak in watch.peaks.items():
        print(f"  {share:3d} % of frames     {peak:8.0f} MiB")
    print(f"  after the rows     {peak_mib():8.0f} MiB")
    for share in MARKS[:2]:
        print(f"growth from {share} % to 100 %: {watch.peaks[100] - watch.peaks[share]:.1f} MiB")
    print(f"{seconds:.1f} s, {seconds / n_frames * 1000:.1f} ms per frame")
    for problem in measured.problems:
        print(f"problem: {problem.annotator}: {problem.message}")


if __name__ == "__main__":
    main()
