"""Everything that is wrong with a Dataset, with its path and a stable code.

This module checks the records, the ids and the files; what only a subsystem can judge (metadata, captions,
views) comes from the checks in `equime.registry.CHECKS`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from equime import layout, registry
from equime.dataset import ClipView, Dataset
from equime.errors import EquimeError
from equime.locks import HIDDEN, holders
from equime.records import PARTIAL_GLOB, disk_guard
from equime.seeding import content_id
from equime.types import Attempt, Clip, ClipSpec, Face, Failure, Record, Rejection

FPS_TOLERANCE: Final = 1e-3


class Problem(Record, frozen=True, order=True):
    """One thing that is wrong.

    Attributes:
        path: file, relative to the Dataset, with ``:line`` for a record.
        code: stable name of the kind of problem.
        message: what is there, what was expected, and the next step.
    """

    path: str
    code: str
    message: str


class Report(Record, frozen=True):
    """Result of `validate`.

    Attributes:
        n_clips: clips that the records speak of.
        problems: sorted by path, code and message; empty where the Dataset is sound.
    """

    n_clips: int
    problems: tuple[Problem, ...]


def validate(path: str | Path, *, quick: bool = False) -> Report:
    """Check a Dataset and collect every problem before speaking.

    Args:
        path: the Dataset.
        quick: do not read the bytes of the videos (sizes and headers are still compared).

    Raises:
        InputError: no Dataset there, or one of a newer format.
    """
    dataset = Dataset.open(path)
    loaded = _Loaded(dataset.root)
    problems = [*loaded.problems, *_references(loaded), *_ids(loaded)]
    sound = _Sound(dataset, loaded)
    with disk_guard(dataset.root):
        for view in sound:
            problems += _file(view, quick)
        problems += _strangers(dataset.root, loaded)
        for name in sorted(registry.CHECKS):
            problems += registry.lookup("check", name)(sound)
    return Report(n_clips=len(loaded.clips), problems=tuple(sorted(set(problems))))


class _Sound(Dataset):
    """The Dataset without the records that cannot be read, so that the other checks still run."""

    def __init__(self, dataset: Dataset, loaded: _Loaded) -> None:
        super().__init__(dataset.root, dataset.info)
        self._loaded = loaded
        self.__dict__["faces"] = {face.face_id: face for face in loaded.faces.values()}
        known = {spec.spec_id for spec in loaded.specs.values()}
        clips = [c for c in loaded.clips.values() if c.face_id in self.faces and c.spec_id in known]
        self.__dict__["clips"] = clips

    def iterate_specs(self) -> Iterator[ClipSpec]:
        return iter(self._loaded.specs.values())


class _Loaded:
    """All records by ``file:line``, and what could not be read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.faces = self._read(root / layout.FACES, Face)
        self.specs = self._read(root / layout.SPECS, ClipSpec)
        self.clips = {k: v for p in layout.clips_paths(root) for k, v in self._read(p, Clip).items()}
        self._read(root / layout.REJECTED, Rejection)
        for path in layout.failures_paths(root):
            self._read(path, Failure)
        for path in layout.attempts_paths(root):
            self._read(path, Attempt)

    def _read(self, path: Path, record: type[Any]) -> dict[str, Any]:
        decoder = msgspec.json.Decoder(record)
        found: dict[str, Any] = {}
        if not path.is_file():
            return found
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                place = f"{path.name}:{number}"
                if not line.endswith(b"\n"):
                    text = "the last line was cut off; run the command that made it again, which repairs it"
                    self.problems.append(Problem(path=place, code="torn_line", message=text))
                    continue
                try:
                    found[place] = decoder.decode(line)
                except msgspec.DecodeError as error:
                    text = f"not a {record.__name__} record: {error}; restore the file or delete the line"
                    self.problems.append(Problem(path=place, code="broken_record", message=text))
        return found


def _ids(loaded: _Loaded) -> Iterator[Problem]:
    """Duplicate ids, and ids that are not what they are computed from."""
    for records, name in ((loaded.faces, "face_id"), (loaded.specs, "spec_id"), (loaded.clips, "clip_id")):
        first: dict[str, str] = {}
        for place, record in records.items():
            value = getattr(record, name)
            if value in first:
                yield Problem(
                    path=place,
                    code=f"duplicate_{name}",
                    message=f"{name} {value} is also at {first[value]}; delete one of the lines",
                )
            first.setdefault(value, place)
    for place, spec in loaded.specs.items():
        expected = content_id(msgspec.structs.replace(spec, spec_id=""))
        if spec.spec_id != expected:
            yield Problem(path=place, code="wrong_spec_id", message=_edited("spec", spec.spec_id, expected))
    for place, clip in loaded.clips.items():
        parts = [clip.spec_id, clip.renderer, clip.renderer_version, clip.renderer_params, clip.encoder]
        expected = content_id(parts)
        if clip.clip_id != expected:
            yield Problem(path=place, code="wrong_clip_id", message=_edited("clip", clip.clip_id, expected))


def _edited(kind: str, there: str, expected: str) -> str:
    return f"{kind}_id is {there}, its content gives {expected}; the record was edited, restore it"


def _references(loaded: _Loaded) -> Iterator[Problem]:
    """Records that speak of records that are not there."""
    faces = {face.face_id for face in loaded.faces.values()}
    specs = {spec.spec_id: spec for spec in loaded.specs.values()}
    for place, spec in loaded.specs.items():
        if spec.face_id not in faces:
            yield Problem(path=place, code="unknown_face", message=f"no face {spec.face_id} in faces.jsonl")
        if spec.twin_of is not None and spec.twin_of not in specs:
            yield Problem(path=place, code="unknown_twin", message=f"no spec {spec.twin_of} in specs.jsonl")
    for place, clip in loaded.clips.items():
        if clip.face_id not in faces:
            yield Problem(path=place, code="unknown_face", message=f"no face {clip.face_id} in faces.jsonl")
        spec = specs.get(clip.spec_id)
        if spec is None:
            yield Problem(path=place, code="unknown_spec", message=f"no spec {clip.spec_id} in specs.jsonl")
        elif spec.face_id != clip.face_id:
            text = f"face {clip.face_id}, but its spec has {spec.face_id}"
            yield Problem(path=place, code="wrong_face", message=text)
    for place, face in loaded.faces.items():
        if not (loaded.root / face.landmarks).is_file():
            text = f"landmarks of {place} are missing; delete that line and generate again"
            yield Problem(path=face.landmarks, code="missing_landmarks", message=text)


def _file(view: ClipView, quick: bool) -> Iterator[Problem]:
    """The video against its record and its spec."""
    clip, path = view.clip, view.path
    if not path.is_file():
        text = "the video is missing; delete its line in clips.jsonl and generate again"
        yield Problem(path=clip.file, code="missing_file", message=text)
        return
    n_bytes = path.stat().st_size
    if n_bytes != clip.size_bytes:
        text = (
            f"{n_bytes} bytes, recorded {clip.size_bytes}; delete its line in clips.jsonl and generate again"
        )
        yield Problem(path=clip.file, code="wrong_size", message=text)
    elif not quick and _sha256(path) != clip.sha256:
        text = "its bytes changed since it was made; delete its line in clips.jsonl and generate again"
        yield Problem(path=clip.file, code="wrong_sha256", message=text)
    yield from _format(view)


def _format(view: ClipView) -> Iterator[Problem]:
    from equime.video import probe  # noqa: PLC0415

    clip, spec = view.clip, view.spec
    try:
        seen = probe(view.path)
    except EquimeError as error:
        yield Problem(path=clip.file, code="unreadable_video", message=str(error))
        return
    checks = (
        ("wrong_n_frames", "frames", seen.n_frames, spec.n_frames, clip.n_frames),
        ("wrong_fps", "frames per second", seen.fps, spec.fps, clip.fps),
        ("wrong_dimensions", "pixels wide", seen.width, spec.size_px, clip.width),
        ("wrong_dimensions", "pixels high", seen.height, spec.size_px, clip.height),
        ("wrong_codec", "as codec", seen.codec, clip.codec, clip.codec),
        ("wrong_pix_fmt", "as pixel format", seen.pix_fmt, clip.pix_fmt, clip.pix_fmt),
    )
    for code, unit, there, intended, recorded in checks:
        if not (_same(there, intended) and _same(there, recorded)):
            text = f"the file has {there} {unit}, its spec {intended}, its record {recorded}"
            yield Problem(path=clip.file, code=code, message=text)


def _same(a: Any, b: Any) -> bool:
    """Equal text, or numbers that differ by rounding only."""
    if isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    return math.isclose(a, b, rel_tol=FPS_TOLERANCE)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _strangers(root: Path, loaded: _Loaded) -> Iterator[Problem]:
    """Videos that no record speaks of, and what an interrupted write left behind."""
    if holders(root):
        return  # a run is at work: its next clip is not recorded yet
    files = {clip.file for clip in loaded.clips.values()}
    for path in root.glob("*/*.mp4"):
        name = path.relative_to(root).as_posix()
        if name not in files and not path.name.startswith("."):
            text = "no record speaks of it; run the command that made the data set again, or delete it"
            yield Problem(path=name, code="orphan_video", message=text)
    leftovers = [*root.rglob(PARTIAL_GLOB), *(root / HIDDEN / "tmp").glob("*/*")]
    for path in leftovers:
        text = "left behind by an interrupted run; run the command that made the data set again, or delete it"
        yield Problem(path=path.relative_to(root).as_posix(), code="leftover", message=text)
