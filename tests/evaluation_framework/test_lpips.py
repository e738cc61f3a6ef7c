"""LPIPS: PIQ's values from files on the disk, on random weights of VGG-16's shapes."""

from __future__ import annotations

import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest

from equime.errors import MissingError, WorkError
from equime.evaluation_framework import lpips
from equime.evaluation_framework.lpips import Lpips
from equime.evaluation_framework.piq_metrics import FRAMES_EVERY
from equime.torch_env import load, torch
from equime.weights import WEIGHTS
from tests.evaluation_framework.clip_sessions import cut_off, link, measure, pictures

NAMES = ("vgg16-397923af.pth", "lpips_weights.pt")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both files: the convolutions random, the classifier, which LPIPS does not use, of one repeated number."""
    torch().set_num_threads(1)
    torch().manual_seed(2)
    folder = tmp_path_factory.mktemp("lpips")
    with torch().device("meta"):
        shapes = {
            k: v.shape for k, v in load("torchvision.models").vgg16(init_weights=False).state_dict().items()
        }
    state = {}
    for name, shape in shapes.items():
        if name.startswith("features."):
            fan_in = int(np.prod(shape[1:])) or 1
            state[name] = (
                torch().randn(shape) * (2 / fan_in) ** 0.5 if len(shape) > 1 else torch().zeros(shape)
            )
        else:
            state[name] = torch().zeros(1).expand(shape)
    torch().save(state, folder / NAMES[0], _use_new_zipfile_serialization=False)  # as torchvision's file is
    torch().save([torch().rand(1, n, 1, 1) for n in (64, 128, 256, 512, 512)], folder / NAMES[1])
    return folder


@pytest.fixture
def home(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files where equime looks and where PIQ looks."""
    cut_off(monkeypatch, tmp_path)
    hub = tmp_path / ".cache" / "torch" / "hub" / "checkpoints"
    for name in NAMES:
        link(files / name, tmp_path / "weights" / "lpips" / name, hub / name)
    entry = WEIGHTS["lpips"]
    unrecorded = tuple(msgspec.structs.replace(f, sha256=None) for f in entry.files)
    monkeypatch.setitem(WEIGHTS, "lpips", msgspec.structs.replace(entry, files=unrecorded))
    lpips.model.cache_clear()
    return tmp_path


def test_values_are_piqs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = pictures(2 * FRAMES_EVERY + 1, 48, 64)
    row = measure(Lpips(), frames)
    perceptual = load("piq.perceptual")
    vgg = perceptual.vgg16

    def quick(**_: object) -> object:
        """Torchvision's function without drawing the random classifier first, which takes seconds."""
        network = vgg(weights=None, init_weights=False)
        hub = home / ".cache" / "torch" / "hub" / "checkpoints" / NAMES[0]
        network.load_state_dict(torch().load(hub, weights_only=True))
        return network

    monkeypatch.setattr(perceptual, "vgg16", quick)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        piq = load("piq").LPIPS(reduction="none")  # reads its own cache in the home
    tensors = [torch().tensor(f[..., ::-1].copy()).permute(2, 0, 1)[None] / 255 for f in frames]
    wanted = [FRAMES_EVERY, 2 * FRAMES_EVERY]
    expected = [float(piq(tensors[i], tensors[0])) for i in wanted]
    assert min(expected) > 1e-3
    np.testing.assert_allclose(row.frames["lpips_source"][wanted], expected, atol=1e-4)
    assert row.values == {
        "lpips_source": pytest.approx(np.mean(expected), abs=1e-4),
        "n_frames_lpips": 2,
        "lpips_against": "first_frame",
    }


def test_equal_frames_have_no_distance(home: Path) -> None:
    row = measure(Lpips(), pictures(1, 32, 32) * 8)
    assert row.values["lpips_source"] == pytest.approx(0.0, abs=1e-7)


def test_two_clips_do_not_share_a_reference(home: Path) -> None:
    """The reference's features are kept for a clip, not for a process."""
    apart = [measure(Lpips(), pictures(7, 32, 32, seed)).values["lpips_source"] for seed in (1, 2)]
    again = measure(Lpips(), pictures(7, 32, 32, 1)).values["lpips_source"]
    assert apart[0] == again != apart[1]


def test_small_frames(home: Path) -> None:
    row = measure(Lpips(), pictures(8, 15, 40))
    assert row.values["lpips_source"] is None
    assert row.notes == (("too_small", "lpips_source needs 16 px, the frames have 15 px"),)


def test_wrong_files(home: Path) -> None:
    network, learned = (home / "weights" / "lpips" / name for name in NAMES)
    learned.unlink()
    with pytest.raises(
        MissingError, match=r"lpips_weights\.pt is not there; run `equime weights fetch lpips`"
    ):
        measure(Lpips(), pictures(1, 32, 32))
    torch().save([torch().ones(1, 64, 1, 1)], learned)
    with pytest.raises(WorkError, match="does not hold the five weight vectors"):
        measure(Lpips(), pictures(1, 32, 32))
    network.unlink()
    torch().save({"features.0.weight": torch().ones(1)}, network)
    with pytest.raises(WorkError, match=r"vgg16-397923af\.pth: is no VGG-16 of torchvision"):
        measure(Lpips(), pictures(1, 32, 32))
