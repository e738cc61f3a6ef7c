"""Image to Face or Rejection, and Face to what a renderer needs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.sources import FaceSource
from equime.types import Face, Rejection

ALIGNER: Final = "mediapipe-face-mesh/0.10.21+eyes-mouth/1"


def ingest_image(item: FaceSource, gates: Gates) -> tuple[Face, NDArray[np.float32]] | Rejection:
    """Face and its (478, 3) landmarks in crop pixels, or why there is none; never raises for a bad image."""
    raise NotImplementedError


def load_face(face: Face, faces_root: Path, dataset_root: Path, size_px: int) -> FaceInput:
    """Re-make the aligned crop of a face from its source image."""
    raise NotImplementedError
