"""What an audit reads from a data set: attributes by person, intended and measured outcomes, what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from equime.dataset import Dataset
from equime.errors import InputError, WorkError
from equime.evaluation_framework.audit.attributes import halves
from equime.evaluation_framework.audit.data import UNKNOWN
from equime.evaluation_framework.audit.intent import MIN_CLIPS, RARE, finished, intent_row
from equime.evaluation_framework.audit.load import load
from equime.generation_pipeline.causal_model import CausalModel
from tests import runs
from tests.generation_pipeline.specimens import make_face


def table(out: Path, name: str, cell: Callable[[int, str], dict[str, Any]], **keys: Any) -> pd.DataFrame:
    """Write a table with a row per clip; ``cell`` gets the clip's position and its subject."""
    rows = [
        {
            "clip_id": view.clip.clip_id,
            "input_digest": view.clip.sha256[:16],
            "annotator_version": "1",
            "notes": "[]",
            **cell(i, view.spec.subject_id),
            **keys,
        }
        for i, view in enumerate(Dataset.open(out))
    ]
    (out / "tables").mkdir(exist_ok=True)
    frame = pd.DataFrame(rows)
    frame.to_parquet(out / "tables" / f"{name}.parquet")
    return frame


def codes(data: Any) -> dict[str, int]:
    return {finding.code: finding.n for finding in data.findings}


def subjects(out: Path) -> list[str]:
    return sorted({view.spec.subject_id for view in Dataset.open(out)})


def test_a_data_set_without_tables_says_what_is_missing(reference: Path) -> None:
    data = load(reference)
    assert len(data.clips) == runs.N_CLIPS
    assert data.measured == ()
    assert {"missing_weights", "not_extracted", "not_measured"} <= set(codes(data))
    assert {o.name for o in data.intended} >= {"emotion", "intensity_max", "laterality", "intended_n_blinks"}
    for outcome in data.intended:
        assert outcome.name in data.clips


def test_declared_attributes(reference: Path) -> None:
    data = load(reference)
    gender = data.attribute("declared_gender")
    assert gender.origin == "declared"
    views = {view.clip.clip_id: view for view in Dataset.open(reference)}
    for row in data.clips.itertuples():
        declared = views[row.clip_id].face.declared.gender
        assert row.declared_gender == (UNKNOWN if declared == "u" else declared)
    # Three people are fewer than are compared.
    assert codes(data)["small_group"] == len(gender.groups)
    assert data.comparable(gender) == ()


def test_estimates_belong_to_the_person(made: Path) -> None:
    first = subjects(made)[0]
    seen = dict.fromkeys(subjects(made), 0)

    def cell(_: int, subject: str) -> dict[str, Any]:
        seen[subject] += 1
        # One clip of the first subject is read otherwise, and one has no label.
        label = "man" if subject == first and seen[subject] == 1 else "woman"
        label = None if subject == first and seen[subject] == 2 else label
        return {
            "estimated_gender": label,
            "estimated_gender_p_woman": 0.25 if label == "man" else 0.75,
            "estimated_gender_p_man": 0.75 if label == "man" else 0.25,
            "estimated_age_years": 20.0 + seen[subject],
            "estimated_age_group": "20 to 29" if seen[subject] < 4 else "other",
            "estimated_emotion": "sad",
        }

    table(made, "deepface", cell)
    data = load(made)
    gender, age = data.attribute("estimated_gender"), data.attribute("estimated_age_group")
    own = data.clips[data.clips["subject_id"] == first]
    # Two of four clips are no majority.
    assert set(own["estimated_gender"]) == {UNKNOWN}
    assert own["estimated_gender_p_woman"].to_numpy() == pytest.approx((0.25 + 0.75 * 3) / 4)
    assert set(data.clips["estimated_gender"]) == {UNKNOWN, "woman"}
    assert gender.groups == ("woman",)
    assert gender.soft == ("estimated_gender_p_woman",)
    assert age.number == "estimated_age_years"
    assert set(own["estimated_age_years"]) == {22.5}
    assert set(own["estimated_age_group"]) == {"20 to 29"}
    assert "estimated_emotion" not in {a.name for a in data.attributes}
    assert codes(data)["unknown_group"] == 1
    assert "constant_attribute" in codes(data)


def test_a_second_labeller_and_skin_tone(made: Path) -> None:
    names = subjects(made)
    table(made, "labels_anna", lambda _, s: {"estimated_gender_anna": "woman" if s == names[0] else "man"})
    ita = dict(zip(names, (60.0, 20.0, -50.0), strict=True))
    bins = dict(zip(names, ("very light", "tan", "dark"), strict=True))
    table(
        made, "skin_tone",
        lambda i, s: {"measured_ita_deg": ita[s] + i % 3, "measured_ita_group": bins[s]},
    )  # fmt: skip
    data = load(made)
    anna = data.attribute("estimated_gender_anna")
    assert anna.title == "gender (estimated by anna)"
    assert anna.groups == ("man", "woman")
    skin = data.attribute("measured_ita_group")
    assert skin.groups == ("very light", "tan", "dark")
    assert (skin.origin, skin.number, skin.unit) == ("measured", "measured_ita_deg", "deg")


def test_measured_outcomes_carry_unit_and_direction(made: Path) -> None:
    table(made, "timing", lambda i, _: {"peak_motion_mm": 1.0 + i, "movement_found": i % 2 == 0, "other": 1})
    data = load(made)
    outcomes = {o.name: o for o in data.measured}
    assert set(outcomes) == {"peak_motion_mm", "movement_found"}
    assert (outcomes["peak_motion_mm"].unit, outcomes["peak_motion_mm"].kind) == ("mm", "number")
    assert (outcomes["movement_found"].direction, outcomes["movement_found"].kind) == ("higher", "flag")
    assert "other" not in data.clips


def test_rows_that_cannot_be_joined_are_counted(made: Path) -> None:
    frame = table(made, "timing", lambda i, _: {"peak_motion_mm": float(i)})
    frame.loc[0, "clip_id"] = "nobody"
    frame.loc[1, "input_digest"] = "another"
    frame.loc[2, "notes"] = json.dumps([["no_face", "none"], ["no_face", "again"]])
    frame.to_parquet(made / "tables" / "timing.parquet")
    data = load(made)
    found = codes(data)
    assert (found["unknown_clip"], found["stale_row"], found["no_face"], found["no_row"]) == (1, 1, 1, 2)
    assert len(data.clips) == runs.N_CLIPS
    assert data.clips["peak_motion_mm"].isna().sum() == 2


def test_an_unreadable_table_is_named(made: Path) -> None:
    (made / "tables").mkdir(exist_ok=True)
    (made / "tables" / "skin_tone.parquet").write_bytes(b"nothing")
    with pytest.raises(WorkError, match=r"skin_tone\.parquet: unreadable"):
        load(made)


def test_no_data_set_and_no_clip(tmp_path: Path, planned: Path) -> None:
    with pytest.raises(InputError, match="no equime data set"):
        load(tmp_path)
    with pytest.raises(InputError, match="no finished clip"):
        load(planned)


def test_twins_are_clips_of_one_expression_on_several_people(faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "twins"
    code, _, err = runs.generate(faces, out, *runs.options(), "--twins")
    assert code == 0, err
    clips = load(out).clips
    assert clips["twin_group"].notna().all()
    for _, group in clips.groupby("twin_group"):
        assert group["subject_id"].is_unique
        assert len(group) == 3
        for column in ("emotion", "intensity_max", "onset_ms", "au_set"):
            assert group[column].nunique() == 1


def test_without_twins_there_are_none(reference: Path) -> None:
    assert load(reference).clips["twin_group"].isna().all()


def test_intent_of_drawn_specs() -> None:
    model, face = CausalModel(), make_face(1)
    specs = [
        model.sample(face, 3, do={"emotion": emotion}, replicate=i)
        for i in range(40)
        for emotion in ("happiness", "anger", "neutral")
    ]
    rows, outcomes = finished([intent_row(spec) for spec in specs])
    flags = [o.name for o in outcomes if o.kind == "flag"]
    assert "au12" in flags
    for spec, row in zip(specs, rows, strict=True):
        shown = {peak.au for peak in spec.aus}
        if spec.emotion == "neutral":
            assert row["intensity_max"] is None
            assert all(row[name] is None for name in flags)
            continue
        assert row["intensity_max"] == max(max(p.left, p.right) for p in spec.aus)
        assert row["onset_to_apex_ms"] == pytest.approx(spec.phases.apex_ms - spec.phases.onset_ms)
        for name in flags:
            assert row[name] == (int(name[2:]) in shown)
    sets = pd.Series([row["au_set"] for row in rows]).value_counts()
    assert all(n >= MIN_CLIPS for name, n in sets.items() if name != RARE)


def test_halves_of_measured_skin_tone_need_people_enough(made: Path) -> None:
    table(made, "skin_tone", lambda i, s: {"measured_ita_deg": 10.0, "measured_ita_group": "tan"})
    assert "measured_ita_half" not in {a.name for a in load(made).attributes}


def test_halves_are_cut_at_the_median() -> None:
    people = [f"s{i:02d}" for i in range(11)]
    clips = pd.DataFrame({"subject_id": people + people, "ita": [*range(11)] * 2})
    clips.loc[clips["subject_id"] == "s03", "ita"] = float("nan")
    assert halves(clips, "ita", "half", ("light", "dark")) == 5.5
    assert list(clips["half"])[:6] == ["dark", "dark", "dark", UNKNOWN, "dark", "dark"]
    assert set(clips["half"][6:11]) == {"light"}
    few = clips[clips["subject_id"] < "s07"].drop(columns="half")
    assert halves(few, "ita", "half", ("light", "dark")) is None
    assert "half" not in few
