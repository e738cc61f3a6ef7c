"""Values of the image metrics beside those of PIQ and scikit-image, and the largest difference of each.

    python bench/value_table.py [PATH] [--frames 40]

PATH: an equime data set, a video or a folder of videos, whose frames are compared as well. BRISQUE runs with
weights of the published shapes made here (`save_weights`): parity does not depend on what they were trained on,
and the file of the authors may not be passed on.

PIQ adds 1e-8 to the mean squared error before its logarithm, 0.008 dB at 57 dB; the line against PIQ's PSNR has it
added, equime and scikit-image do not.

Last lines: how often BRISQUE's fits chose another entry of PIQ's table of shapes, and how far PIQ's BRISQUE is
from itself with another number of threads and in double precision: a difference below that has no meaning.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from equime import torch_env
from equime.clip_sources import find_clips
from equime.drawn_face import save_default_faces
from equime.evaluation_framework import brisque, kernels
from equime.evaluation_framework.brisque import load_model
from equime.evaluation_framework.grey_frames import psnr_db
from equime.frames import open_frames

Image = np.ndarray
Line = tuple[str, str, str, float, float]
"""Metric, what it is compared with, image, our value, the other value."""

SHAPES = (0, 2, 6, 10, 14, 18, 20, 24, 28, 32)
"""Features of BRISQUE that come out of the table of shapes."""


def save_weights(path: Path, ridge: float = 1.0) -> None:
    """A regression of PIQ's shapes, (774,) and (774, 36): smooth, with scores of 0 to 100 as the authors' has.

    Kernel ridge regression on random vectors of a soft step along a random direction. A smaller ridge gives
    larger coefficients, which cancel, and so more rounding noise in PIQ's float32.
    """
    torch = torch_env.torch()
    rng = np.random.Generator(np.random.PCG64(0))
    vectors = rng.uniform(-1, 1, (774, 36))
    across = rng.normal(size=36)
    target = 50 + 40 * np.tanh(2 * vectors @ across / np.linalg.norm(across)) + rng.normal(size=774) * 8
    distance = ((vectors[:, None] - vectors[None]) ** 2).sum(-1)
    coefficients = np.linalg.solve(np.exp(-0.05 * distance) + ridge * np.eye(774), target - 153.591)
    torch.save(tuple(torch.tensor(a, dtype=torch.float32) for a in (coefficients, vectors)), path)


def piq_module(weights: Path) -> Any:
    """``piq.brisque``, the module, reading this file instead of the network."""
    torch_env.load("piq")
    module: Any = sys.modules["piq.brisque"]
    module.load_url = lambda *_, **__: torch_env.torch().load(weights)
    return module


def tensor(grey: Image) -> Any:
    return torch_env.torch().from_numpy(grey.astype(np.float32))[None, None] / 255


def still_images(folder: Path) -> Iterator[tuple[str, Image]]:
    rng = np.random.Generator(np.random.PCG64(0))
    yield "astronaut", cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    yield "cameraman", data.camera()
    save_default_faces(folder, 3)
    for file in sorted(folder.rglob("*.png"))[:3] + sorted(folder.rglob("*.jpg"))[:3]:
        yield f"drawn {file.stem}", cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    yield "noise", rng.integers(0, 256, (512, 512), dtype=np.uint8)
    flat = data.camera().copy()
    flat[:200], flat[300:, :200] = 128, 255
    yield "flat areas", flat
    yield "odd size", data.camera()[:401, :333].copy()


def disturbed(grey: Image) -> Image:
    """The image after JPEG at quality 30, shifted by a column: what it is compared with."""
    coded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
    return np.roll(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), 1, axis=1)


def frames(path: Path, n: int) -> Iterator[tuple[str, Image, Image]]:
    """(name, frame, next frame), spread over the clips."""
    sources, _ = find_clips(path)
    per_clip = -(-n // len(sources))
    for source in sources[:n]:
        with open_frames(source) as stream:
            before = None
            for frame in stream.frames:
                if before is not None and frame.index % 7 == 1:
                    yield f"{source.clip_id[:8]} {frame.index}", before, frame.grey
                if frame.index >= 7 * per_clip - 6:
                    break
                before = frame.grey


def compare(name: str, grey: Image, other: Image, model: brisque.BrisqueModel, module: Any) -> Iterator[Line]:
    torch_env.torch().set_num_threads(1)
    piq = torch_env.load("piq")
    exact, wrapped = kernels.squared_differences(grey, other)
    mse = np.mean((grey - other) ** 2)
    x, y = tensor(grey), tensor(other)
    psnr = psnr_db(exact, grey.size)
    yield "PSNR, dB", "scikit-image", name, psnr, peak_signal_noise_ratio(grey, other)
    with_epsilon = -10 * np.log10(exact / grey.size / 255**2 + 1e-8)
    yield "PSNR, dB", "PIQ (MSE + 1e-8)", name, with_epsilon, piq.psnr(x, y, data_range=1.0).item()
    yield (
        "PSNR wrapped, dB",
        "EquiME's line",
        name,
        psnr_db(wrapped, grey.size),
        20 * np.log10(255 / np.sqrt(mse)),
    )
    yield "SSIM", "scikit-image", name, kernels.ssim(grey, other), structural_similarity(grey, other)
    yield "TV", "PIQ", name, np.sqrt(kernels.squared_gradients(grey)) / 255, piq.total_variation(x).item()
    score = brisque.score(grey, model)
    assert score is not None, name
    yield "BRISQUE", "PIQ", name, score, module.brisque(x).item()


def piq_features(grey: Image, module: Any) -> Image:
    x, found = tensor(grey) / 1.0 * 255, []
    for _ in range(2):
        found.append(module._natural_scene_statistics(x, 7, 7 / 6))
        x = module.imresize(x, sizes=(x.size(2) // 2, x.size(3) // 2))
    return torch_env.torch().cat(found, dim=-1)[0].numpy()


def piq_against_itself(greys: list[Image], module: Any) -> tuple[float, float]:
    """Largest difference of PIQ's BRISQUE between one and two threads, and between float32 and float64."""
    torch = torch_env.torch()
    threads, precision = 0.0, 0.0
    for grey in greys:
        torch.set_num_threads(1)
        one = module.brisque(tensor(grey)).item()
        precision = max(precision, abs(module.brisque(tensor(grey).double()).item() - one))
        torch.set_num_threads(2)
        threads = max(threads, abs(module.brisque(tensor(grey)).item() - one))
    return threads, precision


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_weights(folder / "weights.pt")
        model, module = load_model(folder / "weights.pt"), piq_module(folder / "weights.pt")
        stills = [(n, g, disturbed(g)) for n, g in still_images(folder / "faces")]
        clips = list(frames(options.path, options.frames)) if options.path else []
        lines = [line for item in stills + clips for line in compare(*item, model, module)]
        report(lines, {n for n, *_ in stills})
        greys = [grey for _, grey, _ in stills + clips]
        found = [(brisque.features(g, model), piq_features(g, module)) for g in greys]
        moved = np.array([np.abs(ours - theirs)[list(SHAPES)] for ours, theirs in found])
        n_other = int((moved > 5e-4).sum())
        print(
            f"\nBRISQUE, {n_other} of {moved.size} fits chose another shape than PIQ, at most {moved.max():.3f} away"
        )
        for ridge in (1.0, 0.01):
            save_weights(folder / f"{ridge}.pt", ridge)
            model, module = load_model(folder / f"{ridge}.pt"), piq_module(folder / f"{ridge}.pt")
            ours = max(abs(brisque.score(g, model) - module.brisque(tensor(g)).item()) for g in greys[:20])
            threads, precision = piq_against_itself(greys[:20], module)
            print(
                f"coefficients up to {np.abs(model.coefficients).max():.0f}: ours to PIQ {ours:.1e}; PIQ to itself: "
                f"1 to 2 threads {threads:.1e}, float32 to float64 {precision:.1e}"
            )


def report(lines: list[Line], stills: set[str]) -> None:
    print(f"{'metric':<18}{'image':<18}{'ours':>16}{'theirs':>16}{'difference':>12}  compared with")
    largest: dict[tuple[str, str], list[float]] = defaultdict(list)
    for metric, by, image, ours, theirs in sorted(lines, key=lambda line: line[:2]):
        largest[metric, by].append(abs(ours - theirs))
        if image in stills:
            print(f"{metric:<18}{image:<18}{ours:16.8f}{theirs:16.8f}{abs(ours - theirs):12.1e}  {by}")
    print(f"\n{'metric':<18}{'compared with':<18}{'images':>8}{'largest difference':>20}")
    for (metric, by), values in largest.items():
        print(f"{metric:<18}{by:<18}{len(values):>8}{max(values):>20.1e}")


if __name__ == "__main__":
    main()
