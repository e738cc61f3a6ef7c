"""The adherence gate over failures made from mesh clips: how many are accepted and rejected, and for which reason.

    python bench/adherence.py [--clips 16] [--size 256] [--workers 2] [--calibrate] [--json FILE]

Clips of drawn faces are made by the mesh renderer and judged as they are; then each is spoilt in known ways, encoded
again and judged against the spec that it came from. ``--calibrate`` does the same on the faces and the seed that the
limits were chosen on, and prints the measured values that they lie between; without it the faces are others.

* frozen: the first frame repeated
* wrong AU: this spec with AUs of the other half of the face (1+2 or 12+17 at B), at the same time, rendered
* slow: this spec's movement, mostly of 200 to 500 ms, stretched to 700 or to 1,000 ms, rendered
* wrong time: this spec's movement 400 ms earlier or later, rendered
* still: this spec without its AUs, rendered; for a neutral spec, moving: with AUs
* drifting (blend): dissolves into another face by the last frame, by half or wholly
* drifting (warp): the face's shape is slowly bent towards the other face's
* warped: the face is bent by a smooth random field with a largest displacement of 3 or 6 mm, within 250 ms
* black, and no face: black frames; the face blurred away from the second quarter on

Reasons depend on the order of questions (`adherence_records.REASONS`): a face that drifts also
moves. The renderer moves skin by the muscle model that the gate measures with: acceptance is an upper bound.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import equime
from equime.action_units import intensity
from equime.dataset import ClipView, Dataset
from equime.drawn_face import draw_face
from equime.face import anatomy
from equime.generation_pipeline.adherence import check_frames
from equime.generation_pipeline.adherence_records import Adherence
from equime.generation_pipeline.faces import load_face
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.renderers.mesh import MeshRenderer, PreparedMesh
from equime.generation_pipeline.settings import Settings
from equime.seeding import stream
from equime.types import AuPeak, ClipSpec, Phases
from equime.video import EncoderSettings, read_frames, rgb_to_yuv, write_clip

Picture = NDArray[np.uint8]
Frames = list[Picture]

FACES: Final = {921: 1, 922: 5, 923: 8, 924: 10}
CALIBRATION_FACES: Final = {811: 2, 812: 6, 813: 9, 814: 4}
"""Seed to Monk skin tone."""

EMOTIONS: Final = ("happiness", "surprise", "anger", "neutral")
SECONDS: Final = 2.5
MOVES: Final = {"upper": (1, 2), "lower": (12, 17)}
"""AUs without a region in common, for what is meant to move elsewhere."""


class Case(NamedTuple):
    """A spoilt clip and what the gate said of it."""

    failure: str
    emotion: str
    found: Adherence


def make_clips(folder: Path, faces: dict[int, int], clips: int, size: int) -> Dataset:
    source = folder / "faces"
    source.mkdir()
    for seed, tone in faces.items():
        Image.fromarray(draw_face(seed, skin_tone=tone)).save(source / f"bench_{seed}.png")
    return equime.generate(
        source, folder / "out", clips=clips, seed=min(faces), emotions=EMOTIONS, fps=24.0, duration_s=SECONDS,
        size_px=size, licence="CC0-1.0", workers=0,
    )  # fmt: skip


def stretched(spec: ClipSpec, total_ms: float) -> ClipSpec:
    """The same movement, slower."""
    assert spec.phases is not None
    p = spec.phases
    k = total_ms / (p.offset_ms - p.onset_ms)
    onset = max(min(p.onset_ms, spec.duration_ms - total_ms - 100.0), 50.0)
    phases = Phases(
        onset_ms=onset, apex_ms=onset + k * (p.apex_ms - p.onset_ms), hold_ms=k * p.hold_ms, offset_ms=onset + total_ms,
        rise=p.rise, decay=p.decay,
    )  # fmt: skip
    aus = tuple(msgspec.structs.replace(peak, delay_ms=k * peak.delay_ms) for peak in spec.aus)
    return msgspec.structs.replace(spec, phases=phases, aus=aus)


def shifted(spec: ClipSpec, by_ms: float) -> ClipSpec:
    """The same movement at another time, inside the clip."""
    assert spec.phases is not None
    p = spec.phases
    by = by_ms if p.offset_ms + by_ms < spec.duration_ms - 100.0 else -by_ms
    phases = msgspec.structs.replace(
        p, onset_ms=p.onset_ms + by, apex_ms=p.apex_ms + by, offset_ms=p.offset_ms + by
    )
    return msgspec.structs.replace(spec, phases=phases)


def elsewhere(spec: ClipSpec) -> ClipSpec:
    """Other AUs at the same time: of the mouth where the brows are meant to move, and the other way round."""
    upper = min(peak.au for peak in spec.aus) <= 5
    peaks = tuple(
        AuPeak(au=au, left=intensity("B"), right=intensity("B"))
        for au in MOVES["lower" if upper else "upper"]
    )
    return msgspec.structs.replace(spec, aus=peaks)


def moving(spec: ClipSpec) -> ClipSpec:
    """A neutral spec with a smile."""
    phases = Phases(onset_ms=1000.0, apex_ms=1180.0, hold_ms=0.0, offset_ms=1420.0)
    peaks = (AuPeak(au=12, left=intensity("B"), right=intensity("B")),)
    return msgspec.structs.replace(spec, aus=peaks, phases=phases)


def still(spec: ClipSpec) -> ClipSpec:
    return msgspec.structs.replace(spec, aus=(), phases=None)


def bent(picture: Picture, field: NDArray[np.float32]) -> Picture:
    """A picture whose pixel at x comes from x + field(x)."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    moved = cv2.remap(
        picture, x + field[..., 0], y + field[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(moved, np.uint8)


def random_field(face: FaceInput, largest_mm: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A smooth random displacement within the face, (H, W, 2) px."""
    size, ppm = len(face.image), face.px_per_mm
    oval = np.zeros((size, size), np.float32)
    outline = face.landmarks[list(anatomy.FACE_OVAL), :2]
    cv2.fillConvexPoly(oval, cv2.convexHull(np.rint(outline).astype(np.int32)), 1.0)
    noise = cv2.GaussianBlur(rng.normal(size=(size, size, 2)).astype(np.float32), (0, 0), 8 * ppm)
    field = noise * cv2.GaussianBlur(oval, (0, 0), 6 * ppm)[..., None]
    return np.asarray(field * (largest_mm * ppm / np.linalg.norm(field, axis=2).max()), np.float32)


def field_towards(face: FaceInput, other: FaceInput) -> NDArray[np.float32]:
    """Displacement that gives a face the shape of another, (H, W, 2) px, nothing far from it."""
    from scipy.interpolate import RBFInterpolator  # noqa: PLC0415

    size = len(face.image)
    own, goal = (f.landmarks[:468:3, :2].astype(np.float64) for f in (face, other))
    edge = np.linspace(0, size - 1, 8)
    border = np.array([(x, y) for x in edge for y in edge if x in (0, size - 1) or y in (0, size - 1)])
    at, to = np.concatenate([goal, border]), np.concatenate([own, border])
    rows, columns = np.mgrid[0:size:4, 0:size:4]
    grid = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)
    coarse = RBFInterpolator(at, to - at, kernel="linear", neighbors=40)(grid).reshape(*rows.shape, 2)
    return np.asarray(cv2.resize(coarse.astype(np.float32), (size, size)), np.float32)


def blended(own: Frames, target: Picture, share: float) -> Frames:
    steps = np.linspace(0.0, share, len(own))
    return [
        np.asarray(cv2.addWeighted(frame, 1 - k, target, float(k), 0), np.uint8)
        for frame, k in zip(own, steps, strict=True)
    ]


def faceless(own: Frames) -> Frames:
    quarter = len(own) // 4
    return [
        *own[:quarter],
        *(np.asarray(cv2.GaussianBlur(f, (0, 0), len(f) / 6), np.uint8) for f in own[quarter:]),
    ]


def spoilt(
    own: Frames, face: FaceInput, other: FaceInput, rng: np.random.Generator
) -> Iterator[tuple[str, Frames]]:
    """Failures that are made of a clip's frames."""
    yield "frozen", [own[0]] * len(own)
    yield "drifting (blend, half)", blended(own, other.image, 0.5)
    yield "drifting (blend)", blended(own, other.image, 1.0)
    towards = field_towards(face, other)
    yield "drifting (warp)", [bent(f, towards * np.float32(i / len(own))) for i, f in enumerate(own)]
    for mm in (3.0, 6.0):
        field = random_field(face, mm, rng)
        yield f"warped {mm:g} mm", [bent(f, field * np.float32(min(1.0, i / 6))) for i, f in enumerate(own)]
    yield "black", [np.zeros_like(f) for f in own]
    yield "no face", faceless(own)


def rendered_wrong(spec: ClipSpec) -> Iterator[tuple[str, ClipSpec]]:
    """Failures that are rendered from another spec than the one that the clip is judged by."""
    if spec.phases is None:
        yield "moving (neutral spec)", moving(spec)
        return
    yield "still", still(spec)
    yield "wrong AU", elsewhere(spec)
    yield "slow, 700 ms", stretched(spec, 700.0)
    yield "slow, 1000 ms", stretched(spec, 1000.0)
    yield "wrong time", shifted(spec, 400.0)


class Worker:
    """Spoils and judges one clip after the other."""

    def __init__(self, root: str) -> None:
        cv2.setNumThreads(1)
        self.data = Dataset.open(root)
        self.settings = msgspec.convert(self.data.info.config, Settings)
        self.face = functools.lru_cache(maxsize=8)(self._face)
        self.prepared = functools.lru_cache(maxsize=2)(self._prepared)

    def _face(self, face_id: str) -> FaceInput:
        record = self.data.faces[face_id]
        return load_face(record, Path(self.settings.faces), self.data.root, self.settings.size_px)

    def _prepared(self, face_id: str) -> PreparedMesh:
        return MeshRenderer().prepare(self.face(face_id))

    def cases(self, clip_id: str) -> list[Case]:
        view: ClipView = self.data[clip_id]
        spec, own = view.spec, list(read_frames(view.path))
        others = sorted(set(self.data.faces) - {spec.face_id})
        rng = stream(1, "bench", "adherence", clip_id)
        other = self.face(others[int(rng.integers(len(others)))])
        kinds = [("untouched" if spec.phases else "untouched (neutral)", own)]
        kinds += spoilt(own, self.face(spec.face_id), other, rng)
        found = [Case(name, spec.emotion, self.judge(frames, spec, name)) for name, frames in kinds]
        for name, wrong in rendered_wrong(spec):
            planes = self.prepared(spec.face_id).frames(wrong)
            found.append(Case(name, spec.emotion, check_frames(self.coded(planes, spec), spec)))
        return found

    def judge(self, frames: Frames, spec: ClipSpec, name: str) -> Adherence:
        if name.startswith("untouched"):
            return check_frames(frames, spec)
        return check_frames(self.coded((rgb_to_yuv(frame) for frame in frames), spec), spec)

    def coded(self, planes: Any, spec: ClipSpec) -> Iterator[Picture]:
        """What is left of frames after the encoder."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "a.mp4"
            write_clip(
                file, planes, fps=spec.fps, size=spec.size_px, settings=EncoderSettings(), comment="bench"
            )
            yield from read_frames(file)


@functools.cache
def _worker(root: str) -> Worker:
    return Worker(root)


def work(job: tuple[str, str]) -> list[Case]:
    return _worker(job[0]).cases(job[1])


def table(cases: list[Case]) -> str:
    lines = [f"{'clips':<24} {'n':>4} {'accepted':>9} {'rejected':>9}  reasons"]
    for name in dict.fromkeys(case.failure for case in cases):
        reasons = Counter(case.found.verdict.reason for case in cases if case.failure == name)
        n, accepted = reasons.total(), reasons.pop(None, 0)
        why = ", ".join(f"{reason} {k}" for reason, k in reasons.most_common())
        lines.append(f"{name:<24} {n:>4} {accepted:>9} {n - accepted:>9}  {why}".rstrip())
    return "\n".join(lines)


VALUES: Final[dict[str, Callable[[Adherence], float | None]]] = {
    "repeated": lambda a: a.measured.repeated_share,
    "likeness": lambda a: a.measured.likeness,
    "unexplained": lambda a: a.measured.unexplained_mm,
    "duration": lambda a: a.measured.duration_ms,
    "onset error": lambda a: a.onset_error_ms,
    "apex error": lambda a: a.apex_error_ms,
    "agreement": lambda a: a.agreement,
}


def values(cases: list[Case]) -> str:
    """Least, median and largest of every measured value, by failure: what limits are chosen from."""
    lines = [f"{'clips':<24} " + " ".join(f"{name:^22}" for name in VALUES)]
    for name in dict.fromkeys(case.failure for case in cases):
        mine = [case.found for case in cases if case.failure == name]
        cells = []
        for read in VALUES.values():
            known = [v for v in map(read, mine) if v is not None]
            low, mid, high = np.quantile(known, (0, 0.5, 1)) if known else (np.nan,) * 3
            cells.append(f"{low:7.2f}{mid:7.2f}{high:7.2f} ")
        lines.append(f"{name:<24} " + " ".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="equime-adherence-") as name:
        chosen = CALIBRATION_FACES if arguments.calibrate else FACES
        data = make_clips(Path(name), chosen, arguments.clips, arguments.size)
        jobs = [(str(data.root), clip.clip_id) for clip in data.clips]
        with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
            cases = [case for found in pool.imap(work, jobs) for case in found]
    cases.sort(key=lambda case: not case.failure.startswith("untouched"))
    print(f"{len(jobs)} clips of {len(chosen)} faces, {arguments.size} px, {time.monotonic() - began:.0f} s")
    print(table(cases))
    if arguments.calibrate:
        print("\nleast, median, largest")
        print(values(cases))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.encode([case._asdict() for case in cases]))


if __name__ == "__main__":
    main()
