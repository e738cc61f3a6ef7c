"""LBP-TOP descriptors beside a loop over scikit-image's patterns, on the same clips; and the machines of LOSO.

    python bench/lbp_top.py [--clips 40] [--repeats 5]

The loop is what published Python code does: `local_binary_pattern` on every slice of every plane, then a histogram per
block. Both give the same descriptors, which is checked first. Interpolation in time is left out of both. The second
part trains the machines of a protocol of 68 folds over 442 clips on noise, from flow and from descriptors.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from skimage.feature import local_binary_pattern

from equime.baselines.lbp_histograms import LbpTop, histograms
from equime.baselines.models.svm import LinearSvm, RbfSvm
from equime.baselines.sklearn_fit import SvmSettings, fit_svms

SETTINGS = LbpTop(4, 2, 2, 2)
FRAMES, SIDE_PX = 32, 64
N_CLIPS, N_PEOPLE = 442, 68


def loop(clip: np.ndarray) -> np.ndarray:
    r, later_up = SETTINGS.radius_x, clip[::-1]

    def pattern(picture: np.ndarray) -> np.ndarray:
        return local_binary_pattern(picture, SETTINGS.points, r, "default")[r:-r, r:-r].astype(int)

    inner_t, inner_y, inner_x = (slice(r, n - r) for n in clip.shape)
    planes = [
        np.stack([pattern(picture) for picture in clip[inner_t]]),
        np.stack([pattern(later_up[:, y])[::-1] for y in range(*inner_y.indices(clip.shape[1]))], axis=1),
        np.stack([pattern(later_up[:, :, x])[::-1] for x in range(*inner_x.indices(clip.shape[2]))], axis=2),
    ]
    rows, columns, _ = SETTINGS.blocks
    row = np.arange(planes[0].shape[1]) * rows // planes[0].shape[1]
    column = np.arange(planes[0].shape[2]) * columns // planes[0].shape[2]
    parts = []
    for i in range(rows):
        for j in range(columns):
            for plane in planes:
                codes = plane[:, row == i][:, :, column == j]
                parts.append(np.bincount(codes.ravel(), minlength=SETTINGS.n_bins) / codes.size)
    return np.concatenate(parts)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    random = np.random.default_rng(0)
    clips = random.integers(0, 256, (args.clips, FRAMES, SIDE_PX, SIDE_PX), dtype=np.uint8)
    np.testing.assert_allclose(histograms(clips[0], SETTINGS), loop(clips[0]), atol=1e-6)
    ours, theirs = [], []
    for _ in range(args.repeats):
        ours.append(seconds(lambda: [histograms(clip, SETTINGS) for clip in clips]) / len(clips))
        theirs.append(seconds(lambda: [loop(clip) for clip in clips]) / len(clips))
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    print(f"descriptor of {FRAMES} frames of {SIDE_PX} px: {statistics.median(ours) * 1e3:.1f} ms, "
          f"loop {statistics.median(theirs) * 1e3:.1f} ms, {ratio:.1f} times")  # fmt: skip

    people, y = random.integers(0, N_PEOPLE, N_CLIPS), random.choice(3, N_CLIPS, p=[0.57, 0.25, 0.18])
    folds = [np.flatnonzero(people != person) for person in range(N_PEOPLE)]
    flow = random.random((N_CLIPS, 28, 28, 3), dtype=np.float32)
    described = random.random((N_CLIPS, SETTINGS.n_features), dtype=np.float32)
    for name, work in {
        "linear on flow": lambda: LinearSvm().fit(flow, y, folds),
        "RBF on flow": lambda: RbfSvm().fit(flow, y, folds),
        "RBF on flow, mirrored too": lambda: RbfSvm().fit(flow, y, folds, options={"flip": True}),
        "linear on descriptors": lambda: fit_svms(
            [described], y, folds, SvmSettings("linear"), head="emotion", n_outputs=3
        ),
    }.items():
        print(f"{N_PEOPLE} folds of {N_CLIPS} clips, {name}: {seconds(work):.1f} s")


if __name__ == "__main__":
    main()
