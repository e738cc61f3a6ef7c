"""What there is to measure at a path: clips of an equime data set, videos, or frame folders of a corpus."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from equime.errors import InputError
from equime.frame_folders import Labels, Series, is_image, labels, series_in, spelled
from equime.types import Clip, ClipSpec, Face

Kind = Literal["video", "frames"]

VIDEO_ENDINGS: Final = frozenset(
    {"mp4", "avi", "mov", "mkv", "webm", "m4v", "mpg", "mpeg", "wmv"}
)  # fmt: skip
"""Endings by which a video is found in a folder, in any case; a file that is named itself may have any other."""


@dataclass(frozen=True)
class ClipSource:
    """One clip, wherever it comes from. Picklable: it travels to worker processes.

    Attributes:
        clip_id: of the Dataset's record; else the content id of ``file``.
        file: relative to ``root``, forward slashes.
        root: the path that was asked for, as text; its parent where it is itself the clip.
        kind: a video file, or a folder of frames.
        input_digest: changes when the clip's content changes; rows of the same digest need no new measuring.
            Of a Dataset's clip the recorded SHA-256; else of name, size and time of change of the file, or of
            all frames: nothing is read.
        subject_id: where it is known; None where not.
        emotion: where it is known; None where not.
        fps: of a frame folder; None takes a video's own rate.
        clip, spec, face: the Dataset's records; None for any other source.
        faces_root: where the Dataset's photographs were; None for any other source.
    """

    clip_id: str
    file: str
    root: str
    kind: Kind
    input_digest: str
    subject_id: str | None = None
    emotion: str | None = None
    fps: float | None = None
    clip: Clip | None = None
    spec: ClipSpec | None = None
    face: Face | None = None
    faces_root: str | None = None

    @property
    def path(self) -> Path:
        """The file or folder."""
        return Path(self.root) / self.file


@dataclass(frozen=True)
class SourceProblem:
    """Something at the path that cannot be measured, found before anything is opened.

    Attributes:
        file: relative to the path asked for.
        code: "gap_in_frames", "duplicate_frames", "several_series", "fps_unknown" (of a frame folder),
            "data_set_inside", "unreadable_folder", "broken_link" or "bad_name".
        message: what is there, what was expected, the next step.
    """

    file: str
    code: str
    message: str


def find_clips(path: Path, *, fps: float | None = None) -> tuple[list[ClipSource], list[SourceProblem]]:
    """Everything to measure at a path, sorted by file; subjects and emotions as `frame_folders.labels` says.

    Of an equime data set these are its finished clips, and nothing else that lies there. In any other folder:

    * files with one of `VIDEO_ENDINGS`, and frame folders (see `frame_folders`), at any depth;
    * not hidden files and folders (``._x`` of macOS, ``.name.partial-1``), ``reports``, ``metadata`` and
      ``__MACOSX``; not ``png``, ``master`` and ``faces`` beside clips that are named as equime names them
      (copies of these clips); not ``depth`` beside ``color`` (CAS(ME)^3: distances, no pictures); not images
      that belong to no series;
    * a folder that links lead to in several ways is listed once, by its real place if that is in the tree.

    A frame folder whose numbering has gaps is a problem and no clip: every time in it would be wrong.

    Args:
        path: an equime data set, a video, a folder of videos, a folder of frames, or a corpus of such folders.
        fps: frame rate of frame folders; None takes the rate of the corpus whose layout they have.

    Raises:
        InputError: nothing there that could be measured, or fps not above 0.
    """
    if fps is not None and not 0 < fps < float("inf"):
        raise InputError(f"fps {fps} is not a frame rate; give frames per second, for example 200")
    if (path / "dataset.json").is_file():
        return sorted(_of_dataset(path), key=lambda c: c.file), []
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the path")
    if path.is_file() and is_image(path.name):
        raise InputError(f"{path}: is one image; give a video, or the folder that holds all frames")
    search = _Search(path, fps)
    search.run()
    if not search.found and not search.problems:
        strays = f" ({search.n_strays} images there belong to no series)" if search.n_strays else ""
        raise InputError(
            f"{path}: nothing to measure{strays}; looked for an equime data set (dataset.json), for videos "
            f"({' '.join(sorted('.' + e for e in VIDEO_ENDINGS))}) and for folders with 2 or more numbered "
            "images (img1.jpg, img2.jpg)"
        )
    return sorted(search.found, key=lambda c: c.file), sorted(search.problems, key=lambda p: (p.file, p.code))


def _of_dataset(path: Path) -> list[ClipSource]:
    from equime.dataset import Dataset  # noqa: PLC0415

    data = Dataset.open(path)
    faces_root = data.info.config.get("faces")
    found = [
        ClipSource(
            clip_id=view.clip.clip_id, file=view.clip.file, root=str(path), kind="video",
            input_digest=view.clip.sha256[:16], subject_id=view.spec.subject_id, emotion=view.spec.emotion,
            clip=view.clip, spec=view.spec, face=view.face, faces_root=faces_root,
        )
        for view in data
    ]  # fmt: skip
    if not found:
        raise InputError(f"{path}: the data set has no finished clip yet; run `equime generate` first")
    return found


_NEVER: Final = frozenset({"reports", "metadata", "__MACOSX"})
_OF_EQUIME: Final = frozenset({"png", "master", "faces"})
_EQUIME_CLIP = re.compile(r"[mfu]_.+_[0-9]{3,}\.mp4")
_DISK_OR_SESSION = re.compile(r"s[0-9]+", re.IGNORECASE)
"""As the place itself, ``s3`` is no subject."""


class _File(Protocol):
    """What a Path and an entry of a folder have in common."""

    @property
    def name(self) -> str: ...

    def stat(self) -> os.stat_result: ...


class _Search:
    """One walk over a place that is no data set of equime's."""

    def __init__(self, place: Path, fps: float | None) -> None:
        self.fps = fps
        self.found: list[ClipSource] = []
        self.problems: list[SourceProblem] = []
        self.n_strays = 0
        self._is_file = place.is_file()
        # What is itself a clip has a name only below its parent.
        if self._is_file or series_in(_names(place)):
            place = place if place.name not in ("", "..") else Path(os.path.abspath(place))
            self._root, self._start = place.parent, place.name
        else:
            self._root, self._start = place, ""
        self._whole_root = Path(os.path.abspath(self._root))
        name = self._whole_root.name
        self._outer = () if _DISK_OR_SESSION.fullmatch(name) else (name,)

    def run(self) -> None:
        """List the place."""
        if self._is_file:
            self._add_video(self._start, self._root / self._start)
            return
        # Links to folders come last, so that what they lead to keeps its real place.
        real, links = [self._start], list[str]()
        seen: set[tuple[int, int]] = set()
        while real or links:
            folder = real.pop() if real else links.pop(0)
            try:
                status = (self._root / folder).stat()
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                inside = _listed(self._root / folder)
            except OSError as error:
                self._problem(folder or ".", "unreadable_folder", f"cannot be read: {error.strerror}")
                continue
            self._folder(folder, inside, real, links)

    def _folder(self, folder: str, inside: list[os.DirEntry[str]], real: list[str], links: list[str]) -> None:
        """Add what a folder directly holds, and what is to be looked into."""
        if folder != self._start and any(e.name == "dataset.json" for e in inside):
            self._problem(
                folder, "data_set_inside", "is an equime data set of its own; evaluate it by itself"
            )
            return
        folders, files = list[os.DirEntry[str]](), list[os.DirEntry[str]]()
        for entry in inside:
            if _is_utf8(entry.name):
                (folders if _is_folder(entry) else files if _is_file(entry) else []).append(entry)
            else:
                name = _join(folder, entry.name.encode(errors="replace").decode())
                self._problem(name, "bad_name", "its name is not UTF-8, so no table can hold it; rename it")
        for entry in files:
            if _ending(entry.name) in VIDEO_ENDINGS:
                self._add_video(_join(folder, entry.name), entry)
        self._add_frames(folder, files)
        for entry in _worth_a_look(folders, files):
            (links if entry.is_symlink() else real).append(_join(folder, entry.name))

    def _add_video(self, file: str, entry: _File) -> None:
        says = labels((*self._outer, *file.split("/")[:-1]), os.path.splitext(entry.name)[0])
        self._add(file, "video", [entry], says, None)

    def _add_frames(self, folder: str, files: list[os.DirEntry[str]]) -> None:
        """The folder as a clip, where it is a frame folder."""
        entries = {e.name: e for e in files if is_image(e.name)}
        series = series_in(entries)
        self.n_strays += len(entries) - sum(len(s.names) for s in series)
        if not series:
            return
        says = labels(
            (*self._outer, *folder.split("/")[:-1]), folder.rsplit("/", maxsplit=1)[-1],
            (self._whole_root / folder).as_posix(), series[0].names[0],
        )  # fmt: skip
        fps = self.fps or says.fps
        wrong = _wrong_with(series, fps)
        if wrong:
            self._problem(folder, *wrong)
            return
        self._add(folder, "frames", [entries[name] for name in series[0].names], says, fps)

    def _add(self, file: str, kind: Kind, parts: Iterable[_File], says: Labels, fps: float | None) -> None:
        from equime.seeding import content_id  # noqa: PLC0415

        try:
            digest = _digest(parts)
        except OSError as error:
            name = Path(error.filename or file).name
            text = (
                f"{name} cannot be reached ({error.strerror}): a link to nothing? Get the data, or remove it"
            )
            self._problem(file, "broken_link", text)
            return
        self.found.append(
            ClipSource(
                clip_id=content_id([file]), file=file, root=str(self._root), kind=kind, input_digest=digest,
                subject_id=says.subject_id, emotion=says.emotion, fps=fps,
            )
        )  # fmt: skip

    def _problem(self, file: str, code: str, text: str) -> None:
        self.problems.append(SourceProblem(file, code, f"{file}: {text}"))


def _wrong_with(series: list[Series], fps: float | None) -> tuple[str, str] | None:
    """(code, text) of why a folder with these series is no clip."""
    if len(series) > 1:
        names = ", ".join(f"{s.pattern} ({len(s.names)})" for s in series[:4])
        return "several_series", f"holds several series of images: {names}; move each to a folder of its own"
    numbers, missing = series[0].numbers, series[0].missing()
    if len(set(numbers)) < len(numbers):
        twice = next(a for a, b in itertools.pairwise(numbers) if a == b)
        return "duplicate_frames", f"holds number {twice} of {series[0].pattern} twice; keep one of the files"
    if missing:
        n = sum(b - a + 1 for a, b in missing)
        return "gap_in_frames", (
            f"{n} of the frames {numbers[0]} to {numbers[-1]} are not there: {spelled(missing)}; copy them, "
            "or where they were left out on purpose renumber the rest and give its --fps"
        )
    if fps is None:
        return "fps_unknown", (
            f"is a folder of {len(numbers)} frames ({series[0].pattern}) whose frame rate is not known; give "
            "it with --fps (CASME II and SAMM 200, SMIC-HS 100, MMEW 90, CAS(ME)^3 30)"
        )
    return None


def _worth_a_look(
    folders: list[os.DirEntry[str]], files: list[os.DirEntry[str]]
) -> Iterator[os.DirEntry[str]]:
    """The folders that may hold clips, last name first: they go on a stack."""
    of_equime = any(_EQUIME_CLIP.fullmatch(e.name) for e in files)
    names = {e.name for e in folders}
    for entry in reversed(folders):
        copies = of_equime and entry.name in _OF_EQUIME
        distances = entry.name == "depth" and "color" in names
        if entry.name not in _NEVER and not copies and not distances:
            yield entry


def _digest(files: Iterable[_File]) -> str:
    """16 hex digits of names, sizes and times of change. Raises OSError."""
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        digest.update(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    """What the folder holds by name, without what is hidden."""
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _names(place: Path) -> list[str]:
    try:
        return os.listdir(place)
    except OSError:
        return []  # The walk says so.


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # A link to itself.


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Also a link to nothing, which is to be told; no pipe or device, which would block whoever opens it."""
    return entry.is_symlink() or entry.is_file()


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _ending(name: str) -> str:
    return os.path.splitext(name)[1][1:].lower()
