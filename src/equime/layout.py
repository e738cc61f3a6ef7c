"""Names of the files in a Dataset."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final

from equime.locks import HIDDEN, Shard

INFO: Final = "dataset.json"
FACES: Final = "faces.jsonl"
REJECTED: Final = "rejected.jsonl"
SPECS: Final = "specs.jsonl"
METADATA: Final = "metadata.jsonl"
AU_CURVES: Final = "tables/au_curves.parquet"
LANDMARKS: Final = "faces"


def clip_file(emotion: str, subject_id: str, sequence: int, gender: str) -> str:
    """``<emotion>/<gender>_<subject>_<sequence>.mp4``, relative to the Dataset."""
    return f"{emotion}/{gender}_{safe_subject(subject_id)}_{sequence:03d}.mp4"


def metadata_file(file: str) -> str:
    """The metadata JSON of a clip's file."""
    path = PurePosixPath(file)
    return str(path.parent / "metadata" / f"{path.stem}_metadata.json")


def master_file(file: str) -> str:
    """The lossless master of a clip's file."""
    path = PurePosixPath(file)
    return str(path.parent / "master" / path.name)


def png_folder(file: str) -> str:
    """The folder of PNG frames of a clip's file."""
    path = PurePosixPath(file)
    return str(path.parent / "png" / path.stem)


def safe_subject(subject_id: str) -> str:
    """A subject id as part of a file name: numbers with 6 digits, ``-`` for odd characters."""
    if re.fullmatch(r"[0-9]+", subject_id):
        return f"{int(subject_id):06d}"
    return re.sub(r"[^\w.-]", "-", subject_id)


def clips_name(shard: Shard) -> str:
    """Record file that one run or shard appends finished clips to."""
    return "clips.jsonl" if shard.count == 1 else f"clips.{shard}.jsonl"


def failures_name(shard: Shard) -> str:
    """Record file that one run or shard appends failed clips to."""
    return "failures.jsonl" if shard.count == 1 else f"failures.{shard}.jsonl"


def attempts_name(shard: Shard) -> str:
    """Record file that one run or shard appends a generating renderer's attempts to."""
    return "attempts.jsonl" if shard.count == 1 else f"attempts.{shard}.jsonl"


def attempts_paths(root: Path) -> list[Path]:
    """All files with records of attempts."""
    return sorted(root.glob("attempts*.jsonl"))


def clips_paths(root: Path) -> list[Path]:
    """All files with clip records."""
    return sorted(root.glob("clips*.jsonl"))


def failures_paths(root: Path) -> list[Path]:
    """All files with failure records."""
    return sorted(root.glob("failures*.jsonl"))


def work_folder(root: Path, shard: Shard) -> Path:
    """Where a run keeps clips that are not complete; emptied when it starts."""
    return root / HIDDEN / "tmp" / str(shard)
