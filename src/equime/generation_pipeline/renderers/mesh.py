"""The embedded renderer: a photograph moved by muscles on a mesh, on a CPU, into Y, U and V planes.

Per face: mesh, textures and one displacement field per AU and side. Per frame: the fields' sum weighted by
the AU curves, the head's rotation in depth, then the triangles are drawn back to front. Every pixel's motion
is therefore known exactly (`equime.generation_pipeline.ground_truth`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.face import anatomy as a
from equime.face import muscles
from equime.generation_pipeline.renderers import (
    FaceInput,
    Params,
    Yuv,
    face_mesh,
    furrows,
    glasses,
    raster,
    textures,
)
from equime.generation_pipeline.trajectory import Trajectory, trajectory
from equime.seeding import stream
from equime.types import Camera, ClipSpec
from equime.video import rgb_to_yuv

F64 = NDArray[np.float64]

EYEBALL_RADIUS_MM: Final = 12.0
CAMERA_MM: Final = 800.0
"""Distance of the camera that movement towards it is seen from."""
LID_FOLLOWS_GAZE: Final = 0.020
"""Share of the lid gap that the upper lid follows the gaze down, per degree."""
LID_ROLL_MM: Final = (0.9, 0.6)
"""How much of the upper and the lower lid's rim is turned under in a closed eye."""
NOISE_BANK: Final = 1 << 21


@cache
def noise_bank() -> NDArray[np.int8]:
    """Standard normal draws times 32, the same in every process; frames read it from seeded offsets."""
    normal = stream(0, "sensor noise bank").standard_normal(NOISE_BANK, dtype=np.float32)
    return np.clip(np.rint(normal * 32), -127, 127).astype(np.int8)


class MeshRenderer:
    """Renderer ``mesh``. No parameters: what varies is in the spec."""

    name = "mesh"
    version = "1"

    def __init__(self) -> None:
        self.params: Params = {}

    def prepare(self, face: FaceInput) -> PreparedMesh:
        """Mesh, textures and furrows of a face; its AU fields follow when a clip needs them."""
        return PreparedMesh(face)


class PreparedMesh:
    """A face ready to be moved.

    Attributes:
        mesh: neutral mesh.
        landmarks: (478, 3) of the photograph.
        size: side of the picture in pixels.
    """

    def __init__(self, face: FaceInput):
        self.landmarks = np.asarray(face.landmarks, np.float64)
        self.size = face.image.shape[0]
        self.planes = rgb_to_yuv(face.image)
        seam = textures.lip_seam(self.planes[0], self.landmarks, face.px_per_mm)
        self.mesh = face_mesh.build(self.landmarks, seam, self.size, face.px_per_mm)
        self.frame = muscles.FaceFrame(self.landmarks, face.px_per_mm, seam)
        bare, self.glasses = glasses.take_off(self.planes, self.landmarks, face.px_per_mm)
        self.textures = textures.build(bare, self.mesh, self.landmarks)
        self.reliefs = furrows.build(self.frame, self.size)
        self._fields: dict[tuple[int, int], F64] = {}
        skin = self.mesh.is_skin
        self._skin = muscles.SkinPoints(self.frame.to_mm(self.mesh.xy[skin]), self.mesh.lip[skin])
        self._gaze_weight = [self._gaze_field(eye) for eye in (a.RIGHT, a.LEFT)]
        self._pivot = self._head_pivot()

    # -- movement ------------------------------------------------------------------------------------

    def field(self, au: int, side: int) -> F64:
        """Displacement (V, 2) in pixels of every vertex by one side of an AU at intensity E."""
        key = (au, side)
        if key not in self._fields:
            full = np.zeros_like(self.mesh.xy)
            full[self.mesh.is_skin] = self.frame.to_px(
                muscles.displacement_mm(self.frame, self._skin, au, side)
            )
            # Towards the background, which stays, movement fades as that of the head does.
            self._fields[key] = full * self.mesh.follows_head[:, None]
        return self._fields[key]

    def positions(self, track: Trajectory, frame: int) -> F64:
        """Vertices (V, 2) in pixels at a frame: the exact ground truth of the picture's motion."""
        xy = self.mesh.xy.copy()
        for column, au in enumerate(track.aus):
            if au in muscles.MUSCLES:
                for side, slot in ((a.LEFT, 0), (a.RIGHT, 1)):
                    share = float(track.curve[frame, column, slot]) / 5.0
                    if share:
                        xy += share * self.field(au, side)
        yaw, pitch = (float(g) for g in track.gaze_deg[frame])
        if pitch:
            for side in (a.LEFT, a.RIGHT):
                xy -= LID_FOLLOWS_GAZE * pitch * self.field(43, side)
        self._keep_order(xy)
        for hole in self.mesh.apertures:
            xy[hole.veil_upper], xy[hole.veil_lower] = hole.inner(xy, self.mesh.px_per_mm)
        if yaw or pitch:
            shift = self._gaze_shift(yaw, pitch)
            for eye, part in enumerate(self.mesh.eyeballs):
                xy[part] += self._gaze_weight[eye][:, None] * shift
        return self._turn_head(xy, self.mesh.depth, self.mesh.follows_head, track.head[frame])

    def glasses_at(self, track: Trajectory, frame: int) -> F64 | None:
        """Vertices (G, 2) of the glasses' layer at a frame; None without glasses."""
        layer = self.glasses
        if layer is None:
            return None
        return self._turn_head(layer.xy, layer.depth, np.ones(len(layer.xy)), track.head[frame])

    def landmarks_at(self, track: Trajectory, frame: int) -> F64:
        """Landmarks (478, 2) in pixels at a frame."""
        out = self.landmarks[:, :2].copy()
        moved = self.positions(track, frame)
        n = face_mesh.N_SKIN_LANDMARKS
        out[:n] += moved[:n] - self.mesh.xy[:n]
        shift = self._gaze_shift(*(float(g) for g in track.gaze_deg[frame]))
        for eye, part in enumerate(self.mesh.eyeballs):
            head = moved[part][0] - self.mesh.xy[part][0]
            out[n + 5 * eye : n + 5 * eye + 5] += shift + head
        return out

    def _gaze_shift(self, yaw_deg: float, pitch_deg: float) -> F64:
        radius = EYEBALL_RADIUS_MM * self.mesh.px_per_mm
        shift: F64 = radius * np.array([np.sin(np.deg2rad(yaw_deg)), -np.sin(np.deg2rad(pitch_deg))])
        return shift

    def _gaze_field(self, eye: int) -> F64:
        """The iris moves whole, the white around it gives way towards the corners of the eye."""
        ring = self.landmarks[a.IRIS[eye] : a.IRIS[eye] + 5, :2]
        radius = np.linalg.norm(ring[1:] - ring[0], axis=1).mean()
        distance = np.linalg.norm(self.mesh.xy[self.mesh.eyeballs[eye]] - ring[0], axis=1) / radius
        t = np.clip((distance - 1.25) / 1.6, 0.0, 1.0)
        weight: F64 = 1.0 - t * t * (3.0 - 2.0 * t)
        return weight

    def _keep_order(self, xy: F64) -> None:
        """Lips may touch but not pass each other: where a sum of AUs would cross them they meet. Lids may:
        the upper one lies over the lower.
        """
        hole = self.mesh.apertures[2]
        crossed = xy[hole.lower, 1] < xy[hole.upper, 1]
        if crossed.any():
            up, low = hole.upper[crossed], hole.lower[crossed]
            meet = 0.5 * (xy[up, 1] + xy[low, 1])
            xy[up, 1] = meet
            xy[low, 1] = meet

    def _head_pivot(self) -> F64:
        """The head turns about a point between the ears, on the level of the mouth's upper end."""
        ears = self.landmarks[[234, 454]].mean(axis=0)
        return np.array([ears[0], self.landmarks[a.SUBNASALE, 1], ears[2]])

    def _turn_head(self, xy: F64, depth: F64, follows: F64, head: NDArray[np.floating]) -> F64:
        if not np.any(head):
            return xy
        yaw, pitch, roll = np.deg2rad(np.asarray(head[:3], np.float64))
        scale = self.mesh.px_per_mm
        p = np.column_stack([xy, depth]) - self._pivot
        x = p[:, 0] * np.cos(yaw) - p[:, 2] * np.sin(yaw)
        z = p[:, 0] * np.sin(yaw) + p[:, 2] * np.cos(yaw)
        y = p[:, 1] * np.cos(pitch) + z * np.sin(pitch)
        nearer = CAMERA_MM / (CAMERA_MM - float(head[5]))
        turned = np.column_stack([x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)])
        moved = turned * nearer + self._pivot[:2] + scale * np.array([float(head[3]), -float(head[4])])
        return xy + follows[:, None] * (moved - xy)

    # -- pixels --------------------------------------------------------------------------------------

    def frames(self, spec: ClipSpec) -> Iterator[Yuv]:
        """The clip's frames; the yielded planes are reused."""
        yield from self.draw(trajectory(spec), spec.camera)

    def draw(self, track: Trajectory, camera: Camera) -> Iterator[Yuv]:
        """Frames of any movement, also one that no single spec describes; the yielded planes are reused."""
        canvas = _Canvas(self)
        depths = furrows.amounts(self.reliefs, track.aus, track.curve)
        rng = stream(camera.noise_seed, "sensor noise")
        offsets = rng.integers(0, NOISE_BANK - self.size * self.size, size=(len(track.time_ms), 3))
        for frame in range(len(track.time_ms)):
            canvas.shade(depths[frame])
            canvas.paint(self.positions(track, frame))
            canvas.put_on_glasses(self.glasses_at(track, frame))
            yield canvas.develop(float(track.light[frame]), camera.noise_sigma, offsets[frame])

    def luma_at(self, track: Trajectory, frames: Sequence[int]) -> NDArray[np.float32]:
        """Luma of single frames without light, noise and rounding, float32 (N, S, S), 16..235 (BT.709 limited)."""
        canvas = _Canvas(self)
        depths = furrows.amounts(self.reliefs, track.aus, track.curve)
        out = np.empty((len(frames), self.size, self.size), np.float32)
        for picture, frame in zip(out, frames, strict=True):
            canvas.shade(depths[frame])
            canvas.paint(self.positions(track, frame), chroma=False)
            canvas.put_on_glasses(self.glasses_at(track, frame))
            np.multiply(canvas.sums[0], np.float32(1 / (1 << raster.FRACTION_BITS)), out=picture)
        return out


class _Canvas:
    """Accumulators and output planes of one clip."""

    def __init__(self, prepared: PreparedMesh):
        self.prepared = prepared
        mesh, size, t = prepared.mesh, prepared.size, prepared.textures
        self.textures = t
        self.alpha = mesh.alpha.astype(np.float32)[:, None]
        self.chroma_triangles = np.vstack([mesh.eye_triangles, mesh.mouth_triangles, mesh.skin_triangles])
        self.sums = tuple(np.zeros((n, n), np.int16) for n in (size, size // 2, size // 2))
        self.out = Yuv(*(np.zeros(s.shape, np.uint8) for s in self.sums))
        self.luma, self.packed_luma = t.luma.copy(), t.packed_luma.copy()
        self.luma_at, self.chroma_at = t.luma_at.copy(), t.chroma_at.copy()
        self.depths = np.zeros(len(prepared.reliefs))
        self.lids_rolled = False
        still = mesh.xy.astype(np.float32)
        raster.draw_luma(self.packed_luma, still, self.luma_at, mesh.still_triangles, self.sums[0])
        still = textures.luma_to_chroma(mesh.xy).astype(np.float32)
        raster.draw_chroma(t.packed_chroma, still, self.chroma_at, mesh.still_triangles, *self.sums[1:])

    def shade(self, depths: F64) -> None:
        """Bring the luma texture's folds to these depths."""
        if np.array_equal(depths, self.depths):
            return
        changed = [
            r for r, new, old in zip(self.prepared.reliefs, depths, self.depths, strict=True) if new or old
        ]
        boxes = [(r.x0 + raster.PAD, r.y0 + raster.PAD, *r.relief.shape[::-1]) for r in changed]
        for x, y, w, h in boxes:
            self.luma[y : y + h, x : x + w] = self.textures.luma[y : y + h, x : x + w]
        for relief, depth in zip(self.prepared.reliefs, depths, strict=True):
            if depth:
                raster.shade(
                    self.luma, relief.x0 + raster.PAD, relief.y0 + raster.PAD, relief.relief, depth, 16
                )
        for x, y, w, h in boxes:
            raster.repack(self.luma, self.packed_luma, x, y, x + w, y + h)
        self.depths = depths

    def paint(self, xy: F64, *, chroma: bool = True) -> None:
        """Draw the mesh at these positions into the accumulators; without ``chroma`` only luma is right."""
        mesh, t = self.prepared.mesh, self.textures
        luma_xy = xy.astype(np.float32)
        chroma_xy = textures.luma_to_chroma(xy).astype(np.float32)
        self._roll_lids(xy)
        luma, u, v = self.sums
        raster.draw_luma(self.packed_luma, luma_xy, self.luma_at, mesh.eye_triangles, luma)
        for eye, part in enumerate(mesh.eyeballs):
            light = t.catchlights[eye]
            shift = xy[part.start] - mesh.xy[part.start]
            raster.add_light(luma, light.light, light.x + float(shift[0]), light.y + float(shift[1]))
        raster.draw_luma(self.packed_luma, luma_xy, self.luma_at, mesh.mouth_triangles, luma)
        raster.draw_luma(self.packed_luma, luma_xy, self.luma_at, mesh.skin_triangles, luma)
        raster.draw_veil(self.luma, luma_xy, self.luma_at, mesh.veil_triangles, self.alpha, luma)
        if not chroma:
            return
        raster.draw_chroma(t.packed_chroma, chroma_xy, self.chroma_at, self.chroma_triangles, u, v)
        for tex, total in ((t.u, u), (t.v, v)):
            raster.draw_veil(tex, chroma_xy, self.chroma_at, mesh.veil_triangles, self.alpha, total)

    def put_on_glasses(self, xy: F64 | None) -> None:
        """Draw the frame of glasses over the face."""
        layer = self.prepared.glasses
        if layer is None or xy is None:
            return
        luma_src, luma_dst = (2 * layer.xy).astype(np.float32), xy.astype(np.float32)
        chroma_src = (2 * textures.luma_to_chroma(layer.xy)).astype(np.float32)
        chroma_dst = textures.luma_to_chroma(xy).astype(np.float32)
        for index, (tex, total) in enumerate(zip(layer.planes, self.sums, strict=True)):
            src, dst = (luma_src, luma_dst) if index == 0 else (chroma_src, chroma_dst)
            raster.draw_masked(tex, layer.opacity[min(index, 1)], dst, src, layer.triangles, total)

    def _roll_lids(self, xy: F64) -> None:
        """As a lid closes its rim turns under: the margin shows what lay a little further from the eye, so
        that no sliver of iris or wet rim that the landmarks cut off with the lid travels along.
        """
        mesh = self.prepared.mesh
        closing = []
        for hole in mesh.apertures[:2]:
            rest = mesh.xy[hole.lower, 1] - mesh.xy[hole.upper, 1]
            now = xy[hole.lower, 1] - xy[hole.upper, 1]
            closed = np.clip(1.0 - now / np.maximum(rest, 1e-6), 0.0, 1.0)
            closed[[0, -1]] = 0.0
            closing.append(np.where(closed < 0.02, 0.0, closed))
        moving = any(c.any() for c in closing)
        if not moving and not self.lids_rolled:
            return
        self.lids_rolled = moving
        for hole, closed in zip(mesh.apertures[:2], closing, strict=True):
            for margin, veil, roll_mm in (
                (hole.upper, hole.veil_upper, -LID_ROLL_MM[0]),
                (hole.lower, hole.veil_lower, LID_ROLL_MM[1]),
            ):
                shift = closed * roll_mm * mesh.px_per_mm
                for at, rest_at, step in (
                    (self.luma_at, self.textures.luma_at, 2.0),
                    (self.chroma_at, self.textures.chroma_at, 1.0),
                ):
                    at[margin, 1] = rest_at[margin, 1] + step * shift
                    at[veil[1:-1]] = (rest_at[veil] + closed[:, None] * (at[margin] - rest_at[veil]))[1:-1]

    def develop(self, light: float, sigma: float, offsets: NDArray[np.integer]) -> Yuv:
        """Light, noise, rounding."""
        bank = noise_bank()
        for index, (total, plane) in enumerate(zip(self.sums, self.out, strict=True)):
            # Demosaicing and subsampling leave chroma with about half of luma's noise.
            strength = sigma if index == 0 else 0.5 * sigma
            raster.develop(
                total, 16 if index == 0 else 128, light, bank, int(offsets[index]), strength, plane
            )
        return self.out
