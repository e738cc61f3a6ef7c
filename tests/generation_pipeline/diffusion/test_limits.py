from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime.errors import InputError
from equime.generation_pipeline.diffusion.limits import (
    FAMILIES,
    FramePlan,
    check_size,
    family_of,
    limits_of,
    limits_of_loaded,
    plan_frames,
)

LTX = limits_of("LTXImageToVideoPipeline")


def test_equimes_144_frames_are_cut_from_145() -> None:
    assert plan_frames(144, LTX) == FramePlan(generated=145, kept=144)
    assert plan_frames(145, LTX) == FramePlan(generated=145, kept=145)
    assert plan_frames(146, LTX).generated == 153


@given(st.integers(1, 2000), st.sampled_from(["LTX", "Wan", "CogVideoX"]))
def test_generated_frames_are_possible_enough_and_as_few_as_can_be(n_frames: int, family: str) -> None:
    step = FAMILIES[family].frame_step
    generated = plan_frames(n_frames, FAMILIES[family]).generated
    assert (generated - 1) % step == 0
    assert n_frames <= generated < n_frames + step


@pytest.mark.parametrize(
    ("size", "nearest"), [(500, "--size 480 or --size 512"), (20, "are --size 32"), (0, "are --size 32")]
)
def test_impossible_sizes_name_the_nearest(size: int, nearest: str) -> None:
    with pytest.raises(
        InputError, match=f"size {size} px: LTX-Video makes only multiples of 32 px.*{nearest}"
    ):
        check_size(size, LTX)


def test_possible_sizes_pass() -> None:
    for size in (32, 256, 512):
        check_size(size, LTX)


def test_too_many_frames() -> None:
    with pytest.raises(InputError, match=r"at most 25 frames at a time, the clip has 144.*--duration"):
        plan_frames(144, limits_of("StableVideoDiffusionPipeline"))


def test_families() -> None:
    assert family_of("LTXConditionPipeline") == "LTX"
    assert family_of("LTX2ImageToVideoPipeline") == "LTX2"
    assert family_of("SomethingPipeline") is None
    assert limits_of("SomethingPipeline").name == "SomethingPipeline"
    assert not limits_of("WanImageToVideoPipeline").batches


class LTXOther(SimpleNamespace):
    pass


def test_a_loaded_model_says_its_own_compression() -> None:
    transformer = SimpleNamespace(config=SimpleNamespace(patch_size=(1, 3, 3)))
    found = limits_of_loaded(
        LTXOther(vae_temporal_compression_ratio=16, vae_spatial_compression_ratio=16, transformer=transformer)
    )
    assert (found.frame_step, found.size_multiple, found.batches) == (16, 96, True)
