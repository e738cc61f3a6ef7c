"""The CSV file of EquiME's evaluation script, column for column, from equime's tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from equime.errors import InputError
from equime.records import write_atomic

if TYPE_CHECKING:
    from pandas import DataFrame

NOT_AVAILABLE: Final = "N/A"
"""What EquiME writes where a value is missing."""

_COLUMNS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "video_path": ("file", str),
    "psnr_mean": ("psnr_consecutive_db", float),
    "ssim_mean": ("ssim_consecutive", float),
    "tv_mean": ("tv", float),
    "brisque_mean": ("brisque", float),
    "clip_iqa_mean": ("clip_iqa", float),
    "num_frames": ("n_frames", int),
    "size_mb": ("size_bytes", lambda n: n / 1024 / 1024),
    "duration_s": ("duration_ms", lambda ms: ms / 1000),
    "bitrate_kbps": ("bitrate_kbps", float),
}

COLUMNS: Final = tuple(_COLUMNS)
"""In EquiME's order."""


def write_equime_csv(path: Path, rows: DataFrame, *, wrapped: bool = False) -> None:
    """Write one line per clip.

    ``psnr_mean`` is the PSNR between consecutive frames over the pairs that differ. EquiME's own tables hold
    another number, from uint8 differences that wrap modulo 256 and with 100 for equal frames; ``wrapped``
    writes that one, to be compared with the published tables and for nothing else. The two agree where no
    pixel changes by more than 15 grey levels between frames; ``size_mb`` counts 1024 * 1024 bytes.

    Args:
        path: of the file; it appears when it is complete.
        rows: one per clip, from the tables joined over clip_id. Columns: file, psnr_consecutive_db,
            psnr_wrapped_consecutive_db, ssim_consecutive, tv, brisque, clip_iqa, n_frames, size_bytes,
            duration_ms, bitrate_kbps. All but ``file`` may be missing or have empty cells: "N/A".
        wrapped: PSNR as EquiME computed it.

    Raises:
        InputError: no column ``file``.
        WorkError: the disk refuses.
    """
    if "file" not in rows.columns:
        raise InputError(
            f"no column 'file' among {', '.join(map(str, rows.columns)) or 'no columns'}; join the clips' table"
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows.to_dict("records"):
        writer.writerow([_cell(row, name, wrapped) for name in COLUMNS])
    write_atomic(path, text.getvalue().encode())


def _cell(row: dict[Any, Any], name: str, wrapped: bool) -> Any:
    import pandas  # noqa: PLC0415

    column, convert = _COLUMNS[name]
    if wrapped and name == "psnr_mean":
        column = "psnr_wrapped_consecutive_db"
    value = row.get(column)
    return NOT_AVAILABLE if pandas.isna(value) else convert(value)
