"""Renderers: (face, spec) to frames. The interface; each renderer is a module of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from equime.types import ClipSpec, Face

Params = dict[str, float | int | str | bool]


class Yuv(NamedTuple):
    """One planar 4:2:0 frame, BT.709 limited range.

    The arrays may be overwritten when the next frame is asked for: use or copy them before.
    """

    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]


@dataclass(frozen=True)
class FaceInput:
    """What a renderer is given of a face.

    Attributes:
        face: the record.
        image: uint8 (S, S, 3) RGB, the aligned crop at the clip's size.
        landmarks: float32 (478, 3) in pixels of ``image``; z in the same unit, negative towards the camera.
        px_per_mm: scale of the face in ``image``.
    """

    face: Face
    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    px_per_mm: float


class PreparedFace(Protocol):
    """A face made ready by a renderer; holds whatever can be computed once per face."""

    def frames(self, spec: ClipSpec) -> Iterator[Yuv]:
        """The ``spec.n_frames`` frames of a clip, in order."""
        ...


class Renderer(Protocol):
    """Makes frames from a face and a spec.

    Attributes:
        name: key in the registry.
        version: bumped whenever the pixels change; part of every clip id.
        params: settings that change the pixels; part of every clip id.
    """

    name: str
    version: str
    params: Params

    def prepare(self, face: FaceInput) -> PreparedFace:
        """Do the work that is shared by all clips of this face."""
        ...
