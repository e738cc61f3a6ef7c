"""Finished clips as one table: what `Dataset.to_arrow` and DuckDB's ``clips`` hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

    from equime.dataset import ClipView

BLOCK_ROWS: Final = 4096
"""Rows turned into Arrow at a time; as Python objects they need 15 times the memory."""


def clip_table(views: Iterable[ClipView]) -> pa.Table:
    """One row per clip, in the order given: ids, file, emotion, AUs, timing, captions."""
    import pyarrow as pa  # noqa: PLC0415

    schema, rows = clip_schema(), map(_row, views)
    batches = []
    while block := list(itertools.islice(rows, BLOCK_ROWS)):
        batches.append(pa.RecordBatch.from_pylist(block, schema=schema))
    return pa.Table.from_batches(batches, schema=schema)


def clip_schema() -> pa.Schema:
    """Columns of `clip_table`."""
    import pyarrow as pa  # noqa: PLC0415

    text, real, whole = pa.string(), pa.float64(), pa.int64()
    timing = [(f"{phase}_{unit}", whole if unit == "frame" else real)
              for phase in ("onset", "apex", "offset") for unit in ("frame", "ms")]  # fmt: skip
    peak = pa.struct([("au", whole), ("left", real), ("right", real), ("delay_ms", real)])
    names = ("clip_id", "spec_id", "face_id", "subject_id", "file", "emotion", "label_semantics", "twin_of")
    return pa.schema(
        [
            *((name, text) for name in names),
            *((f"declared_{name}", text) for name in ("gender", "ethnicity")),
            ("declared_age", real),
            ("licence", text),
            ("aus", pa.list_(peak)),
            *timing,
            ("fps", real),
            ("n_frames", whole),
            ("width", whole),
            ("height", whole),
            ("duration_ms", real),
            ("size_bytes", whole),
            ("bitrate_kbps", real),
            ("renderer", text),
            ("labels", text),
            ("sha256", text),
            *((f"caption_{name}", text) for name in ("short", "facs", "plain")),
        ]
    )


def _row(view: ClipView) -> dict[str, Any]:
    clip, spec, face = view.clip, view.spec, view.face
    row = {**msgspec.structs.asdict(spec), **msgspec.structs.asdict(clip)}
    timing = msgspec.structs.asdict(clip.timing) if clip.timing else {}
    captions = {f"caption_{name}": getattr(clip.captions, name) for name in ("short", "facs", "plain")}
    declared = {f"declared_{name}": getattr(face.declared, name) for name in ("gender", "age", "ethnicity")}
    aus = [msgspec.structs.asdict(peak) for peak in view.described.aus]
    return {
        **row,
        **timing,
        **captions,
        **declared,
        "aus": aus,
        "licence": face.licence,
        "labels": clip.labels,
    }
