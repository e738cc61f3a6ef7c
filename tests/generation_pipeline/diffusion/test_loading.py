from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from equime import torch_env
from equime.errors import InputError, MissingError, WorkError
from equime.generation_pipeline.diffusion import loading
from equime.generation_pipeline.diffusion.model_folder import ModelFolder
from equime.generation_pipeline.diffusion.options import make_options

pytestmark = pytest.mark.xdist_group("diffusion")

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


def options(**given: Any) -> Any:
    return make_options({"device": "cpu", "dtype": "float32", **given})


@pytest.mark.usefixtures("fresh")
def test_a_process_loads_a_pipeline_once(tiny_ltx: Path) -> None:
    first = loading.load_pipeline(options(model=str(tiny_ltx), steps=2))
    assert loading.load_pipeline(options(model=str(tiny_ltx), steps=9, batch=2)) is first
    assert type(first.pipeline).__name__ == "LTXImageToVideoPipeline"
    assert (first.limits.frame_step, first.limits.size_multiple, first.device) == (8, 32, "cpu")
    assert loading.load_pipeline(options(model=str(tiny_ltx), vae_tiling=True)).pipeline.vae.use_tiling


@pytest.mark.usefixtures("fresh")
def test_a_tokenizer_as_the_hub_has_it_is_read(tiny_ltx: Path, tmp_path: Path) -> None:
    """LTX-Video's is a SentencePiece model and no tokenizer.json."""
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = shutil.copytree(tiny_ltx, tmp_path / "model")
    shutil.rmtree(folder / "tokenizer")
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    text = "the person raises the inner eyebrows and pulls the lip corners up"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text] * 20), model_prefix=str(tokenizer / "spiece"), vocab_size=25, pad_id=0, eos_id=1,
        unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    (tokenizer / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer", "extra_ids": 0}')
    loaded = loading.load_pipeline(options(model=str(folder))).pipeline.tokenizer
    expected = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer / "spiece.model")).encode(text)
    assert loaded(text)["input_ids"] == [*expected, 1]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache; nothing can be fetched."""
    folder = tmp_path / "hub"
    folder.mkdir()
    constants = torch_env.load("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    return folder


def _put(hub: Path, model: Path) -> Path:
    """What a download of tiny/ltx leaves in the cache."""
    cached = hub / "models--tiny--ltx"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("c" * 40)
    return Path(shutil.copytree(model, cached / "snapshots" / ("c" * 40)))


@pytest.mark.usefixtures("fresh")
def test_progress_bars_take_no_semaphore_that_a_worker_would_leak(tiny_ltx: Path) -> None:
    loading.load_pipeline(options(model=str(tiny_ltx)))
    assert isinstance(torch_env.load("tqdm").tqdm.get_lock(), type(threading.RLock()))


@pytest.mark.usefixtures("fresh")
def test_a_model_in_the_hubs_cache_is_loaded_without_the_hub(hub: Path, tiny_ltx: Path) -> None:
    snapshot = _put(hub, tiny_ltx)
    assert loading.load_pipeline(options(model="tiny/ltx")).folder == snapshot


def test_a_cache_that_was_filled_in_part(hub: Path, tiny_ltx: Path) -> None:
    (_put(hub, tiny_ltx) / WEIGHTS).unlink()
    with pytest.raises(MissingError, match=r"transformer"):
        loading.find_model(options(model="tiny/ltx"))


@pytest.mark.usefixtures("hub")
def test_weights_that_are_nowhere() -> None:
    with pytest.raises(
        MissingError, match=r"tiny/ltx \(revision main\) are not on this machine.*hf download"
    ) as caught:
        loading.find_model(options(model="tiny/ltx"))
    assert caught.value.exit_code == 3


@pytest.mark.usefixtures("hub")
def test_a_hub_that_cannot_be_reached() -> None:
    with pytest.raises(MissingError, match=r"could not be fetched.*check the name and the connection"):
        loading.find_model(options(model="tiny/ltx", download=True))


def test_what_is_a_path(tmp_path: Path) -> None:
    assert loading.is_local(str(tmp_path))
    assert loading.is_local("./a/b")
    assert loading.is_local("models/ltx/0.9.5")
    assert not loading.is_local("Lightricks/LTX-Video")


def test_no_such_class(tiny_ltx: Path) -> None:
    with pytest.raises(
        InputError, match=r"pipeline=LTXImagePipeline: diffusers .* has no such class; known to work"
    ):
        loading.load_pipeline(options(model=str(tiny_ltx), pipeline="LTXImagePipeline"))


def test_weights_of_another_shape(tiny_ltx: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_ltx, tmp_path / "model")
    shutil.copy(folder / "vae/diffusion_pytorch_model.safetensors", folder / WEIGHTS)
    with pytest.raises(
        WorkError, match=r"the files of 'transformer' do not hold \d+ of its parameters.*another model"
    ):
        loading.load_pipeline(options(model=str(folder)))


def test_a_configuration_that_diffusers_cannot_read(tiny_ltx: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_ltx, tmp_path / "model")
    (folder / "vae" / "config.json").write_text("{")
    with pytest.raises(WorkError, match=r"cannot be loaded as LTXImageToVideoPipeline .*fetch it again"):
        loading.load_pipeline(options(model=str(folder)))


def test_diffusers_is_not_installed(monkeypatch: pytest.MonkeyPatch, tiny_ltx: Path) -> None:
    monkeypatch.setattr(torch_env, "installed", lambda name: name != "diffusers")
    with pytest.raises(MissingError, match="diffusers is not installed"):
        loading.load_pipeline(options(model=str(tiny_ltx)))


# -- the device: a GPU is imitated ------------------------------------------------------------------

BIG = ModelFolder(
    Path("/models/ltx"), "LTXPipeline", {"text_encoder": 4_800_000_000, "transformer": 1_900_000_000}
)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    return lambda there: monkeypatch.setattr(torch_env.torch().cuda, "is_available", lambda: there)


def test_devices_without_a_gpu(gpu: Callable[[bool], None]) -> None:
    gpu(False)
    with pytest.raises(MissingError, match=r"device=cuda: torch finds no GPU"):
        loading.choose_device(options(device="cuda"), BIG)
    with pytest.raises(MissingError, match=r"no GPU: .*6.7 billion weights.*--renderer mesh.*device=cpu"):
        loading.choose_device(options(device="auto"), BIG)
    with pytest.raises(InputError, match=r"dtype=float16 needs a GPU; use dtype=bfloat16 or dtype=float32"):
        loading.choose_device(options(dtype="float16"), BIG)
    with pytest.raises(InputError, match=r"offload=model needs a GPU"):
        loading.choose_device(options(offload="model"), BIG)
    assert loading.choose_device(options(device="cpu"), BIG) == "cpu"
    assert loading.choose_device(options(device="auto"), ModelFolder(Path(), "", {"a": 1000})) == "cpu"


def test_devices_with_a_gpu(gpu: Callable[[bool], None]) -> None:
    gpu(True)
    assert loading.choose_device(options(device="auto", dtype="float16", offload="model"), BIG) == "cuda"
    assert loading.choose_device(options(device="cpu"), BIG) == "cpu"


def test_memory_that_the_weights_need() -> None:
    assert loading.needed_bytes(options(dtype="bfloat16"), BIG) == 2 * 6_700_000_000
    assert loading.needed_bytes(options(dtype="bfloat16", offload="model"), BIG) == 2 * 4_800_000_000
    assert loading.needed_bytes(options(offload="sequential"), BIG) == 0


def test_too_little_memory_is_said_before_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = torch_env.torch()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8_000_000_000, 24_000_000_000))
    with pytest.raises(
        WorkError,
        match=r"on cuda:1: .*need 13.4 GB with dtype=bfloat16 and offload=none, 8.0 of 24.0 GB.*offload=",
    ):
        loading._check_gpu_memory(torch, options(dtype="bfloat16"), BIG, "cuda:1")
    loading._check_gpu_memory(torch, options(dtype="bfloat16", offload="sequential"), BIG, "cuda:1")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_out_of_memory_says_what_lowers_it(error: Exception) -> None:
    advice = r"out of memory while x .*a lower batch than 4, vae_tiling=true, offload=model"
    with pytest.raises(WorkError, match=advice), loading.memory_guard(options(batch=4), "x"):
        raise error


def test_other_errors_are_not_taken_for_too_little_memory() -> None:
    with pytest.raises(RuntimeError, match=r"^shapes differ$"), loading.memory_guard(options(), "x"):
        raise RuntimeError("shapes differ")
    with pytest.raises(WorkError, match=r"^ours$"), loading.memory_guard(options(), "x"):
        raise WorkError("ours")


def test_advice_leaves_out_what_is_used() -> None:
    said = loading.memory_advice(options(vae_tiling=True, offload="sequential", dtype="bfloat16"))
    assert said == "a smaller --size or a shorter --duration"
