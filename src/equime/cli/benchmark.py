"""benchmark: train and test recognisers as an experiment says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import ProgressView, print_json
from equime.errors import EquimeError, InputError

if TYPE_CHECKING:
    from equime.baselines.experiment_config import Config
    from equime.baselines.results import Results
    from equime.coded import CodedSet


@app.command()
def benchmark(
    experiment: Annotated[
        str | None, typer.Argument(help="Name of a shipped experiment, or a TOML file.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Argument(help="Folder of the results.", show_default=False)] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="ROLE=PATH: data set, coded clips or corpus that plays a role; repeatable, also for one role.",
        ),
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Models, comma separated; default: the experiment's.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Number of trainings per model; default: the experiment's.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Classes, comma separated; default: the experiment's.")
    ] = None,
    workers: o.Workers = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps features; default: in OUT.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Show experiments and models.")] = False,
    as_json: o.Json = False,
) -> int:
    """Train and test recognisers of micro-expressions: LOSO, cross-dataset, synthetic to real.

    The same command continues an interrupted run. `equime benchmark --list` shows what there is. Exit code 1 where a
    model failed, 3 where it lacks a package.
    """
    if show or experiment == "list":
        return _list(as_json)
    if experiment is None or out is None:
        raise InputError("give an experiment and a folder for its results; `equime benchmark --list` shows the experiments")  # fmt: skip
    from equime.baselines.experiment import run_experiment  # noqa: PLC0415
    from equime.baselines.experiment_config import load  # noqa: PLC0415

    config = _changed(load(experiment), models, seeds, classes)
    with ProgressView() as progress:
        results = run_experiment(
            config, _data(data or [], config), out, workers=workers, cache=cache, progress=progress
        )
    if as_json:
        print_json(results)
    else:
        _print(results, out)
    return _exit_code(results)


def _changed(config: Config, models: str | None, seeds: int | None, classes: str | None) -> Config:
    """The experiment with what the command line says instead."""
    import msgspec  # noqa: PLC0415

    changes: dict[str, Any] = {}
    if models is not None:
        names = _names(models, "--models")
        changes["models"] = {name: config.models.get(name, {}) for name in names}
        for part in ("select", "pretrain"):
            kept = getattr(config, part)
            changes[part] = {name: kept[name] for name in names if name in kept}
    if seeds is not None:
        if seeds < 1:
            raise InputError(f"--seeds {seeds} is below 1; give the number of trainings per model")
        changes["seeds"] = tuple(range(seeds))
    if classes is not None:
        if config.head != "emotion":
            raise InputError("--classes: this experiment detects Action Units; leave it out")
        changes["classes"] = _names(classes, "--classes")
        if len(changes["classes"]) < 2:
            raise InputError(f"--classes {classes}: give two or more")
    return msgspec.structs.replace(config, **changes)


def _names(text: str, option: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise InputError(f"{option} {text!r} names none; give names separated by commas")
    return names


def _data(texts: list[str], config: Config) -> dict[str, list[CodedSet]]:
    """Sets by role. With one role in the experiment its name may be left out."""
    from equime.cli.coded_data import open_data  # noqa: PLC0415

    if not texts:
        roles = "; ".join(f"--data {role}=PATH ({what})" for role, what in config.roles.items())
        raise InputError(f"the experiment needs data: {roles}")
    sets: dict[str, list[CodedSet]] = {}
    for text in texts:
        role, sign, path = text.partition("=")
        if not sign and len(config.roles) == 1:
            role, path = next(iter(config.roles)), text
        elif not sign or not path:
            raise InputError(f"--data {text}: write ROLE=PATH; roles are {', '.join(config.roles)}")
        sets.setdefault(role.strip(), []).append(open_data(path))
    return sets


def _exit_code(results: Results) -> int:
    failed = [result for result in results.models if result.error]
    if not failed:
        return 0
    return 3 if all(result.missing for result in failed) else 1


def _print(results: Results, out: Path) -> None:
    from equime.baselines.results_report import MARKDOWN, TITLES, findings_of, with_interval  # noqa: PLC0415

    print(results.config.title)
    for finding in findings_of(results):
        n = f" ({finding.n})" if finding.n else ""
        print(f"note: {finding.code}{n}: {finding.message}")
    for result in results.models:
        name = f"{result.arm}: {result.model}" if result.arm else result.model
        if result.error:
            print(f"{name}: not done: {result.error}")
        for part in result.parts:
            figures = ", ".join(f"{TITLES[key]} {with_interval(value)}" for key, value in part.scores.items())
            of = "" if part.name == "all" else f" on {part.name}"
            print(f"{name}{of}: {figures}; {part.n} clips of {part.n_subjects} people")
    print(out / MARKDOWN)


def _list(as_json: bool) -> int:
    from equime.baselines.experiment_config import load, shipped  # noqa: PLC0415
    from equime.registry import MODELS  # noqa: PLC0415

    experiments = {name: load(name) for name in shipped()}
    models = {name: _about(name) for name in MODELS}
    if as_json:
        shown = {
            name: {"title": c.title, "description": c.description.strip(), "roles": c.roles, "models": list(c.models)}
            for name, c in experiments.items()
        }  # fmt: skip
        print_json({"experiments": shown, "models": models})
        return 0
    print("Experiments (equime benchmark NAME OUT --data ROLE=PATH):")
    for name, config in experiments.items():
        print(
            f"  {name}: {config.title}; data: {', '.join(config.roles)}; models: {', '.join(config.models)}"
        )
    print("Models (--models a,b):")
    for name, about in models.items():
        print(f"  {name}: {_in_words(about)}")
    return 0


def _about(name: str) -> dict[str, Any]:
    """What is known of a model, as plain values; why not, where it cannot be loaded."""
    from equime.registry import lookup  # noqa: PLC0415

    try:
        about = lookup("model", name)().about
    except EquimeError as error:
        return {"error": str(error)}
    return {
        "title": about.title,
        "source": about.source,
        "input": about.input.key,
        "n_parameters": about.n_parameters,
        "requires": list(about.requires),
        "differs": about.differs,
        "options": dict(about.options),
    }


def _in_words(about: dict[str, Any]) -> str:
    if "error" in about:
        return f"not available: {about['error']}"
    said = f"{about['title']}; {about['source']}; sees {about['input']}"
    said += f"; {about['n_parameters']:,} parameters" if about["n_parameters"] else ""
    return said + (f"; needs {', '.join(about['requires'])}" if about["requires"] else "")
