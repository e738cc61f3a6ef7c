"""The one place through which every module gets torch and what needs it.

torchvision from PyPI beside the CPU build of torch fails at import (``operator torchvision::nms does not
exist``), and its presence alone then breaks piq, torchmetrics and others. Defining the two operators first
cures it; nothing in equime calls them.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

from equime.errors import MissingError

INSTALL = "pip install 'equime[quality]'"
"""What brings torch, torchvision and piq."""


def torch() -> Any:
    """The torch module, single-threaded settings untouched, torchvision made importable.

    Raises:
        MissingError: torch is not installed.
    """
    return _torch()


@functools.cache
def _torch() -> Any:
    module = load("torch")
    for operator in ("nms", "qnms"):
        name = f"torchvision::{operator}"
        if not _has_operator(module, operator):
            module.library.define(name, "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return module


def _has_operator(module: Any, operator: str) -> bool:
    return hasattr(module.ops.torchvision, operator)


def load(name: str) -> Any:
    """A package of the ``quality`` extra by its module name ("torch", "piq", "torchvision.models").

    Raises:
        MissingError: it is not installed; the message says how to get it.
    """
    top = name.split(".", maxsplit=1)[0]
    if not installed(top):
        raise MissingError(f"{top} is not installed; run `{INSTALL}`")
    if top != "torch":
        _torch()
    return importlib.import_module(name)


def installed(name: str) -> bool:
    """Whether a package is there, without importing it."""
    return importlib.util.find_spec(name) is not None
