from __future__ import annotations

import pytest

from equime.errors import InputError
from equime.generation_pipeline.diffusion.options import (
    NOT_PIXELS,
    DiffusionOptions,
    licence_of,
    make_options,
    pixel_params,
)


def test_no_options_are_the_defaults() -> None:
    assert make_options(None) == make_options({}) == DiffusionOptions()


def test_text_as_a_command_line_gives_it_is_understood() -> None:
    options = make_options({"steps": "8", "guidance": "1", "vae_tiling": "true", "offload": "model"})
    assert options == make_options({"steps": 8, "guidance": 1.0, "vae_tiling": True, "offload": "model"})


def test_every_problem_is_named_at_once_with_what_is_allowed() -> None:
    with pytest.raises(InputError) as caught:
        make_options(
            {"colour": 1, "steps": "few", "dtype": "int8", "batch": 0, "compile": "maybe", "model": " "}
        )
    said = str(caught.value)
    assert "'colour' is not known; known are model, revision, pipeline, steps" in said
    assert "steps='few': give a whole number from 1 to 1000" in said
    assert "dtype='int8': give one of bfloat16, float16, float32" in said
    assert "batch=0: give a whole number from 1 to 256" in said
    assert "compile='maybe': give true or false" in said
    assert "model= is empty: give a text" in said


def test_numbers_that_are_none() -> None:
    for value in (float("nan"), "nan", 51, -0.1):
        with pytest.raises(InputError, match=r"guidance=.*give a number from 0 to 50"):
            make_options({"guidance": value})


def test_pixels_do_not_depend_on_how_a_clip_is_made() -> None:
    params = pixel_params(make_options({"batch": 4, "offload": "model", "compile": True}))
    assert params == pixel_params(DiffusionOptions())
    assert set(params) | set(NOT_PIXELS) == set(DiffusionOptions.__struct_fields__)


def test_ltx_2_is_behind_its_licence() -> None:
    with pytest.raises(InputError, match=r"LTX-2 Community License.*accept_licence=true"):
        make_options({"pipeline": "LTX2ImageToVideoPipeline"})
    assert make_options({"pipeline": "LTX2ImageToVideoPipeline", "accept_licence": True}).accept_licence


def test_licences() -> None:
    assert "differs by version" in licence_of(DiffusionOptions())
    assert licence_of(make_options({"model": "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers"})) == "Apache-2.0"
    assert licence_of(make_options({"model": "/models/mine"})) == "unknown"
    assert licence_of(make_options({"model": "/models/mine", "licence": "CC0-1.0"})) == "CC0-1.0"
