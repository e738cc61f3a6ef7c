"""Every setting of a run, as ``dataset.json`` keeps it."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from equime.errors import InputError
from equime.generation_pipeline.balance import Balance
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.design import PRESETS, Preset
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.priors import load_priors
from equime.generation_pipeline.renderers import Renderer, generator_of
from equime.generation_pipeline.setting import validate_clip_format
from equime.registry import lookup
from equime.types import Record
from equime.video import EncoderSettings

Params = dict[str, float | int | str | bool]

MAY_DIFFER: Final = ("faces", "n_clips", "priors", "renderer_options")
"""Settings compared otherwise: faces by what is in them, clips may grow, priors count by their digest, and of a
renderer's options those that change pixels are its parameters."""

OPTIONS: Final[dict[str, str]] = {
    "duration_ms": "--duration",
    "size_px": "--size",
    "encoder": "--crf, --x264-preset",
    "model": "--priors, --p-felt",
    "renderer_params": "--renderer-option",
    "lossless_master": "--lossless",
}


class Settings(Record, frozen=True):
    """What a run was asked for.

    Attributes:
        faces: source of the faces, absolute path.
        licence: of the images where their source does not say.
        gates: thresholds of the gates.
        n_clips: in total; None is one block of all emotions per identity.
        seed: of all randomness.
        emotions: shown by every identity.
        balance: targets over declared groups.
        fps, duration_ms, size_px: format of every clip.
        p_felt: probability of the felt label semantics.
        priors: user's priors file; None for those that ship with equime.
        model: causal model with the digest of its priors.
        renderer, renderer_version, renderer_params: what makes the frames.
        renderer_options: what the renderer was told; of that, ``renderer_params`` holds what changes pixels.
        encoder: of the clips.
        lossless_master: also keep a lossless master of every clip.
        png: also keep the frames of every clip as PNG files.
        twins: all identities show the same expressions.
    """

    faces: str
    licence: str | None
    gates: Gates
    n_clips: int | None
    seed: int
    emotions: tuple[str, ...]
    balance: dict[str, dict[str, float] | str]
    fps: float
    duration_ms: float
    size_px: int
    p_felt: float
    priors: str | None
    model: str
    renderer: str
    renderer_version: str
    renderer_params: Params
    encoder: EncoderSettings
    lossless_master: bool
    png: bool
    twins: bool = False
    renderer_options: Params = msgspec.field(default_factory=dict)


def make_renderer(name: str, options: Mapping[str, Any] | None = None) -> Renderer:
    """A renderer with what it is told.

    Args:
        name: registered, or ``module:attribute``.
        options: by name; values may be text, as a command line gives them.

    Raises:
        InputError: unknown renderer, one that takes no options, or an option that it does not know.
        MissingError: a package or file that it needs.
    """
    kind: Callable[..., Renderer] = lookup("renderer", name)
    if not options:
        return kind()
    try:
        inspect.signature(kind).bind(options)
    except TypeError:
        raise InputError(
            f"renderer {name} takes no options; leave --renderer-option out (given: {', '.join(options)})"
        ) from None
    return kind(dict(options))


def load_gates(path: Path) -> Gates:
    """Gates of a TOML file of ``name = value`` lines; what it does not name keeps its default.

    Raises:
        InputError: unreadable file, unknown name or a value out of range.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as TOML: {error}; write lines like max_smile = 0.3"
        ) from error
    return make_gates(values, str(path))


def make_gates(values: Mapping[str, Any], name: str) -> Gates:
    """Gates from plain values; ``name`` is how errors call where they come from. Raises as `load_gates`."""
    try:
        return msgspec.convert(dict(values), Gates)
    except msgspec.ValidationError as error:
        known = ", ".join(Gates.__struct_fields__)
        raise InputError(f"{name}: gates: {error}; known are {known}") from error


def make_model(settings_priors: str | None, p_felt: float) -> CausalModel:
    """The causal model of these settings."""
    return CausalModel(load_priors(settings_priors) if settings_priors else None, p_felt=p_felt)


def make_settings(
    faces: str | Path,
    *,
    clips: int | None = None,
    seed: int = 0,
    preset: str | None = None,
    emotions: Sequence[str] | None = None,
    balance: Balance | None = None,
    fps: float | None = None,
    duration_s: float | None = None,
    size_px: int | None = None,
    p_felt: float = 0.0,
    priors: str | Path | None = None,
    licence: str | None = None,
    gates: Gates | None = None,
    renderer: str = "mesh",
    renderer_options: Mapping[str, Any] | None = None,
    encoder: EncoderSettings | None = None,
    lossless_master: bool = False,
    png: bool = False,
    twins: bool = False,
) -> Settings:
    """Settings from options; what is not given is the preset's. Arguments: `Settings` and `pipeline.generate`.

    Raises:
        InputError: unknown preset, emotion, renderer or renderer option, or a format out of range; every problem at once.
        MissingError: something that the renderer needs.
    """
    base = _preset(preset)
    duration_ms = base.duration_ms if duration_s is None else round(float(duration_s) * 1000, 6)
    chosen = tuple(base.emotions if emotions is None else emotions)
    fps = base.fps if fps is None else float(fps)
    size_px = base.size_px if size_px is None else size_px
    _check(chosen, fps, duration_ms, size_px, clips)
    made = make_renderer(renderer, renderer_options)
    if (generator := generator_of(made)) is not None:
        generator.check_format(fps, round(duration_ms * fps / 1000), size_px)
    n_clips = clips if clips is not None or preset is None else base.n_clips
    return Settings(
        faces=str(Path(faces).absolute()),
        licence=licence,
        gates=gates or Gates(),
        n_clips=n_clips,
        seed=seed,
        emotions=chosen,
        balance={k: v if isinstance(v, str) else dict(v) for k, v in (balance or {}).items()},
        fps=fps,
        duration_ms=duration_ms,
        size_px=size_px,
        p_felt=float(p_felt),
        priors=None if priors is None else str(Path(priors).absolute()),
        model=make_model(None if priors is None else str(priors), p_felt).model_id,
        renderer=renderer,
        renderer_version=made.version,
        renderer_params=dict(made.params),
        encoder=encoder or EncoderSettings(),
        lossless_master=lossless_master,
        png=png,
        twins=twins,
        renderer_options=dict(renderer_options or {}),
    )


def _preset(name: str | None) -> Preset:
    if name is None:
        return PRESETS["equime"]
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}; known are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def _check(
    emotions: tuple[str, ...], fps: float, duration_ms: float, size_px: int, clips: int | None
) -> None:
    """Everything that can be refused before a face is looked at."""
    from equime.action_units import EMOTIONS  # noqa: PLC0415

    problems = []
    if unknown := [name for name in emotions if name not in EMOTIONS]:
        problems.append(f"emotions: {', '.join(unknown)} not known; use any of {', '.join(EMOTIONS)}")
    if not emotions or len(set(emotions)) != len(emotions):
        problems.append(f"emotions {list(emotions)}: give at least one emotion, and each once")
    if clips is not None and clips < 1:
        problems.append(f"clips {clips} is below 1; ask for at least one, for example --clips 100")
    try:
        validate_clip_format(fps, duration_ms, size_px)
    except InputError as error:
        problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))


def differences(old: Settings, new: Settings) -> list[str]:
    """Every setting in which two runs on one OUT differ, in words; a larger number of clips is none."""
    found = []
    for name in Settings.__struct_fields__:
        before, now = getattr(old, name), getattr(new, name)
        if name not in MAY_DIFFER and before != now:
            label = OPTIONS.get(name, "--" + name.replace("_", "-"))
            found.append(f"{name} ({label}) is {_show(before)} there, {_show(now)} now")
    if old.n_clips is not None and new.n_clips is not None and new.n_clips < old.n_clips:
        found.append(f"n_clips (--clips) is {old.n_clips} there, {new.n_clips} now; it can only grow")
    return found


def _show(value: Any) -> str:
    return msgspec.json.encode(value).decode()
