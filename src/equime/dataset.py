"""The Dataset: a directory that holds intent, facts and measurements of one data set.

Its records (faces, specs, clips, rejections, failures) are append-only JSONL and the truth; metadata JSON,
``metadata.jsonl`` and ``tables/au_curves.parquet`` are views written from them.
"""

from __future__ import annotations

import functools
import html
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime import layout
from equime.errors import InputError, MissingError, WorkError
from equime.locks import Holder, holders
from equime.provenance import Provenance
from equime.records import count, iterate, read, read_lines
from equime.types import Clip, ClipSpec, Face, Failure, Record, Rejection

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

FORMAT_VERSION: Final = 1
"""Raised when an older equime could misread what a newer one wrote."""


class Info(Record, frozen=True):
    """``dataset.json``: what the data set is and how it was asked for.

    Attributes:
        format_version: `FORMAT_VERSION` of the equime that wrote it.
        preset: name of the preset, None where the format was given by options.
        config: every setting of the run, JSON.
        provenance: what made it; more than one entry where versions changed between its runs.
    """

    format_version: int
    preset: str | None
    config: dict[str, Any]
    provenance: tuple[Provenance, ...]


class Status(Record, frozen=True):
    """Counts of a running or finished run.

    Attributes:
        n_specs: planned clips; 0 while faces are ingested.
        n_clips: finished clips.
        n_rejected: images that gave no face.
        n_failed: clips that failed and were not made since.
        n_faces: accepted faces so far.
        n_pending: planned and not finished.
        running: processes at work now.
        rejected: reason to count.
    """

    n_specs: int
    n_clips: int
    n_rejected: int
    n_failed: int
    n_faces: int
    n_pending: int
    running: tuple[Holder, ...]
    rejected: dict[str, int]


class _Version(msgspec.Struct):
    format_version: int


class _SpecKey(msgspec.Struct):
    spec_id: str


class _Reason(msgspec.Struct):
    reason: str


@dataclass(frozen=True)
class ClipView:
    """One finished clip with its intent and its face.

    Attributes:
        dataset: that it is part of.
        clip: the fact.
        spec: the intent.
        face: whose.
    """

    dataset: Dataset
    clip: Clip
    spec: ClipSpec
    face: Face

    @property
    def path(self) -> Path:
        """The video file."""
        return self.dataset.root / self.clip.file

    @property
    def described(self) -> ClipSpec:
        """AUs, timing and blinks that the clip shows: the spec's, or measured ones (`equime.clip_labels.described`)."""
        from equime.clip_labels import described  # noqa: PLC0415

        return described(self.spec, self.clip)

    def frames(self) -> NDArray[np.uint8]:
        """Decoded frames, uint8 (T, H, W, 3) RGB. Raises WorkError for a broken file."""
        from equime.video import read_frames  # noqa: PLC0415

        return np.stack(list(read_frames(self.path)))

    def curve(self) -> pd.DataFrame:
        """Exact AU intensities, gaze and head pose per frame, from ``tables/au_curves.parquet``.

        Without rows where the clip's labels are measured: nobody knows its curves exactly.

        Raises:
            InputError: no such table yet.
        """
        frame: pd.DataFrame = self.dataset.table("au_curves", clip_id=self.clip.clip_id).to_pandas()
        return frame

    def metadata(self) -> dict[str, Any]:
        """The clip's metadata JSON."""
        path = self.dataset.root / layout.metadata_file(self.clip.file)
        try:
            value: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            raise WorkError(f"{path}: cannot be read: {error}; run `equime validate`") from error
        return value

    def __repr__(self) -> str:
        return f"ClipView({self.clip.file}: {self.clip.captions.short!r})"

    def _repr_html_(self) -> str:
        caption = html.escape(self.clip.captions.short)
        video = f'<video src="{html.escape(str(self.path))}" controls loop width="256"></video>'
        return f"<figure>{video}<figcaption>{caption}</figcaption></figure>"


class Dataset:
    """A data set on disk, opened for reading; iterate it to get its clips in the order of the plan.

    Args:
        root: the directory.
        info: its ``dataset.json``.
    """

    def __init__(self, root: Path, info: Info) -> None:
        self.root, self.info = root, info

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a directory that equime wrote.

        Raises:
            InputError: no data set there, or one of a newer format.
            WorkError: ``dataset.json`` is damaged.
        """
        root = Path(path)
        return cls(root, read_info(root))

    @functools.cached_property
    def faces(self) -> dict[str, Face]:
        """Accepted faces by ``face_id``."""
        return {face.face_id: face for face in iterate(self.root / layout.FACES, Face)}

    @functools.cached_property
    def rejected(self) -> list[Rejection]:
        """Images that gave no face, and why."""
        return read(self.root / layout.REJECTED, Rejection)

    @functools.cached_property
    def specs(self) -> list[ClipSpec]:
        """All specs in the order of the plan; `iterate_specs` needs less memory."""
        return list(self.iterate_specs())

    def iterate_specs(self) -> Iterator[ClipSpec]:
        """The specs one by one."""
        return iterate(self.root / layout.SPECS, ClipSpec)

    @functools.cached_property
    def clips(self) -> list[Clip]:
        """All finished clips, in the order of the record files."""
        return [clip for path in layout.clips_paths(self.root) for clip in iterate(path, Clip)]

    @functools.cached_property
    def failures(self) -> list[Failure]:
        """Clips that failed and were not made since, the last failure of each."""
        done = {clip.spec_id for clip in self.clips}
        found = (f for path in layout.failures_paths(self.root) for f in iterate(path, Failure))
        return list({f.spec_id: f for f in found if f.spec_id not in done}.values())

    @functools.cached_property
    def _clip_of_spec(self) -> dict[str, Clip]:
        return {clip.spec_id: clip for clip in self.clips}

    def refresh(self) -> None:
        """Forget what was read, to see what a run has written since."""
        for name in ("faces", "rejected", "specs", "clips", "failures", "_clip_of_spec"):
            self.__dict__.pop(name, None)

    def __iter__(self) -> Iterator[ClipView]:
        for spec in self.iterate_specs():
            clip = self._clip_of_spec.get(spec.spec_id)
            if clip is not None:
                yield ClipView(self, clip, spec, self._face(clip))

    def selected(self, *, include_failed: bool = False) -> Iterator[ClipView]:
        """The clips that exporters and training read: all but those that failed the quality gate.

        Args:
            include_failed: also those; `equime filter` says which they are.
        """
        from equime.quality_gate import read_marks  # noqa: PLC0415

        marks = None if include_failed else read_marks(self.root)
        return (view for view in self if marks is None or not marks.leaves_out(view.clip.clip_id))

    def __len__(self) -> int:
        return len(self._clip_of_spec)

    def __getitem__(self, key: int | str) -> ClipView:
        """A clip by position in the plan's order, ``clip_id``, ``spec_id`` or file.

        Raises:
            InputError: no such clip.
            IndexError: position out of range.
        """
        if isinstance(key, int):
            position = key + len(self) if key < 0 else key
            view = next(itertools.islice(self, position, None), None) if position >= 0 else None
            if view is None:
                raise IndexError(f"{self.root}: clip {key} of {len(self)}")
            return view
        for view in self:
            if key in (view.clip.clip_id, view.spec.spec_id, view.clip.file, Path(view.clip.file).stem):
                return view
        raise InputError(f"{self.root}: no clip {key!r}; give a clip_id, or a file as in clips.jsonl")

    def _face(self, clip: Clip) -> Face:
        try:
            return self.faces[clip.face_id]
        except KeyError:
            raise WorkError(
                f"{self.root / layout.FACES}: no face {clip.face_id} ({clip.file}); run `equime validate`"
            ) from None

    def status(self) -> Status:
        """Counts, read without any lock."""
        return read_status(self.root)

    def table(self, name: str, clip_id: str | None = None) -> pa.Table:
        """A measurement table.

        Args:
            name: of the file in ``tables/``, without its ending.
            clip_id: only this clip's rows.

        Raises:
            InputError: no such table; the message lists those there are.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415

        path = self.root / "tables" / f"{name}.parquet"
        if not path.is_file():
            there = ", ".join(sorted(p.stem for p in path.parent.glob("*.parquet"))) or "none yet"
            raise InputError(f"{path}: no such table; there are: {there}")
        return pq.read_table(path, filters=[("clip_id", "==", clip_id)] if clip_id else None)

    def to_arrow(self) -> pa.Table:
        """One row per finished clip, in the order of the plan: ids, file, emotion, AUs, timing, captions."""
        from equime.clip_table import clip_table  # noqa: PLC0415

        return clip_table(self)

    def to_pandas(self) -> pd.DataFrame:
        """`to_arrow` as a pandas DataFrame."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """An in-memory DuckDB connection with ``clips`` and every table of ``tables/``.

        Raises:
            MissingError: duckdb is not installed.
        """
        try:
            import duckdb  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise MissingError("duckdb is not installed; run `pip install duckdb`") from error
        connection = duckdb.connect()
        connection.register("clips", self.to_arrow())
        for path in sorted((self.root / "tables").glob("*.parquet")):
            quoted = str(path).replace("'", "''")
            connection.execute(f"CREATE VIEW \"{path.stem}\" AS SELECT * FROM read_parquet('{quoted}')")
        return connection

    def __repr__(self) -> str:
        s = self.status()
        return f"Dataset({str(self.root)!r}: {s.n_clips} of {s.n_specs} clips, {s.n_faces} faces)"

    def _repr_html_(self) -> str:
        emotions = Counter(Path(clip.file).parts[0] for clip in self.clips)
        rows = "".join(f"<tr><td>{html.escape(e)}</td><td>{n}</td></tr>" for e, n in sorted(emotions.items()))
        return f"<p>{html.escape(repr(self))}</p><table><tr><th>emotion</th><th>clips</th></tr>{rows}</table>"


def read_info(root: Path) -> Info:
    """``dataset.json`` of a directory. Raises as `Dataset.open`."""
    path = root / layout.INFO
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{root}: no equime data set ({layout.INFO} is missing); check the path") from None
    except OSError as error:
        raise WorkError(f"{path}: {error.strerror}; make it readable") from error
    try:
        version = msgspec.json.decode(data, type=_Version).format_version
        if version > FORMAT_VERSION:
            raise InputError(
                f"{path}: format version {version} is newer than {FORMAT_VERSION}, the newest that this "
                "equime reads; upgrade it with `pip install --upgrade equime`"
            )
        return msgspec.json.decode(data, type=Info)
    except msgspec.DecodeError as error:
        raise WorkError(f"{path}: damaged: {error}; restore it from a copy or start a new OUT") from error


def read_status(root: Path) -> Status:
    """Counts of a running or dead run, without locks. Raises as `Dataset.open`, also before planning."""
    if (root / layout.INFO).exists() or not (root / layout.FACES).exists():
        read_info(root)
    done = spec_ids(layout.clips_paths(root))
    failed = spec_ids(layout.failures_paths(root)) - done
    n_specs = count(root / layout.SPECS)
    reasons = Counter(item.reason for item in iterate(root / layout.REJECTED, _Reason))
    return Status(
        n_specs=n_specs,
        n_clips=len(done),
        n_rejected=sum(reasons.values()),
        n_failed=len(failed),
        n_faces=count(root / layout.FACES),
        n_pending=max(0, n_specs - len(done)),
        running=tuple(holders(root)),
        rejected=dict(sorted(reasons.items())),
    )


def spec_ids(paths: list[Path]) -> set[str]:
    """Spec ids that the files speak of; decodes nothing else."""
    decoder = msgspec.json.Decoder(_SpecKey)
    found = set()
    for path in paths:
        for number, line in read_lines(path):
            try:
                found.add(decoder.decode(line).spec_id)
            except msgspec.DecodeError as error:
                raise WorkError(f"{path}:{number}: {error}; run `equime validate`") from error
    return found
