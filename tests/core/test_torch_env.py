"""torch, torchvision and piq come in by one door, and only when they are asked for."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from equime import torch_env
from equime.errors import MissingError, WorkError
from tests import runs


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=runs.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_it_imports_none_of_them() -> None:
    code = "import equime.torch_env, sys; print(sorted({'torch', 'torchvision', 'piq'} & set(sys.modules)))"
    assert python(code) == "[]"


def test_piq_and_torchvision_load_in_a_fresh_process() -> None:
    code = (
        "from equime.torch_env import load, torch; load('piq'); m = load('torchvision.models.video');"
        "print(m.r3d_18.__name__, torch().ones(2).sum().item())"
    )
    assert python(code) == "r3d_18 2.0"


def test_operators_are_declared_only_where_the_import_failed() -> None:
    """A torchvision that works declares them itself; a second declaration would end the process."""
    code = (
        "import sys, types; sys.modules['torchvision'] = types.ModuleType('torchvision');"
        "from equime import torch_env; torch_env._torchvision();"
        "print([hasattr(torch_env.torch().ops.torchvision, name) for name in torch_env.OPERATORS])"
    )
    assert python(code) == "[False, False]"


def test_a_missing_package_says_what_to_install() -> None:
    with pytest.raises(MissingError, match=r"^no_such_package is not installed; run `pip install 'equime"):
        torch_env.load("no_such_package.part")
    assert not torch_env.installed("no_such_package")
    assert torch_env.installed("torch")


def test_another_failure_of_torchvision_is_not_covered_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("CUDA versions differ\nmore")

    monkeypatch.setattr(torch_env.importlib, "import_module", broken)
    with pytest.raises(MissingError, match=r"does not fit .*\(CUDA versions differ\); install the two"):
        torch_env._torchvision.__wrapped__()


def test_quiet_is_local() -> None:
    with torch_env.quiet():
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    with pytest.warns(DeprecationWarning, match="old"):
        warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_only_tensors_are_loaded(tmp_path: Path) -> None:
    torch = torch_env.torch()
    good, code, broken = tmp_path / "good.pt", tmp_path / "code.pt", tmp_path / "broken.pt"
    torch.save([torch.ones(2), {"a": torch.zeros(1)}], good)
    torch.save({"a": Path}, code)
    broken.write_bytes(good.read_bytes()[:-200])
    assert torch_env.load_tensors(good)[0].tolist() == [1.0, 1.0]
    for file in (code, broken):
        with pytest.raises(WorkError, match=rf"{file.name}: cannot be read as a file of tensors"):
            torch_env.load_tensors(file)
