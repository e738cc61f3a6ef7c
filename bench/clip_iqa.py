"""CLIP-IQA as EquiME's script calls it (PIQ's model built anew for every frame) against one model per process.

    python bench/clip_iqa.py [--frames 4]

The network has the real architecture and size (CLIP's ResNet-50) with random weights; time does not depend on
their values. The script's side runs with torch's default threads, equime's with one thread, as in a worker;
with two workers its throughput is twice that, which the ratio counts.

Expected: the script pays for loading and for the two prompts on every frame, and the rest, the picture through the
ResNet at 512 x 512, is the same arithmetic on both sides, so no 15 is to be had here.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from skimage import data

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
N_PROCESSES = 2


def save_files(folder: Path) -> tuple[Path, Path]:
    """Random weights of the real size, in the form of the real files."""
    from equime.torch_env import load, torch  # noqa: PLC0415
    from tests.evaluation_framework.test_clip_iqa import TOKENS, archive  # noqa: PLC0415

    folder.mkdir(parents=True)
    torch().manual_seed(1)
    network = load("piq.feature_extractors.clip").CLIP(
        1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12
    )
    archive(network.eval(), folder / "RN50.pt")
    tokens = torch().zeros(2, 77, dtype=torch().long)
    tokens[:, :5] = torch().tensor(TOKENS)
    torch().save(tokens, folder / "clipiqa_tokens.pt")
    return folder / "RN50.pt", folder / "clipiqa_tokens.pt"


def scripts_way(frames: list[np.ndarray]) -> tuple[list[float], list[float]]:
    """Seconds and value of every frame, a new model each time."""
    from equime.torch_env import load, quiet, torch  # noqa: PLC0415

    seconds, values = [], []
    for grey in frames:
        start = time.perf_counter()
        with quiet():
            picture = torch().from_numpy(grey).float()[None, None] / 255.0
            values.append(load("piq").CLIPIQA()(picture).item())
        seconds.append(time.perf_counter() - start)
    return seconds, values


def equimes_way(frames: list[np.ndarray], network: Path, tokens: Path) -> tuple[list[float], list[float]]:
    """Seconds and value of every frame, one model, one thread."""
    from equime.evaluation_framework.clip_iqa import model  # noqa: PLC0415
    from equime.torch_env import quiet, torch  # noqa: PLC0415

    torch().set_num_threads(1)
    made = model(network, tokens)
    seconds, values = [], []
    for grey in [frames[0], *frames]:
        start = time.perf_counter()
        with quiet(), torch().inference_mode():
            values.append(float(made(torch().from_numpy(grey)[None, None])))
        seconds.append(time.perf_counter() - start)
    return seconds[1:], values[1:]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=4)
    n = parser.parse_args().frames
    grey = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    frames = [np.ascontiguousarray(np.roll(grey, i, axis=1)) for i in range(n)]
    with tempfile.TemporaryDirectory() as name:
        os.environ["HOME"] = name  # PIQ looks in ~/.cache/clip
        network, tokens = save_files(Path(name) / ".cache" / "clip")
        script, expected = scripts_way(frames)
        ours, values = equimes_way(frames, network, tokens)
    print(f"{n} frames of 512 x 512 px, CLIP ResNet-50 of the real size, random weights")
    print(f"model built for every frame, torch's threads  {np.median(script):6.2f} s a frame")
    print(f"one model, one thread                         {np.median(ours):6.2f} s a frame")
    print(f"ratio with {N_PROCESSES} workers {np.median(script) / np.median(ours) * N_PROCESSES:.1f}")
    print(f"largest difference {max(abs(a - b) for a, b in zip(expected, values, strict=True)):.1e}")


if __name__ == "__main__":
    main()
