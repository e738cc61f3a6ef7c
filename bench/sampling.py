"""Time and memory of drawing the specs of a full preset, with their JSON lines.

python bench/sampling.py [--preset equime] [--faces 15000]
"""

from __future__ import annotations

import argparse
import resource
import time

from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.design import PRESETS, Design
from equime.seeding import canonical_json
from equime.types import Declared, Face, FaceQuality


def synthetic_face(i: int) -> Face:
    """A Face record that no image stands behind."""
    quality = FaceQuality(
        face_px=400.0, sharpness=200.0, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, eye_open=0.3,
        mouth_open=0.0, smile=0.0, humanness=1.0, n_faces=1,
    )  # fmt: skip
    return Face(
        face_id=f"{i:016x}", subject_id=f"{i:06d}", path=f"{i}.jpg", sha256="0" * 64, face_index=0,
        image_size=(1024, 1024), to_crop=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), landmarks=f"landmarks/{i}.npy",
        px_per_mm=2.5, source="synthetic", licence="none",
        declared=Declared(gender="f" if i % 3 else "m", age=float(20 + i % 50)), quality=quality,
        aligner="none",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="equime")
    parser.add_argument("--faces", type=int, default=15_000)
    args = parser.parse_args()
    preset = PRESETS[args.preset]
    started = time.perf_counter()
    design = Design(
        faces=[synthetic_face(i) for i in range(args.faces)],
        n_clips=preset.n_clips,
        seed=1,
        emotions=preset.emotions,
        balance={"gender": "equal"},
        fps=preset.fps,
        duration_ms=preset.duration_ms,
        size_px=preset.size_px,
    )
    n_clips = n_bytes = 0
    for spec in design.specs(CausalModel()):
        n_clips += 1
        n_bytes += len(canonical_json(spec)) + 1
    seconds = time.perf_counter() - started
    report_started = time.perf_counter()
    report = design.report()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"preset {preset.name}: {n_clips} specs of {report.n_identities} identities in {seconds:.1f} s")
    print(f"{seconds / n_clips * 1e3:.3f} ms per spec, {n_bytes / 1e6:.0f} MB of JSON lines")
    print(f"report in {time.perf_counter() - report_started:.1f} s, peak memory {peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
