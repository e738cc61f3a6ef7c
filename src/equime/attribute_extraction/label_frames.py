"""The faces of a clip's sampled frames, cut out as a labeller wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equime.attribute_extraction.sampled_faces import sampled_faces
from equime.frames import Frame

Image = NDArray[np.uint8]
Points = NDArray[np.float32]


@dataclass(frozen=True)
class Crops:
    """The faces of a clip as a network wants them.

    Attributes:
        crops: uint8 (N, S, S, 3), one per frame with a face.
        notes: (code, message): "no_face" (in none of the frames), "frames_without_face", "several_faces".
    """

    crops: Image
    notes: tuple[tuple[str, str], ...]


def cut_faces(frames: Sequence[Frame], cut: Callable[[Image, Points], Image], size_px: int) -> Crops:
    """Find one person in the frames and cut the face out of each.

    Args:
        frames: sampled from a clip.
        cut: takes an RGB image and landmarks (478, 3), gives a crop (S, S, 3).
        size_px: S.
    """
    found = sampled_faces(frames)
    crops = [cut(face.rgb, face.landmarks) for face in found.faces]
    notes = found.notes()
    n_without = found.n_frames - len(crops)
    if crops and n_without:
        text = f"{n_without} of {found.n_frames} sampled frames show no face and were left out"
        notes += (("frames_without_face", text),)
    return Crops(np.stack(crops) if crops else np.zeros((0, size_px, size_px, 3), np.uint8), notes)
