"""DeepFace's four demographic networks over a batch of faces, on torch or on onnxruntime.

Age, gender and race are VGG-16 networks of 134 million parameters, transfer-learned from VGG-Face with the
convolutions frozen (Serengil, sefiks.com 2019). ``DeepFace.analyze`` runs all three in full, a frame at a time.
Here the files are compared when they are loaded, and what is equal in them bit for bit is computed once and handed
to each of them: the same numbers for about a third of the work. Whether the published files are equal in that way
has not been seen by us; where they differ nothing is shared. `bench/deepface_labels.py` measures both cases.

Nothing of DeepFace is changed: architectures, labels and the preparation of a picture are its own code, whose
one-picture loop and downloader alone are left out. Its side effects at import (environment variables, warning
filters, folders in the home) are undone by `contained`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from equime import weights
from equime.errors import InputError, MissingError
from equime.extras import install_hint, installed

CHOSEN: Final = "EQUIME_DEEPFACE_BACKEND"
"""Environment variable with the backend, one of `BACKENDS`; unset, the first whose package and weights are there."""

BACKENDS: Final = {"onnx": "onnxruntime", "torch": "torch"}
"""Backends in order of preference, and the package that each needs; onnxruntime is the one that DeepFace brings."""

FILES: Final = {
    "age": "age_model_weights",
    "gender": "gender_model_weights",
    "race": "race_model_single_batch",
    "emotion": "facial_expression_model_weights",
}
"""Attribute to the name of its file, without ending."""

MODULES: Final = {"age": "Age", "gender": "Gender", "race": "Race", "emotion": "Emotion"}
VGG: Final = ("age", "gender", "race")

N_CLASSES: Final = {"age": 101, "gender": 2, "race": 6, "emotion": 7}
"""Outputs of each network; those of age are the years 0 to 100."""

Probabilities = dict[str, NDArray[np.float64]]


class Networks(Protocol):
    """The four networks, loaded.

    Attributes:
        shared: whether work that is the same for age, gender and race is done once.
    """

    shared: bool

    def probabilities(self, crops: NDArray[np.uint8]) -> Probabilities:
        """Probabilities of N faces: by attribute, (N, K) with the K of `N_CLASSES`.

        Args:
            crops: uint8 (N, 224, 224, 3) RGB, N at least 1.
        """
        ...


def backend() -> str:
    """The backend to use: the one that was asked for, else the first that can run, else the first installed.

    Raises:
        InputError: the environment asks for another.
    """
    chosen = os.environ.get(CHOSEN, "").strip().lower()
    if chosen:
        if chosen not in BACKENDS:
            raise InputError(f"{CHOSEN} is {chosen!r}; use {' or '.join(BACKENDS)}, or unset it")
        return chosen
    there = [name for name, package in BACKENDS.items() if installed(package)]
    ready = [name for name in there if weights.available(entry_name(name))]
    return next(iter([*ready, *there, *BACKENDS]))


def entry_name(backend_name: str) -> str:
    """The weights of a backend in `equime.weights.WEIGHTS`."""
    return f"deepface_{backend_name}"


def networks(backend_name: str) -> Networks:
    """The networks of a backend, loaded once for a process and folder.

    Raises:
        MissingError: weights or packages are not there, with what to type.
        WorkError: a file is damaged or something else; it is named.
    """
    name = entry_name(backend_name)
    return _loaded(backend_name, weights.require(name))


@functools.lru_cache(maxsize=1)
def _loaded(backend_name: str, folder: Path) -> Networks:
    if backend_name == "torch":
        from equime.attribute_extraction.deepface_torch import TorchNetworks  # noqa: PLC0415

        return TorchNetworks(folder)
    from equime.attribute_extraction.deepface_onnx import OnnxNetworks  # noqa: PLC0415

    return OnnxNetworks(folder)


def forget() -> None:
    """Drop what is loaded (0.6 to 1.6 GB)."""
    _loaded.cache_clear()


def module(name: str) -> Any:
    """A module of DeepFace, imported without its traces in this process.

    Raises:
        MissingError: DeepFace or a package that it imports is not installed.
    """
    with contained():
        try:
            return importlib.import_module(f"deepface.{name}")
        except ModuleNotFoundError as error:
            raise MissingError(
                f"deepface needs {error.name}, which is not installed; run `{install_hint(['deepface'])}`"
            ) from error


@contextlib.contextmanager
def contained() -> Generator[None]:
    """Run DeepFace's code with its home among our weights; environment and warning filters are put back."""
    before = dict(os.environ)
    os.environ["DEEPFACE_HOME"] = str(weights.root() / "deepface")
    os.environ["DEEPFACE_LOG_LEVEL"] = "50"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def client(code: Any, name: str, model: Any) -> Any:
    """A model client of DeepFace around a network that is loaded already, instead of one that downloads.

    Args:
        code: the module of the client.
        name: of its class.
        model: what its ``load_model`` shall give.
    """
    before = code.load_model
    code.load_model = lambda: model
    try:
        with contained():
            return getattr(code, name)()
    finally:
        code.load_model = before


def pixels(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Crops as DeepFace's networks take them: float32 (N, 224, 224, 3) BGR in 0..1."""
    return np.ascontiguousarray(crops[..., ::-1], np.float32) / np.float32(255)


def damaged(file: Path, what: str, error: Exception, backend_name: str) -> str:
    """Why a file is refused, and the next step."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return (
        f"{file}: is no {what} ({text}); remove it and run `equime weights fetch {entry_name(backend_name)}`"
    )
