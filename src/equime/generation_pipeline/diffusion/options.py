"""Options of a diffusion renderer: names, types, defaults, and which of them change the pixels."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from equime.errors import InputError
from equime.generation_pipeline.diffusion.prompts import PromptMode
from equime.hub_models import HUB_MODELS
from equime.types import Record

Dtype = Literal["bfloat16", "float16", "float32"]
Offload = Literal["none", "model", "sequential"]
Device = Literal["auto", "cuda", "cpu"]
GateMode = Literal["reject", "record"]
Value = float | int | str | bool


class DiffusionOptions(Record, frozen=True):
    """What a diffusion renderer can be told.

    Attributes:
        model: hub id, or a local folder in diffusers' layout (with a ``model_index.json``).
        revision: branch, tag or commit of the hub id; a commit is the only one that never changes.
        pipeline: diffusers class of an image-to-video pipeline.
        steps: denoising steps, 1 to 1000; 40 to 50 for a dev model, 4 to 10 for a distilled one.
        guidance: classifier-free guidance scale, 0 to 50; 1 and less is none, as distilled models want it.
        prompt: how the prompt is written, see `prompts`.
        negative: ``default``, ``equime``, ``none`` or a text.
        dtype: of weights and activations.
        decode_timestep, decode_noise: of LTX-Video's autoencoder from 0.9.1 on, 0 to 1.
        vae_tiling: decode in tiles: less memory, slightly other pixels.
        device: ``auto`` is the GPU.
        offload: ``model`` keeps one network at a time on the GPU, ``sequential`` one layer at a time.
        compile: compile the transformer (pays from some ten clips on).
        batch: most clips per forward pass.
        attempts: clips made for a spec at most, each with other noise, until the adherence gate accepts one.
        gate: ``reject`` throws away what the gate refuses; ``record`` keeps the first clip whatever it shows.
        slow: of ``ltx-keyframe``, how many times slower the movement is generated than it is shown, 1 to 16.
        download: whether the hub may be asked for what is not on this machine.
        licence: of the weights, as it goes into every record; "" is what is known of the hub id, else "unknown".
        accept_licence: the user has read the licence of an LTX-2 model and accepts it.
    """

    model: str = "Lightricks/LTX-Video"
    revision: str = "main"
    pipeline: str = "LTXImageToVideoPipeline"
    steps: int = 50
    guidance: float = 3.0
    prompt: PromptMode = "au"
    negative: str = "default"
    dtype: Dtype = "bfloat16"
    decode_timestep: float = 0.05
    decode_noise: float = 0.025
    vae_tiling: bool = False
    device: Device = "auto"
    offload: Offload = "none"
    compile: bool = False
    batch: int = 1
    attempts: int = 3
    gate: GateMode = "reject"
    slow: int = 4
    download: bool = False
    licence: str = ""
    accept_licence: bool = False


NOT_PIXELS: Final = (
    "device", "offload", "compile", "batch", "attempts", "download", "licence", "accept_licence",
)  # fmt: skip
"""Options that change how a clip is made; its pixels only as far as floating point rounds otherwise."""

LTX2_TERMS: Final = (
    "the LTX-2 Community License sets terms for companies by their revenue and for models trained on its outputs; "
    "read it where the weights are given out, then add accept_licence=true"
)

_RANGES: Final = {
    "steps": (1, 1000),
    "guidance": (0.0, 50.0),
    "decode_timestep": (0.0, 1.0),
    "decode_noise": (0.0, 1.0),
    "batch": (1, 256),
    "attempts": (1, 1000),
    "slow": (1, 16),
}


def make_options(given: Mapping[str, Value] | None) -> DiffusionOptions:
    """Options from plain values, also from their text as a command line gives it ("40", "true").

    Raises:
        InputError: unknown option, wrong type or value out of range; every problem at once, with the known options.
    """
    given = dict(given or {})
    known = typing.get_type_hints(DiffusionOptions)
    problems, values = [], {}
    for name, value in given.items():
        if name not in DiffusionOptions.__struct_fields__:
            problems.append(
                f"option {name!r} is not known; known are {', '.join(DiffusionOptions.__struct_fields__)}"
            )
            continue
        try:
            values[name] = msgspec.convert(value, known[name], strict=not isinstance(value, str))
        except msgspec.ValidationError:
            problems.append(f"option {name}={value!r}: give {_allowed(name, known[name])}")
            continue
        low, high = _RANGES.get(name, (None, None))
        if low is not None and high is not None and not low <= values[name] <= high:
            problems.append(f"option {name}={value!r}: give {_allowed(name, known[name])}")
        if isinstance(values[name], str) and name not in ("negative", "licence") and not values[name].strip():
            problems.append(f"option {name}= is empty: give {_allowed(name, known[name])}")
    if problems:
        raise InputError("renderer options: " + "; ".join(problems))
    options = DiffusionOptions(**values)
    if options.pipeline.startswith("LTX2") and not options.accept_licence:
        raise InputError(f"renderer options: pipeline={options.pipeline}: {LTX2_TERMS}")
    return options


def pixel_params(options: DiffusionOptions) -> dict[str, Value]:
    """The options that change pixels, as they stand in every clip's record."""
    every: dict[str, Value] = msgspec.structs.asdict(options)
    return {name: value for name, value in every.items() if name not in NOT_PIXELS}


def licence_of(options: DiffusionOptions) -> str:
    """Licence of the weights as far as it was said or is known."""
    known = HUB_MODELS.get(options.model)
    return options.licence or (known.licence if known else "unknown")


def _allowed(name: str, kind: type | types.GenericAlias) -> str:
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if name in _RANGES:
        low, high = _RANGES[name]
        return f"{'a whole number' if kind is int else 'a number'} from {low:g} to {high:g}"
    return "true or false" if kind is bool else "a text"
