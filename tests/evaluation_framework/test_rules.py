"""The quality gate: what breaks a rule is marked with value and demand, and left out where it should be."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime.dataset import Dataset
from equime.errors import InputError
from equime.evaluation_framework.rules import Rule, apply_rules, default_rules, load_rules, remove_marks
from equime.evaluation_framework.run import Options, evaluate
from tests import runs

OPTIONS = Options(metrics=("tests.evaluation_framework.fakes:Brightness",), workers=0)


def written(folder: Path, text: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(text)
    return path


def rule(column: str, **more: object) -> Rule:
    return Rule(name=column, column=column, **more)  # type: ignore[arg-type]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_bounds_are_inclusive(value: float, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert rule("x", min=low, max=high).breaks(value) == (not low <= value <= high)
    assert not rule("x", min=low, max=high).breaks(low)
    assert not rule("x", min=low, max=high).breaks(high)


def test_missing_values_and_equals() -> None:
    assert not rule("x", min=1.0).breaks(None)
    assert rule("x", min=1.0, when_missing="fail").breaks(None)
    assert rule("x", equals=False).breaks(True)
    assert not rule("x", equals="photograph").breaks("photograph")
    assert rule("x", min=0.5, max=2).demand() == ">= 0.5 and <= 2"
    assert rule("x", equals=False).demand() == "= false"


def test_default_rules_are_rules() -> None:
    rules = load_rules(None)
    assert len(rules) >= 4
    assert {r.column for r in rules} >= {"is_frozen", "n_dropped_frames"}
    assert "[[rule]]" in default_rules()


def test_what_fails_is_marked_counted_and_left_out(made: Path) -> None:
    levels = evaluate(made, options=OPTIONS).clips.set_index("clip_id")["brightness"]
    bound = float(levels.median())
    report = apply_rules(made, [rule("brightness", max=bound), rule("n_seen", equals=24)])
    failing = set(levels.index[levels > bound])
    assert 0 < len(failing) < runs.N_CLIPS
    assert (report.n_clips, report.n_failed) == (runs.N_CLIPS, len(failing))
    assert report.by_rule == {"brightness": len(failing), "n_seen": 0}
    data = Dataset.open(made)
    kept = {view.clip.clip_id for view in data.selected()}
    assert kept == set(levels.index) - failing
    assert len(list(data.selected(include_failed=True))) == runs.N_CLIPS == len(list(data))
    for row in pq.read_table(made / "tables" / "quality_gate.parquet").to_pylist():
        assert row["passes"] == (row["clip_id"] not in failing)
        if not row["passes"]:
            assert row["broken"] == [
                {
                    "rule": "brightness",
                    "column": "brightness",
                    "value": f"{levels[row['clip_id']]:g}",
                    "demand": f"<= {bound:g}",
                }
            ]
    assert len(list(made.glob("*/*.mp4"))) == runs.N_CLIPS


def test_shares_by_group(made: Path) -> None:
    evaluate(made, options=OPTIONS)
    report = apply_rules(made, [rule("brightness", max=-1.0, emotions=("fear",))])
    assert report.failed_by_emotion == {"fear": 1.0, "happiness": 0.0}
    assert report.n_failed == runs.N_CLIPS / 2


def test_the_command_rewrites_the_export_and_takes_the_marks_off(made: Path, tmp_path: Path) -> None:
    evaluate(made, options=OPTIONS)
    text = '[[rule]]\nname = "no fear"\ncolumn = "brightness"\nmax = -1.0\nemotions = ["fear"]\n'
    rules = written(tmp_path, text)
    lines = lambda: [json.loads(x) for x in (made / "metadata.jsonl").read_text().splitlines()]  # noqa: E731
    assert len(lines()) == runs.N_CLIPS
    code, out, err = runs.call("filter", made, "--rules", rules, "--json")
    assert code == 0, err
    assert json.loads(out)["n_failed"] == runs.N_CLIPS / 2
    assert {line["emotion"] for line in lines()} == {"happiness"}
    assert runs.problems(made) == []
    code, _, _ = runs.call("filter", made, "--rules", rules, "--mark-only")
    assert code == 0
    assert len(lines()) == runs.N_CLIPS
    assert {(x["emotion"], x["passes_quality_gate"]) for x in lines()} == {
        ("happiness", True),
        ("fear", False),
    }
    assert runs.problems(made) == []
    code, out, _ = runs.call("filter", made, "--remove")
    assert code == 0
    assert "passes_quality_gate" not in lines()[0]
    assert not remove_marks(made)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rule"),
        ('[[rule]]\nname = "a"\ncolumn = "x"\n', "either min and/or max, or equals"),
        ('[[rule]]\nname = "a"\ncolumn = "x"\nmin = 2\nmax = 1\n', "min 2 is above max 1"),
        ('[[rule]]\nname = "a"\ncolumn = "x"\nmin = 2\nlimit = 1\n', "limit"),
        ('[[rule]]\nname = "a"\ncolumn = "x"\nmin = "two"\n', "float"),
        ("[[rule\n", "rules.toml"),
        ('[[rule]]\nname = "a"\ncolumn = "x"\nmin = 2\n' * 2, "there twice"),
    ],
)
def test_wrong_rules_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=r"rules\.toml") as caught:
        load_rules(written(tmp_path, text))
    assert message in str(caught.value)


def test_a_column_that_is_not_there_is_an_error_unless_optional(made: Path) -> None:
    evaluate(made, options=OPTIONS)
    with pytest.raises(InputError, match=r"glow: no table .* has it \(tables: .*brightness"):
        apply_rules(made, [rule("glow", min=1.0)])
    with pytest.raises(InputError, match="shape: is text; use equals"):
        apply_rules(made, [rule("shape", min=1.0)])
    with pytest.raises(InputError, match="is_dark: is bool"):
        apply_rules(made, [rule("is_dark", equals=1)])
    report = apply_rules(made, [rule("glow", min=1.0, optional=True)])
    assert report.skipped == ("glow: no table has glow",)
    assert report.n_failed == 0


def test_a_clip_without_a_row_is_judged_by_when_missing(made: Path) -> None:
    victim = sorted(made.glob("happiness/*.mp4"))[0]
    victim.write_bytes(b"no video")
    evaluate(made, options=OPTIONS)
    assert apply_rules(made, [rule("brightness", min=0.0)]).n_failed == 0
    assert apply_rules(made, [rule("brightness", min=0.0, when_missing="fail")]).n_failed == 1
