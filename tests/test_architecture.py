"""The three sentences that keep the parts apart, read from the source."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import equime
from tests import runs

pytestmark = pytest.mark.xdist_group("architecture")

PACKAGE = Path(equime.__file__).parent
SUBSYSTEMS = {"generation_pipeline", "attribute_extraction", "evaluation_framework", "corpora", "baselines"}
ABOVE = {"cli", "__main__"}
HEAVY = {
    "cv2",
    "mediapipe",
    "numba",
    "pandas",
    "torch",
    "av",
    "pyarrow",
    "scipy",
    "skimage",
    "matplotlib",
    "fairlearn",
    "sklearn",
    "deepface",
    "onnxruntime",
    "numpy",
}


def part_of(path: Path) -> str:
    """Subsystem of a module, or "core"."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return first if first in SUBSYSTEMS | ABOVE else "core"


def imports_of(path: Path) -> Iterator[str]:
    """Modules that a file imports, inside functions as well, but not for type checkers only."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@functools.cache
def crossings() -> tuple[tuple[str, str, str], ...]:
    """(importing part, imported part, file) of every import inside the package."""
    return tuple(_crossings())


def _crossings() -> Iterator[tuple[str, str, str]]:
    for path in PACKAGE.rglob("*.py"):
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] == "equime":
                target = parts[1] if parts[1] in SUBSYSTEMS | ABOVE else "core"
                yield part_of(path), target, str(path.relative_to(PACKAGE))


def test_core_imports_no_subsystem() -> None:
    assert [c for c in crossings() if c[0] == "core" and c[1] != "core"] == []


def test_subsystems_do_not_import_each_other() -> None:
    assert [c for c in crossings() if c[0] in SUBSYSTEMS and c[1] not in (c[0], "core")] == []


def test_the_walk_sees_imports() -> None:
    """The two tests above would pass on an empty list."""
    seen = {(a, b) for a, b, _ in crossings()}
    assert ("generation_pipeline", "core") in seen
    assert ("cli", "generation_pipeline") in seen


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        env=runs.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name.split(".")[0] for name in done.stdout.split()}


def test_import_equime_is_light() -> None:
    assert not loaded_by("import equime; equime.__version__") & HEAVY


def test_help_and_the_runner_are_light() -> None:
    assert not loaded_by("import equime.cli.app as a; a.run(['--help'])") & HEAVY
    assert not loaded_by("import equime.runner, equime.dataset") & (HEAVY - {"numpy"})


def test_what_is_lazy_is_there() -> None:
    assert set(dir(equime)) >= {"Dataset", "generate", "__version__"}
    assert callable(equime.generate)
    assert equime.Dataset.__name__ == "Dataset"
