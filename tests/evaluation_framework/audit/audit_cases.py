"""Audits written by hand, as the audit would give them: tests of its report need no computing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from equime.evaluation_framework.audit.data import Finding
from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.model_records import (
    Counterfactual,
    Flip,
    Gap,
    GroupAudit,
    GroupScore,
    ModelAudit,
)
from equime.evaluation_framework.audit.records import (
    Agreement,
    Association,
    Audit,
    Cell,
    GroupMean,
    GroupShare,
    Intersection,
    LabelNoise,
    Parity,
    ParityRow,
    Representation,
    Skin,
)
from equime.provenance import Provenance
from equime.seeding import stream

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
EVIL = "<script>alert(1)</script>&\"'`|*_[x](http://evil.example)@me"
"""A name that would be markup, a table cell, a link or code if it were not escaped."""

GENDER = ("declared_gender", "gender (declared)", ("f", "m"))
LABELLED = ("estimated_gender_deepface", "gender (estimated by DeepFace)", ("Man", "Woman"))
RACE = ("estimated_race_deepface", "race (estimated by DeepFace)", ("asian", "black", "indian", "white"))
SKIN = (
    "measured_ita_group",
    "skin tone (measured, ITA)",
    ("very light", "light", "intermediate", "tan", "brown", "dark"),
)
ATTRIBUTES = (GENDER, LABELLED, RACE, SKIN)
OUTCOMES = (
    ("emotion", "emotion", "groups", ""),
    ("au_set", "set of Action Units", "groups", ""),
    ("unilateral", "one-sided", "flag", ""),
    ("intensity_max", "largest intensity", "number", "FACS 0 to 5"),
    ("onset_ms", "onset phase", "number", "ms"),
)
MEASURED = (
    ("peak_motion_mm", "largest displacement", "mm", "none", 1.6),
    ("apex_error_ms", "apex error", "ms", "lower", 12.0),
    ("flow_ratio", "measured over commanded movement", "", "none", 0.93),
    ("psnr_source_db", "PSNR against the source", "dB", "none", 38.0),
    ("brisque", "BRISQUE", "1", "lower", 24.0),
    ("flicker", "flicker", "1", "lower", 0.011),
    ("n_blinks", "blinks found", "1", "none", 1.2),
)


def interval(value: float | None, half: float = 0.05, n: int = 240, n_subjects: int = 42) -> Interval:
    if value is None:
        return Interval(value=None, low=None, high=None, n=n, n_subjects=n_subjects)
    return Interval(value=value, low=value - half, high=value + half, n=n, n_subjects=n_subjects)


def representation(
    attribute: tuple[str, str, Sequence[str]], counts: Sequence[int], *, unknown: int = 0, **fields: Any
) -> Representation:
    name, title, groups = attribute
    total = sum(counts)
    shares = [
        GroupShare(
            group=g, n_subjects=n, n_clips=6 * n, share=n / total, low=max(0.0, n / total - 0.1),
            high=min(1.0, n / total + 0.1), target=fields.get("target", {}).get(g),
            difference=n / total - fields["target"][g] if "target" in fields else None, enough=n >= 5,
        )
        for g, n in zip(groups, counts, strict=True)
    ]  # fmt: skip
    if unknown:
        shares.append(
            GroupShare(
                group="unknown", n_subjects=unknown, n_clips=6 * unknown, share=None, low=None, high=None
            )
        )
    origin: Any = name.partition("_")[0]
    return Representation(
        attribute=name, origin=origin, title=title, groups=tuple(shares), n_unknown=unknown, entropy_bits=0.98,
        effective_number=1.97, evenness=0.99, target_distance=0.12 if "target" in fields else None,
        target_p=0.08 if "target" in fields else None, absent=fields.get("absent", ()),
    )  # fmt: skip


def association(
    attribute: tuple[str, str, Sequence[str]],
    outcome: tuple[str, str, str, str],
    rng: Any,
    *,
    planted: bool = False,
) -> Association:
    name, title, groups = attribute
    key, called, kind, unit = outcome
    p = 0.0005 if planted else float(rng.uniform(0.06, 1))
    means = []
    for i, g in enumerate(groups):
        raw = rng.uniform(0.5, 1.0, len(EMOTIONS))
        if planted:
            raw[3] += 4 * (i == 0)
        shares = dict(zip(EMOTIONS, (raw / raw.sum()).tolist(), strict=True)) if kind == "groups" else {}
        value = None if kind == "groups" else float(rng.uniform(0.2, 0.4))
        means.append(
            GroupMean(
                group=g, estimate=interval(value, 0.06, 240 // len(groups), 42 // len(groups)), shares=shares
            )
        )
    number = kind == "number"
    return Association(
        attribute=name, attribute_title=title, outcome=key, outcome_title=called, unit=unit, outcome_kind=kind,
        measure="eta_squared" if number else "cramers_v", effect=interval(0.41 if planted else float(rng.uniform(0, 0.06))),
        information_bits=None if number else 0.02, p=p, q=0.01 if planted else min(1.0, p + 0.3), n_tests=20,
        detectable=0.09 if number else 0.12, groups=tuple(means),
    )  # fmt: skip


def untested(of: Association, why: str) -> Association:
    return replace(
        of,
        effect=interval(None),
        p=None,
        q=None,
        detectable=None,
        information_bits=None,
        skipped=why,
        groups=(),
    )


def parity(
    attribute: tuple[str, str, Sequence[str]],
    outcome: tuple[str, str, str, str, float],
    rng: Any,
    *,
    planted: bool = False,
) -> Parity:
    name, title, groups = attribute
    key, called, unit, direction, mean = outcome
    values = [
        mean * (1 + float(rng.uniform(-0.03, 0.03)) - 0.3 * planted * (i == len(groups) - 1))
        for i in range(len(groups))
    ]
    rows = tuple(
        ParityRow(group=g, estimate=interval(v, 0.04 * mean, 240 // len(groups), 42 // len(groups)))
        for g, v in zip(groups, values, strict=True)
    )
    gap = max(values) - min(values)
    p = 0.001 if planted else float(rng.uniform(0.06, 1))
    return Parity(
        attribute=name, attribute_title=title, outcome=key, outcome_title=called, unit=unit, direction=direction,
        rows=rows, adjusted_for="twins", gap=interval(gap, 0.02 * mean), relative_gap=gap / mean,
        lowest=groups[values.index(min(values))], highest=groups[values.index(max(values))], p=p,
        q=0.02 if planted else min(1.0, p + 0.2), n_tests=28, detectable=0.08 * mean,
    )  # fmt: skip


def intersection(
    a: tuple[str, str, Sequence[str]], b: tuple[str, str, Sequence[str]], rng: Any
) -> Intersection:
    counts = rng.choice([0, 0, 2, 4, 7, 11], len(a[2]) * len(b[2])).tolist()
    cells = tuple(
        Cell(groups=pair, n_subjects=n, n_clips=6 * n)
        for pair, n in zip(itertools.product(a[2], b[2]), counts, strict=True)
    )
    return Intersection(
        attributes=(a[0], b[0]), titles=(a[1], b[1]), cells=cells, n_empty=counts.count(0),
        n_small=counts.count(2) + counts.count(4), effective_number=4.2,
    )  # fmt: skip


def skin(n: int, rng: Any) -> tuple[Skin, ...]:
    angles = sorted((float(a) for a in rng.uniform(-48, 66, n)), reverse=True)
    found = []
    for i, ita in enumerate(angles):
        level = (ita + 60) / 130
        srgb = "#" + "".join(f"{int(c * level + d):02x}" for c, d in ((170, 70), (165, 45), (160, 30)))
        edges = (55, 41, 28, 10, -30)
        group = SKIN[2][sum(ita <= e for e in edges)]
        found.append(
            Skin(
                subject_id=f"s{i:03d}", ita_deg=ita, hue_deg=52.0 + i % 9, lightness=20 + 55 * level, group=group,
                monk=max(1, 10 - int(9.5 * level)), srgb=srgb, confidence=0.5 + 0.5 * float(rng.uniform()),
            )
        )  # fmt: skip
    none = Skin(
        subject_id="s999",
        ita_deg=None,
        hue_deg=None,
        lightness=None,
        group=None,
        monk=None,
        srgb=None,
        confidence=0.1,
    )
    return (*found, none)


def agreement() -> tuple[Agreement, ...]:
    gender = Agreement(
        attribute="gender", labellers=("declared_gender", "estimated_gender_deepface"), alpha=interval(0.81, 0.1),
        level="nominal", agreement=0.9, labels=("f", "m"), confusion=((20, 3), (1, 18)), mean_difference=None, n_subjects=42,
        note="Woman is f, Man is m",
    )  # fmt: skip
    age = Agreement(
        attribute="age", labellers=("declared_age", "estimated_age_deepface"), alpha=interval(0.44, 0.2), level="interval",
        agreement=None, labels=(), confusion=(), mean_difference=-4.31, n_subjects=30,
    )  # fmt: skip
    return gender, age


def _scores(value: float, n: int, n_subjects: int) -> dict[str, Interval]:
    names = {"uf1": 0.0, "uar": 0.02, "accuracy": 0.05, "ece": -0.5}
    return {k: interval(abs(value + d), 0.07, n, n_subjects) for k, d in names.items()}


def group_audit(attributes: Sequence[tuple[str, str, Sequence[str]]], *, planted: bool = False) -> GroupAudit:
    groups = []
    for i, names in enumerate(itertools.product(*(a[2] for a in attributes))):
        rates = dict.fromkeys(EMOTIONS, 0.1 + 0.02 * i)
        recall: dict[str, float | None] = {**rates, "fear": None}
        groups.append(
            GroupScore(
                group=tuple(names), n=30 + i, n_subjects=6 + i, scores=_scores(0.62 - 0.05 * i, 30 + i, 6 + i), selection=dict(rates),
                recall=recall, false_positive=dict(rates), enough=i != 3,
            )
        )  # fmt: skip
    first, last = groups[0].group, groups[-1].group
    gaps = tuple(
        Gap(name=name, klass=klass, gap=interval(0.2, 0.1), worst=last, best=first, ratio=0.7, p=p, q=p + 0.01)
        for name, klass, p in (
            ("accuracy", "", 0.001 if planted else 0.4), ("uf1", "", 0.2), ("demographic parity", "happiness", 0.31),
            ("equal opportunity", "fear", 0.62), ("equalised odds", "", 0.5),
        )
    )  # fmt: skip
    return GroupAudit(
        attributes=tuple(a[0] for a in attributes),
        titles=tuple(a[1] for a in attributes),
        groups=tuple(groups),
        gaps=gaps,
    )


def model_audit(file: str = "predictions.csv", *, planted: bool = False) -> ModelAudit:
    flips = tuple(
        Flip(
            attribute=a[0], attribute_title=a[1], groups=(a[2][0], a[2][1]), n_pairs=310, n_subjects=30,
            flip_rate=interval(0.21), only_first_correct=40, only_second_correct=28, difference=interval(0.04), mcnemar_p=0.18,
            p=0.3, q=0.6, excess=interval(0.11 if planted and a is SKIN else 0.02), excess_p=0.4,
            excess_q=0.003 if planted and a is SKIN else 0.7,
        )
        for a in ATTRIBUTES
    )  # fmt: skip
    within = {a[0]: interval(0.19) for a in ATTRIBUTES}
    bins = tuple((0.05 + 0.1 * i, min(1.0, 0.1 + 0.08 * i), 5 + 7 * i) for i in range(10))
    skipped = GroupAudit(
        attributes=(RACE[0],),
        titles=(RACE[1],),
        groups=(),
        gaps=(),
        skipped="fewer than two groups have 5 people",
    )
    return ModelAudit(
        file=file, n_rows=236, n_used=230, n_without=10, labels=EMOTIONS, overall=_scores(0.58, 230, 42),
        by_group=(group_audit([GENDER], planted=planted), group_audit([SKIN]), skipped, group_audit([GENDER, SKIN])),
        counterfactual=Counterfactual(
            n_expressions=40, n_pairs=820, flip_rate=interval(0.2), within_group_flip_rate=within, flips=flips
        ),
        calibration=bins, findings=(Finding(code="unknown_clip", message="6 rows name no clip of this data set; they were left out.", n=6),),
    )  # fmt: skip


def bare() -> Audit:
    """Nothing but declared gender."""
    return Audit(
        path="demo_set", n_clips=252, n_subjects=42, n_selected=None, renderers=(), models=(), licences={},
        emotions=dict.fromkeys(EMOTIONS, 36), findings=(), representation=(representation(GENDER, (24, 18)),), intersections=(),
        associations=(), label_noise=(), parity=(), agreement=(), model_audits=(), skin=(), min_group_subjects=5,
        n_permutations=2000, n_boot=1000, level=0.95, seed=7,
        provenance=Provenance(versions={"equime": "0.2.0", "numpy": "1.26.4"}, python="3.11.9", platform="Linux x86_64", commit=None),
    )  # fmt: skip


def full(*, planted: bool = False) -> Audit:
    """Everything; ``planted`` adds an association, a gap in movement and a gap of a recogniser that are found."""
    rng = stream(5, "audit cases")
    target = {"f": 0.5, "m": 0.5}
    tests = [
        association(a, o, rng, planted=planted and a is GENDER and o[0] == "emotion")
        for a in ATTRIBUTES
        for o in OUTCOMES
    ]
    gaps = [
        parity(a, o, rng, planted=planted and a is SKIN and o[0] == "peak_motion_mm")
        for a in (GENDER, SKIN)
        for o in MEASURED
    ]
    noise = (
        LabelNoise(
            attribute=LABELLED[0], figure="share of Woman", observed=0.48, low=0.41, high=0.55, corrected=0.5,
            error="3 % and 4 % of the labels wrong (Serengil & Ozpinar 2021)",
        ),
        LabelNoise(
            attribute=RACE[0], figure="Cramér's V with emotion", observed=0.03, low=0.01, high=0.09, corrected=None,
            error="32 % of the labels wrong (Serengil & Ozpinar 2021)",
        ),
    )  # fmt: skip
    findings = (
        Finding(code="no_face", message="s004_f_001.mp4: no face was found in any frame; look at the clip.", n=1),
        Finding(code="no_face", message="s011_m_003.mp4: no face was found in any frame; look at the clip.", n=1),
        Finding(code="small_group", message="race (estimated by DeepFace): groups of fewer than 5 people, not compared: indian", n=1),
        Finding(code="missing_weights", message="age (estimated) is not here; run `equime weights fetch deepface_age`."),
    )  # fmt: skip
    return replace(
        bare(),
        n_selected=240, renderers=("mesh 1.2",), models=("equime-scm/1 priors=ab12 p_felt=0.5",),
        licences={"CC-BY-4.0": 200, "CC0": 52}, findings=findings,
        representation=(
            representation(GENDER, (24, 16), unknown=2, target=target), representation(LABELLED, (20, 22)),
            representation(RACE, (9, 12, 3, 18), absent=("latino hispanic", "middle eastern")),
            representation(SKIN, (6, 9, 10, 8, 5, 4)),
        ),
        intersections=(intersection(GENDER, SKIN, rng), intersection(LABELLED, RACE, rng)),
        associations=(*tests, untested(tests[-1], "constant")), label_noise=noise,
        parity=(*gaps, replace(gaps[0], gap=interval(None), p=None, q=None, detectable=None, skipped="too few subjects")),
        agreement=agreement(), model_audits=(model_audit(planted=planted),), skin=skin(42, rng),
    )  # fmt: skip


def empty() -> Audit:
    """No face, no clip, nothing known."""
    return replace(
        bare(), n_clips=0, n_subjects=0, emotions={}, representation=(),
        findings=(Finding(code="no_clip", message="demo_set holds no clip; run `equime generate` first."),),
    )  # fmt: skip


def hostile() -> Audit:
    """The full audit with a name in every place that would be markup if it were not escaped."""
    evil = (f"declared_{EVIL}", EVIL, (EVIL, "b\n# c", "\x01\x0b", "ud\udc80"))
    rng = stream(6, "audit cases")
    person = replace(skin(1, rng)[0], subject_id=EVIL, srgb='red" onload="alert(1)')
    return replace(
        full(),
        path=f"/data/{EVIL.replace('/', '')}", renderers=(EVIL,), licences={EVIL: 3}, emotions={EVIL: 2}, models=(EVIL,),
        findings=(Finding(code=EVIL, message=EVIL, n=1), Finding(code=EVIL, message="b\n# c", n=1)),
        representation=(representation(evil, (9, 6, 5, 5), absent=(EVIL,)),), intersections=(intersection(evil, evil, rng),),
        associations=tuple(association(evil, o, rng, planted=True) for o in OUTCOMES),
        label_noise=(LabelNoise(attribute=EVIL, figure=EVIL, observed=0.5, low=0.4, high=0.6, corrected=None, error=EVIL),),
        parity=(parity(evil, (EVIL, EVIL, EVIL, EVIL, 1.0), rng, planted=True),),
        model_audits=(model_audit(EVIL, planted=True),), skin=(person,),
    )  # fmt: skip
