"""Recognisers that ship with equime: weights, a card that says what they are, and how both are written and read.

One folder each under ``baselines/weights``: ``weights.safetensors``, ``card.json`` and, for people, ``card.md``. The
digest of the weights stands in the card and is checked at every load. All of them were trained on synthetic clips.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.baselines.inputs import Input
from equime.baselines.recogniser import Fitted, Head
from equime.errors import InputError, MissingError, WorkError
from equime.extras import installed
from equime.records import disk_guard, write_atomic
from equime.registry import lookup
from equime.seeding import canonical_json
from equime.types import Record

FOLDER: Final = Path(__file__).parent / "weights"
WEIGHTS: Final = "weights.safetensors"
CARD: Final = "card.json"
CARD_TEXT: Final = "card.md"
FORMAT_VERSION: Final = 1
SYNTHETIC: Final = "trained on synthetic clips only, never on a real face's micro-expression"
COMPACT_FROM: Final = 4096
"""Arrays with fewer numbers are kept as they are."""

Storage = Literal["full", "half", "byte"]
Tensors = dict[str, NDArray[np.generic]]

_LOW, _STEP = "#low", "#step"


class Card(Record, frozen=True):
    """``card.json``: what a shipped recogniser is.

    Attributes:
        format_version: `FORMAT_VERSION`.
        name: of its folder.
        model: key in the registry.
        head: "emotion" or "aus".
        outputs: classes in the order of the outputs, or FACS numbers as text.
        input_kind, input_px, input_frames: of `Input`.
        features: options of the features (`equime.baselines.feature_options.FeatureOptions`).
        recipe: of the training pairs.
        training: how much of what it was trained on, in words.
        command: that trains it again.
        seed: of the training.
        options: of the model.
        figures: what it reaches, name with its data set to value.
        thresholds: AU to the probability from which it counts as present; 0.5 where not named.
        licence: of the weights.
        n_parameters: numbers that are learnt.
        synthetic: whether it was trained on synthetic clips only.
        rank: the smallest of a head is what `equime predict` uses by default.
        storage: how arrays are stored: "full", "half" (16 bits), "byte" (8 bits between each column's extremes where nothing is negative).
        sha256: of the weights' file; written by `save_shipped`.
        notes: what a user must know.
    """

    name: str
    model: str
    head: Head
    outputs: tuple[str, ...]
    input_kind: str
    input_px: int
    training: str
    command: str
    seed: int
    n_parameters: int
    recipe: str = ""
    input_frames: int = 0
    features: dict[str, str | int] = msgspec.field(default_factory=dict)
    options: dict[str, float | int | str | bool] = msgspec.field(default_factory=dict)
    figures: dict[str, float] = msgspec.field(default_factory=dict)
    thresholds: dict[str, float] = msgspec.field(default_factory=dict)
    licence: str = "CC0-1.0"
    synthetic: bool = True
    rank: int = 0
    storage: Storage = "full"
    sha256: str = ""
    notes: str = ""
    format_version: int = FORMAT_VERSION

    @property
    def input(self) -> Input:
        """What it looks at."""
        return Input(self.input_kind, self.input_px, self.input_frames)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Shipped:
    """A recogniser ready to predict.

    Attributes:
        card: what it is.
        fitted: gives probabilities.
    """

    card: Card
    fitted: Fitted


def list_shipped(folder: Path | None = None) -> list[Card]:
    """Cards of all shipped recognisers, by head, rank and name; none where no weights ship.

    Raises:
        WorkError: a card is damaged.
    """
    folder = folder or FOLDER
    cards = [read_card(path.parent) for path in sorted(folder.glob(f"*/{CARD}"))]
    return sorted(cards, key=lambda card: (card.head, card.rank, card.name))


def read_card(folder: Path) -> Card:
    """The card in a recogniser's folder.

    Raises:
        MissingError: none there.
        WorkError: damaged.
    """
    file = folder / CARD
    try:
        card = msgspec.json.decode(file.read_bytes(), type=Card)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(
            f"{file}: no such card; give the folder of a recogniser that equime wrote"
        ) from None
    except (msgspec.DecodeError, msgspec.ValidationError, OSError) as error:
        raise WorkError(
            f"{file}: damaged ({error}); install equime again, or write the weights again"
        ) from error
    if card.format_version > FORMAT_VERSION:
        raise WorkError(
            f"{file}: format {card.format_version} is newer than this equime reads; update equime"
        )
    return card


def usable(card: Card) -> str | None:
    """Why a recogniser cannot run here (a package is missing), or None."""
    about = lookup("model", card.model)().about
    missing = [name for name in about.requires if not installed(name)]
    return f"needs {', '.join(missing)}" if missing else None


def load_shipped(name: str | Path, folder: Path | None = None) -> Shipped:
    """A shipped recogniser by its name, or one from a folder that `save_shipped` wrote.

    Raises:
        InputError: no recogniser of that name.
        MissingError: it needs a package that is not installed.
        WorkError: card or weights are damaged; the digest is checked.
    """
    folder = folder or FOLDER
    path = folder / name if (folder / name / CARD).is_file() else Path(name)
    if not (path / CARD).is_file():
        known = ", ".join(card.name for card in list_shipped(folder)) or "none ships with this installation"
        raise InputError(f"recogniser {str(name)!r} not known; known: {known}; or give a folder with {CARD}")
    card = read_card(path)
    reason = usable(card)
    if reason is not None:
        raise MissingError(f"recogniser {card.name}: {reason}; run `pip install 'equime[baselines]'`")
    tensors = _read_weights(path / WEIGHTS, card)
    model = lookup("model", card.model)()
    return Shipped(card, model.restore(tensors, head=card.head, n_outputs=len(card.outputs)))


def _read_weights(file: Path, card: Card) -> Tensors:
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.numpy import load  # noqa: PLC0415

    try:
        data = file.read_bytes()
    except OSError as error:
        raise WorkError(f"{file}: cannot be read ({error.strerror}); install equime again") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.sha256:
        raise WorkError(
            f"{file}: not the weights that the card describes (sha256 {digest[:12]}..., the card says "
            f"{card.sha256[:12]}...); install equime again, or write the weights again"
        )
    try:
        return unpacked(load(data))
    except SafetensorError as error:
        raise WorkError(f"{file}: no safetensors file ({error}); write the weights again") from error


def save_shipped(folder: Path, fitted: Fitted, card: Card) -> Card:
    """Write ``folder/<card.name>``: weights, ``card.json`` (last) and ``card.md``.

    Args:
        folder: that holds all recognisers (`FOLDER` for those that ship).
        fitted: the trained recogniser.
        card: what it is; `Card.sha256` is filled in, the rest is taken as it is.

    Returns:
        The card as written.

    Raises:
        InputError: a name that is no folder's name, or an unknown model.
        WorkError: the disk refuses.
    """
    from safetensors.numpy import save  # noqa: PLC0415

    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", card.name):
        raise InputError(
            f"card: name {card.name!r}: use lower-case letters, digits, _ . - (it names a folder)"
        )
    lookup("model", card.model)
    data = save(packed(fitted.tensors(), card.storage))
    card = msgspec.structs.replace(card, sha256=hashlib.sha256(data).hexdigest())
    target = folder / card.name
    with disk_guard(target):
        target.mkdir(parents=True, exist_ok=True)
    (target / CARD).unlink(missing_ok=True)
    write_atomic(target / WEIGHTS, data)
    write_atomic(target / CARD_TEXT, card_text(card, len(data)).encode())
    write_atomic(target / CARD, msgspec.json.format(canonical_json(card), indent=1) + b"\n")
    return card


def add_figures(folder: Path, figures: Mapping[str, float]) -> Card:
    """Write figures into the card of a recogniser that lies in a folder; those of the same name are replaced.

    Raises:
        MissingError, WorkError: as `read_card`; the disk refuses.
    """
    card = read_card(folder)
    card = msgspec.structs.replace(card, figures={**card.figures, **figures})
    write_atomic(folder / CARD_TEXT, card_text(card, (folder / WEIGHTS).stat().st_size).encode())
    write_atomic(folder / CARD, msgspec.json.format(canonical_json(card), indent=1) + b"\n")
    return card


# -- storage ---------------------------------------------------------------------------------------------


def packed(tensors: Mapping[str, NDArray[np.generic]], storage: Storage) -> Tensors:
    """Arrays as they are stored; see `Card.storage`. Integers and small arrays stay as they are.

    Bytes are for pictures (flow of 0..1 has no more levels in the published files either); what has a sign, as
    coefficients that nearly add up to 0, takes 16 bits then.
    """
    out: Tensors = {}
    for name, array in tensors.items():
        if storage == "full" or array.size < COMPACT_FROM or not np.issubdtype(array.dtype, np.floating):
            out[name] = np.array(array, order="C")  # `ascontiguousarray` would make a number a vector
            continue
        values = np.asarray(array, np.float32)
        if storage == "byte" and values.min() >= 0:
            out |= _as_bytes(name, values)
        elif np.abs(values).max() < np.finfo(np.float16).max:
            out[name] = np.ascontiguousarray(values, np.float16)
        else:
            out[name] = np.ascontiguousarray(array)
    return out


def _as_bytes(name: str, array: NDArray[np.float32]) -> Tensors:
    low, high = array.min(axis=0), array.max(axis=0)
    step = np.where(high > low, (high - low) / np.float32(255), np.float32(1)).astype(np.float32)
    levels = np.clip(np.rint((array - low) / step), 0, 255).astype(np.uint8)
    return {name: levels, name + _LOW: np.atleast_1d(low), name + _STEP: np.atleast_1d(step)}


def unpacked(tensors: Mapping[str, NDArray[np.generic]]) -> Tensors:
    """Arrays as the model wants them."""
    out: Tensors = {}
    for name, array in tensors.items():
        if name.endswith((_LOW, _STEP)):
            continue
        if name + _STEP in tensors:
            low, step = (np.asarray(tensors[name + key], np.float32) for key in (_LOW, _STEP))
            out[name] = array.astype(np.float32) * step + low
        else:
            out[name] = array.astype(np.float32) if array.dtype == np.float16 else array
    return out


# -- card for people -------------------------------------------------------------------------------------


def card_text(card: Card, n_bytes: int) -> str:
    """``card.md``."""
    origin = SYNTHETIC if card.synthetic else "trained on real clips"
    lines = [
        f"# {card.name}",
        "",
        f"Recogniser of micro-expressions, **{origin}**.",
        "",
        f"* Model: `{card.model}`, head `{card.head}`, outputs: {', '.join(card.outputs)}",
        f"* Input: {card.input_kind}, {card.input_px} px"
        + (f", {card.input_frames} frames" if card.input_frames else ""),
        f"* Features: {_table(card.features)}",
        f"* Training: {card.training}" + (f" (recipe `{card.recipe}`)" if card.recipe else ""),
        f"* Options: {_table(card.options)}; seed {card.seed}",
        f"* Parameters: {card.n_parameters:,}; weights {n_bytes / 1e6:.2f} MB ({card.storage}), sha256 `{card.sha256}`",
        f"* Licence of the weights: {card.licence}",
        "",
        "Made by",
        "",
        "```",
        card.command,
        "```",
        "",
        "## Figures",
        "",
    ]
    lines += [f"* {name}: {value:.3f}" for name, value in card.figures.items()] or ["None were recorded."]
    if card.thresholds:
        lines += ["", "## Thresholds", "", _table(card.thresholds)]
    lines += [
        "",
        "## What it is not",
        "",
        "A label says which of the recogniser's classes the movement resembles, not what a person feels. "
        "It is no basis for decisions about people.",
    ]
    return "\n".join(lines + (["", card.notes] if card.notes else [])) + "\n"


def _table(values: Mapping[str, object]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in values.items()) or "defaults"
