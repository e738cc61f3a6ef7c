"""Renderer ``mesh-over-ltx``: LTX-Video makes a neutral clip that lives, the mesh renderer puts the movement on it.

Head motion, blinks and texture are the model's; the Action Units are the spec's, drawn on the face where it is in each
frame. Onset, apex, offset and AUs are therefore exact, whatever the model did, as long as what it made is neutral: the
adherence gate looks at that first, and then at the whole clip as at any other. Frames without movement are the model's,
untouched.
"""

from __future__ import annotations

from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.face.alignment import px_per_mm
from equime.face.landmarks import mesh as find_landmarks
from equime.generation_pipeline.diffusion.prompts import prompt_for
from equime.generation_pipeline.renderers import BadVideo, FaceInput
from equime.generation_pipeline.renderers.ltx import LtxRenderer
from equime.generation_pipeline.renderers.mesh import MeshRenderer
from equime.generation_pipeline.trajectory import Trajectory, trajectory
from equime.types import Camera, ClipSpec, Labels
from equime.video import yuv_to_rgb

NO_CAMERA: Final = Camera(
    noise_sigma=0.0, noise_seed=0, light_amplitude=0.0, light_period_ms=1000.0, light_phase_rad=0.0
)
"""Noise and light are the model's."""

SMOOTH_FRAMES: Final = 1.0
"""Standard deviation of the smoothing of landmarks over time: the detector trembles by some tenths of a pixel."""


class MeshOverLtx(LtxRenderer):
    """Renderer ``mesh-over-ltx``; options and attributes: `LtxRenderer`."""

    name = "mesh-over-ltx"
    version = "1"
    labels: Labels = "exact"

    def prompt_of(self, spec: ClipSpec) -> str:
        """The text of the neutral clip: `prompts` of the same spec without its movement."""
        return prompt_for(neutral(spec), self.options.prompt)

    def developed(
        self, made: NDArray[np.uint8], face: FaceInput, spec: ClipSpec
    ) -> NDArray[np.uint8] | BadVideo:
        """The movement on the model's neutral clip."""
        from equime.generation_pipeline.adherence import check_frames  # noqa: PLC0415

        if spec.phases is None:
            return made
        verdict = check_frames(made, neutral(spec)).verdict
        if not verdict.accepted and self.gate_rejects:
            return BadVideo(f"the model's clip cannot carry a movement ({verdict.reason}: {verdict.message})")
        return put_on(made, face, spec)


def neutral(spec: ClipSpec) -> ClipSpec:
    """The same clip without its micro-expression."""
    return msgspec.structs.replace(spec, emotion="neutral", aus=(), phases=None)


def put_on(made: NDArray[np.uint8], face: FaceInput, spec: ClipSpec) -> NDArray[np.uint8] | BadVideo:
    """Draw a spec's AUs on the frames of a neutral clip.

    Args:
        made: uint8 (T, S, S, 3) RGB.
        face: whose face; only its record is used.
        spec: what is to be seen.

    Returns:
        uint8 (T, S, S, 3); or why it cannot be done, where a frame that has to move shows no face.
    """
    # Blinks, gaze and head are the model's; what is left of gaze and head are AUs (51 to 64).
    track = trajectory(msgspec.structs.replace(spec, blinks=(), gaze=(), head=()))
    moving = np.flatnonzero(track.curve.any(axis=(1, 2)))
    found = _landmarks(made, moving)
    if isinstance(found, BadVideo):
        return found
    out = made.copy()
    for points, frame in zip(found, moving, strict=True):
        seen = FaceInput(face.face, made[frame], points, px_per_mm(points))
        (planes,) = MeshRenderer().prepare(seen).draw(_instant(track, int(frame)), NO_CAMERA)
        out[frame] = yuv_to_rgb(*planes)
    return out


def _landmarks(made: NDArray[np.uint8], frames: NDArray[np.intp]) -> NDArray[np.float32] | BadVideo:
    """Landmarks (F, 478, 3) of these frames, smoothed over time."""
    found = []
    for frame in frames:
        points = find_landmarks(made[frame])
        if points is None:
            return BadVideo(f"no face is found in frame {frame}, which has to move")
        found.append(points)
    rows = np.stack(found).astype(np.float32)
    flat = rows.reshape(len(rows), -1)
    smooth = cv2.GaussianBlur(
        flat, (1, 0), sigmaX=1e-3, sigmaY=SMOOTH_FRAMES, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(smooth, np.float32).reshape(rows.shape)


def _instant(track: Trajectory, frame: int) -> Trajectory:
    """One frame's movement, on a head that is where it is."""
    one = slice(frame, frame + 1)
    return Trajectory(
        time_ms=track.time_ms[one],
        aus=track.aus,
        curve=track.curve[one],
        gaze_deg=track.gaze_deg[one],
        head=track.head[one],
        light=np.ones(1, np.float32),
    )
