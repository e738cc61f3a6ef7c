"""Packages that are not in the default install: whether they are there, and what brings them."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from typing import Final

_EXTRA: Final = {
    "deepface": "attributes",
    "onnxruntime": "attributes",
    "onnx": "attributes",
    "duckdb": "duckdb",
    "piq": "quality",
    "diffusers": "diffusion",
    "transformers": "diffusion",
    "accelerate": "diffusion",
    "sentencepiece": "diffusion",
    "ftfy": "diffusion",
}
"""Module to extra; everything else that is optional needs torch and comes with it."""

_DEEPFACE: Final = "pip install --no-deps deepface==0.0.103"
"""With its dependencies it would bring a second OpenCV."""


def installed(name: str) -> bool:
    """Whether a package is there, without importing it."""
    return importlib.util.find_spec(name) is not None


def install_hint(names: Collection[str]) -> str:
    """The command that brings packages, by their module names."""
    extras = sorted({_EXTRA.get(name, "baselines") for name in names})
    if "diffusion" in extras:
        extras = [extra for extra in extras if extra != "baselines"]  # it brings torch too
    command = f"pip install 'equime[{','.join(extras)}]'"
    return f"{command} && {_DEEPFACE}" if "deepface" in names else command
