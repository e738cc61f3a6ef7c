"""Ground truth of one clip of a Dataset, as files."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from equime.dataset import Dataset
from equime.errors import InputError
from equime.generation_pipeline.faces import load_face
from equime.generation_pipeline.ground_truth import GroundTruth, export
from equime.generation_pipeline.renderers.mesh import MeshRenderer
from equime.generation_pipeline.settings import Settings


def export_clip(out: str | Path, clip: str, folder: str | Path | None, flow: str | None) -> list[Path]:
    """Write a clip's curves, landmarks and motion field; see `ground_truth.export`.

    Args:
        out: the Dataset.
        clip: clip_id, or the clip's file or its stem.
        folder: where to; by default ``OUT/reports/ground_truth/<stem>``.
        flow: two frames as "from:to"; by default onset to apex.

    Returns:
        The files written.

    Raises:
        InputError: no such clip, a clip of another renderer, or frames that are none.
        WorkError: the source image is gone or changed.
    """
    frames = _frames(flow)
    dataset = Dataset.open(out)
    view = dataset[clip]
    if view.clip.renderer != MeshRenderer.name:
        raise InputError(
            f"{view.clip.file}: made by renderer {view.clip.renderer!r}; exact ground truth is "
            f"there for {MeshRenderer.name!r}"
        )
    settings = msgspec.convert(dataset.info.config, Settings)
    face = load_face(view.face, Path(settings.faces), dataset.root, view.spec.size_px)
    truth = GroundTruth(MeshRenderer().prepare(face), view.spec)
    target = Path(folder) if folder else dataset.root / "reports" / "ground_truth" / view.path.stem
    return export(truth, target, flow=frames)


def _frames(flow: str | None) -> tuple[int, int] | None:
    if flow is None:
        return None
    match = re.fullmatch(r"(\d+):(\d+)", flow)
    if match is None:
        raise InputError(f"flow {flow!r} is not from:to; use for example --flow 70:76")
    return int(match[1]), int(match[2])
