"""The typer application, and one way for every command to end."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from equime.errors import EquimeError

INTERRUPTED: Final = 130

MODULES: Final = (
    "adherence", "attributes", "audit", "benchmark", "corpus", "evaluate", "finetune", "generate", "inspect", "model",
    "pairs", "predict", "spot", "train", "weights",
)  # fmt: skip
"""Modules of the commands."""

app = typer.Typer(
    name="equime",
    help="Micro-expression video data sets people can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code; the entry point of ``equime``."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: Sequence[str]) -> int:
    """Run a command; errors become one line on standard error and an exit code."""
    _register()
    try:
        code = app(list(arguments), standalone_mode=False, prog_name="equime")
    except EquimeError as error:
        return _report(error, str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _report(error, _unexpected(error), getattr(error, "exit_code", 1))
    if code == INTERRUPTED:  # what typer makes of a KeyboardInterrupt
        return _interrupted()
    return code if isinstance(code, int) else 0


def _interrupted() -> int:
    print("error: interrupted; continue with the same command", file=sys.stderr)
    return INTERRUPTED


def _report(error: Exception, message: str, code: int) -> int:
    if os.environ.get("EQUIME_DEBUG") == "1":
        raise error
    for line in message.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return code


def _unexpected(error: Exception) -> str:
    """Text for an error that is not equime's: the parser's own message, or what to do about a defect."""
    usage = getattr(error, "format_message", None)
    if callable(usage):
        return f"{' '.join(str(usage()).split())}; see `equime --help`"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}; set EQUIME_DEBUG=1 to see where, and please report it"


def _register() -> None:
    """Import the modules that add their commands to `app`."""
    for name in MODULES:
        importlib.import_module(f"equime.cli.{name}")


def _show_version(value: bool) -> None:
    if value:
        from equime import __version__  # noqa: PLC0415

        print(f"equime {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Micro-expression video data sets people can trust."""
