"""How exact the movement of ``mesh-over-ltx`` is on a face that moves, where no image-to-video model is at hand.

    python bench/hybrids.py [--faces 6] [--size 256]

Neutral clips in which the head turns, tilts and drifts more than in any set of equime stand for what a model makes (drawn
faces, rendered, so the stand-in is kinder than a model: light and texture stay). The movement of a spec of the causal model
is put on them as the renderer does, and both these clips and plain ``mesh`` clips of the same specs are judged by the
adherence gate: accepted, onset and apex measured less intended, agreement of the regions. Weak expressions are among them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from PIL import Image

import equime
from equime.dataset import Dataset
from equime.drawn_face import draw_face
from equime.generation_pipeline.adherence import check_frames
from equime.generation_pipeline.adherence_records import Adherence
from equime.generation_pipeline.faces import load_face
from equime.generation_pipeline.renderers import BadVideo
from equime.generation_pipeline.renderers.mesh import MeshRenderer
from equime.generation_pipeline.renderers.mesh_over_ltx import neutral, put_on
from equime.types import HeadWave
from equime.video import read_frames, yuv_to_rgb

SEED: Final = 951
TONES: Final = (1, 3, 5, 7, 9, 10)
EMOTIONS: Final = ("happiness", "surprise", "anger", "disgust")
HEAD: Final = (
    HeadWave(axis="yaw_deg", amplitude=5.0, period_ms=2500.0, phase_rad=0.0),
    HeadWave(axis="roll_deg", amplitude=2.0, period_ms=2100.0, phase_rad=1.0),
    HeadWave(axis="x_mm", amplitude=5.0, period_ms=1800.0, phase_rad=2.0),
)


def clips_of(folder: Path, n_faces: int, size: int) -> tuple[Dataset, Path]:
    source = folder / "faces"
    source.mkdir()
    for i in range(n_faces):
        picture = draw_face(SEED + i, skin_tone=TONES[i % len(TONES)])
        Image.fromarray(picture).save(source / f"bench_{SEED + i}.png")
    data = equime.generate(
        source, folder / "out", clips=n_faces * len(EMOTIONS), seed=SEED, emotions=EMOTIONS, fps=24.0, duration_s=2.5,
        size_px=size, licence="CC0-1.0", workers=0,
    )  # fmt: skip
    return data, source


def judged(data: Dataset, source: Path, size: int) -> Iterator[tuple[str, str, Adherence | None]]:
    """(kind, emotion, what the gate says) of every clip; None where the movement could not be put on."""
    for view in data:
        spec = view.spec
        yield "mesh", spec.emotion, check_frames(read_frames(view.path), spec)
        face = load_face(view.face, source, data.root, size)
        still = msgspec.structs.replace(neutral(spec), head=HEAD)
        living = np.stack([yuv_to_rgb(*planes) for planes in MeshRenderer().prepare(face).frames(still)])
        yield "neutral, moving head", spec.emotion, check_frames(living, neutral(spec))
        made = put_on(living, face, spec)
        yield "put on", spec.emotion, None if isinstance(made, BadVideo) else check_frames(made, spec)


def spread(values: list[float]) -> str:
    if not values:
        return "-"
    low, middle, high = np.percentile(np.array(values), (10, 50, 90))
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--faces", type=int, default=6)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    found: dict[str, list[Adherence | None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, _, adherence in judged(*clips_of(Path(folder), options.faces, options.size), options.size):
            found.setdefault(kind, []).append(adherence)
    print("clips | accepted | onset error ms, median (10 to 90 %) | apex error ms | agreement | reasons")
    for kind, items in found.items():
        seen = [item for item in items if item is not None]
        accepted = sum(item.verdict.accepted for item in seen)
        reasons = Counter(item.verdict.reason for item in seen if item.verdict.reason)
        print(
            f"{kind} | {accepted} of {len(items)} | "
            f"{spread([i.onset_error_ms for i in seen if i.onset_error_ms is not None])} | "
            f"{spread([i.apex_error_ms for i in seen if i.apex_error_ms is not None])} | "
            f"{spread([i.agreement for i in seen if i.agreement is not None])} | "
            f"{', '.join(f'{reason} {n}' for reason, n in reasons.most_common()) or 'none'}"
        )


if __name__ == "__main__":
    main()
