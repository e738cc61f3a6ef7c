"""From options to a pipeline that is ready: find the model, check it, load it once per process.

Nothing is downloaded unless ``download=true`` says so. What can be known from files and the machine is refused before
torch reads gigabytes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from equime import torch_env
from equime.errors import EquimeError, InputError, MissingError, WorkError
from equime.generation_pipeline.diffusion import sentencepiece_messages
from equime.generation_pipeline.diffusion.devices import claim_gpu, release_gpu
from equime.generation_pipeline.diffusion.limits import Limits, limits_of_loaded
from equime.generation_pipeline.diffusion.model_folder import ModelFolder, inspect_folder
from equime.generation_pipeline.diffusion.options import DiffusionOptions
from equime.hub_models import HUB_MODELS, cache_folder, revision_folder

BYTES: Final = {"bfloat16": 2, "float16": 2, "float32": 4}
CPU_WEIGHTS: Final = 250_000_000
"""Weights of the largest model that device=auto puts on a CPU; LTX-Video's 2B would take hours per clip there."""
_SAMPLING: Final = (
    "steps",
    "guidance",
    "prompt",
    "negative",
    "decode_timestep",
    "decode_noise",
    "batch",
    "attempts",
    "gate",
    "slow",
)
"""Options that loading does not look at."""


@dataclass(frozen=True)
class Loaded:
    """A pipeline ready to be called.

    Attributes:
        pipeline: of diffusers.
        limits: what it can make.
        device: "cuda:0" and so on, or "cpu".
        folder: where it came from.
    """

    pipeline: Any
    limits: Limits
    device: str
    folder: Path


def load_pipeline(options: DiffusionOptions) -> Loaded:
    """The pipeline of these options; the last one is kept, so that a process loads it once.

    Raises:
        MissingError: a package, the weights or a GPU is not there.
        InputError: wrong folder or class, or options that do not go together.
        WorkError: damaged files, too little memory.
    """
    defaults = DiffusionOptions()
    fields: Any = {name: getattr(defaults, name) for name in _SAMPLING}
    return _load(msgspec.structs.replace(options, **fields))


def forget_pipeline() -> None:
    """Give back the memory of the pipeline that is kept."""
    _load.cache_clear()
    release_gpu()


def find_model(options: DiffusionOptions) -> ModelFolder:
    """The model's folder, checked; a hub id is looked for in the hub's cache on this machine. Raises as `load_pipeline`."""
    if is_local(options.model):
        return inspect_folder(Path(options.model).expanduser(), options.pipeline)
    return inspect_folder(_hub_folder(options), options.pipeline)


def is_local(model: str) -> bool:
    """Whether a model is a path: one that exists, or that no hub id (``owner/name``) looks like."""
    return model.startswith(("/", ".", "~")) or model.count("/") != 1 or os.path.exists(model)


def _hub_folder(options: DiffusionOptions) -> Path:
    """A hub model's folder on this machine; fetched where that was asked for."""
    name = f"{options.model} (revision {options.revision})"
    if options.download:
        return _downloaded(options, name)
    folder = revision_folder(options.model, options.revision)
    if folder is None:
        known = HUB_MODELS.get(options.model)
        size = f", about {known.size_gb:g} GB," if known else ""
        raise MissingError(
            f"weights {name} are not on this machine ({cache_folder(options.model)}); fetch them{size} with `equime weights "
            f"fetch {options.model}` or `hf download {options.model}`, or with renderer option download=true, or give a folder "
            "in diffusers' layout as model="
        )
    return folder


def _downloaded(options: DiffusionOptions, name: str) -> Path:
    diffusers = torch_env.load("diffusers")
    try:
        with _quiet(diffusers):
            return Path(diffusers.DiffusionPipeline.download(options.model, revision=options.revision))
    except Exception as error:  # huggingface_hub, httpx and the operating system each raise their own
        reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
        raise MissingError(
            f"weights {name} could not be fetched ({reason}); check the name and the connection, or copy the model "
            "to a folder of this machine and give that as model="
        ) from error


def choose_device(options: DiffusionOptions, model: ModelFolder) -> str:
    """Where the pipeline runs, "cuda" or "cpu". Raises as `load_pipeline`."""
    has_gpu = bool(torch_env.torch().cuda.is_available())
    if options.device == "cuda" and not has_gpu:
        raise MissingError(
            "device=cuda: torch finds no GPU; run on a machine with one and a CUDA build of torch, or use device=cpu"
        )
    if has_gpu and options.device != "cpu":
        return "cuda"
    if options.dtype == "float16":
        raise InputError("dtype=float16 needs a GPU; use dtype=bfloat16 or dtype=float32 on a CPU")
    if options.offload != "none":
        raise InputError(f"offload={options.offload} needs a GPU to load from; use offload=none on a CPU")
    n_weights = sum(model.n_weights.values())
    if options.device == "auto" and n_weights > CPU_WEIGHTS:
        raise MissingError(
            f"no GPU: torch finds none, and {model.path} has {n_weights / 1e9:.1f} billion weights, hours per clip on a "
            "CPU; run on a machine with a GPU, use --renderer mesh, or insist with renderer option device=cpu"
        )
    return "cpu"


def needed_bytes(options: DiffusionOptions, model: ModelFolder) -> int:
    """Memory on the device for the weights alone; activations and the decoded video come on top."""
    sizes = [n * BYTES[options.dtype] for n in model.n_weights.values()] or [0]
    return {"none": sum(sizes), "model": max(sizes), "sequential": 0}[options.offload]


def memory_advice(options: DiffusionOptions) -> str:
    """Options that lower what is needed on the device, those that are not used yet, cheapest first."""
    advice = []
    if options.batch > 1:
        advice.append(f"a lower batch than {options.batch}")
    if not options.vae_tiling:
        advice.append("vae_tiling=true")
    if options.offload == "none":
        advice.append("offload=model (one network at a time on the GPU)")
    if options.offload != "sequential":
        advice.append("offload=sequential (slow)")
    if options.dtype == "float32":
        advice.append("dtype=bfloat16")
    return ", ".join([*advice, "a smaller --size or a shorter --duration"])


@contextlib.contextmanager
def memory_guard(options: DiffusionOptions, doing: str) -> Generator[None]:
    """Turn any way of running out of memory into one error with advice.

    Raises:
        WorkError: there was too little memory.
    """
    try:
        yield
    except EquimeError:
        raise
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, RuntimeError) and not (
            "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
        ):
            raise
        first = (str(error).strip().splitlines() or ["no more is known"])[0]
        raise WorkError(
            f"out of memory while {doing} ({first[:200]}); lower the need with {memory_advice(options)}"
        ) from error


@functools.lru_cache(maxsize=1)
def _load(options: DiffusionOptions) -> Loaded:
    torch, diffusers = torch_env.torch(), torch_env.load("diffusers")
    torch_env.load("transformers")
    # tqdm's own lock, for processes that share a terminal, would be reported as leaked when a worker ends.
    torch_env.load("tqdm").tqdm.set_lock(threading.RLock())
    sentencepiece_messages.make_readable()
    kind = _pipeline_class(diffusers, options.pipeline)
    model = find_model(options)
    device = choose_device(options, model)
    if device == "cuda":
        device = f"cuda:{claim_gpu(torch)}"
        _check_gpu_memory(torch, options, model, device)
    with memory_guard(options, f"loading {model.path}"), _quiet(diffusers):
        pipeline = _from_folder(kind, model, getattr(torch, options.dtype))
        _check_filled(pipeline, model)
        _place(pipeline, device, options)
    pipeline.set_progress_bar_config(disable=True)
    return Loaded(pipeline, limits_of_loaded(pipeline), device, model.path)


def _pipeline_class(diffusers: Any, name: str) -> Any:
    kind = getattr(diffusers, name, None)
    if kind is None or not hasattr(kind, "from_pretrained"):
        raise InputError(
            f"pipeline={name}: diffusers {diffusers.__version__} has no such class; known to work are "
            "LTXImageToVideoPipeline, CogVideoXImageToVideoPipeline, WanImageToVideoPipeline"
        )
    return kind


def _check_gpu_memory(torch: Any, options: DiffusionOptions, model: ModelFolder, device: str) -> None:
    free, total = torch.cuda.mem_get_info(device)
    needed = needed_bytes(options, model)
    if needed > free:
        raise WorkError(
            f"too little memory on {device}: the weights of {model.path} alone need {needed / 1e9:.1f} GB with "
            f"dtype={options.dtype} and offload={options.offload}, {free / 1e9:.1f} of {total / 1e9:.1f} GB are free; "
            f"lower the need with {memory_advice(options)}"
        )


def _from_folder(kind: Any, model: ModelFolder, dtype: Any) -> Any:
    try:
        return kind.from_pretrained(
            str(model.path), torch_dtype=dtype, local_files_only=True, use_safetensors=True
        )
    except (MemoryError, EquimeError):
        raise
    except ImportError as error:
        raise MissingError(
            f"{kind.__name__} needs a package that is not installed: {_line(error)}"
        ) from error
    except Exception as error:  # each component's library has its own errors
        if "memory" in str(error).lower():
            raise
        raise WorkError(
            f"model {model.path} cannot be loaded as {kind.__name__} ({type(error).__name__}: {_line(error)}); "
            "fetch it again, or give the class that it was saved for as pipeline="
        ) from error


def _check_filled(pipeline: Any, model: ModelFolder) -> None:
    """A parameter that no file holds is left without any value by diffusers, which says nothing."""
    for name, component in pipeline.components.items():
        parameters = component.named_parameters() if hasattr(component, "named_parameters") else ()
        empty = [parameter for parameter, value in parameters if value.is_meta]
        if empty:
            raise WorkError(
                f"model {model.path}: the files of {name!r} do not hold {len(empty)} of its parameters, the first is "
                f"{empty[0]}; they belong to another model or version: fetch it again"
            )


def _place(pipeline: Any, device: str, options: DiffusionOptions) -> None:
    if options.vae_tiling:
        pipeline.vae.enable_tiling()
    if options.offload != "none":
        torch_env.load("accelerate")
        if options.offload == "model":
            pipeline.enable_model_cpu_offload(device=device)
        else:
            pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)
    denoiser = getattr(pipeline, "transformer", None) or getattr(pipeline, "unet", None)
    if options.compile and denoiser is not None:
        denoiser.compile()


@contextlib.contextmanager
def _quiet(diffusers: Any) -> Generator[None]:
    """No progress bars of the libraries while they load; what they warn of, such as weights without a place, is shown."""
    shown = [
        log
        for log in (diffusers.utils.logging, torch_env.load("transformers").utils.logging)
        if log.is_progress_bar_enabled()
    ]
    for log in shown:
        log.disable_progress_bar()
    try:
        with torch_env.quiet():
            yield
    finally:
        for log in shown:
            log.enable_progress_bar()


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]
