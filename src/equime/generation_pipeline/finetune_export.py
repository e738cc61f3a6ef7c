"""Clips of a Dataset as training data of an image-to-video generator: (first frame, caption, clip), and how to train.

Two layouts, written from what the trainers read:

* ``ltx``: ``train/dataset.json``, a list of objects with ``caption`` and ``media_path``, for ``preprocess_dataset.py``
  of Lightricks/LTX-Video-Trainer and ``process_dataset.py`` of Lightricks/LTX-2. Both take the *first* F frames of a
  video for a bucket ``WxHxF`` (``MediaDataset._preprocess_video``), so the clips are linked as they are.
* ``finetrainers``: ``train/prompts.txt`` and ``train/videos.txt``, a line per clip
  (``VideoFileCaptionFileListDataset``). For a longer video it picks F frames *evenly*
  (``functional/video.py: resize_to_nearest_bucket_video``), which would speed the movement up; there a clip of more
  frames is cut after frame F, losslessly, and its timing stays.

F is 8k + 1: of a clip of 144 frames the first 137 are seen. Nothing is resampled or padded. A clip whose movement is not
over by then is left out and listed. The first frame is the clip's own, decoded: it is what training conditions on.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from equime.dataset import ClipView, Dataset
from equime.errors import InputError, WorkError
from equime.generation_pipeline.finetune_export_configs import TRAIN, VALIDATION, Example, config_files
from equime.generation_pipeline.finetune_export_files import Row, write_sample
from equime.generation_pipeline.finetune_export_plan import (
    Bucket,
    LeftOut,
    Request,
    Sample,
    choose_bucket,
    findings,
    make_samples,
    prompts,
    whole_movement,
)
from equime.generation_pipeline.finetune_export_readme import readme
from equime.progress import Progress, Silent
from equime.records import disk_guard, sync_folder, write_atomic
from equime.seeding import content_id
from equime.types import Record

FORMAT: Final = 1
"""Part of the key: raised when what is written changes."""

MANIFEST: Final = "manifest.json"
CLIPS: Final = "clips.jsonl"
_NAMED: Final = 5


class Manifest(Record, frozen=True):
    """``manifest.json``: what the export is, and what an equal command recognises it by.

    Attributes:
        format: `FORMAT`.
        key: content id of the request and of the clips that it chose from.
        out: absolute path that the configuration files name.
        request, bucket: as asked for and as chosen.
        people: split to its subjects.
        made: how many videos were linked, copied, cut.
        licences: licence to number of source faces.
        left_out: selected clips that are not there.
        findings: what to know before training.
        sha256: digest of every file of the export but this one.
    """

    format: int
    key: str
    out: str
    request: Request
    bucket: Bucket
    people: dict[str, tuple[str, ...]]
    n_clips: dict[str, int]
    made: dict[str, int]
    licences: dict[str, int]
    left_out: tuple[LeftOut, ...]
    findings: tuple[str, ...]
    sha256: dict[str, str]


class Export(Record, frozen=True):
    """What a call of `export_finetune` found or made.

    Attributes:
        manifest: of the export.
        already: it was there, complete; nothing was written.
        configs: files to hand to the trainer.
    """

    manifest: Manifest
    already: bool
    configs: tuple[str, ...]


def export_finetune(
    dataset: Dataset | str | Path,
    out: str | Path,
    request: Request,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Export:
    """Write the training data of an image-to-video trainer; complete under ``out``, or not there.

    Args:
        dataset: the Dataset or its folder.
        out: a new or empty folder. Where it holds this very export already, nothing is done.
        request: layout, captions, people for validation, frames.
        workers: threads, as the codecs do the work outside Python's lock; None is one per processor.
        progress: told of every clip.

    Raises:
        InputError: nothing to export, a clip without the caption, clips of several shapes, too few people, or an
            ``out`` that holds something else.
        WorkError: a clip's file is missing or changed, or the disk refuses.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers {workers} is below 1")
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    target = Path(out).resolve()
    samples, bucket, left_out = _plan(data, request)
    key = _key(request, samples, left_out)
    there = _there(target, key)
    if there is not None:
        return Export(manifest=there, already=True, configs=_configs(there))
    _refuse_damage([sample.view for sample in samples])
    progress = progress or Silent()
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    for path in set(target.parent.glob(f".{target.name}.partial-*")) - {partial}:
        progress.note(f"{path}: left by an export that was interrupted; delete it unless one runs now")
    with disk_guard(target):
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            rows = _write_samples(partial, samples, bucket, request, workers, progress)
            manifest = _manifest(rows, samples, bucket, left_out, request, key, target)
            manifest = _write_lists(partial, target, rows, prompts(samples), manifest)
            _publish(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Export(manifest=manifest, already=False, configs=_configs(manifest))


def _publish(partial: Path, target: Path) -> None:
    """Give the complete export its name. Raises WorkError where somebody has put something there meanwhile."""
    try:
        if target.is_dir():
            target.rmdir()  # Empty when `_there` looked; Windows renames onto no folder.
        partial.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise WorkError(
            f"{target}: something was put there while this export was written; give another folder"
        ) from error
    sync_folder(target.parent)


def _configs(manifest: Manifest) -> tuple[str, ...]:
    ends = (".yaml", ".sh", "training.json", "validation.json")
    return tuple(name for name in manifest.sha256 if "/" not in name and name.endswith(ends))


def _plan(data: Dataset, request: Request) -> tuple[list[Sample], Bucket, list[LeftOut]]:
    """The samples, their shape, and the clips that the shape cannot hold. Raises InputError."""
    views = list(data.selected(include_failed=request.include_failed))
    if not views:
        hint = "make clips first (`equime generate`), or give --include-failed"
        raise InputError(f"{data.root}: no clip to export; {hint}")
    bucket = choose_bucket(views, request.frames)
    whole = [view for view in views if whole_movement(view, bucket)]
    reason = f"its movement is not over by frame {bucket.frames}"
    left_out = [
        LeftOut(clip_id=view.clip.clip_id, file=view.clip.file, reason=reason)
        for view in views
        if not whole_movement(view, bucket)
    ]
    if not whole:
        raise InputError(
            f"{data.root}: no clip shows its whole movement in {bucket.frames} frames; give more --frames"
        )
    return make_samples(whole, bucket, request), bucket, left_out


def _key(request: Request, samples: Sequence[Sample], left_out: Sequence[LeftOut]) -> str:
    clips = [
        (
            s.view.clip.clip_id,
            s.view.clip.sha256,
            s.view.spec.subject_id,
            s.split,
            s.caption,
            s.view.face.licence,
        )
        for s in samples
    ]
    return content_id((FORMAT, request, clips, left_out))


def _there(target: Path, key: str) -> Manifest | None:
    """The export that is there already, None where there is nothing yet. Raises InputError for anything else."""
    blocked = next((path for path in target.parents if path.is_file()), None)
    if blocked is not None:
        raise InputError(f"{target}: {blocked} is a file; give another folder")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    try:
        manifest = msgspec.json.decode((target / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        raise InputError(f"{target}: holds something else; give a new or empty folder") from None
    if manifest.key != key:
        raise InputError(
            f"{target}: holds another export (other options, or the data set has changed); give a new folder, or "
            "delete this one"
        )
    if manifest.out != str(target):
        raise InputError(
            f"{target}: was written as {manifest.out} and its configuration files name that folder; move it back, "
            "or export to a new folder"
        )
    missing = [name for name in manifest.sha256 if not (target / name).is_file()]
    if missing:
        raise InputError(
            f"{target}: {len(missing)} files are gone ({missing[0]}); delete it and export again"
        )
    return manifest


def _refuse_damage(views: Sequence[ClipView]) -> None:
    """Raises WorkError where files of clips are missing, before anything is written."""
    missing = [view.clip.file for view in views if not view.path.is_file()]
    if missing:
        named = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
        raise WorkError(
            f"{views[0].dataset.root}: {len(missing)} of {len(views)} clips have no file ({named}); run "
            "`equime validate`, and `equime generate` again to make them"
        )


def _write_samples(
    partial: Path,
    samples: Sequence[Sample],
    bucket: Bucket,
    request: Request,
    workers: int | None,
    progress: Progress,
) -> list[Row]:
    """Videos and first frames; rows in the order of the samples."""
    progress.start("export", len(samples), 0)
    rows = []
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        try:
            for row in pool.map(lambda s: write_sample(partial / s.split, s, bucket, request), samples):
                rows.append(row)
                progress.advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return rows


def _manifest(
    rows: Sequence[Row],
    samples: Sequence[Sample],
    bucket: Bucket,
    left_out: Sequence[LeftOut],
    request: Request,
    key: str,
    target: Path,
) -> Manifest:
    """The manifest but for the digests."""
    sides = {split: [row for row in rows if row.split == split] for split in (TRAIN, VALIDATION)}
    return Manifest(
        format=FORMAT,
        key=key,
        out=str(target),
        request=request,
        bucket=bucket,
        people={split: tuple(sorted({row.subject_id for row in part})) for split, part in sides.items()},
        n_clips={split: len(part) for split, part in sides.items()},
        made=dict(sorted(Counter(row.made for row in rows).items())),
        licences=_licences(rows),
        left_out=tuple(left_out),
        findings=tuple(findings(samples, bucket, request.layout)),
        sha256={},
    )


def _write_lists(
    partial: Path, target: Path, rows: Sequence[Row], shown: Sequence[Sample], manifest: Manifest
) -> Manifest:
    """Lists, configuration files and README.md; the manifest last, which is returned with all digests."""
    row_of = {row.clip_id: row for row in rows}
    chosen = [row_of[sample.view.clip.clip_id] for sample in shown]
    examples: list[Example] = [(row.caption, f"{VALIDATION}/{row.first_frame}") for row in chosen]
    texts = _lists(rows, manifest.request)
    texts |= config_files(manifest.request, manifest.bucket, target, examples, manifest.n_clips[TRAIN])
    texts["README.md"] = readme(manifest, target)
    digests = {f"{row.split}/{row.video}": row.video_sha256 for row in rows}
    digests |= {f"{row.split}/{row.first_frame}": row.first_frame_sha256 for row in rows}
    for name, text in texts.items():
        write_atomic(partial / name, text.encode())
        digests[name] = hashlib.sha256(text.encode()).hexdigest()
    manifest = msgspec.structs.replace(manifest, sha256=dict(sorted(digests.items())))
    write_atomic(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return manifest


def _licences(rows: Sequence[Row]) -> dict[str, int]:
    """Licence to the people whose faces have it."""
    return dict(sorted(Counter({row.subject_id: row.licence for row in rows}.values()).items()))


def _lists(rows: Sequence[Row], request: Request) -> dict[str, str]:
    """The lists that the trainers read, per split, and ``clips.jsonl`` with licence and digests."""
    files = {CLIPS: "".join(msgspec.json.encode(row).decode() + "\n" for row in rows)}
    for split in (TRAIN, VALIDATION):
        part = [row for row in rows if row.split == split]
        if not part:
            continue
        if request.layout == "finetrainers":
            files[f"{split}/prompts.txt"] = "".join(f"{row.caption}\n" for row in part)
            files[f"{split}/videos.txt"] = "".join(f"{row.video}\n" for row in part)
            continue
        entries = [
            {
                "caption": row.caption,
                "media_path": row.video,
                "first_frame": row.first_frame,
                "clip_id": row.clip_id,
                "subject_id": row.subject_id,
                "licence": row.licence,
            }
            for row in part
        ]
        files[f"{split}/dataset.json"] = (
            msgspec.json.format(msgspec.json.encode(entries), indent=2).decode() + "\n"
        )
    return files
