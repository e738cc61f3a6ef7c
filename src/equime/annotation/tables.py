"""Tables of measurements: rows as they come in a spool, Parquet at the end, nothing measured twice.

While a run goes on, every finished clip is one line of ``.equime/evaluation/measured.jsonl``, on the disk
before the next is taken. At the end (and at the start of the next run, after a kill) the lines are merged into
``tables/<annotator>.parquet``: one row per clip, a row of the same clip replaces the older one. Values per
frame go to ``tables/<annotator>_frames.parquet`` where they were asked for.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from equime import registry
from equime.annotation.annotators import Annotator, Row, Value
from equime.errors import WorkError
from equime.locks import HIDDEN
from equime.records import Appender, aside, iterate
from equime.types import Record

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SPOOL: Final = f"{HIDDEN}/evaluation/measured.jsonl"
KEYS: Final = ("clip_id", "input_digest", "annotator_version", "notes")
"""Columns of every table before its metrics; ``notes`` is a JSON list of [code, message]."""


class SpoolRow(Record, frozen=True):
    """What one annotator measured of one clip, as the spool holds it.

    Attributes:
        annotator, version: whose row.
        values: cell per metric.
        notes: (code, message).
        frames: values per frame per metric; None where a frame has none.
    """

    annotator: str
    version: str
    values: dict[str, Value]
    notes: tuple[tuple[str, str], ...]
    frames: dict[str, tuple[float | None, ...]]


class SpoolLine(Record, frozen=True):
    """One clip's rows of one run.

    Attributes:
        clip_id, input_digest: the clip, and which content of it.
        time_ms: of its frames; empty where no values per frame were asked for.
        rows: one per annotator that succeeded.
    """

    clip_id: str
    input_digest: str
    time_ms: tuple[float, ...]
    rows: tuple[SpoolRow, ...]


class TableStore:
    """The tables under one root, and the spool of the run that fills them.

    Args:
        root: a Dataset, or the folder of an evaluation.
        annotators: whose tables.
        versions: of every annotator, with what of the run's settings changes its values.
    """

    def __init__(self, root: Path, annotators: Sequence[Annotator], versions: dict[str, str]) -> None:
        self.root, self.annotators, self.versions = root, annotators, versions
        self.spool = root / SPOOL
        self.spool.parent.mkdir(parents=True, exist_ok=True)

    def path(self, annotator: str, *, frames: bool = False) -> Path:
        """The Parquet file of an annotator."""
        return self.root / "tables" / f"{annotator}{'_frames' if frames else ''}.parquet"

    def done(self, annotator: str, *, frames: bool) -> set[tuple[str, str]]:
        """(clip_id, input_digest) of the rows that need no new measuring."""
        found = self._keys(self.path(annotator), annotator)
        return found & self._keys(self.path(annotator, frames=True), annotator) if frames else found

    def _keys(self, path: Path, annotator: str) -> set[tuple[str, str]]:
        import pyarrow.parquet as pq  # noqa: PLC0415

        if not path.is_file():
            return set()
        try:
            table = pq.read_table(path, columns=list(KEYS[:3]))
        except Exception as error:
            raise WorkError(f"{path}: unreadable table ({error}); delete it and evaluate again") from error
        columns = (table[name].to_pylist() for name in KEYS[:3])
        version = self.versions[annotator]
        return {(clip, digest) for clip, digest, of in zip(*columns, strict=True) if of == version}

    def appender(self) -> Appender:
        """Where finished clips are appended; the caller holds the lock of the run."""
        return Appender(self.spool)

    def line(
        self, clip_id: str, input_digest: str, rows: dict[str, Row], time_ms: Iterable[float], frames: bool
    ) -> SpoolLine:
        """A finished clip as the spool holds it."""
        spooled = [
            SpoolRow(
                annotator=name,
                version=self.versions[name],
                values=row.values,
                notes=row.notes,
                frames={k: _plain(v) for k, v in row.frames.items()} if frames else {},
            )
            for name, row in rows.items()
        ]
        return SpoolLine(
            clip_id=clip_id,
            input_digest=input_digest,
            time_ms=tuple(time_ms) if frames else (),
            rows=tuple(spooled),
        )

    def merge(self) -> None:
        """Bring the spool's rows into the tables and empty it. Raises WorkError where the disk refuses."""
        if not self.spool.is_file():
            return
        rows: dict[str, dict[str, tuple[SpoolLine, SpoolRow]]] = defaultdict(dict)
        for line in iterate(self.spool, SpoolLine):
            for row in line.rows:
                rows[row.annotator][line.clip_id] = (line, row)
        for name, found in rows.items():
            annotator = self._whose(name)
            if annotator is not None:
                self._merge(annotator, found)
                self._merge_frames(annotator, {k: v for k, v in found.items() if v[1].frames})
        self.spool.unlink()

    def _whose(self, name: str) -> Annotator | None:
        """Whose rows a spool holds: a run of another command may have been killed here. None where unknown."""
        own = {annotator.name: annotator for annotator in self.annotators}
        if name in own or name not in registry.ANNOTATORS | registry.ATTRIBUTES:
            return own.get(name)
        other: Annotator = registry.lookup("annotator", name)()
        return other

    def _merge(self, annotator: Annotator, found: dict[str, tuple[SpoolLine, SpoolRow]]) -> None:
        import pyarrow as pa  # noqa: PLC0415

        schema = table_schema(annotator)
        new = [
            {
                "clip_id": line.clip_id,
                "input_digest": line.input_digest,
                "annotator_version": row.version,
                "notes": json.dumps(row.notes),
                **{metric.name: row.values.get(metric.name) for metric in annotator.metrics},
            }
            for line, row in found.values()
        ]
        self._write(self.path(annotator.name), pa.Table.from_pylist(new, schema=schema), set(found))

    def _merge_frames(self, annotator: Annotator, found: dict[str, tuple[SpoolLine, SpoolRow]]) -> None:
        import pyarrow as pa  # noqa: PLC0415

        if not found:
            return
        schema = frames_schema(annotator)
        parts = []
        for line, row in found.values():
            n = len(line.time_ms)
            columns: dict[str, Any] = {
                "clip_id": [line.clip_id] * n,
                "input_digest": [line.input_digest] * n,
                "annotator_version": [row.version] * n,
                "frame": list(range(n)),
                "time_ms": line.time_ms,
            }
            for name in schema.names[len(columns) :]:
                columns[name] = row.frames.get(name, (None,) * n)
            parts.append(pa.table(columns, schema=schema))
        self._write(self.path(annotator.name, frames=True), pa.concat_tables(parts), set(found))

    def _write(self, path: Path, new: pa.Table, replaced: set[str]) -> None:
        """Rows of other clips as they were, then the new ones; sorted by clip."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        if path.is_file():
            old = pq.read_table(path)
            old = old.filter(pc.invert(pc.is_in(old["clip_id"], pa.array(sorted(replaced)))))
            if old.schema.equals(new.schema, check_metadata=False):
                new = pa.concat_tables([old.cast(new.schema), new])
        order = [("clip_id", "ascending"), *([("frame", "ascending")] if "frame" in new.schema.names else [])]
        with aside(path) as partial:
            pq.write_table(new.sort_by(order), partial, compression="zstd")

    def read(self, annotator: str) -> pd.DataFrame:
        """An annotator's table, empty with its columns where there is none yet."""
        import pyarrow.parquet as pq  # noqa: PLC0415

        path = self.path(annotator)
        schema = table_schema(next(a for a in self.annotators if a.name == annotator))
        table = pq.read_table(path) if path.is_file() else schema.empty_table()
        frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True)
        return frame


def _plain(values: Iterable[float]) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)


def table_schema(annotator: Annotator) -> pa.Schema:
    """Columns of an annotator's table; unit, direction and meaning are in the metadata of each field."""
    import pyarrow as pa  # noqa: PLC0415

    types = {"real": pa.float64(), "whole": pa.int64(), "text": pa.string(), "flag": pa.bool_()}
    keys = [pa.field(name, pa.string()) for name in KEYS]
    return pa.schema([*keys, *(_field(metric, types[metric.type]) for metric in annotator.metrics)])


def frames_schema(annotator: Annotator) -> pa.Schema:
    """Columns of an annotator's table of values per frame."""
    import pyarrow as pa  # noqa: PLC0415

    keys = [pa.field(name, pa.string()) for name in KEYS[:3]]
    when = [pa.field("frame", pa.int32()), pa.field("time_ms", pa.float64())]
    metrics = [_field(metric, pa.float64()) for metric in annotator.metrics if metric.per_frame]
    return pa.schema([*keys, *when, *metrics])


def _field(metric: Any, kind: pa.DataType) -> pa.Field:
    import pyarrow as pa  # noqa: PLC0415

    about = {"unit": metric.unit, "direction": metric.direction, "meaning": metric.meaning}
    return pa.field(metric.name, kind, metadata=about | {"reference": metric.reference})
