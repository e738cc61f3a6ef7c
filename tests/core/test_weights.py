"""Weights: the table, where files lie, what is checked, and the command line."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

import pytest

import equime.cli.weights  # noqa: F401  (registers the commands)
from equime import weights
from equime.cli.app import run
from equime.errors import InputError, MissingError, WorkError
from equime.hub_models import HUB_MODELS
from equime.weights import WEIGHTS, WeightFile, Weights

CONTENT = b"a file of weights" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def weight_file(file: str, sha256: str | None = SHA256) -> WeightFile:
    return WeightFile(
        file=file, urls=("http://nowhere.invalid/x",), size_bytes=9, licence="none", sha256=sha256
    )


def add(monkeypatch: pytest.MonkeyPatch, name: str, *files: WeightFile, folder: str | None = None) -> None:
    entry = Weights(
        name=name, purpose="a test", used_by=(), framework="none", folder=folder or name, files=files
    )
    monkeypatch.setitem(WEIGHTS, name, entry)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights of its own, with the entries ``one`` and ``two``."""
    monkeypatch.setenv(weights.PLACE, str(tmp_path / "weights"))
    add(monkeypatch, "one", weight_file("one.pt"))
    add(monkeypatch, "two", weight_file("a.pt"), weight_file("b.pt", None))
    return tmp_path / "weights"


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# The table


@pytest.mark.parametrize("name", ["brisque", "clip_iqa", "lpips", "r3d_18"])
def test_entries_are_complete(name: str) -> None:
    entry = WEIGHTS[name]
    assert entry.name == name
    assert entry.purpose
    assert entry.used_by
    assert len({f.file for f in entry.files}) == len(entry.files)
    for file in entry.files:
        assert file.licence
        assert all(url.startswith("https://") and url.endswith(f"/{file.file}") for url in file.urls)
        assert bool(file.sha256) == bool(file.digest_source)
        if file.sha256 is not None:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            in_name = re.search(r"-([0-9a-f]{8})\.pth$", file.file)  # how torchvision names its files
            assert in_name is None or file.sha256.startswith(in_name[1])


def test_addresses_are_those_of_the_packages_that_read_the_files() -> None:
    """PIQ and torchvision name the same addresses in their own code."""
    from equime.torch_env import load  # noqa: PLC0415

    load("piq")
    clip, clip_iqa = load("piq.feature_extractors.clip"), load("piq.clip_iqa")
    perceptual, brisque = load("piq.perceptual"), Path(load("piq.brisque").__file__).read_text("utf-8")
    video, vgg = load("torchvision.models.video"), load("torchvision.models")
    urls = {f.file: f.urls for entry in WEIGHTS.values() for f in entry.files}
    assert set(urls["RN50.pt"]) == {clip.PIQ_CLIP_MODEL_PATH, clip.OPENIQA_CLIP_MODEL_PATH}
    assert urls["clipiqa_tokens.pt"] == (clip_iqa.TOKENS_URL,)
    assert urls["lpips_weights.pt"][0] == perceptual.LPIPS._weights_url
    assert urls["vgg16-397923af.pth"] == (vgg.VGG16_Weights.IMAGENET1K_V1.url,)
    assert urls["r3d_18-b3b3357e.pth"] == (video.R3D_18_Weights.KINETICS400_V1.url,)
    written = re.sub(r"'\s*\\\s*'", "", brisque)
    assert urls["brisque_svm_weights.pt"][0] in written


def test_the_page_names_every_file_and_digest() -> None:
    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text("utf-8")
    for entry in WEIGHTS.values():
        if entry.name not in ("one", "two"):
            assert f"`{entry.name}`" in page
            for file in entry.files:
                line = next(line for line in page.splitlines() if f"`{file.file}`" in line)
                assert (file.sha256[:8] if file.sha256 else "not recorded") in line


# Places


def test_places(root: Path) -> None:
    assert weights.path("one") == root / "one" / "one.pt"
    assert weights.path("two") == root / "two"
    assert weights.path("two", "b.pt") == root / "two" / "b.pt"


def test_any_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MODELS", "/models")
    add(monkeypatch, "home", weight_file("x"), folder="~/.other/weights")
    add(monkeypatch, "there", weight_file("x"), folder="$MODELS/deep")
    assert weights.path("home") == tmp_path / ".other" / "weights" / "x"
    assert weights.path("there") == Path("/models/deep/x")


@pytest.mark.skipif(sys.platform != "linux", reason="where Linux keeps caches")
def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(weights.PLACE)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.root() == tmp_path / ".cache" / "equime" / "weights"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert weights.root() == tmp_path / "c" / "equime" / "weights"
    monkeypatch.setenv(weights.PLACE, "~/here")
    assert weights.root() == tmp_path / "here"


def test_unknown_names() -> None:
    with pytest.raises(InputError, match=r"weights 'three' are not known; known are brisque, clip_iqa, .*"):
        weights.require("three")
    with pytest.raises(InputError, match=r"weights two have no file 'c.pt'; they have a.pt, b.pt"):
        weights.require("two", "c.pt")


# What is checked


def test_missing_says_what_to_type(root: Path) -> None:
    message = (
        f"weights one: {root}/one/one.pt is not there; run `equime weights fetch one`, "
        f"or put one.pt into {root}/one"
    )
    with pytest.raises(MissingError, match=f"^{re.escape(message)}$"):
        weights.require("one")
    put(root / "two" / "a.pt")
    assert weights.hint("two").endswith(f"or put b.pt into {root}/two")


def test_every_file_of_an_entry_is_needed(root: Path) -> None:
    put(root / "two" / "a.pt")
    assert not weights.available("two")
    with pytest.raises(MissingError, match=r"b\.pt is not there"):
        weights.require("two", "a.pt")
    put(root / "two" / "b.pt", b"")
    assert not weights.available("two")
    with pytest.raises(MissingError, match=r"b\.pt is empty"):
        weights.require("two", "a.pt")
    put(root / "two" / "b.pt", b"anything: no digest is recorded")
    assert weights.available("two")
    assert weights.require("two", "a.pt") == root / "two" / "a.pt"
    assert weights.require("two") == root / "two"


def test_wrong_digest_names_both(root: Path) -> None:
    put(root / "one" / "one.pt", b"damaged")
    assert weights.available("one")
    with pytest.raises(WorkError) as caught:
        weights.require("one")
    assert hashlib.sha256(b"damaged").hexdigest() in str(caught.value)
    assert f"expected {SHA256}" in str(caught.value)
    assert "`equime weights fetch one`" in str(caught.value)


def test_first_digits_are_enough_where_no_more_is_known(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "short", weight_file("x", SHA256[:8]))
    put(root / "short" / "x")
    assert weights.require("short") == root / "short" / "x"
    put(root / "short" / "x", b"other")
    with pytest.raises(WorkError, match=f"expected {SHA256[:8]};"):
        weights.require("short")


def test_a_digest_is_read_once_for_a_file_as_it_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = weights.read_digest
    monkeypatch.setattr(weights, "read_digest", lambda place: reads.append(place) or read(place))
    file = put(root / "one" / "one.pt")
    for _ in range(3):
        weights.require("one")
    assert reads == [file]
    weights._digest.cache_clear()  # as in another process
    weights.require("one")
    assert reads == [file]
    put(file, b"changed and longer than before" * 99)
    with pytest.raises(WorkError):
        weights.require("one")
    assert reads == [file, file]


def test_damaged_notes_are_no_obstacle(root: Path) -> None:
    put(root / "one" / "one.pt")
    for notes in (b"", b"[]", b'{"x": 1}', b"\xff\xfe", b'{"x": [1, 2]}'):
        put(root / weights.DIGESTS, notes)
        weights._digest.cache_clear()
        assert weights.require("one")


def test_a_folder_that_cannot_be_written_to_will_do(root: Path) -> None:
    put(root / "one" / "one.pt")
    (root / weights.DIGESTS).mkdir()
    assert weights.require("one")


def test_digests(root: Path) -> None:
    put(root / "two" / "a.pt")
    assert weights.digests("two") == {"a.pt": SHA256}


# Command line


def test_list(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root / "one" / "one.pt")
    assert run(["weights", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert set(listed) == set(WEIGHTS) | set(HUB_MODELS)
    assert listed["one"]["available"] is True
    assert listed["clip_iqa"]["available"] is False
    assert listed["clip_iqa"]["folder"] == str(root / "clip_iqa")
    assert listed["clip_iqa"]["files"][0]["sha256"] == WEIGHTS["clip_iqa"].files[0].sha256
    assert run(["weights", "list"]) == 0
    text = capsys.readouterr().out
    assert "sha256 not recorded in this version; `equime weights verify` prints the digest" in text
    assert "note: torchvision says that its models may have terms of their own" in text


def test_where(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "where", "two"]) == 0
    assert capsys.readouterr().out == f"{root}/two/a.pt\n{root}/two/b.pt\n"
    assert run(["weights", "where", "three"]) == 2


def test_verify(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "verify"]) == 3
    put(root / "two" / "a.pt")
    assert run(["weights", "verify", "two"]) == 3
    put(root / "two" / "b.pt")
    capsys.readouterr()
    assert run(["weights", "verify", "two", "--json"]) == 0
    a, b = json.loads(capsys.readouterr().out)
    assert (a["state"], a["sha256"]) == ("there", SHA256)
    assert (b["state"], b["sha256"], b["expected"]) == ("unrecorded", SHA256, None)
    put(root / "two" / "a.pt", b"damaged")
    assert run(["weights", "verify", "one", "two"]) == 1
    text = capsys.readouterr().out
    assert f"one: {root}/one/one.pt: missing; run `equime weights fetch one`" in text
    assert f"expected {SHA256}" in text
    assert f"sha256 {SHA256} (none is recorded in this version to compare with)" in text
