"""Packages that are not in the default install: whether they are there, and what brings them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Final

_EXTRA: Final = {"deepface": "attributes", "onnxruntime": "attributes", "duckdb": "duckdb"}
"""Module to extra; everything else that is optional comes with torch's."""


def installed(name: str) -> bool:
    """Whether a package is there, without importing it."""
    return importlib.util.find_spec(name) is not None


def install_hint(names: Iterable[str]) -> str:
    """The command that brings packages, by their module names."""
    extras = sorted({_EXTRA.get(name, "quality") for name in names})
    return f"pip install 'equime[{','.join(extras)}]'"
