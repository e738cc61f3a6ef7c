"""Renderer ``ltx-keyframe``: LTX-Video fills in between frames of the ``mesh`` renderer that obey the spec.

Four mesh frames (the first, the last before the onset, the apex, the first after the offset) are given to the model as
conditions at their times. The autoencoder compresses time 8 to 1, a third of a second at 24 fps, which swallows a
micro-expression; the movement is therefore generated ``slow`` times slower and every ``slow``-th frame of it is kept.
The rest of the clip is generated at its own speed, so that this costs some 30 frames and not three times the clip.
Labels are measured, as those of ``ltx`` are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.generation_pipeline.diffusion.limits import CONDITION
from equime.generation_pipeline.diffusion.options import Value
from equime.generation_pipeline.diffusion.sampling import Request
from equime.generation_pipeline.renderers import BadVideo, Cost, FaceInput
from equime.generation_pipeline.renderers.ltx import LtxRenderer
from equime.generation_pipeline.renderers.mesh import MeshRenderer
from equime.generation_pipeline.trajectory import frame_timing, trajectory
from equime.types import ClipSpec
from equime.video import yuv_to_rgb

LONGEST_FRAMES: Final = 16
"""Frames of a movement at 24 fps that a plan counts with (500 ms and the neutral frames around it)."""


class LtxKeyframe(LtxRenderer):
    """Renderer ``ltx-keyframe``; options and attributes: `LtxRenderer`."""

    name = "ltx-keyframe"
    version = "1"
    defaults: Mapping[str, Value] = {"pipeline": CONDITION}
    slows = True

    def request_of(self, face: FaceInput, spec: ClipSpec, attempt: int) -> Request:
        """The clip on its slowed time axis, with mesh frames at their places."""
        wanted = super().request_of(face, spec, attempt)
        places = slowed(spec, self.options.slow)
        marks = keyframes(spec)
        made = _mesh_frames(face, spec, marks)
        return Request(
            label=wanted.label,
            image=wanted.image,
            prompt=wanted.prompt,
            seed=wanted.seed,
            n_frames=int(places[-1]) + 1,
            fps=wanted.fps,
            keyframes=tuple((int(places[frame]), made[frame]) for frame in marks),
        )

    def developed(
        self, made: NDArray[np.uint8], face: FaceInput, spec: ClipSpec
    ) -> NDArray[np.uint8] | BadVideo:
        """The frames that the clip shows, at its own speed."""
        return np.ascontiguousarray(made[slowed(spec, self.options.slow)])

    def cost(self, n_frames: int, size_px: int) -> Cost:
        """See `Generator.cost`: with the slowed movement."""
        return super().cost(n_frames + LONGEST_FRAMES * (self.options.slow - 1), size_px)


def slowed(spec: ClipSpec, slow: int) -> NDArray[np.int64]:
    """Where each frame of the clip lies on the generated time axis, int64 (T,), from 0, rising.

    Steps within the movement (from the last frame before the onset to the first after the offset) are ``slow`` frames
    wide, all others one.
    """
    steps = np.ones(spec.n_frames, np.int64)
    steps[0] = 0
    if (marks := keyframes(spec)) and len(marks) > 1:
        steps[marks[0] + 1 : marks[-1] + 1] = slow
    return np.cumsum(steps)


def keyframes(spec: ClipSpec) -> tuple[int, ...]:
    """Frames that the mesh renderer gives: before the onset, apex, after the offset; none of a neutral clip.

    Frame 0 is the photograph and is given anyway.
    """
    timing = frame_timing(spec, trajectory(spec))
    if timing is None:
        return ()
    around = {timing.onset_frame - 1, timing.apex_frame, timing.offset_frame + 1}
    return tuple(sorted(frame for frame in around if 0 < frame < spec.n_frames))


def _mesh_frames(face: FaceInput, spec: ClipSpec, wanted: tuple[int, ...]) -> dict[int, NDArray[np.uint8]]:
    """Frames of the mesh renderer, uint8 (S, S, 3) RGB."""
    if not wanted:
        return {}
    found = {}
    for i, planes in enumerate(MeshRenderer().prepare(face).frames(spec)):
        if i in wanted:
            found[i] = yuv_to_rgb(*planes)
        if i >= wanted[-1]:
            break
    return found
