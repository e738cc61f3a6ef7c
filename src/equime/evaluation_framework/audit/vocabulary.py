"""Which names of different labellers mean one group, and which attributes they speak of: ``vocabulary.toml``."""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("vocabulary.toml")


@functools.cache
def _tables() -> dict[str, dict[str, list[str]]]:
    tables: dict[str, dict[str, list[str]]] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tables


def spelled(text: str) -> str:
    """A name without case, and with spaces for ``_`` and ``-``."""
    return re.sub(r"[\s_-]+", " ", text).strip().casefold()


def group_of(attribute: str, text: str) -> str | None:
    """The group that a labeller's word stands for; None where the vocabulary does not have it."""
    groups = _tables().get(attribute, {}) if attribute != "attributes" else {}
    word = spelled(text)
    return next((group for group, words in groups.items() if word in words), None)


def groups(attribute: str) -> tuple[str, ...]:
    """Groups of an attribute in the vocabulary's order; none where it does not have the attribute."""
    return tuple(_tables().get(attribute, ()))


def attributes() -> tuple[str, ...]:
    """Attributes that the vocabulary knows by name."""
    return tuple(_tables()["attributes"])


def spellings(attribute: str) -> tuple[str, ...]:
    """Names of an attribute in columns, longest first."""
    names = (attribute, *_tables()["attributes"].get(attribute, ()))
    return tuple(sorted(names, key=len, reverse=True))
