"""Measured AU intensity against the commanded curves: how far each AU can be trusted.

    python bench/au_intensity.py [--faces 3] [--size 384] [--model-clips 48] [--workers 2] [--write] [--markdown FILE]

Two kinds of clip, both rendered by the mesh renderer, encoded and decoded, of faces drawn from seeds that nothing
else in the project uses: one AU alone at A, B and C, and clips sampled from the causal model, where AUs come
together, heads move and eyes blink. ``--write`` puts the result where the annotator reads it
(``equime/attribute_extraction/au_reliability.json``); the definitions are those of `AuRecord`.

The renderer moves skin by the same muscle model that the measurement fits: the figures are an upper bound.

    python bench/au_intensity.py --flows [--faces 3] [--size 384]

compares settings of the optical flow with the exact displacement of the landmarks at C, which is what those of
`equime.attribute_extraction.au_flow` were chosen by.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from PIL import Image

import equime
from equime.action_units import ACTION_UNITS, EMOTIONS, intensity
from equime.annotation.measure import measure_clip
from equime.attribute_extraction import au_reliability
from equime.attribute_extraction.au_curves import CLOSED_AU, KEYS, column
from equime.attribute_extraction.au_intensity import AuIntensity
from equime.attribute_extraction.au_reliability import AuRecord, AuReliabilityTable
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.drawn_face import draw_face
from equime.face.alignment import warp
from equime.face.au_fit import group_of
from equime.face.muscles import MUSCLES
from equime.generation_pipeline.faces import load_face
from equime.generation_pipeline.ground_truth import GroundTruth
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.renderers.mesh import MeshRenderer
from equime.generation_pipeline.settings import Settings
from equime.generation_pipeline.trajectory import trajectory
from equime.motion.regions import face_map
from equime.types import AuPeak, Camera, ClipSpec, Phases
from equime.video import EncoderSettings, write_clip

FACES = {641: 2, 642: 6, 643: 9, 644: 4}
"""Seed to Monk skin tone."""

LETTERS = "ABC"
SEED = 6410
FPS = 24.0
MODEL_S = 2.0
LOUD = 2.0
"""Correlation and slope are taken over commands of at least B."""

PRESENT = 0.5
FLOWS = {
    "motion analysis": (256, 1, 4, 3),
    "small": (256, 0, 4, 0),
    "chosen": (320, 0, 4, 0),
    "large": (384, 1, 4, 3),
    "finest": (384, 0, 3, 5),
}
"""Side of the crop, finest scale, stride of the patches, rounds of variational refinement."""

ALONE_MS = Phases(onset_ms=375.0, apex_ms=583.0, hold_ms=0.0, offset_ms=833.0)
HELD_MS = Phases(onset_ms=375.0, apex_ms=583.0, hold_ms=750.0, offset_ms=1583.0)
"""AU 43 lasts longer than a blink, or it is one."""


@dataclass(frozen=True)
class Seen:
    """One clip: what was commanded and what was measured, over T frames and the annotator's KEYS."""

    time_ms: np.ndarray
    commanded: np.ndarray
    measured: np.ndarray
    noise: float

    def of(self, au: int) -> tuple[np.ndarray, np.ndarray]:
        """(T,) commanded and measured, the mean of the sides; frames without a value are left out."""
        rows = [i for i, (own, _) in enumerate(KEYS) if own == au]
        both = self.commanded[:, rows].mean(axis=1), self.measured[:, rows].mean(axis=1)
        known = np.isfinite(both[1])
        return both[0][known], both[1][known]

    def peak(self, au: int) -> float:
        rows = [i for i, (own, _) in enumerate(KEYS) if own == au]
        return float(np.nan_to_num(self.measured[:, rows]).max())


def alone(au: int, letter: str, size: int) -> ClipSpec:
    """A clip with one AU."""
    camera = Camera(
        noise_sigma=1.0, noise_seed=au, light_amplitude=0.01, light_period_ms=3e3, light_phase_rad=0.0
    )
    peak, phases = intensity(letter), HELD_MS if au == CLOSED_AU else ALONE_MS
    return ClipSpec(
        spec_id=f"alone-{au}-{letter}", model="none", face_id="none", subject_id="none", sequence=1, seed=0, context={},
        label_semantics="au-defined", emotion="neutral", aus=(AuPeak(au=au, left=peak, right=peak),), phases=phases,
        blinks=(), gaze=(), head=(), camera=camera, fps=FPS, duration_ms=phases.offset_ms + 167.0, size_px=size,
        noise={},
    )  # fmt: skip


def commanded(spec: ClipSpec) -> np.ndarray:
    track = trajectory(spec)
    curve = np.zeros((len(track.time_ms), len(KEYS)))
    for i, (au, side) in enumerate(KEYS):
        if au in track.aus:
            both = track.curve[:, track.aus.index(au)]
            curve[:, i] = both.max(axis=1) if side == "both" else both[:, 0 if side == "left" else 1]
    return curve


def measure(job: tuple[ClipSource, ClipSpec]) -> Seen:
    source, spec = job
    cv2.setNumThreads(1)
    result = measure_clip(source, [AuIntensity()])
    if result.problems:
        raise SystemExit(str(result.problems[0]))
    row = result.rows["au_intensity"]
    noise = row.values["au_noise"]
    assert isinstance(noise, float), (source.file, row.notes)
    curves = np.stack([row.frames[column(key)] for key in KEYS], axis=1)
    return Seen(np.array(result.time_ms), commanded(spec), curves, noise)


def render_alone(job: tuple[FaceInput, Path, int]) -> None:
    face, folder, size = job
    prepared = MeshRenderer().prepare(face)
    for au in MUSCLES:
        for letter in LETTERS:
            file = folder / f"{face.face.subject_id}-{au}-{letter}.mp4"
            frames = prepared.frames(alone(au, letter, size))
            write_clip(
                file, frames, fps=FPS, size=size, settings=EncoderSettings(), comment="bench/au_intensity"
            )


def model_clips(folder: Path, n_faces: int, clips: int, size: int, workers: int) -> Dataset:
    faces = folder / "faces"
    faces.mkdir()
    for seed, tone in list(FACES.items())[:n_faces]:
        Image.fromarray(draw_face(seed, skin_tone=tone)).save(faces / f"bench_{seed}.png")
    return equime.generate(
        faces, folder / "model", clips=clips, seed=SEED, emotions=EMOTIONS, fps=FPS, duration_s=MODEL_S, size_px=size,
        licence="CC0-1.0", workers=workers,
    )  # fmt: skip


def inputs(data: Dataset, size: int) -> Iterator[FaceInput]:
    settings = msgspec.convert(data.info.config, Settings)
    seen = set()
    for view in data:
        if view.face.face_id not in seen:
            seen.add(view.face.face_id)
            yield load_face(view.face, Path(settings.faces), data.root, size)


def correlation(clips: list[Seen], au: int) -> float:
    """Mean over clips; one in which nothing was measured counts 0."""
    found = []
    for clip in clips:
        asked, got = clip.of(au)
        flat = len(asked) < 3 or np.ptp(asked) == 0 or np.ptp(got) == 0
        found.append(0.0 if flat else float(np.corrcoef(asked, got)[0, 1]))
    return float(np.mean(found))


def at_apex(clip: Seen, au: int, of: int) -> float:
    """Measured intensity of one AU where another is commanded most, over that command."""
    asked, _ = clip.of(au)
    rows = [i for i, (own, _) in enumerate(KEYS) if own == of]
    own = [i for i, (own, _) in enumerate(KEYS) if own == au]
    apex = int(np.argmax(clip.commanded[:, own].mean(axis=1)))
    return float(np.nan_to_num(clip.measured[apex, rows]).mean() / asked.max())


def record(au: int, singles: dict[str, list[Seen]], model: list[Seen]) -> AuRecord:
    loud = [clip for letter, clips in singles.items() if intensity(letter) >= LOUD for clip in clips]
    everything = [clip for clips in singles.values() for clip in clips]
    errors = [np.abs(got - asked)[asked > 0].mean() for asked, got in (clip.of(au) for clip in everything)]
    apex_errors = []
    for clip in loud:
        asked, got = clip.of(au)
        if got.max(initial=0.0) >= PRESENT:
            apexes = np.flatnonzero(asked >= 0.99 * asked.max())
            apex_errors.append(float(np.abs(apexes - np.argmax(got)).min()) * 1000 / FPS)
    group = group_of(au)
    rows = [i for i, (own, _) in enumerate(KEYS) if own in group]
    without = [clip.peak(au) for clip in model if not clip.commanded[:, rows].any()]
    own = [i for i, (of, _) in enumerate(KEYS) if of == au]
    having = [clip for clip in model if clip.commanded[:, own].max() >= 1.0]
    others = {
        of: float(np.mean([at_apex(clip, au, of) for clip in loud])) for of in MUSCLES if of not in group
    }
    most = max(others, key=lambda of: others[of])
    return AuRecord(
        au=au,
        n_clips=len(everything),
        correlation=correlation(loud, au),
        slope=float(np.median([at_apex(clip, au, au) for clip in loud])),
        error=float(np.mean(errors)),
        detected={
            letter: float(np.mean([clip.peak(au) >= max(PRESENT, clip.noise) for clip in clips]))
            for letter, clips in singles.items()
        },
        false_p95=float(np.quantile(without, 0.95)),
        n_false=len(without),
        apex_error_ms=float(np.median(apex_errors)) if apex_errors else None,
        model_correlation=correlation(having, au) if len(having) >= 3 else None,
        model_n=len(having),
        reads_as=(most, others[most]) if others[most] >= 0.15 else None,
    )


def flow_errors(face: FaceInput, size: int, name: str) -> Iterator[tuple[float, float]]:
    """Per AU at C: measured share along the true displacement of the landmarks that move most, and ms of flow."""
    side, finest, stride, rounds = FLOWS[name]
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(finest)
    dis.setPatchStride(stride)
    dis.setVariationalRefinementIterations(rounds)
    prepared = MeshRenderer().prepare(face)
    for au in MUSCLES:
        truth = GroundTruth(prepared, alone(au, "C", size))
        assert truth.timing is not None
        apex = truth.timing.apex_frame
        grey = [luma.y.copy() for luma in itertools.islice(prepared.frames(truth.spec), apex + 1)]
        layout = face_map(face.landmarks, face.px_per_mm, side)
        first, second = (warp(grey[i], layout.crop, side) for i in (0, apex))
        began = time.process_time()
        flow = dis.calc(first, second, None)
        seconds = time.process_time() - began
        at = layout.points.astype(np.float32)
        moved = cv2.remap(flow, at[:, :1], at[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
        true = (truth.landmarks(apex) - truth.landmarks(0)) @ layout.crop[:, :2].T
        length = np.linalg.norm(true, axis=1)
        most = length >= 0.5 * length.max()
        yield float((moved[most] * true[most]).sum() / (true[most] ** 2).sum()), 1000 * seconds


def print_flows(arguments: argparse.Namespace, folder: Path) -> None:
    """Measured over true displacement, and the cost, per setting."""
    cv2.setNumThreads(1)
    data = model_clips(folder, arguments.faces, len(EMOTIONS) * arguments.faces, arguments.size, 1)
    faces = list(inputs(data, arguments.size))
    print(
        f"{'crop':>5} {'finest':>7} {'stride':>7} {'rounds':>7} {'n':>4} {'median':>7} {'lowest':>7} {'ms':>6}"
    )
    for name, setting in FLOWS.items():
        ratio, cost = np.array([pair for face in faces for pair in flow_errors(face, arguments.size, name)]).T
        cells = " ".join(f"{value:>7}" for value in setting[1:])
        print(
            f"{setting[0]:>5} {cells} {len(ratio):>4} {np.median(ratio):7.2f} {ratio.min():7.2f} {np.median(cost):6.1f}"
        )


def rounded(value: Any) -> Any:
    """Three decimals are more than these samples carry."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, (list, tuple)) else value


def run(arguments: argparse.Namespace, folder: Path) -> AuReliabilityTable:
    data = model_clips(folder, arguments.faces, arguments.model_clips, arguments.size, arguments.workers)
    singles = folder / "alone"
    singles.mkdir()
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        pool.map(
            render_alone,
            [(face, singles, arguments.size) for face in inputs(data, arguments.size)],
            chunksize=1,
        )
        sources = find_clips(singles)[0]
        labels = [Path(source.file).stem.rsplit("-", 2)[1:] for source in sources]
        specs = [alone(int(au), letter, arguments.size) for au, letter in labels]
        seen = pool.map(measure, list(zip(sources, specs, strict=True)), chunksize=8)
        sampled = find_clips(data.root)[0]
        model = pool.map(measure, [(s, s.spec) for s in sampled if s.spec is not None], chunksize=4)
    by_au: dict[int, dict[str, list[Seen]]] = {au: {letter: [] for letter in LETTERS} for au in MUSCLES}
    for (au, letter), clip in zip(labels, seen, strict=True):
        by_au[int(au)][letter].append(clip)
    neutral = [clip.noise for clip in model]
    return AuReliabilityTable(
        command=" ".join(["python bench/au_intensity.py", *arguments.given]),
        annotator_version=AuIntensity.version,
        equime=equime.__version__,
        n_faces=arguments.faces,
        n_clips=len(seen),
        n_model_clips=len(model),
        size_px=arguments.size,
        fps=FPS,
        neutral_p95=float(np.quantile(neutral, 0.95)),
        aus=tuple(record(au, by_au[au], model) for au in sorted(ACTION_UNITS) if au in MUSCLES),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--faces", type=int, default=3, choices=range(1, len(FACES) + 1))
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--model-clips", type=int, default=48)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--flows", action="store_true", help="compare settings of the optical flow instead")
    parser.add_argument("--write", action="store_true", help="replace the shipped table")
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    arguments.given = [argument for argument in sys.argv[1:] if argument != "--write"]
    if arguments.markdown:
        arguments.given = arguments.given[: arguments.given.index("--markdown")]
    with tempfile.TemporaryDirectory(prefix="equime-au-") as name:
        if arguments.flows:
            print_flows(arguments, Path(name))
            return
        found = run(arguments, Path(name))
    plain = msgspec.convert(rounded(msgspec.to_builtins(found)), AuReliabilityTable)
    text = au_reliability.markdown(plain)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text + "\n")
    if arguments.write:
        target = Path(au_reliability.__file__).with_name("au_reliability.json")
        target.write_bytes(msgspec.json.format(msgspec.json.encode(plain), indent=1) + b"\n")


if __name__ == "__main__":
    main()
