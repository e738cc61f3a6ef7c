"""Milliseconds per image and stage of ingest, for a 1024 px JPEG made from scikit-image's astronaut.

    python bench/ingest.py [--repeats N]

Prints one line per stage (median and share) and the rate of the whole function in one process.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import skimage.data
from PIL import Image

from equime.face import landmarks, quality
from equime.face.alignment import align, aligned_crop
from equime.face.images import decode
from equime.generation_pipeline.faces import ingest_image
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.sources import find_faces
from equime.types import CROP_PX


def median_ms(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def photograph() -> bytes:
    head = skimage.data.astronaut()[0:300, 75:375]
    image = Image.fromarray(cv2.resize(head, (1024, 1024), interpolation=cv2.INTER_CUBIC))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92)
    return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    start = time.perf_counter()
    landmarks.models()
    print(f"models, once per process    {(time.perf_counter() - start) * 1e3:8.1f} ms")

    data = photograph()
    rgb = decode(data)
    boxes = landmarks.find_boxes(rgb)
    first = landmarks.mesh_in_box(rgb, boxes[0])
    assert first is not None
    to_crop = align(first)
    crop = aligned_crop(rgb, to_crop, CROP_PX)
    points = landmarks.mesh(crop)
    assert points is not None
    stages: dict[str, Callable[[], object]] = {
        "digest": lambda: hashlib.sha256(data).hexdigest(),
        "decode": lambda: decode(data),
        "detect": lambda: landmarks.find_boxes(rgb),
        "mesh in the image": lambda: landmarks.mesh_in_box(rgb, boxes[0]),
        "align and crop": lambda: aligned_crop(rgb, align(first), CROP_PX),
        "mesh of the crop": lambda: landmarks.mesh(crop),
        "humanness": lambda: quality.humanness(crop, points),
        "all measurements": lambda: quality.measure(crop, points, face_px=1.0, roll_deg=0.0, n_faces=1),
    }
    for name, work in stages.items():
        print(f"{name:<27} {median_ms(work, repeats):8.1f} ms")

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "face.jpg").write_bytes(data)
        (item,) = find_faces(Path(folder))[0]
        gates = Gates(max_smile=1.0, max_mouth_open=1.0)
        whole = median_ms(lambda: ingest_image(item, gates), repeats)
    print(f"{'ingest_image':<27} {whole:8.1f} ms = {1e3 / whole:.1f} images/s in one process")


if __name__ == "__main__":
    main()
