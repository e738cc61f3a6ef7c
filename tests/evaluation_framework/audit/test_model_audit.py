"""The audit of one predictions file from end to end."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from equime.evaluation_framework.audit import model_audit as module
from equime.evaluation_framework.audit.data import UNKNOWN, AuditData
from equime.evaluation_framework.audit.model_audit import audit_predictions, model_audit
from equime.evaluation_framework.audit.model_records import ModelAudit
from tests.evaluation_framework.audit.cases import ATTRIBUTES, make_data
from tests.evaluation_framework.audit.recognisers import recogniser

GENDER = ATTRIBUTES[:1]
LITTLE = {"n_boot": 200, "n_permutations": 99}


def file_of(folder: Path, data: AuditData, n_rows: int | None = None) -> Path:
    made = recogniser(data, probabilities=True)
    labels = np.array(made.labels)
    table = pd.DataFrame({"clip_id": data.clips["clip_id"], "prediction": labels[made.predicted]})
    assert made.probabilities is not None
    for k, label in enumerate(labels):
        table[f"p_{label}"] = made.probabilities[:, k]
    table.head(n_rows or len(table)).to_csv(folder / "predictions.csv", index=False)
    return folder / "predictions.csv"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelAudit, AuditData, Path]:
    groups = {
        "declared_gender": ["f"] * 10 + ["m"] * 10 + [UNKNOWN] * 4,
        "estimated_race": ["asian", "black", "white"] * 7 + ["black"] * 3,
        "measured_ita_group": ["brown"] * 11 + ["light"] * 10 + ["tan"] * 3,
    }
    data = make_data(24, 5, groups=groups, twins=True)
    file = file_of(tmp_path_factory.mktemp("model"), data, 115)
    return model_audit(file, data, **LITTLE), data, file


def test_what_is_in_it(whole: tuple[ModelAudit, AuditData, Path]) -> None:
    audit, _, file = whole
    assert (audit.file, audit.n_rows, audit.n_used, audit.n_without) == (str(file), 115, 115, 5)
    assert audit.labels == ("anger", "fear", "happiness", "sadness", "surprise")
    assert set(audit.overall) == {"accuracy", "uf1", "uar", "ece", "brier"}
    assert all(
        own.low is not None and own.value is not None and own.low <= own.value
        for own in audit.overall.values()
    )
    assert sum(n for _, _, n in audit.calibration) == 115
    assert [finding.code for finding in audit.findings] == ["missing_prediction", "uneven_predictions"]
    assert audit.counterfactual is not None
    assert audit.counterfactual.n_expressions == 5


def test_groups_and_intersections(whole: tuple[ModelAudit, AuditData, Path]) -> None:
    audit, data, _ = whole
    found = {group.attributes: group for group in audit.by_group}
    assert list(found)[:3] == [(a.name,) for a in data.attributes]
    gender = found["declared_gender",]
    assert [(g.group, g.n_subjects, g.n, g.enough) for g in gender.groups] == [
        (("f",), 10, 50, True),
        (("m",), 10, 50, True),
        ((UNKNOWN,), 3, 15, False),
    ]
    tan = found["measured_ita_group",].groups[1]
    assert (tan.group, tan.n_subjects, tan.enough) == (("tan",), 2, False)
    assert all(own.value is None and own.n == 10 for own in tan.scores.values())
    assert set(tan.recall.values()) == {None}
    crossed = [names for names in found if len(names) == 2]
    assert ("declared_gender", "measured_ita_group") in crossed
    for names in crossed:
        enough = {group.group for group in found[names].groups if group.enough}
        assert len(enough) >= 2
        assert all({gap.worst, gap.best} <= enough for gap in found[names].gaps if gap.worst)


def test_figures_of_a_group_are_those_of_its_clips(whole: tuple[ModelAudit, AuditData, Path]) -> None:
    audit, data, file = whole
    table = data.clips.merge(pd.read_csv(file), on="clip_id")
    for group in audit.by_group[0].groups[:2]:
        own = table[table["declared_gender"] == group.group[0]]
        assert group.scores["accuracy"].value == pytest.approx((own["emotion"] == own["prediction"]).mean())
        for label, share in group.selection.items():
            assert share == pytest.approx((own["prediction"] == label).mean())


def test_every_p_is_corrected_over_the_file(whole: tuple[ModelAudit, AuditData, Path]) -> None:
    gaps = [gap for group in whole[0].by_group for gap in group.gaps]
    p = np.array([gap.p for gap in gaps if gap.p is not None])
    q = np.array([gap.q for gap in gaps if gap.p is not None])
    order = p.argsort()
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    by_hand = np.minimum.accumulate(steps[::-1])[::-1]
    np.testing.assert_allclose(q[order], np.minimum(by_hand, 1))


def test_the_record_goes_through_json(whole: tuple[ModelAudit, AuditData, Path]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(whole[0]), type=ModelAudit) == whole[0]


def test_the_order_of_rows_and_clips_does_not_matter(tmp_path: Path) -> None:
    data = make_data(12, 5, attributes=GENDER, twins=True)
    file = file_of(tmp_path, data)
    first = model_audit(file, data, **LITTLE)
    pd.read_csv(file).sample(frac=1, random_state=1).to_csv(file, index=False)
    other = dataclasses.replace(data, clips=data.clips.sample(frac=1, random_state=2).reset_index(drop=True))
    again = model_audit(file, other, **LITTLE)
    flat, flat_again = (_numbers(msgspec.to_builtins(a)) for a in (first, again))
    np.testing.assert_allclose(flat, flat_again, rtol=1e-9, atol=1e-12)


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for key in value for number in _numbers(value[key])]
    if isinstance(value, list | tuple):
        return [number for part in value for number in _numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


def test_groups_too_small_to_compare() -> None:
    data = make_data(9, 5, groups={"declared_gender": ["f"] * 5 + ["m"] * 4}, attributes=GENDER)
    found = audit_predictions(recogniser(data), data, **LITTLE).by_group[0]
    assert found.gaps == ()
    assert "fewer than two groups" in found.skipped
    assert [group.enough for group in found.groups] == [True, False]


def test_nobody_at_all_is_in_a_group_that_counts() -> None:
    data = make_data(6, 5, groups={"declared_gender": [UNKNOWN] * 6}, attributes=GENDER)
    found = audit_predictions(recogniser(data), data, **LITTLE)
    assert found.by_group[0].groups[0].n == 30
    assert found.overall["accuracy"].value is not None


def test_pairs_that_are_left_out_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_INTERSECTIONS", 1)
    data = make_data(40, 5)
    found = audit_predictions(recogniser(data), data, **LITTLE)
    assert [len(group.attributes) for group in found.by_group] == [1, 1, 1, 2]
    assert [(finding.code, finding.n) for finding in found.findings] == [("intersections_left_out", 2)]


def test_two_labels_of_one_thing_are_not_crossed() -> None:
    again = dataclasses.replace(ATTRIBUTES[0], name="estimated_gender", origin="estimated", groups=("f", "m"))
    data = make_data(24, 5, groups={"estimated_gender": ["f", "m"] * 12}, attributes=(*GENDER, again))
    found = audit_predictions(recogniser(data), data, **LITTLE)
    assert [group.attributes for group in found.by_group] == [("declared_gender",), ("estimated_gender",)]


def test_predictions_that_are_missing_from_one_group_are_said() -> None:
    data = make_data(20, 5, groups={"declared_gender": ["f", "m"] * 10}, attributes=GENDER)
    lacks = (data.clips["declared_gender"] == "f") & (data.clips["emotion"] == "fear")
    found = audit_predictions(recogniser(data, kept=~lacks.to_numpy()), data, **LITTLE)
    finding = next(f for f in found.findings if f.code == "uneven_predictions")
    assert "20% of f, 0% of m" in finding.message
    assert finding.n == 10
    f = found.by_group[0].groups[0]
    assert f.scores["uf1"].value is None, "a class is missing"
    assert f.scores["accuracy"].value is not None
    assert f.recall["fear"] is None
