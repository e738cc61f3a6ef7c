"""Exact ground truth of a clip of the mesh renderer: landmarks, motion, timing, pose, as rendered.

Nothing here is estimated: the renderer draws triangles whose vertices these functions return. The one limit
is the picture itself: what a lid covers or a parting lip uncovers has no counterpart in the other frame, and
the field there belongs to what is in front.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError
from equime.generation_pipeline.renderers import raster
from equime.generation_pipeline.renderers.mesh import PreparedMesh
from equime.generation_pipeline.trajectory import Trajectory, frame_timing, trajectory
from equime.types import ClipSpec, FrameTiming

FLO_MAGIC: Final = 202021.25
"""First number of a Middlebury ``.flo`` file (Baker et al. 2011)."""


class GroundTruth:
    """What is known of every pixel of one clip.

    Attributes:
        spec: the clip's spec.
        track: AU curves, gaze, head pose and light of every frame.
        timing: onset, apex and offset frames; None for a neutral clip.
    """

    def __init__(self, prepared: PreparedMesh, spec: ClipSpec):
        self.spec = spec
        self.track: Trajectory = trajectory(spec)
        self.timing: FrameTiming | None = frame_timing(spec, self.track)
        self._prepared = prepared

    def landmarks(self, frame: int) -> NDArray[np.float32]:
        """Landmarks of a frame, float32 (478, 2), pixels with centres at integers."""
        return self._prepared.landmarks_at(self.track, self._check(frame)).astype(np.float32)

    def all_landmarks(self) -> NDArray[np.float32]:
        """Landmarks of every frame, float32 (T, 478, 2)."""
        return np.stack([self.landmarks(frame) for frame in range(self.spec.n_frames)])

    def motion_field(self, start: int, end: int) -> NDArray[np.float32]:
        """Where every pixel of frame ``start`` has gone by frame ``end``.

        Returns:
            float32 (S, S, 2): (dx, dy) in pixels, y down, as optical flow from ``start`` to ``end``.
        """
        before = self._prepared.positions(self.track, self._check(start))
        after = self._prepared.positions(self.track, self._check(end))
        mesh, size = self._prepared.mesh, self._prepared.size
        field = np.zeros((size, size, 2), np.float32)
        at, move = before.astype(np.float32), (after - before).astype(np.float32)
        alpha = mesh.alpha.astype(np.float32)[:, None]
        opaque = np.ones_like(alpha)
        for triangles in (mesh.eye_triangles, mesh.mouth_triangles, mesh.skin_triangles):
            raster.draw_attributes(at, move, triangles, opaque, field)
        raster.draw_attributes(at, move, mesh.veil_triangles, alpha, field)
        self._glasses_motion(start, end, field)
        return field

    def _glasses_motion(self, start: int, end: int, field: NDArray[np.float32]) -> None:
        layer = self._prepared.glasses
        before = self._prepared.glasses_at(self.track, start)
        after = self._prepared.glasses_at(self.track, end)
        if layer is None or before is None or after is None:
            return
        at, move = before.astype(np.float32), (after - before).astype(np.float32)
        own, opacity = np.zeros_like(field), np.zeros(field.shape[:2], np.int16)
        opaque = np.ones((len(at), 1), np.float32)
        raster.draw_attributes(at, move, layer.triangles, opaque, own)
        source = (2 * layer.xy).astype(np.float32)
        white = np.full_like(layer.opacity[0], 255)
        raster.draw_masked(white, layer.opacity[0], at, source, layer.triangles, opacity)
        field[opacity >= 128 << raster.FRACTION_BITS] = own[opacity >= 128 << raster.FRACTION_BITS]

    def _check(self, frame: int) -> int:
        if not 0 <= frame < self.spec.n_frames:
            raise InputError(f"frame {frame} is outside the clip's 0 to {self.spec.n_frames - 1}")
        return frame


def write_flo(path: str | os.PathLike[str], field: NDArray[np.float32]) -> None:
    """Write a motion field as a Middlebury ``.flo`` file (float32, little endian); whole or not at all.

    Args:
        path: file to write.
        field: float32 (H, W, 2).

    Raises:
        InputError: for another shape.
    """
    if field.ndim != 3 or field.shape[2] != 2:
        raise InputError(f"motion field has shape {field.shape}; expected (height, width, 2)")
    height, width, _ = field.shape
    header = np.float32(FLO_MAGIC).tobytes() + np.array([width, height], "<i4").tobytes()
    _write(Path(path), header + np.ascontiguousarray(field, "<f4").tobytes())


def read_flo(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read a Middlebury ``.flo`` file, float32 (H, W, 2).

    Raises:
        InputError: where the file is not one, or is cut short.
    """
    data = Path(path).read_bytes()
    if len(data) < 12 or np.frombuffer(data[:4], "<f4")[0] != np.float32(FLO_MAGIC):
        raise InputError(f"{path}: no Middlebury .flo file (its first number is not {FLO_MAGIC})")
    width, height = np.frombuffer(data[4:12], "<i4")
    if len(data) != 12 + 8 * int(width) * int(height):
        raise InputError(
            f"{path}: {len(data)} bytes, expected {12 + 8 * int(width) * int(height)}; cut short?"
        )
    return np.frombuffer(data[12:], "<f4").reshape(int(height), int(width), 2).astype(np.float32)


def export(
    truth: GroundTruth, folder: str | os.PathLike[str], *, flow: tuple[int, int] | None = None
) -> list[Path]:
    """Write a clip's ground truth into a folder: ``ground_truth.npz`` and, on request, a ``.flo`` field.

    The archive holds time_ms (T,), aus (A,), curve (T, A, 2), gaze_deg (T, 2), head (T, 6), light (T,),
    landmarks (T, 478, 2) and timing (onset, apex, offset frame; empty for a neutral clip).

    Args:
        truth: of the clip.
        folder: made if absent.
        flow: (from, to) frames; default onset to apex where the clip has them.

    Returns:
        The files written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    track, timing = truth.track, truth.timing
    frames = [timing.onset_frame, timing.apex_frame, timing.offset_frame] if timing else []
    archive = target / "ground_truth.npz"
    with tempfile.NamedTemporaryFile(dir=target, prefix=".ground_truth.partial-", delete=False) as file:
        np.savez_compressed(
            file,
            time_ms=track.time_ms,
            aus=np.array(track.aus, np.int16),
            curve=track.curve,
            gaze_deg=track.gaze_deg,
            head=track.head,
            light=track.light,
            landmarks=truth.all_landmarks(),
            timing=np.array(frames, np.int32),
        )
    os.replace(file.name, archive)
    written = [archive]
    if flow is None and timing:
        flow = (timing.onset_frame, timing.apex_frame)
    if flow:
        written.append(target / f"motion_{flow[0]:04d}_{flow[1]:04d}.flo")
        write_flo(written[-1], truth.motion_field(*flow))
    return written


def _write(path: Path, data: bytes) -> None:
    aside = path.with_name(f".{path.name}.partial-{os.getpid()}")
    aside.write_bytes(data)
    os.replace(aside, path)
