"""Evaluation against a plain script that does what EquiME's does: same clips, same metrics, same values.

    python bench/evaluation.py [PATH] [--clips 4] [--repeat 1]

PATH: an equime data set or a folder of videos; without it, clips of 144 frames, 512 x 512, are made.

*Plain* is `bench/plain_script.py`. *equime* is `measure_clip` over two worker processes, as the engine runs it. Both
run in fresh processes: "with start" counts imports, loading weights and starting workers, "measuring" begins with
the first frame. Compiled code is in numba's cache before, as after any first run. BRISQUE has weights of the
published shapes, made here. The machine may be shared, so what counts is the ratio within one run, and most of all that of
processor time (imports and start included), which other programs disturb least.

Expected: 100 ms a frame for the plain script (PIQ's BRISQUE 60, scikit-image's SSIM 35) against decoding and 3 ms, so
about 15 on two workers. What came, on two cores shared with other work, in three runs of 2, 4 and 6 clips: 16, 24 and
56 times as fast measuring (22, 22 and 25 without BRISQUE), 4, 11 and 27 with start (6, 8 and 11), as two workers need 3
to 6 s to start, most of it torch. The large ratios are the contended runs: torch's two threads wait for each other
where a core is taken, and PIQ's BRISQUE went from 63 to 277 ms a frame. On an idle machine believe the 16. What is left
is decoding (half of the time) and BRISQUE's two convolutions.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import equime
from equime import registry, weights
from equime.annotation.measure import measure_clip
from equime.clip_sources import find_clips
from equime.drawn_face import save_default_faces
from equime.evaluation_framework.brisque import load_model, score
from equime.evaluation_framework.kernels import ssim
from equime.runner import Task, run

HERE = Path(__file__)
WORKERS = 2

METRICS = {
    "PSNR": ("smoothness", "psnr_wrapped_consecutive_db"),
    "SSIM": ("smoothness", "ssim_consecutive"),
    "TV": ("total_variation", "tv"),
    "BRISQUE": ("brisque", "brisque"),
}
"""Name in `plain_script.METRICS` to the annotator and the column that hold the same."""

SETTINGS = (("PSNR", "SSIM", "TV", "BRISQUE"), ("PSNR", "SSIM", "TV"))


class Timed:
    """An annotator whose sessions note the seconds that they take, with the grey frame made before."""

    def __init__(self, annotator: Any, seconds: dict[str, float]) -> None:
        self.annotator, self.seconds, self.name = annotator, seconds, annotator.name
        self.needs_motion = False

    def start(self, clip: Any) -> TimedSession:
        return TimedSession(self.annotator.start(clip), self.name, self.seconds)


class TimedSession:
    def __init__(self, session: Any, name: str, seconds: dict[str, float]) -> None:
        self.session, self.name, self.seconds = session, name, seconds

    def feed(self, frame: Any) -> None:
        frame.grey  # noqa: B018
        begin = time.perf_counter()
        self.session.feed(frame)
        self.seconds[self.name] += time.perf_counter() - begin

    def finish(self) -> Any:
        return self.session.finish()


def make_measure(config: dict[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """The worker: a clip to its values, with the seconds of each part."""
    file = Path(config["weights"])
    weights.require = lambda *_: file
    annotators = [registry.lookup("annotator", name)() for name in config["annotators"]]
    image = np.indices((64, 64), np.uint8).prod(0, dtype=np.uint8)
    ssim(image, image)  # numba starts up
    if "brisque" in config["annotators"]:
        score(image, load_model(file))

    def measure(source: Any) -> dict[str, Any]:
        seconds: dict[str, float] = defaultdict(float)
        begin = time.perf_counter()
        measured = measure_clip(source, [Timed(a, seconds) for a in annotators])  # type: ignore[misc]
        end = time.perf_counter()
        assert not measured.problems, measured.problems
        seconds["decode and grey"] = end - begin - sum(seconds.values())
        values = {column: v for row in measured.rows.values() for column, v in row.values.items()}
        return {"begin": begin, "end": end, "seconds": seconds, "values": values, "file": str(source.path)}

    return measure


def run_equime(order: dict[str, Any]) -> dict[str, Any]:
    """All clips over the workers."""
    metrics = order["metrics"]
    config = {"annotators": list(dict.fromkeys(METRICS[m][0] for m in metrics)), "weights": order["weights"]}
    sources = [source for clip in order["clips"] for source in find_clips(Path(clip))[0]]
    done = []
    for outcome in run(
        "evaluation:make_measure", config, [Task(s.clip_id, s) for s in sources], workers=WORKERS
    ):
        assert outcome.error is None, outcome.error
        done.append(outcome.value)
    seconds: dict[str, float] = defaultdict(float)
    for value in done:
        for name, spent in value["seconds"].items():
            seconds[name] += spent
    return {
        "measuring": max(d["end"] for d in done) - min(d["begin"] for d in done),
        "seconds": seconds,
        "values": {d["file"]: {m: d["values"][METRICS[m][1]] for m in metrics} for d in done},
    }


def fresh(command: list[str | Path], order: dict[str, Any]) -> dict[str, Any]:
    """One of the two in a process of its own; ``total`` is its time, ``processor`` what it and its workers used."""
    used, start = processor_seconds(), time.perf_counter()
    done = subprocess.run([sys.executable, *command, json.dumps(order)], stdout=subprocess.PIPE, check=True)
    total = time.perf_counter() - start
    return {**json.loads(done.stdout), "total": total, "processor": processor_seconds() - used}


def processor_seconds() -> float:
    """Of all processes that ended under this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plain(order: dict[str, Any]) -> dict[str, Any]:
    return fresh([HERE.with_name("plain_script.py")], order)


def ours(order: dict[str, Any]) -> dict[str, Any]:
    return fresh([HERE, "--order"], order)


def report(metrics: tuple[str, ...], pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Milliseconds per frame, seconds, ratios and the largest difference of a clip's mean."""
    n = pairs[0][0]["n_frames"]

    def per_frame(which: int, name: str) -> float:
        return min(pair[which]["seconds"][name] for pair in pairs) * 1000 / n

    print(f"\n{', '.join(metrics)}: {len(pairs[0][0]['values'])} clips, {n} frames")
    print(f"{'ms per frame, one process':<30}{'plain':>10}{'equime':>10}{'ratio':>8}")
    rows: dict[str, list[str]] = {"decode and grey": ["decode and grey"]}
    for metric in metrics:
        rows.setdefault(METRICS[metric][0], []).append(metric)
    for name, parts in rows.items():
        theirs, own = sum(per_frame(0, part) for part in parts), per_frame(1, name)
        print(f"{' + '.join(parts):<30}{theirs:10.2f}{own:10.2f}{theirs / own:8.1f}")
    labels = {"measuring": "measuring, s", "total": "with start, s", "processor": "processor time, s"}
    for key, label in labels.items():
        a, b = np.array([[pair[i][key] for i in (0, 1)] for pair in pairs]).T
        print(f"{label:<30}{np.median(a):10.2f}{np.median(b):10.2f}{np.median(a / b):8.1f}")
    theirs, own = (pairs[0][i]["values"] for i in (0, 1))
    for metric in metrics:
        largest = max(abs(theirs[clip][metric] - own[clip][metric]) for clip in theirs)
        verdict = "" if largest < 1e-4 else "  TOO LARGE"
        print(f"largest difference of a clip's mean, {metric:<8}{largest:10.1e}{verdict}")


def clips_of(path: Path | None, folder: Path, n: int) -> list[str]:
    if path is None:
        path = folder / "clips"
        equime.generate(save_default_faces(folder / "source", 2), path, clips=n, seed=1, workers=WORKERS)
    return [str(source.path) for source in find_clips(path)[0][:n]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, nargs="?")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.order:
        print(json.dumps(run_equime(json.loads(options.order))))
        return
    from value_table import save_weights  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_weights(folder / "brisque.pt")
        clips = clips_of(options.path, folder, options.clips)
        order: dict[str, Any] = {"clips": clips, "weights": str(folder / "brisque.pt")}
        ours({**order, "clips": clips[:1], "metrics": SETTINGS[0]})  # numba compiles and caches
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the start")
        for metrics in SETTINGS:
            wanted = {**order, "metrics": metrics}
            report(metrics, [(plain(wanted), ours(wanted)) for _ in range(options.repeat)])


if __name__ == "__main__":
    main()
