"""Label errors: planted ones are undone, ranges hold the truth, and what is not known is said."""

import dataclasses

import numpy as np
import pytest

from equime.evaluation_framework.audit.association import associations
from equime.evaluation_framework.audit.data import Attribute, AuditData
from equime.evaluation_framework.audit.label_errors import (
    confusion_of,
    most_likely_shares,
    published_errors,
    rogan_gladen,
    specificity,
)
from equime.evaluation_framework.audit.label_noise import draw_labels, label_noise, unknown_error
from equime.evaluation_framework.audit.records import LabelNoise
from tests.evaluation_framework.audit.cases import INTENDED, make_data

GENDER = Attribute("estimated_gender", "estimated", "gender", ("f", "m"), "tables/deepface.parquet")
TRUE = Attribute("declared_gender", "declared", "gender", ("f", "m"), "faces.jsonl")
OUTCOMES = tuple(o for o in INTENDED if o.name in {"intensity_max", "laterality"})


def planted(seed: int, confusion: np.ndarray, n: int = 400, attribute: Attribute = GENDER) -> AuditData:
    """40 % women whose intensity and laterality differ; labels wrong by ``confusion``, true in rows."""
    random = np.random.default_rng(seed)
    true = (random.random(n) > 0.4).astype(int)
    wrong = random.random(n) < confusion[true, 1 - true]
    label = np.where(wrong, 1 - true, true)
    given = confusion * np.array([[0.4], [0.6]])
    soft = (given / given.sum(0)).T[label]
    women = np.repeat(true == 0, 3)
    names = np.array(["f", "m"], dtype=object)
    data = make_data(
        n, 3, seed,
        {
            "estimated_gender": names[label], "declared_gender": names[true],
            "estimated_gender_p_f": soft[:, 0], "estimated_gender_p_m": soft[:, 1],
        },
        attributes=(attribute, TRUE),
        intensity_max=np.repeat(random.normal(size=n), 3) + 1.0 * women,
        laterality=np.where(np.repeat(random.random(n), 3) < 0.3 + 0.4 * women, "left", "both"),
    )  # fmt: skip
    return dataclasses.replace(data, intended=OUTCOMES)


def figures(data: AuditData, n_draws: int = 100) -> tuple[dict[str, float], dict[str, LabelNoise]]:
    """The figures from the true groups, and what label noise says of those from the labels."""
    found = associations(data, n_permutations=100, n_boot=100)
    kind = {"cramers_v": "Cramer's V", "eta_squared": "eta squared"}
    truth = {
        f"{kind[a.measure]} with {a.outcome_title}": float(a.effect.value or 0)
        for a in found
        if a.attribute == "declared_gender"
    }
    gender = data.clips.drop_duplicates("subject_id")["declared_gender"]
    truth |= {f"share of {g}": float((gender == g).mean()) for g in "fm"}
    return truth, {row.figure: row for row in label_noise(data, found, n_draws=n_draws)}


def test_published_figures_of_two_groups_give_the_confusion() -> None:
    """From counts: 1873 hits, 98 misses, 72 false alarms, 4604 right rejections."""
    hit, miss, false, reject = 1873, 98, 72, 4604
    accuracy = (hit + reject) / (hit + miss + false + reject)
    assert specificity(accuracy, hit / (hit + false), hit / (hit + miss)) == pytest.approx(
        reject / (false + reject)
    )


def test_deepface_is_published() -> None:
    errors = {e.trait: e for e in published_errors()}
    gender = confusion_of(errors["gender"], ("Man", "Woman"))
    assert gender is not None
    assert gender[1, 1] == 0.9505
    assert gender[0, 0] == pytest.approx(0.9845, abs=1e-4)
    assert np.array_equal(gender[::-1, ::-1], confusion_of(errors["gender"], ("f", "m")))
    race = confusion_of(errors["race"], tuple("abcdef"))
    assert race is not None
    assert race.sum(1) == pytest.approx(np.ones(6))
    assert np.diag(race) == pytest.approx(np.full(6, 0.68))
    assert confusion_of(errors["gender"], ("f", "m", "x")) is None


def test_rogan_gladen_by_hand() -> None:
    confusion = np.array([[0.9, 0.1], [0.2, 0.8]])
    observed = np.array([0.3, 0.7]) @ confusion
    assert rogan_gladen(observed, confusion) == pytest.approx([0.3, 0.7])
    assert most_likely_shares(observed, confusion) == pytest.approx([0.3, 0.7])
    # (observed + specificity - 1) / (sensitivity + specificity - 1), from the paper.
    assert rogan_gladen(observed, confusion)[0] == pytest.approx((observed[0] + 0.8 - 1) / (0.9 + 0.8 - 1))
    assert rogan_gladen(np.array([0.05, 0.95]), confusion) is None, "fewer than the false alarms alone"
    assert most_likely_shares(np.array([0.05, 0.95]), confusion) == pytest.approx([0, 1], abs=1e-3)
    assert rogan_gladen(np.array([0.5, 0.5]), np.full((2, 2), 0.5)) is None


def test_planted_errors_at_published_rates_are_undone() -> None:
    gender = next(e for e in published_errors() if e.trait == "gender")
    confusion = confusion_of(gender, ("f", "m"))
    assert confusion is not None
    check_recovery(confusion, GENDER, inside=0.75)


def test_planted_errors_with_probabilities_are_undone() -> None:
    soft = dataclasses.replace(
        GENDER, source="tables/other.parquet", soft=("estimated_gender_p_f", "estimated_gender_p_m")
    )
    check_recovery(np.array([[0.8, 0.2], [0.1, 0.9]]), soft, inside=0.7)


def check_recovery(confusion: np.ndarray, attribute: Attribute, inside: float) -> None:
    rows: dict[str, list[tuple[float, LabelNoise]]] = {}
    for seed in range(12):
        truth, found = figures(planted(seed, confusion, attribute=attribute))
        assert set(found) == set(truth)
        for name, row in found.items():
            rows.setdefault(name, []).append((truth[name], row))
    for name, pairs in rows.items():
        true = np.array([t for t, _ in pairs])
        observed = np.array([r.observed for _, r in pairs])
        corrected = np.array([np.nan if r.corrected is None else r.corrected for _, r in pairs])
        assert np.abs(np.mean(corrected - true)) < 0.02, name
        if not name.startswith("share"):
            assert np.mean(observed) < np.mean(true), "wrong labels weaken what goes with the true group"
            assert np.abs(np.mean(corrected - true)) < np.abs(np.mean(observed - true)), name
        assert np.mean([r.low <= t <= r.high for t, r in pairs]) >= inside, name


def test_no_effect_stays_none() -> None:
    data = planted(3, np.array([[0.8, 0.2], [0.1, 0.9]]))
    random = np.random.default_rng(3)
    data.clips["intensity_max"] = random.normal(size=len(data.clips))
    _, found = figures(data)
    row = found["eta squared with largest intensity"]
    assert row.corrected == pytest.approx(0, abs=0.02)
    assert row.high < 0.05


def test_labels_that_cannot_be_wrong_change_nothing() -> None:
    data = planted(
        1,
        np.eye(2),
        attribute=dataclasses.replace(
            GENDER, source="tables/x.parquet", soft=("estimated_gender_p_f", "estimated_gender_p_m")
        ),
    )
    for row in figures(data)[1].values():
        assert row.low == pytest.approx(row.observed)
        assert row.high == pytest.approx(row.observed)
        assert row.corrected == pytest.approx(row.observed, abs=0.005)  # the chance value is by permutation


def test_impossible_shares_are_not_corrected() -> None:
    data = make_data(
        100, 3, groups={"estimated_gender": ["f"] * 0 + ["m"] * 95 + ["f"] * 5}, attributes=(GENDER,)
    )
    noise = figures_of(data)
    assert noise["share of f"].corrected is not None
    race = dataclasses.replace(GENDER, name="estimated_race", groups=("a", "b"))
    data = make_data(100, 3, groups={"estimated_race": ["a"] * 90 + ["b"] * 10}, attributes=(race,))
    noise = figures_of(data)
    assert noise["share of b"].corrected is None
    assert "cannot come from such errors" in noise["share of b"].error
    assert noise["share of b"].high < 0.2


def figures_of(data: AuditData) -> dict[str, LabelNoise]:
    return {row.figure: row for row in label_noise(data, (), n_draws=100)}


def test_age_from_its_mean_absolute_error() -> None:
    random = np.random.default_rng(5)
    age = random.uniform(18, 70, 2000)
    told = age + random.normal(0, 4.65 * np.sqrt(np.pi / 2), 2000)
    cut = np.array(["young", "old"], dtype=object)
    attribute = Attribute(
        "estimated_age_group", "estimated", "age", ("young", "old"), "tables/deepface.parquet",
        number="estimated_age", unit="years",
    )  # fmt: skip
    groups = {"estimated_age": told, "estimated_age_group": cut[(told > 60).astype(int)]}
    data = make_data(2000, 1, groups=groups, attributes=(attribute,))
    row = figures_of(data)["share of old"]
    assert row.observed > (age > 60).mean(), "errors spread the ages"
    assert row.corrected == pytest.approx((age > 60).mean(), abs=0.03)
    assert "4.65 years" in row.error


def test_what_is_not_known_is_said_and_declared_attributes_have_no_label_noise() -> None:
    unknown = dataclasses.replace(GENDER, source="tables/labels_mine.parquet")
    data = make_data(20, groups={"estimated_gender": ["f", "m"] * 10}, attributes=(unknown, TRUE))
    assert label_noise(data, associations(data, n_permutations=100, n_boot=100)) == ()
    (finding,) = unknown_error(data)
    assert finding.code == "unknown_label_error"
    assert "labels_mine" in finding.message
    assert unknown_error(dataclasses.replace(data, attributes=(GENDER, TRUE))) == ()


def test_one_group_and_missing_probabilities() -> None:
    soft = dataclasses.replace(GENDER, source="x", soft=("p_f", "p_m"))
    data = make_data(
        20, groups={"estimated_gender": ["f"] * 20, "p_f": [1.0] * 20, "p_m": [0.0] * 20}, attributes=(soft,)
    )
    assert figures_of(data) == {}
    p = [0.9] * 9 + [np.nan] + [0.2] * 10
    groups = {"estimated_gender": ["f"] * 10 + ["m"] * 10, "p_f": p, "p_m": [1 - x for x in p]}
    row = figures_of(make_data(20, groups=groups, attributes=(soft,)))["share of f"]
    assert row.corrected == pytest.approx((9 + 2) / 20), "the one without is as the others with this label"


def test_draws_follow_the_probabilities_and_the_seed() -> None:
    given = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    drawn = draw_labels(given, 20_000, np.random.default_rng(1))
    assert np.bincount(drawn[:, 0], minlength=3) / 20_000 == pytest.approx([0.2, 0.5, 0.3], abs=0.015)
    assert (drawn[:, 1] == 0).all()
    data = planted(2, np.array([[0.8, 0.2], [0.1, 0.9]]), n=60)
    before = label_noise(data, (), n_draws=100)
    mixed = dataclasses.replace(data, clips=data.clips.sample(frac=1, random_state=1).reset_index(drop=True))
    assert label_noise(mixed, (), n_draws=100) == before
    assert label_noise(data, (), n_draws=100, seed=1) != before
