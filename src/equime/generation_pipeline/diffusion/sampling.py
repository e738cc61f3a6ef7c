"""Clips out of a loaded pipeline: embeddings once per prompt, several clips per pass, one random stream per clip.

Every clip has its own generator, on the CPU whatever the device, for all noise that it needs; text is padded to a fixed
length and masked. A clip therefore does not depend on which others are in its batch, except that matrix products of
another shape may round otherwise. Measured on a CPU with the tests' tiny pipelines, three clips at a time against each
alone: LTX-Video equal in every pixel (float32 and bfloat16), CogVideoX off by one grey level in 2 of 100 000 values
(float32). On a GPU, where other kernels are chosen by shape, no such figure is known; the tests' tolerance is for CPUs.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equime import torch_env
from equime.errors import InputError
from equime.generation_pipeline.diffusion.limits import (
    CONDITION,
    FramePlan,
    check_size,
    family_of,
    plan_frames,
)
from equime.generation_pipeline.diffusion.loading import Loaded, memory_guard
from equime.generation_pipeline.diffusion.options import DiffusionOptions
from equime.generation_pipeline.diffusion.prompts import negative_prompt
from equime.generation_pipeline.renderers import BadVideo
from equime.seeding import stream

TOKENS: Final[dict[str | None, int]] = {"LTX": 256}
"""Most tokens of a prompt, by family: 128, diffusers' default for LTX-Video, cuts the longest
AU prompts, and Lightricks' own script takes 256. Other families keep their own."""
KEPT_PROMPTS: Final = 64
BLACK: Final = 12
"""A frame whose largest value (of 255) is not above this is black."""
BLANK_SD: Final = 1.0
"""A frame whose standard deviation (of 255) is below this shows nothing."""


@dataclass(frozen=True)
class Request:
    """One clip to make.

    Attributes:
        label: how errors call it.
        image: uint8 (S, S, 3) RGB, the first frame.
        prompt: text.
        seed: of its generator, see `clip_seed`.
        n_frames: of the clip.
        fps: of the clip.
        keyframes: further frames that the clip has to pass through, (index, picture like ``image``) each; only
            `limits.CONDITION` knows them.
    """

    label: str
    image: NDArray[np.uint8]
    prompt: str
    seed: int
    n_frames: int
    fps: float
    keyframes: tuple[tuple[int, NDArray[np.uint8]], ...] = ()


class _Text(NamedTuple):
    """Embedding (1, L, D) of a text and its mask (1, L), None where the pipeline has none."""

    embeds: Any
    mask: Any


def clip_seed(noise_seed: int, attempt: int = 0) -> int:
    """Seed of a clip's generator, 0 to 2**63 - 1, from the stream of its camera noise.

    The camera's noise belongs to a replicate and not to its emotion, so matched twins start from the same noise.

    Args:
        noise_seed: `equime.types.Camera.noise_seed` of the spec.
        attempt: 0 for the first, counted up where a clip is made again.
    """
    return int(stream(noise_seed, "diffusion noise", attempt).integers(2**63))


class Sampler:
    """Makes clips with one pipeline and one set of options."""

    def __init__(self, loaded: Loaded, options: DiffusionOptions):
        self.loaded, self.options = loaded, options
        self.pipeline = loaded.pipeline
        self._call = set(inspect.signature(type(self.pipeline).__call__).parameters)
        self._texts: OrderedDict[str, _Text] = OrderedDict()

    def sample(self, requests: Sequence[Request]) -> Iterator[NDArray[np.uint8] | BadVideo]:
        """The clips in order, uint8 (T, S, S, 3) RGB each; ``options.batch`` of them per forward pass.

        A result that is no video (NaN, black) comes as a `BadVideo`: the others of its pass are not lost.

        Raises:
            InputError: a size or number of frames that the pipeline cannot make, or requests of several formats.
            WorkError: too little memory.
        """
        at_a_time = self.options.batch if self.loaded.limits.batches else 1
        for start in range(0, len(requests), at_a_time):
            yield from self._pass(requests[start : start + at_a_time])

    def _pass(self, batch: Sequence[Request]) -> Iterator[NDArray[np.uint8] | BadVideo]:
        if len({(r.image.shape, r.n_frames, r.fps) for r in batch}) > 1:
            raise InputError(
                "clips of several sizes, lengths or frame rates cannot be made together; ask for each format by itself"
            )
        check_size(batch[0].image.shape[0], self.loaded.limits)
        plan = plan_frames(batch[0].n_frames, self.loaded.limits)
        torch = torch_env.torch()
        generators = [torch.Generator("cpu").manual_seed(request.seed) for request in batch]
        doing = f"making {len(batch)} clips at a time"
        with memory_guard(self.options, doing), torch.no_grad(), torch_env.quiet():
            made = self.pipeline(**self._arguments(batch, plan, generators)).frames
        for i, request in enumerate(batch):
            with memory_guard(self.options, "decoding a clip"), torch.no_grad():
                video = (
                    self._decode_ltx(made[i : i + 1], request, plan, generators[i]) if self._ltx else made[i]
                )
                frames = _frames_or_bad(video, plan.kept, request.label)
            yield frames

    @property
    def _ltx(self) -> bool:
        """LTX-Video gives latents here: diffusers 0.42 draws its decoder's noise from one generator only."""
        return family_of(type(self.pipeline).__name__) == "LTX"

    def _arguments(self, batch: Sequence[Request], plan: FramePlan, generators: list[Any]) -> dict[str, Any]:
        """What this pipeline's ``__call__`` knows of all that can be said."""
        from PIL import Image  # noqa: PLC0415

        size = batch[0].image.shape[0]
        images = [Image.fromarray(request.image) for request in batch]
        every = {
            "image": images if self.loaded.limits.batches else images[0],
            "height": size,
            "width": size,
            "num_frames": plan.generated,
            "frame_rate": batch[0].fps,
            "fps": round(batch[0].fps),
            "num_inference_steps": self.options.steps,
            "guidance_scale": self.options.guidance,
            "max_guidance_scale": self.options.guidance,
            "generator": generators,
            "output_type": "latent" if self._ltx else "pt",
            **self._token_limit(),
        }
        if type(self.pipeline).__name__ == CONDITION:
            every |= self._conditions(batch[0], generators[0])
        elif any(request.keyframes for request in batch):
            raise InputError(f"pipeline={type(self.pipeline).__name__} knows no keyframes; use {CONDITION}")
        if hasattr(self.pipeline, "encode_prompt"):
            every |= self._embeddings([request.prompt for request in batch])
        return {name: value for name, value in every.items() if name in self._call}

    def _conditions(self, request: Request, generator: Any) -> dict[str, Any]:
        """First frame and keyframes of one clip as diffusers' condition pipeline takes them."""
        from PIL import Image  # noqa: PLC0415

        kind = torch_env.load("diffusers.pipelines.ltx.pipeline_ltx_condition").LTXVideoCondition
        found = [
            kind(image=Image.fromarray(rgb), frame_index=i)
            for i, rgb in ((0, request.image), *request.keyframes)
        ]
        return {"conditions": found, "image": None, "generator": generator}

    # -- text ----------------------------------------------------------------------------------------

    def _embeddings(self, prompts: Sequence[str]) -> dict[str, Any]:
        """Embeddings of a batch as arguments; a text that was embedded before is not embedded again."""
        found = _stack("prompt", [self._text(prompt) for prompt in prompts])
        if self.options.guidance > 1:
            negative = self._text(negative_prompt(self.options.negative))
            found |= _stack("negative_prompt", [negative] * len(prompts))
        return found

    def _text(self, text: str) -> _Text:
        if text not in self._texts:
            while len(self._texts) >= KEPT_PROMPTS:
                self._texts.popitem(last=False)
            self._texts[text] = self._embed(text)
        self._texts.move_to_end(text)
        return self._texts[text]

    def _embed(self, text: str) -> _Text:
        with torch_env.quiet():
            try:
                found = self.pipeline.encode_prompt(
                    prompt=[text], do_classifier_free_guidance=False, **self._token_limit()
                )
            except NameError as error:  # diffusers' Wan uses ftfy without having looked for it
                torch_env.load(error.name or "ftfy")
                raise
        # (embeds, mask, ...) where masks are used, else (embeds, negative embeds)
        return _Text(found[0], found[1] if len(found) == 4 else None)

    def _token_limit(self) -> dict[str, int]:
        family = family_of(type(self.pipeline).__name__)
        return {"max_sequence_length": TOKENS[family]} if family in TOKENS else {}

    # -- pixels --------------------------------------------------------------------------------------

    def _decode_ltx(self, latents: Any, request: Request, plan: FramePlan, generator: Any) -> Any:
        """Frames (T, 3, S, S) in 0..1 of one clip's packed latents (1, N, C); clip by clip, which also takes least memory."""
        pipe, torch = self.pipeline, torch_env.torch()
        vae, side = pipe.vae, request.image.shape[0] // pipe.vae_spatial_compression_ratio
        n = (plan.generated - 1) // pipe.vae_temporal_compression_ratio + 1
        patch = (pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size)
        unpacked = latents.ndim == 5  # the condition pipeline's
        grid = latents if unpacked else pipe._unpack_latents(latents, n, side, side, *patch)
        grid = pipe._denormalize_latents(grid, vae.latents_mean, vae.latents_std, vae.config.scaling_factor)
        dtype = getattr(torch, self.options.dtype)
        grid = grid.to(dtype)
        timestep = None
        if vae.config.timestep_conditioning:
            share = self.options.decode_noise
            noise = torch.randn(grid.shape, generator=generator, dtype=torch.float32).to(grid.device, dtype)
            timestep = torch.tensor([self.options.decode_timestep], device=grid.device, dtype=dtype)
            grid = (1 - share) * grid + share * noise
        video = vae.decode(grid, timestep, return_dict=False)[0]
        pipe.maybe_free_model_hooks()
        return pipe.video_processor.postprocess_video(video, output_type="pt")[0]


def _stack(name: str, texts: Sequence[_Text]) -> dict[str, Any]:
    torch = torch_env.torch()
    found = {f"{name}_embeds": torch.cat([t.embeds for t in texts])}
    if texts[0].mask is not None:
        found[f"{name}_attention_mask"] = torch.cat([t.mask for t in texts])
    return found


def _frames_or_bad(video: Any, kept: int, label: str) -> NDArray[np.uint8] | BadVideo:
    try:
        return to_frames(video, kept, label)
    except BadVideo as bad:
        return bad


def to_frames(video: Any, kept: int, label: str) -> NDArray[np.uint8]:
    """The first ``kept`` frames as uint8 (T, H, W, 3), after a look at whether they are a video.

    Args:
        video: tensor (T, 3, H, W) in 0..1.
        kept: frames of the clip.
        label: how errors call it.

    Raises:
        BadVideo: too few frames, NaN, or frames that are black or show nothing.
    """
    torch = torch_env.torch()
    if len(video) < kept:
        raise BadVideo(
            f"{label}: the pipeline made {len(video)} frames instead of {kept}; report its class name"
        )
    video = video[:kept].float()
    if not bool(torch.isfinite(video).all()):
        raise BadVideo(
            f"{label}: the model gave NaN; with dtype=float16 use bfloat16 or float32, else the weights are damaged or "
            "the guidance is too high"
        )
    pixels = (video.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    dark = pixels.reshape(kept, -1).max(axis=1) <= BLACK
    flat = pixels.reshape(kept, -1).std(axis=1) < BLANK_SD
    for name, bad in (("black", dark), ("of one colour", flat)):
        if bad.any():
            raise BadVideo(
                f"{label}: {int(bad.sum())} of {kept} frames are {name}, the first is frame {int(np.argmax(bad))}; try "
                "dtype=float32, a lower guidance or another model"
            )
    return np.ascontiguousarray(pixels)
