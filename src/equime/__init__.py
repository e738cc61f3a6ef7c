"""equime: micro-expression video data sets people can trust.

`generate` makes a data set from face photographs, `Dataset.open` reads one. Both are imported at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equime.dataset import Dataset as Dataset
    from equime.generation_pipeline.pipeline import generate as generate

    __version__: str

__all__ = ["Dataset", "__version__", "generate"]

_LAZY = {"Dataset": "equime.dataset", "generate": "equime.generation_pipeline.pipeline"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("equime")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'equime' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
