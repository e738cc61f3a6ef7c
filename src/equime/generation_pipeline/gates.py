"""Gates: which faces may carry a micro-expression, as configuration.

A clip's neutral frames are its photograph: a smile, an open mouth or closed eyes in it would be an expression
that no label speaks of. Every default is documented at its field with what it was set from.
"""

from __future__ import annotations

from typing import Literal

from equime.errors import InputError
from equime.types import FaceQuality, Record


class Gates(Record, frozen=True):
    """Thresholds of the gates. What they are measured on: `equime.types.FaceQuality`.

    Attributes:
        min_face_px: shorter side of the face in the source, pixels. 80 px is enlarged about 2.5 times for a
            512 px clip, the most that still looks like a photograph.
        min_sharpness: variance of the Laplacian of the face in a 256 px crop at standard contrast. Portraits have
            100 to 1000, soft paintings 60 to 70; blurred with a sigma of 2 px in the 512 px crop most have 12 to
            36, of 4 px 4 to 13 (with glasses 20).
        max_yaw_deg: head turn either way, by the mesh's own depth: a three-quarter portrait measures 22, a near
            profile 31. Not calibrated against known turns.
        max_pitch_deg: head tilt up or down.
        max_roll_deg: tilt to a shoulder. The crop is turned upright; beyond this, hair and neck look wrong.
        min_eye_open: lid gap over eye width of the narrower eye. Open eyes have 0.2 (narrow) to 0.45; low on
            purpose, so that nobody is left out for the shape of their eyes.
        max_mouth_open: gap between the inner lips over the mouth's width; parted lips that show teeth have
            0.15 and more.
        max_smile: lip-corner lift plus widening. Neutral portraits have -0.18 to 0.07, a broad smile 0.35.
        min_humanness: see `equime.face.quality.humanness`.
        several_faces: "reject" turns an image away that shows more than one face of comparable size,
            "largest" takes the largest.
        several_min_ratio: a face counts as another one from this share of the largest's size.
        min_detection: score of the detectors from which a spot counts as a face.
    """

    min_face_px: float = 80.0
    min_sharpness: float = 25.0
    max_yaw_deg: float = 27.0
    max_pitch_deg: float = 20.0
    max_roll_deg: float = 30.0
    min_eye_open: float = 0.14
    max_mouth_open: float = 0.12
    max_smile: float = 0.12
    min_humanness: float = 0.5
    several_faces: Literal["largest", "reject"] = "reject"
    several_min_ratio: float = 0.4
    min_detection: float = 0.5

    def __post_init__(self) -> None:
        """Refuse thresholds that mean nothing.

        Raises:
            InputError: names every one of them.
        """
        shares = ("min_humanness", "several_min_ratio", "min_detection")
        problems = [f"{name} = {getattr(self, name):g} is not in 0..1" for name in shares
                    if not 0 <= getattr(self, name) <= 1]  # fmt: skip
        positive = (
            "min_face_px",
            "min_sharpness",
            "max_yaw_deg",
            "max_pitch_deg",
            "max_roll_deg",
            "min_eye_open",
        )
        problems += [f"{name} = {getattr(self, name):g} is not 0 or more" for name in positive
                     if not getattr(self, name) >= 0]  # fmt: skip
        if problems:
            raise InputError("gates: " + "; ".join(problems))


def failures(quality: FaceQuality, gates: Gates) -> list[tuple[str, str]]:
    """Gates that a face does not pass, as (reason, message), the weightiest first.

    Every message gives the value, the threshold and the next step.
    """
    q, g = quality, gates
    turned = max(
        abs(q.yaw_deg) - g.max_yaw_deg, abs(q.pitch_deg) - g.max_pitch_deg, abs(q.roll_deg) - g.max_roll_deg
    )
    checks = [
        (q.humanness < g.min_humanness, "not_human",
         f"does not look human: humanness {q.humanness:.2f}, at least {g.min_humanness:g} needed; "
         "use a photograph of a person or lower min_humanness"),
        (q.face_px < g.min_face_px, "too_small",
         f"the face has {q.face_px:.0f} px, at least {g.min_face_px:g} needed; "
         "use a larger image or lower min_face_px"),
        (q.sharpness < g.min_sharpness, "blurred",
         f"sharpness {q.sharpness:.1f}, at least {g.min_sharpness:g} needed; "
         "use a sharper image or lower min_sharpness"),
        (turned > 0, "not_frontal",
         f"head turned by yaw {q.yaw_deg:.0f}, pitch {q.pitch_deg:.0f}, roll {q.roll_deg:.0f} degrees, "
         f"at most {g.max_yaw_deg:g}, {g.max_pitch_deg:g}, {g.max_roll_deg:g} allowed; use a frontal image"),
        (q.eye_open < g.min_eye_open, "eyes_closed",
         f"an eye is closed: {q.eye_open:.2f}, at least {g.min_eye_open:g} needed; use another image"),
        (q.smile > g.max_smile, "smiling",
         f"visibly smiling: {q.smile:.2f}, at most {g.max_smile:g} allowed; "
         "use a neutral image or raise max_smile"),
        (q.mouth_open > g.max_mouth_open, "mouth_open",
         f"the mouth is open: {q.mouth_open:.2f}, at most {g.max_mouth_open:g} allowed; "
         "use a neutral image or raise max_mouth_open"),
    ]  # fmt: skip
    return [(reason, message) for failed, reason, message in checks if failed]
