"""Import a table of annotations as one more labeller of a data set.

The result is ``tables/labels_<labeller>.parquet``: one row per labelled clip, with ``estimated_<attribute>_<labeller>``
per attribute (text or number). What people say of a picture is an estimate as well: it is never written into the
declared attributes of the faces. Where several annotators labelled one clip or person, a text is the one that most of
them gave (none where the first two have equally many) and a number is the mean; ``n_labels_<attribute>_<labeller>``
counts them and ``n_agreeing_<attribute>_<labeller>`` those who gave that text. An age in years gives two columns,
``estimated_age_<labeller>_years`` and ``estimated_age_<labeller>_group``, in the groups of the other labellers.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from equime.attribute_extraction.label_files import LabelTable, read_label_file
from equime.attribute_extraction.label_keys import KEY_COLUMNS, Keys, keys_of
from equime.attribute_extraction.label_summary import AGE_BINS, age_group
from equime.dataset import Dataset
from equime.errors import InputError
from equime.records import aside
from equime.types import Record

ANNOTATOR: Final = "annotator"
RESERVED: Final = frozenset(
    {"deepface", "fairface", "group", "years", "spread_years", "disagreement", "abstained", "frames"}
)
"""Labellers that would be taken for columns or tables of equime's own."""

CATEGORIES: Final = frozenset(
    {"gender", "sex", "race", "ethnicity", "emotion", "age_group", "skin_tone_group"}
)
"""Attributes whose values are names, even where they are written as numbers."""

MAX_AGE_YEARS: Final = 120.0
N_NAMED: Final = 5

_OTHER_PREFIXES: Final = ("declared_", "measured_", "intended_")


class LabelNote(Record, frozen=True):
    """Something in the file that a person should know of.

    Attributes:
        code: "encoding", "unknown_id", "duplicate_row", "tie", "empty_row", "constant_column", "numeric_codes",
            "not_labelled", "unused_column" or "replaced".
        message: what it is, with the first few examples.
        n: rows, cells or clips that it concerns.
    """

    code: str
    message: str
    n: int = 0


class LabelImport(Record, frozen=True):
    """What an import did.

    Attributes:
        labeller: its name.
        file, sha256: what was read.
        table: what was written, relative to the data set.
        key: column by which rows found their clips.
        columns: estimated columns that the table has.
        n_rows: rows of the file.
        n_used: those of known clips, without exact copies.
        n_clips: clips that have a label now.
        n_subjects: people among them.
        n_annotators: different ones; 0 where the file names none.
        notes: what a person should know.
    """

    labeller: str
    file: str
    sha256: str
    table: str
    key: str
    columns: tuple[str, ...]
    n_rows: int
    n_used: int
    n_clips: int
    n_subjects: int
    n_annotators: int
    notes: tuple[LabelNote, ...]


@dataclass(frozen=True)
class _Column:
    """One attribute of the file: its column, the attribute's name, whether it holds numbers."""

    source: str
    attribute: str
    is_number: bool

    def name(self, labeller: str) -> str:
        """Of the estimated column; of an age in years the one with the years."""
        ending = "_years" if self.is_age else ""
        return f"estimated_{self.attribute}_{labeller}{ending}"

    @property
    def is_age(self) -> bool:
        """Whether it is an age in years."""
        return self.attribute == "age" and self.is_number


_Rows = dict[str, list[tuple[int, str, dict[str, str]]]]
"""Key to its rows: number, annotator, cells."""


def import_labels(out: Path, file: Path, labeller: str) -> LabelImport:
    """Write a table of annotations into a data set; an earlier one of this labeller is replaced.

    The file has one column that says which clip a row is about (`label_keys.KEY_COLUMNS`: clip_id, a file, or a
    subject, whose labels all clips of the person get), optionally ``annotator``, and one column per attribute.

    Args:
        out: an equime data set with finished clips.
        file: CSV, TSV or Parquet.
        labeller: name for the columns: lower-case letters, digits and ``_``, starting with a letter.

    Raises:
        InputError: see the message; nothing was written.
        WorkError: the disk refuses, or a record of the data set is damaged.
    """
    _check_labeller(labeller)
    dataset = Dataset.open(out)
    table = read_label_file(file)
    keys = keys_of(dataset, table.columns, table.file)
    notes: list[LabelNote] = list(_about_file(table, keys))
    rows, n_used = _matched(table, keys, notes)
    columns = _columns(table, keys, labeller, notes)
    cells = _cells(table.file, rows, columns, labeller, notes)
    labelled = {clip: values for key, values in cells.items() for clip in keys.members[key]}
    subjects = {view.clip.clip_id: view.spec.subject_id for view in dataset}
    if n := len(subjects) - len(labelled):
        notes.append(LabelNote(code="not_labelled", message="clips that the file says nothing of", n=n))
    path = out / "tables" / f"labels_{labeller}.parquet"
    if path.is_file():
        notes.append(LabelNote(code="replaced", message=f"an earlier {path.name} was replaced"))
    _write(path, labelled, columns, labeller, table)
    names = {annotator for own in rows.values() for _, annotator, _ in own} - {""}
    return LabelImport(
        labeller=labeller, file=table.file, sha256=table.sha256, table=f"tables/{path.name}", key=keys.column,
        columns=tuple(name for name in _schema_names(columns, labeller) if name.startswith("estimated_")),
        n_rows=len(table.rows), n_used=n_used, n_clips=len(labelled),
        n_subjects=len({subjects[clip] for clip in labelled}), n_annotators=len(names), notes=tuple(notes),
    )  # fmt: skip


def _check_labeller(labeller: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", labeller) or labeller.endswith("_"):
        raise InputError(
            f"labeller {labeller!r} is no name for columns; give lower-case letters, digits and _, starting with a "
            "letter, at most 40, for example lab_2"
        )
    if labeller in RESERVED or labeller.startswith("p_"):
        raise InputError(
            f"labeller {labeller!r} is reserved for equime's own columns; give another name, for example my_{labeller}"
        )


def _about_file(table: LabelTable, keys: Keys) -> Iterator[LabelNote]:
    if table.encoding == "windows-1252":
        text = "not UTF-8, read as Windows-1252; check letters with accents"
        yield LabelNote(code="encoding", message=text)
    unused = [name for name in table.columns if name in KEY_COLUMNS and name != keys.column]
    if unused:
        text = f"rows were found by {keys.column}; not looked at: {', '.join(unused)}"
        yield LabelNote(code="unused_column", message=text, n=len(unused))


# Rows and clips


def _matched(table: LabelTable, keys: Keys, notes: list[LabelNote]) -> tuple[_Rows, int]:
    """Rows by key, copies left out, and how many they are."""
    found: _Rows = defaultdict(list)
    unknown: list[str] = []
    n_copies = n_empty = 0
    for number, row in table.rows:
        own = {name: value for name, value in row.items() if name not in KEY_COLUMNS and name != ANNOTATOR}
        text = row.get(keys.column)
        if text is None or not own:
            n_empty += 1
            continue
        key = keys.find(text)
        if key is None:
            unknown.append(text)
            continue
        item = (number, row.get(ANNOTATOR, ""), own)
        if _is_copy(table.file, text, item, found[key]):
            n_copies += 1
        else:
            found[key].append(item)
    _tell_of_rows(table, keys, unknown, n_copies, n_empty, notes)
    return {key: rows for key, rows in found.items() if rows}, sum(map(len, found.values()))


def _is_copy(
    file: str, text: str, item: tuple[int, str, dict[str, str]], others: list[tuple[int, str, dict[str, str]]]
) -> bool:
    """Whether the same annotator has the same row already. Raises InputError where it has another."""
    number, annotator, own = item
    for other_number, other_annotator, other in others:
        if annotator != other_annotator:
            continue
        if own == other:
            return True
        name = next(name for name in (own | other) if own.get(name) != other.get(name))
        who = f"annotator {annotator}" if annotator else "the file"
        raise InputError(
            f"{file}: rows {other_number} and {number}: {who} gives {text} twice, with {name} "
            f"{other.get(name, 'empty')!r} and {own.get(name, 'empty')!r}; remove one, or name who said it in a "
            f"column {ANNOTATOR}"
        )
    return False


def _tell_of_rows(
    table: LabelTable, keys: Keys, unknown: list[str], n_copies: int, n_empty: int, notes: list[LabelNote]
) -> None:
    if unknown:
        named = ", ".join(repr(text) for text in list(dict.fromkeys(unknown))[:N_NAMED])
        if len(unknown) + n_empty == len(table.rows):
            example = next(iter(keys.members))
            raise InputError(
                f"{table.file}: no row is about a clip of the data set; {keys.column} holds {named}, the data set has "
                f"for example {example!r}"
            )
        text = f"rows of clips or people that the data set has not: {named}"
        notes.append(LabelNote(code="unknown_id", message=text, n=len(unknown)))
    elif n_empty == len(table.rows):
        raise InputError(f"{table.file}: no row has both {keys.column} and a label; fill them in")
    if n_copies:
        notes.append(LabelNote(code="duplicate_row", message="rows that repeat another one", n=n_copies))
    if n_empty:
        notes.append(
            LabelNote(code="empty_row", message=f"rows without {keys.column} or without any label", n=n_empty)
        )


# Columns


def _columns(table: LabelTable, keys: Keys, labeller: str, notes: list[LabelNote]) -> list[_Column]:
    """The attributes of the file."""
    found: dict[str, _Column] = {}
    for source in table.columns:
        if source in KEY_COLUMNS or source == ANNOTATOR:
            continue
        attribute = _attribute(table.file, source, labeller)
        if attribute in found:
            raise InputError(
                f"{table.file}: {found[attribute].source} and {source} are both the attribute {attribute}; remove one"
            )
        values = [row[source] for _, row in table.rows if source in row]
        if not values:
            notes.append(LabelNote(code="unused_column", message=f"{source} is empty; left out", n=1))
            continue
        numeric = all(_number(value) is not None for value in values)
        if numeric and attribute in CATEGORIES:
            text = f"{source} holds codes ({', '.join(sorted(set(values))[:N_NAMED])}); write names, as woman and man"
            notes.append(LabelNote(code="numeric_codes", message=text, n=len(set(values))))
        if len(set(values)) == 1 and len(table.rows) > 1:
            text = f"{source} is {values[0]!r} wherever it is given; nothing can be compared by it"
            notes.append(LabelNote(code="constant_column", message=text, n=len(values)))
        found[attribute] = _Column(source, attribute, numeric and attribute not in CATEGORIES)
    if not found:
        raise InputError(
            f"{table.file}: has no attribute beside {keys.column}; it needs a column such as gender, race or age"
        )
    return list(found.values())


def _attribute(file: str, source: str, labeller: str) -> str:
    """Name of the attribute that a column is about."""
    wrong = next((prefix for prefix in _OTHER_PREFIXES if source.startswith(prefix)), None)
    if wrong:
        raise InputError(
            f"{file}: column {source}: labels of annotators are estimates and cannot become {wrong.rstrip('_')} ones; "
            f"call it {source.removeprefix(wrong)} (declared attributes belong in the table of faces)"
        )
    name = source.removeprefix("estimated_").removesuffix(f"_{labeller}")
    name = "age" if name in ("age_years", "years") else name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name.startswith("p_") or "_p_" in name:
        raise InputError(
            f"{file}: column {source} cannot name an attribute; give a plain name such as gender or hair_colour"
        )
    return name


def _number(text: str) -> float | None:
    """A finite number, with a point or a comma."""
    try:
        value = float(text.replace(",", ".", 1))
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


# Several annotators


def _cells(
    file: str, rows: _Rows, columns: Iterable[_Column], labeller: str, notes: list[LabelNote]
) -> dict[str, dict[str, Any]]:
    """Cells of the table per key."""
    found: dict[str, dict[str, Any]] = {key: {} for key in rows}
    for column in columns:
        n_ties, spelled = 0, _spellings(rows, column.source)
        for key, own in rows.items():
            given = [(number, cells[column.source]) for number, _, cells in own if column.source in cells]
            if column.is_number:
                values = _mean(file, column, given, labeller)
            else:
                values, tied = _majority(column, [spelled[text.casefold()] for _, text in given], labeller)
                n_ties += tied
            found[key] |= values
        if n_ties:
            text = f"{column.source}: two labels were given equally often, so none was taken"
            notes.append(LabelNote(code="tie", message=text, n=n_ties))
    return found


def _spellings(rows: _Rows, source: str) -> dict[str, str]:
    """Each text of a column without case, to the spelling that is most frequent: "woman" and "Woman" are one."""
    texts = sorted(cells[source] for own in rows.values() for _, _, cells in own if source in cells)
    return {text.casefold(): text for text, _ in reversed(Counter(texts).most_common())}


def _majority(column: _Column, texts: list[str], labeller: str) -> tuple[dict[str, Any], bool]:
    """The text that most gave, None where two have equally many, and whether they have."""
    counts = Counter(texts).most_common()
    tied = len(counts) > 1 and counts[0][1] == counts[1][1]
    winner = counts[0][0] if counts and not tied else None
    name = f"{column.attribute}_{labeller}"
    return {
        column.name(labeller): winner,
        f"n_labels_{name}": len(texts),
        f"n_agreeing_{name}": counts[0][1] if winner is not None else 0,
    }, tied


def _mean(file: str, column: _Column, given: list[tuple[int, str]], labeller: str) -> dict[str, Any]:
    values = [float(_number(text) or 0.0) for _, text in given]
    if column.is_age:
        for (number, text), value in zip(given, values, strict=True):
            if not AGE_BINS[0] <= value <= MAX_AGE_YEARS:
                raise InputError(
                    f"{file}: row {number}: {column.source} {text} is no age in years; give 0 to {MAX_AGE_YEARS:g}, or "
                    "leave it empty"
                )
    mean = sum(values) / len(values) if values else None
    cells: dict[str, Any] = {column.name(labeller): mean}
    if column.is_age:
        cells[f"estimated_age_{labeller}_group"] = None if mean is None else age_group(mean)
    return cells | {f"n_labels_{column.attribute}_{labeller}": len(values)}


# The table


def _schema_names(columns: Iterable[_Column], labeller: str) -> Iterator[str]:
    for column in columns:
        yield column.name(labeller)
        if column.is_age:
            yield f"estimated_age_{labeller}_group"
        yield f"n_labels_{column.attribute}_{labeller}"
        if not column.is_number:
            yield f"n_agreeing_{column.attribute}_{labeller}"


def _write(
    path: Path,
    labelled: Mapping[str, Mapping[str, Any]],
    columns: list[_Column],
    labeller: str,
    table: LabelTable,
) -> None:
    """One row per clip, sorted; where it came from is in the schema's metadata."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    numbers = {column.name(labeller) for column in columns if column.is_number}
    names = list(_schema_names(columns, labeller))
    types = [
        pa.int64() if name.startswith("n_") else pa.float64() if name in numbers else pa.string()
        for name in names
    ]
    about = {
        "equime.source_file": Path(table.file).name, "equime.source_sha256": table.sha256,
        "equime.source_rows": str(len(table.rows)), "equime.labeller": labeller,
    }  # fmt: skip
    fields = [pa.field("clip_id", pa.string()), *map(pa.field, names, types)]
    rows = [{"clip_id": clip, **labelled[clip]} for clip in sorted(labelled)]
    with aside(path) as partial:
        pq.write_table(
            pa.Table.from_pylist(rows, pa.schema(fields, metadata=about)), partial, compression="zstd"
        )
