"""How often the association test of the audit gives a false alarm, and how small a bias it finds.

    python bench/audit_power.py [--sets 150] [--cases 60]

1. False alarms. Data sets of the causal model, 30 faces with 10 clips each, whose declared gender and ethnicity
   are made up: every p below 0.05 is a false alarm. Expected: 5 of 100 or a little less for what varies between
   people; none for the emotion, which is balanced within every person.
2. Power. A bias is planted for one of two equal groups in draws of the same model, 5 clips per person: anger assigned
   with a probability whatever was planned (where emotions take turns within a person as the design has it, and
   where each is drawn), intensity larger by k standard deviations of all clips,
   apex later by x ms. Share of cases with p < 0.05, the size found in 80 of 100 cases (interpolated), and beside
   it what the audit itself tells as detectable, from data without any bias, in the unit of the bias.

Draws of p come from 199 permutations. Nothing is rendered.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from equime.evaluation_framework.audit.association import associations
from equime.evaluation_framework.audit.data import Attribute, AuditData, Outcome
from equime.evaluation_framework.audit.intent import finished, intent_row
from equime.evaluation_framework.audit.records import Association
from equime.evaluation_framework.statistics import bootstrap_mean
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.design import Design
from equime.provenance import provenance
from equime.seeding import stream
from equime.types import ClipSpec, Declared, Face, FaceQuality

QUICK = {"n_permutations": 199, "n_boot": 100}
GENDER = Attribute("declared_gender", "declared", "gender", ("f", "m"), "made up")
ETHNICITY = Attribute("declared_ethnicity", "declared", "ethnicity", ("a", "b", "c"), "made up")
EMOTIONS = ("happiness", "sadness", "surprise", "fear", "anger")
N_SUBJECTS = (20, 40, 100, 400)
N_POOL = 800


def face(seed: int, i: int) -> Face:
    """A Face record that no image stands behind."""
    quality = FaceQuality(
        face_px=400.0, sharpness=200.0, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, eye_open=0.3,
        mouth_open=0.0, smile=0.0, humanness=1.0, n_faces=1,
    )  # fmt: skip
    return Face(
        face_id=f"{seed:08x}{i:08x}", subject_id=f"{i:06d}", path=f"{i}.jpg", sha256="0" * 64, face_index=0,
        image_size=(1024, 1024), to_crop=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), landmarks=f"{i}.npy", px_per_mm=2.5,
        source="synthetic", licence="none", declared=Declared(), quality=quality, aligner="none",
    )  # fmt: skip


def drawn(
    model: CausalModel, seed: int, n_faces: int, n_clips_each: int
) -> tuple[pd.DataFrame, tuple[Outcome, ...]]:
    """Table of a data set of the causal model, without attributes, and its outcomes."""
    design = Design(
        faces=[face(seed, i) for i in range(n_faces)], n_clips=n_faces * n_clips_each, seed=seed, emotions=EMOTIONS
    )  # fmt: skip
    specs: list[ClipSpec] = list(design.specs(model))
    rows, outcomes = finished([intent_row(spec) for spec in specs])
    clips = pd.DataFrame(rows)
    clips.insert(0, "clip_id", [spec.spec_id for spec in specs])
    clips["subject_id"], clips["emotion"] = [s.subject_id for s in specs], [s.emotion for s in specs]
    clips["twin_group"] = None
    return clips, outcomes


def table(clips: pd.DataFrame, attributes: Sequence[Attribute], outcomes: Iterable[Outcome]) -> AuditData:
    return AuditData(
        path="bench", clips=clips, attributes=tuple(attributes), intended=tuple(outcomes), measured=(),
        findings=(), provenance=provenance(),
    )  # fmt: skip


def false_alarms(model: CausalModel, n_sets: int) -> None:
    found: list[list[Association]] = []
    for seed in range(n_sets):
        clips, outcomes = drawn(model, seed, 30, 10)
        random = stream(seed, "audit power", "attributes")
        for attribute in (GENDER, ETHNICITY):
            people = random.permutation(np.resize(np.array(attribute.groups, dtype=object), 30))
            clips[attribute.name] = clips["subject_id"].astype(int).map(dict(enumerate(people)))
        found.append(list(associations(table(clips, (GENDER, ETHNICITY), outcomes), seed=seed, **QUICK)))
    print(f"## False alarms: {n_sets} data sets, 30 faces, 300 clips, 2 attributes\n")
    print("| outcome | tests | p <= 0.05 | share | 95 % (Clopper-Pearson) |\n|---|---|---|---|---|")
    names = sorted({row.outcome for rows in found for row in rows})
    for name in names:
        p = [row.p for rows in found for row in rows if row.outcome == name and row.p is not None]
        report(name, sum(value <= 0.05 for value in p), len(p))
    free = [
        (row.p, str(i))
        for i, rows in enumerate(found)
        for row in rows
        if row.p is not None and row.detectable is not None
    ]
    share = bootstrap_mean([float(p <= 0.05) for p, _ in free], [i for _, i in free])
    print(
        f"\nall tests whose table changes when people are permuted: {share.mean:.4f} of {share.n} "
        f"({share.low:.4f} to {share.high:.4f}, data sets resampled)"
    )
    families = sum(any(row.q is not None and row.q <= 0.05 for row in rows) for rows in found)
    low, high = interval(families, n_sets)
    print(f"data sets with any q <= 0.05: {families} of {n_sets} ({low:.3f} to {high:.3f})\n")


def report(name: str, k: int, n: int) -> None:
    if n:
        low, high = interval(k, n)
        print(f"| {name} | {n} | {k} | {k / n:.3f} | {low:.3f} to {high:.3f} |")


def interval(k: int, n: int) -> tuple[float, float]:
    bounds = binomtest(k, n).proportion_ci(method="exact")
    return float(bounds.low), float(bounds.high)


@dataclasses.dataclass(frozen=True)
class Bias:
    """One kind of bias: what is changed in group f, and how the audit's unit is turned into that of the bias."""

    name: str
    outcome: Outcome
    sizes: tuple[float, ...]
    plant: Callable[[pd.DataFrame, np.ndarray, float, np.random.Generator], object]
    size_of: Callable[[pd.DataFrame, float], float | None]


def anger(clips: pd.DataFrame, women: np.ndarray, size: float, random: np.random.Generator) -> object:
    return np.where(women & (random.random(len(clips)) < size), "anger", clips["emotion"])


def anger_among_random(
    clips: pd.DataFrame, women: np.ndarray, size: float, random: np.random.Generator
) -> object:
    """The same where emotions do not take turns: each clip's is drawn."""
    free = random.choice(np.array(EMOTIONS, dtype=object), len(clips))
    return np.where(women & (random.random(len(clips)) < size), "anger", free)


def probability(_: pd.DataFrame, v: float) -> float:
    """Probability of the planted emotion that makes Cramer's V of two equal groups and five equal emotions."""
    d = np.linspace(0, 1, 2001)[:, None]
    f, m = 0.2 * (1 - d) + d * np.eye(5)[0], np.full(5, 0.2)
    q = (f + m) / 2
    return float(np.interp(v, np.sqrt((((f - q) ** 2 + (m - q) ** 2) / (2 * q)).sum(1)), d[:, 0]))


def stronger(clips: pd.DataFrame, women: np.ndarray, size: float, _: np.random.Generator) -> object:
    return clips["intensity_max"] + size * clips["intensity_max"].std() * women


def later(clips: pd.DataFrame, women: np.ndarray, size: float, _: np.random.Generator) -> object:
    return clips["onset_to_apex_ms"] + size * women


def shift_in_sd(_: pd.DataFrame, eta2: float) -> float:
    """Of two equal groups: eta squared = d^2 / (4 + d^2)."""
    return float(2 * np.sqrt(eta2 / (1 - eta2)))


EMOTION = Outcome("emotion", "emotion", "groups")
BIASES = (
    Bias("anger, emotions in turn", EMOTION, (0.01, 0.02, 0.05, 0.1, 0.2, 0.4), anger, lambda *_: None),
    Bias("anger, emotions drawn", EMOTION, (0.05, 0.1, 0.2, 0.4, 0.8), anger_among_random, probability),
    Bias("intensity, sd", Outcome("intensity_max", "intensity", "number"), (0.2, 0.4, 0.8, 1.6), stronger, shift_in_sd),
    Bias("apex later, ms", Outcome("onset_to_apex_ms", "onset to apex", "number"), (10, 20, 40, 80, 160), later,
         lambda clips, eta2: shift_in_sd(clips, eta2) * float(clips["onset_to_apex_ms"].std())),
)  # fmt: skip


def power(model: CausalModel, n_cases: int) -> None:
    pool, _ = drawn(model, 1_000_000, N_POOL, 5)
    by_person = [part for _, part in pool.groupby("subject_id", sort=True)]
    print(f"## Power: two equal groups, 5 clips per person, {n_cases} cases each; share with p <= 0.05\n")
    for bias in BIASES:
        print(f"| {bias.name} | " + " | ".join(f"{s:g}" for s in bias.sizes) + " | 80 % at | told |")
        print("|---" * (len(bias.sizes) + 3) + "|")
        for n in N_SUBJECTS:
            shares = [detected(bias, by_person, n, size, n_cases) for size in bias.sizes]
            at = crossing(bias.sizes, shares)
            row = told(bias, by_person, n)
            print(
                f"| {n} people | " + " | ".join(f"{s:.2f}" for s in shares)
                + f" | {'-' if at is None else format(at, '.3g')} | {'-' if row is None else format(row, '.3g')} |"
            )  # fmt: skip
        print()


def case(bias: Bias, by_person: list[pd.DataFrame], n: int, size: float, seed: int) -> AuditData:
    random = stream(seed, "audit power", bias.name, n, str(size))
    clips = pd.concat([by_person[i] for i in random.permutation(len(by_person))[:n]], ignore_index=True)
    women = np.repeat(np.arange(n) % 2 == 0, 5)
    clips["declared_gender"] = np.where(women, "f", "m")
    clips[bias.outcome.name] = bias.plant(clips, women, size, random)
    return table(clips, (GENDER,), (bias.outcome,))


def detected(bias: Bias, by_person: list[pd.DataFrame], n: int, size: float, n_cases: int) -> float:
    p = [associations(case(bias, by_person, n, size, s), seed=s, **QUICK)[0].p for s in range(n_cases)]
    return float(np.mean([value is not None and value <= 0.05 for value in p]))


def told(bias: Bias, by_person: list[pd.DataFrame], n: int) -> float | None:
    """Median over five data sets without bias of what the audit tells as detectable."""
    found = []
    for seed in range(5):
        data = case(bias, by_person, n, 0.0, seed)
        smallest = associations(data, n_permutations=1000, n_boot=100)[0].detectable
        found.append(None if smallest is None else bias.size_of(data.clips, smallest))
    known = [value for value in found if value is not None]
    return float(np.median(known)) if known else None


def crossing(sizes: Sequence[float], shares: Sequence[float]) -> float | None:
    """Size at which the share first passes 0.8, on a logarithmic scale; None where it never or always does."""
    for i in range(1, len(sizes)):
        if shares[i - 1] < 0.8 <= shares[i]:
            part = (0.8 - shares[i - 1]) / (shares[i] - shares[i - 1])
            return float(np.exp(np.interp(part, (0, 1), np.log(sizes[i - 1 : i + 1]))))
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=150, help="data sets of part 1")
    parser.add_argument("--cases", type=int, default=60, help="cases per cell of part 2")
    args = parser.parse_args()
    started = time.process_time()
    model = CausalModel()
    false_alarms(model, args.sets)
    power(model, args.cases)
    print(f"python bench/audit_power.py --sets {args.sets} --cases {args.cases}: "
          f"{time.process_time() - started:.0f} s of CPU")  # fmt: skip


if __name__ == "__main__":
    main()
