"""The quality gate: rules over any table column mark clips; nothing is deleted.

A rule names a column and what a clip must satisfy. What fails is marked with every rule it broke, the value
and the bound, in ``tables/quality_gate.parquet``. Whether the gate turns groups away unequally is part of its
report: shares are given by emotion and by declared gender.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from equime.dataset import Dataset
from equime.errors import InputError
from equime.quality_gate import MARK_ONLY_KEY, PATH, TABLE
from equime.records import aside
from equime.types import Record

if TYPE_CHECKING:
    import pyarrow as pa

RULES_KEY: Final = b"equime.rules"
"""Schema metadata of the marks: the rules that made them, JSON."""


class Rule(Record, frozen=True, omit_defaults=True):
    """One condition that every clip must satisfy.

    Attributes:
        name: what it demands, for people.
        column: of a table in ``tables/``.
        table: where more than one table has that column.
        min, max: bounds of a number, inclusive.
        equals: exact value of a flag, a text or a whole number.
        emotions: only clips of these emotions are judged by it.
        when_missing: what a clip without a value does.
        optional: skip the rule where no table has the column.
    """

    name: str
    column: str
    table: str | None = None
    min: float | None = None
    max: float | None = None
    equals: bool | int | float | str | None = None
    emotions: tuple[str, ...] | None = None
    when_missing: Literal["pass", "fail"] = "pass"
    optional: bool = False

    def breaks(self, value: Any) -> bool:
        """Whether a value breaks the rule; None stands for no value."""
        if value is None:
            return self.when_missing == "fail"
        if self.equals is not None:
            return bool(value != self.equals)
        return bool(
            (self.min is not None and value < self.min) or (self.max is not None and value > self.max)
        )

    def demand(self) -> str:
        """What the rule asks for, as text: ">= 0.5"."""
        if self.equals is not None:
            return f"= {str(self.equals).lower() if isinstance(self.equals, bool) else self.equals}"
        bounds = [(">=", self.min), ("<=", self.max)]
        return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


class _RulesFile(Record, frozen=True):
    rule: tuple[Rule, ...]


class Broken(Record, frozen=True):
    """One rule that one clip broke.

    Attributes:
        rule: its name.
        column: of the table.
        value: of the clip, as text; "" where there is none.
        demand: what was asked for.
    """

    rule: str
    column: str
    value: str
    demand: str


class GateReport(Record, frozen=True):
    """What a gate did.

    Attributes:
        n_clips, n_passed, n_failed: clips judged.
        by_rule: clips that broke each rule; a clip can break several.
        failed_by_emotion, failed_by_gender: share of clips turned away, 0..1, for every group.
        skipped: optional rules whose column no table has.
        mark_only: whether failed clips stay in exports.
        table: the file with the marks.
    """

    n_clips: int
    n_passed: int
    n_failed: int
    by_rule: dict[str, int]
    failed_by_emotion: dict[str, float]
    failed_by_gender: dict[str, float]
    skipped: tuple[str, ...]
    mark_only: bool
    table: str


def load_rules(path: Path | None) -> tuple[Rule, ...]:
    """Rules of a TOML file; the defaults that come with equime where None.

    Raises:
        InputError: with the file, every rule that is wrong, and what is allowed.
    """
    name = str(path) if path is not None else "default_rules.toml"
    try:
        text = path.read_text("utf-8") if path is not None else default_rules()
        found = msgspec.convert(tomllib.loads(text), _RulesFile).rule
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: {error}; see `equime filter --print-defaults` for an example") from error
    problems = [f"rule {rule.name!r}: {problem}" for rule in found for problem in _problems(rule)]
    repeated = [n for n, k in Counter(rule.name for rule in found).items() if k > 1]
    problems += [f"rule {n!r}: the name is there twice; give every rule its own" for n in repeated]
    if not found:
        problems.append("holds no [[rule]]")
    if problems:
        raise InputError(f"{name}: " + "; ".join(problems))
    return found


def default_rules() -> str:
    """The text of the rules that come with equime."""
    return (files("equime.evaluation_framework") / "default_rules.toml").read_text("utf-8")


def _problems(rule: Rule) -> Iterator[str]:
    bounded = rule.min is not None or rule.max is not None
    if bounded == (rule.equals is not None):
        yield "needs either min and/or max, or equals"
    if rule.min is not None and rule.max is not None and rule.min > rule.max:
        yield f"min {rule.min:g} is above max {rule.max:g}"


def apply_rules(root: Path, rules: Sequence[Rule], *, mark_only: bool = False) -> GateReport:
    """Judge every finished clip of a Dataset and write the marks.

    Args:
        root: the Dataset.
        rules: from `load_rules`.
        mark_only: failed clips stay in exports and training, marked.

    Raises:
        InputError: a column that no table has, or that several have, or one of another type than the rule's.
        WorkError: a broken table, or a disk that refuses.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    dataset = Dataset.open(root)
    usable, skipped = _usable(root, rules)
    values = {rule.name: _values(dataset, rule, table) for rule, table in usable}
    rows, by_rule = [], Counter({rule.name: 0 for rule, _ in usable})
    groups: dict[str, Counter[tuple[str, bool]]] = {"emotion": Counter(), "gender": Counter()}
    for view in dataset:
        clip_id, emotion = view.clip.clip_id, view.spec.emotion
        broken = [
            Broken(rule=rule.name, column=rule.column, value=_text(value), demand=rule.demand())
            for rule, _ in usable
            if (rule.emotions is None or emotion in rule.emotions)
            and rule.breaks(value := values[rule.name].get(clip_id))
        ]
        by_rule.update(item.rule for item in broken)
        groups["emotion"][emotion, bool(broken)] += 1
        groups["gender"][view.face.declared.gender, bool(broken)] += 1
        rows.append({"clip_id": clip_id, "passes": not broken, "broken": msgspec.to_builtins(broken)})
    with aside(root / PATH) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=_schema(rules, mark_only)), partial)
    n_failed = sum(not row["passes"] for row in rows)
    return GateReport(
        n_clips=len(rows),
        n_passed=len(rows) - n_failed,
        n_failed=n_failed,
        by_rule=dict(by_rule),
        failed_by_emotion=_shares(groups["emotion"]),
        failed_by_gender=_shares(groups["gender"]),
        skipped=tuple(f"{rule.name}: no table has {rule.column}" for rule in skipped),
        mark_only=mark_only,
        table=PATH,
    )


def remove_marks(root: Path) -> bool:
    """Take the gate off a Dataset; whether there was one."""
    Dataset.open(root)
    path = root / PATH
    there = path.is_file()
    path.unlink(missing_ok=True)
    return there


def _schema(rules: Sequence[Rule], mark_only: bool) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415

    broken = pa.struct([(name, pa.string()) for name in ("rule", "column", "value", "demand")])
    fields = [("clip_id", pa.string()), ("passes", pa.bool_()), ("broken", pa.list_(broken))]
    metadata = {MARK_ONLY_KEY: b"1" if mark_only else b"0", RULES_KEY: msgspec.json.encode(list(rules))}
    return pa.schema(fields).with_metadata(metadata)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value).lower()


def _shares(counts: Counter[tuple[str, bool]]) -> dict[str, float]:
    names = sorted({name for name, _ in counts})
    return {n: round(counts[n, True] / (counts[n, True] + counts[n, False]), 4) for n in names}


def _usable(root: Path, rules: Sequence[Rule]) -> tuple[list[tuple[Rule, str]], list[Rule]]:
    """Rules with the table of their column, and the optional ones that have none; all problems at once."""
    columns = _columns(root)
    usable, skipped, problems = [], [], []
    for rule in rules:
        tables = (
            [rule.table] if rule.table else sorted(t for t, names in columns.items() if rule.column in names)
        )
        if len(tables) > 1:
            problems.append(f"{rule.column}: tables {', '.join(tables)} have it; say which with table =")
        elif tables and rule.column in columns.get(tables[0], {}):
            problems += _mismatch(rule, columns[tables[0]][rule.column])
            usable.append((rule, tables[0]))
        elif rule.optional:
            skipped.append(rule)
        else:
            there = ", ".join(sorted(columns)) or "none yet"
            problems.append(
                f"{rule.column}: no table in {root / 'tables'} has it (tables: {there}); run "
                "`equime evaluate` first, or mark the rule optional"
            )
    if problems:
        raise InputError("quality gate: " + "; ".join(problems))
    return usable, skipped


def _columns(root: Path) -> dict[str, dict[str, str]]:
    """Table to its columns and their types; only tables with one row per clip can be judged by."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    found = {}
    for path in sorted((root / "tables").glob("*.parquet")):
        schema = pq.read_schema(path)
        if path.stem != TABLE and "clip_id" in schema.names and "frame" not in schema.names:
            found[path.stem] = {field.name: str(field.type) for field in schema}
    return found


def _mismatch(rule: Rule, kind: str) -> Iterator[str]:
    """Where a rule compares what cannot be compared."""
    is_text, is_flag = kind == "string", kind == "bool"
    if rule.equals is None and (is_text or is_flag):
        yield f"{rule.column}: is {'text' if is_text else 'true or false'}; use equals instead of min and max"
    if rule.equals is not None and (is_text != isinstance(rule.equals, str)):
        yield f"{rule.column}: is {kind}, {rule.equals!r} is not"
    if rule.equals is not None and (is_flag != isinstance(rule.equals, bool)):
        yield f"{rule.column}: is {kind}, {rule.equals!r} is not"


def _values(dataset: Dataset, rule: Rule, table: str) -> dict[str, Any]:
    found = dataset.table(table)
    return dict(zip(found["clip_id"].to_pylist(), found[rule.column].to_pylist(), strict=True))
