"""Recipe of training pairs: which AU sets teach a class, and everything that varies around them.

A recipe is a TOML file; ``megc``, ``mild`` and ``plain`` ship. A file of one's own may start from either
(``extends = "megc"``) and name only what differs. Every section but the classes has ``on``: an ablation switches
one off and keeps all other draws, because each section has a random stream of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from equime.action_units import EMOTIONS
from equime.coded import THREE
from equime.errors import InputError, MissingError
from equime.face.muscles import MUSCLES
from equime.generation_pipeline.au_sets import weighted_sets
from equime.generation_pipeline.pair_sections import (
    Blink,
    Blur,
    CoderNoise,
    Compression,
    Crop,
    Gaze,
    Head,
    Intensity,
    Light,
    Muscles,
    Pose,
    Resolution,
    Sensor,
    Sides,
    Texture,
    Timing,
)
from equime.generation_pipeline.priors import default_priors
from equime.seeding import content_id
from equime.types import Record

SHIPPED: Final = ("megc", "mild", "plain")
REPRESSION: Final = "repression"
"""CASME II codes it beside the seven emotions; equime's causal model does not have it."""


class AuSetWeight(Record, frozen=True):
    """One AU set and its weight within a group."""

    aus: tuple[int, ...]
    weight: float = 1.0


class Group(Record, frozen=True):
    """Clips that share an emotion and a source: AU sets, single AUs, or both.

    Attributes:
        emotion: as coded.
        source: where the numbers come from, in words.
        weight: of the group within its class (clips).
        sets: one of these is drawn first; none are needed.
        aus: then each of these is added with its own probability (FACS number to 0..1), independently. A draw
            that gives no AU at all is repeated.
        priors: take ``sets`` from the priors file instead, under these label semantics
            (`equime.generation_pipeline.au_sets`).
        unilateral: shares that replace the priors' ones in this group (FACS number to 0..1).
    """

    emotion: str
    source: str = ""
    weight: float = 1.0
    sets: tuple[AuSetWeight, ...] = ()
    aus: dict[str, float] = msgspec.field(default_factory=dict)
    priors: Literal["", "au-defined", "felt"] = ""
    unilateral: dict[str, float] = msgspec.field(default_factory=dict)


class ClassMix(Record, frozen=True):
    """One of the three classes: its share of all pairs and its groups."""

    share: float = 1.0
    groups: tuple[Group, ...] = ()


class Recipe(Record, frozen=True):
    """A validated recipe.

    Attributes:
        name: for records.
        about: what it is for.
        classes: negative, positive, surprise.
        pairs_per_variant: pairs that share a variant of a face (its muscles, texture and resolution).
        margin: how much is kept around the face's outline where ``crop`` is off, share of its width.
        jpeg_quality: of the stored files.
    """

    name: str
    classes: dict[str, ClassMix]
    about: str = ""
    intensity: Intensity = Intensity()
    sides: Sides = Sides()
    timing: Timing = Timing()
    coder_noise: CoderNoise = CoderNoise()
    blink: Blink = Blink()
    gaze: Gaze = Gaze()
    head: Head = Head()
    pose: Pose = Pose()
    muscles: Muscles = Muscles()
    texture: Texture = Texture()
    resolution: Resolution = Resolution()
    crop: Crop = Crop()
    blur: Blur = Blur()
    light: Light = Light()
    sensor: Sensor = Sensor()
    compression: Compression = Compression()
    pairs_per_variant: int = 10
    margin: float = 0.3
    jpeg_quality: int = 95

    @property
    def digest(self) -> str:
        """Content id: two recipes with the same one give the same pairs."""
        return content_id(self, 12)


SECTIONS: Final = tuple(
    field.name
    for field in msgspec.structs.fields(Recipe)
    if isinstance(field.default, msgspec.Struct) and "on" in field.default.__struct_fields__
)
"""What an ablation can switch off."""


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A recipe that ships, or a TOML file, with single values changed.

    Args:
        name: one that ships, or a path.
        changes: "section.key=value" in TOML's notation ("head.on=false", "intensity.fraction=[0.1,0.4]").

    Raises:
        MissingError: no such file.
        InputError: with every problem found.
    """
    raw = _load(name, ())
    for change in changes:
        _apply(raw, change)
    try:
        recipe = msgspec.convert(raw, Recipe)
    except msgspec.ValidationError as error:
        raise InputError(
            f"recipe {name}: {error}; every key is described in equime.generation_pipeline.pair_recipe"
        ) from None
    recipe = msgspec.structs.replace(recipe, classes={k: _with_priors(c) for k, c in recipe.classes.items()})
    problems = list(_problems(recipe))
    if problems:
        raise InputError("\n".join(f"recipe {name}: {problem}" for problem in problems))
    return recipe


def _load(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise InputError(f"recipe {name}: extends itself ({' > '.join((*seen, name))})")
    if name in SHIPPED:
        text = (
            resources.files("equime.generation_pipeline")
            .joinpath("recipes", f"{name}.toml")
            .read_text("utf-8")
        )
    else:
        text = _read(Path(name))
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"recipe {name}: not TOML: {error}") from None
    base = raw.pop("extends", None)
    if base is None:
        return raw
    if not isinstance(base, str):
        raise InputError(f"recipe {name}: extends = {base!r}: give the name of a recipe or a file")
    beside = Path(name).parent / base
    return _merged(_load(base if base in SHIPPED else str(beside), (*seen, name)), raw)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise MissingError(
            f"{path}: no such recipe; use {', '.join(SHIPPED)}, or the path of a TOML file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a recipe ({error}); give a TOML file") from None


def _merged(base: dict[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged, everything else (also lists of groups) is replaced."""
    out = dict(base)
    for key, value in top.items():
        old = out.get(key)
        out[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out


def _apply(raw: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    parts = key.strip().split(".")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = None
    if not equals or value is None or not all(parts):
        raise InputError(
            f"recipe change {change!r} is not section.key=value; use for example head.on=false or "
            "intensity.fraction=[0.1,0.4]"
        )
    for part in parts[:-1]:
        raw = raw.setdefault(part, {})
        if not isinstance(raw, dict):
            raise InputError(f"recipe change {change!r}: {part} has no keys of its own")
    raw[parts[-1]] = value


def _with_priors(mix: ClassMix) -> ClassMix:
    return msgspec.structs.replace(mix, groups=tuple(_filled(group) for group in mix.groups))


def _filled(group: Group) -> Group:
    """A group that takes its sets from the priors, with them."""
    priors = default_priors()
    if not group.priors or group.emotion not in priors.au_sets_per_emotion:
        return group
    drawn = weighted_sets(priors, group.priors, group.emotion)
    sets = tuple(AuSetWeight(aus=aus, weight=p) for aus, p in drawn if all(au in MUSCLES for au in aus))
    return msgspec.structs.replace(group, sets=sets)


def _problems(recipe: Recipe) -> Iterator[str]:
    names = ", ".join(THREE)
    if not recipe.classes:
        yield f"no classes; give [[classes.NAME.groups]] for any of {names}"
    for name, mix in recipe.classes.items():
        if name not in THREE:
            yield f"classes.{name}: not a class; allowed are {names}"
        if mix.share < 0:
            yield f"classes.{name}.share = {mix.share:g} is below 0"
        if not mix.groups and mix.share > 0:
            yield f"classes.{name} has no groups; give at least one, or share = 0"
        for i, group in enumerate(mix.groups):
            yield from (f"classes.{name}.groups[{i}]: {text}" for text in _group_problems(group))
    if recipe.classes and not any(mix.share > 0 for mix in recipe.classes.values()):
        yield "every class has share 0; give one a share above 0"
    for section in SECTIONS:
        yield from (f"{section}.{text}" for text in _section_problems(getattr(recipe, section)))
    if recipe.pairs_per_variant < 1:
        yield f"pairs_per_variant = {recipe.pairs_per_variant} is below 1"
    if not 0 <= recipe.margin <= 0.6:
        yield f"margin = {recipe.margin:g} is not in 0..0.6"
    if not 50 <= recipe.jpeg_quality <= 100:
        yield f"jpeg_quality = {recipe.jpeg_quality} is not in 50..100"


def _group_problems(group: Group) -> Iterator[str]:
    if group.emotion not in EMOTIONS and group.emotion != REPRESSION:
        yield f"emotion {group.emotion!r} not known; use one of {', '.join((*EMOTIONS, REPRESSION))}"
    if group.weight <= 0:
        yield f"weight = {group.weight:g} is not above 0"
    if not group.sets and not any(p > 0 for p in group.aus.values()):
        yield "no AU can come out of it; give sets, aus with a probability above 0, or priors"
    numbers = [str(au) for s in group.sets for au in s.aus] + [*group.aus, *group.unilateral]
    unknown = sorted({n for n in numbers if not (n.isdigit() and int(n) in MUSCLES)})
    if unknown:
        yield f"AU {', '.join(unknown)} moves no skin here; use {' '.join(map(str, MUSCLES))}"
    for key in ("aus", "unilateral"):
        for au, p in getattr(group, key).items():
            if not 0 <= p <= 1:
                yield f"{key}.{au} = {p:g} is not in 0..1"
    if any(s.weight <= 0 or not s.aus for s in group.sets):
        yield "a set is empty or has no weight above 0"


def _section_problems(section: Record) -> Iterator[str]:
    for key in section.__struct_fields__:
        value = getattr(section, key)
        if key in ("on", "aus"):
            continue
        if isinstance(value, tuple) and not 0 <= value[0] <= value[1]:
            yield f"{key} = {list(value)} is no range of values from 0 on"
        elif isinstance(value, int | float) and value < 0:
            yield f"{key} = {value:g} is below 0"
        if key in ("p", "smooth_p", "imbalance", "square_p") and value > 1:
            yield f"{key} = {value:g} is a share: 0 to 1"
    if isinstance(section, Intensity | CoderNoise | Timing):
        last = section.apex if isinstance(section, Timing) else section.fraction
        if last[1] > 1:
            yield f"{'apex' if isinstance(section, Timing) else 'fraction'} = {list(last)} goes beyond 1, the maximum"
    if isinstance(section, Resolution) and not 60 <= section.face_px[0] <= section.face_px[1] <= 400:
        yield f"face_px = {list(section.face_px)} is not within 60..400"
    if isinstance(section, Crop) and not (
        section.width[0] >= 0.5 and section.aspect[0] >= 0.5 and section.eyes[1] < 1
    ):
        yield f"width, aspect, eyes = {list(section.width)}, {list(section.aspect)}, {list(section.eyes)}: no crop of a face"
    if isinstance(section, Head) and section.tail_df <= 2:
        yield f"tail_df = {section.tail_df:g} has no standard deviation; use more than 2"
    if isinstance(section, Compression) and not 1 <= section.quality[0] <= section.quality[1] <= 100:
        yield f"quality = {list(section.quality)} is not within 1..100"
    if isinstance(section, CoderNoise) and (not section.aus or any(au not in MUSCLES for au in section.aus)):
        yield f"aus = {list(section.aus)}: empty, or with AUs that move no skin"
