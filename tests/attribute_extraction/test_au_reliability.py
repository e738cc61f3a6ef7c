"""The shipped table belongs to the annotator, and grades follow from its numbers."""

from __future__ import annotations

import msgspec
import pytest

from equime.attribute_extraction.au_intensity import METRICS, AuIntensity
from equime.attribute_extraction.au_reliability import GRADES, AuRecord, grade, markdown, meaning_of, table
from equime.face.muscles import MUSCLES


def test_the_shipped_table_is_of_this_version_and_whole() -> None:
    own = table()
    assert own.annotator_version == AuIntensity.version, f"run `{own.command} --write` again"
    assert [record.au for record in own.aus] == sorted(MUSCLES)
    assert own.command.startswith("python bench/au_intensity.py")
    for record in own.aus:
        assert record.n_clips == 3 * own.n_faces
        assert -1 <= record.correlation <= 1
        assert set(record.detected) == set("ABC")
        assert all(0 <= share <= 1 for share in record.detected.values())
        assert record.false_p95 >= 0


def sample(**changes: float | dict[str, float] | tuple[int, float]) -> AuRecord:
    base = AuRecord(
        au=12, n_clips=9, correlation=0.95, slope=0.9, error=0.2, detected={"A": 0.5, "B": 1.0, "C": 1.0}, false_p95=0.1,
        n_false=40, apex_error_ms=20.0,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def test_a_grade_asks_for_everything() -> None:
    good, fair = GRADES["good"], GRADES["fair"]
    assert grade(sample()) == "good"
    assert grade(sample(correlation=good.correlation - 0.01)) == "fair"
    assert grade(sample(slope=good.slope[0] - 0.01)) == "fair"
    assert grade(sample(false_p95=good.false_p95 + 0.01)) == "fair"
    assert grade(sample(detected={"A": 0.0, "B": fair.detected_b, "C": 1.0})) == "fair"
    assert grade(sample(correlation=fair.correlation - 0.01)) == "poor"
    assert grade(sample(slope=fair.slope[1] + 0.01)) == "poor"


@pytest.mark.parametrize("record", table().aus, ids=lambda record: f"AU{record.au}")
def test_columns_say_what_the_table_holds(record: AuRecord) -> None:
    meanings = [m.meaning for m in METRICS if m.name.startswith(f"au_intensity_au{record.au:02d}")]
    assert meanings
    for text in meanings:
        assert f"{grade(record)} on rendered clips (n {record.n_clips})" in text
        assert f"correlation {record.correlation:.2f}" in text


def test_groups_are_named() -> None:
    assert "read together with AU 20" in meaning_of(14, "left")
    assert "read together" not in meaning_of(1, "left")


def test_markdown_has_a_line_per_au() -> None:
    lines = markdown().splitlines()
    assert len(lines) == 2 + len(MUSCLES)
    assert len({line.count("|") for line in lines}) == 1
