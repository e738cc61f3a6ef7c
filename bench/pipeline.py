"""Whole pipeline against libx264 alone; two workers against one; memory. Ratios within one run.

    python bench/pipeline.py [--clips 20] [--workers-clips 40]

For every clip in turn: the worker's whole job (render, encode, sync, probe, digest, captions, metadata) and
then libx264 alone on the same frames, already in memory, at the same settings. The machine may be shared, so
what counts is the ratio of the two, clip by clip.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np

import equime
from equime import drawn_face
from equime.dataset import Dataset
from equime.generation_pipeline import faces, render
from equime.generation_pipeline.renderers import Yuv
from equime.generation_pipeline.renderers.mesh import PreparedMesh
from equime.generation_pipeline.settings import make_settings
from equime.video import EncoderSettings

Frames = list[Yuv]


def x264_seconds(frames: Frames, fps: float, size: int, settings: EncoderSettings) -> float:
    """Time of libx264 alone: frames in, packets out, nothing written."""
    pictures = []
    for planes in frames:
        picture = av.VideoFrame(size, size, "yuv420p")
        for plane, source in zip(picture.planes, planes, strict=True):
            target = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            target[:, : source.shape[1]] = source
        pictures.append(picture)
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width = codec.height = size
    codec.pix_fmt, codec.framerate, codec.time_base = "yuv420p", Fraction(fps), 1 / Fraction(fps)
    codec.options = {
        "preset": settings.preset,
        "crf": str(settings.crf),
        "x264-params": f"keyint={settings.keyint}:scenecut=0:mbtree=0:threads=1:lookahead-threads=1",
    }
    codec.thread_count = 1
    start = time.perf_counter()
    for number, picture in enumerate(pictures):
        picture.pts = number
        codec.encode(picture)
    codec.encode(None)
    return time.perf_counter() - start


class Stages:
    """Seconds per stage, by wrapping the functions that do them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def wrapped(self) -> Iterator[None]:
        saved = [(owner, name, getattr(owner, name)) for owner, name, _ in self._targets()]
        for owner, name, label in self._targets():
            setattr(owner, name, self._timed(getattr(owner, name), label))
        frames = PreparedMesh.frames

        def timed_frames(prepared: PreparedMesh, spec: Any) -> Iterator[Yuv]:
            iterator = frames(prepared, spec)
            while True:
                start = time.perf_counter()
                try:
                    frame = next(iterator)
                except StopIteration:
                    return
                finally:
                    self.seconds["render"] += time.perf_counter() - start
                yield frame

        PreparedMesh.frames = timed_frames  # type: ignore[method-assign]
        try:
            yield
        finally:
            PreparedMesh.frames = frames  # type: ignore[method-assign]
            for owner, name, original in saved:
                setattr(owner, name, original)

    def _targets(self) -> list[tuple[Any, str, str]]:
        return [
            (render, "write_clip", "render + encode + write"),
            (render, "load_face", "read photograph and crop"),
            (render, "probe", "probe"),
            (render, "file_sha256", "digest"),
            (render, "write_captions", "captions"),
            (render, "metadata_json", "metadata"),
            (render, "write_atomic", "write metadata (sync)"),
        ]

    def _timed(self, function: Any, label: str) -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[label] += time.perf_counter() - start

        return timed


def make_dataset(folder: Path, n_clips: int) -> tuple[Path, Path]:
    """Faces looked at and clips planned, one rendered."""
    table = drawn_face.save_default_faces(folder / "source", 4)
    out = folder / "plan"
    equime.generate(table, out, clips=n_clips, seed=1, workers=0, limit=1)
    return table, out


def against_x264(folder: Path, n_clips: int) -> None:
    """Per clip: the worker's whole job and libx264 alone, in turn."""
    table, out = make_dataset(folder, n_clips)
    dataset = Dataset.open(out)
    settings = make_settings(table, clips=n_clips, seed=1)
    work = render.make_render(render.RenderConfig(str(out), str(folder / "work"), settings))
    stages, wholes, alones, sizes = Stages(), [], [], []
    for number, spec in enumerate(dataset.specs):
        face = dataset.faces[spec.face_id]
        job = render.Job(
            msgspec.json.encode(spec),
            msgspec.json.encode(face),
            f"{spec.emotion}/{number:06d}.mp4",
            render.clip_id_of(spec.spec_id, settings),
        )
        (out / spec.emotion / "metadata").mkdir(parents=True, exist_ok=True)
        source = faces.load_face(face, table, out, spec.size_px)
        frames = [
            Yuv(*(plane.copy() for plane in frame)) for frame in work.renderer.prepare(source).frames(spec)
        ]
        if number == 0:
            work(job)  # compiles and warms up
            (out / job.file).unlink()
        with stages.wrapped():
            start = time.perf_counter()
            done = work(job)
            wholes.append(time.perf_counter() - start)
        alones.append(x264_seconds(frames, spec.fps, spec.size_px, settings.encoder))
        sizes.append(done.clip.size_bytes)
    report(stages, np.array(wholes), np.array(alones), np.array(sizes))


def report(stages: Stages, whole: np.ndarray, alone: np.ndarray, sizes: np.ndarray) -> None:
    n = len(whole)
    print(f"{n} clips of 144 frames, 512x512, 24 fps, crf 18, preset veryfast; landmarks cached")
    print(f"{'stage':<28}{'ms/clip':>9}{'share':>8}")
    encode = stages.seconds["render + encode + write"] - stages.seconds["render"]
    rows = {"render": stages.seconds["render"], "encode and write": encode}
    rows |= {k: v for k, v in stages.seconds.items() if k not in ("render", "render + encode + write")}
    rows["everything else"] = whole.sum() - sum(rows.values())
    for name, seconds in rows.items():
        print(f"{name:<28}{1000 * seconds / n:9.1f}{seconds / whole.sum():8.1%}")
    ratio = whole / alone
    print(f"whole job per clip           {1000 * np.median(whole):7.0f} ms (median)")
    print(f"libx264 alone, same frames   {1000 * np.median(alone):7.0f} ms (median)")
    low, high = np.percentile(ratio, [10, 90])
    print(
        f"ratio whole / libx264 alone  {np.median(ratio):7.2f} (median; 10th to 90th percentile {low:.2f} to {high:.2f})"
    )
    print(f"file                         {sizes.mean() / 1024:7.0f} KiB (mean)")


class Clock:
    """Progress that notes when clips are done, and what memory the workers use."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.stage = ""

    def start(self, stage: str, n_total: int, n_done: int) -> None:
        self.stage = stage

    def advance(self, n: int = 1) -> None:
        if self.stage == "clips":
            self.times += [time.perf_counter()] * n

    def note(self, text: str) -> None:
        pass


def worker_memory_mb() -> list[float]:
    """Resident memory of this process's children, MB (Linux)."""
    out = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == threading.main_thread().native_id:
                status = (stat.parent / "status").read_text()
                rss = next(line for line in status.splitlines() if line.startswith("VmRSS"))
                out.append(int(rss.split()[1]) / 1024)
        except (OSError, StopIteration):
            continue
    return out


def scaling(folder: Path, n_clips: int) -> None:
    """Clips per second of one and two workers after the first few, and the memory of the workers."""
    table = folder / "source" / "faces.csv"
    rates: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(2):
        for workers in (1, 2):
            clock, samples, stop = Clock(), [], threading.Event()

            def watch(clock: Clock = clock, samples: list = samples, stop: threading.Event = stop) -> None:
                while not stop.wait(0.5):
                    samples.append((len(clock.times), worker_memory_mb()))

            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            equime.generate(
                table, folder / f"w{workers}_{repeat}", clips=n_clips, seed=2, workers=workers, progress=clock
            )
            stop.set()
            watcher.join()
            skip = 4 * workers
            rates[workers].append((len(clock.times) - 1 - skip) / (clock.times[-1] - clock.times[skip]))
            early = [max(m) for done, m in samples if m and n_clips * 0.2 <= done < n_clips * 0.4]
            late = [max(m) for done, m in samples if m and done >= n_clips * 0.7]
            if early and late:
                print(
                    f"{workers} worker(s): {rates[workers][-1]:.2f} clips/s; largest worker {max(late):.0f} MB, "
                    f"growth {np.median(late) - np.median(early):+.0f} MB from a third to the end of {n_clips} clips"
                )
    ratio = np.array(rates[2]) / np.array(rates[1])
    print(f"2 workers / 1 worker         {ratio.mean():7.2f} ({', '.join(f'{r:.2f}' for r in ratio)})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--workers-clips", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        against_x264(Path(name), options.clips)
        if options.workers_clips:
            scaling(Path(name), options.workers_clips)


if __name__ == "__main__":
    main()
