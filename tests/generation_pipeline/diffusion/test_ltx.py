from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from equime.errors import InputError, MissingError, WorkError
from equime.generation_pipeline.diffusion import prompts
from equime.generation_pipeline.renderers import BadVideo, FaceInput, Renderer
from equime.generation_pipeline.renderers import ltx as module
from equime.generation_pipeline.renderers.ltx import LtxRenderer
from equime.types import ClipSpec
from equime.video import probe, rgb_to_yuv, write_clip
from tests.generation_pipeline.clip_specs import CAMERA, make_spec, neutral_spec

pytestmark = pytest.mark.xdist_group("diffusion")

Faces = Callable[[int], FaceInput]


def short(noise_seed: int = 1, **changes: Any) -> ClipSpec:
    """10 frames, which are cut from 17."""
    camera = msgspec.structs.replace(CAMERA, noise_seed=noise_seed)
    return make_spec(size_px=64, duration_ms=10_000 / 24, camera=camera, **changes)


def renderer(model: Path, **given: Any) -> LtxRenderer:
    return LtxRenderer({"model": str(model), "dtype": "float32", "steps": 2, **given})


def test_a_clip_from_a_face_to_a_file(tiny_ltx: Path, first_frame: Faces, tmp_path: Path) -> None:
    made: Renderer = renderer(tiny_ltx)
    spec = short()
    write_clip(
        tmp_path / "clip.mp4",
        made.prepare(first_frame(0)).frames(spec),
        fps=spec.fps,
        size=64,
        n_frames=spec.n_frames,
    )
    seen = probe(tmp_path / "clip.mp4")
    assert (seen.n_frames, seen.width, seen.height, seen.fps) == (10, 64, 64, 24.0)


def test_single_clips_are_those_of_a_batch(tiny_ltx: Path, first_frame: Faces) -> None:
    made = renderer(tiny_ltx, batch=2)
    clips = [(first_frame(i), short(i), 0) for i in range(3)]
    for (face, spec, _), video in zip(clips, made.videos(clips), strict=True):
        planes = list(made.prepare(face).frames(spec))
        assert len(planes) == len(video) == 10
        assert not isinstance(video, BadVideo)
        for rgb, frame in zip(video, planes, strict=True):
            np.testing.assert_allclose(rgb_to_yuv(rgb)[0].astype(int), frame.y, atol=1)


def test_matched_twins_share_noise_and_retries_do_not(tiny_ltx: Path, first_frame: Faces) -> None:
    made = renderer(tiny_ltx, prompt="equime").prepare(first_frame(0))
    happy, neutral = short(), neutral_spec(size_px=64, duration_ms=10_000 / 24)
    assert happy.camera == neutral.camera
    lumas = [
        [frame.y.copy() for frame in made.frames(spec, attempt)]
        for spec, attempt in ((happy, 0), (neutral, 0), (happy, 1))
    ]
    np.testing.assert_array_equal(lumas[0], lumas[1])
    assert not np.array_equal(lumas[0], lumas[2])


def test_params_say_what_changes_pixels_and_not_where_the_model_lies(tiny_ltx: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(tiny_ltx, tmp_path / tiny_ltx.name)
    params = renderer(tiny_ltx).params
    assert params == renderer(elsewhere, batch=3, vae_tiling=False).params
    assert params["model"] == "tiny-ltx"
    assert params["negative"] == prompts.NEGATIVE
    assert params["seed_rule"] == module.SEED_RULE
    assert params["licence"] == "unknown"
    assert params["gate"] == "adherence/1 reject"
    assert params != renderer(tiny_ltx, gate="record").params
    assert params == renderer(tiny_ltx, attempts=9).params
    assert "slow" not in params
    (elsewhere / "scheduler" / "scheduler_config.json").write_text("{}")
    assert renderer(elsewhere).params["weights"] != params["weights"]
    assert msgspec.json.decode(msgspec.json.encode(params)) == params


def test_an_option_of_another_renderer_is_not_swallowed() -> None:
    with pytest.raises(InputError, match="slow is of ltx-keyframe, not of ltx"):
        LtxRenderer({"slow": 2})


def test_a_renderer_of_hub_weights_can_be_made_without_them() -> None:
    params = LtxRenderer().params
    assert (params["model"], params["revision"]) == ("Lightricks/LTX-Video", "main")
    assert (params["steps"], params["guidance"], params["prompt"], params["dtype"]) == (
        50,
        3.0,
        "au",
        "bfloat16",
    )


def test_formats_are_refused_before_anything_is_loaded() -> None:
    made = LtxRenderer()
    made.check_format(24.0, 144, 512)
    with pytest.raises(InputError, match="--size 480 or --size 512"):
        made.check_format(24.0, 144, 500)
    with pytest.raises(InputError, match="at most 25 frames"):
        LtxRenderer({"pipeline": "StableVideoDiffusionPipeline"}).check_format(24.0, 144, 512)


def test_the_prompt_follows_the_option() -> None:
    spec = make_spec()
    for mode in prompts.MODES:
        assert LtxRenderer({"prompt": mode}).prompt_of(spec) == prompts.prompt_for(spec, mode)


def test_what_is_missing_is_said_early(
    tiny_ltx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingError, match="no such folder"):
        renderer(tmp_path / "nothing")
    damaged = shutil.copytree(tiny_ltx, tmp_path / "damaged")
    weights = damaged / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WorkError, match=r"vae/diffusion_pytorch_model.safetensors.*is damaged"):
        renderer(damaged)
    made = renderer(tiny_ltx)
    made.require()
    monkeypatch.setattr(module, "installed", lambda name: name == "torch")
    with pytest.raises(
        MissingError, match=r"needs diffusers, transformers; run `pip install 'equime\[diffusion\]'`"
    ):
        made.require()
