"""The same face scores above different faces, and every step of the two measures has a closed form."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from equime.annotation.annotators import ClipContext
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.drawn_face import default_faces
from equime.evaluation_framework import identity
from equime.evaluation_framework.identity import Identity, find_face, shape_change, similarity, texture
from equime.frames import open_frames
from equime.motion.track import REGIONS, MotionTrack

U8 = NDArray[np.uint8]
SIZE = 288
Look = tuple[NDArray[np.float64], NDArray[np.float32]]


def look(rgb: U8) -> Look:
    landmarks = find_face(rgb)
    assert landmarks is not None
    return texture(rgb, landmarks), landmarks


@cache
def picture(person: int) -> U8:
    return default_faces()[person].image(SIZE)


def changed(rgb: U8, how: str) -> U8:
    """The same photograph, taken and stored less well."""
    if how == "noise":
        noisy = rgb + np.random.default_rng(1).normal(0, 3, rgb.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)
    if how == "light":
        return np.clip(1.15 * rgb + 5.0, 0, 255).astype(np.uint8)
    if how == "jpeg":
        return np.asarray(
            cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], 1), np.uint8
        )
    tilt = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), 4, 0.93)
    return np.asarray(cv2.warpAffine(rgb, tilt, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT), np.uint8)


def test_the_same_drawn_face_scores_above_all_pairs_of_two() -> None:
    people = [look(picture(i)) for i in range(3)]
    same = [
        (similarity(people[i][0], again[0]), shape_change(people[i][1], again[1]))
        for i in range(3)
        for again in (look(changed(picture(i), how)) for how in ("noise", "light", "jpeg", "tilt"))
    ]
    two = [(similarity(a[0], b[0]), shape_change(a[1], b[1])) for a, b in combinations(people, 2)]
    assert min(s for s, _ in same) > identity.SAME_TEXTURE > max(s for s, _ in two)
    assert np.median([c for _, c in same]) < identity.SAME_SHAPE < np.median([c for _, c in two])


def test_a_face_that_turns_into_another_loses_its_texture_step_by_step() -> None:
    first, second = picture(0).astype(np.float64), picture(2).astype(np.float64)
    landmarks = find_face(picture(0))
    assert landmarks is not None
    start = texture(picture(0), landmarks)
    shares = (0.0, 0.3, 0.6, 1.0)
    scores = [
        similarity(start, texture(((1 - s) * first + s * second).astype(np.uint8), landmarks)) for s in shares
    ]
    assert scores[0] == 1.0
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < identity.SAME_TEXTURE


def test_histograms() -> None:
    """A flat face has one pattern, all neighbours at least the centre; every window has one sum."""
    landmarks = find_face(picture(0))
    assert landmarks is not None
    flat = texture(np.full((SIZE, SIZE, 3), 90, np.uint8), landmarks)
    assert flat.shape == (8 * 7, identity.N_BINS)
    assert (flat.max(axis=1) == 1.0).all()
    assert len(set(flat.argmax(axis=1))) == 1
    real = texture(picture(0), landmarks)
    assert real.sum(axis=1) == pytest.approx(1.0)
    assert similarity(real, real) == pytest.approx(1.0)


def test_intersection_of_known_histograms() -> None:
    first = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    second = np.array([[0.25, 0.25, 0.5], [0.0, 1.0, 0.0]])
    assert similarity(first, second) == pytest.approx((0.5 + 0.0) / 2)
    assert similarity(second, first) == similarity(first, second)


def test_shape_change_of_known_shapes() -> None:
    points = np.random.default_rng(0).normal(size=(478, 3))
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    assert shape_change(points, 3.0 * points @ turn + 5.0) == pytest.approx(0.0, abs=1e-9)
    wider = points * (1.1, 1.0, 1.0)
    ratios = [
        np.log(np.linalg.norm(wider[i] - wider[j]) / np.linalg.norm(points[i] - points[j]))
        for i, j in combinations(identity.BONY, 2)
    ]
    assert shape_change(points, wider) == pytest.approx(np.sqrt(np.var(ratios)))


def measured(source: ClipSource, motion: MotionTrack | None = None) -> tuple[dict[str, object], list[str]]:
    with open_frames(source) as stream:
        context = ClipContext(source, stream.info)
        session = Identity().start(context)
        for frame in stream.frames:
            session.feed(frame)
    context.motion = motion
    row = session.finish()
    return dict(row.values), [code for code, _ in row.notes]


def track(reference: U8, peak: U8) -> MotionTrack:
    n, r = 1, len(REGIONS)
    zero = np.zeros((n, r), np.float32)
    return MotionTrack(
        time_ms=np.zeros(n), fps=24.0, landmarks=np.zeros((478, 2), np.float32), px_per_mm=1.0,
        displacement_mm=np.zeros((n, r, 2), np.float32), magnitude_mm=zero, strain=zero,
        head=np.zeros((n, 4), np.float32), aperture=np.ones((n, 2), np.float32), change=np.zeros(n, np.float32),
        peak_frame=0, peak_flow_mm=np.zeros((4, 4, 2), np.float32), crop=np.eye(2, 3),
        reference_bgr=reference, peak_bgr=peak,
    )  # fmt: skip


def test_rendered_clips_keep_the_person(mesh_clips: Dataset) -> None:
    sources = [s for s in find_clips(mesh_clips.root)[0] if s.clip is not None and s.clip.timing is not None]
    for source in sources:
        values, notes = measured(source)
        assert notes == []
        assert values["identity_similarity"] > 0.75  # type: ignore[operator]
        assert values["identity_shape_change"] < 0.02  # type: ignore[operator]


def test_without_a_record_the_frames_of_the_motion_analysis_are_compared(mesh_clips: Dataset) -> None:
    neutral = next(s for s in find_clips(mesh_clips.root)[0] if s.emotion == "neutral")
    bgr = [np.ascontiguousarray(picture(i)[..., ::-1]) for i in (0, 1)]
    same, _ = measured(neutral, track(bgr[0], bgr[0]))
    other, _ = measured(neutral, track(bgr[0], bgr[1]))
    assert same == {"identity_similarity": 1.0, "identity_shape_change": 0.0}
    assert other["identity_similarity"] < identity.SAME_TEXTURE  # type: ignore[operator]


def test_no_face_is_noted(mesh_clips: Dataset) -> None:
    neutral = next(s for s in find_clips(mesh_clips.root)[0] if s.emotion == "neutral")
    nothing = {"identity_similarity": None, "identity_shape_change": None}
    assert measured(neutral) == (nothing, ["no_face"])
    blank = np.full((256, 256, 3), 120, np.uint8)
    bgr = np.ascontiguousarray(picture(0)[..., ::-1])
    assert measured(neutral, track(blank, bgr)) == (nothing, ["no_face"])
    assert measured(neutral, track(bgr, blank)) == (nothing, ["no_face"])
