"""What runs, what does not, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from equime import registry, weights
from equime.annotation.choice import choose, requirement
from equime.annotation.suites import EVALUATION
from equime.errors import InputError

FAKES = "tests.evaluation_framework.fakes"


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIME_WEIGHTS", str(tmp_path / "weights"))


def names(metrics: list[str] | None) -> set[str]:
    return {annotator.name for annotator in choose(metrics).annotators}


def test_everything_is_run_or_said_not_to_be() -> None:
    for metrics in (None, ["default"], ["all"], ["equime"], ["timing"], ["ssim_consecutive"]):
        choice = choose(metrics)
        run = [annotator.name for annotator in choice.annotators]
        left = [item.annotator for item in choice.not_run]
        assert sorted(run + left) == sorted(registry.ANNOTATORS)
        assert all(item.reason and item.next_step and item.metrics for item in choice.not_run)


def test_absent_weights_are_named_with_the_command_that_brings_them() -> None:
    item = next(item for item in choose(None).not_run if item.annotator == "brisque")
    assert item.reason == "weights brisque are not there"
    assert item.next_step == "equime weights fetch brisque"
    assert item.metrics[0] == "brisque"


def test_what_was_asked_for_by_name_is_missed() -> None:
    assert choose(None).missing == ()
    assert choose(["all"]).missing == ()
    assert choose(["brisque", "timing"]).missing == ("brisque",)
    assert set(choose(["equime"]).missing) == {"brisque", "clip_iqa"}
    assert choose([f"{FAKES}:NeedsPackage"]).missing == ("needs_package",)


def test_a_wrong_file_is_not_used(tmp_path: Path) -> None:
    path = weights.path("r3d_18")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    lacks = requirement(registry.lookup("annotator", "deep_motion")())
    assert lacks is not None
    assert "sha256" in lacks[0]
    assert lacks[1] == "equime weights verify r3d_18"


def test_columns_groups_and_modules_can_be_asked_for() -> None:
    assert names(["ssim_consecutive", "is_frozen"]) == {"smoothness", "sequence"}
    assert names(["equime"]) == set(EVALUATION.groups["equime"]) - {"brisque", "clip_iqa"}
    assert names([f"{FAKES}:Brightness"]) == {"brightness"}
    assert not names(None) & set(EVALUATION.on_request)
    assert names(["default", "full_reference"]) == names(None) | {"full_reference"}


def test_unknown_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match="metric 'sharpness' is not known; use default, all, equime, one of"):
        choose(["sharpness"])
    with pytest.raises(InputError, match="no module"):
        choose(["no_such_module:Annotator"])
