"""Is the person at the apex still the person of frame 0? Two measures that need no weights.

* *Texture*: histograms of uniform local binary patterns in windows of the aligned face (Ahonen, Hadid &
  Pietikainen 2006, LBP(8,2) with 59 bins), compared by histogram intersection. The face is first brought to one
  size and smoothed a little, so that sensor noise and compression do not count as a change of person.
* *Shape*: ratios of distances between points on bone, which no expression changes, from the mesh in depth, so
  that a small turn of the head does not count either.

What they can do: tell a rendered or generated apex of the same photograph from another person. What they cannot:
recognise a person across photographs with other light, pose or age; local binary patterns alone are weak at
that, and a network such as SFace is made for it. `SAME_TEXTURE` and `SAME_SHAPE` were read off faces drawn by
equime; on other people, and in pictures of less than 512 px, they are a guide, not a verdict.

The apex frame is that of the clip's record; without one, the frame of largest movement of the motion analysis.
A blink at that frame lowers the texture's similarity a little.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext, Metric, Row, Session, Value
from equime.face import anatomy as a
from equime.face.alignment import align, scaled, warp
from equime.frames import Frame

CROP_SIDE_PX: Final = 256
"""Side of the aligned crop that the face is cut from; the eyes are 58 px apart in it."""

FACE_ROWS: Final = (80, 208)
FACE_COLUMNS: Final = (72, 184)
"""Brows to chin and cheek to cheek in the crop, without hair and background."""

WINDOW_PX: Final = 16
SIGMA_PX: Final = 1.5
N_BINS: Final = 59
"""Of uniform patterns of 8 neighbours: 58 and one for all others."""

BONY: Final = (*a.STABLE, a.NOSE_TIP, 234, 454)
"""Points on or near bone: bridge and tip of the nose, corners of the eyes, temples, in front of the ears."""

SAME_TEXTURE: Final = 0.82
"""Half way between the least similarity of one drawn face (noise, light, compression, tilt) and the largest of
two."""

SAME_SHAPE: Final = 0.012
"""Largest shape change of one drawn face under the same; one in twenty pairs of two stays below."""

METRICS: Final = (
    Metric(
        "identity_similarity", "1", 0.0, 1.0, "higher",
        "How much the skin's texture at the apex is that of frame 0; two different people rarely reach "
        f"{SAME_TEXTURE:g}.",
        "Ahonen, Hadid & Pietikainen 2006",
    ),
    Metric(
        "identity_shape_change", "1", 0.0, None, "lower",
        "Standard deviation of the log ratios of distances between bony points, apex to frame 0; two different "
        f"people rarely stay below {SAME_SHAPE:g}.",
        "equime",
    ),
)  # fmt: skip


class Identity:
    """Annotator ``identity``: whether the apex shows the person of frame 0."""

    name = "identity"
    version = "1"
    metrics = METRICS
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = True

    def start(self, clip: ClipContext) -> Session:
        """Open a session."""
        return _Identity(clip)


class _Identity:
    """Keeps frame 0 and the apex of the record; else what the motion analysis kept."""

    def __init__(self, clip: ClipContext) -> None:
        self.clip = clip
        timing = clip.source.clip.timing if clip.source.clip else None
        self.apex = timing.apex_frame if timing else None
        self.kept: dict[int, NDArray[np.uint8]] = {}

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        if self.apex is not None and frame.index in (0, self.apex):
            self.kept[frame.index] = frame.bgr.copy()

    def finish(self) -> Row:
        """Compare the two frames."""
        nothing: dict[str, Value] = dict.fromkeys(metric.name for metric in METRICS)
        motion = self.clip.motion
        if self.apex is not None and self.apex in self.kept:
            pair = (self.kept[0], self.kept[self.apex])
        elif motion is not None:
            pair = (motion.reference_bgr, motion.peak_bgr)
        else:
            return Row(nothing, notes=(("no_face", "no face in the first frames"),))
        rgb = [np.ascontiguousarray(picture[..., ::-1]) for picture in pair]
        before, after = (find_face(picture) for picture in rgb)
        if before is None or after is None:
            where = "frame 0" if before is None else "the apex"
            return Row(nothing, notes=(("no_face", f"no face found on {where}"),))
        return Row(
            {
                "identity_similarity": similarity(texture(rgb[0], before), texture(rgb[1], after)),
                "identity_shape_change": shape_change(before, after),
            }
        )


def find_face(rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Landmarks (478, 3) of the largest face; None where there is none."""
    from equime.face.landmarks import find_boxes, mesh, mesh_in_box  # noqa: PLC0415

    boxes = find_boxes(rgb)
    return mesh_in_box(rgb, boxes[0]) if boxes else mesh(rgb)


def texture(rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Histograms of uniform local binary patterns, (W, 59), each summing to 1.

    Args:
        rgb: uint8 (H, W, 3).
        landmarks: float32 (478, 3) of the face in it.
    """
    from skimage.feature import local_binary_pattern  # noqa: PLC0415

    crop = warp(rgb, scaled(align(landmarks), CROP_SIDE_PX), CROP_SIDE_PX)
    grey = cv2.GaussianBlur(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (0, 0), SIGMA_PX)
    patterns: Any = local_binary_pattern
    # "nri_uniform" is the paper's u2: uniform patterns told apart by direction. Taken from the whole crop, for
    # at the border of a picture there are no neighbours.
    codes = np.asarray(patterns(grey, 8, 2, "nri_uniform"), np.int64)
    codes = codes[FACE_ROWS[0] : FACE_ROWS[1], FACE_COLUMNS[0] : FACE_COLUMNS[1]]
    rows, columns = (side // WINDOW_PX for side in codes.shape)
    windows = codes.reshape(rows, WINDOW_PX, columns, WINDOW_PX).swapaxes(1, 2).reshape(rows * columns, -1)
    counts = [np.bincount(window, minlength=N_BINS) for window in windows]
    return np.stack(counts) / WINDOW_PX**2


def similarity(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Histogram intersection (Swain & Ballard 1991), mean over windows, 0..1; 1 for the same histograms."""
    return min(float(np.minimum(first, second).sum(axis=1).mean()), 1.0)


def shape_change(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Standard deviation of log ratios of distances between `BONY` points; 0 for the same shape at any scale.

    Args:
        first, second: (478, 3) landmarks, any unit.
    """
    from scipy.spatial.distance import pdist  # noqa: PLC0415

    before, after = (pdist(np.asarray(points, np.float64)[list(BONY)]) for points in (first, second))
    return float(np.std(np.log(after / before)))
