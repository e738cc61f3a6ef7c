"""Features of clips: what torchvision's R3D-18 gives on the frames that are said to be taken."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from equime.errors import InputError, MissingError, WorkError
from equime.evaluation_framework import deep_features
from equime.evaluation_framework.deep_features import COLUMNS, DeepMotion, sampled, video_features
from equime.torch_env import load, torch
from equime.weights import WEIGHTS
from tests.evaluation_framework.clip_sessions import cut_off, link, measure, pictures

NAME = "r3d_18-b3b3357e.pth"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random network of the real shapes, as torchvision saves it."""
    torch().set_num_threads(1)
    torch().manual_seed(3)
    saved = tmp_path_factory.mktemp("r3d") / NAME
    torch().save(load("torchvision.models.video").r3d_18(weights=None).state_dict(), saved)
    return saved


@pytest.fixture
def home(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cut_off(monkeypatch, tmp_path)
    link(file, tmp_path / "weights" / "r3d_18" / NAME)
    entry = WEIGHTS["r3d_18"]
    unrecorded = tuple(msgspec.structs.replace(f, sha256=None) for f in entry.files)
    monkeypatch.setitem(WEIGHTS, "r3d_18", msgspec.structs.replace(entry, files=unrecorded))
    return tmp_path


def test_features_are_torchvisions(home: Path, file: Path) -> None:
    """The published pre-processing on frames that need no resizing, and the network with its hook."""
    frames = pictures(16, 112, 112)
    found = video_features(frames)
    with torch().device("meta"):
        network = load("torchvision.models.video").r3d_18(weights=None).eval()
    network.load_state_dict(torch().load(file, weights_only=True), assign=True)
    pooled = []
    network.avgpool.register_forward_hook(lambda *args: pooled.append(args[2].flatten()))
    meta = load("torchvision.models.video").R3D_18_Weights.KINETICS400_V1
    preset = meta.transforms(crop_size=(112, 112), resize_size=(112, 112))
    stacked = torch().from_numpy(np.stack(frames)[..., ::-1].copy()).permute(0, 3, 1, 2)
    with torch().inference_mode():
        network(preset(stacked)[None])
    assert found.shape == (512,)
    assert found.dtype == np.float32
    assert found.std() > 0.01
    np.testing.assert_allclose(found, pooled[0].numpy(), atol=1e-4)
    row = measure(DeepMotion(), frames)
    assert list(row.values) == list(COLUMNS)
    assert row.notes == ()
    np.testing.assert_allclose(list(row.values.values()), found, atol=1e-6)


def test_which_frames() -> None:
    assert sampled(16) == list(range(16))
    assert sampled(1) == [0] * 16
    assert (sampled(144)[0], sampled(144)[-1]) == (0, 143)
    assert sampled(3)[0] == 0
    assert set(sampled(3)) == {0, 1, 2}


def test_other_sizes_are_scaled_and_cut_in_the_middle() -> None:
    wide = np.zeros((224, 448, 3), np.uint8)
    wide[:, 112:336] = (1, 2, 3)
    small = deep_features._small(wide)
    assert small.shape == (112, 112, 3)
    assert (small == (3, 2, 1)).all()
    assert deep_features._small(pictures(1, 50, 37)[0]).shape == (112, 112, 3)
    tall = pictures(1, 300, 200)[0]
    resized = cv2.resize(tall, (112, 168), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(deep_features._small(tall), resized[28:140, :, ::-1])


def test_long_clips_are_thinned(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames taken stay within one step of where they should be."""
    monkeypatch.setattr(deep_features, "CAPACITY", 32)
    monkeypatch.setattr(deep_features, "model", lambda _: None)
    seen: list[list[int]] = []
    monkeypatch.setattr(deep_features, "_small", lambda bgr: bgr[:1, :1])
    monkeypatch.setattr(
        deep_features,
        "_features",
        lambda chosen: seen.append([int(c[0, 0, 0]) for c in chosen]) or np.zeros(512),
    )
    for n_frames in (31, 32, 33, 64, 65, 200):
        frames = [np.full((2, 2, 3), i, np.uint8) for i in range(n_frames)]
        row = measure(DeepMotion(), frames)
        every = 2 ** max(0, int(np.ceil(np.log2(n_frames / 32))))
        assert np.abs(np.array(seen[-1]) - sampled(n_frames)).max() <= every
        assert row.notes == ()
        assert n_frames > 32 or seen[-1] == sampled(n_frames)


def test_a_short_clip_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep_features, "model", lambda _: None)
    monkeypatch.setattr(deep_features, "_features", lambda chosen: np.full(512, len(chosen)))
    row = measure(DeepMotion(), pictures(3, 32, 32))
    assert set(row.values.values()) == {16}
    assert row.notes == (("few_frames", "the clip has 3 frames, the network sees 16; some are repeated"),)


def test_errors(home: Path) -> None:
    with pytest.raises(InputError, match="no frames"):
        video_features([])
    file = home / "weights" / "r3d_18" / NAME
    file.unlink()
    with pytest.raises(MissingError, match="run `equime weights fetch r3d_18`"):
        video_features(pictures(1, 32, 32))
    torch().save({"a": torch().ones(1)}, file)
    with pytest.raises(WorkError, match="is no R3D-18 of torchvision"):
        video_features(pictures(1, 32, 32))
