"""Head pose from the mesh's depth against known turns, beside a perspective-n-point fit.

    python bench/face_pose.py [--size 384]

Drawn faces are relief (their depth is known at every landmark). The picture is turned as that relief, seen in
parallel projection, by up to 30 degrees, and goes through the detector like any other. Beyond the face's outline
the relief falls off like the side of a head; hair and background turn along, which a film would not show. The fit
is OpenCV's solvePnP of the 468 points to the average drawn face with a focal length of 1.5 picture sides.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
from scipy.interpolate import griddata
from scipy.spatial import cKDTree

from equime.attribute_extraction.face_geometry import pose_deg
from equime.attribute_extraction.sampled_faces import sampled_faces
from equime.drawn_face import describe_face
from equime.frames import Frame

TURNS = [(yaw, 0) for yaw in (-30, -20, -10, 0, 10, 20, 30)] + [(0, pitch) for pitch in (-20, -10, 10, 20)]
FACES = {"tone 3, woman": (911, 3, "f"), "tone 8, man": (912, 8, "m"), "tone 5, woman": (915, 5, "f")}
EYES = [33, 263, 133, 362]

Image = np.ndarray


def relief(points: Image, size: int) -> Image:
    """Height towards the camera of every pixel, px."""
    y, x = np.mgrid[:size, :size].astype(float)
    flat, height = points[:468, :2].astype(float), -points[:468, 2].astype(float)
    inside = griddata(flat, height, (x, y), method="linear")
    away, nearest = cKDTree(flat).query(np.column_stack([x.ravel(), y.ravel()]))
    outside = (height[nearest] - 0.6 * away).reshape(size, size)
    lowest = np.median(height) - 0.26 * size
    smooth = cv2.GaussianBlur(np.where(np.isnan(inside), outside, inside), (0, 0), 3)
    return np.maximum(smooth, lowest) - lowest - 0.1 * size


def turned(rgb: Image, points: Image, yaw_deg: float, pitch_deg: float) -> Image:
    """The picture of the relief, turned to the subject's left and up."""
    height, centre = relief(points, len(rgb)).astype(np.float32), points[EYES, :2].mean(axis=0)
    y, x = np.mgrid[: len(rgb), : len(rgb)].astype(float)
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    from_x, from_y = x.copy(), y.copy()
    # The inverse of the turn, by iteration: where does the point come from that is seen here?
    for _ in range(60):
        z = cv2.remap(height, from_x.astype(np.float32), from_y.astype(np.float32), cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        dx, dy = from_x - centre[0], from_y - centre[1]
        seen_x = centre[0] + dx * np.cos(yaw) + z * np.sin(yaw)
        seen_y = centre[1] + dy * np.cos(pitch) - (z * np.cos(yaw) - dx * np.sin(yaw)) * np.sin(pitch)
        from_x += 0.5 * (x - seen_x)
        from_y += 0.5 * (y - seen_y)
    return cv2.remap(rgb, from_x.astype(np.float32), from_y.astype(np.float32), cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REPLICATE)  # fmt: skip


def fitted(points: Image, model: Image, size: int) -> tuple[float, float]:
    """Yaw and pitch of a perspective-n-point fit."""
    camera = np.array([[1.5 * size, 0, size / 2], [0, 1.5 * size, size / 2], [0, 0, 1]])
    _, turn, _ = cv2.solvePnP(model, points[:468, :2].astype(float), camera, None)
    facing = cv2.Rodrigues(turn)[0] @ [0, 0, -1]
    return float(np.degrees(np.arctan2(facing[0], -facing[2]))), float(np.degrees(np.arcsin(-facing[1])))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=384)
    size: int = parser.parse_args().size
    model = describe_face(1).landmarks(size)[:468].astype(float)
    true, mesh, pnp = [], [], []
    for name, (seed, tone, gender) in FACES.items():
        face = describe_face(seed, skin_tone=tone, gender=gender, beard="none", glasses=False)
        rgb, points = face.image(size), face.landmarks(size)
        print(f"{name}: (yaw, pitch) in degrees, by the mesh, by the fit")
        for turn in TURNS:
            image = turned(rgb, points, *turn)
            found = sampled_faces([Frame(0, 0.0, np.ascontiguousarray(image[..., ::-1]))]).faces
            if not found:
                print(f"  {turn!s:10} no face")
                continue
            true.append(turn)
            mesh.append(pose_deg(found[0].landmarks)[:2])
            pnp.append(fitted(found[0].landmarks, model, size))
            print(
                f"  {turn!s:10} {mesh[-1][0]:6.1f} {mesh[-1][1]:6.1f}   {pnp[-1][0]:6.1f} {pnp[-1][1]:6.1f}"
            )
    for axis, name in enumerate(("yaw", "pitch")):
        known = np.array(true, float)[:, axis]
        rows = np.array(true)[:, 1 - axis] == 0
        for label, found in (("mesh", mesh), ("fit", pnp)):
            values = np.array(found)[rows, axis]
            slope, offset = np.polyfit(known[rows], values, 1)
            error = np.abs(values - known[rows])
            print(f"{name:6}{label:5} n {rows.sum():3}  slope {slope:.2f}  at 0 {offset:5.1f} degrees  "
                  f"error: mean {error.mean():.1f}, largest {error.max():.1f} degrees")  # fmt: skip


if __name__ == "__main__":
    main()
