"""Train a recogniser on all of the given data and keep it, as a TOML file says; what ships is made so.

::

    name = "emotion_cnn"                    # folder of the weights
    model = "flow_cnn"
    head = "emotion"                        # or "aus"
    seeds = 5                               # one training each; probabilities are averaged
    training = "6,000 onset-apex pairs ..." # in words, for the card
    recipe = "megc"
    command = "equime train emotion_cnn OUT --data PAIRS"

    [options]                               # of the model
    epochs = 30
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.baselines.experiment_config import Value
from equime.baselines.feature_options import FeatureOptions
from equime.baselines.features import build
from equime.baselines.inputs import AUS, Samples
from equime.baselines.recogniser import Fitted, Head, Recogniser
from equime.baselines.shipped import Card, Storage, save_shipped
from equime.baselines.small_net import Ensemble
from equime.coded import THREE, CodedSet, Finding
from equime.errors import InputError
from equime.registry import lookup
from equime.types import Record

_FOLDER: Final = "trainings"


class Training(Record, frozen=True, omit_defaults=True):
    """What is trained and kept. See `shipped.Card` for what the fields become.

    Attributes:
        name: folder of the weights.
        model: key in the registry.
        head: "emotion" or "aus".
        classes: of head "emotion".
        aus: of head "aus".
        seeds: number of trainings whose probabilities are averaged.
        options: of the model.
        features: options of the features.
        recipe, training, command, licence, notes, rank, storage, thresholds: for the card.
        thresholds: AU to the probability from which it counts as present.
    """

    name: str
    model: str
    head: Head = "emotion"
    classes: tuple[str, ...] = THREE
    aus: tuple[int, ...] = AUS
    seeds: int = 1
    options: dict[str, Value] = msgspec.field(default_factory=dict)
    features: dict[str, str | int] = msgspec.field(default_factory=dict)
    thresholds: dict[str, float] = msgspec.field(default_factory=dict)
    recipe: str = ""
    training: str = ""
    command: str = ""
    licence: str = "CC0-1.0"
    notes: str = ""
    rank: int = 0
    storage: Storage = "half"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Classes, or FACS numbers as text."""
        return self.classes if self.head == "emotion" else tuple(str(au) for au in self.aus)


def shipped_trainings() -> tuple[str, ...]:
    """Names of the trainings that come with equime."""
    folder = resources.files("equime.baselines").joinpath(_FOLDER)
    return tuple(sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".toml")))


def load_training(training: str | Path) -> Training:
    """A training by the name of a shipped one, or from a TOML file.

    Raises:
        InputError: neither, no TOML, or something in it that is not understood.
    """
    path = Path(training)
    if str(training) in shipped_trainings():
        file = resources.files("equime.baselines").joinpath(_FOLDER, f"{training}.toml")
        text = file.read_text("utf-8")
    elif path.is_file():
        text = path.read_text("utf-8")
    else:
        raise InputError(
            f"training {str(training)!r} is neither shipped ({', '.join(shipped_trainings())}) nor a TOML file that "
            "is there"
        )
    try:
        found = msgspec.toml.decode(text, type=Training)
    except (msgspec.DecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{training}: {error}; see the shipped trainings for what can be said") from None
    if found.seeds < 1:
        raise InputError(f"{training}: seeds = {found.seeds} is below 1")
    FeatureOptions.of(dict(found.features))
    return found


def train_to_keep(
    training: Training,
    sets: Sequence[CodedSet],
    out: Path,
    *,
    cache: Path | None = None,
    workers: int | None = None,
) -> tuple[Card, tuple[Finding, ...]]:
    """Train on all clips of the sets and write ``out/<name>``, which `equime predict --model` reads.

    Returns:
        The card, and what was noticed in the data.

    Raises:
        InputError: no clip with a class, unknown options.
        MissingError: a package that the model needs.
    """
    recogniser: Recogniser = lookup("model", training.model)()
    options = FeatureOptions.of(dict(training.features))
    samples, findings = build(
        sets, [recogniser.about.input], options=options, cache=cache or out / "features", workers=workers
    )
    y = targets_of(samples, training)
    rows = np.flatnonzero(y >= 0 if y.ndim == 1 else (y >= 0).any(1))
    if not len(rows):
        raise InputError(f"no clip has one of {', '.join(training.outputs)}; give data that is coded so")
    x = samples.input(recogniser.about.input)
    fitted = [
        recogniser.fit(
            x,
            y,
            [rows],
            head=training.head,
            n_outputs=len(training.outputs),
            seed=seed,
            options=training.options,
        )[0]
        for seed in range(training.seeds)
    ]
    ensemble = fitted[0] if len(fitted) == 1 else Ensemble(fitted)
    card = _card(training, recogniser, ensemble, samples, rows)
    return save_shipped(out, ensemble, card), findings


def targets_of(samples: Samples, training: Training) -> NDArray[np.integer]:
    """(N,) classes, or (N, A) of 1, 0, -1."""
    return samples.labels(training.classes) if training.head == "emotion" else samples.aus(training.aus)


def _card(
    training: Training, recogniser: Recogniser, fitted: Fitted, samples: Samples, rows: NDArray[np.intp]
) -> Card:
    about = recogniser.about
    people = len({samples.clips[i].person for i in rows})
    said = f"{training.training}; " if training.training else ""
    averaged = f", {training.seeds} trainings averaged" if training.seeds > 1 else ""
    return Card(
        name=training.name,
        model=training.model,
        head=training.head,
        outputs=training.outputs,
        input_kind=about.input.kind,
        input_px=about.input.size_px,
        input_frames=about.input.n_frames,
        training=f"{said}{len(rows)} clips of {people} people{averaged}",
        command=training.command,
        seed=0,
        n_parameters=sum(a.size for a in fitted.tensors().values() if np.issubdtype(a.dtype, np.floating)),
        recipe=training.recipe,
        features=FeatureOptions.of(dict(training.features)).table(),
        options=dict(about.options) | training.options,
        thresholds=training.thresholds,
        licence=training.licence,
        synthetic=bool(samples.synthetic[rows].all()),
        rank=training.rank,
        storage=training.storage,
        notes=training.notes,
    )
