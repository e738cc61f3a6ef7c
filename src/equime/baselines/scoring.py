"""How good a recogniser is that is trained already: everything in the data is tested, nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from equime.baselines.experiment_config import Arm, Config, Intervals, Value
from equime.baselines.experiment_data import Data, gather
from equime.baselines.predictions import write_predictions
from equime.baselines.protocols import Outcome
from equime.baselines.results import ModelResult, Results, confusion_of, parts_of
from equime.baselines.results_plots import write_plots
from equime.baselines.results_report import TITLES, write_report
from equime.baselines.shipped import Card, Shipped
from equime.coded import CodedSet
from equime.errors import InputError
from equime.registry import lookup

ROLE: Final = "data"
_ARM: Final = Arm(protocol="trained already", test=(ROLE,), name="")
_BATCH: Final = 512


def score(
    sets: Sequence[CodedSet],
    recogniser: Shipped,
    out: Path,
    *,
    features: dict[str, Value] | None = None,
    intervals: Intervals | None = None,
    cache: Path | None = None,
    workers: int | None = None,
) -> Results:
    """Test a trained recogniser on all clips that have one of its classes (or AU coding).

    Args:
        sets: coded clips: real corpora, flow folders, synthetic sets.
        recogniser: as `shipped.load_shipped` gives it.
        out: folder for ``results.json``, ``results.md``, predictions and plots.
        features: options of the features that differ from those of the recogniser's card; flow folders need none.
        intervals: of the bootstrap over people.
        cache: of the features; None is ``out/features``.
        workers: processes for the features.

    Raises:
        InputError: no clip with one of its classes, or data that cannot give its input.
    """
    card = recogniser.card
    config = _config(card, {**card.features, **(features or {})}, intervals or Intervals())
    data: Data = gather(config, {ROLE: tuple(sets)})
    data.workers, data.scratch, data.inputs = workers, out, (card.input,)
    data.cache = out / "features" if cache is None else cache
    pool = data.pool(_ARM, card.input)
    if not len(pool.clips):
        raise InputError(f"no clip has one of the classes {', '.join(config.outputs)}; give other data")
    parts = [
        recogniser.fitted.probabilities(np.asarray(pool.x[start : start + _BATCH]))
        for start in range(0, len(pool.clips), _BATCH)
    ]
    outcome = Outcome(
        clips=pool.clips,
        folds=np.full(len(pool.clips), card.name, dtype=np.str_),
        sets=pool.who.sets,
        truth=pool.y,
        by_seed=np.concatenate(parts)[None],
        seeds=(card.seed,),
        head=card.head,
    )
    file = out / "predictions" / f"{card.name}.csv"
    write_predictions(outcome, config.outputs, file)
    about = lookup("model", card.model)().about
    result = ModelResult(
        arm="", model=card.name, title=about.title, source=about.source, differs=about.differs, options=dict(card.options), seeds=(card.seed,), n_folds=1,
        parts=parts_of(outcome, config), confusion=confusion_of(outcome),
        predictions=file.relative_to(out).as_posix(), findings=pool.findings,
    )  # fmt: skip
    results = Results(
        config=config, data=data.infos, models=(result,), differences=(), findings=data.findings,
        reading=_reading(card, config),
    )  # fmt: skip
    write_report(results, out)
    write_plots(results, {("", card.name): outcome}, out)
    return results


def figures_of(results: Results, data: str) -> dict[str, float]:
    """Every score over all clips, for a card: name with interval and the data's name to value.

    Args:
        results: of `score`.
        data: what was tested on, in words.
    """
    part = results.models[0].parts[0]
    found = {}
    for key, value in part.scores.items():
        if value.value is not None:
            known = value.low is not None and value.high is not None
            span = f" ({value.low:.3f} to {value.high:.3f})" if known else ""
            found[f"{TITLES[key]}{span}, {data}"] = round(value.value, 4)
    return found


def _config(card: Card, features: dict[str, Value], intervals: Intervals) -> Config:
    """A description in the form that reports are written from."""
    emotion = card.head == "emotion"
    return Config(
        title=f"{card.name}, as it is",
        arms=(_ARM,),
        head=card.head,
        **({"classes": card.outputs} if emotion else {"aus": tuple(int(au) for au in card.outputs)}),
        seeds=(card.seed,),
        models={card.name: dict(card.options)},
        features=features,
        intervals=intervals,
        roles={ROLE: "what it is tested on"},
    )


def _reading(card: Card, config: Config) -> tuple[str, ...]:
    origin = "synthetic clips only" if card.synthetic else "real clips"
    return (
        f"{card.name} was trained on {origin} ({card.training}); nothing was trained or selected here.",
        f"Brackets are {config.intervals.level:.0%} intervals from {config.intervals.resamples} resamples of the "
        "people, not of the clips.",
    )
