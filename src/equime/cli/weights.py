"""weights: list, where, verify, fetch."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import print_json, size, warn

if TYPE_CHECKING:
    from equime.weights import FileState

WRONG: Final = 1
MISSING: Final = 3
SAY_EVERY_S: Final = 5.0

NOT_RECORDED: Final = (
    "sha256 not recorded in this version; `equime weights verify` prints the digest to compare"
)

Name = Annotated[str, typer.Argument(help="As `equime weights list` names it.")]
Names = Annotated[list[str], typer.Argument(help="As `equime weights list` names them.")]

commands = typer.Typer(help="Weights of networks that some metrics need: list, where, verify, fetch.")
app.add_typer(commands, name="weights")


@commands.command("list")
def list_(as_json: o.Json = False) -> None:
    """What there is: purpose, source, licence, digest, size, place, and whether it is here."""
    from equime import hub_models, weights  # noqa: PLC0415

    if as_json:
        print_json([*map(_described, weights.WEIGHTS), *map(_described_model, hub_models.HUB_MODELS)])
        return
    for name, entry in weights.WEIGHTS.items():
        here = "here" if weights.available(name) else "not here"
        print(f"{name}: {entry.purpose}\n  for {', '.join(entry.used_by)}; {here}; in {weights.folder(name)}")
        for file in entry.files:
            about = "" if file.size_known else "about "
            print(f"  {file.file}, {about}{size(file.size_bytes)}\n    licence: {file.licence}")
            if file.notice:
                print(f"    note: {file.notice}")
            for url in file.urls:
                print(f"    from {url}")
            print(f"    sha256 {file.sha256}" if file.sha256 else f"    {NOT_RECORDED}")
    for model in hub_models.HUB_MODELS.values():
        here = "here" if hub_models.newest_snapshot(model.hub_id) else "not here"
        print(
            f"{model.hub_id}: {model.name}, image to video\n  for --renderer ltx; {here}; in {hub_models.cache_folder(model.hub_id)}"
        )
        print(f"  whole folder, about {model.size_gb:g} GB\n    licence: {model.licence}")
        if model.notice:
            print(f"    note: {model.notice}")
        options = (f"model={model.hub_id}", f"pipeline={model.pipeline}", *model.options)
        print(f"    renderer options: {' '.join(options)}")
        print(f"    from https://huggingface.co/{model.hub_id}: {hub_models.fetch_command(model)}")
        print("    sha256 not recorded; the hub's tool compares what it fetches")


@commands.command()
def where(name: Name) -> None:
    """Where an entry's files belong, one path a line."""
    from equime import hub_models, weights  # noqa: PLC0415

    if name in hub_models.HUB_MODELS:
        print(hub_models.newest_snapshot(name) or hub_models.cache_folder(name))
        return
    for file in weights.entry(name).files:
        print(weights.path(name, file.file))


@commands.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None, as_json: o.Json = False
) -> int:
    """Compare files with their digests; exit code 1 where one is wrong, else 3 where one is missing.

    An image-to-video model, named by its hub id, is looked through for parts that are missing or cut short.
    """
    from equime import hub_models, weights  # noqa: PLC0415

    models = [name for name in names or () if name in hub_models.HUB_MODELS]
    for name in models:
        _verify_model(name)
    if models and len(models) == len(names or ()):
        return 0
    found = [
        weights.with_digest(state)
        for name in names or list(weights.WEIGHTS)
        if name not in models
        for state in weights.states(name)
    ]
    if as_json:
        print_json(found)
    else:
        for state in found:
            print(_line(state))
    return _code(found)


@commands.command()
def fetch(
    names: Names,
    source: Annotated[
        Path | None, typer.Option("--from", help="File or folder to copy from instead of the network.")
    ] = None,
) -> int:
    """Download weights to their place, or copy them from a file; a download that broke off is continued."""
    from equime import download, hub_models, weights  # noqa: PLC0415
    from equime.errors import InputError  # noqa: PLC0415

    if source is not None and len(names) > 1 and not source.is_dir():
        raise InputError(
            f"--from {source} with {len(names)} names; give one name, or a folder with all files"
        )
    found = []
    for name in names:
        if name in hub_models.HUB_MODELS:
            model = hub_models.HUB_MODELS[name]
            warn(f"{name}: about {model.size_gb:g} GB; licence: {model.licence}")
            print(hub_models.fetch(model))
            continue
        for file in weights.entry(name).files:
            warn(f"{name}: {file.file}: licence: {file.licence}")
            if file.notice:
                warn(f"{name}: {file.file}: note: {file.notice}")
        found += download.fetch(name, source=source, report=_Report())
    for state in found:
        print(_line(state))
    return _code(found)


def _described(name: str) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415

    from equime import weights  # noqa: PLC0415

    about = msgspec.to_builtins(weights.entry(name))
    return {**about, "folder": str(weights.folder(name)), "available": weights.available(name)}


def _described_model(name: str) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415

    from equime import hub_models  # noqa: PLC0415

    about = msgspec.to_builtins(hub_models.HUB_MODELS[name])
    here = hub_models.newest_snapshot(name) is not None
    return {**about, "name": name, "folder": str(hub_models.cache_folder(name)), "available": here}


def _verify_model(name: str) -> None:
    """Say that a model is whole.

    Raises:
        MissingError: it is not here, or not whole.
        WorkError: a damaged file.
    """
    from equime import hub_models  # noqa: PLC0415
    from equime.errors import MissingError  # noqa: PLC0415
    from equime.generation_pipeline.diffusion.model_folder import fingerprint, inspect_folder  # noqa: PLC0415

    model, folder = hub_models.HUB_MODELS[name], hub_models.newest_snapshot(name)
    if folder is None:
        raise MissingError(
            f"{name} is not here; run `equime weights fetch {name}`, or `{hub_models.fetch_command(model)}`"
        )
    n = sum(inspect_folder(folder, model.pipeline).n_weights.values())
    print(f"{name}: {folder}: whole, {n / 1e9:.2f} billion weights, fingerprint {fingerprint(folder)}")


def _line(state: FileState) -> str:
    from equime import weights  # noqa: PLC0415

    text = f"{state.name}: {state.path}: "
    if state.state == "there":
        return f"{text}right, sha256 {state.sha256}"
    if state.state == "unrecorded":
        return f"{text}there, sha256 {state.sha256} (none is recorded in this version to compare with)"
    if state.state == "wrong":
        return f"{text}wrong, sha256 {state.sha256}, expected {state.expected}"
    return f"{text}{state.state}; {weights.hint(state.name)}"


def _code(found: list[FileState]) -> int:
    states = {state.state for state in found}
    if "wrong" in states:
        return WRONG
    return MISSING if states & {"missing", "empty"} else 0


class _Report:
    """How far a download is: one line that is written over on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(self, file: str, n_done: int, n_total: int | None) -> None:
        whole = n_done == n_total
        terminal = sys.stderr.isatty()
        if not whole and time.monotonic() - self._said < (0.2 if terminal else SAY_EVERY_S):
            return
        self._said = time.monotonic()
        of = f" of {size(n_total)}, {100 * n_done / n_total:.0f} %" if n_total else ""
        end = "\r" if terminal and not whole else "\n"
        print(f"{file}: {size(n_done)}{of}", end=end, file=sys.stderr, flush=True)
