"""Views of a Dataset, written from its records: metadata JSON, metadata.jsonl, tables/au_curves.parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from equime import layout
from equime.action_units import ACTION_UNITS
from equime.dataset import ClipView, Dataset
from equime.generation_pipeline.pseudolabels import read_pseudolabels
from equime.generation_pipeline.render import metadata_json
from equime.generation_pipeline.trajectory import HEAD_AXES, trajectory
from equime.progress import Progress
from equime.quality_gate import read_marks
from equime.records import aside, write_atomic
from equime.seeding import canonical_json
from equime.types import ClipSpec

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_CLIPS: Final = 64
"""Clips per row group of au_curves.parquet; what is held in memory at once."""

DIGEST_KEY: Final = b"equime.clips"
"""Schema metadata of au_curves.parquet: digest of the clip ids that it was written for."""


def write_views(dataset: Dataset, progress: Progress) -> None:
    """Write every view that is missing or out of date.

    Raises:
        WorkError: the disk refuses.
    """
    progress.start("views", len(dataset), 0)
    write_video_folder(dataset)
    write_missing_metadata(dataset)
    path = dataset.root / layout.AU_CURVES
    digest = clips_digest(dataset)
    if curves_digest(path) != digest:
        _write_curves(dataset, path, digest, progress)


def video_folder_lines(dataset: Dataset) -> Iterator[bytes]:
    """Lines of ``metadata.jsonl`` as Hugging Face's VideoFolder reads it, in the order of the plan.

    Clips that failed the quality gate are left out; with ``equime filter --mark-only`` they stay, marked.
    """
    marks = read_marks(dataset.root)
    for view in dataset.selected():
        row = video_folder_row(view)
        if marks is not None:
            row["passes_quality_gate"] = marks.passes.get(view.clip.clip_id)
        yield canonical_json(row) + b"\n"


def write_video_folder(dataset: Dataset) -> None:
    """Write ``metadata.jsonl`` again, as after a quality gate. Raises WorkError where the disk refuses."""
    write_atomic(dataset.root / layout.METADATA, video_folder_lines(dataset))


def video_folder_row(view: ClipView) -> dict[str, Any]:
    """One line: ``file_name``, the caption as ``text``, and the labels."""
    clip, spec, face = view.clip, view.spec, view.face
    return {
        "file_name": clip.file,
        "text": clip.captions.short,
        "caption_facs": clip.captions.facs,
        "caption_plain": clip.captions.plain,
        "clip_id": clip.clip_id,
        "subject_id": spec.subject_id,
        "emotion": spec.emotion,
        "label_semantics": spec.label_semantics,
        "aus": [{"au": p.au, "left": p.left, "right": p.right} for p in view.described.aus],
        "onset_frame": clip.timing.onset_frame if clip.timing else None,
        "apex_frame": clip.timing.apex_frame if clip.timing else None,
        "offset_frame": clip.timing.offset_frame if clip.timing else None,
        "fps": clip.fps,
        "n_frames": clip.n_frames,
        "declared_gender": face.declared.gender,
        "declared_age": face.declared.age,
        "declared_ethnicity": face.declared.ethnicity,
        "licence": face.licence,
        "synthetic": True,
    } | ({} if clip.shown is None else {"labels": clip.labels})


def write_missing_metadata(dataset: Dataset) -> None:
    """Metadata JSON of clips where it was lost; workers write it with the clip."""
    labels = read_pseudolabels(dataset.root)
    for view in dataset:
        path = dataset.root / layout.metadata_file(view.clip.file)
        if not path.is_file():
            write_atomic(path, metadata_json(view.spec, view.clip, view.face, labels.get(view.clip.clip_id)))


def refresh_metadata(dataset: Dataset) -> int:
    """Write the metadata JSON of every clip again whose pseudolabels are others by now.

    Returns:
        How many files were written.

    Raises:
        WorkError: the disk refuses, or the table of estimates cannot be read.
    """
    labels, n_written = read_pseudolabels(dataset.root), 0
    for view in dataset:
        path = dataset.root / layout.metadata_file(view.clip.file)
        data = metadata_json(view.spec, view.clip, view.face, labels.get(view.clip.clip_id))
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)
            n_written += 1
    return n_written


def clips_digest(dataset: Dataset) -> str:
    """Digest of the finished clips' ids in the order of the plan."""
    digest = hashlib.sha256()
    for view in dataset:
        digest.update(view.clip.clip_id.encode())
    return digest.hexdigest()


def curves_digest(path: Path) -> str | None:
    """Which clips a table of curves was written for; None where there is none to read."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    if not path.is_file():
        return None
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    return metadata.get(DIGEST_KEY, b"").decode() or None


def curve_schema() -> pa.Schema:
    """Columns of au_curves.parquet: intensities 0..5 per AU, `_L` and `_R` the subject's left and right."""
    import pyarrow as pa  # noqa: PLC0415

    names = ["gaze_yaw_deg", "gaze_pitch_deg", *(f"head_{axis}" for axis in HEAD_AXES), "light"]
    columns = [column for number in sorted(ACTION_UNITS) for column, _ in _au_columns(number)]
    return pa.schema(
        [
            ("clip_id", pa.string()),
            ("frame", pa.int32()),
            ("time_ms", pa.float64()),
            *((name, pa.float32()) for name in columns + names),
        ]
    )


def _au_columns(number: int) -> list[tuple[str, int]]:
    """Column names of an AU and the side of the curve in each."""
    if ACTION_UNITS[number].sided:
        return [(f"AU{number:02d}_L", 0), (f"AU{number:02d}_R", 1)]
    return [(f"AU{number:02d}", 0)]


def view_columns(view: ClipView) -> dict[str, np.ndarray[Any, Any]] | None:
    """`curve_columns` of a finished clip; None where its labels are measured, as nobody knows its curves exactly.

    Where blinks, gaze, head and light are the model's and not the spec's, they are NaN: unknown, not zero.
    """
    if view.clip.labels != "exact":
        return None
    columns = curve_columns(view.spec)
    if view.clip.shown is not None:
        names = [name for name in columns if name.startswith(("AU45", "gaze_", "head_"))]
        for name in (*names, "light"):
            columns[name] = np.full_like(columns[name], np.nan)
    return columns


def curve_columns(spec: ClipSpec) -> dict[str, np.ndarray[Any, Any]]:
    """The numeric columns of one clip; AUs that it does not show are 0."""
    track = trajectory(spec)
    n = len(track.time_ms)
    columns: dict[str, Any] = {"frame": np.arange(n, dtype=np.int32), "time_ms": track.time_ms}
    zeros = np.zeros(n, np.float32)
    for number in sorted(ACTION_UNITS):
        for name, side in _au_columns(number):
            shown = number in track.aus
            columns[name] = track.curve[:, track.aus.index(number), side] if shown else zeros
    columns["gaze_yaw_deg"], columns["gaze_pitch_deg"] = track.gaze_deg.T
    for i, axis in enumerate(HEAD_AXES):
        columns[f"head_{axis}"] = track.head[:, i]
    columns["light"] = track.light
    return columns


def _write_curves(dataset: Dataset, path: Path, digest: str, progress: Progress) -> None:
    """Stream the table, one row group of clips at a time."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = curve_schema().with_metadata({DIGEST_KEY: digest.encode()})
    with aside(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        batch: list[ClipView] = []
        for view in dataset:
            batch.append(view)
            if len(batch) == ROW_GROUP_CLIPS:
                writer.write_table(_batch_table(batch, schema))
                progress.advance(len(batch))
                batch.clear()
        if batch:
            writer.write_table(_batch_table(batch, schema))
            progress.advance(len(batch))


def _batch_table(batch: list[ClipView], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415

    found = [(view.clip.clip_id, view_columns(view)) for view in batch]
    parts = [(clip_id, part) for clip_id, part in found if part is not None]
    if not parts:
        return schema.empty_table()
    ids = np.repeat([clip_id for clip_id, _ in parts], [len(part["frame"]) for _, part in parts])
    columns = {name: np.concatenate([part[name] for _, part in parts]) for name in parts[0][1]}
    arrays = {"clip_id": ids, **columns}
    return pa.table({name: pa.array(arrays[name]) for name in schema.names}, schema=schema)
