"""Reading and writing a Dataset of 75,000 clips: seconds and peak memory per step. Videos are not made.

Run: .venv/bin/python bench/dataset_scale.py [N_CLIPS]
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from equime import layout
from equime.dataset import FORMAT_VERSION, Dataset, Info, read_status
from equime.generation_pipeline import pipeline, render, views
from equime.generation_pipeline.captions import write_captions
from equime.generation_pipeline.settings import Settings, make_settings
from equime.generation_pipeline.trajectory import frame_timing, trajectory
from equime.locks import Shard
from equime.progress import Silent
from equime.provenance import provenance
from equime.records import write_records
from equime.types import Clip, Declared, Face, FaceQuality


def face(i: int) -> Face:
    quality = FaceQuality(
        face_px=300, sharpness=200, yaw_deg=0, pitch_deg=0, roll_deg=0, eye_open=0.3, mouth_open=0, smile=0,
        humanness=1, n_faces=1,
    )  # fmt: skip
    return Face(
        face_id=f"{i:016x}", subject_id=str(i), path=f"{i}.jpg", sha256=f"{i:064x}", face_index=0,
        image_size=(1024, 1024), to_crop=(1, 0, 0, 0, 1, 0), landmarks=f"faces/{i:016x}.npy", px_per_mm=2.5,
        source="folder", licence="CC0-1.0", declared=Declared(gender="fm"[i % 2]), quality=quality, aligner="bench",
    )  # fmt: skip


def fake_clips(root: Path, settings: Settings) -> None:
    """A record for every spec, without a video."""
    dataset = Dataset.open(root)

    def clips():
        for spec in dataset.iterate_specs():
            timing = frame_timing(spec, trajectory(spec))
            gender = dataset.faces[spec.face_id].declared.gender
            yield Clip(
                clip_id=render.clip_id_of(spec.spec_id, settings), spec_id=spec.spec_id, face_id=spec.face_id,
                file=layout.clip_file(spec.emotion, spec.subject_id, spec.sequence, gender), sha256="0" * 64,
                renderer="mesh", renderer_version="1", renderer_params={}, encoder=settings.encoder.as_params(),
                n_frames=144, fps=24.0, width=512, height=512, codec="h264", pix_fmt="yuv420p", duration_ms=6000.0,
                size_bytes=400_000, bitrate_kbps=533.3, timing=timing, captions=write_captions(spec, timing),
            )  # fmt: skip

    write_records(root / layout.clips_name(Shard()), clips())


def main(n_clips: int) -> None:
    root = Path(tempfile.mkdtemp(prefix="equime-scale-"))
    settings = make_settings(root, clips=n_clips)
    faces = [face(i) for i in range(n_clips // 5)]
    write_records(root / layout.FACES, faces)
    info = Info(
        format_version=FORMAT_VERSION, preset=None, config=msgspec.to_builtins(settings), provenance=(provenance(),)
    )  # fmt: skip
    (root / layout.INFO).write_bytes(msgspec.json.encode(info))
    steps: list[tuple[str, Callable[[], Any]]] = [
        ("plan all specs", lambda: pipeline._plan(settings, pipeline.make_design(settings, faces), root, Silent())),
        ("(make fake clip records)", lambda: fake_clips(root, settings)),
        ("status", lambda: read_status(root)),
        ("schedule, nothing done", lambda: sum(1 for _ in pipeline._jobs(settings, root, Shard(), set(), None))),
        ("read clips", lambda: len(Dataset.open(root).clips)),
        ("iterate clips, specs, faces", lambda: sum(1 for _ in Dataset.open(root))),
        ("last clip by position", lambda: Dataset.open(root)[-1]),
        ("to_pandas", lambda: len(Dataset.open(root).to_pandas())),
        ("metadata.jsonl", lambda: sum(1 for _ in views.video_folder_lines(Dataset.open(root)))),
        ("au_curves.parquet", lambda: views._write_curves(Dataset.open(root), root / layout.AU_CURVES, "x", Silent())),
    ]  # fmt: skip
    print(f"{n_clips} clips, {len(faces)} faces")
    for name, step in steps:
        measure(name, step)
    for path in sorted(root.rglob("*")):
        if path.is_file():
            print(f"{path.relative_to(root)!s:28} {path.stat().st_size / 1e6:9.1f} MB")


def measure(name: str, step: Callable[[], Any]) -> None:
    """In a process of its own, so that peaks do not add up."""

    def child() -> None:
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        step()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"{name:28} {seconds:8.2f} s   peak {peak / 1024:6.0f} MB (+{(peak - base) / 1024:.0f})",
            flush=True,
        )

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0, name


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 75_000)
