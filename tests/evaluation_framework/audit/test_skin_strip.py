"""The people's skin tones, as the strip shows them."""

from __future__ import annotations

import numpy as np
import pytest

from equime.evaluation_framework.audit.records import Skin
from equime.evaluation_framework.audit.skin_strip import skin
from tests.evaluation_framework.audit.cases import make_data

NAN = float("nan")


def test_medians_of_a_person_and_the_group_next_to_them() -> None:
    data = make_data(
        2, 3,
        measured_ita_deg=[10, 30, 50, NAN, NAN, NAN], measured_ita_group=["tan", "intermediate", "light", *["unknown"] * 3],
        measured_hue_deg=[50, 60, 80, NAN, NAN, NAN], measured_lightness=[40, 50, 90, NAN, NAN, NAN],
        measured_monk=[3, 4, 9, None, None, None], measured_skin_srgb=["#ff0010", "#000020", "#800030", None, "x", None],
        lighting_confidence=[0.2, 0.4, 0.9, 0.1, 0.1, 0.1],
    )  # fmt: skip
    first, second = skin(data)
    assert first == Skin(
        subject_id="s000", ita_deg=30, hue_deg=60, lightness=50, group="intermediate", monk=4, srgb="#800020",
        confidence=0.4,
    )  # fmt: skip
    assert second == Skin(
        subject_id="s001", ita_deg=None, hue_deg=None, lightness=None, group=None, monk=None, srgb=None,
        confidence=0.1,
    )  # fmt: skip


def test_lightest_first_and_columns_that_are_not_there() -> None:
    found = skin(make_data(12, 2))
    degrees = [row.ita_deg for row in found]
    assert degrees == sorted(degrees, reverse=True)  # type: ignore[type-var]
    assert len(found) == 12
    assert found[0].hue_deg is None
    assert found[0].group in {"brown", "tan", "light"}


def test_even_number_of_clips_takes_the_group_of_a_clip() -> None:
    (found,) = skin(
        make_data(1, 2, measured_ita_deg=np.array([27.0, 31.0]), measured_ita_group=["tan", "intermediate"])
    )
    assert found.ita_deg == pytest.approx(29)
    assert found.group == "tan"


def test_without_any_skin_there_is_no_strip() -> None:
    data = make_data(6)
    clips = data.clips.drop(columns=["measured_ita_deg", "measured_ita_group"])
    assert skin(type(data)(**{**data.__dict__, "clips": clips})) == ()
