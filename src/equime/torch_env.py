"""The one place through which every module gets torch and what needs it.

torchvision from PyPI beside the CPU build of torch fails at import (``operator torchvision::nms does not
exist``): its compiled part wants CUDA libraries, and without it two operators are missing whose shapes it
declares. Its presence alone then breaks piq, torchmetrics and others. Declaring the two operators cures it;
nothing in equime calls them. Where torchvision imports by itself nothing is declared, because its own
declaration would then collide with ours.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

from equime.errors import MissingError, WorkError
from equime.extras import install_hint, installed

OPERATORS: Final = ("nms", "qnms")
"""Operators of torchvision that must be declared for it to import without its compiled part."""

_SCHEMA: Final = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def torch() -> Any:
    """The torch module. Its number of threads is the caller's matter.

    Raises:
        MissingError: torch is not installed.
    """
    return load("torch")


def load(name: str) -> Any:
    """A package that needs torch, by its module name ("torch", "piq", "torchvision.models").

    Whatever else is loaded, torchvision is made importable first, as most of what needs torch imports it.

    Raises:
        MissingError: it is not installed, or torchvision does not fit torch; the message says what to run.
    """
    top = name.split(".", maxsplit=1)[0]
    if not installed(top):
        raise MissingError(f"{top} is not installed; run `{install_hint([top])}`")
    if top != "torch" and installed("torchvision"):
        _torchvision()
    return importlib.import_module(name)


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """No deprecation or future warnings while foreign code runs that nobody here can change (PIQ, TorchScript)."""
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        yield


def load_tensors(file: Path) -> Any:
    """What ``torch.save`` wrote: tensors in dictionaries and lists, on the CPU; any code in it is refused.

    Raises:
        WorkError: damaged, or not such a file; it is named.
    """
    with quiet():
        try:
            return torch().load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise WorkError(
                f"{file}: cannot be read as a file of tensors ({type(error).__name__}: "
                f"{_first_line(error)}); fetch it again"
            ) from error


@functools.cache
def _torchvision() -> None:
    """Import torchvision, with its operators declared where it cannot do so itself."""
    with quiet():
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::" not in str(error):
                raise MissingError(_misfit(error)) from error
            _declare_operators()
            _forget("torchvision")
            try:
                importlib.import_module("torchvision")
            except (RuntimeError, ImportError) as second:
                raise MissingError(_misfit(second)) from second


def _declare_operators() -> None:
    module = importlib.import_module("torch")
    for operator in OPERATORS:
        if not hasattr(module.ops.torchvision, operator):
            module.library.define(f"torchvision::{operator}", _SCHEMA)


def _forget(package: str) -> None:
    """Drop a package that failed half-way through its import."""
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        del sys.modules[name]


def _misfit(error: Exception) -> str:
    return (
        f"torchvision does not fit the torch that is installed ({_first_line(error)}); "
        "install the two versions that belong together, see https://pytorch.org/get-started/locally"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
