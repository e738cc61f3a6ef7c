"""Where the head is and how it is turned: pose, size, and how many faces there are, in a few frames of a clip.

Angles are seen from the camera. Yaw is positive when the head turns to the subject's left (the right of the
picture), pitch when it turns up, roll when it tilts to the subject's left shoulder. Yaw and pitch come from the
depth of MediaPipe's face mesh (`equime.face.quality.yaw_pitch`), which is flatter than a head: a turn reads about
a fifth to a quarter smaller than it is (``bench/face_pose.py``), alike to both sides. A neutral frontal face has
a pitch within a few degrees of 0, depending on its shape. Roll is the slope of the line between the eyes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from equime.annotation.annotators import ClipContext, Metric, Row, Session, Value
from equime.attribute_extraction.sampled_faces import (
    Points,
    SampledFace,
    SampledFaces,
    SampleSession,
    sampled_faces,
)
from equime.face.alignment import LEFT_IRIS, RIGHT_IRIS
from equime.face.anatomy import CHIN_TIP, FACE_OVAL, FOREHEAD_TOP
from equime.face.quality import yaw_pitch

_MESH: Final = "Kartynnik et al. 2019"
_EDGES: Final = (234, 454)
"""In front of the subject's right and left ear."""

METRICS: Final = (
    Metric("measured_yaw_deg", "deg", -180.0, 180.0, "none",
           "Turn of the head to the subject's left; median of the sampled frames.", _MESH),
    Metric("measured_pitch_deg", "deg", -180.0, 180.0, "none",
           "Turn of the head upwards; median of the sampled frames.", _MESH),
    Metric("measured_roll_deg", "deg", -180.0, 180.0, "none",
           "Tilt of the head to the subject's left shoulder; median of the sampled frames.", _MESH),
    Metric("yaw_range_deg", "deg", 0.0, 360.0, "none", "Largest less smallest yaw.", "equime"),
    Metric("pitch_range_deg", "deg", 0.0, 360.0, "none", "Largest less smallest pitch.", "equime"),
    Metric("roll_range_deg", "deg", 0.0, 360.0, "none", "Largest less smallest roll.", "equime"),
    Metric("eye_distance_px", "px", 0.0, None, "none",
           "Distance between the irises in the picture, as it is seen.", _MESH),
    Metric("face_height_px", "px", 0.0, None, "none", "From the top of the forehead to the chin.", _MESH),
    Metric("face_width_px", "px", 0.0, None, "none", "From ear to ear, as it is seen.", _MESH),
    Metric("face_share", "1", 0.0, None, "none",
           "Area of the face's outline over that of the picture.", "equime"),
    Metric("n_faces_max", "1", 0.0, None, "none", "Largest number of faces found in a sampled frame.",
           "Bazarevsky et al. 2019", type="whole"),
    Metric("n_face_frames", "1", 0.0, None, "none", "Sampled frames in which the face was found.", "equime",
           type="whole"),
    Metric("n_sampled_frames", "1", 0.0, None, "none", "Frames that were looked at.", "equime", type="whole"),
)  # fmt: skip


class FaceGeometry:
    """Annotator ``face_geometry``."""

    name = "face_geometry"
    version = "1"
    metrics = METRICS
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False

    def start(self, clip: ClipContext) -> Session:
        """Open a session."""
        return SampleSession(lambda frames: geometry_row(sampled_faces(frames)))


def geometry_row(sample: SampledFaces) -> Row:
    """The row of a clip of which these frames were looked at."""
    values: dict[str, Value] = dict.fromkeys(metric.name for metric in METRICS)
    values |= {
        "n_faces_max": sample.n_faces_max,
        "n_face_frames": len(sample.faces),
        "n_sampled_frames": sample.n_frames,
    }
    if sample.faces:
        values |= _geometry(sample.faces)
    return Row(values, notes=sample.notes())


def _geometry(faces: Sequence[SampledFace]) -> dict[str, Value]:
    angles = np.array([pose_deg(face.landmarks) for face in faces])
    middle, spread = np.median(angles, axis=0), np.ptp(angles, axis=0)
    points = [face.landmarks for face in faces]
    outlines = [cv2.contourArea(p[list(FACE_OVAL), :2]) for p in points]
    shares = [area / face.rgb[..., 0].size for area, face in zip(outlines, faces, strict=True)]
    values: dict[str, Value] = {}
    for axis, name in enumerate(("yaw", "pitch", "roll")):
        values[f"measured_{name}_deg"] = float(middle[axis])
        values[f"{name}_range_deg"] = float(spread[axis])
    return values | {
        "eye_distance_px": _median_distance(points, RIGHT_IRIS[0], LEFT_IRIS[0]),
        "face_height_px": _median_distance(points, FOREHEAD_TOP, CHIN_TIP),
        "face_width_px": _median_distance(points, *_EDGES),
        "face_share": float(np.median(shares)),
    }


def pose_deg(landmarks: Points) -> tuple[float, float, float]:
    """Yaw, pitch and roll of a head, degrees; signs as above.

    Args:
        landmarks: (478, 3), pixels, z in the same unit and negative towards the camera.
    """
    yaw, pitch = yaw_pitch(landmarks)
    across = (landmarks[LEFT_IRIS[0], :2] - landmarks[RIGHT_IRIS[0], :2]).astype(np.float64)
    return yaw, pitch, float(np.degrees(np.arctan2(across[1], across[0])))


def _median_distance(points: Sequence[Points], first: int, second: int) -> float:
    return float(np.median([np.hypot(*(p[first, :2] - p[second, :2])) for p in points]))
