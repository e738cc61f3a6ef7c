"""A folder in diffusers' layout: is it the right model, is it whole, how large is it. Nothing here loads torch.

Layout: ``model_index.json`` names the pipeline's class and its components; each has a folder of its own, with weights
as ``*.safetensors``. A safetensors file begins with eight bytes, the length N of a JSON header (little endian), the
header with every tensor's type, shape and place, and ends exactly where the last tensor does
(https://github.com/huggingface/safetensors#format); a file that was cut short is therefore seen at once.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from equime.errors import InputError, MissingError, WorkError
from equime.generation_pipeline.diffusion.limits import family_of
from equime.records import disk_guard
from equime.seeding import content_id

INDEX: Final = "model_index.json"
MAX_HEADER: Final = 100_000_000
"""Largest header that the safetensors library reads."""
_SAMPLE: Final = 65_536
"""Bytes at the beginning, in the middle and at the end of a weights file that its fingerprint looks at."""


@dataclass(frozen=True)
class ModelFolder:
    """A model that is there and whole, as far as its headers say.

    Attributes:
        path: the folder.
        class_name: of the pipeline, from ``model_index.json``.
        n_weights: numbers per component.
    """

    path: Path
    class_name: str
    n_weights: dict[str, int]


def inspect_folder(path: Path, pipeline: str) -> ModelFolder:
    """Check a folder before anything of it is loaded.

    Args:
        path: the folder.
        pipeline: class that is to be made from it.

    Raises:
        MissingError: no such folder, or a component or a part of its weights is not there.
        InputError: a file or another kind of folder, or a model for another pipeline.
        WorkError: a damaged file; it is named.
    """
    if path.is_file():
        raise InputError(
            f"model {path} is a file; give the folder in diffusers' layout (with a {INDEX}) that holds the model"
        )
    if not path.is_dir():
        raise MissingError(
            f"model {path}: no such folder; put the model's diffusers layout ({INDEX} and one folder per "
            "component) there, or give the right model="
        )
    index = _index(path)
    class_name = str(index.get("_class_name", ""))
    _check_class(path, class_name, pipeline)
    names = [name for name, kind in index.items() if isinstance(kind, list) and kind and kind[0]]
    return ModelFolder(path, class_name, {name: _component(path, name) for name in names})


def fingerprint(path: Path) -> str:
    """16 hex digits that change with the model: its configuration files whole, and of each weights file the size and
    three samples (reading all of 20 GB in every process would take longer than many a clip).

    Raises:
        WorkError: a file cannot be read.
    """
    with disk_guard(path):
        files = sorted(f for f in path.rglob("*") if f.is_file() and f.suffix in (".json", ".safetensors"))
        seen = [[f.relative_to(path).as_posix(), f.stat().st_size, *_samples(f)] for f in files]
    return content_id(seen)


def _samples(file: Path) -> list[str]:
    size = file.stat().st_size
    with file.open("rb") as opened:
        if size <= 3 * _SAMPLE:
            return [content_id(opened.read().hex())]
        found = []
        for start in (0, size // 2, size - _SAMPLE):
            opened.seek(start)
            found.append(content_id(opened.read(_SAMPLE).hex()))
        return found


def _index(path: Path) -> dict[str, Any]:
    file = path / INDEX
    if not file.is_file():
        single = sorted(f.name for f in path.glob("*.safetensors"))
        what = f"single-file weights ({', '.join(single[:3])})" if single else "no model"
        raise InputError(
            f"model {path} has no {INDEX} and holds {what}; give the folder that the diffusers layout was saved in"
        )
    return _json(file)


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise WorkError(f"{file} is damaged ({error}); fetch it again") from error
    if not isinstance(found, dict):
        raise WorkError(f"{file} is damaged (no JSON object); fetch it again")
    return found


def _check_class(path: Path, found: str, pipeline: str) -> None:
    """A text-to-video pipeline of the same family has the same components, and is what most hubs name."""
    family = family_of(pipeline)
    fits = found == pipeline if family is None else family_of(found) == family
    if not fits:
        raise InputError(
            f"model {path} is for {found or 'no class at all'} ({INDEX}), not for {pipeline}; give another folder, "
            f"or the image-to-video class of this model as pipeline="
        )


def _component(path: Path, name: str) -> int:
    """Numbers in a component's weights; 0 for one that has none (scheduler, tokenizer)."""
    folder = path / name
    if not folder.is_dir():
        raise MissingError(f"model {path}: component {name!r} is not there; {_again(path)}")
    for index in folder.glob("*.safetensors.index.json"):
        shards = set(_json(index).get("weight_map", {}).values())
        absent = sorted(s for s in shards if not (folder / s).is_file())
        if absent:
            raise MissingError(
                f"model {path}: {len(absent)} of {len(shards)} parts of {name!r} are not there, the first is "
                f"{folder / absent[0]}; {_again(path)}"
            )
    files = sorted(folder.glob("*.safetensors"))
    if not files and (folder / "config.json").is_file():
        raise MissingError(f"model {path}: {name!r} has no *.safetensors in {folder}; {_again(path)}")
    return sum(count_weights(file) for file in files)


def _again(path: Path) -> str:
    return f"the download was interrupted or {path} is no complete copy: fetch the model again"


def count_weights(file: Path) -> int:
    """Numbers in a safetensors file, from its header.

    Raises:
        WorkError: cut short, or no safetensors file.
    """
    with disk_guard(file):
        size = file.stat().st_size
        with file.open("rb") as opened:
            start = opened.read(8)
            if start == b"version ":
                raise WorkError(f"{file} is a Git LFS pointer, not the weights; run `git lfs pull` there")
            length = int.from_bytes(start, "little")
            raw = opened.read(length) if len(start) == 8 and 0 < length <= min(MAX_HEADER, size - 8) else b""
    try:
        tensors = [t for name, t in json.loads(raw).items() if name != "__metadata__"]
        end = max((t["data_offsets"][1] for t in tensors), default=0)
        count = int(sum(math.prod(t["shape"]) for t in tensors))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise WorkError(
            f"{file} ({size} bytes) is damaged: its header cannot be read; remove it and fetch it again"
        ) from error
    if 8 + length + end != size:
        raise WorkError(
            f"{file} is damaged: it has {size} bytes, its header says {8 + length + end} (an interrupted download?); "
            "remove it and fetch it again"
        )
    return count
