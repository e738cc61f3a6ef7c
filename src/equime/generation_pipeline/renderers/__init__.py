"""Renderers: (face, spec) to frames. The interface; each renderer is a module of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from equime.errors import WorkError
from equime.types import ClipSpec, Face, Labels

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


class BadVideo(WorkError):
    """What a model made is no video (NaN, black, too few frames): another attempt may do better."""


class Cost(NamedTuple):
    """What a clip takes.

    Attributes:
        seconds: of one device.
        basis: where the number comes from.
    """

    seconds: float
    basis: str


class Generator(Renderer, Protocol):
    """A renderer whose clips have to be looked at before they are believed; a model makes them, on few devices.

    Attributes:
        labels: whether AUs and timing are the spec's or have to be measured on the clip.
        gate_rejects: whether a clip that the adherence gate refuses is thrown away, or kept with what was measured.
        attempts: clips made for a spec at most.
        batch: clips that one pass makes.
        licence: of the weights.
    """

    labels: Labels
    gate_rejects: bool
    attempts: int
    batch: int
    licence: str

    def check_format(self, fps: float, n_frames: int, size_px: int) -> None:
        """Refuse a format that the model cannot make.

        Raises:
            InputError: naming the nearest possible value.
        """
        ...

    def require(self) -> None:
        """Whether clips can be made on this machine, without loading the model.

        Raises:
            MissingError, WorkError: packages or weights are not there, or damaged.
        """
        ...

    def load(self) -> None:
        """Load the model, where it is not loaded yet.

        Raises:
            MissingError, InputError, WorkError: it cannot be.
        """
        ...

    def n_devices(self) -> int:
        """Processes that can work side by side on this machine, at least 1."""
        ...

    def cost(self, n_frames: int, size_px: int) -> Cost:
        """What an attempt takes, as far as it is known without making one."""
        ...

    def prompt_of(self, spec: ClipSpec) -> str:
        """The text that a clip is made with."""
        ...

    def seed_of(self, spec: ClipSpec, attempt: int) -> int:
        """Seed of a clip's noise."""
        ...

    def videos(
        self, clips: Sequence[tuple[FaceInput, ClipSpec, int]]
    ) -> Iterator[NDArray[np.uint8] | BadVideo]:
        """Clips of one format, in order: uint8 (T, S, S, 3) RGB each, from face, spec and number of the attempt.

        Raises:
            MissingError, WorkError: the model cannot be loaded or run.
        """
        ...


def generator_of(renderer: Renderer) -> Generator | None:
    """The renderer as a `Generator`; None where it is none."""
    return cast("Generator", renderer) if hasattr(renderer, "videos") else None
