from __future__ import annotations

import pytest

from equime import registry
from equime.errors import InputError
from tests.renderers import StaticRenderer


@pytest.mark.parametrize("name", sorted(registry.RENDERERS))
def test_registered_renderers_keep_the_contract(name: str) -> None:
    renderer = registry.lookup("renderer", name)()
    assert renderer.name == name
    assert isinstance(renderer.version, str)
    assert isinstance(renderer.params, dict)
    assert callable(renderer.prepare)


def test_checks_are_there() -> None:
    for name in registry.CHECKS:
        assert callable(registry.lookup("check", name))


def test_code_outside_is_found_by_its_place() -> None:
    assert registry.lookup("renderer", "tests.renderers:StaticRenderer") is StaticRenderer


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mehs", "unknown renderer 'mehs'; known are .*mesh"),
        ("nowhere_at_all:X", "no module 'nowhere_at_all'"),
        ("tests.renderers:Nobody", "has no 'Nobody'"),
    ],
)
def test_a_wrong_name_is_explained(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        registry.lookup("renderer", name)
