"""Renderer ``ltx``: a diffusion model animates the face crop as the prompt asks, LTX-Video by default.

What the spec intends and what such a clip shows are two things: the labels of the clip are measured on it
(`equime.generation_pipeline.gated`). Any image-to-video pipeline of diffusers can take LTX-Video's place (option
``pipeline``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.errors import InputError, MissingError
from equime.extras import install_hint, installed
from equime.generation_pipeline.diffusion.limits import check_size, limits_of, plan_frames
from equime.generation_pipeline.diffusion.loading import find_model, is_local, load_pipeline
from equime.generation_pipeline.diffusion.model_folder import fingerprint, inspect_folder
from equime.generation_pipeline.diffusion.options import Value, licence_of, make_options, pixel_params
from equime.generation_pipeline.diffusion.prompts import negative_prompt, prompt_for
from equime.generation_pipeline.diffusion.sampling import Request, Sampler, clip_seed
from equime.generation_pipeline.diffusion.throughput import attempt_cost
from equime.generation_pipeline.gated import GATE
from equime.generation_pipeline.renderers import BadVideo, Cost, FaceInput, Params, Yuv
from equime.types import ClipSpec, Labels
from equime.video import rgb_to_yuv

SEED_RULE: Final = "camera.noise_seed/1"
"""Where a clip's noise comes from: `sampling.clip_seed` of the spec's camera noise."""
PACKAGES: Final = ("torch", "diffusers", "transformers")


class LtxRenderer:
    """Renderer ``ltx``; making one is cheap, the model is loaded when the first clip is made.

    Attributes:
        options: what it was told.
        params: what of that changes pixels, the whole negative prompt, the gate, and the fingerprint of a local folder's
            weights (``weights``; "" for a hub id, whose revision says it); and the weights' licence, as it has to
            stand in every record.
        labels, gate_rejects, attempts, batch, licence: see `equime.generation_pipeline.renderers.Generator`.
    """

    name = "ltx"
    version = "1"
    labels: Labels = "measured"
    defaults: Mapping[str, Value] = {}
    """Options whose defaults differ from `DiffusionOptions`."""
    slows = False
    """Whether the option ``slow`` is this renderer's."""

    def __init__(self, options: Mapping[str, Value] | None = None):
        """Check the options.

        Raises:
            InputError: unknown option or value, wrong kind of folder.
            MissingError: a local folder that is not there or not whole.
            WorkError: a damaged file in it.
        """
        self.options = make_options({**self.defaults, **(options or {})})
        self.licence = licence_of(self.options)
        self.gate_rejects = self.options.gate == "reject"
        self.attempts, self.batch = self.options.attempts, self.options.batch
        self.params: Params = pixel_params(self.options)
        if not self.slows:
            if "slow" in (options or {}):
                raise InputError(
                    f"renderer options: slow is of ltx-keyframe, not of {self.name}; leave it out"
                )
            del self.params["slow"]
        self.params["negative"] = negative_prompt(self.options.negative)
        self.params |= {
            "seed_rule": SEED_RULE,
            "weights": "",
            "licence": self.licence,
            "gate": f"{GATE} {self.options.gate}",
        }
        if is_local(self.options.model):
            folder = Path(self.options.model).expanduser()
            inspect_folder(folder, self.options.pipeline)
            # Where the folder lies does not change a pixel.
            self.params |= {"model": folder.resolve().name, "revision": "", "weights": fingerprint(folder)}
        self._sampler: Sampler | None = None

    def check_format(self, fps: float, n_frames: int, size_px: int) -> None:
        """See `Generator.check_format`; nothing is loaded."""
        limits = limits_of(self.options.pipeline)
        check_size(size_px, limits)
        plan_frames(n_frames, limits)

    def require(self) -> None:
        """See `Generator.require`."""
        absent = [name for name in PACKAGES if not installed(name)]
        if absent:
            raise MissingError(
                f"renderer {self.name} needs {', '.join(absent)}; run `{install_hint(absent)}`"
            )
        find_model(self.options)

    def load(self) -> None:
        """See `Generator.load`."""
        self._loaded()

    def _loaded(self) -> Sampler:
        if self._sampler is None:
            self.require()
            self._sampler = Sampler(load_pipeline(self.options), self.options)
        return self._sampler

    def n_devices(self) -> int:
        """See `Generator.n_devices`."""
        from equime import torch_env  # noqa: PLC0415

        return max(1, torch_env.torch().cuda.device_count()) if self.options.device != "cpu" else 1

    def cost(self, n_frames: int, size_px: int) -> Cost:
        """See `Generator.cost`."""
        generated = plan_frames(n_frames, limits_of(self.options.pipeline)).generated
        return attempt_cost(self.options, generated, size_px)

    def prompt_of(self, spec: ClipSpec) -> str:
        """The text that a clip is made with."""
        return prompt_for(spec, self.options.prompt)

    def seed_of(self, spec: ClipSpec, attempt: int) -> int:
        """Seed of a clip's noise."""
        return clip_seed(spec.camera.noise_seed, attempt)

    def request_of(self, face: FaceInput, spec: ClipSpec, attempt: int) -> Request:
        """What the model is asked for."""
        return Request(
            label=f"spec {spec.spec_id}",
            image=face.image,
            prompt=self.prompt_of(spec),
            seed=self.seed_of(spec, attempt),
            n_frames=spec.n_frames,
            fps=spec.fps,
        )

    def developed(
        self, made: NDArray[np.uint8], face: FaceInput, spec: ClipSpec
    ) -> NDArray[np.uint8] | BadVideo:
        """The clip, from the frames that the model made."""
        return made

    def videos(
        self, clips: Sequence[tuple[FaceInput, ClipSpec, int]]
    ) -> Iterator[NDArray[np.uint8] | BadVideo]:
        """See `Generator.videos`; ``batch`` clips per forward pass.

        Raises:
            InputError, MissingError, WorkError: as `loading.load_pipeline` and `sampling.Sampler.sample`.
        """
        requests = [self.request_of(*clip) for clip in clips]
        for (face, spec, _), made in zip(clips, self._loaded().sample(requests), strict=True):
            yield made if isinstance(made, BadVideo) else self.developed(made, face, spec)

    def prepare(self, face: FaceInput) -> PreparedFirstFrame:
        """Nothing is computed per face: the crop is the first frame."""
        return PreparedFirstFrame(self, face)


class PreparedFirstFrame:
    """A face as a first frame."""

    def __init__(self, renderer: LtxRenderer, face: FaceInput):
        self.renderer, self.face = renderer, face

    def frames(self, spec: ClipSpec, attempt: int = 0) -> Iterator[Yuv]:
        """The clip's frames, not judged. Arguments and errors: `LtxRenderer.videos`.

        Raises:
            BadVideo: what was made is no video.
        """
        (video,) = self.renderer.videos([(self.face, spec, attempt)])
        if isinstance(video, BadVideo):
            raise video
        for rgb in video:
            yield Yuv(*rgb_to_yuv(rgb))
