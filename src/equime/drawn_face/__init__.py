"""Licence-clean default faces: portraits drawn by code, with the geometry they were drawn from.

No photograph, scan or texture enters a picture: shape, skin, eyes and hair are computed, so the files are the
project's own (CC0-1.0). They are neutral, frontal, eyes open, mouth closed, and known to the tenth of a
millimetre, which makes them test input as well.
"""

from equime.drawn_face.portraits import (
    DrawnFace,
    default_faces,
    describe_face,
    draw_face,
    save_default_faces,
)

__all__ = ["DrawnFace", "default_faces", "describe_face", "draw_face", "save_default_faces"]
