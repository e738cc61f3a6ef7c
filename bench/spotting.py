"""F1 of both spotting baselines on synthetic long videos with distractors, and what their false alarms are made of.

    python bench/spotting.py OUT [--train 17] [--test 12] [--seconds 30] [--fps 30]

Draws faces (none of them in both sets), renders a set to train on (``OUT/train``, seed 11) and one to test on
(``OUT/test``, seed 7) and measures both; everything in OUT is kept and used again. Then, on the test set:

* regional, with and without its rule against speech;
* learned, trained on the train set (other faces);

each with intervals by subject, and every false positive named after what happens in its frames: the first of
"expression" (coded there, of the other kind or with less than half of overlap), speech, head, blink, gaze, nothing.
The values of the regional rule against speech and the shortest movement were looked at on the train set only.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from equime.baselines.spotting import Interval, RegionalSpotter, signals_of_set
from equime.baselines.spotting_learned import train
from equime.baselines.spotting_scores import match, score, truth_of
from equime.baselines.spotting_signal import FaceSignal
from equime.coded import CodedSet, read_set
from equime.drawn_face import describe_face
from equime.generation_pipeline.long_video import DISTRACTORS, Distractor, make_long_videos
from equime.records import read

Found = Mapping[str, tuple[Interval, ...]]
KINDS = ("expression", "speech", "head", "blink", "gaze", "nothing")


def faces(folder: Path, seeds: range) -> Path:
    """A table of drawn faces."""
    table = folder / "faces.csv"
    if not table.exists():
        import cv2  # noqa: PLC0415

        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for seed in seeds:
            face = describe_face(seed)
            cv2.imwrite(str(folder / f"{face.subject_id}.png"), face.image(512)[..., ::-1])
            rows.append((f"{face.subject_id}.png", face.subject_id, face.gender))
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "subject_id", "gender"), *rows])
    return table


def measured(
    out: Path, table: Path, videos: int, seed: int, options: argparse.Namespace
) -> tuple[CodedSet, dict[str, FaceSignal]]:
    """A set and its signals, made where they are not there."""
    report = make_long_videos(
        table, out, videos=videos, duration_s=options.seconds, fps=options.fps, seed=seed, workers=0
    )
    data = read_set(out)
    started = time.process_time()
    signals, _ = signals_of_set(data, cache=out / "signals")
    seconds = time.process_time() - started
    print(
        f"{out.name}: {report.n_videos} videos of {len({c.subject_id for c in data.clips})} faces, {report.n_micro} "
        f"micro- and {report.n_macro} macro-expressions; measured in {seconds:.0f} s of CPU"
    )
    return data, signals


def alarms(found: Found, data: CodedSet, distractors: list[Distractor]) -> Counter[str]:
    """False positives by what happens in their frames."""
    truth, _, _ = truth_of(data)
    out: Counter[str] = Counter()
    for file, intervals in found.items():
        events = [(d.kind, d.onset, d.offset) for d in distractors if d.file == file]
        events += [("expression", c.onset or 0, c.offset or 0) for c in truth[file]]
        for kind in ("micro", "macro"):
            ours = [i for i in intervals if i.expression == kind]
            coded = [(c.onset or 0, c.offset or 0) for c in truth[file] if c.expression == kind]
            right = {place for place, _ in match([(i.onset, i.offset) for i in ours], coded)}
            for place, one in enumerate(ours):
                if place not in right:
                    here = {name for name, a, b in events if a <= one.offset and b >= one.onset}
                    out[next((name for name in KINDS if name in here), "nothing")] += 1
    return out


def line(name: str, found: Found, data: CodedSet, distractors: list[Distractor]) -> None:
    """One method."""
    for which, s in score(found, data).items():
        print(
            f"{name:<26} {which:<8} F1 {s.f1 or 0:.3f} ({s.low or 0:.3f} to {s.high or 0:.3f})  precision "
            f"{s.precision or 0:.3f}  recall {s.recall or 0:.3f}  TP {s.counts.tp} FP {s.counts.fp} FN {s.counts.fn}"
        )
    by_kind = alarms(found, data, distractors)
    print(f"{'':<26} false positives: " + ", ".join(f"{kind} {by_kind[kind]}" for kind in KINDS))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=17)
    parser.add_argument("--test", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--fps", type=float, default=30.0)
    options = parser.parse_args()
    seen, seen_signals = measured(
        options.out / "train", faces(options.out / "train_faces", range(201, 219)), options.train, 11, options
    )
    data, signals = measured(
        options.out / "test", faces(options.out / "test_faces", range(301, 311)), options.test, 7, options
    )
    distractors = read(options.out / "test" / DISTRACTORS, Distractor)
    print(
        "distractors in the test set: "
        + ", ".join(f"{k} {n}" for k, n in Counter(d.kind for d in distractors).items())
    )
    for name, regional in (
        ("regional", RegionalSpotter()),
        ("regional, no speech rule", RegionalSpotter(speech=False)),
    ):
        line(name, {file: regional.intervals(one) for file, one in signals.items()}, data, distractors)
    started = time.process_time()
    learned = train(seen_signals, seen)
    print(f"learned: trained in {time.process_time() - started:.0f} s of CPU")
    line("learned", {file: learned.intervals(one) for file, one in signals.items()}, data, distractors)


if __name__ == "__main__":
    main()
