"""Time of libx264 alone, per stage: the yardstick of the whole pipeline.

    python bench/encode.py [--frames 144] [--size 512] [--repeat 3]

Frames: a smooth texture with sensor noise that drifts by a fraction of a pixel. Every stage does all the
stages before it; a row is the difference to the row above, as the fastest of the repeats.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from equime import video
from equime.video import EncoderSettings, Planes


def texture(n_frames: int, size: int) -> list[Planes]:
    """Frames of a moving texture, sigma 1.5 grey levels of noise."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    frames = []
    for i in range(n_frames):
        shift = 0.3 * np.sin(2 * np.pi * i / 48)
        luma = 120 + 40 * np.sin((x + shift) / 9) * np.cos(y / 13) + 20 * np.sin((x + y) / 3.1)
        luma += rng.normal(0, 1.5, luma.shape)
        u = (120 + 5 * np.sin(x[::2, ::2] / 40)).astype(np.uint8)
        frames.append((np.clip(luma, 16, 235).astype(np.uint8), u, 255 - u))
    return frames


def fastest(work: Callable[[], object], n: int) -> float:
    """Seconds of the fastest of n runs."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def feed(frames: list[Planes], size: int) -> list[av.VideoFrame]:
    return [video._video_frame(planes, size, "bench", i) for i, planes in enumerate(frames)]


def encode(frames: list[Planes], size: int, settings: EncoderSettings) -> int:
    """Feed and encode; packets are dropped."""
    with av.open("/dev/null", "w", format="mp4") as container:
        stream = video._add_stream(container, video.frame_rate(24), size, settings)
        n_bytes = 0
        for i, planes in enumerate(frames):
            frame = video._video_frame(planes, size, "bench", i)
            frame.pts = i
            n_bytes += sum(p.size for p in stream.encode(frame))
        return n_bytes + sum(p.size for p in stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=144)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    frames = texture(args.frames, args.size)
    print(f"{args.frames} frames of {args.size} px, fastest of {args.repeat}")
    for settings in (EncoderSettings(), EncoderSettings(lossless=True)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.mp4"

            def write(path: Path = path, settings: EncoderSettings = settings) -> None:
                video.write_clip(path, frames, fps=24, size=args.size, settings=settings)

            fed = fastest(lambda: feed(frames, args.size), args.repeat)
            encoded = fastest(lambda s=settings: encode(frames, args.size, s), args.repeat)
            written = fastest(write, args.repeat)
            probed = fastest(lambda p=path: video.probe(p), args.repeat)
            decoded = fastest(lambda p=path: sum(1 for _ in video.read_frames(p)), args.repeat)
            size_kb = path.stat().st_size / 1000
        quality = "lossless" if settings.lossless else f"crf {settings.crf:g}"
        print(f"\n{settings.preset}, {quality}: {size_kb:.0f} kB")
        rows = [
            ("plane feeding", fed),
            ("encode (libx264 alone)", encoded - fed),
            ("mux, faststart, fsync, rename", written - encoded),
            ("write_clip, all of it", written),
            ("probe", probed),
            ("decode to RGB", decoded),
        ]
        for name, seconds in rows:
            print(f"  {name:<30} {seconds * 1000:8.1f} ms  {seconds / args.frames * 1e6:8.1f} us/frame")


if __name__ == "__main__":
    main()
