"""MediaPipe's face detectors and face mesh: the models inside its wheel, on the CPU, nothing downloaded.

One set of models per process, made at first use. The solutions run in their static mode, so no image leaves a
trace in the next: the same pixels give the same landmarks in any process and order.

Sources: Bazarevsky et al. 2019 (BlazeFace), Kartynnik et al. 2019 (face mesh), Grishchenko et al. 2020
(attention mesh with irises).
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.face.alignment import warp
from equime.types import N_LANDMARKS

_DETECT_PX: Final = 640  # the detectors look at 128 and 192 px; more only costs time
_MESH_PX: Final = 384
_FAR_PX: Final = 192
_SAME_FACE_IOU: Final = 0.3
_TILE_ROUNDS: Final = (2, 4)


@dataclass(frozen=True)
class Box:
    """A detected face: a square in image pixels and the detector's score 0..1."""

    x: float
    y: float
    side: float
    score: float


class Models:
    """The models of this process; use `models`."""

    def __init__(self) -> None:
        with _quiet_stderr(), _no_warnings(), _pyplot_later():
            # The C++ code logs through abseil, which reads neither at run time; set before the import.
            os.environ.setdefault("GLOG_minloglevel", "2")
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            from mediapipe.python.solutions import face_detection, face_mesh  # noqa: PLC0415

            self.near: Any = face_detection.FaceDetection(model_selection=0, min_detection_confidence=0.1)
            self.far: Any = face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.1)
            self.mesh: Any = face_mesh.FaceMesh(
                static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=0.3
            )
            # The mesh complains once more about its own graph at the first face.
            self.mesh_has_seen_a_face = False
            # The interpreters are made, and chatter, at the first image.
            blank = np.zeros((64, 64, 3), np.uint8)
            for solution in (self.near, self.far, self.mesh):
                solution.process(blank)


@lru_cache(maxsize=1)
def models() -> Models:
    """The models of this process, made at first use (about 0.5 s)."""
    return Models()


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drop what C++ libraries write to file descriptor 2 meanwhile."""
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """MediaPipe calls protobuf functions that are deprecated; nothing that a user could change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Later(ModuleType):
    """``matplotlib.pyplot``, imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("matplotlib.pyplot"), name)


@contextmanager
def _pyplot_later() -> Iterator[None]:
    """MediaPipe's drawing helpers import pyplot, which takes longer than everything else and is not used here."""
    if "matplotlib.pyplot" in sys.modules:
        yield
        return
    stand_in = _Later("matplotlib.pyplot")
    package = ModuleType("matplotlib")
    package.__dict__["pyplot"] = stand_in
    added = {"matplotlib": package, "matplotlib.pyplot": stand_in}
    added = {name: module for name, module in added.items() if name not in sys.modules}
    sys.modules.update(added)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


def far_score(rgb: NDArray[np.uint8]) -> float:
    """Best score of the far-range detector in a square image, 0 where it finds nothing."""
    # MediaPipe shrinks without averaging, which turns noise into patterns.
    small, _ = _shrink(rgb, _FAR_PX)
    return max((box.score for box in _detect(models().far, small)), default=0.0)


def find_boxes(rgb: NDArray[np.uint8], min_score: float = 0.5) -> list[Box]:
    """Faces in an image, largest first.

    Looks at the whole image; if that shows nothing, at the image with a wide border (a face that fills the
    frame), then at overlapping tiles (a small face in a large image).

    Args:
        rgb: uint8 (H, W, 3).
        min_score: of either detector.
    """
    small, scale = _shrink(rgb, _DETECT_PX)
    boxes = _both(small, min_score) or _padded(small, min_score)
    found = [_rescaled(box, 1 / scale) for box in boxes]
    for n_tiles in _TILE_ROUNDS:
        if found or min(rgb.shape[:2]) < 128 * n_tiles:
            break
        found = _tiled(rgb, n_tiles, min_score)
    return sorted(_distinct(found), key=lambda box: (-box.side, box.x, box.y))


def _shrink(rgb: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], float]:
    scale = min(1.0, longest / max(rgb.shape[:2]))
    if scale == 1.0:
        return np.ascontiguousarray(rgb), 1.0
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale  # type: ignore[return-value]


def _rescaled(box: Box, k: float) -> Box:
    return Box(box.x * k, box.y * k, box.side * k, box.score)


def _moved(box: Box, dx: float, dy: float) -> Box:
    return Box(box.x + dx, box.y + dy, box.side, box.score)


def _both(rgb: NDArray[np.uint8], min_score: float) -> list[Box]:
    boxes = _detect(models().far, rgb) + _detect(models().near, rgb)
    return [box for box in boxes if box.score >= min_score]


def _padded(rgb: NDArray[np.uint8], min_score: float) -> list[Box]:
    border = max(rgb.shape[:2]) // 2
    wide = cv2.copyMakeBorder(rgb, border, border, border, border, cv2.BORDER_REPLICATE)
    return [_moved(box, -border, -border) for box in _both(np.asarray(wide, np.uint8), min_score)]


def _tiled(rgb: NDArray[np.uint8], n_tiles: int, min_score: float) -> list[Box]:
    """Faces in n x n tiles, each half as large again as its share so that neighbours overlap."""
    height, width = rgb.shape[:2]
    tall, wide = int(1.5 * height / n_tiles), int(1.5 * width / n_tiles)
    boxes = []
    for y in np.linspace(0, height - tall, n_tiles).astype(int):
        for x in np.linspace(0, width - wide, n_tiles).astype(int):
            tile, scale = _shrink(rgb[y : y + tall, x : x + wide], _DETECT_PX)
            boxes += [_moved(_rescaled(box, 1 / scale), x, y) for box in _both(tile, min_score)]
    return boxes


def _detect(detector: Any, rgb: NDArray[np.uint8]) -> list[Box]:
    height, width = rgb.shape[:2]
    with _no_warnings():
        detections = detector.process(rgb).detections or []
    boxes = []
    for detection in detections:
        box = detection.location_data.relative_bounding_box
        side = max(box.width * width, box.height * height)
        x, y = (box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height
        boxes.append(Box(x - side / 2, y - side / 2, side, float(detection.score[0])))
    return boxes


def _distinct(boxes: list[Box]) -> list[Box]:
    """Drop boxes that show the same face as one with a higher score."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda b: (-b.score, b.x, b.y)):
        if all(_iou(box, other) < _SAME_FACE_IOU for other in kept):
            kept.append(box)
    return kept


def _iou(a: Box, b: Box) -> float:
    across = min(a.x + a.side, b.x + b.side) - max(a.x, b.x)
    down = min(a.y + a.side, b.y + b.side) - max(a.y, b.y)
    shared = max(across, 0.0) * max(down, 0.0)
    return shared / (a.side**2 + b.side**2 - shared)


def mesh(rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Face mesh of the one face in an image.

    Args:
        rgb: uint8 (S, S, 3); the face should be upright within 45 degrees and take a third to two thirds.

    Returns:
        float32 (478, 3) pixel coordinates (the centre of the first pixel is 0, 0), z in the same unit,
        negative towards the camera; None if there is no face.
    """
    height, width = rgb.shape[:2]
    own = models()
    with nullcontext() if own.mesh_has_seen_a_face else _quiet_stderr(), _no_warnings():
        faces = own.mesh.process(np.ascontiguousarray(rgb)).multi_face_landmarks
    own.mesh_has_seen_a_face |= bool(faces)
    if not faces or len(faces[0].landmark) != N_LANDMARKS:
        return None
    points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark], np.float64)
    points = points * (width, height, width) - (0.5, 0.5, 0.0)
    return points.astype(np.float32)


def mesh_in_box(rgb: NDArray[np.uint8], box: Box) -> NDArray[np.float32] | None:
    """Face mesh of one detected face, in pixels of the whole image; None if the mesh does not see it."""
    side = 2.0 * box.side
    k = min(1.0, _MESH_PX / side)
    centre = np.array([box.x, box.y]) + box.side / 2
    size = max(round(side * k), 64)
    k = size / side
    to_cut = np.array([[k, 0, size / 2 - 0.5], [0, k, size / 2 - 0.5]])
    to_cut[:, 2] -= k * centre
    points = mesh(warp(rgb, to_cut, size))
    if points is None:
        return None
    moved = points.astype(np.float64)
    moved[:, :2] = (moved[:, :2] - to_cut[:, 2]) / k
    moved[:, 2] /= k
    return moved.astype(np.float32)
