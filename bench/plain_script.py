"""The yardstick of `bench/evaluation.py`: what EquiME's evaluation script does, and nothing cleverer.

    python bench/plain_script.py ORDER

ORDER: JSON with "clips", "metrics" (names in `METRICS`) and "weights" (the file of BRISQUE's). One process; OpenCV
decodes; every frame goes to grey and from there, one at a time, to NumPy, scikit-image and PIQ; torch has its
default threads. The PSNR is EquiME's, of uint8 differences that wrap. Prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from skimage.metrics import structural_similarity

from equime import torch_env

Image = np.ndarray


def tensor(grey: Image) -> torch.Tensor:
    return torch.from_numpy(grey.astype(np.float32) / 255)[None, None]


def psnr(before: Image | None, grey: Image) -> float | None:
    if before is None:
        return None
    mse = np.mean((before - grey) ** 2)
    return 100.0 if mse == 0 else float(20 * np.log10(255.0 / np.sqrt(mse)))


def ssim(before: Image | None, grey: Image) -> float | None:
    return None if before is None else float(structural_similarity(before, grey))


def tv(before: Image | None, grey: Image) -> float | None:
    return float(torch_env.load("piq").total_variation(tensor(grey)).item())


def brisque(before: Image | None, grey: Image) -> float | None:
    return float(torch_env.load("piq").brisque(tensor(grey)).item())


METRICS: dict[str, Callable[[Image | None, Image], float | None]] = {
    "PSNR": psnr,
    "SSIM": ssim,
    "TV": tv,
    "BRISQUE": brisque,
}


def main() -> None:
    order = json.loads(sys.argv[1])
    torch_env.load("piq")
    # The file instead of PIQ's download of it.
    sys.modules["piq.brisque"].load_url = lambda *_, **__: torch.load(Path(order["weights"]))  # type: ignore[attr-defined]
    functions = {name: METRICS[name] for name in order["metrics"]}
    seconds: dict[str, float] = defaultdict(float)
    means: dict[str, dict[str, float]] = {}
    n_frames = 0
    start = time.perf_counter()
    for clip in order["clips"]:
        capture = cv2.VideoCapture(clip)
        before: Image | None = None
        found: dict[str, list[float]] = defaultdict(list)
        while True:
            begin = time.perf_counter()
            ok, frame = capture.read()
            if not ok:
                break
            grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            seconds["decode and grey"] += time.perf_counter() - begin
            for name, function in functions.items():
                begin = time.perf_counter()
                value = function(before, grey)
                seconds[name] += time.perf_counter() - begin
                if value is not None:
                    found[name].append(value)
            before = grey
            n_frames += 1
        means[clip] = {name: float(np.mean(values)) for name, values in found.items()}
    result: dict[str, Any] = {"measuring": time.perf_counter() - start, "seconds": seconds}
    print(json.dumps({**result, "values": means, "n_frames": n_frames}))


if __name__ == "__main__":
    main()
