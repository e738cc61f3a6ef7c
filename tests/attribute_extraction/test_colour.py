"""Colour numbers against scikit-image, published values and the formulae by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import deltaE_cie76, rgb2lab

from equime.attribute_extraction import monk
from equime.attribute_extraction.colour import (
    ITA_GROUPS,
    chroma,
    hex_of_lab,
    hue_deg,
    ita_deg,
    ita_group,
    lab,
    lab_of_hex,
    srgb_of_lab,
    stops,
)

RNG = np.random.Generator(np.random.PCG64(5))
PIXELS = RNG.integers(0, 256, (400, 3), dtype=np.uint8)
channel = st.integers(0, 255)


def test_lab_is_that_of_scikit_image() -> None:
    np.testing.assert_allclose(lab(PIXELS), rgb2lab(PIXELS[None] / 255)[0], atol=0.01)


@given(st.tuples(channel, channel, channel))
def test_back_to_the_same_bytes(rgb: tuple[int, int, int]) -> None:
    pixel = np.array(rgb, np.uint8)
    assert srgb_of_lab(lab(pixel)).tolist() == list(rgb)


@given(channel)
def test_grey_has_no_colour(level: int) -> None:
    colour = lab(np.full(3, level, np.uint8))
    assert chroma(colour) < 1e-9
    assert 0 <= colour[0] <= 100 + 1e-9


def test_hex() -> None:
    assert hex_of_lab(lab_of_hex("#c29682")) == "#c29682"
    assert hex_of_lab([150, 0, 0]) == "#ffffff"


# Published CIELAB is for D50: L* and b* agree closely with D65, a* of skin less so.
@pytest.mark.parametrize(
    ("code", "published"),
    [("#735244", (37.986, 13.555, 14.059)), ("#c29682", (65.711, 18.130, 17.810))],
)
def test_skin_of_the_colorchecker(code: str, published: tuple[float, float, float]) -> None:
    ours = lab_of_hex(code)
    assert ours[0] == pytest.approx(published[0], abs=0.1)
    assert ours[2] == pytest.approx(published[2], abs=1.0)
    angle = math.degrees(math.atan((published[0] - 50) / published[2]))
    assert ita_deg(ours) == pytest.approx(angle, abs=1.5)


def test_angles_by_hand() -> None:
    assert ita_deg([60, 9, 10]) == pytest.approx(45.0)
    assert ita_deg([50, 9, 10]) == 0.0
    assert ita_deg([40, 9, 10]) == pytest.approx(-45.0)
    assert ita_deg([60, 9, 0]) is None
    assert ita_deg([60, 9, -4]) is None
    assert hue_deg([60, 10, 10]) == pytest.approx(45.0)
    assert hue_deg([60, 10, -10]) == pytest.approx(315.0)


@pytest.mark.parametrize(
    ("angle", "group"),
    [
        (56, "very light"), (55.001, "very light"), (55, "light"), (41.001, "light"), (41, "intermediate"),
        (28.001, "intermediate"), (28, "tan"), (10.001, "tan"), (10, "brown"), (-29.999, "brown"),
        (-30, "dark"), (-90, "dark"), (90, "very light"),
    ],
)  # fmt: skip
def test_groups_of_del_bino_and_bernerd(angle: float, group: str) -> None:
    assert ita_group(angle) == group


@given(st.floats(-90, 90), st.floats(-90, 90))
def test_groups_are_in_order(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert ITA_GROUPS.index(ita_group(low)) <= ITA_GROUPS.index(ita_group(high))


def test_a_stop_is_twice_the_light() -> None:
    # L* of 18 % and 36 % reflectance, by the formula of CIE 1976.
    low, high = (116 * y ** (1 / 3) - 16 for y in (0.18, 0.36))
    assert stops(high) - stops(low) == pytest.approx(1.0)
    assert stops(100.0) == pytest.approx(0.0, abs=1e-9)
    assert np.isfinite(stops(0.0))


@pytest.mark.parametrize("number", range(1, 11))
def test_every_swatch_is_nearest_to_itself(number: int) -> None:
    assert monk.nearest_monk(lab_of_hex(monk.SWATCHES[number - 1])) == (number, 0.0)


def test_nearest_swatch_is_that_of_scikit_image() -> None:
    swatches = rgb2lab(np.array([[*bytes.fromhex(s[1:])] for s in monk.SWATCHES], np.uint8)[None] / 255)[0]
    for pixel in PIXELS[:100]:
        colour = lab(pixel)
        distance = deltaE_cie76(swatches, np.broadcast_to(colour, (10, 3)))
        number, found = monk.nearest_monk(colour)
        assert distance[number - 1] == pytest.approx(distance.min(), abs=0.02)
        assert found == pytest.approx(distance.min(), abs=0.02)
