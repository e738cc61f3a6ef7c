from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from equime.errors import InputError, MissingError, WorkError
from equime.generation_pipeline.diffusion.model_folder import count_weights, fingerprint, inspect_folder

pytestmark = pytest.mark.xdist_group("diffusion")

LTX = "LTXImageToVideoPipeline"
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(tiny_ltx: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_ltx, tmp_path / "copy")


def test_a_whole_folder(tiny_ltx: Path) -> None:
    found = inspect_folder(tiny_ltx, LTX)
    assert found.class_name == LTX
    assert found.n_weights["tokenizer"] == found.n_weights["scheduler"] == 0
    # The tensors are float32, behind a header of some kilobytes.
    size = (tiny_ltx / WEIGHTS).stat().st_size
    assert 0 < size - 4 * found.n_weights["transformer"] < 10_000


def test_the_text_to_video_class_of_the_same_family_will_do(copy: Path) -> None:
    _rename_class(copy, "LTXPipeline")
    assert inspect_folder(copy, LTX).class_name == "LTXPipeline"


def _rename_class(folder: Path, name: str) -> None:
    file = folder / "model_index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"_class_name": name}))


@pytest.mark.parametrize("other", ["StableDiffusionPipeline", "LTX2Pipeline", "WanImageToVideoPipeline", ""])
def test_a_model_for_another_pipeline(copy: Path, other: str) -> None:
    _rename_class(copy, other)
    with pytest.raises(InputError, match=f"is for {other or 'no class at all'} .*, not for {LTX}"):
        inspect_folder(copy, LTX)


def test_no_folder_a_file_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no such folder; put the model's diffusers layout"):
        inspect_folder(tmp_path / "nothing", LTX)
    single = tmp_path / "ltxv-2b.safetensors"
    single.write_bytes(b"x")
    with pytest.raises(InputError, match=r"is a file; give the folder"):
        inspect_folder(single, LTX)
    with pytest.raises(InputError, match=r"has no model_index.json and holds single-file weights \(ltxv-2b"):
        inspect_folder(tmp_path, LTX)


def test_weights_cut_short_are_named(copy: Path) -> None:
    file = copy / WEIGHTS
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(
        WorkError, match=rf"{WEIGHTS} is damaged: it has {len(whole) - 100} bytes, its header says"
    ):
        inspect_folder(copy, LTX)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"\x10" + bytes(7) + b"no JSON at all!!",
        bytes(200),
        b"\xff" * 64,
        b"\x02" + bytes(7) + b"[]",
    ],
)
def test_weights_that_are_none_are_named(copy: Path, content: bytes) -> None:
    (copy / WEIGHTS).write_bytes(content)
    with pytest.raises(WorkError, match=rf"{WEIGHTS} \({len(content)} bytes\) is damaged.*fetch it again"):
        inspect_folder(copy, LTX)


def test_a_git_lfs_pointer(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(WorkError, match=r"Git LFS pointer.*git lfs pull"):
        count_weights(file)


def test_an_interrupted_download(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    with pytest.raises(MissingError, match=r"'transformer' has no \*.safetensors.*download was interrupted"):
        inspect_folder(copy, LTX)
    index = {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}
    (copy / "transformer/model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(MissingError, match=r"2 of 2 parts of 'transformer' are not there.*part-1"):
        inspect_folder(copy, LTX)
    shutil.rmtree(copy / "transformer")
    with pytest.raises(MissingError, match="component 'transformer' is not there"):
        inspect_folder(copy, LTX)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_damaged_index(copy: Path, text: str) -> None:
    (copy / "model_index.json").write_text(text)
    with pytest.raises(WorkError, match=r"model_index.json is damaged"):
        inspect_folder(copy, LTX)


def test_the_fingerprint_is_that_of_the_content(tiny_ltx: Path, copy: Path) -> None:
    assert fingerprint(copy) == fingerprint(tiny_ltx)
    file = copy / WEIGHTS
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert fingerprint(copy) != fingerprint(tiny_ltx)


def test_the_fingerprint_of_a_large_file_looks_at_three_places(tmp_path: Path) -> None:
    file, seen = tmp_path / "a.safetensors", set()
    for place in (None, 0, 500_000, 999_999):
        content = bytearray(1_000_000)
        if place is not None:
            content[place] = 1
        file.write_bytes(content)
        seen.add(fingerprint(tmp_path))
    assert len(seen) == 4
