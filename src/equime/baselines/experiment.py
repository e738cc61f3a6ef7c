"""Run an experiment: every model in every arm with every seed, kept on the disk as it is done.

OUT holds ``config.toml`` (everything resolved), ``environment.json``, ``results.json``, ``results.md``,
``predictions/`` (a table per model), plots, and ``runs/`` (one training each: what it was made from, and its
probabilities). A training whose inputs have not changed is not done again, so a run that was killed goes on, and
models or seeds can be added later. A model that fails is a line in the results; the others go on.
"""

from __future__ import annotations

import io
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from equime import __version__
from equime.baselines.experiment_config import Arm, Config, resolve, to_toml
from equime.baselines.experiment_data import Data, Pool, gather
from equime.baselines.feature_options import FeatureOptions
from equime.baselines.inputs import Input
from equime.baselines.predictions import write_predictions
from equime.baselines.protocols import Outcome, Plan, plan, tested_rows
from equime.baselines.recogniser import F32, Recogniser
from equime.baselines.results import (
    ModelResult,
    Results,
    confusion_of,
    differences_of,
    parts_of,
    reading_of,
)
from equime.baselines.results_plots import write_plots
from equime.baselines.results_report import write_report
from equime.baselines.splits import who_are
from equime.baselines.training import Job, train
from equime.coded import CodedSet, Finding
from equime.errors import EquimeError, InputError, MissingError
from equime.locks import HIDDEN, RunLock, Shard
from equime.progress import Progress, Silent
from equime.provenance import package_version, provenance
from equime.records import disk_error, write_atomic
from equime.registry import lookup
from equime.seeding import canonical_json, content_id
from equime.types import Record

CONFIG: Final = "config.toml"
ENVIRONMENT: Final = "environment.json"
RUNS: Final = "runs"
FEATURES: Final = "features"
ERROR: Final = "error.txt"
PREDICTIONS: Final = "predictions"

_FORMAT: Final = 1
"""Of a stored training; part of its key."""

_PACKAGES: Final = ("torch", "torchvision", "timm", "scikit-learn")


class Run(Record, frozen=True):
    """One training on the disk, beside its probabilities.

    Attributes:
        key: content id of all that it was made from.
        arm, model, seed: which.
        options: of the model.
        chosen: options of each fold; () where none were selected.
        environment: content id of ``environment.json`` when it was made.
        seconds: how long it took.
        curve: mean training loss of every epoch, over the folds; () of a model that has none.
    """

    key: str
    arm: str
    model: str
    seed: int
    options: dict[str, Any]
    chosen: tuple[dict[str, Any], ...]
    environment: str
    seconds: float
    curve: tuple[float, ...] = ()


def run_experiment(
    config: Config,
    data: Mapping[str, CodedSet | Sequence[CodedSet]],
    out: Path,
    *,
    workers: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Results:
    """Run an experiment, or go on with it.

    Args:
        config: as `experiment_config.load` gives it.
        data: role to one or several sets.
        out: folder for everything that comes of it.
        workers: processes for the features.
        cache: folder in which features are kept; None is ``out/features``.
        progress: told of the features and of every training.

    Raises:
        InputError: roles, models or options that the experiment cannot use; data without the classes; people or clips
            in both training and test; a folder that holds something else. Nothing has been written then.
        WorkError: another process works in ``out``, or the disk refuses.
    """
    sets = {r: (s,) if isinstance(s, CodedSet) else tuple(s) for r, s in data.items()}
    config, inputs = _with_models(resolve(config, tuple(sets)))
    found = gather(config, sets)
    for arm in config.arms:
        clips, roles = found.clips_of(arm)
        plan(arm, who_are(clips, roles), np.array(roles, np.str_), config.seed)
    _refuse_foreign(out)
    with RunLock(out, Shard()):
        found.workers, found.scratch, found.inputs = workers, out, inputs
        found.progress = progress
        found.cache = out / FEATURES if cache is None else cache
        write_atomic(out / CONFIG, to_toml(config).encode())
        environment = {"provenance": provenance(), "packages": {p: package_version(p) for p in _PACKAGES}}
        write_atomic(out / ENVIRONMENT, msgspec.json.format(canonical_json(environment), indent=1) + b"\n")
        found.make_features()
        session = _Session(config, found, out, content_id(environment), progress or Silent())
        results = session.run()
        write_report(results, out)
        write_plots(results, session.outcomes, out)
    return results


def _refuse_foreign(out: Path) -> None:
    if out.is_file():
        raise InputError(f"{out}: is a file; give a folder for the results")
    holds = any(path.name != HIDDEN for path in out.iterdir()) if out.is_dir() else False
    if holds and not (out / CONFIG).is_file():
        raise InputError(
            f"{out}: holds something that is not an experiment; give a new or empty folder as OUT"
        )


def _with_models(config: Config) -> tuple[Config, tuple[Input, ...]]:
    """The experiment with every option of every model written out, and what the models look at."""
    if not config.models:
        raise InputError("the experiment names no model; give --models svm_linear, for example")
    FeatureOptions.of(dict(config.features))
    models, inputs = {}, {}
    for key, given in config.models.items():
        try:
            about = lookup("model", key)().about
        except MissingError:  # Is said again, and recorded, where it would be trained.
            models[key] = given
            continue
        asked = [*given, *config.select.get(key, {}), *config.pretrain.get(key, {})]
        defaults = dict(about.options)
        if defaults and (unknown := [name for name in asked if name not in defaults]):
            raise InputError(
                f"model {key!r} has no option {unknown[0]!r}; it has {', '.join(sorted(defaults))}"
            )
        models[key] = defaults | given
        inputs[about.input.key] = about.input
    return msgspec.structs.replace(config, models=models), tuple(inputs.values())


class _Session:
    """One call of `run_experiment`."""

    def __init__(self, config: Config, data: Data, out: Path, environment: str, progress: Progress) -> None:
        self.config, self.data, self.out = config, data, out
        self.environment, self.progress = environment, progress
        self.outcomes: dict[tuple[str, str], Outcome] = {}
        self._other_environments = 0

    def run(self) -> Results:
        models = [self._model(arm, key) for arm in self.config.arms for key in self.config.models]
        findings = list(self.data.findings)
        if self._other_environments:
            message = "trainings were done with other versions of packages than now (see runs/); delete runs/ to repeat them"
            findings.append(Finding(code="mixed_environment", message=message, n=self._other_environments))
        return Results(
            config=self.config,
            data=self.data.infos,
            models=tuple(models),
            differences=differences_of(self.outcomes, self.config),
            findings=tuple(findings),
            reading=reading_of(self.config, self.data.infos),
        )

    def _model(self, arm: Arm, key: str) -> ModelResult:
        """One model in one arm; what goes wrong is its result."""
        try:
            return self._trained(arm, key)
        except Exception as error:
            if disk_error(error) is not None:
                raise
            message = str(error) if isinstance(error, EquimeError) else f"{type(error).__name__}: {error}"
            if not isinstance(error, EquimeError):
                write_atomic(self._folder(arm, key) / ERROR, traceback.format_exc().encode())
            self.progress.note(f"{_called(arm, key)}: not done: {message}")
            return ModelResult(
                arm=arm.name, model=key, error=message, missing=isinstance(error, MissingError)
            )

    def _trained(self, arm: Arm, key: str) -> ModelResult:
        recogniser: Recogniser = lookup("model", key)()
        about = recogniser.about
        pool = self.data.pool(arm, about.input)
        folds = plan(arm, pool.who, pool.roles, self.config.seed)
        job = Job(
            pool.x, pool.y, folds.splits, self.config.head, len(self.config.outputs), folds.pretrain,
            alone=":" in key, inner_folds=self.config.inner_folds, scratch=self.out,
        )  # fmt: skip
        # What has nothing random says so; repeating it would only look like a spread of 0.
        seeds = self.config.seeds[:1] if recogniser.about.deterministic else self.config.seeds
        runs = [self._seed(arm, key, seed, recogniser, job, pool) for seed in seeds]
        (self._folder(arm, key) / ERROR).unlink(missing_ok=True)
        known = tested_rows(folds, pool.clips, pool.who, pool.y)
        outcome = Outcome(**known, by_seed=np.stack([p for _, p in runs]), seeds=seeds, head=self.config.head)
        self.outcomes[arm.name, key] = outcome
        file = self._file(PREDICTIONS, arm, f"{key}.csv")
        write_predictions(outcome, self.config.outputs, file)
        return ModelResult(
            arm=arm.name, model=key, title=about.title, source=about.source, differs=about.differs,
            n_parameters=about.n_parameters, options=self.config.models[key], seeds=seeds,
            n_folds=len(folds.splits), parts=parts_of(outcome, self.config), confusion=confusion_of(outcome),
            curves=tuple(run.curve for run, _ in runs), chosen=_choices(self.config.select.get(key, {}), [run for run, _ in runs]),
            predictions=file.relative_to(self.out).as_posix(), findings=(*pool.findings, *folds.findings, *_missing(folds, pool, self.config)),
        )  # fmt: skip

    def _seed(
        self, arm: Arm, key: str, seed: int, recogniser: Recogniser, job: Job, pool: Pool
    ) -> tuple[Run, F32]:
        """One training, from the disk where it is there."""
        options, grid = self.config.models[key], self.config.select.get(key)
        first = self.config.pretrain.get(key)
        made_from = [
            _FORMAT, __version__, msgspec.structs.replace(arm, name=""), self.config.head, self.config.outputs, key,
            options, first, grid, self.config.inner_folds, self.config.seed, seed, pool.digest,
        ]  # fmt: skip
        identity = content_id(made_from)
        file = self._folder(arm, key) / f"{seed}.npz"
        stored = read_run(file, identity)
        if stored is not None:
            self._other_environments += stored[0].environment != self.environment
            return stored
        began = time.monotonic()
        trained = train(
            recogniser, job, seed=seed, options=options, grid=grid,
            pretrain_options=None if first is None else {**options, **first},
        )  # fmt: skip
        seconds = time.monotonic() - began
        run = Run(
            key=identity, arm=arm.name, model=key, seed=seed, options=options, chosen=trained.chosen if grid else (),
            environment=self.environment, seconds=round(seconds, 3), curve=trained.curve,
        )  # fmt: skip
        probabilities = np.concatenate(trained.probabilities)
        write_run(file, run, probabilities)
        self.progress.note(f"{_called(arm, key)}, seed {seed}: {len(job.splits)} folds in {seconds:.1f} s")
        return run, probabilities

    def _folder(self, arm: Arm, key: str) -> Path:
        return self._file(RUNS, arm, key)

    def _file(self, kind: str, arm: Arm, name: str) -> Path:
        """Below the arm's folder where there are several arms."""
        folder = self.out / kind
        return (folder / slug(arm.name) if len(self.config.arms) > 1 else folder) / slug(name)


def _called(arm: Arm, key: str) -> str:
    return f"{arm.name}: {key}" if arm.name else key


def slug(name: str) -> str:
    """A name as part of a path."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name) or "arm"


def _choices(grid: Mapping[str, Any], runs: Sequence[Run]) -> dict[str, int]:
    if not grid:
        return {}
    picked = [", ".join(f"{n} = {fold[n]}" for n in grid) for run in runs for fold in run.chosen]
    return dict(Counter(picked).most_common())


def _missing(folds: Plan, pool: Pool, config: Config) -> list[Finding]:
    """Classes that some fold could not learn and was tested on."""
    if config.head != "emotion":
        return []
    lacking: Counter[str] = Counter()
    for split in folds.splits:
        absent = np.setdiff1d(pool.y[split.test], pool.y[split.train])
        lacking.update(config.classes[i] for i in absent)
    return [
        Finding(
            code="class_not_in_training",
            message=f"class {name!r} has no training clip in {n} folds that are tested on it; its clips there count "
            "as errors",
            n=n,
        )
        for name, n in sorted(lacking.items())
    ]


def write_run(file: Path, run: Run, probabilities: F32) -> None:
    """Keep a training: probabilities, then what they are. Both carry the key, so that no half of one is read."""
    buffer = io.BytesIO()
    np.savez(buffer, probabilities=probabilities, key=np.array(run.key))
    write_atomic(file, buffer.getvalue())
    write_atomic(file.with_suffix(".json"), msgspec.json.format(canonical_json(run), indent=1) + b"\n")


def read_run(file: Path, key: str) -> tuple[Run, F32] | None:
    """A training that was made from the same; None where there is none, or it is damaged."""
    try:
        run = msgspec.json.decode(file.with_suffix(".json").read_bytes(), type=Run)
        # From bytes: of a damaged file numpy leaves the handle open.
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            if run.key != key or str(stored["key"]) != key:
                return None
            return run, stored["probabilities"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, msgspec.DecodeError):
        return None
