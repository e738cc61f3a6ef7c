from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from equime import torch_env
from equime.errors import InputError, MissingError, WorkError
from equime.generation_pipeline.diffusion.limits import CONDITION
from equime.generation_pipeline.diffusion.loading import load_pipeline
from equime.generation_pipeline.diffusion.options import make_options
from equime.generation_pipeline.diffusion.sampling import Request, Sampler, clip_seed, to_frames
from equime.generation_pipeline.renderers import BadVideo, FaceInput

pytestmark = pytest.mark.xdist_group("diffusion")

Faces = Callable[[int], FaceInput]
FACES = range(3)


def sampler(model: Path, **given: Any) -> Sampler:
    options = make_options({"model": str(model), "dtype": "float32", "steps": 2, "batch": 3, **given})
    return Sampler(load_pipeline(options), options)


def requests(faces: Faces, n_frames: int) -> list[Request]:
    return [Request(f"clip {i}", faces(i).image, f"prompt {i % 2}", 100 + i, n_frames, 24.0) for i in FACES]


@pytest.mark.parametrize(
    ("fixture", "pipeline", "n_frames"),
    [("tiny_ltx", "LTXImageToVideoPipeline", 12), ("tiny_cogvideox", "CogVideoXImageToVideoPipeline", 4)],
)
def test_a_clip_does_not_depend_on_its_batch(
    fixture: str, pipeline: str, n_frames: int, first_frame: Faces, request: pytest.FixtureRequest
) -> None:
    made = sampler(request.getfixturevalue(fixture), pipeline=pipeline, steps=1)
    wanted = requests(first_frame, n_frames)
    together = list(made.sample(wanted))
    turned = list(made.sample(wanted[::-1]))[::-1]
    for i in FACES:
        (alone,) = made.sample([wanted[i]])
        assert alone.shape == (n_frames, 64, 64, 3)
        for other in (together[i], turned[i]):
            difference = np.abs(alone.astype(int) - other)
            assert difference.max() <= 1
            assert (difference > 0).mean() < 1e-3
        assert np.abs(alone.astype(int) - together[i - 1]).mean() > 2


def test_another_seed_is_another_clip(tiny_ltx: Path, first_frame: Faces) -> None:
    made = sampler(tiny_ltx)
    wanted = requests(first_frame, 9)[0]
    (one,), (again,) = made.sample([wanted]), made.sample([wanted])
    np.testing.assert_array_equal(one, again)
    other = Request(wanted.label, wanted.image, wanted.prompt, wanted.seed + 1, 9, 24.0)
    (two,) = made.sample([other])
    assert not np.array_equal(one, two)


def test_a_prompt_is_embedded_once(
    tiny_ltx: Path, first_frame: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sampler(tiny_ltx)
    seen: list[str] = []
    real = made.pipeline.encode_prompt

    def encode(**arguments: Any) -> Any:
        # The pipeline itself calls it as well, with the embeddings that it was given.
        if arguments.get("prompt_embeds") is None:
            seen.extend(arguments["prompt"])
        return real(**arguments)

    monkeypatch.setattr(made.pipeline, "encode_prompt", encode)
    list(made.sample(requests(first_frame, 9)))
    list(made.sample(requests(first_frame, 9)))
    assert sorted(seen)[1:] == ["prompt 0", "prompt 1"]
    assert len(seen) == 3  # and the negative prompt


def test_without_guidance_there_is_no_negative_prompt(tiny_ltx: Path, first_frame: Faces) -> None:
    made = sampler(tiny_ltx, guidance=1.0)
    list(made.sample(requests(first_frame, 9)[:1]))
    assert list(made._texts) == ["prompt 0"]


def test_the_texts_that_are_kept_are_limited(tiny_ltx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equime.generation_pipeline.diffusion.sampling.KEPT_PROMPTS", 2)
    made = sampler(tiny_ltx)
    for text in "aba":
        made._text(text)
    made._text("c")
    assert list(made._texts) == ["a", "c"]


@pytest.mark.usefixtures("fresh")
def test_wan_makes_clips_one_by_one_and_needs_ftfy(
    tiny_wan: Path, first_frame: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sampler(tiny_wan, pipeline="WanImageToVideoPipeline")
    module = sys.modules[type(made.pipeline).__module__]
    monkeypatch.delattr(module, "ftfy", raising=False)
    monkeypatch.setattr(torch_env, "installed", lambda name: name != "ftfy")
    with pytest.raises(MissingError, match="ftfy is not installed"):
        list(made.sample(requests(first_frame, 5)))
    monkeypatch.setattr(module, "ftfy", SimpleNamespace(fix_text=str), raising=False)
    clips = list(made.sample(requests(first_frame, 5)[:2]))
    assert [clip.shape for clip in clips] == [(5, 64, 64, 3)] * 2


def test_clips_of_several_formats_are_refused(tiny_ltx: Path, first_frame: Faces) -> None:
    mixed = requests(first_frame, 9)[:1] + requests(first_frame, 17)[:1]
    with pytest.raises(InputError, match="several sizes, lengths or frame rates"):
        list(sampler(tiny_ltx).sample(mixed))
    assert list(sampler(tiny_ltx).sample([])) == []


def test_a_size_that_the_loaded_model_cannot_make(tiny_ltx: Path, first_frame: Faces) -> None:
    wanted = requests(first_frame, 9)[0]
    odd = Request("clip", wanted.image[:50, :50], "prompt", 1, 9, 24.0)
    with pytest.raises(InputError, match=r"size 50 px.*--size 32 or --size 64"):
        list(sampler(tiny_ltx).sample([odd]))


@pytest.mark.parametrize(
    ("network", "doing"),
    [("transformer.forward", "making 3 clips at a time"), ("vae.decode", "decoding a clip")],
)
def test_out_of_memory_while_sampling(
    network: str, doing: str, tiny_ltx: Path, first_frame: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sampler(tiny_ltx)

    def fail(*_: Any, **__: Any) -> None:
        raise torch_env.torch().OutOfMemoryError("CUDA out of memory.")

    part, method = network.split(".")
    monkeypatch.setattr(getattr(made.pipeline, part), method, fail)
    with pytest.raises(WorkError, match=f"out of memory while {doing} .*a lower batch than 3"):
        list(made.sample(requests(first_frame, 9)))


def test_gradients_are_off_only_while_clips_are_made(tiny_ltx: Path, first_frame: Faces) -> None:
    for _ in sampler(tiny_ltx).sample(requests(first_frame, 9)):
        assert torch_env.torch().is_grad_enabled()


@pytest.mark.usefixtures("fresh")
def test_weights_that_give_nan(tiny_ltx: Path, first_frame: Faces) -> None:
    made = sampler(tiny_ltx)
    parameter = next(made.pipeline.transformer.parameters())
    parameter.data[:] = float("nan")
    found = list(made.sample(requests(first_frame, 9)))
    assert all(isinstance(video, BadVideo) for video in found)
    assert re.search(r"clip 0: the model gave NaN.*float32", str(found[0]))


def test_one_bad_video_costs_no_other(
    tiny_ltx: Path, first_frame: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sampler(tiny_ltx)
    real, calls = made.pipeline.vae.decode, []

    def decode(*given: Any, **named: Any) -> Any:
        calls.append(1)
        (video,) = real(*given, **named)
        return (video * float("nan") if len(calls) == 2 else video,)

    monkeypatch.setattr(made.pipeline.vae, "decode", decode)
    found = list(made.sample(requests(first_frame, 9)))
    assert [isinstance(video, BadVideo) for video in found] == [False, True, False]


@pytest.mark.usefixtures("fresh")
def test_keyframes_change_the_clip_and_need_the_condition_pipeline(
    tiny_ltx: Path, first_frame: Faces
) -> None:
    made = sampler(tiny_ltx, pipeline=CONDITION)
    plain = requests(first_frame, 17)[0]
    keyed = replace(plain, keyframes=((5, first_frame(2).image), (9, first_frame(1).image)))
    clips = list(made.sample([plain, keyed, plain]))
    assert [clip.shape for clip in clips] == [(17, 64, 64, 3)] * 3
    np.testing.assert_array_equal(clips[0], clips[2])
    assert not np.array_equal(clips[0], clips[1])
    with pytest.raises(InputError, match="knows no keyframes; use LTXConditionPipeline"):
        list(sampler(tiny_ltx).sample([keyed]))


# -- what is a video ---------------------------------------------------------------------------------


def _video(n: int = 5) -> Any:
    torch = torch_env.torch()
    return torch.rand((n, 3, 8, 8), generator=torch.Generator().manual_seed(0))


def test_frames_are_cut_and_rounded() -> None:
    video = _video()
    frames = to_frames(video, 4, "clip")
    assert frames.dtype == np.uint8
    expected = np.rint(video[:4].numpy().transpose(0, 2, 3, 1) * 255)
    assert np.abs(frames - expected).max() == 0


@pytest.mark.parametrize(("value", "name"), [(0.0, "black"), (0.02, "black"), (0.5, "of one colour")])
def test_frames_that_show_nothing(value: float, name: str) -> None:
    video = _video()
    video[3:] = value
    with pytest.raises(WorkError, match=f"clip: 2 of 5 frames are {name}, the first is frame 3; try"):
        to_frames(video, 5, "clip")
    assert len(to_frames(video, 3, "clip")) == 3


def test_too_few_frames() -> None:
    with pytest.raises(WorkError, match="made 5 frames instead of 6"):
        to_frames(_video(), 6, "clip")


def test_seeds_of_clips() -> None:
    seeds = {clip_seed(noise, attempt) for noise in range(20) for attempt in range(3)}
    assert len(seeds) == 60
    assert clip_seed(7) == clip_seed(7, 0)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert msgspec.json.decode(msgspec.json.encode(max(seeds))) == max(seeds)
