"""The facts of a report, and its Markdown and JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equime.annotation.measurement import NotRun
from equime.evaluation_framework.evaluation import Evaluation
from equime.evaluation_framework.report import FILES, facts, ground_truth, write_report
from equime.evaluation_framework.report.contents import collect, judge, records
from equime.evaluation_framework.report.markdown import write_markdown
from equime.evaluation_framework.report.words import listing, number, share, text_counts, tick
from tests.evaluation_framework import report_cases as cases


def refuse(token: str) -> None:
    raise AssertionError(f"{token} is no JSON")


def read_json(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"), parse_constant=refuse)
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    """An evaluation of drawn values, written."""
    folder = tmp_path_factory.mktemp("report")
    found = cases.drawn()
    write_report(found, folder)
    return found, folder


def test_three_files_and_nothing_else(tmp_path: Path) -> None:
    paths = write_report(cases.drawn(), tmp_path / "new" / "folder")
    assert [p.name for p in paths] == list(FILES)
    assert {p.name for p in (tmp_path / "new" / "folder").iterdir()} == set(FILES)


def test_the_same_evaluation_gives_the_same_bytes(written: tuple[Evaluation, Path], tmp_path: Path) -> None:
    write_report(cases.drawn(), tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (written[1] / name).read_bytes(), name


def test_json_round_trips(written: tuple[Evaluation, Path]) -> None:
    found, folder = written
    read = read_json(folder)
    assert read["format"] == "equime-report/1"
    left_out = [f"mf_{i:03d}" for i in range(120)]
    assert read["left_out"]["motion_features"] == 120
    assert sum(read["left_out"].values()) == 120
    assert read["clips"] == found.clips.drop(columns=left_out).to_dict("list")
    assert set(read["metrics"]) == set(found.metrics) - set(left_out)
    for name in read["metrics"]:
        metric = found.metrics[name]
        about = read["metrics"][name]
        assert (about["unit"], about["direction"], about["low"]) == (
            metric.unit,
            metric.direction,
            metric.low,
        )


def test_summary_is_that_of_numpy(written: tuple[Evaluation, Path]) -> None:
    found, folder = written
    rows = {row["metric"]: row for row in read_json(folder)["summary"]}
    values = np.array(found.clips["tv"], dtype=float)
    assert rows["tv"]["estimate"]["mean"] == pytest.approx(values.mean())
    assert (rows["tv"]["estimate"]["n"], rows["tv"]["estimate"]["n_subjects"]) == (40, 9)
    assert [rows["tv"][k] for k in ("min", "median", "max")] == pytest.approx(
        [values.min(), np.median(values), values.max()]
    )
    assert rows["psnr_consecutive_db"]["unit"] == "dB"
    assert rows["is_frozen"]["estimate"]["mean"] == pytest.approx(1 / 40)
    assert rows["fidelity_reference"]["counts"] == {"photograph": 32, "frame 0": 8}
    missing = rows["flow_cosine"]
    assert missing["estimate"]["n"] == 39  # The frozen clip has none.


def test_families_are_counted_not_listed(written: tuple[Evaluation, Path]) -> None:
    found, folder = written
    groups = {g.annotator: g for g in facts.summary(found)}
    assert (len(groups["motion_features"].rows), groups["motion_features"].n_unlisted) == (0, 120)
    assert groups["au_fidelity"].n_unlisted == 24
    assert "mf_001" not in (folder / "report.md").read_text("utf-8")


def test_texts_are_counted_while_they_are_few() -> None:
    found = cases.drawn()
    clips = found.clips.copy()
    clips["fidelity_reference"] = [f"text {i}" for i in range(40)]
    groups = {g.annotator: g for g in facts.summary(replace(found, clips=clips))}
    (row,) = [r for r in groups["fidelity"].rows if r.metric.type == "text"]
    assert (row.counts, row.n_texts) == ((), 40)
    assert text_counts(row.counts, row.n_texts) == "40 different values"
    assert text_counts((("a", 2),), 1) == "a: 2 clips"


def test_counts() -> None:
    found = facts.counts(cases.drawn())
    assert (found.n_clips, found.n_subjects) == (41, 8)  # 40 rows, and a file that could not be opened.
    assert (found.n_unread, found.n_with_problem, found.n_frozen) == (1, 2, 1)
    assert (found.n_timed, found.n_moving) == (40, 39)
    nothing = facts.counts(cases.without_values())
    assert (nothing.n_clips, nothing.n_frozen, nothing.n_moving, nothing.n_au) == (1, None, None, None)


def test_gate_agrees_with_each_rule() -> None:
    found = cases.drawn()
    gate = judge(found)
    assert gate is not None
    assert (gate.n_judged, gate.n_passed) == (40, 39)
    assert "the clip is not frozen" in dict(gate.broken)
    assert judge(cases.without_values()) is None


def test_quartiles_and_whiskers() -> None:
    found = facts.spread("x", np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 100, np.nan]))
    assert found is not None
    assert (found.n, found.q1, found.median, found.q3) == (9, 3, 5, 7)
    assert (found.low, found.high) == (1, 8)  # 100 lies beyond 7 + 1.5 * 4.
    assert 100 in found.points
    assert facts.spread("x", np.array([np.nan])) is None
    many = facts.spread("x", np.arange(10_000.0))
    assert many is not None
    assert len(many.points) == 120
    assert (many.points[0], many.points[-1]) == (0, 9999)


def test_distributions_start_with_what_matters_and_leave_out_constants() -> None:
    names = [d.metric.name for d in facts.distributions(cases.drawn())]
    assert names[:3] == ["psnr_consecutive_db", "ssim_consecutive", "psnr_source_db"]
    assert "fps" not in names
    assert "is_frozen" not in names


def test_au_table_counts_only_what_was_not_commanded() -> None:
    """AU 1 and 2 together twice, AU 1 alone once: the leak into 2 comes from the third clip only."""
    found = cases.drawn(3)
    clips = found.clips.copy()
    for name in [c for c in clips if c.startswith(("commanded_", "measured_au"))]:
        clips[name] = 0.0
    clips["commanded_au01"], clips["commanded_au02"] = [2.0, 2.0, 2.0], [1.0, 1.0, 0.0]
    clips["measured_au01"], clips["measured_au02"] = [1.5, 1.7, 1.9], [0.8, 1.0, 0.25]
    table = ground_truth.au_table(replace(found, clips=clips))
    assert table is not None
    assert table.aus == (1, 2)
    one, two = table.rows
    assert (one.n, one.commanded) == (3, 2.0)
    assert one.measured == pytest.approx((1.7, 0.25))
    assert two.n == 2
    assert two.measured == (None, pytest.approx(0.9))  # AU 2 was never commanded without AU 1.


def test_timing_errors() -> None:
    found = cases.drawn(4)
    clips = found.clips.copy()
    for phase in ground_truth.PHASES:
        clips[f"intended_{phase}_ms"] = [1000.0, 1000.0, 1000.0, None]
        clips[f"measured_{phase}_ms"] = [1040.0, 1000.0, 950.0, 7.0]
    timing = ground_truth.timing(replace(found, clips=clips))
    assert timing is not None
    error = timing.errors[0]
    assert (error.bias_ms.mean, error.absolute_ms.mean) == (pytest.approx(-10 / 3), pytest.approx(30))
    assert (error.bias_ms.n, error.median_ms) == (3, 40)
    assert error.within_frame == 2  # A frame is 41.67 ms.
    assert timing.frame_ms == pytest.approx(1000 / 24)
    none_known = replace(found, clips=clips.drop(columns=[f"intended_{p}_ms" for p in ground_truth.PHASES]))
    without = ground_truth.timing(none_known)
    assert without is not None
    assert (without.true_ms, without.errors) == (None, ())


def test_unknown_emotion_is_all_clips() -> None:
    found = cases.without_values()
    assert facts.emotions(found.clips) == ["all clips"]


def test_records_hold_no_nan() -> None:
    clips = cases.drawn(4).clips
    clips["tv"] = [1.0, float("nan"), np.float32(2.5), None]
    assert [row["tv"] for row in records(clips)] == [1.0, None, 2.5, None]


def test_nothing_measured_still_gives_a_report(tmp_path: Path) -> None:
    write_report(cases.without_values(), tmp_path)
    read = read_json(tmp_path)
    assert read["counts"]["n_frozen"] is None
    assert (read["action_units"], read["timing"], read["comparison"]) == (None, None, None)
    markdown = (tmp_path / "report.md").read_text("utf-8")
    for sentence in ("Onset, apex and offset were not measured.", "No reference set was given"):
        assert sentence in markdown
    assert "frozen was not measured" in markdown


def test_no_clip_at_all(tmp_path: Path) -> None:
    found = cases.without_values()
    write_report(replace(found, clips=found.clips.iloc[:0], problems=()), tmp_path)
    assert read_json(tmp_path)["clips"]["file"] == []


def test_markdown_tables_are_whole(written: tuple[Evaluation, Path]) -> None:
    """Every row of a table has as many cells as its head: no text breaks out of its cell."""
    lines = (written[1] / "report.md").read_text("utf-8").splitlines()
    n_tables = 0
    for i, line in enumerate(lines):
        if re.fullmatch(r"\|( -{3}:? \|)+", line):
            n_tables += 1
            width = len(re.findall(r"(?<!\\)\|", line))
            for row in [lines[i - 1], *_until_blank(lines[i + 1 :])]:
                assert len(re.findall(r"(?<!\\)\|", row)) == width, row
    assert n_tables > 10


def _until_blank(lines: list[str]) -> list[str]:
    return lines[: lines.index("")] if "" in lines else lines


def test_markdown_escapes(written: tuple[Evaluation, Path]) -> None:
    markdown = (written[1] / "report.md").read_text("utf-8")
    outside_code = re.sub(r"`[^`\n]*`", "", markdown)
    assert "<script>" not in outside_code
    assert "alert" in markdown


def test_reference_set_in_markdown_and_json(tmp_path: Path) -> None:
    found = cases.drawn(comparison=cases.comparison(), reference_path="corpus|x")
    write_report(found, tmp_path)
    read = read_json(tmp_path)
    assert read["comparison"]["distances"]["kernel_motion"]["value"] == 0.41
    assert read["comparison"]["duplicates_between"]["pairs"][0]["clip_a"] == cases.EVIL
    published = {(row["metric"], row["name"]): row for row in read["published"]}
    assert published["tv", "SAMM"]["published_mean"] == 26.4
    assert published["brisque", "SMIC"]["mean"] is None
    markdown = (tmp_path / "report.md").read_text("utf-8")
    assert "| `kernel_motion` | 0.410 | 0.220 to 0.600 |" in markdown
    assert "2 pairs of clips" in markdown


def test_what_was_not_run_says_how_to_get_it(written: tuple[Evaluation, Path]) -> None:
    assert "equime weights fetch brisque" in (written[1] / "report.md").read_text("utf-8")
    asked = replace(
        cases.drawn(4), not_run=(NotRun("deep_motion", ("x",), "not asked for", "equime evaluate PATH"),)
    )
    assert not any("Could not be run" in sentence for sentence in collect(asked).verdict)


def test_verdict_names_the_frozen_clip() -> None:
    verdict = " ".join(collect(cases.drawn()).verdict)
    assert "1 of 40" in verdict.replace("41", "40")
    assert "frozen" in verdict
    assert "Measured onset, apex and offset lie" in verdict


def test_the_frozen_clip_is_the_worst() -> None:
    """It has the largest PSNR and SSIM of all, and comes first among the worst."""
    found = collect(cases.drawn())
    clips = found.evaluation.clips
    frozen = clips[clips["is_frozen"].astype(bool)].iloc[0]
    assert frozen["psnr_consecutive_db"] == clips["psnr_consecutive_db"].max()
    assert (found.worst[0].clip_id, found.worst[0].score) == (frozen["clip_id"], 0.0)
    assert "frozen" in found.worst[0].reason
    assert min(pick.score for pick in found.best) > max(pick.score for pick in found.worst)


def test_many_clips_stay_small(tmp_path: Path) -> None:
    write_report(cases.large(1000), tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
    assert "700 more clips in report.json" in (tmp_path / "report.html").read_text("utf-8")
    assert len(read_json(tmp_path)["clips"]["file"]) == 1000


def test_numbers_in_words() -> None:
    assert (number(40.8617, 3.2), number(0.97171), number(144.0), number(None)) == (
        "40.86",
        "0.972",
        "144",
        "–",
    )
    assert (number(-0.0001, 5.0), number(1e-7), number(float("nan")), number(0.0)) == (
        "0.00",
        "1e-07",
        "–",
        "0",
    )
    assert (tick(0.25, 0.25), tick(2000, 1000), tick(-0.0, 0.5)) == ("0.25", "2000", "0.0")
    assert tick(1_500_000, 500_000) == "1,500,000"
    assert (share(3, 25, "clips"), listing(["a", "b", "c"]), listing([])) == (
        "3 of 25 clips (12\N{NO-BREAK SPACE}%)",
        "a, b and c",
        "",
    )


def test_markdown_of_a_file_name_is_one_line() -> None:
    found = cases.drawn(4)
    clips = found.clips.copy()
    clips.loc[0, "file"] = "a\n# b\n\n|c|.mp4"
    assert "\n# b" not in write_markdown(collect(replace(found, clips=clips)))
