"""CLIP-IQA: PIQ's values from files on the disk, on random weights of CLIP's architecture."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from equime.errors import MissingError, WorkError
from equime.evaluation_framework import clip_iqa
from equime.evaluation_framework.clip_iqa import ClipIqa
from equime.torch_env import load, torch
from equime.weights import WEIGHTS, Weights
from tests.evaluation_framework.clip_sessions import Image, cut_off, link, measure, pictures

TOKENS = [[49406, 886, 1125, 269, 49407], [49406, 2103, 1125, 269, 49407]]
"""Start, "good" or "bad", "photo", ".", end, as CLIP's tokeniser numbers them."""


def random_clip() -> Any:
    """CLIP with a ResNet, of OpenAI's architecture but narrow; weights such that values spread over 0..1."""
    clip = load("piq.feature_extractors.clip")
    torch().manual_seed(1)
    network = clip.CLIP(64, 224, (1, 1, 1, 1), 16, None, 77, 49408, 64, 1, 1)
    for name, parameter in network.named_parameters():
        if name.endswith("bn3.weight"):  # 0 at first, which would take the block's convolutions out
            torch().nn.init.ones_(parameter)
        elif name in ("positional_embedding", "text_projection", "token_embedding.weight"):
            torch().nn.init.normal_(parameter)
    torch().nn.init.constant_(network.logit_scale, np.log(100.0))  # where OpenAI's training ends
    seen = torch().from_numpy(np.stack(different())).permute(0, 3, 1, 2).float() / 64 - 2
    for module in network.visual.modules():
        if isinstance(module, torch().nn.BatchNorm2d):
            module.momentum = 1.0  # take the statistics of the next batch, so that features spread
    with torch().inference_mode():
        network.train().encode_image(seen, pos_embedding=False)
    return network.eval()


def different() -> list[Image]:
    """Frames that have little in common."""
    frames = [pictures(1, 96, 112, seed)[0] for seed in range(2)]
    noise = np.random.default_rng(5).integers(0, 256, (96, 112, 3), np.uint8)
    return [*frames, noise, np.full_like(noise, 200), cv2.GaussianBlur(noise, (0, 0), 3)]


def archive(network: Any, file: Path) -> None:
    """Save as OpenAI does: a traced module with the three sizes as buffers."""
    torch_ = torch()

    class Archive(torch_.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            for name, child in network.named_children():
                self.add_module(name, child)
            for name, parameter in network.named_parameters(recurse=False):
                self.register_parameter(name, parameter)
            for name, value in (("input_resolution", 224), ("context_length", 77), ("vocab_size", 49408)):
                self.register_buffer(name, torch_.tensor(value))

        def forward(self, image: Any) -> Any:
            return self.visual(image)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch_.jit.trace(Archive().eval(), torch_.rand(1, 3, 64, 64))
        torch_.jit.save(traced, str(file))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both files."""
    torch().set_num_threads(1)
    folder = tmp_path_factory.mktemp("clip")
    archive(random_clip(), folder / "RN50.pt")
    tokens = torch().zeros(2, 77, dtype=torch().long)
    tokens[:, :5] = torch().tensor(TOKENS)
    torch().save(tokens, folder / "clipiqa_tokens.pt")
    return folder


@pytest.fixture
def home(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files where equime looks and where PIQ looks, whose digests nobody recorded."""
    cut_off(monkeypatch, tmp_path)
    for name in ("RN50.pt", "clipiqa_tokens.pt"):
        link(files / name, tmp_path / "weights" / "clip_iqa" / name, tmp_path / ".cache" / "clip" / name)
    record_no_digests(monkeypatch, "clip_iqa")
    clip_iqa.model.cache_clear()
    return tmp_path


def record_no_digests(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import msgspec  # noqa: PLC0415

    entry: Weights = WEIGHTS[name]
    files = tuple(msgspec.structs.replace(f, sha256=None) for f in entry.files)
    monkeypatch.setitem(WEIGHTS, name, msgspec.structs.replace(entry, files=files))


def test_values_are_piqs_frame_by_frame(home: Path) -> None:
    frames = different()
    row = measure(ClipIqa(), frames)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        piq = load("piq").CLIPIQA(data_range=255.0)  # reads its own cache in the home
    greys = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    expected = [float(piq(torch().from_numpy(grey)[None, None].float())) for grey in greys]
    assert np.ptp(expected) > 1e-3, "random weights that tell frames apart"
    np.testing.assert_allclose(row.frames["clip_iqa"], expected, atol=1e-4)
    assert row.values["clip_iqa"] == pytest.approx(np.mean(expected), abs=1e-4)


def test_the_network_is_built_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = load("piq.feature_extractors.clip")
    built = []
    build = clip.build_model
    monkeypatch.setattr(clip, "build_model", lambda state: built.append(1) or build(state))
    for _ in range(3):
        measure(ClipIqa(), pictures(2, 64, 64))
    assert built == [1]


def test_piq_is_left_as_it_was(home: Path) -> None:
    clip, module = load("piq.feature_extractors.clip"), load("piq.clip_iqa")
    before = clip._download, module.download_tensor
    measure(ClipIqa(), pictures(1, 64, 64))
    assert (clip._download, module.download_tensor) == before


def test_small_frames(home: Path) -> None:
    row = measure(ClipIqa(), pictures(3, 31, 40))
    assert row.values["clip_iqa"] is None
    assert row.notes == (("too_small", "clip_iqa needs 32 px, the frames have 31 px"),)
    assert measure(ClipIqa(), pictures(2, 32, 40)).values["clip_iqa"] is not None


def test_without_files(home: Path) -> None:
    file = home / "weights" / "clip_iqa" / "RN50.pt"
    file.unlink()
    with pytest.raises(MissingError, match="run `equime weights fetch clip_iqa`"):
        measure(ClipIqa(), pictures(1, 64, 64))
    torch().save({"a": torch().ones(1)}, file)
    with pytest.raises(WorkError, match=r"RN50\.pt: is no CLIP in a TorchScript archive; run"):
        measure(ClipIqa(), pictures(1, 64, 64))


def test_wrong_tokens(home: Path) -> None:
    tokens = home / "weights" / "clip_iqa" / "clipiqa_tokens.pt"
    tokens.unlink()
    torch().save([1], tokens)
    with pytest.raises(WorkError, match="does not hold the tokens of two prompts"):
        measure(ClipIqa(), pictures(1, 64, 64))


def test_the_real_file_has_a_digest() -> None:
    assert next(f for f in WEIGHTS["clip_iqa"].files if f.file == "RN50.pt").sha256 is not None
