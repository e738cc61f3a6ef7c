"""Where faces come from: a folder, one image, a table or CelebA-HQ as researchers have it."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from equime.errors import InputError
from equime.face.images import IMAGE_SUFFIXES
from equime.types import Declared, Gender, Record, Rejection

UNKNOWN_LICENCE: Final = "unknown"
CELEBA_LICENCE: Final = "CelebA-HQ: non-commercial research, no redistribution"
CELEBA_IMAGES: Final = "CelebA-HQ-img"
CELEBA_ATTRIBUTES: Final = ("CelebAMask-HQ-attribute-anno.txt", "CelebAMask-HQ-attribute-anno.csv")

_GENDERS: Final[dict[str, Gender]] = {
    "f": "f", "female": "f", "woman": "f", "m": "m", "male": "m", "man": "m",
    "u": "u", "unknown": "u", "": "u",
}  # fmt: skip
_COLUMNS: Final = ("path", "subject_id", "gender", "age", "ethnicity", "licence", "license", "source")
_SUBJECT: Final = re.compile(r"[\w.-][\w. -]{0,99}")  # becomes part of file names
_MAX_PROBLEMS: Final = 20

Found = tuple[list["FaceSource"], list[Rejection]]
Row = dict[str, str]


class FaceSource(Record, frozen=True):
    """One image to look at, with what its source declares.

    Attributes:
        path: the image as recorded: relative to the faces root where inside, else absolute.
        file: absolute path to read now.
        subject_id: identity, as declared or derived from the file's name.
        declared: attributes that the source declares.
        licence: of the image; "unknown" where nobody said.
        source: name of the face source.
    """

    path: str
    file: str
    subject_id: str
    declared: Declared
    licence: str
    source: str


def find_faces(faces: Path, *, licence: str | None = None) -> Found:
    """Images of a source in a fixed order, and what is turned away before any pixel is looked at.

    * a folder, searched recursively; the subject is the file's name without its ending
    * a single image
    * a table (.csv, .jsonl, .parquet): ``path`` (relative to the table) and, optionally, ``subject_id``,
      ``gender``, ``age``, ``ethnicity``, ``licence``, ``source``; other columns go to ``declared.extra``
    * CelebA-HQ: ``CelebA-HQ-img/`` beside ``CelebAMask-HQ-attribute-anno.txt`` or ``.csv``; only images
      annotated as not smiling

    A subject that comes twice keeps its first image.

    Args:
        faces: folder, image or table.
        licence: of the images, where the source itself does not say.

    Raises:
        InputError: nothing there, or a table or annotation with problems; names all of them.
    """
    faces = faces.absolute()
    found, rejected = _kind(faces)(faces, licence)
    if not found and not rejected:
        raise InputError(
            f"{faces}: holds no image; put photographs there ({', '.join(sorted(IMAGE_SUFFIXES))})"
        )
    unique, repeated = _first_per_subject(found)
    return unique, rejected + repeated


def _kind(faces: Path) -> Callable[[Path, str | None], Found]:
    if faces.is_dir():
        return _celeba if (faces / CELEBA_IMAGES).is_dir() else _folder
    if not faces.exists():
        raise InputError(f"{faces}: does not exist; give a folder of images, an image or a table")
    suffix = faces.suffix.lower()
    if suffix in _READERS:
        return _table
    if suffix in IMAGE_SUFFIXES:
        return _single
    raise InputError(
        f"{faces}: neither an image nor a table; allowed are a folder, an image "
        f"({', '.join(sorted(IMAGE_SUFFIXES))}) or a table ({', '.join(sorted(_READERS))})"
    )


def _first_per_subject(found: Iterable[FaceSource]) -> Found:
    first: dict[str, FaceSource] = {}
    rejected = []
    for item in found:
        kept = first.setdefault(item.subject_id, item)
        if kept is not item:
            message = (
                f"subject {item.subject_id} already has {kept.path}; rename {item.path} or give the two "
                "images different subject_ids in a table"
            )
            rejected.append(_rejection(item.path, "duplicate_subject", message, item.subject_id))
    return list(first.values()), rejected


def _rejection(path: str, reason: str, message: str, subject_id: str | None) -> Rejection:
    return Rejection(path=path, reason=reason, message=message, subject_id=subject_id)


# Folder and single image


def _folder(root: Path, licence: str | None) -> Found:
    files = [f for f in root.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES and not _hidden(f, root)]
    files = sorted((f for f in files if f.is_file()), key=lambda f: f.relative_to(root).as_posix())
    return [_from_file(f, root, licence, "folder") for f in files], []


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _single(file: Path, licence: str | None) -> Found:
    return [_from_file(file, file.parent, licence, "image")], []


def _from_file(file: Path, root: Path, licence: str | None, source: str) -> FaceSource:
    return FaceSource(
        path=file.relative_to(root).as_posix(),
        file=str(file),
        subject_id=_subject_of(file),
        declared=Declared(),
        licence=licence or UNKNOWN_LICENCE,
        source=source,
    )


def _subject_of(file: Path) -> str:
    """The file's stem; what a file name of a clip should not hold becomes a hyphen."""
    return re.sub(r"[^\w.-]+", "-", file.stem).strip(".")[:100] or "face"


# Tables


def _read_csv(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows: list[dict[str, Any]] = []
        for row in csv.DictReader(lines, strict=True):
            if None in row:
                raise ValueError(f"row {len(rows) + 1} has more values than the header has columns")
            rows.append(dict(row))
        return rows


def _read_jsonl(file: Path) -> list[dict[str, Any]]:
    lines = [line for line in file.read_bytes().splitlines() if line.strip()]
    return [msgspec.json.decode(line, type=dict[str, Any]) for line in lines]


def _read_parquet(file: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import, and only for this format

    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


_READERS: Final[dict[str, Callable[[Path], list[dict[str, Any]]]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def _table(file: Path, licence: str | None) -> Found:
    rows = _rows(file)
    problems: list[str] = []
    found: list[FaceSource] = []
    rejected: list[Rejection] = []
    for number, row in enumerate(rows, 1):
        item, wrong = _from_row(row, file.parent, licence, file.stem)
        problems += [f"row {number}: {problem}" for problem in wrong]
        if item is None:
            continue
        if Path(item.file).is_file():
            found.append(item)
        else:
            message = f"row {number} of {file.name}: there is no file {item.file}; correct the path"
            rejected.append(_rejection(item.path, "unreadable", message, item.subject_id))
    _raise_all(file, problems)
    return found, rejected


def _rows(file: Path) -> list[Row]:
    """Rows of a table as text, without missing values."""
    try:
        rows = _READERS[file.suffix.lower()](file)
    except (OSError, ValueError, csv.Error, msgspec.MsgspecError) as error:
        raise InputError(f"{file}: cannot be read as {file.suffix}: {error}") from error
    if not rows:
        raise InputError(f"{file}: has no rows; it needs at least the column path and one image")
    names = sorted({str(name) for row in rows for name in row})
    if "path" not in names:
        raise InputError(f"{file}: the column path is missing; it has {', '.join(names)}")
    return [{str(k): _text(v) for k, v in row.items() if _text(v)} for row in rows]


def _text(value: object) -> str:
    """A cell as text: 7.0 is 7 (what a data frame makes of whole numbers with gaps), NaN is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _from_row(row: Row, root: Path, licence: str | None, table: str) -> tuple[FaceSource | None, list[str]]:
    problems = []
    if "path" not in row:
        problems.append("path is empty")
    file = (root / row.get("path", "")).absolute()
    subject_id = row.get("subject_id", _subject_of(file))
    if not _SUBJECT.fullmatch(subject_id):
        problems.append(
            f"subject_id {subject_id!r} is not allowed: letters, digits, _ . - and spaces, at most 100"
        )
    gender = _GENDERS.get(row.get("gender", "").lower())
    if gender is None:
        problems.append(
            f"gender {row['gender']!r} is unknown; allowed are f, female, woman, m, male, man, u, unknown"
        )
    age, wrong_age = _age(row.get("age"))
    problems += wrong_age
    if problems or gender is None:
        return None, problems
    extra = {name: value for name, value in row.items() if name not in _COLUMNS}
    item = FaceSource(
        path=file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file),
        file=str(file),
        subject_id=subject_id,
        declared=Declared(gender=gender, age=age, ethnicity=row.get("ethnicity"), extra=extra),
        licence=row.get("licence") or row.get("license") or licence or UNKNOWN_LICENCE,
        source=row.get("source", table),
    )
    return item, []


def _age(text: str | None) -> tuple[float | None, list[str]]:
    if text is None:
        return None, []
    try:
        age = float(text)
    except ValueError:
        age = -1.0
    if 0 <= age <= 130:
        return age, []
    return None, [f"age {text!r} is not a number of years from 0 to 130"]


def _raise_all(file: Path, problems: list[str]) -> None:
    if problems:
        shown = problems[:_MAX_PROBLEMS]
        more = [f"... and {len(problems) - len(shown)} more"] if len(problems) > len(shown) else []
        raise InputError("\n  ".join([f"{file}: {len(problems)} problem(s):", *shown, *more]))


# CelebA-HQ


def _celeba(root: Path, licence: str | None) -> Found:
    attributes = _celeba_attributes(root)
    files = [f for f in (root / CELEBA_IMAGES).iterdir() if f.suffix.lower() in IMAGE_SUFFIXES]
    found: list[FaceSource] = []
    rejected: list[Rejection] = []
    for file in sorted(files, key=lambda f: (len(f.stem), f.name)):
        path, subject = file.relative_to(root).as_posix(), _celeba_subject(file)
        row = attributes.get(file.name)
        if row is None:
            rejected.append(
                _rejection(path, "filtered_out", "the annotation has no line for this image", subject)
            )
        elif row["Smiling"]:
            rejected.append(
                _rejection(path, "smiling", "declared smiling (Smiling = 1 in the annotation)", subject)
            )
        else:
            found.append(
                FaceSource(
                    path=path,
                    file=str(file),
                    subject_id=subject,
                    declared=Declared(gender="m" if row["Male"] else "f"),
                    licence=licence or CELEBA_LICENCE,
                    source="celeba-hq",
                )
            )
    return found, rejected


def _celeba_subject(file: Path) -> str:
    """Image number in six digits, as in the file names that EquiME documents."""
    return f"{int(file.stem):06d}" if file.stem.isdecimal() else _subject_of(file)


def _celeba_attributes(root: Path) -> dict[str, dict[str, bool]]:
    """Smiling and Male per image name."""
    file = next((root / name for name in CELEBA_ATTRIBUTES if (root / name).is_file()), None)
    if file is None:
        raise InputError(
            f"{root}: looks like CelebA-HQ ({CELEBA_IMAGES}/) but has no {' or '.join(CELEBA_ATTRIBUTES)}; "
            "put the annotation there (it comes with CelebAMask-HQ) or name the image folder itself"
        )
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    if file.suffix == ".csv":
        header, *rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if row]
        names = header[1:]
    else:
        names = lines[1].split() if len(lines) > 1 else []
        rows = [line.split() for line in lines[2:] if line.strip()]
    return _celeba_rows(file, names, rows)


def _celeba_rows(file: Path, names: list[str], rows: list[list[str]]) -> dict[str, dict[str, bool]]:
    missing = [name for name in ("Smiling", "Male") if name not in names]
    if missing:
        raise InputError(
            f"{file}: has no attribute {' and '.join(missing)}; is it the CelebAMask-HQ annotation?"
        )
    problems, attributes = [], {}
    for number, (image, *values) in enumerate(rows, 1):
        wanted = (
            {name: values[names.index(name)] for name in ("Smiling", "Male")}
            if len(values) == len(names)
            else {}
        )
        if not wanted or not set(wanted.values()) <= {"1", "-1", "0"}:
            problems.append(f"line {number} ({image}): expected {len(names)} values of 1 and -1")
        attributes[image] = {name: value == "1" for name, value in wanted.items()}
    _raise_all(file, problems)
    return attributes
