"""DeepFace's labels through equime against ``DeepFace.analyze`` on the same crops, in one process and run.

    python bench/deepface_labels.py [--frames 5] [--repeats 3] [--backends onnx,torch] [--trunks shared,different]

The networks have the real architectures and sizes with random weights; time does not depend on their values. "shared":
the convolutions of age, gender and race are the same bit for bit, as transfer learning with frozen layers leaves them.
"different": they are not, so that nothing can be shared. Weights are loaded beforehand on both sides. Both use the
same number of threads; sides take turns, and the ratio is that of the medians, in wall time and in processor time
(which says more where other programs run beside).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
ENGINES = {"torch": "pytorch", "onnx": "onnx"}


def crops(n: int) -> np.ndarray:
    """The astronaut's face as the annotator cuts it, the picture a little darker each time."""
    from equime.attribute_extraction.face_framing import tight_box  # noqa: PLC0415
    from equime.face.landmarks import find_boxes, mesh_in_box  # noqa: PLC0415

    rgb = data.astronaut()
    landmarks = mesh_in_box(rgb, find_boxes(rgb)[0])
    return np.stack([tight_box((rgb * (1 - 0.1 * i)).astype(np.uint8), landmarks) for i in range(n)])


@contextlib.contextmanager
def deepfaces_way(backend: str, home: Path) -> Iterator[Callable[[np.ndarray], list[dict[str, Any]]]]:
    """``DeepFace.analyze`` on a crop, with models of its own from the same files."""
    from equime.attribute_extraction.deepface_models import module  # noqa: PLC0415

    deepface, modeling = module("DeepFace"), module("modules.modeling")
    module("commons.backend_utils")._backend_engine = ENGINES[backend]
    modeling.cached_models = {task: {} for task in modeling.AVAILABLE_MODELS}
    os.environ["DEEPFACE_HOME"] = str(home / "deepface")
    options = {"detector_backend": "skip", "enforce_detection": False, "silent": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield lambda faces: [
            deepface.analyze(np.ascontiguousarray(f[..., ::-1]), **options)[0] for f in faces
        ]
    modeling.cached_models = {task: {} for task in modeling.AVAILABLE_MODELS}


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, processor seconds, and what came out."""
    wall, processor = time.perf_counter(), time.process_time()
    made = work()
    return time.perf_counter() - wall, time.process_time() - processor, made


def difference(ours: dict[str, np.ndarray], theirs: list[dict[str, Any]]) -> float:
    """Largest difference of a probability of gender, race or emotion."""
    worst = 0.0
    for name in ("gender", "race", "emotion"):
        expected = np.array([[p / 100 for p in found[name].values()] for found in theirs])
        worst = max(worst, float(np.abs(ours[name] - expected).max()))
    return worst


def compare(backend: str, shared: bool, faces: np.ndarray, repeats: int) -> None:
    from equime.attribute_extraction import deepface_models as models  # noqa: PLC0415
    from tests.attribute_extraction.deepface_files import save_onnx, save_torch  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        os.environ["EQUIME_WEIGHTS"] = name
        save = {"torch": save_torch, "onnx": save_onnx}[backend]
        save(Path(name) / "deepface/.deepface/weights", shared=shared)
        models.forget()
        networks = models.networks(backend)
        assert networks.shared is shared, "the files are not what they should be"
        with deepfaces_way(backend, Path(name)) as analyze:
            theirs, ours = analyze(faces[:1]), networks.probabilities(faces)
            times = []
            for _ in range(repeats):
                *slow, theirs = timed(lambda: analyze(faces))
                *fast, ours = timed(lambda: networks.probabilities(faces))
                times.append((*slow, *fast))
        models.forget()
    slow_s, slow_cpu_s, fast_s, fast_cpu_s = np.median(times, axis=0) / len(faces)
    print(
        f"{backend:5s} {'shared' if shared else 'different':9s} analyze {slow_s:6.2f} s a frame ({slow_cpu_s:.2f} s of processor)"
        f"  equime {fast_s:6.2f} ({fast_cpu_s:.2f})  ratio {slow_s / fast_s:4.1f} ({slow_cpu_s / fast_cpu_s:.1f})"
        f"  largest difference {difference(ours, theirs):.0e}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--backends", default="onnx,torch")
    parser.add_argument("--trunks", default="shared,different")
    options = parser.parse_args()
    faces = crops(options.frames)
    threads = os.environ.get("OMP_NUM_THREADS", f"all {os.cpu_count()}")
    print(f"{options.frames} faces of 224 x 224 px a batch, median of {options.repeats}, threads: {threads}")
    for backend in options.backends.split(","):
        for trunk in options.trunks.split(","):
            compare(backend, trunk == "shared", faces, options.repeats)


if __name__ == "__main__":
    main()
