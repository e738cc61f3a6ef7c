"""The source face that the frames of a clip are compared with.

It is the photograph's aligned crop for clips of a Dataset whose photographs are there; every other clip is
compared with its own first frame, and the annotator's row says which. The crop is taken as a lossless clip would
show it: as yuv420p planes in BT.709, as the renderers write them, and back to BGR by the decoder's own
conversion. That conversion truncates; without it the clip would be darker than its photograph by a constant grey
level that nobody put there.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final, Literal

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext
from equime.errors import WorkError
from equime.face.source import source_crop
from equime.types import Face
from equime.video import rgb_to_yuv

Reference = Literal["photograph", "first_frame"]
PHOTOGRAPH: Final = "photograph"
FIRST_FRAME: Final = "first_frame"

N_CROPS: Final = 4
"""Crops that a process keeps; the clips of a face tend to be measured after each other."""


def photograph(clip: ClipContext) -> tuple[NDArray[np.uint8] | None, tuple[tuple[str, str], ...]]:
    """The photograph's crop, where the clip has one.

    Returns:
        uint8 (H, W, 3) BGR of the size of the frames, not to be written to, or None; and a note where the clip
        should have one.
    """
    source, info = clip.source, clip.info
    if source.face is None or source.faces_root is None:
        return None, ()
    if info.width != info.height or info.width % 2:
        size = f"{info.width} x {info.height} px"
        text = f"{source.file}: {size} is no aligned crop (square, even); compared with its first frame"
        return None, (("no_aligned_crop", text),)
    try:
        return _crop(msgspec.json.encode(source.face), source.faces_root, info.width), ()
    except WorkError as error:
        text = f"{source.file}: compared with its first frame, not with the photograph: {error}"
        return None, (("no_photograph", text),)


@functools.lru_cache(maxsize=N_CROPS)
def _crop(face_json: bytes, faces_root: str, size_px: int) -> NDArray[np.uint8]:
    """The aligned crop as a clip's first frame shows it. Raises as `source_crop`."""
    face = msgspec.json.decode(face_json, type=Face)
    planes = rgb_to_yuv(source_crop(face, Path(faces_root), size_px))
    packed = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, size_px)
    frame = av.VideoFrame.from_ndarray(packed, "yuv420p")
    frame.colorspace = frame.color_range = 1  # BT.709, limited
    bgr = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    bgr.setflags(write=False)
    return bgr
