"""CLIP-IQA: whether CLIP finds a frame closer to "Good photo." than to "Bad photo.".

PIQ's own class does the work, on grey frames as in EquiME's tables (one channel, which the normalisation of CLIP
spreads to three). The one difference to EquiME's script is speed: the network and the two text features are
made once for a process instead of once for a frame. Frames are not batched: on one processor that gains nothing
(1.4 to 1.6 s of processor time for a frame of 512 px, alone or in fours).

PIQ downloads its files when the class is made. Here it is told where they lie instead; nothing is fetched.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import numpy as np

from equime import weights
from equime.annotation.annotators import ClipContext, Metric, Row
from equime.errors import WorkError
from equime.frames import Frame
from equime.torch_env import load, load_tensors, quiet, torch

FRAMES_EVERY: Final = 1
"""Every so many frames are measured; EquiME measures all of them."""

SMALLEST_PX: Final = 32
"""The network halves its input five times."""


class ClipIqa:
    """Annotator ``clip_iqa``."""

    name = "clip_iqa"
    version = "1"
    weights: tuple[str, ...] = ("clip_iqa",)
    packages: tuple[str, ...] = ("torch", "torchvision", "piq")
    needs_motion = False
    metrics: tuple[Metric, ...] = (
        Metric("clip_iqa", "1", 0.0, 1.0, "higher",
               "How much closer CLIP finds the grey frame to \"Good photo.\" than to \"Bad photo.\".",
               "Wang, Chan, Loy, AAAI 2023; PIQ 0.8 CLIPIQA, on grey frames as EquiME", per_frame=True),
    )  # fmt: skip

    def start(self, clip: ClipContext) -> _Session:
        """Open a session; the network is built once for a process."""
        network = weights.require("clip_iqa", "RN50.pt")
        tokens = weights.require("clip_iqa", "clipiqa_tokens.pt")
        return _Session(model(network, tokens), min(clip.info.width, clip.info.height))


class _Session:
    def __init__(self, network: Any, shorter_px: int) -> None:
        self._model, self._shorter_px = network, shorter_px
        self._values: list[float] = []

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        if self._shorter_px < SMALLEST_PX or frame.index % FRAMES_EVERY:
            self._values.append(np.nan)
            return
        with quiet(), torch().inference_mode():
            self._values.append(float(self._model(torch().from_numpy(frame.grey)[None, None])))

    def finish(self) -> Row:
        """The mean over the frames."""
        per_frame = np.array(self._values, np.float64)
        if self._shorter_px >= SMALLEST_PX:
            return Row({"clip_iqa": float(np.nanmean(per_frame))}, {"clip_iqa": per_frame})
        text = f"clip_iqa needs {SMALLEST_PX} px, the frames have {self._shorter_px} px"
        return Row({"clip_iqa": None}, {"clip_iqa": per_frame}, (("too_small", text),))


@functools.lru_cache(maxsize=1)
def model(network: Path, tokens: Path) -> Any:
    """PIQ's CLIPIQA for images in 0..255, made from files on the disk.

    Args:
        network: OpenAI's TorchScript archive of CLIP with a ResNet-50, or another CLIP of that kind.
        tokens: the tokens of the two prompts.

    Raises:
        WorkError: a file holds something else.
    """
    load("piq")
    clip, clip_iqa = load("piq.feature_extractors.clip"), load("piq.clip_iqa")
    prompts = load_tensors(tokens)
    if not torch().is_tensor(prompts) or prompts.ndim != 2 or len(prompts) != 2:
        raise WorkError(
            f"{tokens}: does not hold the tokens of two prompts; run `equime weights fetch clip_iqa`"
        )
    with (
        quiet(),
        _replaced(clip, "_download", lambda *_: str(network)),
        _replaced(clip_iqa, "download_tensor", lambda *_: prompts),
    ):
        try:
            made = clip_iqa.CLIPIQA(data_range=255.0).eval()
        except (RuntimeError, KeyError, AssertionError) as error:
            raise WorkError(
                f"{network}: is no CLIP in a TorchScript archive; run `equime weights fetch clip_iqa`"
            ) from error
    # The same values an eighth faster on a CPU: no reordering between the convolutions.
    made.feature_extractor.visual.to(memory_format=torch().channels_last)
    return made


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Generator[None]:
    """Another value for a module's attribute for a moment; AttributeError where PIQ has it no more."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
