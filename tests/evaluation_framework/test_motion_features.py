"""Motion features of movements that are known exactly, and of rendered clips."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime.annotation.annotators import ClipContext
from equime.annotation.measure import measure_clip
from equime.clip_sources import find_clips
from equime.dataset import Dataset
from equime.evaluation_framework.motion_features import (
    EYE_FEATURES,
    FEATURES,
    HASHES,
    PHASE_MS,
    STILL_MM,
    MotionFeatures,
    features,
    movement_curve,
    noise,
    optical_strain,
    orientation_histogram,
    perceptual_hash,
)
from equime.motion.track import REGIONS
from tests.evaluation_framework.synthetic_tracks import track, triangle

SMILE = {
    "mouth_left": (1.5, 1.5),
    "mouth_right": (-1.5, 1.5),
    "cheek_left": (0.3, 0.8),
    "cheek_right": (-0.3, 0.8),
}
FROZEN = track({})


def vector(values: dict[str, float], prefix: str = "") -> np.ndarray:
    return np.array([values[name] for name in FEATURES if name.startswith(prefix)])


# Where and which way


def test_each_region_has_its_own_direction() -> None:
    found = features(track(SMILE | {"brow_left": (0.0, -0.7)}))
    assert found["mf_flow_mouth_left_045"] == pytest.approx(1)
    assert found["mf_flow_mouth_right_135"] == pytest.approx(1)
    assert found["mf_flow_brow_left_270"] == pytest.approx(1)
    assert found["mf_flow_brow_right_still"] == found["mf_flow_chin_still"] == 1
    assert found["mf_flow_mouth_left_still"] == 0


def test_lengths_are_millimetres() -> None:
    found = features(track(SMILE))
    assert found["mf_magnitude_mouth_left_mm"] == pytest.approx(1.5 * np.sqrt(2))
    assert found["mf_magnitude_chin_mm"] == 0


def test_a_direction_between_two_bins_is_shared() -> None:
    angle = np.deg2rad(45 + 11.25)
    flow = np.tile([np.cos(angle), np.sin(angle)], (50, 1))
    histogram = orientation_histogram(flow)
    assert histogram.tolist() == pytest.approx([0, 0.75, 0.25, 0, 0, 0, 0, 0, 0])


def test_what_moves_more_counts_more_and_what_is_still_counts_as_still() -> None:
    flow = np.array([[3.0, 0.0], [0.0, 1.0], [0.0, STILL_MM * 0.9], [0.0, 0.0]])
    assert orientation_histogram(flow).tolist() == pytest.approx([0.375, 0, 0.125, 0, 0, 0, 0, 0, 0.5])


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_a_histogram_sums_to_one_and_turns_with_the_flow(seed: int, n: int) -> None:
    flow = np.random.default_rng(seed).normal(0, 0.5, (n, 2))
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])  # a quarter counter-clockwise: two bins
    histogram, turned = orientation_histogram(flow), orientation_histogram(flow @ turn.T)
    assert histogram.sum() == pytest.approx(1)
    assert turned[:8] == pytest.approx(np.roll(histogram[:8], 2), abs=1e-9)
    assert turned[8] == histogram[8]


def test_the_eyes_can_be_left_out() -> None:
    """A blink changes nothing but the columns of the eyes."""
    still, blink = features(FROZEN), features(track({"eye_left": (0.0, -6.0), "eye_right": (0.0, -6.0)}))
    changed = {name for name in FEATURES if still[name] != blink[name]}
    assert changed
    assert changed <= set(EYE_FEATURES)


# Strain


@pytest.mark.parametrize(
    ("u", "v", "expected"),
    [
        (lambda x, y: 0.1 * x, lambda x, y: 0 * y, 0.1),
        (lambda x, y: 0.1 * x, lambda x, y: 0.1 * y, 0.1 * np.sqrt(2)),
        (lambda x, y: 0.1 * y, lambda x, y: 0 * x, 0.1 / np.sqrt(2)),
        (lambda x, y: 0.1 * y, lambda x, y: -0.1 * x, 0.0),
        (lambda x, y: 0 * x + 3, lambda x, y: 0 * x - 2, 0.0),
    ],
    ids=["stretch", "both ways", "shear", "rotation", "translation"],
)
def test_strain_of_known_fields(u, v, expected: float) -> None:  # type: ignore[no-untyped-def]
    """Displacement in mm of a field with 3 px per mm, y up."""
    rows, columns = np.mgrid[:40, :50]
    x, y = columns / 3, -rows / 3
    strain = optical_strain(np.stack([u(x, y), v(x, y)], axis=-1), px_per_mm=3)
    assert strain == pytest.approx(np.full((40, 50), expected), abs=1e-9)


# How long


def test_half_times_of_a_triangle() -> None:
    found = features(track(SMILE, triangle(800, 1000, 1300)))
    assert found["mf_phase_half_rise_ms"] == pytest.approx(100)
    assert found["mf_phase_half_fall_ms"] == pytest.approx(150)


def test_samples_of_a_triangle() -> None:
    found = vector(features(track(SMILE, triangle(800, 1000, 1300))), "mf_phase_")[: len(PHASE_MS)]
    expected = triangle(-200, 0, 300)(np.array(PHASE_MS, float))
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("fps", [24, 60, 200])
def test_the_frame_rate_does_not_matter(fps: float) -> None:
    """But for what lies between two frames, here at most a 24th of a second of a straight line."""
    curve = triangle(750, 1000, 1250)  # the apex is on a frame of all three
    found, fine = features(track(SMILE, curve, fps=fps)), features(track(SMILE, curve, fps=1000))
    assert vector(found, "mf_phase_") == pytest.approx(vector(fine, "mf_phase_"), abs=0.17, rel=0.05)
    for prefix in ("mf_flow_", "mf_strain_", "mf_magnitude_"):
        assert vector(found, prefix) == pytest.approx(vector(fine, prefix))


def test_the_size_of_the_picture_does_not_matter() -> None:
    small, large = (vector(features(track(SMILE, scale=s))) for s in (0.5, 2.0))
    assert small == pytest.approx(large, abs=0.02)


def test_time_reversed_swaps_the_phases_and_nothing_else() -> None:
    one = track(SMILE, triangle(800, 1000, 1400), duration_s=2.01)
    n = len(one.time_ms)
    other = dataclasses.replace(
        one,
        displacement_mm=one.displacement_mm[::-1],
        magnitude_mm=one.magnitude_mm[::-1],
        strain=one.strain[::-1],
        peak_frame=n - 1 - one.peak_frame,
    )
    forward, back = features(one), features(other)
    assert back["mf_phase_half_rise_ms"] == pytest.approx(forward["mf_phase_half_fall_ms"])
    assert back["mf_phase_before_150_ms"] == pytest.approx(forward["mf_phase_after_150_ms"])
    assert back["mf_phase_before_150_ms"] > forward["mf_phase_before_150_ms"] + 0.3
    for prefix in ("mf_flow_", "mf_strain_", "mf_magnitude_"):
        assert vector(back, prefix).tolist() == vector(forward, prefix).tolist()


def test_twice_the_amplitude_is_twice_the_magnitude_and_strain() -> None:
    one, two = features(track(SMILE)), features(track({k: (2 * x, 2 * y) for k, (x, y) in SMILE.items()}))
    for prefix, factor in (("mf_magnitude_", 2), ("mf_strain_", 2), ("mf_phase_", 1), ("mf_flow_", 1)):
        assert vector(two, prefix) == pytest.approx(factor * vector(one, prefix), rel=1e-5, abs=1e-7)


def test_slow_drift_is_no_phase() -> None:
    one = track(SMILE)
    drift = np.zeros_like(one.displacement_mm)
    drift[..., 0] = (one.time_ms * 1e-4)[:, None]
    moved = dataclasses.replace(one, displacement_mm=one.displacement_mm + drift)
    assert movement_curve(moved)[0] == pytest.approx(0, abs=0.05)
    assert movement_curve(moved) == pytest.approx(movement_curve(one), abs=0.08)


def test_a_clip_cut_at_onset_and_offset_is_neutral_outside() -> None:
    """As the real corpora are: 0.4 s, neutral in the first and the last frame."""
    cut = features(track(SMILE, triangle(0, 180, 390), duration_s=0.4))
    whole = features(track(SMILE, triangle(800, 980, 1190)))
    assert vector(cut, "mf_phase_") == pytest.approx(vector(whole, "mf_phase_"), abs=1e-6)


def test_a_frozen_clip_has_all_features_and_no_movement() -> None:
    found = features(FROZEN)
    assert tuple(found) == FEATURES
    moving = {name for name, value in found.items() if value != 0}
    assert moving == {f"mf_flow_{region}_still" for region in REGIONS}


def test_noise_below_the_floor_is_still() -> None:
    found = features(track({}, noise_mm=STILL_MM / 6, seed=3))
    assert min(found[f"mf_flow_{region}_still"] for region in REGIONS) > 0.99
    assert vector(found, "mf_phase_").tolist() == [0] * (len(PHASE_MS) + 2)


# The annotator


def test_columns_are_named_once_and_finite() -> None:
    names = [metric.name for metric in MotionFeatures.metrics]
    assert names == [*FEATURES, *HASHES]
    assert len(set(names)) == len(names)
    assert np.isfinite(vector(features(track(SMILE, noise_mm=0.1)))).all()


def test_every_column_has_its_noise() -> None:
    found = dict(zip(FEATURES, noise(FEATURES).tolist(), strict=True))
    assert (found["mf_phase_after_50_ms"], found["mf_phase_half_rise_ms"]) == (0.05, 20.0)
    measured = [vector(features(track(SMILE, noise_mm=0.03, seed=seed))) for seed in range(12)]
    # Repeated measuring of one movement with a twentieth of a pixel of noise stays below it.
    assert (np.std(measured, axis=0) < noise(FEATURES)).mean() > 0.9


def test_no_face_gives_empty_cells_and_a_note(mesh_clips: Dataset) -> None:
    source = find_clips(mesh_clips.root)[0][0]
    session = MotionFeatures().start(ClipContext(source, None, motion=None))  # type: ignore[arg-type]
    row = session.finish()
    assert set(row.values.values()) == {None}
    assert row.notes[0][0] == "no_face"


def test_rendered_clips_move_as_their_spec_says(mesh_clips: Dataset) -> None:
    """Happiness holds AU 12 or AU 6, surprise AU 1 and 2; neutral moves least."""
    found = {}
    for source in find_clips(mesh_clips.root)[0]:
        if source.spec and source.emotion in ("surprise", "neutral") and source.subject_id not in found:
            row = measure_clip(source, [MotionFeatures()]).rows["motion_features"]
            found[source.emotion] = row.values
        if len(found) == 2:
            break
    surprise, neutral = found["surprise"], found["neutral"]
    brows = max(surprise["mf_magnitude_brow_left_mm"], surprise["mf_magnitude_brow_right_mm"])
    assert brows > 3 * max(neutral["mf_magnitude_brow_left_mm"], neutral["mf_magnitude_brow_right_mm"])
    assert surprise["mf_strain_mean"] > neutral["mf_strain_mean"]
    assert len(str(surprise["phash_first"])) == 16


def test_the_hash_is_of_the_picture_not_of_its_size() -> None:
    rows, columns = np.mgrid[:256, :256]
    picture = np.stack(
        [(np.sin(rows / 30) * np.cos(columns / (20 + 9 * i)) * 90 + 128) for i in range(3)], -1
    )
    picture = picture.astype(np.uint8)
    one, two = int(perceptual_hash(picture), 16), int(perceptual_hash(picture[::2, ::2].copy()), 16)
    assert (one ^ two).bit_count() <= 2
    assert (one ^ int(perceptual_hash(picture[::-1].copy()), 16)).bit_count() > 10
