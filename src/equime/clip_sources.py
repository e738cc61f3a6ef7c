"""What there is to measure at a path: clips of an equime data set, videos, or frame folders of a corpus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from equime.types import Clip, ClipSpec, Face

Kind = Literal["video", "frames"]


@dataclass(frozen=True)
class ClipSource:
    """One clip, wherever it comes from. Picklable: it travels to worker processes.

    Attributes:
        clip_id: of the Dataset's record; else the content id of ``file``.
        file: relative to ``root``, forward slashes.
        root: the path that was asked for, as text.
        kind: a video file, or a folder of frames.
        input_digest: changes when the clip's content changes; rows of the same digest need no new measuring.
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
        code: stable name ("gap_in_frames", "mixed_sizes", ...).
        message: what is there, what was expected, the next step.
    """

    file: str
    code: str
    message: str


def find_clips(path: Path, *, fps: float | None = None) -> tuple[list[ClipSource], list[SourceProblem]]:
    """Everything to measure at a path, sorted by file.

    Args:
        path: an equime data set, a video, a folder of videos, a folder of frames, or a corpus of such folders.
        fps: frame rate of frame folders.

    Raises:
        InputError: nothing there that could be measured.
    """
    from equime.dataset import Dataset  # noqa: PLC0415
    from equime.seeding import content_id  # noqa: PLC0415

    if (path / "dataset.json").is_file():
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
        return found, []
    files = [path] if path.is_file() else sorted(path.rglob("*.mp4"))
    root = path.parent if path.is_file() else path
    names = [file.relative_to(root).as_posix() for file in files]
    return [
        ClipSource(clip_id=content_id([name]), file=name, root=str(root), kind="video", input_digest="0")
        for name in names
    ], []
