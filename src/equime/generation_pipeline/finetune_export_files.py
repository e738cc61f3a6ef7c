"""Video and first frame of one clip of a fine-tuning export."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from pathlib import Path, PurePosixPath

from equime.dataset import ClipView
from equime.errors import WorkError
from equime.generation_pipeline.finetune_export_plan import Bucket, Request, Sample
from equime.generation_pipeline.render import file_sha256
from equime.records import aside, write_atomic
from equime.types import Record
from equime.video import EncoderSettings, read_comment, read_frame, read_planes, write_clip


class Row(Record, frozen=True):
    """One exported clip; a line of ``clips.jsonl``.

    Attributes:
        clip_id, spec_id, subject_id, emotion, source_file, source_sha256: of the Dataset.
        split: ``train`` or ``validation``.
        video, first_frame: files relative to the split's folder; with their digests.
        made: ``link`` (hard link), ``copy``, or ``cut`` (first frames, lossless).
        n_frames: of the exported file.
        fps: of the file.
        caption: as the trainer gets it.
        caption_rewritten: written again because the recorded one speaks of frames that are not seen.
        licence: of the source face.
    """

    clip_id: str
    spec_id: str
    subject_id: str
    emotion: str
    split: str
    video: str
    video_sha256: str
    first_frame: str
    first_frame_sha256: str
    made: str
    n_frames: int
    fps: float
    caption: str
    caption_rewritten: bool
    licence: str
    source_file: str
    source_sha256: str


def write_sample(folder: Path, sample: Sample, bucket: Bucket, request: Request) -> Row:
    """Write video and first frame of one clip.

    Args:
        folder: of its split.
        sample: the clip and its caption.
        bucket: how many frames training sees.
        request: layout, and whether to copy.

    Raises:
        WorkError: the clip's file is not the recorded one, or the disk refuses.
    """
    view, clip = sample.view, sample.view.clip
    video = f"videos/{clip.file}"
    frame = str(PurePosixPath("first_frames", clip.file).with_suffix(".png"))
    path = folder / video
    if _sha256(view.path) != clip.sha256:
        raise WorkError(f"{view.path}: is not the recorded file; run `equime validate`, and make it again")
    path.parent.mkdir(parents=True, exist_ok=True)
    n_frames = clip.n_frames
    if request.layout == "finetrainers" and n_frames > bucket.frames:
        made, n_frames = "cut", bucket.frames
        _cut(view, path, bucket)
    else:
        made = _link_or_copy(view.path, path, request.copy)
    png = _first_frame(path)
    write_atomic(folder / frame, png)
    return Row(
        clip_id=clip.clip_id,
        spec_id=clip.spec_id,
        subject_id=view.spec.subject_id,
        emotion=view.spec.emotion,
        split=sample.split,
        video=video,
        video_sha256=_sha256(path) if made == "cut" else clip.sha256,
        first_frame=frame,
        first_frame_sha256=hashlib.sha256(png).hexdigest(),
        made=made,
        n_frames=n_frames,
        fps=clip.fps,
        caption=sample.caption,
        caption_rewritten=sample.rewritten,
        licence=view.face.licence,
        source_file=clip.file,
        source_sha256=clip.sha256,
    )


def _cut(view: ClipView, path: Path, bucket: Bucket) -> None:
    """The first frames, their planes bit for bit: a second lossy pass would blur what lasts three frames."""
    planes = (planes for planes, _ in zip(read_planes(view.path), range(bucket.frames), strict=False))
    comment = f"{read_comment(view.path)}; first {bucket.frames} frames of {view.clip.clip_id}"
    write_clip(
        path,
        planes,
        fps=view.clip.fps,
        size=view.clip.width,
        # The preset costs bytes only: a third of the time of veryfast for a fifth more of them.
        settings=EncoderSettings(lossless=True, preset="ultrafast"),
        comment=comment,
        n_frames=bucket.frames,
    )


def _link_or_copy(source: Path, path: Path, copy: bool) -> str:
    """``link`` where the file system can, else ``copy``."""
    if not copy:
        try:
            os.link(source, path)
        except OSError:
            pass  # Another file system, one without links, or too many: a copy does as well.
        else:
            return "link"
    with aside(path) as partial:
        shutil.copyfile(source, partial)
    return "copy"


def _first_frame(path: Path) -> bytes:
    from PIL import Image  # noqa: PLC0415

    buffer = io.BytesIO()
    Image.fromarray(read_frame(path, 0)).save(buffer, format="png", compress_level=1)
    return buffer.getvalue()


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise WorkError(f"{path}: {error.strerror}; make it readable") from error
