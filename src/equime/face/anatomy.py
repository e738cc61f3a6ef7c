"""Where things are on the face mesh: landmark indices by anatomical name, and the lid and lip contours.

Indices are those of MediaPipe's face mesh (468 points plus 2 x 5 iris points). The first of each pair is the
subject's right (left half of an upright picture), the second the subject's left.
"""

from __future__ import annotations

from typing import Final

Pair = tuple[int, int]
RIGHT, LEFT = 0, 1

BROW_INNER: Final[Pair] = (107, 336)
BROW_INNER_LOW: Final[Pair] = (55, 285)
BROW_MID: Final[Pair] = (105, 334)
BROW_OUTER: Final[Pair] = (63, 293)
BROW_TAIL: Final[Pair] = (70, 300)
EYE_OUTER: Final[Pair] = (33, 263)
EYE_INNER: Final[Pair] = (133, 362)
IRIS: Final[Pair] = (468, 473)
NASAL_ROOT: Final[Pair] = (193, 417)
ALA: Final[Pair] = (129, 358)
NOSTRIL_BASE: Final[Pair] = (98, 327)
NOSE_SIDE: Final[Pair] = (198, 420)
INFRAORBITAL: Final[Pair] = (118, 347)
CHEEK: Final[Pair] = (50, 280)
CHEEK_BONE: Final[Pair] = (123, 352)
LOW_CHEEK: Final[Pair] = (205, 425)
LATERAL_CHEEK: Final[Pair] = (187, 411)
MOUTH_CORNER: Final[Pair] = (61, 291)
UPPER_LIP_SIDE: Final[Pair] = (39, 269)
LOWER_LIP_SIDE: Final[Pair] = (181, 405)
CHIN_SIDE: Final[Pair] = (194, 418)
JAW_FRONT: Final[Pair] = (150, 379)
JAW_ANGLE: Final[Pair] = (172, 397)

GLABELLA, NASION, NOSE_TIP, SUBNASALE = 9, 168, 1, 2
UPPER_LIP_TOP, SEAM_UPPER, SEAM_LOWER, LOWER_LIP_BOTTOM = 0, 13, 14, 17
CHIN_BOSS, CHIN_TIP, FOREHEAD_TOP = 199, 152, 10

# Lid contours from the outer to the inner corner, corners included, upper and lower in step.
UPPER_LID: Final = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (263, 466, 388, 387, 386, 385, 384, 398, 362),
)
LOWER_LID: Final = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133),
    (263, 249, 390, 373, 374, 380, 381, 382, 362),
)

# Lip line from the right to the left corner of the inner lips, corners included, upper and lower in step.
UPPER_SEAM: Final = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_SEAM: Final = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
# Outer border of the red of the lips, right to left corner.
UPPER_LIP_BORDER: Final = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_LIP_BORDER: Final = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)

# Boundary of the mesh, clockwise in the picture from the top.
FACE_OVAL: Final = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

# Points that facial muscles hardly move: nasal bridge and root, both eye corners, temples.
STABLE: Final = (168, 6, 197, 195, 33, 133, 263, 362, 127, 356)
