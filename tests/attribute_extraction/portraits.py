"""Drawn faces whose skin is painted in known colours, so that the truth is exact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.attribute_extraction.sampled_faces import SampledFace, SampledFaces
from equime.attribute_extraction.skin_regions import outlines
from equime.clip_sources import ClipSource, find_clips
from equime.drawn_face import describe_face
from equime.video import rgb_to_yuv, write_clip

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
SIZE = 256
TONES = (1, 3, 5, 8, 10)
"""Monk tones that tests draw; each takes a second."""


@cache
def drawn(tone: int = 5) -> tuple[U8, F32]:
    """RGB and landmarks of a drawn woman of one of `TONES`."""
    assert tone in TONES
    face = describe_face(911, skin_tone=tone, gender="f", glasses=False)
    return face.image(SIZE), face.landmarks(SIZE)


def colour(code: str) -> NDArray[np.float64]:
    return np.array([*bytes.fromhex(code[1:])], np.float64)


def region(points: F32, place: str) -> NDArray[np.bool_]:
    """Pixels of a region and a little around it."""
    outline = outlines(points[:, :2].astype(np.float64))[place]  # type: ignore[index]
    mask = cv2.fillPoly(np.zeros((SIZE, SIZE), np.uint8), [np.rint(outline).astype(np.int32)], (1,))
    return np.asarray(cv2.dilate(mask, np.ones((3, 3))) > 0)


def painted(code: str = "#c29682", noise: float = 3.0, **places: str) -> tuple[U8, F32]:
    """The face with cheeks and forehead in one colour with noise; single places in another."""
    rgb, points = drawn()
    out = rgb.astype(np.float64)
    grain = np.random.Generator(np.random.PCG64(1)).normal(0, noise, rgb.shape)
    for place in ("cheek_right", "cheek_left", "forehead"):
        mask = region(points, place)
        out[mask] = colour(places.get(place, code)) + grain[mask]
    return np.clip(np.rint(out), 0, 255).astype(np.uint8), points


def sample(*pictures: tuple[U8, F32], n_faces: int = 1) -> SampledFaces:
    """As if these faces had been found in the frames of a clip."""
    faces: Sequence[SampledFace] = [SampledFace(rgb, points) for rgb, points in pictures]
    return SampledFaces(tuple(faces), len(faces), n_faces if faces else 0)


def clip(folder: Path, rgb: U8, n_frames: int = 12) -> ClipSource:
    """A video of a picture that moves down by a pixel every third frame."""
    frames = (rgb_to_yuv(np.roll(rgb, k // 3, axis=0)) for k in range(n_frames))
    write_clip(folder / "a.mp4", frames, fps=24, size=len(rgb))
    return find_clips(folder)[0][0]
