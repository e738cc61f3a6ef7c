"""Flow features against a plain OpenCV TV-L1 loop: time, and parity with a known field.

    python bench/flow_features.py [--pairs 200] [--plain 12] [--faces 4] [--size 512] [--workers 2] [--repeats 3] [--settings]

Faces drawn from seeds that nothing else uses, with skin texture and sensor noise, are warped by a field that is known:
a shift of the head of about 0.5 px and four local movements of 1.5 px, which is what micro-expressions are at this
size. The plain loop reads both images, cuts the same crop out (its landmarks are given to it for nothing) and runs
OpenCV's TV-L1 with its defaults, in one process. `equime.baselines.features.build` reads, finds the face, cuts, and
makes the same with DIS and with TV-L1 on ``--workers`` processes, without a cache; starting them is counted (a few
seconds, which weigh on few pairs). Processor time is given beside the clock, which says little on a busy machine.

A table of its own compares equime's TV-L1 with OpenCV's on the same crops, averaged down to several sizes, on one
thread each: processor time, and in how many pixels the flow is not the same to the last bit.

``--settings`` compares settings of DIS instead, which is what `equime.baselines.flow` chose by.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from equime.baselines.crops import crop_of, find_landmarks
from equime.baselines.features import FeatureOptions, build
from equime.baselines.flow import flow_field, image_of_field, one_thread, raw_image, shrunk
from equime.baselines.inputs import FLOW28
from equime.coded import CodedClip, CodedInfo, CodedSet
from equime.drawn_face import draw_face
from equime.seeding import stream

SEED = 90210
LOCAL_PX, HEAD_PX, NOISE = 1.5, 0.5, 1.5


def field(size: int, face: int, k: int) -> np.ndarray:
    """(size, size, 2): a shift and local movements around brows, eyes, nose and mouth."""
    random = stream(SEED, "field", face, k)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    out = np.empty((size, size, 2), np.float32)
    out[:] = random.normal(0, HEAD_PX, 2)
    for _ in range(4):
        centre = random.uniform((0.35, 0.33), (0.65, 0.75)) * size
        width, angle = random.uniform(0.03, 0.07) * size, random.uniform(0, 2 * np.pi)
        bump = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2))
        out += (LOCAL_PX * bump)[..., None] * np.array([np.cos(angle), np.sin(angle)], np.float32)
    return out


def warped(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The image after its points have moved by a (smooth) field."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    back = flow.copy()
    for _ in range(8):
        back = cv2.remap(
            flow, x - back[..., 0], y - back[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return cv2.remap(
        image, x - back[..., 0], y - back[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def textured(seed: int, size: int) -> np.ndarray:
    """A drawn face with the grain that skin has and drawings lack, float32 BGR."""
    grain = stream(SEED, "skin", seed).normal(size=(size, size)).astype(np.float32)
    return draw_face(seed, size_px=size)[..., ::-1] + 8 * cv2.GaussianBlur(grain, (0, 0), 1.2)[..., None]


def write_pairs(root: Path, n_pairs: int, n_faces: int, size: int) -> CodedSet:
    """Onset and apex as PNG in a folder per pair."""
    faces = [textured(8100 + i, size) for i in range(n_faces)]
    clips = []
    for i in range(n_pairs):
        name = f"pair{i:04d}"
        (root / name).mkdir()
        face = faces[i % n_faces]
        for number, image in ((1, face), (2, warped(face, field(size, i % n_faces, i)))):
            noise = stream(SEED, "noise", i, number).normal(0, NOISE, image.shape)
            cv2.imwrite(
                str(root / name / f"{number}.png"), np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
            )
        clips.append(
            CodedClip(clip_id=name, corpus="bench", subject_id=str(i % n_faces), name=name, fps=200.0, file=name,
                      onset=1, apex=2, offset=2)
        )  # fmt: skip
    return CodedSet(CodedInfo(format_version=1, corpus="bench", root=str(root)), root, tuple(clips))


def crops(data: CodedSet, i: int, size: int, n_faces: int) -> tuple[Any, np.ndarray]:
    """The crop of a pair, and the known field in it."""
    onset = cv2.imread(str(data.path_of(data.clips[i]) / "1.png"))
    landmarks = find_landmarks(onset)
    if landmarks is None:
        raise SystemExit(f"no face in pair {i}; choose other seeds")
    crop = crop_of(landmarks, "eyes")
    x, y = (round(-s) for s in crop.to_crop[:, 2])
    truth = field(size, i % n_faces, i)[y : y + crop.height, x : x + crop.width]
    return crop, np.ascontiguousarray(truth)


def plain(data: CodedSet, i: int, crop: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a script does: read, grey, cut, TV-L1."""
    a, b = (
        crop.cut(cv2.cvtColor(cv2.imread(str(data.path_of(data.clips[i]) / f"{k}.png")), cv2.COLOR_BGR2GRAY))
        for k in (1, 2)
    )
    return a, b, cv2.optflow.DualTVL1OpticalFlow_create().calc(a, b, None)


def alike(image: np.ndarray, other: np.ndarray) -> list[float]:
    """Correlation of each channel."""
    return [float(np.corrcoef(image[..., k].ravel(), other[..., k].ravel())[0, 1]) for k in range(3)]


def row(name: str, flows: list[np.ndarray], truths: list[np.ndarray], reference: list[np.ndarray]) -> str:
    """A line of the parity table: error, and correlation of the 28 x 28 channels with truth and plain TV-L1."""
    error = np.mean(
        [np.hypot(*(f - t).transpose(2, 0, 1)).mean() for f, t in zip(flows, truths, strict=True)]
    )
    images = [image_of_field(f) for f in flows]
    to_truth = np.mean([alike(i, image_of_field(t)) for i, t in zip(images, truths, strict=True)], axis=0)
    to_plain = np.mean([alike(i, r) for i, r in zip(images, reference, strict=True)], axis=0)
    late = [
        np.corrcoef(*(raw_image(x, strain="resized")[..., 2].ravel() for x in (f, t)))[0, 1]
        for f, t in zip(flows, truths, strict=True)
    ]
    numbers = " | ".join(f"{v:.3f}" for v in (error, *to_truth, np.mean(late), *to_plain))
    return f"| {name} | {numbers} |"


def cpu_s() -> float:
    """Seconds of processor time of this process and of the children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, float, Any]:
    """Median seconds on the clock and of processor time, and the last result."""
    times, result = [], None
    for _ in range(repeats):
        start = time.perf_counter(), cpu_s()
        result = work()
        times.append((time.perf_counter() - start[0], cpu_s() - start[1]))
    return median(clock for clock, _ in times), median(cpu for _, cpu in times), result


HEAD = (
    "| flow | error px | u | v | strain | strain of resized | u (plain) | v (plain) | strain (plain) |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def tvl1_table(pairs: list[tuple[np.ndarray, np.ndarray]], repeats: int) -> str:
    """Ours against OpenCV's on crops of several sizes; a new object per pair, because it remembers small ones."""
    lines = [
        "| longer side | OpenCV ms | equime ms | times as fast | pixels that differ | largest difference px |",
        "|---|---|---|---|---|---|",
    ]
    own = max(pairs[0][0].shape)
    for longer in sorted({min(size, own) for size in (100, 125, 180, 250, 300)}):
        small = [(shrunk(a, longer), shrunk(b, longer)) for a, b in pairs]
        flow_field(*small[0], "tvl1")
        with one_thread():
            _, theirs_s, theirs = timed(
                lambda of=small: [cv2.optflow.DualTVL1OpticalFlow_create().calc(a, b, None) for a, b in of],
                repeats,
            )
            _, ours_s, ours = timed(lambda of=small: [flow_field(a, b, "tvl1") for a, b in of], repeats)
        gaps = [np.abs(a - b) for a, b in zip(ours, theirs, strict=True)]
        differ = np.mean([(gap > 0).any(axis=2).mean() for gap in gaps])
        lines.append(
            f"| {max(small[0][0].shape)} | {1000 * theirs_s / len(small):.0f} | {1000 * ours_s / len(small):.0f} "
            f"| {theirs_s / ours_s:.1f} | {differ:.2%} | {max(gap.max() for gap in gaps):g} |"
        )
    return "\n".join(lines)


def settings() -> dict[str, Any]:
    """DIS in other settings: finest scale, stride, rounds of refinement."""
    found: dict[str, Any] = {
        name: cv2.DISOpticalFlow.create(preset) for name, preset in (("preset fast", 1), ("preset medium", 2))
    }
    for scale, stride, rounds in ((0, 4, 0), (0, 4, 3), (0, 4, 5), (0, 4, 10), (0, 3, 5), (1, 3, 10)):
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        dis.setFinestScale(scale)
        dis.setPatchStride(stride)
        dis.setVariationalRefinementIterations(rounds)
        found[f"scale {scale}, stride {stride}, {rounds} rounds"] = dis
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=200, help="pairs that equime makes")
    parser.add_argument("--plain", type=int, default=12, help="pairs of the plain loop")
    parser.add_argument("--faces", type=int, default=4)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="of what is fast; the median counts")
    parser.add_argument("--settings", action="store_true")
    given = parser.parse_args()
    n_plain = min(given.plain, given.pairs)
    with tempfile.TemporaryDirectory() as folder:
        data = write_pairs(Path(folder), given.pairs, given.faces, given.size)
        cut = [crops(data, i, given.size, given.faces) for i in range(n_plain)]
        truths = [truth for _, truth in cut]
        with one_thread():
            *loop, found = timed(lambda: [plain(data, i, cut[i][0]) for i in range(n_plain)], 1)
        reference = [image_of_field(flow) for _, _, flow in found]
        print(f"{given.pairs} pairs, {given.size} px, crops of about {truths[0].shape[1]} x {truths[0].shape[0]} px, "
              f"{os.cpu_count()} processors\n\n{HEAD}")  # fmt: skip
        print(row("plain TV-L1", [flow for _, _, flow in found], truths, reference))
        if given.settings:
            for name, dis in settings().items():
                with one_thread():
                    _, s, flows = timed(
                        lambda d=dis: [d.calc(a, b, None) for a, b, _ in found], given.repeats
                    )
                print(row(f"DIS {name}, {1000 * s / n_plain:.1f} ms", flows, truths, reference))
            return
        for method in ("tvl1", "dis"):
            flows = [flow_field(a, b, method) for a, b, _ in found]
            print(row(f"equime {method}", flows, truths, reference))
        print(f"\nTV-L1, ours and OpenCV's\n\n{tvl1_table([(a, b) for a, b, _ in found], given.repeats)}")
        *tvl1, (samples, _) = timed(lambda: build(data, [FLOW28], workers=given.workers), 1)
        ours = samples.input(FLOW28)[:n_plain]
        same = max(float(np.abs(a - b).max()) for a, b in zip(ours, reference, strict=True))
        dis = FeatureOptions(method="dis")
        *fast, _ = timed(lambda: build(data, [FLOW28], options=dis, workers=given.workers), given.repeats)
        print(f"\nlargest difference of equime's TV-L1 images from the plain loop's: {same:g}\n")
        print(
            "| | ms per pair | times as fast | 1,000 pairs | processor ms per pair | times less |\n|---|---|---|---|---|---|"
        )
        base = [1000 * s / n_plain for s in loop]
        for name, seconds, n in (
            ("plain TV-L1 loop on the crop, one process", loop, n_plain),
            (f"equime tvl1, {given.workers} workers, landmarks included", tvl1, given.pairs),
            (f"equime dis, {given.workers} workers, landmarks included", fast, given.pairs),
        ):
            clock, cpu = (1000 * s / n for s in seconds)
            print(
                f"| {name} | {clock:.1f} | {base[0] / clock:.1f} | {clock:.0f} s | {cpu:.1f} | {base[1] / cpu:.1f} |"
            )


if __name__ == "__main__":
    main()
