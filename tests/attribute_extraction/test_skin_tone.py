"""Skin tone of faces painted in known colours, in good and bad light, and of clips without skin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.data import astronaut

from equime.annotation.annotators import Row
from equime.annotation.measure import measure_clip
from equime.attribute_extraction.colour import ITA_GROUPS, lab, linear
from equime.attribute_extraction.lighting import BOUNDS, lighting_confidence
from equime.attribute_extraction.sampled_faces import sampled_faces
from equime.attribute_extraction.skin_regions import Skin, is_grey, measure_skin
from equime.attribute_extraction.skin_tone import METRICS, SkinTone, skin_row
from equime.frames import Frame
from tests.attribute_extraction.portraits import SIZE, TONES, U8, clip, colour, drawn, painted, region, sample

CODES = ("#f0d5c6", "#e0b39a", "#c29682", "#a9785a", "#735244", "#4a3228")


def to_srgb(light: NDArray[np.float64]) -> U8:
    v = np.clip(light, 0, 1)
    return np.rint(255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)).astype(np.uint8)


def clip_row(*frames: U8) -> Row:
    """Through the detector, as the annotator does it."""
    bgr = [np.ascontiguousarray(rgb[..., ::-1]) for rgb in frames]
    return skin_row(sampled_faces([Frame(i, 40.0 * i, image) for i, image in enumerate(bgr)]))


def ita(code: str) -> float:
    lightness, _, b = rgb2lab(colour(code)[None, None] / 255)[0, 0]
    return float(np.degrees(np.arctan((lightness - 50) / b)))


def codes(row: Row) -> list[str]:
    return [code for code, _ in row.notes]


@pytest.mark.parametrize("code", CODES)
def test_painted_colour_is_found(code: str) -> None:
    values: dict[str, Any] = skin_row(sample(painted(code))).values
    assert values["measured_ita_deg"] == pytest.approx(ita(code), abs=0.5)
    found = [values[f"measured_{name}"] for name in ("lightness", "a", "b")]
    np.testing.assert_allclose(found, rgb2lab(colour(code)[None, None] / 255)[0, 0], atol=0.4)
    assert values["measured_hue_deg"] == pytest.approx(np.degrees(np.arctan2(found[2], found[1])))
    assert abs(colour(values["measured_skin_srgb"]) - colour(code)).max() <= 2
    assert values["ita_side_difference_deg"] == pytest.approx(0, abs=1.0)
    assert values["skin_share"] > 0.9


def test_cheeks_are_compared_and_each_region_counts_once() -> None:
    light, dark = "#d8a88f", "#a9785a"
    values: dict[str, Any] = skin_row(sample(painted(light, cheek_left=dark))).values
    assert values["ita_side_difference_deg"] == pytest.approx(ita(light) - ita(dark), abs=1.5)
    both = rgb2lab(np.stack([colour(light), colour(dark)])[None] / 255)[0, :, 0]
    assert values["measured_lightness"] == pytest.approx((2 * both[0] + both[1]) / 3, abs=0.5)
    assert values["lighting_limit"] == "sides"


def test_hair_on_the_forehead_is_left_out() -> None:
    values: dict[str, Any] = skin_row(sample(painted("#c29682", forehead="#33241e"))).values
    assert values["measured_ita_deg"] == pytest.approx(ita("#c29682"), abs=0.5)
    assert values["lighting_limit"] == "covered"
    assert values["lighting_confidence"] == 0.6


@pytest.mark.parametrize("other", ["#2b2b2b", "#ffffff"])
def test_moles_rims_and_shine_do_not_count(other: str) -> None:
    rgb, points = (array.copy() for array in painted("#c29682"))
    mask = region(points, "cheek_right") & (np.arange(SIZE)[:, None] % 6 == 0)
    rgb[mask] = colour(other)
    values: dict[str, Any] = skin_row(sample((rgb, points))).values
    assert values["measured_ita_deg"] == pytest.approx(ita("#c29682"), abs=0.5)
    assert values["skin_share"] < 0.97


def test_a_cheek_that_is_turned_away_is_not_used() -> None:
    rgb, points = (array.copy() for array in painted("#c29682", cheek_left="#20c040"))
    left = [346, 347, 330, 266, 425, 411, 352]
    points[left, 0] = points[266, 0] + 0.25 * (points[left, 0] - points[266, 0])
    skin = measure_skin(rgb, points)
    assert skin is not None
    assert set(skin.regions) == {"cheek_right", "forehead"}


def test_large_faces_are_shrunk_and_pixels_are_those_of_the_picture() -> None:
    rgb, points = painted("#c29682")
    large = np.kron(rgb, np.ones((4, 4, 1), np.uint8))
    scaled = (points.astype(np.float64) * 4 + (1.5, 1.5, 0)).astype(np.float32)
    small, big = (skin_row(sample(p)).values for p in ((rgb, points), (large, scaled)))
    assert big["measured_ita_deg"] == pytest.approx(small["measured_ita_deg"], abs=0.3)
    assert big["skin_px"] == pytest.approx(16 * float(small["skin_px"] or 0), rel=0.1)


def test_drawn_faces_from_light_to_dark() -> None:
    rows: list[dict[str, Any]] = [clip_row(drawn(tone)[0]).values for tone in TONES]
    angles = [row["measured_ita_deg"] for row in rows]
    assert angles == sorted(angles, reverse=True)
    assert {row["measured_ita_group"] for row in rows} <= set(ITA_GROUPS)
    # Reflectance as drawn, from `equime.drawn_face.skin`; the drawing's light and its shine move it.
    truth = [ita(code) for code in ("#eed3c4", "#e2bd9f", "#c39a79", "#654332", "#3e2b22")]
    assert np.abs(np.array(angles) - truth).max() < 15
    monk = [row["measured_monk"] for row in rows]
    assert monk == sorted(monk)


@pytest.mark.parametrize("tone", [3, 8])
def test_light_from_one_side_moves_ita_little_and_lowers_the_confidence(tone: int) -> None:
    rgb, points = drawn(tone)
    rgb = to_srgb(linear(rgb / 255) * 0.5)
    x = (np.arange(SIZE) - points[1, 0]) / (np.ptp(points[:, 0]) / 2)
    gain = 2.0 ** np.clip(x, -1.2, 1.2)
    lit = to_srgb(linear(rgb / 255) * gain[None, :, None])
    plain, changed = (skin_row(sample((image, points))).values for image in (rgb, lit))
    assert changed["measured_ita_deg"] == pytest.approx(plain["measured_ita_deg"], abs=3)
    assert float(changed["lighting_confidence"] or 0) < 0.8
    assert changed["lighting_limit"] == "sides"


def test_a_yellow_lamp_lowers_the_confidence() -> None:
    rgb, points = drawn(5)
    lit = to_srgb(linear(rgb / 255) * (1.35, 1.0, 0.4))
    values = skin_row(sample((lit, points))).values
    assert values["lighting_limit"] == "cast"
    assert float(values["lighting_confidence"] or 0) < 0.5


def test_noise_hardly_moves_ita() -> None:
    rgb, points = drawn(3)
    grain = np.random.Generator(np.random.PCG64(2)).normal(0, 8, rgb.shape)
    noisy = np.clip(np.rint(rgb + grain), 0, 255).astype(np.uint8)
    plain, changed = (skin_row(sample((image, points))).values for image in (rgb, noisy))
    assert changed["measured_ita_deg"] == pytest.approx(plain["measured_ita_deg"], abs=2)


def test_blown_out_skin_is_reported() -> None:
    row = skin_row(sample(painted("#ffffff", noise=0)))
    assert codes(row) == ["little_skin"]
    assert row.values["measured_ita_deg"] is None
    half = skin_row(sample(painted("#c29682", noise=0, cheek_left="#ffffff"))).values
    assert half["lighting_limit"] == "clipped"


@pytest.mark.parametrize("tint", [(1, 1, 1), (1.01, 1.0, 0.99)])
def test_a_grey_video_has_no_skin_colour(tint: tuple[float, float, float]) -> None:
    rgb, points = drawn(5)
    grey = np.clip(rgb.mean(axis=2, keepdims=True) * tint, 0, 255).astype(np.uint8)
    assert is_grey(grey, points)
    row = clip_row(grey)
    assert codes(row) == ["grey_picture"]
    assert all(value is None for name, value in row.values.items() if name != "n_skin_frames")
    assert row.values["n_skin_frames"] == 0


@pytest.mark.parametrize("tone", [1, 10])
def test_no_skin_tone_is_taken_for_grey(tone: int) -> None:
    assert not is_grey(*drawn(tone))


def test_blue_light_has_no_ita() -> None:
    row = skin_row(sample(painted("#8090c0")))
    assert codes(row) == ["not_skin_coloured"]
    assert row.values["measured_ita_deg"] is None
    assert row.values["measured_ita_group"] is None
    assert row.values["measured_lightness"] is not None


def test_no_face() -> None:
    row = clip_row(np.full((96, 96, 3), 120, np.uint8))
    assert codes(row) == ["no_face"]
    assert row.values["n_skin_frames"] == 0


def test_several_faces_are_noted_and_the_largest_is_measured() -> None:
    (near, _), (far, _) = drawn(8), drawn(1)
    small = far[::2, ::2]
    wide = np.full((SIZE, SIZE + SIZE // 2, 3), 128, np.uint8)
    wide[:, :SIZE], wide[: len(small), SIZE:] = near, small
    row = clip_row(wide)
    assert codes(row) == ["several_faces"]
    assert row.values["measured_ita_deg"] == pytest.approx(clip_row(near).values["measured_ita_deg"], abs=4)


def test_spread_over_frames() -> None:
    values = skin_row(sample(painted("#c29682"), painted("#a9785a"), painted("#b6886f"))).values
    assert values["ita_spread_deg"] == pytest.approx(ita("#c29682") - ita("#a9785a"), abs=1)
    assert values["measured_ita_deg"] == pytest.approx(ita("#b6886f"), abs=0.5)
    assert values["n_skin_frames"] == 3


def test_a_photograph() -> None:
    photograph = np.ascontiguousarray(astronaut())
    values: dict[str, Any] = clip_row(photograph).values
    assert 25 < values["measured_ita_deg"] < 75
    assert 20 < values["measured_hue_deg"] < 80
    assert values["lighting_limit"] == "covered"  # her hair lies on the forehead


def test_clip(tmp_path: Path) -> None:
    source = clip(tmp_path, drawn(5)[0])
    measured = measure_clip(source, [SkinTone()])
    assert measured.problems == ()
    values: dict[str, Any] = measured.rows["skin_tone"].values
    assert set(values) == {metric.name for metric in METRICS}
    assert values["n_skin_frames"] == 5
    assert values["ita_spread_deg"] < 3
    still = clip_row(drawn(5)[0]).values["measured_ita_deg"]
    assert values["measured_ita_deg"] == pytest.approx(still, abs=2)
    assert measure_clip(source, [SkinTone()]).rows["skin_tone"] == measured.rows["skin_tone"]


def test_grey_clip(tmp_path: Path) -> None:
    grey = drawn(5)[0].mean(axis=2, keepdims=True).astype(np.uint8)
    measured = measure_clip(clip(tmp_path, np.repeat(grey, 3, axis=2)), [SkinTone()])
    assert codes(measured.rows["skin_tone"]) == ["grey_picture"]


def skin(cheeks: tuple[float, float] = (60, 60), forehead: float = 60, **other: Any) -> Skin:
    regions: Any = {
        "cheek_right": (cheeks[0], 12, 16),
        "cheek_left": (cheeks[1], 12, 16),
        "forehead": (forehead, 12, 16),
    }
    fields: dict[str, Any] = {
        "n_px": 900,
        "share": 1.0,
        "clipped": 0.0,
        "patchy": 0.0,
        "white": np.array([60.0, 3, 4]),
    }
    return Skin(regions={k: np.array(v, np.float64) for k, v in regions.items()}, **(fields | other))


@pytest.mark.parametrize(
    ("worse", "limit"),
    [
        ({"cheeks": (75, 45)}, "sides"), ({"forehead": 90}, "forehead"), ({"clipped": 0.2}, "clipped"),
        ({"patchy": 0.4}, "patchy"), ({"white": np.array([60.0, 5, 28])}, "cast"),
    ],
)  # fmt: skip
def test_each_part_can_limit_the_confidence(worse: dict[str, Any], limit: str) -> None:
    assert lighting_confidence([skin()]) == (1.0, None)
    confidence, found = lighting_confidence([skin(**worse)])
    assert found == limit
    assert 0 <= confidence < 1
    # Two good frames of three outweigh a bad one.
    assert lighting_confidence([skin(), skin(**worse), skin()]) == (1.0, None)


def test_confidence_by_hand() -> None:
    harmless, ruinous = BOUNDS["clipped"]
    middle = skin(clipped=(harmless + ruinous) / 2, white=None)
    assert lighting_confidence([middle])[0] == pytest.approx(0.5)
    one = Skin({"forehead": lab(np.array([194, 150, 130], np.uint8))}, 99, 1.0, 0.0, 0.0, None)
    assert lighting_confidence([one]) == (0.3, "covered")
