"""What an optional package is called on the command line of pip."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from equime.extras import install_hint, installed


@pytest.mark.parametrize(
    ("names", "command"),
    [
        (["torch"], "pip install 'equime[baselines]'"),
        (["piq"], "pip install 'equime[quality]'"),
        (["onnxruntime", "torch"], "pip install 'equime[attributes,baselines]'"),
        (["duckdb"], "pip install 'equime[duckdb]'"),
        (["deepface"], "pip install 'equime[attributes]' && pip install --no-deps deepface==0.0.103"),
    ],
)
def test_install_hint(names: list[str], command: str) -> None:
    assert install_hint(names) == command


def test_the_extras_that_are_named_exist() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {"attributes", "baselines", "quality", "duckdb"} <= set(project["optional-dependencies"])


def test_installed() -> None:
    assert installed("numpy")
    assert not installed("no_such_package_of_anybody")
